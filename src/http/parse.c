/* SPDX-License-Identifier: MIT */
/*
 * The request head.  First its end is looked for, cheaply and each byte once; only a whole head is
 * parsed, in one pass from left to right.  Each rule that refuses a request stands beside the
 * sentence the client is told.
 */
#include "http/parse.h"

#include <arpa/inet.h>
#include <errno.h>
#include <string.h>
#include <strings.h>

#include "http/chars.h"

/* clang-format off */
#define T HTTP_CHAR_TOKEN
#define V HTTP_CHAR_VALUE
#define G HTTP_CHAR_TARGET
#define H HTTP_CHAR_HOST
const uint8_t http_chars[256] = {
	['\t'] = V,		[' '] = V,
	['!'] = T | V | G,	['"'] = V | G,		['#'] = T | V,
	['$' ... '\''] = T | V | G,
	['(' ... ')'] = V | G,	['*' ... '+'] = T | V | G,
	[','] = V | G,		['-' ... '.'] = T | V | G | H,
	['/'] = V | G,		['0' ... '9'] = T | V | G | H,
	[':' ... '@'] = V | G,	['A' ... 'Z'] = T | V | G | H,
	['[' ... ']'] = V | G,	['^'] = T | V | G,
	['_'] = T | V | G | H,	['`'] = T | V | G,
	['a' ... 'z'] = T | V | G | H,
	['{'] = V | G,		['|'] = T | V | G,
	['}'] = V | G,		['~'] = T | V | G,
	[0x80 ... 0xff] = V,
};
#undef T
#undef V
#undef G
#undef H
/* clang-format on */

/* What is left of a head that is known to end with an empty line; so `at` never runs past `end`. */
struct cursor {
	const char *at;
	const char *end;
};

/* What the fields said, until all are read and can be weighed against each other. */
struct saying {
	struct http_view authority; /* of an absolute-form target */
	bool has_length;
	bool has_coding;
	bool expects;
	bool closes;
	bool keeps;
	bool upgrades;
	bool to_websocket;
};

static int refuse(struct http_refusal *reterr, unsigned status, const char *why)
{
	if (reterr)
		*reterr = (struct http_refusal){ .status = status, .why = why };
	return -EINVAL;
}

bool http_view_is(struct http_view v, const char *s)
{
	return v.len == strlen(s) && (v.len == 0 || memcmp(v.at, s, v.len) == 0);
}

bool http_view_is_nocase(struct http_view v, const char *s)
{
	return v.len == strlen(s) && (v.len == 0 || strncasecmp(v.at, s, v.len) == 0);
}

static bool is_space(char c)
{
	return c == ' ' || c == '\t';
}

static struct http_view trim(struct http_view v)
{
	while (v.len > 0 && is_space(v.at[0]))
		v = (struct http_view){ v.at + 1, v.len - 1 };
	while (v.len > 0 && is_space(v.at[v.len - 1]))
		v.len--;
	return v;
}

/* Takes what it can of the kind; may be nothing. */
static struct http_view take(struct cursor *c, enum http_char kind)
{
	const char *from = c->at;

	while (c->at < c->end && http_char_is(*c->at, kind))
		c->at++;
	return (struct http_view){ from, (size_t)(c->at - from) };
}

static bool take_literal(struct cursor *c, const char *s, size_t len)
{
	if ((size_t)(c->end - c->at) < len || memcmp(c->at, s, len) != 0)
		return false;

	c->at += len;
	return true;
}

static bool take_crlf(struct cursor *c)
{
	return take_literal(c, "\r\n", 2);
}

/*
 * Looks for the empty line.  Returns 1 when it is there and then where the head starts and ends, 0
 * when it may still come, else refuses.  What can already be told to be no HTTP (a TLS hello, a
 * line that ends without CR) is refused before the end comes: it may never.
 */
static int find_end(const char *bytes, size_t len, size_t *scanned, size_t *ret_start,
		    size_t *ret_end, struct http_refusal *reterr)
{
	size_t window = len < HTTP_HEAD_MAX ? len : HTTP_HEAD_MAX;
	size_t start = 0;
	size_t i;

	/* RFC 9112 section 2.2: some clients send an empty line behind a body */
	if (len > 0 && bytes[0] == '\r') {
		if (len > 1 && bytes[1] != '\n')
			return refuse(reterr, 400, "a CR without LF before the request");
		start = 2;
	}
	if (len <= start)
		return 0;
	if (!http_char_is(bytes[start], HTTP_CHAR_TOKEN))
		return refuse(reterr, 400,
			      "this is no HTTP request: it doesn't start with a method");

	for (i = *scanned > start ? *scanned : start; i < window; i++) {
		const char *lf = memchr(bytes + i, '\n', window - i);

		if (!lf)
			break;
		if (lf[-1] != '\r')
			return refuse(reterr, 400, "a line ends with LF, not with CR LF");
		if (lf[-2] == '\n') {
			*ret_start = start;
			*ret_end = (size_t)(lf - bytes) + 1;
			return 1;
		}
		i = (size_t)(lf - bytes);
	}
	*scanned = window;

	if (window < HTTP_HEAD_MAX)
		return 0;
	if (!memchr(bytes + start, '\n', window - start))
		return refuse(reterr, 414, "the request line is longer than 16 KiB");
	return refuse(reterr, 431, "the request head is larger than 16 KiB");
}

