/* SPDX-License-Identifier: MIT */
/*
 * The catalog that previewd serves over MCP, and its life.
 */
#include "mcp/mcp.h"

#include <errno.h>

#include "base/ids.h"
#include "base/mem.h"
#include "mcp/mcp_priv.h"

#define EXTENSIONS \
	"\"extensions\":{\"io.modelcontextprotocol/ui\":{\"mimeTypes\":[\"" CARD_TYPE "\"]}}"

static const struct mcp_prompt prompts[] = {
	{
		.name = "preview",
		.title = "Show a live preview",
		.description = "Start the dev server and attach it as the session's preview",
		.arguments = "[{\"name\":\"what\",\"description\":\"What to show; the project if "
			     "omitted\",\"required\":false}]",
		.get = prompt_preview,
	},
};

static const struct mcp_catalog catalog = {
	.name = "previewd",
	.title = "previewd: live web previews",
	.version = PACKAGE_VERSION,
	.instructions =
		"previewd shows the user web servers that you start. After you started a dev "
		"server in the background, call PreviewProxy with its port (and the task's id as "
		"bash_task_id), and tell the user the URL it returns. The preview follows the "
		"server's reloads; attach again only when the port changes. When a call fails, "
		"its text says what to do next. Call PreviewDetach when a server is no longer "
		"needed.",
	.legacy_capabilities = "{\"tools\":{},\"prompts\":{},\"resources\":{}," EXTENSIONS "}",
	.modern_capabilities = "{\"tools\":{},\"prompts\":{},\"resources\":{}," EXTENSIONS "}",
	.prompts = prompts,
	.n_prompts = ARRAY_SIZE(prompts),
	.list_resources = resources_list_all,
	.read_resource = resources_read_one,
};

static void take_settings(struct mcp *mcp, const struct settings *settings)
{
	mcp->settings = settings;
	mcp->limits = (struct mcp_server_settings){
		.sessions_max = settings->mcp_sessions_max,
		.sessions_per_user = settings->mcp_sessions_per_user,
		.calls_per_session = settings->mcp_calls_per_session,
		.session_idle = settings->mcp_session_idle,
	};
}

static struct mcp_bindings_limits bindings_limits(const struct settings *settings)
{
	return (struct mcp_bindings_limits){
		.max = settings->mcp_bindings_max,
		.per_user = settings->mcp_bindings_per_user,
		.ttl = settings->mcp_binding_ttl,
	};
}

struct mcp *mcp_new(const struct mcp_deps *deps, const struct settings *settings)
{
	const struct mcp_bindings_limits bindings = bindings_limits(settings);
	struct mcp *mcp = xcalloc(1, sizeof(*mcp));

	mcp->deps = *deps;
	take_settings(mcp, settings);
	mcp->catalog = catalog;
	mcp->catalog.tools = mcp_tools;
	mcp->catalog.n_tools = n_mcp_tools;
	mcp->catalog.templates = mcp_templates;
	mcp->catalog.n_templates = n_mcp_templates;
	mcp->bindings = mcp_bindings_new(&bindings);
	mcp->server = mcp_server_new(deps->loop, &mcp->catalog, &mcp->limits, mcp);
	return mcp;
}

struct mcp *mcp_free(struct mcp *mcp)
{
	if (!mcp)
		return NULL;

	mcp_server_free(mcp->server);
	publications_end(mcp);
	mcp_bindings_free(mcp->bindings);
	free(mcp);
	return NULL;
}

void mcp_reload(struct mcp *mcp, const struct settings *settings)
{
	const struct mcp_bindings_limits bindings = bindings_limits(settings);

	take_settings(mcp, settings);
	mcp_bindings_set(mcp->bindings, &bindings);
}

void mcp_post(struct mcp *mcp, struct http_request *req, struct principal *who)
{
	mcp_server_post(mcp->server, req, who);
}

void mcp_delete(struct mcp *mcp, struct http_request *req, struct principal *who)
{
	mcp_server_delete(mcp->server, req, who);
}

int mcp_bind_tool_use(struct mcp *mcp, const struct principal *who, const char *tool_use_id,
		      const char *app_id, const char *session_id)
{
	if (!id_is_valid(tool_use_id) || (app_id && !id_is_valid(app_id)) ||
	    !id_is_valid(session_id))
		return -EINVAL;
	mcp_bindings_add(mcp->bindings, who, tool_use_id, app_id, session_id);
	return 0;
}
