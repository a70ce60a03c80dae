/* SPDX-License-Identifier: MIT */
#pragma once

#include "base/cleanup.h"
#include "loop/jobs.h"
#include "loop/loop.h"

/*
 * Makes this process the subreaper of all that descends from it (prctl(2)): processes whose parents
 * have ended come to it instead of to init, and are reaped when they end.  The children of
 * child_spawn() are not touched.
 */
struct reaper;

int reaper_new(struct loop *loop, struct jobs *jobs, struct reaper **ret) must_use;
struct reaper *reaper_free(struct reaper *r); /* while the loop doesn't run any more */
DEFINE_CLEANUP(struct reaper *, reaper_free)
