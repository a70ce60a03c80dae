/* SPDX-License-Identifier: MIT */
/*
 * The table of all options, and finding one in it by its name or by something like its name.
 */
#include "config/option.h"

#include <string.h>

#include "base/mem.h"

enum { RELOAD = 1 }; /* the flags of options.def */

const struct option options[OPTION_COUNT] = {
#define OPTION(section_, key_, TYPE, def, least_, most_, flags, choices_, help_) \
	[OPTION_##section_##_##key_] = {                                         \
		.section = #section_,                                            \
		.key = #key_,                                                    \
		.type = OPTION_##TYPE,                                           \
		.default_text = def,                                             \
		.least = least_,                                                 \
		.most = most_,                                                   \
		.reload = ((flags)&RELOAD) != 0,                                 \
		.choices = choices_,                                             \
		.help = help_,                                                   \
		.offset = offsetof(struct settings, section_##_##key_),          \
	},
#include "config/options.def"
#undef OPTION
};

const struct option *option_find(const char *section, const char *key)
{
	for (size_t i = 0; i < OPTION_COUNT; i++)
		if (strcmp(options[i].section, section) == 0 && strcmp(options[i].key, key) == 0)
			return &options[i];
	return NULL;
}

bool option_section_exists(const char *section)
{
	for (size_t i = 0; i < OPTION_COUNT; i++)
		if (strcmp(options[i].section, section) == 0)
			return true;
	return false;
}

/* Longer names than this are nobody's slip of the finger. */
#define NAME_MAX_COMPARED 64

static size_t least_of(size_t a, size_t b)
{
	return a < b ? a : b;
}

/* Letters to insert, delete or change to come from `a` to `b` (Levenshtein's distance). */
static size_t edit_distance(const char *a, const char *b)
{
	size_t row[NAME_MAX_COMPARED + 1];
	size_t b_len = strlen(b);

	if (strlen(a) > NAME_MAX_COMPARED || b_len > NAME_MAX_COMPARED)
		return SIZE_MAX / 2;

	for (size_t j = 0; j <= b_len; j++)
		row[j] = j;
	for (size_t i = 0; a[i]; i++) {
		size_t diagonal = row[0];

		row[0] = i + 1;
		for (size_t j = 0; j < b_len; j++) {
			size_t changed = diagonal + (a[i] != b[j]);

			diagonal = row[j + 1];
			row[j + 1] = least_of(changed, 1 + least_of(row[j], row[j + 1]));
		}
	}
	return row[b_len];
}

/* One slip, and one more for every four letters. */
static size_t slips_allowed(const char *name)
{
	return 1 + strlen(name) / 4;
}

const struct option *option_nearest(const char *section, const char *key)
{
	const struct option *nearest = NULL;
	size_t least = slips_allowed(key) + 1;

	for (size_t i = 0; i < OPTION_COUNT; i++) {
		/* The right key in the wrong section is one slip, however the sections differ. */
		size_t slips = edit_distance(key, options[i].key) +
			       (strcmp(section, options[i].section) != 0);

		if (slips < least) {
			least = slips;
			nearest = &options[i];
		}
	}
	return nearest;
}

const char *option_nearest_section(const char *section)
{
	const char *nearest = NULL;
	size_t least = slips_allowed(section) + 1;

	for (size_t i = 0; i < OPTION_COUNT; i++) {
		size_t slips = edit_distance(section, options[i].section);

		if (slips < least) {
			least = slips;
			nearest = options[i].section;
		}
	}
	return nearest;
}

char *option_variable(const struct option *o)
{
	char *name = xasprintf("PREVIEWD_%s_%s", o->section, o->key);

	for (char *c = name; *c; c++)
		if (*c >= 'a' && *c <= 'z')
			*c -= 'a' - 'A';
	return name;
}
