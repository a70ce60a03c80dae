/* SPDX-License-Identifier: MIT */
/*
 * The tools, prompts and resources that the conformance suites ask for, on src/mcp's own server:
 * what is judged is the protocol code that previewd runs.  Without credentials, on loopback.
 * Prints its port; ends when its standard input does.
 */
#include "fixture.h"

#include <arpa/inet.h>
#include <event2/event.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/socket.h>
#include <unistd.h>

#include "base/log.h"
#include "base/mem.h"
#include "base/strbuf.h"
#include "http/server.h"
#include "loop/loop.h"
#include "mcp/server.h"
#include "net/hosts.h"

#define BODY_MAX   1000000
#define STEP       (50 * USEC_PER_MSEC) /* between two notifications */
#define STEPS      3
#define NO_SCHEMA  "{\"type\":\"object\",\"properties\":{}}"
#define TEXT_OF(t) "{\"content\":[{\"type\":\"text\",\"text\":\"" t "\"}]}"

/* A red pixel, and silence. */
#define PNG                                                                                       \
	"iVBORw0KGgoAAAANSUhEUgAAAAEAAAABCAYAAAAfFcSJAAAADUlEQVR42mP8z8DwHwAFBQIAX8jx0gAAAABJRU5" \
	"ErkJggg=="
#define WAV "UklGRiYAAABXQVZFZm10IBAAAAABAAEAQB8AAAB9AAACABAAZGF0YQIAAAAAAA=="

static struct principal nobody = {
	.refs = 1,
	.user_id = (char *)"test",
	.expires_at = USEC_INFINITY,
};

cJSON *fixture_json(const char *text)
{
	cJSON *j = cJSON_Parse(text);

	if (!j)
		abort(); /* a table of ours */
	return j;
}

/*
 * Tools
 */

static const struct {
	const char *name;
	const char *result;
} results[] = {
	/* clang-format off */
	{ "test_simple_text", TEXT_OF("This is a simple text response for testing.") },
	{ "test_image_content", "{\"content\":[{\"type\":\"image\",\"data\":\"" PNG "\",\"mimeType\":\"image/png\"}]}" },
	{ "test_audio_content", "{\"content\":[{\"type\":\"audio\",\"data\":\"" WAV "\",\"mimeType\":\"audio/wav\"}]}" },
	{ "test_embedded_resource", "{\"content\":[{\"type\":\"resource\",\"resource\":{\"uri\":\"test://embedded-resource\","
	  "\"mimeType\":\"text/plain\",\"text\":\"This is an embedded resource content.\"}}]}" },
	{ "test_multiple_content_types", "{\"content\":[{\"type\":\"text\",\"text\":\"Multiple content types test:\"},"
	  "{\"type\":\"image\",\"data\":\"" PNG "\",\"mimeType\":\"image/png\"},"
	  "{\"type\":\"resource\",\"resource\":{\"uri\":\"test://mixed-content-resource\",\"mimeType\":\"application/json\","
	  "\"text\":\"{\\\"test\\\":\\\"data\\\",\\\"value\\\":123}\"}}]}" },
	{ "json_schema_2020_12_tool", TEXT_OF("Its schema is what matters.") },
	{ "test_simple_prompt", "{\"messages\":[{\"role\":\"user\",\"content\":{\"type\":\"text\","
	  "\"text\":\"This is a simple prompt for testing.\"}}]}" },
	{ "test_prompt_with_image", "{\"messages\":[{\"role\":\"user\",\"content\":{\"type\":\"image\",\"data\":\"" PNG "\","
	  "\"mimeType\":\"image/png\"}},{\"role\":\"user\",\"content\":{\"type\":\"text\","
	  "\"text\":\"Please analyze the image above.\"}}]}" },
	/* clang-format on */
};

/* What is always the same, of tools and prompts. */
static void reply_result(struct mcp_call *call)
{
	const char *name = json_string(mcp_call_params(call), "name");

	for (size_t i = 0; i < ARRAY_SIZE(results); i++)
		if (strcmp(results[i].name, name) == 0) {
			mcp_reply_consume(call, fixture_json(results[i].result));
			return;
		}
	abort();
}

static void fail_always(struct mcp_call *call)
{
	mcp_reply_tool_error_consume(call, "This tool intentionally returns an error for testing",
				     NULL);
}

