/* SPDX-License-Identifier: MIT */
/*
 * Strict parsing of what people write into settings, paths and queries.  All of it is pure: bytes
 * in, a value or an error out.  Where a text is both malformed and too large, it is malformed.
 */
#include "base/parse.h"

#include <errno.h>
#include <inttypes.h>
#include <stdio.h>
#include <string.h>

#include "base/mem.h"

#define BLANKS " \t\r\n"

/*
 * Takes the digits at *s off the text.  What doesn't fit reads UINT64_MAX with *overflow set, so
 * that the caller can look at the rest before it says -ERANGE.
 */
static bool take_digits(const char **s, uint64_t *ret, bool *overflow)
{
	const char *start = *s;
	uint64_t value = 0;
	bool too_large = false;

	for (; **s >= '0' && **s <= '9'; (*s)++) {
		too_large |= __builtin_mul_overflow(value, UINT64_C(10), &value);
		too_large |= __builtin_add_overflow(value, (uint64_t)(**s - '0'), &value);
	}
	*ret = too_large ? UINT64_MAX : value;
	*overflow |= too_large;
	return *s > start;
}

int parse_u64(const char *s, uint64_t *ret)
{
	uint64_t value;
	bool overflow = false;

	if (!take_digits(&s, &value, &overflow) || *s)
		return -EINVAL;
	if (overflow)
		return -ERANGE;
	*ret = value;
	return 0;
}

int parse_uint(const char *s, unsigned min, unsigned max, unsigned *ret)
{
	uint64_t value;
	int r;

	r = parse_u64(s, &value);
	if (r < 0)
		return r;
	if (value < min || value > max)
		return -ERANGE;
	*ret = (unsigned)value;
	return 0;
}

int parse_bool(const char *s, bool *ret)
{
	static const struct {
		const char *word;
		bool value;
	} words[] = {
		{ "yes", true }, { "true", true },   { "on", true },   { "1", true },
		{ "no", false }, { "false", false }, { "off", false }, { "0", false },
	};

	for (size_t i = 0; i < ARRAY_SIZE(words); i++) {
		if (strcmp(s, words[i].word) == 0) {
			*ret = words[i].value;
			return 0;
		}
	}
	return -EINVAL;
}

/* Largest first: that is the order in which they may follow each other. */
static const struct {
	const char *name;
	usec_t usec;
} duration_units[] = {
	{ "d", 86400 * USEC_PER_SEC }, { "h", 3600 * USEC_PER_SEC }, { "m", 60 * USEC_PER_SEC },
	{ "s", USEC_PER_SEC },         { "ms", USEC_PER_MSEC },      { "us", 1 },
};

/* Takes a unit smaller than the one before; its index, or -EINVAL. */
static int take_duration_unit(const char **s, size_t from)
{
	const size_t len = strspn(*s, "abcdefghijklmnopqrstuvwxyz");

	for (size_t i = from; i < ARRAY_SIZE(duration_units); i++) {
		const char *name = duration_units[i].name;

		if (strlen(name) == len && strncmp(*s, name, len) == 0) {
			*s += len;
			return (int)i;
		}
	}
	return -EINVAL;
}

int parse_duration(const char *s, usec_t *ret)
{
	usec_t total = 0;
	uint64_t n;
	bool overflow = false;

	if (strcmp(s, "infinity") == 0) {
		*ret = USEC_INFINITY;
		return 0;
	}
	if (parse_u64(s, &n) == 0) {
		if (__builtin_mul_overflow(n, USEC_PER_SEC, &total))
			return -ERANGE;
		*ret = total;
		return 0;
	}

	for (size_t next_unit = 0; next_unit == 0 || *s;) {
		usec_t part;
		int unit;

		if (!take_digits(&s, &n, &overflow))
			return -EINVAL;
		if (next_unit == 0 && !*s && overflow)
			return -ERANGE;
		unit = take_duration_unit(&s, next_unit);
		if (unit < 0)
			return unit;
		next_unit = (size_t)unit + 1;
		overflow |= __builtin_mul_overflow(n, duration_units[unit].usec, &part);
		overflow |= __builtin_add_overflow(total, part, &total);
	}
	/* The largest number is infinity's, which has its own word. */
	if (overflow || total == USEC_INFINITY)
		return -ERANGE;
	*ret = total;
	return 0;
}

