/* SPDX-License-Identifier: MIT */
#pragma once

#include <stddef.h>
#include <stdlib.h>
#include <string.h>

#include "base/cleanup.h"
#include "base/mem.h"

/*
 * Immutable bytes that several owners share: an event is serialised once and every subscriber's
 * output refers to the same memory.  On the loop's thread only: the count isn't atomic.
 */
struct bytes {
	size_t refs;
	size_t len;
	char data[]; /* and a NUL behind them */
};

/* Copies; the caller has the first reference. */
static inline struct bytes *bytes_new(const void *data, size_t len)
{
	struct bytes *b = xcalloc(1, sizeof(*b) + len + 1);

	b->refs = 1;
	b->len = len;
	if (len > 0)
		memcpy(b->data, data, len);
	return b;
}

static inline struct bytes *bytes_ref(struct bytes *b)
{
	b->refs++;
	return b;
}

static inline struct bytes *bytes_unref(struct bytes *b)
{
	if (b && --b->refs == 0)
		free(b);
	return NULL;
}
DEFINE_CLEANUP(struct bytes *, bytes_unref)
