/* SPDX-License-Identifier: MIT */
/*
 * Writes settings in the form of the file they could have come from, so that what a daemon runs
 * with can be read, kept and given to another one.
 */
#include <string.h>

#include "config/option.h"
#include "config/settings.h"
#include "config/settings_priv.h"

/* A path may hold what would end the comment's line. */
static void print_path(const char *path, FILE *f)
{
	for (; *path; path++)
		fputc((unsigned char)*path < 0x20 ? '?' : *path, f);
}

const char *settings_source_of(const struct settings *s, size_t number, unsigned *ret_line)
{
	static const char *const names[] = {
		[SETTINGS_DEFAULT] = "default",
		[SETTINGS_FILE] = "file",
		[SETTINGS_ENVIRONMENT] = "environment",
		[SETTINGS_COMMAND_LINE] = "command_line",
	};
	const enum settings_source source = s->origins->of[number].source;

	*ret_line = source == SETTINGS_FILE ? s->origins->of[number].line : 0;
	return names[source];
}

static void print_origin(const struct settings_origin *origins, size_t number, FILE *f)
{
	switch (origins->of[number].source) {
	case SETTINGS_DEFAULT:
		fputs("# default\n", f);
		break;
	case SETTINGS_FILE:
		fputs("# from ", f);
		print_path(origins->file, f);
		fprintf(f, ":%u\n", origins->of[number].line);
		break;
	case SETTINGS_ENVIRONMENT:
		fputs("# from the environment\n", f);
		break;
	case SETTINGS_COMMAND_LINE:
		fputs("# from the command line\n", f);
		break;
	}
}

static bool is_blank(char c)
{
	return c == ' ' || c == '\t';
}

/* Whether the value would be read as another one, or warned about, without quotes. */
static bool needs_quotes(const char *value)
{
	size_t len = strlen(value);

	return len > 0 && (is_blank(value[0]) || is_blank(value[len - 1]) || value[0] == '"' ||
			   strstr(value, " #") || strstr(value, " ;"));
}

static void print_value(const char *value, FILE *f)
{
	if (!needs_quotes(value)) {
		fputs(value, f);
		return;
	}

	fputc('"', f);
	for (; *value; value++) {
		if (*value == '"' || *value == '\\')
			fputc('\\', f);
		fputc(*value, f);
	}
	fputc('"', f);
}

void settings_print(const struct settings *s, FILE *f)
{
	const char *section = "";

	for (size_t i = 0; i < OPTION_COUNT; i++) {
		scoped(strbuf_done) struct strbuf value = strbuf_init(STRBUF_UNLIMITED);
		const struct option *o = &options[i];

		if (strcmp(section, o->section) != 0) {
			fprintf(f, "%s[%s]\n", *section ? "\n" : "", o->section);
			section = o->section;
		}

		option_format(o, s, &value);
		print_origin(s->origins, i, f);
		fprintf(f, "%s =", o->key);
		if (value.len > 0)
			fputc(' ', f);
		print_value(strbuf_str(&value), f);
		fputc('\n', f);
	}
}
