/* SPDX-License-Identifier: MIT */
/*
 * What is done in a session: in one that is there, or in one that its first use makes.  Whoever
 * writes to a session comes through here, so that they agree on who may make one.
 */
#include <errno.h>

#include "api/api_priv.h"

int session_ensure(struct api *api, struct principal *principal, const struct session_ref *ref,
		   registry_done_fn *done, void *arg, struct registry_op **ret,
		   struct fault *reterr)
{
	const struct session_params nothing = { 0 };
	struct registry *registry = api->deps.registry;
	const char *user_id;

	if (api->draining)
		return fault_set(reterr, FAULT_DRAINING,
				 "the daemon is shutting down; try again when it is back");
	if (registry_session_owner(registry, principal, ref, &user_id, NULL) >= 0)
		return 1;
	*ret = registry_session_put(registry, principal, ref, &nothing, done, arg, reterr);
	return *ret ? 0 : -EINVAL;
}

void call_in_session(struct call *call, call_in_session_fn *next)
{
	scoped(fault_done) struct fault fault = { 0 };
	struct session_ref ref = call_session(call);
	const char *user_id;
	int r = registry_session_owner(call->api->deps.registry, call->principal, &ref, &user_id,
				       &fault);

	if (r >= 0)
		r = next(call, user_id, &fault);
	if (r < 0)
		api_reply_fault(call, &fault);
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
		call_in_session(call, call->next);
}

void call_in_session_or_new(struct call *call, call_in_session_fn *next)
{
	scoped(fault_done) struct fault fault = { 0 };
	struct session_ref ref = call_session(call);
	int r;

	call->next = next;
	r = session_ensure(call->api, call->principal, &ref, on_session_made, call, &call->op,
			   &fault);
	if (r < 0)
		api_reply_fault(call, &fault);
	else if (r > 0)
		call_in_session(call, next);
}
