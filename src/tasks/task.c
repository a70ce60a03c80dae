/* SPDX-License-Identifier: MIT */
/*
 * A task in memory and in the store: its state, its record and how it is shown.
 */
#include <assert.h>
#include <errno.h>
#include <signal.h>
#include <string.h>
#include <utlist.h>

#include "base/ids.h"
#include "base/log.h"
#include "base/mem.h"
#include "base/metrics.h"
#include "tasks/tasks_priv.h"

LOG_AREA("tasks");

#define MARK_BYTES 16

const char *const task_kind_names[TASK_KIND_COUNT_] = {
	[TASK_KIND_STARTED] = "started",
	[TASK_KIND_REGISTERED] = "registered",
	[TASK_KIND_FOREIGN] = "foreign",
};

const char *const task_state_names[TASK_STATE_COUNT_] = {
#define STATE(name, text, next) [TASK_##name] = text,
#include "tasks/states.def"
#undef STATE
};

#define TO(name) (1u << TASK_##name)
static const unsigned next_states[TASK_STATE_COUNT_] = {
#define STATE(name, text, next) [TASK_##name] = next,
#include "tasks/states.def"
#undef STATE
};

static struct task_session *session_find(const struct tasks *tasks, const char *session_id)
{
	struct task_session *s;

	HASH_FIND_STR(tasks->sessions, session_id, s);
	return s;
}

static struct task_session *session_ensure(struct tasks *tasks, const char *session_id)
{
	struct task_session *s = session_find(tasks, session_id);

	if (s)
		return s;
	s = xcalloc(1, sizeof(*s));
	s->session_id = xstrdup(session_id);
	HASH_ADD_KEYPTR(hh, tasks->sessions, s->session_id, strlen(s->session_id), s);
	return s;
}

static void session_leave(struct task *t)
{
	struct task_session *s = t->session;

	DL_DELETE(s->tasks, t);
	s->n_tasks--;
	t->session = NULL;
	if (s->tasks)
		return;
	HASH_DEL(t->tasks->sessions, s);
	free(s->session_id);
	free(s);
}

struct task *task_find(const struct tasks *tasks, const char *session_id, const char *task_id)
{
	const struct task_session *s = session_find(tasks, session_id);
	struct task *t;

	DL_FOREACH(s ? s->tasks : NULL, t)
	{
		if (strcmp(t->task_id, task_id) == 0)
			return t;
	}
	return NULL;
}

bool task_is_live(const struct task *t)
{
	return t->state != TASK_ENDED;
}

struct task *task_new(struct tasks *tasks, const char *session_id, const char *app_id,
		      const char *task_id, enum task_kind kind)
{
	struct task *t = xcalloc(1, sizeof(*t));
	char mark[2 * MARK_BYTES + 1];

	random_hex(mark, MARK_BYTES);
	t->tasks = tasks;
	t->session_id = xstrdup(session_id);
	t->app_id = xstrdup_null(app_id);
	t->task_id = xstrdup(task_id);
	t->mark = xstrdup(mark);
	t->kind = kind;
	t->state = TASK_STARTING;
	t->root = t->reaper = PIDREF_NONE;
	t->exit_code = -1;
	t->created_at = clock_realtime();
	t->tells_exit = true;
	textlog_init(&t->log, tasks->deps.loop);
	if (app_id) {
		t->session = session_ensure(tasks, session_id);
		t->session->n_tasks++;
		DL_APPEND(t->session->tasks, t);
		metric_inc(METRIC_TASKS);
	} else {
		DL_APPEND(tasks->strangers, t);
	}
	return t;
}

struct task *task_free(struct task *t)
{
	struct waiter *w, *tmp;

	if (!t)
		return NULL;

	if (t->session && task_is_live(t))
		metric_add(METRIC_TASKS, -1);
	if (t->session)
		session_leave(t);
	else
		DL_DELETE(t->tasks->strangers, t);
	DL_FOREACH_SAFE(t->waiters, w, tmp)
	waiter_free(w);
	textlog_done(&t->log);
	task_watch_stop(t);
	child_free(t->child);
	proc_kill_free(t->kill);
	task_call_free(t->call);
	timer_free(t->patience);
	pidref_done(&t->root);
	pidref_done(&t->reaper);
	json_free(t->left);
	strv_free(t->command);
	free(t->cwd);
	free(t->cgroup);
	free(t->end_reason);
	free(t->mark);
	free(t->session_id);
	free(t->app_id);
	free(t->task_id);
	free(t);
	return NULL;
}

