/* SPDX-License-Identifier: MIT */
/*
 * Ending tasks, and waiting for their ends.  An ending waits for any number of tasks; one that is
 * stuck delays none of the others.
 */
#include <string.h>
#include <utlist.h>

#include "base/log.h"
#include "base/mem.h"
#include "base/metrics.h"
#include "tasks/tasks_priv.h"

LOG_AREA("tasks");

/* So long who detaches waits for a runtime that is told to end a task: for a first try and a bit.
 * The further ones (call.c) are nobody's to wait for. */
#define CALL_PATIENCE (5 * USEC_PER_SEC)

struct tasks_ending {
	struct tasks *tasks; /* NULL when they are gone */
	tasks_ended_fn *done;
	void *arg;
	struct waiter *waiters; /* for the tasks that have not ended yet */
	cJSON *left;
	struct timer *turn;
	struct tasks_ending *prev, *next;
};

void waiter_free(struct waiter *w)
{
	DL_DELETE(w->task->waiters, w);
	DL_DELETE2(w->ending->waiters, w, ending_prev, ending_next);
	free(w);
}

static void on_turn(void *arg)
{
	struct tasks_ending *e = arg;

	if (e->done)
		e->done(e->left, e->arg);
}

struct tasks_ending *ending_new(struct tasks *tasks, tasks_ended_fn *done, void *arg)
{
	struct tasks_ending *e = xcalloc(1, sizeof(*e));

	e->tasks = tasks;
	e->done = done;
	e->arg = arg;
	e->turn = timer_new(tasks->deps.loop, on_turn, e);
	DL_APPEND(tasks->endings, e);
	return e;
}

struct tasks_ending *tasks_ending_free(struct tasks_ending *e)
{
	if (!e)
		return NULL;
	while (e->waiters)
		waiter_free(e->waiters);
	if (e->tasks)
		DL_DELETE(e->tasks->endings, e);
	timer_free(e->turn);
	json_free(e->left);
	free(e);
	return NULL;
}

/* Those whose handles their owners still have, when the tasks are freed. */
void endings_forget(struct tasks *tasks)
{
	struct tasks_ending *e, *tmp;

	DL_FOREACH_SAFE(tasks->endings, e, tmp)
	{
		DL_DELETE(tasks->endings, e);
		e->tasks = NULL;
		e->turn = timer_free(e->turn);
	}
}

void ending_wait_for(struct tasks_ending *e, struct task *t)
{
	struct waiter *w;

	if (t->is_overdue)
		return;
	w = xcalloc(1, sizeof(*w));
	w->ending = e;
	w->task = t;
	DL_APPEND(t->waiters, w);
	DL_APPEND2(e->waiters, w, ending_prev, ending_next);
}

void ending_begun(struct tasks_ending *e)
{
	if (!e->waiters)
		timer_set(e->turn, 0);
}

static void add_left(struct tasks_ending *e, const cJSON *left)
{
	const cJSON *each;

	if (!left)
		return;
	if (!e->left)
		e->left = cJSON_CreateArray();
	cJSON_ArrayForEach(each, left) cJSON_AddItemToArray(e->left, cJSON_Duplicate(each, true));
}

void task_tell_waiters(struct task *t)
{
	while (t->waiters) {
		struct tasks_ending *e = t->waiters->ending;

		add_left(e, t->left);
		waiter_free(t->waiters);
		ending_begun(e); /* told in the loop's next step */
	}
}

/*
 * The kill.
 */
static cJSON *left_document(const struct proc_kill_result *result)
{
	cJSON *list;

	if (result->n_left == 0)
		return NULL;
	list = cJSON_CreateArray();
	for (size_t i = 0; i < result->n_left; i++) {
		cJSON *one = cJSON_CreateObject();

		json_add_u64(one, "pid", (uint64_t)result->left[i].pid);
		json_add_string(one, "command", result->left[i].command);
		cJSON_AddItemToArray(list, one);
	}
	return list;
}

static void on_killed(const struct proc_kill_result *result, void *arg)
{
	struct task *t = arg;

	t->left = left_document(result);
	metric_add(METRIC_TASK_PROCESSES_LEFT, (double)result->n_left);
	t->kill = proc_kill_free(t->kill);
	task_has_ended(t);
}

