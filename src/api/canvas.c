/* SPDX-License-Identifier: MIT */
/*
 * The canvas: from a request to its actions.  The first that changes something makes the session,
 * for those who may.
 */
#include "canvas/canvas.h"

#include "api/api_priv.h"

const struct json_field canvas_action_fields[] = { JSON_FIELDS_END };
const struct json_field canvas_list_fields[] = { JSON_FIELDS_END };

void route_canvas_get(struct call *call)
{
	scoped(fault_done) struct fault fault = { 0 };
	struct session_ref ref = call_session(call);
	scoped(freep) char *text = NULL;
	const char *user_id;

	if (registry_session_owner(call->api->deps.registry, call->principal, &ref, &user_id,
				   &fault) < 0) {
		api_reply_fault(call, &fault);
		return;
	}
	text = snapshot_text(call->api, ref.session_id,
			     bus_latest_seq(call->api->deps.bus, ref.session_id));
	api_reply_text(call, 200, "application/json", text);
}

/* In a session that is there. */
static void run_or_reply(struct call *call)
{
	scoped(fault_done) struct fault fault = { 0 };
	struct session_ref ref = call_session(call);
	struct canvas_session_ref of = { ref.session_id, ref.app_id, NULL };
	cJSON *result = NULL;
	int r = registry_session_owner(call->api->deps.registry, call->principal, &ref, &of.user_id,
				       &fault);

	if (r >= 0)
		r = canvas_run(call->api->deps.canvas, &of, call->canvas_calls, &result, &fault);
	if (r < 0)
		api_reply_fault(call, &fault);
	else
		api_reply_json(call, 200, result);
}

static void on_session_made(int result, struct registry_result *value, struct fault *fault,
			    void *arg)
{
	struct call *call = arg;

	(void)value;
	call->op = registry_op_free(call->op);
	if (result < 0)
		api_reply_fault(call, fault);
	else
		run_or_reply(call);
}

static void run(struct call *call)
{
	const struct session_params nothing = { 0 };
	scoped(fault_done) struct fault fault = { 0 };
	struct registry *registry = call->api->deps.registry;
	struct session_ref ref = call_session(call);
	const char *user_id;

	if (canvas_calls_only_read(call->canvas_calls)) {
		run_or_reply(call);
		return;
	}
	if (call->api->draining) {
		fault_set(&fault, FAULT_DRAINING,
			  "the daemon is shutting down; try again when it is back");
		api_reply_fault(call, &fault);
		return;
	}
	if (registry_session_owner(registry, call->principal, &ref, &user_id, NULL) >= 0) {
		run_or_reply(call);
		return;
	}
	call->op = registry_session_put(registry, call->principal, &ref, &nothing, on_session_made,
					call, &fault);
	if (!call->op)
		api_reply_fault(call, &fault);
}

void route_canvas_action(struct call *call)
{
	scoped(fault_done) struct fault fault = { 0 };

	if (canvas_calls_read(call_param(call, "action"), call->body, &call->canvas_calls, &fault) <
	    0)
		api_reply_fault(call, &fault);
	else
		run(call);
}

void route_canvas_list(struct call *call)
{
	scoped(fault_done) struct fault fault = { 0 };

	if (canvas_calls_read_list(call->body, &call->canvas_calls, &fault) < 0)
		api_reply_fault(call, &fault);
	else
		run(call);
}
