/* SPDX-License-Identifier: MIT */
/*
 * Detach, session end, and PUT of a session.
 */
#include <errno.h>
#include <string.h>

#include "base/ids.h"
#include "base/log.h"
#include "base/mem.h"
#include "base/metrics.h"
#include "base/strbuf.h"
#include "registry/registry_priv.h"

LOG_AREA("registry");

/*
 * Detach.
 */

/* Takes the attachment out of force and tells of it. */
static void drop_current(struct registry *reg, struct slot *slot, const char *reason)
{
	struct attachment *a = STEAL(slot->current);

	publish_detached(reg, a, reason);
	log_info("session '%s': detached '%s' (%s)", slot->session->session_id, slot->name, reason);
	attachment_free(reg, a);
	metric_add(METRIC_ATTACHMENTS, -1);
	metric_inc(METRIC_DETACHES);
}

static cJSON *removed_document(cJSON *previous)
{
	cJSON *j = cJSON_CreateObject();

	cJSON_AddBoolToObject(j, "removed", true);
	cJSON_AddItemToObject(j, "previous", previous);
	return j;
}

static cJSON *not_removed_document(const struct session *s, const char *name)
{
	scoped(strbuf_done) struct strbuf hint = strbuf_init(STRBUF_UNLIMITED);
	const char *separator = "; attached are: ";
	cJSON *j = cJSON_CreateObject();

	strbuf_printf(&hint, "nothing is attached as '%s'", name);
	for (const struct slot *slot = s->slots; slot; slot = slot->next) {
		if (!slot->current)
			continue;
		strbuf_printf(&hint, "%s%s", separator, slot->name);
		separator = ", ";
	}
	cJSON_AddBoolToObject(j, "removed", false);
	json_add_string(j, "hint", strbuf_str(&hint));
	return j;
}

static void on_detached(struct registry_op *op, int result)
{
	struct registry *reg = op->reg;
	struct slot *slot = op->slot;
	struct session *s = slot->session;
	int failure = result < 0 ? op_store_failed(op, result) : 0;
	struct attachment *still;

	if (result >= 0 && slot->current) {
		op->result.value = removed_document(attachment_view(reg, slot->current));
		drop_current(reg, slot, op->reason);
	} else if (result >= 0) {
		/* What was attached never came to be: its own write failed before this. */
		op->result.value = not_removed_document(s, slot->name);
	}
	still = result < 0 ? slot->current : NULL;
	slot_settle(slot);
	if (still)
		clock_resume(reg, still);
	session_settle(reg, s, result, false);
	op_finish(op, failure);
}

struct registry_op *slot_detach(struct registry *reg, struct slot *slot, const char *reason,
				struct principal *principal, registry_done_fn *done, void *arg)
{
	struct session *s = slot->session;
	struct session_ref ref = { s->app_id, s->session_id };
	struct registry_op *op = op_new(reg, principal, &ref, done, arg);
	struct store_batch *batch = store_batch_new();

	op->reason = reason;
	op->slot = slot;
	slot->pending++;
	slot->will_exist = false;
	session_begin(s);

	store_delete(
		batch, RECORD_KIND_ATTACHMENT,
		&(struct record_attachment){ .session_id = s->session_id, .name = slot->name });
	bus_prepare(reg->deps.bus, s->session_id);
	op_commit(op, batch, on_detached);
	return op;
}

struct registry_op *registry_detach(struct registry *reg, struct principal *principal,
				    const struct session_ref *ref, const char *name,
				    registry_done_fn *done, void *arg, struct fault *reterr)
{
	struct registry_op *op;
	struct session *s;
	struct slot *slot;

	if (registry_refuses_changes(reg, reterr) < 0)
		return NULL;
	s = session_visible(reg, principal, ref, reterr);
	if (!s)
		return NULL;

	slot = slot_find(s, name);
	if (slot && slot->will_exist)
		return slot_detach(reg, slot, "detach", principal, done, arg);
	op = op_new(reg, principal, ref, done, arg);
	op->result.value = not_removed_document(s, name);
	op_finish_later(op, 0);
	return op;
}

/*
 * Session end.
 */
static void on_ended(struct registry_op *op, int result)
{
	struct registry *reg = op->reg;
	struct session *s = op->session;
	int failure = result < 0 ? op_store_failed(op, result) : 0;
	cJSON *detached = NULL;

	if (result >= 0) {
		op->result.value = cJSON_CreateObject();
		cJSON_AddBoolToObject(op->result.value, "ended", true);
		json_add_string(op->result.value, "session_id", s->session_id);
		detached = cJSON_AddArrayToObject(op->result.value, "detached");
		session_end_in_memory(s, clock_realtime());
	}

	for (size_t i = 0; i < op->n_ending; i++) {
		struct slot *slot = op->ending[i];
		struct attachment *still;

		if (result >= 0 && slot->current) {
			cJSON_AddItemToArray(detached, cJSON_CreateString(slot->name));
			drop_current(reg, slot, "session_end");
		}
		still = slot->current;
		slot_settle(slot);
		if (still)
			clock_resume(reg, still);
	}
	if (result >= 0) {
		log_info("session '%s': ended", s->session_id);
		bus_session_ended(reg->deps.bus, s->session_id);
	}
	session_settle(reg, s, result, false);
	op_finish(op, failure);
}

