/* SPDX-License-Identifier: MIT */
/*
 * The methods that every catalog has.
 */
#include <string.h>

#include "mcp/server_priv.h"

#define LISTS_TTL_MS 300000 /* of what is the same until the daemon is another */

static void add_json(cJSON *to, const char *name, const char *text)
{
	if (text)
		cJSON_AddRawToObject(to, name, text);
}

static void add_optional(cJSON *to, const char *name, const char *text)
{
	if (text)
		json_add_string(to, name, text);
}

/*
 * Documents of the tables' rows
 */

cJSON *mcp_tool_document(const struct mcp_tool *tool)
{
	cJSON *j = cJSON_CreateObject(), *hints;

	json_add_string(j, "name", tool->name);
	add_optional(j, "title", tool->title);
	json_add_string(j, "description", tool->description);
	add_json(j, "inputSchema", tool->input_schema);
	add_json(j, "outputSchema", tool->output_schema);
	hints = cJSON_AddObjectToObject(j, "annotations");
	add_optional(hints, "title", tool->title);
	cJSON_AddBoolToObject(hints, "readOnlyHint", (tool->hints & MCP_READ_ONLY) != 0);
	cJSON_AddBoolToObject(hints, "destructiveHint", (tool->hints & MCP_DESTRUCTIVE) != 0);
	cJSON_AddBoolToObject(hints, "idempotentHint", (tool->hints & MCP_IDEMPOTENT) != 0);
	cJSON_AddBoolToObject(hints, "openWorldHint", (tool->hints & MCP_OPEN_WORLD) != 0);
	add_json(j, "_meta", tool->meta);
	return j;
}

static cJSON *prompt_document(const struct mcp_prompt *prompt)
{
	cJSON *j = cJSON_CreateObject();

	json_add_string(j, "name", prompt->name);
	add_optional(j, "title", prompt->title);
	add_optional(j, "description", prompt->description);
	add_json(j, "arguments", prompt->arguments);
	return j;
}

static cJSON *resource_document(const struct mcp_resource *r, const char *uri_member)
{
	cJSON *j = cJSON_CreateObject();

	json_add_string(j, uri_member, r->uri);
	json_add_string(j, "name", r->name);
	add_optional(j, "title", r->title);
	add_optional(j, "description", r->description);
	add_optional(j, "mimeType", r->mime_type);
	return j;
}

static char *print_consume(cJSON *list_consume)
{
	scoped(json_freep) cJSON *list = list_consume;

	return json_print(list);
}

void mcp_methods_begin(struct mcp_server *server)
{
	const struct mcp_catalog *c = server->catalog;
	cJSON *tools = cJSON_CreateArray(), *prompts = cJSON_CreateArray(),
	      *templates = cJSON_CreateArray();

	for (size_t i = 0; i < c->n_tools; i++)
		cJSON_AddItemToArray(tools, mcp_tool_document(&c->tools[i]));
	for (size_t i = 0; i < c->n_prompts; i++)
		cJSON_AddItemToArray(prompts, prompt_document(&c->prompts[i]));
	for (size_t i = 0; i < c->n_templates; i++)
		cJSON_AddItemToArray(templates, resource_document(&c->templates[i], "uriTemplate"));
	server->tools_text = print_consume(tools);
	server->prompts_text = print_consume(prompts);
	server->templates_text = print_consume(templates);
}

/*
 * The methods
 */

static void initialize(struct mcp_call *call)
{
	const struct mcp_catalog *c = call->server->catalog;
	const char *version =
		mcp_legacy_version(json_string(mcp_call_params(call), "protocolVersion"));
	struct mcp_session *session;
	cJSON *result, *info;

	if (mcp_session_new(call->server, call->principal, &session) < 0) {
		scoped(mcp_error_done) struct mcp_error error = { 0 };

		http_response_header(call->req, "Retry-After", "60");
		mcp_error_set(&error, 429, MCP_INTERNAL_ERROR,
			      "Too many MCP sessions are open (mcp.sessions_max); end one of them");
		mcp_reply_error(call, &error);
		return;
	}
	http_response_header(call->req, "Mcp-Session-Id", session->id);

	result = cJSON_CreateObject();
	json_add_string(result, "protocolVersion", version);
	add_json(result, "capabilities", c->legacy_capabilities);
	info = cJSON_AddObjectToObject(result, "serverInfo");
	json_add_string(info, "name", c->name);
	add_optional(info, "title", c->title);
	json_add_string(info, "version", c->version);
	add_optional(result, "instructions", c->instructions);
	mcp_reply_consume(call, result);
}

static void discover(struct mcp_call *call)
{
	const struct mcp_catalog *c = call->server->catalog;
	cJSON *result = cJSON_CreateObject(), *versions;

	versions = cJSON_AddArrayToObject(result, "supportedVersions");
	cJSON_AddItemToArray(versions, cJSON_CreateString(MCP_VERSION_MODERN));
	add_json(result, "capabilities", c->modern_capabilities);
	add_optional(result, "instructions", c->instructions);
	mcp_result_cache(call, result, LISTS_TTL_MS, true);
	mcp_reply_consume(call, result);
}

