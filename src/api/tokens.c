/* SPDX-License-Identifier: MIT */
/*
 * Session tokens: minting, listing, revoking.
 *
 * Who mints gives away no more than they have, and a session token mints none: else one could
 * outlive its own expiry.
 */
#include <errno.h>
#include <string.h>

#include "api/api_priv.h"
#include "base/parse.h"

struct token_params {
	char **scopes;
	unsigned ttl_seconds;
	char *note;
};

const struct json_field token_fields[] = {
	/* clang-format off */
	{ "scopes", JSON_STRINGS, offsetof(struct token_params, scopes), .required = true, .min = 1, .max = 8,
	  .help = "What the token may do: preview, publish, task, view." },
	{ "ttl_seconds", JSON_UINT, offsetof(struct token_params, ttl_seconds), .min = 60, .max = 31536000,
	  .help = "How long it lives; auth.token_ttl where it isn't said." },
	{ "note", JSON_STRING, offsetof(struct token_params, note), .max = 128,
	  .help = "For whom it is, to find it again in the list." },
	JSON_FIELDS_END,
	/* clang-format on */
};

static void token_params_done(struct token_params *p)
{
	json_fields_done(token_fields, p);
}

static cJSON *token_view(const struct token_info *info)
{
	cJSON *j = cJSON_CreateObject(), *list;
	scoped(freep) char *text = scopes_format(info->scopes);
	scoped(strv_freep) char **scopes = parse_list(text, ' ');

	json_add_string(j, "token_id", info->token_id);
	json_add_string(j, "session_id", info->session_id);
	list = cJSON_AddArrayToObject(j, "scopes");
	for (size_t i = 0; scopes[i]; i++)
		cJSON_AddItemToArray(list, cJSON_CreateString(scopes[i]));
	json_add_string(j, "note", info->note);
	json_add_time(j, "created_at", info->created_at);
	json_add_time(j, "expires_at", info->expires_at);
	return j;
}

cJSON *token_minted(struct call *call, int result, const char *token, const struct token_info *info,
		    const struct fault *fault)
{
	cJSON *j;

	if (result < 0) {
		api_reply_fault(call, fault);
		return NULL;
	}
	j = token_view(info);
	json_add_string(j, "token", token);
	return j;
}

static void on_minted(int result, const char *token, const struct token_info *info,
		      const struct fault *fault, void *arg)
{
	cJSON *j = token_minted(arg, result, token, info, fault);

	if (j)
		api_reply_json(arg, 201, j);
}

int scopes_of(char *const *list, unsigned *ret, struct fault *reterr)
{
	const unsigned grantable = SCOPE_PREVIEW | SCOPE_PUBLISH | SCOPE_TASK | SCOPE_VIEW;

	*ret = 0;
	for (; *list; list++) {
		unsigned one;

		if (scopes_parse(*list, false, &one) < 0 || (one & ~grantable))
			return fault_field(reterr, "scopes",
					   "must be of preview, publish, task and view");
		*ret |= one;
	}
	return 0;
}

int may_manage(const struct call *call, struct fault *reterr)
{
	if (call->principal->via != VIA_SESSION_TOKEN)
		return 0;
	return fault_set(reterr, FAULT_FORBIDDEN, "a session token manages no tokens");
}

static int mint(struct call *call, struct fault *reterr)
{
	scoped(token_params_done) struct token_params params = { 0 };
	struct session_ref ref = call_session(call);
	struct token_request request = { .app_id = ref.app_id, .session_id = ref.session_id };
	int r;

	r = may_manage(call, reterr);
	if (r < 0)
		return r;
	r = json_read(call->body, token_fields, &params, reterr);
	if (r < 0)
		return r;
	r = scopes_of(params.scopes, &request.scopes, reterr);
	if (r < 0)
		return r;
	if (!call->principal->admin && (request.scopes & ~call->principal->scopes))
		return fault_set(reterr, FAULT_FORBIDDEN,
				 "the token would have scopes that its maker has not");
	r = registry_session_owner(call->api->deps.registry, call->principal, &ref,
				   &request.user_id, reterr);
	if (r < 0)
		return r;

	request.note = params.note ? params.note : "";
	request.ttl = params.ttl_seconds * USEC_PER_SEC;
	call->auth_op = auth_mint(call->api->deps.auth, &request, on_minted, call, reterr);
	return call->auth_op ? 0 : -EDQUOT;
}

void route_token_mint(struct call *call)
{
	scoped(fault_done) struct fault fault = { 0 };

	if (mint(call, &fault) < 0)
		api_reply_fault(call, &fault);
}

static void add_token(const struct token_info *info, void *arg)
{
	cJSON_AddItemToArray(arg, token_view(info));
}

void route_token_list(struct call *call)
{
	scoped(fault_done) struct fault fault = { 0 };
	struct session_ref ref = call_session(call);
	const char *user_id;
	cJSON *j;

	if (may_manage(call, &fault) < 0 ||
	    registry_session_owner(call->api->deps.registry, call->principal, &ref, &user_id,
				   &fault) < 0) {
		api_reply_fault(call, &fault);
		return;
	}
	j = cJSON_CreateObject();
	auth_tokens(call->api->deps.auth, ref.session_id, add_token,
		    cJSON_AddArrayToObject(j, "tokens"));
	api_reply_json(call, 200, j);
}

static void on_revoked(int result, const struct fault *fault, void *arg)
{
	struct call *call = arg;
	cJSON *j;

	if (result < 0) {
		api_reply_fault(call, fault);
		return;
	}
	j = cJSON_CreateObject();
	cJSON_AddBoolToObject(j, "revoked", true);
	api_reply_json(call, 200, j);
}

/* Its own token anybody may give back: a page does when it is left. */
static int may_revoke(const struct call *call, struct fault *reterr)
{
	const char *own = call->principal->token_id;

	if (own && strcmp(own, call_param(call, "token_id")) == 0)
		return 0;
	if (!principal_may(call->principal, SCOPE_PREVIEW))
		return fault_set(reterr, FAULT_FORBIDDEN,
				 "the credential may revoke no token but its own");
	return may_manage(call, reterr);
}

void route_token_revoke(struct call *call)
{
	scoped(fault_done) struct fault fault = { 0 };
	struct session_ref ref = call_session(call);
	const char *user_id;

	if (may_revoke(call, &fault) < 0 ||
	    registry_session_owner(call->api->deps.registry, call->principal, &ref, &user_id,
				   &fault) < 0) {
		api_reply_fault(call, &fault);
		return;
	}
	call->auth_op = auth_revoke(call->api->deps.auth, ref.session_id,
				    call_param(call, "token_id"), on_revoked, call, &fault);
	if (!call->auth_op)
		api_reply_fault(call, &fault);
}
