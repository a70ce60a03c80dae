/* SPDX-License-Identifier: MIT */
#pragma once

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>
#include <sys/types.h>

#include "base/cleanup.h"
#include "base/clock.h"
#include "loop/jobs.h"
#include "loop/loop.h"
#include "proc/pidref.h"

/*
 * The processes of one task, as a tree that may have lost branches: a grandchild that called
 * setsid() and whose parent ended has no tie to its task left but
 *   - the cgroup it was born in, where the task has one,
 *   - its subreaper (previewctl run, or the daemon for its own tasks),
 *   - the variable PREVIEWD_TASK_MARK in its environment, which is inherited,
 *   - and that it was seen before as (pid, start time).
 * A tree goes by all of them, and never by a process group or session shared with others.
 */
struct proc_tree;

struct proc_tree_settings {
	const struct pidref *root; /* copied; NULL or pid 0 where it is gone already */
	const char *mark;          /* random: the value of PREVIEWD_TASK_MARK, or NULL */
	const char *cgroup;        /* its cgroup's directory, or NULL */
	pid_t subreaper;           /* whose children are all of this tree (previewctl run), or 0 */
};

struct proc_tree *proc_tree_new(const struct proc_tree_settings *settings);
struct proc_tree *proc_tree_free(struct proc_tree *t);
DEFINE_CLEANUP(struct proc_tree *, proc_tree_free)

/*
 * Looks again who belongs to it: blocks for a walk of /proc, so it is for a helper thread (the
 * functions below use one) and for programs without a loop.  Never contains the calling process,
 * its ancestors, pid 1, or kernel threads.  Returns how many, or -errno.
 */
int proc_tree_look(struct proc_tree *t) must_use;

/* Those of the last look; borrowed until the next. */
size_t proc_tree_processes(const struct proc_tree *t, const struct process **ret);

/*
 * Ends all of it: SIGTERM, a grace, SIGKILL (cgroup.kill where there is a cgroup), looking again
 * each time so that what was born meanwhile is met, too.
 */
struct proc_kill;

struct proc_kill_result {
	size_t ended;
	/* Those that could not be ended (another uid, uninterruptible); borrowed. */
	const struct process *left;
	size_t n_left;
};

typedef void proc_kill_done_fn(const struct proc_kill_result *result, void *arg);

/* Takes the tree.  `done` comes once, from the loop, after at most grace + 5 s, unless freed
 * before: then the killing stops where it is. */
struct proc_kill *proc_kill_start(struct loop *loop, struct jobs *jobs, struct proc_tree *tree_take,
				  usec_t grace, proc_kill_done_fn *done, void *arg);
struct proc_kill *proc_kill_free(struct proc_kill *k);
DEFINE_CLEANUP(struct proc_kill *, proc_kill_free)
