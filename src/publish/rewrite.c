/* SPDX-License-Identifier: MIT */
/*
 * Moving root-absolute addresses below a base path.  There is no parser of HTML, CSS or JavaScript
 * here: an address is found by what stands before it (an attribute's name, `url(`, a quote), ends
 * where that says, and is moved when it names a file of the output.
 *
 *	HTML	src="/x", href=/x, srcset="/x 1x, /y 2x", content="0; url=/x"; files and pages
 *	CSS	url(/x), url("/x"), @import "/x"
 *	quoted	"/x", '/x', `/x`, \"/x\", wherever quotes are; files only
 *	script	.p="/", return"/"+x, "/_next/", "/_nuxt/": prefixes that webpack, Vite, Next and
 *Nuxt put before names at run time
 */
#include "publish/rewrite.h"

#include <ctype.h>
#include <string.h>
#include <strings.h>

#include "base/mem.h"
#include "base/parse.h"

#define ADDRESS_MAX 1024

struct text {
	const char *at, *end;
};

struct rewriting {
	const struct rewrite_rules *rules;
	enum rewrite_kind kind;
	const char *start, *end; /* of the text */
	const char *copied;      /* all before it is in `out` */
	struct strbuf *out;
	size_t n;
};

/* clang-format off */
static const struct {
	const char *ending;
	enum rewrite_kind kind;
} endings[] = {
	{ ".html", REWRITE_HTML }, { ".htm", REWRITE_HTML }, { ".css", REWRITE_CSS },
	{ ".js", REWRITE_SCRIPT }, { ".mjs", REWRITE_SCRIPT }, { ".json", REWRITE_DATA },
	{ ".webmanifest", REWRITE_MANIFEST }, { ".txt", REWRITE_DATA }, /* Next's pages for its router */
};

/* Attributes whose value is one address. */
static const char *const address_attributes[] = { "src", "href", "action", "poster", "data", "formaction" };
static const char *const list_attributes[] = { "srcset", "imagesrcset" };

/* Literals of a script that are only the beginning of an address: they stay what they are, moved. */
static const char *const script_prefixes[] = { "/_next/", "/_nuxt/" };
/* clang-format on */

enum rewrite_kind rewrite_kind_of(const char *path)
{
	const size_t len = strlen(path);

	for (size_t i = 0; i < ARRAY_SIZE(endings); i++) {
		const size_t n = strlen(endings[i].ending);

		if (len > n && strcasecmp(path + len - n, endings[i].ending) == 0)
			return endings[i].kind;
	}
	return REWRITE_NONE;
}

/* --- what an address names */

/* The path of an address without its slash, query and fragment, decoded; -1 when it is too long. */
static int path_of(const char *address, size_t len, char path[static ADDRESS_MAX])
{
	size_t n = 0;

	for (size_t i = 1; i < len && address[i] != '?' && address[i] != '#'; i++) {
		int high = -1, low = -1;

		if (n == ADDRESS_MAX - sizeof("/index.html"))
			return -1;
		if (address[i] == '%' && i + 2 < len) {
			high = hex_digit(address[i + 1]);
			low = hex_digit(address[i + 2]);
		}
		if (high >= 0 && low >= 0) {
			path[n++] = (char)(high << 4 | low);
			i += 2;
		} else {
			path[n++] = address[i];
		}
	}
	path[n] = '\0';
	return (int)n;
}

static bool is_root_absolute(const char *address, size_t len)
{
	return len > 0 && address[0] == '/' &&
	       (len == 1 || (address[1] != '/' && address[1] != '\\'));
}

static bool is_below(const char *base, const char *address, size_t len)
{
	const size_t n = strlen(base);

	/* "/base" without its last slash is the same place. */
	return len >= n - 1 && memcmp(base, address, n - 1) == 0 &&
	       (len == n - 1 || strchr("/?#", address[n - 1]));
}

static bool has_file(const struct rewrite_rules *rules, const char *path, size_t len)
{
	return len > 0 && rules->has_file(path, len, rules->arg);
}

