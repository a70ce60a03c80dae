/* SPDX-License-Identifier: MIT */
/*
 * Background tasks: from a request to the tasks' operation, and back; and their logs as a stream.
 */
#include <errno.h>
#include <string.h>

#include "api/api_priv.h"
#include "api/logstream.h"
#include "base/mem.h"
#include "base/parse.h"
#include "tasks/tasks.h"

static void on_added(int result, cJSON *value, struct fault *fault, void *arg)
{
	struct call *call = arg;

	if (result < 0) {
		api_reply_fault(call, fault);
		return;
	}
	api_location(call, "tasks", json_string(value, "task_id"));
	api_reply_json(call, 201, cJSON_Duplicate(value, true));
}

static int add(struct call *call, const char *user_id, struct fault *reterr)
{
	scoped(task_params_done) struct task_params params = { 0 };
	struct session_ref ref = call_session(call);
	const struct http_peer *peer = http_request_peer(call->req);
	const struct task_peer task_peer = { peer->is_unix, peer->uid, peer->pid };
	scoped(json_freep) cJSON *session = NULL;
	int r = json_read(call->body, task_fields, &params, reterr);

	(void)user_id;
	if (r < 0)
		return r;
	r = registry_session_get(call->api->deps.registry, call->principal, &ref, &session, reterr);
	if (r < 0)
		return r;
	if (params.command && !params.cwd)
		params.cwd = xstrdup_null(json_string(session, "workdir"));

	call->task_op = tasks_add(call->api->deps.tasks, call->principal, &task_peer, &ref, &params,
				  on_added, call, reterr);
	return call->task_op ? 0 : -EINVAL;
}

/* A body that is wrong makes no session. */
static int check_body(const struct call *call, struct fault *reterr)
{
	scoped(task_params_done) struct task_params params = { 0 };

	return json_read(call->body, task_fields, &params, reterr);
}

void route_task_add(struct call *call)
{
	scoped(fault_done) struct fault fault = { 0 };

	if (check_body(call, &fault) < 0)
		api_reply_fault(call, &fault);
	else
		call_in_session_or_new(call, add);
}

/* Whether the principal may know of the session; else the call is answered. */
static bool may_see(struct call *call)
{
	scoped(fault_done) struct fault fault = { 0 };
	struct session_ref ref = call_session(call);
	const char *user_id;

	if (registry_session_owner(call->api->deps.registry, call->principal, &ref, &user_id,
				   &fault) >= 0)
		return true;
	api_reply_fault(call, &fault);
	return false;
}

void route_task_list(struct call *call)
{
	cJSON *j = NULL;

	if (!may_see(call))
		return;
	if (tasks_list(call->api->deps.tasks, call_param(call, "session_id"), &j) < 0)
		return;
	api_reply_json(call, 200, j);
}

void route_task_get(struct call *call)
{
	scoped(fault_done) struct fault fault = { 0 };
	cJSON *j = NULL;

	if (!may_see(call))
		return;
	if (tasks_get(call->api->deps.tasks, call_param(call, "session_id"),
		      call_param(call, "task_id"), &j, &fault) < 0)
		api_reply_fault(call, &fault);
	else
		api_reply_json(call, 200, j);
}

static void on_deleted(int result, cJSON *value, struct fault *fault, void *arg)
{
	if (result < 0)
		api_reply_fault(arg, fault);
	else
		api_reply_json(arg, 200, cJSON_Duplicate(value, true));
}

void route_task_delete(struct call *call)
{
	scoped(fault_done) struct fault fault = { 0 };

	if (!may_see(call))
		return;
	call->task_op = tasks_delete(call->api->deps.tasks, call_param(call, "session_id"),
				     call_param(call, "task_id"), on_deleted, call, &fault);
	if (!call->task_op)
		api_reply_fault(call, &fault);
}

static int read_follow(struct call *call, bool *ret, struct fault *reterr)
{
	scoped(freep) char *text = NULL;
	int r = call_query(call, "follow", &text, reterr);

	*ret = false;
	if (r < 0 || !text)
		return r;
	if (parse_bool(text, ret) < 0)
		return fault_field(reterr, "follow", "must be 1 or 0");
	return 0;
}

void route_task_log(struct call *call)
{
	scoped(fault_done) struct fault fault = { 0 };
	struct textlog_reader *log;
	struct log_stream *s;
	bool follow;

	if (!may_see(call))
		return;
	s = log_stream_new();
	if (read_follow(call, &follow, &fault) < 0 ||
	    tasks_log(call->api->deps.tasks, call_param(call, "session_id"),
		      call_param(call, "task_id"), follow, &log_stream_ops, s, &log, &fault) < 0) {
		log_stream_free(s);
		api_reply_fault(call, &fault);
		return;
	}
	log_stream_begin(s, log, call);
}
