/* SPDX-License-Identifier: MIT */
#pragma once

#include <stdbool.h>
#include <stddef.h>
#include <sys/types.h>

#include "base/cleanup.h"

/* All descriptors are close-on-exec at birth.  Failures are negative errnos. */

/* Makes the directory and its parents (with `mode`, parents 0755) where they are missing, durably.
 */
int mkdir_parents(const char *path, mode_t mode) must_use;

/* Opens a directory as a place to resolve beneath. */
int open_directory(const char *path) must_use;

/* Where what is open is now, absolute; NULL where it has no name.  The caller frees it. */
char *path_of_fd(int fd);

/* Makes a directory of ours (0700); one that is there is no error. */
int make_directory_at(int dirfd, const char *path) must_use;

/* Whether it is one, and no link to one. */
bool is_directory_at(int dirfd, const char *path);

/* Reads to the end, like read_file_at(); writes all of it.  Of a blocking descriptor. */
int read_all(int fd, size_t max, char **ret, size_t *ret_len) must_use;
int write_all(int fd, const void *data, size_t len) must_use;

/*
 * Reads a whole file of at most `max` bytes; -EMSGSIZE past that.  `dirfd` may be AT_FDCWD.  The
 * text gets a NUL behind it and is freed by the caller.  `ret_len` may be NULL.
 */
int read_file_at(int dirfd, const char *path, size_t max, char **ret, size_t *ret_len) must_use;

/*
 * Puts a file in place whole or not at all: a temporary file beside it, fsync, rename, fsync of the
 * directory.
 */
int write_file_at(int dirfd, const char *name, const void *data, size_t len, mode_t mode) must_use;

/* Removes the temporary files that an end in the middle of that has left in the directory. */
int remove_temporaries_at(int dirfd) must_use;

/* The directory that holds `name` onto the disk: only then does a rename in it last. */
int sync_parent_at(int dirfd, const char *name) must_use;