static int parse_version(struct cursor *c, unsigned *ret_minor, struct http_refusal *reterr)
{
	char major, minor;

	if (!take_literal(c, "HTTP/", 5) || c->end - c->at < 5)
		return refuse(reterr, 400, "the request line isn't \"METHOD TARGET HTTP/1.1\"");
	major = c->at[0];
	minor = c->at[2];
	if (major < '0' || major > '9' || c->at[1] != '.' || minor < '0' || minor > '9')
		return refuse(reterr, 400, "the HTTP version is no version");
	c->at += 3;
	if (!take_crlf(c))
		return refuse(reterr, 400, "the request line goes on behind the HTTP version");

	if (major != '1' || minor > '1')
		return refuse(reterr, 505, "only HTTP/1.1 and HTTP/1.0 are spoken here");
	*ret_minor = (unsigned)(minor - '0');
	return 0;
}

/* The authority of "http://authority/..."; at is NULL when the target isn't of that form. */
static struct http_view absolute_authority(struct http_view target)
{
	static const char *const schemes[] = { "http://", "https://" };

	for (size_t i = 0; i < ARRAY_SIZE(schemes); i++) {
		size_t n = strlen(schemes[i]);
		struct http_view v;

		if (target.len < n || strncasecmp(target.at, schemes[i], n) != 0)
			continue;
		v = (struct http_view){ target.at + n, 0 };
		while (n + v.len < target.len && v.at[v.len] != '/' && v.at[v.len] != '?')
			v.len++;
		return v;
	}
	return (struct http_view){ 0 };
}

static int check_target(const struct http_head *h, struct saying *s, struct http_refusal *reterr)
{
	if (h->target.at[0] == '/')
		return 0;
	if (http_view_is(h->target, "*")) {
		if (http_view_is(h->method, "OPTIONS"))
			return 0;
		return refuse(reterr, 400, "only OPTIONS has the target \"*\"");
	}

	s->authority = absolute_authority(h->target);
	if (!s->authority.at)
		return refuse(reterr, 400, "the target is neither a path nor an http URL");
	if (http_authority_split(s->authority, NULL, NULL) < 0)
		return refuse(reterr, 400, "the target's host is malformed");
	return 0;
}

static int parse_request_line(struct cursor *c, struct http_head *h, struct saying *s,
			      struct http_refusal *reterr)
{
	int r;

	h->method = take(c, HTTP_CHAR_TOKEN);
	if (h->method.len == 0 || !take_literal(c, " ", 1))
		return refuse(reterr, 400, "the request doesn't start with a method and a space");

	h->target = take(c, HTTP_CHAR_TARGET);
	if (h->target.len > HTTP_TARGET_MAX)
		return refuse(reterr, 414, "the target is longer than 8 KiB");
	if (h->target.len == 0 || !take_literal(c, " ", 1))
		return refuse(reterr, 400,
			      "the target is empty or has a character that isn't allowed");

	r = parse_version(c, &h->minor, reterr);
	if (r < 0)
		return r;

	/* it has a target form of its own, and previewd is no proxy */
	if (http_view_is(h->method, "CONNECT"))
		return refuse(reterr, 501, "CONNECT is not implemented");
	return check_target(h, s, reterr);
}

static int on_host(struct http_head *h, struct saying *s, struct http_view value,
		   struct http_refusal *reterr)
{
	(void)s;
	if (h->host.at)
		return refuse(reterr, 400, "two Host fields");
	if (http_authority_split(value, NULL, NULL) < 0)
		return refuse(reterr, 400, "the Host field is malformed");

	h->host = value;
	return 0;
}

static int on_content_length(struct http_head *h, struct saying *s, struct http_view value,
			     struct http_refusal *reterr)
{
	uint64_t n = 0;

