/* SPDX-License-Identifier: MIT */
#include "loop/loop.h"

#include "base/mem.h"
#include "loop/textlog.h"

#include <event2/event.h>
#include <fcntl.h>
#include <pthread.h>
#include <setjmp.h>
#include <signal.h>
#include <stdarg.h>
#include <stdint.h>
#include <stdio.h>
#include <string.h>
#include <sys/resource.h>
/* cmocka wants setjmp.h and the two after it above it */
#include <cmocka.h>

/* What was called, a letter a call. */
struct story {
	struct loop *loop;
	struct timer *timer;
	usec_t set_at, came_at;
	unsigned left;
	char text[32];
};

static void say(struct story *s, char letter)
{
	const size_t len = strlen(s->text);

	assert_true(len + 1 < sizeof(s->text));
	s->text[len] = letter;
}

static void say_a(void *arg)
{
	say(arg, 'a');
}

static void say_b(void *arg)
{
	say(arg, 'b');
}

static void stop(void *arg)
{
	struct story *s = arg;

	loop_stop(s->loop);
}

static void say_x_and_defer_a(void *arg)
{
	struct story *s = arg;

	loop_defer(s->loop, say_a, s);
	say(s, 'x');
}

static void deferred_calls_come_in_order_and_after_the_caller_returned(void **state)
{
	scoped(loop_freep) struct loop *loop = loop_new();
	struct story s = { .loop = loop };

	(void)state;
	loop_defer(loop, say_x_and_defer_a, &s);
	loop_defer(loop, say_b, &s);
	say(&s, '.');
	/* One turn to get behind the call that is deferred by the first. */
	loop_post(loop, stop, &s);
	assert_int_equal(loop_run(loop), 0);
	loop_defer(loop, stop, &s);
	assert_int_equal(loop_run(loop), 0);
	assert_string_equal(s.text, ".xba");
}

static void defer_again(void *arg)
{
	struct story *s = arg;

	if (s->left == 0)
		return;
	s->left--;
	loop_defer(s->loop, defer_again, s);
}

static void calls_that_defer_themselves_leave_other_events_their_turn(void **state)
{
	struct story s = { .left = 1000000 };
	scoped(loop_freep) struct loop *loop = loop_new(); /* its free makes the last call */

	(void)state;
	s.loop = loop;
	loop_defer(loop, defer_again, &s);
	loop_post(loop, stop, &s);
	assert_int_equal(loop_run(loop), 0);
	assert_in_range(s.left, 999000, 1000000);
	s.left = 0;
}

static void what_is_deferred_when_the_loop_is_freed_still_comes(void **state)
{
	struct loop *loop = loop_new();
	struct story s = { .loop = loop };

	(void)state;
	loop_defer(loop, say_x_and_defer_a, &s);
	loop_post(loop, say_b, &s);
	loop_free(loop);
	assert_string_equal(s.text, "xba");
}

static void a_stop_before_the_run_is_not_lost(void **state)
{
	scoped(loop_freep) struct loop *loop = loop_new();

	(void)state;
	loop_stop(loop);
	assert_int_equal(loop_run(loop), 0);
}

#define POSTERS 4
#define POSTS   10000

struct poster {
	struct loop *loop;
	pthread_t thread;
	unsigned *n_over;
	unsigned next;
};

struct post {
	struct poster *from;
	unsigned number;
};

static void on_post(void *arg)
{
	struct post *post = arg;
	struct poster *from = post->from;

	assert_int_equal(post->number, from->next);
	from->next++;
	if (from->next == POSTS && ++*from->n_over == POSTERS)
		loop_stop(from->loop);
	free(post);
}

static void *poster_main(void *arg)
{
	for (unsigned i = 0; i < POSTS; i++) {
		struct post *post = xcalloc(1, sizeof(*post));

		post->from = arg;
		post->number = i;
		loop_post(post->from->loop, on_post, post);
	}
	return NULL;
}

