/* SPDX-License-Identifier: MIT */
#include "loop/jobs.h"

#include "base/mem.h"

#include <errno.h>
#include <pthread.h>
#include <semaphore.h>
#include <setjmp.h>
#include <signal.h>
#include <stdarg.h>
#include <stdint.h>
#include <string.h>
/* cmocka wants setjmp.h and the two after it above it */
#include <cmocka.h>

struct fixture {
	struct loop *loop;
	struct jobs *jobs;
	sem_t begun, gate; /* of work that waits */
	unsigned n_wanted, n_done, n_freed;
	int results[64];
	pthread_t loop_thread;
	struct job *job;
};

struct input {
	struct fixture *f;
	int value;
};

static void fixture_init(struct fixture *f, unsigned threads, unsigned queue_max)
{
	memset(f, 0, sizeof(*f));
	f->loop = loop_new();
	assert_non_null(f->loop);
	f->jobs = jobs_new(f->loop, threads, queue_max);
	f->loop_thread = pthread_self();
	sem_init(&f->begun, 0, 0);
	sem_init(&f->gate, 0, 0);
}

static void fixture_done(struct fixture *f)
{
	f->jobs = jobs_free(f->jobs);
	f->loop = loop_free(f->loop);
	sem_destroy(&f->begun);
	sem_destroy(&f->gate);
}

static void wait_for(sem_t *sem)
{
	while (sem_wait(sem) < 0)
		;
}

static int give_value(void *arg)
{
	const struct input *input = arg;

	return input->value;
}

static int wait_at_gate(void *arg)
{
	const struct input *input = arg;

	sem_post(&input->f->begun);
	wait_for(&input->f->gate);
	return input->value;
}

static void free_input(void *arg)
{
	struct input *input = arg;

	assert_true(pthread_equal(pthread_self(), input->f->loop_thread));
	input->f->n_freed++;
	free(input);
}

static void on_done(int result, void *arg)
{
	struct fixture *f = arg;

	assert_true(pthread_equal(pthread_self(), f->loop_thread));
	f->results[f->n_done++] = result;
	if (f->n_done == f->n_wanted)
		loop_stop(f->loop);
}

static struct job *start(struct fixture *f, job_work_fn *work, int value, job_done_fn *done)
{
	struct input *input = xcalloc(1, sizeof(*input));
	struct job *job;

	input->f = f;
	input->value = value;
	job = job_start(f->jobs, work, input, free_input, done, f);
	if (!job)
		free(input);
	return job;
}

static void run_until(struct fixture *f, unsigned n_wanted)
{
	f->n_wanted = n_wanted;
	assert_int_equal(loop_run(f->loop), 0);
	assert_int_equal(f->n_done, n_wanted);
}

static void one_threads_jobs_are_done_in_order_each_with_its_result(void **state)
{
	struct fixture f;

	(void)state;
	fixture_init(&f, 1, 64);
	for (int i = 0; i < 32; i++)
		assert_non_null(start(&f, give_value, i == 7 ? -ENOENT : i, on_done));
	assert_int_equal(f.n_done, 0); /* never before job_start() has returned */
	run_until(&f, 32);
	for (int i = 0; i < 32; i++)
		assert_int_equal(f.results[i], i == 7 ? -ENOENT : i);
	fixture_done(&f);
	assert_int_equal(f.n_freed, 32);
}

static void as_many_run_at_once_as_there_are_threads(void **state)
{
	struct fixture f;

	(void)state;
	fixture_init(&f, 3, 8);
	for (int i = 0; i < 4; i++)
		assert_non_null(start(&f, wait_at_gate, i, on_done));
	for (int i = 0; i < 3; i++)
		wait_for(&f.begun);
	assert_int_equal(sem_trywait(&f.begun), -1);
	for (int i = 0; i < 4; i++)
		sem_post(&f.gate);
	run_until(&f, 4);
	fixture_done(&f);
}

static void a_full_queue_refuses_and_leaves_the_input_to_the_caller(void **state)
{
	struct fixture f;

	(void)state;
	fixture_init(&f, 1, 2);
	assert_non_null(start(&f, wait_at_gate, 0, on_done));
	assert_non_null(start(&f, wait_at_gate, 1, on_done));
	assert_non_null(start(&f, wait_at_gate, 2, on_done));
	assert_null(start(&f, wait_at_gate, 3, on_done));
	assert_int_equal(f.n_freed, 0);
	for (int i = 0; i < 3; i++)
		sem_post(&f.gate);
	run_until(&f, 3);
	assert_non_null(start(&f, give_value, 4, on_done));
	run_until(&f, 4);
	fixture_done(&f);
	assert_int_equal(f.n_freed, 4);
}

