/* SPDX-License-Identifier: MIT */
#include "proc/tree.h"

#include "proc_help.h"

#include "loop/jobs.h"
#include "loop/loop.h"

#include <grp.h>

#define LONG   (20 * USEC_PER_SEC) /* a grace that no passing test waits for */
#define SHORT  (200 * USEC_PER_MSEC)
#define NOBODY 65534

struct world {
	struct loop *loop;
	struct jobs *jobs;
	unsigned n_wanted, n_done;
};

struct ending {
	struct world *w;
	struct proc_kill *kill;
	bool is_done;
	size_t ended, n_left;
	pid_t left; /* the first */
	usec_t took;
};

static void world_init(struct world *w)
{
	*w = (struct world){ .loop = loop_new() };
	w->jobs = jobs_new(w->loop, 2, 16);
}

static void world_done(struct world *w)
{
	jobs_free(w->jobs);
	loop_free(w->loop);
}

static void on_done(const struct proc_kill_result *result, void *arg)
{
	struct ending *e = arg;

	assert_false(e->is_done);
	e->is_done = true;
	e->ended = result->ended;
	e->n_left = result->n_left;
	e->left = result->n_left ? result->left[0].pid : 0;
	e->took = clock_monotonic() - e->took;
	e->kill = proc_kill_free(e->kill);
	if (++e->w->n_done == e->w->n_wanted)
		loop_stop(e->w->loop);
}

static void start(struct world *w, struct ending *e, const struct proc_tree_settings *settings,
		  usec_t grace)
{
	*e = (struct ending){ .w = w, .took = clock_monotonic() };
	e->kill = proc_kill_start(w->loop, w->jobs, proc_tree_new(settings), grace, on_done, e);
	assert_false(e->is_done); /* never before the call returns */
	w->n_wanted++;
}

static void run(struct world *w)
{
	assert_int_equal(loop_run(w->loop), 0);
	assert_int_equal(w->n_done, w->n_wanted);
}

static void start_by_pid(struct world *w, struct ending *e, pid_t pid, usec_t grace)
{
	struct pidref root;

	assert_int_equal(pidref_of(pid, &root), 0);
	start(w, e, &(struct proc_tree_settings){ .root = &root }, grace);
	pidref_done(&root);
}

static struct ending end_tree(const struct proc_tree_settings *settings, usec_t grace)
{
	struct world w;
	struct ending e;

	world_init(&w);
	start(&w, &e, settings, grace);
	run(&w);
	world_done(&w);
	return e;
}

/* Ends all of one helper, by its root (unless it is gone) and its mark. */
static struct ending end_helper(const struct helper *h, usec_t grace)
{
	struct pidref root = PIDREF_NONE;
	struct ending e;

	(void)!pidref_of(h->pid, &root);
	e = end_tree(&(struct proc_tree_settings){ .root = &root, .mark = task_mark }, grace);
	pidref_done(&root);
	return e;
}

static int status_of(struct helper *h)
{
	int status = -1;

	assert_int_equal(waitpid(h->pid, &status, 0), h->pid);
	close(h->out);
	return status;
}

static void a_polite_tree_is_gone_before_the_grace_and_its_group_lives(void **state)
{
	struct helper h = helper_start("parent", NULL), other = helper_start("pause", NULL);
	struct ending e = end_helper(&h, LONG);

	(void)state;
	assert_int_equal(e.ended, 2);
	assert_int_equal(e.n_left, 0);
	assert_true(e.took < LONG);
	assert_true(all_ended(&h));
	assert_int_equal(WTERMSIG(status_of(&h)), SIGTERM);

	assert_int_equal(getpgid(other.pid), getpgrp());
	assert_true(runs(other.pid));
	helper_end(&other);
}

static void a_lost_grandchild_goes_too(void **state)
{
	struct helper h = helper_start("lost", mark);
	struct ending e = end_helper(&h, LONG);

	(void)state;
	assert_int_equal(e.ended, 1);
	assert_int_equal(e.n_left, 0);
	assert_true(all_ended(&h));
	helper_end(&h);
}

