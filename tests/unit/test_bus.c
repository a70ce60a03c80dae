/* SPDX-License-Identifier: MIT */
/* Events: their numbers over restarts and failures, what a client that was away gets, and that
 * receivers may do anything while they are told. */
#include <errno.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stdint.h>
#include <stdio.h>
#include <string.h>
#include <unistd.h>
/* cmocka wants the three above it */
#include <cmocka.h>

#include "base/json.h"
#include "base/log.h"
#include "base/mem.h"
#include "base/metrics.h"
#include "base/strbuf.h"
#include "bus/bus.h"

#include <event2/event.h>

#define BLOCK 1000 /* numbers reserved at a time */

struct world {
	struct loop *loop;
	struct store *store;
	struct bus *bus;
	struct bus_settings settings;
	struct strbuf heard;
	unsigned n_heard;

	/* what a receiver does while it is told */
	struct subscription *self;
	struct subscription *other;
};

static void start(struct world *w)
{
	assert_int_equal(bus_new(w->loop, w->store, &w->settings, &w->bus, NULL), 0);
}

static void restart(struct world *w)
{
	w->bus = bus_free(w->bus);
	start(w);
}

static int set_up(void **state)
{
	struct world *w = xcalloc(1, sizeof(*w));

	log_setup(LOG_LEVEL_ERROR, LOG_FORMAT_TEXT);
	w->settings = (struct bus_settings){ .ring = 4, .memory_max = 1024 * 1024 };
	w->heard = strbuf_init(STRBUF_UNLIMITED);
	w->loop = loop_new();
	w->store = store_memory_new(w->loop);
	start(w);
	*state = w;
	return 0;
}

static int tear_down(void **state)
{
	struct world *w = *state;

	bus_free(w->bus);
	store_free(w->store);
	loop_free(w->loop);
	strbuf_done(&w->heard);
	free(w);
	return 0;
}

/* Everything that is due has happened. */
static void settle(struct world *w)
{
	for (unsigned i = 0; i < 20; i++)
		event_base_loop(loop_base(w->loop), EVLOOP_NONBLOCK);
}

static void wait_heard(struct world *w, unsigned n)
{
	while (w->n_heard < n)
		event_base_loop(loop_base(w->loop), EVLOOP_ONCE);
}

static void publish(struct world *w, const char *session_id, const char *name)
{
	struct event_draft draft = {
		.session_id = session_id,
		.app_id = "shop",
		.user_id = "ann",
		.type = "test:happened",
		.entity_type = "test",
		.entity_id = name,
	};

	bus_publish_consume(w->bus, &draft, cJSON_CreateObject());
}

static void publish_many(struct world *w, const char *session_id, unsigned n)
{
	for (unsigned i = 0; i < n; i++)
		publish(w, session_id, "x");
	settle(w);
}

static void hear(struct event *e, void *arg)
{
	struct world *w = arg;

	w->n_heard++;
	strbuf_printf(&w->heard, "%s/%s/%d ", e->session_id, e->entity_id, (int)e->seq);
}

static const char *heard(struct world *w)
{
	static char text[4096];

	snprintf(text, sizeof(text), "%s", strbuf_str(&w->heard));
	strbuf_reset(&w->heard);
	return text;
}

#define assert_heard(w, expected) assert_string_equal(heard(w), expected)

/* Hears until the end of the scope. */
#define HEARING(session_id, fn, arg)                                                     \
	scoped(bus_unsubscribep) __attribute__((unused)) struct subscription *hearing_ = \
		bus_subscribe(w->bus, (session_id), (fn), (arg))

/*
 * Numbers
 */
static void numbers_begin_at_one_and_have_no_gaps(void **state)
{
	struct world *w = *state;
	HEARING("s1", hear, w);

	assert_int_equal(bus_latest_seq(w->bus, "s1"), 0);
	publish(w, "s1", "a");
	publish(w, "s1", "b");
	publish(w, "s1", "c");
	settle(w);
	assert_heard(w, "s1/a/1 s1/b/2 s1/c/3 ");
	assert_int_equal(bus_latest_seq(w->bus, "s1"), 3);
}

