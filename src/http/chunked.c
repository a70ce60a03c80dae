/* SPDX-License-Identifier: MIT */
/*
 * The chunked body (RFC 9112 section 7.1): its framing goes through the grammar byte by byte, its
 * data in pieces as large as they come.  So a cut anywhere in the body changes nothing.
 */
#include <errno.h>

#include "base/parse.h"
#include "http/chars.h"
#include "http/parse.h"

/* Named by what comes next. */
enum state {
	SIZE_FIRST,
	SIZE,
	EXT_NAME_FIRST,
	EXT_NAME,
	EXT_VALUE_FIRST,
	EXT_TOKEN,
	EXT_QUOTED,
	EXT_QUOTED_PAIR,
	EXT_NEXT,
	SIZE_LF,
	DATA,
	DATA_CR,
	DATA_LF,
	TRAILER_FIRST,
	TRAILER_NAME,
	TRAILER_VALUE,
	TRAILER_LF,
	END_LF,
	END,
	MALFORMED,
	TOO_LONG,
};

static enum state on_size_digit(struct http_chunked *c, char b)
{
	/* the line has nothing but digits up to here */
	if (c->line_bytes > 16 || c->left > INT64_MAX >> 4)
		return MALFORMED;

	c->left = c->left << 4 | (uint64_t)hex_digit(b);
	return SIZE;
}

/* What may stand behind a size or a finished extension. */
static enum state on_size_end(char b)
{
	if (b == ';')
		return EXT_NAME_FIRST;
	return b == '\r' ? SIZE_LF : MALFORMED;
}

static enum state on_size_lf(struct http_chunked *c, char b)
{
	c->line_bytes = 0;
	if (b != '\n')
		return MALFORMED;
	return c->left > 0 ? DATA : TRAILER_FIRST;
}

static enum state only(char b, char wanted, enum state next)
{
	return b == wanted ? next : MALFORMED;
}

/*
 * What must not stand in trailers, for somebody might still believe it.  The name arrives byte by
 * byte, so a bit for each says whether it could be that one.
 */
static const char *const framing_names[] = { "content-length", "transfer-encoding", "host" };

static enum state on_trailer_name(struct http_chunked *c, char b)
{
	char lower = b >= 'A' && b <= 'Z' ? (char)(b | 0x20) : b;

	for (size_t i = 0; i < ARRAY_SIZE(framing_names); i++)
		if (c->framing & 1 << i && framing_names[i][c->name_bytes] != lower)
			c->framing &= (uint8_t) ~(1 << i);
	if (c->framing) /* else the count doesn't matter any more, and could overflow */
		c->name_bytes++;
	return TRAILER_NAME;
}

static enum state on_trailer_colon(const struct http_chunked *c)
{
	for (size_t i = 0; i < ARRAY_SIZE(framing_names); i++)
		if (c->framing & 1 << i && framing_names[i][c->name_bytes] == '\0')
			return MALFORMED;
	return TRAILER_VALUE;
}

/* The state after one byte of framing. */
static enum state next_state(struct http_chunked *c, char b)
{
	switch ((enum state)c->state) {
	case SIZE_FIRST:
		return hex_digit(b) >= 0 ? on_size_digit(c, b) : MALFORMED;
	case SIZE:
		return hex_digit(b) >= 0 ? on_size_digit(c, b) : on_size_end(b);

	case EXT_NAME_FIRST:
		return http_char_is(b, HTTP_CHAR_TOKEN) ? EXT_NAME : MALFORMED;
	case EXT_NAME:
		if (http_char_is(b, HTTP_CHAR_TOKEN))
			return EXT_NAME;
		return b == '=' ? EXT_VALUE_FIRST : on_size_end(b);
	case EXT_VALUE_FIRST:
		if (b == '"')
			return EXT_QUOTED;
		return http_char_is(b, HTTP_CHAR_TOKEN) ? EXT_TOKEN : MALFORMED;
	case EXT_TOKEN:
		return http_char_is(b, HTTP_CHAR_TOKEN) ? EXT_TOKEN : on_size_end(b);
	case EXT_QUOTED:
		if (b == '"')
			return EXT_NEXT;
		if (b == '\\')
			return EXT_QUOTED_PAIR;
		return http_char_is(b, HTTP_CHAR_VALUE) ? EXT_QUOTED : MALFORMED;
	case EXT_QUOTED_PAIR:
		return http_char_is(b, HTTP_CHAR_VALUE) ? EXT_QUOTED : MALFORMED;
	case EXT_NEXT:
		return on_size_end(b);
	case SIZE_LF:
		return on_size_lf(c, b);

	case DATA_CR:
		return only(b, '\r', DATA_LF);
	case DATA_LF:
		c->line_bytes = 0;
		return only(b, '\n', SIZE_FIRST);

	case TRAILER_FIRST:
		if (b == '\r')
			return END_LF;
		c->name_bytes = 0;
		c->framing = (1 << ARRAY_SIZE(framing_names)) - 1;
		return http_char_is(b, HTTP_CHAR_TOKEN) ? on_trailer_name(c, b) : MALFORMED;
	case TRAILER_NAME:
		if (http_char_is(b, HTTP_CHAR_TOKEN))
			return on_trailer_name(c, b);
		return b == ':' ? on_trailer_colon(c) : MALFORMED;
	case TRAILER_VALUE:
		if (http_char_is(b, HTTP_CHAR_VALUE))
			return TRAILER_VALUE;
		return only(b, '\r', TRAILER_LF);
	case TRAILER_LF:
		return only(b, '\n', TRAILER_FIRST);
	case END_LF:
		return only(b, '\n', END);

	case DATA:
	case END:
	case MALFORMED:
	case TOO_LONG:
		break;
	}
	return MALFORMED;
}

static bool in_trailers(const struct http_chunked *c)
{
	return c->state >= TRAILER_FIRST && c->state <= END_LF;
}

static void take_framing(struct http_chunked *c, char b)
{
	size_t max = in_trailers(c) ? HTTP_TRAILERS_MAX : HTTP_CHUNK_LINE_MAX;

	c->state = ++c->line_bytes > max ? TOO_LONG : next_state(c, b);
}

static struct http_view take_data(struct http_chunked *c, const char *bytes, size_t len)
{
	size_t n = c->left < len ? (size_t)c->left : len;

	c->left -= n;
	if (c->left == 0)
		c->state = DATA_CR;
	return (struct http_view){ bytes, n };
}

int http_chunked_decode(struct http_chunked *c, const char *bytes, size_t len, size_t *ret_consumed,
			struct http_view *ret_data)
{
	size_t i = 0;

	while (i < len && c->state < END && c->state != DATA)
		take_framing(c, bytes[i++]);

	if (c->state == MALFORMED)
		return -EINVAL;
	if (c->state == TOO_LONG)
		return -EMSGSIZE;

	*ret_consumed = i;
	if (c->state == END)
		return HTTP_CHUNKED_END;
	if (i == len)
		return HTTP_CHUNKED_MORE;

	*ret_data = take_data(c, bytes + i, len - i);
	*ret_consumed = i + ret_data->len;
	return HTTP_CHUNKED_DATA;
}
