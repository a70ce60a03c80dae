/* SPDX-License-Identifier: MIT */
/*
 * The surface's own life, and its table of routes.
 */
#include "api/api.h"

#include <string.h>
#include <utlist.h>

#include "api/api_priv.h"
#include "base/mem.h"
#include "mcp/mcp.h"
#include "socketio/socketio.h"

const struct route routes[] = {
#define ROUTE(id, method, pattern, access, scopes, fields, summary) \
	{ #id, method, pattern, ACCESS_##access, scopes, fields, route_##id, summary },
#include "api/routes.def"
#undef ROUTE
};

const size_t n_routes = ARRAY_SIZE(routes);

static void on_token_revoked(const char *token_id, void *arg)
{
	struct api *api = arg;

	streams_on_token_revoked(api, token_id);
	viewers_on_token_revoked(api, token_id);
}

int api_new(const struct api_deps *deps, const struct settings *settings, struct api **ret,
	    struct fault *reterr)
{
	scoped(api_freep) struct api *api = xcalloc(1, sizeof(*api));
	struct mcp_deps mcp_deps = {
		.loop = deps->loop,
		.bus = deps->bus,
		.registry = deps->registry,
		.publisher = deps->publisher,
	};
	struct http_route table[ARRAY_SIZE(routes)];
	int r;

	api->deps = *deps;
	api->started = clock_monotonic();
	api->openapi = openapi_document();
	api->panel = panel_new();
	api->figures = figures_new(deps->loop);

	for (size_t i = 0; i < n_routes; i++)
		table[i] = (struct http_route){ routes[i].method, routes[i].pattern };
	api->router = http_router_new(table, n_routes);
	api->mcp = mcp_new(&mcp_deps, settings);

	r = api_reload(api, settings, reterr);
	if (r < 0)
		return r;
	socketio_begin(api);
	auth_on_revoked(deps->auth, on_token_revoked, api);

	*ret = STEAL(api);
	return 0;
}

struct api *api_free(struct api *api)
{
	if (!api)
		return NULL;

	mcp_free(api->mcp);
	socketio_end(api);
	streams_end(api);
	http_router_free(api->router);
	guard_done(api);
	panel_free(api->panel);
	figures_free(api->figures);
	free(api->address);
	published_end(api);
	bytes_unref(api->openapi);
	traefik_free(api->traefik);
	free(api);
	return NULL;
}

int api_reload(struct api *api, const struct settings *settings, struct fault *reterr)
{
	int r = published_check(settings, reterr);

	if (r >= 0)
		r = guard_new(api, settings, reterr);
	if (r >= 0)
		r = panel_reload(api->panel, settings, reterr);
	if (r < 0)
		return r;
	api->settings = settings;
	mcp_reload(api->mcp, settings);
	published_reload(api);
	socketio_reload(api);
	return 0;
}

/* "localhost" for loopback and any address: a preview on localhost is then of the same site. */
void api_listens_on(struct api *api, const char *address, unsigned port)
{
	scoped(freep) char *host = NULL;
	unsigned ignored;

	if (api->address || host_split(address, &host, &ignored) < 0)
		return;
	if (host_is_loopback(host) || strcmp(host, "0.0.0.0") == 0 || strcmp(host, "::") == 0 ||
	    strcmp(host, "[::]") == 0)
		api->address = xasprintf("localhost:%u", port);
	else
		api->address = xstrdup(address);
}

void api_drain(struct api *api)
{
	api->draining = true;
	socketio_drain(api->socketio);
}
