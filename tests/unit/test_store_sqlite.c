/* SPDX-License-Identifier: MIT */
/*
 * The SQLite back end against a hostile world: kill -9 at every write, full and sick disks, files
 * that are damaged, foreign, newer or read-only.
 */
#include <fcntl.h>
#include <sched.h>
#include <sys/mount.h>
#include <sys/stat.h>

#include "../store_world.h"
#include "base/files.h"
#include "base/metrics.h"

static int setup(void **state)
{
	struct fixture *f = xcalloc(1, sizeof(*f));

	f->loop = loop_new();
	f->dir = temporary_directory();
	f->path = xasprintf("%s/db", f->dir);
	*state = f;
	return 0;
}

static int teardown(void **state)
{
	struct fixture *f = *state;

	atomic_store(&write_errno, 0);
	atomic_store(&file_size_max, INT64_MAX);
	store_free(f->store);
	loop_free(f->loop);
	remove_directory(f->dir);
	free(f->path);
	free(f);
	return 0;
}

static int put(struct fixture *f, const char *name)
{
	return put_and_wait(f->loop, f->store, "s1", name);
}

/* A batch of `n` attachments of about a page each. */
static struct store_batch *large_batch(const char *session_id, int n)
{
	struct store_batch *b = store_batch_new();
	char path[3000];

	memset(path, 'x', sizeof(path) - 1);
	path[sizeof(path) - 1] = '\0';
	for (int i = 0; i < n; i++) {
		scoped(freep) char *name = xasprintf("n%d", i);
		struct record_attachment a = attachment(session_id, name);

		a.path = path;
		store_put(b, RECORD_KIND_ATTACHMENT, &a);
	}
	return b;
}

/* ---- the schema ---- */

static enum record_type type_of_column(sqlite3_stmt *column)
{
	const char *type = (const char *)sqlite3_column_text(column, 2);
	const bool not_null = sqlite3_column_int(column, 3);

	if (sqlite3_column_int(column, 5) > 0)
		return RECORD_TYPE_KEY;
	if (strcmp(type, "INTEGER") == 0)
		return RECORD_TYPE_INT;
	assert_string_equal(type, "TEXT");
	return not_null ? RECORD_TYPE_TEXT : RECORD_TYPE_TEXT_NULL;
}

static void assert_table_is(sqlite3 *db, const struct record_info *info)
{
	scoped(freep) char *sql = xasprintf("PRAGMA table_info(%s)", info->name);
	sqlite3_stmt *column;

	assert_int_equal(sqlite3_prepare_v2(db, sql, -1, &column, NULL), SQLITE_OK);
	for (size_t i = 0; i < info->n_fields; i++) {
		assert_int_equal(sqlite3_step(column), SQLITE_ROW);
		assert_string_equal(sqlite3_column_text(column, 1), info->fields[i].name);
		assert_int_equal(type_of_column(column), info->fields[i].type);
		/* keys come first and in this order in the primary key */
		assert_int_equal(sqlite3_column_int(column, 5), i < info->n_keys ? i + 1 : 0);
		if (info->fields[i].type != RECORD_TYPE_TEXT_NULL)
			assert_int_equal(sqlite3_column_int(column, 3), 1);
	}
	assert_int_equal(sqlite3_step(column), SQLITE_DONE);
	sqlite3_finalize(column);
}

static void the_migrations_lead_to_what_records_def_says(void **state)
{
	struct fixture *f = *state;
	sqlite3_stmt *tables;
	sqlite3 *db;

	open_well(f);
	close_store(f);
	assert_int_equal(sqlite3_open(f->path, &db), SQLITE_OK);
	for (size_t kind = 0; kind < RECORD_KIND_COUNT_; kind++)
		assert_table_is(db, record_info(kind));

	assert_int_equal(sqlite3_prepare_v2(db,
					    "SELECT count(*), min(wr), min(strict) FROM"
					    " pragma_table_list WHERE schema = 'main'"
					    " AND name NOT LIKE 'sqlite_%'",
					    -1, &tables, NULL),
			 SQLITE_OK);
	assert_int_equal(sqlite3_step(tables), SQLITE_ROW);
	assert_int_equal(sqlite3_column_int(tables, 0), RECORD_KIND_COUNT_);
	assert_int_equal(sqlite3_column_int(tables, 1), 1);
	assert_int_equal(sqlite3_column_int(tables, 2), 1);
	sqlite3_finalize(tables);
	sqlite3_close(db);
}

