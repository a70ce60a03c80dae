/* SPDX-License-Identifier: MIT */
/*
 * A ring that grows to its capacity, with the newest events of a session.
 */
#include "bus/journal.h"

#include <assert.h>
#include <errno.h>

#include "base/mem.h"

#define SLOTS_AT_FIRST 8

/*
 * The event numbered n, while it is held, is at ring[n % slots]: the number alone says where to
 * look, and the ring needs no head or tail of its own.
 */
struct journal {
	uint64_t first_seq; /* oldest held; last_seq + 1 when none is */
	uint64_t last_seq;  /* 0: nothing was ever appended */
	size_t capacity;
	size_t slots; /* allocated, at most capacity */
	size_t bytes;
	struct event **ring;
};

static struct event **slot(const struct journal *j, uint64_t seq)
{
	return &j->ring[seq % j->slots];
}

struct journal *journal_new(size_t capacity)
{
	struct journal *j = xcalloc(1, sizeof(*j));

	assert(capacity > 0);

	j->capacity = capacity;
	return j;
}

struct journal *journal_free(struct journal *j)
{
	if (!j)
		return NULL;

	for (size_t i = 0; i < j->slots; i++)
		event_unref(j->ring[i]);
	free(j->ring);
	free(j);
	return NULL;
}

static void grow(struct journal *j)
{
	size_t slots = j->slots ? j->slots * 2 : SLOTS_AT_FIRST;
	struct event **old = j->ring;
	size_t old_slots = j->slots;

	j->slots = slots < j->capacity ? slots : j->capacity;
	j->ring = xcalloc(j->slots, sizeof(*j->ring));
	for (uint64_t seq = j->first_seq; old_slots && seq <= j->last_seq; seq++)
		*slot(j, seq) = old[seq % old_slots];
	free(old);
}

int64_t journal_append(struct journal *j, struct event *e)
{
	size_t before = j->bytes;

	assert(j->last_seq == 0 || e->seq == j->last_seq + 1);

	if (j->last_seq == 0)
		j->first_seq = e->seq;
	if (e->seq - j->first_seq == j->slots && j->slots < j->capacity)
		grow(j);
	if (e->seq - j->first_seq == j->slots) {
		struct event **oldest = slot(j, j->first_seq++);

		j->bytes -= event_size(*oldest);
		*oldest = event_unref(*oldest);
	}

	*slot(j, e->seq) = event_ref(e);
	j->last_seq = e->seq;
	j->bytes += event_size(e);
	return (int64_t)j->bytes - (int64_t)before;
}

size_t journal_bytes(const struct journal *j)
{
	return j->bytes;
}

int64_t journal_since(const struct journal *j, uint64_t seen, journal_visit_fn *visit, void *arg)
{
	if (j->last_seq == 0)
		return -ESTALE;
	if (seen > j->last_seq)
		return -ERANGE;
	if (seen + 1 < j->first_seq)
		return -ESTALE;

	for (uint64_t seq = seen + 1; seq <= j->last_seq; seq++)
		visit(*slot(j, seq), arg);
	return (int64_t)(j->last_seq - seen);
}
