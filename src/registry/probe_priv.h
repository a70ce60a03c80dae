/* SPDX-License-Identifier: MIT */
#pragma once

#include "registry/probe.h"

/* Between probe.c, the walk, and probe_public.c, its last step. */
struct prober {
	struct loop *loop;
	struct fetcher *fetcher;
	struct jobs *jobs;
	struct sockdiag *sockdiag; /* NULL where the kernel has none */
	struct probe *waiting;
	struct timer *tick;
	struct listener *listeners; /* of the last dump */
	size_t n_listeners;
	size_t listeners_max;
	size_t active;
};

struct lookup {
	char *host;
	char address[46];
};

struct probe {
	struct prober *prober;
	struct probe_request request; /* its strings are ours */
	probe_done_fn *done;
	void *arg;

	usec_t started;
	usec_t wait_until;
	usec_t answer_until;
	bool local; /* the kernel's listener rows tell of it */

	char *url;
	char addresses[2][46]; /* where to ask, in this order */
	size_t n_addresses;
	size_t address;  /* the one asked now */
	unsigned queued; /* connections not accepted when it was asked */
	enum fetch_method method;
	bool closed_at_once; /* the last answer was a connection closed without a word */

	struct lookup *lookup; /* owned by the job */
	struct job *resolving;
	struct fetch *fetch;
	struct timer *retry;
	bool is_waiting;
	struct probe *prev, *next;

	struct probe_report report;
};

/* probe.c.  The warning's detail is taken.  After the second the probe may be gone. */
void probe_warn(struct probe *p, const char *code, char *detail);
void probe_succeed(struct probe *p);
usec_t probe_time_left(const struct probe *p);

/* probe_public.c: asks once more, as the viewers will, and succeeds, perhaps with warnings. */
void probe_ask_as_public(struct probe *p);
