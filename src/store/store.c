/* SPDX-License-Identifier: MIT */
/*
 * What is the same for every back end: batches, and the handle of a commit, which lives until both
 * its holder and the delivery have let go of it.
 */
#include "store/store.h"

#include <errno.h>
#include <stdlib.h>

#include "base/log.h"
#include "base/mem.h"
#include "base/metrics.h"
#include "store/store_priv.h"

LOG_AREA("store");

struct store_batch *store_batch_new(void)
{
	return xcalloc(1, sizeof(struct store_batch));
}

struct store_batch *store_batch_free(struct store_batch *b)
{
	if (!b)
		return NULL;

	for (size_t i = 0; i < b->n; i++)
		free(b->operations[i].record);
	free(b->operations);
	free(b);
	return NULL;
}

static void batch_add(struct store_batch *b, struct store_operation operation)
{
	if (b->n == b->capacity) {
		b->capacity = b->capacity ? 2 * b->capacity : 4;
		b->operations = xrealloc(b->operations, b->capacity * sizeof(b->operations[0]));
	}
	b->operations[b->n++] = operation;
}

void store_put(struct store_batch *b, enum record_kind kind, const void *record)
{
	batch_add(b, (struct store_operation){
			     .kind = kind,
			     .record = record_copy(kind, record),
		     });
}

void store_delete(struct store_batch *b, enum record_kind kind, const void *keys)
{
	batch_add(b, (struct store_operation){
			     .kind = kind,
			     .is_delete = true,
			     .record = record_copy_keys(kind, keys),
		     });
}

static void commit_unref(struct store_commit *c)
{
	if (--c->refs > 0)
		return;
	store_batch_free(c->batch);
	free(c);
}

static void note_health(struct store *s, int result)
{
	if (result < 0 && s->health != result)
		log_error_errno(result,
				"cannot write to the %s store: changes are refused until "
				"it can be written",
				s->ops->name);
	if (result == 0 && s->health < 0)
		log_info("the %s store can be written again", s->ops->name);
	s->health = result;
}

static void account(const struct store_commit *c)
{
	if (c->result < 0) {
		metric_inc(METRIC_STORE_FAILURES);
		return;
	}

	metric_inc(METRIC_STORE_OPERATIONS);
	if (c->leads_transaction)
		metric_inc(METRIC_STORE_COMMITS);
	metric_observe(METRIC_STORE_SECONDS,
		       (double)(c->ended_at - c->handed_over_at) / (double)USEC_PER_SEC);
}

/* Off the store's books. */
static void commit_leave(struct store_commit *c)
{
	struct store *s = STEAL(c->store);

	TAILQ_REMOVE(&s->undelivered, c, link);
	if (!c->refused) {
		s->n_pending--;
		metric_add(METRIC_STORE_PENDING, -1);
	}
}

void store_commit_deliver(void *arg)
{
	struct store_commit *c = arg;
	struct store *s = c->store;
	store_done_fn *done = STEAL(c->done);

	if (s) {
		commit_leave(c);
		account(c);
		if (!c->refused)
			note_health(s, c->result);
	}
	if (done)
		done(c->result, c->arg); /* may free the handle, and the store */
	commit_unref(c);
}

void store_init(struct store *s, const struct store_ops *ops, struct loop *loop)
{
	s->ops = ops;
	s->loop = loop;
	TAILQ_INIT(&s->undelivered);
}

struct store *store_free(struct store *s)
{
	struct store_commit *c;

	if (!s)
		return NULL;

	while ((c = TAILQ_FIRST(&s->undelivered))) {
		c->done = NULL;
		commit_leave(c);
	}
	s->ops->free(s);
	return NULL;
}

int store_load(struct store *s, enum record_kind kind, store_visit_fn *visit, void *arg,
	       struct fault *reterr)
{
	return s->ops->load(s, kind, visit, arg, reterr);
}

struct store_commit *store_commit_consume(struct store *s, struct store_batch *b,
					  store_done_fn *done, void *arg)
{
	struct store_commit *c = xcalloc(1, sizeof(*c));

	*c = (struct store_commit){
		.store = s,
		.refs = 2,
		.refused = s->pending_max > 0 && s->n_pending >= s->pending_max,
		.done = done,
		.arg = arg,
		.handed_over_at = clock_monotonic(),
		.batch = b,
	};
	TAILQ_INSERT_TAIL(&s->undelivered, c, link);

	if (c->refused) {
		c->result = -EAGAIN;
		loop_defer(s->loop, store_commit_deliver, c);
		return c;
	}

	s->n_pending++;
	metric_inc(METRIC_STORE_PENDING);
	s->ops->commit(s, c);
	return c;
}

struct store_commit *store_commit_free(struct store_commit *c)
{
	if (!c)
		return NULL;

	c->done = NULL;
	commit_unref(c);
	return NULL;
}

int store_health(const struct store *s)
{
	return s->health;
}

void store_probe(struct store *s)
{
	/* What is on its way will tell as well. */
	if (s->n_pending == 0)
		store_commit_free(store_commit_consume(s, store_batch_new(), NULL, NULL));
}
