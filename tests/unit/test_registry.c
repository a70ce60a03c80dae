/* SPDX-License-Identifier: MIT */
/* The registry: what it promises while many things are on their way to the store at once, and when
 * the store fails at any of them. */
#include "registry_world.h"

/*
 * Attach and detach
 */
static void an_attach_is_answered_stored_and_told(void **state)
{
	struct world *w = *state;
	struct answer a = { 0 };

	attach_start(w, w->ann, "s1", "web", 5173, &a);
	assert_false(a.done);
	wait_until(w, a.done);
	assert_int_equal(a.result, 0);
	assert_true(a.created);
	assert_string_equal(json_string(a.value, "url"), "http://localhost:5173");
	assert_string_equal(json_string(a.value, "user_id"), "ann");
	assert_false(cJSON_IsTrue(cJSON_GetObjectItem(a.value, "replaced")));
	assert_heard(w, "s1:attached:web ");
	answer_done(&a);

	restart(w);
	assert_attached(w, w->ann, "s1", "web ");
}

static void nothing_is_told_before_the_store_has_it(void **state)
{
	struct world *w = *state;
	struct answer a = { 0 };

	w->gate->shut = true;
	attach_start(w, w->ann, "s1", "web", 5173, &a);
	wait_held(w, 1);
	settle(w);
	assert_false(a.done);
	assert_heard(w, "");
	assert_attached(w, w->ann, "s1", "session_not_found");

	gate_open(w->gate);
	assert_int_equal(finish(w, &a), FAULT_NONE);
	assert_attached(w, w->ann, "s1", "web ");
}

static void a_replace_is_one_detach_and_one_attach(void **state)
{
	struct world *w = *state;
	struct answer a = { 0 };

	attach(w, w->ann, "s1", "web", 5173);
	heard(w);
	attach_start(w, w->ann, "s1", "web", 5174, &a);
	wait_until(w, a.done);
	assert_false(a.created);
	assert_true(cJSON_IsTrue(cJSON_GetObjectItem(a.value, "replaced")));
	assert_int_equal(cJSON_GetObjectItem(a.value, "port")->valueint, 5174);
	assert_heard(w, "s1:detached:web/replaced s1:attached:web ");
	answer_done(&a);
}

static void a_detach_gives_what_was_there_or_a_hint(void **state)
{
	struct world *w = *state;
	struct answer a = { 0 };

	attach(w, w->ann, "s1", "web", 5173);
	heard(w);
	detach_start(w, w->ann, "s1", "web", &a);
	wait_until(w, a.done);
	assert_true(cJSON_IsTrue(cJSON_GetObjectItem(a.value, "removed")));
	assert_string_equal(json_string(cJSON_GetObjectItem(a.value, "previous"), "name"), "web");
	assert_heard(w, "s1:detached:web/detach ");
	answer_done(&a);

	detach_start(w, w->ann, "s1", "web", &a);
	wait_until(w, a.done);
	assert_int_equal(a.result, 0);
	assert_true(cJSON_IsFalse(cJSON_GetObjectItem(a.value, "removed")));
	assert_non_null(json_string(a.value, "hint"));
	answer_done(&a);
	restart(w);
	assert_attached(w, w->ann, "s1", "");
}

static void a_detach_behind_its_attach_takes_it_away(void **state)
{
	struct world *w = *state;
	struct answer a = { 0 }, d = { 0 };

	attach(w, w->ann, "s1", "other", 5000);
	heard(w);
	w->gate->shut = true;
	attach_start(w, w->ann, "s1", "web", 5173, &a);
	wait_held(w, 1);
	detach_start(w, w->ann, "s1", "web", &d);
	gate_open(w->gate);
	wait_until(w, d.done);
	assert_true(a.done && a.result == 0);
	assert_true(cJSON_IsTrue(cJSON_GetObjectItem(d.value, "removed")));
	assert_heard(w, "s1:attached:web s1:detached:web/detach ");
	answer_done(&a);
	answer_done(&d);
	assert_attached(w, w->ann, "s1", "other ");
	restart(w);
	assert_attached(w, w->ann, "s1", "other ");
}

static void a_detach_behind_an_attach_that_fails_removes_nothing(void **state)
{
	struct world *w = *state;
	struct answer a = { 0 }, d = { 0 };

	attach(w, w->ann, "s1", "other", 5000);
	heard(w);
	w->gate->shut = true;
	attach_start(w, w->ann, "s1", "web", 5173, &a);
	wait_held(w, 1);
	detach_start(w, w->ann, "s1", "web", &d);
	gate_let(w->gate, -ENOSPC);
	gate_open(w->gate);
	wait_until(w, d.done);
	assert_int_equal(a.code, FAULT_STORE_UNAVAILABLE);
	assert_true(cJSON_IsFalse(cJSON_GetObjectItem(d.value, "removed")));
	assert_heard(w, "");
	answer_done(&a);
	answer_done(&d);
	assert_attached(w, w->ann, "s1", "other ");
}

static void an_attach_behind_a_detach_of_its_name_stays(void **state)
{
	struct world *w = *state;
	struct answer a = { 0 }, d = { 0 };

	attach(w, w->ann, "s1", "web", 5173);
	heard(w);
	w->gate->shut = true;
	detach_start(w, w->ann, "s1", "web", &d);
	attach_start(w, w->ann, "s1", "web", 5174, &a);
	wait_held(w, 2);
	gate_open(w->gate);
	wait_until(w, a.done);
	assert_true(a.created);
	assert_heard(w, "s1:detached:web/detach s1:attached:web ");
	answer_done(&a);
	answer_done(&d);
	restart(w);
	assert_attached(w, w->ann, "s1", "web ");
}

/*
 * Limits
 */
#define MANY 50

static void of_fifty_attaches_at_once_five_succeed(void **state)
{
	struct world *w = *state;
	struct answer answers[MANY] = { 0 };
	unsigned n = 0;

	for (unsigned i = 0; i < MANY; i++) {
		char name[16];

		snprintf(name, sizeof(name), "n%u", i);
		attach_start(w, w->ann, "s1", name, 5000 + i, &answers[i]);
		assert_int_equal(answers[i].refused, FAULT_NONE);
	}
	for (unsigned i = 0; i < MANY; i++) {
		wait_until(w, answers[i].done);
		if (answers[i].result == 0)
			n++;
		else
			assert_int_equal(answers[i].code, FAULT_SESSION_LIMIT);
		answer_done(&answers[i]);
	}
	assert_int_equal(n, 5);
	restart(w);
	assert_int_equal(attach(w, w->ann, "s1", "sixth", 6000), FAULT_SESSION_LIMIT);
}