static void its_files_are_for_its_user_alone(void **state)
{
	static const char *const suffixes[] = { "", "-wal", "-shm" };
	struct fixture *f = *state;
	const mode_t mask = umask(0);

	open_well(f);
	umask(mask);
	assert_int_equal(put(f, "a"), 0);
	for (size_t i = 0; i < ARRAY_SIZE(suffixes); i++) {
		scoped(freep) char *path = xasprintf("%s%s", f->path, suffixes[i]);
		struct stat st;

		assert_int_equal(stat(path, &st), 0);
		assert_int_equal(st.st_mode & 07777, 0600);
	}
}

/* ---- what is refused ---- */

static void write_text(const char *path, const char *text)
{
	assert_int_equal(write_file_at(AT_FDCWD, path, text, strlen(text), 0600), 0);
}

static void assert_left_alone(struct fixture *f, int error, const char *saying)
{
	scoped(freep) char *before = NULL;
	scoped(freep) char *after = NULL;
	size_t len_before, len_after;

	assert_int_equal(read_file_at(AT_FDCWD, f->path, 1 << 24, &before, &len_before), 0);
	assert_refused(f, error, saying);
	assert_int_equal(read_file_at(AT_FDCWD, f->path, 1 << 24, &after, &len_after), 0);
	assert_int_equal(len_after, len_before);
	assert_memory_equal(after, before, len_before);
}

static void what_is_no_database_is_refused_and_left_alone(void **state)
{
	struct fixture *f = *state;

	write_text(f->path,
		   "Dear diary, today I wrote no database, but it is long enough to be one,"
		   " for it has more than the hundred bytes of a header.\n");
	assert_left_alone(f, -EBADMSG, "not a previewd database");
}

static void another_programs_database_is_refused_and_left_alone(void **state)
{
	struct fixture *f = *state;

	run_sql(f->path, "CREATE TABLE recipe (name); PRAGMA user_version = 1");
	assert_left_alone(f, -EBADMSG, "another program");
}

static void a_newer_schema_is_refused_and_left_alone(void **state)
{
	struct fixture *f = *state;

	open_well(f);
	close_store(f);
	run_sql(f->path, "PRAGMA user_version = 99");
	assert_left_alone(f, -EPROTO, "newer previewd");
}

static void write_and_die(struct fixture *f, int out)
{
	(void)out;
	CHECK(open_at(f, NULL) == 0);
	CHECK(put(f, "in-the-log") == 0);
	_exit(0); /* without store_free(): the log stays */
}

static void a_damaged_database_is_refused_and_left_alone(void **state)
{
	struct fixture *f = *state;
	char garbage[4096];
	int fd;

	open_well(f);
	assert_int_equal(commit_and_wait(f->loop, f->store, large_batch("s1", 100)), 0);
	close_store(f);
	run_child(write_and_die, f);

	memset(garbage, 0xa5, sizeof(garbage));
	fd = open(f->path, O_WRONLY | O_CLOEXEC);
	assert_int_equal(pwrite(fd, garbage, sizeof(garbage), 50 * sizeof(garbage)),
			 sizeof(garbage));
	close(fd);
	assert_left_alone(f, -EBADMSG, "is damaged");
}

static void a_truncated_database_is_refused_and_left_alone(void **state)
{
	struct fixture *f = *state;

	open_well(f);
	assert_int_equal(commit_and_wait(f->loop, f->store, large_batch("s1", 100)), 0);
	close_store(f);
	assert_int_equal(truncate(f->path, 20 * 4096), 0);
	assert_left_alone(f, -EBADMSG, "is damaged");
}

static void a_directory_in_its_place_is_refused(void **state)
{
	struct fixture *f = *state;

	assert_int_equal(mkdir(f->path, 0700), 0);
	assert_refused(f, -EISDIR, "cannot open");
	rmdir(f->path);
}

static void open_a_second_time(struct fixture *f, int out)
{
	(void)out;
	CHECK(open_at(f, NULL) == -EBUSY);
}

static void a_second_daemon_is_refused(void **state)
{
	struct fixture *f = *state;

	open_well(f);
	run_child(open_a_second_time, f);
	assert_int_equal(put(f, "a"), 0);
}

