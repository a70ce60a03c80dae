/* SPDX-License-Identifier: MIT */
#pragma once

#include <stdbool.h>
#include <sys/types.h>

#include "base/cleanup.h"
#include "ctl/problem.h"

/*
 * A command in the foreground, as a shell runs one: with our terminal, environment and directory,
 * in a process group of its own.  It is made first and let go later, when it is known what it is.
 *
 * We become the subreaper of all beneath it: what loses its parent comes to us, so that all of it
 * is gone when we have no children any more.
 */
struct foreground;

int foreground_new(char *const *argv, struct foreground **ret, struct problem *reterr) must_use;
pid_t foreground_pid(const struct foreground *f);

/* Lets the command begin, with those variables ("NAME=value", ends with NULL) added. */
int foreground_begin(struct foreground *f, const char *const *variables) must_use;

/*
 * What has become of our children: call it at SIGCHLD.  Stops with the command when its terminal
 * stops it, and goes on with it.  0 when no child is left, else 1.
 */
int foreground_reap(struct foreground *f);

bool foreground_has_ended(const struct foreground *f); /* the command itself */
int foreground_exit_code(const struct foreground *f);  /* its own, or 128 and the signal */

/* Takes the cgroup's directory: all in it is the command's, and SIGKILL goes by it. */
void foreground_set_cgroup(struct foreground *f, char *path_take);

/* To everything beneath us.  How many there are. */
int foreground_signal(const struct foreground *f, int signal);

/* Takes the terminal back.  A command that was never let go ends. */
struct foreground *foreground_free(struct foreground *f);
DEFINE_CLEANUP(struct foreground *, foreground_free)
