/* SPDX-License-Identifier: MIT */
/*
 * Completion scripts, made of the commands' rows: there is no list here to fall behind.
 */
#include <string.h>

#include "base/mem.h"
#include "base/parse.h"
#include "ctl/commands.h"
#include "ctl/ctl.h"

/* The names of what is attached: the first column of a piped `ls`. */
#define PREVIEW_NAMES "previewctl ls 2>/dev/null | cut -f1"

typedef void visit_fn(FILE *f, const char *first, const char *second,
		      const struct ctl_command *command);

/* Each command once, by its words; `second` is "" where it has one. */
static void for_each_command(FILE *f, visit_fn *visit)
{
	for (size_t i = 0; ctl_commands[i]; i++) {
		const struct ctl_command *command = ctl_commands[i];
		scoped(freep) char *first = xstrdup(command->name);
		char *space = strchr(first, ' ');

		if (command->hidden)
			continue;
		if (space)
			*space++ = '\0';
		visit(f, first, space ? space : "", command);
	}
}

static bool is_first_of_its_word(const struct ctl_command *command)
{
	size_t len = strcspn(command->name, " ");

	for (size_t i = 0; ctl_commands[i] != command; i++)
		if (strcspn(ctl_commands[i]->name, " ") == len &&
		    strncmp(ctl_commands[i]->name, command->name, len) == 0)
			return false;
	return true;
}

/* "--name --path": of a table. */
static void print_flags(FILE *f, const struct ctl_option *options)
{
	for (const struct ctl_option *o = options; o && o->name; o++)
		fprintf(f, " --%s", o->name);
}

static void print_first_words(FILE *f)
{
	for (size_t i = 0; ctl_commands[i]; i++)
		if (!ctl_commands[i]->hidden && is_first_of_its_word(ctl_commands[i]))
			fprintf(f, " %.*s", (int)strcspn(ctl_commands[i]->name, " "),
				ctl_commands[i]->name);
}

static void print_choices(FILE *f, const char *choices)
{
	scoped(strv_freep) char **list = parse_list(choices, ',');

	for (size_t i = 0; list[i]; i++)
		fprintf(f, "%s%s", i > 0 ? " " : "", list[i]);
}

/* How bash completes a value: an action for the end of a case's line. */
static void bash_value(FILE *f, enum ctl_type type, const char *choices)
{
	switch (type) {
	case CTL_CHOICE:
		fputs("COMPREPLY=($(compgen -W \"", f);
		print_choices(f, choices);
		fputs("\" -- \"$cur\"))", f);
		return;
	case CTL_FILE:
		fputs("COMPREPLY=($(compgen -f -- \"$cur\"))", f);
		return;
	case CTL_COMMAND:
		fputs("COMPREPLY=($(compgen -c -- \"$cur\"))", f);
		return;
	case CTL_PREVIEW:
		fputs("COMPREPLY=($(compgen -W \"$(" PREVIEW_NAMES ")\" -- \"$cur\"))", f);
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
		print_first_words(f);
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
		    !is_first_of_its_word(ctl_commands[i]))
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

static void bash(FILE *f)
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
	print_first_words(f);
	fputs("\"\n"
	      "\telif [[ -z $second && -n $words && $cur != -* ]]; then :\n"
	      "\telse\n"
	      "\t\t[[ -n $words ]] && first=\"$first $second\"\n"
	      "\t\twords=\n"
	      "\tfi\n"
	      "\tcase \"$first:$prev\" in\n",
	      f);
	for_each_command(f, bash_values);
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
	for_each_command(f, bash_words);
	fputs("\tesac\n"
	      "\t[[ $cur == -* ]] && COMPREPLY=($(compgen -W \"$flags\" -- \"$cur\"))\n"
	      "}\n"
	      "complete -F _previewctl previewctl\n",
	      f);
}

/* Within single quotes of zsh and fish, and without what _arguments takes for itself. */
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
		print_choices(f, choices);
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
		print_first_words(f);
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

static void zsh(FILE *f)
{
	fputs("#compdef previewctl\n"
	      "# zsh completion of previewctl; made by `previewctl completion zsh`\n"
	      "_previewctl_names() {\n"
	      "\tlocal -a names=(${(f)\"$(" PREVIEW_NAMES ")\"})\n"
	      "\tcompadd -a names\n"
	      "}\n"
	      "_previewctl() {\n"
	      "\tlocal -a all=(\n",
	      f);
	for_each_command(f, zsh_name);
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
	for_each_command(f, zsh_command);
	fputs("\tesac\n"
	      "}\n"
	      "_previewctl \"$@\"\n",
	      f);
}

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
		print_choices(f, choices);
		fputc('\'', f);
	} else if (type == CTL_FILE) {
		fputs(" -F", f);
	} else if (type == CTL_COMMAND) {
		fputs(" -a '(__fish_complete_command)'", f);
	} else if (type == CTL_PREVIEW) {
		fputs(" -a '(" PREVIEW_NAMES ")'", f);
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
	if (*second && is_first_of_its_word(command))
		fprintf(f, "complete -c previewctl -n __previewctl_is -a %s\n", first);

	fish_options(f, words, command->options);
	if (command->most_args > 0 && command->arg_type != CTL_FLAG) {
		fprintf(f, "complete -c previewctl -n '__previewctl_is %s'", words);
		fish_value(f, command->arg_type, command->arg_choices);
		fputc('\n', f);
	}
}

static void fish(FILE *f)
{
	/* Whether the words on the line, options apart, are these and no more. */
	fputs("# fish completion of previewctl; made by `previewctl completion fish`\n"
	      "function __previewctl_is\n"
	      "\tset -l words (commandline -opc | string match -v -- '-*')\n"
	      "\ttest \"$words[2..]\" = \"$argv\"\n"
	      "end\n"
	      "complete -c previewctl -f\n",
	      f);
	for_each_command(f, fish_command);
	fputs("complete -c previewctl -n '__previewctl_is help' -a '", f);
	print_first_words(f);
	fputs("'\n", f);
	fish_options(f, "", ctl_common);
}

static int completion(struct ctl *ctl)
{
	static const struct {
		const char *shell;
		void (*print)(FILE *f);
	} shells[] = { { "bash", bash }, { "zsh", zsh }, { "fish", fish } };

	for (size_t i = 0; i < ARRAY_SIZE(shells); i++)
		if (strcmp(ctl->args[0], shells[i].shell) == 0)
			shells[i].print(ctl->out);
	return EXIT_OK;
}

const struct ctl_command cmd_completion = {
	.name = "completion",
	.args = "SHELL",
	.least_args = 1,
	.most_args = 1,
	.arg_type = CTL_CHOICE,
	.arg_choices = "bash,zsh,fish",
	.summary = "Print the completion script of bash, zsh or fish.",
	.help = "Packages install it. By hand, for bash: eval \"$(previewctl completion bash)\" in "
		".bashrc.",
	.exec = completion,
};
