/* SPDX-License-Identifier: MIT */
#pragma once

#include "base/cleanup.h"
#include "loop/loop.h"
#include "proc/pidref.h"

/* Hears of the end of a process that need not be a child of ours. */
struct proc_watch;

/* `fn` comes once, from the loop, when the process is gone or a zombie, unless freed before. */
struct proc_watch *proc_watch_new(struct loop *loop, const struct pidref *p, loop_fn *fn,
				  void *arg);
struct proc_watch *proc_watch_free(struct proc_watch *w);
DEFINE_CLEANUP(struct proc_watch *, proc_watch_free)
