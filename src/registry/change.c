/* SPDX-License-Identifier: MIT */
/*
 * Detach, session end, and PUT of a session.
 */
#include <errno.h>
#include <string.h>
#include <unistd.h>
#include <utlist.h>

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
static void drop_current(struct registry *reg, struct slot *slot, const char *reason,
			 const cJSON *left)
{
	struct attachment *a = STEAL(slot->current);

	publish_detached(reg, a, reason, left);
	log_info("session '%s': detached '%s' (%s)", slot->session->session_id, slot->name, reason);
	attachment_free(reg, a);
	metric_add(METRIC_ATTACHMENTS, -1);
	metric_inc(METRIC_DETACHES);
}

bool task_is_named(const struct session *s, const char *task_id, const struct attachment *except)
{
	for (const struct slot *slot = s->slots; slot; slot = slot->next) {
		const struct attachment *a = slot->current;

		if (a && a != except && slot->will_exist && a->record->bash_task_id &&
		    strcmp(a->record->bash_task_id, task_id) == 0)
			return true;
	}
	return false;
}

/* `s` is NULL where the session is gone, too. */
static cJSON *not_removed_document(const struct session *s, const char *name)
{
	scoped(strbuf_done) struct strbuf hint = strbuf_init(STRBUF_UNLIMITED);
	const char *separator = "; attached are: ";
	cJSON *j = cJSON_CreateObject();

	strbuf_printf(&hint, "nothing is attached as '%s'", name);
	for (const struct slot *slot = s ? s->slots : NULL; slot; slot = slot->next) {
		if (!slot->current)
			continue;
		strbuf_printf(&hint, "%s%s", separator, slot->name);
		separator = ", ";
	}
	cJSON_AddBoolToObject(j, "removed", false);
	json_add_string(j, "hint", strbuf_str(&hint));
	return j;
}

/* Whoever detaches wants the server gone; where it isn't, they are told. */
static void add_hint(struct registry *reg, const struct attachment *a, cJSON *document)
{
	scoped(freep) char *hint = NULL;

	if (attachment_is_bundled(a))
		return; /* nobody is to end what the operator installed */
	if (attachment_is_published(a)) {
		json_add_string(document, "hint",
				"the page is still served; take it off the air with "
				"\"previewctl unpublish\"");
		return;
	}
	if (a->record->address[0] == '\0' || !host_is_loopback(a->record->host))
		return; /* nobody has looked whether there is a server */
	listeners_refresh_now(reg);
	if (!listener_of(reg, a))
		return;
	hint = xasprintf("no process was ended: the server on port %u goes on",
			 (unsigned)a->record->port);
	json_add_string(document, "hint", hint);
}

static cJSON *removed_document(struct registry *reg, const struct attachment *a, const cJSON *left)
{
	cJSON *j = cJSON_CreateObject();

	cJSON_AddBoolToObject(j, "removed", true);
	cJSON_AddItemToObject(j, "previous", attachment_view(reg, a));
	if (left)
		cJSON_AddItemToObject(j, "left", cJSON_Duplicate(left, true));
	else
		add_hint(reg, a, j);
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
		op->result.value = removed_document(reg, slot->current, op->left);
		drop_current(reg, slot, op->reason, op->left);
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

static void detach_commit(struct registry_op *op)
{
	struct slot *slot = op->slot;
	struct session *s = slot->session;
	struct store_batch *batch;

	if (slot->version != op->version) {
		/* Replaced while its task was being ended: the new one stays. */
		op->result.value = not_removed_document(s, slot->name);
		slot_settle(slot);
		session_settle(op->reg, s, 0, false);
		op_finish(op, 0);
		return;
	}

	batch = store_batch_new();
	store_delete(
		batch, RECORD_KIND_ATTACHMENT,
		&(struct record_attachment){ .session_id = s->session_id, .name = slot->name });
	bus_prepare(op->reg->deps.bus, s->session_id);
	op_commit(op, batch, on_detached);
}

static void on_task_ended(const cJSON *left, void *arg)
{
	struct registry_op *op = arg;

	op->left = left ? cJSON_Duplicate(left, true) : NULL;
	op->task_ending = tasks_ending_free(op->task_ending);
	detach_commit(op);
}

/* Ends the task, where it is this attachment's alone, and then detaches. */
static void detach_begin(struct registry_op *op, struct slot *slot, const char *reason,
			 bool end_task)
{
	const char *task = slot->current ? slot->current->record->bash_task_id : NULL;
	struct session *s = slot->session;

	op->reason = reason;
	op->slot = slot;
	op->version = slot->version;
	slot->pending++;
	slot->will_exist = false;
	session_begin(s);

	if (!end_task || !task || task_is_named(s, task, slot->current)) {
		detach_commit(op);
		return;
	}
	op->stage = OP_ENDING;
	op->task_ending =
		tasks_end(op->reg->deps.tasks, s->session_id, task, reason, on_task_ended, op);
}

struct registry_op *slot_detach(struct registry *reg, struct slot *slot, const char *reason,
				struct principal *principal, registry_done_fn *done, void *arg)
{
	const struct session *s = slot->session;
	struct session_ref ref = { s->app_id, s->session_id };
	struct registry_op *op = op_new(reg, principal, &ref, done, arg);
	bool has_ended = strcmp(reason, "task_exit") == 0;

	detach_begin(op, slot, reason, !has_ended);
	return op;
}

void registry_task_exited(const char *session_id, const char *task_id, void *registry)
{
	struct registry *reg = registry;
	struct session *s = session_find(reg, session_id);
	struct slot *slot, *tmp;

	if (!s)
		return;
	DL_FOREACH_SAFE(s->slots, slot, tmp)
	{
		const struct attachment *a = slot->current;

		if (a && slot->will_exist && a->record->bash_task_id &&
		    strcmp(a->record->bash_task_id, task_id) == 0)
			slot_detach(reg, slot, "task_exit", NULL, NULL, NULL);
	}
}

/* The detach that this one waited for is over; it may have failed. */
static void detach_again(struct registry_op *op)
{
	struct session *s = session_find(op->reg, op->session_id);
	struct slot *slot = s ? slot_find(s, op->attach.name) : NULL;

	if (slot && slot->will_exist && slot->version == op->version) {
		detach_begin(op, slot, "detach", true);
		return;
	}
	op->result.value = not_removed_document(s, op->attach.name);
	op_finish(op, 0);
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
	if (slot) {
		/* Somebody detaches it already: who is answered finds it gone. */
		op->attach.name = xstrdup(name);
		op->version = slot->version;
		op_wait_for_slot(op, slot, detach_again);
		return op;
	}
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
		if (op->left)
			cJSON_AddItemToObject(op->result.value, "left",
					      cJSON_Duplicate(op->left, true));
		session_end_in_memory(s, clock_realtime());
		holds_drop(s);
	}

	for (size_t i = 0; i < op->n_ending; i++) {
		struct slot *slot = op->ending[i];
		struct attachment *still;

		if (result >= 0 && slot->current) {
			cJSON_AddItemToArray(detached, cJSON_CreateString(slot->name));
			drop_current(reg, slot, "session_end", op->left);
		}
		still = slot->current;
		slot_settle(slot);
		if (still)
			clock_resume(reg, still);
	}
	if (result >= 0) {
		log_info("session '%s': ended", s->session_id);
		bus_session_ended(reg->deps.bus, s->session_id);
		if (reg->on_session_ended)
			reg->on_session_ended(s->session_id, reg->on_session_ended_arg);
	}
	auth_session_revoked(reg->deps.auth, s->session_id);
	session_settle(reg, s, result, false);
	op_finish(op, failure);
}

