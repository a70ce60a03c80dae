/* SPDX-License-Identifier: MIT */
/*
 * Ranges of versions by npm's rules (its package "semver", against which they are tested):
 *
 *	range      = set *( "||" set )                  one of them has to fit
 *	set        = partial " - " partial | *( [operator] partial )    all of them have to
 *	operator   = "<" "<=" ">" ">=" "=" "^" "~" "~>"
 *	partial    = *( "v" | "=" ) x [ "." x [ "." x [ "-" prerelease ] ] ]
 *	x          = number | "x" | "X" | "*"
 *
 * What a "+build" says is dropped wherever it stands.  Every form becomes bounds: at least one
 * version, below another.  One set that is none makes the whole no range.
 */
#include "publish/noderange.h"

#include <ctype.h>
#include <errno.h>
#include <stddef.h>
#include <stdint.h>
#include <stdlib.h>
#include <string.h>

#include "base/cleanup.h"
#include "base/mem.h"
#include "base/strbuf.h"
#include "publish/detect.h"

#define RANGE_MAX  8192
#define NUMBER_MAX UINT64_C(9007199254740991) /* JavaScript's largest exact integer */

/* A text that is read from the front. */
struct text {
	const char *at, *end;
};

/* Points into the text that it was read from. */
struct identifiers {
	const char *at;
	size_t len; /* 0: none */
};

struct version {
	uint64_t number[3];
	struct identifiers prerelease;
};

struct partial {
	struct version version;
	unsigned n; /* numbers before the first x: 0 to 3 */
	bool has_number_behind_x;
};

enum operator{ OP_EQUAL, OP_LESS, OP_AT_MOST, OP_GREATER, OP_AT_LEAST, OP_CARET, OP_TILDE };

/* From `from` (itself or from behind it), up to `to` (itself or before it). */
struct bounds {
	struct version from, to;
	bool has_from, has_to;
	bool from_excluded, to_included;
	bool is_empty;
};

/* All bounds of a set have to hold: npm goes by each one's prerelease, so they stay apart. */
#define BOUNDS_MAX 32

struct set {
	struct bounds bounds[BOUNDS_MAX];
	size_t n;
};

static char peek(const struct text *t)
{
	return t->at < t->end ? *t->at : '\0';
}

static bool take(struct text *t, const char *word)
{
	const size_t len = strlen(word);

	if ((size_t)(t->end - t->at) < len || memcmp(t->at, word, len) != 0)
		return false;
	t->at += len;
	return true;
}

static bool is_blank(char c)
{
	return c == ' ' || (c >= '\t' && c <= '\r');
}

static bool take_blanks(struct text *t)
{
	const char *start = t->at;

	while (t->at < t->end && is_blank(*t->at))
		t->at++;
	return t->at > start;
}

static void skip_blanks(struct text *t)
{
	(void)take_blanks(t);
}

static bool take_number(struct text *t, uint64_t *ret)
{
	const char *start = t->at;
	uint64_t value = 0;

	while (isdigit((unsigned char)peek(t))) {
		value = value * 10 + (uint64_t)(*t->at++ - '0');
		if (value > NUMBER_MAX)
			return false;
	}
	*ret = value;
	return t->at > start && (*start != '0' || t->at == start + 1);
}

/* One of the identifiers between dots: not empty, a number without a zero before it. */
static bool identifier_is_valid(const char *at, size_t len)
{
	const bool is_number = strspn(at, "0123456789") >= len;

	return len > 0 && (!is_number || len == 1 || *at != '0');
}

static bool take_identifiers(struct text *t, struct identifiers *ret)
{
	const char *start = t->at;

	for (;;) {
		const char *identifier = t->at;

		while (isalnum((unsigned char)peek(t)) || peek(t) == '-')
			t->at++;
		if (!identifier_is_valid(identifier, (size_t)(t->at - identifier)))
			return false;
		if (peek(t) != '.')
			break;
		t->at++;
	}
	*ret = (struct identifiers){ start, (size_t)(t->at - start) };
	return true;
}

/* "-rc.1" behind three numbers. */
static bool take_prerelease(struct text *t, struct version *v)
{
	return !take(t, "-") || take_identifiers(t, &v->prerelease);
}

static bool take_x(struct text *t)
{
	return take(t, "x") || take(t, "X") || take(t, "*");
}

