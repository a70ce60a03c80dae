/* SPDX-License-Identifier: MIT */
/*
 * For zsh: _arguments, with a specification for each option and argument.
 */
#include "ctl/completion.h"

#include <string.h>

#include "ctl/commands.h"

/* Within single quotes, and without what _arguments takes for itself. */
static void print_quoted(FILE *f, const char *text)
{
	for (; *text; text++) {
		if (*text == '\'')
			fputs("'\\''", f);
		else if (strchr("[]:", *text))
			fprintf(f, "\\%c", *text);
		else
			fputc(*text, f);
	}
}

/* How zsh completes a value: the last part of an _arguments specification. */
static void zsh_value(FILE *f, const char *what, enum ctl_type type, const char *choices)
{
	fputc(':', f);
	print_quoted(f, what);
	fputc(':', f);
	switch (type) {
	case CTL_CHOICE:
		fputc('(', f);
		completion_choices(f, choices);
		fputc(')', f);
		return;
	case CTL_FILE:
		fputs("_files", f);
		return;
	case CTL_COMMAND:
		fputs("_command_names -e", f);
		return;
	case CTL_PREVIEW:
		fputs("_previewctl_names", f);
		return;
	case CTL_FLAG:
	case CTL_TEXT:
	case CTL_ID:
	case CTL_NAME:
	case CTL_UINT:
	case CTL_SECONDS:
		fputc(' ', f);
		return;
	}
}

static void zsh_option(FILE *f, const struct ctl_option *o)
{
	if (o->letter)
		fprintf(f, " \\\n\t\t'(-%c --%s)'{-%c,--%s}'[", o->letter, o->name, o->letter,
			o->name);
	else
		fprintf(f, " \\\n\t\t'--%s[", o->name);
	print_quoted(f, o->help);
	fputc(']', f);
	if (o->type != CTL_FLAG)
		zsh_value(f, o->argument, o->type, o->choices);
	fputc('\'', f);
}

static void zsh_command(FILE *f, const char *first, const char *second,
			const struct ctl_command *command)
{
	fprintf(f, "\t'%s%s%s') _arguments -s", first, *second ? " " : "", second);
	for (const struct ctl_option *o = command->options; o && o->name; o++)
		zsh_option(f, o);
	for (const struct ctl_option *o = ctl_common; o->name; o++)
		zsh_option(f, o);
	if (command == &cmd_help) {
		fputs(" \\\n\t\t'1:command:(", f);
		completion_words(f);
		fputs(")'", f);
	} else if (command->most_args > 0) {
		fputs(" \\\n\t\t'1", f);
		zsh_value(f, command->args, command->arg_type, command->arg_choices);
		fputc('\'', f);
	}
	fputs(" ;;\n", f);
}

static void zsh_name(FILE *f, const char *first, const char *second,
		     const struct ctl_command *command)
{
	fprintf(f, "\t\t'%s%s%s:", first, *second ? " " : "", second);
	print_quoted(f, command->summary);
	fputs("'\n", f);
}

void completion_zsh(FILE *f)
{
	fputs("#compdef previewctl\n"
	      "# zsh completion of previewctl; made by `previewctl completion zsh`\n"
	      "_previewctl_names() {\n"
	      "\tlocal -a names=(${(f)\"$(" COMPLETION_NAMES ")\"})\n"
	      "\tcompadd -a names\n"
	      "}\n"
	      "_previewctl() {\n"
	      "\tlocal -a all=(\n",
	      f);
	completion_each(f, zsh_name);
	/* The command's words, then what is left of the line for _arguments. */
	fputs("\t)\n"
	      "\tlocal -a found\n"
	      "\tlocal line=${words[2]} n=1\n"
	      "\tif (( CURRENT == 2 )); then\n"
	      "\t\tfound=(${(u)${all%%:*}%% *})\n"
	      "\t\tcompadd -a found\n"
	      "\t\treturn\n"
	      "\tfi\n"
	      "\tfound=(${(M)all:#$line *})\n"
	      "\tif (( $#found )); then\n"
	      "\t\tif (( CURRENT == 3 )); then\n"
	      "\t\t\tfound=(${found#$line })\n"
	      "\t\t\t_describe command found\n"
	      "\t\t\treturn\n"
	      "\t\tfi\n"
	      "\t\tline=\"$line ${words[3]}\" n=2\n"
	      "\tfi\n"
	      "\tshift $n words\n"
	      "\t(( CURRENT -= n ))\n"
	      "\tcase $line in\n",
	      f);
	completion_each(f, zsh_command);
	fputs("\tesac\n"
	      "}\n"
	      "_previewctl \"$@\"\n",
	      f);
}
