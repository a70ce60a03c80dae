/* SPDX-License-Identifier: MIT */
/*
 * Processes that hold a session: an agent, or the bridge it speaks through.  When the last of them
 * is gone the session ends, after a grace for those that come back.
 *
 * A process is gone however it went: its pidfd says so, and nothing has to be told.  Holds are in
 * the store, by pid and start time, so that the next daemon knows for whom to look, and ends the
 * sessions of those that went while there was none.  The record of the last one stays until the
 * session has ended: without it the session would be one that nobody ever held.
 */
#include <errno.h>
#include <stdio.h>
#include <string.h>
#include <unistd.h>
#include <utlist.h>

#include "base/log.h"
#include "base/mem.h"
#include "base/metrics.h"
#include "base/parse.h"
#include "proc/watch.h"
#include "registry/registry_priv.h"

LOG_AREA("registry");

#define PID_MAX            4194304
#define WORKDIR_LENGTH_MAX 4096
#define PID_TEXT_SIZE      12
#define RETRY_AFTER        USEC_PER_SEC /* of an end that may have failed */

const struct json_field hold_fields[] = {
	/* clang-format off */
	{ "pid", JSON_UINT, offsetof(struct hold_params, pid), .nullable = true, .min = 1, .max = PID_MAX,
	  .help = "The process: the caller itself, which it is without this, or one above it." },
	{ "workdir", JSON_STRING, offsetof(struct hold_params, workdir), .nullable = true, .min = 1, .max = WORKDIR_LENGTH_MAX,
	  .help = "The session's project directory, absolute." },
	JSON_FIELDS_END,
	/* clang-format on */
};

void hold_params_done(struct hold_params *p)
{
	json_fields_done(hold_fields, p);
}

struct hold {
	struct registry *reg;
	struct session *session;
	struct pidref process;
	char command[16];
	usec_t held_since;        /* realtime */
	unsigned generation;      /* of the session, when it was made */
	bool durable;             /* the store has it */
	struct proc_watch *watch; /* of one that is durable and lives */
	struct hold *prev, *next;
};

/* Gone, and kept in memory because it was the last. */
static bool has_lapsed(const struct hold *h)
{
	return h->durable && !h->watch;
}

static size_t count_holding(const struct session *s)
{
	size_t n = 0;

	for (const struct hold *h = s->holds; h; h = h->next)
		n += !has_lapsed(h);
	return n;
}

static struct hold *hold_new(struct registry *reg, struct session *s, struct pidref *process_take)
{
	struct hold *h = xcalloc(1, sizeof(*h));

	h->reg = reg;
	h->session = s;
	h->process = *process_take;
	*process_take = PIDREF_NONE;
	h->generation = s->generation;
	DL_APPEND(s->holds, h);
	s->user->n_holds++;
	metric_inc(METRIC_HOLDS);
	return h;
}

/* It counts no longer. */
static void hold_release(struct hold *h)
{
	if (has_lapsed(h))
		return;
	h->watch = proc_watch_free(h->watch);
	h->session->user->n_holds--;
	metric_add(METRIC_HOLDS, -1);
}

static void hold_free(struct hold *h)
{
	hold_release(h);
	DL_DELETE(h->session->holds, h);
	pidref_done(&h->process);
	free(h);
}

static const char *pid_text(const struct hold *h, char text[PID_TEXT_SIZE])
{
	snprintf(text, PID_TEXT_SIZE, "%d", (int)h->process.pid);
	return text;
}

static void delete_record(const struct hold *h, struct store_batch *batch)
{
	char pid[PID_TEXT_SIZE];

	store_delete(batch, RECORD_KIND_HOLD,
		     &(struct record_hold){ .session_id = h->session->session_id,
					    .pid = pid_text(h, pid) });
}

static void put_record(const struct hold *h, struct store_batch *batch)
{
	char pid[PID_TEXT_SIZE];

	store_put(batch, RECORD_KIND_HOLD,
		  &(struct record_hold){
			  .session_id = h->session->session_id,
			  .pid = pid_text(h, pid),
			  .start_time = (int64_t)h->process.start_time,
			  .held_since = (int64_t)h->held_since,
		  });
}

