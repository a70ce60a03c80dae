/* SPDX-License-Identifier: MIT */
/* One-time codes: worth something once, for a while, and to nobody else. */
#include <errno.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stdint.h>
#include <string.h>
/* cmocka wants the three above it */
#include <cmocka.h>

#include "auth/auth.h"
#include "base/crypto.h"
#include "base/mem.h"
#include "base/metrics.h"

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
};

static int set_up(void **state)
{
	struct fixture *f = xcalloc(1, sizeof(*f));

	now = 1800000000 * USEC_PER_SEC;
	clock_replace(stopped_clock, stopped_clock);
	f->settings = (struct settings){ .auth_code_ttl = 60 * USEC_PER_SEC,
					 .limits_codes = 3,
					 .limits_codes_per_user = 2 };
	f->loop = loop_new();
	f->store = store_memory_new(f->loop);
	assert_int_equal(auth_new(f->loop, f->store, &f->settings, NULL, &f->auth, NULL), 0);
	*state = f;
	return 0;
}

static int tear_down(void **state)
{
	struct fixture *f = *state;

	auth_free(f->auth);
	assert_true(metric_value(METRIC_CODES) == 0);
	store_free(f->store);
	loop_free(f->loop);
	clock_replace(NULL, NULL);
	free(f);
	return 0;
}

static int mint(struct fixture *f, const char *session_id, char **ret, struct fault *reterr)
{
	struct code_info info = {
		.app_id = (char *)"shop",
		.session_id = (char *)session_id,
		.user_id = (char *)"ann",
		.scopes = SCOPE_VIEW,
	};
	int r = auth_code_mint(f->auth, &info, ret, reterr);

	assert_true(r < 0 || info.expires_at == now + 60 * USEC_PER_SEC);
	return r;
}

static int take(struct fixture *f, const char *code)
{
	scoped(code_info_done) struct code_info info = { 0 };
	scoped(fault_done) struct fault fault = { 0 };
	int r = auth_code_take(f->auth, code, NULL, NULL, &info, &fault);

	if (r < 0) {
		assert_int_equal(fault.code, FAULT_CODE_INVALID);
		return r;
	}
	assert_string_equal(info.app_id, "shop");
	assert_string_equal(info.user_id, "ann");
	assert_null(info.name);
	assert_int_equal(info.scopes, SCOPE_VIEW);
	return r;
}

static void a_code_is_worth_something_once(void **state)
{
	struct fixture *f = *state;
	scoped(secret_freep) char *code = NULL, *other = NULL;

	assert_int_equal(mint(f, "s1", &code, NULL), 0);
	assert_int_equal(mint(f, "s1", &other, NULL), 0);
	assert_string_not_equal(code, other);
	assert_true(metric_value(METRIC_CODES) == 2);
	assert_true(take(f, "") < 0);
	assert_int_equal(take(f, code), 0);
	assert_true(take(f, code) < 0);
	assert_int_equal(take(f, other), 0);
	assert_true(metric_value(METRIC_CODES) == 0);
}

static void a_code_expires(void **state)
{
	struct fixture *f = *state;
	scoped(secret_freep) char *code = NULL, *other = NULL;

	assert_int_equal(mint(f, "s1", &code, NULL), 0);
	now += 59 * USEC_PER_SEC;
	assert_int_equal(mint(f, "s1", &other, NULL), 0);
	now += USEC_PER_SEC;
	assert_true(take(f, code) < 0);
	assert_int_equal(take(f, other), 0);
}

