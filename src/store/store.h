/* SPDX-License-Identifier: MIT */
#pragma once

#include <stdbool.h>
#include <stdint.h>

#include "base/cleanup.h"
#include "base/clock.h"
#include "base/fault.h"
#include "loop/loop.h"
#include "store/record.h"

/*
 * Where the registry's truth survives `kill -9` and power loss.
 *
 * The daemon keeps everything in memory and reads the store only at start.  A change is a batch of
 * puts and deletes which becomes durable as a whole or not at all.  Batches take effect, and are
 * answered, in the order they were committed; those that wait together share one fsync.  The loop
 * never waits: back ends that block do so on a thread of their own.
 *
 * One contract, several back ends, one suite for all (tests/contract/store.c).
 */
struct store;
struct store_batch;
struct store_commit;

struct store_sqlite_settings {
	const char *path;      /* of the database file, or ":memory:" never */
	bool synchronous_full; /* fsync at each commit; else a power loss may cost the last ones */
	unsigned pending_max;  /* batches that may wait */
};

/*
 * Opens or creates the database and brings its schema up to date.  Refuses, with a sentence for the
 * operator, what cannot be written, a file that is damaged or no database, and a schema from the
 * future.  Nothing is changed where it refuses.
 */
int store_sqlite_open(struct loop *loop, const struct store_sqlite_settings *settings,
		      struct store **ret, struct fault *reterr) must_use;

/* Forgets at exit: for tests, and for daemons that want no state. */
struct store *store_memory_new(struct loop *loop);

/* For tests: from now on its commits fail with this negative errno; 0 ends that. */
void store_memory_fail(struct store *s, int error);

/* Finishes what was committed (blocking); callbacks that have not come yet don't come. */
struct store *store_free(struct store *s);
DEFINE_CLEANUP(struct store *, store_free)

/*
 * Visits every record of a kind, in the order of the keys.  For start: it blocks.  `record` is
 * borrowed until the visit returns; a visit that returns other than 0 ends the walk, and that is
 * the result.
 */
typedef int store_visit_fn(const void *record, void *arg);
int store_load(struct store *s, enum record_kind kind, store_visit_fn *visit, void *arg,
	       struct fault *reterr) must_use;

struct store_batch *store_batch_new(void);
struct store_batch *store_batch_free(struct store_batch *b); /* drops what was not committed */
DEFINE_CLEANUP(struct store_batch *, store_batch_free)

/* Inserts or replaces; copies. */
void store_put(struct store_batch *b, enum record_kind kind, const void *record);
/* Deletes the one with those keys; one that isn't there is no error. */
void store_delete(struct store_batch *b, enum record_kind kind, const void *keys);

/*
 * On the loop: 0 when the batch is durable; -ENOSPC, -EROFS, -EIO, … when none of it happened;
 * -EAGAIN, ahead of those that wait, when too many wait.
 */
typedef void store_done_fn(int result, void *arg);

/*
 * Hands the batch over, taking it in any case.  The handle is the caller's to free, before `done`,
 * inside it or after it, also when the store is gone.  Freed before, it means that `done` doesn't
 * come; the batch is written all the same.
 */
struct store_commit *store_commit_consume(struct store *s, struct store_batch *b,
					  store_done_fn *done, void *arg);
struct store_commit *store_commit_free(struct store_commit *c); /* also from inside `done` */
DEFINE_CLEANUP(struct store_commit *, store_commit_free)

/* The result of the newest commit that has ended, for /readyz: 0 or a negative errno. */
int store_health(const struct store *s);

/* Tries a write that changes nothing; the outcome shows in store_health().  For an idle store that
 * failed, so that /readyz recovers by itself. */
void store_probe(struct store *s);
