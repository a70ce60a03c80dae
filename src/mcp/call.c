/* SPDX-License-Identifier: MIT */
/*
 * A call on its way to its answer: JSON, or a stream of events once there is something to tell
 * before it.
 */
#include <stdarg.h>
#include <string.h>
#include <utlist.h>

#include "base/mem.h"
#include "base/metrics.h"
#include "mcp/server_priv.h"

static void on_client_gone(void *arg)
{
	struct mcp_call *call = arg;

	call->req = NULL;
	/* Until 2025-11-25 leaving is no cancelling: what was asked for is done all the same. */
	if (!call->session)
		mcp_call_free(call);
}

static void on_stream_gone(struct http_stream *s, void *arg)
{
	struct mcp_call *call = arg;

	(void)s;
	call->stream = NULL;
	if (!call->session)
		mcp_call_free(call);
}

/* Its handler hears of the drain from the domain, and answers. */
static void on_stream_drain(struct http_stream *s, void *arg)
{
	(void)s;
	(void)arg;
}

static const struct http_stream_ops stream_ops = {
	.on_gone = on_stream_gone,
	.on_drain_server = on_stream_drain,
};

struct mcp_call *mcp_call_new(struct mcp_server *server, struct http_request *req,
			      struct principal *who, struct mcp_message *message_take,
			      enum mcp_era era, struct mcp_session *session)
{
	struct mcp_call *call = xcalloc(1, sizeof(*call));

	call->server = server;
	call->session = session;
	call->req = req;
	call->principal = principal_ref(who);
	call->message = *message_take;
	*message_take = (struct mcp_message){ 0 };
	call->era = era;
	call->progress = -1; /* 0 is the first that may be told */
	call->nothing = cJSON_CreateObject();
	if (call->message.meta)
		call->progress_token =
			cJSON_GetObjectItemCaseSensitive(call->message.meta, "progressToken");
	DL_APPEND(server->calls, call);
	if (session) {
		DL_APPEND2(session->calls, call, session_prev, session_next);
		session->n_calls++;
	}
	metric_add(METRIC_MCP_CALLS, 1);
	http_request_on_gone(req, on_client_gone, call);
	return call;
}

struct mcp_call *mcp_call_free(struct mcp_call *call)
{
	if (!call)
		return NULL;

	mcp_call_keep(call, NULL, NULL);
	DL_DELETE(call->server->calls, call);
	if (call->session) {
		DL_DELETE2(call->session->calls, call, session_prev, session_next);
		call->session->n_calls--;
	}
	metric_add(METRIC_MCP_CALLS, -1);
	principal_unref(call->principal);
	mcp_message_done(&call->message);
	json_free(call->nothing);
	free(call);
	return NULL;
}

/*
 * Streams
 */

static void stream_begin(struct mcp_call *call)
{
	struct http_request *req = STEAL(call->req);

	http_response_header(req, "X-Accel-Buffering", "no"); /* what nginx would hold back */
	call->stream = http_stream_start(req, 200, "text/event-stream", &stream_ops, call);
}

static void stream_send(struct mcp_call *call, const char *text)
{
	scoped(freep) char *event = xasprintf("event: message\ndata: %s\n\n", text);

	if (!call->stream)
		return;
	if (http_stream_write(call->stream, event, strlen(event)) < 0) {
		/* It doesn't read: the same as one that left. */
		http_stream_abort(STEAL(call->stream));
	}
}

struct mcp_call *mcp_call_cancel(struct mcp_call *call)
{
	if (call->req)
		stream_begin(call); /* a stream without an answer: MCP's way to give none */
	if (call->stream)
		http_stream_end(STEAL(call->stream));
	return mcp_call_free(call);
}

/* Answers, where somebody still listens, and ends. */
static void finish(struct mcp_call *call, int status, const char *text)
{
	if (call->stream) {
		stream_send(call, text);
		if (call->stream)
			http_stream_end(STEAL(call->stream));
	} else if (call->req) {
		http_reply(STEAL(call->req), status, "application/json", text, strlen(text));
	}
	mcp_call_free(call);
}

/*
 * For handlers
 */

void *mcp_call_arg(const struct mcp_call *call)
{
	return call->server->arg;
}

struct loop *mcp_call_loop(const struct mcp_call *call)
{
	return call->server->loop;
}

struct principal *mcp_call_principal(const struct mcp_call *call)
{
	return call->principal;
}

const cJSON *mcp_call_params(const struct mcp_call *call)
{
	return call->message.params ? call->message.params : call->nothing;
}

const cJSON *mcp_call_arguments(const struct mcp_call *call)
{
	const cJSON *arguments =
		cJSON_GetObjectItemCaseSensitive(mcp_call_params(call), "arguments");

	return cJSON_IsObject(arguments) ? arguments : call->nothing;
}

const cJSON *mcp_call_meta(const struct mcp_call *call)
{
	return call->message.meta ? call->message.meta : call->nothing;
}

const char *mcp_call_field(const struct mcp_call *call, const char *name)
{
	return call->req ? http_request_header(call->req, name) : NULL;
}

const char *mcp_call_tcp_host(const struct mcp_call *call)
{
	const char *host;

	if (!call->req || http_request_peer(call->req)->is_unix)
		return NULL;
	host = http_request_host(call->req);
	return host[0] ? host : NULL;
}

