/* SPDX-License-Identifier: MIT */
/*
 * The endpoint: from a POST to a call, by way of its era's rules; the end of a session by DELETE.
 */
#include "mcp/server.h"

#include <errno.h>
#include <string.h>
#include <strings.h>
#include <utlist.h>

#include "base/mem.h"
#include "mcp/server_priv.h"

struct mcp_server *mcp_server_new(struct loop *loop, const struct mcp_catalog *catalog,
				  const struct mcp_server_settings *settings, void *arg)
{
	struct mcp_server *server = xcalloc(1, sizeof(*server));

	server->loop = loop;
	server->catalog = catalog;
	server->settings = settings;
	server->arg = arg;
	mcp_sessions_begin(server);
	mcp_methods_begin(server);
	return server;
}

struct mcp_server *mcp_server_free(struct mcp_server *server)
{
	struct mcp_call *call, *next;

	if (!server)
		return NULL;

	DL_FOREACH_SAFE(server->calls, call, next)
	mcp_call_free(call);
	mcp_sessions_end(server);
	free(server->tools_text);
	free(server->prompts_text);
	free(server->templates_text);
	free(server);
	return NULL;
}

/* An error of the transport: it has its status in either era. */
static void refuse(struct http_request *req, const cJSON *id, const struct mcp_error *error)
{
	scoped(freep) char *text = mcp_error_text(id, error);

	http_reply(req, error->http_status, "application/json", text, strlen(text));
}

static void accepted(struct http_request *req)
{
	http_reply(req, 202, NULL, NULL, 0);
}

static bool is_json(const char *content_type)
{
	static const char json[] = "application/json";
	size_t len = strlen(json);

	return content_type && strncasecmp(content_type, json, len) == 0 &&
	       (content_type[len] == '\0' || content_type[len] == ';' || content_type[len] == ' ');
}

static bool same_id(const cJSON *a, const cJSON *b)
{
	if (cJSON_IsString(a) && cJSON_IsString(b))
		return strcmp(a->valuestring, b->valuestring) == 0;
	return cJSON_IsNumber(a) && cJSON_IsNumber(b) && a->valuedouble == b->valuedouble;
}

static struct mcp_call *call_of(const struct mcp_session *session, const cJSON *id)
{
	struct mcp_call *call;

	DL_FOREACH2(session->calls, call, session_next)
	{
		if (same_id(call->message.id, id))
			return call;
	}
	return NULL;
}

static void on_notification(struct mcp_session *session, const struct mcp_message *m)
{
	struct mcp_call *call;

	if (strcmp(m->method, "notifications/cancelled") != 0 || !m->params)
		return;
	call = call_of(session, cJSON_GetObjectItemCaseSensitive(m->params, "requestId"));
	if (call)
		mcp_call_cancel(call);
}

/* The session it names; a version that it names must be one of that era. */
static int legacy_check(struct mcp_server *server, const struct mcp_message *m,
			const struct mcp_fields *fields, const struct principal *who,
			struct mcp_session **ret, struct mcp_error *reterr)
{
	if (fields->version && !mcp_version_is_legacy(fields->version))
		return mcp_error_set(reterr, 400, MCP_INVALID_REQUEST,
				     "Unsupported protocol version: %.64s", fields->version);
	if (!fields->session)
		return mcp_error_set(reterr, 400, MCP_INVALID_REQUEST,
				     "Mcp-Session-Id is missing: begin with initialize");
	*ret = mcp_session_find(server, fields->session, who);
	if (!*ret)
		return mcp_error_set(reterr, 404, MCP_INVALID_REQUEST,
				     "Session not found: begin again with initialize");
	mcp_session_used(*ret);
	if (m->type != MCP_REQUEST)
		return 0;
	if (call_of(*ret, m->id))
		return mcp_error_set(reterr, 400, MCP_INVALID_REQUEST,
				     "A request of this id is under way");
	if ((*ret)->n_calls >= server->settings->calls_per_session) {
		mcp_error_set(reterr, 429, MCP_INTERNAL_ERROR,
			      "%zu calls of this session are under way (mcp.calls_per_session)",
			      (*ret)->n_calls);
		return -EDQUOT;
	}
	return 0;
}

static int take_message(struct http_request *req, struct mcp_message *ret, struct mcp_error *reterr)
{
	size_t len;
	const char *text = http_request_body(req, &len);

	if (!is_json(http_request_header(req, "Content-Type")))
		return mcp_error_set(reterr, 415, MCP_INVALID_REQUEST,
				     "The body must be of Content-Type application/json");
	return mcp_message_parse(text, len, ret, reterr);
}

void mcp_server_post(struct mcp_server *server, struct http_request *req, struct principal *who)
{
	const struct mcp_fields fields = {
		.version = http_request_header(req, "MCP-Protocol-Version"),
		.method = http_request_header(req, "Mcp-Method"),
		.name = http_request_header(req, "Mcp-Name"),
		.session = http_request_header(req, "Mcp-Session-Id"),
	};
	scoped(mcp_error_done) struct mcp_error error = { 0 };
	scoped(mcp_message_done) struct mcp_message m = { 0 };
	struct mcp_session *session = NULL;
	enum mcp_era era;
	int r = take_message(req, &m, &error);

	if (r < 0) {
		refuse(req, m.id, &error);
		return;
	}
	era = mcp_era_of(&m, &fields);
	if (era == MCP_MODERN)
		r = m.type == MCP_REQUEST ? mcp_modern_check(&m, &fields, &error) : 0;
	else if (m.type != MCP_REQUEST || strcmp(m.method, "initialize") != 0)
		r = legacy_check(server, &m, &fields, who, &session, &error);
	if (r < 0) {
		if (r == -EDQUOT)
			http_response_header(req, "Retry-After", "1");
		refuse(req, m.id, &error);
		return;
	}

	if (m.type == MCP_REQUEST) {
		mcp_dispatch(mcp_call_new(server, req, who, &m, era, session));
		return;
	}
	if (m.type == MCP_NOTIFICATION && session)
		on_notification(session, &m);
	accepted(req);
}

void mcp_server_delete(struct mcp_server *server, struct http_request *req, struct principal *who)
{
	const char *id = http_request_header(req, "Mcp-Session-Id");
	struct mcp_session *session = id ? mcp_session_find(server, id, who) : NULL;
	scoped(mcp_error_done) struct mcp_error error = { 0 };

	if (session) {
		mcp_session_free(session);
		http_reply(req, 204, NULL, NULL, 0);
		return;
	}
	mcp_error_set(&error, id ? 404 : 400, MCP_INVALID_REQUEST, "%s",
		      id ? "Session not found" : "Mcp-Session-Id is missing");
	refuse(req, NULL, &error);
}