static bool has_page(const struct rewrite_rules *rules, char path[static ADDRESS_MAX], size_t len)
{
	while (len > 0 && path[len - 1] == '/')
		len--;
	if (len == 0)
		return has_file(rules, "index.html", strlen("index.html"));
	strcpy(path + len, ".html");
	if (has_file(rules, path, len + strlen(".html")))
		return true;
	strcpy(path + len, "/index.html");
	return has_file(rules, path, len + strlen("/index.html"));
}

static bool is_to_move(const struct rewriting *w, const char *address, size_t len, bool or_page)
{
	char path[ADDRESS_MAX];
	int n;

	if (!is_root_absolute(address, len) || is_below(w->rules->base, address, len))
		return false;
	n = path_of(address, len, path);
	if (n < 0 || memchr(path, '\0', (size_t)n))
		return false;
	return has_file(w->rules, path, (size_t)n) ||
	       (or_page && has_page(w->rules, path, (size_t)n));
}

/* `address` starts with the slash that the base ends with. */
static void move(struct rewriting *w, const char *address)
{
	strbuf_add(w->out, w->copied, (size_t)(address - w->copied));
	strbuf_add(w->out, w->rules->base, strlen(w->rules->base) - 1);
	w->copied = address;
	w->n++;
}

static void move_if(struct rewriting *w, const char *address, const char *end, bool or_page)
{
	/* What two patterns find is moved by the first. */
	if (address > w->copied && is_to_move(w, address, (size_t)(end - address), or_page))
		move(w, address);
}

/* --- reading */

static bool starts(const char *at, const char *end, const char *word)
{
	const size_t len = strlen(word);

	return (size_t)(end - at) >= len && strncasecmp(at, word, len) == 0;
}

static const char *skip_blanks(const char *at, const char *end)
{
	while (at < end && isspace((unsigned char)*at))
		at++;
	return at;
}

static bool is_quote(char c)
{
	return c == '"' || c == '\'' || c == '`';
}

/* --- HTML */

/* "/a.png 1x, /b.png 2x" */
static void rewrite_list(struct rewriting *w, const char *at, const char *end)
{
	while (at < end) {
		const char *address;

		while (at < end && (isspace((unsigned char)*at) || *at == ','))
			at++;
		address = at;
		while (at < end && !isspace((unsigned char)*at) && *at != ',')
			at++;
		move_if(w, address, at, false);
		while (at < end && *at != ',')
			at++;
	}
}

/* "0; url=/new/", of <meta http-equiv="refresh">; or an address, as of og:image. */
static void rewrite_content(struct rewriting *w, const char *at, const char *end)
{
	if (at < end && *at == '/') {
		move_if(w, at, end, true);
		return;
	}
	if (at == end || !isdigit((unsigned char)*at))
		return;
	for (; at < end; at++)
		if (starts(at, end, "url=")) {
			move_if(w, skip_blanks(at + strlen("url="), end), end, true);
			return;
		}
}

/* The value behind an attribute's "=": up to its quote, or to where an unquoted one ends. */
static bool value_at(const char *at, const char *end, struct text *ret)
{
	char quote = '\0';

	at = skip_blanks(at, end);
	if (at == end || *at != '=')
		return false;
	at = skip_blanks(at + 1, end);
	if (at < end && (*at == '"' || *at == '\''))
		quote = *at++;
	ret->at = at;
	while (at < end && (quote ? *at != quote : !isspace((unsigned char)*at) && *at != '>'))
		at++;
	ret->end = at;
	return true;
}

/* The name at `at`, when it is one of these; its length. */
static size_t attribute_at(const char *at, const char *end, const char *const *names, size_t n)
{
	for (size_t i = 0; i < n; i++) {
		const size_t len = strlen(names[i]);

		if (starts(at, end, names[i]) && at + len < end &&
		    (at[len] == '=' || isspace((unsigned char)at[len])))
			return len;
	}
	return 0;
}

/*
 * Returns where to go on: behind a value in which several addresses may be, else at `at`.  Most
 * values are gone through again, since in a script `data = "<img src='/x'>"` looks the same.
 */