static void become_nobody(void)
{
	/* root may write everywhere */
	if (geteuid() == 0)
		CHECK(setgid(65534) == 0 && setuid(65534) == 0);
}

static void open_what_may_not_be_written(struct fixture *f, int out)
{
	scoped(fault_done) struct fault fault = { 0 };

	(void)out;
	become_nobody();
	CHECK(open_at(f, &fault) == -EACCES);
	CHECK(strstr(fault.detail, f->path) && strstr(fault.detail, "writable for this user"));
}

static void a_read_only_file_is_refused(void **state)
{
	struct fixture *f = *state;

	open_well(f);
	close_store(f);
	assert_int_equal(chmod(f->dir, 0755), 0);
	assert_int_equal(chmod(f->path, 0444), 0);
	run_child(open_what_may_not_be_written, f);
}

static void open_where_no_log_can_be_made(struct fixture *f, int out)
{
	scoped(fault_done) struct fault fault = { 0 };

	(void)out;
	become_nobody();
	CHECK(open_at(f, &fault) == -EROFS);
	CHECK(strstr(fault.detail, f->path) && strstr(fault.detail, "its directory writable"));
}

static void a_read_only_directory_is_refused(void **state)
{
	struct fixture *f = *state;

	open_well(f);
	close_store(f);
	assert_int_equal(chmod(f->path, 0666), 0);
	assert_int_equal(chmod(f->dir, 0555), 0);
	run_child(open_where_no_log_can_be_made, f);
	chmod(f->dir, 0755);
}

/* ---- groups ---- */

/* Has the writer busy with a first batch, so that what comes then waits together. */
static struct store_commit *hold_the_writer(struct fixture *f)
{
	struct store_batch *b = store_batch_new();
	struct store_commit *c;

	put_attachment(b, "s0", "held");
	atomic_store(&gate_closed, true);
	c = store_commit_consume(f->store, b, NULL, NULL);
	sem_wait(&at_gate);
	return c;
}

static void what_waits_together_shares_one_sync(void **state)
{
	struct fixture *f = *state;
	const double commits = metric_value(METRIC_STORE_COMMITS);
	const double operations = metric_value(METRIC_STORE_OPERATIONS);
	int syncs;

	open_well(f);
	store_commit_free(hold_the_writer(f));
	for (int i = 0; i < 100; i++) {
		struct store_batch *b = store_batch_new();
		scoped(freep) char *name = xasprintf("n%d", i);

		put_attachment(b, "s1", name);
		store_commit_free(store_commit_consume(f->store, b, NULL, NULL));
	}
	assert_int_equal(metric_value(METRIC_STORE_PENDING), 101);
	syncs = atomic_load(&n_syncs);
	sem_post(&gate);
	assert_int_equal(put(f, "last"), 0);

	/* The held one with the new log's header, the hundred, and the last, which may be one of
	 * them. */
	assert_in_range(metric_value(METRIC_STORE_COMMITS) - commits, 2, 3);
	assert_in_range(atomic_load(&n_syncs) - syncs, 2, 5);
	assert_int_equal(metric_value(METRIC_STORE_OPERATIONS) - operations, 102);
	assert_int_equal(metric_value(METRIC_STORE_PENDING), 0);
}

static void each_answer_has_been_synced(void **state)
{
	struct fixture *f = *state;

	open_well(f);
	for (int i = 0; i < 5; i++) {
		const int syncs = atomic_load(&n_syncs);

		assert_int_equal(put(f, "a"), 0);
		assert_true(atomic_load(&n_syncs) > syncs);
	}
}

struct answers {
	struct loop *loop;
	int results[3];
	int n;
};

static void on_answer(int result, void *arg)
{
	struct answers *a = arg;

	a->results[a->n++] = result;
	if (a->n == 3)
		loop_stop(a->loop);
}

