/* SPDX-License-Identifier: MIT */
/* Session tokens: from minting to the end of each way they can end. */
#include <errno.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stdint.h>
#include <string.h>
/* cmocka wants the three above it */
#include <cmocka.h>

#include <event2/event.h>

#include "auth/auth_priv.h"
#include "base/mem.h"
#include "base/metrics.h"
#include "base/strbuf.h"

#define HOUR (3600 * USEC_PER_SEC)

static usec_t now;

static usec_t stopped_clock(void)
{
	return now;
}

struct fixture {
	struct loop *loop;
	struct store *store;
	struct settings settings;
	struct auth *auth;
	bool session_is_alive;

	/* the last answer */
	int result;
	enum fault_code code;
	char *token;
	char *token_id;
	struct strbuf revoked;
};

static bool session_of(const char *session_id, const char **ret_app_id, const char **ret_user_id,
		       void *arg)
{
	struct fixture *f = arg;

	(void)session_id;
	*ret_app_id = "shop";
	*ret_user_id = "ann";
	return f->session_is_alive;
}

static void on_revoked(const char *token_id, void *arg)
{
	struct fixture *f = arg;

	strbuf_printf(&f->revoked, "%s ", token_id);
	loop_stop(f->loop);
}

static void start(struct fixture *f)
{
	assert_int_equal(auth_new(f->loop, f->store, &f->settings, NULL, &f->auth, NULL), 0);
	auth_set_session_lookup(f->auth, session_of, f);
	auth_on_revoked(f->auth, on_revoked, f);
}

static void restart(struct fixture *f)
{
	f->auth = auth_free(f->auth);
	start(f);
}

static int set_up(void **state)
{
	struct fixture *f = xcalloc(1, sizeof(*f));

	now = 1800000000 * USEC_PER_SEC;
	clock_replace(NULL, stopped_clock);
	f->settings = (struct settings){
		.auth_token_ttl = 24 * HOUR,
		.auth_token_ttl_max = 48 * HOUR,
		.limits_tokens_per_session = 3,
	};
	f->loop = loop_new();
	f->store = store_memory_new(f->loop);
	f->revoked = strbuf_init(STRBUF_UNLIMITED);
	f->session_is_alive = true;
	start(f);
	*state = f;
	return 0;
}

static int tear_down(void **state)
{
	struct fixture *f = *state;

	auth_free(f->auth);
	store_free(f->store);
	loop_free(f->loop);
	free(f->token);
	free(f->token_id);
	strbuf_done(&f->revoked);
	free(f);
	clock_replace(NULL, NULL);
	return 0;
}

static void on_mint(int result, const char *token, const struct token_info *info,
		    const struct fault *fault, void *arg)
{
	struct fixture *f = arg;

	free(f->token);
	free(f->token_id);
	f->result = result;
	f->code = fault ? fault->code : FAULT_NONE;
	f->token = xstrdup_null(token);
	f->token_id = info ? xstrdup(info->token_id) : NULL;
	loop_stop(f->loop);
}

static void on_done(int result, const struct fault *fault, void *arg)
{
	struct fixture *f = arg;

	f->result = result;
	f->code = fault ? fault->code : FAULT_NONE;
	loop_stop(f->loop);
}

static struct auth_op *start_mint(struct fixture *f, const char *session_id, usec_t ttl,
				  struct fault *fault)
{
	const struct token_request request = {
		.app_id = "shop",
		.user_id = "ann",
		.session_id = session_id,
		.note = "for a test",
		.scopes = SCOPE_VIEW | SCOPE_TASK,
		.ttl = ttl,
	};

	return auth_mint(f->auth, &request, on_mint, f, fault);
}

/* The token, borrowed until the next. */
static const char *mint(struct fixture *f, const char *session_id, usec_t ttl)
{
	struct auth_op *op = start_mint(f, session_id, ttl, NULL);

	assert_non_null(op);
	assert_int_equal(loop_run(f->loop), 0);
	auth_op_free(op);
	return f->token;
}

static void revoke_and_wait(struct fixture *f, const char *session_id, const char *token_id)
{
	struct auth_op *op = auth_revoke(f->auth, session_id, token_id, on_done, f, NULL);

	assert_non_null(op);
	f->result = 1;
	while (f->result == 1)
		assert_int_equal(loop_run(f->loop), 0);
	auth_op_free(op);
}

