/* SPDX-License-Identifier: MIT */
#pragma once

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "base/cleanup.h"
#include "base/clock.h"
#include "base/fault.h"
#include "loop/jobs.h"
#include "loop/loop.h"
#include "proc/cgroup.h"

/*
 * Runs a command that nobody trusts, by bubblewrap (bwrap(1)): namespaces of its own, a read-only
 * system, one writable project directory, a private home, no capability, a seccomp filter, limits,
 * and killed whole.
 */
struct sandbox; /* what this host can do, found out by trying */

enum sandbox_level { SANDBOX_REQUIRE, SANDBOX_PREFER, SANDBOX_OFF };

struct sandbox_deps {
	struct loop *loop;
	struct jobs *jobs;
	struct cgroups *cgroups; /* NULL where there are none */
	const char *inside; /* previewd-sandbox; NULL: beside this program, else as installed */
};

/* Tries the whole set of arguments with true(1), in a child. */
struct sandbox *sandbox_new(const struct sandbox_deps *deps, enum sandbox_level level);
struct sandbox *sandbox_free(struct sandbox *s); /* after its runs */
DEFINE_CLEANUP(struct sandbox *, sandbox_free)

/* Where it couldn't be had, it is tried again: the remedy may have been applied. */
void sandbox_set_level(struct sandbox *s, enum sandbox_level level);

/* The same where builds are refused for want of it: call it when one begins. */
void sandbox_retry(struct sandbox *s);

/*
 * Whether a run that begins now will be isolated. One that isn't has no /build and no binds: it
 * runs in `workdir` itself, with the host's paths and network, and the caller gives it such paths.
 */
bool sandbox_isolates(const struct sandbox *s);

/*
 * For GET /health/web_preview and previewctl status: whether builds are isolated here, and if not,
 * the sentence with the remedy (the package to install, the sysctl or AppArmor profile to set).
 * Borrowed; `ret_limits`, a text like "memory, processes (cgroup); disk; time", may be NULL.
 */
bool sandbox_is_usable(const struct sandbox *s, const char **ret_remedy, const char **ret_limits);

enum sandbox_network {
	SANDBOX_NO_NETWORK,
	SANDBOX_PROXY, /* only what the CONNECT proxy at proxy_socket lets through */
	SANDBOX_HOST_NETWORK,
};

struct sandbox_bind {
	const char *source; /* absolute, on the host */
	const char *target; /* absolute, inside */
	bool is_writable;
	bool is_tmpfs; /* no source: an empty writable directory in memory */
};

struct sandbox_limits {
	usec_t wall;        /* from start to SIGKILL of all of it */
	uint64_t memory;    /* bytes of the tree where a cgroup can be had; else a process's data */
	uint64_t file_size; /* bytes of one file */
	uint64_t disk; /* bytes that `workdir` and the writable binds may grow by while it runs */
	unsigned processes;
	unsigned files; /* open, a process */
};

/* Borrowed until sandbox_start() returns. */
struct sandbox_request {
	const char *const *argv; /* ends with NULL; found in the PATH inside */
	const char *const
		*environ_;   /* NAME=VALUE, added to the cleared environment; ends with NULL */
	const char *workdir; /* absolute, on the host: writable, at /build inside */
	const char *cwd;     /* beneath it, relative; NULL: itself */
	const char *node;    /* the prefix of a Node outside /usr (bound read-only, first in
				PATH), or NULL */
	const char *path; /* directories with colons between, before all others in PATH; or NULL */
	const struct sandbox_bind *binds;
	size_t n_binds;
	enum sandbox_network network;
	const char *proxy_socket; /* unix socket on the host, of SANDBOX_PROXY */
	struct sandbox_limits limits;
};

enum sandbox_end {
	SANDBOX_EXITED,       /* `code` */
	SANDBOX_SIGNALED,     /* `code` is the signal */
	SANDBOX_TIMED_OUT,    /* limits.wall */
	SANDBOX_DISK_FULL,    /* limits.disk */
	SANDBOX_NO_MEMORY,    /* limits.memory */
	SANDBOX_NO_PROCESSES, /* limits.processes */
};

struct sandbox_ops {
	/* A piece of stdout and stderr, merged, as it comes; borrowed. */
	void (*on_output)(const char *bytes, size_t len, void *arg);
	/* Once, when nothing of it runs any more; the run is the caller's to free. */
	void (*on_end)(enum sandbox_end end, int code, void *arg);
};

struct sandbox_run;

/* FAULT_SANDBOX_UNAVAILABLE with the remedy where it is required and can't be had. */
int sandbox_start(struct sandbox *s, const struct sandbox_request *request,
		  const struct sandbox_ops *ops, void *arg, struct sandbox_run **ret,
		  struct fault *reterr) must_use;

/* Kills all of it if it still runs; on_end doesn't come. */
struct sandbox_run *sandbox_run_free(struct sandbox_run *run);
DEFINE_CLEANUP(struct sandbox_run *, sandbox_run_free)

/* Whether it ran isolated, for the build's document. */
bool sandbox_run_is_isolated(const struct sandbox_run *run);
