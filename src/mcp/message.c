/* SPDX-License-Identifier: MIT */
/*
 * JSON-RPC messages: what a client sent, taken apart, and what it is answered with.
 */
#include "mcp/message.h"

#include <errno.h>
#include <math.h>
#include <stdarg.h>
#include <string.h>

#include "base/mem.h"

#define ID_LENGTH_MAX_MCP 256 /* bytes; it is sent back with every answer */
#define METHOD_LENGTH_MAX 128
#define ID_NUMBER_MAX     9007199254740991.0 /* 2^53 - 1: what everybody's numbers hold */

void mcp_error_done(struct mcp_error *e)
{
	free(STEAL(e->message));
	e->data = json_free(e->data);
}

int mcp_error_set(struct mcp_error *reterr, int http_status, int code, const char *format, ...)
{
	va_list args;

	mcp_error_done(reterr);
	reterr->http_status = http_status;
	reterr->code = code;
	va_start(args, format);
	reterr->message = xvasprintf(format, args);
	va_end(args);
	return -EINVAL;
}

void mcp_message_done(struct mcp_message *m)
{
	m->document = json_free(m->document);
	m->id = m->params = m->meta = NULL;
	m->method = NULL;
}

static const cJSON *member(const cJSON *object, const char *name)
{
	return cJSON_GetObjectItemCaseSensitive(object, name);
}

static int invalid(struct mcp_error *reterr, const char *what)
{
	return mcp_error_set(reterr, 400, MCP_INVALID_REQUEST, "Invalid request: %s", what);
}

static bool id_is_good(const cJSON *id)
{
	if (cJSON_IsString(id))
		return strlen(id->valuestring) <= ID_LENGTH_MAX_MCP;
	return cJSON_IsNumber(id) && id->valuedouble == trunc(id->valuedouble) &&
	       fabs(id->valuedouble) <= ID_NUMBER_MAX;
}

static int read_id(struct mcp_message *m, struct mcp_error *reterr)
{
	const cJSON *id = member(m->document, "id");

	if (!id)
		return 0;
	if (!id_is_good(id))
		return invalid(reterr, "the id must be a string or a whole number");
	m->id = id;
	return 0;
}

static int read_method(struct mcp_message *m, struct mcp_error *reterr)
{
	const cJSON *method = member(m->document, "method");

	if (!method)
		return 0;
	if (!cJSON_IsString(method) || !method->valuestring[0] ||
	    strlen(method->valuestring) > METHOD_LENGTH_MAX)
		return invalid(reterr, "the method must be a name");
	m->method = method->valuestring;
	return 0;
}

static int read_params(struct mcp_message *m, struct mcp_error *reterr)
{
	const cJSON *params = member(m->document, "params"), *meta;

	if (!params)
		return 0;
	if (!cJSON_IsObject(params))
		return invalid(reterr, "params must be an object");
	meta = member(params, "_meta");
	if (meta && !cJSON_IsObject(meta))
		return mcp_error_set(reterr, 400, MCP_INVALID_PARAMS,
				     "Invalid params: _meta must be an object");
	m->params = params;
	m->meta = meta;
	return 0;
}

static int read_type(struct mcp_message *m, struct mcp_error *reterr)
{
	bool answers = member(m->document, "result") || member(m->document, "error");

	if (m->method && answers)
		return invalid(reterr, "a method and an answer in one");
	if (!m->method && !answers)
		return invalid(reterr, "there is no method");
	if (m->method)
		m->type = m->id ? MCP_REQUEST : MCP_NOTIFICATION;
	else
		m->type = MCP_RESPONSE;
	return 0;
}

int mcp_message_parse(const char *text, size_t len, struct mcp_message *ret,
		      struct mcp_error *reterr)
{
	scoped(fault_done) struct fault fault = { 0 };
	const char *version;
	int r;

	*ret = (struct mcp_message){ 0 };
	if (json_parse_of_client(text, len, &ret->document, &fault) < 0)
		return mcp_error_set(reterr, 400, MCP_PARSE_ERROR, "Parse error: %s", fault.detail);
	if (!cJSON_IsObject(ret->document))
		return invalid(reterr, "one JSON-RPC message is expected, and no batch");

	r = read_id(ret, reterr);
	if (r < 0)
		return r;
	version = json_string(ret->document, "jsonrpc");
	if (!version || strcmp(version, "2.0") != 0)
		return invalid(reterr, "jsonrpc must be \"2.0\"");
	r = read_method(ret, reterr);
	if (r < 0)
		return r;
	r = read_params(ret, reterr);
	if (r < 0)
		return r;
	return read_type(ret, reterr);
}

static cJSON *envelope(const cJSON *id)
{
	cJSON *j = cJSON_CreateObject(), *copy;

	json_add_string(j, "jsonrpc", "2.0");
	if (!id)
		return j;
	/* Without the name that the copy brings along. */
	copy = cJSON_IsString(id) ? cJSON_CreateString(id->valuestring)
				  : cJSON_CreateNumber(id->valuedouble);
	cJSON_AddItemToObject(j, "id", copy);
	return j;
}

char *mcp_result_text(const cJSON *id, cJSON *result_consume)
{
	scoped(json_freep) cJSON *j = envelope(id);

	cJSON_AddItemToObject(j, "result", result_consume);
	return json_print(j);
}

char *mcp_error_text(const cJSON *id, const struct mcp_error *error)
{
	scoped(json_freep) cJSON *j = envelope(id);
	cJSON *e = cJSON_AddObjectToObject(j, "error");

	cJSON_AddNumberToObject(e, "code", error->code);
	json_add_string(e, "message", error->message);
	if (error->data)
		cJSON_AddItemToObject(e, "data", cJSON_Duplicate(error->data, true));
	return json_print(j);
}

char *mcp_notification_text(const char *method, cJSON *params_consume)
{
	scoped(json_freep) cJSON *j = envelope(NULL);

	json_add_string(j, "method", method);
	if (params_consume)
		cJSON_AddItemToObject(j, "params", params_consume);
	return json_print(j);
}
