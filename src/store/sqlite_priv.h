/* SPDX-License-Identifier: MIT */
#pragma once

#include <sqlite3.h>
#include <stdbool.h>
#include <stdint.h>

#include "base/fault.h"

/*
 * A database file that has passed its checks: ours, whole, of the newest schema, in WAL mode, and
 * nobody else's while we have it.
 */
struct sqlite_file {
	sqlite3 *db;
	int lock_fd;
};

int sqlite_file_open(const char *path, bool synchronous_full, struct sqlite_file *ret,
		     struct fault *reterr) must_use;
void sqlite_file_close(struct sqlite_file *f);

/*
 * Inside a transaction: writes a page as it is already.  It goes to the log and to the disk all the
 * same, which is how one learns whether it can.  An rc of SQLite.
 */
int sqlite_file_touch(struct sqlite_file *f);

/*
 * Before the tables are changed: a copy as they are, PATH.schema-VERSION, for its user alone.  One
 * of the same version is replaced.
 */
char *sqlite_backup_path(const char *path, int64_t version); /* the caller's */
int sqlite_backup(sqlite3 *db, const char *path, int64_t version) must_use;
void sqlite_backup_remove_older(const char *path, int64_t version);

/* The negative errno of what the connection said last; 0 for SQLITE_OK, _ROW and _DONE. */
int sqlite_errno(sqlite3 *db, int rc);
