/* SPDX-License-Identifier: MIT */
/*
 * All tasks: loaded at start, found again where they still run, shown, and forgotten in time.
 */
#include <string.h>
#include <utlist.h>

#include "base/log.h"
#include "base/mem.h"
#include "tasks/tasks_priv.h"

LOG_AREA("tasks");

/*
 * Forgetting: what ended longer ago than tasks.keep.
 */
static void on_forget(void *arg)
{
	struct tasks *tasks = arg;
	const usec_t now = clock_realtime();
	const usec_t keep = tasks->settings->tasks_keep;
	struct task_session *s, *next_session;
	usec_t next = USEC_INFINITY;

	HASH_ITER(hh, tasks->sessions, s, next_session)
	{
		struct task *t = s->tasks, *after;

		for (; t; t = after) {
			usec_t age = now > t->ended_at ? now - t->ended_at : 0;

			after = t->next; /* the last one takes its session along */
			if (task_is_live(t))
				continue;
			if (age >= keep)
				task_forget(t);
			else if (keep - age < next)
				next = keep - age;
		}
	}
	if (next != USEC_INFINITY)
		timer_set(tasks->forget_timer, next + USEC_PER_MSEC);
}

/*
 * At start.
 */

/* What was starting when the daemon was killed has no process that it knows of; if it has one, that
 * has the mark. */
static void find_again(struct task *t, const struct record_task *r)
{
	if (r->reaper_pid > 0 &&
	    pidref_find((pid_t)r->reaper_pid, (uint64_t)r->reaper_start_time, &t->reaper) < 0)
		t->reaper = PIDREF_NONE;
	if (r->pid > 0 && pidref_find((pid_t)r->pid, (uint64_t)r->start_time, &t->root) < 0)
		t->root = (struct pidref){ (pid_t)r->pid, -1, (uint64_t)r->start_time };
}

static int load_one(const void *record, void *arg)
{
	const struct record_task *r = record;
	struct task *t = task_of_record(arg, r);

	if (task_is_live(t))
		find_again(t, r);
	else
		t->root.pid = (pid_t)r->pid;
	return 0;
}

static void go_on(struct task *t)
{
	if (t->kind == TASK_KIND_FOREIGN)
		return;
	if (!pidref_is_alive(&t->root)) {
		task_root_ended(t); /* tells when nothing of it is left */
		return;
	}
	log_info("session '%s': task '%s' goes on as process %d", t->session_id, t->task_id,
		 (int)t->root.pid);
	if (t->kind == TASK_KIND_STARTED && task_adopt(t) >= 0)
		return;
	task_watch(t);
}

/* In two steps, as what ends is told to somebody who isn't there yet while records are read. */
static void go_on_all(struct tasks *tasks)
{
	struct task_session *s, *next_session;
	struct task *t, *next;

	HASH_ITER(hh, tasks->sessions, s, next_session)
	{
		DL_FOREACH_SAFE(s->tasks, t, next)
		{
			if (!task_is_live(t))
				continue;
			go_on(t);
			if (t->was_interrupted || (t->kind == TASK_KIND_STARTED &&
						   tasks->settings->tasks_on_restart == TASKS_END))
				task_end(t, "restart");
		}
	}
}

static int check_settings(const struct settings *settings, struct fault *reterr)
{
	const char *url = settings->tasks_kill_url;

	if (url && strncmp(url, "http://", 7) != 0 && strncmp(url, "https://", 8) != 0)
		return fault_set(reterr, FAULT_BAD_REQUEST,
				 "tasks.kill_url: '%s' is no http or https URL", url);
	return 0;
}

int tasks_new(const struct tasks_deps *deps, const struct settings *settings, struct tasks **ret,
	      struct fault *reterr)
{
	scoped(tasks_freep) struct tasks *tasks = xcalloc(1, sizeof(*tasks));
	int r;

	tasks->deps = *deps;
	tasks->settings = settings;
	r = check_settings(settings, reterr);
	if (r < 0)
		return r;
	r = store_load(deps->store, RECORD_KIND_TASK, load_one, tasks, reterr);
	if (r < 0)
		return r;
	tasks->forget_timer = timer_new(deps->loop, on_forget, tasks);
	timer_set(tasks->forget_timer, 0);
	go_on_all(tasks);
	*ret = STEAL(tasks);
	return 0;
}

struct tasks *tasks_free(struct tasks *tasks)
{
	struct task_session *s, *next_session;
	struct task *t, *next;

	if (!tasks)
		return NULL;

	ops_forget(tasks);
	HASH_ITER(hh, tasks->sessions, s, next_session)
	{
		for (t = s->tasks; t; t = next) {
			next = t->next;
			task_free(t);
		}
	}
	DL_FOREACH_SAFE(tasks->strangers, t, next)
	task_free(t);
	endings_forget(tasks);
	timer_free(tasks->forget_timer);
	timer_free(tasks->tell_timer);
	free(tasks);
	return NULL;
}

int tasks_reload(struct tasks *tasks, const struct settings *settings, struct fault *reterr)
{
	int r = check_settings(settings, reterr);

	if (r < 0)
		return r;
	tasks->settings = settings;
	timer_set(tasks->forget_timer, 0);
	return 0;
}

/* Those that ended before anybody could hear of it are told in the loop's next step. */
static void tell_exits(void *arg)
{
	struct tasks *tasks = arg;
	struct task_session *s, *next_session;
	struct task *t, *next;

	HASH_ITER(hh, tasks->sessions, s, next_session)
	{
		DL_FOREACH_SAFE(s->tasks, t, next)
		{
			if (task_is_live(t) || !t->tells_exit)
				continue;
			t->tells_exit = false;
			tasks->on_exit(t->session_id, t->task_id, tasks->on_exit_arg);
		}
	}
}

void tasks_on_exit(struct tasks *tasks, tasks_exit_fn *fn, void *arg)
{
	tasks->on_exit = fn;
	tasks->on_exit_arg = arg;
	tasks->tell_timer = timer_free(tasks->tell_timer);
	tasks->tell_timer = timer_new(tasks->deps.loop, tell_exits, tasks);
	timer_set(tasks->tell_timer, 0);
}

/*
 * What the surfaces show.
 */
int tasks_list(struct tasks *tasks, const char *session_id, cJSON **ret)
{
	cJSON *j = cJSON_CreateObject(), *list = cJSON_AddArrayToObject(j, "tasks");
	struct task_session *s;
	struct task *t;

	HASH_FIND_STR(tasks->sessions, session_id, s);
	DL_FOREACH(s ? s->tasks : NULL, t)
	cJSON_AddItemToArray(list, task_view(t));
	*ret = j;
	return 0;
}

int tasks_get(struct tasks *tasks, const char *session_id, const char *task_id, cJSON **ret,
	      struct fault *reterr)
{
	struct task *t = task_find(tasks, session_id, task_id);

	if (!t)
		return fault_set(reterr, FAULT_TASK_NOT_FOUND, "session '%s' has no task '%s'",
				 session_id, task_id);
	*ret = task_view(t);
	return 0;
}

int tasks_log(struct tasks *tasks, const char *session_id, const char *task_id, bool follow,
	      const struct textlog_ops *ops, void *arg, struct textlog_reader **ret,
	      struct fault *reterr)
{
	struct task *t = task_find(tasks, session_id, task_id);

	if (!t)
		return fault_set(reterr, FAULT_TASK_NOT_FOUND, "session '%s' has no task '%s'",
				 session_id, task_id);
	if (!task_is_live(t))
		textlog_end(&t->log);
	*ret = textlog_read(&t->log, follow, ops, arg);
	return 0;
}
