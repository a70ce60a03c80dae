/* SPDX-License-Identifier: MIT */
/*
 * Previews and sessions: from a request to the registry's operation, and back.
 */
#include <string.h>

#include "api/api_priv.h"
#include "base/mem.h"
#include "base/parse.h"

#define LIST_LIMIT     100
#define LIST_LIMIT_MAX 1000

/* The answer of any operation: its document, 201 for what is new. */
static void on_done(int result, struct registry_result *value, struct fault *fault, void *arg)
{
	struct call *call = arg;

	if (result < 0)
		api_reply_fault(call, fault);
	else
		api_reply_json(call, value->created ? 201 : 200, STEAL(value->value));
}

/* An operation has begun, or was refused at once. */
static void begun(struct call *call, struct registry_op *op, const struct fault *fault)
{
	call->op = op;
	if (!op)
		api_reply_fault(call, fault);
}

/* The answer of a read. */
static void answer(struct call *call, int result, cJSON *document, const struct fault *fault)
{
	if (result < 0)
		api_reply_fault(call, fault);
	else
		api_reply_json(call, 200, document);
}

static void on_attached(int result, struct registry_result *value, struct fault *fault, void *arg)
{
	struct call *call = arg;

	if (result >= 0)
		api_location(call, "previews", json_string(value->value, "name"));
	on_done(result, value, fault, arg);
}

static void attach(struct call *call, const char *name)
{
	scoped(attach_params_done) struct attach_params params;
	scoped(fault_done) struct fault fault = { 0 };
	struct session_ref ref = call_session(call);
	const char *in_body = json_string(call->body, "name");

	attach_params_init(&params);
	if (json_read(call->body, attach_fields, &params, &fault) < 0) {
		api_reply_fault(call, &fault);
		return;
	}
	if (name && in_body && strcmp(name, in_body) != 0) {
		fault_field(&fault, "name", "differs from the one in the path");
		api_reply_fault(call, &fault);
		return;
	}
	if (name) {
		free(params.name);
		params.name = xstrdup(name);
	}
	begun(call,
	      registry_attach(call->api->deps.registry, call->principal, &ref, &params, on_attached,
			      call, &fault),
	      &fault);
}

void route_attach(struct call *call)
{
	attach(call, NULL);
}

void route_attach_named(struct call *call)
{
	attach(call, call_param(call, "name"));
}

void route_detach(struct call *call)
{
	scoped(fault_done) struct fault fault = { 0 };
	struct session_ref ref = call_session(call);

	begun(call,
	      registry_detach(call->api->deps.registry, call->principal, &ref,
			      call_param(call, "name"), on_done, call, &fault),
	      &fault);
}

void route_session_put(struct call *call)
{
	scoped(session_params_done) struct session_params params = { 0 };
	scoped(fault_done) struct fault fault = { 0 };
	struct session_ref ref = call_session(call);

	if (json_read(call->body, session_fields, &params, &fault) < 0) {
		api_reply_fault(call, &fault);
		return;
	}
	begun(call,
	      registry_session_put(call->api->deps.registry, call->principal, &ref, &params,
				   on_done, call, &fault),
	      &fault);
}

void route_session_end(struct call *call)
{
	scoped(fault_done) struct fault fault = { 0 };
	struct session_ref ref = call_session(call);

	begun(call,
	      registry_session_end(call->api->deps.registry, call->principal, &ref, on_done, call,
				   &fault),
	      &fault);
}

void route_hold_add(struct call *call)
{
	scoped(hold_params_done) struct hold_params params = { 0 };
	scoped(fault_done) struct fault fault = { 0 };
	struct session_ref ref = call_session(call);
	const struct http_peer *peer = http_request_peer(call->req);
	const struct task_peer task_peer = { peer->is_unix, peer->uid, peer->pid };

	if (json_read(call->body, hold_fields, &params, &fault) < 0) {
		api_reply_fault(call, &fault);
		return;
	}
	begun(call,
	      registry_hold(call->api->deps.registry, call->principal, &task_peer, &ref, &params,
			    on_done, call, &fault),
	      &fault);
}

