/* SPDX-License-Identifier: MIT */
/*
 * openapi.json (OpenAPI 3.1), from the table of routes and the tables of the bodies' fields.
 */
#include <ctype.h>
#include <string.h>

#include "api/api_priv.h"
#include "base/mem.h"

static cJSON *content(const char *type, cJSON *schema)
{
	cJSON *c = cJSON_CreateObject(), *media = cJSON_AddObjectToObject(c, type);

	cJSON_AddItemToObject(media, "schema", schema);
	return c;
}

static cJSON *reference(const char *to)
{
	cJSON *j = cJSON_CreateObject();

	json_add_string(j, "$ref", to);
	return j;
}

static void add_response(cJSON *responses, const char *status, const char *description,
			 const char *type, cJSON *schema)
{
	cJSON *r = cJSON_AddObjectToObject(responses, status);

	json_add_string(r, "description", description);
	if (type)
		cJSON_AddItemToObject(r, "content", content(type, schema));
}

static cJSON *object_schema(void)
{
	cJSON *j = cJSON_CreateObject();

	json_add_string(j, "type", "object");
	return j;
}

static cJSON *string_schema(const char *pattern)
{
	cJSON *j = cJSON_CreateObject();

	json_add_string(j, "type", "string");
	if (pattern)
		json_add_string(j, "pattern", pattern);
	return j;
}

static void add_parameters(cJSON *operation, const char *pattern)
{
	cJSON *list = NULL;

	for (const char *p = strchr(pattern, '{'); p; p = strchr(p + 1, '{')) {
		scoped(freep) char *name = xstrndup(p + 1, strcspn(p + 1, ".}"));
		bool is_name = strcmp(name, "name") == 0;
		bool is_rest = p[1 + strlen(name)] == '.';
		cJSON *one = cJSON_CreateObject();

		if (!list)
			list = cJSON_AddArrayToObject(operation, "parameters");
		json_add_string(one, "name", name);
		json_add_string(one, "in", "path");
		cJSON_AddBoolToObject(one, "required", true);
		cJSON_AddItemToObject(one, "schema",
				      string_schema(is_rest   ? NULL
						    : is_name ? "^[A-Za-z0-9._-]{1,64}$"
							      : "^[A-Za-z0-9._:@-]{1,128}$"));
		cJSON_AddItemToArray(list, one);
	}
}

/* OpenAPI has no parameter of several segments: "{path...}" is "{path}" there. */
static char *path_template(const char *pattern)
{
	const char *dots = strstr(pattern, "...}");

	return dots ? xasprintf("%.*s}", (int)(dots - pattern), pattern) : xstrdup(pattern);
}

static void add_security(cJSON *operation, enum route_access access)
{
	cJSON *list = cJSON_AddArrayToObject(operation, "security");
	cJSON *one;

	if (access == ACCESS_PUBLIC)
		return; /* an empty list: none */
	one = cJSON_CreateObject();
	cJSON_AddArrayToObject(one, "bearer");
	cJSON_AddItemToArray(list, one);
	if (access == ACCESS_STREAM || access == ACCESS_METRICS)
		cJSON_AddItemToArray(list, cJSON_CreateObject()); /* or none: see the description */
}

static const char *access_text(enum route_access access)
{
	switch (access) {
	case ACCESS_PUBLIC:
		return "Needs no credential.";
	case ACCESS_METRICS:
		return "For admins, or for everybody where metrics.public is set.";
	case ACCESS_STREAM:
		return "A browser sends its credential as the first frame.";
	case ACCESS_ANY:
		return "Needs a credential.";
	case ACCESS_EDGE:
		return "For the edge's proxy, by its token or the scope edge, and for admins.";
	case ACCESS_ADMIN:
		return "For admins.";
	}
	return "";
}

static cJSON *body_schema(const struct json_field *fields)
{
	if (fields == hook_body_fields)
		return object_schema();
	if (fields == canvas_action_fields)
		return canvas_action_schema();
	if (fields == canvas_list_fields)
		return canvas_list_schema();
	if (fields == mcp_fields)
		return object_schema();
	return json_fields_schema(fields);
}

