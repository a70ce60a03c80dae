/* SPDX-License-Identifier: MIT */
/*
 * From argv to a command, its options and its arguments.  getopt_long() does the reading; the rows
 * say what may be read, and what is wrong is told with the nearest thing that would be right.
 */
#include <assert.h>
#include <errno.h>
#include <getopt.h>
#include <string.h>

#include "base/ids.h"
#include "base/mem.h"
#include "base/parse.h"
#include "base/strbuf.h"
#include "ctl/ctl.h"
#include "ctl/suggest.h"
#include "ctl/usage.h"

/* clang-format off */
const struct ctl_option ctl_common[] = {
	[CTL_APP] = { "app", 0, CTL_ID, "ID", .help =
		"The app that the session belongs to. Without it: PREVIEWD_APP_ID, else \"default\"." },
	[CTL_SESSION] = { "session", 's', CTL_ID, "ID", .help =
		"The session. Without it: PREVIEWD_SESSION_ID, else the agent's own "
		"(CLAUDE_CODE_SESSION_ID, CODEX_SESSION_ID, CODEX_THREAD_ID, GEMINI_SESSION_ID), "
		"else \"default\"." },
	[CTL_SOCKET] = { "socket", 0, CTL_FILE, "PATH", .help =
		"The daemon's unix socket. Without it: PREVIEWD_SOCKET, else the daemon at PREVIEWD_URL, "
		"else the default path." },
	[CTL_JSON] = { "json", 'j', CTL_FLAG, .help =
		"Print the daemon's JSON, and errors as {\"error\":{\"code\",\"message\",\"hint\"}} too." },
	[CTL_VERBOSE] = { "verbose", 'v', CTL_FLAG, .help = "Say more on the standard error." },
	[CTL_HELP] = { "help", 'h', CTL_FLAG, .help = "Print the command's help." },
	[CTL_VERSION] = { "version", 'V', CTL_FLAG, .help = "Print the version." },
	CTL_OPTIONS_END,
};
/* clang-format on */

/* getopt_long() returns these for the rows of the two tables. */
#define COMMON_BASE 1000
#define OWN_BASE    2000
#define LONG_MAX    (CTL_COMMON_COUNT + CTL_OPTIONS_MAX + 1)

struct tables {
	struct option options[LONG_MAX];
	char letters[2 + 2 * LONG_MAX + 1];
};

static void add_options(struct tables *t, const struct ctl_option *rows, int base)
{
	size_t n = 0, len = strlen(t->letters);

	while (t->options[n].name)
		n++;
	for (int i = 0; rows && rows[i].name; i++) {
		assert(n + 1 < LONG_MAX && (base == COMMON_BASE || i < CTL_OPTIONS_MAX));
		t->options[n++] = (struct option){
			.name = rows[i].name,
			.has_arg = rows[i].type == CTL_FLAG ? no_argument : required_argument,
			.val = base + i,
		};
		if (rows[i].letter) {
			t->letters[len++] = rows[i].letter;
			if (rows[i].type != CTL_FLAG)
				t->letters[len++] = ':';
		}
	}
}

static const struct ctl_option *own_options(const struct ctl *ctl)
{
	return ctl->command ? ctl->command->options : NULL;
}

/* The row that getopt's value is of, and where its value goes. */
static const struct ctl_option *row_of(struct ctl *ctl, int val, struct ctl_value **ret)
{
	const struct ctl_option *own = own_options(ctl);

	if (val >= OWN_BASE) {
		*ret = &ctl->values[val - OWN_BASE];
		return &own[val - OWN_BASE];
	}
	if (val >= COMMON_BASE) {
		*ret = &ctl->common[val - COMMON_BASE];
		return &ctl_common[val - COMMON_BASE];
	}
	for (int i = 0; ctl_common[i].name; i++)
		if (ctl_common[i].letter == val)
			return row_of(ctl, COMMON_BASE + i, ret);
	for (int i = 0; own && own[i].name; i++)
		if (own[i].letter == val)
			return row_of(ctl, OWN_BASE + i, ret);
	return NULL;
}

