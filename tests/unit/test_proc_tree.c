/* SPDX-License-Identifier: MIT */
#include "proc/tree.h"

#include "proc_help.h"

static struct proc_tree *tree_of(pid_t root, const char *id, pid_t subreaper)
{
	struct pidref ref = PIDREF_NONE;
	struct proc_tree *t;

	if (root > 0)
		assert_int_equal(pidref_of(root, &ref), 0);
	t = proc_tree_new(
		&(struct proc_tree_settings){ .root = &ref, .mark = id, .subreaper = subreaper });
	pidref_done(&ref);
	return t;
}

static void end_other(const struct helper *h)
{
	kill(h->other, SIGKILL);
	while (runs(h->other))
		usleep(1000);
}

static bool has(const struct proc_tree *t, pid_t pid)
{
	const struct process *members;
	const size_t n = proc_tree_processes(t, &members);

	for (size_t i = 0; i < n; i++)
		if (members[i].pid == pid)
			return true;
	return false;
}

static void descendants_belong_and_others_in_the_group_do_not(void **state)
{
	struct helper h = helper_start("parent", NULL), other = helper_start("pause", NULL);
	scoped(proc_tree_freep) struct proc_tree *t = tree_of(h.pid, NULL, 0);

	(void)state;
	assert_int_equal(getpgid(other.pid), getpgid(h.pid));
	assert_int_equal(proc_tree_look(t), 2);
	assert_true(has(t, h.pid));
	assert_true(has(t, h.other));
	end_other(&h);
	helper_end(&h);
	helper_end(&other);
	assert_int_equal(proc_tree_look(t), 0);
}

static void a_lost_grandchild_is_found_by_its_mark(void **state)
{
	scoped(freep) char *longer = xasprintf("%sx", mark);
	struct helper h = helper_start("lost", mark), other = helper_start("pause", longer);
	scoped(proc_tree_freep) struct proc_tree *t = tree_of(0, task_mark, 0);
	scoped(proc_tree_freep) struct proc_tree *blind = tree_of(0, NULL, 0);

	(void)state;
	assert_int_equal(proc_tree_look(blind), 0);
	assert_int_equal(proc_tree_look(t), 1);
	assert_true(has(t, h.other));
	end_other(&h);
	helper_end(&h);
	helper_end(&other);
}

static void a_lost_grandchild_is_found_under_its_subreaper(void **state)
{
	struct helper h = helper_start("subreaper", NULL);
	scoped(proc_tree_freep) struct proc_tree *t = tree_of(0, NULL, h.pid);

	(void)state;
	assert_int_equal(proc_tree_look(t), 1);
	assert_true(has(t, h.other)); /* the subreaper itself is not of the tree */
	end_other(&h);
	helper_end(&h);
	assert_int_equal(proc_tree_look(t), 0);
}

static void who_was_seen_before_belongs_without_any_tie(void **state)
{
	struct helper h = helper_start("parent", NULL);
	scoped(proc_tree_freep) struct proc_tree *t = tree_of(h.pid, NULL, 0);

	(void)state;
	assert_int_equal(proc_tree_look(t), 2);
	helper_end(&h); /* the parent */
	assert_int_equal(proc_tree_look(t), 1);
	assert_true(has(t, h.other));
	end_other(&h);
	assert_int_equal(proc_tree_look(t), 0);
}

static void a_zombie_is_gone(void **state)
{
	struct helper h = helper_start("pause", mark);
	scoped(proc_tree_freep) struct proc_tree *t = tree_of(h.pid, task_mark, 0);

	(void)state;
	assert_int_equal(proc_tree_look(t), 1);
	kill(h.pid, SIGKILL);
	wait_for_state(h.pid, 'Z');
	assert_int_equal(proc_tree_look(t), 0);
	helper_end(&h);
}

static void a_root_whose_pid_was_reused_is_no_root(void **state)
{
	struct helper h = helper_start("pause", NULL);
	scoped(proc_tree_freep) struct proc_tree *t = NULL;
	struct pidref ref;

	(void)state;
	assert_int_equal(pidref_of(h.pid, &ref), 0);
	ref.start_time--;
	t = proc_tree_new(&(struct proc_tree_settings){ .root = &ref });
	pidref_done(&ref);
	assert_int_equal(proc_tree_look(t), 0);
	helper_end(&h);
}

/* In a child, because the mark must have been there at its execve. */
static int look_from_inside(void)
{
	struct proc_tree *t = tree_of(getppid(), getenv("PREVIEWD_TASK_MARK"), getppid());
	int r = proc_tree_look(t);
	const bool has_us = has(t, getpid()), has_parent = has(t, getppid());

	proc_tree_free(t);
	return r >= 0 && !has_us && !has_parent ? 0 : 1;
}

static void the_caller_and_its_ancestors_never_belong(void **state)
{
	pid_t pid = fork();
	int status;

	(void)state;
	if (pid == 0) {
		char *const argv[] = { (char[]){ "test" }, (char[]){ "inside" }, NULL };
		char *const env[] = { mark, NULL };

		execve("/proc/self/exe", argv, env);
		_exit(127);
	}
	assert_int_equal(waitpid(pid, &status, 0), pid);
	assert_int_equal(status, 0);
}

static void nobodys_tree_is_empty(void **state)
{
	scoped(proc_tree_freep) struct proc_tree *t = tree_of(0, "", 0);
	scoped(proc_tree_freep) struct proc_tree *first = tree_of(1, NULL, 0);

	(void)state;
	assert_int_equal(proc_tree_look(t), 0);
	assert_int_equal(proc_tree_look(first), 0); /* not pid 1, and nobody through it */
}

int main(int argc, char **argv)
{
	const struct CMUnitTest tests[] = {
		proc_test(descendants_belong_and_others_in_the_group_do_not),
		proc_test(a_lost_grandchild_is_found_by_its_mark),
		proc_test(a_lost_grandchild_is_found_under_its_subreaper),
		proc_test(who_was_seen_before_belongs_without_any_tie),
		proc_test(a_zombie_is_gone),
		proc_test(a_root_whose_pid_was_reused_is_no_root),
		proc_test(the_caller_and_its_ancestors_never_belong),
		proc_test(nobodys_tree_is_empty),
	};

	if (argc == 2 && strcmp(argv[1], "inside") == 0)
		return look_from_inside();
	helper_main(argc, argv);
	return cmocka_run_group_tests_name("proc tree", tests, NULL, NULL);
}
