/* SPDX-License-Identifier: MIT */
/* Holds, while changes are on their way to the store, and when the store fails. */
#include "registry_world.h"

#include <signal.h>
#include <sys/wait.h>

/* A process that does nothing until it is killed. */
static pid_t sleeper(void)
{
	pid_t pid = fork();

	assert_true(pid >= 0);
	if (pid == 0)
		for (;;)
			pause();
	return pid;
}

static void end_process(pid_t pid)
{
	kill(pid, SIGKILL);
	assert_int_equal(waitpid(pid, NULL, 0), pid);
}

static void hold_start(struct world *w, struct principal *p, const char *session_id, pid_t pid,
		       struct answer *a)
{
	const struct task_peer peer = { .is_unix = true, .uid = geteuid(), .pid = pid };
	const struct hold_params params = { 0 };
	scoped(fault_done) struct fault fault = { 0 };
	struct session_ref ref = ref_of(session_id);

	begun(a, registry_hold(w->reg, p, &peer, &ref, &params, on_answer, a, &fault), &fault);
}

static enum fault_code hold(struct world *w, struct principal *p, const char *session_id, pid_t pid)
{
	struct answer a = { 0 };

	hold_start(w, p, session_id, pid, &a);
	return finish(w, &a);
}

static double held(void)
{
	return metric_value(METRIC_HOLDS);
}

static void a_hold_that_the_store_refuses_is_none(void **state)
{
	struct world *w = *state;
	struct answer a = { 0 };
	pid_t pid = sleeper();

	w->gate->shut = true;
	hold_start(w, w->ann, "s1", pid, &a);
	wait_held(w, 1);
	gate_let(w->gate, -EIO);
	assert_int_equal(finish(w, &a), FAULT_STORE_UNAVAILABLE);
	gate_open(w->gate);
	assert_string_equal(session_member(w, "s1", "app_id"), "no session");
	assert_true(held() == 0);

	assert_int_equal(hold(w, w->ann, "s1", pid), FAULT_NONE);
	end_process(pid);
}

static void an_end_behind_a_hold_drops_it(void **state)
{
	struct world *w = *state;
	struct answer held_answer = { 0 }, ended = { 0 };
	pid_t pid = sleeper();

	attach(w, w->ann, "s1", "web", 5173);
	w->gate->shut = true;
	hold_start(w, w->ann, "s1", pid, &held_answer);
	wait_held(w, 1);
	end_start(w, w->ann, "s1", &ended);
	wait_held(w, 2);
	gate_open(w->gate);
	assert_int_equal(finish(w, &held_answer), FAULT_NONE);
	assert_int_equal(finish(w, &ended), FAULT_NONE);
	assert_true(held() == 0);

	/* And a new life of the session is held by nobody, nor after a restart. */
	attach(w, w->ann, "s1", "web", 5173);
	restart(w);
	end_process(pid);
	settle(w);
	assert_attached(w, w->ann, "s1", "web ");
}

static void a_hold_behind_an_end_holds_the_next_life(void **state)
{
	struct world *w = *state;
	struct answer held_answer = { 0 }, ended = { 0 };
	pid_t pid = sleeper();

	assert_int_equal(hold(w, w->ann, "s1", pid), FAULT_NONE);
	w->gate->shut = true;
	end_start(w, w->ann, "s1", &ended);
	wait_held(w, 1);
	hold_start(w, w->ann, "s1", pid, &held_answer);
	wait_held(w, 2);
	gate_open(w->gate);
	assert_int_equal(finish(w, &ended), FAULT_NONE);
	assert_int_equal(finish(w, &held_answer), FAULT_NONE);
	assert_true(held() == 1);

	attach(w, w->ann, "s1", "web", 5173);
	w->settings->sessions_grace = 0;
	restart(w); /* the record is the second hold's */
	assert_attached(w, w->ann, "s1", "web ");
	end_process(pid);
	wait_until(w, strcmp(attached(w, w->ann, "s1"), "web ") != 0);
	assert_attached(w, w->ann, "s1", "session_not_found");
}

static void an_end_that_the_store_refuses_is_tried_again(void **state)
{
	struct world *w = *state;
	pid_t pid = sleeper();

	w->settings->sessions_grace = 0;
	attach(w, w->ann, "s1", "web", 5173);
	assert_int_equal(hold(w, w->ann, "s1", pid), FAULT_NONE);
	w->gate->shut = true;
	end_process(pid);
	wait_held(w, 1);
	gate_let(w->gate, -EIO);
	settle(w);
	assert_attached(w, w->ann, "s1", "web ");
	gate_open(w->gate);
	wait_until(w, strcmp(attached(w, w->ann, "s1"), "web ") != 0);
	assert_attached(w, w->ann, "s1", "session_not_found");
	assert_true(held() == 0);
}

static void who_comes_back_while_the_last_is_gone_keeps_it(void **state)
{
	struct world *w = *state;
	pid_t first = sleeper(), second = sleeper();

	w->settings->sessions_grace = 3600 * USEC_PER_SEC;
	attach(w, w->ann, "s1", "web", 5173);
	assert_int_equal(hold(w, w->ann, "s1", first), FAULT_NONE);
	end_process(first);
	wait_until(w, held() == 0);
	assert_int_equal(hold(w, w->ann, "s1", second), FAULT_NONE);

	w->settings->sessions_grace = 0;
	restart(w); /* nothing is left of the first */
	settle(w);
	assert_attached(w, w->ann, "s1", "web ");
	assert_true(held() == 1);
	end_process(second);
	wait_until(w, strcmp(attached(w, w->ann, "s1"), "web ") != 0);
}

static void another_users_session_is_not_found(void **state)
{
	struct world *w = *state;
	pid_t pid = sleeper();

	attach(w, w->ann, "s1", "web", 5173);
	assert_int_equal(hold(w, w->bob, "s1", pid), FAULT_SESSION_NOT_FOUND);
	registry_drain(w->reg);
	assert_int_equal(hold(w, w->ann, "s1", pid), FAULT_DRAINING);
	end_process(pid);
}

#define test(name) cmocka_unit_test_setup_teardown(name, set_up, tear_down)

int main(void)
{
	const struct CMUnitTest tests[] = {
		test(a_hold_that_the_store_refuses_is_none),
		test(an_end_behind_a_hold_drops_it),
		test(a_hold_behind_an_end_holds_the_next_life),
		test(an_end_that_the_store_refuses_is_tried_again),
		test(who_comes_back_while_the_last_is_gone_keeps_it),
		test(another_users_session_is_not_found),
	};

	alarm(60);
	return cmocka_run_group_tests(tests, NULL, NULL);
}
