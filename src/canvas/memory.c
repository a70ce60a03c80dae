/* SPDX-License-Identifier: MIT */
/*
 * What there is: sessions, their channels and the entries of these, and how much it is.
 */
#include <string.h>
#include <utlist.h>

#include "base/mem.h"
#include "base/metrics.h"
#include "canvas/canvas_priv.h"

#define ENTRY_OVERHEAD  64
#define KEPT_EVENTS_MAX 100

struct canvas_session *session_find_canvas(const struct canvas *canvas, const char *session_id)
{
	struct canvas_session *s;

	HASH_FIND_STR(canvas->sessions, session_id, s);
	return s;
}

static struct canvas_user *user_enter(struct canvas *canvas, const char *user_id)
{
	struct canvas_user *u;

	HASH_FIND_STR(canvas->users, user_id, u);
	if (!u) {
		u = xcalloc(1, sizeof(*u));
		u->user_id = xstrdup(user_id);
		HASH_ADD_KEYPTR(hh, canvas->users, u->user_id, strlen(u->user_id), u);
	}
	u->n_sessions++;
	return u;
}

static void user_leave(struct canvas *canvas, struct canvas_user *u)
{
	if (--u->n_sessions > 0)
		return;
	HASH_DEL(canvas->users, u);
	free(u->user_id);
	free(u);
}

struct canvas_session *session_ensure_canvas(struct canvas *canvas, const char *session_id,
					     const char *user_id)
{
	struct canvas_session *s = session_find_canvas(canvas, session_id);

	if (s && strcmp(s->user->user_id, user_id) != 0) {
		/* What is left of another's, who had the id before: nothing but its way out. */
		s->user->bytes -= s->bytes;
		user_leave(canvas, s->user);
		s->user = user_enter(canvas, user_id);
		s->user->bytes += s->bytes;
	}
	if (s)
		return s;

	s = xcalloc(1, sizeof(*s));
	s->canvas = canvas;
	s->user = user_enter(canvas, user_id);
	s->session_id = xstrdup(session_id);
	HASH_ADD_KEYPTR(hh, canvas->sessions, s->session_id, strlen(s->session_id), s);
	return s;
}

static void count_bytes(struct canvas_session *s, size_t more, size_t less)
{
	s->bytes += more - less;
	s->user->bytes += more - less;
	s->canvas->bytes += more - less;
	metric_set(METRIC_CANVAS_BYTES, (double)s->canvas->bytes);
}

struct channel *channel_find(const struct canvas_session *s, const char *name)
{
	struct channel *ch;

	HASH_FIND_STR(s->channels, name, ch);
	return ch;
}

size_t channel_count(const struct channel *ch)
{
	return ch ? HASH_COUNT(ch->entries) : 0;
}

static int by_position(const struct entry *a, const struct entry *b)
{
	return a->position < b->position ? -1 : a->position > b->position;
}

void channel_sort(struct channel *ch)
{
	if (ch->unsorted)
		HASH_SORT(ch->entries, by_position);
	ch->unsorted = false;
}

struct entry *entry_find(const struct canvas_session *s, const char *channel, const char *id)
{
	struct channel *ch = channel_find(s, channel);
	struct entry *e = NULL;

	if (ch)
		HASH_FIND_STR(ch->entries, id, e);
	return e;
}

size_t entry_size(const char *id, size_t text_length)
{
	return text_length + strlen(id) + ENTRY_OVERHEAD;
}

static void entry_remove(struct canvas_session *s, struct channel *ch, struct entry *e)
{
	count_bytes(s, 0, entry_size(e->id, e->text->len));
	HASH_DEL(ch->entries, e);
	bytes_unref(e->text);
	free(e->id);
	free(e);
	if (ch->entries)
		return;
	HASH_DEL(s->channels, ch);
	free(ch->name);
	free(ch);
}

static struct entry *entry_make(struct canvas_session *s, const char *channel, const char *id,
				int64_t position)
{
	struct channel *ch = channel_find(s, channel);
	struct entry *e = xcalloc(1, sizeof(*e));

	if (!ch) {
		ch = xcalloc(1, sizeof(*ch));
		ch->name = xstrdup(channel);
		HASH_ADD_KEYPTR(hh, s->channels, ch->name, strlen(ch->name), ch);
	}
	e->id = xstrdup(id);
	e->position = position ? position : ++s->last_position;
	if (e->position > s->last_position)
		s->last_position = e->position;
	else if (position)
		ch->unsorted = true;
	HASH_ADD_KEYPTR(hh, ch->entries, e->id, strlen(e->id), e);
	return e;
}

void entry_put_consume(struct canvas_session *s, const char *channel, const char *id,
		       struct bytes *text, int64_t position)
{
	struct entry *e = entry_find(s, channel, id);

	if (!text) {
		if (e)
			entry_remove(s, channel_find(s, channel), e);
		return;
	}
	if (!e)
		e = entry_make(s, channel, id, position);
	count_bytes(s, entry_size(id, text->len), e->text ? entry_size(id, e->text->len) : 0);
	bytes_unref(e->text);
	e->text = text;
}

static void kept_event_free(struct canvas_session *s, struct kept_event *e)
{
	DL_DELETE(s->events, e);
	s->n_events--;
	s->events_bytes -= e->data->len;
	count_bytes(s, 0, entry_size(e->type, e->data->len));
	bytes_unref(e->data);
	free(e->type);
	free(e);
}

/* Those of a session are together no more than one value may be. */
void kept_event_add(struct canvas_session *s, uint64_t seq, const char *type, const char *data,
		    usec_t ts)
{
	struct kept_event *e = xcalloc(1, sizeof(*e));

	e->seq = seq;
	e->type = xstrdup(type);
	e->data = bytes_new(data, strlen(data));
	e->ts = ts;
	DL_APPEND(s->events, e);
	s->n_events++;
	s->events_bytes += e->data->len;
	count_bytes(s, entry_size(e->type, e->data->len), 0);
	while (s->events && (s->n_events > KEPT_EVENTS_MAX ||
			     s->events_bytes > s->canvas->settings->canvas_payload_max))
		kept_event_free(s, s->events);
}

void kept_events_drop(struct canvas_session *s)
{
	while (s->events)
		kept_event_free(s, s->events);
}

void session_free_canvas(struct canvas_session *s)
{
	struct channel *ch, *next_channel;
	struct entry *e, *next;

	HASH_ITER(hh, s->channels, ch, next_channel)
	HASH_ITER(hh, ch->entries, e, next)
	entry_remove(s, ch, e);
	kept_events_drop(s);
	dirty_done(&s->dirty);
	dirty_done(&s->flying);
	store_commit_free(s->commit);
	HASH_DEL(s->canvas->sessions, s);
	user_leave(s->canvas, s->user);
	free(s->session_id);
	free(s);
}

void session_free_if_blank(struct canvas_session *s)
{
	if (!s->channels && !s->events && !s->dirty && !s->commit)
		session_free_canvas(s);
}
