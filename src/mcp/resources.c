/* SPDX-License-Identifier: MIT */
/*
 * Resources: the current previews, and the card that shows one.
 *
 *	preview://sessions/{session_id}		the session's previews
 *	preview://sessions/{session_id}/{name}	one of them
 *	ui://previewd/preview			the card (MCP Apps), for hosts that show pages
 */
#include <errno.h>
#include <string.h>

#include "base/ids.h"
#include "base/mem.h"
#include "mcp/card.h"
#include "mcp/mcp_priv.h"

#define SESSIONS   "preview://sessions/"
#define LIST_LIMIT 100

const struct mcp_resource mcp_templates[] = {
	{ SESSIONS "{session_id}", "session-previews", "Previews of a session",
	  "The session's previews, as JSON", "application/json" },
	{ SESSIONS "{session_id}/{name}", "session-preview", "A preview",
	  "One preview of a session, as JSON", "application/json" },
};

const size_t n_mcp_templates = ARRAY_SIZE(mcp_templates);

static void add_resource(cJSON *list, const cJSON *preview)
{
	const char *name = json_string(preview, "name"), *url = json_string(preview, "url");
	const char *session_id = json_string(preview, "session_id");
	scoped(freep) char *uri = xasprintf(SESSIONS "%s/%s", session_id, name);
	scoped(freep) char *title = xasprintf("Preview '%s' of session '%s'", name, session_id);
	cJSON *j = cJSON_CreateObject();

	json_add_string(j, "uri", uri);
	json_add_string(j, "name", name);
	json_add_string(j, "title", title);
	json_add_string(j, "description", url);
	json_add_string(j, "mimeType", "application/json");
	cJSON_AddItemToArray(list, j);
}

static int list_some(struct mcp_call *call, cJSON **ret, struct fault *reterr)
{
	const struct mcp *mcp = mcp_call_arg(call);
	scoped(identity_done) struct identity identity = { 0 };
	const char *cursor = json_string(mcp_call_params(call), "cursor");
	struct session_ref ref;
	int r = identity_if_any(call, &identity, reterr);

	if (r < 0)
		return r;
	if (!principal_may(mcp_call_principal(call), SCOPE_PREVIEW | SCOPE_VIEW))
		return 0;
	if (!identity.session_id)
		return registry_list_all(mcp->deps.registry, mcp_call_principal(call), LIST_LIMIT,
					 cursor, ret, reterr);
	ref = (struct session_ref){ identity.app_id, identity.session_id };
	r = registry_list(mcp->deps.registry, mcp_call_principal(call), &ref, ret, reterr);
	return r < 0 && reterr->code == FAULT_SESSION_NOT_FOUND ? 0 : r;
}

void resources_list_all(struct mcp_call *call)
{
	scoped(fault_done) struct fault fault = { 0 };
	scoped(json_freep) cJSON *found = NULL;
	cJSON *result, *list;
	const cJSON *one;
	const char *next;

	if (list_some(call, &found, &fault) < 0) {
		mcp_fail(call, MCP_INVALID_PARAMS, "Invalid params: %s", fault.detail);
		return;
	}
	result = cJSON_CreateObject();
	list = cJSON_AddArrayToObject(result, "resources");
	cJSON_ArrayForEach(one, cJSON_GetObjectItemCaseSensitive(found, "previews"))
		add_resource(list, one);
	next = json_string(found, "next");
	if (next)
		json_add_string(result, "nextCursor", next);
	mcp_result_cache(call, result, 0, false);
	mcp_reply_consume(call, result);
}

static void reply_contents(struct mcp_call *call, const char *type, const char *text, cJSON *meta)
{
	cJSON *result = cJSON_CreateObject(), *one = cJSON_CreateObject();

	json_add_string(one, "uri", json_string(mcp_call_params(call), "uri"));
	json_add_string(one, "mimeType", type);
	json_add_string(one, "text", text);
	if (meta)
		cJSON_AddItemToObject(one, "_meta", meta);
	cJSON_AddItemToArray(cJSON_AddArrayToObject(result, "contents"), one);
	mcp_result_cache(call, result, 0, false);
	mcp_reply_consume(call, result);
}

/* Where the card may show pages from: loopback's dev servers, and the daemon's public address. */
static cJSON *card_meta(const struct mcp *mcp)
{
	static const char *const local[] = { "http://localhost:*", "http://127.0.0.1:*",
					     "https://localhost:*", "https://127.0.0.1:*" };
	const char *public = mcp->settings->server_public_base_url;
	cJSON *meta = cJSON_CreateObject(), *ui, *frames;

	ui = cJSON_AddObjectToObject(meta, "ui");
	frames = cJSON_AddArrayToObject(cJSON_AddObjectToObject(ui, "csp"), "frameDomains");
	for (size_t i = 0; i < ARRAY_SIZE(local); i++)
		cJSON_AddItemToArray(frames, cJSON_CreateString(local[i]));
	if (public)
		cJSON_AddItemToArray(frames, cJSON_CreateString(public));
	cJSON_AddBoolToObject(ui, "prefersBorder", true);
	return meta;
}

/* preview://sessions/S or preview://sessions/S/N */
static int read_preview(struct mcp_call *call, const char *uri, cJSON **ret, struct fault *reterr)
{
	const struct mcp *mcp = mcp_call_arg(call);
	const char *at = uri + strlen(SESSIONS), *slash = strchr(at, '/');
	scoped(freep) char *session_id = xstrndup(at, slash ? (size_t)(slash - at) : strlen(at));
	const char *app_id = NULL, *user_id;
	struct session_ref ref;

	if (!id_is_valid(session_id) || (slash && !name_is_valid(slash + 1)) ||
	    !principal_may(mcp_call_principal(call), SCOPE_PREVIEW | SCOPE_VIEW) ||
	    !registry_session_lookup(session_id, &app_id, &user_id, mcp->deps.registry))
		return -ENOENT;
	ref = (struct session_ref){ app_id, session_id };
	if (slash)
		return registry_get(mcp->deps.registry, mcp_call_principal(call), &ref, slash + 1,
				    ret, reterr);
	return registry_list(mcp->deps.registry, mcp_call_principal(call), &ref, ret, reterr);
}

void resources_read_one(struct mcp_call *call)
{
	const char *uri = json_string(mcp_call_params(call), "uri");
	scoped(fault_done) struct fault fault = { 0 };
	scoped(json_freep) cJSON *found = NULL;
	scoped(freep) char *text = NULL;

	if (strcmp(uri, CARD_URI) == 0) {
		reply_contents(call, CARD_TYPE, card_html, card_meta(mcp_call_arg(call)));
		return;
	}
	if (strncmp(uri, SESSIONS, strlen(SESSIONS)) != 0 ||
	    read_preview(call, uri, &found, &fault) < 0) {
		mcp_fail_no_resource(call, uri);
		return;
	}
	text = json_print(found);
	reply_contents(call, "application/json", text, NULL);
}