static void need_sampling(struct mcp_call *call)
{
	const cJSON *capabilities =
		cJSON_GetObjectItemCaseSensitive(mcp_call_meta(call), MCP_META_CAPABILITIES);
	scoped(mcp_error_done) struct mcp_error error = { 0 };

	if (cJSON_GetObjectItemCaseSensitive(capabilities, "sampling")) {
		mcp_reply_tool_consume(call, "The client could sample.", NULL);
		return;
	}
	mcp_error_set(&error, 400, MCP_MISSING_CAPABILITY,
		      "This wants a client that has the capability sampling");
	error.data = fixture_json("{\"requiredCapabilities\":{\"sampling\":{}}}");
	mcp_reply_error(call, &error);
}

/* Tools that take three steps, and say something at each. */
struct steps {
	struct mcp_call *call;
	struct timer *timer;
	unsigned done;
	void (*say)(struct mcp_call *call, unsigned step);
};

static void steps_free(void *arg)
{
	struct steps *s = arg;

	timer_free(s->timer);
	free(s);
}

static void on_step(void *arg)
{
	struct steps *s = arg;

	s->say(s->call, s->done);
	if (++s->done < STEPS)
		timer_set(s->timer, STEP);
	else
		mcp_reply_tool_consume(s->call, "It took three steps.", NULL);
}

static void take_steps(struct mcp_call *call, void (*say)(struct mcp_call *call, unsigned step))
{
	struct steps *s = xcalloc(1, sizeof(*s));

	s->call = call;
	s->say = say;
	s->timer = timer_new(mcp_call_loop(call), on_step, s);
	mcp_call_keep(call, s, steps_free);
	timer_set(s->timer, STEP);
}

static void say_progress(struct mcp_call *call, unsigned step)
{
	mcp_call_progress(call, step * 50.0, 100, NULL);
}

static void step_with_progress(struct mcp_call *call)
{
	take_steps(call, say_progress);
}

static void say_log(struct mcp_call *call, unsigned step)
{
	static const char *const lines[STEPS] = { "Tool execution started", "Tool processing data",
						  "Tool execution completed" };
	cJSON *params = cJSON_CreateObject();

	json_add_string(params, "level", "info");
	json_add_string(params, "data", lines[step]);
	mcp_call_notify_consume(call, "notifications/message", params);
}

static void step_with_logging(struct mcp_call *call)
{
	take_steps(call, say_log);
}

/* Since 2026-07-28 only for requests that ask for it. */
static void log_if_asked(struct mcp_call *call)
{
	if (json_string(mcp_call_meta(call), MCP_META_LOG_LEVEL))
		say_log(call, 0);
	mcp_reply_tool_consume(call, "It is done.", NULL);
}

/* What becomes a stream has no requests of the server's in it. */
static void stream_only(struct mcp_call *call)
{
	cJSON *params = cJSON_CreateObject();

	json_add_string(params, "note", "a notification that nobody knows is passed over");
	mcp_call_notify_consume(call, "notifications/dev.previewd/test", params);
	mcp_reply_tool_consume(call, "It was a stream.", NULL);
}

/* clang-format off */
#define SCHEMA_2020_12 \
	"{\"$schema\":\"https://json-schema.org/draft/2020-12/schema\",\"type\":\"object\"," \
	"\"$defs\":{\"address\":{\"$anchor\":\"addressDef\",\"type\":\"object\",\"properties\":{" \
	"\"street\":{\"type\":\"string\"},\"city\":{\"type\":\"string\"}}}}," \
	"\"properties\":{\"name\":{\"type\":\"string\"},\"address\":{\"$ref\":\"#/$defs/address\"}," \
	"\"contactMethod\":{\"type\":\"string\",\"enum\":[\"phone\",\"email\"]},\"phone\":{\"type\":\"string\"}," \
	"\"email\":{\"type\":\"string\"}}," \
	"\"allOf\":[{\"anyOf\":[{\"required\":[\"phone\"]},{\"required\":[\"email\"]}]}]," \
	"\"if\":{\"properties\":{\"contactMethod\":{\"const\":\"phone\"}},\"required\":[\"contactMethod\"]}," \
	"\"then\":{\"required\":[\"phone\"]},\"else\":{\"required\":[\"email\"]}," \
	"\"additionalProperties\":false}"

