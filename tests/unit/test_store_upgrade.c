/* SPDX-License-Identifier: MIT */
/*
 * Upgrades: a database of every schema that there ever was, with rows in each of its tables, opened
 * by today's code; killed and out of space on the way; and back again by the copy that is kept.
 */
#include <dirent.h>
#include <fcntl.h>
#include <sys/stat.h>

#include "../store_world.h"
#include "base/files.h"
#include "base/log.h"
#include "base/strbuf.h"

static const char *const released[] = {
#include "../released_schemas.def"
};

#define NEWEST ((int)ARRAY_SIZE(released))

/* What a column that came later says of the rows that were there before. */
static const struct {
	const char *table, *column;
	const char *text; /* NULL: as the number says, or NULL */
	int64_t number;
} added[] = {
	{ "attachment", "pinned", .number = 0 },
	{ "session", "workdir_uid", .number = -1 },
	{ "attachment", "release_id", .text = NULL },
	{ "token", "exchanged", .number = 0 },
};

#define ROWS 4    /* of each table */
#define LONG 5000 /* more than a page */

/*
 * The values of row `row`: texts with everything in them, empty, NULL where a column takes it, and
 * longer than a page; numbers from one end to the other.
 */
static char *text_of(const char *table, const char *column, bool is_key, bool nullable, int row)
{
	if (is_key || row == 0)
		return xasprintf("%s.%s gr\xc3\xbc\xc3\x9f 'quoted' \"%d\"", table, column, row);
	if (row == 1)
		return nullable ? NULL : xstrdup("");
	if (row == 2) {
		char *text = xcalloc(1, LONG + 1);

		memset(text, column[0], LONG);
		return text;
	}
	return xasprintf("{\"%s\":[null,%d]}", column, row);
}

static int64_t number_of(const char *column, int row)
{
	const int64_t numbers[ROWS] = { (int64_t)strlen(column), INT64_MAX, INT64_MIN, -1 };

	return numbers[row];
}

static sqlite3 *open_database(const char *path)
{
	sqlite3 *db;

	assert_int_equal(sqlite3_open(path, &db), SQLITE_OK);
	return db;
}

static void execute(sqlite3 *db, const char *sql)
{
	char *why = NULL;

	if (sqlite3_exec(db, sql, NULL, NULL, &why) != SQLITE_OK)
		fail_msg("%s: %s", why, sql);
}

static int64_t number(sqlite3 *db, const char *sql)
{
	sqlite3_stmt *stmt;
	int64_t n;

	assert_int_equal(sqlite3_prepare_v2(db, sql, -1, &stmt, NULL), SQLITE_OK);
	assert_int_equal(sqlite3_step(stmt), SQLITE_ROW);
	n = sqlite3_column_int64(stmt, 0);
	sqlite3_finalize(stmt);
	return n;
}

static void bind_value(sqlite3_stmt *insert, int at, const char *table, sqlite3_stmt *column,
		       int row)
{
	const char *name = (const char *)sqlite3_column_text(column, 0);
	const bool nullable = sqlite3_column_int(column, 2) == 0;
	const bool is_key = sqlite3_column_int(column, 3) > 0;

	if (strcmp((const char *)sqlite3_column_text(column, 1), "INTEGER") == 0)
		assert_int_equal(sqlite3_bind_int64(insert, at, number_of(name, row)), SQLITE_OK);
	else
		assert_int_equal(sqlite3_bind_text(insert, at,
						   text_of(table, name, is_key, nullable, row), -1,
						   free),
				 SQLITE_OK);
}

/* By the columns that the table has in this database. */
static void insert_row(sqlite3 *db, const char *table, int row)
{
	scoped(freep) char *question =
		xasprintf("SELECT name, type, \"notnull\", pk FROM pragma_table_info('%s')", table);
	scoped(freep) char *count =
		xasprintf("SELECT count(*) FROM pragma_table_info('%s')", table);
	const int n_columns = (int)number(db, count);
	struct strbuf sql = strbuf_init(STRBUF_UNLIMITED);
	sqlite3_stmt *column, *insert;

	strbuf_printf(&sql, "INSERT INTO %s VALUES (?", table);
	for (int i = 1; i < n_columns; i++)
		strbuf_puts(&sql, ", ?");
	strbuf_puts(&sql, ")");

	scoped(freep) char *statement = strbuf_steal(&sql);

	assert_int_equal(sqlite3_prepare_v2(db, statement, -1, &insert, NULL), SQLITE_OK);
	assert_int_equal(sqlite3_prepare_v2(db, question, -1, &column, NULL), SQLITE_OK);
	for (int i = 1; i <= n_columns; i++) {
		assert_int_equal(sqlite3_step(column), SQLITE_ROW);
		bind_value(insert, i, table, column, row);
	}
	assert_int_equal(sqlite3_step(insert), SQLITE_DONE);
	sqlite3_finalize(insert);
	sqlite3_finalize(column);
}

