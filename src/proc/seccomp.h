/* SPDX-License-Identifier: MIT */
#pragma once

#include <stdbool.h>

/*
 * The system calls that a build has no business with, as a filter for bwrap(1)'s --seccomp.
 */

/* Whether the program was built with libseccomp. */
bool seccomp_is_built_in(void);

/* A descriptor to read the filter from, or -errno; -EOPNOTSUPP where it isn't built in. */
int seccomp_filter(void);
