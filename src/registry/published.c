/* SPDX-License-Identifier: MIT */
/*
 * Attachments of pages, published ones and those that come with an app.  They have no server:
 * nothing is probed, watched or reaped.  A published one's place is held while the page is switched
 * on disk, so that a page that went on the air is never refused by a limit afterwards.
 */
#include <string.h>

#include "base/mem.h"
#include "registry/registry_priv.h"

int registry_publish_check(struct registry *reg, const struct principal *principal,
			   const struct session_ref *ref, const char *name, struct fault *reterr)
{
	struct session *s = NULL;
	struct user *user = NULL;
	int r = registry_refuses_changes(reg, reterr);

	if (r >= 0)
		r = session_writable(reg, principal, ref, &s, reterr);
	if (r < 0)
		return r;
	HASH_FIND_STR(reg->users, s ? s->user->user_id : principal->user_id, user);
	return limits_check(reg, s, user, name, reterr);
}

struct registry_place {
	struct registry *reg;
	struct slot *slot;
	unsigned generation;
};

static struct registry_place *place_new(struct registry *reg, struct session *s, const char *name,
					bool bundled)
{
	struct registry_place *place = xcalloc(1, sizeof(*place));
	struct slot *slot = slot_find(s, name);

	if (!slot)
		slot = slot_make(s, name);
	slot_set_bundled(slot, bundled);
	session_begin(s);
	slot->pending++;
	slot->version++;
	slot->will_exist = true;

	place->reg = reg;
	place->slot = slot;
	place->generation = s->generation;
	return place;
}

int registry_place_take(struct registry *reg, const struct session_ref *ref, const char *name,
			struct registry_place **ret, struct fault *reterr)
{
	struct session *s = session_find(reg, ref->session_id);
	int r = registry_refuses_changes(reg, reterr);

	if (r < 0)
		return r;
	if (!s || !s->durable || s->ended_at || !s->will_live || s->ending)
		return fault_set(reterr, FAULT_SESSION_NOT_FOUND, "session '%s' has ended",
				 ref->session_id);
	r = limits_check(reg, s, s->user, name, reterr);
	if (r < 0)
		return r;

	*ret = place_new(reg, s, name, false);
	return 0;
}

struct registry_place *registry_place_free(struct registry_place *place)
{
	struct session *s;

	if (!place)
		return NULL;
	s = place->slot->session;
	slot_settle(place->slot);
	session_settle(place->reg, s, 0, false);
	free(place);
	return NULL;
}

static struct record_attachment *record_of(const struct slot *slot, const char *type,
					   const char *label,
					   const struct publish_attachment *attachment)
{
	const struct record_attachment record = {
		.session_id = slot->session->session_id,
		.name = slot->name,
		.type = type,
		.scheme = "",
		.host = "",
		.path = "",
		.address = "",
		.label = label,
		.url = attachment->url,
		.focus = attachment->focus,
		.attached_at = (int64_t)clock_realtime(),
		.pinned = slot->will_be_pinned,
		.release_id = attachment->release_id,
	};

	return record_copy(RECORD_KIND_ATTACHMENT, &record);
}

/* The session ended while the page was being switched. */
static struct registry_op *refuse(struct registry_op *op, struct registry_place *place)
{
	int r = fault_set(&op->fault, FAULT_SESSION_NOT_FOUND, "session '%s' has ended",
			  op->session_id);

	registry_place_free(place);
	op_finish_later(op, r);
	return op;
}

static struct registry_op *fill_consume(struct registry_place *place, const char *type,
					const struct publish_attachment *attachment,
					struct store_batch *batch, registry_done_fn *done,
					void *arg)
{
	scoped(store_batch_freep) struct store_batch *owned = batch ? batch : store_batch_new();
	struct registry *reg = place->reg;
	struct slot *slot = place->slot;
	struct session *s = slot->session;
	struct session_ref ref = { s->app_id, s->session_id };
	struct registry_op *op = op_new(reg, NULL, &ref, done, arg);
	scoped(freep) char *label = NULL;
	struct record_attachment *record;

	if (place->generation != s->generation)
		return refuse(op, place);
	label = label_for(s, slot->name);
	record = record_of(slot, type, label, attachment);
	store_put(owned, RECORD_KIND_ATTACHMENT, record);
	op->attachment = attachment_new_take(reg, record);
	op->attachment->slot = slot;
	op->slot = slot;
	slot->will_exist = true;
	free(place); /* what it held is the operation's */
	bus_prepare(reg->deps.bus, s->session_id);
	op_commit(op, STEAL(owned), on_attached);
	return op;
}

struct registry_op *registry_publish_consume(struct registry_place *place,
					     const struct publish_attachment *attachment,
					     struct store_batch *batch, registry_done_fn *done,
					     void *arg)
{
	return fill_consume(place, "published", attachment, batch, done, arg);
}

struct registry_op *registry_bundle(struct registry *reg, const struct session_ref *ref,
				    const char *name, const char *url, registry_done_fn *done,
				    void *arg)
{
	struct session *s = session_find(reg, ref->session_id);
	struct publish_attachment attachment = { .url = url };

	if (registry_refuses_changes(reg, NULL) < 0 || !s || !s->durable || s->ended_at ||
	    !s->will_live || s->ending || strcmp(s->app_id, ref->app_id) != 0 || slot_find(s, name))
		return NULL;
	/* It is what there is to see until the agent has something: it takes nothing's place. */
	attachment.focus = s->n_slots == 0;
	return fill_consume(place_new(reg, s, name, true), "bundled", &attachment, NULL, done, arg);
}

struct registry_op *registry_unpublish(struct registry *reg, const struct session_ref *ref,
				       const char *name, registry_done_fn *done, void *arg)
{
	struct session *s = session_find(reg, ref->session_id);
	struct slot *slot = s ? slot_find(s, name) : NULL;

	if (!slot || !slot->will_exist || !slot->current || !attachment_is_published(slot->current))
		return NULL;
	return slot_detach(reg, slot, "detach", NULL, done, arg);
}

void registry_published_is(struct registry *reg, const char *session_id, const char *name,
			   const char *url, const char *release_id)
{
	struct session *s = session_find(reg, session_id);
	struct slot *slot = s ? slot_find(s, name) : NULL;
	struct attachment *a = slot ? slot->current : NULL;
	struct record_attachment record, *updated;
	struct store_batch *batch;

	if (!a || slot->pending > 0 || !attachment_is_published(a))
		return;
	if (strcmp(a->record->url, url) == 0 && a->record->release_id &&
	    strcmp(a->record->release_id, release_id) == 0)
		return;
	record = *a->record;
	record.url = url;
	record.release_id = release_id;
	updated = record_copy(RECORD_KIND_ATTACHMENT, &record);
	free(a->record);
	a->record = updated;
	batch = store_batch_new();
	store_put(batch, RECORD_KIND_ATTACHMENT, updated);
	store_commit_free(store_commit_consume(reg->deps.store, batch, NULL, NULL));
}

bool registry_session_workdir(struct registry *reg, const char *session_id,
			      const char **ret_workdir, int64_t *ret_uid)
{
	const struct session *s = session_find(reg, session_id);

	if (!s || !s->workdir)
		return false;
	*ret_workdir = s->workdir;
	*ret_uid = s->workdir_uid;
	return true;
}