static const struct mcp_tool tools[] = {
	{ "test_simple_text", NULL, "Text", MCP_READ_ONLY, NO_SCHEMA, NULL, NULL, reply_result },
	{ "test_image_content", NULL, "An image", MCP_READ_ONLY, NO_SCHEMA, NULL, NULL, reply_result },
	{ "test_audio_content", NULL, "Sound", MCP_READ_ONLY, NO_SCHEMA, NULL, NULL, reply_result },
	{ "test_embedded_resource", NULL, "A resource in a result", MCP_READ_ONLY, NO_SCHEMA, NULL, NULL, reply_result },
	{ "test_multiple_content_types", NULL, "All of these", MCP_READ_ONLY, NO_SCHEMA, NULL, NULL, reply_result },
	{ "test_error_handling", NULL, "Fails", MCP_READ_ONLY, NO_SCHEMA, NULL, NULL, fail_always },
	{ "test_tool_with_progress", NULL, "Tells of its progress", MCP_READ_ONLY, NO_SCHEMA, NULL, NULL, step_with_progress },
	{ "test_tool_with_logging", NULL, "Logs what it does", MCP_READ_ONLY, NO_SCHEMA, NULL, NULL, step_with_logging },
	{ "test_logging_tool", NULL, "Logs where it is asked to", MCP_READ_ONLY, NO_SCHEMA, NULL, NULL, log_if_asked },
	{ "test_streaming_elicitation", NULL, "A stream without requests of the server's", MCP_READ_ONLY, NO_SCHEMA, NULL, NULL, stream_only },
	{ "test_missing_capability", NULL, "Wants a client that samples", MCP_READ_ONLY, NO_SCHEMA, NULL, NULL, need_sampling },
	{ "test_input_required_result_elicitation", NULL, "Asks the client first", MCP_READ_ONLY, NO_SCHEMA, NULL, NULL, fixture_ask },
	{ "test_input_required_result_sampling", NULL, "Asks the client first", MCP_READ_ONLY, NO_SCHEMA, NULL, NULL, fixture_ask },
	{ "test_input_required_result_list_roots", NULL, "Asks the client first", MCP_READ_ONLY, NO_SCHEMA, NULL, NULL, fixture_ask },
	{ "test_input_required_result_request_state", NULL, "Asks the client first", MCP_READ_ONLY, NO_SCHEMA, NULL, NULL, fixture_ask },
	{ "test_input_required_result_multiple_inputs", NULL, "Asks the client first", MCP_READ_ONLY, NO_SCHEMA, NULL, NULL, fixture_ask },
	{ "test_input_required_result_multi_round", NULL, "Asks the client first", MCP_READ_ONLY, NO_SCHEMA, NULL, NULL, fixture_ask },
	{ "test_input_required_result_tampered_state", NULL, "Asks the client first", MCP_READ_ONLY, NO_SCHEMA, NULL, NULL, fixture_ask },
	{ "test_input_required_result_capabilities", NULL, "Asks the client first", MCP_READ_ONLY, NO_SCHEMA, NULL, NULL, fixture_ask },
	{ "json_schema_2020_12_tool", NULL, "Tool with JSON Schema 2020-12 features", MCP_READ_ONLY, SCHEMA_2020_12, NULL, NULL, reply_result },
};
/* clang-format on */

/*
 * Prompts
 */

static const char *argument(const struct mcp_call *call, const char *name)
{
	const char *value = json_string(mcp_call_arguments(call), name);

	return value ? value : "";
}

void fixture_add_message(cJSON *result, cJSON *content)
{
	cJSON *messages = cJSON_GetObjectItemCaseSensitive(result, "messages");
	cJSON *message = cJSON_CreateObject();

	if (!messages)
		messages = cJSON_AddArrayToObject(result, "messages");
	json_add_string(message, "role", "user");
	cJSON_AddItemToObject(message, "content", content);
	cJSON_AddItemToArray(messages, message);
}

cJSON *fixture_text_content(const char *text)
{
	cJSON *content = cJSON_CreateObject();

	json_add_string(content, "type", "text");
	json_add_string(content, "text", text);
	return content;
}

static void prompt_with_arguments(struct mcp_call *call)
{
	scoped(freep) char *text = xasprintf("Prompt with arguments: arg1='%s', arg2='%s'",
					     argument(call, "arg1"), argument(call, "arg2"));
	cJSON *result = cJSON_CreateObject();

	fixture_add_message(result, fixture_text_content(text));
	mcp_reply_consume(call, result);
}

