/* SPDX-License-Identifier: MIT */
#pragma once

#include "auth/principal.h"
#include "base/cleanup.h"
#include "base/clock.h"

/*
 * Which session a tool call is for, where an agent's hook told it beforehand: the call itself
 * carries only the id of its tool use.
 *
 * A user's bindings are found by that user alone; what a credential told that is held to an app or
 * a session, by those alone that are held to the same.  Each goes after `ttl`; beyond `per_user`
 * the user's oldest goes, and beyond `max` too, so that nobody's go for what another tells.
 */
struct mcp_bindings;

struct mcp_bindings_limits {
	unsigned max;
	unsigned per_user;
	usec_t ttl;
};

struct mcp_bindings *mcp_bindings_new(const struct mcp_bindings_limits *limits);
struct mcp_bindings *mcp_bindings_free(struct mcp_bindings *b);
DEFINE_CLEANUP(struct mcp_bindings *, mcp_bindings_free)
void mcp_bindings_set(struct mcp_bindings *b, const struct mcp_bindings_limits *limits);

/* Valid ids; `app_id` NULL where the hook doesn't know.  Binding again replaces.  Where others have
 * all of them nothing is remembered. */
void mcp_bindings_add(struct mcp_bindings *b, const struct principal *who, const char *tool_use_id,
		      const char *app_id, const char *session_id);

struct mcp_binding {
	const char *app_id; /* or NULL; both borrowed until the next call */
	const char *session_id;
};

/* -ENOENT where nothing was told. */
int mcp_bindings_find(struct mcp_bindings *b, const struct principal *who, const char *tool_use_id,
		      struct mcp_binding *ret) must_use;
