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

/* The state of a struct tcp_socket: include/net/tcp_states.h, of which user space has no copy. */
enum {
	TCP_STATE_ESTABLISHED = 1,
	TCP_STATE_FIN_WAIT1 = 4,
	TCP_STATE_FIN_WAIT2 = 5,
	TCP_STATE_CLOSE = 7,
	TCP_STATE_CLOSE_WAIT = 8,
	TCP_STATE_LAST_ACK = 9,
	TCP_STATE_LISTEN = 10,
	TCP_STATE_CLOSING = 11,
};

/* One end of a connection, with what has gone through it so far. */
struct tcp_socket {
	uint64_t cookie; /* the kernel's name of it: never another's */
	int family;
	uint8_t state;
	uint16_t port; /* local */
	uint16_t peer_port;
	uint8_t peer[16]; /* 4 bytes of it where the family is AF_INET */
	uid_t uid;
	unsigned inode;
	uint64_t bytes_received;
	uint64_t bytes_acked; /* sent, and known to have arrived */
	uint32_t data_segs_in;
	uint32_t last_data_recv_ms; /* ago; before any data: the connection's age */
};

/*
 * Visits the connections whose local port is from `low` to `high`.  Of one that both ends of which
 * are on this machine, it is the end with that port.
 */
typedef void sockdiag_visit_fn(const struct tcp_socket *s, void *arg);
int sockdiag_connections(struct sockdiag *sd, uint16_t low, uint16_t high, sockdiag_visit_fn *visit,
			 void *arg) must_use;

/*
 * Whose the connection from `port` to `to_port` of this machine's loopback is: its other end's uid.
 * -ENOENT where it is not to be seen.
 */
int sockdiag_client_uid(struct sockdiag *sd, uint16_t port, uint16_t to_port, uid_t *ret) must_use;

#define TCP_PEER_TEXT_SIZE 64
/* "127.0.0.1:40112", "[::1]:40112"; ::ffff:127.0.0.1 is 127.0.0.1. */
const char *tcp_peer_text(int family, const uint8_t peer[static 16], uint16_t peer_port,
			  char text[static TCP_PEER_TEXT_SIZE]);

/* For sockwatch.c: false for what is no such message. */
struct nlmsghdr;
bool tcp_socket_read(const struct nlmsghdr *h, struct tcp_socket *ret);

/*
 * The pid of a process of ours that holds the socket with that inode, by a walk of /proc; 0 where
 * none can be seen.  Not for the loop's common path: it reads all of /proc.
 */
pid_t socket_owner_pid(unsigned inode);
