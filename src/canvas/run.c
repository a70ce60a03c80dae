/* SPDX-License-Identifier: MIT */
/*
 * Actions read, done and taken back: all of a request or nothing.  Each change notes what was there
 * before; events go out, and keys become dirty, when all has succeeded.
 */
#include <string.h>
#include <utlist.h>

#include "base/log.h"
#include "base/mem.h"
#include "base/metrics.h"
#include "base/strbuf.h"
#include "canvas/canvas_priv.h"

LOG_AREA("canvas");

#define CALLS_MAX 1000

struct canvas_call {
	const struct canvas_action *action;
	struct canvas_params params;
};

struct canvas_calls {
	bool is_list;
	size_t n;
	struct canvas_call calls[];
};

/*
 * Reading.
 */
static struct canvas_calls *calls_new(size_t n, bool is_list)
{
	struct canvas_calls *c = xcalloc(1, sizeof(*c) + n * sizeof(c->calls[0]));

	c->is_list = is_list;
	return c;
}

struct canvas_calls *canvas_calls_free(struct canvas_calls *c)
{
	if (!c)
		return NULL;
	for (size_t i = 0; i < c->n; i++)
		json_fields_done(c->calls[i].action->fields, &c->calls[i].params);
	free(c);
	return NULL;
}

static const struct canvas_action *action_find(const char *name)
{
	for (size_t i = 0; i < n_canvas_actions; i++) {
		if (strcmp(canvas_actions[i].name, name) == 0)
			return &canvas_actions[i];
	}
	return NULL;
}

static int calls_add(struct canvas_calls *c, const char *name, const cJSON *params,
		     struct fault *reterr)
{
	struct canvas_call *call = &c->calls[c->n];
	scoped(json_freep) cJSON *none = NULL;

	call->action = action_find(name);
	if (!call->action)
		return fault_set(reterr, FAULT_ACTION_NOT_FOUND,
				 "the canvas has no action '%.64s'; openapi.json lists them", name);
	c->n++;
	if (!params)
		params = none = cJSON_CreateObject();
	return json_read(params, call->action->fields, &call->params, reterr);
}

int canvas_calls_read(const char *action, const cJSON *params, struct canvas_calls **ret,
		      struct fault *reterr)
{
	scoped(canvas_calls_freep) struct canvas_calls *c = calls_new(1, false);
	int r = calls_add(c, action, params, reterr);

	if (r >= 0)
		*ret = STEAL(c);
	return r;
}

/* The action that failed, for who sent a list. */
static int of_list(int r, size_t i, struct fault *reterr)
{
	if (r < 0 && reterr)
		fault_member_consume(reterr, "index", cJSON_CreateNumber((double)i));
	return r;
}

static int read_listed(struct canvas_calls *c, const cJSON *item, struct fault *reterr)
{
	const char *name = json_string(item, "action");
	const cJSON *member;

	cJSON_ArrayForEach(member, item)
	{
		if (strcmp(member->string, "action") != 0 && strcmp(member->string, "params") != 0)
			return fault_field(reterr, member->string, "is not known here");
	}
	if (!name)
		return fault_field(reterr, "action", "must be the name of an action");
	return calls_add(c, name, cJSON_GetObjectItemCaseSensitive(item, "params"), reterr);
}

int canvas_calls_read_list(const cJSON *list, struct canvas_calls **ret, struct fault *reterr)
{
	const size_t n = cJSON_IsArray(list) ? (size_t)cJSON_GetArraySize(list) : 0;
	scoped(canvas_calls_freep) struct canvas_calls *c = calls_new(n, true);
	const cJSON *item;
	size_t i = 0;

	if (n == 0 || n > CALLS_MAX)
		return fault_set(reterr, FAULT_INVALID_FIELD,
				 "the body must be a list of 1 to %d {\"action\", \"params\"}",
				 CALLS_MAX);
	cJSON_ArrayForEach(item, list)
	{
		int r = cJSON_IsObject(item) ? read_listed(c, item, reterr)
					     : fault_set(reterr, FAULT_INVALID_FIELD,
							 "each of the list must be an object");

		if (of_list(r, i++, reterr) < 0)
			return r;
	}
	*ret = STEAL(c);
	return 0;
}

