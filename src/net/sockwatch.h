/* SPDX-License-Identifier: MIT */
#pragma once

#include <stdint.h>

#include "base/cleanup.h"
#include "loop/loop.h"
#include "net/sockdiag.h"

/*
 * The kernel's word for each TCP socket that is closed (the TCP-destroy groups of sock_diag), with
 * its last counts: what came and went between two looks, and the end of a listener within a
 * millisecond.  Unprivileged, of this network namespace.
 *
 * It listens only while there are ports to watch.  The kernel passes on only theirs: of up to 64
 * exactly, of more whatever lies between the lowest and the highest; the rest is dropped here.
 */
struct sockwatch;

struct sockwatch_ops {
	/* `peer_port` 0: it was a listener, or a socket that was bound only. */
	void (*closed)(const struct tcp_socket *s, void *arg);
	/* More were closed than the buffer holds: some were not told. */
	void (*overrun)(void *arg);
};

/* `receive_buffer` in bytes, as much of it as the kernel allows. */
struct sockwatch *sockwatch_new(struct loop *loop, size_t receive_buffer,
				const struct sockwatch_ops *ops, void *arg);
struct sockwatch *sockwatch_free(struct sockwatch *w);
DEFINE_CLEANUP(struct sockwatch *, sockwatch_free)

/* -errno where the kernel doesn't have the groups; the port counts as watched all the same. */
int sockwatch_add(struct sockwatch *w, uint16_t port) must_use;
void sockwatch_remove(struct sockwatch *w, uint16_t port);

/* Tells what has arrived by now, before the loop would. */
void sockwatch_read(struct sockwatch *w);
