/* SPDX-License-Identifier: MIT */
/*
 * The database file: locked, opened, checked and brought up to date.  What is damaged, foreign or
 * newer than this program is refused before a byte of it is changed.
 */
#include "store/sqlite_priv.h"

#include <errno.h>
#include <fcntl.h>
#include <stdint.h>
#include <string.h>
#include <sys/file.h>
#include <unistd.h>

#include "base/log.h"
#include "base/mem.h"

LOG_AREA("store");

#define APPLICATION_ID 0x70727664 /* "prvd" */

/* For a foreign program that reads the file (a backup, a curious operator). */
#define BUSY_TIMEOUT_MSEC 2000

/*
 * The way from one schema version to the next: row n makes n + 1 of n.  A row that was released is
 * never changed, so that every database has gone the same way; a change of records.def is a new
 * row.
 */
static const char *const migrations[] = {
	/* clang-format off */
	"CREATE TABLE session ("
	" session_id TEXT NOT NULL,"
	" app_id TEXT NOT NULL,"
	" user_id TEXT NOT NULL,"
	" workdir TEXT,"
	" meta TEXT,"
	" created_at INTEGER NOT NULL,"
	" ended_at INTEGER NOT NULL,"
	" PRIMARY KEY (session_id)"
	") STRICT, WITHOUT ROWID;"
	"CREATE TABLE sequence ("
	" session_id TEXT NOT NULL,"
	" reserved INTEGER NOT NULL,"
	" PRIMARY KEY (session_id)"
	") STRICT, WITHOUT ROWID;"
	"CREATE TABLE attachment ("
	" session_id TEXT NOT NULL,"
	" name TEXT NOT NULL,"
	" type TEXT NOT NULL,"
	" scheme TEXT NOT NULL,"
	" host TEXT NOT NULL,"
	" port INTEGER NOT NULL,"
	" path TEXT NOT NULL,"
	" address TEXT NOT NULL,"
	" bash_task_id TEXT,"
	" label TEXT NOT NULL,"
	" url TEXT NOT NULL,"
	" focus INTEGER NOT NULL,"
	" attached_at INTEGER NOT NULL,"
	" probe TEXT,"
	" PRIMARY KEY (session_id, name)"
	") STRICT, WITHOUT ROWID;"
	"CREATE TABLE token ("
	" token_id TEXT NOT NULL,"
	" session_id TEXT NOT NULL,"
	" secret_hash TEXT NOT NULL,"
	" scopes TEXT NOT NULL,"
	" note TEXT NOT NULL,"
	" created_at INTEGER NOT NULL,"
	" expires_at INTEGER NOT NULL,"
	" PRIMARY KEY (token_id)"
	") STRICT, WITHOUT ROWID;",

	/* tasks */
	"CREATE TABLE task ("
	" session_id TEXT NOT NULL,"
	" task_id TEXT NOT NULL,"
	" app_id TEXT NOT NULL,"
	" mark TEXT NOT NULL,"
	" kind TEXT NOT NULL,"
	" state TEXT NOT NULL,"
	" pid INTEGER NOT NULL,"
	" start_time INTEGER NOT NULL,"
	" reaper_pid INTEGER NOT NULL,"
	" reaper_start_time INTEGER NOT NULL,"
	" command TEXT,"
	" cwd TEXT,"
	" cgroup TEXT,"
	" port INTEGER NOT NULL,"
	" exit_code INTEGER NOT NULL,"
	" signal INTEGER NOT NULL,"
	" created_at INTEGER NOT NULL,"
	" ended_at INTEGER NOT NULL,"
	" PRIMARY KEY (session_id, task_id)"
	") STRICT, WITHOUT ROWID;",

	/* pinned attachments */
	"ALTER TABLE attachment ADD COLUMN pinned INTEGER NOT NULL DEFAULT 0;",

	/* the canvas */
	"CREATE TABLE canvas ("
	" session_id TEXT NOT NULL,"
	" channel TEXT NOT NULL,"
	" id TEXT NOT NULL,"
	" value TEXT NOT NULL,"
	" position INTEGER NOT NULL,"
	" PRIMARY KEY (session_id, channel, id)"
	") STRICT, WITHOUT ROWID;",

	/* processes that hold sessions */
	"CREATE TABLE hold ("
	" session_id TEXT NOT NULL,"
	" pid TEXT NOT NULL,"
	" start_time INTEGER NOT NULL,"
	" held_since INTEGER NOT NULL,"
	" PRIMARY KEY (session_id, pid)"
	") STRICT, WITHOUT ROWID;",

	/* publish */
	"ALTER TABLE session ADD COLUMN workdir_uid INTEGER NOT NULL DEFAULT -1;"
	"ALTER TABLE attachment ADD COLUMN release_id TEXT;"
	"CREATE TABLE build ("
	" session_id TEXT NOT NULL,"
	" build_id TEXT NOT NULL,"
	" app_id TEXT NOT NULL,"
	" state TEXT NOT NULL,"
	" document TEXT NOT NULL,"
	" created_at INTEGER NOT NULL,"
	" PRIMARY KEY (session_id, build_id)"
	") STRICT, WITHOUT ROWID;"
	"CREATE TABLE published ("
	" session_id TEXT NOT NULL,"
	" name TEXT NOT NULL,"
	" app_id TEXT NOT NULL,"
	" user_id TEXT NOT NULL,"
	" token TEXT NOT NULL,"
	" label TEXT NOT NULL,"
	" created_at INTEGER NOT NULL,"
	" ended_at INTEGER NOT NULL,"
	" PRIMARY KEY (session_id, name)"
	") STRICT, WITHOUT ROWID;",

	/* tokens of browsers, for one-time codes */
	"ALTER TABLE token ADD COLUMN exchanged INTEGER NOT NULL DEFAULT 0;",
	/* clang-format on */
};