	if (s->has_length)
		return refuse(reterr, 400, "two Content-Length fields");
	/* 19 digits and the check below keep it inside of int64_t, for whoever adds to it */
	if (value.len == 0 || value.len > 19)
		return refuse(reterr, 400, "the Content-Length is no length");
	for (size_t i = 0; i < value.len; i++) {
		if (value.at[i] < '0' || value.at[i] > '9')
			return refuse(reterr, 400, "the Content-Length is no length");
		n = n * 10 + (uint64_t)(value.at[i] - '0');
	}
	if (n > INT64_MAX)
		return refuse(reterr, 400, "the Content-Length is no length");

	s->has_length = true;
	h->content_length = n;
	return 0;
}

static int on_transfer_encoding(struct http_head *h, struct saying *s, struct http_view value,
				struct http_refusal *reterr)
{
	if (s->has_coding)
		return refuse(reterr, 400, "two Transfer-Encoding fields");
	if (h->minor == 0)
		return refuse(reterr, 400, "HTTP/1.0 has no Transfer-Encoding");
	if (value.len == 0)
		return refuse(reterr, 400, "the Transfer-Encoding is empty");
	if (!http_view_is_nocase(value, "chunked"))
		return refuse(reterr, 501, "the only Transfer-Encoding spoken here is chunked");

	s->has_coding = true;
	return 0;
}

static int on_connection(struct http_head *h, struct saying *s, struct http_view value,
			 struct http_refusal *reterr)
{
	(void)h;
	(void)reterr;
	s->closes |= http_list_has_token(value, "close");
	s->keeps |= http_list_has_token(value, "keep-alive");
	s->upgrades |= http_list_has_token(value, "upgrade");
	return 0;
}

static int on_upgrade(struct http_head *h, struct saying *s, struct http_view value,
		      struct http_refusal *reterr)
{
	(void)h;
	(void)reterr;
	s->to_websocket |= http_list_has_token(value, "websocket");
	return 0;
}

static int on_expect(struct http_head *h, struct saying *s, struct http_view value,
		     struct http_refusal *reterr)
{
	(void)h;
	if (!http_view_is_nocase(value, "100-continue"))
		return refuse(reterr, 417, "the only expectation met here is 100-continue");

	s->expects = true;
	return 0;
}

/* The fields that decide where a request ends, and what else the connection needs to know. */
static const struct known_field {
	const char *name;
	int (*on)(struct http_head *h, struct saying *s, struct http_view value,
		  struct http_refusal *reterr);
} known_fields[] = {
	{ "host", on_host },
	{ "content-length", on_content_length },
	{ "transfer-encoding", on_transfer_encoding },
	{ "connection", on_connection },
	{ "upgrade", on_upgrade },
	{ "expect", on_expect },
};

static int parse_field(struct cursor *c, struct http_head *h, struct saying *s,
		       struct http_refusal *reterr)
{
	struct http_field *f = &h->fields[h->n_fields];

	if (h->n_fields == HTTP_FIELDS_MAX)
		return refuse(reterr, 431, "more than 100 header fields");
	if (is_space(*c->at))
		return refuse(reterr, 400, "a header line starts with space (folding is obsolete)");

	f->name = take(c, HTTP_CHAR_TOKEN);
	if (f->name.len == 0 || !take_literal(c, ":", 1))
		return refuse(reterr, 400, "a header line isn't \"Name: value\"");
	f->value = trim(take(c, HTTP_CHAR_VALUE));
	if (!take_crlf(c))
		return refuse(reterr, 400, "a header value has a control character");
	h->n_fields++;

	for (size_t i = 0; i < ARRAY_SIZE(known_fields); i++)
		if (http_view_is_nocase(f->name, known_fields[i].name))
			return known_fields[i].on(h, s, f->value, reterr);
	return 0;
}

static bool same_nocase(struct http_view a, struct http_view b)
{
	return a.len == b.len && strncasecmp(a.at, b.at, a.len) == 0;
}

static int conclude(struct http_head *h, const struct saying *s, struct http_refusal *reterr)
{
	if (h->minor == 1 && !h->host.at)
		return refuse(reterr, 400, "HTTP/1.1 without a Host field");
	if (s->authority.at && h->host.at && !same_nocase(s->authority, h->host))
		return refuse(reterr, 400, "the target and the Host field name different hosts");
	if (s->authority.at)
		h->host = s->authority;

	/* RFC 9112 section 6.1 lets a server take it; every smuggled request says both */
	if (s->has_length && s->has_coding)
		return refuse(reterr, 400, "both Content-Length and Transfer-Encoding");
	if (s->has_coding)
		h->body = HTTP_BODY_CHUNKED;
	else if (h->content_length > 0)
		h->body = HTTP_BODY_LENGTH;

	h->keep_alive = !s->closes && (h->minor == 1 || s->keeps);
	/* RFC 9110 section 10.1.1: a 1.0 client doesn't know of 100 */
	h->expect_continue = s->expects && h->minor == 1 && h->body != HTTP_BODY_NONE;
	h->upgrade_websocket =
		s->upgrades && s->to_websocket && h->minor == 1 && h->body == HTTP_BODY_NONE;
	return 0;
}

