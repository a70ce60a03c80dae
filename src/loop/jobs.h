/* SPDX-License-Identifier: MIT */
#pragma once

#include "base/cleanup.h"
#include "loop/loop.h"

/*
 * A small pool of helper threads for what would block the loop (name look-ups, hashing,
 * compression).  A job's work touches nothing but what it was given.
 */
struct jobs;
struct job;

/* At most `threads` run at once, started when first needed; at most `queue_max` jobs wait. */
struct jobs *jobs_new(struct loop *loop, unsigned threads, unsigned queue_max);

/*
 * Waits for the work that is running; waiting jobs are dropped.  No `done` comes any more, and no
 * handle may be used.  Before loop_free().
 */
struct jobs *jobs_free(struct jobs *jobs);
DEFINE_CLEANUP(struct jobs *, jobs_free)

/* In a helper thread: 0 or more, or a negative errno. */
typedef int job_work_fn(void *input);

/* On the loop, exactly once, unless the job was freed before.  The handle ends with it. */
typedef void job_done_fn(int result, void *arg);

/*
 * `input` belongs to the job from here on and is freed by `free_input` when the work is over and
 * `done` has returned, or when a freed job's work ends.  NULL when the queue is full; `input` is
 * then still the caller's.
 */
struct job *job_start(struct jobs *jobs, job_work_fn *work, void *input, void (*free_input)(void *),
		      job_done_fn *done, void *arg);

/*
 * Cancels: `done` doesn't come.  Work that has begun runs to its end and its result is dropped.
 * From inside `done` it does nothing.
 */
struct job *job_free(struct job *job);
DEFINE_CLEANUP(struct job *, job_free)
