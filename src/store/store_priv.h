/* SPDX-License-Identifier: MIT */
#pragma once

#include <sys/queue.h>

#include "store/store.h"

/*
 * What the back ends share: batches as data, and the way of a commit from its hand-over to its
 * `done`.  A back end writes; store.c delivers.
 */
struct store_operation {
	enum record_kind kind;
	bool is_delete;
	void *record; /* owned; of a delete only the keys */
};

struct store_batch {
	struct store_operation *operations;
	size_t n;
	size_t capacity;
};

struct store_commit {
	/* of the loop's thread */
	TAILQ_ENTRY(store_commit) link; /* in the store's `undelivered` */
	struct store *store;            /* NULL when it is gone */
	unsigned refs;                  /* the caller's handle, and the way to the delivery */
	bool refused;                   /* too many waited: no back end saw it */
	store_done_fn *done;            /* NULL when nobody waits for it any more */
	void *arg;
	usec_t handed_over_at;

	/* of the back end from commit() to the delivery */
	struct store_commit *next;
	struct store_batch *batch;
	bool leads_transaction; /* the first of those that became durable together */
	int result;
	usec_t ended_at;
};

/*
 * The back end's half of the contract.  commit() writes the batch (one without operations:
 * something that changes nothing, to see whether it could), sets the commit's result and has
 * store_commit_deliver() called on the loop, in the order of the commits and never from inside
 * commit() itself.
 */
struct store_ops {
	const char *name;
	void (*free)(struct store *s);
	int (*load)(struct store *s, enum record_kind kind, store_visit_fn *visit, void *arg,
		    struct fault *reterr);
	void (*commit)(struct store *s, struct store_commit *c);
};

/* The head of each back end's own struct. */
struct store {
	const struct store_ops *ops;
	struct loop *loop;
	unsigned pending_max; /* 0: no limit */
	unsigned n_pending;
	int health;
	TAILQ_HEAD(, store_commit) undelivered;
};

void store_init(struct store *s, const struct store_ops *ops, struct loop *loop);

/* A loop_fn: `arg` is the commit. */
void store_commit_deliver(void *arg);
