/* SPDX-License-Identifier: MIT */
/*
 * Adding and deleting, as the surfaces ask for it.
 *
 * A task that is started is known to the store before its first process is: should the daemon be
 * killed in between, the next one finds what it left by the mark in its environment.
 */
#include <errno.h>
#include <string.h>
#include <utlist.h>

#include "base/ids.h"
#include "base/log.h"
#include "base/mem.h"
#include "tasks/tasks_priv.h"

LOG_AREA("tasks");

#define TASK_ID_LENGTH    12
#define COMMAND_WORDS_MAX 1024
#define CWD_LENGTH_MAX    4096
#define ENV_LENGTH_MAX    65536
#define PID_MAX           4194304

const struct json_field task_fields[] = {
	/* clang-format off */
	{ "task_id", JSON_ID, offsetof(struct task_params, task_id), .nullable = true,
	  .help = "The task's name in its session; one is made where there is none." },
	{ "command", JSON_COMMAND, offsetof(struct task_params, command), .nullable = true, .min = 1, .max = COMMAND_WORDS_MAX,
	  .help = "What to start: a program and its arguments, or a line for the shell." },
	{ "cwd", JSON_STRING, offsetof(struct task_params, cwd), .nullable = true, .min = 1, .max = CWD_LENGTH_MAX,
	  .help = "Where to start it, absolute; the session's workdir without it." },
	{ "env", JSON_OBJECT, offsetof(struct task_params, env), .nullable = true, .max = ENV_LENGTH_MAX,
	  .help = "Variables added to a clean environment: names to strings." },
	{ "port", JSON_UINT, offsetof(struct task_params, port), .nullable = true, .min = 1, .max = 65535,
	  .help = "The port it is to listen on, given to it as PORT." },
	{ "pid", JSON_UINT, offsetof(struct task_params, pid), .nullable = true, .min = 1, .max = PID_MAX,
	  .help = "A process to register instead, of the caller's uid and beneath the caller: over the unix socket only." },
	{ "subreaper", JSON_BOOL, offsetof(struct task_params, subreaper), .nullable = true,
	  .help = "With pid: all children of the caller, which is their subreaper, belong to this task." },
	JSON_FIELDS_END,
	/* clang-format on */
};

void task_params_done(struct task_params *p)
{
	json_fields_done(task_fields, p);
}

struct tasks_op {
	struct tasks *tasks; /* NULL when they are gone */
	struct task *task;   /* being added */
	tasks_done_fn *done; /* NULL: nobody waits any more */
	void *arg;
	cJSON *env;
	struct store_commit *commit;
	struct timer *turn;
	struct tasks_ending *ending;
	char *session_id, *task_id; /* of a deletion */
	cJSON *value;
	struct fault fault;
	int result;
	struct tasks_op *prev, *next;
};

static struct tasks_op *op_new(struct tasks *tasks, tasks_done_fn *done, void *arg)
{
	struct tasks_op *op = xcalloc(1, sizeof(*op));

	op->tasks = tasks;
	op->done = done;
	op->arg = arg;
	DL_APPEND(tasks->ops, op);
	return op;
}

static void op_destroy(struct tasks_op *op)
{
	if (op->tasks)
		DL_DELETE(op->tasks->ops, op);
	if (op->task)
		op->task->adding = NULL;
	store_commit_free(op->commit);
	timer_free(op->turn);
	tasks_ending_free(op->ending);
	json_free(op->env);
	json_free(op->value);
	fault_done(&op->fault);
	free(op->session_id);
	free(op->task_id);
	free(op);
}

struct tasks_op *tasks_op_free(struct tasks_op *op)
{
	if (!op)
		return NULL;
	/* What is being added is added all the same: the store may have it already. */
	if (op->task && op->tasks)
		op->done = NULL;
	else
		op_destroy(op);
	return NULL;
}