static const char *rewrite_attribute(struct rewriting *w, const char *at)
{
	static const char *const content[] = { "content" };
	const char *name = starts(at, w->end, "xlink:") ? at + strlen("xlink:") : at;
	struct text value;
	size_t len;

	len = attribute_at(name, w->end, address_attributes, ARRAY_SIZE(address_attributes));
	if (len > 0 && value_at(name + len, w->end, &value)) {
		move_if(w, value.at, value.end, true);
		return at;
	}
	len = attribute_at(name, w->end, list_attributes, ARRAY_SIZE(list_attributes));
	if (len > 0 && value_at(name + len, w->end, &value)) {
		rewrite_list(w, value.at, value.end);
		return value.end;
	}
	len = attribute_at(name, w->end, content, ARRAY_SIZE(content));
	if (len > 0 && value_at(name + len, w->end, &value)) {
		rewrite_content(w, value.at, value.end);
		return value.end;
	}
	return at;
}

/* --- CSS */

static void rewrite_css_address(struct rewriting *w, const char *at)
{
	const char *address;

	at = skip_blanks(at, w->end);
	if (at < w->end && (*at == '"' || *at == '\''))
		at++;
	else if (at + 1 < w->end && *at == '\\' && is_quote(at[1]))
		at += 2; /* of a style sheet in a script's string */
	/* No further than an address is long: "url(url(url(…" must not be read again and again. */
	address = at;
	while (at < w->end && at - address < ADDRESS_MAX && !isspace((unsigned char)*at) &&
	       !strchr("\"')\\", *at))
		at++;
	move_if(w, address, at, false);
}

static void rewrite_css(struct rewriting *w, const char *at)
{
	if (starts(at, w->end, "url("))
		rewrite_css_address(w, at + strlen("url("));
	else if (starts(at, w->end, "@import"))
		rewrite_css_address(w, at + strlen("@import"));
}

/* --- quoted literals */

/* Behind a quote, which may itself be escaped: up to the closing one, or a query's beginning. */
static void rewrite_literal(struct rewriting *w, const char *quote)
{
	const char *address = quote + 1;
	const char *at = address;
	const char *query = NULL;

	if (at == w->end || *at != '/')
		return;
	while (at < w->end && !is_quote(*at) && *at != '\\' && *at != '<' && *at != '>' &&
	       !isspace((unsigned char)*at)) {
		if (!query && (*at == '?' || *at == '#'))
			query = at;
		at++;
	}
	if (query)
		move_if(w, address, query, w->kind == REWRITE_MANIFEST);
	else if (at < w->end &&
		 (*at == *quote || (*at == '\\' && at + 1 < w->end && at[1] == *quote)))
		move_if(w, address, at, w->kind == REWRITE_MANIFEST);
}

/* --- scripts */

/* Whether there is "/" in quotes at `at`; the slash. */
static const char *root_literal(const char *at, const char *end)
{
	if (end - at < 3 || !is_quote(at[0]) || at[1] != '/' || at[2] != at[0])
		return NULL;
	return at + 1;
}

static void move_new(struct rewriting *w, const char *address)
{
	if (address > w->copied)
		move(w, address);
}

/* `n.p="/"`, webpack's public path */
static void rewrite_public_path(struct rewriting *w, const char *at)
{
	const char *slash;

	at = skip_blanks(at + strlen(".p"), w->end);
	if (at == w->end || *at != '=')
		return;
	slash = root_literal(skip_blanks(at + 1, w->end), w->end);
	if (slash)
		move_new(w, slash);
}

/* `return"/"+e`, Vite's assetsURL() */
static void rewrite_assets_url(struct rewriting *w, const char *at)
{
	const char *slash = root_literal(skip_blanks(at + strlen("return"), w->end), w->end);

	if (!slash)
		return;
	at = skip_blanks(slash + 2, w->end);
	if (at == w->end || *at != '+')
		return;
	at = skip_blanks(at + 1, w->end);
	if (at < w->end && (isalpha((unsigned char)*at) || *at == '_' || *at == '$'))
		move_new(w, slash);
}

static void rewrite_prefix(struct rewriting *w, const char *quote)
{
	for (size_t i = 0; i < ARRAY_SIZE(script_prefixes); i++) {
		const size_t len = strlen(script_prefixes[i]);

		if ((size_t)(w->end - quote) > len + 1 &&
		    memcmp(quote + 1, script_prefixes[i], len) == 0 && quote[len + 1] == *quote &&
		    !is_below(w->rules->base, quote + 1, len))
			move_new(w, quote + 1);
	}
}

