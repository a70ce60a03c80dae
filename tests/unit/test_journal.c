/* SPDX-License-Identifier: MIT */
/* The recent past of a session: what it holds, and that it says so when it doesn't. */
#include <errno.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stdint.h>
#include <stdio.h>
#include <string.h>
/* cmocka wants the three above it */
#include <cmocka.h>

#include "base/mem.h"
#include "bus/journal.h"

static void append(struct journal *j, uint64_t seq)
{
	scoped(event_unrefp) struct event *e = xcalloc(1, sizeof(*e));

	e->refs = 1;
	e->seq = seq;
	e->payload = bytes_new("{}", 2);
	journal_append(j, e);
}

static void append_range(struct journal *j, uint64_t first, uint64_t last)
{
	for (uint64_t seq = first; seq <= last; seq++)
		append(j, seq);
}

static void note(struct event *e, void *arg)
{
	char *seen = arg;

	sprintf(seen + strlen(seen), "%d ", (int)e->seq);
}

#define assert_since(j, seen, result, expected)                                      \
	do {                                                                         \
		char text_[4096] = "";                                               \
		assert_int_equal(journal_since((j), (seen), note, text_), (result)); \
		assert_string_equal(text_, (expected));                              \
	} while (0)

static void of_an_empty_journal_nothing_is_known(void **state)
{
	scoped(journal_freep) struct journal *j = journal_new(3);

	(void)state;
	assert_since(j, 0, -ESTALE, "");
	assert_since(j, UINT64_MAX, -ESTALE, "");
	assert_int_equal(journal_bytes(j), 0);
}

static void visits_what_came_after_oldest_first(void **state)
{
	scoped(journal_freep) struct journal *j = journal_new(10);

	(void)state;
	append_range(j, 1, 4);
	assert_since(j, 0, 4, "1 2 3 4 ");
	assert_since(j, 2, 2, "3 4 ");
	assert_since(j, 4, 0, "");
}

static void says_stale_once_something_is_gone(void **state)
{
	scoped(journal_freep) struct journal *j = journal_new(3);

	(void)state;
	append_range(j, 1, 4);
	assert_since(j, 0, -ESTALE, "");
	assert_since(j, 1, 3, "2 3 4 ");
}

static void one_that_begins_late_knows_nothing_before(void **state)
{
	scoped(journal_freep) struct journal *j = journal_new(3);

	(void)state;
	append(j, 1001);
	assert_since(j, 999, -ESTALE, "");
	assert_since(j, 1000, 1, "1001 ");
}

static void refuses_numbers_of_the_future(void **state)
{
	scoped(journal_freep) struct journal *j = journal_new(3);

	(void)state;
	append(j, 1);
	assert_since(j, 2, -ERANGE, "");
	assert_since(j, UINT64_MAX, -ERANGE, "");
}

/* Each capacity meets the ring's growth at another place. */
static void holds_the_last_ones_at_every_capacity(void **state)
{
	(void)state;
	for (size_t capacity = 1; capacity <= 40; capacity++) {
		scoped(journal_freep) struct journal *j = journal_new(capacity);

		for (uint64_t last = 5; last < 105; last++) {
			uint64_t held = last - 4 < capacity ? last - 4 : capacity;
			char text[4096] = "", expected[4096] = "";

			append(j, last);
			for (uint64_t seq = last - held + 1; seq <= last; seq++)
				sprintf(expected + strlen(expected), "%d ", (int)seq);
			assert_int_equal(journal_since(j, last - held, note, text), held);
			assert_string_equal(text, expected);
			assert_int_equal(journal_since(j, last - held - 1, note, text), -ESTALE);
		}
	}
}

static void counts_its_bytes_up_and_down(void **state)
{
	scoped(journal_freep) struct journal *j = journal_new(2);
	size_t of_one;

	(void)state;
	append(j, 1);
	of_one = journal_bytes(j);
	assert_true(of_one > 0);
	append_range(j, 2, 9);
	assert_int_equal(journal_bytes(j), 2 * of_one);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(of_an_empty_journal_nothing_is_known),
		cmocka_unit_test(visits_what_came_after_oldest_first),
		cmocka_unit_test(says_stale_once_something_is_gone),
		cmocka_unit_test(one_that_begins_late_knows_nothing_before),
		cmocka_unit_test(refuses_numbers_of_the_future),
		cmocka_unit_test(holds_the_last_ones_at_every_capacity),
		cmocka_unit_test(counts_its_bytes_up_and_down),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
