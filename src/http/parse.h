/* SPDX-License-Identifier: MIT */
#pragma once

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "base/cleanup.h"

/*
 * HTTP/1.1 requests as bytes (RFC 9112): the head, and the chunked body.
 *
 * Pure functions that allocate nothing.  Where recipients are known to disagree about what a
 * request says, and where nobody needs the odd spelling, the answer is a refusal and never a
 * guess: behind a proxy a guess is how one request becomes two.  After a refusal nothing is known
 * about what the following bytes are: answer it and close.
 */

/* A piece of the caller's bytes.  It is good as long as they stay where they are. */
struct http_view {
	const char *at;
	size_t len;
};

#define HTTP_VIEW(literal) ((struct http_view){ (literal), sizeof(literal) - 1 })

bool http_view_is(struct http_view v, const char *s);
bool http_view_is_nocase(struct http_view v, const char *s); /* ASCII */

#define HTTP_HEAD_MAX   (16 * 1024) /* bytes of a whole head */
#define HTTP_TARGET_MAX (8 * 1024)
#define HTTP_FIELDS_MAX 100

struct http_field {
	struct http_view name;
	struct http_view value; /* without the space around it; may be empty */
};

/* What follows the head.  A Content-Length of 0 is none. */
enum http_body {
	HTTP_BODY_NONE,
	HTTP_BODY_LENGTH,
	HTTP_BODY_CHUNKED,
};

struct http_head {
	struct http_view method; /* any token but CONNECT; case matters */
	struct http_view target; /* as sent: "/path?query", "http://host/path?query" or "*" */
	struct http_view host;   /* "name", "name:port", "[::1]:port"; at is NULL in 1.0 without */
	unsigned minor;          /* HTTP/1.minor: 0 or 1 */
	enum http_body body;
	uint64_t content_length; /* of HTTP_BODY_LENGTH: 1 to INT64_MAX; else 0 */
	bool keep_alive;         /* the client would go on with this connection */
	bool expect_continue;    /* it waits for 100 before it sends the body */
	bool upgrade_websocket;  /* 1.1, Connection: upgrade and Upgrade: websocket, no body */
	size_t head_len;         /* bytes up to the body */
	size_t n_fields;
	struct http_field fields[HTTP_FIELDS_MAX];
};

/* Why a request is refused, for the answer: 400, 414, 417, 431, 501 or 505, and a sentence. */
struct http_refusal {
	unsigned status;
	const char *why; /* static */
};

/*
 * Parses the request head at the start of `bytes`.
 *
 * Returns the length of the head (also in head_len) when it is whole and good; what follows is the
 * body or the next request.  Returns 0 when more bytes are needed.  Returns -EINVAL when it will
 * never be a request previewd takes; `reterr` says why.
 *
 * `scanned` saves looking at the same bytes again when the head arrives in pieces: 0 for a new
 * head, then left alone until this returned something else than 0.  It is an offset, so the bytes
 * may move in between.  NULL looks at all of them.
 *
 * `ret` holds something only when the head is good; its views point into `bytes`.
 */
int http_head_parse(const char *bytes, size_t len, size_t *scanned, struct http_head *ret,
		    struct http_refusal *reterr) must_use;

/* The first field of that name (case doesn't matter), or NULL. */
const struct http_field *http_head_field(const struct http_head *h, const char *name);

/* Its value; at is NULL when there is no such field, or more than one. */
struct http_view http_head_value(const struct http_head *h, const char *name);

/* Whether any field `name` lists `token` ("a, Upgrade" has "upgrade"): Connection and its like. */
bool http_head_has_token(const struct http_head *h, const char *name, const char *token);

/* The same in one value. */
bool http_list_has_token(struct http_view value, const char *token);

/*
 * Splits "name:port" or "[address]:port", the brackets left off, and is what decides whether a Host
 * is good.  Names have letters, digits, "-", "." and "_"; the port is 1 to 65535, 0 where none is
 * written.  Each `ret` may be NULL.
 */
int http_authority_split(struct http_view authority, struct http_view *ret_name,
			 uint16_t *ret_port) must_use;

/*
 * A chunked body.  Zeroed is the start of one.
 *
 * Extensions and trailers are held to their grammar and dropped; a trailer that would say how long
 * the message is (RFC 9110 section 6.5.1) is refused.  How much data a body may have is the
 * caller's to limit.
 */
#define HTTP_CHUNK_LINE_MAX 1024 /* bytes of a size with its extensions */
#define HTTP_TRAILERS_MAX   (8 * 1024)

struct http_chunked {
	uint64_t left;       /* bytes the present chunk still has */
	uint16_t line_bytes; /* of the present size line, or of the trailers */
	uint8_t state;       /* of the grammar; this and what follows is private */
	uint8_t name_bytes;  /* of the present trailer's name */
	uint8_t framing;     /* which names of framing fields it may still become */
};

enum http_chunked_step {
	HTTP_CHUNKED_MORE, /* all was taken; more bytes are needed */
	HTTP_CHUNKED_DATA, /* `ret_data` has some of the body, never empty; there may be more */
	HTTP_CHUNKED_END,  /* what follows is the next request */
};

/*
 * Takes `*ret_consumed` bytes off the front and returns a step, or -EINVAL when this is no chunked
 * body and -EMSGSIZE when a limit above is passed; then it fails for good.  `ret_data` points into
 * `bytes`.  However the body is cut, the same data and the same verdict come out.
 */
int http_chunked_decode(struct http_chunked *c, const char *bytes, size_t len, size_t *ret_consumed,
			struct http_view *ret_data) must_use;