static bool take_partial(struct text *t, struct partial *ret)
{
	struct partial p = { 0 };
	bool is_open = false;

	for (unsigned i = 0; i < 3; i++) {
		uint64_t number;

		if (i > 0 && !take(t, "."))
			break;
		if (take_x(t))
			is_open = true;
		else if (!take_number(t, &number))
			return false;
		else if (is_open)
			p.has_number_behind_x = true;
		else
			p.version.number[p.n++] = number;
		if (i == 2 && !take_prerelease(t, &p.version))
			return false;
	}
	if (p.n < 3)
		p.version.prerelease.len = 0;
	*ret = p;
	return true;
}

static bool take_prefixed_partial(struct text *t, struct partial *ret)
{
	while (take(t, "v") || take(t, "="))
		;
	return take_partial(t, ret);
}

static int compare_number(uint64_t a, uint64_t b)
{
	return a < b ? -1 : a > b;
}

/* Numbers by their value and below words; both are without leading zeros. */
static int compare_identifier(struct identifiers a, struct identifiers b)
{
	const bool a_is_number = strspn(a.at, "0123456789") >= a.len;
	const bool b_is_number = strspn(b.at, "0123456789") >= b.len;
	const size_t least = a.len < b.len ? a.len : b.len;
	int r;

	if (a_is_number != b_is_number)
		return a_is_number ? -1 : 1;
	if (a_is_number && a.len != b.len)
		return a.len < b.len ? -1 : 1;
	r = memcmp(a.at, b.at, least);
	return r ? r : compare_number(a.len, b.len);
}

static struct identifiers take_first(struct identifiers *list)
{
	const char *dot = memchr(list->at, '.', list->len);
	const size_t len = dot ? (size_t)(dot - list->at) : list->len;
	const struct identifiers first = { list->at, len };

	list->at += dot ? len + 1 : len;
	list->len -= dot ? len + 1 : len;
	return first;
}

static int compare_prerelease(struct identifiers a, struct identifiers b)
{
	/* A version with one comes before the same without. */
	if (a.len == 0 || b.len == 0)
		return compare_number(a.len == 0, b.len == 0);
	while (a.len > 0 && b.len > 0) {
		const int r = compare_identifier(take_first(&a), take_first(&b));

		if (r != 0)
			return r;
	}
	return compare_number(a.len, b.len);
}

static int compare_numbers(const struct version *a, const struct version *b)
{
	for (size_t i = 0; i < 3; i++)
		if (a->number[i] != b->number[i])
			return compare_number(a->number[i], b->number[i]);
	return 0;
}

static int compare(const struct version *a, const struct version *b)
{
	const int r = compare_numbers(a, b);

	return r ? r : compare_prerelease(a->prerelease, b->prerelease);
}

/* The first version that is past all which begin with the first `n` numbers: 1.2 gives 1.3.0-0. */
static struct version past(const struct version *v, unsigned n)
{
	struct version next = { .prerelease = { "0", 1 } };

	for (unsigned i = 0; i < n; i++)
		next.number[i] = v->number[i];
	next.number[n - 1]++;
	return next;
}

/* ^ keeps the first number that isn't 0. */
static unsigned caret_keeps(const struct partial *p)
{
	unsigned n = 0;

	while (n < p->n && p->version.number[n] == 0)
		n++;
	return n < p->n ? n + 1 : p->n;
}

static struct bounds bounds_of(enum operator op, const struct partial *p)
{
	const struct version *v = &p->version;
	struct bounds b = { 0 };

	if (p->n == 0) {
		b.is_empty = op == OP_LESS || op == OP_GREATER;
		return b;
	}
	b.has_from = op != OP_LESS && op != OP_AT_MOST;
	b.has_to = op != OP_GREATER && op != OP_AT_LEAST;
	b.from = *v;
	switch (op) {
	case OP_EQUAL:
		b.to = p->n == 3 ? *v : past(v, p->n);
		b.to_included = p->n == 3;
		break;
	case OP_CARET:
		b.to = past(v, caret_keeps(p));
		break;
	case OP_TILDE:
		b.to = past(v, p->n < 2 ? p->n : 2);
		break;
	case OP_LESS:
		b.to = *v;
		/* <1.2 is <1.2.0-0 */
		if (p->n < 3)
			b.to.prerelease = (struct identifiers){ "0", 1 };
		break;
	case OP_AT_MOST:
		b.to = p->n == 3 ? *v : past(v, p->n);
		b.to_included = p->n == 3;
		break;
	case OP_GREATER:
		b.from_excluded = p->n == 3;
		/* >1.2 is >=1.3.0 */
		if (p->n < 3) {
			b.from = past(v, p->n);
			b.from.prerelease.len = 0;
		}
		break;
	case OP_AT_LEAST:
		break;
	}
	return b;
}

