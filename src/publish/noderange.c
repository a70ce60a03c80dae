/* SPDX-License-Identifier: MIT */
/*
 * Ranges of versions by npm's rules (its package "semver", against which they are tested):
 *
 *	range      = set *( "||" set )                  one of them has to fit
 *	set        = partial " - " partial | *( [operator] partial )    all of them have to
 *	operator   = "<" "<=" ">" ">=" "=" "^" "~" "~>"
 *	partial    = ["v"] x [ "." x [ "." x [ "-" prerelease ] [ "+" build ] ] ]
 *	x          = number | "x" | "X" | "*"
 *
 * Every form becomes bounds: at least one version, below another.
 */
#include "publish/noderange.h"

#include <ctype.h>
#include <stddef.h>
#include <stdint.h>
#include <stdlib.h>
#include <string.h>

#include "base/cleanup.h"
#include "base/mem.h"
#include "publish/detect.h"

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

static void skip_blanks(struct text *t)
{
	while (peek(t) == ' ' || (peek(t) >= '\t' && peek(t) <= '\r'))
		t->at++;
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
static bool identifier_is_valid(const char *at, size_t len, bool is_build)
{
	const bool is_number = strspn(at, "0123456789") >= len;

	return len > 0 && (is_build || !is_number || len == 1 || *at != '0');
}

static bool take_identifiers(struct text *t, bool is_build, struct identifiers *ret)
{
	const char *start = t->at;

	for (;;) {
		const char *identifier = t->at;

		while (isalnum((unsigned char)peek(t)) || peek(t) == '-')
			t->at++;
		if (!identifier_is_valid(identifier, (size_t)(t->at - identifier), is_build))
			return false;
		if (peek(t) != '.')
			break;
		t->at++;
	}
	*ret = (struct identifiers){ start, (size_t)(t->at - start) };
	return true;
}

/* "-rc.1+build" behind three numbers. */
static bool take_suffix(struct text *t, struct version *v)
{
	struct identifiers build;

	if (take(t, "-") && !take_identifiers(t, false, &v->prerelease))
		return false;
	return !take(t, "+") || take_identifiers(t, true, &build);
}

static bool take_x(struct text *t)
{
	return take(t, "x") || take(t, "X") || take(t, "*");
}

static bool take_partial(struct text *t, struct partial *ret)
{
	struct partial p = { 0 };
	bool is_open = false;

	(void)(take(t, "v") || take(t, "V"));
	for (unsigned i = 0; i < 3; i++) {
		uint64_t number;

		if (i > 0 && !take(t, "."))
			break;
		if (take_x(t))
			is_open = true;
		else if (!take_number(t, &number))
			return false;
		else if (!is_open)
			p.version.number[p.n++] = number;
		if (i == 2 && !take_suffix(t, &p.version))
			return false;
	}
	if (p.n < 3)
		p.version.prerelease.len = 0;
	*ret = p;
	return true;
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

/* " - 2.3" behind a partial; the set is then over. */
static bool take_hyphen(struct text *t, struct partial *ret_to)
{
	const struct text before = *t;

	skip_blanks(t);
	if (t->at > before.at && take(t, "-") && (peek(t) == ' ' || peek(t) == '\t')) {
		skip_blanks(t);
		return take_partial(t, ret_to);
	}
	*t = before;
	return false;
}

static bool read_set(struct text t, struct set *s)
{
	s->n = 0;
	for (skip_blanks(&t); t.at < t.end; skip_blanks(&t)) {
		const char *start = t.at;
		const enum operator op = take_operator(&t);
		const bool has_operator = t.at > start;
		struct partial p, to;

		skip_blanks(&t);
		if (has_operator && t.at == t.end)
			p = (struct partial){ 0 };
		else if (!take_partial(&t, &p))
			return false;
		if (!has_operator && take_hyphen(&t, &to)) {
			if (!add_bounds(s, bounds_of(OP_AT_LEAST, &p)) ||
			    !add_bounds(s, bounds_of(OP_AT_MOST, &to)))
				return false;
		} else if (!add_bounds(s, bounds_of(op, &p))) {
			return false;
		}
		if (t.at < t.end && !isspace((unsigned char)*t.at))
			return false;
	}
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

static bool read_version(const char *s, struct version *ret)
{
	struct text t = { s, s + strlen(s) };
	struct partial p;

	skip_blanks(&t);
	take(&t, "=");
	if (!take_partial(&t, &p) || p.n < 3)
		return false;
	skip_blanks(&t);
	*ret = p.version;
	return t.at == t.end;
}

/* Calls it with each of the sets between "||" until one says yes. */
static bool any_set(const char *range, bool (*fits)(const struct set *s, const struct version *v),
		    const struct version *v)
{
	scoped(freep) struct set *s = xcalloc(1, sizeof(*s));

	for (;;) {
		const char *bar = strstr(range, "||");
		const struct text t = { range, bar ? bar : range + strlen(range) };

		if (read_set(t, s) && fits(s, v))
			return true;
		if (!bar)
			return false;
		range = bar + 2;
	}
}

static bool set_is_there(const struct set *s, const struct version *v)
{
	(void)s;
	(void)v;
	return true;
}

bool node_range_is_valid(const char *range)
{
	return any_set(range, set_is_there, NULL);
}

bool node_range_has(const char *range, const char *version)
{
	struct version v;

	return read_version(version, &v) && any_set(range, set_has, &v);
}

bool node_version_is_valid(const char *version)
{
	struct version v;

	return read_version(version, &v);
}

int node_version_compare(const char *a, const char *b)
{
	struct version va = { 0 }, vb = { 0 };

	(void)read_version(a, &va);
	(void)read_version(b, &vb);
	return compare(&va, &vb);
}
