/* SPDX-License-Identifier: MIT */
/*
 * Writing behind.  What is noted of a change is its key alone, and what is written is what memory
 * says then: many changes of a key are one write, and what was deleted stays so.  A session has one
 * write under way at a time.
 */
#include <string.h>

#include "base/log.h"
#include "base/mem.h"
#include "base/metrics.h"
#include "canvas/canvas_priv.h"

LOG_AREA("canvas");

/* The rest of the half second is for the store. */
#define FLUSH_AFTER (250 * USEC_PER_MSEC)

static void dirty_add(struct dirty **set, const char *channel, const char *id)
{
	const size_t channel_length = strlen(channel), id_length = strlen(id);
	const size_t length = channel_length + id_length + 2;
	char *key = xcalloc(1, length);
	struct dirty *d;

	memcpy(key, channel, channel_length);
	memcpy(key + channel_length + 1, id, id_length);
	HASH_FIND(hh, *set, key, length, d);
	if (d) {
		free(key);
		return;
	}
	d = xcalloc(1, sizeof(*d));
	d->channel_length = channel_length;
	d->key = key;
	d->key_length = length;
	HASH_ADD_KEYPTR(hh, *set, d->key, length, d);
	metric_inc(METRIC_CANVAS_UNSTORED);
}

void dirty_mark(struct canvas_session *s, const char *channel, const char *id)
{
	dirty_add(&s->dirty, channel, id);
	flush_soon(s->canvas);
}

void dirty_done(struct dirty **set)
{
	struct dirty *d, *next;

	HASH_ITER(hh, *set, d, next)
	{
		HASH_DEL(*set, d);
		metric_add(METRIC_CANVAS_UNSTORED, -1);
		free(d->key);
		free(d);
	}
}

void flush_soon(struct canvas *canvas)
{
	if (!timer_is_set(canvas->flush_timer))
		timer_set(canvas->flush_timer, FLUSH_AFTER);
}

static void on_stored(int result, void *arg)
{
	struct canvas_session *s = arg;
	struct dirty *d, *next;

	s->commit = store_commit_free(s->commit);
	if (result < 0) {
		log_warning_errno(result,
				  "session '%s': its canvas could not be stored, trying "
				  "again",
				  s->session_id);
		HASH_ITER(hh, s->flying, d, next)
		dirty_add(&s->dirty, d->key, d->key + d->channel_length + 1);
	}
	dirty_done(&s->flying);
	if (s->dirty)
		flush_soon(s->canvas);
	session_free_if_blank(s);
}

static void batch_add(struct store_batch *batch, const struct canvas_session *s,
		      const struct dirty *d)
{
	struct record_canvas record = {
		.session_id = s->session_id,
		.channel = d->key,
		.id = d->key + d->channel_length + 1,
	};
	const struct entry *e = entry_find(s, record.channel, record.id);

	if (!e) {
		store_delete(batch, RECORD_KIND_CANVAS, &record);
		return;
	}
	record.value = e->text->data;
	record.position = e->position;
	store_put(batch, RECORD_KIND_CANVAS, &record);
}

void flush_now(struct canvas_session *s)
{
	struct store_batch *batch;
	struct dirty *d, *next;

	if (!s->dirty)
		return;

	/* At the session's end and the daemon's one may be under way.  It may fail yet, so this one
	 * has all of it, too; the store keeps their order. */
	s->commit = store_commit_free(s->commit);
	HASH_ITER(hh, s->flying, d, next)
	dirty_add(&s->dirty, d->key, d->key + d->channel_length + 1);
	dirty_done(&s->flying);

	batch = store_batch_new();
	HASH_ITER(hh, s->dirty, d, next)
	batch_add(batch, s, d);
	s->flying = STEAL(s->dirty);
	s->commit = store_commit_consume(s->canvas->deps.store, batch, on_stored, s);
}

void on_flush(void *arg)
{
	struct canvas *canvas = arg;
	struct canvas_session *s, *next;

	HASH_ITER(hh, canvas->sessions, s, next)
	{
		if (!s->commit)
			flush_now(s);
	}
}
