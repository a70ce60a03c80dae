/* SPDX-License-Identifier: MIT */
/*
 * Whole trees of files beneath a directory descriptor.
 *
 * What is removed may be nested deeper than there are descriptors or stack: the walk holds one
 * directory at a time and goes up by "..".  A build that was killed may move directories until it
 * is dead, so that ".." counts only where it leads back to the directory that was come from.
 */
#include "base/trees.h"

#include <dirent.h>
#include <errno.h>
#include <fcntl.h>
#include <linux/fs.h>
#include <stdlib.h>
#include <string.h>
#include <sys/ioctl.h>
#include <sys/stat.h>
#include <unistd.h>

#include "base/files.h"
#include "base/mem.h"

/* Each level takes two descriptors, stack and a buffer: what nobody needs is not gone into. */
#define MEASURE_DEPTH_MAX 128

#define OPEN_DIRECTORY (O_RDONLY | O_DIRECTORY | O_NOFOLLOW | O_CLOEXEC)

static void closedirp(DIR **d)
{
	if (*d)
		closedir(*d);
}

/* A stream of its own for `dirfd`, from the start. */
static DIR *read_directory(int dirfd)
{
	int fd = openat(dirfd, ".", O_RDONLY | O_DIRECTORY | O_CLOEXEC);
	DIR *d = fd < 0 ? NULL : fdopendir(fd);

	if (!d && fd >= 0)
		close(fd);
	return d;
}

static struct dirent *next_entry(DIR *d)
{
	struct dirent *e;

	do {
		errno = 0;
		e = readdir(d);
	} while (e && (strcmp(e->d_name, ".") == 0 || strcmp(e->d_name, "..") == 0));
	return e;
}

/*
 * Removing.
 */
struct step {
	char *name;
	dev_t device; /* of the directory that the name is in */
	ino_t inode;
};

struct steps {
	struct step *items;
	size_t n, max;
};

static void steps_done(struct steps *steps)
{
	while (steps->n > 0)
		free(steps->items[--steps->n].name);
	free(steps->items);
}

static int steps_push(struct steps *steps, int dirfd, const char *name)
{
	struct stat st;

	if (fstat(dirfd, &st) < 0)
		return -errno;
	if (steps->n == steps->max) {
		steps->max = steps->max ? 2 * steps->max : 16;
		steps->items = xrealloc(steps->items, steps->max * sizeof(*steps->items));
	}
	steps->items[steps->n++] = (struct step){ xstrdup(name), st.st_dev, st.st_ino };
	return 0;
}

/* -EBUSY where somebody has moved `at` meanwhile. */
static int step_back(int at, const struct step *step)
{
	scoped(closep) int fd = openat(at, "..", OPEN_DIRECTORY);
	struct stat st;

	if (fd < 0 || fstat(fd, &st) < 0)
		return -errno;
	if (st.st_dev != step->device || st.st_ino != step->inode)
		return -EBUSY;
	return STEAL_FD(fd);
}

/* Its owner may have taken away the rights to look into it. */
static int open_to_remove(int dirfd, const char *name)
{
	int fd = openat(dirfd, name, OPEN_DIRECTORY);

	if (fd < 0 && errno == EACCES && fchmodat(dirfd, name, 0700, AT_SYMLINK_NOFOLLOW) == 0)
		fd = openat(dirfd, name, OPEN_DIRECTORY);
	return fd < 0 ? -errno : fd;
}

/*
 * Unlinks what can be unlinked in it.  1 when a directory is left, whose name is pushed; 0 when it
 * is empty.
 */
static int empty_directory(int dirfd, struct steps *steps)
{
	scoped(closedirp) DIR *d = read_directory(dirfd);
	bool may_write = false;
	struct dirent *e;
	int r;

	if (!d)
		return -errno;
	while ((e = next_entry(d))) {
		if (unlinkat(dirfd, e->d_name, 0) == 0 || errno == ENOENT)
			continue;
		if (errno == EACCES && !may_write) {
			may_write = true;
			if (fchmod(dirfd, 0700) == 0 && unlinkat(dirfd, e->d_name, 0) == 0)
				continue;
		}
		if (errno != EISDIR)
			return -errno;
		if (unlinkat(dirfd, e->d_name, AT_REMOVEDIR) == 0)
			continue;
		r = steps_push(steps, dirfd, e->d_name);
		return r < 0 ? r : 1;
	}
	return -errno;
}