void ops_forget(struct tasks *tasks)
{
	struct tasks_op *op, *tmp;

	DL_FOREACH_SAFE(tasks->ops, op, tmp)
	{
		op->commit = store_commit_free(op->commit);
		op->turn = timer_free(op->turn);
		op->ending = tasks_ending_free(op->ending);
		if (!op->done) {
			op_destroy(op);
			continue;
		}
		DL_DELETE(tasks->ops, op);
		op->tasks = NULL;
		op->task = NULL;
	}
}

/* The answer: the operation may be gone after it. */
static void op_finish(struct tasks_op *op)
{
	if (op->task)
		op->task->adding = NULL;
	op->task = NULL;
	if (op->done)
		op->done(op->result, op->value, &op->fault, op->arg);
	else
		op_destroy(op);
}

static void on_turn(void *arg)
{
	op_finish(arg);
}

static void op_finish_later(struct tasks_op *op)
{
	op->turn = timer_new(op->tasks->deps.loop, on_turn, op);
	timer_set(op->turn, 0);
}

static int store_failed(struct tasks_op *op, int result)
{
	log_error_errno(result, "session '%s': the store refused a task", op->task->session_id);
	op->fault.retry_after_seconds = 1;
	return fault_set(&op->fault, FAULT_STORE_UNAVAILABLE,
			 "the store cannot be written (%s); no task was added", strerror(-result));
}

/*
 * Adding.
 */
static void add_failed(struct tasks_op *op)
{
	struct task *t = op->task;

	t->tells_exit = false;
	task_set_state(t, TASK_ENDED);
	task_tell_waiters(t);
	task_forget(t);
	op->task = NULL;
	op_finish(op);
}

/* Somebody ended it, or its session, while it was being made. */
static void end_if_wanted(struct task *t)
{
	scoped(freep) char *reason = STEAL(t->end_reason);

	if (reason)
		task_end(t, reason);
}

static void on_second_commit(int result, void *arg)
{
	struct tasks_op *op = arg;

	op->commit = store_commit_free(op->commit);
	if (result < 0) {
		op->result = store_failed(op, result);
		task_end(op->task, "canceled");
	} else {
		op->value = task_view(op->task);
	}
	op_finish(op);
}

static void spawn(struct tasks_op *op)
{
	struct task *t = op->task;
	struct store_batch *batch;

	if (t->end_reason) {
		op->result =
			fault_set(&op->fault, FAULT_CANCELED, "the task was ended before it began");
		add_failed(op);
		return;
	}
	op->result = task_spawn(t, op->env, &op->fault);
	if (op->result < 0) {
		add_failed(op);
		return;
	}
	task_set_state(t, TASK_RUNNING);
	log_info("session '%s': task '%s' started: %s, process %d", t->session_id, t->task_id,
		 t->command[0], (int)t->root.pid);
	batch = store_batch_new();
	task_put(t, TASK_RUNNING, batch);
	op->commit = store_commit_consume(op->tasks->deps.store, batch, on_second_commit, op);
}

static void on_first_commit(int result, void *arg)
{
	struct tasks_op *op = arg;
	struct task *t = op->task;

	op->commit = store_commit_free(op->commit);
	if (result < 0) {
		op->result = store_failed(op, result);
		add_failed(op);
		return;
	}
	if (t->kind == TASK_KIND_STARTED) {
		spawn(op);
		return;
	}

	task_set_state(t, TASK_RUNNING);
	log_info("session '%s': task '%s' registered, %s %d", t->session_id, t->task_id,
		 t->root.pid > 0 ? "process" : "without a process:", (int)t->root.pid);
	if (t->root.pid > 0)
		task_watch(t);
	op->value = task_view(t);
	if (t->root.pid > 0) /* for whoever can still put it into the environment */
		json_add_string(op->value, "mark", t->mark);
	end_if_wanted(t);
	op_finish(op);
}

