/* SPDX-License-Identifier: MIT */
/*
 * JSON from outside, by the letter of RFC 8259, and JSON that goes there.
 *
 * cJSON builds the tree but is lenient ("01", raw control characters, half a surrogate pair, bytes
 * that aren't UTF-8) and its strings end at a NUL.  So a small scanner looks at the bytes first and
 * lets only strict text through; what two parsers could read in two ways never gets in.
 */
#include "base/json.h"

#include <inttypes.h>
#include <limits.h>
#include <math.h>
#include <stdio.h>
#include <string.h>

#include "base/clock.h"
#include "base/mem.h"
#include "base/parse.h"
#include "base/strbuf.h"

/* cJSON copies a number into 64 bytes before it reads it. */
#define NUMBER_LENGTH_MAX 63

/* An integer up to here is printed by cJSON in plain digits; also exact in a double. */
#define PLAIN_INTEGER_MAX UINT64_C(999999999999999)

struct scan {
	const char *at;
	const char *end;
	unsigned depth;
	size_t values_left;
	const char *problem;
};

static bool scan_value(struct scan *s);

static bool refuse(struct scan *s, const char *problem)
{
	if (!s->problem)
		s->problem = problem;
	return false;
}

/* The next byte, or NUL at the end: a NUL has no place in JSON, so the two need no difference. */
static char peek(const struct scan *s)
{
	return s->at < s->end ? *s->at : '\0';
}

static bool take(struct scan *s, char c)
{
	if (s->at == s->end || *s->at != c)
		return false;
	s->at++;
	return true;
}

static void skip_blanks(struct scan *s)
{
	while (peek(s) == ' ' || peek(s) == '\t' || peek(s) == '\n' || peek(s) == '\r')
		s->at++;
}

static bool is_digit(char c)
{
	return c >= '0' && c <= '9';
}

static bool take_digits(struct scan *s)
{
	if (!is_digit(peek(s)))
		return refuse(s, "a digit is missing in a number");
	while (is_digit(peek(s)))
		s->at++;
	return true;
}

static bool scan_number(struct scan *s)
{
	const char *start = s->at;

	take(s, '-');
	if (!take(s, '0') && !take_digits(s))
		return false;
	if (is_digit(peek(s)))
		return refuse(s, "a number starts with a zero");
	if (take(s, '.') && !take_digits(s))
		return false;
	if (take(s, 'e') || take(s, 'E')) {
		if (!take(s, '+'))
			take(s, '-');
		if (!take_digits(s))
			return false;
	}
	return s->at - start <= NUMBER_LENGTH_MAX || refuse(s, "a number is too long");
}

/* Four hexadecimal digits, behind "\u". */
static bool take_code_unit(struct scan *s, unsigned *ret)
{
	*ret = 0;
	for (size_t i = 0; i < 4; i++, s->at++) {
		const int digit = hex_digit(peek(s));

		if (digit < 0)
			return refuse(s, "\\u wants four hexadecimal digits");
		*ret = *ret << 4 | (unsigned)digit;
	}
	return true;
}

static bool scan_unicode_escape(struct scan *s)
{
	unsigned unit, low;

	if (!take_code_unit(s, &unit))
		return false;
	if (unit == 0)
		return refuse(s, "a string holds \\u0000");
	if (unit >= 0xdc00 && unit <= 0xdfff)
		return refuse(s, "half a surrogate pair");
	if (unit < 0xd800 || unit > 0xdbff)
		return true;

	if (!take(s, '\\') || !take(s, 'u'))
		return refuse(s, "half a surrogate pair");
	if (!take_code_unit(s, &low))
		return false;
	return (low >= 0xdc00 && low <= 0xdfff) || refuse(s, "half a surrogate pair");
}

static bool scan_string(struct scan *s)
{
	if (!take(s, '"'))
		return refuse(s, "a string is expected");

	while (!take(s, '"')) {
		if (s->at == s->end)
			return refuse(s, "a string has no end");
		if ((unsigned char)*s->at < 0x20)
			return refuse(s, "a control character in a string");
		if (!take(s, '\\')) {
			s->at++;
			continue;
		}
		if (take(s, 'u')) {
			if (!scan_unicode_escape(s))
				return false;
			continue;
		}
		if (peek(s) == '\0' || !strchr("\"\\/bfnrt", peek(s)))
			return refuse(s, "an unknown escape in a string");
		s->at++;
	}
	return true;
}

