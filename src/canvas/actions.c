/* SPDX-License-Identifier: MIT */
/*
 * The 17 actions: what each takes; and those of the state map.  Those of resources are
 * in resources.c, those of nodes and edges in graph.c.
 */
#include <ctype.h>
#include <string.h>

#include "canvas/canvas_priv.h"

#define NODE_TEXT_MAX 4096
#define VALUE_MAX     0 /* by canvas.payload_max alone */

const char *const node_statuses[] = { "idle", "running", "done", "error", NULL };

#define AT(member) offsetof(struct canvas_params, member)
#define CHANNEL                                                                             \
	{                                                                                   \
		"channel", JSON_STRING, AT(channel), .required = true, .min = 1,            \
						     .max = CHANNEL_LENGTH_MAX,             \
						     .help = "Such as files, nodes, edges." \
	}
#define ID                                                                                \
	{                                                                                 \
		"id", JSON_STRING, AT(id), .required = true, .min = 1, .max = ID_TEXT_MAX \
	}
#define OBJECT(name, is_required)                                                         \
	{                                                                                 \
#name, JSON_OBJECT, AT(name), .required = (is_required), .max = VALUE_MAX \
	}
#define LABEL                                                         \
	{                                                             \
		"label", JSON_STRING, AT(label), .max = NODE_TEXT_MAX \
	}

/* clang-format off */
static const struct json_field set_state_fields[] = {
	{ "key", JSON_STRING, AT(key), .required = true, .min = 1, .max = KEY_LENGTH_MAX },
	{ "value", JSON_VALUE, AT(value), .required = true },
	JSON_FIELDS_END,
};
static const struct json_field patch_state_fields[] = { OBJECT(patch, true), JSON_FIELDS_END };
static const struct json_field get_state_fields[] = { JSON_FIELDS_END };
static const struct json_field clear_fields[] = { JSON_FIELDS_END };
static const struct json_field emit_fields[] = {
	{ "event_type", JSON_STRING, AT(event_type), .required = true, .min = 1, .max = 64,
	  .help = "Goes out as preview:<event_type>." },
	OBJECT(data, false),
	JSON_FIELDS_END,
};
static const struct json_field set_resource_fields[] = { CHANNEL, ID, OBJECT(payload, false), JSON_FIELDS_END };
static const struct json_field patch_resource_fields[] = { CHANNEL, ID, OBJECT(patch, true), JSON_FIELDS_END };
static const struct json_field delete_resource_fields[] = { CHANNEL, ID, JSON_FIELDS_END };
static const struct json_field list_resources_fields[] = { CHANNEL, JSON_FIELDS_END };
static const struct json_field bulk_set_resources_fields[] = {
	CHANNEL,
	OBJECT(items, true),
	{ "replace", JSON_BOOL, AT(replace), .help = "Whether those that aren't in items go." },
	JSON_FIELDS_END,
};
static const struct json_field clear_channel_fields[] = { CHANNEL, JSON_FIELDS_END };
static const struct json_field push_node_fields[] = {
	{ "id", JSON_STRING, AT(id), .nullable = true, .min = 1, .max = ID_TEXT_MAX,
	  .help = "By default made of the label." },
	{ "type", JSON_STRING, AT(type), .max = KEY_LENGTH_MAX },
	LABEL,
	OBJECT(position, false),
	OBJECT(data, false),
	{ "status", JSON_ENUM, AT(status), .choices = node_statuses },
	JSON_FIELDS_END,
};
static const struct json_field update_node_fields[] = { ID, OBJECT(updates, true), JSON_FIELDS_END };
static const struct json_field highlight_node_fields[] = {
	ID,
	{ "status", JSON_ENUM, AT(status), .required = true, .choices = node_statuses },
	JSON_FIELDS_END,
};
static const struct json_field remove_node_fields[] = { ID, JSON_FIELDS_END };
static const struct json_field push_edge_fields[] = {
	{ "id", JSON_STRING, AT(id), .nullable = true, .min = 1, .max = ID_TEXT_MAX,
	  .help = "By default {source}->{target}." },
	{ "source", JSON_STRING, AT(source), .required = true, .min = 1, .max = ID_TEXT_MAX },
	{ "target", JSON_STRING, AT(target), .required = true, .min = 1, .max = ID_TEXT_MAX },
	LABEL,
	OBJECT(data, false),
	JSON_FIELDS_END,
};
static const struct json_field remove_edge_fields[] = { ID, JSON_FIELDS_END };
/* clang-format on */

/*
 * State.
 */
int action_set_state(struct transaction *t, const struct canvas_params *p, cJSON **ret,
		     struct fault *reterr)
{
	struct bytes *text = value_text(p->value);
	cJSON *event = strings_pair("key", p->key, NULL, NULL);

	cJSON_AddRawToObject(event, "value", text->data);
	*ret = cJSON_Duplicate(event, true);
	event_add_consume(t, "state_changed", p->key, event);
	return change_set_consume(t, STATE, p->key, text, reterr);
}

