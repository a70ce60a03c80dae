/* SPDX-License-Identifier: MIT */
/*
 * The last of a text that grows.  Something more than what is asked for is held, so that the bytes
 * are moved now and then and not each time.
 */
#include "loop/textlog.h"

#include <stdio.h>
#include <string.h>
#include <utlist.h>

#include "base/mem.h"

#define PIECE_MAX 3072 /* less than the least of what a client may have waiting */

struct textlog_reader {
	struct textlog *log;
	struct timer *turn;
	uint64_t at; /* the next byte */
	bool follow, paused;
	uint64_t until; /* of one that doesn't follow: what was there when it began */
	struct textlog_ops ops;
	void *arg;
	bool *freed; /* of the delivery under way */
	struct textlog_reader *prev, *next;
};

void textlog_init(struct textlog *l, struct loop *loop)
{
	*l = (struct textlog){ .loop = loop };
}

static void drop(struct textlog *l, size_t n)
{
	memmove(l->data, l->data + n, l->len - n);
	l->len -= n;
	l->start += n;
}

uint64_t textlog_total(const struct textlog *l)
{
	return l->start + l->len;
}

static void wake(struct textlog_reader *r)
{
	if (!r->paused && !timer_is_set(r->turn))
		timer_set(r->turn, 0);
}

static void wake_all(struct textlog *l)
{
	for (struct textlog_reader *r = l->readers; r; r = r->next)
		wake(r);
}

void textlog_add(struct textlog *l, size_t max, const char *bytes, size_t len)
{
	const size_t most = max + max / 4;

	if (len > max) {
		l->start += l->len + (len - max);
		l->len = 0;
		bytes += len - max;
		len = max;
	}
	if (l->len + len > most)
		drop(l, l->len + len - max);
	if (l->len + len > l->capacity) {
		size_t capacity = l->capacity ? l->capacity * 2 : 1024;

		while (capacity < l->len + len)
			capacity *= 2;
		l->data = xrealloc(l->data, capacity);
		l->capacity = capacity;
	}
	if (len > 0)
		memcpy(l->data + l->len, bytes, len);
	l->len += len;
	wake_all(l);
}

void textlog_end(struct textlog *l)
{
	l->has_ended = true;
	wake_all(l);
}

static void tell_lost(struct textlog_reader *r, uint64_t n)
{
	char text[64];
	int len = snprintf(text, sizeof(text), "\n[%llu bytes are lost here]\n",
			   (unsigned long long)n);

	r->ops.on_bytes(text, (size_t)len, r->arg);
}

static void end(struct textlog_reader *r)
{
	const struct textlog_ops ops = r->ops;
	void *arg = r->arg;

	textlog_reader_free(r);
	ops.on_end(arg);
}

/* One piece a turn of the loop: other work comes in between. */
static void on_turn(void *arg)
{
	struct textlog_reader *r = arg;
	const struct textlog *l = r->log;
	uint64_t stop = r->follow ? textlog_total(l) : r->until;
	bool freed = false;
	size_t n;

	r->freed = &freed;
	if (r->at < l->start) {
		uint64_t lost = l->start - r->at;

		r->at = l->start;
		tell_lost(r, lost);
		if (freed)
			return;
	}
	if (r->at < stop && !r->paused) {
		n = (size_t)(stop - r->at);
		if (n > PIECE_MAX)
			n = PIECE_MAX;
		r->at += n;
		r->ops.on_bytes(l->data + (r->at - n - l->start), n, r->arg);
		if (freed)
			return;
	}
	r->freed = NULL;
	if (r->paused)
		return;
	if (r->at < stop)
		wake(r);
	else if (!r->follow || l->has_ended)
		end(r);
}

void textlog_pause(struct textlog_reader *r)
{
	r->paused = true;
	timer_cancel(r->turn);
}

void textlog_resume(struct textlog_reader *r)
{
	r->paused = false;
	wake(r);
}

struct textlog_reader *textlog_reader_free(struct textlog_reader *r)
{
	if (!r)
		return NULL;
	if (r->freed)
		*r->freed = true;
	DL_DELETE(r->log->readers, r);
	timer_free(r->turn);
	free(r);
	return NULL;
}

void textlog_done(struct textlog *l)
{
	while (l->readers)
		end(l->readers);
	free(l->data);
	*l = (struct textlog){ 0 };
}

struct textlog_reader *textlog_read(struct textlog *l, bool follow, const struct textlog_ops *ops,
				    void *arg)
{
	struct textlog_reader *r = xcalloc(1, sizeof(*r));

	r->log = l;
	r->follow = follow;
	r->at = l->start;
	r->until = textlog_total(l);
	r->ops = *ops;
	r->arg = arg;
	r->turn = timer_new(l->loop, on_turn, r);
	DL_APPEND(l->readers, r);
	timer_set(r->turn, 0);
	return r;
}
