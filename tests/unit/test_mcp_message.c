/* SPDX-License-Identifier: MIT */
/* MCP's messages and the rules of its two eras, as tables; and what hooks have told. */
#include "mcp/message.h"

#include <setjmp.h>
#include <stdarg.h>
#include <stdint.h>
#include <string.h>
/* cmocka wants the four above it */
#include <cmocka.h>

#include "base/mem.h"
#include "base/metrics.h"
#include "mcp/binding.h"
#include "mcp/protocol.h"

static usec_t now;

static usec_t test_clock(void)
{
	return now;
}

static void a_message_is_a_request_a_notification_or_an_answer(void **state)
{
	/* clang-format off */
	static const struct {
		const char *text;
		enum mcp_message_type type;
		const char *method;
	} rows[] = {
		{ "{\"jsonrpc\":\"2.0\",\"id\":1,\"method\":\"ping\"}", MCP_REQUEST, "ping" },
		{ "{\"jsonrpc\":\"2.0\",\"id\":\"a\",\"method\":\"x\",\"params\":{}}", MCP_REQUEST, "x" },
		{ "{\"jsonrpc\":\"2.0\",\"id\":-7,\"method\":\"x\",\"params\":{\"_meta\":{}}}", MCP_REQUEST, "x" },
		{ "{\"jsonrpc\":\"2.0\",\"id\":9007199254740991,\"method\":\"x\"}", MCP_REQUEST, "x" },
		{ "{\"jsonrpc\":\"2.0\",\"method\":\"notifications/x\"}", MCP_NOTIFICATION, "notifications/x" },
		{ "{\"jsonrpc\":\"2.0\",\"id\":1,\"result\":{}}", MCP_RESPONSE, NULL },
		{ "{\"jsonrpc\":\"2.0\",\"id\":1,\"error\":{\"code\":1}}", MCP_RESPONSE, NULL },
	};
	/* clang-format on */

	(void)state;
	for (size_t i = 0; i < ARRAY_SIZE(rows); i++) {
		scoped(mcp_message_done) struct mcp_message m = { 0 };
		scoped(mcp_error_done) struct mcp_error error = { 0 };

		assert_int_equal(mcp_message_parse(rows[i].text, strlen(rows[i].text), &m, &error),
				 0);
		assert_int_equal(m.type, rows[i].type);
		if (rows[i].method)
			assert_string_equal(m.method, rows[i].method);
		else
			assert_null(m.method);
	}
}

static void what_is_no_message_has_its_code(void **state)
{
	/* clang-format off */
	static const struct {
		const char *text;
		int code;
		bool has_id;
	} rows[] = {
		{ "", MCP_PARSE_ERROR, false },
		{ "{\"jsonrpc\":\"2.0\",\"id\":1,", MCP_PARSE_ERROR, false },
		{ "{\"jsonrpc\":\"2.0\",\"id\":1,\"id\":2,\"method\":\"x\"}", MCP_PARSE_ERROR, false },
		{ "[]", MCP_INVALID_REQUEST, false },
		{ "\"ping\"", MCP_INVALID_REQUEST, false },
		{ "{\"id\":1,\"method\":\"x\"}", MCP_INVALID_REQUEST, true },
		{ "{\"jsonrpc\":2,\"id\":1,\"method\":\"x\"}", MCP_INVALID_REQUEST, true },
		{ "{\"jsonrpc\":\"2.0\",\"id\":null,\"method\":\"x\"}", MCP_INVALID_REQUEST, false },
		{ "{\"jsonrpc\":\"2.0\",\"id\":1.5,\"method\":\"x\"}", MCP_INVALID_REQUEST, false },
		{ "{\"jsonrpc\":\"2.0\",\"id\":1e300,\"method\":\"x\"}", MCP_INVALID_REQUEST, false },
		{ "{\"jsonrpc\":\"2.0\",\"id\":{},\"method\":\"x\"}", MCP_INVALID_REQUEST, false },
		{ "{\"jsonrpc\":\"2.0\",\"id\":1}", MCP_INVALID_REQUEST, true },
		{ "{\"jsonrpc\":\"2.0\",\"id\":1,\"method\":7}", MCP_INVALID_REQUEST, true },
		{ "{\"jsonrpc\":\"2.0\",\"id\":1,\"method\":\"\"}", MCP_INVALID_REQUEST, true },
		{ "{\"jsonrpc\":\"2.0\",\"id\":1,\"method\":\"x\",\"params\":[]}", MCP_INVALID_REQUEST, true },
		{ "{\"jsonrpc\":\"2.0\",\"id\":1,\"method\":\"x\",\"result\":1}", MCP_INVALID_REQUEST, true },
		{ "{\"jsonrpc\":\"2.0\",\"id\":1,\"method\":\"x\",\"params\":{\"_meta\":1}}", MCP_INVALID_PARAMS, true },
	};
	/* clang-format on */

	(void)state;
	for (size_t i = 0; i < ARRAY_SIZE(rows); i++) {
		scoped(mcp_message_done) struct mcp_message m = { 0 };
		scoped(mcp_error_done) struct mcp_error error = { 0 };

		assert_true(mcp_message_parse(rows[i].text, strlen(rows[i].text), &m, &error) < 0);
		assert_int_equal(error.code, rows[i].code);
		assert_int_equal(error.http_status, 400);
		assert_int_equal(m.id != NULL, rows[i].has_id);
	}
}

