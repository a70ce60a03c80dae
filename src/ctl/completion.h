/* SPDX-License-Identifier: MIT */
#pragma once

#include <stdbool.h>
#include <stdio.h>

#include "ctl/ctl.h"

/*
 * Completion scripts, made of the commands' rows: there is no list here to fall behind.  One file a
 * shell; what they share is in cmd-completion.c.
 */
void completion_bash(FILE *f);
void completion_zsh(FILE *f);
void completion_fish(FILE *f);

/* The names of what is attached: the first column of a piped `ls`. */
#define COMPLETION_NAMES "previewctl ls 2>/dev/null | cut -f1"

/* Each command once, by its words; `second` is "" where it has one. */
typedef void completion_fn(FILE *f, const char *first, const char *second,
			   const struct ctl_command *command);
void completion_each(FILE *f, completion_fn *visit);

/* Whether no command before it begins with the same word. */
bool completion_is_first(const struct ctl_command *command);

/* Words with blanks between: the first ones of all commands, and a list's with commas. */
void completion_words(FILE *f);
void completion_choices(FILE *f, const char *choices);