static int usage_problem(const struct ctl *ctl, struct problem *reterr)
{
	if (ctl->command)
		problem_hint(reterr, "`previewctl help %s` tells more", ctl->command->name);
	else
		problem_hint(reterr, "`previewctl help` lists the commands");
	return -1;
}

/* The address that a dev server prints is what is at hand: http://localhost:5173/. */
static void hint_of_address(const char *text, unsigned least, unsigned most, struct problem *reterr)
{
	const char *colon = strrchr(text, ':');
	const size_t len = colon ? strspn(colon + 1, "0123456789") : 0;
	scoped(freep) char *number = len > 0 ? xstrndup(colon + 1, len) : NULL;
	unsigned meant;

	if (number && (colon[1 + len] == '\0' || colon[1 + len] == '/') &&
	    parse_uint(number, least, most, &meant) >= 0)
		problem_hint(reterr, "did you mean '%u'?", meant);
}

static int read_number(const char *what, enum ctl_type type, const char *text, unsigned least,
		       unsigned most, unsigned *ret, struct problem *reterr)
{
	usec_t t;
	int r;

	if (type == CTL_UINT) {
		r = parse_uint(text, least, most, ret);
		if (r >= 0)
			return 0;
		problem_set(reterr, EXIT_USAGE, "usage",
			    "%s must be a number from %u to %u, not '%s'", what, least, most, text);
		hint_of_address(text, least, most, reterr);
		return -1;
	}

	r = parse_duration(text, &t);
	if (r < 0 || t < least * USEC_PER_SEC || t > most * USEC_PER_SEC)
		return problem_set(
			reterr, EXIT_USAGE, "usage",
			"%s must be a time of %u to %u seconds, such as 30 or 5m, not '%s'", what,
			least, most, text);
	*ret = (unsigned)((t + USEC_PER_SEC - 1) / USEC_PER_SEC);
	return 0;
}

static int check_choice(const char *what, const char *choices, const char *text,
			struct problem *reterr)
{
	scoped(strv_freep) char **list = parse_list(choices, ',');
	struct suggestion near = { .typed = text };
	scoped(strbuf_done) struct strbuf all = strbuf_init(4096);

	if (strv_has(list, text))
		return 0;

	for (size_t i = 0; list[i]; i++) {
		suggestion_offer(&near, list[i]);
		strbuf_printf(&all, "%s%s", i == 0 ? "" : list[i + 1] ? ", " : " or ", list[i]);
	}
	problem_set(reterr, EXIT_USAGE, "usage", "%s must be %s, not '%s'", what, strbuf_str(&all),
		    text);
	if (near.best)
		problem_hint(reterr, "did you mean '%s'?", near.best);
	return -1;
}

static int check_value(const char *what, enum ctl_type type, const char *text, unsigned least,
		       unsigned most, const char *choices, unsigned *ret_number,
		       struct problem *reterr)
{
	switch (type) {
	case CTL_FLAG:
		return 0;
	case CTL_TEXT:
	case CTL_FILE:
	case CTL_COMMAND:
		if (*text)
			return 0;
		return problem_set(reterr, EXIT_USAGE, "usage", "%s must not be empty", what);
	case CTL_ID:
		if (id_is_valid(text))
			return 0;
		return problem_set(reterr, EXIT_USAGE, "usage",
				   "%s must be 1 to %d letters, digits or . _ : @ -, not '%s'",
				   what, ID_LENGTH_MAX, text);
	case CTL_NAME:
	case CTL_PREVIEW:
		if (name_is_valid(text))
			return 0;
		return problem_set(reterr, EXIT_USAGE, "usage",
				   "%s must be 1 to %d letters, digits or . _ -, not '%s'", what,
				   NAME_LENGTH_MAX, text);
	case CTL_UINT:
	case CTL_SECONDS:
		return read_number(what, type, text, least, most, ret_number, reterr);
	case CTL_CHOICE:
		return check_choice(what, choices, text, reterr);
	}
	assert(false);
	return -1;
}