static void a_user_has_twenty_over_all_sessions(void **state)
{
	struct world *w = *state;
	struct answer answers[MANY] = { 0 };
	unsigned n = 0, refused = 0;

	for (unsigned i = 0; i < MANY; i++) {
		char session[16], name[16];

		snprintf(session, sizeof(session), "s%u", i / 5);
		snprintf(name, sizeof(name), "n%u", i);
		attach_start(w, w->ann, session, name, 5000 + i, &answers[i]);
	}
	for (unsigned i = 0; i < MANY; i++) {
		wait_until(w, answers[i].done);
		n += answers[i].result == 0;
		refused += answers[i].code == FAULT_USER_LIMIT;
		answer_done(&answers[i]);
	}
	assert_int_equal(n, 20);
	assert_int_equal(refused, 30);
	assert_int_equal(attach(w, w->bob, "b1", "web", 7000), FAULT_NONE);
	restart(w);
	assert_int_equal(attach(w, w->ann, "new", "one-more", 6000), FAULT_USER_LIMIT);
	for (unsigned i = 0; i < 10; i++) {
		char session[16];

		snprintf(session, sizeof(session), "s%u", i);
		end(w, w->ann, session);
	}
	assert_int_equal(attach(w, w->ann, "new", "one-more", 6000), FAULT_NONE);
}

static void fill(struct world *w, struct principal *p, const char *session_id, unsigned port)
{
	static const char *const names[] = { "a", "b", "c", "d", "e" };

	for (unsigned i = 0; i < ARRAY_SIZE(names); i++)
		assert_int_equal(attach(w, p, session_id, names[i], port + i), FAULT_NONE);
}

static void the_refusal_lists_what_is_attached(void **state)
{
	struct world *w = *state;
	struct answer a = { 0 };

	fill(w, w->ann, "s1", 5000);
	attach_start(w, w->ann, "s1", "f", 6000, &a);
	wait_until(w, a.done);
	assert_int_equal(a.code, FAULT_SESSION_LIMIT);
	assert_int_equal(cJSON_GetArraySize(cJSON_GetObjectItem(a.members, "attached")), 5);
	assert_int_equal(cJSON_GetObjectItem(a.members, "limit")->valueint, 5);
	answer_done(&a);
}

static void replacing_is_free_of_the_limits(void **state)
{
	struct world *w = *state;

	w->settings->limits_per_user = 5;
	fill(w, w->ann, "s1", 5000);
	fill(w, w->ann, "s1", 5100);
	assert_attached(w, w->ann, "s1", "a b c d e ");
}

static enum fault_code bundle(struct world *w, const char *session_id)
{
	struct session_ref ref = ref_of(session_id);
	struct answer a = { 0 };

	a.op = registry_bundle(w->reg, &ref, "bundled", "/api/apps/shop/web-static/", on_answer,
			       &a);
	return a.op ? finish(w, &a) : FAULT_SESSION_NOT_FOUND;
}

static void what_comes_with_the_app_is_counted_by_no_limit(void **state)
{
	struct world *w = *state;

	w->settings->limits_per_user = 5;
	assert_int_equal(bundle(w, "s1"), FAULT_SESSION_NOT_FOUND);
	put(w, w->ann, "s1", NULL, NULL);
	assert_int_equal(bundle(w, "s1"), FAULT_NONE);
	assert_int_equal(bundle(w, "s1"), FAULT_SESSION_NOT_FOUND); /* there is one */
	fill(w, w->ann, "s1", 5000);
	assert_attached(w, w->ann, "s1", "bundled a b c d e ");
	assert_int_equal(attach(w, w->ann, "s1", "bundled", 5100), FAULT_SESSION_LIMIT);
	restart(w);
	assert_int_equal(attach(w, w->ann, "s1", "bundled", 5100), FAULT_SESSION_LIMIT);
	detach(w, w->ann, "s1", "a");
	assert_int_equal(attach(w, w->ann, "s1", "bundled", 5100), FAULT_NONE);
	assert_int_equal(attach(w, w->ann, "s1", "a", 5000), FAULT_SESSION_LIMIT);
	end(w, w->ann, "s1");
	assert_int_equal(bundle(w, "s1"), FAULT_SESSION_NOT_FOUND);
}

static void one_that_was_not_replaced_is_counted_by_no_limit_again(void **state)
{
	struct world *w = *state;
	struct answer a = { 0 };

	w->settings->limits_per_user = 1;
	put(w, w->ann, "s1", NULL, NULL);
	assert_int_equal(bundle(w, "s1"), FAULT_NONE);
	w->gate->shut = true;
	attach_start(w, w->ann, "s1", "bundled", 5000, &a);
	wait_held(w, 1);
	assert_int_equal(attach(w, w->ann, "s2", "web", 5001), FAULT_USER_LIMIT);
	gate_let(w->gate, -ENOSPC);
	assert_int_equal(finish(w, &a), FAULT_STORE_UNAVAILABLE);
	gate_open(w->gate);
	assert_int_equal(attach(w, w->ann, "s2", "web", 5001), FAULT_NONE);
	assert_attached(w, w->ann, "s1", "bundled ");
}

static void note_made(const struct session_ref *ref, void *arg)
{
	strbuf_printf(arg, "%s/%s ", ref->app_id, ref->session_id);
}

static void each_session_that_is_made_or_comes_back_is_told_of(void **state)
{
	struct world *w = *state;
	scoped(strbuf_done) struct strbuf made = strbuf_init(STRBUF_UNLIMITED);

	registry_on_session_made(w->reg, note_made, &made);
	put(w, w->ann, "s1", NULL, NULL);
	put(w, w->ann, "s1", NULL, NULL);
	attach(w, w->ann, "s2", "web", 5000);
	assert_string_equal(strbuf_str(&made), "shop/s1 shop/s2 ");
	end(w, w->ann, "s1");
	put(w, w->ann, "s1", NULL, NULL);
	assert_string_equal(strbuf_str(&made), "shop/s1 shop/s2 shop/s1 ");
}

static void failed_attaches_take_no_place(void **state)
{
	struct world *w = *state;
	struct answer answers[5] = { 0 };

	attach(w, w->ann, "s1", "x", 4999);
	detach(w, w->ann, "s1", "x");
	w->gate->shut = true;
	for (unsigned i = 0; i < 5; i++) {
		char name[8];

		snprintf(name, sizeof(name), "n%u", i);
		attach_start(w, w->ann, "s1", name, 5000 + i, &answers[i]);
	}
	wait_held(w, 5);
	for (unsigned i = 0; i < 5; i++)
		gate_let(w->gate, -ENOSPC);
	for (unsigned i = 0; i < 5; i++)
		assert_int_equal(finish(w, &answers[i]), FAULT_STORE_UNAVAILABLE);
	gate_open(w->gate);
	w->settings->limits_per_user = 5;
	fill(w, w->ann, "s1", 5000);
}

/*
 * Ports
 */