static cJSON *operation_of(const struct route *route)
{
	scoped(freep) char *scopes = route->scopes ? scopes_format(route->scopes) : NULL;
	scoped(freep) char *description =
		xasprintf("%s%s%s", access_text(route->access),
			  scopes ? " One of the scopes: " : "", scopes ? scopes : "");
	cJSON *op = cJSON_CreateObject(), *responses;

	json_add_string(op, "operationId", route->id);
	json_add_string(op, "summary", route->summary);
	json_add_string(op, "description", description);
	add_parameters(op, route->pattern);
	add_security(op, route->access);
	if (route->fields) {
		cJSON *body = cJSON_AddObjectToObject(op, "requestBody");

		cJSON_AddItemToObject(body, "content",
				      content("application/json", body_schema(route->fields)));
	}

	responses = cJSON_AddObjectToObject(op, "responses");
	if (route->access == ACCESS_STREAM)
		add_response(responses, "101", "The WebSocket is open", NULL, NULL);
	else
		add_response(responses, "200", "Done", "application/json", object_schema());
	if (strcmp(route->method, "POST") == 0 || strcmp(route->method, "PUT") == 0)
		add_response(responses, "201", "Made", "application/json", object_schema());
	add_response(responses, "default", "A problem document (RFC 9457)",
		     "application/problem+json", reference("#/components/schemas/Problem"));
	return op;
}

static cJSON *problem_schema(void)
{
	cJSON *schema = object_schema(), *properties, *codes;

	properties = cJSON_AddObjectToObject(schema, "properties");
	cJSON_AddItemToObject(properties, "type", string_schema(NULL));
	cJSON_AddItemToObject(properties, "title", string_schema(NULL));
	cJSON_AddItemToObject(
		properties, "status",
		cJSON_Parse("{\"type\":\"integer\",\"minimum\":400,\"maximum\":599}"));
	cJSON_AddItemToObject(properties, "detail", string_schema(NULL));
	codes = string_schema(NULL);
	cJSON_AddItemToObject(properties, "code", codes);
	codes = cJSON_AddArrayToObject(codes, "enum");
	for (int i = FAULT_NONE + 1; i < FAULT_COUNT_; i++)
		cJSON_AddItemToArray(codes, cJSON_CreateString(fault_slug((enum fault_code)i)));
	cJSON_AddItemToObject(schema, "required", cJSON_Parse("[\"title\",\"status\",\"code\"]"));
	return schema;
}

struct bytes *openapi_document(void)
{
	scoped(json_freep) cJSON *doc = cJSON_CreateObject();
	scoped(freep) char *text = NULL;
	cJSON *j, *paths;

	json_add_string(doc, "openapi", "3.1.0");
	j = cJSON_AddObjectToObject(doc, "info");
	json_add_string(j, "title", "previewd");
	json_add_string(j, "version", PACKAGE_VERSION);
	json_add_string(j, "description", "A registry of live web previews.");
	cJSON_AddItemToObject(j, "license",
			      cJSON_Parse("{\"name\":\"MIT\",\"identifier\":\"MIT\"}"));

	paths = cJSON_AddObjectToObject(doc, "paths");
	for (size_t i = 0; i < n_routes; i++) {
		scoped(freep) char *template = path_template(routes[i].pattern);
		cJSON *path = cJSON_GetObjectItemCaseSensitive(paths, template);
		scoped(freep) char *method = xstrdup(routes[i].method);

		for (char *p = method; *p; p++)
			*p = (char)tolower((unsigned char)*p);
		if (!path)
			path = cJSON_AddObjectToObject(paths, template);
		cJSON_AddItemToObject(path, method, operation_of(&routes[i]));
	}

	j = cJSON_AddObjectToObject(doc, "components");
	cJSON_AddItemToObject(cJSON_AddObjectToObject(j, "schemas"), "Problem", problem_schema());
	cJSON_AddItemToObject(cJSON_AddObjectToObject(j, "securitySchemes"), "bearer",
			      cJSON_Parse("{\"type\":\"http\",\"scheme\":\"bearer\"}"));

	text = json_print(doc);
	return bytes_new(text, strlen(text));
}
