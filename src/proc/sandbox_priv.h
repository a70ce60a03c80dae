/* SPDX-License-Identifier: MIT */
#pragma once

#include <sys/queue.h>

#include "base/strbuf.h"
#include "proc/pidref.h"
#include "proc/sandbox.h"
#include "proc/spawn.h"

/*
 * The parts of the sandbox: its policy as bwrap(1)'s arguments, why it can't be had here, what a
 * run is born with, and what it uses while it lives.
 */

/* ---- sandbox_args.c ---- */

/* Where things are inside. */
#define SANDBOX_WORKDIR      "/build"
#define SANDBOX_HOME         "/home/build"
#define SANDBOX_INSIDE       "/run/previewd/sandbox" /* our program of proc/inside.h */
#define SANDBOX_PROXY_SOCKET "/run/previewd/proxy.sock"

/* The descriptors that a sandbox is started with, in this order, from 3 on. */
enum sandbox_fd {
	SANDBOX_FD_GO = 3, /* of proc/inside.h; the only one where it isn't isolated */
	SANDBOX_FD_ARGS,   /* bwrap's --args: nothing of the host in /proc/1/cmdline inside */
	SANDBOX_FD_STATUS, /* its --json-status-fd */
	SANDBOX_FD_SECCOMP,
	SANDBOX_FD_PASSWD,
	SANDBOX_FD_GROUP,
	SANDBOX_FD_HOSTS,
	SANDBOX_FD_END_,
};

/* What differs from one system to another, and the arguments depend on. */
#define SANDBOX_ROOTS 7
struct sandbox_host {
	struct {
		const char *path; /* "/bin" */
		char *link;       /* "usr/bin": the target where it is a symbolic link */
		bool exists;
	} roots[SANDBOX_ROOTS];
	char *bwrap;       /* NULL: it isn't in the PATH */
	char *inside;      /* where previewd-sandbox is, NULL: nowhere */
	char *resolv_conf; /* the file behind /etc/resolv.conf, NULL: there is none */
};

/*
 * By so many a run may be over its processes before the kernel refuses it more: what is refused
 * before anybody sees that it is over would try on until its time is out.
 */
#define PROCESSES_BEYOND 32

/* `inside` NULL: beside this program's own file, else in pkglibexecdir. */
void sandbox_host_read(struct sandbox_host *h, const char *inside);
void sandbox_host_done(struct sandbox_host *h);

/* Refuses what can't be meant: relative paths, a way out by "..". */
int sandbox_check(const struct sandbox_request *request, struct fault *reterr) must_use;

/* The whole policy: bwrap's arguments, each with its NUL. */
void sandbox_args(struct strbuf *args, const struct sandbox_host *host,
		  const struct sandbox_request *request);

/*
 * The command: bwrap with the arguments above and previewd-sandbox before the request's own, or
 * that alone where it runs without.  A strv, as parse_list() gives it.
 */
char **sandbox_command(const struct sandbox_host *host, const struct sandbox_request *request,
		       const struct sandbox_limits *limits, bool is_isolated);

/* The variables of a run that isn't isolated, with its mark (proc/tree.h); inside, they are among
 * the arguments. */
char **sandbox_environ(const struct sandbox_request *request, const char *mark);

extern const char sandbox_passwd[], sandbox_group[], sandbox_hosts[];

/* ---- sandbox_remedy.c ---- */

struct sandbox_facts {
	bool has_seccomp;       /* built in */
	bool has_inside;        /* previewd-sandbox was found */
	bool has_bwrap;         /* so was bwrap */
	const char *said;       /* what bwrap and what it ran put out, "" when nothing */
	int userns_clone;       /* kernel.unprivileged_userns_clone, -1: there is none */
	int userns_max;         /* user.max_user_namespaces */
	int apparmor_restricts; /* kernel.apparmor_restrict_unprivileged_userns */
	bool is_container;
	bool is_unit; /* of systemd's */
	bool is_root;
};

/* Fills in what the host itself tells. */
void sandbox_facts_read(struct sandbox_facts *f);

/* A sentence with what is wrong and what to do; the caller's. */
char *sandbox_remedy(const struct sandbox_facts *f);

/* ---- sandbox.c ---- */

enum sandbox_state { SANDBOX_TRYING, SANDBOX_USABLE, SANDBOX_UNUSABLE };

struct sandbox {
	struct sandbox_deps deps;
	char *inside; /* of deps */
	enum sandbox_level level;
	enum sandbox_state state;
	struct sandbox_host host;
	char *remedy; /* while unusable */
	struct sandbox_run *probe;
	unsigned held;      /* by a run's cgroup: of cgroup_limit() */
	struct strbuf said; /* by the probe */
	LIST_HEAD(, sandbox_run) runs;
};

/* ---- sandbox_spawn.c ---- */

#define SANDBOX_OWN_PROCESSES 3 /* bwrap twice, and previewd-sandbox: not the command's */

/* The first process of a run, and the daemon's ends of what that has. */
struct sandbox_spawned {
	bool is_isolated;
	struct child *child;          /* bwrap, or previewd-sandbox without it */
	int go;                       /* -1: it was told to go, or is told not to */
	int status_fd;                /* of bwrap, non-blocking; -1: not isolated */
	char *cgroup;                 /* its directory; NULL: there is none */
	unsigned held;                /* by it: of cgroup_limit() */
	char *mark;                   /* of proc/tree.h; NULL: isolated */
	struct sandbox_limits limits; /* those of the request that the cgroup doesn't hold */
};

#define SANDBOX_SPAWNED_NONE ((struct sandbox_spawned){ .go = -1, .status_fd = -1 })

/*
 * Begins with SANDBOX_SPAWNED_NONE and `is_isolated` as it is to be; ends, however it went, with
 * sandbox_spawned_done(), which leaves the processes and the cgroup to themselves.
 */
int sandbox_spawn(const struct sandbox *s, const struct sandbox_request *request,
		  const struct child_ops *ops, void *arg, struct sandbox_spawned *spawned,
		  struct fault *reterr) must_use;
void sandbox_spawned_done(struct sandbox_spawned *spawned);

/* ---- sandbox_run.c ---- */

int sandbox_run_start(struct sandbox *s, const struct sandbox_request *request, bool is_isolated,
		      const struct sandbox_ops *ops, void *arg, struct sandbox_run **ret,
		      struct fault *reterr) must_use;

/* Kills it and forgets it: the loop, too, is at its end. */
void sandbox_run_abandon(struct sandbox_run *run);

/* ---- sandbox_watch.c ---- */

/*
 * What a run uses, looked at from outside: for a helper thread.
 */
struct sandbox_usage {
	uint64_t disk;      /* bytes beneath its writable directories, and of its deleted files */
	uint64_t memory;    /* bytes of all its processes */
	unsigned processes; /* and threads */
};

struct sandbox_look {
	struct pidref root; /* the run's first process; pid 0: only the directories */
	char **directories; /* the writable ones, a strv */
	struct sandbox_usage usage;
	usec_t took;
};

int sandbox_look(struct sandbox_look *look) must_use;
void sandbox_look_done(struct sandbox_look *look);