static enum operator take_operator(struct text *t)
{
	/* clang-format off */
	static const struct { const char *word; enum operator op; } words[] = {
		{ "<=", OP_AT_MOST }, { ">=", OP_AT_LEAST }, { "~>", OP_TILDE }, { "<", OP_LESS },
		{ ">", OP_GREATER }, { "=", OP_EQUAL }, { "^", OP_CARET }, { "~", OP_TILDE },
	};
	/* clang-format on */

	for (size_t i = 0; i < ARRAY_SIZE(words); i++)
		if (take(t, words[i].word))
			return words[i].op;
	return OP_EQUAL;
}

static bool add_bounds(struct set *s, struct bounds b)
{
	if (s->n == BOUNDS_MAX)
		return false;
	s->bounds[s->n++] = b;
	return true;
}

/* What is at least 0.0.0 is anything, a prerelease of 0.0.0 as well. */
static struct bounds without_zero(struct bounds b)
{
	static const struct version zero = { 0 };

	if (b.has_from && !b.from_excluded && !b.to_included && compare(&b.from, &zero) == 0)
		b.has_from = false;
	return b;
}

/* "18 - 20.1", and nothing else. */
static bool read_hyphen(struct text t, struct set *s)
{
	struct partial from, to;

	if (!take_prefixed_partial(&t, &from) || !take_blanks(&t) || !take(&t, "-") ||
	    !take_blanks(&t) || !take_prefixed_partial(&t, &to) || t.at < t.end)
		return false;
	return add_bounds(s, without_zero(bounds_of(OP_AT_LEAST, &from))) &&
	       add_bounds(s, bounds_of(OP_AT_MOST, &to));
}

static bool read_comparator(struct text *t, struct set *s)
{
	const enum operator op = take_operator(t);
	struct partial p;

	skip_blanks(t);
	if (!take_prefixed_partial(t, &p) || (t->at < t->end && !is_blank(*t->at)))
		return false;
	/* In "^x.1" and in "x.1 - 2" npm reads over it. */
	if (p.has_number_behind_x && op != OP_CARET && op != OP_TILDE)
		return false;
	return add_bounds(s, without_zero(bounds_of(op, &p)));
}

static bool read_set(struct text t, struct set *s)
{
	s->n = 0;
	while (t.at < t.end && is_blank(t.end[-1]))
		t.end--;
	skip_blanks(&t);
	if (read_hyphen(t, s))
		return true;
	s->n = 0;
	for (; t.at < t.end; skip_blanks(&t))
		if (!read_comparator(&t, s))
			return false;
	return true;
}

static bool bounds_have(const struct bounds *b, const struct version *v)
{
	if (b->is_empty)
		return false;
	if (b->has_from && compare(v, &b->from) < (b->from_excluded ? 1 : 0))
		return false;
	return !b->has_to || compare(v, &b->to) < (b->to_included ? 1 : 0);
}

static bool is_prerelease_of(const struct version *bound, const struct version *v)
{
	return bound->prerelease.len > 0 && compare_numbers(bound, v) == 0;
}

/* A prerelease is only for who names one of the same three numbers. */
static bool prerelease_is_wanted(const struct set *s, const struct version *v)
{
	if (v->prerelease.len == 0)
		return true;
	for (size_t i = 0; i < s->n; i++) {
		const struct bounds *b = &s->bounds[i];

		if ((b->has_from && is_prerelease_of(&b->from, v)) ||
		    (b->has_to && is_prerelease_of(&b->to, v)))
			return true;
	}
	return false;
}

static bool set_has(const struct set *s, const struct version *v)
{
	for (size_t i = 0; i < s->n; i++)
		if (!bounds_have(&s->bounds[i], v))
			return false;
	return prerelease_is_wanted(s, v);
}