static void on_called(bool ok, void *arg)
{
	struct task *t = arg;

	if (!ok)
		metric_inc(METRIC_TASK_CALLS_FAILED);
	t->call = NULL;
	t->patience = timer_free(t->patience);
	task_has_ended(t);
}

static void on_overdue(void *arg)
{
	struct task *t = arg;

	log_warning("session '%s': task '%s': its runtime takes long to end it, nobody waits for "
		    "it any longer",
		    t->session_id, t->task_id);
	t->is_overdue = true;
	task_tell_waiters(t);
}

static void call(struct task *t)
{
	t->patience = timer_new(t->tasks->deps.loop, on_overdue, t);
	timer_set(t->patience, CALL_PATIENCE);
	t->call = task_call_start(t->tasks, t->session_id, t->task_id, t->end_reason, on_called, t);
}

void task_end(struct task *t, const char *reason)
{
	struct tasks *tasks = t->tasks;

	if (t->end_reason || !task_is_live(t))
		return;
	t->end_reason = xstrdup(reason);
	if (t->state == TASK_STARTING)
		return; /* whoever starts it will see */

	task_set_state(t, TASK_ENDING);
	task_save(t);
	if (t->kind == TASK_KIND_FOREIGN) {
		call(t);
		return;
	}
	log_debug("session '%s': task '%s': ending it (%s)", t->session_id, t->task_id, reason);
	t->kill = proc_kill_start(tasks->deps.loop, tasks->deps.jobs, task_tree(t),
				  tasks->settings->tasks_kill_grace, on_killed, t);
}

/* An id that previewd doesn't know: whoever owns it is told, where it is said how. */
static struct task *stranger(struct tasks *tasks, const char *session_id, const char *task_id)
{
	struct task *t;

	if (!task_call_is_set(tasks))
		return NULL;
	DL_FOREACH(tasks->strangers, t)
	{
		if (strcmp(t->session_id, session_id) == 0 && strcmp(t->task_id, task_id) == 0)
			return t;
	}
	t = task_new(tasks, session_id, NULL, task_id, TASK_KIND_FOREIGN);
	task_set_state(t, TASK_RUNNING);
	return t;
}

struct tasks_ending *tasks_end(struct tasks *tasks, const char *session_id, const char *task_id,
			       const char *reason, tasks_ended_fn *done, void *arg)
{
	struct tasks_ending *e = ending_new(tasks, done, arg);
	struct task *t = task_find(tasks, session_id, task_id);

	if (!t)
		t = stranger(tasks, session_id, task_id);
	if (t && task_is_live(t)) {
		t->tells_exit = false;
		task_end(t, reason);
		ending_wait_for(e, t);
	}
	ending_begun(e);
	return e;
}

bool tasks_any_live(const struct tasks *tasks, const char *session_id)
{
	struct task_session *s;

	HASH_FIND_STR(tasks->sessions, session_id, s);
	for (const struct task *t = s ? s->tasks : NULL; t; t = t->next) {
		if (task_is_live(t))
			return true;
	}
	return false;
}

struct tasks_ending *tasks_end_session(struct tasks *tasks, const char *session_id,
				       tasks_ended_fn *done, void *arg)
{
	struct tasks_ending *e = ending_new(tasks, done, arg);
	struct task_session *s;

	HASH_FIND_STR(tasks->sessions, session_id, s);
	for (struct task *t = s ? s->tasks : NULL; t; t = t->next) {
		if (!task_is_live(t))
			continue;
		t->tells_exit = false;
		task_end(t, "session_end");
		ending_wait_for(e, t);
	}
	for (struct task *t = tasks->strangers; t; t = t->next)
		if (strcmp(t->session_id, session_id) == 0)
			ending_wait_for(e, t);
	ending_begun(e);
	return e;
}

struct tasks_ending *tasks_end_started(struct tasks *tasks, tasks_ended_fn *done, void *arg)
{
	struct tasks_ending *e;

	if (tasks->settings->tasks_on_restart != TASKS_END)
		return NULL;
	e = ending_new(tasks, done, arg);
	for (struct task_session *s = tasks->sessions; s; s = s->hh.next) {
		for (struct task *t = s->tasks; t; t = t->next) {
			if (t->kind != TASK_KIND_STARTED || !task_is_live(t))
				continue;
			task_end(t, "shutdown");
			ending_wait_for(e, t);
		}
	}
	ending_begun(e);
	return e;
}
