/* SPDX-License-Identifier: MIT */
/*
 * Prints a completion script, and walks the commands for those who write one.
 */
#include <string.h>

#include "base/mem.h"
#include "base/parse.h"
#include "ctl/commands.h"
#include "ctl/completion.h"

void completion_each(FILE *f, completion_fn *visit)
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

bool completion_is_first(const struct ctl_command *command)
{
	size_t len = strcspn(command->name, " ");

	for (size_t i = 0; ctl_commands[i] != command; i++)
		if (strcspn(ctl_commands[i]->name, " ") == len &&
		    strncmp(ctl_commands[i]->name, command->name, len) == 0)
			return false;
	return true;
}

void completion_words(FILE *f)
{
	for (size_t i = 0; ctl_commands[i]; i++)
		if (!ctl_commands[i]->hidden && completion_is_first(ctl_commands[i]))
			fprintf(f, " %.*s", (int)strcspn(ctl_commands[i]->name, " "),
				ctl_commands[i]->name);
}

void completion_choices(FILE *f, const char *choices)
{
	scoped(strv_freep) char **list = parse_list(choices, ',');

	for (size_t i = 0; list[i]; i++)
		fprintf(f, "%s%s", i > 0 ? " " : "", list[i]);
}

static int completion(struct ctl *ctl)
{
	static const struct {
		const char *shell;
		void (*print)(FILE *f);
	} shells[] = { { "bash", completion_bash },
		       { "zsh", completion_zsh },
		       { "fish", completion_fish } };

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