static void an_answer_repeats_the_id_as_it_was(void **state)
{
	static const char *const ids[] = { "1", "\"a\\n\"", "-9007199254740991", "0" };

	(void)state;
	for (size_t i = 0; i < ARRAY_SIZE(ids); i++) {
		scoped(freep) char *text =
			xasprintf("{\"jsonrpc\":\"2.0\",\"id\":%s,\"method\":\"x\"}", ids[i]);
		scoped(freep) char *expected =
			xasprintf("{\"jsonrpc\":\"2.0\",\"id\":%s,\"result\":{}}", ids[i]);
		scoped(mcp_message_done) struct mcp_message m = { 0 };
		scoped(mcp_error_done) struct mcp_error error = { 0 };
		scoped(freep) char *answer = NULL;

		assert_int_equal(mcp_message_parse(text, strlen(text), &m, &error), 0);
		answer = mcp_result_text(m.id, cJSON_CreateObject());
		assert_string_equal(answer, expected);
	}
}

#define META(inside)                                                                          \
	"{\"jsonrpc\":\"2.0\",\"id\":1,\"method\":\"tools/call\",\"params\":{\"name\":\"T\"," \
	"\"_meta\":{" inside "}}}"
#define GOOD_META                                                          \
	META("\"io.modelcontextprotocol/protocolVersion\":\"2026-07-28\"," \
	     "\"io.modelcontextprotocol/clientCapabilities\":{}")
#define PLAIN(method) "{\"jsonrpc\":\"2.0\",\"id\":1,\"method\":\"" method "\"}"

static void an_era_is_what_the_request_says(void **state)
{
	/* clang-format off */
	static const struct {
		const char *text;
		struct mcp_fields fields;
		enum mcp_era era;
	} rows[] = {
		{ PLAIN("initialize"), { 0 }, MCP_LEGACY },
		{ PLAIN("initialize"), { .version = "2026-07-28" }, MCP_LEGACY },
		{ PLAIN("tools/list"), { 0 }, MCP_LEGACY },
		{ PLAIN("tools/list"), { .version = "2025-06-18" }, MCP_LEGACY },
		{ PLAIN("tools/list"), { .version = "2026-07-28", .session = "x" }, MCP_LEGACY },
		{ PLAIN("tools/list"), { .version = "2026-07-28" }, MCP_MODERN },
		{ PLAIN("tools/list"), { .version = "2031-01-01" }, MCP_MODERN },
		{ PLAIN("server/discover"), { 0 }, MCP_MODERN },
		{ GOOD_META, { 0 }, MCP_MODERN },
		{ GOOD_META, { .session = "x" }, MCP_MODERN },
	};
	/* clang-format on */

	(void)state;
	for (size_t i = 0; i < ARRAY_SIZE(rows); i++) {
		scoped(mcp_message_done) struct mcp_message m = { 0 };
		scoped(mcp_error_done) struct mcp_error error = { 0 };

		assert_int_equal(mcp_message_parse(rows[i].text, strlen(rows[i].text), &m, &error),
				 0);
		assert_int_equal(mcp_era_of(&m, &rows[i].fields), rows[i].era);
	}
}

