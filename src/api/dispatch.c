/* SPDX-License-Identifier: MIT */
/*
 * The way of a request to its handler: Host and Origin, the route, the credential, the body.
 */
#include <errno.h>
#include <string.h>
#include <strings.h>

#include "api/api_priv.h"
#include "base/ids.h"
#include "base/log.h"
#include "base/mem.h"
#include "base/metrics.h"
#include "http/url.h"

LOG_AREA("api");

#define PUBLIC_BODY_MAX 4096

struct call *call_free(struct call *call)
{
	if (!call)
		return NULL;

	registry_op_free(call->op);
	auth_op_free(call->auth_op);
	tasks_op_free(call->task_op);
	publisher_op_free(call->publisher_op);
	principal_unref(call->principal);
	http_match_done(&call->match);
	canvas_calls_free(call->canvas_calls);
	timer_free(call->deadline);
	json_free(call->body);
	free(call);
	return NULL;
}

/* The client left before the answer. */
static void on_gone(void *arg)
{
	call_free(arg);
}

const char *call_param(const struct call *call, const char *name)
{
	return http_match_param(&call->match, name);
}

struct session_ref call_session(const struct call *call)
{
	return (struct session_ref){ call_param(call, "app_id"), call_param(call, "session_id") };
}

int call_query(struct call *call, const char *name, char **ret, struct fault *reterr)
{
	const char *query = http_request_query(call->req);
	int r = http_query_get((struct http_view){ query, strlen(query) }, name, ret);

	if (r == -ENOENT) {
		*ret = NULL;
		return 0;
	}
	if (r < 0)
		return fault_field(reterr, name, "must be there once, percent-encoded");
	return 0;
}

/* "Authorization: Bearer …" (RFC 6750 section 2.1), and nowhere else: a token in a URL is logged.
 */
int bearer_of(const struct http_request *req, const char **ret, struct fault *reterr)
{
	static const char scheme[] = "Bearer ";
	const char *value = http_request_header(req, "Authorization");

	*ret = NULL;
	if (!value)
		return 0;
	if (strncasecmp(value, scheme, strlen(scheme)) != 0)
		return fault_set(reterr, FAULT_UNAUTHENTICATED,
				 "the Authorization field must be \"Bearer\" and a token");
	*ret = value + strlen(scheme);
	while (**ret == ' ')
		(*ret)++;
	return 0;
}

int call_authenticate(struct api *api, struct http_request *req, struct principal **ret,
		      struct fault *reterr)
{
	const struct http_peer *peer = http_request_peer(req);
	struct credential credential = { .is_unix = peer->is_unix, .uid = peer->uid };
	int r = bearer_of(req, &credential.bearer, reterr);

	if (r >= 0)
		r = auth_authenticate(api->deps.auth, &credential, ret, reterr);
	if (r >= 0)
		http_request_set_known(req);
	if (r < 0 && credential.bearer) {
		scoped(freep) char *client = guard_client(api, req);

		log_info("%s %s from %s: %s", http_request_method(req), http_request_path(req),
			 client, fault_slug(reterr->code));
	}
	return r;
}

int call_authorize(const struct route *route, const struct principal *principal,
		   struct fault *reterr)
{
	scoped(freep) char *wanted = NULL;

	const bool is_held = principal->app_id || principal->session_id;

	if ((route->access == ACCESS_ADMIN || route->access == ACCESS_METRICS) &&
	    (!principal->admin || is_held))
		return fault_set(reterr, FAULT_FORBIDDEN,
				 "this is for admins who aren't held to an app or session");
	if (route->access == ACCESS_EDGE && is_held)
		return fault_set(reterr, FAULT_FORBIDDEN,
				 "this is of all apps and sessions, and the credential of one");
	if (route->scopes == 0 || principal_may(principal, route->scopes))
		return 0;

	wanted = scopes_format(route->scopes);
	return fault_set(reterr, FAULT_FORBIDDEN, "the credential has none of these scopes: %s",
			 wanted);
}

/* The ids of the path, all in one answer. */
static int check_params(const struct call *call, struct fault *reterr)
{
	for (size_t i = 0; i < call->match.n_params; i++) {
		const char *name = call->match.params[i].name;
		const char *value = call->match.params[i].value;

		if (strcmp(name, "path") == 0)
			continue; /* of a published page: not an id */
		if (strcmp(name, "name") == 0) {
			if (!name_is_valid(value))
				fault_field(reterr, name, "must be 1 to 64 of A-Z a-z 0-9 . _ -");
		} else if (!id_is_valid(value)) {
			fault_field(reterr, name, "must be 1 to 128 of A-Z a-z 0-9 . _ : @ -");
		}
	}
	return reterr->n_fields > 0 ? -EINVAL : 0;
}