static void no_gaps_over_the_end_of_a_block(void **state)
{
	struct world *w = *state;

	for (unsigned i = 0; i < 3 * BLOCK; i += 100)
		publish_many(w, "s1", 100);
	assert_int_equal(bus_latest_seq(w->bus, "s1"), 3 * BLOCK);
}

static void more_events_than_a_block_at_once_get_their_numbers(void **state)
{
	struct world *w = *state;

	publish_many(w, "s1", 2 * BLOCK + 7);
	assert_int_equal(bus_latest_seq(w->bus, "s1"), 2 * BLOCK + 7);
}

static void a_restart_goes_on_behind_the_block_in_a_new_epoch(void **state)
{
	struct world *w = *state;
	scoped(freep) char *epoch = xstrdup(bus_epoch(w->bus));

	publish_many(w, "s1", 3);
	restart(w);
	assert_string_not_equal(bus_epoch(w->bus), epoch);
	assert_int_equal(bus_latest_seq(w->bus, "s1"), BLOCK);
	publish_many(w, "s1", 1);
	assert_int_equal(bus_latest_seq(w->bus, "s1"), BLOCK + 1);
}

static int note_reserved(const void *record, void *arg)
{
	const struct record_sequence *r = record;

	if (strcmp(r->session_id, "s1") == 0)
		*(int64_t *)arg = r->reserved;
	return 0;
}

static int64_t reserved_in_store(struct world *w)
{
	int64_t reserved = 0;

	assert_int_equal(store_load(w->store, RECORD_KIND_SEQUENCE, note_reserved, &reserved, NULL),
			 0);
	return reserved;
}

/* Whenever it is killed, the store is ahead of what was told. */
static void no_number_is_told_before_the_store_has_it(void **state)
{
	struct world *w = *state;

	for (unsigned i = 0; i < 2500; i++) {
		publish(w, "s1", "x");
		assert_true((int64_t)bus_latest_seq(w->bus, "s1") <= reserved_in_store(w));
		if (i % 7 == 0)
			settle(w);
	}
}

static void events_wait_for_a_store_that_fails_and_keep_their_order(void **state)
{
	struct world *w = *state;
	HEARING("s1", hear, w);

	store_memory_fail(w->store, -ENOSPC);
	publish(w, "s1", "a");
	publish(w, "s1", "b");
	settle(w);
	assert_heard(w, "");

	store_memory_fail(w->store, 0);
	wait_heard(w, 2); /* it tries again by itself */
	publish(w, "s1", "c");
	settle(w);
	assert_heard(w, "s1/a/1 s1/b/2 s1/c/3 ");
}

static void what_finds_no_number_before_the_end_is_dropped_and_told(void **state)
{
	struct world *w = *state;
	const double before = metric_value(METRIC_EVENTS_DROPPED);

	store_memory_fail(w->store, -ENOSPC);
	publish(w, "s1", "a");
	publish(w, "s1", "b");
	settle(w);
	assert_int_equal(bus_latest_seq(w->bus, "s1"), 0);
	assert_int_equal(bus_published_seq(w->bus, "s1"), 2); /* a snapshot has them already */
	w->bus = bus_free(w->bus);
	assert_true(metric_value(METRIC_EVENTS_DROPPED) == before + 2);
	store_memory_fail(w->store, 0);
}

static void preparing_makes_numbers_ready(void **state)
{
	struct world *w = *state;
	HEARING("s1", hear, w);

	bus_prepare(w->bus, "s1");
	settle(w);
	publish(w, "s1", "a");
	assert_heard(w, "s1/a/1 "); /* without a turn of the loop */
}

static void keep_payload(struct event *e, void *arg)
{
	snprintf(arg, 512, "%s", e->payload->data);
}