#define SCHEMA_VERSION ((int64_t)ARRAY_SIZE(migrations))

/* Says why to the operator; the value is the errno that tells the program. */
#define refuse(reterr, error, ...)                                         \
	({                                                                 \
		fault_set((reterr), FAULT_STORE_UNAVAILABLE, __VA_ARGS__); \
		(error);                                                   \
	})

/* What SQLite calls an I/O error or a file it can't open may have a plainer cause. */
static int errno_of_system(int system_errno)
{
	switch (system_errno) {
	case ENOSPC:
	case EDQUOT:
		return -ENOSPC;
	case EACCES:
	case EPERM:
	case EROFS:
		return -EROFS;
	default:
		return -EIO;
	}
}

/* sqlite3_system_errno() is what errno was when SQLite was through with the failure, which after an
 * I/O error is that of the cleaning up. */
static int last_errno_of_log(sqlite3 *db)
{
	sqlite3_file *log = NULL;
	int last_errno = 0;

	if (sqlite3_file_control(db, "main", SQLITE_FCNTL_JOURNAL_POINTER, &log) == SQLITE_OK &&
	    log && log->pMethods)
		log->pMethods->xFileControl(log, SQLITE_FCNTL_LAST_ERRNO, &last_errno);
	return last_errno;
}

int sqlite_errno(sqlite3 *db, int rc)
{
	switch (rc & 0xff) {
	case SQLITE_OK:
	case SQLITE_ROW:
	case SQLITE_DONE:
		return 0;
	case SQLITE_FULL:
		return -ENOSPC;
	case SQLITE_IOERR:
		/* of the index of the log, at whose failure nothing is cleaned up */
		if (rc == SQLITE_IOERR_SHMSIZE || rc == SQLITE_IOERR_SHMOPEN)
			return errno_of_system(sqlite3_system_errno(db));
		return errno_of_system(last_errno_of_log(db));
	case SQLITE_CANTOPEN:
		return errno_of_system(sqlite3_system_errno(db));
	case SQLITE_READONLY:
	case SQLITE_PERM:
		return -EROFS;
	case SQLITE_CORRUPT:
	case SQLITE_NOTADB:
		return -EBADMSG;
	case SQLITE_BUSY:
	case SQLITE_LOCKED:
		return -EBUSY;
	case SQLITE_TOOBIG:
		return -EMSGSIZE;
	case SQLITE_NOMEM:
		return -ENOMEM;
	default:
		return -EIO;
	}
}

/*
 * Two daemons on one file would each believe its own memory, so the file carries a lock (flock,
 * which SQLite's own fcntl locks don't see, so that reading it with sqlite3 stays possible).  The
 * descriptor must outlive the connections: closing any descriptor of a file drops the fcntl locks
 * the process has on it.
 */
static int lock_file(const char *path, int *ret_fd, struct fault *reterr)
{
	scoped(closep) int fd = open(path, O_RDWR | O_CREAT | O_CLOEXEC | O_NOCTTY, 0600);

	if (fd < 0)
		return refuse(
			reterr, -errno,
			"cannot open the database '%s' for writing: %s; make it and its directory "
			"writable for this user, or name another with --state-dir",
			path, strerror(errno));
	if (flock(fd, LOCK_EX | LOCK_NB) < 0)
		return refuse(
			reterr, -EBUSY,
			"the database '%s' is in use by another previewd: end that one, or give "
			"this one its own --state-dir",
			path);
	*ret_fd = STEAL_FD(fd);
	return 0;
}

