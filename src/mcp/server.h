/* SPDX-License-Identifier: MIT */
#pragma once

#include "auth/principal.h"
#include "http/server.h"
#include "mcp/message.h"
#include "mcp/protocol.h"

/*
 * An MCP server on Streamable HTTP, for both eras: what it serves is a catalog of tables, the
 * protocol is here.  It knows nothing of previews, so that a test can serve another catalog on it.
 *
 * A request becomes a call.  Its handler answers it at once or later; until then it may tell of
 * progress, for which the answer becomes a stream of events.  A call that is over before it was
 * answered (cancelled, or in the modern era its client gone) frees what the handler left with it.
 */
struct mcp_server;
struct mcp_call;

typedef void mcp_fn(struct mcp_call *call);

enum mcp_hint {
	MCP_READ_ONLY = 1 << 0,
	MCP_DESTRUCTIVE = 1 << 1,
	MCP_IDEMPOTENT = 1 << 2,
	MCP_OPEN_WORLD = 1 << 3,
};

/* Schemas and other JSON are text in the tables; NULL where there is none. */
struct mcp_tool {
	const char *name;
	const char *title;
	const char *description;
	unsigned hints;
	const char *input_schema;
	const char *output_schema;
	const char *meta;
	mcp_fn *call;
};

struct mcp_prompt {
	const char *name;
	const char *title;
	const char *description;
	const char *arguments; /* a list */
	mcp_fn *get;
};

struct mcp_resource {
	const char *uri; /* of a template: with its {parts} */
	const char *name;
	const char *title;
	const char *description;
	const char *mime_type;
};

/* A method beyond those that every catalog has. */
struct mcp_method {
	const char *name;
	bool legacy, modern;
	mcp_fn *call;
};

struct mcp_catalog {
	const char *name, *title, *version; /* serverInfo */
	const char *instructions;
	const char *legacy_capabilities; /* an object */
	const char *modern_capabilities;
	const struct mcp_tool *tools;
	size_t n_tools;
	const struct mcp_prompt *prompts;
	size_t n_prompts;
	const struct mcp_resource *resources;
	size_t n_resources;
	const struct mcp_resource *templates;
	size_t n_templates;
	mcp_fn *list_resources; /* NULL: those of the table */
	mcp_fn *read_resource;
	const struct mcp_method *methods;
	size_t n_methods;
};

struct mcp_server_settings {
	unsigned sessions_max;      /* of the legacy era */
	unsigned sessions_per_user; /* one more of a user's ends the one unused the longest */
	unsigned calls_per_session; /* under way */
	usec_t session_idle;        /* then it is forgotten */
};

/* `catalog` and `settings` outlive the server; `arg` is for the handlers. */
struct mcp_server *mcp_server_new(struct loop *loop, const struct mcp_catalog *catalog,
				  const struct mcp_server_settings *settings, void *arg);
struct mcp_server *mcp_server_free(struct mcp_server *server);
DEFINE_CLEANUP(struct mcp_server *, mcp_server_free)

/*
 * A POST whose body is there, a DELETE.  Who asks has been authenticated, and Host and Origin were
 * looked at.
 */
void mcp_server_post(struct mcp_server *server, struct http_request *req, struct principal *who);
void mcp_server_delete(struct mcp_server *server, struct http_request *req, struct principal *who);

/* The tool's part of tools/list, which the caller frees. */
cJSON *mcp_tool_document(const struct mcp_tool *tool);

/*
 * A call, for its handler.
 */
void *mcp_call_arg(const struct mcp_call *call); /* that of mcp_server_new() */
struct loop *mcp_call_loop(const struct mcp_call *call);
struct principal *mcp_call_principal(const struct mcp_call *call);
const cJSON *mcp_call_params(const struct mcp_call *call);    /* an object, maybe empty */
const cJSON *mcp_call_arguments(const struct mcp_call *call); /* of a tool or prompt; the same */
const cJSON *mcp_call_meta(const struct mcp_call *call);      /* an object, maybe empty */

/* A field of its request; only until the handler returns. */
const char *mcp_call_field(const struct mcp_call *call, const char *name);

/* By which host and port its client reaches the daemon, so also only until then; NULL where that
 * is no address, over a unix socket. */
const char *mcp_call_tcp_host(const struct mcp_call *call);

/* What the handler keeps while the call lasts; freed with it, and with what was there before. */
typedef void mcp_free_fn(void *state);
void mcp_call_keep(struct mcp_call *call, void *state, mcp_free_fn *free_state);

/* Whether anybody wants to hear of progress.  `progress` must grow; `total` 0: not known. */
bool mcp_call_wants_progress(const struct mcp_call *call);
void mcp_call_progress(struct mcp_call *call, double progress, double total, const char *message);

/* Whether a notification can be sent before the answer, and that. */
bool mcp_call_may_stream(const struct mcp_call *call);
void mcp_call_notify_consume(struct mcp_call *call, const char *method, cJSON *params_consume);

/* Each ends the call. */
void mcp_reply_consume(struct mcp_call *call, cJSON *result_consume);
void mcp_reply_error(struct mcp_call *call, const struct mcp_error *error);
void mcp_fail(struct mcp_call *call, int code, const char *format, ...)
	__attribute__((format(printf, 3, 4)));
void mcp_fail_no_resource(struct mcp_call *call, const char *uri);

/* A tool's result: a sentence for the model, and the document (or NULL) as text and structured. */
void mcp_reply_tool_consume(struct mcp_call *call, const char *text, cJSON *structured_consume);
/* The tool could not do it: `text` tells the model what to do next, `meta` (or NULL) programs. */
void mcp_reply_tool_error_consume(struct mcp_call *call, const char *text, cJSON *meta_consume);

/* In the modern era, how long an answer holds, and for whom; in the legacy era nothing. */
void mcp_result_cache(const struct mcp_call *call, cJSON *result, unsigned ttl_ms, bool is_public);