int remove_tree_at(int dirfd, const char *name)
{
	scoped(steps_done) struct steps steps = { 0 };
	scoped(closep) int at = -1;
	int r;

	if (unlinkat(dirfd, name, 0) == 0 || errno == ENOENT)
		return 0;
	if (errno != EISDIR)
		return -errno;
	at = open_to_remove(dirfd, name);
	if (at < 0)
		return at;

	for (;;) {
		int next;

		r = empty_directory(at, &steps);
		if (r < 0)
			return r;
		if (r > 0) {
			next = open_to_remove(at, steps.items[steps.n - 1].name);
		} else {
			if (steps.n == 0)
				break;
			next = step_back(at, &steps.items[steps.n - 1]);
			if (next < 0)
				return next;
			if (unlinkat(next, steps.items[steps.n - 1].name, AT_REMOVEDIR) < 0) {
				r = -errno;
				close(next);
				return r;
			}
			free(steps.items[--steps.n].name);
		}
		if (next < 0)
			return next;
		close(at);
		at = next;
	}
	return unlinkat(dirfd, name, AT_REMOVEDIR) < 0 ? -errno : 0;
}

/*
 * Walking what is ours, or held to a depth.
 */
int sync_tree(int dirfd)
{
	scoped(closedirp) DIR *d = read_directory(dirfd);
	struct dirent *e;

	if (!d)
		return -errno;
	while ((e = next_entry(d))) {
		scoped(closep) int fd =
			openat(dirfd, e->d_name, O_RDONLY | O_NOFOLLOW | O_NONBLOCK | O_CLOEXEC);
		struct stat st;
		int r;

		if (fd < 0 && errno == ELOOP)
			continue;
		if (fd < 0 || fstat(fd, &st) < 0)
			return -errno;
		r = S_ISDIR(st.st_mode) ? sync_tree(fd) : fsync(fd) < 0 ? -errno : 0;
		if (r < 0)
			return r;
	}
	return errno ? -errno : fsync(dirfd) < 0 ? -errno : 0;
}

static int measure_level(int dirfd, unsigned depth, uint64_t *ret_bytes)
{
	scoped(closedirp) DIR *d = read_directory(dirfd);
	uint64_t bytes = 0;
	struct dirent *e;

	if (!d)
		return -errno;
	if (depth == 0)
		return -ELOOP;
	while ((e = next_entry(d))) {
		struct stat st;

		if (fstatat(dirfd, e->d_name, &st, AT_SYMLINK_NOFOLLOW) < 0)
			continue;
		bytes += (uint64_t)st.st_blocks * 512;
		if (S_ISDIR(st.st_mode)) {
			scoped(closep) int fd = openat(dirfd, e->d_name, OPEN_DIRECTORY);
			uint64_t below = 0;
			int r = fd < 0 ? 0 : measure_level(fd, depth - 1, &below);

			if (r == -ELOOP)
				return r;
			if (r >= 0)
				bytes += below;
		}
		errno = 0;
	}
	*ret_bytes = bytes;
	return 0;
}

int measure_tree(int dirfd, uint64_t *ret_bytes)
{
	return measure_level(dirfd, MEASURE_DEPTH_MAX, ret_bytes);
}

bool tree_is_foreign(const struct stat *st, uid_t owner)
{
	if (st->st_uid == owner)
		return false;
	if (S_ISDIR(st->st_mode))
		return (~st->st_mode & (S_IROTH | S_IXOTH)) != 0;
	return st->st_nlink > 1 || !(st->st_mode & S_IROTH);
}

struct copying {
	const char *const *skip;
	const struct tree_limits *limits;
	const volatile bool *cancel;
	const uid_t *owner; /* NULL: whoever's they are */
	struct tree_size size;
};

static bool is_skipped(const struct copying *c, const char *name)
{
	for (const char *const *one = c->skip; one && *one; one++)
		if (strcmp(*one, name) == 0)
			return true;
	return false;
}

static bool is_left_out(struct copying *c, const struct stat *st)
{
	if (!c->owner || !tree_is_foreign(st, *c->owner))
		return false;
	c->size.foreign++;
	return true;
}

static int copy_bytes(int from, int to, uint64_t left)
{
	if (ioctl(to, FICLONE, from) == 0)
		return 0;
	while (left > 0) {
		ssize_t n = copy_file_range(from, NULL, to, NULL, left, 0);

		if (n < 0 && errno == EINTR)
			continue;
		if (n < 0)
			return -errno;
		if (n == 0) /* it has become shorter */
			return 0;
		left -= (uint64_t)n;
	}
	return 0;
}

/* Other file systems, and kernels before 5.19 between two of them. */
static int copy_by_reading(int from, int to, uint64_t left)
{
	char buffer[65536];

	if (lseek(from, 0, SEEK_SET) < 0 || lseek(to, 0, SEEK_SET) < 0 || ftruncate(to, 0) < 0)
		return -errno;
	while (left > 0) {
		ssize_t n = read(from, buffer, left < sizeof(buffer) ? left : sizeof(buffer));
		int r;

		if (n < 0 && errno == EINTR)
			continue;
		if (n <= 0)
			return n < 0 ? -errno : 0;
		r = write_all(to, buffer, (size_t)n);
		if (r < 0)
			return r;
		left -= (uint64_t)n;
	}
	return 0;
}

