/* SPDX-License-Identifier: MIT */
/*
 * Whose files may be built.
 *
 * The daemon reads a project with its own rights, and what it builds is shown to others, so it must
 * not read what the one who asks may not.  An admin has the daemon's rights.  A peer of another uid
 * may name directories that are that uid's.  A token has no rights to files: it may have built what
 * lies beneath the session's directory, which somebody with rights has named.
 */
#include <errno.h>
#include <fcntl.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

#include "base/beneath.h"
#include "base/files.h"
#include "base/mem.h"
#include "publish/publisher_priv.h"

#define OPEN_DIRECTORY (O_RDONLY | O_DIRECTORY | O_CLOEXEC)

static int cannot_open(const char *path, int error, struct fault *reterr)
{
	return fault_set_errno(reterr, FAULT_NOT_A_PROJECT, error,
			       "the directory %s cannot be read", path);
}

/*
 * One sentence for what there isn't and for another's: who may not look into a directory isn't to
 * learn from us what is in it.
 */
static int open_owned(const char *path, uid_t owner, int *ret_fd, struct fault *reterr)
{
	scoped(closep) int fd = open(path, OPEN_DIRECTORY);
	struct stat st;

	if (fd < 0 || fstat(fd, &st) < 0 || st.st_uid != owner)
		return fault_set(reterr, FAULT_FORBIDDEN,
				 "%s is no directory of yours: only its owner may have one built",
				 path);
	*ret_fd = STEAL_FD(fd);
	return 0;
}

static int open_by_rights(const char *path, int64_t rights, int *ret_fd, struct fault *reterr)
{
	int fd;

	if (path[0] != '/')
		return fault_field(reterr, "workdir",
				   "must be an absolute path, or one relative "
				   "to the session's directory");
	if (rights != (int64_t)geteuid())
		return open_owned(path, (uid_t)rights, ret_fd, reterr);
	fd = open(path, OPEN_DIRECTORY);
	if (fd < 0)
		return cannot_open(path, errno, reterr);
	*ret_fd = fd;
	return 0;
}

static int open_session(const struct workdir_request *request, int *ret_fd, struct fault *reterr)
{
	if (!request->session_path)
		return fault_set(reterr, FAULT_NOT_A_PROJECT,
				 "the session has no directory: give workdir, or set the "
				 "session's");
	if (request->session_rights == RIGHTS_NONE)
		return fault_set(reterr, FAULT_FORBIDDEN,
				 "the session's directory was set with a token, which has no "
				 "rights to files: have it set by an admin or over the unix "
				 "socket");
	return open_by_rights(request->session_path, request->session_rights, ret_fd, reterr);
}

/* The part of `path` beneath `top`, or NULL. */
static const char *beneath(const char *path, const char *top)
{
	size_t len = strlen(top);

	if (path[0] != '/')
		return path;
	while (len > 1 && top[len - 1] == '/')
		len--;
	if (strncmp(path, top, len) != 0 || (path[len] != '/' && path[len] != '\0'))
		return NULL;
	path += len;
	while (*path == '/')
		path++;
	return *path ? path : ".";
}

static int open_beneath(int top, const char *path, int *ret_fd, struct fault *reterr)
{
	const int fd = beneath_open(top, path, OPEN_DIRECTORY);

	if (fd == -EXDEV || fd == -ELOOP)
		return fault_set(reterr, FAULT_FORBIDDEN, "%s leads out of the session's directory",
				 path);
	if (fd < 0)
		return cannot_open(path, -fd, reterr);
	*ret_fd = fd;
	return 0;
}

int workdir_above(const struct workdir_request *request, const char *path, int *ret_fd)
{
	scoped(fault_done) struct fault fault = { 0 };
	scoped(freep) char *top_path = NULL;
	scoped(closep) int top = -1;
	const char *below;
	int r;

	if (request->path && request->path[0] == '/' && request->rights != RIGHTS_NONE)
		return open_by_rights(path, request->rights, ret_fd, &fault);
	r = open_session(request, &top, &fault);
	if (r < 0)
		return r;
	top_path = path_of_fd(top);
	below = top_path ? beneath(path, top_path) : NULL;
	return below ? open_beneath(top, below, ret_fd, &fault) : -EACCES;
}

int workdir_open(const struct workdir_request *request, int *ret_fd, struct fault *reterr)
{
	scoped(closep) int top = -1;
	const char *below;
	int r;

	if (request->path && request->path[0] == '/' && request->rights != RIGHTS_NONE)
		return open_by_rights(request->path, request->rights, ret_fd, reterr);
	r = open_session(request, &top, reterr);
	if (r < 0)
		return r;
	if (!request->path) {
		*ret_fd = STEAL_FD(top);
		return 0;
	}
	below = beneath(request->path, request->session_path);
	if (!below)
		return fault_set(reterr, FAULT_FORBIDDEN,
				 "a token may build only what is beneath the session's directory");
	return open_beneath(top, below, ret_fd, reterr);
}
