/* SPDX-License-Identifier: MIT */
#pragma once

#include <stdbool.h>

#include "base/cleanup.h"
#include "base/clock.h"

struct event_base;

/*
 * The one event loop, which owns all state, on one thread.  Nothing that runs on it may block: what
 * would, becomes a job (loop/jobs.h).
 *
 * A callback is never called before the call that registers it returns.
 */
struct loop;

struct loop *loop_new(void);
struct loop *loop_free(struct loop *loop);
DEFINE_CLEANUP(struct loop *, loop_free)

/* Returns when loop_stop() was called, or -errno. */
int loop_run(struct loop *loop);
void loop_stop(struct loop *loop);

/* For the folders that wrap a library with its own events (net, http). */
struct event_base *loop_base(struct loop *loop);

typedef void loop_fn(void *arg);

/*
 * Calls `fn` once, after the callbacks that are running now have returned: where an object with
 * callbacks on the stack is freed.  Deferred calls come in the order they were made.
 */
void loop_defer(struct loop *loop, loop_fn *fn, void *arg);

/* The same from any thread: how a helper thread hands a result to the loop. */
void loop_post(struct loop *loop, loop_fn *fn, void *arg);

/* A timer of one shot; it may be set again from its own callback. */
struct timer;

struct timer *timer_new(struct loop *loop, loop_fn *fn, void *arg);
struct timer *timer_free(struct timer *t); /* also from its own callback */
DEFINE_CLEANUP(struct timer *, timer_free)

void timer_set(struct timer *t, usec_t after); /* replaces what was set */
void timer_cancel(struct timer *t);
bool timer_is_set(const struct timer *t);

/* Calls `fn` on the loop for each arrival of the signal, until the loop is freed. */
typedef void loop_signal_fn(int signal, void *arg);
int loop_on_signal(struct loop *loop, int signal, loop_signal_fn *fn, void *arg) must_use;
