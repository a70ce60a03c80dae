/* SPDX-License-Identifier: MIT */
/*
 * Which session a call is for.  Agents differ in what they tell, so several ways are tried, the
 * most deliberate first.  All are claims: what the call may do, its credential decides.
 */
#include <errno.h>
#include <string.h>

#include "base/ids.h"
#include "base/mem.h"
#include "mcp/mcp_priv.h"

void identity_done(struct identity *identity)
{
	free(STEAL(identity->app_id));
	free(STEAL(identity->session_id));
}

/* What is no id is no claim: another's member of that name may hold anything. */
static const char *id_or_null(const char *text)
{
	return text && id_is_valid(text) ? text : NULL;
}

static const char *by_codex(const cJSON *meta)
{
	const cJSON *turn = cJSON_GetObjectItemCaseSensitive(meta, "x-codex-turn-metadata");
	const char *id = id_or_null(json_string(meta, "sessionId"));

	if (!id)
		id = id_or_null(json_string(meta, "threadId"));
	return id ? id : id_or_null(json_string(turn, "session_id"));
}

static const char *by_hook(const struct mcp *mcp, const struct principal *who, const cJSON *meta,
			   const char **ret_app_id)
{
	const char *tool_use = id_or_null(json_string(meta, "claudecode/toolUseId"));
	struct mcp_binding binding;

	if (!tool_use || mcp_bindings_find(mcp->bindings, who, tool_use, &binding) < 0)
		return NULL;
	*ret_app_id = binding.app_id;
	return binding.session_id;
}

/* The agent's background task that the call names, where a hook told whose it is. */
static const char *by_task(const struct mcp *mcp, struct mcp_call *call, const char **ret_app_id)
{
	const struct principal *who = mcp_call_principal(call);
	const char *task = id_or_null(json_string(mcp_call_arguments(call), "bash_task_id"));
	struct mcp_binding binding;

	if (!task || mcp_bindings_find(mcp->bindings, who, task, &binding) < 0)
		return NULL;
	*ret_app_id = binding.app_id;
	return binding.session_id;
}

static const char *session_of(const struct mcp *mcp, struct mcp_call *call, const char **ret_app_id)
{
	const struct principal *who = mcp_call_principal(call);
	const cJSON *meta = mcp_call_meta(call);
	const char *id = id_or_null(json_string(meta, "dev.previewd/sessionId"));

	if (!id)
		id = by_codex(meta);
	if (!id)
		id = id_or_null(json_string(meta, "claudecode/sessionId"));
	if (!id)
		id = by_hook(mcp, who, meta, ret_app_id);
	if (!id)
		id = by_task(mcp, call, ret_app_id);
	if (!id)
		id = id_or_null(mcp_call_field(call, "X-Previewd-Session"));
	return id ? id : who->session_id;
}

/* A model fills in what it should leave empty, with nothing in it. */
static int argument(struct mcp_call *call, const char *name, const char **ret, struct fault *reterr)
{
	const cJSON *value = cJSON_GetObjectItemCaseSensitive(mcp_call_arguments(call), name);

	*ret = NULL;
	if (!value || cJSON_IsNull(value) ||
	    (cJSON_IsString(value) && value->valuestring[0] == '\0'))
		return 0;
	if (!cJSON_IsString(value) || !id_is_valid(value->valuestring))
		return fault_field(reterr, name, "must be 1 to %d of A-Z a-z 0-9 . _ : @ -",
				   ID_LENGTH_MAX);
	*ret = value->valuestring;
	return 0;
}

int identity_if_any(struct mcp_call *call, struct identity *ret, struct fault *reterr)
{
	const struct mcp *mcp = mcp_call_arg(call);
	const struct principal *who = mcp_call_principal(call);
	const char *app_id, *session_id, *told_app_id = NULL, *user_id;
	int r = argument(call, "app_id", &app_id, reterr);

	if (r >= 0)
		r = argument(call, "session_id", &session_id, reterr);
	if (r < 0)
		return r;

	if (!session_id)
		session_id = session_of(mcp, call, &told_app_id);
	if (!app_id)
		app_id = told_app_id;
	if (!app_id)
		app_id = id_or_null(json_string(mcp_call_meta(call), "dev.previewd/appId"));
	/* Of a session of others nothing is said, not even its app. */
	if (!app_id && session_id &&
	    (!registry_session_lookup(session_id, &app_id, &user_id, mcp->deps.registry) ||
	     !principal_sees(who, app_id, session_id, user_id)))
		app_id = NULL;
	if (!app_id)
		app_id = who->app_id ? who->app_id : "default";
	*ret = (struct identity){ xstrdup(app_id), xstrdup_null(session_id) };
	return 0;
}

int identity_of(struct mcp_call *call, struct identity *ret, struct fault *reterr)
{
	int r = identity_if_any(call, ret, reterr);

	if (r < 0 || ret->session_id)
		return r;
	return fault_set(reterr, FAULT_INVALID_FIELD,
			 "It isn't known which session this is for, for the agent's integration "
			 "didn't say. Pass session_id: any name of A-Z a-z 0-9 . _ - that is "
			 "this conversation's alone, the same in every call. (Its user can set "
			 "it once: run the server as \"previewctl mcp\", or send the field "
			 "X-Previewd-Session, or use a session token.)");
}
