/* SPDX-License-Identifier: MIT */
/*
 * The rows of the commands, told to people: usage lines, --help and the lists of the manual page.
 */
#include "ctl/usage.h"

#include <stdlib.h>
#include <string.h>

#include "base/mem.h"
#include "base/strbuf.h"
#include "ctl/ctl.h"

#define COLUMNS      80
#define ROFF_COLUMNS 72 /* an escaped dash is two */

char *usage_line(const struct ctl_command *command)
{
	scoped(strbuf_done) struct strbuf b = strbuf_init(STRBUF_UNLIMITED);

	strbuf_printf(&b, "previewctl %s", command->name);
	for (const struct ctl_option *o = command->options; o && o->name; o++)
		strbuf_printf(&b, " [--%s%s%s]", o->name, o->argument ? " " : "",
			      o->argument ? o->argument : "");
	if (command->args)
		strbuf_printf(&b, " %s", command->args);
	return strbuf_steal(&b);
}

/* The length of the word at `s`; what stands in brackets is one, for a usage line's sake. */
static size_t word_length(const char *s)
{
	size_t len = 0;
	bool bracket = s[0] == '[';

	while (s[len] && s[len] != '\n' && (s[len] != ' ' || bracket)) {
		bracket = bracket && s[len] != ']';
		len++;
	}
	return len;
}

/* Words of `text` wrapped, each line indented; the first continues one that is at `column`. */
static void print_wrapped(FILE *f, const char *text, size_t column, size_t indent)
{
	bool between = false;

	while (*text) {
		size_t len = word_length(text);

		if (strncmp(text, "\n\n", 2) == 0) {
			fprintf(f, "\n\n%*s", (int)indent, "");
			column = indent;
			between = false;
			text += 2;
			continue;
		}
		if (len == 0) {
			text++;
			continue;
		}
		if (between && column + 1 + len > COLUMNS) {
			fprintf(f, "\n%*s", (int)indent, "");
			column = indent;
			between = false;
		}
		fprintf(f, "%s%.*s", between ? " " : "", (int)len, text);
		column += between + len;
		between = true;
		text += len;
	}
	fputc('\n', f);
}

static void print_options(FILE *f, const struct ctl_option *options)
{
	enum { INDENT = 24 };

	for (const struct ctl_option *o = options; o && o->name; o++) {
		scoped(freep) char *left = o->letter
						   ? xasprintf("  -%c, --%s %s", o->letter, o->name,
							       o->argument ? o->argument : "")
						   : xasprintf("      --%s %s", o->name,
							       o->argument ? o->argument : "");
		size_t len = strlen(left);

		fputs(left, f);
		if (len >= INDENT)
			fprintf(f, "\n%*s", INDENT, "");
		else
			fprintf(f, "%*s", (int)(INDENT - len), "");
		print_wrapped(f, o->help, INDENT, INDENT);
	}
}

void usage_of_program(FILE *f)
{
	fputs("usage: previewctl [OPTIONS] COMMAND [ARGUMENTS]\n\n"
	      "Live web previews: attaches local servers to sessions, and tells what is "
	      "attached.\n\n"
	      "Commands:\n",
	      f);
	for (size_t i = 0; ctl_commands[i]; i++)
		if (!ctl_commands[i]->hidden)
			fprintf(f, "  %-18s  %s\n", ctl_commands[i]->name,
				ctl_commands[i]->summary);
	fputs("\nOptions of every command:\n", f);
	print_options(f, ctl_common);
	fputs("\nExit codes:\n", f);
	for (int code = 0; code <= EXIT_INTERRUPTED; code++)
		if (exit_code_meaning(code))
			fprintf(f, "  %3d  %s\n", code, exit_code_meaning(code));
	fputs("\n`previewctl help COMMAND` tells more.\n", f);
}

void usage_of_command(const struct ctl_command *command, FILE *f)
{
	scoped(freep) char *line = usage_line(command);

	fputs("usage: ", f);
	print_wrapped(f, line, strlen("usage: "), strlen("usage: previewctl "));
	fputc('\n', f);
	print_wrapped(f, command->summary, 0, 0);
	if (command->help) {
		fputc('\n', f);
		print_wrapped(f, command->help, 0, 0);
	}
	if (command->options) {
		fputs("\nOptions:\n", f);
		print_options(f, command->options);
	}
	fputs("\nOptions of every command:\n", f);
	print_options(f, ctl_common);
}