static void one_user_does_not_hold_all_codes(void **state)
{
	struct fixture *f = *state;
	scoped(secret_freep) char *a = NULL, *b = NULL, *c = NULL;
	scoped(fault_done) struct fault fault = { 0 };
	struct code_info info = {
		.app_id = (char *)"shop",
		.session_id = (char *)"s4",
		.user_id = (char *)"bob",
		.ttl = 90 * USEC_PER_SEC,
	};

	assert_int_equal(mint(f, "s1", &a, NULL), 0);
	assert_int_equal(mint(f, "s2", &b, NULL), 0);
	assert_true(mint(f, "s3", &c, &fault) < 0);
	assert_int_equal(auth_code_mint(f->auth, &info, &c, NULL), 0);
	assert_true(info.expires_at == now + 90 * USEC_PER_SEC);

	info.user_id = (char *)"carl"; /* who has none: there are as many as may be */
	fault_done(&fault);
	assert_true(auth_code_mint(f->auth, &info, &a, &fault) < 0);
	assert_int_equal(fault.code, FAULT_TOO_MANY_REQUESTS);

	now += 60 * USEC_PER_SEC;
	assert_true(take(f, b) < 0);
	info = (struct code_info){ 0 };
	assert_int_equal(auth_code_take(f->auth, c, NULL, NULL, &info, NULL), 0);
	assert_string_equal(info.user_id, "bob");
	code_info_done(&info);
}

static void codes_are_bounded_until_some_expire(void **state)
{
	struct fixture *f = *state;
	scoped(secret_freep) char *a = NULL, *b = NULL, *c = NULL;
	scoped(fault_done) struct fault fault = { 0 };

	assert_int_equal(mint(f, "s1", &a, NULL), 0);
	assert_int_equal(mint(f, "s2", &b, NULL), 0);
	assert_true(mint(f, "s3", &c, &fault) < 0);
	assert_int_equal(fault.code, FAULT_TOO_MANY_REQUESTS);
	assert_int_equal(fault.retry_after_seconds, 60);
	now += 60 * USEC_PER_SEC;
	assert_int_equal(mint(f, "s3", &c, NULL), 0);
	assert_int_equal(take(f, c), 0);
}

static void a_session_that_ends_takes_its_codes_along(void **state)
{
	struct fixture *f = *state;
	scoped(secret_freep) char *code = NULL, *other = NULL;
	scoped(store_batch_freep) struct store_batch *batch = store_batch_new();

	assert_int_equal(mint(f, "s1", &code, NULL), 0);
	assert_int_equal(mint(f, "s2", &other, NULL), 0);
	auth_revoke_session(f->auth, "s1", batch);
	assert_true(take(f, code) < 0);
	assert_int_equal(take(f, other), 0);
}

static void a_code_of_one_login_is_worth_nothing_to_another(void **state)
{
	struct fixture *f = *state;
	scoped(code_info_done) struct code_info got = { 0 };
	scoped(secret_freep) char *code = NULL;
	struct code_info info = {
		.app_id = (char *)"shop",
		.session_id = (char *)"s1",
		.user_id = (char *)"ann",
		.scopes = SCOPE_VIEW,
		.has_uid = true,
		.uid = 1000,
	};
	const uid_t other = 1001, same = 1000;

	assert_int_equal(auth_code_mint(f->auth, &info, &code, NULL), 0);
	assert_true(auth_code_take(f->auth, code, NULL, &other, &got, NULL) < 0);
	assert_int_equal(auth_code_take(f->auth, code, NULL, &same, &got, NULL), 0);
}

static void a_code_is_for_its_own_host_alone(void **state)
{
	struct fixture *f = *state;
	scoped(code_info_done) struct code_info got = { 0 };
	scoped(secret_freep) char *code = NULL, *panels = NULL;
	struct code_info info = {
		.app_id = (char *)"shop",
		.session_id = (char *)"s1",
		.user_id = (char *)"ann",
		.label = (char *)"abc",
	};

	assert_int_equal(auth_code_mint(f->auth, &info, &code, NULL), 0);
	assert_true(auth_code_take(f->auth, code, NULL, NULL, &got, NULL) < 0);
	assert_true(auth_code_take(f->auth, code, "abd", NULL, &got, NULL) < 0);
	assert_int_equal(auth_code_take(f->auth, code, "abc", NULL, &got, NULL), 0);
	assert_string_equal(got.label, "abc");

	assert_int_equal(mint(f, "s1", &panels, NULL), 0);
	code_info_done(&got);
	assert_true(auth_code_take(f->auth, panels, "abc", NULL, &got, NULL) < 0);
	assert_int_equal(take(f, panels), 0);
}

