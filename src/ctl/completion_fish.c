/* SPDX-License-Identifier: MIT */
/*
 * For fish: one `complete` a word, with the words that must stand before it as its condition.
 */
#include "ctl/completion.h"

#include "base/mem.h"

static void fish_quoted(FILE *f, const char *text)
{
	for (; *text; text++) {
		if (*text == '\'' || *text == '\\')
			fputc('\\', f);
		fputc(*text, f);
	}
}

static void fish_value(FILE *f, enum ctl_type type, const char *choices)
{
	if (type == CTL_CHOICE) {
		fputs(" -a '", f);
		completion_choices(f, choices);
		fputc('\'', f);
	} else if (type == CTL_FILE) {
		fputs(" -F", f);
	} else if (type == CTL_COMMAND) {
		fputs(" -a '(__fish_complete_command)'", f);
	} else if (type == CTL_PREVIEW) {
		fputs(" -a '(" COMPLETION_NAMES ")'", f);
	}
}

/* `of` is the command that must stand on the line, "" where any may. */
static void fish_options(FILE *f, const char *of, const struct ctl_option *options)
{
	for (const struct ctl_option *o = options; o && o->name; o++) {
		fputs("complete -c previewctl", f);
		if (*of)
			fprintf(f, " -n '__previewctl_is %s'", of);
		fprintf(f, " -l %s", o->name);
		if (o->letter)
			fprintf(f, " -s %c", o->letter);
		if (o->type != CTL_FLAG)
			fputs(" -r", f);
		fish_value(f, o->type, o->choices);
		fputs(" -d '", f);
		fish_quoted(f, o->help);
		fputs("'\n", f);
	}
}

static void fish_command(FILE *f, const char *first, const char *second,
			 const struct ctl_command *command)
{
	scoped(freep) char *words = xasprintf("%s%s%s", first, *second ? " " : "", second);

	if (*second)
		fprintf(f, "complete -c previewctl -n '__previewctl_is %s' -a %s -d '", first,
			second);
	else
		fprintf(f, "complete -c previewctl -n __previewctl_is -a %s -d '", first);
	fish_quoted(f, command->summary);
	fputs("'\n", f);
	if (*second && completion_is_first(command))
		fprintf(f, "complete -c previewctl -n __previewctl_is -a %s\n", first);

	fish_options(f, words, command->options);
	if (command->most_args > 0 && command->arg_type != CTL_FLAG) {
		fprintf(f, "complete -c previewctl -n '__previewctl_is %s'", words);
		fish_value(f, command->arg_type, command->arg_choices);
		fputc('\n', f);
	}
}

void completion_fish(FILE *f)
{
	/* Whether the words on the line, options apart, are these and no more. */
	fputs("# fish completion of previewctl; made by `previewctl completion fish`\n"
	      "function __previewctl_is\n"
	      "\tset -l words (commandline -opc | string match -v -- '-*')\n"
	      "\ttest \"$words[2..]\" = \"$argv\"\n"
	      "end\n"
	      "complete -c previewctl -f\n",
	      f);
	completion_each(f, fish_command);
	fputs("complete -c previewctl -n '__previewctl_is help' -a '", f);
	completion_words(f);
	fputs("'\n", f);
	fish_options(f, "", ctl_common);
}
