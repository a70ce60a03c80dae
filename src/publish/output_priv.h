/* SPDX-License-Identifier: MIT */
#pragma once

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>
#include <sys/types.h>
#include <time.h>

#include "base/cleanup.h"
#include "publish/output.h"

/* A file that is to be published; as it was when it was looked at. */
struct output_file {
	char *path;   /* relative to the output */
	bool is_link; /* a symbolic link to a file of the output */
	uint64_t size;
	dev_t device;
	ino_t inode;
	struct timespec changed; /* its ctime: what nobody can set */
	nlink_t links;
};

struct output_list {
	struct output_file *files; /* sorted by path */
	size_t n, capacity;
	uint64_t bytes;
};

void output_list_done(struct output_list *l);

/* The directory that holds index.html; `ret_name` is which of the request's it was, borrowed. */
int output_find(const struct output_request *request, int *ret_fd, const char **ret_name,
		struct fault *reterr) must_use;

/* Everything to be published, within the limits, or what is wrong with it. */
int output_walk(const struct output_request *request, int output_fd, const volatile bool *cancel,
		struct output_list *ret, char ***warnings, struct fault *reterr) must_use;

void warnings_add(char ***warnings, const char *format, ...) __attribute__((format(printf, 2, 3)));
