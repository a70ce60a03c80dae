/* SPDX-License-Identifier: MIT */
/*
 * The canvas's own life: start, end, a session's end; and what a joiner is shown of it.
 */
#include "canvas/canvas.h"

#include <string.h>
#include <utlist.h>

#include "base/mem.h"
#include "canvas/canvas_priv.h"

/* At start: which sessions live. */
struct living {
	char *session_id;
	char *user_id;
	UT_hash_handle hh;
};

struct loading {
	struct canvas *canvas;
	struct living *living;
};

static int on_session(const void *r, void *arg)
{
	const struct record_session *record = r;
	struct loading *l = arg;
	struct living *one;

	if (record->ended_at)
		return 0;
	one = xcalloc(1, sizeof(*one));
	one->session_id = xstrdup(record->session_id);
	one->user_id = xstrdup(record->user_id);
	HASH_ADD_KEYPTR(hh, l->living, one->session_id, strlen(one->session_id), one);
	return 0;
}

static int on_entry(const void *r, void *arg)
{
	const struct record_canvas *record = r;
	struct loading *l = arg;
	struct canvas_session *s;
	struct living *one;

	HASH_FIND_STR(l->living, record->session_id, one);
	s = session_ensure_canvas(l->canvas, record->session_id, one ? one->user_id : "");
	if (one)
		entry_put_consume(s, record->channel, record->id,
				  bytes_new(record->value, strlen(record->value)),
				  record->position);
	else
		dirty_mark(s, record->channel, record->id); /* it is to go */
	return 0;
}

static int load(struct canvas *canvas, struct fault *reterr)
{
	struct loading l = { .canvas = canvas };
	struct living *one, *next;
	int r = store_load(canvas->deps.store, RECORD_KIND_SESSION, on_session, &l, reterr);

	if (r >= 0)
		r = store_load(canvas->deps.store, RECORD_KIND_CANVAS, on_entry, &l, reterr);
	HASH_ITER(hh, l.living, one, next)
	{
		HASH_DEL(l.living, one);
		free(one->session_id);
		free(one->user_id);
		free(one);
	}
	return r;
}

int canvas_new(const struct canvas_deps *deps, const struct settings *settings, struct canvas **ret,
	       struct fault *reterr)
{
	scoped(canvas_freep) struct canvas *canvas = xcalloc(1, sizeof(*canvas));
	int r;

	canvas->deps = *deps;
	canvas->settings = settings;
	canvas->flush_timer = timer_new(deps->loop, on_flush, canvas);
	r = load(canvas, reterr);
	if (r < 0)
		return r;
	*ret = STEAL(canvas);
	return 0;
}

struct canvas *canvas_free(struct canvas *canvas)
{
	struct canvas_session *s, *next;

	if (!canvas)
		return NULL;

	HASH_ITER(hh, canvas->sessions, s, next)
	{
		flush_now(s);
		session_free_canvas(s);
	}
	timer_free(canvas->flush_timer);
	free(canvas);
	return NULL;
}

void canvas_reload(struct canvas *canvas, const struct settings *settings)
{
	canvas->settings = settings;
}

void canvas_session_ended(const char *session_id, void *arg)
{
	struct canvas *canvas = arg;
	struct canvas_session *s = session_find_canvas(canvas, session_id);
	struct channel *ch, *next_channel;
	struct entry *e, *next;

	if (!s)
		return;
	kept_events_drop(s);
	HASH_ITER(hh, s->channels, ch, next_channel)
	HASH_ITER(hh, ch->entries, e, next)
	{
		dirty_mark(s, ch->name, e->id);
		entry_put_consume(s, ch->name, e->id, NULL, 0);
	}
	/* At once: who comes back to the session must not find what was in it, come what may. */
	flush_now(s);
	session_free_if_blank(s);
}

/*
 * The snapshot.
 */
cJSON *channel_object(struct canvas_session *s, const char *channel)
{
	struct channel *ch = s ? channel_find(s, channel) : NULL;
	cJSON *j = cJSON_CreateObject();
	struct entry *e, *next;

	if (!ch)
		return j;
	channel_sort(ch);
	HASH_ITER(hh, ch->entries, e, next)
	cJSON_AddRawToObject(j, e->id, e->text->data);
	return j;
}

static cJSON *channel_array(struct canvas_session *s, const char *channel)
{
	struct channel *ch = s ? channel_find(s, channel) : NULL;
	cJSON *j = cJSON_CreateArray();
	struct entry *e, *next;

	if (!ch)
		return j;
	channel_sort(ch);
	HASH_ITER(hh, ch->entries, e, next)
	cJSON_AddItemToArray(j, cJSON_CreateRaw(e->text->data));
	return j;
}

static void add_resources(struct canvas_session *s, cJSON *resources)
{
	struct channel *ch, *next;

	HASH_ITER(hh, s->channels, ch, next)
	{
		if (strcmp(ch->name, STATE) != 0)
			cJSON_AddItemToObject(resources, ch->name, channel_object(s, ch->name));
	}
}

static void add_events(const struct canvas_session *s, cJSON *events)
{
	const struct kept_event *e;

	DL_FOREACH(s->events, e)
	{
		cJSON *j = cJSON_CreateObject();

		json_add_u64(j, "seq", e->seq);
		json_add_string(j, "event_type", e->type);
		cJSON_AddRawToObject(j, "data", e->data->data);
		cJSON_AddNumberToObject(j, "timestamp", (double)e->ts / 1e6);
		cJSON_AddItemToArray(events, j);
	}
}

void canvas_add_snapshot(struct canvas *canvas, const char *session_id, cJSON *object)
{
	struct canvas_session *s = session_find_canvas(canvas, session_id);
	cJSON *resources, *events;

	cJSON_AddItemToObject(object, "state", channel_object(s, STATE));
	resources = cJSON_AddObjectToObject(object, "resources");
	cJSON_AddItemToObject(object, "nodes", channel_array(s, "nodes"));
	cJSON_AddItemToObject(object, "edges", channel_array(s, "edges"));
	events = cJSON_AddArrayToObject(object, "events");
	if (!s)
		return;
	add_resources(s, resources);
	add_events(s, events);
}