/*
 * The grace.
 */
static void on_grace(void *arg);

static void grace_begin(struct registry *reg, struct session *s, usec_t grace)
{
	if (!s->grace)
		s->grace = timer_new(reg->deps.loop, on_grace, s);
	timer_set(s->grace, grace);
	s->grace_ends = clock_realtime() + grace;
}

static void grace_end(struct session *s)
{
	if (s->grace)
		timer_cancel(s->grace);
	s->grace_ends = 0;
}

static void on_grace(void *arg)
{
	struct session *s = arg;
	struct registry *reg;

	s->grace_ends = 0;
	if (!s->holds || count_holding(s) > 0)
		return;

	/* Should its end fail, or the daemon be at its own, it is tried again, by the next one if
	 * need be. */
	reg = s->holds->reg;
	grace_begin(reg, s, RETRY_AFTER);
	if (reg->draining || s->ending || !s->will_live)
		return;
	log_info("session '%s': nobody has come back to hold it, ending it", s->session_id);
	metric_inc(METRIC_SESSIONS_LAPSED);
	session_end(reg, s, NULL, NULL, NULL);
}

static void on_gone(void *arg)
{
	struct hold *h = arg;
	struct session *s = h->session;
	struct registry *reg = h->reg;
	char text[PARSE_TEXT_SIZE];

	hold_release(h);
	if (count_holding(s) > 0) {
		struct store_batch *batch = store_batch_new();

		log_info("session '%s': %s (process %d) is gone, others hold it", s->session_id,
			 h->command, (int)h->process.pid);
		delete_record(h, batch);
		store_commit_free(
			store_commit_consume(reg->deps.store, batch, NULL, NULL)); /* or later */
		hold_free(h);
		return;
	}
	log_info("session '%s': %s (process %d) is gone, which held it; it ends in %s",
		 s->session_id, h->command, (int)h->process.pid,
		 format_duration(reg->settings->sessions_grace, text));
	grace_begin(reg, s, reg->settings->sessions_grace);
}

/*
 * Holding.
 */
#define refuse(reterr, ...) fault_set((reterr), FAULT_HOLD_NOT_ALLOWED, __VA_ARGS__)

/* Nothing is ever done to the process but to watch it: it need only be the peer's own. */
static int check_process(const struct task_peer *peer, pid_t pid, struct pidref *ret, char *command,
			 struct fault *reterr)
{
	scoped(pidref_done) struct pidref ref = PIDREF_NONE;
	struct process p;
	int r;

	if (!peer->is_unix || peer->pid <= 0)
		return refuse(reterr, "a session can be held only over the unix socket, by a "
				      "process on this machine");
	if (pid == 1 || pid == getpid())
		return refuse(reterr, "process %d is %s: it holds nothing", (int)pid,
			      pid == 1 ? "the machine's first" : "previewd itself");
	if (pid != peer->pid && !process_is_above(pid, peer->pid))
		return refuse(reterr, "process %d is neither the one that asks (%d) nor above it",
			      (int)pid, (int)peer->pid);

	r = pidref_of(pid, &ref);
	if (r >= 0)
		r = process_read(pid, &p);
	if (r < 0)
		return fault_field(reterr, "pid", "there is no process %d", (int)pid);
	if (p.uid != peer->uid)
		return refuse(reterr, "process %d is another user's", (int)pid);

	strcpy(command, p.command);
	*ret = ref;
	ref = PIDREF_NONE;
	return 0;
}

static int check_room(const struct registry *reg, const struct session *s, const char *user_id,
		      struct fault *reterr)
{
	const struct user *u;