int action_patch_state(struct transaction *t, const struct canvas_params *p, cJSON **ret,
		       struct fault *reterr)
{
	scoped(bytes_unrefp) struct bytes *text = value_text(p->patch);
	cJSON *event = cJSON_CreateObject();
	const cJSON *member;
	int r;

	cJSON_AddRawToObject(event, "patch", text->data);
	event_add_consume(t, "state_patched", t->ref->session_id, event);
	r = ids_check(p->patch, "patch", KEY_LENGTH_MAX, reterr);
	if (r >= 0)
		r = event_charge(t, text->len, reterr);
	cJSON_ArrayForEach(member, p->patch)
	{
		if (r < 0)
			return r;
		if (cJSON_IsNull(member))
			change_delete(t, STATE, member->string);
		else
			r = change_set_consume(t, STATE, member->string, value_text(member),
					       reterr);
	}
	if (r < 0)
		return r;
	*ret = cJSON_CreateObject();
	cJSON_AddItemToObject(*ret, "state", channel_object(t->session, STATE));
	return 0;
}

int action_get_state(struct transaction *t, const struct canvas_params *p, cJSON **ret,
		     struct fault *reterr)
{
	const struct bus *bus = t->canvas->deps.bus;
	uint64_t seq = bus ? bus_published_seq(bus, t->ref->session_id) : 0;

	(void)p;
	(void)reterr;
	*ret = strings_pair("session_id", t->ref->session_id, NULL, NULL);
	canvas_add_snapshot(t->canvas, t->ref->session_id, *ret);
	json_add_u64(*ret, "seq", seq);
	json_add_u64(*ret, "preview_seq", seq);
	json_add_string(*ret, "epoch", bus ? bus_epoch(bus) : NULL);
	return 0;
}

int action_clear(struct transaction *t, const struct canvas_params *p, cJSON **ret,
		 struct fault *reterr)
{
	struct channel *ch, *next;

	(void)p;
	(void)reterr;
	HASH_ITER(hh, t->session->channels, ch, next)
	channel_drop(t, ch);
	event_add_consume(t, "cleared", t->ref->session_id, cJSON_CreateObject());
	*ret = cJSON_CreateObject();
	cJSON_AddTrueToObject(*ret, "cleared");
	return 0;
}

/* What viewers believe of us alone. */
static const char *const own_types[] = {
	"state_changed",     "state_patched",    "cleared",
	"resource_set",      "resource_patched", "resource_deleted",
	"resource_bulk_set", "channel_cleared",  "snapshot",
};

static int check_event_type(const char *type, struct fault *reterr)
{
	bool own = strncmp(type, "preview:", 8) == 0 || strncmp(type, "web_preview:", 12) == 0;

	for (const char *c = type; *c; c++) {
		if (!isalnum((unsigned char)*c) && !strchr("._:-", *c))
			return fault_field(reterr, "event_type", "must be of A-Z a-z 0-9 . _ : -");
	}
	for (size_t i = 0; i < ARRAY_SIZE(own_types); i++)
		own |= strcmp(type, own_types[i]) == 0;
	return own ? fault_set(reterr, FAULT_EVENT_RESERVED,
			       "'%s' is an event that only previewd sends; choose another name",
			       type)
		   : 0;
}

int action_emit(struct transaction *t, const struct canvas_params *p, cJSON **ret,
		struct fault *reterr)
{
	/* What the bus adds itself takes the place of what the caller says. */
	static const char *const added[] = { "session_id", "app_id", "preview_seq", "ts" };
	scoped(json_freep) cJSON *data = value_copy(p->data);
	scoped(freep) char *text = NULL;
	struct pending_event *e;
	int r = check_event_type(p->event_type, reterr);

	if (r < 0)
		return r;
	for (size_t i = 0; i < ARRAY_SIZE(added); i++)
		cJSON_DeleteItemFromObjectCaseSensitive(data, added[i]);
	text = json_print(data);
	if (strlen(text) > t->canvas->settings->canvas_payload_max)
		return fault_set(reterr, FAULT_CANVAS_LIMIT,
				 "the data is too large: at most %llu bytes (canvas.payload_max)",
				 (unsigned long long)t->canvas->settings->canvas_payload_max);
	r = event_charge(t, strlen(text), reterr);
	if (r < 0)
		return r;

	*ret = strings_pair("event_type", p->event_type, NULL,
			    NULL); /* its seq comes with the number */
	cJSON_AddRawToObject(*ret, "data", text);
	e = event_add_consume(t, p->event_type, t->ref->session_id, STEAL(data));
	e->emitted = *ret;
	e->ts = clock_realtime();
	cJSON_AddNumberToObject(*ret, "timestamp", (double)e->ts / 1e6);
	return 0;
}

#define READS                       false
#define WRITES                      true
#define ACTION(name, kind, summary) { #name, kind, name##_fields, action_##name, summary },
const struct canvas_action canvas_actions[] = {
#include "canvas/actions.def"
};
#undef ACTION
const size_t n_canvas_actions = ARRAY_SIZE(canvas_actions);