static void fill_tables(sqlite3 *db)
{
	sqlite3_stmt *table;

	assert_int_equal(sqlite3_prepare_v2(db,
					    "SELECT name FROM sqlite_schema WHERE type = 'table'",
					    -1, &table, NULL),
			 SQLITE_OK);
	while (sqlite3_step(table) == SQLITE_ROW)
		for (int row = 0; row < ROWS; row++)
			insert_row(db, (const char *)sqlite3_column_text(table, 0), row);
	sqlite3_finalize(table);
}

/* As a previewd of that schema leaves it when it is killed: the newest rows are in the log alone.
 */
static void make_old_database(const char *path, int version)
{
	scoped(freep) char *marks =
		xasprintf("PRAGMA application_id = 1886549604; PRAGMA user_version = %d", version);
	sqlite3 *db = open_database(path);

	execute(db, "PRAGMA journal_mode = WAL; PRAGMA synchronous = OFF");
	for (int i = 0; i < version && i < NEWEST; i++)
		execute(db, released[i]);
	execute(db, marks);
	execute(db, "PRAGMA wal_checkpoint(TRUNCATE)");
	sqlite3_db_config(db, SQLITE_DBCONFIG_NO_CKPT_ON_CLOSE, 1, NULL);
	fill_tables(db);
	sqlite3_close(db);
	assert_int_equal(chmod(path, 0600), 0);
}

/* ---- what it has to say then ---- */

struct expectation {
	enum record_kind kind;
	sqlite3 *before; /* the database as it was */
	int n_rows;
};

static bool was_there(sqlite3 *before, const char *table, const char *column)
{
	scoped(freep) char *sql = xasprintf(
		"SELECT count(*) FROM pragma_table_info('%s') WHERE name = '%s'", table, column);

	return number(before, sql) == 1;
}

static void assert_text(const char *column, const char *text, const char *expected)
{
	if (!text || !expected) {
		if (text != expected)
			fail_msg("%s is %s", column, text ? text : "NULL");
	} else {
		assert_string_equal(text, expected);
	}
}

static void assert_added(const char *table, const struct record_field *field, const void *at)
{
	for (size_t i = 0; i < ARRAY_SIZE(added); i++) {
		if (strcmp(added[i].table, table) != 0 || strcmp(added[i].column, field->name) != 0)
			continue;
		if (field->type == RECORD_TYPE_INT)
			assert_int_equal(*(const int64_t *)at, added[i].number);
		else
			assert_text(field->name, *(const char *const *)at, added[i].text);
		return;
	}
	fail_msg("say in added[] what older rows have as %s.%s", table, field->name);
}

static void assert_value(const char *table, const struct record_field *field, const void *at,
			 int row)
{
	if (field->type == RECORD_TYPE_INT) {
		assert_int_equal(*(const int64_t *)at, number_of(field->name, row));
	} else {
		scoped(freep) char *expected =
			text_of(table, field->name, field->type == RECORD_TYPE_KEY,
				field->type == RECORD_TYPE_TEXT_NULL, row);

		assert_text(field->name, *(const char *const *)at, expected);
	}
}

/* Rows come by their keys, whose last digit is the number of the row. */
static int check_record(const void *record, void *arg)
{
	struct expectation *e = arg;
	const struct record_info *info = record_info(e->kind);
	const int row = e->n_rows++;

	assert_in_range(row, 0, ROWS - 1);
	for (size_t i = 0; i < info->n_fields; i++) {
		const struct record_field *field = &info->fields[i];
		const void *at = (const char *)record + field->offset;

		if (was_there(e->before, info->name, field->name))
			assert_value(info->name, field, at, row);
		else
			assert_added(info->name, field, at);
	}
	return 0;
}

