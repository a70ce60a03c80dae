/* SPDX-License-Identifier: MIT */
#pragma once

#include "base/hash.h"
#include "mcp/server.h"

#define MCP_SESSION_ID_LENGTH 32 /* hexadecimal digits */

/*
 * A session of the legacy era: made by `initialize`, named by Mcp-Session-Id, its user's alone, and
 * of what is held to one session no other's.
 * In memory only: after a restart its client gets 404 and begins anew.
 */
struct mcp_session {
	UT_hash_handle hh; /* by id */
	struct mcp_server *server;
	char id[MCP_SESSION_ID_LENGTH + 1];
	struct principal *owner;
	usec_t used;
	struct mcp_call *calls; /* under way */
	size_t n_calls;
	struct mcp_session *prev, *next; /* the one unused the longest first */
};

struct mcp_server {
	struct loop *loop;
	const struct mcp_catalog *catalog;
	const struct mcp_server_settings *settings;
	void *arg;
	char *tools_text; /* of tools/list: the same for everybody */
	char *prompts_text;
	char *templates_text;
	struct mcp_session *by_id;
	struct mcp_session *by_use;
	size_t n_sessions;
	struct timer *expiry;
	struct mcp_call *calls;
};

struct mcp_call {
	struct mcp_server *server;
	struct mcp_session *session; /* NULL: of the modern era, or the one that makes a session */
	struct http_request *req; /* until it is answered or streamed; NULL when its client left */
	struct http_stream *stream;
	struct principal *principal;
	struct mcp_message message;
	enum mcp_era era;
	const cJSON *progress_token; /* or NULL */
	double progress;             /* told so far */
	cJSON *nothing;              /* stands for params, arguments and _meta that are not there */
	void *state;
	mcp_free_fn *free_state;
	struct mcp_call *prev, *next;
	struct mcp_call *session_prev, *session_next;
};

/* sessions.c */
int mcp_session_new(struct mcp_server *server, struct principal *who,
		    struct mcp_session **ret) must_use;
struct mcp_session *mcp_session_free(struct mcp_session *s);
/* NULL: not there, or another's. */
struct mcp_session *mcp_session_find(struct mcp_server *server, const char *id,
				     const struct principal *who);
void mcp_session_used(struct mcp_session *s);
void mcp_sessions_begin(struct mcp_server *server);
void mcp_sessions_end(struct mcp_server *server);

/* call.c */
struct mcp_call *mcp_call_new(struct mcp_server *server, struct http_request *req,
			      struct principal *who, struct mcp_message *message_take,
			      enum mcp_era era, struct mcp_session *session);
/* Ends it unanswered: the client has cancelled it, or nobody is left to hear. */
struct mcp_call *mcp_call_cancel(struct mcp_call *call);
struct mcp_call *mcp_call_free(struct mcp_call *call);

/* methods.c: finds the method and calls it, or answers that there is none. */
void mcp_dispatch(struct mcp_call *call);
void mcp_methods_begin(struct mcp_server *server);