	if (s && count_holding(s) >= reg->settings->limits_holds_per_session)
		return fault_set(reterr, FAULT_HOLD_LIMIT,
				 "%zu processes hold session '%s', as many as "
				 "limits.holds_per_session allows",
				 count_holding(s), s->session_id);
	HASH_FIND_STR(reg->users, s ? s->user->user_id : user_id, u);
	if (u && u->n_holds >= reg->settings->limits_holds_per_user)
		return fault_set(reterr, FAULT_HOLD_LIMIT,
				 "%zu processes hold sessions of user '%s', as many as "
				 "limits.holds_per_user allows",
				 u->n_holds, u->user_id);
	return 0;
}

static cJSON *hold_view(const struct hold *h)
{
	cJSON *j = cJSON_CreateObject();

	json_add_u64(j, "pid", (uint64_t)h->process.pid);
	json_add_string(j, "command", h->command);
	json_add_time(j, "held_since", h->held_since);
	return j;
}

static cJSON *held_document(const struct hold *h)
{
	cJSON *j = hold_view(h);

	json_add_string(j, "session_id", h->session->session_id);
	json_add_string(j, "app_id", h->session->app_id);
	json_add_u64(j, "grace_seconds", h->reg->settings->sessions_grace / USEC_PER_SEC);
	return j;
}

static bool same_process(const struct hold *h, const struct pidref *p)
{
	return h->process.pid == p->pid && h->process.start_time == p->start_time;
}

/* The one that has the session already, in this life of it. */
static struct hold *find_holding(const struct session *s, const struct pidref *p)
{
	for (struct hold *h = s ? s->holds : NULL; h; h = h->next)
		if (!has_lapsed(h) && h->generation == s->generation && same_process(h, p))
			return h;
	return NULL;
}

/* Those that are in its way: gone ones, and what it was itself before the session ended. */
static bool gives_way(const struct hold *old, const struct hold *h)
{
	return old != h && old->durable && (has_lapsed(old) || same_process(old, &h->process));
}

static void on_held(struct registry_op *op, int result)
{
	struct registry *reg = op->reg;
	struct session *s = op->session;
	struct hold *h = op->hold, *old, *tmp;
	int failure = 0;

	if (result < 0) {
		failure = op_store_failed(op, result);
		hold_free(h);
		if (s->holds && count_holding(s) == 0)
			grace_begin(reg, s, reg->settings->sessions_grace);
	} else {
		DL_FOREACH_SAFE(s->holds, old, tmp)
		{
			if (gives_way(old, h))
				hold_free(old);
		}
		h->durable = true;
		h->watch = proc_watch_new(reg->deps.loop, &h->process, on_gone, h);
		op->result.created = true;
		op->result.value = held_document(h);
		log_info("session '%s': held by %s (process %d)", s->session_id, h->command,
			 (int)h->process.pid);
	}
	session_settle(reg, s, result, true);
	if (result >= 0 && op->workdir) {
		free(s->workdir);
		s->workdir = STEAL(op->workdir);
		s->workdir_uid = op->workdir_uid;
	}
	op_finish(op, failure);
}

static struct registry_op *begin(struct registry *reg, struct principal *principal,
				 const struct session_ref *ref, struct session *s,
				 struct pidref *process_take, const char *command,
				 const char *workdir, registry_done_fn *done, void *arg,
				 struct fault *reterr)
{
	scoped(store_batch_freep) struct store_batch *batch = store_batch_new();
	struct session *forgetting = NULL;
	struct registry_op *op;
	struct hold *h;

	if (check_room(reg, s, principal->user_id, reterr) < 0)
		return NULL;
	if (!s && session_make(reg, ref, principal->user_id, batch, &s, &forgetting, reterr) < 0)
		return NULL;

	op = op_new(reg, principal, ref, done, arg);
	op->session = s;
	op->forgetting = forgetting;
	session_begin_change(s, batch);
	if (workdir) {
		session_will_have(s, workdir, principal_rights(principal), NULL, batch);
		op->workdir = xstrdup(workdir);
		op->workdir_uid = s->will_workdir_uid;
	}

