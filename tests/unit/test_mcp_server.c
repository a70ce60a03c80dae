/* SPDX-License-Identifier: MIT */
/*
 * The MCP server where its program decides: what becomes of what a handler keeps, who hears of
 * progress, when a session is forgotten.  What clients see of the protocol is in tests/mcp.
 */
#include "http_world.h"

#include "mcp/server.h"

#define INITIALIZE                                                             \
	"{\"jsonrpc\":\"2.0\",\"id\":0,\"method\":\"initialize\",\"params\":{" \
	"\"protocolVersion\":\"2025-11-25\"}}"
#define CALL(params)                                        \
	"{\"jsonrpc\":\"2.0\",\"id\":7,\"method\":\"tools/" \
	"call\",\"params\":{\"name\":\"wait\"" params "}}"
#define MODERN                                                                    \
	",\"_meta\":{\"io.modelcontextprotocol/protocolVersion\":\"2026-07-28\"," \
	"\"io.modelcontextprotocol/clientCapabilities\":{}}"
#define MODERN_FIELDS \
	"MCP-Protocol-Version: 2026-07-28\r\nMcp-Method: tools/call\r\nMcp-Name: wait\r\n"

struct test {
	struct world *w;
	struct mcp_server *server;
	struct mcp_server_settings settings;
	struct principal who;
	struct mcp_call *waiting;
	unsigned called, freed;
	char sid[64];
};

static void on_state_free(void *arg)
{
	struct test *t = arg;

	t->freed++;
	t->waiting = NULL;
}

static void tool_wait(struct mcp_call *call)
{
	struct test *t = mcp_call_arg(call);

	t->called++;
	t->waiting = call;
	mcp_call_keep(call, t, on_state_free);
}

static const struct mcp_tool tools[] = {
	{ .name = "wait",
	  .description = "Waits",
	  .input_schema = "{\"type\":\"object\"}",
	  .call = tool_wait },
};

static const struct mcp_catalog catalog = {
	.name = "test",
	.version = "1",
	.legacy_capabilities = "{}",
	.modern_capabilities = "{}",
	.tools = tools,
	.n_tools = ARRAY_SIZE(tools),
};

static void on_posted(struct http_request *req, void *arg)
{
	struct test *t = arg;

	mcp_server_post(t->server, req, &t->who);
}

static void on_request(struct http_request *req, void *arg)
{
	struct test *t = arg;

	if (strcmp(http_request_method(req), "DELETE") == 0)
		mcp_server_delete(t->server, req, &t->who);
	else
		http_request_expect(req, 100000, on_posted, t);
}

static int start(void **state)
{
	struct test *t = xcalloc(1, sizeof(*t));
	void *w;

	set_up(&w);
	t->w = w;
	t->w->settings.connections_max = 10;
	t->settings = (struct mcp_server_settings){
		.sessions_max = 10,
		.sessions_per_user = 10,
		.calls_per_session = 10,
		.session_idle = 3600 * USEC_PER_SEC,
	};
	t->who = (struct principal){ .refs = 1,
				     .user_id = (char *)"ada",
				     .expires_at = USEC_INFINITY };
	http_server_free(t->w->server);
	t->w->server = http_server_new(t->w->loop, &t->w->settings, on_request, t);
	assert_int_equal(http_server_listen_consume(t->w->server, listen_here(t->w)), 0);
	t->server = mcp_server_new(t->w->loop, &catalog, &t->settings, t);
	*state = t;
	return 0;
}

static int stop(void **state)
{
	struct test *t = *state;
	void *w = t->w;

	http_server_free(t->w->server);
	t->w->server = NULL;
	mcp_server_free(t->server);
	assert_int_equal(t->freed, t->called);
	assert_int_equal(t->who.refs, 1);
	assert_true(metric_value(METRIC_MCP_CALLS) == 0);
	assert_true(metric_value(METRIC_MCP_SESSIONS) == 0);
	tear_down(&w);
	free(t);
	return 0;
}

static void post(struct client *c, const char *fields, const char *body)
{
	scoped(freep) char *text = xasprintf(
		"POST /mcp HTTP/1.1\r\nHost: x\r\nContent-Type: application/json\r\n"
		"Accept: application/json, text/event-stream\r\nContent-Length: %zu\r\n%s\r\n%s",
		strlen(body), fields, body);

	say(c, text);
}

/* In the session that it begins where there is none. */
static void post_legacy(struct test *t, struct client *c, const char *body)
{
	scoped(freep) char *field = NULL;

	if (!t->sid[0]) {
		scoped(client_freep) struct client *first = client_new(t->w);
		const char *at;

		post(first, "", INITIALIZE);
		wait_text(first, "\"serverInfo\"");
		at = strstr(strbuf_str(&first->in), "Mcp-Session-Id: ");
		assert_non_null(at);
		assert_int_equal(sscanf(at, "Mcp-Session-Id: %63[0-9a-f]", t->sid), 1);
	}
	field = xasprintf("Mcp-Session-Id: %s\r\n", t->sid);
	post(c, field, body);
}

static void an_answer_frees_what_was_kept(void **state)
{
	struct test *t = *state;
	scoped(client_freep) struct client *c = client_new(t->w);

	post_legacy(t, c, CALL(""));
	wait_until(t->w, t->waiting);
	mcp_reply_tool_consume(t->waiting, "done", NULL);
	assert_int_equal(t->freed, 1);
	wait_text(c, "\"done\"");
	assert_true(has(c, "application/json"));
}