static void under_a_subreaper_no_mark_is_needed(void **state)
{
	struct helper h = helper_start("subreaper", NULL);
	struct ending e = end_tree(&(struct proc_tree_settings){ .subreaper = h.pid }, LONG);

	(void)state;
	assert_int_equal(e.ended, 1);
	assert_int_equal(e.n_left, 0);
	assert_false(runs(h.other));
	assert_true(runs(h.pid)); /* it only looks after them */
	helper_end(&h);
}

static void who_ignores_sigterm_is_killed_after_the_grace(void **state)
{
	struct helper h = helper_start("deaf", NULL);
	struct ending e = end_helper(&h, SHORT);

	(void)state;
	assert_true(e.took >= SHORT);
	assert_int_equal(e.ended, 1);
	assert_int_equal(e.n_left, 0);
	assert_int_equal(WTERMSIG(status_of(&h)), SIGKILL);
}

static void a_deaf_lost_grandchild_of_a_living_parent_is_killed(void **state)
{
	struct helper h = helper_start("loses-deaf", mark);
	struct ending e = end_helper(&h, SHORT);

	(void)state;
	assert_int_equal(e.ended, 2);
	assert_int_equal(e.n_left, 0);
	assert_true(all_ended(&h));
	assert_int_equal(WTERMSIG(status_of(&h)), SIGTERM);
}

static void a_stopped_process_comes_to_its_sigterm(void **state)
{
	struct helper h = helper_start("stopped", NULL);
	struct ending e;

	(void)state;
	wait_for_state(h.pid, 'T');
	e = end_helper(&h, LONG);
	assert_int_equal(e.ended, 1);
	assert_true(e.took < LONG);
	assert_int_equal(WTERMSIG(status_of(&h)), SIGTERM);
}

static void who_forks_at_each_sigterm_is_ended(void **state)
{
	struct helper h = helper_start("respawn", mark);
	struct ending e = end_helper(&h, LONG);

	(void)state;
	assert_int_equal(e.n_left, 0);
	assert_int_equal(e.ended, 51);
	assert_true(all_ended(&h));
	helper_end(&h);
}

static void who_runs_from_child_to_child_is_caught(void **state)
{
	struct helper h = helper_start("runaway", mark);
	struct ending e = end_helper(&h, SHORT);

	(void)state;
	assert_int_equal(e.n_left, 0);
	assert_true(all_ended(&h));
	helper_end(&h);
}

static void no_grace_is_sigkill_at_once(void **state)
{
	struct helper h = helper_start("pause", NULL);
	struct ending e = end_helper(&h, 0);

	(void)state;
	assert_int_equal(e.ended, 1);
	assert_int_equal(WTERMSIG(status_of(&h)), SIGKILL);
}

static void a_tree_that_is_gone_already_is_done_with_nothing(void **state)
{
	struct helper h = helper_start("pause", NULL);
	struct pidref root;
	struct ending e;

	(void)state;
	assert_int_equal(pidref_of(h.pid, &root), 0);
	kill(h.pid, SIGKILL);
	wait_for_state(h.pid, 'Z'); /* and nobody reaps it yet */
	e = end_tree(&(struct proc_tree_settings){ .root = &root }, LONG);
	pidref_done(&root);
	assert_int_equal(e.ended + e.n_left, 0);
	helper_end(&h);
}

static void a_reused_pid_is_not_killed(void **state)
{
	struct helper h = helper_start("pause", NULL);
	struct pidref root;
	struct ending e;

	(void)state;
	assert_int_equal(pidref_of(h.pid, &root), 0);
	root.start_time--;
	e = end_tree(&(struct proc_tree_settings){ .root = &root }, 0);
	pidref_done(&root);
	assert_int_equal(e.ended + e.n_left, 0);
	assert_true(runs(h.pid));
	helper_end(&h);
}

