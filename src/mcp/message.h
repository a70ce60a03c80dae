/* SPDX-License-Identifier: MIT */
#pragma once

#include <stddef.h>

#include "base/json.h"

/*
 * One JSON-RPC 2.0 message as MCP has them: an object of its own (batches went with 2025-06-18),
 * ids that are strings or whole numbers, params that are an object.  Pure: bytes in, tree out.
 */
enum mcp_message_type {
	MCP_REQUEST,
	MCP_NOTIFICATION,
	MCP_RESPONSE, /* to a request of the server's: we send none */
};

struct mcp_message {
	enum mcp_message_type type;
	cJSON *document;     /* owned; the rest is borrowed from it */
	const cJSON *id;     /* of a request or a response */
	const char *method;  /* of a request or a notification */
	const cJSON *params; /* an object, or NULL */
	const cJSON *meta;   /* params._meta: an object, or NULL */
};

/* JSON-RPC's codes, and MCP's (2026-07-28, "Error Codes"). */
enum mcp_error_code {
	MCP_PARSE_ERROR = -32700,
	MCP_INVALID_REQUEST = -32600,
	MCP_METHOD_NOT_FOUND = -32601,
	MCP_INVALID_PARAMS = -32602,
	MCP_INTERNAL_ERROR = -32603,
	MCP_RESOURCE_NOT_FOUND = -32002, /* until 2025-11-25; then it is an invalid param */
	MCP_HEADER_MISMATCH = -32020,
	MCP_MISSING_CAPABILITY = -32021,
	MCP_UNSUPPORTED_VERSION = -32022,
};

/* Why a message is answered with an error, and with which HTTP status. */
struct mcp_error {
	int http_status;
	int code;
	char *message;
	cJSON *data; /* or NULL */
};

void mcp_error_done(struct mcp_error *e);

/* Says what is wrong and returns -EINVAL, so that a failing check returns in one line. */
int mcp_error_set(struct mcp_error *reterr, int http_status, int code, const char *format, ...)
	__attribute__((format(printf, 4, 5)));

/* On failure an id that could be read is at `ret->id`, for the answer; done() in any case. */
int mcp_message_parse(const char *text, size_t len, struct mcp_message *ret,
		      struct mcp_error *reterr) must_use;
void mcp_message_done(struct mcp_message *m);

/* Answers, as text the caller frees.  `id` NULL: of a message whose id could not be read. */
char *mcp_result_text(const cJSON *id, cJSON *result_consume);
char *mcp_error_text(const cJSON *id, const struct mcp_error *error);
char *mcp_notification_text(const char *method, cJSON *params_consume);
