/* SPDX-License-Identifier: MIT */
/*
 * Text that grows up to a hard maximum.  What a client sizes goes through here: an addition that
 * doesn't fit leaves the buffer as it was and puts it in error, so that half a thing is never taken
 * for the whole.
 */
#include "base/strbuf.h"

#include <errno.h>
#include <stdio.h>
#include <string.h>

#include "base/mem.h"

#define CAPACITY_MIN 64

/* Makes room for `more` bytes and a NUL.  False once the buffer is in error. */
static bool grow(struct strbuf *b, size_t more)
{
	size_t capacity = b->capacity ? b->capacity : CAPACITY_MIN;

	if (b->error < 0)
		return false;
	/* STRBUF_UNLIMITED is half of what fits in a size_t: doubling below it cannot wrap. */
	if (b->max > STRBUF_UNLIMITED || b->len > b->max || more > b->max - b->len) {
		b->error = -EMSGSIZE;
		return false;
	}
	if (b->len + more < b->capacity)
		return true;

	while (capacity <= b->len + more)
		capacity *= 2;
	b->data = xrealloc(b->data, capacity);
	b->capacity = capacity;
	return true;
}

void strbuf_done(struct strbuf *b)
{
	free(b->data);
	*b = strbuf_init(b->max);
}

void strbuf_reset(struct strbuf *b)
{
	b->len = 0;
	b->error = 0;
	if (b->data)
		b->data[0] = '\0';
}

void strbuf_add(struct strbuf *b, const void *bytes, size_t len)
{
	if (len == 0 || !grow(b, len))
		return;

	memcpy(b->data + b->len, bytes, len);
	b->len += len;
	b->data[b->len] = '\0';
}

void strbuf_puts(struct strbuf *b, const char *s)
{
	strbuf_add(b, s, strlen(s));
}

void strbuf_putc(struct strbuf *b, char c)
{
	strbuf_add(b, &c, 1);
}

void strbuf_vprintf(struct strbuf *b, const char *format, va_list args)
{
	va_list again;
	int len;

	va_copy(again, args);
	len = vsnprintf(NULL, 0, format, args);
	if (len > 0 && grow(b, (size_t)len)) {
		vsnprintf(b->data + b->len, (size_t)len + 1, format, again);
		b->len += (size_t)len;
	}
	va_end(again);
}

void strbuf_printf(struct strbuf *b, const char *format, ...)
{
	va_list args;

	va_start(args, format);
	strbuf_vprintf(b, format, args);
	va_end(args);
}

void strbuf_consume(struct strbuf *b, size_t len)
{
	if (len > b->len)
		len = b->len;
	if (len == 0)
		return;

	b->len -= len;
	memmove(b->data, b->data + len, b->len + 1);
}

const char *strbuf_str(const struct strbuf *b)
{
	return b->data ? b->data : "";
}

char *strbuf_steal(struct strbuf *b)
{
	char *data = b->data ? STEAL(b->data) : xstrdup("");

	*b = strbuf_init(b->max);
	return data;
}

static void add_json_escape(struct strbuf *b, unsigned char c)
{
	static const char short_escapes[] = {
		['\b'] = 'b', ['\t'] = 't', ['\n'] = 'n', ['\f'] = 'f',
		['\r'] = 'r', ['"'] = '"',  ['\\'] = '\\'
	};

	if (c < sizeof(short_escapes) && short_escapes[c]) {
		strbuf_putc(b, '\\');
		strbuf_putc(b, short_escapes[c]);
		return;
	}
	strbuf_printf(b, "\\u%04x", c);
}

void strbuf_add_json_string(struct strbuf *b, const char *s)
{
	strbuf_putc(b, '"');
	while (*s) {
		size_t plain = 0;

		while ((unsigned char)s[plain] >= 0x20 && s[plain] != '"' && s[plain] != '\\')
			plain++;
		strbuf_add(b, s, plain);
		s += plain;
		if (*s)
			add_json_escape(b, (unsigned char)*s++);
	}
	strbuf_putc(b, '"');
}

static bool is_unreserved(char c)
{
	return (c >= 'A' && c <= 'Z') || (c >= 'a' && c <= 'z') || (c >= '0' && c <= '9') ||
	       c == '-' || c == '.' || c == '_' || c == '~';
}

void strbuf_add_percent(struct strbuf *b, const char *s)
{
	static const char digits[] = "0123456789ABCDEF";

	for (; *s; s++) {
		unsigned char c = (unsigned char)*s;
		const char escaped[] = { '%', digits[c >> 4], digits[c & 15] };

		if (is_unreserved(*s))
			strbuf_putc(b, *s);
		else
			strbuf_add(b, escaped, sizeof(escaped));
	}
}
