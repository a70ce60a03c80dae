/* SPDX-License-Identifier: MIT */
#pragma once

#include <stddef.h>

#include "base/cleanup.h"
#include "base/fault.h"

/*
 * Files of a project that nobody trusts: whatever the path is made of, it doesn't leave the
 * directory.  Failures are negative errnos; -EXDEV for a path that would leave.
 */

/* openat2(2) with RESOLVE_BENEATH: symbolic links are followed as long as they stay inside.
 * O_CLOEXEC, O_NONBLOCK and O_NOCTTY are added: what is found may be a FIFO or a terminal. */
int beneath_open(int dirfd, const char *path, int flags) must_use;

/* The same without following any link. */
int beneath_open_plain(int dirfd, const char *path, int flags) must_use;

/* A whole regular file of at most `max` bytes with a NUL behind it; -EMSGSIZE past that. */
int beneath_read(int dirfd, const char *path, size_t max, char **ret, size_t *ret_len) must_use;

/*
 * What cannot be opened is taken for missing in many places, and rightly, unless it was the machine
 * that had no descriptor for it, say.  So that is kept in mind, for each thread: who looks at a
 * project forgets it first, and has it told in the end, whatever came of the rest.
 */
void beneath_forget_failure(void);
int beneath_tell_failure(int result, const char *what, struct fault *reterr);
