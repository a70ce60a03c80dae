/* SPDX-License-Identifier: MIT */
#pragma once

#include <stdbool.h>
#include <stddef.h>

#include "base/cleanup.h"
#include "base/fault.h"
#include "loop/loop.h"
#include "proc/pidref.h"

/*
 * A child process, born into its own session and process group (and cgroup, where one is given),
 * its descriptors closed but for the three and those it is given, its signals reset.
 */
struct child;

#define SPAWN_FDS_MAX 16

/* Borrowed until child_spawn() returns. */
struct spawn_request {
	const char *const *argv; /* ends with NULL; argv[0] is looked up in the request's PATH */
	const char *const *environ_; /* ends with NULL */
	const char *cwd;
	const char *cgroup; /* directory to be born into, or NULL; goes on without if it can't */
	/* When we are gone it waits for a reader (child_adopt()) once its pipe is full, instead of
	 * being ended by it. */
	bool output_outlives_us;
	const int *fds; /* become 3, 4, … of the child; stay open here, too */
	size_t n_fds;
};

/*
 * The umask and the limit of descriptors as they are now: each child is born with these, whatever
 * this process takes for itself afterwards.  A server started here makes its files as one started
 * in a terminal, and select(2) in it meets no descriptor that it can't hold.
 */
void child_surroundings_keep(void);

struct child_ops {
	/* A piece of stdout and stderr, merged, as it comes; borrowed. */
	void (*on_output)(struct child *c, const char *bytes, size_t len, void *arg);
	/*
	 * Once, when the child itself has ended and what it had written was read: its exit status
	 * with signal 0, or -1 with the signal that ended it.  What it started may still write:
	 * on_output goes on until child_free().
	 */
	void (*on_exit)(struct child *c, int code, int signal, void *arg);
};

/* A bad cwd or command is a fault with a sentence, not a child that dies with 127. */
int child_spawn(struct loop *loop, const struct spawn_request *request, const struct child_ops *ops,
		void *arg, struct child **ret, struct fault *reterr) must_use;

/*
 * A process that an earlier run of this program spawned with `output_outlives_us`: its output is
 * read on, and its end is heard of, with the code -1 as nobody knows it.  -ENOTTY where its output
 * is no such pipe any more.
 */
int child_adopt(struct loop *loop, const struct pidref *p, const struct child_ops *ops, void *arg,
		struct child **ret) must_use;

/* Lets go: the process goes on (without a reader of its output), no callback comes any more.  It is
 * reaped when it ends, as long as the loop runs. */
struct child *child_free(struct child *c);
DEFINE_CLEANUP(struct child *, child_free)

const struct pidref *child_pidref(const struct child *c);