static void a_modern_request_says_everything_twice(void **state)
{
#define FIELDS(v, m, n)                              \
	{                                            \
		.version = v, .method = m, .name = n \
	}
	/* clang-format off */
	static const struct {
		const char *text;
		struct mcp_fields fields;
		int code; /* 0: it is good */
	} rows[] = {
		{ GOOD_META, FIELDS("2026-07-28", "tools/call", "T"), 0 },
		{ GOOD_META, FIELDS("2026-07-28", "tools/call", "=?base64?VA==?="), 0 },
		{ GOOD_META, FIELDS("2026-07-28", "tools/call", "=?base64?VA?="), MCP_HEADER_MISMATCH },
		{ GOOD_META, FIELDS("2026-07-28", "tools/call", "=?base64?*A==?="), MCP_HEADER_MISMATCH },
		{ GOOD_META, FIELDS("2026-07-28", "tools/call", "=?base64?" "?="), MCP_HEADER_MISMATCH },
		{ GOOD_META, FIELDS("2026-07-28", "tools/call", "=?base64?="), MCP_HEADER_MISMATCH },
		{ GOOD_META, FIELDS("2026-07-28", "tools/call", "=?base64?AAAA?="), MCP_HEADER_MISMATCH },
		{ GOOD_META, FIELDS("2026-07-28", "tools/call", "=?base64?/////w==?="), MCP_HEADER_MISMATCH },
		{ GOOD_META, FIELDS("2026-07-28", "tools/call", "t"), MCP_HEADER_MISMATCH },
		{ GOOD_META, FIELDS("2026-07-28", "tools/call", NULL), MCP_HEADER_MISMATCH },
		{ GOOD_META, FIELDS("2026-07-28", NULL, "T"), MCP_HEADER_MISMATCH },
		{ GOOD_META, FIELDS("2026-07-28", "tools/list", "T"), MCP_HEADER_MISMATCH },
		{ GOOD_META, FIELDS(NULL, "tools/call", "T"), MCP_HEADER_MISMATCH },
		{ GOOD_META, FIELDS("2025-11-25", "tools/call", "T"), MCP_HEADER_MISMATCH },
		{ PLAIN("tools/list"), FIELDS("2026-07-28", "tools/list", NULL), MCP_INVALID_PARAMS },
		{ META("\"io.modelcontextprotocol/protocolVersion\":\"2026-07-28\""), FIELDS("2026-07-28", "tools/call", "T"), MCP_INVALID_PARAMS },
		{ META("\"io.modelcontextprotocol/protocolVersion\":1"), FIELDS("2026-07-28", "tools/call", "T"), MCP_INVALID_PARAMS },
		{ META("\"io.modelcontextprotocol/protocolVersion\":\"x\""), FIELDS("x", "tools/call", "T"), MCP_UNSUPPORTED_VERSION },
	};
	/* clang-format on */

	(void)state;
	for (size_t i = 0; i < ARRAY_SIZE(rows); i++) {
		scoped(mcp_message_done) struct mcp_message m = { 0 };
		scoped(mcp_error_done) struct mcp_error error = { 0 };

		assert_int_equal(mcp_message_parse(rows[i].text, strlen(rows[i].text), &m, &error),
				 0);
		assert_int_equal(mcp_modern_check(&m, &rows[i].fields, &error) < 0,
				 rows[i].code != 0);
		assert_int_equal(error.code, rows[i].code);
		if (error.code)
			assert_int_equal(error.http_status, 400);
	}
}

static char ada_id[] = "ada", bob_id[] = "bob", eve_id[] = "eve", one_id[] = "one";
static const struct principal ada = { .user_id = ada_id }, bob = { .user_id = bob_id },
			      eve = { .user_id = eve_id }, one = { .user_id = one_id };

static void what_a_token_of_one_session_told_is_for_that_session(void **state)
{
	char app[] = "a", s1[] = "s1", s2[] = "s2";
	const struct principal of_s1 = { .user_id = ada_id, .app_id = app, .session_id = s1 };
	const struct principal of_s2 = { .user_id = ada_id, .app_id = app, .session_id = s2 };
	scoped(mcp_bindings_freep) struct mcp_bindings *b = mcp_bindings_new(
		&(struct mcp_bindings_limits){ .max = 10, .per_user = 10, .ttl = USEC_INFINITY });
	struct mcp_binding found;

	(void)state;
	mcp_bindings_add(b, &of_s2, "bash_1", NULL, "s2");
	assert_true(mcp_bindings_find(b, &of_s1, "bash_1", &found) < 0);
	assert_true(mcp_bindings_find(b, &ada, "bash_1", &found) < 0);
	assert_int_equal(mcp_bindings_find(b, &of_s2, "bash_1", &found), 0);

	mcp_bindings_add(b, &ada, "bash_1", NULL, "s1");
	assert_int_equal(mcp_bindings_find(b, &of_s1, "bash_1", &found), 0);
	assert_string_equal(found.session_id, "s1");
	assert_int_equal(mcp_bindings_find(b, &of_s2, "bash_1", &found), 0);
	assert_string_equal(found.session_id, "s2");
}