static void what_a_token_gave_away_is_worth_nothing_without_it(void **state)
{
	struct fixture *f = *state;
	const usec_t end = now + 60 * USEC_PER_SEC;
	scoped(code_info_done) struct code_info got = { 0 };
	scoped(secret_freep) char *code = NULL, *late = NULL;
	scoped(secret_freep) char *pass = auth_edge_pass_new(f->auth, "abc", "gone", end);
	scoped(secret_freep) char *nobodys = auth_edge_pass_new(f->auth, "abc", NULL, end);
	scoped(freep) char *forged = xasprintf("%.10s.%s", nobodys, strrchr(pass, '.') + 1);
	struct code_info info = {
		.app_id = (char *)"shop",
		.session_id = (char *)"s1",
		.user_id = (char *)"ann",
		.label = (char *)"abc",
		.token_id = (char *)"gone",
	};

	assert_false(auth_edge_pass_is_valid(f->auth, "abc", pass));
	assert_true(auth_edge_pass_is_valid(f->auth, "abc", nobodys));
	assert_false(auth_edge_pass_is_valid(f->auth, "abc", forged));
	assert_int_equal(auth_code_mint(f->auth, &info, &code, NULL), 0);
	assert_true(auth_code_take(f->auth, code, "abc", NULL, &got, NULL) < 0);

	info.token_id = NULL;
	info.maker_until = now + USEC_PER_SEC;
	assert_int_equal(auth_code_mint(f->auth, &info, &late, NULL), 0);
	now += USEC_PER_SEC;
	assert_true(auth_code_take(f->auth, late, "abc", NULL, &got, NULL) < 0);
}

static void a_pass_is_for_its_own_host_until_it_expires(void **state)
{
	struct fixture *f = *state;
	const usec_t end = now + 60 * USEC_PER_SEC;
	scoped(secret_freep) char *pass = auth_edge_pass_new(f->auth, "abc", NULL, end);
	scoped(freep) char *later = xstrdup(pass), *forged = xstrdup(pass);

	assert_true(auth_edge_pass_is_valid(f->auth, "abc", pass));
	assert_false(auth_edge_pass_is_valid(f->auth, "abd", pass));
	assert_false(auth_edge_pass_is_valid(f->auth, "", pass));

	later[0]++; /* another expiry under the same signature, and another signature */
	assert_false(auth_edge_pass_is_valid(f->auth, "abc", later));
	forged[strlen(forged) - 1] ^= 1;
	assert_false(auth_edge_pass_is_valid(f->auth, "abc", forged));
	forged[strlen(forged) - 1] = '\0';
	assert_false(auth_edge_pass_is_valid(f->auth, "abc", forged));
	assert_false(auth_edge_pass_is_valid(f->auth, "abc", ""));
	assert_false(auth_edge_pass_is_valid(f->auth, "abc", "."));
	assert_false(auth_edge_pass_is_valid(f->auth, "abc", "99999999999999999999999.0"));

	now = end - 1;
	assert_true(auth_edge_pass_is_valid(f->auth, "abc", pass));
	now = end;
	assert_false(auth_edge_pass_is_valid(f->auth, "abc", pass));
}

#define TEST(name) cmocka_unit_test_setup_teardown(name, set_up, tear_down)

int main(void)
{
	const struct CMUnitTest tests[] = {
		TEST(a_code_is_worth_something_once),
		TEST(a_code_expires),
		TEST(one_user_does_not_hold_all_codes),
		TEST(codes_are_bounded_until_some_expire),
		TEST(a_session_that_ends_takes_its_codes_along),
		TEST(a_code_of_one_login_is_worth_nothing_to_another),
		TEST(a_code_is_for_its_own_host_alone),
		TEST(a_pass_is_for_its_own_host_until_it_expires),
		TEST(what_a_token_gave_away_is_worth_nothing_without_it),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