/* Every row of every table that there was, and none in a table that is new. */
static void assert_everything_is_there(struct fixture *f, sqlite3 *before)
{
	for (size_t kind = 0; kind < RECORD_KIND_COUNT_; kind++) {
		const char *table = record_info(kind)->name;
		const bool had_table = was_there(before, table, "session_id");
		struct expectation e = { .kind = kind, .before = before };

		assert_int_equal(store_load(f->store, kind, check_record, &e, NULL), 0);
		assert_int_equal(e.n_rows, had_table ? ROWS : 0);
	}
}

/* ---- the files ---- */

static char *copy_path(struct fixture *f, int version)
{
	return xasprintf("%s.schema-%d", f->path, version);
}

static bool exists(const char *path)
{
	struct stat st;

	return lstat(path, &st) == 0;
}

static int n_copies(struct fixture *f)
{
	DIR *dir = opendir(f->dir);
	int n = 0;

	assert_non_null(dir);
	for (struct dirent *e; (e = readdir(dir));)
		n += strstr(e->d_name, ".schema-") != NULL;
	closedir(dir);
	return n;
}

static void remove_files(struct fixture *f)
{
	DIR *dir = opendir(f->dir);

	for (struct dirent *e; (e = readdir(dir));)
		if (unlinkat(dirfd(dir), e->d_name, 0) < 0 && e->d_name[0] != '.')
			unlinkat(dirfd(dir), e->d_name, AT_REMOVEDIR);
	closedir(dir);
}

static int setup(void **state)
{
	struct fixture *f = xcalloc(1, sizeof(*f));

	f->loop = loop_new();
	f->dir = temporary_directory();
	f->path = xasprintf("%s/it's.db", f->dir);
	*state = f;
	return 0;
}

static int teardown(void **state)
{
	struct fixture *f = *state;

	atomic_store(&steps_to_full, -1);
	store_free(f->store);
	loop_free(f->loop);
	remove_files(f);
	remove_directory(f->dir);
	free(f->path);
	free(f);
	return 0;
}

/* The schema number of a file, looked at as little as can be. */
static int version_of(const char *path)
{
	sqlite3 *db = open_database(path);
	int version;

	sqlite3_db_config(db, SQLITE_DBCONFIG_NO_CKPT_ON_CLOSE, 1, NULL);
	version = (int)number(db, "PRAGMA user_version");
	sqlite3_close(db);
	return version;
}

static void assert_is_the_copy(struct fixture *f, int version)
{
	scoped(freep) char *path = copy_path(f, version);
	sqlite3 *db = open_database(path);
	struct stat st;

	assert_int_equal(stat(path, &st), 0);
	assert_int_equal(st.st_mode & 07777, 0600);
	assert_int_equal(number(db, "PRAGMA user_version"), version);
	assert_int_equal(number(db, "PRAGMA application_id"), 1886549604);
	assert_int_equal(number(db, "SELECT quick_check = 'ok' FROM pragma_quick_check"), 1);
	assert_int_equal(number(db, "SELECT count(*) FROM session"), ROWS);
	sqlite3_close(db);
}

/* Opens it, finds everything, and leaves it closed. */
static void assert_upgrades(struct fixture *f, int version)
{
	scoped(freep) char *copy = copy_path(f, version);
	sqlite3 *before;

	open_well(f);
	if (version == NEWEST) {
		/* as this program has left it: nothing to compare with but itself */
		assert_false(exists(copy));
		before = open_database(f->path);
	} else {
		assert_is_the_copy(f, version);
		before = open_database(copy);
	}
	assert_everything_is_there(f, before);
	sqlite3_close(before);
	close_store(f);
	assert_int_equal(version_of(f->path), NEWEST);
}

/* ---- the promises ---- */

static char *schema_text(const char *path)
{
	sqlite3 *db = open_database(path);
	struct strbuf text = strbuf_init(STRBUF_UNLIMITED);
	sqlite3_stmt *stmt;

	assert_int_equal(sqlite3_prepare_v2(db, "SELECT sql FROM sqlite_schema ORDER BY name", -1,
					    &stmt, NULL),
			 SQLITE_OK);
	while (sqlite3_step(stmt) == SQLITE_ROW)
		strbuf_printf(&text, "%s\n", sqlite3_column_text(stmt, 0));
	sqlite3_finalize(stmt);
	sqlite3_close(db);
	return strbuf_steal(&text);
}