static enum fault_code verdict(struct fixture *f, const char *token)
{
	const struct credential credential = { .bearer = token };
	scoped(principal_unrefp) struct principal *p = NULL;
	scoped(fault_done) struct fault fault = { 0 };

	if (auth_authenticate(f->auth, &credential, &p, &fault) < 0 &&
	    strlen(token) > strlen(SESSION_TOKEN_PREFIX))
		assert_null(strstr(fault.detail, token));
	return fault.code;
}

static void count(const struct token_info *info, void *arg)
{
	(void)info;
	++*(unsigned *)arg;
}

static unsigned listed(struct fixture *f, const char *session_id)
{
	unsigned n = 0;

	auth_tokens(f->auth, session_id, count, &n);
	return n;
}

static int count_record(const void *record, void *arg)
{
	(void)record;
	++*(unsigned *)arg;
	return 0;
}

static unsigned stored(struct fixture *f)
{
	unsigned n = 0;

	assert_int_equal(store_load(f->store, RECORD_KIND_TOKEN, count_record, &n, NULL), 0);
	return n;
}

static void a_token_is_its_sessions_agent(void **state)
{
	struct fixture *f = *state;
	const struct credential credential = { .bearer = mint(f, "s1", 0) };
	scoped(principal_unrefp) struct principal *p = NULL;

	assert_int_equal(auth_authenticate(f->auth, &credential, &p, NULL), 0);
	assert_int_equal(p->via, VIA_SESSION_TOKEN);
	assert_string_equal(p->app_id, "shop");
	assert_string_equal(p->user_id, "ann");
	assert_string_equal(p->session_id, "s1");
	assert_string_equal(p->token_id, f->token_id);
	assert_int_equal(p->scopes, SCOPE_VIEW | SCOPE_TASK);
	assert_int_equal(p->expires_at, now + 24 * HOUR);
	assert_false(p->admin);

	f->session_is_alive = false;
	assert_int_equal(verdict(f, f->token), FAULT_TOKEN_INVALID);
}

static void no_other_text_is_the_token(void **state)
{
	struct fixture *f = *state;
	const double failures = metric_value(METRIC_AUTH_FAILURES);
	scoped(freep) char *no_secret = NULL, *empty_secret = NULL;
	size_t len;

	mint(f, "s1", 0);
	len = strlen(f->token);
	for (size_t i = strlen(SESSION_TOKEN_PREFIX); i < len; i++) {
		scoped(freep) char *cut = xstrndup(f->token, i);
		scoped(freep) char *changed = xstrdup(f->token);

		changed[i] = changed[i] == 'a' ? 'b' : 'a';
		assert_int_equal(verdict(f, cut), FAULT_TOKEN_INVALID);
		assert_int_equal(verdict(f, changed), FAULT_TOKEN_INVALID);
	}
	no_secret = xasprintf(SESSION_TOKEN_PREFIX "%s", f->token_id);
	empty_secret = xasprintf(SESSION_TOKEN_PREFIX "%s_", f->token_id);
	assert_int_equal(verdict(f, no_secret), FAULT_TOKEN_INVALID);
	assert_int_equal(verdict(f, empty_secret), FAULT_TOKEN_INVALID);
	assert_true(metric_value(METRIC_AUTH_FAILURES) > failures);
	assert_int_equal(verdict(f, f->token), FAULT_NONE);
}

static int expect_no_secret(const void *record, void *arg)
{
	const struct record_token *r = record;
	struct fixture *f = arg;
	const char *secret = strrchr(f->token, '_') + 1;

	assert_int_equal(strlen(secret), 48);
	assert_null(strstr(r->secret_hash, secret));
	assert_string_equal(r->note, "for a test");
	return 0;
}

static void the_store_has_the_token_but_not_its_secret(void **state)
{
	struct fixture *f = *state;

	mint(f, "s1", 0);
	assert_int_equal(stored(f), 1);
	assert_int_equal(store_load(f->store, RECORD_KIND_TOKEN, expect_no_secret, f, NULL), 0);

	restart(f);
	assert_int_equal(verdict(f, f->token), FAULT_NONE);
}

