/* SPDX-License-Identifier: MIT */
#pragma once

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>
#include <sys/stat.h>
#include <sys/types.h>

#include "base/cleanup.h"

/*
 * Whole trees of files beneath a directory descriptor, which may have been made by somebody who
 * wishes us ill: no symbolic link is followed, no depth or name brings these out of the tree.
 * They block: for helper threads.
 */

/* Removes a file or a directory with all in it, however deep.  One that isn't there is no error. */
int remove_tree_at(int dirfd, const char *name) must_use;

/* fsyncs all files and directories of the tree at `dirfd`, itself last. */
int sync_tree(int dirfd) must_use;

struct tree_limits {
	uint64_t bytes;
	size_t entries;
	unsigned depth;
};

struct tree_size {
	uint64_t bytes; /* of the regular files */
	size_t entries;
	size_t foreign; /* of others, that were left out */
};

/*
 * Copies what is in `from` into `to`: directories, regular files (as clones where the file system
 * can) and symbolic links as they are; all else is left out, and at any depth those that `skip`
 * names (it may be NULL).  -EDQUOT past a limit, -ELOOP when it is too deep, -ECANCELED when
 * `*cancel` came true.  What was copied so far stays.
 */
int copy_tree(int from, int to, const char *const *skip, const struct tree_limits *limits,
	      const volatile bool *cancel, struct tree_size *ret) must_use;

/*
 * The same for a tree of `owner`, who may read less than we may: what tree_is_foreign() is left
 * out.
 */
int copy_tree_of(uid_t owner, int from, int to, const char *const *skip,
		 const struct tree_limits *limits, const volatile bool *cancel,
		 struct tree_size *ret) must_use;

/* What the tree takes, by allocated blocks; -ELOOP when it is very deep. */
int measure_tree(int dirfd, uint64_t *ret_bytes) must_use;

/*
 * Whether a file or directory found in a tree of `owner` is one that the owner may have no right
 * to: another's that not everybody may read, or that has a second name, which may lie where the
 * owner cannot look.
 */
bool tree_is_foreign(const struct stat *st, uid_t owner);
