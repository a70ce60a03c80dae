/* SPDX-License-Identifier: MIT */
/*
 * From where a request comes: the Host it names, the Origin of the page that makes it, and the
 * client behind trusted proxies.
 *
 * Loopback is no protection from the web pages in the user's own browser: a page may send requests
 * to it (Origin), and a name of the attacker's may be made to resolve to it (Host).  A unix socket
 * is out of a browser's reach, and its Host is anything.
 */
#include <string.h>
#include <strings.h>

#include "api/api_priv.h"
#include "base/mem.h"
#include "base/parse.h"
#include "registry/url.h"

#define CORS_METHODS "GET, HEAD, POST, PUT, DELETE"
#define CORS_HEADERS                                                                  \
	"Authorization, Content-Type, Accept, MCP-Protocol-Version, Mcp-Session-Id, " \
	"Mcp-Method, Mcp-Name, X-Previewd-Session"
#define CORS_MAX_AGE "600"

/* "https://preview.example.org/x" → "https://preview.example.org" */
static char *origin_of(const char *url, char **ret_host)
{
	scoped(freep) char *authority = NULL;
	const char *end = strstr(url, "://");

	if (!end || url_host(url, ret_host, &authority) < 0)
		return NULL;
	return xasprintf("%.*s://%s", (int)(end - url), url, authority);
}

static int check_origins(char *const *origins, struct fault *reterr)
{
	for (; *origins; origins++) {
		if (!origin_is_valid(*origins))
			return fault_set(reterr, FAULT_BAD_REQUEST,
					 "cors.origins: '%s' is no origin as browsers send it: "
					 "scheme://host, with :port unless it is the scheme's own, "
					 "and nothing behind (https://app.example.org)",
					 *origins);
	}
	return 0;
}

int guard_new(struct api *api, const struct settings *settings, struct fault *reterr)
{
	scoped(hosts_freep) struct hosts *allowed = NULL, *proxies = NULL;
	scoped(freep) char *origin = NULL, *public_host = NULL;
	size_t n = strv_len(settings->server_allowed_hosts);
	scoped(freep) char **list = xcalloc(n + 2, sizeof(*list));
	int r = check_origins(settings->cors_origins, reterr);

	if (r < 0)
		return r;
	memcpy(list, settings->server_allowed_hosts, n * sizeof(*list));
	if (settings->server_public_base_url) {
		origin = origin_of(settings->server_public_base_url, &public_host);
		if (!origin)
			return fault_set(reterr, FAULT_BAD_REQUEST,
					 "server.public_base_url: '%s' is no http or https URL",
					 settings->server_public_base_url);
		list[n] = public_host;
	}

	r = hosts_new(list, "server.allowed_hosts", &allowed, reterr);
	if (r < 0)
		return r;
	r = hosts_new(settings->server_trusted_proxies, "server.trusted_proxies", &proxies, reterr);
	if (r < 0)
		return r;

	guard_done(api);
	api->allowed_hosts = STEAL(allowed);
	api->trusted_proxies = STEAL(proxies);
	api->public_origin = STEAL(origin);
	return 0;
}

void guard_done(struct api *api)
{
	api->allowed_hosts = hosts_free(api->allowed_hosts);
	api->trusted_proxies = hosts_free(api->trusted_proxies);
	free(STEAL(api->public_origin));
}

bool guard_behind_proxy(const struct api *api, const struct http_request *req)
{
	const struct http_peer *peer = http_request_peer(req);

	return !peer->is_unix && hosts_have(api->trusted_proxies, peer->address);
}

const char *guard_scheme(const struct api *api, const struct http_request *req)
{
	const char *forwarded = http_request_header(req, "X-Forwarded-Proto");

	return forwarded && guard_behind_proxy(api, req) && strcasecmp(forwarded, "https") == 0
		       ? "https"
		       : "http";
}

/* A page of the daemon's own: its origin is the address the request went to. */
static bool origin_is_own(const struct api *api, const struct http_request *req, const char *origin)
{
	scoped(freep) char *own =
		xasprintf("%s://%s", guard_scheme(api, req), http_request_host(req));

	return strcasecmp(origin, own) == 0 ||
	       (api->public_origin && strcasecmp(origin, api->public_origin) == 0);
}

