/* SPDX-License-Identifier: MIT */
/* Faults, files, digests, log lines and metrics. */
#include <errno.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdlib.h>
#include <string.h>
/* cmocka wants setjmp, stdarg and stddef above it */
#include <cmocka.h>

#include <cjson/cJSON.h>
#include <dirent.h>
#include <fcntl.h>
#include <stdio.h>
#include <sys/stat.h>
#include <time.h>
#include <unistd.h>

#include "base/crypto.h"
#include "base/fault.h"
#include "base/files.h"
#include "base/hash.h"
#include "base/json.h"
#include "base/log.h"
#include "base/mem.h"
#include "base/metrics.h"

LOG_AREA("test");

static void a_fault_carries_the_row_of_its_table(void **state)
{
	scoped(fault_done) struct fault fault = { 0 }, other = { 0 };

	(void)state;
	assert_int_equal(fault_set(&fault, FAULT_SESSION_LIMIT, "at most %d", 5), -EDQUOT);
	assert_string_equal(fault.detail, "at most 5");
	assert_int_equal(fault_set(&fault, FAULT_PORT_TAKEN, "(%s)", fault.detail), -EADDRINUSE);
	assert_string_equal(fault.detail, "(at most 5)");
	assert_int_equal(fault_set(NULL, FAULT_NOT_FOUND, "x"), -ENOENT);
	fault_member_consume(&fault, "n", cJSON_CreateNumber(1));
	fault_member_consume(&fault, "n", cJSON_CreateNumber(2));
	fault_member_consume(NULL, "n", cJSON_CreateNumber(3));
	fault_move(&other, &fault);
	assert_int_equal(fault.code, FAULT_NONE);
	assert_null(fault.members);
	assert_int_equal(other.code, FAULT_PORT_TAKEN);
	assert_int_equal(cJSON_GetArraySize(other.members), 1);
	assert_int_equal(cJSON_GetObjectItem(other.members, "n")->valueint, 2);
}

static void every_slug_finds_its_fault(void **state)
{
	(void)state;
	for (int code = FAULT_NONE + 1; code < FAULT_COUNT_; code++) {
		assert_int_equal(fault_of_slug(fault_slug(code)), code);
		assert_true(fault_errno(code) > 0);
		assert_in_range(fault_http_status(code), 400, 599);
		assert_in_range(fault_exit_code(code), 1, 7);
		assert_true(strlen(fault_title(code)) > 0);
	}
	assert_int_equal(fault_of_slug("nonesuch"), FAULT_NONE);
	assert_int_equal(fault_of_slug("none"), FAULT_NONE);
	assert_int_equal(fault_errno(FAULT_NONE), 0);
}

static void fields_past_the_maximum_are_dropped(void **state)
{
	scoped(fault_done) struct fault fault = { 0 };

	(void)state;
	fault_set(&fault, FAULT_INTERNAL, "before");
	for (int i = 0; i < FAULT_FIELDS_MAX + 3; i++)
		assert_int_equal(fault_field(&fault, "f", "is wrong %d", i), -EINVAL);
	assert_int_equal(fault.code, FAULT_INVALID_FIELD);
	assert_int_equal(fault.n_fields, FAULT_FIELDS_MAX);
	assert_string_equal(fault.detail, "'f' is wrong 0");
	assert_int_equal(fault_field(NULL, "f", "x"), -EINVAL);
}

static int n_entries(int dirfd)
{
	DIR *dir = fdopendir(openat(dirfd, ".", O_RDONLY | O_DIRECTORY));
	int n = 0;

	for (const struct dirent *e; (e = readdir(dir));)
		n += strcmp(e->d_name, ".") != 0 && strcmp(e->d_name, "..") != 0;
	closedir(dir);
	return n;
}

