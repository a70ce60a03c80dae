/* SPDX-License-Identifier: MIT */
#pragma once

#include <errno.h>
#include <fcntl.h>
#include <ftw.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/resource.h>
#include <sys/stat.h>
#include <unistd.h>

#include "base/cleanup.h"
#include "base/files.h"
#include "base/mem.h"
#include "base/parse.h"

/* A directory of a test with what it wants in it. */
struct tree {
	char *path;
	int fd;
};

static inline struct tree tree_make(void)
{
	const char *parent = getenv("TMPDIR");
	struct tree t = { .path = xasprintf("%s/publish-XXXXXX", parent ? parent : "/tmp") };

	assert_non_null(mkdtemp(t.path));
	t.fd = open_directory(t.path);
	assert_true(t.fd >= 0);
	return t;
}

static inline int tree_remove_one(const char *path, const struct stat *st, int kind, struct FTW *f)
{
	(void)st;
	(void)kind;
	(void)f;
	return remove(path);
}

static inline void tree_done(struct tree *t)
{
	close(t->fd);
	nftw(t->path, tree_remove_one, 64, FTW_DEPTH | FTW_PHYS);
	free(t->path);
}

static inline void tree_parents(const struct tree *t, const char *path)
{
	scoped(freep) char *parent = xstrdup(path);

	for (char *slash = parent; (slash = strchr(slash, '/')); slash++) {
		*slash = '\0';
		assert_true(mkdirat(t->fd, parent, 0755) == 0 || errno == EEXIST);
		*slash = '/';
	}
}

static inline void tree_put_bytes(const struct tree *t, const char *path, const void *data,
				  size_t len)
{
	int fd;

	tree_parents(t, path);
	fd = openat(t->fd, path, O_WRONLY | O_CREAT | O_TRUNC | O_CLOEXEC, 0644);
	assert_true(fd >= 0);
	assert_int_equal(write(fd, data, len), len);
	close(fd);
}

static inline void tree_put(const struct tree *t, const char *path, const char *text)
{
	tree_put_bytes(t, path, text, strlen(text));
}

static inline void tree_link(const struct tree *t, const char *target, const char *path)
{
	tree_parents(t, path);
	assert_int_equal(symlinkat(target, t->fd, path), 0);
}

static inline bool list_mentions(char *const *list, const char *words)
{
	for (size_t i = 0; list && list[i]; i++)
		if (strstr(list[i], words))
			return true;
	return false;
}

/* Lets the process open so many descriptors more; the limit before is returned, to be put back. */
static inline struct rlimit leave_descriptors(unsigned n)
{
	struct rlimit before, few;
	int fd = 0;

	assert_int_equal(getrlimit(RLIMIT_NOFILE, &before), 0);
	few = before;
	for (unsigned n_free = 0; n_free < n || fcntl(fd, F_GETFD) >= 0; fd++)
		n_free += fcntl(fd, F_GETFD) < 0;
	few.rlim_cur = (rlim_t)fd;
	assert_int_equal(setrlimit(RLIMIT_NOFILE, &few), 0);
	return before;
}
