/* SPDX-License-Identifier: MIT */
#pragma once

#include <stdbool.h>
#include <stddef.h>
#include <stdio.h>

#include "base/cleanup.h"

struct cJSON;
struct ctl;

/*
 * What people see.  Text that came from outside passes printable(): an agent chose the names, and
 * what it chose must not drive somebody's terminal.
 */

/* A copy with "?" for each control character; printable_lines() leaves line feeds alone. */
char *printable(const char *s);
char *printable_lines(const char *s);

/* Of JSON, which escapes most of them already: the same document without the others. */
char *printable_json(const char *json);

/* The document on one line, or indented where people read it. */
void output_json(const struct ctl *ctl, const struct cJSON *document);

/* The address of what was published: all of it where it is known, else its path.  A line. */
void output_address(const struct ctl *ctl, const struct cJSON *document);

/* Whether what is published can be built here, and if not, what to do.  A line. */
void output_sandbox(const struct ctl *ctl, const struct cJSON *sandbox);

/* "3h25m": two units are enough for people. */
#define AGE_TEXT_SIZE 32
const char *format_age(double seconds, char text[static AGE_TEXT_SIZE]);

/*
 * A table: aligned columns beneath their titles for people, tab-separated lines without titles for
 * programs.  The last column is never padded.
 */
struct table;

struct table *table_new(const char *const *titles); /* ends with NULL */
struct table *table_free(struct table *t);
DEFINE_CLEANUP(struct table *, table_free)

/* A cell of the row that is being filled; NULL reads as nothing.  A full row starts the next. */
void table_add(struct table *t, const char *cell);
size_t table_rows(const struct table *t);

/* With `color`, cells of the column STATUS have theirs. */
void table_print(const struct table *t, FILE *f, bool human, bool color);
