/* SPDX-License-Identifier: MIT */
#pragma once

#include <stdbool.h>
#include <stddef.h>

#include "base/cleanup.h"
#include "base/strbuf.h"

/*
 * Root-absolute addresses that a build left in its output, moved below the base path.  Only what
 * names a file of the output is touched (in HTML also a page), so nothing is guessed.  Pure: over
 * bytes, of which nothing is taken for granted.
 */
enum rewrite_kind {
	REWRITE_NONE, /* not looked at */
	REWRITE_HTML,
	REWRITE_CSS,
	REWRITE_SCRIPT,   /* JavaScript */
	REWRITE_DATA,     /* JSON and other data: quoted literals that are files */
	REWRITE_MANIFEST, /* of a web app: quoted literals, pages as well */
};

struct rewrite_rules {
	const char *base; /* "/api/…/published/" */
	/* Whether also "/" is moved where a bundler's run time puts it before names: only for a
	 * build that was not told its base.  In another it is the project's own doing. */
	bool with_prefixes;
	/* Whether the output has that file; percent-decoded, relative. */
	bool (*has_file)(const char *path, size_t len, void *arg);
	void *arg;
};

enum rewrite_kind rewrite_kind_of(const char *path);

/* Adds the text to `out`; returns how many addresses were moved. */
size_t rewrite_text(enum rewrite_kind kind, const char *text, size_t len,
		    const struct rewrite_rules *rules, struct strbuf *out);

/*
 * What a page asks for (scripts, style sheets) outside of the base: the first such address, which
 * will not be found there, or NULL.  The caller's.
 */
char *rewrite_find_outside(const char *html, size_t len, const char *base);

/* Whether a page holds a digest of what it loads (integrity="sha…"): those files must stay. */
bool rewrite_has_integrity(const char *html, size_t len);