	h = op->hold = hold_new(reg, s, process_take);
	strcpy(h->command, command);
	h->held_since = clock_realtime();
	for (const struct hold *old = s->holds; old; old = old->next)
		if (gives_way(old, h))
			delete_record(old, batch);
	put_record(h, batch);
	grace_end(s);
	op_commit(op, STEAL(batch), on_held);
	return op;
}

struct registry_op *registry_hold(struct registry *reg, struct principal *principal,
				  const struct task_peer *peer, const struct session_ref *ref,
				  const struct hold_params *params, registry_done_fn *done,
				  void *arg, struct fault *reterr)
{
	scoped(pidref_done) struct pidref process = PIDREF_NONE;
	char command[sizeof(((struct process *)NULL)->command)];
	struct registry_op *op;
	struct session *s;
	struct hold *h;

	if (registry_refuses_changes(reg, reterr) < 0 ||
	    session_writable(reg, principal, ref, &s, reterr) < 0)
		return NULL;
	if (params->workdir && params->workdir[0] != '/') {
		fault_field(reterr, "workdir", "must be an absolute path");
		return NULL;
	}
	if (check_process(peer, params->pid > 0 ? (pid_t)params->pid : peer->pid, &process, command,
			  reterr) < 0)
		return NULL;

	h = find_holding(s, &process);
	if (!h || params->workdir)
		return begin(reg, principal, ref, s, &process, command, params->workdir, done, arg,
			     reterr);
	op = op_new(reg, principal, ref, done, arg);
	op->result.value = held_document(h);
	op_finish_later(op, 0);
	return op;
}

int registry_holds(struct registry *reg, const struct principal *principal,
		   const struct session_ref *ref, cJSON **ret, struct fault *reterr)
{
	const struct session *s = session_visible(reg, principal, ref, reterr);
	cJSON *list;

	if (!s)
		return -ENOENT;
	*ret = cJSON_CreateObject();
	list = cJSON_AddArrayToObject(*ret, "holds");
	for (const struct hold *h = s->holds; h; h = h->next)
		if (!has_lapsed(h))
			cJSON_AddItemToArray(list, hold_view(h));
	json_add_time(*ret, "ends_at", s->grace_ends);
	return 0;
}

/*
 * A session's end, and the daemon's start.
 */
void holds_delete(const struct session *s, struct store_batch *batch)
{
	for (const struct hold *h = s->holds; h; h = h->next)
		delete_record(h, batch);
}

void holds_drop(struct session *s)
{
	struct hold *h, *tmp;

	DL_FOREACH_SAFE(s->holds, h, tmp)
	{
		if (h->generation < s->generation)
			hold_free(h);
	}
	if (!s->holds || count_holding(s) > 0)
		grace_end(s);
}

void holds_free(struct session *s)
{
	while (s->holds)
		hold_free(s->holds);
	s->grace = timer_free(s->grace);
}

static int on_record(const void *r, void *arg)
{
	const struct record_hold *record = r;
	struct registry *reg = arg;
	struct session *s = session_find(reg, record->session_id);
	struct pidref process = PIDREF_NONE;
	struct process p;
	struct hold *h;
	bool is_there;
	unsigned pid;

	if (!s || s->ended_at != 0 || parse_uint(record->pid, 1, PID_MAX, &pid) < 0)
		return 0; /* another's hand in the database */

	is_there = pidref_find((pid_t)pid, (uint64_t)record->start_time, &process) >= 0;
	if (!is_there)
		process = (struct pidref){ (pid_t)pid, -1, (uint64_t)record->start_time };
	h = hold_new(reg, s, &process);
	strcpy(h->command, is_there && process_read((pid_t)pid, &p) >= 0 ? p.command : "?");
	h->held_since = (usec_t)record->held_since;
	h->watch = proc_watch_new(reg->deps.loop, &h->process, on_gone, h);
	h->durable = true;
	return 0;
}

/* Of one that is gone already the watch tells in the loop's first steps. */
int holds_load(struct registry *reg, struct fault *reterr)
{
	return store_load(reg->deps.store, RECORD_KIND_HOLD, on_record, reg, reterr);
}