static void prompt_with_resource(struct mcp_call *call)
{
	cJSON *result = cJSON_CreateObject(), *content = cJSON_CreateObject(), *resource;

	json_add_string(content, "type", "resource");
	resource = cJSON_AddObjectToObject(content, "resource");
	json_add_string(resource, "uri", argument(call, "resourceUri"));
	json_add_string(resource, "mimeType", "text/plain");
	json_add_string(resource, "text", "Embedded resource content for testing.");
	fixture_add_message(result, content);
	fixture_add_message(result,
			    fixture_text_content("Please process the embedded resource above."));
	mcp_reply_consume(call, result);
}

#define ARGUMENT(name) "{\"name\":\"" name "\",\"description\":\"A text\",\"required\":true}"

/* clang-format off */
static const struct mcp_prompt prompts[] = {
	{ "test_simple_prompt", NULL, "A prompt", NULL, reply_result },
	{ "test_prompt_with_arguments", NULL, "With arguments", "[" ARGUMENT("arg1") "," ARGUMENT("arg2") "]", prompt_with_arguments },
	{ "test_prompt_with_embedded_resource", NULL, "With a resource", "[" ARGUMENT("resourceUri") "]", prompt_with_resource },
	{ "test_prompt_with_image", NULL, "With an image", NULL, reply_result },
	{ "test_input_required_result_prompt", NULL, "Asks the client first", NULL, fixture_ask },
};

/*
 * Resources
 */

static const struct mcp_resource resources[] = {
	{ "test://static-text", "static-text", NULL, "A text", "text/plain" },
	{ "test://static-binary", "static-binary", NULL, "An image", "image/png" },
	{ "test://watched-resource", "watched-resource", NULL, "One to subscribe to", "text/plain" },
};

static const struct mcp_resource templates[] = {
	{ "test://template/{id}/data", "template", NULL, "One with a parameter", "application/json" },
};
/* clang-format on */

static void reply_contents(struct mcp_call *call, const char *type, const char *member,
			   const char *data)
{
	cJSON *result = cJSON_CreateObject(), *one = cJSON_CreateObject();

	json_add_string(one, "uri", json_string(mcp_call_params(call), "uri"));
	json_add_string(one, "mimeType", type);
	json_add_string(one, member, data);
	cJSON_AddItemToArray(cJSON_AddArrayToObject(result, "contents"), one);
	mcp_result_cache(call, result, 0, false);
	mcp_reply_consume(call, result);
}

static void read_resource(struct mcp_call *call)
{
	const char *uri = json_string(mcp_call_params(call), "uri");
	char id[32], text[128];
	int end = 0;

	if (strcmp(uri, "test://static-text") == 0) {
		reply_contents(call, "text/plain", "text",
			       "This is the content of the static text resource.");
	} else if (strcmp(uri, "test://static-binary") == 0) {
		reply_contents(call, "image/png", "blob", PNG);
	} else if (strcmp(uri, "test://watched-resource") == 0) {
		reply_contents(call, "text/plain", "text", "Nothing happens here.");
	} else if (sscanf(uri, "test://template/%31[a-z0-9]/data%n", id, &end) == 1 &&
		   uri[end] == '\0') {
		snprintf(text, sizeof(text),
			 "{\"id\":\"%s\",\"templateTest\":true,\"data\":\"Data for ID: %s\"}", id,
			 id);
		reply_contents(call, "application/json", "text", text);
	} else {
		mcp_fail_no_resource(call, uri);
	}
}

/*
 * Methods beyond those of the server
 */

static void reply_empty(struct mcp_call *call)
{
	mcp_reply_consume(call, cJSON_CreateObject());
}

static void complete(struct mcp_call *call)
{
	mcp_reply_consume(call, fixture_json("{\"completion\":{\"values\":[],\"total\":0,"
					     "\"hasMore\":false}}"));
}

static const struct mcp_method methods[] = {
	/* clang-format off */
	{ "logging/setLevel",      true, false, reply_empty },
	{ "resources/subscribe",   true, false, reply_empty },
	{ "resources/unsubscribe", true, false, reply_empty },
	{ "completion/complete",   true, true,  complete },
	/* clang-format on */
};

