/* SPDX-License-Identifier: MIT */
#pragma once

#include <stdbool.h>
#include <stddef.h>

#include "base/cleanup.h"

/*
 * Reads a settings file's bytes, one [section] or `key = value` at a time.
 *
 *	scoped(ini_done) struct ini ini = ini_of(text, len);
 *
 *	while ((r = ini_next(&ini)) > 0)
 *		...
 *
 * Blanks around names and values don't count, a line may end in CR LF, and comments (# or ;) stand
 * on lines of their own.  A value in double quotes keeps its blanks; \" and \\ in it stand for the
 * quote and the backslash.
 */
struct ini {
	const char *next;
	const char *end;
	unsigned line;       /* of what was read last; the first is 1 */
	char *section;       /* NULL before the first */
	char *key;           /* NULL: it was the section's own line */
	char *value;         /* NULL as key is; else never */
	bool quoted;         /* whether the value stood in quotes */
	const char *problem; /* after a failure: what is wrong with the line */
};

/* `text` is borrowed until ini_done(). */
struct ini ini_of(const char *text, size_t len);
void ini_done(struct ini *ini);

/* 1: a section or a key; 0: the end; -EINVAL: `line` isn't of the form, as `problem` says. */
int ini_next(struct ini *ini) must_use;
