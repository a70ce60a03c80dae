/* SPDX-License-Identifier: MIT */
/*
 * One-time codes and their exchange: how a browser that previewctl opens comes to a token.
 */
#include <string.h>

#include "api/api_priv.h"
#include "base/crypto.h"
#include "base/mem.h"
#include "base/parse.h"

struct code_params {
	char **scopes;
	char *name;
};

const struct json_field code_fields[] = {
	/* clang-format off */
	{ "scopes", JSON_STRINGS, offsetof(struct code_params, scopes), .min = 1, .max = 8,
	  .help = "What the token will be for: preview, publish, task, view. view where it isn't said." },
	{ "name", JSON_NAME, offsetof(struct code_params, name),
	  .help = "The preview to show first." },
	JSON_FIELDS_END,
	/* clang-format on */
};

static void code_params_done(struct code_params *p)
{
	json_fields_done(code_fields, p);
}

struct exchange_params {
	char *code;
};

const struct json_field exchange_fields[] = {
	/* clang-format off */
	{ "code", JSON_STRING, offsetof(struct exchange_params, code), .required = true, .min = 1, .max = 128,
	  .help = "The code." },
	JSON_FIELDS_END,
	/* clang-format on */
};

static void exchange_params_done(struct exchange_params *p)
{
	secret_free(STEAL(p->code));
}

/* Where the panel is, as its people see it; NULL where only a unix socket is served. */
static char *panel_url(const struct api *api, const char *code)
{
	const char *base = api->settings->server_public_base_url;
	size_t len = base ? strlen(base) : 0;

	while (len > 0 && base[len - 1] == '/')
		len--;
	if (len > 0)
		return xasprintf("%.*s/ui/#code=%s", (int)len, base, code);
	return api->address ? xasprintf("http://%s/ui/#code=%s", api->address, code) : NULL;
}

static int mint(struct call *call, cJSON **ret, struct fault *reterr)
{
	scoped(code_params_done) struct code_params params = { 0 };
	scoped(code_info_done) struct code_info info = { 0 };
	scoped(secret_freep) char *code = NULL, *url = NULL;
	struct session_ref ref = call_session(call);
	const char *user_id;
	int r = may_manage(call, reterr);

	info.scopes = SCOPE_VIEW;
	if (r >= 0)
		r = json_read(call->body, code_fields, &params, reterr);
	if (r >= 0 && params.scopes)
		r = scopes_of(params.scopes, &info.scopes, reterr);
	if (r < 0)
		return r;
	if (!call->principal->admin && (info.scopes & ~call->principal->scopes))
		return fault_set(reterr, FAULT_FORBIDDEN,
				 "the token would have scopes that its maker has not");
	r = registry_session_owner(call->api->deps.registry, call->principal, &ref, &user_id,
				   reterr);
	if (r < 0)
		return r;

	info.app_id = xstrdup(ref.app_id);
	info.session_id = xstrdup(ref.session_id);
	info.user_id = xstrdup(user_id);
	info.name = STEAL(params.name);
	info.has_uid = call->principal->has_uid;
	info.uid = call->principal->uid;
	r = auth_code_mint(call->api->deps.auth, &info, &code, reterr);
	if (r < 0)
		return r;

	url = panel_url(call->api, code);
	*ret = cJSON_CreateObject();
	json_add_string(*ret, "code", code);
	json_add_string(*ret, "url", url);
	json_add_time(*ret, "expires_at", info.expires_at);
	return 0;
}

void route_code_mint(struct call *call)
{
	scoped(fault_done) struct fault fault = { 0 };
	cJSON *j = NULL;

	if (mint(call, &j, &fault) < 0)
		api_reply_fault(call, &fault);
	else
		api_reply_json(call, 201, j);
}

static void on_exchanged(int result, const char *token, const struct token_info *info,
			 const struct fault *fault, void *arg)
{
	struct call *call = arg;
	cJSON *j = token_minted(call, result, token, info, fault);

	if (!j)
		return;
	json_add_string(j, "app_id", json_string(call->body, "app_id"));
	json_add_string(j, "name", json_string(call->body, "name"));
	api_reply_json(call, 200, j);
}

/*
 * Whose browser it is: the kernel tells of connections on this machine.  What a trusted proxy hands
 * on is anybody's.
 */
static bool browser_uid(const struct call *call, uid_t *ret)
{
	const struct http_peer *peer = http_request_peer(call->req);
	struct sockdiag *sockdiag = call->api->deps.sockdiag;

	if (peer->is_unix) {
		*ret = peer->uid;
		return true;
	}
	return sockdiag && host_is_loopback(peer->address) &&
	       !guard_behind_proxy(call->api, call->req) &&
	       sockdiag_client_uid(sockdiag, peer->port, peer->local_port, ret) >= 0;
}

static int exchange(struct call *call, struct fault *reterr)
{
	scoped(exchange_params_done) struct exchange_params params = { 0 };
	scoped(code_info_done) struct code_info info = { 0 };
	struct token_request request;
	uid_t uid;
	bool known = browser_uid(call, &uid);
	int r = json_read(call->body, exchange_fields, &params, reterr);

	if (r >= 0)
		r = auth_code_take(call->api->deps.auth, params.code, NULL, known ? &uid : NULL,
				   &info, reterr);
	if (r < 0)
		return r;

	/* The body, with the code in it, is done with; what is to be answered takes its place. */
	json_free(call->body);
	call->body = cJSON_CreateObject();
	json_add_string(call->body, "app_id", info.app_id);
	json_add_string(call->body, "name", info.name);

	request = (struct token_request){
		.app_id = info.app_id,
		.user_id = info.user_id,
		.session_id = info.session_id,
		.note = "panel",
		.scopes = info.scopes,
		.exchanged = true,
	};
	call->auth_op = auth_mint(call->api->deps.auth, &request, on_exchanged, call, reterr);
	return call->auth_op ? 0 : -1;
}

void route_code_exchange(struct call *call)
{
	scoped(fault_done) struct fault fault = { 0 };

	if (exchange(call, &fault) < 0)
		api_reply_fault(call, &fault);
}

static cJSON *scope_list(unsigned scopes)
{
	scoped(freep) char *text = scopes_format(scopes);
	scoped(strv_freep) char **list = parse_list(text, ' ');
	cJSON *j = cJSON_CreateArray();

	for (size_t i = 0; list[i]; i++)
		cJSON_AddItemToArray(j, cJSON_CreateString(list[i]));
	return j;
}

void route_credential(struct call *call)
{
	const struct principal *p = call->principal;
	cJSON *j = cJSON_CreateObject();

	json_add_string(j, "user_id", p->user_id);
	cJSON_AddBoolToObject(j, "admin", p->admin && !p->app_id && !p->session_id);
	json_add_string(j, "app_id", p->app_id);
	json_add_string(j, "session_id", p->session_id);
	json_add_string(j, "token_id", p->token_id);
	cJSON_AddItemToObject(j, "scopes", scope_list(p->scopes));
	json_add_time(j, "expires_at", p->expires_at == USEC_INFINITY ? 0 : p->expires_at);
	api_reply_json(call, 200, j);
}