static bool set_is_any(const struct set *s)
{
	for (size_t i = 0; i < s->n; i++)
		if (s->bounds[i].has_from || s->bounds[i].has_to || s->bounds[i].is_empty)
			return false;
	return true;
}

/* "+build" behind a version says nothing of its age: without it, everywhere. */
static char *without_builds(const char *s)
{
	char *copy = xstrdup(s);
	char *to = copy;

	for (const char *from = copy; *from;) {
		if (*from != '+' || !(isalnum((unsigned char)from[1]) || from[1] == '-')) {
			*to++ = *from++;
			continue;
		}
		for (from++; isalnum((unsigned char)*from) || *from == '-' ||
			     (*from == '.' && (isalnum((unsigned char)from[1]) || from[1] == '-'));)
			from++;
	}
	*to = '\0';
	return copy;
}

/* `s` is without a build, and outlives what is returned. */
static bool read_version(const char *s, struct version *ret)
{
	struct text t = { s, s + strlen(s) };
	struct partial p;

	skip_blanks(&t);
	take(&t, "v");
	if (!take_partial(&t, &p) || p.n < 3)
		return false;
	skip_blanks(&t);
	*ret = p.version;
	return t.at == t.end;
}

/* -EINVAL when a set of it is none; else whether one of them has the version (NULL: none has). */
static int range_has(const char *range, const struct version *v)
{
	scoped(freep) struct set *s = xcalloc(1, sizeof(*s));
	bool has = false, is_any = false;

	for (const char *at = range; at;) {
		const char *bar = strstr(at, "||");
		scoped(freep) char *whole = xstrndup(at, bar ? (size_t)(bar - at) : strlen(at));
		scoped(freep) char *text = without_builds(whole);

		if (!read_set((struct text){ text, text + strlen(text) }, s))
			return -EINVAL;
		has |= v && set_has(s, v);
		is_any |= set_is_any(s);
		at = bar ? bar + 2 : NULL;
	}
	/* "* || 2.0.0-rc" is "*" to npm, and that has no prerelease. */
	return v && is_any ? v->prerelease.len == 0 : has;
}

bool node_range_is_valid(const char *range)
{
	return range_has(range, NULL) >= 0;
}

bool node_range_has(const char *range, const char *version)
{
	scoped(freep) char *text = without_builds(version);
	struct version v;

	return read_version(text, &v) && range_has(range, &v) > 0;
}

bool node_version_is_valid(const char *version)
{
	scoped(freep) char *text = without_builds(version);
	struct version v;

	return read_version(text, &v);
}

int node_version_compare(const char *a, const char *b)
{
	scoped(freep) char *text_a = without_builds(a);
	scoped(freep) char *text_b = without_builds(b);
	struct version va = { 0 }, vb = { 0 };

	(void)read_version(text_a, &va);
	(void)read_version(text_b, &vb);
	return compare(&va, &vb);
}

/* One alternative of a range.  "18 - 20" can't stand beside another demand; >=18 <=20 can. */
static void add_alternative(struct strbuf *b, const char *at, size_t len)
{
	const char *hyphen = memmem(at, len, " - ", 3);

	if (!hyphen)
		strbuf_add(b, at, len);
	else
		strbuf_printf(b, ">=%.*s <=%.*s", (int)(hyphen - at), at,
			      (int)(len - 3 - (size_t)(hyphen - at)), hyphen + 3);
}

/* What both ask for: each alternative of one together with each of the other. */
char *node_ranges_both(const char *a, const char *b)
{
	scoped(strbuf_done) struct strbuf both = strbuf_init(RANGE_MAX);

	for (const char *left = a; left;) {
		const char *bar = strstr(left, "||");
		const size_t len = bar ? (size_t)(bar - left) : strlen(left);

		for (const char *right = b; right;) {
			const char *right_bar = strstr(right, "||");

			strbuf_puts(&both, both.len ? " || " : "");
			add_alternative(&both, left, len);
			strbuf_putc(&both, ' ');
			add_alternative(&both, right,
					right_bar ? (size_t)(right_bar - right) : strlen(right));
			right = right_bar ? right_bar + 2 : NULL;
		}
		left = bar ? bar + 2 : NULL;
	}
	/* Too many for a text of that length, or something npm reads and this doesn't. */
	if (both.error < 0 || !node_range_is_valid(strbuf_str(&both)))
		return xstrdup(a);
	return strbuf_steal(&both);
}
