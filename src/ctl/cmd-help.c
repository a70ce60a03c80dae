/* SPDX-License-Identifier: MIT */
/*
 * Tells how the program, or one command, is used; and the manual page, at build time.
 */
#include <string.h>

#include "base/mem.h"
#include "ctl/commands.h"
#include "ctl/ctl.h"
#include "ctl/suggest.h"
#include "ctl/usage.h"

static bool begins_with_words(const char *name, const char *words)
{
	size_t len = strlen(words);

	return strncmp(name, words, len) == 0 && (name[len] == '\0' || name[len] == ' ');
}

/* "token" is the help of all its commands; the value is how many. */
static unsigned help_of(struct ctl *ctl, const char *words)
{
	unsigned n = 0;

	for (size_t i = 0; ctl_commands[i]; i++) {
		if (ctl_commands[i]->hidden || !begins_with_words(ctl_commands[i]->name, words))
			continue;
		if (n++ > 0)
			fputc('\n', ctl->out);
		usage_of_command(ctl_commands[i], ctl->out);
	}
	return n;
}

static int help(struct ctl *ctl)
{
	scoped(problem_done) struct problem problem = { 0 };
	scoped(freep) char *words = NULL;
	struct suggestion near = { 0 };

	if (ctl->n_args == 0) {
		usage_of_program(ctl->out);
		return EXIT_OK;
	}

	words = ctl->n_args == 1 ? xstrdup(ctl->args[0])
				 : xasprintf("%s %s", ctl->args[0], ctl->args[1]);
	if (help_of(ctl, words) > 0)
		return EXIT_OK;

	near.typed = words;
	for (size_t i = 0; ctl_commands[i]; i++)
		if (!ctl_commands[i]->hidden)
			suggestion_offer(&near, ctl_commands[i]->name);
	problem_set(&problem, EXIT_USAGE, "usage", "there is no command '%s'", words);
	if (near.best)
		problem_hint(&problem, "did you mean '%s'?", near.best);
	return ctl_fail(ctl, &problem);
}

static int mdoc(struct ctl *ctl)
{
	usage_of_manual(ctl->in, ctl->out);
	return EXIT_OK;
}

const struct ctl_command cmd_help = {
	.name = "help",
	.args = "[COMMAND]",
	.most_args = 2,
	.summary = "Tell how previewctl, or one command, is used.",
	.exec = help,
};

/* The build makes previewctl(1) by it: the frame comes in, the whole page goes out. */
const struct ctl_command cmd_mdoc = {
	.name = "mdoc",
	.summary = "Fill the frame of the manual page.",
	.hidden = true,
	.exec = mdoc,
};
