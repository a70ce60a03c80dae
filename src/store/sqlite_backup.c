/* SPDX-License-Identifier: MIT */
/*
 * A copy of the database as it was before a newer previewd changed its tables, for whoever wants to
 * go back.  It is there whole, also after a power cut, or isn't there; and there is one at most, of
 * the last upgrade.
 */
#include "store/sqlite_priv.h"

#include <errno.h>
#include <fcntl.h>
#include <stdio.h>
#include <unistd.h>

#include "base/files.h"
#include "base/mem.h"

char *sqlite_backup_path(const char *path, int64_t version)
{
	return xasprintf("%s.schema-%lld", path, (long long)version);
}

/* SQLite fills an empty file that is there, and so leaves its mode alone. */
static int make_private_file(const char *path)
{
	int fd;

	if (unlink(path) < 0 && errno != ENOENT)
		return -errno;
	fd = open(path, O_RDWR | O_CREAT | O_EXCL | O_CLOEXEC, 0600);
	return fd < 0 ? -errno : fd;
}

/* As of one instant, what waits in the log included. */
static int copy_into(sqlite3 *db, const char *path)
{
	char *sql = sqlite3_mprintf("VACUUM INTO %Q", path);
	int rc = sql ? sqlite3_exec(db, sql, NULL, NULL, NULL) : SQLITE_NOMEM;

	sqlite3_free(sql);
	return sqlite_errno(db, rc);
}

int sqlite_backup(sqlite3 *db, const char *path, int64_t version)
{
	scoped(freep) char *copy = sqlite_backup_path(path, version);
	scoped(freep) char *temporary = xasprintf("%s.tmp", copy);
	scoped(closep) int fd = make_private_file(temporary);
	int r;

	if (fd < 0)
		return fd;

	r = copy_into(db, temporary);
	/* VACUUM leaves it to us to have it on the disk. */
	if (r >= 0 && (fsync(fd) < 0 || rename(temporary, copy) < 0))
		r = -errno;
	if (r < 0) {
		unlink(temporary);
		return r;
	}
	return sync_parent_at(AT_FDCWD, copy);
}

void sqlite_backup_remove_older(const char *path, int64_t version)
{
	for (int64_t older = 1; older < version; older++) {
		scoped(freep) char *copy = sqlite_backup_path(path, older);

		unlink(copy);
	}
}
