/* SPDX-License-Identifier: MIT */
/*
 * The canvas: from a request to its actions.  The first that changes something makes the session,
 * for those who may.
 */
#include "canvas/canvas.h"

#include "api/api_priv.h"

const struct json_field canvas_action_fields[] = { JSON_FIELDS_END };
const struct json_field canvas_list_fields[] = { JSON_FIELDS_END };

const struct route *canvas_route(void)
{
	for (size_t i = 0; i < n_routes; i++) {
		if (routes[i].handler == route_canvas_action)
			return &routes[i];
	}
	return NULL;
}

void route_canvas_get(struct call *call)
{
	scoped(fault_done) struct fault fault = { 0 };
	struct session_ref ref = call_session(call);
	scoped(freep) char *text = NULL;
	const char *user_id;
	uint64_t seq;

	if (registry_session_owner(call->api->deps.registry, call->principal, &ref, &user_id,
				   &fault) < 0) {
		api_reply_fault(call, &fault);
		return;
	}
	text = snapshot_text(call->api, ref.session_id, &seq);
	api_reply_text(call, 200, "application/json", text);
}

static int run(struct call *call, const char *user_id, struct fault *reterr)
{
	struct session_ref ref = call_session(call);
	struct canvas_session_ref of = { ref.session_id, ref.app_id, user_id };
	cJSON *result = NULL;
	int r = canvas_run(call->api->deps.canvas, &of, call->canvas_calls, &result, reterr);

	if (r < 0)
		return r;
	api_reply_json(call, 200, result);
	return 0;
}

static void run_or_reply(struct call *call)
{
	if (canvas_calls_only_read(call->canvas_calls))
		call_in_session(call, run);
	else
		call_in_session_or_new(call, run);
}

void route_canvas_action(struct call *call)
{
	scoped(fault_done) struct fault fault = { 0 };

	if (canvas_calls_read(call_param(call, "action"), call->body, &call->canvas_calls, &fault) <
	    0)
		api_reply_fault(call, &fault);
	else
		run_or_reply(call);
}

void route_canvas_list(struct call *call)
{
	scoped(fault_done) struct fault fault = { 0 };

	if (canvas_calls_read_list(call->body, &call->canvas_calls, &fault) < 0)
		api_reply_fault(call, &fault);
	else
		run_or_reply(call);
}