static void no_post_of_many_threads_is_lost_and_each_threads_order_holds(void **state)
{
	scoped(loop_freep) struct loop *loop = loop_new();
	struct poster posters[POSTERS];
	unsigned n_over = 0;

	(void)state;
	for (size_t i = 0; i < POSTERS; i++) {
		posters[i] = (struct poster){ .loop = loop, .n_over = &n_over };
		assert_int_equal(pthread_create(&posters[i].thread, NULL, poster_main, &posters[i]),
				 0);
	}
	assert_int_equal(loop_run(loop), 0);
	for (size_t i = 0; i < POSTERS; i++)
		pthread_join(posters[i].thread, NULL);
	assert_int_equal(n_over, POSTERS);
}

static void free_timer_and_stop(void *arg)
{
	struct story *s = arg;

	s->came_at = clock_monotonic();
	s->timer = timer_free(s->timer);
	loop_stop(s->loop);
}

static void a_timer_is_never_early_and_may_be_freed_in_its_own_callback(void **state)
{
	scoped(loop_freep) struct loop *loop = loop_new();
	struct story s = { .loop = loop };

	(void)state;
	for (unsigned i = 0; i < 20; i++) {
		const usec_t after = i * USEC_PER_MSEC / 2;

		s.timer = timer_new(loop, free_timer_and_stop, &s);
		s.set_at = clock_monotonic();
		timer_set(s.timer, after);
		assert_true(timer_is_set(s.timer));
		assert_int_equal(loop_run(loop), 0);
		assert_true(s.came_at - s.set_at >= after);
		assert_null(s.timer);
	}
}

static void set_again_until_third(void *arg)
{
	struct story *s = arg;

	assert_false(timer_is_set(s->timer));
	say(s, 't');
	if (strlen(s->text) == 3)
		loop_stop(s->loop);
	else
		timer_set(s->timer, 0);
}

static void a_timer_is_of_one_shot_and_may_be_set_again_in_its_callback(void **state)
{
	scoped(loop_freep) struct loop *loop = loop_new();
	struct story s = { .loop = loop };
	scoped(timer_freep) struct timer *t = timer_new(loop, set_again_until_third, &s);

	(void)state;
	s.timer = t;
	timer_set(t, 0);
	assert_int_equal(loop_run(loop), 0);
	assert_string_equal(s.text, "ttt");
}

static void a_cancelled_or_put_off_timer_does_not_come(void **state)
{
	scoped(loop_freep) struct loop *loop = loop_new();
	struct story s = { .loop = loop };
	scoped(timer_freep) struct timer *cancelled = timer_new(loop, say_a, &s);
	scoped(timer_freep) struct timer *put_off = timer_new(loop, say_b, &s);
	scoped(timer_freep) struct timer *never = timer_new(loop, say_b, &s);
	scoped(timer_freep) struct timer *last = timer_new(loop, stop, &s);

	(void)state;
	timer_set(cancelled, 0);
	timer_set(put_off, 0);
	timer_set(never, 0);
	timer_set(last, USEC_PER_MSEC);
	timer_cancel(cancelled);
	assert_false(timer_is_set(cancelled));
	timer_set(put_off, USEC_INFINITY - 1);
	timer_set(never, USEC_INFINITY);
	assert_true(timer_is_set(put_off));
	assert_false(timer_is_set(never));
	assert_int_equal(loop_run(loop), 0);
	assert_string_equal(s.text, "");
}

static void free_other_and_stop(void *arg)
{
	struct story *s = arg;

	s->timer = timer_free(s->timer);
	loop_defer(s->loop, stop, s);
}

static void a_due_timer_freed_by_another_does_not_come(void **state)
{
	scoped(loop_freep) struct loop *loop = loop_new();
	struct story s = { .loop = loop };
	scoped(timer_freep) struct timer *first = timer_new(loop, free_other_and_stop, &s);
	const struct timespec past_both = { .tv_nsec = 20 * 1000000 };

	(void)state;
	s.timer = timer_new(loop, say_a, &s);
	timer_set(first, 0);
	timer_set(s.timer, 1);
	nanosleep(&past_both, NULL);
	assert_int_equal(loop_run(loop), 0);
	assert_string_equal(s.text, "");
}

static void on_signal(int signal, void *arg)
{
	struct story *s = arg;

	say(s, signal == SIGUSR1 ? '1' : '?');
	if (strlen(s->text) < 2)
		raise(SIGUSR1);
	else
		loop_stop(s->loop);
}

