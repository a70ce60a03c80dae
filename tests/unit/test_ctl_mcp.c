/* SPDX-License-Identifier: MIT */
/* The bridge's reading of messages and of streams of events. */
#include <setjmp.h>
#include <stdarg.h>
#include <stdint.h>
#include <string.h>
/* cmocka wants the three above it */
#include <cmocka.h>

#include "base/json.h"
#include "base/mem.h"
#include "ctl/bridged.h"

static void a_message_is_told_by_its_members(void **state)
{
	/* clang-format off */
	static const struct {
		const char *text;
		enum bridged_kind kind;
		const char *method, *version, *name;
	} rows[] = {
		{ "{\"jsonrpc\":\"2.0\",\"id\":1,\"method\":\"ping\"}", BRIDGED_REQUEST, "ping", NULL, NULL },
		{ "{\"jsonrpc\":\"2.0\",\"id\":\"x\",\"method\":\"tools/call\",\"params\":{\"name\":\"T\"}}", BRIDGED_REQUEST, "tools/call", NULL, "T" },
		{ "{\"id\":1,\"method\":\"resources/read\",\"params\":{\"uri\":\"u://x\",\"_meta\":{\"io.modelcontextprotocol/protocolVersion\":\"2026-07-28\"}}}",
		  BRIDGED_REQUEST, "resources/read", "2026-07-28", "u://x" },
		{ "{\"method\":\"notifications/initialized\"}", BRIDGED_NOTIFICATION, "notifications/initialized", NULL, NULL },
		{ "{\"id\":1,\"result\":{}}", BRIDGED_RESPONSE, "", NULL, NULL },
		{ "{\"id\":1,\"error\":{}}", BRIDGED_RESPONSE, "", NULL, NULL },
		{ "{\"id\":1}", BRIDGED_STRANGE, "", NULL, NULL },
		{ "[{\"id\":1,\"method\":\"x\"}]", BRIDGED_STRANGE, "", NULL, NULL },
		{ "nonsense", BRIDGED_STRANGE, "", NULL, NULL },
		{ "{\"id\":1,\"method\":7,\"params\":[]}", BRIDGED_STRANGE, "", NULL, NULL },
	};
	/* clang-format on */

	(void)state;
	for (size_t i = 0; i < ARRAY_SIZE(rows); i++) {
		scoped(bridged_freep) struct bridged *m =
			bridged_new(rows[i].text, strlen(rows[i].text));

		assert_int_equal(m->kind, rows[i].kind);
		assert_string_equal(m->method, rows[i].method);
		assert_string_equal(m->version ? m->version : "-",
				    rows[i].version ? rows[i].version : "-");
		assert_string_equal(m->name ? m->name : "-", rows[i].name ? rows[i].name : "-");
		assert_string_equal(m->text, rows[i].text);
	}
}

static void a_call_says_its_session_in_the_daemons_order(void **state)
{
	/* clang-format off */
	static const struct {
		const char *params, *session;
	} rows[] = {
		{ "{\"arguments\":{\"session_id\":\"a\"},\"_meta\":{\"sessionId\":\"b\"}}", "a" },
		{ "{\"arguments\":{\"session_id\":\"\"},\"_meta\":{\"sessionId\":\"b\",\"dev.previewd/sessionId\":\"c\"}}", "c" },
		{ "{\"_meta\":{\"threadId\":\"t\",\"x-codex-turn-metadata\":{\"session_id\":\"x\"}}}", "t" },
		{ "{\"_meta\":{\"x-codex-turn-metadata\":{\"session_id\":\"x\"},\"claudecode/sessionId\":\"y\"}}", "x" },
		{ "{\"_meta\":{\"claudecode/sessionId\":\"y\"}}", "y" },
		{ "{\"_meta\":{\"claudecode/toolUseId\":\"z\"}}", NULL },
		{ "{\"arguments\":{\"session_id\":\"../x\"}}", NULL },
		{ "[]", NULL },
	};
	/* clang-format on */

	(void)state;
	for (size_t i = 0; i < ARRAY_SIZE(rows); i++) {
		scoped(freep) char *text = xasprintf(
			"{\"id\":1,\"method\":\"tools/call\",\"params\":%s}", rows[i].params);
		scoped(bridged_freep) struct bridged *m = bridged_new(text, strlen(text));
		const char *session = bridged_claimed_session(m);

		assert_string_equal(session ? session : "-",
				    rows[i].session ? rows[i].session : "-");
	}
}