static void a_batch_too_large_for_the_disk_fails_alone(void **state)
{
	struct fixture *f = *state;
	struct answers answers = { .loop = f->loop };
	struct store_commit *commits[3];
	struct store_batch *before = store_batch_new();
	struct store_batch *after = store_batch_new();

	open_well(f);
	store_commit_free(hold_the_writer(f));
	put_attachment(before, "s1", "before");
	put_attachment(after, "s1", "after");
	commits[0] = store_commit_consume(f->store, before, on_answer, &answers);
	commits[1] = store_commit_consume(f->store, large_batch("s2", 100), on_answer, &answers);
	commits[2] = store_commit_consume(f->store, after, on_answer, &answers);
	atomic_store(&file_size_max, 128 * 1024);
	sem_post(&gate);
	loop_run(f->loop);

	assert_int_equal(answers.results[0], 0);
	assert_int_equal(answers.results[1], -ENOSPC);
	assert_int_equal(answers.results[2], 0);
	assert_string_equal(attachments(f->store), "s0/held s1/after s1/before ");
	for (size_t i = 0; i < ARRAY_SIZE(commits); i++)
		store_commit_free(commits[i]);
}

static void past_pending_max_it_says_so_and_goes_on(void **state)
{
	struct fixture *f = *state;

	open_well(f);
	store_commit_free(hold_the_writer(f));
	for (int i = 1; i < 1000; i++)
		store_commit_free(store_commit_consume(f->store, store_batch_new(), NULL, NULL));
	assert_int_equal(put(f, "too-many"), -EAGAIN);
	assert_int_equal(store_health(f->store), 0);
	sem_post(&gate);
	close_store(f);

	open_well(f);
	assert_int_equal(put(f, "in-time"), 0);
	assert_string_equal(attachments(f->store), "s0/held s1/in-time ");
}

/* ---- a disk that fails, and recovers ---- */

static void stop_when_nothing_waits(void *arg)
{
	struct fixture *f = arg;

	if (metric_value(METRIC_STORE_PENDING) > 0)
		loop_defer(f->loop, stop_when_nothing_waits, f);
	else
		loop_stop(f->loop);
}

static int probe_and_wait(struct fixture *f)
{
	store_probe(f->store);
	loop_defer(f->loop, stop_when_nothing_waits, f);
	loop_run(f->loop);
	return store_health(f->store);
}

static void a_sick_disk_is_told_and_a_probe_sees_its_recovery(void **state)
{
	struct fixture *f = *state;

	open_well(f);
	atomic_store(&write_errno, EIO);
	assert_int_equal(put(f, "a"), -EIO);
	assert_int_equal(store_health(f->store), -EIO);
	assert_int_equal(probe_and_wait(f), -EIO);

	atomic_store(&write_errno, 0);
	assert_int_equal(probe_and_wait(f), 0);
	assert_string_equal(attachments(f->store), "");
	assert_int_equal(put(f, "b"), 0);
	assert_string_equal(attachments(f->store), "s1/b ");
}

static void be_killed_after_a_sync_failed(struct fixture *f, int out)
{
	(void)out;
	open_well(f);
	if (put(f, "answered") < 0)
		_exit(1);
	atomic_store(&sync_errno, EIO);
	if (put(f, "refused") != -EIO || put(f, "refused-too") != -EIO)
		_exit(2);
	kill(getpid(), SIGKILL);
}

static void what_was_refused_at_its_sync_is_not_there_after_a_kill(void **state)
{
	struct fixture *f = *state;
	int out, status;
	pid_t pid = start_child(be_killed_after_a_sync_failed, f, &out);

	close(out);
	status = end_of_child(pid);
	assert_true(WIFSIGNALED(status));
	assert_int_equal(WTERMSIG(status), SIGKILL);

	open_well(f);
	assert_string_equal(attachments(f->store), "s1/answered ");
}

static void a_quota_is_met_like_a_full_disk(void **state)
{
	struct fixture *f = *state;

	open_well(f);
	atomic_store(&write_errno, EDQUOT);
	assert_int_equal(put(f, "a"), -ENOSPC);
}

static void a_foreign_writer_makes_it_busy_and_is_waited_for(void **state)
{
	struct fixture *f = *state;
	sqlite3 *db;

	open_well(f);
	assert_int_equal(sqlite3_open(f->path, &db), SQLITE_OK);
	assert_int_equal(sqlite3_exec(db, "BEGIN IMMEDIATE", NULL, NULL, NULL), SQLITE_OK);
	assert_int_equal(put(f, "a"), -EBUSY);
	assert_int_equal(sqlite3_exec(db, "ROLLBACK", NULL, NULL, NULL), SQLITE_OK);
	sqlite3_close(db);
	assert_int_equal(put(f, "a"), 0);
}