static void each_arrival_of_a_signal_is_told(void **state)
{
	scoped(loop_freep) struct loop *loop = loop_new();
	struct story s = { .loop = loop };

	(void)state;
	assert_int_equal(loop_on_signal(loop, SIGUSR1, on_signal, &s), 0);
	raise(SIGUSR1);
	assert_int_equal(loop_run(loop), 0);
	assert_string_equal(s.text, "11");
}

static void *stop_after_a_while(void *arg)
{
	const struct timespec while_ = { .tv_nsec = 200 * 1000000 };

	nanosleep(&while_, NULL);
	loop_post(((struct story *)arg)->loop, stop, arg);
	return NULL;
}

static long switches_of_this_thread(void)
{
	struct rusage usage;

	getrusage(RUSAGE_THREAD, &usage);
	return usage.ru_nvcsw;
}

static void an_idle_loop_sleeps(void **state)
{
	scoped(loop_freep) struct loop *loop = loop_new();
	struct story s = { .loop = loop };
	pthread_t thread;
	long before;

	(void)state;
	assert_int_equal(pthread_create(&thread, NULL, stop_after_a_while, &s), 0);
	before = switches_of_this_thread();
	assert_int_equal(loop_run(loop), 0);
	assert_in_range(switches_of_this_thread() - before, 1, 3);
	pthread_join(thread, NULL);
}

static void its_descriptors_are_close_on_exec(void **state)
{
	bool open_before[64];
	int n_new = 0;

	(void)state;
	for (int fd = 0; fd < 64; fd++)
		open_before[fd] = fcntl(fd, F_GETFD) >= 0;
	scoped(loop_freep) struct loop *loop = loop_new();
	assert_non_null(loop);
	for (int fd = 0; fd < 64; fd++) {
		const int flags = fcntl(fd, F_GETFD);

		if (flags < 0 || open_before[fd])
			continue;
		n_new++;
		assert_true(flags & FD_CLOEXEC);
	}
	assert_true(n_new >= 2); /* epoll and the eventfd */
}

static void a_textlog_has_the_last_of_what_was_written(void **state)
{
	struct loop *loop = loop_new();
	struct textlog r;

	(void)state;
	textlog_init(&r, loop);
	for (unsigned i = 0; i < 1000; i++) {
		char text[16];
		int len = snprintf(text, sizeof(text), "%05u\n", i);

		textlog_add(&r, 100, text, (size_t)len);
		assert_true(r.len <= 125);
		assert_int_equal(textlog_total(&r), (i + 1) * 6);
	}
	assert_true(r.len >= 100);
	assert_memory_equal(r.data + r.len - 12, "00998\n00999\n", 12);

	textlog_add(&r, 4, "abcdefgh", 8);
	assert_int_equal(r.len, 4);
	assert_memory_equal(r.data, "efgh", 4);
	assert_int_equal(textlog_total(&r), 6008);
	textlog_done(&r);
	loop_free(loop);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(deferred_calls_come_in_order_and_after_the_caller_returned),
		cmocka_unit_test(calls_that_defer_themselves_leave_other_events_their_turn),
		cmocka_unit_test(what_is_deferred_when_the_loop_is_freed_still_comes),
		cmocka_unit_test(a_stop_before_the_run_is_not_lost),
		cmocka_unit_test(no_post_of_many_threads_is_lost_and_each_threads_order_holds),
		cmocka_unit_test(a_timer_is_never_early_and_may_be_freed_in_its_own_callback),
		cmocka_unit_test(a_timer_is_of_one_shot_and_may_be_set_again_in_its_callback),
		cmocka_unit_test(a_cancelled_or_put_off_timer_does_not_come),
		cmocka_unit_test(a_due_timer_freed_by_another_does_not_come),
		cmocka_unit_test(each_arrival_of_a_signal_is_told),
		cmocka_unit_test(an_idle_loop_sleeps),
		cmocka_unit_test(a_textlog_has_the_last_of_what_was_written),
		cmocka_unit_test(its_descriptors_are_close_on_exec),
	};

	return cmocka_run_group_tests_name("loop", tests, NULL, NULL);
}
