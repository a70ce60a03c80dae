/* SPDX-License-Identifier: MIT */
#pragma once

#include "auth/auth.h"
#include "base/cleanup.h"
#include "bus/bus.h"
#include "canvas/canvas.h"
#include "config/settings.h"
#include "http/server.h"
#include "loop/loop.h"
#include "net/sockdiag.h"
#include "registry/registry.h"
#include "store/store.h"
#include "tasks/tasks.h"

/*
 * The REST, WebSocket and Socket.IO surface: it translates and never decides.  Each request is held
 * against Host and Origin, matched to its row in routes.def, authenticated as that row says, and
 * handed to the domain.
 */
struct api;

struct api_deps {
	struct loop *loop;
	struct store *store;
	struct bus *bus;
	struct auth *auth;
	struct registry *registry;
	struct tasks *tasks;
	struct canvas *canvas;
	struct sockdiag *sockdiag; /* NULL where the kernel has none */
	struct publisher *publisher;
	struct bundles *bundles;
};

int api_new(const struct api_deps *deps, const struct settings *settings, struct api **ret,
	    struct fault *reterr) must_use;
struct api *api_free(struct api *api); /* after the server it served is gone */
DEFINE_CLEANUP(struct api *, api_free)

/* On failure nothing changes. */
int api_reload(struct api *api, const struct settings *settings, struct fault *reterr) must_use;

/* Tells of a TCP address it is served on; the first one is what people are sent to. */
void api_listens_on(struct api *api, const char *address, unsigned port);

/*
 * /readyz says 503, and new event streams are refused.  Socket.IO's clients are let go, to
 * reconnect elsewhere; WebSockets hear it from the server.
 */
void api_drain(struct api *api);

/* An http_request_fn: `arg` is the struct api. */
void api_on_request(struct http_request *req, void *arg);

/* An http_refusal_fn: what the HTTP layer refuses is a problem document too. */
void api_on_refusal(int status, const char *why, char **ret_content_type, char **ret_body,
		    void *arg);