static void the_limit_counts_what_is_on_its_way(void **state)
{
	struct fixture *f = *state;
	struct auth_op *ops[3];
	scoped(fault_done) struct fault fault = { 0 };

	for (size_t i = 0; i < ARRAY_SIZE(ops); i++)
		assert_non_null(ops[i] = start_mint(f, "s1", i == 0 ? HOUR : 0, NULL));
	assert_null(start_mint(f, "s1", 0, &fault));
	assert_int_equal(fault.code, FAULT_TOKEN_LIMIT);
	assert_int_equal(listed(f, "s1"), 0);

	while (listed(f, "s1") < 3)
		assert_int_equal(loop_run(f->loop), 0);
	for (size_t i = 0; i < ARRAY_SIZE(ops); i++)
		auth_op_free(ops[i]);
	assert_null(start_mint(f, "s1", 0, NULL));

	/* another session has its own; an expired token counts no more */
	mint(f, "s2", 0);
	now += HOUR;
	mint(f, "s1", 0);
	assert_int_equal(f->result, 0);
}

static struct auth_op *start_exchange(struct fixture *f, struct fault *fault)
{
	const struct token_request request = {
		.app_id = "shop",
		.user_id = "ann",
		.session_id = "s1",
		.note = "panel",
		.scopes = SCOPE_VIEW,
		.exchanged = true,
	};

	return auth_mint(f->auth, &request, on_mint, f, fault);
}

static char *exchange(struct fixture *f)
{
	struct auth_op *op = start_exchange(f, NULL);

	assert_non_null(op);
	assert_int_equal(loop_run(f->loop), 0);
	auth_op_free(op);
	now += USEC_PER_SEC;
	return xstrdup(f->token);
}

static void where_they_are_full_the_oldest_of_a_browser_gives_way(void **state)
{
	struct fixture *f = *state;
	scoped(freep) char *of_agent = xstrdup(mint(f, "s1", 0));
	scoped(freep) char *first = exchange(f), *second = exchange(f), *third = NULL;
	scoped(fault_done) struct fault fault = { 0 };

	/* Over a restart it is known still whose a token is. */
	restart(f);
	third = exchange(f);
	assert_int_equal(verdict(f, first), FAULT_TOKEN_INVALID);
	assert_int_equal(verdict(f, of_agent), FAULT_NONE);
	assert_int_equal(verdict(f, second), FAULT_NONE);
	assert_int_equal(verdict(f, third), FAULT_NONE);
	assert_int_equal(stored(f), 3);

	/* One that is minted for an agent takes nobody's place. */
	assert_null(start_mint(f, "s1", 0, &fault));
	assert_int_equal(fault.code, FAULT_TOKEN_LIMIT);
	assert_int_equal(listed(f, "s1"), 3);
}

static void agents_tokens_never_give_way(void **state)
{
	struct fixture *f = *state;
	scoped(fault_done) struct fault fault = { 0 };

	for (int i = 0; i < 3; i++)
		mint(f, "s1", 0);
	assert_null(start_exchange(f, &fault));
	assert_int_equal(fault.code, FAULT_TOKEN_LIMIT);
	assert_int_equal(listed(f, "s1"), 3);
	assert_int_equal(verdict(f, f->token), FAULT_NONE);
}

static void a_request_beyond_the_rules_is_refused(void **state)
{
	/* clang-format off */
	static const struct {
		unsigned scopes;
		usec_t ttl;
		const char *field;
	} rows[] = {
		{ 0, 0, "scopes" },
		{ SCOPE_VIEW | SCOPE_ADMIN, 0, "scopes" },
		{ SCOPE_VIEW | SCOPE_SESSION_CREATE, 0, "scopes" },
		{ SCOPE_CANVAS, 0, "scopes" },
		{ SCOPE_VIEW, 48 * HOUR + 1, "ttl_seconds" },
		{ SCOPE_VIEW, USEC_INFINITY, "ttl_seconds" },
	};
	/* clang-format on */
	struct fixture *f = *state;

	for (size_t i = 0; i < ARRAY_SIZE(rows); i++) {
		scoped(fault_done) struct fault fault = { 0 };
		const struct token_request request = {
			.session_id = "s1",
			.scopes = rows[i].scopes,
			.ttl = rows[i].ttl,
		};

		assert_null(auth_mint(f->auth, &request, on_mint, f, &fault));
		assert_int_equal(fault.code, FAULT_INVALID_FIELD);
		assert_string_equal(fault.fields[0].field, rows[i].field);
	}
}