const char *format_duration(usec_t t, char text[static PARSE_TEXT_SIZE])
{
	size_t len = 0;

	if (t == USEC_INFINITY)
		return strcpy(text, "infinity");
	if (t == 0)
		return strcpy(text, "0s");

	/* Under a minute one unit reads better than two: 1500ms, not 1s500ms. */
	if (t < 60 * USEC_PER_SEC && t % USEC_PER_SEC != 0) {
		if (t % USEC_PER_MSEC == 0)
			snprintf(text, PARSE_TEXT_SIZE, "%" PRIu64 "ms", t / USEC_PER_MSEC);
		else
			snprintf(text, PARSE_TEXT_SIZE, "%" PRIu64 "us", t);
		return text;
	}

	for (size_t i = 0; t > 0; i++) {
		const usec_t unit = duration_units[i].usec;

		if (t >= unit)
			len += (size_t)snprintf(text + len, PARSE_TEXT_SIZE - len, "%" PRIu64 "%s",
						t / unit, duration_units[i].name);
		t %= unit;
	}
	return text;
}

static const struct {
	char letter;
	unsigned shift;
} size_units[] = { { 'G', 30 }, { 'M', 20 }, { 'K', 10 } };

int parse_size(const char *s, uint64_t *ret)
{
	uint64_t n;
	unsigned shift = 0;
	bool overflow = false;

	if (!take_digits(&s, &n, &overflow))
		return -EINVAL;
	for (size_t i = 0; *s && shift == 0 && i < ARRAY_SIZE(size_units); i++)
		if (*s == size_units[i].letter)
			shift = size_units[i].shift;
	if (shift > 0)
		s++;
	if (*s)
		return -EINVAL;
	if (overflow || n > UINT64_MAX >> shift)
		return -ERANGE;
	*ret = n << shift;
	return 0;
}

const char *format_size(uint64_t bytes, char text[static PARSE_TEXT_SIZE])
{
	for (size_t i = 0; bytes > 0 && i < ARRAY_SIZE(size_units); i++) {
		const unsigned shift = size_units[i].shift;

		if (bytes % (UINT64_C(1) << shift) == 0) {
			snprintf(text, PARSE_TEXT_SIZE, "%" PRIu64 "%c", bytes >> shift,
				 size_units[i].letter);
			return text;
		}
	}
	snprintf(text, PARSE_TEXT_SIZE, "%" PRIu64, bytes);
	return text;
}

static int take_port(const char **s, uint16_t *ret)
{
	uint64_t port;
	bool overflow = false;

	if (!take_digits(s, &port, &overflow))
		return -EINVAL;
	if (port < 1 || port > UINT16_MAX)
		return -ERANGE;
	*ret = (uint16_t)port;
	return 0;
}

static int parse_port_range(const char *s, struct port_range *ret)
{
	int r;

	/* What isn't of digits and a dash is malformed, whatever the numbers are. */
	if (s[strspn(s, "0123456789-")])
		return -EINVAL;
	r = take_port(&s, &ret->first);
	if (r < 0)
		return r;
	ret->last = ret->first;
	if (*s == '-') {
		s++;
		r = take_port(&s, &ret->last);
		if (r < 0)
			return r;
	}
	return *s || ret->last < ret->first ? -EINVAL : 0;
}

int parse_port_ranges(const char *s, struct port_range **ret_ranges, size_t *ret_n)
{
	scoped(strv_freep) char **parts = parse_list(s, ',');
	scoped(freep) struct port_range *ranges = NULL;
	const size_t n = strv_len(parts);

	if (n == 0)
		return -EINVAL;

	ranges = xcalloc(n, sizeof(*ranges));
	for (size_t i = 0; i < n; i++) {
		int r = parse_port_range(parts[i], &ranges[i]);

		if (r < 0)
			return r;
	}
	*ret_ranges = STEAL(ranges);
	*ret_n = n;
	return 0;
}