typedef int session_read_fn(struct registry *reg, const struct principal *principal,
			    const struct session_ref *ref, cJSON **ret, struct fault *reterr);

static void read_session(struct call *call, session_read_fn *read)
{
	scoped(fault_done) struct fault fault = { 0 };
	struct session_ref ref = call_session(call);
	cJSON *j = NULL;
	int r = read(call->api->deps.registry, call->principal, &ref, &j, &fault);

	answer(call, r, j, &fault);
}

void route_session_get(struct call *call)
{
	read_session(call, registry_session_get);
}

void route_hold_list(struct call *call)
{
	read_session(call, registry_holds);
}

void route_previews_list(struct call *call)
{
	read_session(call, registry_list);
}

typedef int preview_read_fn(struct registry *reg, const struct principal *principal,
			    const struct session_ref *ref, const char *name, cJSON **ret,
			    struct fault *reterr);

static void read_preview(struct call *call, preview_read_fn *read)
{
	scoped(fault_done) struct fault fault = { 0 };
	struct session_ref ref = call_session(call);
	cJSON *j = NULL;
	int r = read(call->api->deps.registry, call->principal, &ref, call_param(call, "name"), &j,
		     &fault);

	answer(call, r, j, &fault);
}

void route_preview_get(struct call *call)
{
	read_preview(call, registry_get);
}

void route_touch(struct call *call)
{
	read_preview(call, registry_touch);
}

void route_why(struct call *call)
{
	read_preview(call, registry_why);
}

static void pin(struct call *call, bool pinned)
{
	scoped(fault_done) struct fault fault = { 0 };
	struct session_ref ref = call_session(call);

	begun(call,
	      registry_pin(call->api->deps.registry, call->principal, &ref,
			   call_param(call, "name"), pinned, on_done, call, &fault),
	      &fault);
}

void route_pin(struct call *call)
{
	pin(call, true);
}

void route_unpin(struct call *call)
{
	pin(call, false);
}

void route_lookup(struct call *call)
{
	scoped(fault_done) struct fault fault = { 0 };
	scoped(freep) char *session_id = NULL, *name = NULL;
	struct session_ref ref = { .app_id = call_param(call, "app_id") };
	cJSON *j = NULL;
	int r;

	r = call_query(call, "session_id", &session_id, &fault);
	if (r >= 0)
		r = call_query(call, "name", &name, &fault);
	if (r >= 0 && !session_id)
		r = fault_field(&fault, "session_id", "is required");
	if (r >= 0) {
		ref.session_id = session_id;
		r = registry_lookup(call->api->deps.registry, call->principal, &ref,
				    name ? name : "default", &j, &fault);
	}
	answer(call, r, j, &fault);
}

void route_previews_all(struct call *call)
{
	scoped(fault_done) struct fault fault = { 0 };
	scoped(freep) char *limit_text = NULL, *after = NULL;
	unsigned limit = LIST_LIMIT;
	cJSON *j = NULL;
	int r;

	r = call_query(call, "limit", &limit_text, &fault);
	if (r >= 0)
		r = call_query(call, "after", &after, &fault);
	if (r >= 0 && limit_text && parse_uint(limit_text, 1, LIST_LIMIT_MAX, &limit) < 0)
		r = fault_field(&fault, "limit", "must be a whole number from 1 to %d",
				LIST_LIMIT_MAX);
	if (r >= 0)
		r = registry_list_all(call->api->deps.registry, call->principal, limit, after, &j,
				      &fault);
	answer(call, r, j, &fault);
}

void route_health(struct call *call)
{
	cJSON *j = registry_health(call->api->deps.registry);

	cJSON_AddItemToObject(j, "publish", publisher_health(call->api->deps.publisher));
	api_reply_json(call, 200, j);
}
