/* SPDX-License-Identifier: MIT */
/*
 * Files beneath a directory descriptor.  A file that is written is there whole, also after a power
 * cut, or isn't there.
 */
#include "base/files.h"

#include <dirent.h>
#include <errno.h>
#include <fcntl.h>
#include <limits.h>
#include <stdint.h>
#include <stdio.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

#include "base/ids.h"
#include "base/mem.h"

#define READ_FIRST 4096 /* bytes, then twice as many */

/* NAME.CHANCE.tmp, of write_file_at() */
#define TEMPORARY_CHANCE 16
#define TEMPORARY_SUFFIX ".tmp"

/* The directory that holds `name`: what was made, renamed or removed there lasts when that is on
 * disk. */
int sync_parent_at(int dirfd, const char *name)
{
	const char *slash = strrchr(name, '/');
	scoped(freep) char *parent =
		slash ? xstrndup(name, slash == name ? 1 : (size_t)(slash - name)) : xstrdup(".");
	scoped(closep) int fd = openat(dirfd, parent, O_RDONLY | O_DIRECTORY | O_CLOEXEC);

	if (fd < 0 || fsync(fd) < 0)
		return -errno;
	return 0;
}

static int make_directory(const char *path, mode_t mode)
{
	struct stat st;

	if (mkdir(path, mode) == 0) {
		const int r = sync_parent_at(AT_FDCWD, path);

		/* One may be allowed to make names where one can't look. */
		return r == -EACCES ? 0 : r;
	}
	if (errno != EEXIST)
		return -errno;

	/* What is there may be a symbolic link to a directory: good enough. */
	if (stat(path, &st) < 0)
		return -errno;
	return S_ISDIR(st.st_mode) ? 0 : -ENOTDIR;
}

int mkdir_parents(const char *path, mode_t mode)
{
	scoped(freep) char *prefix = xstrdup(path);

	for (char *slash = prefix; *slash && (slash = strchr(slash + 1, '/'));) {
		int r;

		*slash = '\0';
		r = make_directory(prefix, 0755);
		*slash = '/';
		if (r < 0)
			return r;
	}
	return make_directory(path, mode);
}

int open_directory(const char *path)
{
	int fd = open(path, O_RDONLY | O_DIRECTORY | O_CLOEXEC);

	return fd < 0 ? -errno : fd;
}

char *path_of_fd(int fd)
{
	char link[64], path[PATH_MAX];
	ssize_t n;

	snprintf(link, sizeof(link), "/proc/self/fd/%d", fd);
	n = readlink(link, path, sizeof(path));
	if (n <= 0 || (size_t)n == sizeof(path) || path[0] != '/')
		return NULL;
	return xstrndup(path, (size_t)n);
}

int make_directory_at(int dirfd, const char *path)
{
	return mkdirat(dirfd, path, 0700) < 0 && errno != EEXIST ? -errno : 0;
}

bool is_directory_at(int dirfd, const char *path)
{
	struct stat st;

	return fstatat(dirfd, path, &st, AT_SYMLINK_NOFOLLOW) == 0 && S_ISDIR(st.st_mode);
}

static ssize_t read_some(int fd, char *to, size_t len)
{
	ssize_t n;

	do {
		n = read(fd, to, len);
	} while (n < 0 && errno == EINTR);
	return n < 0 ? -errno : n;
}

int read_all(int fd, size_t max, char **ret, size_t *ret_len)
{
	scoped(freep) char *text = NULL;
	size_t len = 0, capacity = 0;

	/* By reading and not by st_size: files of /proc have none, and others may grow meanwhile.
	 */
	for (;;) {
		ssize_t n;

		if (len == capacity) {
			capacity = capacity ? capacity * 2 : READ_FIRST;
			text = xrealloc(text, capacity + 1);
		}
		n = read_some(fd, text + len, capacity - len);
		if (n < 0)
			return (int)n;
		if (n == 0)
			break;
		len += (size_t)n;
		if (len > max)
			return -EMSGSIZE;
	}
	text[len] = '\0';
	*ret = STEAL(text);
	if (ret_len)
		*ret_len = len;
	return 0;
}

int write_all(int fd, const void *data, size_t len)
{
	for (const char *at = data; len > 0;) {
		const ssize_t n = write(fd, at, len);

		if (n < 0 && errno == EINTR)
			continue;
		if (n < 0)
			return -errno;
		at += n;
		len -= (size_t)n;
	}
	return 0;
}

int read_file_at(int dirfd, const char *path, size_t max, char **ret, size_t *ret_len)
{
	scoped(closep) int fd = openat(dirfd, path, O_RDONLY | O_CLOEXEC);

	return fd < 0 ? -errno : read_all(fd, max, ret, ret_len);
}

static int fill_file(int fd, const void *data, size_t len, mode_t mode)
{
	int r = write_all(fd, data, len);

	if (r < 0)
		return r;
	/* The mode is the caller's word, not the umask's. */
	if (fchmod(fd, mode) < 0 || fsync(fd) < 0)
		return -errno;
	return 0;
}

int write_file_at(int dirfd, const char *name, const void *data, size_t len, mode_t mode)
{
	char chance[TEMPORARY_CHANCE + 1];
	scoped(freep) char *temporary = NULL;
	scoped(closep) int fd = -1;
	int r;

	random_hex(chance, TEMPORARY_CHANCE / 2);
	temporary = xasprintf("%s.%s" TEMPORARY_SUFFIX, name, chance);
	fd = openat(dirfd, temporary, O_WRONLY | O_CREAT | O_EXCL | O_CLOEXEC, 0600);
	if (fd < 0)
		return -errno;

	r = fill_file(fd, data, len, mode);
	if (r >= 0 && renameat(dirfd, temporary, dirfd, name) < 0)
		r = -errno;
	if (r < 0) {
		unlinkat(dirfd, temporary, 0);
		return r;
	}
	return sync_parent_at(dirfd, name);
}

static bool is_temporary(const char *name)
{
	const size_t end = 1 + TEMPORARY_CHANCE + sizeof(TEMPORARY_SUFFIX) - 1;
	const size_t len = strlen(name);
	const char *chance = name + len - end + 1;

	return len > end && chance[-1] == '.' &&
	       strspn(chance, "0123456789abcdef") == TEMPORARY_CHANCE &&
	       strcmp(chance + TEMPORARY_CHANCE, TEMPORARY_SUFFIX) == 0;
}

int remove_temporaries_at(int dirfd)
{
	int fd = openat(dirfd, ".", O_RDONLY | O_DIRECTORY | O_CLOEXEC), r = 0;
	DIR *d = fd < 0 ? NULL : fdopendir(fd);
	const struct dirent *e;

	if (!d) {
		r = -errno;
		closep(&fd);
		return r;
	}
	while ((e = readdir(d)))
		if (is_temporary(e->d_name) && unlinkat(dirfd, e->d_name, 0) < 0 && r == 0)
			r = -errno;
	closedir(d);
	return r;
}