static void anothers_port_is_taken_also_while_on_its_way(void **state)
{
	struct world *w = *state;
	struct answer a = { 0 };

	w->gate->shut = true;
	attach_start(w, w->ann, "s1", "web", 5173, &a);
	wait_held(w, 1);
	assert_int_equal(attach(w, w->bob, "b1", "web", 5173), FAULT_PORT_TAKEN);
	gate_open(w->gate);
	assert_int_equal(finish(w, &a), FAULT_NONE);
	assert_int_equal(attach(w, w->bob, "b1", "web", 5173), FAULT_PORT_TAKEN);
	/* one's own other session may share it */
	assert_int_equal(attach(w, w->ann, "s2", "web", 5173), FAULT_NONE);

	detach(w, w->ann, "s1", "web");
	assert_int_equal(attach(w, w->bob, "b1", "web", 5173), FAULT_PORT_TAKEN);
	detach(w, w->ann, "s2", "web");
	assert_int_equal(attach(w, w->bob, "b1", "web", 5173), FAULT_NONE);
}

static void a_port_whose_attach_failed_is_free(void **state)
{
	struct world *w = *state;
	struct answer a = { 0 };

	w->gate->shut = true;
	attach_start(w, w->ann, "s1", "web", 5173, &a);
	wait_held(w, 2); /* the first reserves event numbers */
	gate_let(w->gate, 0);
	gate_let(w->gate, -EIO);
	gate_open(w->gate);
	assert_int_equal(finish(w, &a), FAULT_STORE_UNAVAILABLE);
	assert_int_equal(attach(w, w->bob, "b1", "web", 5173), FAULT_NONE);
}

static void two_that_race_for_a_port_are_one_winner(void **state)
{
	struct world *w = *state;
	struct answer a = { 0 }, b = { 0 };

	attach_start(w, w->ann, "s1", "web", 5173, &a);
	attach_start(w, w->bob, "b1", "web", 5173, &b);
	assert_int_equal(finish(w, &a), FAULT_NONE);
	assert_int_equal(finish(w, &b), FAULT_PORT_TAKEN);
}

static enum fault_code attach_host(struct world *w, const char *host, unsigned port)
{
	scoped(attach_params_done) struct attach_params params;
	scoped(fault_done) struct fault fault = { 0 };
	struct session_ref ref = ref_of("s1");
	struct answer a = { 0 };

	attach_params_init(&params);
	free(params.host);
	params.host = xstrdup(host);
	params.port = port;
	params.health_check = false;
	begun(&a, registry_attach(w->reg, w->ann, &ref, &params, on_answer, &a, &fault), &fault);
	return finish(w, &a);
}

static void targets_are_loopback_unprivileged_and_not_the_daemon(void **state)
{
	struct world *w = *state;

	registry_forbid_port(w->reg, 7070);
	assert_int_equal(attach_host(w, "127.0.0.1", 7070), FAULT_TARGET_NOT_ALLOWED);
	assert_int_equal(attach_host(w, "localhost", 7070), FAULT_TARGET_NOT_ALLOWED);
	assert_int_equal(attach_host(w, "::1", 7070), FAULT_TARGET_NOT_ALLOWED);
	assert_int_equal(attach_host(w, "::ffff:127.0.0.1", 7070), FAULT_TARGET_NOT_ALLOWED);
	assert_int_equal(attach_host(w, "127.0.0.1", 1023), FAULT_TARGET_NOT_ALLOWED);
	assert_int_equal(attach_host(w, "192.168.1.1", 5173), FAULT_TARGET_NOT_ALLOWED);
	assert_int_equal(attach_host(w, "example.org", 5173), FAULT_TARGET_NOT_ALLOWED);
	assert_int_equal(attach_host(w, "127.1", 5173), FAULT_INVALID_FIELD);
	assert_int_equal(attach_host(w, "2130706433", 5173), FAULT_INVALID_FIELD);
	assert_int_equal(attach_host(w, "", 5173), FAULT_INVALID_FIELD);
	assert_int_equal(attach_host(w, "::1", 1024), FAULT_NONE);
}

/*
 * Session end
 */
static void session_end_detaches_everything_and_tells(void **state)
{
	struct world *w = *state;
	struct answer a = { 0 };

	attach(w, w->ann, "s1", "a", 5000);
	attach(w, w->ann, "s1", "b", 5001);
	heard(w);
	end_start(w, w->ann, "s1", &a);
	wait_until(w, a.done);
	assert_true(cJSON_IsTrue(cJSON_GetObjectItem(a.value, "ended")));
	assert_int_equal(cJSON_GetArraySize(cJSON_GetObjectItem(a.value, "detached")), 2);
	assert_heard(w, "s1:detached:a/session_end s1:detached:b/session_end ");
	answer_done(&a);
	assert_attached(w, w->ann, "s1", "session_not_found");

	end_start(w, w->ann, "s1", &a);
	wait_until(w, a.done);
	assert_int_equal(a.result, 0);
	assert_true(cJSON_IsFalse(cJSON_GetObjectItem(a.value, "ended")));
	answer_done(&a);
	restart(w);
	assert_attached(w, w->ann, "s1", "session_not_found");
}

static void session_end_takes_attaches_on_their_way_with_it(void **state)
{
	struct world *w = *state;
	struct answer stored = { 0 }, waiting = { 0 }, ended = { 0 };

	attach(w, w->ann, "s1", "a", 5000);
	heard(w);
	w->gate->shut = true;
	attach_start(w, w->ann, "s1", "b", 5001, &stored);
	wait_held(w, 1);
	attach_start(w, w->ann, "s1", "c", 5002, &waiting); /* its turn has not come */
	end_start(w, w->ann, "s1", &ended);
	gate_open(w->gate);
	wait_until(w, ended.done && waiting.done);

	assert_int_equal(stored.result, 0);
	assert_int_equal(waiting.code, FAULT_CANCELED);
	assert_int_equal(cJSON_GetArraySize(cJSON_GetObjectItem(ended.value, "detached")), 2);
	assert_heard(w, "s1:attached:b s1:detached:a/session_end s1:detached:b/session_end ");
	answer_done(&stored);
	answer_done(&waiting);
	answer_done(&ended);
	assert_attached(w, w->ann, "s1", "session_not_found");
	restart(w);
	assert_attached(w, w->ann, "s1", "session_not_found");
	assert_int_equal(attach(w, w->ann, "s1", "a", 5000), FAULT_NONE);
	assert_attached(w, w->ann, "s1", "a ");
}

static void an_attach_begun_behind_the_end_brings_the_session_back(void **state)
{
	struct world *w = *state;
	struct answer a = { 0 }, ended = { 0 };

	put(w, w->ann, "s1", "/srv/shop", "{\"k\":1}");
	attach(w, w->ann, "s1", "a", 5000);
	heard(w);
	w->gate->shut = true;
	end_start(w, w->ann, "s1", &ended);
	attach_start(w, w->ann, "s1", "a", 5001, &a);
	wait_held(w, 2);
	gate_open(w->gate);
	wait_until(w, a.done);
	assert_true(a.created);
	assert_heard(w, "s1:detached:a/session_end s1:attached:a ");
	answer_done(&a);
	answer_done(&ended);
	assert_attached(w, w->ann, "s1", "a ");
	assert_string_equal(session_member(w, "s1", "workdir"), "null");

	restart(w);
	assert_attached(w, w->ann, "s1", "a ");
	/* what ended with the session is gone from the store as well */
	assert_string_equal(session_member(w, "s1", "workdir"), "null");
	assert_string_equal(session_member(w, "s1", "meta"), "{}");
}

