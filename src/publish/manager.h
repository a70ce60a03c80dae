/* SPDX-License-Identifier: MIT */
#pragma once

#include <stdbool.h>

#include "base/cleanup.h"
#include "publish/detect.h"
#include "publish/package.h"

/*
 * The package manager that a project is for: by package.json's packageManager or devEngines, else
 * by the lock file that is there.
 */
struct manager {
	enum package_manager kind;
	const char *lockfile; /* its name, or NULL */
	char *range;          /* of versions that will do; NULL: any */
	char *package;        /* what brings one, as npm is told: "pnpm@10"; NULL: Node does */
	bool is_ambiguous;    /* there are lock files of others */
};

/* `p` may be NULL; `dirfd` is where the lock file is. */
void manager_find(const struct package *p, int dirfd, struct manager *ret);
void manager_done(struct manager *m);

const char *manager_name(enum package_manager kind); /* the command */

/*
 * Whether a command of that name, of a version in `range`, is where a sandbox finds it: in `node`
 * (the prefix of a Node), /usr/local or /usr.  A shim of Corepack is none: it would fetch one at
 * each call.
 */
bool manager_is_installed(enum package_manager kind, const char *range, const char *node);