bool canvas_calls_only_read(const struct canvas_calls *c)
{
	for (size_t i = 0; i < c->n; i++) {
		if (c->calls[i].action->writes)
			return false;
	}
	return true;
}

cJSON *canvas_action_schema(void)
{
	cJSON *schema = cJSON_CreateObject(), *any = cJSON_AddArrayToObject(schema, "anyOf");

	for (size_t i = 0; i < n_canvas_actions; i++) {
		cJSON *one = json_fields_schema(canvas_actions[i].fields);

		json_add_string(one, "title", canvas_actions[i].name);
		json_add_string(one, "description", canvas_actions[i].summary);
		cJSON_AddItemToArray(any, one);
	}
	return schema;
}

cJSON *canvas_list_schema(void)
{
	cJSON *schema = cJSON_CreateObject(), *any;

	json_add_string(schema, "type", "array");
	cJSON_AddNumberToObject(schema, "minItems", 1);
	cJSON_AddNumberToObject(schema, "maxItems", CALLS_MAX);
	any = cJSON_AddArrayToObject(cJSON_AddObjectToObject(schema, "items"), "oneOf");
	for (size_t i = 0; i < n_canvas_actions; i++) {
		cJSON *one = cJSON_CreateObject(), *properties;

		json_add_string(one, "type", "object");
		properties = cJSON_AddObjectToObject(one, "properties");
		json_add_string(cJSON_AddObjectToObject(properties, "action"), "const",
				canvas_actions[i].name);
		cJSON_AddItemToObject(properties, "params",
				      json_fields_schema(canvas_actions[i].fields));
		cJSON_AddItemToArray(cJSON_AddArrayToObject(one, "required"),
				     cJSON_CreateString("action"));
		cJSON_AddFalseToObject(one, "additionalProperties");
		cJSON_AddItemToArray(any, one);
	}
	return schema;
}

/*
 * Changing.
 */
static void note(struct transaction *t, const char *channel, const char *id,
		 const struct entry *before)
{
	struct change *c = xcalloc(1, sizeof(*c));

	c->channel = xstrdup(channel);
	c->id = xstrdup(id);
	c->before = before ? bytes_ref(before->text) : NULL;
	c->position = before ? before->position : 0;
	DL_APPEND(t->changes, c);
}

static int limit(struct fault *reterr, const char *what, unsigned long long most,
		 const char *setting)
{
	return fault_set(reterr, FAULT_CANVAS_LIMIT, "%s: at most %llu (%s)", what, most, setting);
}

static int check_new(const struct transaction *t, const char *channel, struct fault *reterr)
{
	const struct settings *set = t->canvas->settings;
	const struct canvas_session *s = t->session;
	const struct channel *ch = channel_find(s, channel);
	size_t n_channels = HASH_COUNT(s->channels) - (channel_find(s, STATE) ? 1 : 0);

	if (strcmp(channel, STATE) == 0)
		return channel_count(ch) < set->canvas_state_keys
			       ? 0
			       : limit(reterr, "the session's state has no room for a key",
				       set->canvas_state_keys, "canvas.state_keys");
	if (!ch && n_channels >= set->canvas_channels)
		return limit(reterr, "the session has no room for a channel", set->canvas_channels,
			     "canvas.channels");
	if (channel_count(ch) >= set->canvas_resources_per_channel)
		return limit(reterr, "the channel has no room for a resource",
			     set->canvas_resources_per_channel, "canvas.resources_per_channel");
	return 0;
}