static void commit(const struct task *t, struct store_batch *batch)
{
	/* The handle is let go: what becomes of it shows in the store's health. */
	store_commit_free(store_commit_consume(t->tasks->deps.store, batch, NULL, NULL));
}

void task_forget(struct task *t)
{
	struct store_batch *batch = store_batch_new();

	store_delete(batch, RECORD_KIND_TASK,
		     &(struct record_task){ .session_id = t->session_id, .task_id = t->task_id });
	commit(t, batch);
	task_free(t);
}

void task_set_state(struct task *t, enum task_state state)
{
	assert(next_states[t->state] & (1u << state));
	log_debug("session '%s': task '%s': %s, was %s", t->session_id, t->task_id,
		  task_state_names[state], task_state_names[t->state]);
	t->state = state;
	if (state == TASK_RUNNING) {
		metric_inc(METRIC_TASKS_STARTED);
	} else if (state == TASK_ENDED) {
		t->ended_at = clock_realtime();
		if (t->session) {
			metric_add(METRIC_TASKS, -1);
			metric_inc(METRIC_TASKS_ENDED);
		}
	}
}

static char *command_text(const struct task *t)
{
	scoped(json_freep) cJSON *list = NULL;

	if (!t->command)
		return NULL;
	list = cJSON_CreateStringArray((const char *const *)t->command, (int)strv_len(t->command));
	return json_print(list);
}

void task_put(const struct task *t, enum task_state as, struct store_batch *batch)
{
	scoped(freep) char *command = command_text(t);
	struct record_task record = {
		.session_id = t->session_id,
		.task_id = t->task_id,
		.app_id = t->app_id,
		.mark = t->mark,
		.kind = task_kind_names[t->kind],
		.state = task_state_names[as],
		.pid = t->root.pid,
		.start_time = (int64_t)t->root.start_time,
		.reaper_pid = t->reaper.pid,
		.reaper_start_time = (int64_t)t->reaper.start_time,
		.command = command,
		.cwd = t->cwd,
		.cgroup = t->cgroup,
		.port = t->port,
		.exit_code = t->exit_code,
		.signal = t->signal,
		.created_at = (int64_t)t->created_at,
		.ended_at = (int64_t)t->ended_at,
	};

	store_put(batch, RECORD_KIND_TASK, &record);
}

void task_save(const struct task *t)
{
	struct store_batch *batch;

	if (!t->session)
		return;
	batch = store_batch_new();
	task_put(t, t->state, batch);
	commit(t, batch);
}

static enum task_kind kind_of_text(const char *text)
{
	int kind = 0;

	while (kind + 1 < TASK_KIND_COUNT_ && strcmp(task_kind_names[kind], text) != 0)
		kind++;
	return (enum task_kind)kind;
}

static char **command_of_text(const char *text)
{
	scoped(json_freep) cJSON *list = cJSON_Parse(text);
	char **command;
	const cJSON *item;
	size_t n = 0;

	if (!cJSON_IsArray(list))
		return NULL;
	command = xcalloc((size_t)cJSON_GetArraySize(list) + 1, sizeof(*command));
	cJSON_ArrayForEach(item, list) command[n++] =
		xstrdup(cJSON_IsString(item) ? item->valuestring : "");
	return command;
}

struct task *task_of_record(struct tasks *tasks, const struct record_task *r)
{
	struct task *t =
		task_new(tasks, r->session_id, r->app_id, r->task_id, kind_of_text(r->kind));

	free(t->mark);
	t->mark = xstrdup(r->mark);
	if (strcmp(r->state, task_state_names[TASK_ENDED]) == 0) {
		t->state = TASK_ENDED;
		t->tells_exit = false; /* was told then */
		metric_add(METRIC_TASKS, -1);
	} else {
		t->state = TASK_RUNNING;
		t->was_interrupted = strcmp(r->state, task_state_names[TASK_RUNNING]) != 0;
	}
	t->command = r->command ? command_of_text(r->command) : NULL;
	t->cwd = xstrdup_null(r->cwd);
	t->cgroup = xstrdup_null(r->cgroup);
	t->port = (unsigned)r->port;
	t->exit_code = (int)r->exit_code;
	t->signal = (int)r->signal;
	t->created_at = (usec_t)r->created_at;
	t->ended_at = (usec_t)r->ended_at;
	return t;
}