static void files_are_put_in_place_whole(void **state)
{
	char root[] = "/tmp/previewd-test-XXXXXX";
	scoped(freep) char *deep = NULL, *text = NULL;
	scoped(closep) int dir = -1;
	struct stat st;
	size_t len = 0;

	(void)state;
	assert_non_null(mkdtemp(root));
	deep = xasprintf("%s/a//b/c", root);
	assert_int_equal(mkdir_parents(deep, 0700), 0);
	assert_int_equal(mkdir_parents(deep, 0700), 0);
	dir = open_directory(deep);
	assert_true(dir >= 0);
	assert_true(fcntl(dir, F_GETFD) & FD_CLOEXEC);
	assert_int_equal(fstat(dir, &st), 0);
	assert_int_equal(st.st_mode & 07777, 0700);

	assert_int_equal(write_file_at(dir, "f", "one", 3, 0640), 0);
	assert_int_equal(write_file_at(dir, "f", "t\0o!", 4, 0600), 0);
	assert_int_equal(fstatat(dir, "f", &st, 0), 0);
	assert_int_equal(st.st_mode & 07777, 0600);
	assert_int_equal(n_entries(dir), 1);
	assert_int_equal(read_file_at(dir, "f", 3, &text, &len), -EMSGSIZE);
	assert_int_equal(read_file_at(dir, "g", 3, &text, &len), -ENOENT);
	assert_null(text);
	assert_int_equal(read_file_at(dir, "f", 4, &text, &len), 0);
	assert_int_equal(len, 4);
	assert_memory_equal(text, "t\0o!", 5);

	/* A directory is in the way of the rename: the temporary file goes. */
	assert_int_equal(mkdirat(dir, "d", 0700), 0);
	assert_int_equal(write_file_at(dir, "d", "x", 1, 0600), -EISDIR);
	assert_int_equal(n_entries(dir), 2);
	assert_int_equal(write_file_at(dir, "none/f", "x", 1, 0600), -ENOENT);
	assert_int_equal(write_file_at(dir, "d/f", "x", 1, 0600), 0);
	/* One that was killed in the middle left such; what only looks similar is somebody's. */
	close(openat(dir, "f.0123456789abcdef.tmp", O_CREAT | O_WRONLY | O_CLOEXEC, 0600));
	close(openat(dir, "f.0123456789abcde.tmp", O_CREAT | O_WRONLY | O_CLOEXEC, 0600));
	assert_int_equal(remove_temporaries_at(dir), 0);
	assert_int_equal(n_entries(dir), 3);
	assert_int_equal(unlinkat(dir, "f.0123456789abcde.tmp", 0), 0);
	assert_int_equal(open_directory("/dev/null"), -ENOTDIR);
	assert_int_equal(mkdir_parents("/dev/null/x", 0700), -ENOTDIR);

	unlinkat(dir, "d/f", 0);
	unlinkat(dir, "d", AT_REMOVEDIR);
	unlinkat(dir, "f", 0);
	rmdir(deep);
	*strrchr(deep, '/') = '\0';
	rmdir(deep);
	strcpy(strrchr(deep, 'a'), "a");
	rmdir(deep);
	assert_int_equal(rmdir(root), 0);
}

static void digests_are_those_of_the_standards(void **state)
{
	char hex[SHA256_HEX_SIZE], accept[29];

	(void)state;
	sha256_hex("abc", 3, hex);
	assert_string_equal(hex,
			    "ba7816bf8f01cfea414140de5dae2223b00361a396177a9cb410ff61f20015ad");
	websocket_accept_key("dGhlIHNhbXBsZSBub25jZQ==", accept); /* RFC 6455 section 1.3 */
	assert_string_equal(accept, "s3pPLMBiTxaQ9kYGzzhZRbK+xOo=");
	assert_true(secret_equal("abc", "abc"));
	assert_false(secret_equal("abc", "abd"));
	assert_false(secret_equal("abc", "abcd"));
	assert_false(secret_equal(NULL, NULL));
	assert_false(secret_equal("a", NULL));
	assert_null(secret_free(xstrdup("abc")));
	assert_null(secret_free(NULL));
}