static void suggest_option(const struct ctl *ctl, const char *typed, struct problem *reterr)
{
	struct suggestion near = { .typed = typed };
	const struct ctl_option *own = own_options(ctl);

	for (int i = 0; own && own[i].name; i++)
		suggestion_offer(&near, own[i].name);
	for (int i = 0; ctl_common[i].name; i++)
		suggestion_offer(&near, ctl_common[i].name);
	if (near.best)
		problem_hint(reterr, "did you mean --%s?", near.best);
	else
		usage_problem(ctl, reterr);
}

/* getopt_long() takes unambiguous beginnings; it says "?" to those that several options share. */
static bool is_ambiguous(const struct tables *t, const char *typed, size_t len)
{
	unsigned n = 0;

	for (const struct option *o = t->options; o->name; o++)
		n += strncmp(o->name, typed, len) == 0;
	return n > 1;
}

static int bad_option(const struct ctl *ctl, const struct tables *t, char **argv,
		      struct problem *reterr)
{
	const char *typed = argv[optind - 1];
	const char *of = ctl->command ? ctl->command->name : "previewctl";
	scoped(freep) char *name = NULL;

	if (strncmp(typed, "--", 2) != 0) {
		problem_set(reterr, EXIT_USAGE, "usage", "%s has no option -%c", of, optopt);
		return usage_problem(ctl, reterr);
	}

	name = xstrndup(typed + 2, strcspn(typed + 2, "="));
	if (optopt >= COMMON_BASE)
		return problem_set(reterr, EXIT_USAGE, "usage", "--%s takes no value", name);
	if (is_ambiguous(t, name, strlen(name))) {
		problem_set(reterr, EXIT_USAGE, "usage", "--%s is short for several options", name);
		return usage_problem(ctl, reterr);
	}
	problem_set(reterr, EXIT_USAGE, "usage", "%s has no option --%s", of, name);
	suggest_option(ctl, name, reterr);
	return -1;
}

/*
 * Reads the options of argv up to its end, or to the first argument where `first` is asked for.
 * Afterwards optind is at the first argument.
 */
static int read_options(struct ctl *ctl, int argc, char **argv, bool first, struct problem *reterr)
{
	struct tables t = { 0 };
	int c;

	/* "+" stops at the first argument; ":" tells a missing value from an unknown option. */
	strcpy(t.letters, first ? "+:" : ":");
	add_options(&t, ctl_common, COMMON_BASE);
	add_options(&t, own_options(ctl), OWN_BASE);

	opterr = 0;
	optind = 0;
	while ((c = getopt_long(argc, argv, t.letters, t.options, NULL)) != -1) {
		scoped(freep) char *what = NULL;
		struct ctl_value *value;
		const struct ctl_option *row = row_of(ctl, c == ':' ? optopt : c, &value);

		if (c == '?')
			return bad_option(ctl, &t, argv, reterr);
		assert(row);
		what = xasprintf("--%s", row->name);
		if (c == ':') {
			problem_set(reterr, EXIT_USAGE, "usage", "%s wants a value: %s %s", what,
				    what, row->argument);
			return usage_problem(ctl, reterr);
		}
		value->text = optarg ? optarg : "";
		if (check_value(what, row->type, value->text, row->least, row->most, row->choices,
				&value->number, reterr) < 0)
			return -1;
	}
	return 0;
}

/* Whether the row's name is `word` alone (1), begins with it (2), or is another's (0). */
static int words_of(const struct ctl_command *command, const char *word)
{
	size_t len = strlen(word);

	if (strncmp(command->name, word, len) != 0)
		return 0;
	if (command->name[len] == '\0')
		return 1;
	return command->name[len] == ' ' ? 2 : 0;
}

