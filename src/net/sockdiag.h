/* SPDX-License-Identifier: MIT */
#pragma once

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>
#include <sys/socket.h>
#include <sys/types.h>

#include "base/cleanup.h"

/*
 * What the kernel knows of TCP sockets (NETLINK_SOCK_DIAG, sock_diag(7)): unprivileged, of this
 * network namespace.  The answers come at once from the kernel; a dump of the listeners takes some
 * tens of microseconds.
 */
struct sockdiag;

/* -errno where the kernel has no inet_diag. */
int sockdiag_new(struct sockdiag **ret) must_use;
struct sockdiag *sockdiag_free(struct sockdiag *sd);
DEFINE_CLEANUP(struct sockdiag *, sockdiag_free)

/* One listening socket. */
struct listener {
	int family;       /* AF_INET or AF_INET6 */
	char address[46]; /* numeric */
	uint16_t port;
	bool any_address;   /* 0.0.0.0 or :: */
	bool v6only;        /* an AF_INET6 one that takes no IPv4 */
	bool loopback;      /* reachable at 127.0.0.1 or ::1 */
	unsigned queued;    /* connections waiting to be accepted */
	unsigned queue_max; /* the backlog */
	uid_t uid;
	unsigned inode;
};

/*
 * The listeners on `port`, or on any where it is 0.  At most `max` are written to `ret`; the
 * number found is returned, which may be more, or a negative errno.
 */
int sockdiag_listeners(struct sockdiag *sd, uint16_t port, struct listener *ret,
		       size_t max) must_use;

/*
 * The pid of a process of ours that holds the socket with that inode, by a walk of /proc; 0 where
 * none can be seen.  Not for the loop's common path: it reads all of /proc.
 */
pid_t socket_owner_pid(unsigned inode);
