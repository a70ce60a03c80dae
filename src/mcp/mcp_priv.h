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

/* views.c: the registry's documents as tools give them: what matters, and without nulls. */
cJSON *view_preview(const cJSON *attachment);
cJSON *view_list(const cJSON *list);
cJSON *view_detached(const cJSON *document);
cJSON *view_why(const cJSON *document);
char *text_preview(const cJSON *attachment);
char *text_list(const cJSON *list, const char *session_id);
char *text_detached(const cJSON *document, const char *name);
char *text_why(const cJSON *document);

/* tools.c */
extern const struct mcp_tool mcp_tools[];
extern const size_t n_mcp_tools;

/* resources.c, prompt.c */
void resources_list_all(struct mcp_call *call);
void resources_read_one(struct mcp_call *call);
extern const struct mcp_resource mcp_templates[];
extern const size_t n_mcp_templates;
void prompt_preview(struct mcp_call *call);
