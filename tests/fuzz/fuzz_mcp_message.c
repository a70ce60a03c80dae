/* SPDX-License-Identifier: MIT */
/*
 * An MCP message, with the fields of its request in lines before it: what is let through has what
 * its kind needs, and its id comes back as it was.
 */
#include <assert.h>
#include <string.h>

#include "base/mem.h"
#include "fuzz.h"
#include "mcp/protocol.h"

/* "version\nmethod\nname\nsession\n" and the body; an empty line is a field that isn't there. */
static char *take_line(char **at, char *end)
{
	char *line = *at, *newline = memchr(line, '\n', (size_t)(end - line));

	if (!newline) {
		*at = end;
		return NULL;
	}
	*newline = '\0';
	*at = newline + 1;
	return *line ? line : NULL;
}

static void check_request(const struct mcp_message *m)
{
	scoped(freep) char *answer = mcp_result_text(m->id, cJSON_CreateObject());
	scoped(json_freep) cJSON *again = NULL;

	assert(m->id && m->method && m->method[0]);
	assert(json_parse(answer, strlen(answer), &again, NULL) == 0);
	assert(cJSON_Compare(cJSON_GetObjectItemCaseSensitive(again, "id"), m->id, true));
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
	scoped(freep) char *text = xmemdup(data, size);
	scoped(mcp_message_done) struct mcp_message m = { 0 };
	scoped(mcp_error_done) struct mcp_error error = { 0 };
	char *at = text, *end = text + size;
	struct mcp_fields fields;

	fields.version = take_line(&at, end);
	fields.method = take_line(&at, end);
	fields.name = take_line(&at, end);
	fields.session = take_line(&at, end);

	if (mcp_message_parse(at, (size_t)(end - at), &m, &error) < 0) {
		assert(error.code < 0 && error.http_status == 400 && error.message);
		return 0;
	}
	assert(cJSON_IsObject(m.document));
	assert(!m.params || cJSON_IsObject(m.params));
	assert(!m.meta || cJSON_IsObject(m.meta));
	if (m.type == MCP_REQUEST)
		check_request(&m);
	if (m.type == MCP_REQUEST && mcp_era_of(&m, &fields) == MCP_MODERN &&
	    mcp_modern_check(&m, &fields, &error) == 0)
		assert(m.meta && strcmp(fields.version, MCP_VERSION_MODERN) == 0);
	return 0;
}
