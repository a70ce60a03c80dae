/* SPDX-License-Identifier: MIT */
#pragma once

#include <cjson/cJSON.h>
#include <stdbool.h>
#include <stddef.h>

#include "base/cleanup.h"
#include "base/strbuf.h"

/*
 * Messages of the Model Context Protocol, as far as a bridge from stdio to HTTP has to understand
 * them: it passes on what was written, byte for byte.
 */
enum bridged_kind {
	BRIDGED_REQUEST,      /* wants an answer */
	BRIDGED_NOTIFICATION, /* wants none */
	BRIDGED_RESPONSE,     /* to a request of the server's */
	BRIDGED_STRANGE,      /* no message: the server says so */
};

struct bridged {
	enum bridged_kind kind;
	char *text;
	size_t len;
	cJSON *document;     /* NULL where it is no JSON; the rest is borrowed from it */
	const cJSON *id;     /* of a request */
	const char *method;  /* "" of a response */
	const char *version; /* of a stateless request (from 2026-07-28 on); else NULL */
	const char *name;    /* what such a request names: a tool, a prompt, a resource; or NULL */
};

struct bridged *bridged_new(const char *text, size_t len);
struct bridged *bridged_free(struct bridged *m);
DEFINE_CLEANUP(struct bridged *, bridged_free)

/* Which session a call of a tool says it is for; NULL where it doesn't.  A claim: borrowed. */
const char *bridged_claimed_session(const struct bridged *m);

/* As a header field's value: what isn't plain ASCII goes as "=?base64?...?=".  The caller frees. */
char *bridged_field_value(const char *text);

/* {"jsonrpc":"2.0","id":...,"error":{...}} as a line without its end; the caller frees. */
char *bridged_error(const cJSON *id, const char *message);

/* An error that answers the request though it doesn't say so; NULL where `text` is none. */
char *bridged_error_with_id(const cJSON *id, const char *text, size_t len);

/* Whether `text` is the response to the request of that id. */
bool bridged_is_response_to(const cJSON *id, const char *text, size_t len);

/*
 * A stream of events (text/event-stream), cut into the data of each.  `max` bounds one of them:
 * what is longer is left out.
 */
struct event_stream {
	struct strbuf line, data;
	bool has_data, after_cr;
};

typedef void event_data_fn(const char *data, size_t len, void *arg);

void event_stream_init(struct event_stream *s, size_t max);
void event_stream_done(struct event_stream *s);
void event_stream_add(struct event_stream *s, const char *bytes, size_t len, event_data_fn *fn,
		      void *arg);
