/* SPDX-License-Identifier: MIT */
/*
 * Deadlines of one length.  The timer may come when the deadline it was set for is gone: then it is
 * set anew, which is rarer and cheaper than to move it with every deadline.
 */
#include "socketio/deadlines.h"

#include <stdlib.h>
#include <utlist.h>

#include "base/mem.h"

struct deadlines {
	struct timer *timer;
	usec_t after;
	deadline_fn *fn;
	void *arg;
	struct deadline *first;
};

static void wait_for_first(struct deadlines *list)
{
	usec_t now = clock_monotonic();

	if (list->first && !timer_is_set(list->timer))
		timer_set(list->timer, list->first->at == USEC_INFINITY ? USEC_INFINITY
				       : list->first->at > now          ? list->first->at - now
									: 0);
}

void deadlines_run(struct deadlines *list)
{
	usec_t now = clock_monotonic();

	for (struct deadline *d; (d = list->first) && d->at <= now;) {
		deadline_cancel(d);
		list->fn(d, list->arg);
	}
}

static void on_time(void *arg)
{
	struct deadlines *list = arg;

	deadlines_run(list);
	wait_for_first(list);
}

struct deadline *deadlines_first(const struct deadlines *list)
{
	return list->first;
}

struct deadlines *deadlines_new(struct loop *loop, usec_t after, deadline_fn *fn, void *arg)
{
	struct deadlines *list = xcalloc(1, sizeof(*list));

	list->timer = timer_new(loop, on_time, list);
	list->after = after;
	list->fn = fn;
	list->arg = arg;
	return list;
}

struct deadlines *deadlines_free(struct deadlines *list)
{
	if (!list)
		return NULL;
	while (list->first)
		deadline_cancel(list->first);
	timer_free(list->timer);
	free(list);
	return NULL;
}

void deadline_set_at(struct deadlines *list, struct deadline *d, usec_t at)
{
	deadline_cancel(d);
	if (list->first && at < list->first->prev->at)
		at = list->first->prev->at;
	d->at = at;
	d->in = list;
	DL_APPEND(list->first, d);
	wait_for_first(list);
}

void deadline_set(struct deadlines *list, struct deadline *d)
{
	usec_t now = clock_monotonic();

	deadline_set_at(list, d,
			list->after < USEC_INFINITY - now ? now + list->after : USEC_INFINITY);
}

void deadline_cancel(struct deadline *d)
{
	if (!d->in)
		return;
	DL_DELETE(d->in->first, d);
	d->in = NULL;
	d->prev = d->next = NULL;
}
