/* SPDX-License-Identifier: MIT */
/*
 * For bash: one function, which finds the command on the line and answers by a case for each.
 */
#include "ctl/completion.h"

#include <string.h>

#include "base/mem.h"
#include "ctl/commands.h"

/* "--name --path": of a table. */
static void print_flags(FILE *f, const struct ctl_option *options)
{
	for (const struct ctl_option *o = options; o && o->name; o++)
		fprintf(f, " --%s", o->name);
}

/* How bash completes a value: an action for the end of a case's line. */
static void bash_value(FILE *f, enum ctl_type type, const char *choices)
{
	switch (type) {
	case CTL_CHOICE:
		fputs("COMPREPLY=($(compgen -W \"", f);
		completion_choices(f, choices);
		fputs("\" -- \"$cur\"))", f);
		return;
	case CTL_FILE:
		fputs("COMPREPLY=($(compgen -f -- \"$cur\"))", f);
		return;
	case CTL_COMMAND:
		fputs("COMPREPLY=($(compgen -c -- \"$cur\"))", f);
		return;
	case CTL_PREVIEW:
		fputs("COMPREPLY=($(compgen -W \"$(" COMPLETION_NAMES ")\" -- \"$cur\"))", f);
		return;
	case CTL_FLAG:
	case CTL_TEXT:
	case CTL_ID:
	case CTL_NAME:
	case CTL_UINT:
	case CTL_SECONDS:
		fputs("COMPREPLY=()", f);
		return;
	}
}

static void bash_options(FILE *f, const char *of, const struct ctl_option *options)
{
	for (const struct ctl_option *o = options; o && o->name; o++) {
		if (o->type == CTL_FLAG)
			continue;
		fprintf(f, "\t%s:--%s", of, o->name);
		if (o->letter)
			fprintf(f, "|%s:-%c", of, o->letter);
		fputs(") ", f);
		bash_value(f, o->type, o->choices);
		fputs("; return ;;\n", f);
	}
}

static void bash_values(FILE *f, const char *first, const char *second,
			const struct ctl_command *command)
{
	scoped(freep) char *of = xasprintf("'%s%s%s'", first, *second ? " " : "", second);

	bash_options(f, of, command->options);
}

static void bash_words(FILE *f, const char *first, const char *second,
		       const struct ctl_command *command)
{
	fprintf(f, "\t'%s%s%s')\n\t\tflags+=\"", first, *second ? " " : "", second);
	print_flags(f, command->options);
	fputs("\"\n", f);
	if (command == &cmd_help) {
		fputs("\t\tCOMPREPLY=($(compgen -W \"", f);
		completion_words(f);
		fputs("\" -- \"$cur\"))\n", f);
	} else if (command->most_args > 0) {
		fputs("\t\t", f);
		bash_value(f, command->arg_type, command->arg_choices);
		fputc('\n', f);
	}
	fputs("\t\t;;\n", f);
}

static void bash_seconds(FILE *f)
{
	for (size_t i = 0; ctl_commands[i]; i++) {
		size_t len = strcspn(ctl_commands[i]->name, " ");

		if (ctl_commands[i]->hidden || ctl_commands[i]->name[len] == '\0' ||
		    !completion_is_first(ctl_commands[i]))
			continue;
		fprintf(f, "\t%.*s) words=\"", (int)len, ctl_commands[i]->name);
		for (size_t j = i; ctl_commands[j]; j++)
			if (strncmp(ctl_commands[j]->name, ctl_commands[i]->name, len + 1) == 0)
				fprintf(f, " %s", ctl_commands[j]->name + len + 1);
		fputs("\" ;;\n", f);
	}
}

static void print_valued_of(FILE *f, const struct ctl_option *options, const char *separator)
{
	for (const struct ctl_option *o = options; o && o->name; o++) {
		if (o->type == CTL_FLAG)
			continue;
		fprintf(f, "%s--%s", separator, o->name);
		if (o->letter)
			fprintf(f, "|-%c", o->letter);
		separator = "|";
	}
}

/* The options that take the word behind them, as a pattern. */
static void print_valued(FILE *f)
{
	print_valued_of(f, ctl_common, "");
	for (size_t i = 0; ctl_commands[i]; i++)
		print_valued_of(f, ctl_commands[i]->options, "|");
}

void completion_bash(FILE *f)
{
	fputs("# bash completion of previewctl; made by `previewctl completion bash`\n"
	      "_previewctl() {\n"
	      "\tlocal cur=${COMP_WORDS[COMP_CWORD]} prev=${COMP_WORDS[COMP_CWORD-1]}\n"
	      "\tlocal first= second= words= flags= i\n"
	      "\tCOMPREPLY=()\n"
	      "\tfor ((i = 1; i < COMP_CWORD; i++)); do\n"
	      "\t\tcase ${COMP_WORDS[i]} in\n"
	      "\t\t",
	      f);
	print_valued(f);
	fputs(") ((i++)) ;;\n"
	      "\t\t-*) ;;\n"
	      "\t\t*) if [[ -z $first ]]; then first=${COMP_WORDS[i]}\n"
	      "\t\t   elif [[ -z $second ]]; then second=${COMP_WORDS[i]}; fi ;;\n"
	      "\t\tesac\n"
	      "\tdone\n"
	      "\tcase $first in\n",
	      f);
	bash_seconds(f);
	fputs("\tesac\n"
	      "\tif [[ -z $first ]]; then words=\"",
	      f);
	completion_words(f);
	fputs("\"\n"
	      "\telif [[ -z $second && -n $words && $cur != -* ]]; then :\n"
	      "\telse\n"
	      "\t\t[[ -n $words ]] && first=\"$first $second\"\n"
	      "\t\twords=\n"
	      "\tfi\n"
	      "\tcase \"$first:$prev\" in\n",
	      f);
	completion_each(f, bash_values);
	bash_options(f, "*", ctl_common);
	fputs("\tesac\n"
	      "\tif [[ -n $words && $cur != -* ]]; then\n"
	      "\t\tCOMPREPLY=($(compgen -W \"$words\" -- \"$cur\"))\n"
	      "\t\treturn\n"
	      "\tfi\n"
	      "\tflags=\"",
	      f);
	print_flags(f, ctl_common);
	fputs("\"\n"
	      "\tcase $first in\n",
	      f);
	completion_each(f, bash_words);
	fputs("\tesac\n"
	      "\t[[ $cur == -* ]] && COMPREPLY=($(compgen -W \"$flags\" -- \"$cur\"))\n"
	      "}\n"
	      "complete -F _previewctl previewctl\n",
	      f);
}
