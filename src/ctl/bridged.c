/* SPDX-License-Identifier: MIT */
/*
 * Reading of MCP's messages: nothing here waits or is sent.
 */
#include "ctl/bridged.h"

#include <openssl/evp.h>
#include <string.h>

#include "base/ids.h"
#include "base/json.h"
#include "base/mem.h"

#define META_VERSION "io.modelcontextprotocol/protocolVersion"

static const cJSON *member(const cJSON *object, const char *name)
{
	return cJSON_GetObjectItemCaseSensitive(object, name);
}

static void read_document(struct bridged *m)
{
	const cJSON *id = member(m->document, "id"), *params = member(m->document, "params");
	const char *method = json_string(m->document, "method");

	if (!cJSON_IsObject(m->document))
		return;
	if (!method) {
		m->kind = id && (member(m->document, "result") || member(m->document, "error"))
				  ? BRIDGED_RESPONSE
				  : BRIDGED_STRANGE;
		return;
	}
	m->kind = id ? BRIDGED_REQUEST : BRIDGED_NOTIFICATION;
	m->id = id;
	m->method = method;
	m->version = json_string(member(params, "_meta"), META_VERSION);
	m->name = json_string(params, "name");
	if (!m->name)
		m->name = json_string(params, "uri");
}

struct bridged *bridged_new(const char *text, size_t len)
{
	struct bridged *m = xcalloc(1, sizeof(*m));

	m->text = xstrndup(text, len);
	m->len = len;
	m->kind = BRIDGED_STRANGE;
	m->method = "";
	if (json_parse(text, len, &m->document, NULL) >= 0)
		read_document(m);
	return m;
}

struct bridged *bridged_free(struct bridged *m)
{
	if (!m)
		return NULL;
	json_free(m->document);
	free(m->text);
	free(m);
	return NULL;
}

static const char *id_of(const cJSON *object, const char *name)
{
	const char *id = json_string(object, name);

	return id && id_is_valid(id) ? id : NULL;
}

/* In the daemon's own order; a binding by a hook, which only it knows, is left out. */
const char *bridged_claimed_session(const struct bridged *m)
{
	const cJSON *params = member(m->document, "params"), *meta = member(params, "_meta");
	const struct {
		const cJSON *object;
		const char *name;
	} places[] = {
		{ member(params, "arguments"), "session_id" },
		{ meta, "dev.previewd/sessionId" },
		{ meta, "sessionId" },
		{ meta, "threadId" },
		{ member(meta, "x-codex-turn-metadata"), "session_id" },
		{ meta, "claudecode/sessionId" },
	};

	for (size_t i = 0; i < ARRAY_SIZE(places); i++) {
		const char *id = id_of(places[i].object, places[i].name);

		if (id)
			return id;
	}
	return NULL;
}

static bool is_plain(const char *text)
{
	static const char opening[] = "=?base64?";
	size_t len = strlen(text);

	for (const char *c = text; *c; c++)
		if (*c < 0x20 || *c > 0x7e)
			return false;
	return len > 0 && text[0] != ' ' && text[len - 1] != ' ' &&
	       strncmp(text, opening, strlen(opening)) != 0;
}

char *bridged_field_value(const char *text)
{
	size_t len = strlen(text);
	scoped(freep) unsigned char *encoded = NULL;

	if (is_plain(text))
		return xstrdup(text);
	encoded = xcalloc(1, 4 * ((len + 2) / 3) + 1);
	EVP_EncodeBlock(encoded, (const unsigned char *)text, (int)len);
	return xasprintf("=?base64?%s?=", (char *)encoded);
}

char *bridged_error(const cJSON *id, const char *message)
{
	scoped(json_freep) cJSON *j = cJSON_CreateObject();
	cJSON *error;

	json_add_string(j, "jsonrpc", "2.0");
	cJSON_AddItemToObject(j, "id", id ? cJSON_Duplicate(id, true) : cJSON_CreateNull());
	error = cJSON_AddObjectToObject(j, "error");
	cJSON_AddNumberToObject(error, "code", -32603); /* an internal error */
	json_add_string(error, "message", message);
	return json_print(j);
}

char *bridged_error_with_id(const cJSON *id, const char *text, size_t len)
{
	scoped(json_freep) cJSON *j = NULL;
	const cJSON *has;

	if (json_parse(text, len, &j, NULL) < 0 || !cJSON_IsObject(member(j, "error")))
		return NULL;
	has = member(j, "id");
	if (has && !cJSON_IsNull(has))
		return NULL;
	cJSON_DeleteItemFromObjectCaseSensitive(j, "id");
	cJSON_AddItemToObject(j, "id", cJSON_Duplicate(id, true));
	return json_print(j);
}

bool bridged_is_response_to(const cJSON *id, const char *text, size_t len)
{
	scoped(json_freep) cJSON *j = NULL;

	return json_parse(text, len, &j, NULL) >= 0 && !member(j, "method") &&
	       cJSON_Compare(member(j, "id"), id, true);
}

/*
 * Streams of events, as the HTML standard has them: lines end with CR, LF or both, and an empty one
 * ends an event.
 */
void event_stream_init(struct event_stream *s, size_t max)
{
	*s = (struct event_stream){ .line = strbuf_init(max), .data = strbuf_init(max) };
}

void event_stream_done(struct event_stream *s)
{
	strbuf_done(&s->line);
	strbuf_done(&s->data);
}

static void end_line(struct event_stream *s, event_data_fn *fn, void *arg)
{
	static const char field[] = "data:";
	const char *line = strbuf_str(&s->line);

	if (s->line.len == 0 && !s->line.error) {
		if (s->has_data && !s->data.error)
			fn(strbuf_str(&s->data), s->data.len, arg);
		strbuf_reset(&s->data);
		s->has_data = false;
	} else if (strncmp(line, field, strlen(field)) == 0) {
		line += strlen(field);
		if (s->has_data)
			strbuf_putc(&s->data, '\n');
		strbuf_puts(&s->data, *line == ' ' ? line + 1 : line);
		s->has_data = true;
		if (s->line.error)
			s->data.error = s->line.error;
	}
	strbuf_reset(&s->line);
}

void event_stream_add(struct event_stream *s, const char *bytes, size_t len, event_data_fn *fn,
		      void *arg)
{
	for (size_t i = 0; i < len; i++) {
		const char c = bytes[i];

		if (c == '\n' && s->after_cr) {
			s->after_cr = false;
			continue;
		}
		s->after_cr = c == '\r';
		if (c == '\n' || c == '\r')
			end_line(s, fn, arg);
		else
			strbuf_putc(&s->line, c);
	}
}