static int refuse_sqlite(struct fault *reterr, sqlite3 *db, int rc, const char *path)
{
	const int error = sqlite_errno(db, rc);
	const char *why = sqlite3_errmsg(db);

	switch (error) {
	case -EBADMSG:
		if ((rc & 0xff) == SQLITE_NOTADB)
			return refuse(
				reterr, error,
				"'%s' is not a previewd database: it was left as it is; move it "
				"away and start again",
				path);
		return refuse(reterr, error,
			      "the database '%s' is damaged (%s): it was left as it is; put back a "
			      "backup, or move it away to start with nothing attached",
			      path, why);
	case -EROFS:
		return refuse(
			reterr, error,
			"the database '%s' cannot be written: make it and its directory writable "
			"for this user",
			path);
	case -ENOSPC:
		return refuse(reterr, error,
			      "no space for the database '%s': free some on its file system", path);
	case -EBUSY:
		return refuse(
			reterr, error,
			"the database '%s' is locked by another program: end what has it open",
			path);
	default:
		return refuse(
			reterr, error,
			"cannot use the database '%s': %s; see that its directory is writable "
			"and its disk sound",
			path, why);
	}
}

/* The first column of the first row. */
static int query_int(sqlite3 *db, const char *sql, int64_t *ret)
{
	sqlite3_stmt *stmt = NULL;
	int rc = sqlite3_prepare_v2(db, sql, -1, &stmt, NULL);

	if (rc == SQLITE_OK)
		rc = sqlite3_step(stmt);
	if (rc == SQLITE_ROW)
		*ret = sqlite3_column_int64(stmt, 0);
	sqlite3_finalize(stmt);
	return rc == SQLITE_ROW ? SQLITE_OK : rc;
}

static int query_text(sqlite3 *db, const char *sql, char **ret)
{
	sqlite3_stmt *stmt = NULL;
	int rc = sqlite3_prepare_v2(db, sql, -1, &stmt, NULL);

	if (rc == SQLITE_OK)
		rc = sqlite3_step(stmt);
	if (rc == SQLITE_ROW)
		*ret = xstrdup((const char *)sqlite3_column_text(stmt, 0));
	sqlite3_finalize(stmt);
	return rc == SQLITE_ROW ? SQLITE_OK : rc;
}

static int check_whole(sqlite3 *db, const char *path, struct fault *reterr)
{
	scoped(freep) char *verdict = NULL;
	const int rc = query_text(db, "PRAGMA quick_check(1)", &verdict);

	if (rc != SQLITE_OK)
		return refuse_sqlite(reterr, db, rc, path);
	if (strcmp(verdict, "ok") != 0)
		return refuse(reterr, -EBADMSG,
			      "the database '%s' is damaged (%s): it was left as it is; put back a "
			      "backup, or move it away to start with nothing attached",
			      path, verdict);
	return 0;
}

/* Ours and not from the future; `ret_version` is 0 for a file with nothing in it. */
static int check_schema(sqlite3 *db, const char *path, int64_t *ret_version, struct fault *reterr)
{
	int64_t n_objects, application_id, version;
	int rc;

	rc = query_int(db, "SELECT count(*) FROM sqlite_schema", &n_objects);
	if (rc == SQLITE_OK)
		rc = query_int(db, "PRAGMA application_id", &application_id);
	if (rc == SQLITE_OK)
		rc = query_int(db, "PRAGMA user_version", &version);
	if (rc != SQLITE_OK)
		return refuse_sqlite(reterr, db, rc, path);

	const bool is_new = n_objects == 0 && application_id == 0 && version == 0;

	if (!is_new && (application_id != APPLICATION_ID || version < 1))
		return refuse(reterr, -EBADMSG,
			      "'%s' is the database of another program: it was left as it is; name "
			      "another --state-dir",
			      path);
	if (version > SCHEMA_VERSION)
		return refuse(
			reterr, -EPROTO,
			"the database '%s' was written by a newer previewd (schema %lld, this one "
			"knows %lld): install that version again, or put back an older backup",
			path, (long long)version, (long long)SCHEMA_VERSION);
	*ret_version = version;
	return 0;
}

static int migrate(sqlite3 *db, int64_t version)
{
	int rc = sqlite3_exec(db, "BEGIN IMMEDIATE", NULL, NULL, NULL);

	for (; rc == SQLITE_OK && version < SCHEMA_VERSION; version++)
		rc = sqlite3_exec(db, migrations[version], NULL, NULL, NULL);

	scoped(freep) char *marks =
		xasprintf("PRAGMA application_id = %d; PRAGMA user_version = %lld; COMMIT",
			  APPLICATION_ID, (long long)SCHEMA_VERSION);

	if (rc == SQLITE_OK)
		rc = sqlite3_exec(db, marks, NULL, NULL, NULL);
	return rc; /* after a failure the file is closed, which rolls back */
}