/* Runs `log` with stderr in a pipe; what came out of it is in `text`. */
static void capture(void (*log)(const char *), const char *arg, enum log_format format,
		    bool journal, char *text, size_t size)
{
	const int saved = dup(STDERR_FILENO);
	char stream[64];
	struct stat st;
	ssize_t n;
	int ends[2];

	assert_int_equal(pipe(ends), 0);
	assert_int_equal(fstat(ends[1], &st), 0);
	snprintf(stream, sizeof(stream), "%ju:%ju", (uintmax_t)st.st_dev,
		 (uintmax_t)st.st_ino + !journal);
	setenv("JOURNAL_STREAM", stream, 1);
	dup2(ends[1], STDERR_FILENO);
	log_setup(LOG_LEVEL_INFO, format);
	log(arg);
	dup2(saved, STDERR_FILENO);
	close(saved);
	close(ends[1]);
	n = read(ends[0], text, size - 1);
	close(ends[0]);
	text[n < 0 ? 0 : n] = '\0';
}

static void log_a_warning(const char *arg)
{
	log_debug("not shown");
	(void)log_warning_errno(-ENOENT, "%s", arg);
}

static void log_it(const char *arg)
{
	log_error("%s", arg);
}

static void a_line_is_a_line(void **state)
{
	scoped(json_freep) cJSON *j = NULL;
	char text[8192], longest[6000];

	(void)state;
	capture(log_a_warning, "a\nb\x1b\xff\xc2\x9b\xc3\xa4", LOG_FORMAT_TEXT, true, text,
		sizeof(text));
	assert_string_equal(text, "<4>test: a\\x0ab\\x1b\\xff\\xc2\\x9b\xc3\xa4: "
				  "No such file or directory\n");
	capture(log_it, "x", LOG_FORMAT_TEXT, false, text, sizeof(text));
	assert_string_equal(text + strlen("2026-11-21T03:43:00.123Z"), " error test: x\n");

	capture(log_it, "a\"\\\n\xff", LOG_FORMAT_JSON, true, text, sizeof(text));
	assert_int_equal(json_parse(text, strlen(text), &j, NULL), 0);
	assert_string_equal(json_string(j, "level"), "error");
	assert_string_equal(json_string(j, "area"), "test");
	assert_string_equal(json_string(j, "message"), "a\"\\\n\xc3\xbf");
	j = json_free(j);

	memset(longest, 'a', sizeof(longest));
	longest[sizeof(longest) - 1] = '\0';
	capture(log_it, longest, LOG_FORMAT_JSON, true, text, sizeof(text));
	assert_in_range(strlen(text), 4000, 4096);
	assert_int_equal(json_parse(text, strlen(text), &j, NULL), 0);
}

static void assert_has(const struct strbuf *b, const char *line)
{
	if (!strstr(strbuf_str(b), line))
		fail_msg("not there: %s", line);
}

static double sample(const struct strbuf *b, const char *name)
{
	scoped(freep) char *start = xasprintf("\n%s ", name);
	const char *at = strstr(strbuf_str(b), start);

	assert_non_null(at);
	return strtod(at + strlen(start), NULL);
}

