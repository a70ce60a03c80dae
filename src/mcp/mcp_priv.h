/* SPDX-License-Identifier: MIT */
#pragma once

#include "mcp/binding.h"
#include "mcp/mcp.h"
#include "mcp/server.h"

#define CARD_URI  "ui://previewd/preview"
#define CARD_TYPE "text/html;profile=mcp-app"

struct mcp {
	struct mcp_deps deps;
	const struct settings *settings;
	struct mcp_catalog catalog;
	struct mcp_server_settings limits;
	struct mcp_server *server;
	struct mcp_bindings *bindings;
	struct publication *publications;
};

/* Which session a call is for. */
struct identity {
	char *app_id;
	char *session_id;
};

void identity_done(struct identity *identity);

/* identity.c: -EINVAL with a fault that says how to name one. */
int identity_of(struct mcp_call *call, struct identity *ret, struct fault *reterr) must_use;
/* The same where none is fine, too: then 0, and `ret->session_id` is NULL. */
int identity_if_any(struct mcp_call *call, struct identity *ret, struct fault *reterr) must_use;

/* advice.c: a fault as a tool's result, with what the model can do about it. */
void reply_fault(struct mcp_call *call, const struct fault *fault);

/*
 * views.c: the domain's documents as tools give them: what matters, and without nulls.  The URL of
 * what the daemon itself serves is relative in these; `origin` makes it one that a user can open.
 */
char *origin_of(const struct mcp_call *call); /* only until the handler returns */
char *absolute_url(const char *origin, const char *url);
cJSON *view_preview(const cJSON *attachment, const char *origin);
cJSON *view_list(const cJSON *list, const char *origin);
cJSON *view_detached(const cJSON *document, const char *origin);
cJSON *view_why(const cJSON *document, const char *origin);
cJSON *view_build(const cJSON *build, const char *origin);
char *text_preview(const cJSON *attachment, const char *origin);
char *text_list(const cJSON *list, const char *session_id, const char *origin);
char *text_detached(const cJSON *document, const char *name);
char *text_why(const cJSON *document, const char *origin);

/* tools.c */
/* Whether the credential has one of the scopes; else the call is answered. */
bool tool_may(struct mcp_call *call, unsigned scopes);
/* For json_read(): without what says the session, and without what a model filled with nothing. */
cJSON *tool_arguments(const struct mcp_call *call);
extern const struct mcp_tool mcp_tools[];
extern const size_t n_mcp_tools;

/* publish.c */
void tool_publish(struct mcp_call *call);
void publications_end(struct mcp *mcp);

/* resources.c, prompt.c */
void resources_list_all(struct mcp_call *call);
void resources_read_one(struct mcp_call *call);
extern const struct mcp_resource mcp_templates[];
extern const size_t n_mcp_templates;
void prompt_preview(struct mcp_call *call);