static const struct mcp_catalog catalog = {
	.name = "mcp-fixture",
	.version = PACKAGE_VERSION,
	.legacy_capabilities = "{\"tools\":{},\"prompts\":{},\"resources\":{\"subscribe\":true},"
			       "\"logging\":{},\"completions\":{}}",
	.modern_capabilities = "{\"tools\":{},\"prompts\":{},\"resources\":{},\"completions\":{}}",
	.tools = tools,
	.n_tools = ARRAY_SIZE(tools),
	.prompts = prompts,
	.n_prompts = ARRAY_SIZE(prompts),
	.resources = resources,
	.n_resources = ARRAY_SIZE(resources),
	.templates = templates,
	.n_templates = ARRAY_SIZE(templates),
	.read_resource = read_resource,
	.methods = methods,
	.n_methods = ARRAY_SIZE(methods),
};

/*
 * HTTP
 */

static void on_body(struct http_request *req, void *arg)
{
	mcp_server_post(arg, req, &nobody);
}

static bool is_local(const char *host)
{
	scoped(freep) char *name = NULL;
	unsigned port;

	return host_split(host, &name, &port) == 0 && host_is_loopback(name);
}

/* As api/guard.c does it: a page of another origin, and one under a name of its own, get nothing.
 */
static bool may_ask(const struct http_request *req)
{
	const char *origin = http_request_header(req, "Origin");
	const char *authority = origin ? strstr(origin, "://") : NULL;

	return is_local(http_request_host(req)) &&
	       (!origin || (authority && is_local(authority + 3)));
}

static void on_head(struct http_request *req, void *arg)
{
	const char *method = http_request_method(req);

	if (!may_ask(req)) {
		http_reply(req, 403, NULL, NULL, 0);
	} else if (strcmp(http_request_path(req), "/mcp") != 0) {
		http_reply(req, 404, NULL, NULL, 0);
	} else if (strcmp(method, "POST") == 0) {
		http_request_expect(req, BODY_MAX, on_body, arg);
	} else if (strcmp(method, "DELETE") == 0) {
		mcp_server_delete(arg, req, &nobody);
	} else {
		http_response_header(req, "Allow", "POST, DELETE");
		http_reply(req, 405, NULL, NULL, 0);
	}
}

static void on_stdin(evutil_socket_t fd, short what, void *arg)
{
	char ignored[256];

	(void)what;
	if (read(fd, ignored, sizeof(ignored)) <= 0)
		loop_stop(arg);
}

static int listen_on_loopback(uint16_t *ret_port)
{
	struct sockaddr_in sa = { AF_INET, 0, { htonl(INADDR_LOOPBACK) } };
	socklen_t len = sizeof(sa);
	int fd = socket(AF_INET, SOCK_STREAM | SOCK_CLOEXEC, 0);

	if (fd < 0 || bind(fd, (struct sockaddr *)&sa, len) < 0 || listen(fd, 128) < 0 ||
	    getsockname(fd, (struct sockaddr *)&sa, &len) < 0) {
		closep(&fd);
		return -1;
	}
	*ret_port = ntohs(sa.sin_port);
	return fd;
}

int main(void)
{
	static const struct http_settings http = {
		.connections_max = 1000,
		.header_timeout = 10 * USEC_PER_SEC,
		.body_timeout = 10 * USEC_PER_SEC,
		.idle_timeout = 60 * USEC_PER_SEC,
		.write_timeout = 30 * USEC_PER_SEC,
		.output_max = BODY_MAX,
	};
	static const struct mcp_server_settings settings = {
		.sessions_max = 1000,
		.sessions_per_user = 1000,
		.calls_per_session = 100,
		.session_idle = 3600 * USEC_PER_SEC,
	};
	struct http_server *server;
	struct mcp_server *mcp;
	struct event *input;
	struct loop *loop;
	uint16_t port;
	int fd;

	log_setup(LOG_LEVEL_WARNING, LOG_FORMAT_TEXT);
	mem_init();
	loop = loop_new();
	mcp = mcp_server_new(loop, &catalog, &settings, NULL);
	server = http_server_new(loop, &http, on_head, mcp);
	fd = listen_on_loopback(&port);
	if (fd < 0 || http_server_listen_consume(server, fd) < 0)
		return EXIT_FAILURE;
	printf("%u\n", port);
	fflush(stdout);
	/* a pipe: /dev/null and files are nothing epoll takes */
	input = event_new(loop_base(loop), STDIN_FILENO, EV_READ | EV_PERSIST, on_stdin, loop);
	event_add(input, NULL);

	loop_run(loop);

	event_free(input);
	http_server_free(server);
	mcp_server_free(mcp);
	loop_free(loop);
	return EXIT_SUCCESS;
}
