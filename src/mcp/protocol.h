/* SPDX-License-Identifier: MIT */
#pragma once

#include "mcp/message.h"

/*
 * Which of MCP's two eras a message belongs to, and whether it has what its era asks of it.
 *
 *	legacy	2025-03-26 to 2025-11-25: initialize, then a session named by Mcp-Session-Id
 *	modern	2026-07-28: no state; every request says its version and the client's capabilities
 *		in its _meta, and again in fields that must agree
 *
 * Pure: the fields come in as strings.
 */
enum mcp_era {
	MCP_LEGACY,
	MCP_MODERN,
};

#define MCP_VERSION_MODERN "2026-07-28"

#define MCP_META_VERSION      "io.modelcontextprotocol/protocolVersion"
#define MCP_META_CAPABILITIES "io.modelcontextprotocol/clientCapabilities"
#define MCP_META_LOG_LEVEL    "io.modelcontextprotocol/logLevel"
#define MCP_META_SERVER       "io.modelcontextprotocol/serverInfo"
#define MCP_META_SUBSCRIPTION "io.modelcontextprotocol/subscriptionId"

/* Fields of the HTTP request; each NULL where it is not there. */
struct mcp_fields {
	const char *version; /* MCP-Protocol-Version */
	const char *method;  /* Mcp-Method */
	const char *name;    /* Mcp-Name */
	const char *session; /* Mcp-Session-Id */
};

enum mcp_era mcp_era_of(const struct mcp_message *m, const struct mcp_fields *fields);

/* Of a request of the modern era; of one that fails, `reterr` has status, code and data. */
int mcp_modern_check(const struct mcp_message *m, const struct mcp_fields *fields,
		     struct mcp_error *reterr) must_use;

bool mcp_version_is_legacy(const char *version);

/* What `initialize` is answered with: what was asked for, or else the latest of that era. */
const char *mcp_legacy_version(const char *asked);