static int check_size(const struct transaction *t, const char *id, const struct bytes *text,
		      const struct entry *before, struct fault *reterr)
{
	const struct settings *set = t->canvas->settings;
	const size_t now = before ? entry_size(id, before->text->len) : 0;
	const size_t then = entry_size(id, text->len);

	if (then <= now)
		return 0;
	if (text->len > set->canvas_payload_max)
		return limit(reterr, "a value is too large: bytes as JSON", set->canvas_payload_max,
			     "canvas.payload_max");
	if (t->session->bytes + then - now > set->canvas_session_max)
		return limit(reterr, "the session's canvas is full: bytes", set->canvas_session_max,
			     "canvas.session_max");
	if (t->session->user->bytes + then - now > set->canvas_user_max)
		return limit(reterr, "the canvases of the user are full: bytes",
			     set->canvas_user_max, "canvas.user_max");
	if (t->canvas->bytes + then - now > set->canvas_memory_max)
		return limit(reterr, "the canvases of all sessions are full: bytes",
			     set->canvas_memory_max, "canvas.memory_max");
	return 0;
}

int change_set_consume(struct transaction *t, const char *channel, const char *id,
		       struct bytes *text_consume, struct fault *reterr)
{
	scoped(bytes_unrefp) struct bytes *text = text_consume;
	const struct entry *before = entry_find(t->session, channel, id);
	int r = before ? 0 : check_new(t, channel, reterr);

	if (r >= 0)
		r = check_size(t, id, text, before, reterr);
	if (r < 0)
		return r;
	note(t, channel, id, before);
	entry_put_consume(t->session, channel, id, STEAL(text), 0);
	return 0;
}

bool change_delete(struct transaction *t, const char *channel, const char *id)
{
	const struct entry *before = entry_find(t->session, channel, id);

	if (!before)
		return false;
	note(t, channel, id, before);
	entry_put_consume(t->session, channel, id, NULL, 0);
	return true;
}

struct pending_event *event_add_consume(struct transaction *t, const char *type,
					const char *entity_id, cJSON *payload)
{
	struct pending_event *e = xcalloc(1, sizeof(*e));

	e->type = type;
	e->entity_id = xstrdup(entity_id);
	e->payload = payload;
	DL_APPEND(t->events, e);
	return e;
}

/*
 * What the events of one request carry must fit what may wait for a viewer (events.buffer), or all
 * of them were cut off, joined again, and were cut off by the replay.
 */
int event_charge(struct transaction *t, size_t n_bytes, struct fault *reterr)
{
	const size_t most = 2 * (size_t)t->canvas->settings->canvas_payload_max;

	t->event_bytes += n_bytes;
	if (t->event_bytes > most)
		return fault_set(reterr, FAULT_CANVAS_LIMIT,
				 "too much for one request: its events carry more than %zu bytes "
				 "(twice canvas.payload_max); send it in pieces",
				 most);
	return 0;
}

/*
 * Ending.
 */
static void forget_changes(struct transaction *t)
{
	struct change *c, *next;

	DL_FOREACH_SAFE(t->changes, c, next)
	{
		DL_DELETE(t->changes, c);
		bytes_unref(c->before);
		free(c->channel);
		free(c->id);
		free(c);
	}
}

static void take_back(struct transaction *t)
{
	struct pending_event *e, *next;

	while (t->changes) {
		struct change *last = t->changes->prev;

		entry_put_consume(t->session, last->channel, last->id, STEAL(last->before),
				  last->position);
		DL_DELETE(t->changes, last);
		free(last->channel);
		free(last->id);
		free(last);
	}
	DL_FOREACH_SAFE(t->events, e, next)
	{
		json_free(e->payload);
		free(e->entity_id);
		free(e);
	}
}

/* It is said, as preview_event_dropped; the change itself stands. */
static uint64_t drop_event(const struct event_draft *draft, cJSON *payload_consume)
{
	json_free(payload_consume);
	log_warning("preview_event_dropped: session '%s', %s: there is no transport",
		    draft->session_id, draft->type);
	metric_inc(METRIC_EVENTS_DROPPED);
	return 0;
}