static void what_was_released_is_what_todays_program_goes_through(void **state)
{
	struct fixture *f = *state;
	scoped(freep) char *by_hand = xasprintf("%s/by-hand", f->dir);

	open_well(f);
	close_store(f);
	assert_int_equal(version_of(f->path), NEWEST);
	make_old_database(by_hand, NEWEST);

	scoped(freep) char *todays = schema_text(f->path);
	scoped(freep) char *released_ = schema_text(by_hand);

	assert_string_equal(todays, released_);
}

static void every_older_schema_comes_up_with_all_its_rows(void **state)
{
	struct fixture *f = *state;

	for (int version = 1; version <= NEWEST; version++) {
		make_old_database(f->path, version);
		assert_upgrades(f, version);
		remove_files(f);
	}
}

static void what_is_upgraded_can_be_written(void **state)
{
	struct fixture *f = *state;

	make_old_database(f->path, 1);
	open_well(f);
	assert_int_equal(put_and_wait(f->loop, f->store, "s1", "new"), 0);
	close_store(f);
	open_well(f);
	assert_non_null(strstr(attachments(f->store), "s1/new "));
}

static void one_copy_is_kept_and_it_opens_in_its_place(void **state)
{
	struct fixture *f = *state;
	scoped(freep) char *first = copy_path(f, 1);
	scoped(freep) char *second = copy_path(f, NEWEST - 1);

	make_old_database(f->path, 1);
	assert_upgrades(f, 1);
	assert_true(exists(first));

	/* years later */
	unlink(f->path);
	make_old_database(f->path, NEWEST - 1);
	assert_upgrades(f, NEWEST - 1);
	assert_false(exists(first));
	assert_true(exists(second));
	assert_int_equal(n_copies(f), 1);

	/* back to it, and on again */
	assert_int_equal(rename(second, f->path), 0);
	assert_int_equal(version_of(f->path), NEWEST - 1);
	assert_upgrades(f, NEWEST - 1);
}

static void a_new_database_and_one_of_today_are_not_copied(void **state)
{
	struct fixture *f = *state;

	open_well(f);
	close_store(f);
	open_well(f);
	close_store(f);
	assert_int_equal(n_copies(f), 0);
}

static void open_and_close(struct fixture *f, int out)
{
	(void)out;
	CHECK(open_at(f, NULL) == 0);
	close_store(f);
}

/* Killed before the step `step`; whether there was one. */
static bool is_killed_at(struct fixture *f, int step)
{
	int out, status;
	pid_t pid;

	atomic_store(&steps_to_live, step);
	pid = start_child(open_and_close, f, &out);
	atomic_store(&steps_to_live, -1);
	close(out);
	status = end_of_child(pid);
	if (WIFEXITED(status)) {
		assert_int_equal(WEXITSTATUS(status), 0);
		return false;
	}
	assert_int_equal(WTERMSIG(status), SIGKILL);
	return true;
}

static void kill_at_every_step(struct fixture *f, int version)
{
	scoped(freep) char *copy = copy_path(f, version);
	int kills = 0, upgraded = 0;

	for (int step = 1;; step++) {
		bool killed;
		int now;

		make_old_database(f->path, version);
		killed = is_killed_at(f, step);
		now = version_of(f->path);
		if (killed)
			assert_true(now == version || now == NEWEST); /* nothing in between */
		else
			assert_int_equal(now, NEWEST);
		if (now == NEWEST) { /* and then there is a way back */
			assert_is_the_copy(f, version);
			upgraded++;
			open_well(f);
			sqlite3 *before = open_database(copy);

			assert_everything_is_there(f, before);
			sqlite3_close(before);
			close_store(f);
		} else {
			assert_upgrades(f, version);
		}
		remove_files(f);
		if (!killed)
			break;
		kills++;
	}
	/* each statement of the way, and some before and after it */
	assert_true(kills > 3 + NEWEST - version);
	assert_true(upgraded > 0 && upgraded < kills);
}

static void killed_at_any_step_it_is_old_or_new_and_whole(void **state)
{
	kill_at_every_step(*state, 1);
	kill_at_every_step(*state, NEWEST - 1);
}

