/* SPDX-License-Identifier: MIT */
/*
 * The state directory: whose it is, and that no other daemon has it.
 */
#include "daemon/state.h"

#include <errno.h>
#include <fcntl.h>
#include <string.h>
#include <sys/file.h>
#include <sys/stat.h>
#include <unistd.h>

#include "base/files.h"
#include "base/log.h"

LOG_AREA("daemon");

/*
 * Root may give a directory to whom it likes, so one that is root's is good enough: a container's
 * volume often is, with a group that may write.
 */
static int check_owner(const char *path, const struct stat *st, struct fault *reterr)
{
	if (st->st_uid == geteuid() || st->st_uid == 0)
		return 0;
	return fault_set(
		reterr, FAULT_STORE_UNAVAILABLE,
		"the state directory %s belongs to uid %u, and previewd runs as uid %u: run "
		"it as that user, or name another with --state-dir",
		path, (unsigned)st->st_uid, (unsigned)geteuid());
}

static int check_mode(const char *path, const struct stat *st, struct fault *reterr)
{
	const unsigned mode = st->st_mode & 07777;

	if (mode & S_IWOTH)
		return fault_set(
			reterr, FAULT_STORE_UNAVAILABLE,
			"everybody may write to the state directory %s (mode %04o), and so "
			"give previewd another admin token: chmod 0700 it, or name a "
			"directory below it with --state-dir, which is then made",
			path, mode);
	if (mode & S_IWGRP)
		log_warning(
			"the state directory %s may be written by its group (mode %04o): who is "
			"in it can become previewd's admin",
			path, mode);
	return 0;
}

static int check(const char *path, int dirfd, struct fault *reterr)
{
	struct stat st;
	int r;

	if (fstat(dirfd, &st) < 0)
		return fault_set(reterr, FAULT_STORE_UNAVAILABLE, "the state directory %s: %s",
				 path, strerror(errno));
	r = check_owner(path, &st, reterr);
	return r < 0 ? r : check_mode(path, &st, reterr);
}

static int refuse(const char *path, int error, struct fault *reterr)
{
	return fault_set(reterr, FAULT_STORE_UNAVAILABLE,
			 "the state directory %s cannot be used: %s", path, strerror(-error));
}

int state_directory_open(const char *path, int *ret_dirfd, int *ret_lockfd, struct fault *reterr)
{
	scoped(closep) int dirfd = -1;
	scoped(closep) int lockfd = -1;
	int r = mkdir_parents(path, 0700);

	if (r >= 0)
		r = dirfd = open_directory(path);
	if (r < 0)
		return refuse(path, r, reterr);
	r = check(path, dirfd, reterr);
	if (r < 0)
		return r;

	lockfd = openat(dirfd, "lock", O_RDWR | O_CREAT | O_CLOEXEC, 0600);
	if (lockfd < 0)
		return refuse(path, -errno, reterr);
	if (flock(lockfd, LOCK_EX | LOCK_NB) < 0)
		return fault_set(reterr, FAULT_STORE_UNAVAILABLE,
				 "another previewd uses the state directory %s", path);
	r = remove_temporaries_at(dirfd);
	if (r < 0)
		log_warning_errno(r, "what an earlier end left in the state directory stays");
	*ret_dirfd = STEAL_FD(dirfd);
	*ret_lockfd = STEAL_FD(lockfd);
	return 0;
}