static void publish(struct transaction *t, struct pending_event *e)
{
	scoped(freep) char *type = xasprintf("preview:%s", e->type);
	scoped(freep) char *kept = e->emitted ? json_print(e->payload) : NULL;
	const struct event_draft draft = {
		.session_id = t->ref->session_id,
		.app_id = t->ref->app_id,
		.user_id = t->ref->user_id,
		.type = type,
		.entity_type = "preview",
		.entity_id = e->entity_id,
	};
	struct bus *bus = t->canvas->deps.bus;
	uint64_t seq = bus ? bus_publish_consume(bus, &draft, STEAL(e->payload))
			   : drop_event(&draft, STEAL(e->payload));

	if (e->emitted) {
		json_add_u64(e->emitted, "seq", seq);
		kept_event_add(t->session, seq, e->type, kept, e->ts);
	} else if (strcmp(e->type, "cleared") == 0) {
		kept_events_drop(t->session);
	}
	free(e->entity_id);
	free(e);
}

static void commit(struct transaction *t)
{
	struct pending_event *e, *next;
	struct change *c;

	DL_FOREACH(t->changes, c)
	dirty_mark(t->session, c->channel, c->id);
	forget_changes(t);
	DL_FOREACH_SAFE(t->events, e, next)
	publish(t, e);
}

/* Results of reading actions are much for little: those of a list are bounded together. */
static int charge_result(struct transaction *t, const cJSON *result, size_t *sum,
			 struct fault *reterr)
{
	scoped(freep) char *text = json_print(result);
	const size_t most = 2 * (size_t)t->canvas->settings->canvas_session_max;

	*sum += strlen(text);
	return *sum <= most ? 0
			    : fault_set(reterr, FAULT_CANVAS_LIMIT,
					"the results of the list are more than %zu bytes (twice "
					"canvas.session_max); send it in pieces",
					most);
}

static int run_list(struct transaction *t, const struct canvas_calls *calls, cJSON *results,
		    struct fault *reterr)
{
	size_t sum = 0;

	for (size_t i = 0; i < calls->n; i++) {
		const struct canvas_call *call = &calls->calls[i];
		scoped(json_freep) cJSON *result = NULL;
		int r = call->action->handler(t, &call->params, &result, reterr);

		if (r >= 0)
			r = charge_result(t, result, &sum, reterr);
		if (r >= 0)
			cJSON_AddItemToArray(results, STEAL(result));
		if (of_list(r, i, reterr) < 0)
			return r;
	}
	return 0;
}

static int run_calls(struct transaction *t, const struct canvas_calls *calls, cJSON **ret,
		     struct fault *reterr)
{
	const struct canvas_call *only = &calls->calls[0];

	if (!calls->is_list)
		return only->action->handler(t, &only->params, ret, reterr);
	*ret = cJSON_CreateObject();
	return run_list(t, calls, cJSON_AddArrayToObject(*ret, "results"), reterr);
}

/* While it fails, what is not stored would grow without an end, and be lost with the daemon. */
static int check_store(struct canvas *canvas, struct fault *reterr)
{
	if (store_health(canvas->deps.store) >= 0)
		return 0;
	store_probe(canvas->deps.store);
	return fault_set(reterr, FAULT_STORE_UNAVAILABLE,
			 "the canvas cannot be stored: %s; try again in a moment",
			 strerror(-store_health(canvas->deps.store)));
}

int canvas_run(struct canvas *canvas, const struct canvas_session_ref *ref,
	       const struct canvas_calls *calls, cJSON **ret, struct fault *reterr)
{
	struct transaction t = { .canvas = canvas, .ref = ref };
	scoped(json_freep) cJSON *result = NULL;
	int r = canvas_calls_only_read(calls) ? 0 : check_store(canvas, reterr);

	if (r < 0)
		return r;
	t.session = session_ensure_canvas(canvas, ref->session_id, ref->user_id);
	r = run_calls(&t, calls, &result, reterr);
	if (r < 0) {
		take_back(&t);
	} else {
		commit(&t);
		*ret = STEAL(result);
	}
	session_free_if_blank(t.session);
	return r;
}