static void an_expired_token_says_so_and_is_purged(void **state)
{
	struct fixture *f = *state;
	const double tokens = metric_value(METRIC_TOKENS);

	mint(f, "s1", HOUR);
	assert_true(metric_value(METRIC_TOKENS) == tokens + 1);
	now += HOUR - 1;
	assert_int_equal(verdict(f, f->token), FAULT_NONE);
	now += 1;
	assert_int_equal(verdict(f, f->token), FAULT_TOKEN_EXPIRED);
	assert_int_equal(listed(f, "s1"), 0);

	tokens_purge(f->auth);
	assert_int_equal(stored(f), 0);
	assert_true(metric_value(METRIC_TOKENS) == tokens);
	assert_int_equal(verdict(f, f->token), FAULT_TOKEN_INVALID);
	while (f->auth->purge)
		mint(f, "s2", 0);
	assert_null(f->auth->sessions->hh.next);
}

static void the_purge_sleeps_when_there_are_no_tokens(void **state)
{
	struct fixture *f = *state;

	assert_false(timer_is_set(f->auth->purge_timer));
	mint(f, "s1", 0);
	assert_true(timer_is_set(f->auth->purge_timer));
	revoke_and_wait(f, "s1", f->token_id);
	assert_false(timer_is_set(f->auth->purge_timer));
	assert_null(f->auth->sessions);
}

static void those_expired_at_start_are_deleted(void **state)
{
	struct fixture *f = *state;

	mint(f, "s1", HOUR);
	mint(f, "s1", 0);
	now += HOUR;
	restart(f);
	assert_int_equal(stored(f), 1);
	assert_int_equal(listed(f, "s1"), 1);
}

static void note_id(const struct token_info *info, void *arg)
{
	strbuf_printf(arg, "%s ", info->token_id);
}

static void the_newest_is_listed_first_also_after_a_restart(void **state)
{
	struct fixture *f = *state;
	scoped(strbuf_done) struct strbuf before = strbuf_init(STRBUF_UNLIMITED);
	scoped(strbuf_done) struct strbuf after = strbuf_init(STRBUF_UNLIMITED);

	for (int i = 0; i < 3; i++) {
		mint(f, "s1", 0);
		now += USEC_PER_SEC;
	}
	auth_tokens(f->auth, "s1", note_id, &before);
	assert_memory_equal(before.data, f->token_id, strlen(f->token_id));
	restart(f);
	auth_tokens(f->auth, "s1", note_id, &after);
	assert_string_equal(before.data, after.data);
}

static void a_revoked_token_is_refused_at_once(void **state)
{
	struct fixture *f = *state;
	struct auth_op *op;

	mint(f, "s1", 0);
	op = auth_revoke(f->auth, "s1", f->token_id, on_done, f, NULL);
	assert_non_null(op);
	assert_int_equal(verdict(f, f->token), FAULT_TOKEN_INVALID);
	assert_int_equal(f->revoked.len, 0);

	/* Nobody waits for the end of it, and still it comes. */
	auth_op_free(op);
	assert_int_equal(loop_run(f->loop), 0);
	assert_memory_equal(f->revoked.data, f->token_id, strlen(f->token_id));
	assert_int_equal(stored(f), 0);
}

static void only_its_own_session_can_revoke_a_token(void **state)
{
	struct fixture *f = *state;
	scoped(fault_done) struct fault fault = { 0 };

	mint(f, "s1", 0);
	assert_null(auth_revoke(f->auth, "s2", f->token_id, on_done, f, &fault));
	assert_int_equal(fault.code, FAULT_TOKEN_NOT_FOUND);
	assert_null(auth_revoke(f->auth, "s1", "unknown", on_done, f, &fault));
	assert_int_equal(fault.code, FAULT_TOKEN_NOT_FOUND);
	assert_int_equal(verdict(f, f->token), FAULT_NONE);
}

static void a_token_that_could_not_be_stored_never_was(void **state)
{
	struct fixture *f = *state;

	store_memory_fail(f->store, -ENOSPC);
	mint(f, "s1", 0);
	assert_int_equal(f->code, FAULT_STORE_UNAVAILABLE);
	assert_int_equal(f->result, -EIO);
	assert_null(f->token);
	assert_null(f->auth->tokens);
}