static void metrics_have_two_text_forms(void **state)
{
	scoped(strbuf_done) struct strbuf prometheus = strbuf_init(STRBUF_UNLIMITED);
	scoped(strbuf_done) struct strbuf openmetrics = strbuf_init(STRBUF_UNLIMITED);
	const char *const eof = "# EOF\n";

	(void)state;
	metric_inc(METRIC_ATTACHES);
	metric_add(METRIC_ATTACHES, 2);
	metric_set(METRIC_SESSIONS, 7);
	metric_add(METRIC_SESSIONS, -0.5);
	metric_observe(METRIC_HTTP_SECONDS, 0.001); /* a bound belongs to its bucket */
	metric_observe(METRIC_HTTP_SECONDS, 2);
	metric_observe(METRIC_HTTP_SECONDS, 31);
	assert_true(metric_value(METRIC_ATTACHES) == 3);

	metrics_write(&prometheus, false);
	assert_has(&prometheus, "# TYPE previewd_attaches_total counter\n");
	assert_has(&prometheus, "\npreviewd_attaches_total 3\n");
	assert_has(&prometheus, "\npreviewd_sessions 6.5\n");
	assert_has(&prometheus, "_request_duration_seconds_bucket{le=\"0.0005\"} 0\n");
	assert_has(&prometheus, "_request_duration_seconds_bucket{le=\"0.001\"} 1\n");
	assert_has(&prometheus, "_request_duration_seconds_bucket{le=\"1\"} 1\n");
	assert_has(&prometheus, "_request_duration_seconds_bucket{le=\"2.5\"} 2\n");
	assert_has(&prometheus, "_request_duration_seconds_bucket{le=\"+Inf\"} 3\n");
	assert_has(&prometheus, "_request_duration_seconds_sum 33.001\n");
	assert_has(&prometheus, "_request_duration_seconds_count 3\n");
	assert_has(&prometheus, "# TYPE previewd_build_info gauge\n");
	assert_has(&prometheus, "\npreviewd_build_info{version=\"" PACKAGE_VERSION "\"} 1\n");
	assert_null(strstr(strbuf_str(&prometheus), eof));

	assert_true(sample(&prometheus, "process_resident_memory_bytes") > 100000);
	assert_true(sample(&prometheus, "process_open_fds") >= 3);
	assert_true(sample(&prometheus, "process_start_time_seconds") <= (double)time(NULL) + 1);
	assert_true(sample(&prometheus, "process_start_time_seconds") > (double)time(NULL) - 600);

	metrics_write(&openmetrics, true);
	assert_has(&openmetrics, "# TYPE previewd_attaches counter\n");
	assert_has(&openmetrics, "\npreviewd_attaches_total 3\n");
	assert_has(&openmetrics, "_bucket{le=\"1.0\"} 1\n");
	assert_has(&openmetrics, "# TYPE previewd_build info\n");
	assert_has(&openmetrics, "# TYPE process_cpu_seconds counter\n");
	assert_string_equal(strbuf_str(&openmetrics) + openmetrics.len - strlen(eof), eof);
}

static void names_are_hashed_by_a_key_of_the_process(void **state)
{
	/* of the reference implementation: the key 00 01 … 0f, the input 00 01 … of that length */
	static const struct {
		size_t len;
		uint64_t hash;
	} vectors[] = {
		{ 0, UINT64_C(0x726fdb47dd0e0e31) },  { 1, UINT64_C(0x74f839c593dc67fd) },
		{ 7, UINT64_C(0xab0200f58b01d137) },  { 8, UINT64_C(0x93f5f5799a932462) },
		{ 15, UINT64_C(0xa129ca6149be45e5) },
	};
	uint8_t bytes[16];

	(void)state;
	for (size_t i = 0; i < sizeof(bytes); i++)
		bytes[i] = (uint8_t)i;
	for (size_t i = 0; i < ARRAY_SIZE(vectors); i++)
		assert_true(siphash(bytes, bytes, vectors[i].len) == vectors[i].hash);

	assert_int_equal(hash_of("abc", 3), hash_of("abc", 3));
	assert_true(hash_of("abc", 3) != (uint32_t)siphash(bytes, "abc", 3));
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(names_are_hashed_by_a_key_of_the_process),
		cmocka_unit_test(a_fault_carries_the_row_of_its_table),
		cmocka_unit_test(every_slug_finds_its_fault),
		cmocka_unit_test(fields_past_the_maximum_are_dropped),
		cmocka_unit_test(files_are_put_in_place_whole),
		cmocka_unit_test(digests_are_those_of_the_standards),
		cmocka_unit_test(a_line_is_a_line),
		cmocka_unit_test(metrics_have_two_text_forms),
	};

	mem_init();
	return cmocka_run_group_tests(tests, NULL, NULL);
}
