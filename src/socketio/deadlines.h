/* SPDX-License-Identifier: MIT */
#pragma once

#include <stdbool.h>

#include "base/cleanup.h"
#include "base/clock.h"
#include "loop/loop.h"

/*
 * Many deadlines that are all equally far away when they are set, as every client's next heartbeat
 * is: the first one set is the first one due.  So they are a list with one timer for all of them,
 * and setting one costs neither memory nor a place in a heap.
 */
struct deadlines;

/* Embedded in what it is the deadline of; zeroed, it is not set. */
struct deadline {
	usec_t at; /* monotonic */
	struct deadlines *in;
	struct deadline *prev, *next;
};

/* Called from the loop for each that is due, which is no longer set then. */
typedef void deadline_fn(struct deadline *d, void *arg);

struct deadlines *deadlines_new(struct loop *loop, usec_t after, deadline_fn *fn, void *arg);
struct deadlines *deadlines_free(struct deadlines *list); /* those set are not set any more */
DEFINE_CLEANUP(struct deadlines *, deadlines_free)

/* Sets it that far from now; it may have been set before, in any list. */
void deadline_set(struct deadlines *list, struct deadline *d);

/* The same, but due at `at`, or with the last one set, should that be later. */
void deadline_set_at(struct deadlines *list, struct deadline *d, usec_t at);

void deadline_cancel(struct deadline *d);

static inline bool deadline_is_set(const struct deadline *d)
{
	return d->in;
}

/* The one that is due first; NULL where none is set. */
struct deadline *deadlines_first(const struct deadlines *list);

/* Calls those that are due, without waiting for the timer. */
void deadlines_run(struct deadlines *list);
