/* SPDX-License-Identifier: MIT */
#pragma once

#include <stdio.h>

#include "base/cleanup.h"
#include "ctl/bridged.h"
#include "ctl/client.h"

/*
 * A bridge from an MCP client on stdio to the daemon's /mcp: a line comes, a request goes; what
 * comes back goes out as lines.  Both eras pass as they are.  A daemon that is restarted meanwhile
 * is waited for, and in the era of sessions given the client's initialize again.
 */
struct bridge;

struct bridge_settings {
	struct client *client; /* borrowed */
	const char *session;   /* of the calls that don't say which */
	int in;
	FILE *out;
	FILE *log; /* NULL: nothing is said */
	/* Before a call of a tool is handed on: for this session. */
	void (*on_call)(const char *session, void *arg);
	void *arg;
};

struct bridge *bridge_new(const struct bridge_settings *settings);
struct bridge *bridge_free(struct bridge *b);
DEFINE_CLEANUP(struct bridge *, bridge_free)

/*
 * Until the input ends and what was asked is answered (or takes too long), nobody takes the output,
 * or a signal says so: SIGTERM, SIGINT, SIGHUP.
 */
void bridge_run(struct bridge *b);
