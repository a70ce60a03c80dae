/* SPDX-License-Identifier: MIT */
#pragma once

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>
#include <sys/socket.h>

#include "base/cleanup.h"
#include "base/fault.h"

/*
 * What the CONNECT proxy (net/connectproxy.h) goes by: whom it may be asked for, which addresses it
 * goes to, and how it is asked.  Pure.
 */

/*
 * The list: "host", "*.host", "host:port", "*.host:port", addresses.  Without a port it is 443 that
 * is meant.  An entry that names its port or is an address is the word of somebody who knows what
 * is there: then the address may be private, or this machine's own.
 */
struct connectrules;

bool connectrules_entry_is_valid(const char *entry);
int connectrules_new(const char *const *entries, struct connectrules **ret,
		     struct fault *reterr) must_use;
struct connectrules *connectrules_free(struct connectrules *rules);
DEFINE_CLEANUP(struct connectrules *, connectrules_free)

bool connectrules_allow(const struct connectrules *rules, const char *host, unsigned port,
			bool *ret_may_be_private);

/* Neither loopback, link-local, private, shared (RFC 6598), multicast, nor unspecified; also not by
 * way of an IPv6 address that stands for such an IPv4 one. */
bool address_is_public(const struct sockaddr *address);

/* An upstream proxy, of its URL. */
struct upstream {
	char *host;
	unsigned port;
	char *authorization; /* the line, or "" */
};

int upstream_parse(const char *url, struct upstream *ret, struct fault *reterr) must_use;
void upstream_done(struct upstream *u);

#define CONNECT_HEAD_MAX (16 * 1024)

/* What is asked for: a tunnel, or (plain HTTP) a request to hand on. */
struct connect_request {
	char *host;
	unsigned port;
	char *forward; /* the head to send, of what is no CONNECT; else NULL */
};

/* A whole head, with the empty line at its end.  Returns 0, or the status that refuses it. */
int connect_request_parse(const char *head, size_t len, struct connect_request *ret) must_use;
void connect_request_done(struct connect_request *r);