/* Empties all but the array, which is 3 KiB and counted by n_fields. */
static void clear(struct http_head *h)
{
	memset(h, 0, offsetof(struct http_head, fields));
}

int http_head_parse(const char *bytes, size_t len, size_t *scanned, struct http_head *ret,
		    struct http_refusal *reterr)
{
	size_t from_the_start = 0;
	size_t start, end;
	struct saying s = { 0 };
	struct cursor c;
	int r;

	r = find_end(bytes, len, scanned ?: &from_the_start, &start, &end, reterr);
	if (r <= 0)
		return r;

	clear(ret);
	ret->head_len = end;
	c = (struct cursor){ bytes + start, bytes + end };
	r = parse_request_line(&c, ret, &s, reterr);
	if (r < 0)
		return r;

	while (!take_crlf(&c)) {
		r = parse_field(&c, ret, &s, reterr);
		if (r < 0)
			return r;
	}

	r = conclude(ret, &s, reterr);
	if (r < 0)
		return r;
	return (int)ret->head_len;
}

const struct http_field *http_head_field(const struct http_head *h, const char *name)
{
	for (size_t i = 0; i < h->n_fields; i++)
		if (http_view_is_nocase(h->fields[i].name, name))
			return &h->fields[i];
	return NULL;
}

struct http_view http_head_value(const struct http_head *h, const char *name)
{
	struct http_view value = { 0 };

	for (size_t i = 0; i < h->n_fields; i++) {
		if (!http_view_is_nocase(h->fields[i].name, name))
			continue;
		if (value.at)
			return (struct http_view){ 0 };
		value = h->fields[i].value;
	}
	return value;
}

bool http_list_has_token(struct http_view value, const char *token)
{
	const char *end = value.at + value.len;
	const char *at = value.at;

	while (at < end) {
		const char *comma = memchr(at, ',', (size_t)(end - at)) ?: end;

		if (http_view_is_nocase(trim((struct http_view){ at, (size_t)(comma - at) }),
					token))
			return true;
		at = comma + 1;
	}
	return false;
}

bool http_head_has_token(const struct http_head *h, const char *name, const char *token)
{
	for (size_t i = 0; i < h->n_fields; i++)
		if (http_view_is_nocase(h->fields[i].name, name) &&
		    http_list_has_token(h->fields[i].value, token))
			return true;
	return false;
}

static bool is_ipv6(struct http_view v)
{
	char text[INET6_ADDRSTRLEN];
	struct in6_addr address;

	if (v.len >= sizeof(text))
		return false;
	memcpy(text, v.at, v.len);
	text[v.len] = '\0';
	return inet_pton(AF_INET6, text, &address) == 1;
}

static int parse_port(struct http_view v, uint16_t *ret)
{
	unsigned port = 0;

	if (v.len == 0 || v.len > 5)
		return -EINVAL;
	for (size_t i = 0; i < v.len; i++) {
		if (v.at[i] < '0' || v.at[i] > '9')
			return -EINVAL;
		port = port * 10 + (unsigned)(v.at[i] - '0');
	}
	if (port == 0 || port > UINT16_MAX)
		return -EINVAL;

	*ret = (uint16_t)port;
	return 0;
}

int http_authority_split(struct http_view authority, struct http_view *ret_name, uint16_t *ret_port)
{
	struct cursor c;
	struct http_view name;
	uint16_t port = 0;

	if (authority.len == 0) /* then `at` may be NULL */
		return -EINVAL;

	c = (struct cursor){ authority.at, authority.at + authority.len };
	if (authority.at[0] == '[') {
		const char *bracket = memchr(c.at, ']', authority.len);

		if (!bracket)
			return -EINVAL;
		name = (struct http_view){ c.at + 1, (size_t)(bracket - c.at) - 1 };
		if (!is_ipv6(name))
			return -EINVAL;
		c.at = bracket + 1;
	} else {
		name = take(&c, HTTP_CHAR_HOST);
		if (name.len == 0 || name.len > 253)
			return -EINVAL;
	}

	if (take_literal(&c, ":", 1)) {
		if (parse_port((struct http_view){ c.at, (size_t)(c.end - c.at) }, &port) < 0)
			return -EINVAL;
	} else if (c.at != c.end) {
		return -EINVAL;
	}

	if (ret_name)
		*ret_name = name;
	if (ret_port)
		*ret_port = port;
	return 0;
}
