/* SPDX-License-Identifier: MIT */
#pragma once

#include "auth/principal.h"
#include "base/cleanup.h"
#include "bus/bus.h"
#include "config/settings.h"
#include "http/server.h"
#include "loop/loop.h"
#include "publish/publisher.h"
#include "registry/registry.h"

/*
 * Previews for agents, over the Model Context Protocol: the tools of tools.def, which begin the
 * same operations of the registry as REST; a prompt; the current previews as resources; and the
 * card that shows one in a chat.
 */
struct mcp;

struct mcp_deps {
	struct loop *loop;
	struct bus *bus;
	struct registry *registry;
	struct publisher *publisher;
};

struct mcp *mcp_new(const struct mcp_deps *deps, const struct settings *settings);
struct mcp *mcp_free(struct mcp *mcp); /* after the HTTP server; before its deps */
DEFINE_CLEANUP(struct mcp *, mcp_free)
void mcp_reload(struct mcp *mcp, const struct settings *settings);

/* A POST whose body is there, and a DELETE.  Each answers. */
void mcp_post(struct mcp *mcp, struct http_request *req, struct principal *who);
void mcp_delete(struct mcp *mcp, struct http_request *req, struct principal *who);

/*
 * What an agent's hook knows before a tool is called: the call that carries this tool use's id, or
 * names this background task of the agent's, is for that session.  A claim like any other: the
 * call's own credential decides what it may do. `app_id` NULL where it isn't known.  -EINVAL where
 * an id is none.
 */
int mcp_bind_tool_use(struct mcp *mcp, const struct principal *who, const char *tool_use_id,
		      const char *app_id, const char *session_id) must_use;