/* Its tokens are deleted by the end's own batch: one made behind it would stay. */
static void no_token_is_minted_for_a_session_that_is_ending(void **state)
{
	struct world *w = *state;
	struct session_ref ref = ref_of("s1");
	struct answer ended = { 0 };
	const char *user_id;

	put(w, w->ann, "s1", NULL, NULL);
	assert_int_equal(registry_session_owner(w->reg, w->ann, &ref, &user_id, NULL), 0);
	w->gate->shut = true;
	end_start(w, w->ann, "s1", &ended);
	assert_int_equal(registry_session_owner(w->reg, w->ann, &ref, &user_id, NULL), -ENOENT);
	gate_open(w->gate);
	finish(w, &ended);
}

static void an_end_that_fails_leaves_everything(void **state)
{
	struct world *w = *state;
	struct answer ended = { 0 };

	put(w, w->ann, "s1", "/srv/shop", "{\"k\":1}");
	attach(w, w->ann, "s1", "a", 5000);
	heard(w);
	w->gate->shut = true;
	end_start(w, w->ann, "s1", &ended);
	gate_let(w->gate, -EROFS);
	assert_int_equal(finish(w, &ended), FAULT_STORE_UNAVAILABLE);
	gate_open(w->gate);
	assert_heard(w, "");
	assert_attached(w, w->ann, "s1", "a ");

	put(w, w->ann, "s1", NULL, "{\"k\":2}");
	restart(w);
	assert_attached(w, w->ann, "s1", "a ");
	assert_string_equal(session_member(w, "s1", "workdir"), "\"/srv/shop\"");
	assert_int_equal(end(w, w->ann, "s1"), FAULT_NONE);
}

/*
 * Whose a session is
 */
static void its_owner_may_come_back_and_others_may_not(void **state)
{
	struct world *w = *state;

	attach(w, w->ann, "s1", "a", 5000);
	end(w, w->ann, "s1");
	for (unsigned i = 0; i < 2; i++) {
		assert_int_equal(attach(w, w->bob, "s1", "a", 6000), FAULT_SESSION_NOT_FOUND);
		assert_int_equal(put(w, w->bob, "s1", NULL, NULL), FAULT_SESSION_NOT_FOUND);
		assert_int_equal(end(w, w->bob, "s1"), FAULT_SESSION_NOT_FOUND);
		assert_int_equal(detach(w, w->bob, "s1", "a"), FAULT_SESSION_NOT_FOUND);
		restart(w);
	}
	assert_int_equal(attach(w, w->ann, "s1", "a", 5000), FAULT_NONE);
}

static void anothers_session_looks_like_none(void **state)
{
	struct world *w = *state;
	struct principal *ann = w->ann;
	struct answer theirs = { 0 }, unknown = { 0 };

	w->bob->scopes &= ~(unsigned)SCOPE_SESSION_CREATE;
	attach(w, ann, "s1", "a", 5000);
	attach_start(w, w->bob, "s1", "a", 6000, &theirs);
	attach_start(w, w->bob, "s2", "a", 6000, &unknown);
	assert_int_equal(theirs.refused, FAULT_SESSION_NOT_FOUND);
	assert_int_equal(unknown.refused, FAULT_SESSION_NOT_FOUND);
	assert_string_equal(theirs.detail, "there is no session 's1' in app 'shop'");
	assert_string_equal(unknown.detail, "there is no session 's2' in app 'shop'");
	answer_done(&theirs);
	answer_done(&unknown);
	assert_attached(w, w->bob, "s1", "session_not_found");
	assert_attached(w, w->bob, "s2", "session_not_found");
	assert_int_equal(registry_may_follow(w->reg, w->bob, NULL, "s1", NULL),
			 registry_may_follow(w->reg, w->bob, NULL, "s2", NULL));
}

static void who_is_held_to_a_session_or_app_stays_in_it(void **state)
{
	struct world *w = *state;

	attach(w, w->ann, "s1", "a", 5000);
	attach(w, w->ann, "s2", "a", 5001);
	w->ann->session_id = xstrdup("s1");
	assert_attached(w, w->ann, "s1", "a ");
	assert_attached(w, w->ann, "s2", "session_not_found");
	assert_int_equal(attach(w, w->ann, "s2", "b", 5002), FAULT_SESSION_NOT_FOUND);
	assert_int_equal(attach(w, w->ann, "s3", "b", 5002), FAULT_SESSION_NOT_FOUND);
	free(STEAL(w->ann->session_id));
	w->ann->app_id = xstrdup("other");
	assert_attached(w, w->ann, "s1", "session_not_found");
	assert_int_equal(put(w, w->ann, "s1", NULL, NULL), FAULT_SESSION_NOT_FOUND);
	assert_int_equal(put(w, w->ann, "s4", NULL, NULL), FAULT_SESSION_NOT_FOUND);
}

/* The conflict is told to admins, and tells the session's app: not to one held to another app. */
static void an_admin_held_to_an_app_learns_nothing_of_others(void **state)
{
	struct world *w = *state;
	struct session_ref elsewhere = { "other", "s1" };
	struct session_params params = { 0 };
	struct fault fault = { 0 };

	attach(w, w->ann, "s1", "a", 5000);
	assert_null(registry_session_put(w->reg, w->root, &elsewhere, &params, on_answer, NULL,
					 &fault));
	assert_int_equal(fault.code, FAULT_SESSION_CONFLICT);
	w->root->app_id = xstrdup("other");
	assert_null(registry_session_put(w->reg, w->root, &elsewhere, &params, on_answer, NULL,
					 &fault));
	assert_int_equal(fault.code, FAULT_SESSION_NOT_FOUND);
	assert_attached(w, w->root, "s1", "session_not_found");
	fault_done(&fault);
}

static void only_an_admin_makes_sessions_for_others(void **state)
{
	struct world *w = *state;
	struct session_ref ref = ref_of("s1");
	struct session_params params = { .user_id = (char *)"carl" };
	struct fault fault = { 0 };
	struct answer a = { 0 };

	assert_null(registry_session_put(w->reg, w->ann, &ref, &params, on_answer, &a, &fault));
	assert_int_equal(fault.code, FAULT_FORBIDDEN);
	begun(&a, registry_session_put(w->reg, w->root, &ref, &params, on_answer, &a, &fault),
	      &fault);
	assert_int_equal(finish(w, &a), FAULT_NONE);
	assert_string_equal(session_member(w, "s1", "user_id"), "\"carl\"");
	assert_attached(w, w->ann, "s1", "session_not_found");
	fault_done(&fault);
}

