/* SPDX-License-Identifier: MIT */
#pragma once

#include <stddef.h>
#include <unistd.h>

#include "base/cleanup.h"
#include "base/clock.h"
#include "base/mem.h"

/*
 * An open file that several answers are sent from at once; its offset is nobody's.  On the loop's
 * thread only, as struct bytes.
 */
struct http_file {
	size_t refs;
	int fd;
	/* What was found in the page cache last, or brought there: believed for a moment. */
	uint64_t warm_from, warm_to;
	usec_t warm_until;
};

/* Takes the descriptor; the caller has the first reference. */
static inline struct http_file *http_file_new_take(int fd)
{
	struct http_file *file = xcalloc(1, sizeof(*file));

	file->refs = 1;
	file->fd = fd;
	return file;
}

static inline struct http_file *http_file_ref(struct http_file *file)
{
	file->refs++;
	return file;
}

static inline struct http_file *http_file_unref(struct http_file *file)
{
	if (file && --file->refs == 0) {
		close(file->fd);
		free(file);
	}
	return NULL;
}
DEFINE_CLEANUP(struct http_file *, http_file_unref)
