/* SPDX-License-Identifier: MIT */
#pragma once

#include <stdbool.h>
#include <stdint.h>
#include <sys/types.h>

#include "base/cleanup.h"

/*
 * Finds the server among the processes beneath one: the port that they really listen on, and of
 * several the one that answers with a page.  What a command prints is not asked: it may print
 * another's address, or one that is taken.
 */
struct found_server {
	uint16_t port;
	char host[46]; /* "127.0.0.1", or the one address it listens on */
	bool tls;
	bool is_page; /* it answered with HTML; else with something else */
};

/* That port if nobody listens on it, on 127.0.0.1, else 0; port 0: one that the kernel has free. */
unsigned port_if_free(unsigned port);

/*
 * Looks once, for some milliseconds and what the servers take to answer.  1 and `ret` filled when
 * something answers over HTTP, 0 when nothing does yet, or a negative errno where it can't be seen.
 * `port` 0: any.
 */
int server_find(pid_t above, uint16_t port, const char *path, struct found_server *ret) must_use;
