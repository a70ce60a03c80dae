/* SPDX-License-Identifier: MIT */
#pragma once

#include "publish/publisher_priv.h"

/*
 * The phases of a build, on the loop: each begins the next one, or ends the build.
 */

/* ---- steps.c: what all of them do ---- */

void build_fail(struct build *b); /* by what is in its `fault` */
void build_fail_with(struct build *b, enum fault_code code, const char *sentence);

/*
 * A job in a helper thread; `input` carries its results back and `cancel`, in it, ends it early.
 * False: there is no room for it, and the build has failed.  `done` begins with build_job_over(),
 * which borrows it the input.
 */
bool build_job(struct build *b, job_work_fn *work, void *input, volatile bool *cancel,
	       void (*free_input)(void *), job_done_fn *done);
void *build_job_over(struct build *b);

void steps_check(struct build *b);

/* ---- steps_manager.c, steps_install.c and steps_build.c ---- */

void steps_install(struct build *b);        /* its package manager, and then ... */
void steps_packages(struct build *b);       /* ... its packages */
void steps_trim_store(struct publisher *p); /* after something was added to it */
void steps_node(struct build *b);           /* the Node that its framework needs, and then ... */
void steps_build(struct build *b);

/* ---- steps_run.c: a command in the sandbox ---- */

#define BUILD_ROOT "/build" /* where the project is, inside */

struct run_request {
	const struct command *command;
	const char *workdir; /* absolute, on the host; writable */
	const char *cwd;     /* beneath it, or NULL */
	const struct sandbox_bind *binds;
	size_t n_binds;
	enum sandbox_network network;
	usec_t wall;
	build_run_over_fn *over; /* when nothing of it runs any more */
};

/* Borrows the request; where the command can't begin the build has failed. */
void build_run(struct build *b, const struct run_request *request);

/* Whether the command that ended last said so, in the end of its output that is kept. */
bool build_said(const struct build *b, const char *what);

/* The publisher's way to the registries is there, by the settings of now where it is free. */
int proxy_ensure(struct publisher *p, struct fault *reterr) must_use;

/*
 * It ended otherwise than by exit(0), and the build fails: by `fault` where the command itself is
 * to blame, by its limit otherwise.  `what` begins the sentence.
 */
void build_run_failed(struct build *b, enum sandbox_end end, int code, enum fault_code fault,
		      const char *what, usec_t wall);
