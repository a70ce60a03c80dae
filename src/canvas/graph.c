/* SPDX-License-Identifier: MIT */
/*
 * The graph: resources of the channels "nodes" and "edges", with the fields that a flow's editor
 * expects.
 */
#include <ctype.h>
#include <math.h>
#include <string.h>

#include "base/mem.h"
#include "base/strbuf.h"
#include "canvas/canvas_priv.h"

#define SLUG_MAX 128

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
	member_replace(node, "updated_at", cJSON_CreateNumber((double)clock_realtime() / 1e6));
}

int action_push_node(struct transaction *t, const struct canvas_params *p, cJSON **ret,
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
	*ret = strings_pair("id", id, "type", p->type ? p->type : "default");
	json_add_string(*ret, "label", p->label ? p->label : "");
	cJSON_AddItemToObject(*ret, "position", position);
	cJSON_AddItemToObject(*ret, "data", value_copy(p->data));
	json_add_string(*ret, "status", node_statuses[p->status]);
	set_updated_at(*ret);
	return resource_put(t, "nodes", id, *ret, reterr);
}

static int node_get(const struct transaction *t, const char *id, cJSON **ret, struct fault *reterr)
{
	*ret = resource_get(t, "nodes", id);
	return *ret ? 0 : fault_set(reterr, FAULT_NODE_NOT_FOUND, "node '%s' not found", id);
}

static bool is_status(const cJSON *j)
{
	for (size_t i = 0; cJSON_IsString(j) && node_statuses[i]; i++) {
		if (strcmp(node_statuses[i], j->valuestring) == 0)
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
	member_replace(patch, name, value);
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

		data = value_copy(cJSON_IsObject(had) ? had : NULL);
		member_replace(patch, "data", data);
	}
	members_merge(data, unknown);
	return 0;
}

int action_update_node(struct transaction *t, const struct canvas_params *p, cJSON **ret,
		       struct fault *reterr)
{
	scoped(json_freep) cJSON *patch = cJSON_CreateObject();
	int r = node_get(t, p->id, ret, reterr);

	if (r >= 0)
		r = node_patch(*ret, p->updates, patch, reterr);
	if (r < 0)
		return r;
	set_updated_at(patch);
	members_merge(*ret, patch);
	return resource_put_patched(t, "nodes", p->id, patch, *ret, reterr);
}

/* A highlight is no edit: updated_at stays. */
int action_highlight_node(struct transaction *t, const struct canvas_params *p, cJSON **ret,
			  struct fault *reterr)
{
	scoped(json_freep) cJSON *patch =
		strings_pair("status", node_statuses[p->status], NULL, NULL);
	scoped(json_freep) cJSON *node = NULL;
	int r = node_get(t, p->id, &node, reterr);

	if (r < 0)
		return r;
	members_merge(node, patch);
	*ret = strings_pair("id", p->id, "status", node_statuses[p->status]);
	return resource_put_patched(t, "nodes", p->id, patch, node, reterr);
}

static bool touches(const struct entry *edge, const char *node)
{
	scoped(json_freep) cJSON *j = cJSON_ParseWithLength(edge->text->data, edge->text->len);
	const char *source = json_string(j, "source"), *target = json_string(j, "target");

	return (source && strcmp(source, node) == 0) || (target && strcmp(target, node) == 0);
}

int action_remove_node(struct transaction *t, const struct canvas_params *p, cJSON **ret,
		       struct fault *reterr)
{
	struct channel *edges = channel_find(t->session, "edges");
	struct entry *e, *next;
	cJSON *dropped;

	(void)reterr;
	*ret = strings_pair("id", p->id, NULL, NULL);
	dropped = cJSON_AddArrayToObject(*ret, "edges_dropped");
	resource_drop(t, "nodes", p->id);
	if (!edges)
		return 0;
	HASH_ITER(hh, edges->entries, e, next)
	{
		scoped(freep) char *id = xstrdup(e->id);

		if (!touches(e, p->id))
			continue;
		cJSON_AddItemToArray(dropped, cJSON_CreateString(id));
		resource_drop(t, "edges", id);
	}
	return 0;
}

int action_push_edge(struct transaction *t, const struct canvas_params *p, cJSON **ret,
		     struct fault *reterr)
{
	scoped(freep) char *id = p->id ? xstrdup(p->id) : xasprintf("%s->%s", p->source, p->target);

	if (strlen(id) > ID_TEXT_MAX)
		return fault_field(reterr, "id", "is required where source and target are so long");
	*ret = strings_pair("id", id, "source", p->source);
	json_add_string(*ret, "target", p->target);
	json_add_string(*ret, "label", p->label ? p->label : "");
	cJSON_AddItemToObject(*ret, "data", value_copy(p->data));
	return resource_put(t, "edges", id, *ret, reterr);
}

int action_remove_edge(struct transaction *t, const struct canvas_params *p, cJSON **ret,
		       struct fault *reterr)
{
	(void)reterr;
	resource_drop(t, "edges", p->id);
	*ret = strings_pair("id", p->id, NULL, NULL);
	return 0;
}
