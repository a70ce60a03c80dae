/* SPDX-License-Identifier: MIT */
/*
 * Writes what is documented of the options from their table, while previewd is built:
 *
 *	gendoc sample	etc/previewd.conf.sample: every option with its default, commented out
 *	gendoc man	the list of options for previewd.conf(5), in mdoc(7)
 *
 * So the documents cannot say other than what the daemon does.
 */
#include <stdio.h>
#include <string.h>

#include "base/strbuf.h"
#include "config/option.h"

#define SAMPLE_WIDTH 78

/* What the help doesn't say but the row does. */
static void add_facts(const struct option *o, struct strbuf *text)
{
	strbuf_puts(text, "Must be ");
	option_describe(o, text);
	strbuf_putc(text, '.');
	if (!o->reload)
		strbuf_puts(text, " A change needs a restart.");
}

/* Comments of whole words, none of them wider than SAMPLE_WIDTH where the words allow it. */
static void print_comment(const char *text)
{
	size_t column = 0;

	while (*text) {
		size_t word = strcspn(text, " ");

		if (column > 0 && column + 1 + word > SAMPLE_WIDTH) {
			putchar('\n');
			column = 0;
		}
		column += (size_t)printf("%s%.*s", column == 0 ? "# " : " ", (int)word, text);
		text += word;
		text += strspn(text, " ");
	}
	putchar('\n');
}

static void print_sample_option(const struct option *o)
{
	scoped(strbuf_done) struct strbuf facts = strbuf_init(STRBUF_UNLIMITED);

	add_facts(o, &facts);
	putchar('\n');
	print_comment(o->help);
	print_comment(strbuf_str(&facts));
	printf("#%s =%s%s\n", o->key, *o->default_text ? " " : "", o->default_text);
}

static void print_sample(void)
{
	const char *section = "";

	fputs("# Settings of previewd(8): every one there is, with its default.\n"
	      "# To change one, take its # away.  The form is described in previewd.conf(5).\n",
	      stdout);
	for (size_t i = 0; i < OPTION_COUNT; i++) {
		if (strcmp(section, options[i].section) != 0)
			printf("\n[%s]\n", options[i].section);
		section = options[i].section;
		print_sample_option(&options[i]);
	}
}

/* A line of text in mdoc: nothing in it is taken for a macro, and each sentence begins a line. */
static void print_mdoc(const char *text)
{
	bool at_start = true;

	for (; *text; text++) {
		if (at_start && (*text == '.' || *text == '\''))
			fputs("\\&", stdout);
		at_start = false;

		if (*text == '\\')
			fputs("\\e", stdout);
		else if (*text == '-')
			fputs("\\-", stdout);
		else
			putchar(*text);

		if (text[0] == '.' && text[1] == ' ') {
			putchar('\n');
			at_start = true;
			text++;
		}
	}
	putchar('\n');
}

static void print_man_option(const struct option *o)
{
	scoped(strbuf_done) struct strbuf facts = strbuf_init(STRBUF_UNLIMITED);

	add_facts(o, &facts);
	printf(".It Ic %s\n", o->key);
	print_mdoc(o->help);
	print_mdoc(strbuf_str(&facts));
	if (*o->default_text) {
		fputs("Default:\n.Ql ", stdout);
		/* A quoted argument of a macro is text, even if it is a macro's name. */
		printf("\"\\&%s\" .\n", o->default_text);
	} else {
		puts("Default: not set.");
	}
}

static void print_man(void)
{
	const char *section = "";

	for (size_t i = 0; i < OPTION_COUNT; i++) {
		if (strcmp(section, options[i].section) != 0) {
			if (*section)
				puts(".El");
			printf(".Ss The [%s] section\n.Bl -tag -width Ds\n", options[i].section);
		}
		section = options[i].section;
		print_man_option(&options[i]);
	}
	puts(".El");
}

int main(int argc, char **argv)
{
	if (argc == 2 && strcmp(argv[1], "sample") == 0) {
		print_sample();
	} else if (argc == 2 && strcmp(argv[1], "man") == 0) {
		print_man();
	} else {
		fputs("usage: gendoc sample|man\n", stderr);
		return 2;
	}
	return fflush(stdout) == 0 && !ferror(stdout) ? 0 : 1;
}
