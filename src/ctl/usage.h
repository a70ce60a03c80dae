/* SPDX-License-Identifier: MIT */
#pragma once

#include <stdio.h>

struct ctl_command;

/* What --help says, and the man page: all of it from the commands' rows. */

/* "previewctl attach [--name NAME] ... PORT"; the caller frees it. */
char *usage_line(const struct ctl_command *command);

void usage_of_program(FILE *f);
void usage_of_command(const struct ctl_command *command, FILE *f);

/*
 * Copies mdoc(7) from `in`; the lines "@COMMANDS@", "@OPTIONS@" and "@EXIT_CODES@" give way to
 * their list.
 */
void usage_of_manual(FILE *in, FILE *out);