struct registry_op *registry_session_end(struct registry *reg, struct principal *principal,
					 const struct session_ref *ref, registry_done_fn *done,
					 void *arg, struct fault *reterr)
{
	struct session *s = session_find(reg, ref->session_id);
	struct store_batch *batch;
	struct registry_op *op;

	if (registry_refuses_changes(reg, reterr) < 0)
		return NULL;

	/* An ended session is known to its owner only. */
	if (!s || !s->durable || s->ended_at == 0) {
		s = session_visible(reg, principal, ref, reterr);
		if (!s)
			return NULL;
	} else if (session_writable(reg, principal, ref, &s, reterr) < 0) {
		return NULL;
	}

	op = op_new(reg, principal, ref, done, arg);
	if (!s->will_live) {
		op->result.value = cJSON_CreateObject();
		cJSON_AddBoolToObject(op->result.value, "ended", false);
		json_add_string(op->result.value, "hint", "the session had ended already");
		op_finish_later(op, 0);
		return op;
	}

	batch = store_batch_new();
	op->session = s;
	op->ending = xcalloc(s->n_slots, sizeof(*op->ending));
	for (struct slot *slot = s->slots; slot; slot = slot->next) {
		op->ending[op->n_ending++] = slot;
		slot->pending++;
		slot->will_exist = false;
		store_delete(batch, RECORD_KIND_ATTACHMENT,
			     &(struct record_attachment){ .session_id = s->session_id,
							  .name = slot->name });
	}
	session_begin_end(s, batch);
	auth_revoke_session(reg->deps.auth, s->session_id, batch);

	ops_cancel_waiting(reg, s->session_id, FAULT_CANCELED,
			   "the session ended while the attach waited for its server");
	bus_prepare(reg->deps.bus, s->session_id);
	op_commit(op, batch, on_ended);
	return op;
}

/*
 * PUT of a session.
 */
#define WORKDIR_LENGTH_MAX 4096
#define META_LENGTH_MAX    16384

const struct json_field session_fields[] = {
	/* clang-format off */
	{ "user_id", JSON_ID, offsetof(struct session_params, user_id), .nullable = true,
	  .help = "Whose session it is: for admins; others are the user themselves." },
	{ "workdir", JSON_STRING, offsetof(struct session_params, workdir), .nullable = true, .min = 1, .max = WORKDIR_LENGTH_MAX,
	  .help = "The session's project directory, absolute." },
	{ "meta", JSON_OBJECT, offsetof(struct session_params, meta), .nullable = true, .max = META_LENGTH_MAX,
	  .help = "Whatever the maker wants to find again." },
	JSON_FIELDS_END,
	/* clang-format on */
};

void session_params_done(struct session_params *p)
{
	json_fields_done(session_fields, p);
}

static void on_put(struct registry_op *op, int result)
{
	struct registry *reg = op->reg;
	struct session *s = op->session;

	if (result < 0) {
		session_settle(reg, s, result, true);
		op_finish(op, op_store_failed(op, result));
		return;
	}

	op->result.created = !s->durable || s->ended_at != 0;
	session_settle(reg, s, result, true);
	free(s->workdir);
	free(s->meta);
	s->workdir = STEAL(op->workdir);
	s->meta = STEAL(op->meta);
	op->result.value = session_view(reg, s);
	op_finish(op, 0);
}

static int put_check(const struct principal *principal, const struct session *s,
		     const struct session_params *p, struct fault *reterr)
{
	if (p->workdir && (p->workdir[0] != '/' || !utf8_is_valid(p->workdir, strlen(p->workdir))))
		return fault_field(reterr, "workdir", "must be an absolute path");
	if (!p->user_id)
		return 0;
	if (s && strcmp(s->user->user_id, p->user_id) != 0)
		return fault_set(reterr, FAULT_SESSION_CONFLICT,
				 "session '%s' is another user's for good", s->session_id);
	if (!principal->admin && strcmp(principal->user_id, p->user_id) != 0)
		return fault_set(reterr, FAULT_FORBIDDEN,
				 "only an admin may make a session for another user");
	return 0;
}

struct registry_op *registry_session_put(struct registry *reg, struct principal *principal,
					 const struct session_ref *ref,
					 const struct session_params *params,
					 registry_done_fn *done, void *arg, struct fault *reterr)
{
	scoped(store_batch_freep) struct store_batch *batch = store_batch_new();
	scoped(freep) char *meta = params->meta ? json_print(params->meta) : NULL;
	struct session *s, *forgetting = NULL;
	struct registry_op *op;

	if (registry_refuses_changes(reg, reterr) < 0 ||
	    session_writable(reg, principal, ref, &s, reterr) < 0 ||
	    put_check(principal, s, params, reterr) < 0)
		return NULL;
	if (!s && session_make(reg, ref, params->user_id ? params->user_id : principal->user_id,
			       batch, &s, &forgetting, reterr) < 0)
		return NULL;

	op = op_new(reg, principal, ref, done, arg);
	op->session = s;
	op->forgetting = forgetting;

	session_begin_change(s, batch);
	session_will_have(s, params->workdir, meta, batch);
	op->workdir = xstrdup_null(s->will_workdir);
	op->meta = xstrdup_null(s->will_meta);
	op_commit(op, STEAL(batch), on_put);
	return op;
}