/* From each step of the upgrade on there is no space. */
static void a_disk_that_fills_up_on_the_way_leaves_it_as_it_was(void **state)
{
	struct fixture *f = *state;
	int refused = 0;

	for (int step = 1;; step++) {
		scoped(fault_done) struct fault fault = { 0 };
		int r;

		make_old_database(f->path, 1);
		atomic_store(&steps_to_full, step);
		r = open_at(f, &fault);
		if (r == 0)
			close_store(f);
		atomic_store(&steps_to_full, -1);
		if (r < 0) {
			assert_int_equal(r, -ENOSPC);
			assert_non_null(strstr(fault.detail, f->path));
			assert_non_null(strstr(fault.detail, "space"));
			assert_int_equal(version_of(f->path), 1);
			assert_upgrades(f, 1);
			refused++;
		}
		remove_files(f);
		if (r == 0)
			break;
	}
	assert_true(refused > 10);
}

static void assert_same_file(const char *path, const char *before, size_t len_before)
{
	scoped(freep) char *after = NULL;
	size_t len_after;

	assert_int_equal(read_file_at(AT_FDCWD, path, 1 << 24, &after, &len_after), 0);
	assert_int_equal(len_after, len_before);
	assert_memory_equal(after, before, len_before);
}

/* The database, and what its last program left in its log. */
static void assert_left_alone(struct fixture *f, int error, const char *saying)
{
	scoped(freep) char *log = xasprintf("%s-wal", f->path);
	scoped(freep) char *database_before = NULL;
	scoped(freep) char *log_before = NULL;
	size_t database_len, log_len;

	assert_int_equal(read_file_at(AT_FDCWD, f->path, 1 << 24, &database_before, &database_len),
			 0);
	assert_int_equal(read_file_at(AT_FDCWD, log, 1 << 24, &log_before, &log_len), 0);
	assert_true(log_len > 0);
	assert_refused(f, error, saying);
	assert_same_file(f->path, database_before, database_len);
	assert_same_file(log, log_before, log_len);
}

static void without_a_copy_there_is_no_upgrade(void **state)
{
	struct fixture *f = *state;
	scoped(freep) char *copy = copy_path(f, 2);
	scoped(freep) char *in_the_way = xasprintf("%s/file", copy);

	make_old_database(f->path, 2);
	assert_int_equal(mkdir(copy, 0700), 0);
	assert_int_equal(mkdir(in_the_way, 0700), 0);
	assert_left_alone(f, -EISDIR, "no copy of it could be kept");
	assert_int_equal(version_of(f->path), 2);

	assert_int_equal(rmdir(in_the_way), 0);
	assert_int_equal(rmdir(copy), 0);
	assert_upgrades(f, 2);
}

static void a_newer_database_and_its_log_are_left_alone(void **state)
{
	struct fixture *f = *state;

	make_old_database(f->path, NEWEST + 1);
	assert_left_alone(f, -EPROTO, "newer previewd");
	assert_int_equal(n_copies(f), 0);
}

static void a_damaged_older_database_is_neither_copied_nor_changed(void **state)
{
	struct fixture *f = *state;
	char garbage[4096];
	int fd;

	make_old_database(f->path, 3);
	memset(garbage, 0x5a, sizeof(garbage));
	fd = open(f->path, O_WRONLY | O_CLOEXEC);
	assert_int_equal(pwrite(fd, garbage, sizeof(garbage), sizeof(garbage)), sizeof(garbage));
	close(fd);
	/* what is in the log would hide it */
	scoped(freep) char *log = xasprintf("%s-wal", f->path);

	assert_int_equal(truncate(log, 32), 0);
	assert_left_alone(f, -EBADMSG, "is damaged");
	assert_int_equal(n_copies(f), 0);
}

#define TEST(test) cmocka_unit_test_setup_teardown(test, setup, teardown)

int main(void)
{
	const struct CMUnitTest tests[] = {
		TEST(what_was_released_is_what_todays_program_goes_through),
		TEST(every_older_schema_comes_up_with_all_its_rows),
		TEST(what_is_upgraded_can_be_written),
		TEST(one_copy_is_kept_and_it_opens_in_its_place),
		TEST(a_new_database_and_one_of_today_are_not_copied),
		TEST(killed_at_any_step_it_is_old_or_new_and_whole),
		TEST(a_disk_that_fills_up_on_the_way_leaves_it_as_it_was),
		TEST(without_a_copy_there_is_no_upgrade),
		TEST(a_newer_database_and_its_log_are_left_alone),
		TEST(a_damaged_older_database_is_neither_copied_nor_changed),
	};

	alarm(300);
	mem_init();
	log_setup(LOG_LEVEL_ERROR, LOG_FORMAT_TEXT);
	make_world_hostile();
	return cmocka_run_group_tests(tests, NULL, NULL);
}