bool port_ranges_have(const struct port_range *ranges, size_t n, uint16_t port)
{
	for (size_t i = 0; i < n; i++)
		if (port >= ranges[i].first && port <= ranges[i].last)
			return true;
	return false;
}

/* A copy of the bytes without the blanks around them; NULL when nothing is left. */
static char *trimmed(const char *s, size_t len)
{
	while (len > 0 && strchr(BLANKS, s[len - 1]))
		len--;
	while (len > 0 && strchr(BLANKS, *s)) {
		s++;
		len--;
	}
	return len > 0 ? xstrndup(s, len) : NULL;
}

char **parse_list(const char *s, char separator)
{
	char **list;
	size_t n = 0, n_max = 1;

	for (const char *c = s; *c; c++)
		n_max += *c == separator;
	list = xcalloc(n_max + 1, sizeof(*list));

	for (;;) {
		const char *end = strchrnul(s, separator);
		char *part = trimmed(s, (size_t)(end - s));

		if (part)
			list[n++] = part;
		if (!*end)
			return list;
		s = end + 1;
	}
}

char **strv_free(char **list)
{
	for (size_t i = 0; list && list[i]; i++)
		free(list[i]);
	free(list);
	return NULL;
}

char **strv_copy(char *const *list)
{
	const size_t n = strv_len(list);
	char **copy = xcalloc(n + 1, sizeof(*copy));

	for (size_t i = 0; i < n; i++)
		copy[i] = xstrdup(list[i]);
	return copy;
}

void strv_add_take(char ***list, char *s)
{
	const size_t n = strv_len(*list);

	*list = xrealloc(*list, (n + 2) * sizeof(**list));
	(*list)[n] = s;
	(*list)[n + 1] = NULL;
}

bool strv_has(char *const *list, const char *s)
{
	for (size_t i = 0; list && list[i]; i++)
		if (strcmp(list[i], s) == 0)
			return true;
	return false;
}

size_t strv_len(char *const *list)
{
	size_t n = 0;

	while (list && list[n])
		n++;
	return n;
}

/* The length of the well-formed sequence at `s`, 0 when there is none (RFC 3629 section 4). */
static size_t utf8_sequence(const unsigned char *s, size_t len)
{
	/* clang-format off */
	static const struct {
		unsigned char first, last; /* of the lead byte */
		unsigned char low, high;   /* of the byte behind it: overlong and surrogates end here */
		size_t len;
	} rows[] = {
		{ 0x00, 0x7f, 0x00, 0x00, 1 },
		{ 0xc2, 0xdf, 0x80, 0xbf, 2 },
		{ 0xe0, 0xe0, 0xa0, 0xbf, 3 },
		{ 0xe1, 0xec, 0x80, 0xbf, 3 },
		{ 0xed, 0xed, 0x80, 0x9f, 3 },
		{ 0xee, 0xef, 0x80, 0xbf, 3 },
		{ 0xf0, 0xf0, 0x90, 0xbf, 4 },
		{ 0xf1, 0xf3, 0x80, 0xbf, 4 },
		{ 0xf4, 0xf4, 0x80, 0x8f, 4 },
	};
	/* clang-format on */

	for (size_t i = 0; i < ARRAY_SIZE(rows); i++) {
		if (s[0] < rows[i].first || s[0] > rows[i].last)
			continue;
		if (len < rows[i].len)
			return 0;
		if (rows[i].len > 1 && (s[1] < rows[i].low || s[1] > rows[i].high))
			return 0;
		for (size_t k = 2; k < rows[i].len; k++)
			if ((s[k] & 0xc0) != 0x80)
				return 0;
		return rows[i].len;
	}
	return 0;
}

bool utf8_is_valid(const char *s, size_t len)
{
	const unsigned char *at = (const unsigned char *)s;

	for (size_t n; len > 0; at += n, len -= n) {
		n = utf8_sequence(at, len);
		if (n == 0)
			return false;
	}
	return true;
}
