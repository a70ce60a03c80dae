/* SPDX-License-Identifier: MIT */
#include "proc/pidref.h"

#include "proc_help.h"

#include <pthread.h>
#include <sys/syscall.h>

static void a_process_is_read_whatever_it_calls_itself(void **state)
{
	struct process p;
	char before[16];

	(void)state;
	prctl(PR_GET_NAME, before);
	prctl(PR_SET_NAME, "a) Z 1 (b c");
	assert_int_equal(process_read(getpid(), &p), 0);
	prctl(PR_SET_NAME, before);
	assert_string_equal(p.command, "a) Z 1 (b c");
	assert_int_equal(p.state, 'R');
	assert_int_equal(p.ppid, getppid());
	assert_int_equal(p.pgrp, getpgrp());
	assert_int_equal(p.session, getsid(0));
	assert_int_equal(p.uid, geteuid());
	assert_int_equal(p.n_threads, 1);
	assert_false(p.is_kernel_thread);
	assert_true(p.start_time > 0);
}

static void what_is_no_process_is_not_found(void **state)
{
	static const pid_t none[] = { 0, -1, INT32_MAX };
	struct pidref ref;
	struct process p;

	(void)state;
	for (size_t i = 0; i < ARRAY_SIZE(none); i++) {
		assert_int_equal(pidref_of(none[i], &ref), -ESRCH);
		assert_int_equal(process_read(none[i], &p), -ESRCH);
	}
	ref = PIDREF_NONE;
	assert_false(pidref_is_alive(&ref));
	assert_int_equal(pidref_signal(&ref, SIGTERM), -ESRCH);
	pidref_done(&ref);
}

static void a_pid_that_came_to_another_process_is_refused(void **state)
{
	struct helper h = helper_start("pause", NULL);
	struct pidref ref, other;

	(void)state;
	assert_int_equal(pidref_of(h.pid, &ref), 0);
	assert_int_equal(pidref_find(h.pid, ref.start_time + 1, &other), -ESRCH);
	assert_int_equal(pidref_find(h.pid, ref.start_time, &other), 0);
	pidref_done(&other);

	/* And without a pidfd, as on old kernels. */
	other = (struct pidref){ .pid = h.pid, .fd = -1, .start_time = ref.start_time + 1 };
	assert_false(pidref_is_alive(&other));
	assert_int_equal(pidref_signal(&other, SIGKILL), -ESRCH);
	other.start_time = ref.start_time;
	assert_true(pidref_is_alive(&other));
	assert_true(runs(h.pid));
	pidref_done(&ref);
	helper_end(&h);
}

static void a_signal_reaches_it_and_a_zombie_counts_as_gone(void **state)
{
	struct helper h = helper_start("pause", NULL);
	struct pidref ref, again;
	siginfo_t info;
	struct process p;

	(void)state;
	assert_int_equal(pidref_of(h.pid, &ref), 0);
	assert_true(pidref_is_alive(&ref));
	assert_int_equal(pidref_signal(&ref, SIGTERM), 0);
	assert_int_equal(waitid(P_PID, (id_t)h.pid, &info, WEXITED | WNOWAIT), 0);

	assert_int_equal(process_read(h.pid, &p), 0);
	assert_int_equal(p.state, 'Z');
	assert_true(process_is_over(&p));
	assert_false(pidref_is_alive(&ref));
	assert_int_equal(pidref_signal(&ref, SIGTERM), -ESRCH);

	helper_end(&h);
	assert_int_equal(pidref_signal(&ref, SIGTERM), -ESRCH);
	assert_int_equal(pidref_find(ref.pid, ref.start_time, &again), -ESRCH);
	pidref_done(&ref);
}

static void *tell_and_pause(void *arg)
{
	(void)arg;
	helper_pause();
	return NULL;
}

static void a_process_whose_first_thread_ended_still_runs(void **state)
{
	struct pidref ref;
	struct process p;
	pid_t pid = fork();

	(void)state;
	if (pid == 0) {
		pthread_t thread;

		pthread_create(&thread, NULL, tell_and_pause, NULL);
		syscall(SYS_exit, 0);
	}
	wait_for_state(pid, 'Z');
	assert_int_equal(process_read(pid, &p), 0);
	assert_int_equal(p.n_threads, 2);
	assert_false(process_is_over(&p));
	assert_int_equal(pidref_of(pid, &ref), 0);
	assert_true(pidref_is_alive(&ref));
	assert_int_equal(pidref_signal(&ref, SIGKILL), 0);
	assert_int_equal(waitpid(pid, NULL, 0), pid);
	assert_false(pidref_is_alive(&ref));
	pidref_done(&ref);
}

static void the_list_has_everybody_in_the_order_of_pids(void **state)
{
	struct helper h = helper_start("parent", NULL);
	scoped(freep) struct process *all = NULL;
	size_t n, found = 0;

	(void)state;
	assert_int_equal(processes_read(&all, &n), 0);
	for (size_t i = 0; i < n; i++) {
		if (i > 0)
			assert_true(all[i - 1].pid < all[i].pid);
		found += all[i].pid == getpid() || all[i].pid == h.pid || all[i].pid == h.other;
	}
	assert_int_equal(found, 3);
	assert_true(process_descends(all, n, h.other, h.pid));
	assert_true(process_descends(all, n, h.other, getpid()));
	assert_false(process_descends(all, n, h.pid, h.other));
	kill(h.other, SIGKILL);
	helper_end(&h);
}

static void descent_goes_by_parents_and_ends_in_circles(void **state)
{
	static const struct process all[] = {
		{ .pid = 1, .ppid = 0 },  { .pid = 10, .ppid = 1 },  { .pid = 11, .ppid = 10 },
		{ .pid = 12, .ppid = 9 }, { .pid = 20, .ppid = 21 }, { .pid = 21, .ppid = 20 },
	};
	/* clang-format off */
	static const struct {
		pid_t pid, ancestor;
		bool descends;
	} rows[] = {
		{ 11, 10, true }, { 11, 1, true }, { 10, 11, false },
		{ 10, 10, false }, /* nobody is above itself */
		{ 12, 1, false }, /* its parent is gone */
		{ 12, 9, true },
		{ 20, 1, false },
		{ 99, 1, false },
	};
	/* clang-format on */

	(void)state;
	for (size_t i = 0; i < ARRAY_SIZE(rows); i++)
		assert_int_equal(
			process_descends(all, ARRAY_SIZE(all), rows[i].pid, rows[i].ancestor),
			rows[i].descends);
}

int main(int argc, char **argv)
{
	const struct CMUnitTest tests[] = {
		proc_test(a_process_is_read_whatever_it_calls_itself),
		proc_test(what_is_no_process_is_not_found),
		proc_test(a_pid_that_came_to_another_process_is_refused),
		proc_test(a_signal_reaches_it_and_a_zombie_counts_as_gone),
		proc_test(a_process_whose_first_thread_ended_still_runs),
		proc_test(the_list_has_everybody_in_the_order_of_pids),
		proc_test(descent_goes_by_parents_and_ends_in_circles),
	};

	helper_main(argc, argv);
	return cmocka_run_group_tests_name("pidref", tests, NULL, NULL);
}