/*
 * Sessions forgotten
 */
static void the_one_that_ended_first_is_forgotten_first(void **state)
{
	struct world *w = *state;

	w->settings->limits_sessions_per_user = 3;
	for (unsigned i = 0; i < 3; i++) {
		char id[8];

		snprintf(id, sizeof(id), "s%u", i);
		attach(w, w->ann, id, "a", 5000 + i);
	}
	assert_int_equal(attach(w, w->ann, "s3", "a", 5003), FAULT_TOO_MANY_SESSIONS);
	end(w, w->ann, "s1");
	end(w, w->ann, "s0");
	assert_int_equal(attach(w, w->ann, "s3", "a", 5003), FAULT_NONE);
	assert_int_equal(put(w, w->bob, "s1", NULL, NULL), FAULT_NONE);
	assert_int_equal(put(w, w->bob, "s0", NULL, NULL), FAULT_SESSION_NOT_FOUND);
	restart(w);
	assert_int_equal(end(w, w->bob, "s1"), FAULT_NONE);
	assert_int_equal(put(w, w->bob, "s0", NULL, NULL), FAULT_SESSION_NOT_FOUND);
}

static void what_the_store_did_not_forget_is_remembered(void **state)
{
	struct world *w = *state;
	struct answer a = { 0 };

	w->settings->limits_sessions_per_user = 1;
	put(w, w->ann, "old", NULL, NULL);
	end(w, w->ann, "old");
	w->gate->shut = true;
	put_start(w, w->ann, "new", NULL, NULL, &a);
	gate_let(w->gate, -ENOSPC);
	assert_int_equal(finish(w, &a), FAULT_STORE_UNAVAILABLE);
	gate_open(w->gate);
	assert_int_equal(put(w, w->bob, "old", NULL, NULL), FAULT_SESSION_NOT_FOUND);
	assert_int_equal(put(w, w->ann, "old", NULL, NULL), FAULT_NONE);
}

static void each_new_session_on_its_way_forgets_another(void **state)
{
	struct world *w = *state;
	struct answer a = { 0 }, b = { 0 }, c = { 0 };

	w->settings->limits_sessions_per_user = 2;
	put(w, w->ann, "old1", NULL, NULL);
	put(w, w->ann, "old2", NULL, NULL);
	end(w, w->ann, "old1");
	end(w, w->ann, "old2");
	w->gate->shut = true;
	put_start(w, w->ann, "new1", NULL, NULL, &a);
	put_start(w, w->ann, "new2", NULL, NULL, &b);
	put_start(w, w->ann, "new3", NULL, NULL, &c);
	assert_int_equal(c.refused, FAULT_TOO_MANY_SESSIONS);
	answer_done(&c);
	gate_open(w->gate);
	assert_int_equal(finish(w, &a), FAULT_NONE);
	assert_int_equal(finish(w, &b), FAULT_NONE);
	assert_int_equal(put(w, w->bob, "old1", NULL, NULL), FAULT_NONE);
	assert_int_equal(put(w, w->bob, "old2", NULL, NULL), FAULT_NONE);
	restart(w);
	assert_string_equal(session_member(w, "old1", "user_id"), "\"bob\"");
	assert_string_equal(session_member(w, "new1", "user_id"), "\"ann\"");
}

static void one_that_comes_back_while_being_forgotten_stays(void **state)
{
	struct world *w = *state;
	struct answer forgetting = { 0 }, back = { 0 };

	w->settings->limits_sessions_per_user = 1;
	put(w, w->ann, "old", NULL, NULL);
	end(w, w->ann, "old");
	w->gate->shut = true;
	put_start(w, w->ann, "new", NULL, NULL, &forgetting);
	put_start(w, w->ann, "old", "/srv", NULL, &back);
	gate_open(w->gate);
	assert_int_equal(finish(w, &forgetting), FAULT_NONE);
	assert_int_equal(finish(w, &back), FAULT_NONE);
	restart(w);
	assert_string_equal(session_member(w, "old", "workdir"), "\"/srv\"");
	assert_string_equal(session_member(w, "new", "user_id"), "\"ann\"");
}

static void a_forgotten_id_gets_new_numbers_durably(void **state)
{
	struct world *w = *state;

	w->settings->limits_sessions_per_user = 1;
	attach(w, w->ann, "s1", "a", 5000);
	end(w, w->ann, "s1"); /* numbers 1 and 2 */
	put(w, w->ann, "s2", NULL, NULL);
	settle(w);
	assert_int_equal(attach(w, w->bob, "s1", "a", 5000), FAULT_NONE);
	assert_string_equal(session_member(w, "s1", "latest_seq"), "3");
	restart(w);
	assert_int_equal(attach(w, w->bob, "s1", "a", 5000), FAULT_NONE);
	assert_true(atoi(session_member(w, "s1", "latest_seq")) > 3);
}

/*
 * PUT of a session
 */
static void what_one_put_says_another_on_its_way_keeps(void **state)
{
	struct world *w = *state;
	struct answer a = { 0 }, b = { 0 };

	put(w, w->ann, "s1", NULL, NULL);
	w->gate->shut = true;
	put_start(w, w->ann, "s1", "/srv/shop", NULL, &a);
	put_start(w, w->ann, "s1", NULL, "{\"k\":1}", &b);
	gate_open(w->gate);
	finish(w, &a);
	finish(w, &b);
	for (unsigned i = 0; i < 2; i++) {
		assert_string_equal(session_member(w, "s1", "workdir"), "\"/srv/shop\"");
		assert_string_equal(session_member(w, "s1", "meta"), "{\"k\":1}");
		restart(w);
	}
}

static void an_attach_keeps_what_a_put_on_its_way_says(void **state)
{
	struct world *w = *state;
	struct answer a = { 0 }, b = { 0 };

	w->gate->shut = true;
	put_start(w, w->ann, "s1", "/srv/shop", "{\"k\":1}", &a);
	attach_start(w, w->ann, "s1", "web", 5173, &b);
	wait_held(w, 2);
	gate_open(w->gate);
	assert_int_equal(finish(w, &a), FAULT_NONE);
	assert_int_equal(finish(w, &b), FAULT_NONE);
	for (unsigned i = 0; i < 2; i++) {
		assert_string_equal(session_member(w, "s1", "workdir"), "\"/srv/shop\"");
		assert_string_equal(session_member(w, "s1", "meta"), "{\"k\":1}");
		restart(w);
	}
}

/*
 * A store that fails
 */
