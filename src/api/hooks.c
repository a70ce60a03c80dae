/* SPDX-License-Identifier: MIT */
/*
 * What coding agents tell their hooks, where the hook is a POST to the daemon, or previewctl that
 * stands in between.
 *
 * An agent waits for its hooks and may take their failure for an answer.  So it is answered within
 * a second whatever happens, and with an empty object whatever came of it: the log has it.  Who
 * speaks the generic dialect is no agent, and is told of failures as everywhere.
 *
 * The hook names the session, and that is a claim: the credential decides what may be done to it.
 */
#include <string.h>

#include "agents/hook.h"
#include "api/api_priv.h"
#include "base/log.h"
#include "mcp/mcp.h"

LOG_AREA("hooks");

#define BUDGET USEC_PER_SEC

const struct json_field hook_body_fields[] = { JSON_FIELDS_END };

static bool is_generic(const struct call *call)
{
	return strcmp(call_param(call, "agent"), "generic") == 0;
}

static void reply_done(struct call *call)
{
	const struct hook_dialect *dialect = hook_dialect_of(call_param(call, "agent"));
	scoped(hook_event_done) struct hook_event e = { 0 };

	if (hook_event_read(dialect, call->body, &e) < 0)
		hook_event_done(&e);
	api_reply_json(call, 200, hook_answer(dialect, call->body, &e));
}

static void reply_fault(struct call *call, const struct fault *fault)
{
	log_info("a hook of %s came to nothing: %s", call_param(call, "agent"),
		 fault->detail ? fault->detail : fault_slug(fault->code));
	if (is_generic(call))
		api_reply_fault(call, fault);
	else
		reply_done(call);
}

static void on_done(int result, struct registry_result *value, struct fault *fault, void *arg)
{
	(void)value;
	if (result < 0)
		reply_fault(arg, fault);
	else
		reply_done(arg);
}

/* What was begun goes on, when it is past cancelling. */
static void on_deadline(void *arg)
{
	struct call *call = arg;

	log_info("a hook of %s is answered while what it began goes on", call_param(call, "agent"));
	reply_done(call);
}

static void begun(struct call *call, struct registry_op *op, const struct fault *fault)
{
	call->op = op;
	if (!op) {
		reply_fault(call, fault);
		return;
	}
	call->deadline = timer_new(call->api->deps.loop, on_deadline, call);
	timer_set(call->deadline, BUDGET);
}

/* Held by the agent's process where that can be seen, so that the session ends however it does. */
static void start_session(struct call *call, const struct session_ref *ref,
			  const struct hook_event *e)
{
	struct registry *registry = call->api->deps.registry;
	const struct http_peer *peer = http_request_peer(call->req);
	const struct task_peer task_peer = { peer->is_unix, peer->uid, peer->pid };
	const struct hold_params hold = { .pid = e->pid, .workdir = e->cwd };
	const struct session_params params = { .workdir = e->cwd };
	scoped(fault_done) struct fault fault = { 0 };
	scoped(fault_done) struct fault not_held = { 0 };
	struct registry_op *op = NULL;

	if (e->pid > 0 && peer->is_unix)
		op = registry_hold(registry, call->principal, &task_peer, ref, &hold, on_done, call,
				   &not_held);
	if (not_held.code != FAULT_NONE)
		log_info("session '%s': not held: %s", ref->session_id,
			 not_held.detail ? not_held.detail : fault_slug(not_held.code));
	if (!op)
		op = registry_session_put(registry, call->principal, ref, &params, on_done, call,
					  &fault);
	begun(call, op, &fault);
}

/*
 * The agent has ended it itself: what is left is to tell its previews.  What is left of the task is
 * ended for those only who may end tasks.
 */
static void end_task(struct call *call, const struct session_ref *ref, const struct hook_event *e)
{
	scoped(fault_done) struct fault fault = { 0 };
	struct tasks *tasks = call->api->deps.tasks;
	const char *user_id;

	if (registry_session_owner(call->api->deps.registry, call->principal, ref, &user_id,
				   &fault) < 0) {
		reply_fault(call, &fault);
		return;
	}
	if (principal_may(call->principal, SCOPE_TASK))
		tasks_op_free(tasks_delete(tasks, ref->session_id, e->task_id, NULL, NULL, NULL));
	registry_task_exited(ref->session_id, e->task_id, call->api->deps.registry);
	reply_done(call);
}

/* The tool's call, or one that names the background task, is for that session. */
static void bind_call(struct call *call, const struct session_ref *ref, const char *id)
{
	if (mcp_bind_tool_use(call->api->mcp, call->principal, id, ref->app_id, ref->session_id) <
	    0)
		log_info("session '%s': '%.128s' is no id of a call", ref->session_id, id);
	reply_done(call);
}

static void take(struct call *call, const struct session_ref *ref, const struct hook_event *e)
{
	scoped(fault_done) struct fault fault = { 0 };

	switch (e->kind) {
	case HOOK_SESSION_START:
		start_session(call, ref, e);
		break;
	case HOOK_SESSION_END:
		begun(call,
		      registry_session_end(call->api->deps.registry, call->principal, ref, on_done,
					   call, &fault),
		      &fault);
		break;
	case HOOK_TASK_END:
		end_task(call, ref, e);
		break;
	case HOOK_TOOL_USE:
		bind_call(call, ref, e->tool_use_id);
		break;
	case HOOK_TASK:
		bind_call(call, ref, e->task_id);
		break;
	case HOOK_OTHER:
	case HOOK_KIND_COUNT_:
		reply_done(call);
		break;
	}
}

void route_hook(struct call *call)
{
	const struct hook_dialect *dialect = hook_dialect_of(call_param(call, "agent"));
	scoped(hook_event_done) struct hook_event e = { 0 };
	scoped(fault_done) struct fault fault = { 0 };
	const char *app = call->principal->app_id ? call->principal->app_id : "default";

	if (!dialect) {
		fault_set(&fault, FAULT_NOT_FOUND, "there is no agent '%s'; there are: %s",
			  call_param(call, "agent"), HOOK_AGENTS);
		api_reply_fault(call, &fault);
		return;
	}
	if (hook_event_read(dialect, call->body, &e) < 0) {
		fault_set(&fault, FAULT_BAD_REQUEST, "the hook's input is not understood");
		reply_fault(call, &fault);
		return;
	}
	if (e.kind != HOOK_OTHER)
		log_debug("%s: %s of session '%s'", call_param(call, "agent"),
			  hook_kind_text(e.kind), e.session_id);
	take(call, &(struct session_ref){ e.app_id ? e.app_id : app, e.session_id }, &e);
}