static void end_commit(struct registry_op *op)
{
	struct store_batch *batch = store_batch_new();
	struct registry *reg = op->reg;
	struct session *s = op->session;

	op->ending = xcalloc(s->n_slots, sizeof(*op->ending));
	for (struct slot *slot = s->slots; slot; slot = slot->next) {
		op->ending[op->n_ending++] = slot;
		slot->pending++;
		slot->will_exist = false;
		store_delete(batch, RECORD_KIND_ATTACHMENT,
			     &(struct record_attachment){ .session_id = s->session_id,
							  .name = slot->name });
	}
	s->ending = false;
	session_begin_end(s, batch);
	session_settle(reg, s, 0, false); /* the ending of its tasks is over */
	auth_revoke_session(reg->deps.auth, s->session_id, batch);
	holds_delete(s, batch);
	bus_prepare(reg->deps.bus, s->session_id);
	op_commit(op, batch, on_ended);
}

static void on_tasks_ended(const cJSON *left, void *arg)
{
	struct registry_op *op = arg;

	op->left = left ? cJSON_Duplicate(left, true) : NULL;
	op->task_ending = tasks_ending_free(op->task_ending);
	end_commit(op);
}

static void finish_as_ended_already(struct registry_op *op, const char *hint)
{
	op->result.value = cJSON_CreateObject();
	cJSON_AddBoolToObject(op->result.value, "ended", false);
	json_add_string(op->result.value, "hint", hint);
	op_finish_later(op, 0);
}

/* Those that only a runtime knows are ended, too; tasks_end_session() then waits for all. */
static void name_tasks_to_end(struct registry *reg, const struct session *s)
{
	for (const struct slot *slot = s->slots; slot; slot = slot->next) {
		const char *task = slot->current ? slot->current->record->bash_task_id : NULL;

		if (task)
			tasks_ending_free(tasks_end(reg->deps.tasks, s->session_id, task,
						    "session_end", NULL, NULL));
	}
}

struct registry_op *session_end(struct registry *reg, struct session *s,
				struct principal *principal, registry_done_fn *done, void *arg)
{
	struct session_ref ref = { s->app_id, s->session_id };
	struct registry_op *op = op_new(reg, principal, &ref, done, arg);

	if (s->ending || !s->will_live) {
		finish_as_ended_already(op, s->ending ? "the session is ending already"
						      : "the session had ended already");
		return op;
	}

	op->session = s;
	session_begin(s);
	ops_cancel_waiting(reg, s->session_id, FAULT_CANCELED,
			   "the session ended while the attach waited for its server");
	name_tasks_to_end(reg, s);
	if (!tasks_any_live(reg->deps.tasks, s->session_id)) {
		end_commit(op);
		return op;
	}
	op->stage = OP_ENDING;
	s->ending = true;
	op->task_ending = tasks_end_session(reg->deps.tasks, s->session_id, on_tasks_ended, op);
	return op;
}

struct registry_op *registry_session_end(struct registry *reg, struct principal *principal,
					 const struct session_ref *ref, registry_done_fn *done,
					 void *arg, struct fault *reterr)
{
	struct session *s = session_find(reg, ref->session_id);

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

	return session_end(reg, s, principal, done, arg);
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
	s->workdir_uid = op->workdir_uid;
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
	session_will_have(s, params->workdir, principal_rights(principal), meta, batch);
	op->workdir = xstrdup_null(s->will_workdir);
	op->workdir_uid = s->will_workdir_uid;
	op->meta = xstrdup_null(s->will_meta);
	op_commit(op, STEAL(batch), on_put);
	return op;
}
