/* SPDX-License-Identifier: MIT */
/*
 * The edge: a proxy (nginx, Caddy, Traefik) that gives each preview a host name of its own asks
 * here, for every request, whether it may pass and where to.
 *
 * A preview is private: a one-time link is exchanged for a cookie that is good for that one host,
 * and for nothing but these questions.  The previews' hosts are neighbours, often of one site, and
 * agents wrote what they serve: so a page of one may not use a visitor's cookie for another.
 */
#include <errno.h>
#include <string.h>
#include <strings.h>

#include "api/api_priv.h"
#include "api/edge_asked.h"
#include "base/crypto.h"
#include "base/mem.h"
#include "base/metrics.h"
#include "registry/url.h"

#define VERIFY_PATH "/edge/verify"

enum { VISIBILITY_PRIVATE, VISIBILITY_UNLISTED };

bool edge_is_path(const char *path)
{
	return strcmp(path, VERIFY_PATH) == 0;
}

static int read_asked(const struct call *call, struct edge_asked *ret, struct fault *reterr)
{
	const struct api *api = call->api;
	const struct edge_fields fields = {
		.host = http_request_header(call->req, "X-Forwarded-Host"),
		.scheme = guard_scheme(api, call->req),
		.target = http_request_header(call->req, "X-Forwarded-Uri"),
		.method = http_request_header(call->req, "X-Forwarded-Method"),
		.cookies = http_request_header(call->req, "Cookie"),
	};

	if (!guard_behind_proxy(api, call->req))
		return fault_set(reterr, FAULT_FORBIDDEN,
				 "this is for the proxies of server.trusted_proxies");
	if (edge_asked_read(&fields, api->settings->preview_public_url_template, ret) < 0)
		return fault_set(reterr, FAULT_FORBIDDEN, "this is no preview's host");
	return 0;
}

/* Only its own pages may ask a preview's host for more than to be shown, and cors.origins. */
static int check_origin(const struct call *call, const struct edge_asked *q, struct fault *reterr)
{
	const char *origin = http_request_header(call->req, "Origin");

	if (!origin || strcasecmp(origin, q->origin) == 0 || guard_lists_origin(call->api, origin))
		return 0;
	return fault_set(reterr, FAULT_ORIGIN_NOT_ALLOWED,
			 "pages of another origin may not ask this preview");
}

static bool has_pass(const struct call *call, const struct edge_asked *q)
{
	for (size_t i = 0; q->passes[i]; i++) {
		if (auth_edge_pass_is_valid(call->api->deps.auth, q->label, q->passes[i]))
			return true;
	}
	return false;
}

/* No longer than what the link's maker showed is good. */
static usec_t cookie_end(const struct call *call, const struct code_info *info, usec_t now)
{
	const usec_t end = now + call->api->settings->edge_cookie_ttl;

	return info->maker_until && info->maker_until < end ? info->maker_until : end;
}

static void set_cookie(const struct call *call, const struct edge_asked *q,
		       const struct code_info *info)
{
	const usec_t now = clock_realtime(), end = cookie_end(call, info, now);
	unsigned seconds = end > now ? (unsigned)((end - now) / USEC_PER_SEC) : 0;
	scoped(secret_freep) char *pass =
		auth_edge_pass_new(call->api->deps.auth, q->label, info->token_id, end);
	scoped(secret_freep) char *field = NULL;

	/* In a frame of the app's pages it is a third party's cookie, which wants both of the last
	 * two; without TLS no browser takes them. */
	field = xasprintf("%s=%s; Path=/; Max-Age=%u; HttpOnly; %s",
			  q->is_tls ? EDGE_HOST_COOKIE : EDGE_COOKIE, pass, seconds,
			  q->is_tls ? "Secure; SameSite=None; Partitioned" : "SameSite=Lax");
	http_response_header(call->req, "Set-Cookie", field);
}

/* Where the link leads: never anywhere that the request itself says. */
static void redirect(const struct call *call, const struct edge_asked *q,
		     const struct code_info *info)
{
	const char *path =
		info->path ? info->path : registry_edge_path(call->api->deps.registry, q->label);
	scoped(freep) char *location = xasprintf("%s%s", q->origin, path && *path ? path : "/");

	http_response_header(call->req, "Location", location);
	http_response_header(call->req, "Referrer-Policy", "no-referrer");
}

/*
 * A proxy that was told beforehand where to (traefik.c) says where it would go: what has moved
 * since may be another's there.
 */
static int check_place(struct call *call, const char *scheme, const char *upstream, bool *ret_moved,
		       struct fault *reterr)
{
	scoped(freep) char *at = NULL;
	scoped(freep) char *now = xasprintf("%s://%s", scheme, upstream);
	int r = call_query(call, "at", &at, reterr);

	*ret_moved = r >= 0 && at && strcmp(at, now) != 0;
	return r;
}