static void a_first_attach_that_fails_leaves_no_session(void **state)
{
	struct world *w = *state;
	struct answer a = { 0 };

	w->gate->shut = true;
	attach_start(w, w->ann, "s1", "web", 5173, &a);
	wait_held(w, 2); /* the first reserves event numbers */
	gate_let(w->gate, 0);
	gate_let(w->gate, -ENOSPC);
	gate_open(w->gate);
	assert_int_equal(finish(w, &a), FAULT_STORE_UNAVAILABLE);
	assert_heard(w, "");
	assert_attached(w, w->ann, "s1", "session_not_found");
	/* and nobody's claim to its id */
	assert_int_equal(put(w, w->bob, "s1", NULL, NULL), FAULT_NONE);
}

static void a_session_is_there_when_the_second_of_two_makes_it(void **state)
{
	struct world *w = *state;
	struct answer a = { 0 }, b = { 0 };

	w->gate->shut = true;
	attach_start(w, w->ann, "s1", "a", 5000, &a);
	wait_held(w, 2); /* the first reserves event numbers */
	attach_start(w, w->ann, "s1", "b", 5001, &b);
	wait_held(w, 3);
	gate_let(w->gate, 0);
	gate_let(w->gate, -EIO);
	gate_open(w->gate);
	assert_int_equal(finish(w, &a), FAULT_STORE_UNAVAILABLE);
	assert_int_equal(finish(w, &b), FAULT_NONE);
	assert_attached(w, w->ann, "s1", "b ");
	restart(w);
	assert_attached(w, w->ann, "s1", "b ");
}

static void a_replace_that_fails_leaves_the_old_one(void **state)
{
	struct world *w = *state;
	struct session_ref ref = ref_of("s1");
	scoped(json_freep) cJSON *j = NULL;
	struct answer a = { 0 };

	attach(w, w->ann, "s1", "web", 5173);
	heard(w);
	w->gate->shut = true;
	attach_start(w, w->ann, "s1", "web", 5174, &a);
	wait_held(w, 1);
	gate_let(w->gate, -ENOSPC);
	gate_open(w->gate);
	assert_int_equal(finish(w, &a), FAULT_STORE_UNAVAILABLE);
	assert_heard(w, "");
	assert_int_equal(registry_get(w->reg, w->ann, &ref, "web", &j, NULL), 0);
	assert_int_equal(cJSON_GetObjectItem(j, "port")->valueint, 5173);
	assert_int_equal(attach(w, w->bob, "b1", "web", 5174), FAULT_NONE);
}

static void a_detach_that_fails_leaves_it_attached(void **state)
{
	struct world *w = *state;
	struct answer a = { 0 };

	attach(w, w->ann, "s1", "web", 5173);
	heard(w);
	w->gate->shut = true;
	detach_start(w, w->ann, "s1", "web", &a);
	gate_let(w->gate, -EIO);
	gate_open(w->gate);
	assert_int_equal(finish(w, &a), FAULT_STORE_UNAVAILABLE);
	assert_heard(w, "");
	assert_attached(w, w->ann, "s1", "web ");
	assert_int_equal(detach(w, w->ann, "s1", "web"), FAULT_NONE);
	assert_attached(w, w->ann, "s1", "");
}

static void a_put_that_fails_changes_nothing(void **state)
{
	struct world *w = *state;
	struct answer a = { 0 };

	put(w, w->ann, "s1", "/srv/one", NULL);
	w->gate->shut = true;
	put_start(w, w->ann, "s1", "/srv/two", NULL, &a);
	gate_let(w->gate, -EIO);
	gate_open(w->gate);
	assert_int_equal(finish(w, &a), FAULT_STORE_UNAVAILABLE);
	assert_string_equal(session_member(w, "s1", "workdir"), "\"/srv/one\"");
	put(w, w->ann, "s1", NULL, "{\"k\":1}");
	restart(w);
	assert_string_equal(session_member(w, "s1", "workdir"), "\"/srv/one\"");
}

/*
 * Handles let go of
 */
static void one_let_go_of_before_its_turn_does_nothing(void **state)
{
	struct world *w = *state;
	struct answer a = { 0 };

	put(w, w->ann, "s1", NULL, NULL);
	attach_start(w, w->ann, "s1", "web", 5173, &a);
	answer_done(&a);
	settle(w);
	assert_attached(w, w->ann, "s1", "");
}

static void one_let_go_of_while_stored_happens_all_the_same(void **state)
{
	struct world *w = *state;
	struct answer a = { 0 }, d = { 0 }, p = { 0 }, e = { 0 };

	w->gate->shut = true;
	attach_start(w, w->ann, "s1", "web", 5173, &a);
	wait_held(w, 1);
	answer_done(&a);
	gate_open(w->gate);
	settle(w);
	assert_heard(w, "s1:attached:web ");

	w->gate->shut = true;
	put_start(w, w->ann, "s1", "/srv", NULL, &p);
	detach_start(w, w->ann, "s1", "web", &d);
	answer_done(&p);
	answer_done(&d);
	gate_open(w->gate);
	settle(w);
	assert_heard(w, "s1:detached:web/detach ");
	assert_string_equal(session_member(w, "s1", "workdir"), "\"/srv\"");

	w->gate->shut = true;
	end_start(w, w->ann, "s1", &e);
	answer_done(&e);
	gate_open(w->gate);
	settle(w);
	assert_attached(w, w->ann, "s1", "session_not_found");
}

static void one_let_go_of_when_its_answer_is_due_is_quiet(void **state)
{
	struct world *w = *state;
	struct answer d = { 0 };

	put(w, w->ann, "s1", NULL, NULL);
	detach_start(w, w->ann, "s1", "nothing", &d);
	answer_done(&d);
	settle(w);
}

static void probe_start_of(struct world *w, const char *session_id, struct answer *a)
{
	scoped(attach_params_done) struct attach_params params;
	scoped(fault_done) struct fault fault = { 0 };
	struct session_ref ref = ref_of(session_id);

	attach_params_init(&params);
	params.port = 1024; /* where nothing listens */
	params.wait_seconds = 120;
	begun(a, registry_attach(w->reg, w->ann, &ref, &params, on_answer, a, &fault), &fault);
}

static void one_let_go_of_in_its_probe_ends_the_probe(void **state)
{
	struct world *w = *state;
	struct answer a = { 0 };

	probe_start_of(w, "s1", &a);
	settle(w);
	assert_int_equal(prober_active(w->reg->prober), 1);
	answer_done(&a);
	assert_int_equal(prober_active(w->reg->prober), 0);
	settle(w);
}

static void session_end_cancels_its_probes_and_no_others(void **state)
{
	struct world *w = *state;
	struct answer a = { 0 }, b = { 0 };

	put(w, w->ann, "s1", NULL, NULL);
	put(w, w->ann, "s2", NULL, NULL);
	probe_start_of(w, "s1", &a);
	probe_start_of(w, "s2", &b);
	settle(w);
	assert_int_equal(end(w, w->ann, "s1"), FAULT_NONE);
	assert_int_equal(finish(w, &a), FAULT_CANCELED);
	assert_false(b.done);
	answer_done(&b);
}