static int unknown_command(const char *word, struct problem *reterr)
{
	struct suggestion near = { .typed = word };

	for (size_t i = 0; ctl_commands[i]; i++)
		if (!ctl_commands[i]->hidden)
			suggestion_offer(&near, ctl_commands[i]->name);
	problem_set(reterr, EXIT_USAGE, "usage", "there is no command '%s'", word);
	if (near.best)
		problem_hint(reterr, "did you mean '%s'?", near.best);
	else
		problem_hint(reterr, "`previewctl help` lists the commands");
	return -1;
}

/* `second` may be NULL.  The value is how many words the command's name has. */
static int find_command(const char *word, const char *second, const struct ctl_command **ret,
			struct problem *reterr)
{
	struct suggestion near = { .typed = second ? second : "" };
	scoped(strbuf_done) struct strbuf all = strbuf_init(4096);

	for (size_t i = 0; ctl_commands[i]; i++) {
		const struct ctl_command *command = ctl_commands[i];
		int words = words_of(command, word);
		const char *rest = words == 2 ? command->name + strlen(word) + 1 : NULL;

		if (words == 1 || (words == 2 && second && strcmp(rest, second) == 0)) {
			*ret = command;
			return words;
		}
		if (words == 2) {
			suggestion_offer(&near, rest);
			strbuf_printf(&all, "%s%s", all.len > 0 ? ", " : "", rest);
		}
	}

	if (all.len == 0)
		return unknown_command(word, reterr);
	if (second && second[0] != '-')
		problem_set(reterr, EXIT_USAGE, "usage",
			    "there is no command '%s %s'; there are: %s", word, second,
			    strbuf_str(&all));
	else
		problem_set(reterr, EXIT_USAGE, "usage", "'%s' wants one word more: %s", word,
			    strbuf_str(&all));
	if (near.best)
		problem_hint(reterr, "did you mean '%s %s'?", word, near.best);
	else
		problem_hint(reterr, "`previewctl help %s` tells more", word);
	return -1;
}

static int check_args(struct ctl *ctl, struct problem *reterr)
{
	const struct ctl_command *command = ctl->command;
	unsigned number;

	if (ctl->common[CTL_HELP].text)
		return 0;
	if (ctl->n_args < command->least_args) {
		scoped(freep) char *usage = usage_line(command);

		return problem_set(reterr, EXIT_USAGE, "usage", "%s wants %s\nusage: %s",
				   command->name, command->args, usage);
	}
	if (ctl->n_args > command->most_args) {
		scoped(freep) char *usage = usage_line(command);

		return problem_set(reterr, EXIT_USAGE, "usage",
				   "%s does not know what to do with '%s'\nusage: %s",
				   command->name, ctl->args[command->most_args], usage);
	}
	if (ctl->n_args == 0 || command->arg_type == CTL_FLAG)
		return 0;
	return check_value(command->args, command->arg_type, ctl->args[0], 1, 65535,
			   command->arg_choices, &number, reterr);
}

int ctl_parse(struct ctl *ctl, int argc, char **argv, struct problem *reterr)
{
	int first, words;

	if (read_options(ctl, argc, argv, true, reterr) < 0)
		return -1;
	first = optind;
	if (ctl->common[CTL_HELP].text || ctl->common[CTL_VERSION].text)
		return 0;
	if (first == argc) {
		problem_set(reterr, EXIT_USAGE, "usage", "what should it do?");
		return usage_problem(ctl, reterr);
	}

	words = find_command(argv[first], first + 1 < argc ? argv[first + 1] : NULL, &ctl->command,
			     reterr);
	if (words < 0)
		return -1;

	/* The command's last word stands where getopt expects the program's name.  Behind a command
	 * of others' all options are theirs. */
	first += words - 1;
	if (read_options(ctl, argc - first, argv + first, ctl->command->arg_type == CTL_COMMAND,
			 reterr) < 0)
		return -1;
	ctl->args = argv + first + optind;
	ctl->n_args = argc - first - optind;
	return check_args(ctl, reterr);
}