static void a_stuck_killing_delays_no_other(void **state)
{
	struct helper deaf = helper_start("deaf", NULL), polite[8];
	struct ending stuck, endings[ARRAY_SIZE(polite)];
	struct world w;

	(void)state;
	world_init(&w);
	start_by_pid(&w, &stuck, deaf.pid, LONG);
	w.n_wanted = 0; /* it isn't waited for */
	for (size_t i = 0; i < ARRAY_SIZE(polite); i++) {
		polite[i] = helper_start("pause", NULL);
		start_by_pid(&w, &endings[i], polite[i].pid, LONG);
	}
	run(&w);
	assert_false(stuck.is_done);
	assert_true(runs(deaf.pid));
	stuck.kill = proc_kill_free(stuck.kill); /* and it stops where it is */
	for (size_t i = 0; i < ARRAY_SIZE(polite); i++) {
		assert_int_equal(endings[i].ended, 1);
		helper_end(&polite[i]);
	}
	world_done(&w);
	assert_true(runs(deaf.pid));
	helper_end(&deaf);
}

static void a_killing_may_be_freed_while_it_looks(void **state)
{
	struct helper h = helper_start("deaf", NULL);
	struct world w;
	struct ending e;

	(void)state;
	world_init(&w);
	start_by_pid(&w, &e, h.pid, LONG);
	e.kill = proc_kill_free(e.kill);
	world_done(&w);
	assert_false(e.is_done);
	assert_true(runs(h.pid));
	helper_end(&h);
}

/* As another user, in a child: what is root's cannot be ended, and is told. */
static int end_anothers(pid_t pid)
{
	struct pidref root;
	struct world w;
	struct ending e;
	int r;

	if (setgroups(0, NULL) < 0 || setgid(NOBODY) < 0 || setuid(NOBODY) < 0 ||
	    pidref_of(pid, &root) < 0)
		return 2;
	world_init(&w);
	start(&w, &e, &(struct proc_tree_settings){ .root = &root }, SHORT);
	pidref_done(&root);
	r = loop_run(w.loop);
	world_done(&w);
	return r == 0 && e.ended == 0 && e.n_left == 1 && e.left == pid ? 0 : 1;
}

static void what_is_another_users_is_told_as_left(void **state)
{
	struct helper h;
	int status;
	pid_t pid;

	(void)state;
	if (geteuid() != 0) {
		print_message("# needs root, to become somebody else\n");
		skip();
	}
	h = helper_start("pause", NULL);
	pid = fork();
	if (pid == 0)
		_exit(end_anothers(h.pid));
	assert_int_equal(waitpid(pid, &status, 0), pid);
	assert_int_equal(status, 0);
	assert_true(runs(h.pid));
	helper_end(&h);
}

int main(int argc, char **argv)
{
	const struct CMUnitTest tests[] = {
		proc_test(a_polite_tree_is_gone_before_the_grace_and_its_group_lives),
		proc_test(a_lost_grandchild_goes_too),
		proc_test(under_a_subreaper_no_mark_is_needed),
		proc_test(who_ignores_sigterm_is_killed_after_the_grace),
		proc_test(a_deaf_lost_grandchild_of_a_living_parent_is_killed),
		proc_test(a_stopped_process_comes_to_its_sigterm),
		proc_test(who_forks_at_each_sigterm_is_ended),
		proc_test(who_runs_from_child_to_child_is_caught),
		proc_test(no_grace_is_sigkill_at_once),
		proc_test(a_tree_that_is_gone_already_is_done_with_nothing),
		proc_test(a_reused_pid_is_not_killed),
		proc_test(a_stuck_killing_delays_no_other),
		proc_test(a_killing_may_be_freed_while_it_looks),
		proc_test(what_is_another_users_is_told_as_left),
	};

	helper_main(argc, argv);
	return cmocka_run_group_tests_name("proc kill", tests, NULL, NULL);
}
