/* SPDX-License-Identifier: MIT */
/*
 * The store on SQLite.  One thread writes: it takes all batches that wait, makes them durable in
 * one transaction and hands the answers to the loop.  The loop's thread only queues, and reads at
 * start.
 */
#include "store/store.h"

#include <errno.h>
#include <pthread.h>
#include <signal.h>
#include <stdlib.h>
#include <string.h>

#include "base/mem.h"
#include "base/strbuf.h"
#include "store/sqlite_priv.h"
#include "store/store_priv.h"

struct store_sqlite {
	struct store base;
	char *path;

	/* of the writer, once it runs */
	struct sqlite_file file;
	sqlite3_stmt *put[RECORD_KIND_COUNT_];
	sqlite3_stmt *delete[RECORD_KIND_COUNT_];

	pthread_t writer;
	bool writer_runs;
	pthread_mutex_t lock; /* of what follows */
	pthread_cond_t wake;
	struct store_commit *waiting; /* by `next` */
	struct store_commit **waiting_end;
	bool stopping;
};

/* The names of the fields from `first` to `end`, with `suffix` behind each. */
static void add_names(struct strbuf *b, const struct record_info *info, size_t end,
		      const char *suffix, const char *separator)
{
	for (size_t i = 0; i < end; i++)
		strbuf_printf(b, "%s%s%s", i > 0 ? separator : "", info->fields[i].name, suffix);
}

static char *put_sql(const struct record_info *info)
{
	struct strbuf b = strbuf_init(STRBUF_UNLIMITED);

	strbuf_printf(&b, "INSERT OR REPLACE INTO %s (", info->name);
	add_names(&b, info, info->n_fields, "", ", ");
	strbuf_puts(&b, ") VALUES (?");
	for (size_t i = 1; i < info->n_fields; i++)
		strbuf_puts(&b, ", ?");
	strbuf_puts(&b, ")");
	return strbuf_steal(&b);
}

static char *delete_sql(const struct record_info *info)
{
	struct strbuf b = strbuf_init(STRBUF_UNLIMITED);

	strbuf_printf(&b, "DELETE FROM %s WHERE ", info->name);
	add_names(&b, info, info->n_keys, " = ?", " AND ");
	return strbuf_steal(&b);
}

static char *load_sql(const struct record_info *info)
{
	struct strbuf b = strbuf_init(STRBUF_UNLIMITED);

	strbuf_puts(&b, "SELECT ");
	add_names(&b, info, info->n_fields, "", ", ");
	strbuf_printf(&b, " FROM %s ORDER BY ", info->name);
	add_names(&b, info, info->n_keys, "", ", ");
	return strbuf_steal(&b);
}

static int prepare(sqlite3 *db, const char *sql, sqlite3_stmt **ret)
{
	return sqlite3_prepare_v3(db, sql, -1, SQLITE_PREPARE_PERSISTENT, ret, NULL);
}

static int prepare_statements(struct store_sqlite *s)
{
	for (size_t kind = 0; kind < RECORD_KIND_COUNT_; kind++) {
		const struct record_info *info = record_info(kind);
		scoped(freep) char *put = put_sql(info);
		scoped(freep) char *delete = delete_sql(info);
		int rc = prepare(s->file.db, put, &s->put[kind]);

		if (rc == SQLITE_OK)
			rc = prepare(s->file.db, delete, &s->delete[kind]);
		if (rc != SQLITE_OK)
			return rc;
	}
	return SQLITE_OK;
}

static int bind_fields(sqlite3_stmt *stmt, const struct record_info *info, const void *record,
		       size_t n_fields)
{
	int rc = SQLITE_OK;

	for (size_t i = 0; i < n_fields && rc == SQLITE_OK; i++) {
		const void *at = (const char *)record + info->fields[i].offset;
		const int column = (int)i + 1;

		if (info->fields[i].type == RECORD_TYPE_INT)
			rc = sqlite3_bind_int64(stmt, column, *(const int64_t *)at);
		else /* a NULL pointer becomes NULL */
			rc = sqlite3_bind_text(stmt, column, *(const char *const *)at, -1,
					       SQLITE_STATIC);
	}
	return rc;
}

static int run_operation(struct store_sqlite *s, const struct store_operation *o)
{
	const struct record_info *info = record_info(o->kind);
	sqlite3_stmt *stmt = o->is_delete ? s->delete[o->kind] : s->put[o->kind];
	int rc = bind_fields(stmt, info, o->record, o->is_delete ? info->n_keys : info->n_fields);

	if (rc == SQLITE_OK)
		rc = sqlite3_step(stmt);
	sqlite3_reset(stmt);
	sqlite3_clear_bindings(stmt);
	return rc == SQLITE_DONE ? SQLITE_OK : rc;
}

