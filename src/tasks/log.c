/* SPDX-License-Identifier: MIT */
/*
 * The output of a task: the last of it is kept, and whoever follows gets each piece as it comes.
 * The task is never made to wait for a reader; a reader that falls behind the ring misses some.
 */
#include <errno.h>
#include <stdio.h>
#include <string.h>
#include <utlist.h>

#include "base/mem.h"
#include "tasks/tasks_priv.h"

#define PIECE_MAX 3072 /* less than the least of what a client may have waiting */

struct task_log {
	struct task *task;
	struct timer *turn;
	uint64_t at; /* the next byte */
	bool follow, paused;
	uint64_t until; /* of one that doesn't follow: what was there when it began */
	struct task_log_ops ops;
	void *arg;
	bool *freed; /* of the delivery under way */
	struct task_log *prev, *next;
};

void ring_done(struct ring *r)
{
	free(r->data);
	*r = (struct ring){ 0 };
}

static void ring_drop(struct ring *r, size_t n)
{
	memmove(r->data, r->data + n, r->len - n);
	r->len -= n;
	r->start += n;
}

/* Something more than `max` is held, so that the bytes are moved now and then, not each time. */
void ring_add(struct ring *r, size_t max, const char *bytes, size_t len)
{
	const size_t most = max + max / 4;

	if (len > max) {
		r->start += r->len + (len - max);
		r->len = 0;
		bytes += len - max;
		len = max;
	}
	if (r->len + len > most)
		ring_drop(r, r->len + len - max);
	if (r->len + len > r->capacity) {
		size_t capacity = r->capacity ? r->capacity * 2 : 1024;

		while (capacity < r->len + len)
			capacity *= 2;
		r->data = xrealloc(r->data, capacity);
		r->capacity = capacity;
	}
	memcpy(r->data + r->len, bytes, len);
	r->len += len;
}

static uint64_t ring_end(const struct ring *r)
{
	return r->start + r->len;
}

static void wake(struct task_log *l)
{
	if (!l->paused && !timer_is_set(l->turn))
		timer_set(l->turn, 0);
}

void task_log_add(struct task *t, const char *bytes, size_t len)
{
	ring_add(&t->log, t->tasks->settings->tasks_log_size, bytes, len);
	for (struct task_log *l = t->readers; l; l = l->next)
		wake(l);
}

void task_log_wake(struct task *t)
{
	for (struct task_log *l = t->readers; l; l = l->next)
		wake(l);
}

static void tell_lost(struct task_log *l, uint64_t n)
{
	char text[64];
	int len = snprintf(text, sizeof(text), "\n[%llu bytes are lost here]\n",
			   (unsigned long long)n);

	l->ops.on_bytes(text, (size_t)len, l->arg);
}

static void end(struct task_log *l)
{
	const struct task_log_ops ops = l->ops;
	void *arg = l->arg;

	task_log_free(l);
	ops.on_end(arg);
}

static bool has_ended(const struct task_log *l)
{
	return !l->follow || !task_is_live(l->task);
}

/* One piece a turn of the loop: other work comes in between. */
static void on_turn(void *arg)
{
	struct task_log *l = arg;
	const struct ring *ring = &l->task->log;
	uint64_t stop = l->follow ? ring_end(ring) : l->until;
	bool freed = false;
	size_t n;

	l->freed = &freed;
	if (l->at < ring->start) {
		uint64_t lost = ring->start - l->at;

		l->at = ring->start;
		tell_lost(l, lost);
		if (freed)
			return;
	}
	if (l->at < stop && !l->paused) {
		n = (size_t)(stop - l->at);
		if (n > PIECE_MAX)
			n = PIECE_MAX;
		l->at += n;
		l->ops.on_bytes(ring->data + (l->at - n - ring->start), n, l->arg);
		if (freed)
			return;
	}
	l->freed = NULL;
	if (l->paused)
		return;
	if (l->at < stop)
		wake(l);
	else if (has_ended(l))
		end(l);
}

void task_log_pause(struct task_log *l)
{
	l->paused = true;
	timer_cancel(l->turn);
}

void task_log_resume(struct task_log *l)
{
	l->paused = false;
	wake(l);
}

struct task_log *task_log_free(struct task_log *l)
{
	if (!l)
		return NULL;
	if (l->freed)
		*l->freed = true;
	DL_DELETE(l->task->readers, l);
	timer_free(l->turn);
	free(l);
	return NULL;
}

void task_log_end_all(struct task *t)
{
	while (t->readers)
		end(t->readers);
}

int tasks_log(struct tasks *tasks, const char *session_id, const char *task_id, bool follow,
	      const struct task_log_ops *ops, void *arg, struct task_log **ret,
	      struct fault *reterr)
{
	struct task *t = task_find(tasks, session_id, task_id);
	struct task_log *l;

	if (!t)
		return fault_set(reterr, FAULT_TASK_NOT_FOUND, "session '%s' has no task '%s'",
				 session_id, task_id);
	l = xcalloc(1, sizeof(*l));
	l->task = t;
	l->follow = follow;
	l->at = t->log.start;
	l->until = ring_end(&t->log);
	l->ops = *ops;
	l->arg = arg;
	l->turn = timer_new(tasks->deps.loop, on_turn, l);
	DL_APPEND(t->readers, l);
	timer_set(l->turn, 0);
	*ret = l;
	return 0;
}