static void add_known(cJSON *j, const char *name, bool is_known, uint64_t value)
{
	if (is_known)
		json_add_u64(j, name, value);
	else
		cJSON_AddNullToObject(j, name);
}

static void add_signal(cJSON *j, int signo)
{
	const char *abbreviation = signo > 0 ? sigabbrev_np(signo) : NULL;
	scoped(freep) char *name = abbreviation ? xasprintf("SIG%s", abbreviation)
				   : signo > 0  ? xasprintf("%d", signo)
						: NULL;

	json_add_string(j, "signal", name);
}

cJSON *task_view(const struct task *t)
{
	cJSON *j = cJSON_CreateObject();

	json_add_string(j, "task_id", t->task_id);
	json_add_string(j, "session_id", t->session_id);
	json_add_string(j, "app_id", t->app_id);
	json_add_string(j, "kind", task_kind_names[t->kind]);
	json_add_string(j, "state", task_state_names[t->state]);
	add_known(j, "pid", t->root.pid > 0, (uint64_t)t->root.pid);
	if (t->command)
		cJSON_AddItemToObject(j, "command",
				      cJSON_CreateStringArray((const char *const *)t->command,
							      (int)strv_len(t->command)));
	else
		cJSON_AddNullToObject(j, "command");
	json_add_string(j, "cwd", t->cwd);
	add_known(j, "port", t->port > 0, t->port);
	add_known(j, "exit_code", t->exit_code >= 0, (uint64_t)t->exit_code);
	add_signal(j, t->signal);
	json_add_time(j, "created_at", t->created_at);
	json_add_time(j, "ended_at", t->ended_at);
	json_add_string(j, "end_reason", t->end_reason);
	if (t->left)
		cJSON_AddItemToObject(j, "left", cJSON_Duplicate(t->left, true));
	else
		cJSON_AddArrayToObject(j, "left");
	return j;
}

struct proc_tree *task_tree(const struct task *t)
{
	const struct proc_tree_settings settings = {
		.root = &t->root,
		.mark = t->mark,
		.cgroup = t->cgroup,
		.subreaper = pidref_is_alive(&t->reaper) ? t->reaper.pid : 0,
	};

	return proc_tree_new(&settings);
}

static void log_end(const struct task *t)
{
	if (t->left)
		log_warning("session '%s': task '%s' has ended, but for %d processes that could "
			    "not be",
			    t->session_id, t->task_id, cJSON_GetArraySize(t->left));
	else if (t->end_reason)
		log_info("session '%s': task '%s' was ended (%s)", t->session_id, t->task_id,
			 t->end_reason);
	else if (t->signal)
		log_info("session '%s': task '%s' has ended, by signal %d", t->session_id,
			 t->task_id, t->signal);
	else if (t->exit_code < 0)
		log_info("session '%s': task '%s' has ended", t->session_id, t->task_id);
	else
		log_info("session '%s': task '%s' has ended, with %d", t->session_id, t->task_id,
			 t->exit_code);
}

void task_has_ended(struct task *t)
{
	struct tasks *tasks = t->tasks;

	task_set_state(t, TASK_ENDED);
	log_end(t);
	task_watch_stop(t);
	task_let_go(t);
	/* It is shown for long, and there may be many. */
	pidref_let_go(&t->root);
	pidref_let_go(&t->reaper);
	/* That of a registered task is its maker's to remove. */
	if (t->cgroup && t->kind == TASK_KIND_STARTED && !t->left) {
		int r = cgroup_remove(t->cgroup);

		if (r < 0 && r != -ENOENT)
			log_warning_errno(r, "session '%s': task '%s': its cgroup stays",
					  t->session_id, t->task_id);
	}
	task_save(t);
	textlog_end(&t->log);
	if (t->session && tasks->forget_timer && !timer_is_set(tasks->forget_timer))
		timer_set(tasks->forget_timer, tasks->settings->tasks_keep);

	/* Whoever hears of it may free what it wants, but not the task. */
	if (t->session && t->tells_exit && tasks->on_exit) {
		t->tells_exit = false;
		tasks->on_exit(t->session_id, t->task_id, tasks->on_exit_arg);
	}
	task_tell_waiters(t);
	if (!t->session)
		task_free(t);
}
