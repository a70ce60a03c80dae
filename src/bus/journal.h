/* SPDX-License-Identifier: MIT */
#pragma once

#include <stddef.h>
#include <stdint.h>

#include "base/cleanup.h"
#include "bus/event.h"

/*
 * The recent past of one session: its last `capacity` events.
 *
 * Either the journal still holds everything after a number, or it says -ESTALE and the client takes
 * a snapshot.  The ring grows as events come, so that a quiet session costs little.
 */
struct journal;

struct journal *journal_new(size_t capacity);
struct journal *journal_free(struct journal *j);
DEFINE_CLEANUP(struct journal *, journal_free)

/*
 * Adds the event, whose seq must be the next one (or the first), holding a reference.  Returns by
 * how many bytes the journal grew; negative when older events went.
 */
int64_t journal_append(struct journal *j, struct event *e);

size_t journal_bytes(const struct journal *j);

typedef void journal_visit_fn(struct event *e, void *arg);

/*
 * Visits everything after `seen`, oldest first.  Returns how many those were, -ESTALE when some of
 * them are gone, -ERANGE when `seen` is from the future.  Of an empty journal nothing is known:
 * -ESTALE.
 */
int64_t journal_since(const struct journal *j, uint64_t seen, journal_visit_fn *visit,
		      void *arg) must_use;