static void probes_are_limited(void **state)
{
	struct world *w = *state;
	struct answer a = { 0 }, b = { 0 };

	w->settings->limits_probes = 1;
	probe_start_of(w, "s1", &a);
	probe_start_of(w, "s1", &b);
	assert_int_equal(b.refused, FAULT_TOO_MANY_REQUESTS);
	answer_done(&a);
	answer_done(&b);
}

/*
 * Drain and end
 */
static void draining_refuses_changes_and_ends_probes(void **state)
{
	struct world *w = *state;
	struct answer probed = { 0 }, turn = { 0 }, stored = { 0 };

	put(w, w->ann, "s1", NULL, NULL);
	w->gate->shut = true;
	put_start(w, w->ann, "s1", "/srv", NULL, &stored);
	probe_start_of(w, "s1", &probed);
	settle(w);
	attach_start(w, w->ann, "s1", "web", 5173, &turn);
	registry_drain(w->reg);
	gate_open(w->gate);
	assert_int_equal(finish(w, &probed), FAULT_DRAINING);
	assert_int_equal(finish(w, &turn), FAULT_DRAINING);
	assert_int_equal(finish(w, &stored), FAULT_NONE);
	assert_int_equal(attach(w, w->ann, "s1", "web", 5173), FAULT_DRAINING);
	assert_int_equal(detach(w, w->ann, "s1", "web"), FAULT_DRAINING);
	assert_int_equal(end(w, w->ann, "s1"), FAULT_DRAINING);
	assert_int_equal(put(w, w->ann, "s1", NULL, NULL), FAULT_DRAINING);
	assert_attached(w, w->ann, "s1", "");
}

/* As the daemon ends: the store finishes what it has, and nobody is there for its answer. */
static void the_registry_may_go_with_changes_on_their_way(void **state)
{
	struct world *w = *state;
	struct answer a = { 0 }, b = { 0 }, d = { 0 };

	attach(w, w->ann, "s1", "web", 5173);
	w->gate->shut = true;
	attach_start(w, w->ann, "s1", "b", 5174, &a);
	attach_start(w, w->ann, "s2", "c", 5175, &b);
	wait_held(w, 2);
	detach_start(w, w->ann, "s1", "web", &d);
	answer_done(&a);
	answer_done(&b);
	answer_done(&d);
	restart(w);
	gate_open(w->gate);
	settle(w);
	restart(w);
	assert_attached(w, w->ann, "s1", "b ");
	assert_attached(w, w->ann, "s2", "c ");
}

/*
 * Reads
 */
static const char *lookup(struct world *w, struct principal *p, const char *name)
{
	scoped(fault_done) struct fault fault = { 0 };
	struct session_ref ref = ref_of("s1");
	scoped(json_freep) cJSON *j = NULL;
	static char text[128];

	if (registry_lookup(w->reg, p, &ref, name, &j, &fault) < 0)
		return fault_slug(fault.code);
	snprintf(text, sizeof(text), "%s",
		 cJSON_IsTrue(cJSON_GetObjectItem(j, "attached")) ? json_string(j, "name")
								  : "nothing");
	return text;
}

static void a_lookup_of_default_finds_the_only_one(void **state)
{
	struct world *w = *state;

	assert_string_equal(lookup(w, w->ann, "default"), "nothing");
	attach(w, w->ann, "s1", "web", 5173);
	assert_string_equal(lookup(w, w->ann, "default"), "web");
	assert_string_equal(lookup(w, w->ann, "other"), "nothing");
	assert_string_equal(lookup(w, w->bob, "default"), "nothing");
	assert_string_equal(lookup(w, w->ann, "no name"), "invalid_field");
	attach(w, w->ann, "s1", "api", 5174);
	assert_string_equal(lookup(w, w->ann, "default"), "nothing");
	attach(w, w->ann, "s1", "default", 5175);
	assert_string_equal(lookup(w, w->ann, "default"), "default");
}

static unsigned count_all(struct world *w, const struct principal *p, unsigned limit)
{
	scoped(freep) char *after = NULL;
	unsigned n = 0;

	for (;;) {
		scoped(json_freep) cJSON *j = NULL;
		const char *next;

		assert_int_equal(registry_list_all(w->reg, p, limit, after, &j, NULL), 0);
		n += (unsigned)cJSON_GetArraySize(cJSON_GetObjectItem(j, "previews"));
		next = json_string(j, "next");
		if (!next)
			return n;
		free(after);
		after = xstrdup(next);
	}
}

static void all_previews_are_paged_and_ones_own(void **state)
{
	struct world *w = *state;

	for (unsigned i = 0; i < 7; i++) {
		char id[8];

		snprintf(id, sizeof(id), "s%u", i);
		attach(w, w->ann, id, "web", 5000 + i);
	}
	attach(w, w->bob, "b1", "web", 6000);
	end(w, w->ann, "s3");
	for (unsigned limit = 1; limit < 10; limit++) {
		assert_int_equal(count_all(w, w->ann, limit), 6);
		assert_int_equal(count_all(w, w->bob, limit), 1);
		assert_int_equal(count_all(w, w->root, limit), 7);
	}
	w->ann->session_id = xstrdup("s1");
	assert_int_equal(count_all(w, w->ann, 100), 1);
}

#define test(name) cmocka_unit_test_setup_teardown(name, set_up, tear_down)

/*
 * Published pages
 */
static enum fault_code publish(struct world *w, const char *session_id, const char *release_id,
			       struct registry_place **place)
{
	const struct publish_attachment attachment = { .url = "/api/x/",
						       .release_id = release_id,
						       .focus = true };
	struct answer a = { 0 };

	a.op = registry_publish_consume(*place, &attachment, NULL, on_answer, &a);
	*place = NULL;
	(void)session_id;
	return finish(w, &a);
}

static enum fault_code place_take(struct world *w, const char *session_id, const char *name,
				  struct registry_place **ret)
{
	scoped(fault_done) struct fault fault = { 0 };
	struct session_ref ref = ref_of(session_id);

	return registry_place_take(w->reg, &ref, name, ret, &fault) < 0 ? fault.code : FAULT_NONE;
}