static int check_kind(const struct task_params *p, enum task_kind *ret, struct fault *reterr)
{
	if (p->command && p->pid > 0)
		return fault_field(reterr, "pid", "and a command exclude each other");
	if (!p->command && p->pid == 0 && !p->task_id)
		return fault_field(reterr, "command", "is required, or pid, or a task_id");
	if (!p->command && (p->cwd || p->env))
		return fault_field(reterr, p->cwd ? "cwd" : "env", "goes with a command");
	if (p->cwd && p->cwd[0] != '/')
		return fault_field(reterr, "cwd", "must be an absolute path");
	if (p->subreaper && p->pid == 0)
		return fault_field(reterr, "subreaper", "goes with a pid");
	*ret = p->command   ? TASK_KIND_STARTED
	       : p->pid > 0 ? TASK_KIND_REGISTERED
			    : TASK_KIND_FOREIGN;
	return task_env_check(p->env, reterr);
}

/*
 * Starting runs a command as the daemon's own uid: who has another has no business there, but with
 * a token that says so.
 */
static int check_starter(const struct principal *principal, struct fault *reterr)
{
	if (principal->admin || !principal->has_uid || principal->uid == geteuid())
		return 0;
	return fault_set(reterr, FAULT_TASK_NOT_ALLOWED,
			 "the command would run as previewd's user and not as you: start it "
			 "yourself and register its process");
}

static struct task *oldest_ended(const struct task_session *s)
{
	for (struct task *t = s->tasks; t; t = t->next)
		if (!task_is_live(t))
			return t;
	return NULL;
}

/* Room for one more: what ended the longest ago gives way. */
static int make_room(struct tasks *tasks, const char *session_id, struct fault *reterr)
{
	const unsigned most = tasks->settings->limits_tasks_per_session;
	struct task_session *s;

	HASH_FIND_STR(tasks->sessions, session_id, s);
	while (s && s->n_tasks >= most) {
		struct task *t = oldest_ended(s);
		cJSON *running;
		int r;

		if (t) {
			bool last = s->n_tasks == 1;

			task_forget(t);
			s = last ? NULL : s;
			continue;
		}
		r = fault_set(reterr, FAULT_TASK_LIMIT,
			      "session '%s' has %zu tasks running, as many as "
			      "limits.tasks_per_session allows; end one first",
			      session_id, s->n_tasks);
		running = cJSON_CreateArray();
		DL_FOREACH(s->tasks, t)
		cJSON_AddItemToArray(running, cJSON_CreateString(t->task_id));
		fault_member_consume(reterr, "running", running);
		return r;
	}
	return 0;
}

static int check_id(struct tasks *tasks, const char *session_id, const char *task_id,
		    struct fault *reterr)
{
	struct task *t = task_id ? task_find(tasks, session_id, task_id) : NULL;

	if (!t)
		return 0;
	if (task_is_live(t))
		return fault_set(reterr, FAULT_TASK_CONFLICT,
				 "session '%s' has a task '%s' already, which is %s", session_id,
				 task_id, task_state_names[t->state]);
	task_forget(t);
	return 0;
}

/* A runtime that says twice which task it has said it once. */
static struct task *same_stranger(struct tasks *tasks, const char *session_id,
				  const struct task_params *p, enum task_kind kind)
{
	struct task *t = NULL;

	if (kind == TASK_KIND_FOREIGN)
		t = task_find(tasks, session_id, p->task_id);
	return t && t->kind == kind && t->state == TASK_RUNNING ? t : NULL;
}

static struct tasks_op *begin_add(struct tasks *tasks, struct task *t, const cJSON *env,
				  tasks_done_fn *done, void *arg)
{
	struct tasks_op *op = op_new(tasks, done, arg);
	struct store_batch *batch = store_batch_new();

	op->task = t;
	op->env = env ? cJSON_Duplicate(env, true) : NULL;
	t->adding = op;
	task_put(t, t->kind == TASK_KIND_STARTED ? TASK_STARTING : TASK_RUNNING, batch);
	op->commit = store_commit_consume(tasks->deps.store, batch, on_first_commit, op);
	return op;
}

/* Of a process that was registered; nothing else has a `root` yet. */
static struct task *make_task(struct tasks *tasks, const struct task_peer *peer,
			      const struct session_ref *ref, const struct task_params *params,
			      enum task_kind kind, struct pidref *root_take)
{
	char made_id[TASK_ID_LENGTH + 1];
	struct task *t;