static void a_payload_has_its_session_number_and_time(void **state)
{
	struct world *w = *state;
	char copy[512] = "";
	HEARING("s1", keep_payload, copy);
	scoped(json_freep) cJSON *j = NULL;

	publish_many(w, "s1", 1);
	assert_int_equal(json_parse(copy, strlen(copy), &j, NULL), 0);
	assert_string_equal(json_string(j, "session_id"), "s1");
	assert_string_equal(json_string(j, "app_id"), "shop");
	assert_int_equal(cJSON_GetObjectItem(j, "preview_seq")->valueint, 1);
	assert_non_null(json_string(j, "ts"));
}

/*
 * Sessions that end and are forgotten
 */
static void forget(struct world *w, const char *session_id)
{
	struct store_batch *batch = store_batch_new();

	bus_session_forget(w->bus, session_id, batch);
	store_commit_free(store_commit_consume(w->store, batch, NULL, NULL));
	settle(w);
}

static void the_end_of_a_session_keeps_its_numbers(void **state)
{
	struct world *w = *state;

	publish_many(w, "s1", 3);
	bus_session_ended(w->bus, "s1");
	publish_many(w, "s1", 1);
	assert_int_equal(bus_latest_seq(w->bus, "s1"), 4);
}

static void a_forgotten_sessions_numbers_are_not_reused(void **state)
{
	struct world *w = *state;
	scoped(freep) char *epoch = xstrdup(bus_epoch(w->bus));

	publish_many(w, "s1", 5);
	forget(w, "s1");
	assert_int_equal(reserved_in_store(w), 0);

	publish_many(w, "s1", 1);
	assert_int_equal(bus_latest_seq(w->bus, "s1"), 6);
	assert_int_equal(bus_recover(w->bus, "s1", 4, epoch, hear, w), BUS_SNAPSHOT);
}

static void nor_after_a_restart(void **state)
{
	struct world *w = *state;

	publish_many(w, "s1", 5);
	forget(w, "s1");
	restart(w);
	publish_many(w, "s1", 1);
	assert_int_equal(bus_latest_seq(w->bus, "s1"), 6);
}

/* The reservation went with the record, so a new one must be written before the next number. */
static void a_forgotten_session_that_is_followed_reserves_again(void **state)
{
	struct world *w = *state;
	HEARING("s1", hear, w);

	publish_many(w, "s1", 5);
	forget(w, "s1");
	publish_many(w, "s1", 1);
	assert_int_equal(bus_latest_seq(w->bus, "s1"), 6);
	assert_true(reserved_in_store(w) >= 6);
}

static void events_that_wait_survive_being_forgotten(void **state)
{
	struct world *w = *state;
	HEARING("s1", hear, w);

	publish(w, "s1", "a"); /* its reservation is on its way */
	forget(w, "s1");
	wait_heard(w, 1);
	assert_true(reserved_in_store(w) >= 1);
}

/*
 * Coming back
 */
static enum bus_recovery recover(struct world *w, uint64_t since)
{
	return bus_recover(w->bus, "s1", since, bus_epoch(w->bus), hear, w);
}

static void a_first_join_takes_a_snapshot(void **state)
{
	struct world *w = *state;

	publish_many(w, "s1", 1);
	assert_int_equal(bus_recover(w->bus, "s1", 1, NULL, hear, w), BUS_SNAPSHOT);
	assert_int_equal(bus_recover(w->bus, "s1", 1, "0123456789abcdef", hear, w), BUS_SNAPSHOT);
	assert_int_equal(bus_recover(w->bus, "unknown", 0, bus_epoch(w->bus), hear, w),
			 BUS_SNAPSHOT);
	assert_heard(w, "");
}

static void who_missed_nothing_gets_nothing(void **state)
{
	struct world *w = *state;

	publish_many(w, "s1", 2);
	assert_int_equal(recover(w, 2), BUS_NOTHING_MISSED);
	assert_heard(w, "");
}