void mcp_call_keep(struct mcp_call *call, void *state, mcp_free_fn *free_state)
{
	void *old = call->state;
	mcp_free_fn *free_old = call->free_state;

	call->state = state;
	call->free_state = free_state;
	if (free_old)
		free_old(old);
}

bool mcp_call_may_stream(const struct mcp_call *call)
{
	const char *accept = call->req ? http_request_header(call->req, "Accept") : NULL;

	return call->stream || (accept && strcasestr(accept, "text/event-stream"));
}

bool mcp_call_wants_progress(const struct mcp_call *call)
{
	return (cJSON_IsString(call->progress_token) || cJSON_IsNumber(call->progress_token)) &&
	       mcp_call_may_stream(call);
}

void mcp_call_notify_consume(struct mcp_call *call, const char *method, cJSON *params_consume)
{
	scoped(freep) char *text = mcp_notification_text(method, params_consume);

	if (!mcp_call_may_stream(call))
		return;
	if (call->req)
		stream_begin(call);
	stream_send(call, text);
}

void mcp_call_progress(struct mcp_call *call, double progress, double total, const char *message)
{
	cJSON *params;

	if (!mcp_call_wants_progress(call) || progress <= call->progress)
		return;
	call->progress = progress;
	params = cJSON_CreateObject();
	cJSON_AddItemToObject(params, "progressToken",
			      cJSON_Duplicate(call->progress_token, false));
	cJSON_AddNumberToObject(params, "progress", progress);
	if (total > 0)
		cJSON_AddNumberToObject(params, "total", total);
	if (message)
		json_add_string(params, "message", message);
	mcp_call_notify_consume(call, "notifications/progress", params);
}

/* What every result of the modern era carries. */
static void add_modern(const struct mcp_call *call, cJSON *result)
{
	cJSON *meta = cJSON_GetObjectItemCaseSensitive(result, "_meta"), *server;

	if (!cJSON_GetObjectItemCaseSensitive(result, "resultType"))
		json_add_string(result, "resultType", "complete");
	if (!meta)
		meta = cJSON_AddObjectToObject(result, "_meta");
	server = cJSON_AddObjectToObject(meta, MCP_META_SERVER);
	json_add_string(server, "name", call->server->catalog->name);
	json_add_string(server, "version", call->server->catalog->version);
}

void mcp_reply_consume(struct mcp_call *call, cJSON *result_consume)
{
	scoped(freep) char *text = NULL;

	if (call->era == MCP_MODERN)
		add_modern(call, result_consume);
	text = mcp_result_text(call->message.id, result_consume);
	finish(call, 200, text);
}

void mcp_reply_error(struct mcp_call *call, const struct mcp_error *error)
{
	scoped(freep) char *text = mcp_error_text(call->message.id, error);
	int status = error->http_status ? error->http_status : 200;

	/* Until 2025-11-25 a 404 is of the session: its client would begin another. */
	finish(call, call->era == MCP_LEGACY && status == 404 ? 200 : status, text);
}

void mcp_fail(struct mcp_call *call, int code, const char *format, ...)
{
	scoped(mcp_error_done) struct mcp_error error = { .code = code };
	va_list args;

	va_start(args, format);
	error.message = xvasprintf(format, args);
	va_end(args);
	mcp_reply_error(call, &error);
}

void mcp_fail_no_resource(struct mcp_call *call, const char *uri)
{
	scoped(mcp_error_done) struct mcp_error error = {
		.code = call->era == MCP_MODERN ? MCP_INVALID_PARAMS : MCP_RESOURCE_NOT_FOUND,
	};

	error.message = xstrdup("Resource not found");
	error.data = cJSON_CreateObject();
	json_add_string(error.data, "uri", uri);
	mcp_reply_error(call, &error);
}

static void add_text(cJSON *content, const char *text)
{
	cJSON *block = cJSON_CreateObject();

	json_add_string(block, "type", "text");
	json_add_string(block, "text", text);
	cJSON_AddItemToArray(content, block);
}

void mcp_reply_tool_consume(struct mcp_call *call, const char *text, cJSON *structured_consume)
{
	cJSON *result = cJSON_CreateObject();
	cJSON *content = cJSON_AddArrayToObject(result, "content");

	add_text(content, text);
	if (structured_consume) {
		scoped(freep) char *printed = json_print(structured_consume);

		/* For clients that know of no structured content. */
		add_text(content, printed);
		cJSON_AddItemToObject(result, "structuredContent", structured_consume);
	}
	mcp_reply_consume(call, result);
}

void mcp_reply_tool_error_consume(struct mcp_call *call, const char *text, cJSON *meta_consume)
{
	cJSON *result = cJSON_CreateObject();

	add_text(cJSON_AddArrayToObject(result, "content"), text);
	cJSON_AddTrueToObject(result, "isError");
	if (meta_consume)
		cJSON_AddItemToObject(result, "_meta", meta_consume);
	mcp_reply_consume(call, result);
}

void mcp_result_cache(const struct mcp_call *call, cJSON *result, unsigned ttl_ms, bool is_public)
{
	if (call->era != MCP_MODERN)
		return;
	cJSON_AddNumberToObject(result, "ttlMs", ttl_ms);
	json_add_string(result, "cacheScope", is_public ? "public" : "private");
}
