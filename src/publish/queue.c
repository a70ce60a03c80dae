/* SPDX-License-Identifier: MIT */
/*
 * Whose build is next.  Users take turns: each build is given its round when it comes, one later
 * than its user's last, and earlier rounds go first.  So who asks for many waits for their own, and
 * who asks for one waits for no more than one of each other user.
 */
#include <string.h>
#include <utlist.h>

#include "base/hash.h"
#include "base/mem.h"
#include "publish/publisher_priv.h"

struct builder {
	UT_hash_handle hh;
	char *user_id;
	size_t n;       /* of its builds that have not ended */
	uint64_t round; /* of the last one */
};

static struct builder *builder_find(const struct publisher *p, const char *user_id)
{
	struct builder *one;

	HASH_FIND_STR(p->builders, user_id, one);
	return one;
}

int queue_admit(const struct publisher *p, const char *user_id, struct fault *reterr)
{
	const struct settings *set = p->settings;
	const struct builder *one = builder_find(p, user_id);

	/* Those on their way to the store are counted: the limits hold however many come at once.
	 */
	if (p->n_live >= (size_t)set->publish_queue + set->publish_builds)
		return fault_set(reterr, FAULT_BUILD_QUEUE_FULL,
				 "%zu builds are under way or waiting already; try again later",
				 p->n_live);
	if (one && one->n >= set->publish_queue_per_user)
		return fault_set(reterr, FAULT_BUILD_QUEUE_FULL,
				 "%zu builds of user '%s' are under way or waiting already; wait "
				 "for one of them",
				 one->n, user_id);
	return 0;
}

void queue_count(struct build *b)
{
	struct publisher *p = b->publisher;
	struct builder *one = builder_find(p, b->user_id);

	if (!one) {
		one = xcalloc(1, sizeof(*one));
		one->user_id = xstrdup(b->user_id);
		HASH_ADD_KEYPTR(hh, p->builders, one->user_id, strlen(one->user_id), one);
	}
	b->round = one->n > 0 && one->round >= p->round ? one->round + 1 : p->round;
	one->round = b->round;
	one->n++;
	p->n_live++;
	b->builder = one;
}

void queue_uncount(struct build *b)
{
	struct publisher *p = b->publisher;
	struct builder *one = STEAL(b->builder);

	if (!one)
		return;
	p->n_live--;
	if (--one->n > 0)
		return;
	HASH_DEL(p->builders, one);
	free(one->user_id);
	free(one);
}

void queue_enter(struct build *b)
{
	struct publisher *p = b->publisher;
	struct build *next;

	for (next = p->queue; next && next->round <= b->round; next = next->queue_next)
		;
	DL_PREPEND_ELEM2(p->queue, next, b, queue_prev, queue_next);
	p->n_queued++;
}

void queue_leave(struct build *b)
{
	struct publisher *p = b->publisher;

	if (!b->queue_prev)
		return;
	DL_DELETE2(p->queue, b, queue_prev, queue_next);
	b->queue_prev = b->queue_next = NULL;
	p->n_queued--;
}

struct build *queue_take(struct publisher *p)
{
	struct build *b = p->queue;

	queue_leave(b);
	p->n_running++;
	if (b->round > p->round)
		p->round = b->round;
	return b;
}
