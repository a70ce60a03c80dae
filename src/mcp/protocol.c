/* SPDX-License-Identifier: MIT */
/*
 * The two eras of MCP over Streamable HTTP, told apart and checked.
 */
#include "mcp/protocol.h"

#include <openssl/evp.h>
#include <string.h>

#include "base/mem.h"
#include "base/parse.h"

#define NAME_FIELD_MAX 8192 /* bytes, encoded */

static const char *const legacy_versions[] = { "2025-11-25", "2025-06-18", "2025-03-26" };

bool mcp_version_is_legacy(const char *version)
{
	for (size_t i = 0; i < ARRAY_SIZE(legacy_versions); i++)
		if (strcmp(version, legacy_versions[i]) == 0)
			return true;
	return false;
}

const char *mcp_legacy_version(const char *asked)
{
	for (size_t i = 0; asked && i < ARRAY_SIZE(legacy_versions); i++)
		if (strcmp(asked, legacy_versions[i]) == 0)
			return legacy_versions[i];
	return legacy_versions[0];
}

static bool is_one_of(const char *method, const char *const *methods)
{
	for (; *methods; methods++)
		if (strcmp(method, *methods) == 0)
			return true;
	return false;
}

enum mcp_era mcp_era_of(const struct mcp_message *m, const struct mcp_fields *fields)
{
	static const char *const modern_only[] = { "server/discover", "subscriptions/listen",
						   NULL };

	if (m->meta && cJSON_GetObjectItemCaseSensitive(m->meta, MCP_META_VERSION))
		return MCP_MODERN;
	if (fields->session || (m->method && strcmp(m->method, "initialize") == 0))
		return MCP_LEGACY;
	if (fields->version && !mcp_version_is_legacy(fields->version))
		return MCP_MODERN;
	return m->method && is_one_of(m->method, modern_only) ? MCP_MODERN : MCP_LEGACY;
}

static int mismatch(struct mcp_error *reterr, const char *field, const char *what)
{
	return mcp_error_set(reterr, 400, MCP_HEADER_MISMATCH, "Header mismatch: %s %s", field,
			     what);
}

static int unsupported_version(struct mcp_error *reterr, const char *requested)
{
	int r = mcp_error_set(reterr, 400, MCP_UNSUPPORTED_VERSION, "Unsupported protocol version");
	cJSON *supported;

	reterr->data = cJSON_CreateObject();
	supported = cJSON_AddArrayToObject(reterr->data, "supported");
	cJSON_AddItemToArray(supported, cJSON_CreateString(MCP_VERSION_MODERN));
	json_add_string(reterr->data, "requested", requested);
	return r;
}

/* "=?base64?…?=", for what no field can carry as it is; NULL when it is malformed. */
static char *decode_base64(const char *text, size_t len)
{
	scoped(freep) unsigned char *bytes = NULL;
	size_t padding = 0;
	int n;

	if (len == 0 || len % 4 != 0 || len > NAME_FIELD_MAX)
		return NULL;
	while (padding < 2 && text[len - 1 - padding] == '=')
		padding++;
	bytes = xcalloc(1, len + 1);
	n = EVP_DecodeBlock(bytes, (const unsigned char *)text, (int)len);
	if (n < 0 || (size_t)n < padding)
		return NULL;
	n -= (int)padding;
	bytes[n] = '\0';
	if (memchr(bytes, '\0', (size_t)n) || !utf8_is_valid((char *)bytes, (size_t)n))
		return NULL;
	return (char *)STEAL(bytes);
}

static bool field_equals(const char *field, const char *value)
{
	static const char open[] = "=?base64?", close[] = "?=";
	size_t len = strlen(field), around = strlen(open) + strlen(close);
	scoped(freep) char *decoded = NULL;

	if (len < around || strncmp(field, open, strlen(open)) != 0 ||
	    strcmp(field + len - strlen(close), close) != 0)
		return strcmp(field, value) == 0;
	decoded = decode_base64(field + strlen(open), len - around);
	return decoded && strcmp(decoded, value) == 0;
}

/* What Mcp-Name repeats, or NULL. */
static const char *named_by(const struct mcp_message *m, bool *ret_has_name)
{
	static const char *const by_name[] = { "tools/call", "prompts/get", NULL };

	*ret_has_name = true;
	if (is_one_of(m->method, by_name))
		return m->params ? json_string(m->params, "name") : NULL;
	if (strcmp(m->method, "resources/read") == 0)
		return m->params ? json_string(m->params, "uri") : NULL;
	*ret_has_name = false;
	return NULL;
}

static int check_fields(const struct mcp_message *m, const struct mcp_fields *fields,
			const char *version, struct mcp_error *reterr)
{
	bool has_name;
	const char *name = named_by(m, &has_name);

	if (!fields->version)
		return mismatch(reterr, "MCP-Protocol-Version", "is missing");
	if (strcmp(fields->version, version) != 0)
		return mismatch(reterr, "MCP-Protocol-Version",
				"differs from the version in _meta");
	if (strcmp(version, MCP_VERSION_MODERN) != 0)
		return unsupported_version(reterr, version);
	if (!fields->method)
		return mismatch(reterr, "Mcp-Method", "is missing");
	if (!field_equals(fields->method, m->method))
		return mismatch(reterr, "Mcp-Method", "differs from the method");
	if (!has_name)
		return 0;
	if (!name)
		return mcp_error_set(reterr, 400, MCP_INVALID_PARAMS,
				     "Invalid params: the name is missing");
	if (!fields->name)
		return mismatch(reterr, "Mcp-Name", "is missing");
	if (!field_equals(fields->name, name))
		return mismatch(reterr, "Mcp-Name", "differs from the name in params");
	return 0;
}

int mcp_modern_check(const struct mcp_message *m, const struct mcp_fields *fields,
		     struct mcp_error *reterr)
{
	const char *version = m->meta ? json_string(m->meta, MCP_META_VERSION) : NULL;
	int r;

	if (!version)
		return mcp_error_set(reterr, 400, MCP_INVALID_PARAMS,
				     "Invalid params: _meta[\"" MCP_META_VERSION "\"] is required");
	r = check_fields(m, fields, version, reterr);
	if (r < 0)
		return r;
	if (!cJSON_IsObject(cJSON_GetObjectItemCaseSensitive(m->meta, MCP_META_CAPABILITIES)))
		return mcp_error_set(reterr, 400, MCP_INVALID_PARAMS,
				     "Invalid params: _meta[\"" MCP_META_CAPABILITIES
				     "\"] is required");
	return 0;
}