static void a_revocation_that_could_not_be_stored_holds_and_can_be_repeated(void **state)
{
	struct fixture *f = *state;

	mint(f, "s1", 0);
	store_memory_fail(f->store, -EIO);
	revoke_and_wait(f, "s1", f->token_id);
	assert_int_equal(f->code, FAULT_STORE_UNAVAILABLE);
	assert_int_equal(verdict(f, f->token), FAULT_TOKEN_INVALID);
	assert_int_equal(listed(f, "s1"), 0);
	assert_int_equal(stored(f), 1);

	store_memory_fail(f->store, 0);
	revoke_and_wait(f, "s1", f->token_id);
	assert_int_equal(f->result, 0);
	assert_int_equal(stored(f), 0);
	assert_null(f->auth->tokens);
}

static void a_session_that_ends_takes_its_tokens_along(void **state)
{
	struct fixture *f = *state;
	struct store_batch *batch = store_batch_new();
	scoped(freep) char *other = NULL;

	other = xstrdup(mint(f, "s2", 0));
	mint(f, "s1", 0);
	auth_revoke_session(f->auth, "s1", batch);
	assert_int_equal(verdict(f, f->token), FAULT_TOKEN_INVALID);
	assert_int_equal(verdict(f, other), FAULT_NONE);

	store_commit_free(store_commit_consume(f->store, batch, NULL, NULL));
	event_base_loop(loop_base(f->loop), EVLOOP_NONBLOCK);
	assert_int_equal(f->revoked.len, 0); /* not before the session's end is told */
	auth_session_revoked(f->auth, "s1");
	auth_session_revoked(f->auth, "s1");
	assert_int_equal(loop_run(f->loop), 0);
	assert_memory_equal(f->revoked.data, f->token_id, strlen(f->token_id));
	assert_null(
		memmem(f->revoked.data + 1, f->revoked.len - 1, f->token_id, strlen(f->token_id)));
	assert_int_equal(stored(f), 1);
}

static void tokens_of_a_session_whose_end_failed_are_purged(void **state)
{
	struct fixture *f = *state;
	struct store_batch *batch = store_batch_new();

	mint(f, "s1", 0);
	auth_revoke_session(f->auth, "s1", batch);
	store_batch_free(batch);
	assert_int_equal(stored(f), 1);

	tokens_purge(f->auth);
	assert_int_equal(stored(f), 0);
}

static void a_session_that_ends_during_a_mint_gets_no_token(void **state)
{
	struct fixture *f = *state;
	struct auth_op *op = start_mint(f, "s1", 0, NULL);
	struct store_batch *batch = store_batch_new();

	auth_revoke_session(f->auth, "s1", batch);
	store_commit_free(store_commit_consume(f->store, batch, NULL, NULL));
	assert_int_equal(loop_run(f->loop), 0);
	auth_op_free(op);
	assert_int_equal(f->code, FAULT_SESSION_NOT_FOUND);
	assert_null(f->token);
	assert_int_equal(stored(f), 0);
}

static void operations_may_outlive_auth(void **state)
{
	struct fixture *f = *state;
	struct auth_op *op = start_mint(f, "s1", 0, NULL);

	f->auth = auth_free(f->auth);
	auth_op_free(op);
}

#define TEST(name) cmocka_unit_test_setup_teardown(name, set_up, tear_down)

int main(void)
{
	const struct CMUnitTest tests[] = {
		TEST(a_token_is_its_sessions_agent),
		TEST(no_other_text_is_the_token),
		TEST(the_store_has_the_token_but_not_its_secret),
		TEST(the_limit_counts_what_is_on_its_way),
		TEST(where_they_are_full_the_oldest_of_a_browser_gives_way),
		TEST(agents_tokens_never_give_way),
		TEST(a_request_beyond_the_rules_is_refused),
		TEST(an_expired_token_says_so_and_is_purged),
		TEST(the_purge_sleeps_when_there_are_no_tokens),
		TEST(those_expired_at_start_are_deleted),
		TEST(the_newest_is_listed_first_also_after_a_restart),
		TEST(a_revoked_token_is_refused_at_once),
		TEST(only_its_own_session_can_revoke_a_token),
		TEST(a_token_that_could_not_be_stored_never_was),
		TEST(a_revocation_that_could_not_be_stored_holds_and_can_be_repeated),
		TEST(a_session_that_ends_takes_its_tokens_along),
		TEST(tokens_of_a_session_whose_end_failed_are_purged),
		TEST(a_session_that_ends_during_a_mint_gets_no_token),
		TEST(operations_may_outlive_auth),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
