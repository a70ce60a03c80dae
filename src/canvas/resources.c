/* SPDX-License-Identifier: MIT */
/*
 * Named resources, by channel and id, and what all actions share.
 *
 * Patches are shallow; null in one is as in RFC 7396: the member goes.
 */
#include <string.h>

#include "base/mem.h"
#include "canvas/canvas_priv.h"

struct bytes *value_text(const cJSON *value)
{
	scoped(freep) char *text = json_print(value);

	return bytes_new(text, strlen(text));
}

cJSON *value_copy(const cJSON *value)
{
	return value ? cJSON_Duplicate(value, true) : cJSON_CreateObject();
}

/* Of two string members; NULL leaves the second out. */
cJSON *strings_pair(const char *name, const char *value, const char *name2, const char *value2)
{
	cJSON *j = cJSON_CreateObject();

	json_add_string(j, name, value);
	if (name2)
		json_add_string(j, name2, value2);
	return j;
}

cJSON *resource_name(const char *channel, const char *id)
{
	return strings_pair("channel", channel, id ? "id" : NULL, id);
}

void member_replace(cJSON *object, const char *name, cJSON *value)
{
	if (cJSON_GetObjectItemCaseSensitive(object, name))
		cJSON_ReplaceItemInObjectCaseSensitive(object, name, value);
	else
		cJSON_AddItemToObject(object, name, value);
}

/* Shallow; null removes. */
void members_merge(cJSON *object, const cJSON *patch)
{
	const cJSON *member;

	cJSON_ArrayForEach(member, patch)
	{
		if (cJSON_IsNull(member))
			cJSON_DeleteItemFromObjectCaseSensitive(object, member->string);
		else
			member_replace(object, member->string, cJSON_Duplicate(member, true));
	}
}

int ids_check(const cJSON *members, const char *field, size_t most, struct fault *reterr)
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
int resource_put(struct transaction *t, const char *channel, const char *id, const cJSON *payload,
		 struct fault *reterr)
{
	struct bytes *text = value_text(payload);
	cJSON *event = resource_name(channel, id);
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
int resource_put_patched(struct transaction *t, const char *channel, const char *id,
			 const cJSON *patch, const cJSON *payload, struct fault *reterr)
{
	struct bytes *text = value_text(payload);
	scoped(bytes_unrefp) struct bytes *patch_text = value_text(patch);
	cJSON *event = resource_name(channel, id);
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

bool resource_drop(struct transaction *t, const char *channel, const char *id)
{
	if (!change_delete(t, channel, id))
		return false;
	event_add_consume(t, "resource_deleted", id, resource_name(channel, id));
	return true;
}

cJSON *resource_get(const struct transaction *t, const char *channel, const char *id)
{
	const struct entry *e = entry_find(t->session, channel, id);
	cJSON *j = e ? cJSON_ParseWithLength(e->text->data, e->text->len) : NULL;

	if (e && !cJSON_IsObject(j)) { /* another's hand in the database */
		json_free(j);
		j = cJSON_CreateObject();
	}
	return j;
}

void channel_drop(struct transaction *t, struct channel *ch)
{
	scoped(freep) char *name = xstrdup(ch->name); /* the last one takes the channel along */
	struct entry *e, *next;

	HASH_ITER(hh, ch->entries, e, next)
	change_delete(t, name, e->id);
}

/*
 * The actions.
 */
int action_set_resource(struct transaction *t, const struct canvas_params *p, cJSON **ret,
			struct fault *reterr)
{
	scoped(json_freep) cJSON *payload = value_copy(p->payload);

	*ret = resource_name(p->channel, p->id);
	return resource_put(t, p->channel, p->id, payload, reterr);
}

int action_patch_resource(struct transaction *t, const struct canvas_params *p, cJSON **ret,
			  struct fault *reterr)
{
	scoped(json_freep) cJSON *payload = resource_get(t, p->channel, p->id);

	if (!payload)
		payload = cJSON_CreateObject();
	members_merge(payload, p->patch);
	*ret = resource_name(p->channel, p->id);
	return resource_put_patched(t, p->channel, p->id, p->patch, payload, reterr);
}

int action_delete_resource(struct transaction *t, const struct canvas_params *p, cJSON **ret,
			   struct fault *reterr)
{
	(void)reterr;
	*ret = cJSON_CreateObject();
	cJSON_AddBoolToObject(*ret, "existed", resource_drop(t, p->channel, p->id));
	return 0;
}

int action_list_resources(struct transaction *t, const struct canvas_params *p, cJSON **ret,
			  struct fault *reterr)
{
	(void)reterr;
	*ret = resource_name(p->channel, NULL);
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
	return ids_check(items, "items", ID_TEXT_MAX, reterr);
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

int action_bulk_set_resources(struct transaction *t, const struct canvas_params *p, cJSON **ret,
			      struct fault *reterr)
{
	scoped(bytes_unrefp) struct bytes *text = value_text(p->items);
	cJSON *event = resource_name(p->channel, NULL);
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
		r = change_set_consume(t, p->channel, item->string, value_text(item), reterr);
		if (r < 0)
			return r;
	}
	*ret = resource_name(p->channel, NULL);
	cJSON_AddNumberToObject(*ret, "count", cJSON_GetArraySize(p->items));
	return 0;
}

int action_clear_channel(struct transaction *t, const struct canvas_params *p, cJSON **ret,
			 struct fault *reterr)
{
	struct channel *ch = channel_find(t->session, p->channel);

	(void)reterr;
	*ret = resource_name(p->channel, NULL);
	if (!ch)
		return 0;
	channel_drop(t, ch);
	event_add_consume(t, "channel_cleared", p->channel, resource_name(p->channel, NULL));
	return 0;
}
