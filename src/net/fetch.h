/* SPDX-License-Identifier: MIT */
#pragma once

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "base/cleanup.h"
#include "base/clock.h"
#include "loop/loop.h"

/*
 * HTTP requests to others: libcurl's multi interface on the loop.  No environment proxy, no
 * redirects, no cookies, no connection reuse between requests, http and https only, a cap on what
 * is read, a deadline on the monotonic clock.
 */
struct fetcher;
struct fetch;

struct fetcher *fetcher_new(struct loop *loop);
struct fetcher *fetcher_free(struct fetcher *f); /* cancels what is under way */
DEFINE_CLEANUP(struct fetcher *, fetcher_free)

/*
 * From now on `fn` is called with the local port of each connection, before it is made: how those
 * who watch a port's traffic know which of it is our own.  NULL ends that.
 */
typedef void fetch_port_fn(uint16_t port, void *arg);
void fetcher_tell_ports(struct fetcher *f, fetch_port_fn *fn, void *arg);

enum fetch_method {
	FETCH_HEAD,
	FETCH_GET,
	FETCH_POST,
};

struct fetch_request {
	enum fetch_method method;
	const char *url;
	const char *connect_address; /* numeric: connect there whatever the URL's host; or NULL */
	uint16_t connect_port;       /* with connect_address; 0: the URL's */
	const char *host_header;     /* "name:port" to send as Host, or NULL for the URL's */
	const char *const *headers;  /* "Name: value" strings, ends with NULL; or NULL */
	const void *body;            /* of FETCH_POST; copied */
	size_t body_len;
	usec_t connect_timeout;
	usec_t timeout;   /* of the whole */
	size_t read_max;  /* bytes of a body kept; past them the transfer ends, as a success */
	bool verify_peer; /* of https */
};

enum fetch_outcome {
	FETCH_ANSWERED,     /* with an HTTP status, be the body whole, cut or late */
	FETCH_REFUSED,      /* connection refused, host or network unreachable */
	FETCH_NOT_ACCEPTED, /* the connection did not come about in its time */
	FETCH_SILENT,       /* connected, and no answer in its time */
	FETCH_NOT_HTTP,     /* what came is not HTTP, or the connection ended without an answer */
	FETCH_TLS_FAILED,   /* of https: no TLS, or a certificate refused */
	FETCH_UNRESOLVED,
	FETCH_FAILED, /* anything else: see `error` */
};

struct fetch_result {
	enum fetch_outcome outcome;
	long status;
	const char *body; /* at most read_max bytes, and a NUL; borrowed */
	size_t body_len;
	bool tls_suspected;        /* FETCH_NOT_HTTP, and what came begins like a TLS alert */
	bool tls_ready;            /* of https: the handshake was done, whatever came of the rest */
	bool nothing_came;         /* FETCH_NOT_HTTP: the connection ended without a byte */
	const char *content_type;  /* or NULL */
	const char *frame_options; /* X-Frame-Options, or NULL */
	const char *security_policy; /* Content-Security-Policy, or NULL */
	usec_t took;
	const char *error;   /* libcurl's words, for the log */
	uint16_t local_port; /* of our end, so that activity can leave it out; 0 unknown */
};

typedef void fetch_done_fn(const struct fetch_result *result, void *arg);

/*
 * Copies what it is given.  `done` comes once, from the loop, unless the handle was freed; the
 * handle ends with it.
 */
struct fetch *fetch_start(struct fetcher *f, const struct fetch_request *request,
			  fetch_done_fn *done, void *arg);
struct fetch *fetch_free(struct fetch *fetch); /* cancels; from inside `done` does nothing */
DEFINE_CLEANUP(struct fetch *, fetch_free)
