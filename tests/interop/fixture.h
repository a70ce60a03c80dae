/* SPDX-License-Identifier: MIT */
#pragma once

#include <arpa/inet.h>
#include <dirent.h>
#include <event2/event.h>
#include <stdint.h>
#include <stdio.h>
#include <sys/socket.h>
#include <unistd.h>

#include "base/cleanup.h"
#include "http/server.h"
#include "loop/loop.h"

/*
 * What the small servers of this folder have in common: a port on the loopback interface that they
 * print, and a standard input with which they end.
 */

static inline struct http_settings fixture_settings(void)
{
	return (struct http_settings){
		.connections_max = 4096,
		.header_timeout = 10 * USEC_PER_SEC,
		.body_timeout = 10 * USEC_PER_SEC,
		.idle_timeout = 60 * USEC_PER_SEC,
		.write_timeout = 30 * USEC_PER_SEC,
		.output_max = 1024 * 1024,
		.ws_message_max = 256 * 1024,
		.ws_ping_interval = 20 * USEC_PER_SEC,
	};
}

/* On 127.0.0.1 or, only, ::1; at `*port`, or where that is 0 at any, which it then is. */
static inline int fixture_listen(int family, uint16_t *port)
{
	union {
		struct sockaddr any;
		struct sockaddr_in in;
		struct sockaddr_in6 in6;
	} sa = { 0 };
	socklen_t len = family == AF_INET ? sizeof(sa.in) : sizeof(sa.in6);
	int fd = socket(family, SOCK_STREAM | SOCK_CLOEXEC, 0);
	const int on = 1;

	if (family == AF_INET)
		sa.in = (struct sockaddr_in){ AF_INET, htons(*port), { htonl(INADDR_LOOPBACK) } };
	else
		sa.in6 = (struct sockaddr_in6){ .sin6_family = AF_INET6,
						.sin6_port = htons(*port),
						.sin6_addr = IN6ADDR_LOOPBACK_INIT };
	if (family == AF_INET6 && fd >= 0)
		setsockopt(fd, IPPROTO_IPV6, IPV6_V6ONLY, &on, sizeof(on));
	if (fd < 0 || bind(fd, &sa.any, len) < 0 || listen(fd, 4096) < 0 ||
	    getsockname(fd, &sa.any, &len) < 0) {
		closep(&fd);
		return -1;
	}
	if (family == AF_INET)
		*port = ntohs(sa.in.sin_port);
	return fd;
}

/* A server that listens there has its port printed; NULL: it can't. */
static inline struct http_server *fixture_serve(struct loop *loop,
						const struct http_settings *settings,
						http_request_fn *on_head, void *arg)
{
	struct http_server *server = http_server_new(loop, settings, on_head, arg);
	uint16_t port = 0;
	int fd = fixture_listen(AF_INET, &port);

	if (fd < 0 || http_server_listen_consume(server, fd) < 0)
		return http_server_free(server);
	printf("%u\n", port);
	fflush(stdout);
	return server;
}

/* Runs until standard input, which `on_input` reads, ends.  It has to be a pipe: /dev/null and
 * files are nothing epoll takes. */
static inline void fixture_run(struct loop *loop, event_callback_fn on_input, void *arg)
{
	struct event *input =
		event_new(loop_base(loop), STDIN_FILENO, EV_READ | EV_PERSIST, on_input, arg);

	event_add(input, NULL);
	loop_run(loop);
	event_free(input);
}

/* An `on_input` for those who are told nothing by it; `arg` is the loop. */
static inline void fixture_on_input(evutil_socket_t fd, short what, void *arg)
{
	char ignored[256];

	(void)what;
	if (read(fd, ignored, sizeof(ignored)) <= 0)
		loop_stop(arg);
}

static inline unsigned fixture_descriptors(void)
{
	DIR *dir = opendir("/proc/self/fd");
	unsigned n = 0;

	while (dir && readdir(dir))
		n++;
	if (dir)
		closedir(dir);
	return n - 3; /* ".", ".." and the directory's own */
}
