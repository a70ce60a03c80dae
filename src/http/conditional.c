/* SPDX-License-Identifier: MIT */
/*
 * Field values that say which representation is wanted, and whether.
 */
#include "http/conditional.h"

#include <errno.h>
#include <stdio.h>
#include <string.h>
#include <strings.h>
#include <time.h>

#include "http/chars.h"
#include "http/parse.h"

static bool is_blank(char c)
{
	return c == ' ' || c == '\t';
}

static void skip_blanks(const char **at)
{
	while (is_blank(**at))
		(*at)++;
}

static bool is_digit(char c)
{
	return c >= '0' && c <= '9';
}

/*
 * Accept-Encoding
 */

/* "q=0.5" in thousandths; -1 when it is none (RFC 9110 section 12.4.2). */
static int read_weight(const char **at)
{
	const char *p = *at;
	int weight, unit = 100;

	if ((*p != 'q' && *p != 'Q') || p[1] != '=' || (p[2] != '0' && p[2] != '1'))
		return -1;
	weight = (p[2] - '0') * 1000;
	p += 3;
	if (*p == '.') {
		for (p++; is_digit(*p) && unit > 0; p++, unit /= 10)
			weight += (*p - '0') * unit;
	}
	*at = p;
	return weight > 1000 ? -1 : weight;
}

static struct http_view read_token(const char **at)
{
	struct http_view token = { *at, 0 };

	while (http_char_is(token.at[token.len], HTTP_CHAR_TOKEN))
		token.len++;
	*at += token.len;
	return token;
}

/* Takes one "gzip;q=0.8" off the list; a weight of -1 when it is no good. */
static struct http_view read_coding(const char **at, int *ret_weight)
{
	struct http_view name;

	while (is_blank(**at) || **at == ',')
		(*at)++;
	name = read_token(at);
	*ret_weight = name.len > 0 ? 1000 : -1;
	skip_blanks(at);
	if (**at == ';') {
		(*at)++;
		skip_blanks(at);
		*ret_weight = read_weight(at);
		skip_blanks(at);
	}
	if (**at && **at != ',') {
		*ret_weight = -1;
		*at += strcspn(*at, ",");
	}
	return name;
}

enum http_coding http_coding_choose(const char *accept_encoding, bool has_gzip, bool has_br)
{
	/* -1: not named */
	int weights[HTTP_CODING_COUNT_] = { -1, -1, -1 };
	const bool there[HTTP_CODING_COUNT_] = { true, has_gzip, has_br };
	enum http_coding best = HTTP_CODING_IDENTITY;
	int others = -1;

	if (!accept_encoding || (!has_gzip && !has_br))
		return HTTP_CODING_IDENTITY;
	for (const char *at = accept_encoding; *at;) {
		int weight;
		struct http_view name = read_coding(&at, &weight);

		if (weight < 0)
			continue;
		if (http_view_is(name, "*"))
			others = weight;
		else if (http_view_is_nocase(name, "br"))
			weights[HTTP_CODING_BR] = weight;
		else if (http_view_is_nocase(name, "gzip") || http_view_is_nocase(name, "x-gzip"))
			weights[HTTP_CODING_GZIP] = weight;
		else if (http_view_is_nocase(name, "identity"))
			weights[HTTP_CODING_IDENTITY] = weight;
	}

	for (int i = 0; i < HTTP_CODING_COUNT_; i++)
		if (weights[i] < 0 && i != HTTP_CODING_IDENTITY)
			weights[i] = others;
	/* what is not named is acceptable uncoded, and less wanted than anything that is named */
	if (weights[HTTP_CODING_IDENTITY] < 0)
		weights[HTTP_CODING_IDENTITY] = 0;

	for (int i = 0; i < HTTP_CODING_COUNT_; i++)
		if (there[i] && weights[i] > 0 && weights[i] >= weights[best])
			best = (enum http_coding)i;
	return best;
}

/*
 * Entity tags
 */

static bool is_etag_char(char c)
{
	return (unsigned char)c > 0x20 && c != '"' && c != 0x7f;
}

bool http_etag_listed(const char *list, const char *etag, bool weakly)
{
	const size_t etag_len = strlen(etag);

	skip_blanks(&list);
	if (*list == '*') {
		list++;
		skip_blanks(&list);
		return !*list;
	}

	for (;;) {
		const char *start;
		bool weak;

		while (is_blank(*list) || *list == ',')
			list++;
		weak = list[0] == 'W' && list[1] == '/';
		start = weak ? list + 2 : list;
		if (*start != '"')
			return false;
		for (list = start + 1; is_etag_char(*list); list++)
			;
		if (*list != '"')
			return false;
		list++;
		if ((weakly || !weak) && (size_t)(list - start) == etag_len &&
		    memcmp(start, etag, etag_len) == 0)
			return true;
		skip_blanks(&list);
		if (*list != ',')
			return false;
	}
}

/*
 * Dates
 */

static const char days[] = "SunMonTueWedThuFriSat";
static const char long_days[][10] = {
	"Sunday", "Monday", "Tuesday", "Wednesday", "Thursday", "Friday", "Saturday",
};
static const char months[] = "JanFebMarAprMayJunJulAugSepOctNovDec";

/*
 * Reads `s` by a pattern: "d" is a digit of a number that the next other character ends, "_" one
 * that may be a space, "m" the first of a month's three letters, "w" of a weekday's; the rest is
 * literal.  Numbers come out in their order.
 */