static int write_batch(struct store_sqlite *s, const struct store_batch *b)
{
	int rc = SQLITE_OK;

	if (b->n == 0)
		return sqlite_file_touch(&s->file);

	for (size_t i = 0; i < b->n && rc == SQLITE_OK; i++)
		rc = run_operation(s, &b->operations[i]);
	return rc;
}

/*
 * A commit that failed at its fsync(2) stands whole in the log, and would be found there by the
 * next start if the daemon were killed now: what was refused would come back.  So the next frames
 * of the log are written over with something harmless.  That this fails at its own fsync doesn't
 * matter: what follows the frame written is not valid any more.
 */
static void take_back(struct store_sqlite *s)
{
	sqlite_file_touch(&s->file);
}

/* The commits from `first` up to but not with `end`, all or none. */
static int write_transaction(struct store_sqlite *s, struct store_commit *first,
			     const struct store_commit *end)
{
	sqlite3 *db = s->file.db;
	int rc = sqlite3_exec(db, "BEGIN IMMEDIATE", NULL, NULL, NULL);
	bool committing;
	int r;

	for (const struct store_commit *c = first; rc == SQLITE_OK && c != end; c = c->next)
		rc = write_batch(s, c->batch);
	committing = rc == SQLITE_OK;
	if (committing)
		rc = sqlite3_exec(db, "COMMIT", NULL, NULL, NULL);

	r = sqlite_errno(db, rc);
	/* Some failures have rolled back by themselves. */
	if (rc != SQLITE_OK && !sqlite3_get_autocommit(db))
		sqlite3_exec(db, "ROLLBACK", NULL, NULL, NULL);
	if (rc != SQLITE_OK && committing)
		take_back(s);
	return r;
}

static void end_transaction(struct store_commit *first, const struct store_commit *end, int result)
{
	const usec_t now = clock_monotonic();

	first->leads_transaction = true;
	for (struct store_commit *c = first; c != end; c = c->next) {
		c->batch = store_batch_free(c->batch); /* here, so that the loop needn't */
		c->result = result;
		c->ended_at = now;
	}
}

/* Whether a smaller transaction may succeed.  Of a sick disk or a locked file it is not tried: each
 * attempt may take seconds. */
static bool size_matters(int result)
{
	return result == -ENOSPC || result == -EMSGSIZE || result == -ENOMEM;
}

/*
 * All in one transaction.  When that is too much, each for itself in the same order, so that a
 * batch fails for what it holds and not for its neighbours.
 */
static void write_group(struct store_sqlite *s, struct store_commit *first)
{
	const int result = write_transaction(s, first, NULL);

	if (!size_matters(result)) {
		end_transaction(first, NULL, result);
		return;
	}

	/* What moves from the log into the database makes room in the log's own file, which is
	 * enough for a detach on a full disk. */
	sqlite3_wal_checkpoint_v2(s->file.db, NULL, SQLITE_CHECKPOINT_PASSIVE, NULL, NULL);
	for (struct store_commit *c = first; c; c = c->next)
		end_transaction(c, c->next, write_transaction(s, c, c->next));
}

/* On the loop: the answers of a group, in order. */
static void deliver_group(void *arg)
{
	struct store_commit *c = arg;

	while (c) {
		struct store_commit *next = c->next;

		store_commit_deliver(c);
		c = next;
	}
}

/* Waits for commits and takes them all; NULL when the store is being freed and none is left. */
static struct store_commit *take_waiting(struct store_sqlite *s)
{
	struct store_commit *first;

	pthread_mutex_lock(&s->lock);
	while (!s->waiting && !s->stopping)
		pthread_cond_wait(&s->wake, &s->lock);
	first = STEAL(s->waiting);
	s->waiting_end = &s->waiting;
	pthread_mutex_unlock(&s->lock);
	return first;
}

static void *writer_main(void *arg)
{
	struct store_sqlite *s = arg;
	struct store_commit *first;

	while ((first = take_waiting(s))) {
		write_group(s, first);
		loop_post(s->base.loop, deliver_group, first);
	}
	return NULL;
}

/* Signals are the loop's: a thread that has them all blocked gets none. */
static int start_writer(struct store_sqlite *s)
{
	sigset_t all, before;
	int r;

	sigfillset(&all);
	pthread_sigmask(SIG_SETMASK, &all, &before);
	r = -pthread_create(&s->writer, NULL, writer_main, s);
	pthread_sigmask(SIG_SETMASK, &before, NULL);
	s->writer_runs = r == 0;
	return r;
}

static void sqlite_commit(struct store *base, struct store_commit *c)
{
	struct store_sqlite *s = container_of(base, struct store_sqlite, base);

	pthread_mutex_lock(&s->lock);
	*s->waiting_end = c;
	s->waiting_end = &c->next;
	pthread_cond_signal(&s->wake);
	pthread_mutex_unlock(&s->lock);
}