static bool scan_member(struct scan *s)
{
	if (!scan_string(s))
		return false;
	skip_blanks(s);
	if (!take(s, ':'))
		return refuse(s, "':' is expected");
	return scan_value(s);
}

/* What stands between brackets, `scan_item` each. */
static bool scan_items(struct scan *s, char close, bool (*scan_item)(struct scan *s))
{
	if (++s->depth > JSON_DEPTH_MAX)
		return refuse(s, "nested too deep");

	skip_blanks(s);
	if (!take(s, close)) {
		do {
			skip_blanks(s);
			if (!scan_item(s))
				return false;
			skip_blanks(s);
		} while (take(s, ','));
		if (!take(s, close))
			return refuse(s, "',' or a closing bracket is expected");
	}
	s->depth--;
	return true;
}

static bool scan_word(struct scan *s, const char *word)
{
	const size_t len = strlen(word);

	if ((size_t)(s->end - s->at) < len || memcmp(s->at, word, len) != 0)
		return refuse(s, "a value is expected");
	s->at += len;
	return true;
}

static bool scan_value(struct scan *s)
{
	skip_blanks(s);
	if (s->values_left-- == 0)
		return refuse(s, "too many values");
	if (take(s, '{'))
		return scan_items(s, '}', scan_member);
	if (take(s, '['))
		return scan_items(s, ']', scan_value);

	switch (peek(s)) {
	case '"':
		return scan_string(s);
	case 't':
		return scan_word(s, "true");
	case 'f':
		return scan_word(s, "false");
	case 'n':
		return scan_word(s, "null");
	default:
		if (peek(s) == '-' || is_digit(peek(s)))
			return scan_number(s);
		return refuse(s, "a value is expected");
	}
}

static bool scan_text(struct scan *s)
{
	if (!scan_value(s))
		return false;
	skip_blanks(s);
	return s->at == s->end || refuse(s, "something stands behind the value");
}

static int compare_names(const void *a, const void *b)
{
	return strcmp(*(const char *const *)a, *(const char *const *)b);
}

/* A name that two members of the object share, or NULL.  Sorted: a client chooses how many. */
static const char *duplicate_member(const cJSON *object)
{
	const size_t n = (size_t)cJSON_GetArraySize(object);
	scoped(freep) const char **names = xcalloc(n, sizeof(*names));
	const cJSON *member;
	size_t at = 0;

	cJSON_ArrayForEach(member, object) names[at++] = member->string;
	qsort(names, n, sizeof(*names), compare_names);
	for (size_t i = 1; i < n; i++)
		if (strcmp(names[i - 1], names[i]) == 0)
			return names[i];
	return NULL;
}

/* What only the tree shows, since names may be written with escapes. */
static int check_tree(const cJSON *j, struct fault *reterr)
{
	const char *twice = cJSON_IsObject(j) ? duplicate_member(j) : NULL;
	const cJSON *child;

	if (twice)
		return fault_set(reterr, FAULT_BAD_JSON, "The member '%s' is there twice", twice);
	if (cJSON_IsNumber(j) && !isfinite(j->valuedouble))
		return fault_set(reterr, FAULT_BAD_JSON, "A number is too large");

	cJSON_ArrayForEach(child, j)
	{
		int r = check_tree(child, reterr);

		if (r < 0)
			return r;
	}
	return 0;
}

static int parse(const char *text, size_t len, size_t values_max, cJSON **ret, struct fault *reterr)
{
	struct scan s = { .at = text, .end = text + len, .values_left = values_max };
	scoped(json_freep) cJSON *j = NULL;
	int r;

	if (!utf8_is_valid(text, len))
		return fault_set(reterr, FAULT_BAD_JSON, "The text is not UTF-8");
	if (!scan_text(&s))
		return fault_set(reterr, FAULT_BAD_JSON, "Not JSON at byte %zu: %s",
				 (size_t)(s.at - text), s.problem);

	j = cJSON_ParseWithLength(text, len);
	if (!j)
		return fault_set(reterr, FAULT_BAD_JSON, "The text is not JSON");
	r = check_tree(j, reterr);
	if (r < 0)
		return r;

	*ret = STEAL(j);
	return 0;
}