static bool read_pattern(const char *s, const char *pattern, int numbers[static 6])
{
	size_t n = 0;
	bool in_number = false;

	if (strlen(s) != strlen(pattern))
		return false;
	for (; *pattern; pattern++, s++) {
		bool digit = *pattern == 'd' || *pattern == '_';

		if (in_number && !digit) {
			in_number = false;
			n++;
		}
		if (digit) {
			if (!is_digit(*s) && !(*pattern == '_' && *s == ' '))
				return false;
			if (!in_number)
				numbers[n] = 0;
			in_number = true;
			numbers[n] = numbers[n] * 10 + (*s == ' ' ? 0 : *s - '0');
		} else if (*pattern == 'm' || *pattern == 'w') {
			const char *names = *pattern == 'm' ? months : days;
			int i = 0;

			while (names[i] && strncmp(names + i, s, 3) != 0)
				i += 3;
			if (!names[i])
				return false;
			if (*pattern == 'm')
				numbers[n++] = i / 3;
			pattern += 2;
			s += 2;
		} else if (*pattern != *s) {
			return false;
		}
	}
	return true;
}

static int to_seconds(int year, int month, int day, const int clock[static 3], int64_t *ret)
{
	struct tm tm = {
		.tm_year = year - 1900,
		.tm_mon = month,
		.tm_mday = day,
		.tm_hour = clock[0],
		.tm_min = clock[1],
		.tm_sec = clock[2],
	};

	if (day < 1 || day > 31 || clock[0] > 23 || clock[1] > 59 || clock[2] > 60)
		return -EINVAL;
	*ret = (int64_t)timegm(&tm);
	return 0;
}

/* The two digits are of the fifty years before or after (RFC 9110 section 5.6.7). */
static int full_year(int two_digits)
{
	time_t now = time(NULL);
	struct tm tm;
	int year;

	if (!gmtime_r(&now, &tm))
		return 1900 + two_digits;
	year = (tm.tm_year + 1900) / 100 * 100 + two_digits;
	return year > tm.tm_year + 1900 + 50 ? year - 100 : year;
}

int http_date_parse(const char *s, int64_t *ret)
{
	const char *comma = strchr(s, ',');
	int n[6];

	if (read_pattern(s, "wxx, dd mxx dddd dd:dd:dd GMT", n))
		return to_seconds(n[2], n[1], n[0], &n[3], ret);
	if (read_pattern(s, "wxx mxx _d dd:dd:dd dddd", n))
		return to_seconds(n[5], n[0], n[1], &n[2], ret);
	for (size_t i = 0; comma && i < ARRAY_SIZE(long_days); i++) {
		size_t len = strlen(long_days[i]);

		if ((size_t)(comma - s) == len && memcmp(s, long_days[i], len) == 0 &&
		    read_pattern(comma, ", dd-mxx-dd dd:dd:dd GMT", n))
			return to_seconds(full_year(n[2]), n[1], n[0], &n[3], ret);
	}
	return -EINVAL;
}

void http_date_format(int64_t seconds, char text[static HTTP_DATE_SIZE])
{
	time_t t = (time_t)seconds;
	struct tm tm = { .tm_mday = 1 };

	gmtime_r(&t, &tm);
	/* not strftime(): a locale must not change it */
	snprintf(text, HTTP_DATE_SIZE, "%.3s, %02u %.3s %04u %02u:%02u:%02u GMT",
		 &days[tm.tm_wday * 3], (unsigned)tm.tm_mday % 100, &months[tm.tm_mon * 3],
		 (unsigned)(tm.tm_year + 1900) % 10000, (unsigned)tm.tm_hour % 100,
		 (unsigned)tm.tm_min % 100, (unsigned)tm.tm_sec % 100);
}

/*
 * Range
 */

/* Numbers past what fits are as good as the largest. */
static bool read_number(const char **at, uint64_t *ret)
{
	uint64_t n = 0;

	if (!is_digit(**at))
		return false;
	for (; is_digit(**at); (*at)++) {
		unsigned digit = (unsigned)(**at - '0');

		n = n > (UINT64_MAX - digit) / 10 ? UINT64_MAX : n * 10 + digit;
	}
	*ret = n;
	return true;
}

enum http_range http_range_parse(const char *range, uint64_t size, uint64_t *ret_from,
				 uint64_t *ret_len)
{
	uint64_t first = 0, last = UINT64_MAX;
	bool has_first, has_last;

	if (strncasecmp(range, "bytes=", 6) != 0)
		return HTTP_RANGE_WHOLE;
	range += 6;
	skip_blanks(&range);
	has_first = read_number(&range, &first);
	if (*range != '-')
		return HTTP_RANGE_WHOLE;
	range++;
	has_last = read_number(&range, &last);
	skip_blanks(&range);
	if (*range || (!has_first && !has_last) || (has_first && has_last && first > last))
		return HTTP_RANGE_WHOLE; /* several of them, too */

	if (size == 0 && (!has_first || first == 0))
		return HTTP_RANGE_WHOLE; /* of which its first and its last bytes are as many */
	if (!has_first) {                /* the last so many */
		if (last == 0)
			return HTTP_RANGE_BEYOND;
		first = last < size ? size - last : 0;
		last = size - 1;
	}
	if (first >= size)
		return HTTP_RANGE_BEYOND;
	if (last >= size)
		last = size - 1;
	*ret_from = first;
	*ret_len = last - first + 1;
	return HTTP_RANGE_PART;
}
