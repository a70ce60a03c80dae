/* SPDX-License-Identifier: MIT */
#pragma once

#include "proc/tree.h"

/* What the killing of a tree (kill.c) knows of it beside its processes. */

/* The group that may be killed whole: NULL where there is none, or where the last look found the
 * caller or an ancestor of it inside. */
const char *proc_tree_killable_cgroup(const struct proc_tree *t);

/* Whether the last look ended with nobody new: else who runs from child to child may have been
 * missed.
 */
bool proc_tree_is_settled(const struct proc_tree *t);

/* The first process of the tree; pid 0 when it had none. */
const struct pidref *proc_tree_root(const struct proc_tree *t);

/* Whether the array, sorted by pid, has that process: pid and start time. */
bool processes_have(const struct process *all, size_t n, const struct process *p);