static void read_fields(sqlite3_stmt *stmt, const struct record_info *info, void *record)
{
	for (size_t i = 0; i < info->n_fields; i++) {
		void *at = (char *)record + info->fields[i].offset;

		if (info->fields[i].type == RECORD_TYPE_INT)
			*(int64_t *)at = sqlite3_column_int64(stmt, (int)i);
		else
			*(const char **)at = (const char *)sqlite3_column_text(stmt, (int)i);
	}
}

/* The visit's result, or a SQLite failure in `ret_rc`. */
static int visit_rows(sqlite3 *db, enum record_kind kind, store_visit_fn *visit, void *arg,
		      int *ret_rc)
{
	const struct record_info *info = record_info(kind);
	scoped(freep) char *sql = load_sql(info);
	scoped(freep) void *record = xcalloc(1, info->size);
	sqlite3_stmt *stmt = NULL;
	int r = 0;
	int rc = sqlite3_prepare_v2(db, sql, -1, &stmt, NULL);

	while (rc == SQLITE_OK && r == 0 && (rc = sqlite3_step(stmt)) == SQLITE_ROW) {
		read_fields(stmt, info, record);
		r = visit(record, arg);
		rc = SQLITE_OK;
	}
	sqlite3_finalize(stmt);
	*ret_rc = rc == SQLITE_DONE ? SQLITE_OK : rc;
	return r;
}

/* By a connection of its own, closed again: the writer's is the writer's. */
static int sqlite_load(struct store *base, enum record_kind kind, store_visit_fn *visit, void *arg,
		       struct fault *reterr)
{
	struct store_sqlite *s = container_of(base, struct store_sqlite, base);
	sqlite3 *db = NULL;
	int r = 0;
	int rc = sqlite3_open_v2(s->path, &db, SQLITE_OPEN_READONLY | SQLITE_OPEN_NOMUTEX, NULL);

	if (rc == SQLITE_OK)
		r = visit_rows(db, kind, visit, arg, &rc);
	if (rc != SQLITE_OK) {
		r = sqlite_errno(db, rc);
		fault_set(reterr, FAULT_STORE_UNAVAILABLE, "cannot read the %ss of '%s': %s",
			  record_info(kind)->name, s->path, sqlite3_errmsg(db));
	}
	sqlite3_close(db);
	return r;
}

static void sqlite_free(struct store *base)
{
	struct store_sqlite *s = container_of(base, struct store_sqlite, base);

	if (s->writer_runs) {
		pthread_mutex_lock(&s->lock);
		s->stopping = true;
		pthread_cond_signal(&s->wake);
		pthread_mutex_unlock(&s->lock);
		pthread_join(s->writer, NULL);
	}

	for (size_t kind = 0; kind < RECORD_KIND_COUNT_; kind++) {
		sqlite3_finalize(s->put[kind]);
		sqlite3_finalize(s->delete[kind]);
	}
	sqlite_file_close(&s->file);
	pthread_cond_destroy(&s->wake);
	pthread_mutex_destroy(&s->lock);
	free(s->path);
	free(s);
}

static const struct store_ops sqlite_ops = {
	.name = "SQLite",
	.free = sqlite_free,
	.load = sqlite_load,
	.commit = sqlite_commit,
};

int store_sqlite_open(struct loop *loop, const struct store_sqlite_settings *settings,
		      struct store **ret, struct fault *reterr)
{
	struct sqlite_file file;
	struct store_sqlite *s;
	int r, rc;

	r = sqlite_file_open(settings->path, settings->synchronous_full, &file, reterr);
	if (r < 0)
		return r;

	s = xcalloc(1, sizeof(*s));
	store_init(&s->base, &sqlite_ops, loop);
	s->base.pending_max = settings->pending_max;
	s->path = xstrdup(settings->path);
	s->file = file;
	s->waiting_end = &s->waiting;
	pthread_mutex_init(&s->lock, NULL);
	pthread_cond_init(&s->wake, NULL);

	scoped(store_freep) struct store *store = &s->base;

	rc = prepare_statements(s);
	if (rc != SQLITE_OK) {
		r = sqlite_errno(file.db, rc);
		fault_set(reterr, FAULT_STORE_UNAVAILABLE, "the database '%s' lacks a table: %s",
			  settings->path, sqlite3_errmsg(file.db));
		return r;
	}
	r = start_writer(s);
	if (r < 0) {
		fault_set(reterr, FAULT_STORE_UNAVAILABLE, "cannot start the store's thread: %s",
			  strerror(-r));
		return r;
	}

	*ret = STEAL(store);
	return 0;
}
