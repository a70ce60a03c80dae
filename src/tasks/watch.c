/* SPDX-License-Identifier: MIT */
/*
 * How the end of a task is seen: its first process ends, and then it is looked for what that one
 * left behind, until nothing is there any more.
 */

#include "base/log.h"
#include "base/mem.h"
#include "tasks/tasks_priv.h"

LOG_AREA("tasks");

/* A server that put itself into the background may stay for days. */
#define LOOK_FIRST (200 * USEC_PER_MSEC)
#define LOOK_MOST  (5 * USEC_PER_SEC)

#define SETTLE_TIME USEC_PER_SEC

struct look {
	struct proc_tree *tree;
};

static int look_work(void *input)
{
	const struct look *look = input;

	return proc_tree_look(look->tree);
}

static void look_free(void *input)
{
	struct look *look = input;

	proc_tree_free(look->tree);
	free(look);
}

static void look(void *arg);

static void look_later(struct task *t)
{
	t->look_after = t->look_after == 0 ? LOOK_FIRST : t->look_after * 2;
	if (t->look_after > LOOK_MOST)
		t->look_after = LOOK_MOST;
	if (!t->look_again)
		t->look_again = timer_new(t->tasks->deps.loop, look, t);
	timer_set(t->look_again, t->look_after);
}

static void on_looked(int result, void *arg)
{
	struct task *t = arg;

	t->look = NULL;
	if (result < 0)
		log_warning_errno(result, "session '%s': task '%s': cannot see its processes",
				  t->session_id, t->task_id);
	if (t->state != TASK_RUNNING)
		return; /* whoever is ending it will see */
	if (result == 0)
		task_has_ended(t);
	else
		look_later(t);
}

static void look(void *arg)
{
	struct task *t = arg;
	struct look *input = xcalloc(1, sizeof(*input));

	input->tree = task_tree(t);
	t->look = job_start(t->tasks->deps.jobs, look_work, input, look_free, on_looked, t);
	if (t->look)
		return;
	look_free(input);
	look_later(t);
}

void task_root_ended(struct task *t)
{
	t->root_has_ended = true;
	t->watch = proc_watch_free(t->watch);
	if (t->state == TASK_RUNNING)
		look(t);
}

static void on_root_gone(void *arg)
{
	task_root_ended(arg);
}

void task_watch(struct task *t)
{
	t->watch = proc_watch_new(t->tasks->deps.loop, &t->root, on_root_gone, t);
}

static void on_settled(void *arg)
{
	struct task *t = arg;

	t->child = child_free(t->child);
}

/* What its last processes wrote may still be on its way: its pipe is closed a little later. */
void task_let_go(struct task *t)
{
	if (!t->child || !t->root_has_ended)
		return;
	timer_free(t->look_again);
	t->look_again = timer_new(t->tasks->deps.loop, on_settled, t);
	timer_set(t->look_again, SETTLE_TIME);
}

void task_watch_stop(struct task *t)
{
	t->watch = proc_watch_free(t->watch);
	t->look = job_free(t->look);
	t->look_again = timer_free(t->look_again);
}