static int back_up(sqlite3 *db, const char *path, int64_t version, struct fault *reterr)
{
	scoped(freep) char *copy = sqlite_backup_path(path, version);
	const int r = sqlite_backup(db, path, version);

	if (r < 0)
		return refuse(
			reterr, r,
			"the database '%s' is of an older previewd (schema %lld) and was left "
			"as it is, for no copy of it could be kept as '%s': %s; see that there "
			"is space for one, and that the directory is writable",
			path, (long long)version, copy, strerror(-r));
	log_info(
		"the database '%s' is brought from schema %lld to %lld; '%s' is a copy of it as it "
		"was",
		path, (long long)version, (long long)SCHEMA_VERSION, copy);
	return 0;
}

/* From `version` to today's: the whole way or not at all. */
static int upgrade(sqlite3 *db, const char *path, int64_t version, struct fault *reterr)
{
	const bool is_new = version == 0;
	int r = 0, rc;

	if (version == SCHEMA_VERSION)
		return 0;
	if (!is_new)
		r = back_up(db, path, version, reterr);
	if (r < 0)
		return r;

	rc = migrate(db, version);
	if (rc != SQLITE_OK)
		return refuse_sqlite(reterr, db, rc, path);
	sqlite_backup_remove_older(path, version);
	return 0;
}

static int enter_wal_mode(sqlite3 *db, const char *path, struct fault *reterr)
{
	scoped(freep) char *mode = NULL;
	const int rc = query_text(db, "PRAGMA journal_mode = WAL", &mode);

	if (rc != SQLITE_OK)
		return refuse_sqlite(reterr, db, rc, path);
	if (strcmp(mode, "wal") != 0)
		return refuse(
			reterr, -ENOTSUP,
			"the file system of the database '%s' cannot keep a write-ahead log (it "
			"stayed in mode '%s'): put --state-dir on a local disk",
			path, mode);
	return 0;
}

static int check_and_prepare(sqlite3 *db, const char *path, bool synchronous_full,
			     struct fault *reterr)
{
	int64_t version = 0;
	int r, rc;

	/* Else closing what is refused would move the log of the last run into it. */
	sqlite3_db_config(db, SQLITE_DBCONFIG_NO_CKPT_ON_CLOSE, 1, NULL);
	sqlite3_extended_result_codes(db, 1);
	sqlite3_busy_timeout(db, BUSY_TIMEOUT_MSEC);

	r = check_schema(db, path, &version, reterr);
	if (r < 0)
		return r;
	r = check_whole(db, path, reterr);
	if (r < 0)
		return r;
	if (sqlite3_db_readonly(db, "main"))
		return refuse_sqlite(reterr, db, SQLITE_READONLY, path);

	r = enter_wal_mode(db, path, reterr);
	if (r < 0)
		return r;
	rc = sqlite3_exec(
		db, synchronous_full ? "PRAGMA synchronous = FULL" : "PRAGMA synchronous = NORMAL",
		NULL, NULL, NULL);
	if (rc != SQLITE_OK)
		return refuse_sqlite(reterr, db, rc, path);
	r = upgrade(db, path, version, reterr);
	if (r < 0)
		return r;

	sqlite3_db_config(db, SQLITE_DBCONFIG_NO_CKPT_ON_CLOSE, 0, NULL);
	return 0;
}

int sqlite_file_open(const char *path, bool synchronous_full, struct sqlite_file *ret,
		     struct fault *reterr)
{
	struct sqlite_file f = { .lock_fd = -1 };
	int r, rc;

	r = lock_file(path, &f.lock_fd, reterr);
	if (r < 0)
		return r;

	rc = sqlite3_open_v2(path, &f.db, SQLITE_OPEN_READWRITE | SQLITE_OPEN_NOMUTEX, NULL);
	r = rc == SQLITE_OK ? check_and_prepare(f.db, path, synchronous_full, reterr)
			    : refuse_sqlite(reterr, f.db, rc, path);
	if (r < 0) {
		sqlite_file_close(&f);
		return r;
	}
	*ret = f;
	return 0;
}

void sqlite_file_close(struct sqlite_file *f)
{
	sqlite3_close(f->db);
	f->db = NULL;
	closep(&f->lock_fd);
	f->lock_fd = -1;
}

int sqlite_file_touch(struct sqlite_file *f)
{
	scoped(freep) char *sql =
		xasprintf("PRAGMA user_version = %lld", (long long)SCHEMA_VERSION);

	return sqlite3_exec(f->db, sql, NULL, NULL, NULL);
}
