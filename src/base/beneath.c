/* SPDX-License-Identifier: MIT */
/*
 * The kernel resolves, so that what is changed meanwhile cannot lead elsewhere: openat2(2).  Where
 * it is not to be had, we do as it does.
 */
#include "base/beneath.h"

#include <errno.h>
#include <fcntl.h>
#include <limits.h>
#include <linux/openat2.h>
#include <stdbool.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <sys/syscall.h>
#include <unistd.h>

#include "base/files.h"
#include "base/mem.h"

/* The kernel gives up with EAGAIN where a directory on the way is being moved. */
#define ATTEMPTS 32

static _Thread_local int failure; /* 0: none */

static int noted(int result)
{
	if (result < 0 && errno_is_of_machine(result))
		failure = result;
	return result;
}

/* As the kernel has it. */
#define LINKS_MAX 40

#define DEPTH_MAX 256

/*
 * Part by part, for kernels before 5.6, containers that don't know the call, and units with
 * RestrictSUIDSGID=, which take it away.  Each directory on the way stays open, so that ".." is
 * where one has come from and not where that was moved to.
 */
struct walk {
	int root;
	int dirs[DEPTH_MAX];
	unsigned depth;
	char *rest; /* of the path, with what links put before it */
	unsigned links;
	bool is_plain;
};

static void walk_done(struct walk *w)
{
	while (w->depth > 0)
		close(w->dirs[--w->depth]);
	free(w->rest);
}

static int walk_at(const struct walk *w)
{
	return w->depth > 0 ? w->dirs[w->depth - 1] : w->root;
}

static int walk_up(struct walk *w)
{
	if (w->depth == 0)
		return -EXDEV;
	close(w->dirs[--w->depth]);
	return 0;
}

static int walk_down(struct walk *w, int *fd)
{
	if (w->depth == DEPTH_MAX)
		return -ENAMETOOLONG;
	w->dirs[w->depth++] = STEAL_FD(*fd);
	return 0;
}

/* What the link says stands before what comes after it. */
static int walk_link(struct walk *w, int link, const char *after)
{
	char target[PATH_MAX];
	ssize_t n;
	char *rest;

	if (w->is_plain || ++w->links > LINKS_MAX)
		return -ELOOP;
	n = readlinkat(link, "", target, sizeof(target));
	if (n < 0)
		return -errno;
	if (target[0] == '/')
		return -EXDEV;
	if ((size_t)n + strlen(after) >= PATH_MAX)
		return -ENAMETOOLONG;
	rest = xasprintf("%.*s%s", (int)n, target, after);
	free(w->rest);
	w->rest = rest;
	return 0;
}

/* The last part: not a link a moment ago, and nothing is opened if it is one now. */
static int open_last(const struct walk *w, const char *part, int *fd, int flags)
{
	struct stat st;

	if (flags & O_PATH) {
		if (fstat(*fd, &st) < 0)
			return -errno;
		return (flags & O_DIRECTORY) && !S_ISDIR(st.st_mode) ? -ENOTDIR : STEAL_FD(*fd);
	}
	closep(fd);
	*fd = openat(walk_at(w), part, flags | O_NOFOLLOW);
	return *fd < 0 ? -errno : STEAL_FD(*fd);
}

static bool is_only_slashes(const char *text)
{
	return text[strspn(text, "/")] == '\0';
}

/* Takes one part of the rest: a descriptor at the end of the way, -EINPROGRESS on it. */
static int walk_step(struct walk *w, int flags)
{
	const char *start = w->rest + strspn(w->rest, "/");
	const char *after = start + strcspn(start, "/");
	scoped(freep) char *part = xstrndup(start, (size_t)(after - start));
	scoped(freep) char *rest = xstrdup(after);
	scoped(closep) int fd = -1;
	struct stat st;
	int r;

	if (!*part || strcmp(part, ".") == 0 || strcmp(part, "..") == 0) {
		r = strcmp(part, "..") == 0 ? walk_up(w) : 0;
		if (r >= 0 && is_only_slashes(rest)) {
			fd = openat(walk_at(w), ".", flags | O_DIRECTORY);
			return fd < 0 ? -errno : STEAL_FD(fd);
		}
		goto next;
	}
	fd = openat(walk_at(w), part, O_PATH | O_NOFOLLOW | O_CLOEXEC);
	if (fd < 0 || fstat(fd, &st) < 0)
		return -errno;
	if (S_ISLNK(st.st_mode)) {
		r = walk_link(w, fd, rest);
		return r < 0 ? r : -EINPROGRESS;
	}
	if (is_only_slashes(rest))
		return open_last(w, part, &fd, *rest ? flags | O_DIRECTORY : flags);
	r = S_ISDIR(st.st_mode) ? walk_down(w, &fd) : -ENOTDIR;
next:
	free(w->rest);
	w->rest = STEAL(rest);
	return r < 0 ? r : -EINPROGRESS;
}

static int open_by_parts(int dirfd, const char *path, int flags, bool is_plain)
{
	struct walk w = { .root = dirfd, .rest = xstrdup(path), .is_plain = is_plain };
	int r = -EINPROGRESS;

	if (!*path)
		r = -ENOENT;
	else if (*path == '/')
		r = -EXDEV;
	else if (strlen(path) >= PATH_MAX)
		r = -ENAMETOOLONG;
	while (r == -EINPROGRESS)
		r = walk_step(&w, flags);
	walk_done(&w);
	return r;
}

static int open_resolved(int dirfd, const char *path, int flags, bool is_plain)
{
	struct open_how how = {
		.resolve = RESOLVE_BENEATH | RESOLVE_NO_MAGICLINKS,
	};
	long fd = -1;

	flags |= O_CLOEXEC;
	if (!(flags & O_PATH))
		flags |= O_NONBLOCK | O_NOCTTY;
	how.flags = (unsigned long long)flags;
	if (is_plain)
		how.resolve |= RESOLVE_NO_SYMLINKS;
	for (unsigned i = 0; i < ATTEMPTS; i++) {
		fd = syscall(SYS_openat2, dirfd, path, &how, sizeof(how));
		if (fd >= 0 || (errno != EAGAIN && errno != EINTR))
			break;
	}
	if (fd < 0 && (errno == ENOSYS || errno == EPERM))
		return noted(open_by_parts(dirfd, path, flags, is_plain));
	return noted(fd < 0 ? -errno : (int)fd);
}

void beneath_forget_failure(void)
{
	failure = 0;
}

int beneath_tell_failure(int result, const char *what, struct fault *reterr)
{
	if (failure == 0 || result == -ECANCELED)
		return result;
	return fault_set_errno(reterr, FAULT_INTERNAL, failure, "%s", what);
}

int beneath_open(int dirfd, const char *path, int flags)
{
	return open_resolved(dirfd, path, flags, false);
}

int beneath_open_plain(int dirfd, const char *path, int flags)
{
	return open_resolved(dirfd, path, flags, true);
}

int beneath_read(int dirfd, const char *path, size_t max, char **ret, size_t *ret_len)
{
	scoped(closep) int fd = beneath_open(dirfd, path, O_RDONLY);
	struct stat st;

	if (fd < 0)
		return fd;
	if (fstat(fd, &st) < 0)
		return -errno;
	if (!S_ISREG(st.st_mode))
		return -EINVAL;
	return noted(read_all(fd, max, ret, ret_len));
}