static void a_waiting_job_that_is_freed_never_runs(void **state)
{
	struct fixture f;
	struct job *waiting;

	(void)state;
	fixture_init(&f, 1, 4);
	assert_non_null(start(&f, wait_at_gate, 1, on_done));
	wait_for(&f.begun);
	waiting = start(&f, wait_at_gate, 2, on_done);
	assert_non_null(start(&f, give_value, 3, on_done));
	job_free(waiting);
	assert_int_equal(f.n_freed, 1);
	sem_post(&f.gate);
	run_until(&f, 2);
	assert_int_equal(f.results[0], 1);
	assert_int_equal(f.results[1], 3);
	assert_int_equal(sem_trywait(&f.begun), -1);
	fixture_done(&f);
	assert_int_equal(f.n_freed, 3);
}

static void a_running_job_that_is_freed_ends_without_a_word(void **state)
{
	struct fixture f;
	struct job *running;

	(void)state;
	fixture_init(&f, 1, 4);
	running = start(&f, wait_at_gate, 1, on_done);
	wait_for(&f.begun);
	job_free(running);
	assert_int_equal(f.n_freed, 0); /* the thread still works on it */
	assert_non_null(start(&f, give_value, 2, on_done));
	sem_post(&f.gate);
	run_until(&f, 1);
	assert_int_equal(f.results[0], 2);
	fixture_done(&f);
	assert_int_equal(f.n_freed, 2);
}

static void look_at_input(int result, void *arg)
{
	struct fixture *f = arg;

	assert_int_equal(f->n_freed, 0); /* not before `done` has returned */
	on_done(result, f);
}

static void the_input_lives_until_done_has_returned(void **state)
{
	struct fixture f;

	(void)state;
	fixture_init(&f, 1, 4);
	assert_non_null(start(&f, give_value, 5, look_at_input));
	run_until(&f, 1);
	assert_int_equal(f.n_freed, 1);
	fixture_done(&f);
}

static void free_own_handle(int result, void *arg)
{
	struct fixture *f = arg;

	f->job = job_free(f->job);
	on_done(result, f);
}

static void a_handle_may_be_freed_inside_done(void **state)
{
	struct fixture f;

	(void)state;
	fixture_init(&f, 1, 4);
	f.job = start(&f, give_value, 5, free_own_handle);
	run_until(&f, 1);
	assert_null(f.job);
	fixture_done(&f);
	assert_int_equal(f.n_freed, 1);
}

static void *open_gate_when_joining(void *arg)
{
	struct fixture *f = arg;
	const struct timespec while_ = { .tv_nsec = 50 * 1000000 };

	/* Most likely in jobs_free() by now; right in any case. */
	nanosleep(&while_, NULL);
	sem_post(&f->gate);
	return NULL;
}

static void freeing_the_pool_waits_for_what_runs_and_drops_what_waits(void **state)
{
	struct fixture f;
	pthread_t helper;

	(void)state;
	fixture_init(&f, 1, 4);
	assert_non_null(start(&f, wait_at_gate, 1, on_done));
	assert_non_null(start(&f, wait_at_gate, 2, on_done));
	wait_for(&f.begun);
	assert_int_equal(pthread_create(&helper, NULL, open_gate_when_joining, &f), 0);
	f.jobs = jobs_free(f.jobs);
	pthread_join(helper, NULL);
	assert_int_equal(sem_trywait(&f.gate), -1);
	fixture_done(&f);
	assert_int_equal(f.n_done, 0);
	assert_int_equal(f.n_freed, 2);
}

static int count_unblocked_signals(void *arg)
{
	sigset_t blocked;
	int n = 0;

	(void)arg;
	pthread_sigmask(SIG_SETMASK, NULL, &blocked);
	for (int s = 1; s < 32; s++)
		n += s != SIGKILL && s != SIGSTOP && !sigismember(&blocked, s);
	return n;
}

static void helper_threads_take_no_signals_and_the_loops_mask_stays(void **state)
{
	struct fixture f;
	sigset_t before, after;

	(void)state;
	fixture_init(&f, 1, 4);
	pthread_sigmask(SIG_SETMASK, NULL, &before);
	assert_non_null(start(&f, count_unblocked_signals, 0, on_done));
	pthread_sigmask(SIG_SETMASK, NULL, &after);
	run_until(&f, 1);
	assert_int_equal(f.results[0], 0);
	for (int s = 1; s < 32; s++)
		assert_int_equal(sigismember(&before, s), sigismember(&after, s));
	fixture_done(&f);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(one_threads_jobs_are_done_in_order_each_with_its_result),
		cmocka_unit_test(as_many_run_at_once_as_there_are_threads),
		cmocka_unit_test(a_full_queue_refuses_and_leaves_the_input_to_the_caller),
		cmocka_unit_test(a_waiting_job_that_is_freed_never_runs),
		cmocka_unit_test(a_running_job_that_is_freed_ends_without_a_word),
		cmocka_unit_test(the_input_lives_until_done_has_returned),
		cmocka_unit_test(a_handle_may_be_freed_inside_done),
		cmocka_unit_test(freeing_the_pool_waits_for_what_runs_and_drops_what_waits),
		cmocka_unit_test(helper_threads_take_no_signals_and_the_loops_mask_stays),
	};

	return cmocka_run_group_tests_name("jobs", tests, NULL, NULL);
}