bool guard_lists_origin(const struct api *api, const char *origin)
{
	char *const *listed = api->settings->cors_origins;

	if (strcasecmp(origin, "null") == 0)
		return false;
	for (; *listed; listed++) {
		if (strcasecmp(*listed, origin) == 0)
			return true;
	}
	return false;
}

static bool origin_is_allowed(const struct api *api, const struct http_request *req,
			      const char *origin)
{
	return strcasecmp(origin, "null") != 0 &&
	       (guard_lists_origin(api, origin) || origin_is_own(api, req, origin));
}

int guard_host(struct api *api, struct http_request *req, struct fault *reterr)
{
	scoped(freep) char *host = NULL;
	unsigned port;

	if (http_request_peer(req)->is_unix)
		return 0;
	if (host_split(http_request_host(req), &host, &port) == 0 &&
	    hosts_have(api->allowed_hosts, host))
		return 0;
	return fault_set(reterr, FAULT_HOST_NOT_ALLOWED,
			 "the host '%.200s' is not among server.allowed_hosts",
			 http_request_host(req));
}

int guard_check(struct api *api, struct http_request *req, struct fault *reterr)
{
	const char *origin = http_request_header(req, "Origin");
	int r = guard_host(api, req, reterr);

	if (r < 0)
		return r;
	if (origin && !origin_is_allowed(api, req, origin))
		return fault_set(reterr, FAULT_ORIGIN_NOT_ALLOWED,
				 "pages of the origin '%.200s' may not call previewd; the operator "
				 "can add it to cors.origins",
				 origin);
	return 0;
}

/* For answers to requests that guard_check() let through. */
void guard_cors(struct http_request *req)
{
	const char *origin = http_request_header(req, "Origin");

	http_response_header(req, "Vary", "Origin");
	if (!origin)
		return;
	http_response_header(req, "Access-Control-Allow-Origin", origin);
	http_response_header(req, "Access-Control-Expose-Headers",
			     "Location, Retry-After, X-Request-Id, Mcp-Session-Id");
}

void guard_preflight(struct http_request *req, const char *allow)
{
	if (http_request_header(req, "Access-Control-Request-Method")) {
		guard_cors(req);
		http_response_header(req, "Access-Control-Allow-Methods", CORS_METHODS);
		http_response_header(req, "Access-Control-Allow-Headers", CORS_HEADERS);
		http_response_header(req, "Access-Control-Max-Age", CORS_MAX_AGE);
	}
	http_response_header(req, "Allow", allow);
	http_reply(req, 204, NULL, NULL, 0);
}

/*
 * The right-most address of X-Forwarded-For that is no proxy of ours: what stands left of it is
 * what the client itself chose to send.  A proxy may add a line of its own instead of going on in
 * the client's.
 */
char *guard_client(const struct api *api, const struct http_request *req)
{
	const struct http_peer *peer = http_request_peer(req);
	scoped(freep) char *forwarded = http_request_headers(req, "X-Forwarded-For");
	scoped(strv_freep) char **hops = NULL;

	if (peer->is_unix)
		return xasprintf("uid %u", (unsigned)peer->uid);
	if (!forwarded || !guard_behind_proxy(api, req))
		return xstrdup(peer->address);

	hops = parse_list(forwarded, ',');
	for (size_t i = strv_len(hops); i > 0; i--) {
		if (!host_is_address(hops[i - 1]))
			break;
		if (!hosts_have(api->trusted_proxies, hops[i - 1]))
			return xstrdup(hops[i - 1]);
	}
	return xstrdup(peer->address);
}

const char *guard_csp_keyword(const char *source)
{
	static const char *const keywords[] = { "'self'", "'none'" };

	for (size_t i = 0; i < ARRAY_SIZE(keywords); i++) {
		const size_t bare = strlen(keywords[i]) - 2;

		if (strcmp(source, keywords[i]) == 0 ||
		    (strlen(source) == bare && strncmp(source, keywords[i] + 1, bare) == 0))
			return keywords[i];
	}
	return NULL;
}
