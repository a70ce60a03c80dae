/* SPDX-License-Identifier: MIT */
#pragma once

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>
#include <sys/types.h>

#include "base/cleanup.h"

/*
 * cgroup v2, where the daemon was given a subtree of its own (Delegate=yes in its unit): a group a
 * task makes its kill exact.  Everything here says -EOPNOTSUPP where there is none, and the callers
 * go on without.
 */
struct cgroups;

/* Finds the daemon's own delegated group and moves the daemon into a leaf of it, as cgroup v2 wants
 * before it may have siblings. */
int cgroups_new(struct cgroups **ret) must_use;
struct cgroups *cgroups_free(struct cgroups *c);
DEFINE_CLEANUP(struct cgroups *, cgroups_free)

/* Makes a group; `ret_path` is its directory, the caller's.  `name` is made safe, and unlike that
 * of any group there is. */
int cgroup_make(struct cgroups *c, const char *name, char **ret_path) must_use;

/*
 * previewctl run has its command put into a group of its own where somebody can: by this name (the
 * caller's) it is known to be that task's and nobody else's.
 */
char *cgroup_run_name(const char *task_id);

/* The directory of the group a process is in, the caller's: -EOPNOTSUPP where it can't be seen from
 * here. */
int cgroup_of(pid_t pid, char **ret_path) must_use;

/* The same, but -ENOENT where that is not the one made for the task: any other is shared. */
int cgroup_of_run(pid_t pid, const char *task_id, char **ret_path) must_use;

/* The pids in it and below it, zombies included, in a new array that the caller frees. */
int cgroup_processes(const char *path, pid_t **ret, size_t *ret_n) must_use;

/* Of all processes of a group together; 0: none. */
struct cgroup_limits {
	uint64_t memory; /* bytes, and none of them swapped out */
	unsigned processes;
};

enum { CGROUP_HOLDS_MEMORY = 1, CGROUP_HOLDS_PROCESSES = 2 };

/* Returns which of them the group holds from now on: it has not every controller everywhere. */
unsigned cgroup_limit(struct cgroups *c, const char *path, const struct cgroup_limits *limits);

/* Whether the kernel killed for want of what cgroup_limit() left. */
bool cgroup_ran_out_of_memory(const char *path);
/* Whether a process could not be made for want of it. */
bool cgroup_ran_out_of_processes(const char *path);

int cgroup_kill(const char *path) must_use; /* the whole subtree at once; -EPERM if we are in it */
int cgroup_is_populated(const char *path) must_use; /* 1, 0 or -errno */
int cgroup_remove(const char *path) must_use; /* with the empty groups below; -EBUSY if populated */
