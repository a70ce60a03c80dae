/* SPDX-License-Identifier: MIT */
/*
 * The address that a page was made for is in what a bundler or a framework put out, and so in data
 * that was put into strings, scripts and addresses on its way.  Each of those has its own way to
 * write a slash.
 */
#include "publish/rebase.h"

#include <string.h>

#include "base/cleanup.h"

#define BACKSLASHES_MAX 15 /* strings in strings in strings in strings */
#define SPELLING_MAX    40

/* How each character that is no letter or digit was written, from the first on. */
struct spellings {
	struct spelling {
		char c;
		size_t len;
		const char *at;
	} list[64];
	size_t n;
};

static int hex_value(char c)
{
	if (c >= '0' && c <= '9')
		return c - '0';
	c |= 0x20;
	return c >= 'a' && c <= 'f' ? c - 'a' + 10 : -1;
}

/* The number of exactly `digits` digits at `at`, or -1. */
static int hex_number(const char *at, const char *end, size_t digits)
{
	int n = 0;

	if ((size_t)(end - at) < digits)
		return -1;
	for (size_t i = 0; i < digits; i++) {
		int value = hex_value(at[i]);

		if (value < 0)
			return -1;
		n = n << 4 | value;
	}
	return n;
}

static bool is(int number, char c)
{
	return number == (unsigned char)c;
}

/* "\/", "\u002f", "\x2f", with as many backslashes as the strings are deep. */
static size_t match_escape(const char *at, const char *end, char c)
{
	const char *p = at;

	while (p < end && *p == '\\' && p - at < BACKSLASHES_MAX)
		p++;
	if (p == at || p == end)
		return 0;
	if (*p == 'u' && is(hex_number(p + 1, end, 4), c))
		return (size_t)(p + 5 - at);
	if (*p == 'x' && is(hex_number(p + 1, end, 2), c))
		return (size_t)(p + 3 - at);
	return *p == c && c == '/' ? (size_t)(p + 1 - at) : 0;
}

/* "%2F", and "%252F", which is that once more. */
static size_t match_percent(const char *at, const char *end, char c)
{
	const char *p = at + 1;

	while (end - p >= 2 && p[0] == '2' && p[1] == '5' && p - at < SPELLING_MAX - 2)
		p += 2;
	if (c == '%')
		return p > at + 1 ? (size_t)(p - at) : 0;
	if (is(hex_number(p, end, 2), c))
		return (size_t)(p + 2 - at);
	return 0;
}

/* "&#x2F;" and "&#47;". */
static size_t match_reference(const char *at, const char *end, char c)
{
	const char *p = at + 2;
	const bool is_hex = end - at > 2 && (*p | 0x20) == 'x';
	const int base = is_hex ? 16 : 10;
	int n = 0;

	if (end - at <= 3 || at[1] != '#')
		return 0;
	p += is_hex;
	for (const char *first = p; p < end && *p != ';'; p++) {
		int value = hex_value(*p);

		if (value < 0 || value >= base || p - first >= 6)
			return 0;
		n = n * base + value;
	}
	return p < end && is(n, c) ? (size_t)(p + 1 - at) : 0;
}

/* How many bytes at `at` stand for that character; 0: none do. */
static size_t match_char(const char *at, const char *end, char c)
{
	if (at == end)
		return 0;
	if (*at == c && c != '%')
		return 1;
	switch (*at) {
	case '\\':
		return match_escape(at, end, c);
	case '%': {
		size_t len = match_percent(at, end, c);

		return len == 0 && c == '%' ? 1 : len;
	}
	case '&':
		return match_reference(at, end, c);
	default:
		return 0;
	}
}

static bool is_plain(char c)
{
	return (c >= '0' && c <= '9') || (c >= 'a' && c <= 'z') || (c >= 'A' && c <= 'Z');
}

/* The bytes at `at` that are `what`, and how they are written; 0 if they aren't. */
static size_t match(const char *at, const char *end, const char *what, struct spellings *ret)
{
	const char *p = at;

	ret->n = 0;
	for (; *what; what++) {
		size_t len = match_char(p, end, *what);

		if (len == 0)
			return 0;
		if (!is_plain(*what) && ret->n < ARRAY_SIZE(ret->list))
			ret->list[ret->n++] = (struct spelling){ *what, len, p };
		p += len;
	}
	return (size_t)(p - at);
}

/* The third slash as the third was, and those that there were not as the last. */
static const struct spelling *spelling_of(const struct spellings *s, char c, size_t nth)
{
	const struct spelling *last = NULL;

	for (size_t i = 0; i < s->n; i++) {
		if (s->list[i].c != c)
			continue;
		last = &s->list[i];
		if (nth-- == 0)
			break;
	}
	return last;
}

static void put(struct strbuf *out, const char *what, const struct spellings *spellings)
{
	size_t seen[256] = { 0 };

	for (; *what; what++) {
		const struct spelling *s =
			is_plain(*what)
				? NULL
				: spelling_of(spellings, *what, seen[(unsigned char)*what]++);

		if (s)
			strbuf_add(out, s->at, s->len);
		else
			strbuf_putc(out, *what);
	}
}

size_t rebase_text(const char *text, size_t len, const char *from, const char *to,
		   struct strbuf *out)
{
	const char *const end = text + len;
	const char *done = text;
	size_t n = 0;

	for (const char *at = text; at < end && out->error >= 0;) {
		struct spellings spellings;
		size_t found = 0;

		if (*at == from[0] || *at == '\\' || *at == '%' || *at == '&')
			found = match(at, end, from, &spellings);
		if (found == 0) {
			at++;
			continue;
		}
		strbuf_add(out, done, (size_t)(at - done));
		put(out, to, &spellings);
		at += found;
		done = at;
		n++;
	}
	strbuf_add(out, done, (size_t)(end - done));
	return n;
}