static void fill(const char *path)
{
	int fd = open(path, O_WRONLY | O_CREAT | O_CLOEXEC, 0600);
	char zeros[4096] = { 0 };

	CHECK(fd >= 0);
	while (write(fd, zeros, sizeof(zeros)) > 0)
		;
	CHECK(errno == ENOSPC);
	close(fd);
}

/* In a mount namespace of its own, whose end takes the file system along. */
static void fill_a_file_system(struct fixture *f, int out)
{
	scoped(freep) char *filler = xasprintf("%s/filler", f->dir);

	(void)out;
	if (unshare(CLONE_NEWNS) < 0 || mount("none", "/", NULL, MS_REC | MS_PRIVATE, NULL) < 0 ||
	    mount("tmpfs", f->dir, "tmpfs", 0, "size=2M") < 0)
		_exit(CHILD_SKIPS);

	CHECK(open_at(f, NULL) == 0);
	CHECK(put(f, "before") == 0);
	fill(filler);
	CHECK(commit_and_wait(f->loop, f->store, large_batch("s2", 50)) == -ENOSPC);
	CHECK(store_health(f->store) == -ENOSPC);
	CHECK(strcmp(attachments(f->store), "s1/before ") == 0);

	CHECK(unlink(filler) == 0);
	CHECK(probe_and_wait(f) == 0);
	CHECK(put(f, "after") == 0);
	close_store(f);
	CHECK(open_at(f, NULL) == 0);
	CHECK(strcmp(attachments(f->store), "s1/after s1/before ") == 0);
	close_store(f);
}

static void a_full_file_system_is_told_and_recovers(void **state)
{
	run_child(fill_a_file_system, *state);
}

/* ---- kill -9 ---- */

#define BATCHES 12

static struct store_batch *numbered_batch(int i)
{
	scoped(freep) char *session_id = xasprintf("s%02d", i);
	struct store_batch *b = large_batch(session_id, 3);

	store_put(b, RECORD_KIND_SEQUENCE,
		  &(struct record_sequence){ .session_id = session_id, .reserved = i });
	if (i > 0) { /* each takes a piece of the one before along */
		scoped(freep) char *before = xasprintf("s%02d", i - 1);

		store_delete(b, RECORD_KIND_ATTACHMENT,
			     &(struct record_attachment){ .session_id = before, .name = "n0" });
	}
	return b;
}

static void write_numbered(struct fixture *f, int out)
{
	CHECK(open_at(f, NULL) == 0);
	for (int i = 0; i < BATCHES; i++) {
		CHECK(commit_and_wait(f->loop, f->store, numbered_batch(i)) == 0);
		CHECK(write(out, "x", 1) == 1);
	}
	close_store(f);
}

static int mark_sequence(const void *record, void *arg)
{
	const struct record_sequence *s = record;
	int *n = arg;

	/* without gaps: they were committed one after the other */
	assert_int_equal(s->reserved, *n);
	++*n;
	return 0;
}

/* All of the first `n` batches and nothing of any other; `n` may not be below `answered`. */
static void assert_whole(struct fixture *f, int answered)
{
	scoped(freep) char *expected = xcalloc(1, 64 * 1024);
	int n = 0;

	open_well(f);
	assert_int_equal(store_load(f->store, RECORD_KIND_SEQUENCE, mark_sequence, &n, NULL), 0);
	assert_in_range(n, answered, answered + 1);
	for (int i = 0; i < n; i++)
		sprintf(expected + strlen(expected),
			i < n - 1 ? "s%02d/n1 s%02d/n2 "
				  : "s%02d/n0 "
				    "s%02d/n1 s%02d/n2 ",
			i, i, i);
	assert_string_equal(attachments(f->store), expected);
	close_store(f);
}

static int count_answers(int fd)
{
	char x;
	int n = 0;

	while (read(fd, &x, 1) == 1)
		n++;
	close(fd);
	return n;
}

static void killed_between_any_two_steps_it_has_what_it_answered(void **state)
{
	struct fixture *f = *state;
	int kills = 0;

	for (int steps = 1;; steps++) {
		int out, answered, status;

		atomic_store(&steps_to_live, steps);
		pid_t pid = start_child(write_numbered, f, &out);

		atomic_store(&steps_to_live, -1);
		answered = count_answers(out);
		status = end_of_child(pid);
		assert_whole(f, answered);
		assert_int_equal(unlink(f->path), 0);
		if (WIFEXITED(status)) {
			assert_int_equal(WEXITSTATUS(status), 0);
			assert_int_equal(answered, BATCHES);
			break;
		}
		assert_int_equal(WTERMSIG(status), SIGKILL);
		kills++;
	}
	assert_true(kills > 2 * BATCHES);
}