int json_parse(const char *text, size_t len, cJSON **ret, struct fault *reterr)
{
	return parse(text, len, SIZE_MAX, ret, reterr);
}

int json_parse_of_client(const char *text, size_t len, cJSON **ret, struct fault *reterr)
{
	return parse(text, len, JSON_CLIENT_VALUES_MAX, ret, reterr);
}

/*
 * Printing is not cJSON's: it prints 15 digits where those are nearly the number, so that 2^53-1
 * comes out as another, and reads each number back to see, which is slow.
 */
#define DOUBLE_INTEGER_MAX 9007199254740992.0 /* 2^53: up to here all whole numbers are exact */

static void print_number(struct strbuf *b, double number)
{
	char text[32];

	if (!isfinite(number)) {
		strbuf_puts(b, "null");
		return;
	}
	if (fabs(number) <= DOUBLE_INTEGER_MAX && number == trunc(number)) {
		snprintf(text, sizeof(text), "%" PRId64, (int64_t)number);
	} else {
		snprintf(text, sizeof(text), "%.15g", number);
		if (strtod(text, NULL) != number)
			snprintf(text, sizeof(text), "%.17g", number);
	}
	strbuf_puts(b, text);
}

static void print_value(struct strbuf *b, const cJSON *j);

static void print_members(struct strbuf *b, const cJSON *j, bool named)
{
	for (const cJSON *child = j->child; child; child = child->next) {
		if (child != j->child)
			strbuf_putc(b, ',');
		if (named) {
			strbuf_add_json_string(b, child->string ? child->string : "");
			strbuf_putc(b, ':');
		}
		print_value(b, child);
	}
}

static void print_value(struct strbuf *b, const cJSON *j)
{
	switch (j->type & 0xff) {
	case cJSON_Object:
		strbuf_putc(b, '{');
		print_members(b, j, /* named= */ true);
		strbuf_putc(b, '}');
		return;
	case cJSON_Array:
		strbuf_putc(b, '[');
		print_members(b, j, /* named= */ false);
		strbuf_putc(b, ']');
		return;
	case cJSON_String:
		strbuf_add_json_string(b, j->valuestring ? j->valuestring : "");
		return;
	case cJSON_Raw:
		strbuf_puts(b, j->valuestring ? j->valuestring : "null");
		return;
	case cJSON_Number:
		print_number(b, j->valuedouble);
		return;
	case cJSON_True:
		strbuf_puts(b, "true");
		return;
	case cJSON_False:
		strbuf_puts(b, "false");
		return;
	default:
		strbuf_puts(b, "null");
		return;
	}
}

char *json_print(const cJSON *j)
{
	scoped(strbuf_done) struct strbuf b = strbuf_init(STRBUF_UNLIMITED);

	if (!j)
		return NULL;
	print_value(&b, j);
	return strbuf_steal(&b);
}

void json_add_string(cJSON *object, const char *name, const char *value)
{
	if (value)
		cJSON_AddStringToObject(object, name, value);
	else
		cJSON_AddNullToObject(object, name);
}

void json_add_u64(cJSON *object, const char *name, uint64_t value)
{
	char digits[24];

	if (value <= PLAIN_INTEGER_MAX) {
		cJSON_AddNumberToObject(object, name, (double)value);
		return;
	}
	/* A double would round it and be printed with an exponent. */
	snprintf(digits, sizeof(digits), "%" PRIu64, value);
	cJSON_AddRawToObject(object, name, digits);
}

void json_add_time(cJSON *object, const char *name, uint64_t realtime_usec)
{
	char text[CLOCK_TEXT_SIZE];

	json_add_string(object, name, realtime_usec ? clock_format(realtime_usec, text) : NULL);
}

const char *json_string(const cJSON *object, const char *name)
{
	return cJSON_GetStringValue(cJSON_GetObjectItemCaseSensitive(object, name));
}