static void a_page_is_attached_replaced_and_goes_with_its_session(void **state)
{
	struct world *w = *state;
	struct registry_place *place;

	assert_int_equal(put(w, w->ann, "s1", NULL, NULL), FAULT_NONE);
	heard(w);
	assert_int_equal(place_take(w, "s1", "published", &place), FAULT_NONE);
	assert_attached(w, w->ann, "s1", "");
	assert_int_equal(publish(w, "s1", "r1", &place), FAULT_NONE);
	assert_heard(w, "s1:attached:published ");
	assert_int_equal(place_take(w, "s1", "published", &place), FAULT_NONE);
	assert_int_equal(publish(w, "s1", "r2", &place), FAULT_NONE);
	assert_heard(w, "s1:detached:published/replaced s1:attached:published ");

	restart(w);
	assert_attached(w, w->ann, "s1", "published ");
	registry_published_is(w->reg, "s1", "published", "/api/y/", "r3");
	restart(w);
	{
		scoped(json_freep) cJSON *j = NULL;
		struct session_ref ref = ref_of("s1");

		assert_int_equal(registry_get(w->reg, w->ann, &ref, "published", &j, NULL), 0);
		assert_string_equal(json_string(j, "url"), "/api/y/");
		assert_string_equal(json_string(j, "release_id"), "r3");
		assert_true(cJSON_IsNull(cJSON_GetObjectItem(j, "port")));
		assert_string_equal(json_string(j, "status"), "up");
	}
	assert_int_equal(end(w, w->ann, "s1"), FAULT_NONE);
	assert_heard(w, "s1:detached:published/session_end ");
}

static void a_place_counts_in_the_limits_while_it_is_held(void **state)
{
	struct world *w = *state;
	struct registry_place *places[5], *none = NULL;
	char name[8];

	assert_int_equal(put(w, w->ann, "s1", NULL, NULL), FAULT_NONE);
	for (int i = 0; i < 5; i++) {
		snprintf(name, sizeof(name), "p%d", i);
		assert_int_equal(place_take(w, "s1", name, &places[i]), FAULT_NONE);
	}
	assert_int_equal(place_take(w, "s1", "p5", &none), FAULT_SESSION_LIMIT);
	assert_int_equal(attach(w, w->ann, "s1", "web", 5173), FAULT_SESSION_LIMIT);
	registry_place_free(places[0]);
	assert_int_equal(attach(w, w->ann, "s1", "web", 5173), FAULT_NONE);
	for (int i = 1; i < 5; i++)
		registry_place_free(places[i]);
	assert_attached(w, w->ann, "s1", "web ");
}

static void a_page_switched_while_its_session_ended_is_not_attached(void **state)
{
	struct world *w = *state;
	struct registry_place *place;

	assert_int_equal(put(w, w->ann, "s1", NULL, NULL), FAULT_NONE);
	assert_int_equal(place_take(w, "s1", "published", &place), FAULT_NONE);
	assert_int_equal(end(w, w->ann, "s1"), FAULT_NONE);
	heard(w);
	assert_int_equal(publish(w, "s1", "r1", &place), FAULT_SESSION_NOT_FOUND);
	assert_heard(w, "");
	assert_int_equal(place_take(w, "s1", "published", &place), FAULT_SESSION_NOT_FOUND);
	assert_int_equal(put(w, w->ann, "s1", NULL, NULL), FAULT_NONE);
	assert_attached(w, w->ann, "s1", "");
}

static void a_page_that_cannot_be_stored_is_not_attached(void **state)
{
	struct world *w = *state;
	struct registry_place *place;
	const struct publish_attachment attachment = { .url = "/x/", .release_id = "r1" };
	struct answer a = { 0 };

	assert_int_equal(put(w, w->ann, "s1", NULL, NULL), FAULT_NONE);
	heard(w);
	assert_int_equal(place_take(w, "s1", "published", &place), FAULT_NONE);
	w->gate->shut = true;
	a.op = registry_publish_consume(place, &attachment, NULL, on_answer, &a);
	wait_held(w, 1);
	while (w->gate->n_held > 0)
		gate_let(w->gate, -ENOSPC);
	gate_open(w->gate);
	assert_int_equal(finish(w, &a), FAULT_STORE_UNAVAILABLE);
	assert_heard(w, "");
	assert_attached(w, w->ann, "s1", "");
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		test(an_attach_is_answered_stored_and_told),
		test(nothing_is_told_before_the_store_has_it),
		test(a_replace_is_one_detach_and_one_attach),
		test(a_detach_gives_what_was_there_or_a_hint),
		test(a_detach_behind_its_attach_takes_it_away),
		test(a_detach_behind_an_attach_that_fails_removes_nothing),
		test(an_attach_behind_a_detach_of_its_name_stays),
		test(of_fifty_attaches_at_once_five_succeed),
		test(a_user_has_twenty_over_all_sessions),
		test(the_refusal_lists_what_is_attached),
		test(replacing_is_free_of_the_limits),
		test(what_comes_with_the_app_is_counted_by_no_limit),
		test(one_that_was_not_replaced_is_counted_by_no_limit_again),
		test(each_session_that_is_made_or_comes_back_is_told_of),
		test(failed_attaches_take_no_place),
		test(anothers_port_is_taken_also_while_on_its_way),
		test(a_port_whose_attach_failed_is_free),
		test(two_that_race_for_a_port_are_one_winner),
		test(targets_are_loopback_unprivileged_and_not_the_daemon),
		test(session_end_detaches_everything_and_tells),
		test(session_end_takes_attaches_on_their_way_with_it),
		test(an_attach_begun_behind_the_end_brings_the_session_back),
		test(no_token_is_minted_for_a_session_that_is_ending),
		test(an_end_that_fails_leaves_everything),
		test(its_owner_may_come_back_and_others_may_not),
		test(anothers_session_looks_like_none),
		test(who_is_held_to_a_session_or_app_stays_in_it),
		test(an_admin_held_to_an_app_learns_nothing_of_others),
		test(only_an_admin_makes_sessions_for_others),
		test(the_one_that_ended_first_is_forgotten_first),
		test(what_the_store_did_not_forget_is_remembered),
		test(each_new_session_on_its_way_forgets_another),
		test(one_that_comes_back_while_being_forgotten_stays),
		test(a_forgotten_id_gets_new_numbers_durably),
		test(what_one_put_says_another_on_its_way_keeps),
		test(an_attach_keeps_what_a_put_on_its_way_says),
		test(a_first_attach_that_fails_leaves_no_session),
		test(a_session_is_there_when_the_second_of_two_makes_it),
		test(a_replace_that_fails_leaves_the_old_one),
		test(a_detach_that_fails_leaves_it_attached),
		test(a_put_that_fails_changes_nothing),
		test(one_let_go_of_before_its_turn_does_nothing),
		test(one_let_go_of_while_stored_happens_all_the_same),
		test(one_let_go_of_when_its_answer_is_due_is_quiet),
		test(one_let_go_of_in_its_probe_ends_the_probe),
		test(session_end_cancels_its_probes_and_no_others),
		test(probes_are_limited),
		test(draining_refuses_changes_and_ends_probes),
		test(the_registry_may_go_with_changes_on_their_way),
		test(a_lookup_of_default_finds_the_only_one),
		test(all_previews_are_paged_and_ones_own),
		test(a_page_is_attached_replaced_and_goes_with_its_session),
		test(a_place_counts_in_the_limits_while_it_is_held),
		test(a_page_switched_while_its_session_ended_is_not_attached),
		test(a_page_that_cannot_be_stored_is_not_attached),
	};

	alarm(60);
	return cmocka_run_group_tests(tests, NULL, NULL);
}
