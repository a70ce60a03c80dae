/* SPDX-License-Identifier: MIT */
#pragma once

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "base/cleanup.h"
#include "base/strbuf.h"
#include "config/settings.h"

/*
 * The rows of options.def as data: how to find an option by its name, and how its value is read,
 * written and described.  The loader, the printer and the documents are all made of these.
 */
enum option_type {
	OPTION_BOOL,
	OPTION_UINT,
	OPTION_DURATION,
	OPTION_SIZE,
	OPTION_STRING,
	OPTION_PATH,
	OPTION_LIST,
	OPTION_ENUM,
	OPTION_PORTS,
	OPTION_LISTEN,
	OPTION_HOSTS,
	OPTION_NETWORKS,
	OPTION_ORIGINS,
	OPTION_REGISTRIES,
	OPTION_URL,
	OPTION_TEMPLATE,
	OPTION_HOST_TEMPLATE,
};

struct option {
	const char *section;
	const char *key;
	enum option_type type;
	const char *default_text;
	uint64_t least; /* in the unit that options.def gives the type */
	uint64_t most;  /* 0: no upper bound */
	bool reload;
	const char *choices;
	const char *help;
	size_t offset; /* of the member in struct settings */
};

/* An option's number is its place in options.def. */
enum option_number {
#define OPTION(section, key, TYPE, def, least, most, flags, choices, help) OPTION_##section##_##key,
#include "config/options.def"
#undef OPTION
	OPTION_COUNT,
};

extern const struct option options[OPTION_COUNT];

/* NULL when there is none. */
const struct option *option_find(const char *section, const char *key);
bool option_section_exists(const char *section);

/* What the writer of an unknown name may have meant; NULL when nothing is close. */
const struct option *option_nearest(const char *section, const char *key);
const char *option_nearest_section(const char *section);

/* "PREVIEWD_LIMITS_PER_SESSION".  Owned by the caller. */
char *option_variable(const struct option *o);

/*
 * Takes `text` as the option's value, or leaves what is there and returns -EINVAL: what would have
 * been right is said by option_describe().
 */
int option_set(const struct option *o, struct settings *s, const char *text) must_use;

/* The part of a refused text that is wrong: of a list the first such element.  Owned by the caller.
 */
char *option_wrong_part(const struct option *o, const char *text);

/* The value as a text that option_set() takes; empty when it is not set. */
void option_format(const struct option *o, const struct settings *s, struct strbuf *ret);

/* What a value must be: "a whole number from 1 to 10000". */
void option_describe(const struct option *o, struct strbuf *ret);

/* Frees what the value holds, and makes it empty. */
void option_clear(const struct option *o, struct settings *s);