static void who_missed_little_gets_it_in_order(void **state)
{
	struct world *w = *state;

	publish_many(w, "s1", 4);
	assert_int_equal(recover(w, 1), BUS_REPLAYED);
	assert_heard(w, "s1/x/2 s1/x/3 s1/x/4 ");
	assert_int_equal(recover(w, 0), BUS_REPLAYED);
}

static void who_missed_more_than_the_ring_takes_a_snapshot(void **state)
{
	struct world *w = *state;

	publish_many(w, "s1", 6); /* the ring has 3 to 6 */
	assert_int_equal(recover(w, 1), BUS_SNAPSHOT);
	assert_heard(w, "");
	assert_int_equal(recover(w, 2), BUS_REPLAYED);
}

static void a_number_of_the_future_takes_a_snapshot(void **state)
{
	struct world *w = *state;

	publish_many(w, "s1", 2);
	assert_int_equal(recover(w, 3), BUS_SNAPSHOT);
	assert_int_equal(recover(w, UINT64_MAX), BUS_SNAPSHOT);
	assert_heard(w, "");
}

static void after_a_restart_the_first_event_is_a_replay(void **state)
{
	struct world *w = *state;

	publish_many(w, "s1", 2);
	restart(w);
	assert_int_equal(recover(w, BLOCK), BUS_NOTHING_MISSED);
	publish_many(w, "s1", 1);
	assert_int_equal(recover(w, BLOCK), BUS_REPLAYED);
	assert_int_equal(recover(w, 2), BUS_SNAPSHOT);
}

static void note_size(struct event *e, void *arg)
{
	*(size_t *)arg = event_size(e);
}

/* Room for the journals of two sessions with an event each. */
static void make_room_for_two(struct world *w)
{
	size_t of_one = 0;
	HEARING("s0", note_size, &of_one);

	publish_many(w, "s0", 1);
	bus_session_ended(w->bus, "s0");
	bus_set_memory_max(w->bus, 2 * of_one + of_one / 2);
}

static void the_quietest_session_loses_its_journal_first(void **state)
{
	struct world *w = *state;
	const char *epoch = bus_epoch(w->bus);

	make_room_for_two(w);
	publish_many(w, "s1", 1);
	publish_many(w, "s2", 1);
	publish_many(w, "s3", 1);
	assert_int_equal(bus_recover(w->bus, "s1", 0, epoch, hear, w), BUS_SNAPSHOT);
	assert_int_equal(bus_recover(w->bus, "s2", 0, epoch, hear, w), BUS_REPLAYED);
	assert_int_equal(bus_recover(w->bus, "s3", 0, epoch, hear, w), BUS_REPLAYED);
	/* Numbers stay, and nobody who has all of them is sent for a snapshot. */
	assert_int_equal(bus_recover(w->bus, "s1", 1, epoch, hear, w), BUS_NOTHING_MISSED);
}

static void a_session_that_ended_goes_before_quieter_ones(void **state)
{
	struct world *w = *state;
	const char *epoch = bus_epoch(w->bus);

	make_room_for_two(w);
	publish_many(w, "s1", 1);
	publish_many(w, "s2", 1);
	bus_session_ended(w->bus, "s2");
	publish_many(w, "s3", 1);
	assert_int_equal(bus_recover(w->bus, "s1", 0, epoch, hear, w), BUS_REPLAYED);
	assert_int_equal(bus_recover(w->bus, "s2", 0, epoch, hear, w), BUS_SNAPSHOT);
}

/* A daemon that turns journals off by a tiny limit keeps the one that was written last. */
static void the_newest_journal_is_never_dropped_under_its_writer(void **state)
{
	struct world *w = *state;

	bus_set_memory_max(w->bus, 0);
	publish_many(w, "s1", 3);
	assert_int_equal(recover(w, 0), BUS_REPLAYED);
}

/*
 * Delivery
 */
