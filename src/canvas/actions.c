/* SPDX-License-Identifier: MIT */
/*
 * The 17 actions of seed 002: what each takes, does, tells and answers.
 *
 * Patches are shallow, as the seed says; what it leaves open, null, is as in RFC 7396: the member
 * goes.
 */
#include <ctype.h>
#include <math.h>
#include <string.h>

#include "base/mem.h"
#include "base/strbuf.h"
#include "canvas/canvas_priv.h"

#define SLUG_MAX      128
#define NODE_TEXT_MAX 4096
#define VALUE_MAX     0 /* by canvas.payload_max alone */

static const char *const statuses[] = { "idle", "running", "done", "error", NULL };

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
	{ "status", JSON_ENUM, AT(status), .choices = statuses },
	JSON_FIELDS_END,
};
static const struct json_field update_node_fields[] = { ID, OBJECT(updates, true), JSON_FIELDS_END };
static const struct json_field highlight_node_fields[] = {
	ID,
	{ "status", JSON_ENUM, AT(status), .required = true, .choices = statuses },
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
 * What they share.
 */
static struct bytes *text_of(const cJSON *value)
{
	scoped(freep) char *text = json_print(value);

	return bytes_new(text, strlen(text));
}

static cJSON *copy(const cJSON *value)
{
	return value ? cJSON_Duplicate(value, true) : cJSON_CreateObject();
}

/* Of two string members; NULL leaves the second out. */
static cJSON *pair(const char *name, const char *value, const char *name2, const char *value2)
{
	cJSON *j = cJSON_CreateObject();

	json_add_string(j, name, value);
	if (name2)
		json_add_string(j, name2, value2);
	return j;
}

static cJSON *where(const char *channel, const char *id)
{
	return pair("channel", channel, id ? "id" : NULL, id);
}

static void replace_member(cJSON *object, const char *name, cJSON *value)
{
	if (cJSON_GetObjectItemCaseSensitive(object, name))
		cJSON_ReplaceItemInObjectCaseSensitive(object, name, value);
	else
		cJSON_AddItemToObject(object, name, value);
}

/* Shallow; null removes. */
static void merge(cJSON *object, const cJSON *patch)
{
	const cJSON *member;

	cJSON_ArrayForEach(member, patch)
	{
		if (cJSON_IsNull(member))
			cJSON_DeleteItemFromObjectCaseSensitive(object, member->string);
		else
			replace_member(object, member->string, cJSON_Duplicate(member, true));
	}
}

static int check_ids(const cJSON *members, const char *field, size_t most, struct fault *reterr)
{
	const cJSON *member;

	cJSON_ArrayForEach(member, members)
	{
		size_t len = strlen(member->string);

		if (len < 1 || len > most)
			return fault_field(reterr, field, "has a key that is not 1 to %zu bytes",
					   most);
	}
	return 0;
}

/* Sets a resource and tells so. */
static int put_resource(struct transaction *t, const char *channel, const char *id,
			const cJSON *payload, struct fault *reterr)
{
	struct bytes *text = text_of(payload);
	cJSON *event = where(channel, id);
	int r;

	cJSON_AddRawToObject(event, "payload", text->data);
	event_add_consume(t, "resource_set", id, event);
	r = event_charge(t, text->len, reterr);
	if (r < 0) {
		bytes_unref(text);
		return r;
	}
	return change_set_consume(t, channel, id, text, reterr);
}

/* Sets what a patch made, and tells both. */
static int put_patched(struct transaction *t, const char *channel, const char *id,
		       const cJSON *patch, const cJSON *payload, struct fault *reterr)
{
	struct bytes *text = text_of(payload);
	scoped(bytes_unrefp) struct bytes *patch_text = text_of(patch);
	cJSON *event = where(channel, id);
	int r;

	cJSON_AddRawToObject(event, "patch", patch_text->data);
	cJSON_AddRawToObject(event, "payload", text->data);
	event_add_consume(t, "resource_patched", id, event);
	r = event_charge(t, patch_text->len + text->len, reterr);
	if (r < 0) {
		bytes_unref(text);
		return r;
	}
	return change_set_consume(t, channel, id, text, reterr);
}

static bool drop_resource(struct transaction *t, const char *channel, const char *id)
{
	if (!change_delete(t, channel, id))
		return false;
	event_add_consume(t, "resource_deleted", id, where(channel, id));
	return true;
}

static cJSON *resource_get(const struct transaction *t, const char *channel, const char *id)
{
	const struct entry *e = entry_find(t->session, channel, id);
	cJSON *j = e ? cJSON_ParseWithLength(e->text->data, e->text->len) : NULL;

	if (e && !cJSON_IsObject(j)) { /* another's hand in the database */
		json_free(j);
		j = cJSON_CreateObject();
	}
	return j;
}

static void drop_channel(struct transaction *t, struct channel *ch)
{
	scoped(freep) char *name = xstrdup(ch->name); /* the last one takes the channel along */
	struct entry *e, *next;

	HASH_ITER(hh, ch->entries, e, next)
	change_delete(t, name, e->id);
}

/*
 * State.
 */
static int action_set_state(struct transaction *t, const struct canvas_params *p, cJSON **ret,
			    struct fault *reterr)
{
	struct bytes *text = text_of(p->value);
	cJSON *event = pair("key", p->key, NULL, NULL);

	cJSON_AddRawToObject(event, "value", text->data);
	*ret = cJSON_Duplicate(event, true);
	event_add_consume(t, "state_changed", p->key, event);
	return change_set_consume(t, STATE, p->key, text, reterr);
}

static int action_patch_state(struct transaction *t, const struct canvas_params *p, cJSON **ret,
			      struct fault *reterr)
{
	scoped(bytes_unrefp) struct bytes *text = text_of(p->patch);
	cJSON *event = cJSON_CreateObject();
	const cJSON *member;
	int r;

	cJSON_AddRawToObject(event, "patch", text->data);
	event_add_consume(t, "state_patched", t->ref->session_id, event);
	r = check_ids(p->patch, "patch", KEY_LENGTH_MAX, reterr);
	if (r >= 0)
		r = event_charge(t, text->len, reterr);
	cJSON_ArrayForEach(member, p->patch)
	{
		if (r < 0)
			return r;
		if (cJSON_IsNull(member))
			change_delete(t, STATE, member->string);
		else
			r = change_set_consume(t, STATE, member->string, text_of(member), reterr);
	}
	if (r < 0)
		return r;
	*ret = cJSON_CreateObject();
	cJSON_AddItemToObject(*ret, "state", channel_object(t->session, STATE));
	return 0;
}

static int action_get_state(struct transaction *t, const struct canvas_params *p, cJSON **ret,
			    struct fault *reterr)
{
	const struct bus *bus = t->canvas->deps.bus;
	uint64_t seq = bus ? bus_published_seq(bus, t->ref->session_id) : 0;

	(void)p;
	(void)reterr;
	*ret = pair("session_id", t->ref->session_id, NULL, NULL);
	canvas_add_snapshot(t->canvas, t->ref->session_id, *ret);
	json_add_u64(*ret, "seq", seq);
	json_add_u64(*ret, "preview_seq", seq);
	json_add_string(*ret, "epoch", bus ? bus_epoch(bus) : NULL);
	return 0;
}

static int action_clear(struct transaction *t, const struct canvas_params *p, cJSON **ret,
			struct fault *reterr)
{
	struct channel *ch, *next;

	(void)p;
	(void)reterr;
	HASH_ITER(hh, t->session->channels, ch, next)
	drop_channel(t, ch);
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

static int action_emit(struct transaction *t, const struct canvas_params *p, cJSON **ret,
		       struct fault *reterr)
{
	/* What the bus adds itself takes the place of what the caller says. */
	static const char *const added[] = { "session_id", "app_id", "preview_seq", "ts" };
	scoped(json_freep) cJSON *data = copy(p->data);
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

	*ret = pair("event_type", p->event_type, NULL, NULL); /* its seq comes with the number */
	cJSON_AddRawToObject(*ret, "data", text);
	e = event_add_consume(t, p->event_type, t->ref->session_id, STEAL(data));
	e->emitted = *ret;
	e->ts = clock_realtime();
	cJSON_AddNumberToObject(*ret, "timestamp", (double)e->ts / 1e6);
	return 0;
}

/*
 * Resources.
 */
static int action_set_resource(struct transaction *t, const struct canvas_params *p, cJSON **ret,
			       struct fault *reterr)
{
	scoped(json_freep) cJSON *payload = copy(p->payload);

	*ret = where(p->channel, p->id);
	return put_resource(t, p->channel, p->id, payload, reterr);
}

static int action_patch_resource(struct transaction *t, const struct canvas_params *p, cJSON **ret,
				 struct fault *reterr)
{
	scoped(json_freep) cJSON *payload = resource_get(t, p->channel, p->id);

	if (!payload)
		payload = cJSON_CreateObject();
	merge(payload, p->patch);
	*ret = where(p->channel, p->id);
	return put_patched(t, p->channel, p->id, p->patch, payload, reterr);
}

static int action_delete_resource(struct transaction *t, const struct canvas_params *p, cJSON **ret,
				  struct fault *reterr)
{
	(void)reterr;
	*ret = cJSON_CreateObject();
	cJSON_AddBoolToObject(*ret, "existed", drop_resource(t, p->channel, p->id));
	return 0;
}

static int action_list_resources(struct transaction *t, const struct canvas_params *p, cJSON **ret,
				 struct fault *reterr)
{
	(void)reterr;
	*ret = where(p->channel, NULL);
	cJSON_AddItemToObject(*ret, "items", channel_object(t->session, p->channel));
	json_add_u64(*ret, "count", channel_count(channel_find(t->session, p->channel)));
	return 0;
}

static int check_items(const cJSON *items, struct fault *reterr)
{
	const cJSON *item;

	cJSON_ArrayForEach(item, items)
	{
		if (!cJSON_IsObject(item))
			return fault_field(reterr, "items", "must be objects by their ids");
	}
	return check_ids(items, "items", ID_TEXT_MAX, reterr);
}

static void drop_others(struct transaction *t, const char *channel, const cJSON *items)
{
	struct channel *ch = channel_find(t->session, channel);
	struct canvas_item {
		const char *id;
		UT_hash_handle hh;
	} *keep = NULL, *k, *next_kept;
	struct entry *e, *next;
	const cJSON *item;

	if (!ch)
		return;
	cJSON_ArrayForEach(item, items)
	{
		k = xcalloc(1, sizeof(*k));
		k->id = item->string;
		HASH_ADD_KEYPTR(hh, keep, k->id, strlen(k->id), k);
	}
	HASH_ITER(hh, ch->entries, e, next)
	{
		HASH_FIND_STR(keep, e->id, k);
		if (!k)
			change_delete(t, channel, e->id);
	}
	HASH_ITER(hh, keep, k, next_kept)
	{
		HASH_DEL(keep, k);
		free(k);
	}
}

static int action_bulk_set_resources(struct transaction *t, const struct canvas_params *p,
				     cJSON **ret, struct fault *reterr)
{
	scoped(bytes_unrefp) struct bytes *text = text_of(p->items);
	cJSON *event = where(p->channel, NULL);
	const cJSON *item;
	int r;

	cJSON_AddRawToObject(event, "items", text->data);
	cJSON_AddBoolToObject(event, "replace", p->replace);
	event_add_consume(t, "resource_bulk_set", p->channel, event);
	r = check_items(p->items, reterr);
	if (r >= 0)
		r = event_charge(t, text->len, reterr);
	if (r < 0)
		return r;

	if (p->replace)
		drop_others(t, p->channel, p->items);
	cJSON_ArrayForEach(item, p->items)
	{
		r = change_set_consume(t, p->channel, item->string, text_of(item), reterr);
		if (r < 0)
			return r;
	}
	*ret = where(p->channel, NULL);
	cJSON_AddNumberToObject(*ret, "count", cJSON_GetArraySize(p->items));
	return 0;
}

static int action_clear_channel(struct transaction *t, const struct canvas_params *p, cJSON **ret,
				struct fault *reterr)
{
	struct channel *ch = channel_find(t->session, p->channel);

	(void)reterr;
	*ret = where(p->channel, NULL);
	if (!ch)
		return 0;
	drop_channel(t, ch);
	event_add_consume(t, "channel_cleared", p->channel, where(p->channel, NULL));
	return 0;
}

/*
 * The graph.
 */

/* Lowercase, and runs of anything but letters and digits one "-". */
static char *slug_of(const char *label)
{
	struct strbuf b = strbuf_init(SLUG_MAX + 1);
	bool gap = false;

	for (; *label && b.len < SLUG_MAX - 1; label++) {
		if (!isascii(*label) || !isalnum((unsigned char)*label)) {
			gap = b.len > 0;
			continue;
		}
		if (gap)
			strbuf_putc(&b, '-');
		gap = false;
		strbuf_putc(&b, (char)tolower((unsigned char)*label));
	}
	return strbuf_steal(&b);
}

/* One that isn't taken: after removals the count alone may be. */
static char *node_id_by_count(const struct transaction *t)
{
	size_t n = channel_count(channel_find(t->session, "nodes"));

	for (;;) {
		char *id = xasprintf("node-%zu", ++n);

		if (!entry_find(t->session, "nodes", id))
			return id;
		free(id);
	}
}

static bool is_coordinate(const cJSON *j)
{
	return !j || (cJSON_IsNumber(j) && isfinite(j->valuedouble));
}

/* {x, y}, each 0 by default; NULL where it is something else. */
static cJSON *position_of(const cJSON *given)
{
	const cJSON *x = cJSON_GetObjectItemCaseSensitive(given, "x");
	const cJSON *y = cJSON_GetObjectItemCaseSensitive(given, "y");
	cJSON *position;

	if (given && (!cJSON_IsObject(given) || !is_coordinate(x) || !is_coordinate(y) ||
		      cJSON_GetArraySize(given) != (x != NULL) + (y != NULL)))
		return NULL;
	position = cJSON_CreateObject();
	cJSON_AddNumberToObject(position, "x", x ? x->valuedouble : 0);
	cJSON_AddNumberToObject(position, "y", y ? y->valuedouble : 0);
	return position;
}

static int bad_position(const char *field, struct fault *reterr)
{
	return fault_field(reterr, field, "must be {\"x\": number, \"y\": number}");
}

static void set_updated_at(cJSON *node)
{
	replace_member(node, "updated_at", cJSON_CreateNumber((double)clock_realtime() / 1e6));
}

static int action_push_node(struct transaction *t, const struct canvas_params *p, cJSON **ret,
			    struct fault *reterr)
{
	scoped(freep) char *id = p->id ? xstrdup(p->id) : slug_of(p->label ? p->label : "");
	cJSON *position = position_of(p->position);

	if (!position)
		return bad_position("position", reterr);
	if (!*id) {
		free(id);
		id = node_id_by_count(t);
	}
	*ret = pair("id", id, "type", p->type ? p->type : "default");
	json_add_string(*ret, "label", p->label ? p->label : "");
	cJSON_AddItemToObject(*ret, "position", position);
	cJSON_AddItemToObject(*ret, "data", copy(p->data));
	json_add_string(*ret, "status", statuses[p->status]);
	set_updated_at(*ret);
	return put_resource(t, "nodes", id, *ret, reterr);
}

static int node_get(const struct transaction *t, const char *id, cJSON **ret, struct fault *reterr)
{
	*ret = resource_get(t, "nodes", id);
	return *ret ? 0 : fault_set(reterr, FAULT_NODE_NOT_FOUND, "node '%s' not found", id);
}

static bool is_status(const cJSON *j)
{
	for (size_t i = 0; cJSON_IsString(j) && statuses[i]; i++) {
		if (strcmp(statuses[i], j->valuestring) == 0)
			return true;
	}
	return false;
}

/* A member that nodes have by themselves: 1 when it went into the patch, 0 for others. */
static int take_own_member(const cJSON *update, cJSON *patch, struct fault *reterr)
{
	const char *name = update->string;
	cJSON *value;

	if (strcmp(name, "type") == 0 || strcmp(name, "label") == 0) {
		if (!cJSON_IsString(update))
			return fault_field(reterr, name, "must be a string");
	} else if (strcmp(name, "status") == 0) {
		if (!is_status(update))
			return fault_field(reterr, name,
					   "must be one of idle, running, done, error");
	} else if (strcmp(name, "data") == 0) {
		if (!cJSON_IsObject(update))
			return fault_field(reterr, name, "must be an object");
	} else if (strcmp(name, "position") != 0) {
		return 0;
	}
	value = strcmp(name, "position") == 0 ? position_of(update) : cJSON_Duplicate(update, true);
	if (!value)
		return bad_position(name, reterr);
	replace_member(patch, name, value);
	return 1;
}

/* What the updates come to for that node: data is replaced, and gets the unknown ones. */
static int node_patch(const cJSON *node, const cJSON *updates, cJSON *patch, struct fault *reterr)
{
	scoped(json_freep) cJSON *unknown = cJSON_CreateObject();
	const cJSON *member;
	cJSON *data;

	cJSON_ArrayForEach(member, updates)
	{
		int r = take_own_member(member, patch, reterr);

		if (r < 0)
			return r;
		if (r == 0)
			cJSON_AddItemToObject(unknown, member->string,
					      cJSON_Duplicate(member, true));
	}
	if (!unknown->child)
		return 0;
	data = cJSON_GetObjectItemCaseSensitive(patch, "data");
	if (!data) {
		const cJSON *had = cJSON_GetObjectItemCaseSensitive(node, "data");

		data = copy(cJSON_IsObject(had) ? had : NULL);
		replace_member(patch, "data", data);
	}
	merge(data, unknown);
	return 0;
}

static int action_update_node(struct transaction *t, const struct canvas_params *p, cJSON **ret,
			      struct fault *reterr)
{
	scoped(json_freep) cJSON *patch = cJSON_CreateObject();
	int r = node_get(t, p->id, ret, reterr);

	if (r >= 0)
		r = node_patch(*ret, p->updates, patch, reterr);
	if (r < 0)
		return r;
	set_updated_at(patch);
	merge(*ret, patch);
	return put_patched(t, "nodes", p->id, patch, *ret, reterr);
}

/* A highlight is no edit: updated_at stays. */
static int action_highlight_node(struct transaction *t, const struct canvas_params *p, cJSON **ret,
				 struct fault *reterr)
{
	scoped(json_freep) cJSON *patch = pair("status", statuses[p->status], NULL, NULL);
	scoped(json_freep) cJSON *node = NULL;
	int r = node_get(t, p->id, &node, reterr);

	if (r < 0)
		return r;
	merge(node, patch);
	*ret = pair("id", p->id, "status", statuses[p->status]);
	return put_patched(t, "nodes", p->id, patch, node, reterr);
}

static bool touches(const struct entry *edge, const char *node)
{
	scoped(json_freep) cJSON *j = cJSON_ParseWithLength(edge->text->data, edge->text->len);
	const char *source = json_string(j, "source"), *target = json_string(j, "target");

	return (source && strcmp(source, node) == 0) || (target && strcmp(target, node) == 0);
}

static int action_remove_node(struct transaction *t, const struct canvas_params *p, cJSON **ret,
			      struct fault *reterr)
{
	struct channel *edges = channel_find(t->session, "edges");
	struct entry *e, *next;
	cJSON *dropped;

	(void)reterr;
	*ret = pair("id", p->id, NULL, NULL);
	dropped = cJSON_AddArrayToObject(*ret, "edges_dropped");
	drop_resource(t, "nodes", p->id);
	if (!edges)
		return 0;
	HASH_ITER(hh, edges->entries, e, next)
	{
		scoped(freep) char *id = xstrdup(e->id);

		if (!touches(e, p->id))
			continue;
		cJSON_AddItemToArray(dropped, cJSON_CreateString(id));
		drop_resource(t, "edges", id);
	}
	return 0;
}

static int action_push_edge(struct transaction *t, const struct canvas_params *p, cJSON **ret,
			    struct fault *reterr)
{
	scoped(freep) char *id = p->id ? xstrdup(p->id) : xasprintf("%s->%s", p->source, p->target);

	if (strlen(id) > ID_TEXT_MAX)
		return fault_field(reterr, "id", "is required where source and target are so long");
	*ret = pair("id", id, "source", p->source);
	json_add_string(*ret, "target", p->target);
	json_add_string(*ret, "label", p->label ? p->label : "");
	cJSON_AddItemToObject(*ret, "data", copy(p->data));
	return put_resource(t, "edges", id, *ret, reterr);
}

static int action_remove_edge(struct transaction *t, const struct canvas_params *p, cJSON **ret,
			      struct fault *reterr)
{
	(void)reterr;
	drop_resource(t, "edges", p->id);
	*ret = pair("id", p->id, NULL, NULL);
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
