/* SPDX-License-Identifier: MIT */
/*
 * The process's numbers and their two text forms.  They differ in little: OpenMetrics names a
 * counter's family without its "_total", writes bounds as floats, knows info, and ends with "#
 * EOF".
 */
#include "base/metrics.h"

#include <assert.h>
#include <dirent.h>
#include <fcntl.h>
#include <inttypes.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/resource.h>
#include <time.h>
#include <unistd.h>

#include "base/files.h"

enum metric_type {
	COUNTER,
	GAUGE,
	HISTOGRAM,
};

static const char *const type_names[] = {
	[COUNTER] = "counter",
	[GAUGE] = "gauge",
	[HISTOGRAM] = "histogram",
};

static const struct {
	const char *name;
	const char *help;
	enum metric_type type;
} rows[] = {
#define METRIC(id, type_, name_, help_) [METRIC_##id] = { name_, help_, type_ },
#include "base/metrics.def"
#undef METRIC
};

static const double bounds[] = { 0.0005, 0.001, 0.0025, 0.005, 0.01, 0.025, 0.05, 0.1,
				 0.25,   0.5,   1,      2.5,   5,    10,    30 };

/* Each observation is in one bucket here; the writer adds them up. */
struct value {
	double value;                             /* of a histogram: the sum */
	uint64_t buckets[ARRAY_SIZE(bounds) + 1]; /* the last is for what lies above all bounds */
};

static struct value values[METRIC_COUNT_];

void metric_add(enum metric m, double n)
{
	assert(rows[m].type == GAUGE || (rows[m].type == COUNTER && n >= 0));
	values[m].value += n;
}

void metric_set(enum metric m, double value)
{
	assert(rows[m].type == GAUGE);
	values[m].value = value;
}

void metric_observe(enum metric m, double value)
{
	size_t bucket = 0;

	assert(rows[m].type == HISTOGRAM);
	while (bucket < ARRAY_SIZE(bounds) && value > bounds[bucket])
		bucket++;
	values[m].buckets[bucket]++;
	values[m].value += value;
}

double metric_value(enum metric m)
{
	return values[m].value;
}

/* The shortest digits that read back as the same number. */
static void add_number(struct strbuf *b, double n)
{
	char text[32];

	for (int digits = 15; digits <= 17; digits++) {
		snprintf(text, sizeof(text), "%.*g", digits, n);
		if (strtod(text, NULL) == n)
			break;
	}
	strbuf_puts(b, text);
}

static void add_family(struct strbuf *b, const char *name, const char *suffix, const char *type,
		       const char *help)
{
	strbuf_printf(b, "# HELP %s%s %s\n", name, suffix, help);
	strbuf_printf(b, "# TYPE %s%s %s\n", name, suffix, type);
}

static void add_sample(struct strbuf *b, const char *name, const char *suffix, double n)
{
	strbuf_printf(b, "%s%s ", name, suffix);
	add_number(b, n);
	strbuf_putc(b, '\n');
}

static void add_scalar(struct strbuf *b, const char *name, enum metric_type type, const char *help,
		       double n, bool openmetrics)
{
	const char *suffix = type == COUNTER ? "_total" : "";

	add_family(b, name, openmetrics ? "" : suffix, type_names[type], help);
	add_sample(b, name, suffix, n);
}

static void add_histogram(struct strbuf *b, enum metric m, bool openmetrics)
{
	const char *name = rows[m].name;
	uint64_t count = 0;

	add_family(b, name, "", type_names[HISTOGRAM], rows[m].help);
	for (size_t i = 0; i < ARRAY_SIZE(bounds); i++) {
		const bool whole = bounds[i] >= 1 && bounds[i] == (double)(int)bounds[i];

		count += values[m].buckets[i];
		strbuf_printf(b, "%s_bucket{le=\"%g%s\"} %" PRIu64 "\n", name, bounds[i],
			      whole && openmetrics ? ".0" : "", count);
	}
	count += values[m].buckets[ARRAY_SIZE(bounds)];
	strbuf_printf(b, "%s_bucket{le=\"+Inf\"} %" PRIu64 "\n", name, count);
	add_sample(b, name, "_sum", values[m].value);
	strbuf_printf(b, "%s_count %" PRIu64 "\n", name, count);
}