static void what_no_field_may_hold_goes_as_base64(void **state)
{
	static const struct {
		const char *text, *value;
	} rows[] = {
		{ "PreviewProxy", "PreviewProxy" },
		{ "two words", "two words" },
		{ "caf\xc3\xa9", "=?base64?Y2Fmw6k=?=" },
		{ " x", "=?base64?IHg=?=" },
		{ "a\r\nX-Evil: 1", "=?base64?YQ0KWC1FdmlsOiAx?=" },
		{ "=?base64?eA=="
		  "?=",
		  "=?base64?PT9iYXNlNjQ/ZUE9PT89"
		  "?=" },
		{ "", "=?base64?"
		      "?=" },
	};

	(void)state;
	for (size_t i = 0; i < ARRAY_SIZE(rows); i++) {
		scoped(freep) char *value = bridged_field_value(rows[i].text);

		assert_string_equal(value, rows[i].value);
	}
}

static void on_data(const char *data, size_t len, void *arg)
{
	struct strbuf *b = arg;

	strbuf_printf(b, "<%.*s>", (int)len, data);
}

/* However the bytes are cut. */
static void a_stream_of_events_is_cut_into_their_data(void **state)
{
	static const struct {
		const char *text, *data;
	} rows[] = {
		{ "data: a\n\ndata:b\n\n", "<a><b>" },
		{ "event: message\r\ndata: a\r\ndata: b\r\n\r\n", "<a\nb>" },
		{ "data: a\r\rdata: b\r\r", "<a><b>" },
		{ ": ping\n\nid: 7\n\n", "" },
		{ "data\n\ndata: \n\n", "<>" },
		{ "data: unfinished\n", "" },
		{ "data: 123456789012345678901234567890\n\ndata: a\n\n",
		  "<a>" }, /* longer than 24 */
	};

	(void)state;
	for (size_t i = 0; i < ARRAY_SIZE(rows); i++) {
		size_t len = strlen(rows[i].text);

		for (size_t cut = 1; cut <= len; cut++) {
			scoped(event_stream_done) struct event_stream s;
			scoped(strbuf_done) struct strbuf b = strbuf_init(4096);

			event_stream_init(&s, 24);
			for (size_t at = 0; at < len; at += cut)
				event_stream_add(&s, rows[i].text + at,
						 len - at < cut ? len - at : cut, on_data, &b);
			assert_string_equal(strbuf_str(&b), rows[i].data);
		}
	}
}

static void an_error_is_given_the_id_that_it_lacks(void **state)
{
	static const char lacking[] =
		"{\"jsonrpc\":\"2.0\",\"error\":{\"code\":-1,\"message\":\"m\"}}";
	static const char having[] = "{\"id\":2,\"error\":{\"code\":-1}}";
	scoped(json_freep) cJSON *id = cJSON_CreateString("x");
	scoped(freep) char *given = bridged_error_with_id(id, lacking, strlen(lacking));
	scoped(freep) char *made = bridged_error(id, "why \"so\"");

	(void)state;
	assert_string_equal(
		given,
		"{\"jsonrpc\":\"2.0\",\"error\":{\"code\":-1,\"message\":\"m\"},\"id\":\"x\"}");
	assert_null(bridged_error_with_id(id, having, strlen(having)));
	assert_null(bridged_error_with_id(id, "{}", 2));
	assert_true(bridged_is_response_to(id, made, strlen(made)));
	assert_false(bridged_is_response_to(id, having, strlen(having)));
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(a_message_is_told_by_its_members),
		cmocka_unit_test(a_call_says_its_session_in_the_daemons_order),
		cmocka_unit_test(what_no_field_may_hold_goes_as_base64),
		cmocka_unit_test(a_stream_of_events_is_cut_into_their_data),
		cmocka_unit_test(an_error_is_given_the_id_that_it_lacks),
	};

	mem_init();
	return cmocka_run_group_tests(tests, NULL, NULL);
}
