/* SPDX-License-Identifier: MIT */
#pragma once

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "base/cleanup.h"
#include "bus/event.h"
#include "loop/loop.h"
#include "store/store.h"

struct cJSON;

/*
 * Events: numbered, remembered, and handed to whoever listens.
 *
 * Each session has one counter, preview_seq.  A number is given when an event is published and
 * never again: blocks of numbers are reserved in the store first, so that a daemon that was killed
 * goes on behind its block.  Within one run of the daemon, an epoch, there are no gaps; a new epoch
 * may skip.
 *
 * The last events of a session are kept in its journal.  A client that comes back says what it saw
 * last and in which epoch; either the journal holds everything since, or the client must take a
 * snapshot.  There is no third case.
 */
struct bus;

struct bus_settings {
	size_t ring;       /* events remembered of a session */
	size_t memory_max; /* bytes remembered of all */
};

/* Reads the reserved numbers.  `store` outlives the bus. */
int bus_new(struct loop *loop, struct store *store, const struct bus_settings *settings,
	    struct bus **ret, struct fault *reterr) must_use;
struct bus *bus_free(struct bus *bus); /* subscriptions must be gone */
DEFINE_CLEANUP(struct bus *, bus_free)

void bus_set_memory_max(struct bus *bus, size_t memory_max);

/* A new one at each start of the daemon: 16 hexadecimal digits. */
const char *bus_epoch(const struct bus *bus);

/* The session's newest number; where nothing happened in it yet, the one its first will follow. */
uint64_t bus_latest_seq(const struct bus *bus, const char *session_id);

/*
 * The same, counting those that still wait for their number, as a snapshot must: what they tell is
 * in it.  Who is given one so hears of them all the same, and skips them by their seq.
 */
uint64_t bus_published_seq(const struct bus *bus, const char *session_id);

struct event_draft {
	const char *session_id;
	const char *app_id;
	const char *user_id;
	const char *type;
	const char *entity_type;
	const char *entity_id;
};

/*
 * Makes sure that the next events of the session find numbers.  Called by an operation before it
 * commits its own change, so that both share one fsync.  Not needed, only faster.
 */
void bus_prepare(struct bus *bus, const char *session_id);

/*
 * Publishes a change that is durable.  Takes `payload`, an object, and adds session_id, app_id,
 * preview_seq and ts.  Events of a session go out in the order they were published; one for which
 * no number is reserved yet waits, and those behind it.  Returns the number it has or will have.
 */
uint64_t bus_publish_consume(struct bus *bus, const struct event_draft *draft,
			     struct cJSON *payload);

/*
 * Hearing of events.  `fn` is called on the loop for each, in order; it may unsubscribe itself or
 * others, and subscribe: a subscription made during a delivery gets the next event.
 */
struct subscription;
typedef void subscription_fn(struct event *e, void *arg);

/* `session_id` NULL: of all sessions. */
struct subscription *bus_subscribe(struct bus *bus, const char *session_id, subscription_fn *fn,
				   void *arg);
struct subscription *bus_unsubscribe(struct subscription *s);
DEFINE_CLEANUP(struct subscription *, bus_unsubscribe)

/* How a client that was away gets on. */
enum bus_recovery {
	BUS_NOTHING_MISSED,
	BUS_REPLAYED, /* `visit` was called with what it missed, oldest first */
	BUS_SNAPSHOT, /* some of it is gone, or another epoch: the caller gives a snapshot */
};

const char *bus_recovery_text(enum bus_recovery r); /* "nothing_missed", "replayed", "snapshot" */

/*
 * What happened after `since`.  `epoch` NULL is a first join: always a snapshot.  Subscribing and
 * recovering in one step of the loop misses nothing and repeats nothing.
 */
enum bus_recovery bus_recover(struct bus *bus, const char *session_id, uint64_t since,
			      const char *epoch, subscription_fn *visit, void *arg);

/* The session has ended: its journal may be the first to go. The number stays known. */
void bus_session_ended(struct bus *bus, const char *session_id);

/*
 * The session is forgotten: its journal goes, and in `batch` its reservation.  Numbers are not
 * reused even so: a session that begins later, whatever its id, goes on behind the greatest of all
 * that were forgotten.
 */
void bus_session_forget(struct bus *bus, const char *session_id, struct store_batch *batch);