static int copy_file(struct copying *c, int from_dir, int to_dir, const char *name,
		     const struct stat *seen)
{
	scoped(closep) int from = -1, to = -1;
	struct stat st;
	int r;

	from = openat(from_dir, name, O_RDONLY | O_NOFOLLOW | O_NONBLOCK | O_NOCTTY | O_CLOEXEC);
	if (from < 0)
		return -errno;
	if (fstat(from, &st) < 0)
		return -errno;
	if (!S_ISREG(st.st_mode) || st.st_ino != seen->st_ino)
		return 0; /* it has become something else meanwhile */
	if (is_left_out(c, &st))
		return 0;
	c->size.bytes += (uint64_t)st.st_size;
	if (c->size.bytes > c->limits->bytes)
		return -EDQUOT;

	to = openat(to_dir, name, O_WRONLY | O_CREAT | O_EXCL | O_CLOEXEC, 0600);
	if (to < 0)
		return -errno;
	r = copy_bytes(from, to, (uint64_t)st.st_size);
	if (r == -EXDEV || r == -EOPNOTSUPP || r == -EINVAL || r == -ENOSYS)
		r = copy_by_reading(from, to, (uint64_t)st.st_size);
	if (r < 0)
		return r;
	if (fchmod(to, (st.st_mode & 0777) | 0600) < 0)
		return -errno;
	futimens(to, (struct timespec[2]){ st.st_atim, st.st_mtim });
	return 0;
}

static int copy_link(int from_dir, int to_dir, const char *name)
{
	char target[4096];
	ssize_t n = readlinkat(from_dir, name, target, sizeof(target) - 1);

	if (n < 0)
		return -errno;
	target[n] = '\0';
	return symlinkat(target, to_dir, name) < 0 ? -errno : 0;
}

static int copy_level(struct copying *c, int from, int to, unsigned depth);

static int copy_directory(struct copying *c, int from_dir, int to_dir, const char *name,
			  unsigned depth)
{
	scoped(closep) int from = -1, to = -1;
	struct stat st;

	if (depth >= c->limits->depth)
		return -ELOOP;
	from = openat(from_dir, name, OPEN_DIRECTORY);
	if (from < 0 || fstat(from, &st) < 0)
		return -errno;
	if (is_left_out(c, &st))
		return 0;
	if (mkdirat(to_dir, name, 0755) < 0)
		return -errno;
	to = openat(to_dir, name, OPEN_DIRECTORY);
	if (to < 0)
		return -errno;
	return copy_level(c, from, to, depth + 1);
}

static int copy_entry(struct copying *c, int from, int to, const char *name, unsigned depth)
{
	struct stat st;

	if (*c->cancel)
		return -ECANCELED;
	if (is_skipped(c, name))
		return 0;
	if (fstatat(from, name, &st, AT_SYMLINK_NOFOLLOW) < 0)
		return errno == ENOENT ? 0 : -errno;
	if (++c->size.entries > c->limits->entries)
		return -EDQUOT;
	if (S_ISDIR(st.st_mode))
		return copy_directory(c, from, to, name, depth);
	if (S_ISREG(st.st_mode))
		return copy_file(c, from, to, name, &st);
	if (S_ISLNK(st.st_mode))
		return copy_link(from, to, name);
	return 0;
}

static int copy_level(struct copying *c, int from, int to, unsigned depth)
{
	scoped(closedirp) DIR *d = read_directory(from);
	struct dirent *e;

	if (!d)
		return -errno;
	while ((e = next_entry(d))) {
		int r = copy_entry(c, from, to, e->d_name, depth);

		if (r < 0)
			return r;
	}
	return -errno;
}

static int copy(struct copying *c, int from, int to, struct tree_size *ret)
{
	int r = copy_level(c, from, to, 0);

	if (ret)
		*ret = c->size;
	return r;
}

int copy_tree(int from, int to, const char *const *skip, const struct tree_limits *limits,
	      const volatile bool *cancel, struct tree_size *ret)
{
	struct copying c = { .skip = skip, .limits = limits, .cancel = cancel };

	return copy(&c, from, to, ret);
}

int copy_tree_of(uid_t owner, int from, int to, const char *const *skip,
		 const struct tree_limits *limits, const volatile bool *cancel,
		 struct tree_size *ret)
{
	struct copying c = { .skip = skip, .limits = limits, .cancel = cancel, .owner = &owner };

	return copy(&c, from, to, ret);
}