/* 200, and where to; 302 to the preview, for a link; 503, not there yet; else the fault. */
static int verify(struct call *call, struct fault *reterr)
{
	scoped(edge_asked_done) struct edge_asked q = { 0 };
	scoped(freep) char *upstream = NULL;
	bool moved;
	const struct api *api = call->api;
	const char *scheme;
	int r = read_asked(call, &q, reterr);

	if (r < 0)
		return r;
	http_request_set_known(call->req); /* the proxy is, by its address */

	if (q.opens) {
		scoped(code_info_done) struct code_info info = { 0 };

		r = q.code ? auth_code_take(api->deps.auth, q.code, q.label, NULL, &info, reterr)
			   : -EACCES;
		if (r < 0)
			return fault_set(reterr, FAULT_CODE_INVALID,
					 "this link was opened already or has expired; ask for "
					 "a new one");
		set_cookie(call, &q, &info);
		redirect(call, &q, &info);
		return 302;
	}

	r = check_origin(call, &q, reterr);
	if (r < 0)
		return r;
	if (api->settings->edge_visibility == VISIBILITY_PRIVATE && !has_pass(call, &q))
		return fault_set(reterr, FAULT_UNAUTHENTICATED,
				 "this preview is private: open it by a link that was given to "
				 "you");
	r = registry_edge_pass(api->deps.registry, q.label, &upstream, &scheme, reterr);
	if (r >= 0)
		r = check_place(call, scheme, upstream, &moved, reterr);
	if (r < 0)
		return r;
	if (moved)
		return 503;
	http_response_header(call->req, "X-Previewd-Upstream", upstream);
	http_response_header(call->req, "X-Previewd-Scheme", scheme);
	return 200;
}

/* nginx's auth_request takes no other refusals than these two. */
static int status_of(const struct fault *fault)
{
	return fault_http_status(fault->code) == 401 ? 401 : 403;
}

void route_edge_verify(struct call *call)
{
	scoped(fault_done) struct fault fault = { 0 };
	scoped(freep) char *text = NULL;
	int status = verify(call, &fault);

	metric_inc(status < 0 || status == 503 ? METRIC_EDGE_REFUSED : METRIC_EDGE_PASSED);
	if (status == 503) {
		edge_reply_soon(call);
		return;
	}
	if (status < 0) {
		status = status_of(&fault);
		text = xasprintf("%s\n", fault.detail);
	}
	http_response_header(call->req, "Cache-Control", "no-store");
	http_reply(call->req, status, text ? "text/plain; charset=utf-8" : NULL, text,
		   text ? strlen(text) : 0);
	call_free(call);
}

/*
 * Links
 */
struct link_params {
	char *path;
};

const struct json_field link_fields[] = {
	/* clang-format off */
	{ "path", JSON_STRING, offsetof(struct link_params, path), .max = 512,
	  .help = "Where in the preview it leads, through the edge; the attached path where it isn't said." },
	JSON_FIELDS_END,
	/* clang-format on */
};

static void link_params_done(struct link_params *p)
{
	json_fields_done(link_fields, p);
}

static int read_link(const struct call *call, struct link_params *ret, struct fault *reterr)
{
	int r = json_read(call->body, link_fields, ret, reterr);

	if (r >= 0 && ret->path && !url_path_is_valid(ret->path))
		return fault_field(reterr, "path",
				   "must begin with / and be of what a URL may have");
	return r;
}

/* Through the edge where it has one and doesn't let everybody through, else as it stands. */
static int make_link(struct call *call, cJSON **ret, struct fault *reterr)
{
	struct session_ref ref = call_session(call);
	scoped(link_params_done) struct link_params params = { 0 };
	scoped(code_info_done) struct code_info info = { 0 };
	scoped(secret_freep) char *code = NULL, *url = NULL;
	scoped(freep) char *origin = NULL;
	struct api *api = call->api;
	struct edge_place place = { 0 };
	const char *user_id;
	bool once;
	int r = read_link(call, &params, reterr);

	if (r >= 0)
		r = registry_edge_place(api->deps.registry, call->principal, &ref,
					call_param(call, "name"), &place, reterr);
	origin = place.origin;
	if (r >= 0)
		r = registry_session_owner(api->deps.registry, call->principal, &ref, &user_id,
					   reterr);
	if (r < 0)
		return r;

	once = origin && api->settings->edge_visibility == VISIBILITY_PRIVATE;
	if (once) {
		info.app_id = xstrdup(ref.app_id);
		info.session_id = xstrdup(ref.session_id);
		info.user_id = xstrdup(user_id);
		info.label = xstrdup(place.label);
		info.path = xstrdup_null(params.path);
		info.ttl = api->settings->edge_link_ttl;
		info.token_id = xstrdup_null(call->principal->token_id);
		if (call->principal->expires_at != USEC_INFINITY)
			info.maker_until = call->principal->expires_at;
		r = auth_code_mint(api->deps.auth, &info, &code, reterr);
		if (r < 0)
			return r;
		url = xasprintf("%s" EDGE_OPEN_PATH "?code=%s", origin, code);
	} else if (origin && params.path) {
		url = xasprintf("%s%s", origin, params.path);
	}
	*ret = cJSON_CreateObject();
	json_add_string(*ret, "url", url ? url : place.url);
	cJSON_AddBoolToObject(*ret, "once", once);
	json_add_time(*ret, "expires_at", info.expires_at);
	return 0;
}

void route_link(struct call *call)
{
	scoped(fault_done) struct fault fault = { 0 };
	cJSON *j = NULL;

	if (make_link(call, &j, &fault) < 0)
		api_reply_fault(call, &fault);
	else
		api_reply_json(call, 201, j);
}
