/* SPDX-License-Identifier: MIT */
#include "registry/activity.h"

#include "base/cleanup.h"

#include <setjmp.h>
#include <stdarg.h>
#include <stdint.h>
#include <string.h>
/* cmocka wants setjmp.h and the two after it above it */
#include <cmocka.h>

static void a_connection_is_judged_by_bytes_a_segment(void **state)
{
	/* clang-format off */
	static const struct {
		const char *what;
		bool is_new;
		struct counts before, now;
		bool traffic;
	} rows[] = {
		{ "opened ahead, nothing sent", true, {0}, { 0, 0 }, false },
		{ "opened and closed: the FIN counts as a byte", true, {0}, { 1, 0 }, false },
		{ "curl's first request", true, {0}, { 77, 1 }, true },
		{ "one byte of a new connection", true, {0}, { 1, 1 }, true },
		{ "the first request of one opened ahead", false, { 0, 0 }, { 77, 1 }, true },
		{ "nothing since", false, { 900, 2 }, { 900, 2 }, false },
		{ "a FIN since", false, { 900, 2 }, { 901, 2 }, false },
		{ "one ping of Vite", false, { 900, 2 }, { 921, 3 }, false },
		{ "many pings", false, { 900, 2 }, { 900 + 500 * 21, 502 }, false },
		{ "just below the limit", false, { 900, 2 }, { 1027, 3 }, false },
		{ "at the limit", false, { 900, 2 }, { 1028, 3 }, true },
		{ "a request between pings", false, { 900, 2 }, { 900 + 600 + 2 * 21, 5 }, true },
		{ "an upload", false, { 900, 2 }, { 1000900, 200 }, true },
		{ "the segments wrap", false, { 900, UINT32_MAX }, { 1500, 1 }, true },
		{ "a ping as the segments wrap", false, { 900, UINT32_MAX }, { 921, 0 }, false },
	};
	/* clang-format on */

	(void)state;
	for (size_t i = 0; i < ARRAY_SIZE(rows); i++) {
		bool traffic = counts_are_traffic(rows[i].is_new ? NULL : &rows[i].before,
						  &rows[i].now, 128);

		if (traffic != rows[i].traffic)
			fail_msg("%s: %d", rows[i].what, traffic);
	}
}

static void the_limit_is_the_settings(void **state)
{
	const struct counts before = { 900, 2 }, now = { 921, 3 };

	(void)state;
	assert_true(counts_are_traffic(&before, &now, 21));
	assert_false(counts_are_traffic(&before, &now, 22));
}

static void an_activity_is_recent_use_or_open_connections(void **state)
{
	(void)state;
	assert_int_equal(activity_judge(0, USEC_INFINITY, 30), ACTIVITY_UNSEEN);
	assert_int_equal(activity_judge(0, 31, 30), ACTIVITY_UNSEEN);
	assert_int_equal(activity_judge(3, 31, 30), ACTIVITY_PASSIVE);
	assert_int_equal(activity_judge(3, 30, 30), ACTIVITY_ACTIVE);
	assert_int_equal(activity_judge(0, 0, 30), ACTIVITY_ACTIVE);
	assert_string_equal(activity_text(ACTIVITY_PASSIVE), "passive");
}

static const struct idle_rule usual = { .idle = 1800, .warning = 300, .interval = 300 };

static void idleness_is_warned_of_and_then_ended(void **state)
{
	/* clang-format off */
	static const struct {
		struct idle_rule rule;
		usec_t idle;
		bool warned;
		enum idle_verdict verdict;
	} rows[] = {
		{ { 1800, 300, 300 }, 1499, false, IDLE_KEEP },
		{ { 1800, 300, 300 }, 1500, false, IDLE_WARN },
		{ { 1800, 300, 300 }, 1799, true, IDLE_KEEP },
		{ { 1800, 300, 300 }, 1800, true, IDLE_REAP },
		/* a sweep was late: never without a warning */
		{ { 1800, 300, 300 }, 5000, false, IDLE_WARN },
		{ { 1800, 0, 300 }, 1799, false, IDLE_KEEP },
		{ { 1800, 0, 300 }, 1800, false, IDLE_REAP },
		/* the warning is longer than all */
		{ { 60, 300, 10 }, 0, false, IDLE_WARN },
		{ { 60, 300, 10 }, 60, true, IDLE_REAP },
		{ { 0, 300, 300 }, 1000000, false, IDLE_KEEP },
		{ { 0, 300, 300 }, 1000000, true, IDLE_KEEP },
	};
	/* clang-format on */

	(void)state;
	for (size_t i = 0; i < ARRAY_SIZE(rows); i++)
		assert_int_equal(idle_judge(&rows[i].rule, rows[i].idle, rows[i].warned),
				 rows[i].verdict);
}

