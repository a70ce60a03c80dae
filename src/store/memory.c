/* SPDX-License-Identifier: MIT */
/*
 * The store that forgets: for tests, and for daemons that want no state.  A batch takes effect when
 * it is handed over; its answer comes by the loop as from any other back end.
 */
#include "store/store.h"

#include <stdlib.h>
#include <string.h>

#include "base/hash.h"
#include "base/mem.h"
#include "base/strbuf.h"
#include "store/store_priv.h"

struct row {
	UT_hash_handle hh;
	enum record_kind kind;
	void *record;
	char *key;
};

struct store_memory {
	struct store base;
	int error;                              /* see store_memory_fail() */
	struct row *tables[RECORD_KIND_COUNT_]; /* by key */
};

/* The key fields, each with its NUL. */
static char *key_of(enum record_kind kind, const void *record, size_t *ret_len)
{
	const struct record_info *info = record_info(kind);
	struct strbuf b = strbuf_init(STRBUF_UNLIMITED);

	for (size_t i = 0; i < info->n_keys; i++) {
		const char *key =
			*(const char *const *)((const char *)record + info->fields[i].offset);

		strbuf_add(&b, key, strlen(key) + 1);
	}
	*ret_len = b.len;
	return strbuf_steal(&b);
}

static void row_remove(struct store_memory *m, struct row *row)
{
	HASH_DEL(m->tables[row->kind], row);
	free(row->key);
	free(row->record);
	free(row);
}

static void apply(struct store_memory *m, struct store_operation *o)
{
	size_t len;
	scoped(freep) char *key = key_of(o->kind, o->record, &len);
	struct row *row;

	HASH_FIND(hh, m->tables[o->kind], key, len, row);
	if (row)
		row_remove(m, row);
	if (o->is_delete)
		return;

	row = xcalloc(1, sizeof(*row));
	row->kind = o->kind;
	row->record = STEAL(o->record);
	row->key = STEAL(key);
	HASH_ADD_KEYPTR(hh, m->tables[o->kind], row->key, len, row);
}

static void memory_commit(struct store *s, struct store_commit *c)
{
	struct store_memory *m = container_of(s, struct store_memory, base);

	c->result = m->error;
	if (c->result == 0) {
		for (size_t i = 0; i < c->batch->n; i++)
			apply(m, &c->batch->operations[i]);
		c->leads_transaction = true;
	}
	c->ended_at = clock_monotonic();
	loop_defer(s->loop, store_commit_deliver, c);
}

static int compare_rows(const struct row *a, const struct row *b)
{
	return record_compare_keys(a->kind, a->record, b->record);
}

static int memory_load(struct store *s, enum record_kind kind, store_visit_fn *visit, void *arg,
		       struct fault *reterr)
{
	struct store_memory *m = container_of(s, struct store_memory, base);

	(void)reterr;
	HASH_SORT(m->tables[kind], compare_rows);
	for (struct row *row = m->tables[kind]; row; row = row->hh.next) {
		int r = visit(row->record, arg);

		if (r != 0)
			return r;
	}
	return 0;
}

static void memory_free(struct store *s)
{
	struct store_memory *m = container_of(s, struct store_memory, base);

	for (size_t kind = 0; kind < RECORD_KIND_COUNT_; kind++)
		while (m->tables[kind])
			row_remove(m, m->tables[kind]);
	free(m);
}

static const struct store_ops memory_ops = {
	.name = "memory",
	.free = memory_free,
	.load = memory_load,
	.commit = memory_commit,
};

struct store *store_memory_new(struct loop *loop)
{
	struct store_memory *m = xcalloc(1, sizeof(*m));

	store_init(&m->base, &memory_ops, loop);
	return &m->base;
}

void store_memory_fail(struct store *s, int error)
{
	container_of(s, struct store_memory, base)->error = error;
}