static bool is_word(char c)
{
	return isalnum((unsigned char)c) || c == '_' || c == '$';
}

static void rewrite_script(struct rewriting *w, const char *at)
{
	const bool begins = at == w->start || !is_word(at[-1]);

	if (starts(at, w->end, ".p"))
		rewrite_public_path(w, at);
	else if (begins && starts(at, w->end, "return"))
		rewrite_assets_url(w, at);
	else if (is_quote(*at))
		rewrite_prefix(w, at);
}

size_t rewrite_text(enum rewrite_kind kind, const char *text, size_t len,
		    const struct rewrite_rules *rules, struct strbuf *out)
{
	const bool is_html = kind == REWRITE_HTML;
	const bool has_css = is_html || kind == REWRITE_CSS || kind == REWRITE_SCRIPT;
	struct rewriting w = {
		.rules = rules,
		.kind = kind,
		.start = text,
		.end = text + len,
		.copied = text,
		.out = out,
	};

	for (const char *at = text; kind != REWRITE_NONE && at < w.end; at++) {
		if (is_html && at > text && isspace((unsigned char)at[-1]))
			at = rewrite_attribute(&w, at);
		if (at == w.end)
			break;
		if (has_css && (*at == 'u' || *at == 'U' || *at == '@'))
			rewrite_css(&w, at);
		if (kind != REWRITE_CSS && is_quote(*at))
			rewrite_literal(&w, at);
		if (rules->with_prefixes && (kind == REWRITE_SCRIPT || is_html))
			rewrite_script(&w, at);
	}
	strbuf_add(out, w.copied, (size_t)(w.end - w.copied));
	return w.n;
}

/* --- the check of the entry page */

static const char *tag_end(const char *at, const char *end)
{
	char quote = '\0';

	for (; at < end && (quote || *at != '>'); at++) {
		if (quote && *at == quote)
			quote = '\0';
		else if (!quote && (*at == '"' || *at == '\''))
			quote = *at;
	}
	return at;
}

/* The value of an attribute of a tag; false when it has none. */
static bool attribute_of(const char *tag, const char *end, const char *name, struct text *ret)
{
	for (const char *at = tag; at < end; at++)
		if (isspace((unsigned char)*at) && attribute_at(at + 1, end, &name, 1) > 0)
			return value_at(at + 1 + strlen(name), end, ret);
	return false;
}

static bool contains(struct text t, const char *word)
{
	for (const char *at = t.at; at < t.end; at++)
		if (starts(at, t.end, word))
			return true;
	return false;
}

/* The address of a script or style sheet that a tag loads. */
static bool loads(const char *tag, const char *end, struct text *ret)
{
	struct text rel;

	if (starts(tag, end, "<script"))
		return attribute_of(tag, end, "src", ret);
	return starts(tag, end, "<link") && attribute_of(tag, end, "rel", &rel) &&
	       (contains(rel, "stylesheet") || contains(rel, "modulepreload")) &&
	       attribute_of(tag, end, "href", ret);
}

char *rewrite_find_outside(const char *html, size_t len, const char *base)
{
	const char *end = html + len;
	const char *next;

	for (const char *at = html; at < end; at = next) {
		struct text address;

		next = at + 1;
		if (*at != '<')
			continue;
		if (starts(at, end, "<!--")) {
			const char *over = memmem(at, (size_t)(end - at), "-->", 3);

			next = over ? over : end;
			continue;
		}
		if (!starts(at, end, "<script") && !starts(at, end, "<link"))
			continue;
		next = tag_end(at, end);
		if (loads(at, next, &address) &&
		    is_root_absolute(address.at, (size_t)(address.end - address.at)) &&
		    !is_below(base, address.at, (size_t)(address.end - address.at)))
			return xstrndup(address.at, (size_t)(address.end - address.at));
	}
	return NULL;
}

bool rewrite_has_integrity(const char *html, size_t len)
{
	static const char *const name[] = { "integrity" };
	const char *end = html + len;

	for (const char *at = html; at < end; at++) {
		struct text value;

		if (isspace((unsigned char)*at) && attribute_at(at + 1, end, name, 1) > 0 &&
		    value_at(at + 1 + strlen(*name), end, &value) &&
		    starts(value.at, value.end, "sha"))
			return true;
	}
	return false;
}
