/* SPDX-License-Identifier: MIT */
#pragma once

#include <stddef.h>

#include "base/cleanup.h"
#include "base/fault.h"
#include "loop/jobs.h"
#include "loop/loop.h"

/*
 * An HTTP CONNECT proxy (RFC 9110 section 9.3.6) on a unix socket, which lets through only to hosts
 * of a list, never to an address of this machine or its private networks: how `npm ci` in a sandbox
 * without a network reaches its registry and nothing else.
 */
struct connectproxy;

struct connectproxy_settings {
	const char *path;         /* of the socket: made 0600, removed at the end */
	const char *const *allow; /* "host" or "host:port" (443 where none), "*.host"; NULL ends */
	unsigned connections_max; /* at once */
	size_t buffer_max;        /* bytes that wait, each way of a connection */
	/*
	 * The proxy that this machine itself must go through ("http://user:password@host:port", as
	 * in the variable https_proxy), or NULL.  It looks names up, so their addresses are its
	 * affair; loopback and numeric addresses are gone to directly.
	 */
	const char *upstream;
};

/* A refusal, for the build's log: "refused github.com:443: not in publish.registries". */
typedef void connectproxy_refused_fn(const char *text, void *arg);

int connectproxy_new(struct loop *loop, struct jobs *jobs,
		     const struct connectproxy_settings *settings, connectproxy_refused_fn *refused,
		     void *arg, struct connectproxy **ret, struct fault *reterr) must_use;
struct connectproxy *connectproxy_free(struct connectproxy *p); /* ends its connections */
DEFINE_CLEANUP(struct connectproxy *, connectproxy_free)