static void what_a_hook_told_is_its_users_and_for_a_while(void **state)
{
	scoped(mcp_bindings_freep) struct mcp_bindings *b = mcp_bindings_new(
		&(struct mcp_bindings_limits){ .max = 10, .per_user = 10, .ttl = 100 });
	struct mcp_binding found;

	(void)state;
	now = 1000;
	clock_replace(test_clock, NULL);
	mcp_bindings_add(b, &ada, "tool-1", NULL, "s1");
	assert_int_equal(mcp_bindings_find(b, &ada, "tool-1", &found), 0);
	assert_string_equal(found.session_id, "s1");
	assert_null(found.app_id);
	assert_true(mcp_bindings_find(b, &bob, "tool-1", &found) < 0);
	assert_true(mcp_bindings_find(b, &ada, "tool-2", &found) < 0);

	mcp_bindings_add(b, &ada, "tool-1", "shop", "s2");
	assert_int_equal(mcp_bindings_find(b, &ada, "tool-1", &found), 0);
	assert_string_equal(found.session_id, "s2");
	assert_string_equal(found.app_id, "shop");

	now += 99;
	assert_int_equal(mcp_bindings_find(b, &ada, "tool-1", &found), 0);
	now += 1;
	assert_true(mcp_bindings_find(b, &ada, "tool-1", &found) < 0);
	assert_true(metric_value(METRIC_MCP_BINDINGS) == 0);
	clock_replace(NULL, NULL);
}

static void past_the_limit_the_oldest_are_forgotten(void **state)
{
	scoped(mcp_bindings_freep) struct mcp_bindings *b = mcp_bindings_new(
		&(struct mcp_bindings_limits){ .max = 5, .per_user = 3, .ttl = USEC_PER_SEC });
	struct mcp_binding found;
	char id[16];

	(void)state;
	now = 1000;
	clock_replace(test_clock, NULL);
	for (int i = 0; i < 1000; i++) {
		snprintf(id, sizeof(id), "tool-%d", i);
		mcp_bindings_add(b, &ada, id, NULL, "s1");
	}
	assert_true(metric_value(METRIC_MCP_BINDINGS) == 3);
	assert_true(mcp_bindings_find(b, &ada, "tool-996", &found) < 0);
	assert_int_equal(mcp_bindings_find(b, &ada, "tool-997", &found), 0);

	/* As many as bob may tell take none of hers, and where all are taken he has but his own. */
	for (int i = 0; i < 1000; i++) {
		snprintf(id, sizeof(id), "tool-%d", i);
		mcp_bindings_add(b, &bob, id, NULL, "s2");
		mcp_bindings_add(b, &eve, id, NULL, "s3");
	}
	assert_true(metric_value(METRIC_MCP_BINDINGS) == 5);
	for (int i = 997; i < 1000; i++) {
		snprintf(id, sizeof(id), "tool-%d", i);
		assert_int_equal(mcp_bindings_find(b, &ada, id, &found), 0);
		assert_string_equal(found.session_id, "s1");
	}
	assert_int_equal(mcp_bindings_find(b, &bob, "tool-999", &found), 0);
	assert_int_equal(mcp_bindings_find(b, &eve, "tool-999", &found), 0);

	mcp_bindings_set(b, &(struct mcp_bindings_limits){ 1, 1, USEC_PER_SEC });
	assert_true(metric_value(METRIC_MCP_BINDINGS) == 1);
	mcp_bindings_add(b, &one, "tool-1", NULL, "s4");
	assert_true(mcp_bindings_find(b, &one, "tool-1", &found) < 0);
	clock_replace(NULL, NULL);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(a_message_is_a_request_a_notification_or_an_answer),
		cmocka_unit_test(what_is_no_message_has_its_code),
		cmocka_unit_test(an_answer_repeats_the_id_as_it_was),
		cmocka_unit_test(an_era_is_what_the_request_says),
		cmocka_unit_test(a_modern_request_says_everything_twice),
		cmocka_unit_test(what_a_token_of_one_session_told_is_for_that_session),
		cmocka_unit_test(what_a_hook_told_is_its_users_and_for_a_while),
		cmocka_unit_test(past_the_limit_the_oldest_are_forgotten),
	};

	mem_init();
	return cmocka_run_group_tests(tests, NULL, NULL);
}
