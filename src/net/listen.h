/* SPDX-License-Identifier: MIT */
#pragma once

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>
#include <sys/socket.h>

#include "base/cleanup.h"
#include "base/fault.h"

/*
 * Listening sockets: by address, by path, or handed over by the service manager.  All are
 * non-blocking and close-on-exec.
 */

/* Whether it is of one of the forms that listen_tcp() takes. */
bool listen_address_is_valid(const char *address);

/* "127.0.0.1:7070", "[::1]:7070", "localhost:7070" (both families' loopback is not implied). Gives
 * the descriptor or a negative errno with a sentence.  Port 0 picks a free one. */
int listen_tcp(const char *address, struct fault *reterr) must_use;

/*
 * A unix socket at `path` with that mode, its directory made (0700) where missing.  A stale socket
 * of a daemon that is gone is replaced; -EADDRINUSE when somebody answers there; whatever is no
 * socket is left alone (-EEXIST).
 */
int listen_unix(const char *path, mode_t mode, struct fault *reterr) must_use;

/* Whether a numeric address is of one of this machine's interfaces: what listens on all is there.
 */
bool address_is_ours(const char *address);

/* The port a TCP socket is bound to; 0 for a unix socket. */
uint16_t listen_port(int fd);

/* "127.0.0.1:7070", "[::1]:7070" or "unix:/run/…"; the caller frees. */
char *listen_name(int fd);

/*
 * The sockets of LISTEN_FDS (sd_listen_fds(3)), when LISTEN_PID is this process; the variables are
 * removed from the environment.  Returns how many, and the array, which the caller frees.
 */
int listen_inherited(int **ret_fds) must_use;
