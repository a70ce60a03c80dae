/* SPDX-License-Identifier: MIT */
#pragma once

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>
#include <sys/types.h>

#include "base/cleanup.h"
#include "base/fault.h"
#include "http/manifest.h"

/*
 * Takes what a hostile build has put out: everything is looked at beneath the directory fd
 * (openat2(2), RESOLVE_BENEATH), copied as bytes, never linked, and only regular files.
 */
struct output_limits {
	size_t files;
	uint64_t file_bytes, bytes;
	unsigned depth;
};

struct output_report {
	size_t n_files;
	uint64_t bytes;
	size_t n_rewritten; /* files in which left-over literals were given the base */
	char *base_state;   /* "none", "ok", "rewritten", "broken" */
	char **warnings; /* sentences: skipped symlinks, names that differ in case, router, ... */
};
void output_report_done(struct output_report *r);

struct output_request {
	int project_fd;             /* the project's directory */
	const char *const *outputs; /* relative, tried in this order; ends with NULL */
	const char *base;           /* "/api/…/published/", or NULL */
	/* NULL, or the base that the files were made for: it gives way to `base`.  The project is
	 * then a release, whose files are ours. */
	const char *rebase_from;
	bool is_static; /* plain static: node_modules, dotfiles and the like are left out */
	/* NULL, or whose directory it is, who may read less than we may: see tree_is_foreign() */
	const uid_t *owner;
	struct output_limits limits;
	int target_fd;   /* of the release being made: files go below files/, br/, gz/ */
	int previous_fd; /* of the release before it, or -1: equal files are shared by link */
};

/*
 * Finds the output, checks it, copies it to target_fd's files/, rewrites root-absolute literals
 * that name files of it, digests, and precompresses (brotli 9 where built in, gzip 9).  Fills the
 * manifest, which manifest_write() then puts beside.  Blocks for long: for a helper thread; looks
 * at `*cancel` now and then.  FAULT_NO_OUTPUT, FAULT_NO_INDEX, FAULT_OUTPUT_TOO_LARGE,
 * FAULT_BAD_OUTPUT: which file and why.
 */
int output_take(const struct output_request *request, const volatile bool *cancel,
		struct manifest *manifest, struct output_report *report,
		struct fault *reterr) must_use;