static double seconds_of(clockid_t id)
{
	struct timespec t;

	clock_gettime(id, &t);
	return (double)t.tv_sec + (double)t.tv_nsec / 1e9;
}

/* By the kernel's clock, whatever a test has put in its place; asked once, since it would jitter.
 */
static double process_start_time(void)
{
	static double start;
	scoped(freep) char *stat = NULL;
	unsigned long long ticks;
	const char *rest;

	if (start > 0)
		return start;
	if (read_file_at(AT_FDCWD, "/proc/self/stat", 8192, &stat, NULL) < 0)
		return 0;

	/* Behind the name, which may hold anything: starttime is the 22nd field, the name the 2nd.
	 */
	rest = strrchr(stat, ')');
	if (!rest || sscanf(rest,
			    ") %*c %*s %*s %*s %*s %*s %*s %*s %*s %*s %*s %*s %*s %*s %*s "
			    "%*s %*s %*s %*s %llu",
			    &ticks) != 1)
		return 0;
	start = seconds_of(CLOCK_REALTIME) - seconds_of(CLOCK_BOOTTIME) +
		(double)ticks / (double)sysconf(_SC_CLK_TCK);
	return start;
}

static double process_resident_bytes(void)
{
	scoped(freep) char *statm = NULL;
	unsigned long pages;

	if (read_file_at(AT_FDCWD, "/proc/self/statm", 4096, &statm, NULL) < 0 ||
	    sscanf(statm, "%*u %lu", &pages) != 1)
		return 0;
	return (double)pages * (double)sysconf(_SC_PAGESIZE);
}

static double process_cpu_seconds(void)
{
	struct rusage u;

	if (getrusage(RUSAGE_SELF, &u) < 0)
		return 0;
	return (double)(u.ru_utime.tv_sec + u.ru_stime.tv_sec) +
	       (double)(u.ru_utime.tv_usec + u.ru_stime.tv_usec) / 1e6;
}

static double process_open_fds(void)
{
	DIR *dir = opendir("/proc/self/fd");
	size_t n = 0;

	if (!dir)
		return 0;
	for (const struct dirent *entry; (entry = readdir(dir));)
		n += entry->d_name[0] != '.';
	closedir(dir);
	return (double)(n - 1); /* without the one that looked */
}

/* The names every Prometheus client library gives to these. */
static const struct {
	const char *name;
	const char *help;
	enum metric_type type;
	double (*read)(void);
} process_rows[] = {
	/* clang-format off */
	{ "process_start_time_seconds",    "Start time of the process since the Unix epoch in seconds.", GAUGE, process_start_time },
	{ "process_resident_memory_bytes", "Resident memory size in bytes.", GAUGE, process_resident_bytes },
	{ "process_cpu_seconds",           "Total user and system CPU time spent in seconds.", COUNTER, process_cpu_seconds },
	{ "process_open_fds",              "Number of open file descriptors.", GAUGE, process_open_fds },
	/* clang-format on */
};

static void add_build_info(struct strbuf *b, bool openmetrics)
{
	add_family(b, "previewd_build", openmetrics ? "" : "_info", openmetrics ? "info" : "gauge",
		   "The version that runs.");
	strbuf_puts(b, "previewd_build_info{version=\"" PACKAGE_VERSION "\"} 1\n");
}

void metrics_write(struct strbuf *b, bool openmetrics)
{
	for (int m = 0; m < METRIC_COUNT_; m++) {
		if (rows[m].type == HISTOGRAM)
			add_histogram(b, (enum metric)m, openmetrics);
		else
			add_scalar(b, rows[m].name, rows[m].type, rows[m].help, values[m].value,
				   openmetrics);
	}
	for (size_t i = 0; i < ARRAY_SIZE(process_rows); i++)
		add_scalar(b, process_rows[i].name, process_rows[i].type, process_rows[i].help,
			   process_rows[i].read(), openmetrics);
	add_build_info(b, openmetrics);
	if (openmetrics)
		strbuf_puts(b, "# EOF\n");
}