	random_label(made_id, TASK_ID_LENGTH);
	t = task_new(tasks, ref->session_id, ref->app_id,
		     params->task_id ? params->task_id : made_id, kind);
	t->root = *root_take;
	*root_take = PIDREF_NONE;
	t->command = params->command ? strv_copy(params->command) : NULL;
	t->cwd = xstrdup_null(params->cwd);
	t->port = params->port;
	if (kind == TASK_KIND_STARTED && !t->cwd)
		t->cwd = xstrdup(getenv("HOME") ? getenv("HOME") : "/");
	if (kind == TASK_KIND_REGISTERED && cgroup_of_run(t->root.pid, t->task_id, &t->cgroup) < 0)
		t->cgroup = NULL;
	if (params->subreaper && pidref_of(peer->pid, &t->reaper) < 0)
		t->reaper = PIDREF_NONE;
	return t;
}

struct tasks_op *tasks_add(struct tasks *tasks, const struct principal *principal,
			   const struct task_peer *peer, const struct session_ref *ref,
			   const struct task_params *params, tasks_done_fn *done, void *arg,
			   struct fault *reterr)
{
	scoped(pidref_done) struct pidref root = PIDREF_NONE;
	enum task_kind kind = TASK_KIND_FOREIGN;
	struct task *t;

	if (check_kind(params, &kind, reterr) < 0)
		return NULL;
	if (kind == TASK_KIND_STARTED && check_starter(principal, reterr) < 0)
		return NULL;
	t = same_stranger(tasks, ref->session_id, params, kind);
	if (t) {
		struct tasks_op *op = op_new(tasks, done, arg);

		op->value = task_view(t);
		op_finish_later(op);
		return op;
	}
	if (kind == TASK_KIND_REGISTERED &&
	    task_check_pid(peer, (pid_t)params->pid, &root, reterr) < 0)
		return NULL;
	if (check_id(tasks, ref->session_id, params->task_id, reterr) < 0 ||
	    make_room(tasks, ref->session_id, reterr) < 0)
		return NULL;
	t = make_task(tasks, peer, ref, params, kind, &root);
	return begin_add(tasks, t, params->env, done, arg);
}

/*
 * Deleting: its answer waits for the end.
 */
static void on_deleted(const cJSON *left, void *arg)
{
	struct tasks_op *op = arg;
	struct task *t = task_find(op->tasks, op->session_id, op->task_id);
	const bool is_over = !t || !task_is_live(t);

	op->value = cJSON_CreateObject();
	cJSON_AddBoolToObject(op->value, "ended", is_over);
	if (!is_over)
		json_add_string(op->value, "hint",
				"its runtime has not yet said that it ended the task; previewd "
				"goes on telling it to");
	cJSON_AddItemToObject(op->value, "left",
			      left ? cJSON_Duplicate(left, true) : cJSON_CreateArray());
	if (t)
		cJSON_AddItemToObject(op->value, "task", task_view(t));
	op_finish(op);
}

struct tasks_op *tasks_delete(struct tasks *tasks, const char *session_id, const char *task_id,
			      tasks_done_fn *done, void *arg, struct fault *reterr)
{
	struct task *t = task_find(tasks, session_id, task_id);
	struct tasks_op *op;

	if (!t) {
		fault_set(reterr, FAULT_TASK_NOT_FOUND, "session '%s' has no task '%s'", session_id,
			  task_id);
		return NULL;
	}
	op = op_new(tasks, done, arg);
	if (!task_is_live(t)) {
		op->value = cJSON_CreateObject();
		cJSON_AddBoolToObject(op->value, "ended", false);
		json_add_string(op->value, "hint", "the task had ended already");
		cJSON_AddItemToObject(op->value, "task", task_view(t));
		op_finish_later(op);
		return op;
	}
	op->session_id = xstrdup(session_id);
	op->task_id = xstrdup(task_id);
	op->ending = ending_new(tasks, on_deleted, op);
	ending_wait_for(op->ending, t);
	task_end(t, "detach");
	ending_begun(op->ending);
	return op;
}
