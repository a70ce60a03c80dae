/* SPDX-License-Identifier: MIT */
/* What the server is made of: deadlines of one length, and rooms. */
#include "socketio/deadlines.h"

#include <event2/event.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stdint.h>
#include <stdlib.h>
#include <string.h>
/* cmocka wants the four above it */
#include <cmocka.h>

#include "base/mem.h"
#include "socketio/rooms.h"

struct due {
	struct deadlines *again; /* where it is set once more */
	struct deadline deadline;
	unsigned times;
};

static void on_due(struct deadline *d, void *arg)
{
	struct due *due = container_of(d, struct due, deadline);
	unsigned *order = arg;

	assert_false(deadline_is_set(d));
	due->times = ++*order;
	if (due->again)
		deadline_set(STEAL(due->again), d);
}

static void turn_until(struct loop *loop, const unsigned *order, unsigned n)
{
	while (*order < n)
		assert_int_equal(event_base_loop(loop_base(loop), EVLOOP_ONCE), 0);
}

static void deadlines_come_in_the_order_they_were_set(void **state)
{
	scoped(loop_freep) struct loop *loop = loop_new();
	struct due due[4] = { 0 };
	unsigned order = 0;
	scoped(deadlines_freep) struct deadlines *list =
		deadlines_new(loop, 5 * USEC_PER_MSEC, on_due, &order);
	usec_t begun = clock_monotonic();

	(void)state;
	for (size_t i = 0; i < 4; i++)
		deadline_set(list, &due[i].deadline);
	deadline_set(list, &due[0].deadline); /* now behind the others */
	deadline_cancel(&due[2].deadline);
	due[1].again = list;
	turn_until(loop, &order, 4);

	assert_true(clock_monotonic() - begun >= 10 * USEC_PER_MSEC);
	assert_int_equal(due[3].times, 2);
	assert_int_equal(due[0].times, 3);
	assert_int_equal(due[1].times, 4); /* for the second time */
	assert_int_equal(due[2].times, 0);
}

static void what_is_due_need_not_wait_for_the_timer(void **state)
{
	scoped(loop_freep) struct loop *loop = loop_new();
	struct due early = { 0 }, late = { 0 }; /* the list lets go of them before they end */
	unsigned order = 0;
	scoped(deadlines_freep) struct deadlines *list =
		deadlines_new(loop, USEC_PER_SEC, on_due, &order);

	(void)state;
	deadline_set_at(list, &early.deadline, clock_monotonic());
	deadline_set(list, &late.deadline);
	deadlines_run(list);
	assert_int_equal(early.times, 1);
	assert_int_equal(late.times, 0);
	assert_true(deadline_is_set(&late.deadline));
}

static void a_list_that_is_freed_lets_go(void **state)
{
	scoped(loop_freep) struct loop *loop = loop_new();
	unsigned order = 0;
	struct deadlines *list = deadlines_new(loop, 0, on_due, &order);
	struct due due = { 0 };

	(void)state;
	deadline_set(list, &due.deadline);
	deadlines_free(list);
	assert_false(deadline_is_set(&due.deadline));
}

/* The members of a room as a set of letters, in any order. */
static unsigned set_of(const struct rooms *rooms, const char *room)
{
	const struct room_member *members;
	size_t n = rooms_members(rooms, room, &members);
	unsigned set = 0;

	for (size_t i = 0; i < n; i++) {
		unsigned bit = 1u << (*(const char *)members[i].member - 'a');

		assert_false(set & bit);
		set |= bit;
	}
	return set;
}

/* Against a plain model, through a few thousand steps. */
static void rooms_hold_who_joined_and_has_not_left(void **state)
{
	static char names[] = "abcdefgh";
	static const char *const room_names[] = { "one", "two", "three" };
	scoped(rooms_freep) struct rooms *rooms = rooms_new();
	struct membership *lists[8] = { NULL };
	unsigned model[3] = { 0 };
	unsigned random = 1;

	(void)state;
	for (unsigned step = 0; step < 5000; step++) {
		unsigned who, room;

		random = random * 1103515245 + 12345;
		who = random >> 16 & 7;
		room = (random >> 20) % 3;
		switch (random >> 24 & 7) {
		case 0:
			rooms_leave_all(rooms, &lists[who]);
			for (unsigned i = 0; i < 3; i++)
				model[i] &= ~(1u << who);
			break;
		case 1:
		case 2:
			assert_int_equal(rooms_leave(rooms, &lists[who], room_names[room]),
					 model[room] >> who & 1);
			model[room] &= ~(1u << who);
			break;
		default:
			assert_int_not_equal(
				rooms_join(rooms, &lists[who], room_names[room], &names[who]),
				model[room] >> who & 1);
			model[room] |= 1u << who;
			break;
		}
		assert_int_equal(rooms_have(lists[who], room_names[room]), model[room] >> who & 1);
		for (unsigned i = 0; i < 3; i++)
			assert_int_equal(set_of(rooms, room_names[i]), model[i]);
	}
	for (unsigned i = 0; i < 8; i++)
		rooms_leave_all(rooms, &lists[i]);
}

int main(void)
{
	static const struct CMUnitTest tests[] = {
		cmocka_unit_test(deadlines_come_in_the_order_they_were_set),
		cmocka_unit_test(what_is_due_need_not_wait_for_the_timer),
		cmocka_unit_test(a_list_that_is_freed_lets_go),
		cmocka_unit_test(rooms_hold_who_joined_and_has_not_left),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