static void each_hears_its_session_and_one_hears_all(void **state)
{
	struct world *w = *state;
	scoped(bus_unsubscribep) struct subscription *one = bus_subscribe(w->bus, "s1", hear, w);

	publish_many(w, "s2", 1);
	assert_heard(w, "");
	one = bus_unsubscribe(one);
	one = bus_subscribe(w->bus, NULL, hear, w);
	publish_many(w, "s1", 1);
	publish_many(w, "s2", 1);
	assert_heard(w, "s1/x/1 s2/x/2 ");
}

static void sessions_keep_their_order_among_each_other(void **state)
{
	struct world *w = *state;
	HEARING(NULL, hear, w);

	bus_prepare(w->bus, "s1");
	bus_prepare(w->bus, "s2");
	settle(w);
	publish(w, "s1", "a");
	publish(w, "s2", "b");
	publish(w, "s1", "c");
	publish(w, "s2", "d");
	assert_heard(w, "s1/a/1 s2/b/1 s1/c/2 s2/d/2 ");
}

static void end_self(struct event *e, void *arg)
{
	struct world *w = arg;

	hear(e, arg);
	w->self = bus_unsubscribe(w->self);
}

static void a_receiver_may_end_itself(void **state)
{
	struct world *w = *state;

	w->self = bus_subscribe(w->bus, "s1", end_self, w);
	publish_many(w, "s1", 2);
	assert_heard(w, "s1/x/1 ");
}

static void end_both(struct event *e, void *arg)
{
	struct world *w = arg;

	hear(e, arg);
	w->self = bus_unsubscribe(w->self);
	w->other = bus_unsubscribe(w->other);
}

static void a_receiver_may_end_the_next_one(void **state)
{
	struct world *w = *state;

	w->self = bus_subscribe(w->bus, "s1", end_both, w);
	w->other = bus_subscribe(w->bus, "s1", end_both, w);
	publish_many(w, "s1", 2);
	assert_heard(w, "s1/x/1 ");
}

static void a_receiver_may_end_one_of_all_sessions(void **state)
{
	struct world *w = *state;

	w->self = bus_subscribe(w->bus, "s1", end_both, w);
	w->other = bus_subscribe(w->bus, NULL, end_both, w);
	publish_many(w, "s1", 2);
	assert_heard(w, "s1/x/1 ");
}

static void begin_another(struct event *e, void *arg)
{
	struct world *w = arg;

	strbuf_printf(&w->heard, "first:");
	hear(e, arg);
	if (!w->other)
		w->other = bus_subscribe(w->bus, "s1", hear, w);
}

static void one_that_begins_in_a_delivery_hears_from_the_next(void **state)
{
	struct world *w = *state;

	w->self = bus_subscribe(w->bus, "s1", begin_another, w);
	publish_many(w, "s1", 1);
	assert_heard(w, "first:s1/x/1 ");
	publish_many(w, "s1", 1);
	assert_heard(w, "first:s1/x/2 s1/x/2 ");
	bus_unsubscribe(w->self);
	bus_unsubscribe(w->other);
}

static void publish_more(struct event *e, void *arg)
{
	struct world *w = arg;

	hear(e, arg);
	if (w->n_heard == 1) {
		publish(w, "s1", "more");
		strbuf_printf(&w->heard, "| ");
	}
}

static void what_is_published_in_a_delivery_reaches_all_after_it(void **state)
{
	struct world *w = *state;
	struct subscription *a = bus_subscribe(w->bus, "s1", publish_more, w);
	struct subscription *b = bus_subscribe(w->bus, "s1", hear, w);

	publish_many(w, "s1", 1);
	assert_heard(w, "s1/x/1 | s1/x/1 s1/more/2 s1/more/2 ");
	bus_unsubscribe(a);
	bus_unsubscribe(b);
}

