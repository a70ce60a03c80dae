/* SPDX-License-Identifier: MIT */
#pragma once

#include <stdbool.h>
#include <stddef.h>

#include "base/cleanup.h"

/*
 * Workspaces: several packages in one tree, installed together, with one lock file at its top.
 */

/* What the packages of the tree at `dirfd` are, as patterns; NULL where it is no workspace. */
char **workspace_patterns(int dirfd);

/* Whether a directory, relative to the top, is one of the packages. */
bool workspace_has(char *const *patterns, const char *path);

/*
 * What an installation reads of the tree at `dirfd`, as paths of files: settings, patches, plugins,
 * and the package.json of each package.  NULL where that is too much.  The places of packages,
 * relative, are in `ret_packages`; the top is not among them.
 */
char **workspace_inputs(int dirfd, const char *lockfile, char ***ret_packages);
