/* SPDX-License-Identifier: MIT */
/*
 * Files that are not in the page cache.  sendfile(2) would wait for the disk, and everybody with
 * the loop; so it is looked first (RWF_NOWAIT), and what is missing is read by a helper thread.
 *
 * Looking is sampling, for each page would cost more than it saves; a page between two samples may
 * be missing, and then the loop waits for that one.
 */
#include <errno.h>
#include <fcntl.h>
#include <stdlib.h>
#include <sys/uio.h>
#include <unistd.h>

#include "base/metrics.h"
#include "http/http_priv.h"

/* The kernel reads ahead that much, or half of it, and so drops. */
#define SAMPLE_EVERY ((uint64_t)128 * 1024)

/* What is sent again and again is not looked for each time. */
#define BELIEVED_FOR USEC_PER_SEC

#define READ_STEP (256 * 1024)

static uint64_t turn_of(uint64_t len)
{
	return len < HTTP_SENDFILE_PER_TURN ? len : HTTP_SENDFILE_PER_TURN;
}

/* A file system that can't say is believed to be fast. */
static bool is_missing(int fd, uint64_t at)
{
	char byte;
	struct iovec one = { &byte, 1 };

	return preadv2(fd, &one, 1, (off_t)at, RWF_NOWAIT) < 0 && errno == EAGAIN;
}

static void believe(struct http_file *file, uint64_t from, uint64_t to, usec_t now)
{
	const bool goes_on =
		now < file->warm_until && from >= file->warm_from && from <= file->warm_to;

	if (!goes_on) {
		file->warm_from = from;
		file->warm_until = now + BELIEVED_FOR;
	}
	if (!goes_on || to > file->warm_to)
		file->warm_to = to;
}

bool http_file_is_cold(struct http_file *file, uint64_t from, uint64_t len)
{
	const uint64_t to = from + turn_of(len);
	const usec_t now = clock_monotonic();

	if (len == 0 || (now < file->warm_until && from >= file->warm_from && to <= file->warm_to))
		return false;
	for (uint64_t at = from; at < to; at += SAMPLE_EVERY)
		if (is_missing(file->fd, at))
			return true;
	if (is_missing(file->fd, to - 1))
		return true;
	believe(file, from, to, now);
	return false;
}

struct warming {
	int fd; /* its own: the file's may be closed meanwhile */
	uint64_t from, to;
};

static void warming_free(void *arg)
{
	struct warming *w = arg;

	closep(&w->fd);
	free(w);
}

static int warming_work(void *arg)
{
	const struct warming *w = arg;
	scoped(freep) char *nowhere = malloc(READ_STEP);

	for (uint64_t at = w->from; nowhere && at < w->to;) {
		const uint64_t left = w->to - at;
		const ssize_t n =
			pread(w->fd, nowhere, left < READ_STEP ? left : READ_STEP, (off_t)at);

		if (n < 0 && errno == EINTR)
			continue;
		if (n <= 0)
			return n < 0 ? -errno : -ENODATA;
		at += (uint64_t)n;
	}
	return nowhere ? 0 : -ENOMEM;
}

struct job *http_file_warm(struct jobs *jobs, struct http_file *file, uint64_t from, uint64_t len,
			   job_done_fn *done, void *arg)
{
	struct warming *w = xcalloc(1, sizeof(*w));
	struct job *job = NULL;

	*w = (struct warming){
		.fd = fcntl(file->fd, F_DUPFD_CLOEXEC, 0),
		.from = from,
		.to = from + turn_of(len),
	};
	if (w->fd >= 0)
		job = job_start(jobs, warming_work, w, warming_free, done, arg);
	if (!job) {
		warming_free(w);
		return NULL;
	}
	metric_inc(METRIC_STATIC_COLD_READS);
	return job;
}

void http_file_is_warm(struct http_file *file, uint64_t from, uint64_t len)
{
	believe(file, from, from + turn_of(len), clock_monotonic());
}