static void join_in_delivery(struct event *e, void *arg)
{
	struct world *w = arg;

	(void)e;
	if (w->other)
		return;
	publish(w, "s1", "more"); /* numbered now, delivered after this */
	strbuf_printf(&w->heard, "recovered: ");
	bus_recover(w->bus, "s1", 0, bus_epoch(w->bus), hear, w);
	strbuf_printf(&w->heard, "live: ");
	w->other = bus_subscribe(w->bus, "s1", hear, w);
}

/* Recovering and subscribing is one step: nothing twice and nothing lost, wherever it is done. */
static void a_join_in_a_delivery_neither_misses_nor_repeats(void **state)
{
	struct world *w = *state;

	w->self = bus_subscribe(w->bus, "s1", join_in_delivery, w);
	publish_many(w, "s1", 1);
	publish_many(w, "s1", 1);
	assert_heard(w, "recovered: s1/x/1 s1/more/2 live: s1/x/3 ");
	bus_unsubscribe(w->self);
	bus_unsubscribe(w->other);
}

static void listening_to_unknown_sessions_leaves_nothing_behind(void **state)
{
	struct world *w = *state;
	double subscribers = metric_value(METRIC_SUBSCRIBERS);

	publish_many(w, "s1", 5);
	forget(w, "s1"); /* new ones begin behind 5, and are as blank */
	for (unsigned i = 0; i < 1000; i++) {
		char id[32];

		snprintf(id, sizeof(id), "unknown-%u", i);
		bus_unsubscribe(bus_subscribe(w->bus, id, hear, w));
	}
	assert_true(metric_value(METRIC_SUBSCRIBERS) == subscribers);
	/* of a topic that had stayed it would say that nothing was missed */
	assert_int_equal(bus_recover(w->bus, "unknown-1", 5, bus_epoch(w->bus), hear, w),
			 BUS_SNAPSHOT);
}

#define test(name) cmocka_unit_test_setup_teardown(name, set_up, tear_down)

int main(void)
{
	const struct CMUnitTest tests[] = {
		test(numbers_begin_at_one_and_have_no_gaps),
		test(no_gaps_over_the_end_of_a_block),
		test(more_events_than_a_block_at_once_get_their_numbers),
		test(a_restart_goes_on_behind_the_block_in_a_new_epoch),
		test(no_number_is_told_before_the_store_has_it),
		test(events_wait_for_a_store_that_fails_and_keep_their_order),
		test(what_finds_no_number_before_the_end_is_dropped_and_told),
		test(preparing_makes_numbers_ready),
		test(a_payload_has_its_session_number_and_time),
		test(the_end_of_a_session_keeps_its_numbers),
		test(a_forgotten_sessions_numbers_are_not_reused),
		test(nor_after_a_restart),
		test(a_forgotten_session_that_is_followed_reserves_again),
		test(events_that_wait_survive_being_forgotten),
		test(a_first_join_takes_a_snapshot),
		test(who_missed_nothing_gets_nothing),
		test(who_missed_little_gets_it_in_order),
		test(who_missed_more_than_the_ring_takes_a_snapshot),
		test(a_number_of_the_future_takes_a_snapshot),
		test(after_a_restart_the_first_event_is_a_replay),
		test(the_quietest_session_loses_its_journal_first),
		test(a_session_that_ended_goes_before_quieter_ones),
		test(the_newest_journal_is_never_dropped_under_its_writer),
		test(each_hears_its_session_and_one_hears_all),
		test(sessions_keep_their_order_among_each_other),
		test(a_receiver_may_end_itself),
		test(a_receiver_may_end_the_next_one),
		test(a_receiver_may_end_one_of_all_sessions),
		test(one_that_begins_in_a_delivery_hears_from_the_next),
		test(what_is_published_in_a_delivery_reaches_all_after_it),
		test(a_join_in_a_delivery_neither_misses_nor_repeats),
		test(listening_to_unknown_sessions_leaves_nothing_behind),
	};

	alarm(60);
	return cmocka_run_group_tests(tests, NULL, NULL);
}