static void an_older_client_that_leaves_leaves_its_call_running(void **state)
{
	struct test *t = *state;
	scoped(client_freep) struct client *c = client_new(t->w);

	post_legacy(t, c, CALL(""));
	wait_until(t->w, t->waiting);
	client_close(c);
	wait_until(t->w, http_server_connections(t->w->server) == 0);
	assert_int_equal(t->freed, 0);
	assert_false(mcp_call_wants_progress(t->waiting));
	mcp_reply_tool_consume(t->waiting, "nobody hears it", NULL);
	assert_int_equal(t->freed, 1);
}

static void a_newer_client_that_leaves_has_cancelled(void **state)
{
	struct test *t = *state;
	scoped(client_freep) struct client *c = client_new(t->w);

	post(c, MODERN_FIELDS, CALL(MODERN));
	wait_until(t->w, t->waiting);
	client_close(c);
	wait_until(t->w, t->freed == 1);
}

static void so_has_one_that_leaves_a_stream(void **state)
{
	struct test *t = *state;
	scoped(client_freep) struct client *c = client_new(t->w);

	post(c, MODERN_FIELDS, CALL(MODERN));
	wait_until(t->w, t->waiting);
	mcp_call_notify_consume(t->waiting, "notifications/x", NULL);
	wait_text(c, "notifications/x");
	client_close(c);
	wait_until(t->w, t->freed == 1);
}

static void a_session_that_ends_ends_its_calls(void **state)
{
	struct test *t = *state;
	scoped(client_freep) struct client *c = client_new(t->w);
	scoped(client_freep) struct client *other = client_new(t->w);
	scoped(freep) char *end = NULL;

	post_legacy(t, c, CALL(""));
	wait_until(t->w, t->waiting);
	end = xasprintf("DELETE /mcp HTTP/1.1\r\nHost: x\r\nMcp-Session-Id: %s\r\n\r\n", t->sid);
	say(other, end);
	wait_text(other, "204");
	assert_int_equal(t->freed, 1);
	wait_text(c, "text/event-stream");
	assert_false(has(c, "\"id\":7"));
}

static void the_servers_end_frees_what_runs(void **state)
{
	struct test *t = *state;
	scoped(client_freep) struct client *c = client_new(t->w);

	post_legacy(t, c, CALL(""));
	wait_until(t->w, t->waiting);
	/* stop() sees that it was freed */
}

static void progress_is_for_those_who_ask(void **state)
{
	struct test *t = *state;
	scoped(client_freep) struct client *c = client_new(t->w);

	post_legacy(t, c, CALL(""));
	wait_until(t->w, t->waiting);
	assert_false(mcp_call_wants_progress(t->waiting));
	mcp_call_progress(t->waiting, 1, 2, "half");
	mcp_reply_tool_consume(t->waiting, "done", NULL);
	wait_text(c, "\"done\"");
	assert_false(has(c, "half"));
	assert_true(has(c, "application/json"));
}

static void progress_only_grows_and_then_comes_the_answer(void **state)
{
	struct test *t = *state;
	scoped(client_freep) struct client *c = client_new(t->w);

	post_legacy(t, c, CALL(",\"_meta\":{\"progressToken\":\"p\"}"));
	wait_until(t->w, t->waiting);
	mcp_call_progress(t->waiting, 0, 3, "first");
	mcp_call_progress(t->waiting, 0, 3, "again");
	mcp_call_progress(t->waiting, 2, 3, "second");
	mcp_call_progress(t->waiting, 1, 3, "back");
	mcp_reply_tool_consume(t->waiting, "done", NULL);
	wait_text(c, "0\r\n\r\n");
	assert_true(has(c, "text/event-stream"));
	assert_int_equal(times(c, "\"progressToken\":\"p\""), 2);
	assert_true(has(c, "first") && has(c, "second"));
	assert_false(has(c, "again") || has(c, "back"));
	assert_int_equal(times(c, "\"id\":7"), 1);
}

static void a_session_unused_is_forgotten_but_not_while_it_calls(void **state)
{
	struct test *t = *state;
	scoped(client_freep) struct client *c = client_new(t->w);

	t->settings.session_idle = 50 * USEC_PER_MSEC;
	post_legacy(t, c, CALL(""));
	wait_until(t->w, t->waiting);
	for (usec_t end = clock_monotonic() + 4 * t->settings.session_idle;
	     clock_monotonic() < end;)
		turn(t->w);
	assert_true(metric_value(METRIC_MCP_SESSIONS) == 1);
	mcp_reply_tool_consume(t->waiting, "done", NULL);
	wait_until(t->w, metric_value(METRIC_MCP_SESSIONS) == 0);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test_setup_teardown(an_answer_frees_what_was_kept, start, stop),
		cmocka_unit_test_setup_teardown(an_older_client_that_leaves_leaves_its_call_running,
						start, stop),
		cmocka_unit_test_setup_teardown(a_newer_client_that_leaves_has_cancelled, start,
						stop),
		cmocka_unit_test_setup_teardown(so_has_one_that_leaves_a_stream, start, stop),
		cmocka_unit_test_setup_teardown(a_session_that_ends_ends_its_calls, start, stop),
		cmocka_unit_test_setup_teardown(the_servers_end_frees_what_runs, start, stop),
		cmocka_unit_test_setup_teardown(progress_is_for_those_who_ask, start, stop),
		cmocka_unit_test_setup_teardown(progress_only_grows_and_then_comes_the_answer,
						start, stop),
		cmocka_unit_test_setup_teardown(
			a_session_unused_is_forgotten_but_not_while_it_calls, start, stop),
	};

	mem_init();
	signal(SIGPIPE, SIG_IGN);
	alarm(60);
	return cmocka_run_group_tests(tests, NULL, NULL);
}