/* What a sweep says of its end is what the sweeps then do. */
static void the_end_is_foretold(void **state)
{
	static const struct idle_rule rules[] = {
		{ 1800, 300, 300 }, { 1800, 0, 300 },   { 1800, 60, 300 },
		{ 1800, 300, 7 },   { 1800, 3000, 40 }, { 10, 5, 300 },
	};

	(void)state;
	for (size_t i = 0; i < ARRAY_SIZE(rules); i++) {
		for (usec_t active_at = 0; active_at < 700; active_at += 13) {
			usec_t sweep = 700, foretold;
			bool warned = false;

			foretold = idle_reaped_at(&rules[i], active_at, warned, sweep);
			for (;; sweep += rules[i].interval) {
				assert_int_equal(
					idle_reaped_at(&rules[i], active_at, warned, sweep),
					foretold);
				switch (idle_judge(&rules[i], sweep - active_at, warned)) {
				case IDLE_KEEP:
					continue;
				case IDLE_WARN:
					warned = true;
					continue;
				case IDLE_REAP:
					break;
				}
				break;
			}
			assert_int_equal(sweep, foretold);
		}
	}
	assert_true(idle_reaped_at(&(struct idle_rule){ 0, 300, 300 }, 0, false, 1) ==
		    USEC_INFINITY);
	assert_int_equal(idle_reaped_at(&usual, 0, false, 100), 1900);
}

static void a_restart_is_told_from_another_owner(void **state)
{
	static const struct owner vite = {
		.inode = 1, .uid = 1000, .pid = 50, .sid = 40, .cwd_device = 7, .cwd_inode = 9
	};
	/* clang-format off */
	static const struct {
		struct owner now;
		bool descends, same;
	} rows[] = {
		{ { .inode = 2, .uid = 1001 }, false, false },
		{ { .inode = 2, .uid = 1001, .pid = 51, .sid = 40, .cwd_device = 7, .cwd_inode = 9 }, true, false },
		{ { .inode = 2, .uid = 1000 }, false, true }, /* not seen: no reason to doubt */
		{ { .inode = 2, .uid = 1000, .pid = 50, .sid = 1 }, false, true },
		{ { .inode = 2, .uid = 1000, .pid = 51, .sid = 41 }, true, true },
		{ { .inode = 2, .uid = 1000, .pid = 51, .sid = 40 }, false, true },
		{ { .inode = 2, .uid = 1000, .pid = 51, .sid = 41, .cwd_device = 7, .cwd_inode = 9 }, false, true },
		{ { .inode = 2, .uid = 1000, .pid = 51, .sid = 41, .cwd_device = 8, .cwd_inode = 9 }, false, false },
		{ { .inode = 2, .uid = 1000, .pid = 51, .sid = 41 }, false, false },
	};
	/* clang-format on */
	const struct owner unseen = { .inode = 1, .uid = 1000 };

	(void)state;
	for (size_t i = 0; i < ARRAY_SIZE(rows); i++)
		assert_int_equal(owner_is_same(&vite, &rows[i].now, rows[i].descends),
				 rows[i].same);
	assert_true(owner_is_same(&unseen, &rows[8].now, false));
	assert_false(owner_is_same(&unseen, &rows[0].now, false));
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(a_connection_is_judged_by_bytes_a_segment),
		cmocka_unit_test(the_limit_is_the_settings),
		cmocka_unit_test(an_activity_is_recent_use_or_open_connections),
		cmocka_unit_test(idleness_is_warned_of_and_then_ended),
		cmocka_unit_test(the_end_is_foretold),
		cmocka_unit_test(a_restart_is_told_from_another_owner),
	};

	return cmocka_run_group_tests_name("activity", tests, NULL, NULL);
}