static int authenticate(struct call *call, struct fault *reterr)
{
	const struct route *route = call->route;
	int r;

	if (route->access == ACCESS_PUBLIC ||
	    (route->access == ACCESS_METRICS && call->api->settings->metrics_public))
		return 0;

	/* A browser's WebSocket can't set a field; its credential is its first frame. */
	if (route->access == ACCESS_STREAM && !http_request_header(call->req, "Authorization") &&
	    !http_request_peer(call->req)->is_unix)
		return 0;

	r = call_authenticate(call->api, call->req, &call->principal, reterr);
	return r < 0 ? r : call_authorize(route, call->principal, reterr);
}

static bool is_json(const char *content_type)
{
	static const char json[] = "application/json";
	size_t len = strlen(json);

	return content_type && strncasecmp(content_type, json, len) == 0 &&
	       (content_type[len] == '\0' || content_type[len] == ';' || content_type[len] == ' ');
}

/*
 * A body must say that it is JSON: a page of another origin can send any other type without asking
 * first.  No body at all is an empty object.
 */
static int read_body(struct call *call, struct fault *reterr)
{
	size_t len;
	const char *text = http_request_body(call->req, &len);
	int r;

	if (call->route->fields == mcp_fields)
		return 0;
	if (len == 0) {
		call->body = cJSON_CreateObject();
		return 0;
	}
	if (!is_json(http_request_header(call->req, "Content-Type")))
		return fault_set(reterr, FAULT_NOT_JSON_TYPE,
				 "send the body with \"Content-Type: application/json\"");

	r = json_parse_of_client(text, len, &call->body, reterr);
	if (r < 0)
		return r;
	if (call->route->fields == canvas_list_fields)
		return 0;
	if (!cJSON_IsObject(call->body))
		return fault_set(reterr, FAULT_BAD_JSON, "the body must be a JSON object");
	return 0;
}

static void on_body(struct http_request *req, void *arg)
{
	scoped(fault_done) struct fault fault = { 0 };
	struct call *call = arg;

	(void)req;

	if (read_body(call, &fault) < 0)
		api_reply_fault(call, &fault);
	else
		call->route->handler(call);
}

static int match(struct api *api, struct http_request *req, struct http_match *ret,
		 struct fault *reterr)
{
	const char *method = http_request_method(req);
	const char *path = http_request_path(req);
	scoped(freep) char *allow = NULL;
	int r = http_router_match(api->router, method, path, ret, &allow);

	switch (r) {
	case -ENOENT:
		return fault_set(reterr, FAULT_NOT_FOUND, "there is nothing at %.200s", path);
	case -EOPNOTSUPP:
		if (strcmp(method, "OPTIONS") == 0) {
			guard_preflight(req, allow);
			return r;
		}
		http_response_header(req, "Allow", allow);
		return fault_set(reterr, FAULT_METHOD_NOT_ALLOWED, "%.200s takes %s", path, allow);
	case -EINVAL:
		return fault_set(reterr, FAULT_BAD_REQUEST,
				 "the path has a segment that is empty, \".\" or \"..\", or not "
				 "well encoded");
	default:
		return r;
	}
}

/* Who has shown no credential has not much to say either. */
static size_t body_max(const struct call *call)
{
	size_t most = call->api->settings->server_body_max;

	return call->principal || most < PUBLIC_BODY_MAX ? most : PUBLIC_BODY_MAX;
}

void api_on_request(struct http_request *req, void *arg)
{
	scoped(fault_done) struct fault fault = { 0 };
	struct http_match found = { 0 };
	struct api *api = arg;
	struct call *call;

	/* before the Origin is looked at, which is null for what these pages load */
	if (published_request(api, req))
		return;
	/* at the edge the Origin is that of a request to another host, which its handler judges */
	if ((edge_is_path(http_request_path(req)) ? guard_host(api, req, &fault)
						  : guard_check(api, req, &fault)) < 0) {
		api_refuse(req, &fault);
		return;
	}
	if (socketio_is_path(http_request_path(req))) {
		socketio_request(api, req);
		return;
	}
	if (match(api, req, &found, &fault) < 0) {
		if (fault.code != FAULT_NONE)
			api_refuse(req, &fault); /* else the preflight is answered */
		return;
	}

	call = xcalloc(1, sizeof(*call));
	call->api = api;
	call->req = req;
	call->match = found;
	call->route = &routes[found.route];

	if (authenticate(call, &fault) < 0 || check_params(call, &fault) < 0) {
		api_reply_fault(call, &fault);
		return;
	}

	http_request_on_gone(req, on_gone, call);
	if (call->route->fields)
		http_request_expect(req, body_max(call), on_body, call);
	else
		call->route->handler(call);
}