static void print_roff_word(FILE *f, const char *word, size_t len)
{
	for (size_t i = 0; i < len; i++) {
		if (word[i] == '\\')
			fputs("\\e", f);
		else if (word[i] == '-')
			fputs("\\-", f);
		else
			fputc(word[i], f);
	}
}

/*
 * Text as mdoc(7) wants it: a new line for each sentence, none too long, and nothing at a line's
 * beginning that roff would take for a request.
 */
static void print_roff(FILE *f, const char *text)
{
	size_t column = 0;
	bool ended = false; /* the sentence */

	while (*text) {
		size_t len = strcspn(text, " \n");

		if (strncmp(text, "\n\n", 2) == 0) {
			fputs("\n.Pp\n", f);
			column = 0;
			text += 2;
			continue;
		}
		if (len == 0) {
			text++;
			continue;
		}
		if (column > 0 && (ended || column + 1 + len > ROFF_COLUMNS)) {
			fputc('\n', f);
			column = 0;
		}
		if (column > 0)
			fputc(' ', f);
		else if (text[0] == '.' || text[0] == '\'')
			fputs("\\&", f);
		print_roff_word(f, text, len);
		ended = strchr(".?", text[len - 1]) != NULL;
		column += 1 + len;
		text += len;
	}
	fputc('\n', f);
}

static void roff_options(FILE *f, const struct ctl_option *options)
{
	fputs(".Bl -tag -width Ds\n", f);
	for (const struct ctl_option *o = options; o && o->name; o++) {
		fputs(".It ", f);
		if (o->letter)
			fprintf(f, "Fl %c , ", o->letter);
		fprintf(f, "Fl \\-%s", o->name);
		if (o->argument)
			fprintf(f, " Ar %s", o->argument);
		fputc('\n', f);
		print_roff(f, o->help);
	}
	fputs(".El\n", f);
}

/* "[NAME]" is an optional argument, "NAME" another. */
static void roff_args(FILE *f, const char *args)
{
	scoped(freep) char *copy = xstrdup(args);
	char *rest = copy, *word;

	while ((word = strsep(&rest, " "))) {
		size_t len = strlen(word);

		if (word[0] == '[' && word[len - 1] == ']') {
			word[len - 1] = '\0';
			fprintf(f, " Op Ar %s", word + 1);
		} else {
			fprintf(f, " Ar %s", word);
		}
	}
}

static void roff_commands(FILE *f)
{
	fputs(".Bl -tag -width Ds\n", f);
	for (size_t i = 0; ctl_commands[i]; i++) {
		const struct ctl_command *command = ctl_commands[i];

		if (command->hidden)
			continue;
		fprintf(f, ".It Cm %s", command->name);
		if (command->args)
			roff_args(f, command->args);
		fputc('\n', f);
		print_roff(f, command->summary);
		if (command->help) {
			fputs(".Pp\n", f);
			print_roff(f, command->help);
		}
		if (command->options)
			roff_options(f, command->options);
	}
	fputs(".El\n", f);
}

static void roff_exit_codes(FILE *f)
{
	fputs(".Bl -tag -width Ds\n", f);
	for (int code = 0; code <= EXIT_INTERRUPTED; code++) {
		if (!exit_code_meaning(code))
			continue;
		fprintf(f, ".It %d\n", code);
		print_roff(f, exit_code_meaning(code));
	}
	fputs(".El\n", f);
}

void usage_of_manual(FILE *in, FILE *out)
{
	scoped(freep) char *line = NULL;
	size_t size = 0;

	while (getline(&line, &size, in) >= 0) {
		if (strcmp(line, "@COMMANDS@\n") == 0)
			roff_commands(out);
		else if (strcmp(line, "@OPTIONS@\n") == 0)
			roff_options(out, ctl_common);
		else if (strcmp(line, "@EXIT_CODES@\n") == 0)
			roff_exit_codes(out);
		else
			fputs(line, out);
	}
}