static void ping(struct mcp_call *call)
{
	mcp_reply_consume(call, cJSON_CreateObject());
}

static void reply_list(struct mcp_call *call, const char *name, const char *text)
{
	cJSON *result = cJSON_CreateObject();

	add_json(result, name, text);
	mcp_result_cache(call, result, LISTS_TTL_MS, true);
	mcp_reply_consume(call, result);
}

static void tools_list(struct mcp_call *call)
{
	reply_list(call, "tools", call->server->tools_text);
}

static void prompts_list(struct mcp_call *call)
{
	reply_list(call, "prompts", call->server->prompts_text);
}

static void templates_list(struct mcp_call *call)
{
	reply_list(call, "resourceTemplates", call->server->templates_text);
}

static void resources_list(struct mcp_call *call)
{
	const struct mcp_catalog *c = call->server->catalog;
	cJSON *result, *list;

	if (c->list_resources) {
		c->list_resources(call);
		return;
	}
	result = cJSON_CreateObject();
	list = cJSON_AddArrayToObject(result, "resources");
	for (size_t i = 0; i < c->n_resources; i++)
		cJSON_AddItemToArray(list, resource_document(&c->resources[i], "uri"));
	mcp_result_cache(call, result, LISTS_TTL_MS, true);
	mcp_reply_consume(call, result);
}

static void resources_read(struct mcp_call *call)
{
	const char *uri = json_string(mcp_call_params(call), "uri");

	if (!uri)
		mcp_fail(call, MCP_INVALID_PARAMS, "Invalid params: uri must be a string");
	else if (call->server->catalog->read_resource)
		call->server->catalog->read_resource(call);
	else
		mcp_fail_no_resource(call, uri);
}

/* The name, and arguments that are an object where they are there; else it is answered. */
static const char *take_name(struct mcp_call *call)
{
	const cJSON *params = mcp_call_params(call);
	const cJSON *arguments = cJSON_GetObjectItemCaseSensitive(params, "arguments");
	const char *name = json_string(params, "name");

	if (!name)
		mcp_fail(call, MCP_INVALID_PARAMS, "Invalid params: name must be a string");
	else if (arguments && !cJSON_IsObject(arguments))
		mcp_fail(call, MCP_INVALID_PARAMS, "Invalid params: arguments must be an object");
	else
		return name;
	return NULL;
}

static void tools_call(struct mcp_call *call)
{
	const struct mcp_catalog *c = call->server->catalog;
	const char *name = take_name(call);

	for (size_t i = 0; name && i < c->n_tools; i++) {
		if (strcmp(c->tools[i].name, name) == 0) {
			c->tools[i].call(call);
			return;
		}
	}
	if (name)
		mcp_fail(call, MCP_INVALID_PARAMS, "Unknown tool: %.128s", name);
}

static void prompts_get(struct mcp_call *call)
{
	const struct mcp_catalog *c = call->server->catalog;
	const char *name = take_name(call);

	for (size_t i = 0; name && i < c->n_prompts; i++) {
		if (strcmp(c->prompts[i].name, name) == 0) {
			c->prompts[i].get(call);
			return;
		}
	}
	if (name)
		mcp_fail(call, MCP_INVALID_PARAMS, "Unknown prompt: %.128s", name);
}

static const struct mcp_method methods[] = {
	/* clang-format off */
	/* name                        legacy modern */
	{ "initialize",                true,  false, initialize },
	{ "ping",                      true,  false, ping },
	{ "server/discover",           false, true,  discover },
	{ "tools/list",                true,  true,  tools_list },
	{ "tools/call",                true,  true,  tools_call },
	{ "prompts/list",              true,  true,  prompts_list },
	{ "prompts/get",               true,  true,  prompts_get },
	{ "resources/list",            true,  true,  resources_list },
	{ "resources/templates/list",  true,  true,  templates_list },
	{ "resources/read",            true,  true,  resources_read },
	/* clang-format on */
};

static const struct mcp_method *find(const struct mcp_method *table, size_t n, const char *name,
				     enum mcp_era era)
{
	for (size_t i = 0; i < n; i++)
		if (strcmp(table[i].name, name) == 0 &&
		    (era == MCP_MODERN ? table[i].modern : table[i].legacy))
			return &table[i];
	return NULL;
}

void mcp_dispatch(struct mcp_call *call)
{
	const struct mcp_catalog *c = call->server->catalog;
	const char *name = call->message.method;
	const struct mcp_method *m = find(methods, ARRAY_SIZE(methods), name, call->era);

	if (!m)
		m = find(c->methods, c->n_methods, name, call->era);
	if (m) {
		m->call(call);
	} else {
		scoped(mcp_error_done) struct mcp_error error = { 0 };

		mcp_error_set(&error, 404, MCP_METHOD_NOT_FOUND, "Method not found: %s", name);
		mcp_reply_error(call, &error);
	}
}
