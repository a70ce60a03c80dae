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
#include "net/fetch.h"
#include "net/sockdiag.h"

/*
 * Is there a web server, and will its viewers see it?
 *
 * A probe waits until the port is listened on, as the kernel's listener row says, and then asks for
 * the page: HEAD, or GET where HEAD is refused.  Any HTTP answer will do.  Where the preview's
 * public host isn't loopback, it asks a second time by that name, as the viewers' browsers will.
 */
struct prober;
struct probe;

struct prober *prober_new(struct loop *loop, struct fetcher *fetcher, struct jobs *jobs,
			  struct sockdiag *sockdiag);
struct prober *prober_free(struct prober *p); /* probes must be gone */
DEFINE_CLEANUP(struct prober *, prober_free)

struct probe_request {
	const char *scheme; /* "http" or "https" */
	const char *host;   /* a name or numeric address */
	uint16_t port;
	const char *path;
	const char *public_host;      /* of the preview's URL; NULL where it is loopback */
	const char *public_authority; /* "host[:port]"; with public_host */
	const char *public_scheme;
	/* Asked for the address of a name before anything connects to it; NULL: any will do. */
	int (*may_connect)(const char *address, struct fault *reterr, void *arg);
	void *may_connect_arg;
	usec_t wait;         /* for the port to be listened on */
	usec_t http_timeout; /* for the first answer */
};

#define PROBE_WARNINGS_MAX 4

struct probe_warning {
	const char *code; /* "slow", "frame_refused", "blocked_host", "blocked_origin" */
	char *detail;
};

struct probe_report {
	long http_status;   /* 0: none came in time */
	const char *method; /* "HEAD" or "GET"; what http_status answered */
	char address[46];   /* numeric: where the server answered */
	usec_t took;        /* of the answered request */
	usec_t checked_at;  /* realtime */
	struct probe_warning warnings[PROBE_WARNINGS_MAX];
	size_t n_warnings;
};

/* 0 with a report, or a negative errno with a fault; both borrowed. */
typedef void probe_done_fn(int result, const struct probe_report *report, struct fault *fault,
			   void *arg);

/* Copies the request.  `done` comes once, from the loop, unless the handle was freed. */
struct probe *probe_start(struct prober *prober, const struct probe_request *request,
			  probe_done_fn *done, void *arg);
struct probe *probe_free(struct probe *p); /* cancels; also from inside `done` */
DEFINE_CLEANUP(struct probe *, probe_free)

size_t prober_active(const struct prober *p);