struct stream_of_batches {
	struct fixture *f;
	int out;
	int next;
};

static void on_streamed(int result, void *arg);

static void stream_one(struct stream_of_batches *s)
{
	struct store_batch *b = store_batch_new();
	scoped(freep) char *id = xasprintf("s%08d", s->next);

	put_attachment(b, id, "a");
	put_attachment(b, id, "b");
	s->next++;
	(void)store_commit_consume(s->f->store, b, on_streamed, s);
}

static void on_streamed(int result, void *arg)
{
	struct stream_of_batches *s = arg;

	CHECK(result == 0);
	CHECK(write(s->out, "x", 1) == 1);
	stream_one(s);
}

static void stream_for_ever(struct fixture *f, int out)
{
	struct stream_of_batches s = { .f = f, .out = out };

	CHECK(open_at(f, NULL) == 0);
	for (int i = 0; i < 64; i++)
		stream_one(&s);
	loop_run(f->loop);
}

struct pairs {
	int n_sessions;
	bool half;
};

static int count_pairs(const void *record, void *arg)
{
	const struct record_attachment *a = record;
	struct pairs *p = arg;
	scoped(freep) char *id = xasprintf("s%08d", p->n_sessions);

	assert_string_equal(a->session_id, id);
	assert_string_equal(a->name, p->half ? "b" : "a");
	if (p->half)
		p->n_sessions++;
	p->half = !p->half;
	return 0;
}

static void killed_under_load_it_has_what_it_answered(void **state)
{
	struct fixture *f = *state;

	for (int answers = 1; answers < 3000; answers = answers * 3 + 1) {
		struct pairs pairs = { 0 };
		int out, n = 0;
		char x;
		pid_t pid = start_child(stream_for_ever, f, &out);

		while (n < answers && read(out, &x, 1) == 1)
			n++;
		kill(pid, SIGKILL);
		end_of_child(pid);
		n += count_answers(out);

		open_well(f);
		assert_int_equal(
			store_load(f->store, RECORD_KIND_ATTACHMENT, count_pairs, &pairs, NULL), 0);
		assert_false(pairs.half);
		assert_true(pairs.n_sessions >= n);
		close_store(f);
		assert_int_equal(unlink(f->path), 0);
	}
}

#define TEST(test) cmocka_unit_test_setup_teardown(test, setup, teardown)

int main(void)
{
	const struct CMUnitTest tests[] = {
		TEST(the_migrations_lead_to_what_records_def_says),
		TEST(its_files_are_for_its_user_alone),
		TEST(what_is_no_database_is_refused_and_left_alone),
		TEST(another_programs_database_is_refused_and_left_alone),
		TEST(a_newer_schema_is_refused_and_left_alone),
		TEST(a_damaged_database_is_refused_and_left_alone),
		TEST(a_truncated_database_is_refused_and_left_alone),
		TEST(a_directory_in_its_place_is_refused),
		TEST(a_second_daemon_is_refused),
		TEST(a_read_only_file_is_refused),
		TEST(a_read_only_directory_is_refused),
		TEST(what_waits_together_shares_one_sync),
		TEST(each_answer_has_been_synced),
		TEST(a_batch_too_large_for_the_disk_fails_alone),
		TEST(past_pending_max_it_says_so_and_goes_on),
		TEST(a_sick_disk_is_told_and_a_probe_sees_its_recovery),
		TEST(what_was_refused_at_its_sync_is_not_there_after_a_kill),
		TEST(a_quota_is_met_like_a_full_disk),
		TEST(a_foreign_writer_makes_it_busy_and_is_waited_for),
		TEST(a_full_file_system_is_told_and_recovers),
		TEST(killed_between_any_two_steps_it_has_what_it_answered),
		TEST(killed_under_load_it_has_what_it_answered),
	};

	alarm(300); /* an answer that doesn't come */
	mem_init();
	make_world_hostile();
	return cmocka_run_group_tests(tests, NULL, NULL);
}
