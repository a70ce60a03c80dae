/* SPDX-License-Identifier: MIT */
/*
 * The connections as a set: accepting them, how many there may be, the tick that sees to their
 * deadlines, and drain.
 *
 * Where there are as many as there may be, or no descriptor is left, one that waits for its client
 * gives way to the one that comes (room.c).
 *
 * Deadlines are looked at once a second, and only while there are connections: a daemon that nobody
 * talks to is not woken.
 */
#include "http/server.h"

#include <arpa/inet.h>
#include <errno.h>
#include <event2/listener.h>
#include <event2/util.h>
#include <netinet/in.h>
#include <netinet/tcp.h>
#include <poll.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/socket.h>
#include <unistd.h>
#include <utlist.h>

#include "base/ids.h"
#include "base/log.h"
#include "base/mem.h"
#include "base/metrics.h"
#include "http/conditional.h"
#include "http/http_priv.h"
#include "http/room.h"

LOG_AREA("http");

#define TICK         USEC_PER_SEC
#define ACCEPT_PAUSE (100 * USEC_PER_MSEC)

/* Of helpers that read files in. */
#define WARMING_THREADS   2
#define WARMING_QUEUE_MAX 1024

/* Connections that send what they hold, until sockets have their turn. */
#define HOLDING_PER_TURN 64

struct http_listener {
	struct http_server *server;
	struct evconnlistener *events;
	struct http_listener *next;
	uint16_t port; /* 0 of a unix socket */
};

/*
 * The queue: connections with something to do that must not be done where it came up.
 */

static void wake_queue(struct http_server *server)
{
	/* By a timer of no length, so that the sockets get their turn in between. */
	const struct timeval at_once = { 0 };

	if (server->in_queue)
		event_add(server->queue_event, &at_once);
	else
		event_active(server->queue_event, EV_TIMEOUT, 0);
}

void http_server_queue(struct http_conn *c)
{
	struct http_server *server = c->server;
	bool first = !server->queue;

	if (c->queued)
		return;
	c->queued = true;
	c->next_queued = NULL;
	*server->queue_end = c;
	server->queue_end = &c->next_queued;
	if (first)
		wake_queue(server);
}

static struct http_conn *take_queued(struct http_server *server)
{
	struct http_conn *c = server->queue;

	server->queue = c->next_queued;
	if (!server->queue)
		server->queue_end = &server->queue;
	c->queued = false;
	return c;
}

static void say_empty(struct http_server *server)
{
	loop_fn *fn = server->on_empty;

	if (!server->draining || server->n_conns > 0 || !fn)
		return;
	server->on_empty = NULL;
	fn(server->on_empty_arg);
}

static void release(struct http_server *server, struct http_conn *c)
{
	if (c->req && c->req->on_gone)
		http_request_gone(c->req); /* asked for when the client had left already */
	if (c->stream)
		http_stream_gone(c->stream); /* started then */
	if (c->bev) {
		http_room_leave(c->room, c);
		server->n_conns--;
		metric_set(METRIC_HTTP_CONNECTIONS, (double)server->n_conns);
	}
	if (!c->req)
		DL_DELETE(server->conns, c);
	http_conn_release(c);
}

/* However long the queue is: they take up room. */
static void release_closed(struct http_server *server)
{
	struct http_conn *closed = NULL, **at = &server->queue, *c;

	while ((c = *at)) {
		if (c->state != HTTP_CONN_CLOSED) {
			at = &c->next_queued;
			continue;
		}
		*at = c->next_queued;
		c->next_queued = closed;
		closed = c;
	}
	server->queue_end = at;

	while ((c = closed)) {
		closed = c->next_queued;
		c->queued = false; /* not before: whom a release tells may queue another of these */
		release(server, c);
	}
}

static void on_queue(evutil_socket_t fd, short what, void *arg)
{
	struct http_server *server = arg;
	usec_t end = clock_monotonic() + HTTP_TIME_PER_TURN;
	struct http_conn **last = server->queue_end; /* what comes behind it is of the next turn */
	bool is_last = !server->queue;

	(void)fd;
	(void)what;
	server->in_queue = true;
	while (!is_last) {
		struct http_conn *c = take_queued(server);

		is_last = last == &c->next_queued;
		if (c->state == HTTP_CONN_CLOSED)
			release(server, c);
		else if (c->broken)
			http_conn_gone(c);
		else
			http_conn_process(c);
		if (clock_monotonic() >= end)
			break;
	}
	release_closed(server);
	if (server->queue)
		wake_queue(server);
	server->in_queue = false;
	if (server->n_conns == 0) {
		timer_cancel(server->tick);
		say_empty(server);
	}
}

/*
 * Frames that connections hold.  Some connections at a time, so that events which come in between
 * find most of their receivers still holding the one before, and go with it.
 */

static void wake_holding(struct http_server *server)
{
	const struct timeval at_once = { 0 };

	event_add(server->holding_event, &at_once);
}

void http_server_hold(struct http_conn *c)
{
	struct http_server *server = c->server;

	if (!server->holding) /* behind what is active in this turn */
		event_active(server->holding_event, EV_TIMEOUT, 0);
	DL_APPEND2(server->holding, c, prev_holding, next_holding);
}

void http_server_unhold(struct http_conn *c)
{
	DL_DELETE2(c->server->holding, c, prev_holding, next_holding);
}

static void on_holding(evutil_socket_t fd, short what, void *arg)
{
	struct http_server *server = arg;

	(void)fd;
	(void)what;
	for (unsigned i = 0; server->holding && i < HOLDING_PER_TURN; i++)
		http_conn_send_held(server->holding);
	if (server->holding)
		wake_holding(server);
}

static void on_tick(void *arg)
{
	struct http_server *server = arg;
	usec_t now = clock_monotonic();

	if (server->n_conns == 0)
		return;
	/* No connection leaves the list in here: that happens off the queue. */
	for (struct http_conn *c = server->conns; c; c = c->next)
		http_conn_tick(c, now);
	timer_set(server->tick, TICK);
}

/*
 * Accepting
 */

/*
 * Strangers before those who are known, but for a few: everybody is a stranger until their first
 * request was read.
 */
static struct http_conn *first_to_go(const struct http_server *server)
{
	const bool crowded =
		http_room_waiting(server->strangers) > server->n_conns / HTTP_STRANGERS_SHARE;
	struct http_conn *c = http_room_first_to_go(crowded ? server->strangers : server->known);

	return c ? c : http_room_first_to_go(crowded ? server->known : server->strangers);
}

/* Its descriptor is free at the end of this turn. */
static bool make_room(struct http_server *server)
{
	struct http_conn *c = first_to_go(server);

	if (!c)
		return false;
	metric_inc(METRIC_HTTP_DISPLACED);
	c->reset = http_conn_waiting(c) > 0; /* nor may that stay behind in the kernel */
	http_conn_gone(c);
	return true;
}

static void set_accepting(struct http_server *server, bool accepting)
{
	for (struct http_listener *l = server->listeners; l; l = l->next) {
		if (accepting)
			evconnlistener_enable(l->events);
		else
			evconnlistener_disable(l->events);
	}
}

/* libevent accepts as long as somebody comes: those who are there would wait for as long. */
static void count_accept(struct http_server *server)
{
	if (++server->accepted % HTTP_ACCEPTS_PER_TURN > 0)
		return;
	set_accepting(server, false);
	timer_set(server->resume, 0);
}

static void refuse_connection(int fd)
{
	static const char answer[] = "HTTP/1.1 503 Service Unavailable\r\n"
				     "Server: previewd\r\n"
				     "Retry-After: 1\r\n"
				     "Content-Type: text/plain; charset=utf-8\r\n"
				     "Content-Length: 22\r\n"
				     "Connection: close\r\n"
				     "\r\n"
				     "too many connections\r\n";
	char request[4096];

	/* What has come is read: closing on unread bytes would take the answer back (RST). */
	(void)!recv(fd, request, sizeof(request), MSG_DONTWAIT);
	(void)!send(fd, answer, sizeof(answer) - 1, MSG_NOSIGNAL | MSG_DONTWAIT);
	shutdown(fd, SHUT_WR);
	close(fd);
	metric_inc(METRIC_HTTP_REFUSED);
}

static void peer_of_unix(int fd, struct http_peer *ret)
{
	struct ucred who;
	socklen_t len = sizeof(who);

	/* Nobody, should the kernel not say: -1 is no login's uid. */
	*ret = (struct http_peer){ .is_unix = true, .uid = (uid_t)-1 };
	if (getsockopt(fd, SOL_SOCKET, SO_PEERCRED, &who, &len) < 0)
		return;
	ret->uid = who.uid;
	ret->pid = who.pid;
}

static void peer_of_inet(const struct sockaddr *sa, uint16_t local_port, struct http_peer *ret)
{
	const struct sockaddr_in *v4 = (const struct sockaddr_in *)sa;
	const struct sockaddr_in6 *v6 = (const struct sockaddr_in6 *)sa;
	int family = sa->sa_family;
	const void *address = &v4->sin_addr;

	*ret = (struct http_peer){ .uid = (uid_t)-1, .local_port = local_port };
	ret->port = ntohs(family == AF_INET6 ? v6->sin6_port : v4->sin_port);
	if (family == AF_INET6) {
		address = &v6->sin6_addr;
		/* An IPv4 peer of a dual-stack listener goes by its IPv4 address. */
		if (IN6_IS_ADDR_V4MAPPED(&v6->sin6_addr)) {
			family = AF_INET;
			address = v6->sin6_addr.s6_addr + 12;
		}
	}
	inet_ntop(family, address, ret->address, sizeof(ret->address));
}

static void on_accept(struct evconnlistener *events, evutil_socket_t fd, struct sockaddr *sa,
		      int len, void *arg)
{
	struct http_listener *listener = arg;
	struct http_server *server = listener->server;
	const int on = 1;
	struct http_peer peer;
	struct http_conn *c;

	(void)events;
	(void)len;
	server->accept_failing = false;
	metric_inc(METRIC_HTTP_ACCEPTED);
	count_accept(server);
	if (server->n_conns >= server->limits->set.connections_max && !make_room(server)) {
		refuse_connection(fd);
		return;
	}

	if (sa->sa_family == AF_UNIX) {
		peer_of_unix(fd, &peer);
	} else {
		peer_of_inet(sa, listener->port, &peer);
		/* Two writes of one answer would wait for the client's delayed ACK: 40 ms. */
		setsockopt(fd, IPPROTO_TCP, TCP_NODELAY, &on, sizeof(on));
	}

	c = http_conn_new(server, fd, &peer);
	DL_APPEND(server->conns, c);
	http_room_enter(c->known ? server->known : server->strangers, c);
	server->n_conns++;
	metric_set(METRIC_HTTP_CONNECTIONS, (double)server->n_conns);
	if (!timer_is_set(server->tick))
		timer_set(server->tick, TICK);
}

static void on_resume(void *arg)
{
	struct http_server *server = arg;

	set_accepting(server, true);
}

/* accept() wants a descriptor before it looks whether anybody is there. */
static bool somebody_waits(struct evconnlistener *events)
{
	struct pollfd listener = { .fd = evconnlistener_get_fd(events), .events = POLLIN };

	return poll(&listener, 1, 0) > 0;
}

/* Out of descriptors, mostly.  The connection stays readable in the listener: trying again at once
 * would only burn the processor. */
static void on_accept_error(struct evconnlistener *events, void *arg)
{
	struct http_listener *listener = arg;
	struct http_server *server = listener->server;
	int error = errno;

	if (!somebody_waits(events))
		return;
	metric_inc(METRIC_HTTP_ACCEPT_ERRORS);
	if (!server->accept_failing)
		log_warning_errno(-error, "cannot accept connections for now");
	server->accept_failing = true;

	set_accepting(server, false);
	timer_set(server->resume,
		  (error == EMFILE || error == ENFILE) && make_room(server) ? 0 : ACCEPT_PAUSE);
}

/* 0 of a unix socket. */
static uint16_t bound_port(int fd)
{
	struct sockaddr_storage bound = { 0 };
	socklen_t len = sizeof(bound);

	if (getsockname(fd, (struct sockaddr *)&bound, &len) < 0)
		return 0;
	if (bound.ss_family == AF_INET6)
		return ntohs(((struct sockaddr_in6 *)&bound)->sin6_port);
	return bound.ss_family == AF_INET ? ntohs(((struct sockaddr_in *)&bound)->sin_port) : 0;
}

int http_server_listen_consume(struct http_server *server, int fd)
{
	const unsigned flags = LEV_OPT_CLOSE_ON_FREE | LEV_OPT_CLOSE_ON_EXEC;
	struct http_listener *listener = xcalloc(1, sizeof(*listener));

	listener->server = server;
	listener->port = bound_port(fd);
	if (server->draining || evutil_make_socket_nonblocking(fd) < 0)
		goto fail;
	listener->events = evconnlistener_new(loop_base(server->loop), on_accept, listener, flags,
					      /* it listens already */ 0, fd);
	if (!listener->events)
		goto fail;
	evconnlistener_set_error_cb(listener->events, on_accept_error);
	LL_PREPEND(server->listeners, listener);
	return 0;

fail:
	close(fd);
	free(listener);
	return server->draining ? -ESHUTDOWN : -EINVAL;
}

static void stop_accepting(struct http_server *server)
{
	struct http_listener *l, *next;

	LL_FOREACH_SAFE(server->listeners, l, next)
	{
		evconnlistener_free(l->events);
		free(l);
	}
	server->listeners = NULL;
	timer_cancel(server->resume);
}

/*
 * What all its connections share
 */

struct http_limits *http_limits_unref(struct http_limits *limits)
{
	if (limits && --limits->refs == 0)
		free(limits);
	return NULL;
}

static struct http_limits *limits_new(const struct http_settings *settings)
{
	struct http_limits *limits = xcalloc(1, sizeof(*limits));

	limits->refs = 1;
	limits->set = *settings;
	return limits;
}

const char *http_server_date(struct http_server *server)
{
	uint64_t second = clock_realtime() / USEC_PER_SEC;

	if (second != server->date_second || !server->date[0]) {
		server->date_second = second;
		http_date_format((int64_t)second, server->date);
	}
	return server->date;
}

void http_server_new_id(struct http_server *server, char ret[static 17])
{
	static const char digits[] = "0123456789abcdef";

	if (server->random_used + 8 > sizeof(server->random)) {
		random_bytes(server->random, sizeof(server->random));
		server->random_used = 0;
	}
	for (size_t i = 0; i < 8; i++) {
		uint8_t byte = server->random[server->random_used++];

		ret[2 * i] = digits[byte >> 4];
		ret[2 * i + 1] = digits[byte & 15];
	}
	ret[16] = '\0';
}

/*
 * Life
 */

struct http_server *http_server_new(struct loop *loop, const struct http_settings *settings,
				    http_request_fn *on_head, void *arg)
{
	struct http_server *server = xcalloc(1, sizeof(*server));

	/* libevent writes with writev(), which has no MSG_NOSIGNAL. */
	signal(SIGPIPE, SIG_IGN);

	*server = (struct http_server){
		.loop = loop,
		.jobs = jobs_new(loop, WARMING_THREADS, WARMING_QUEUE_MAX),
		.limits = limits_new(settings),
		.on_head = on_head,
		.arg = arg,
		.strangers = http_room_new(),
		.known = http_room_new(),
		.resume = timer_new(loop, on_resume, server),
		.queue_event = event_new(loop_base(loop), -1, 0, on_queue, server),
		.holding_event = event_new(loop_base(loop), -1, 0, on_holding, server),
		.tick = timer_new(loop, on_tick, server),
		.queue_end = &server->queue,
		.scratch = strbuf_init(STRBUF_UNLIMITED), /* ours, never a client's */
		.random_used = sizeof(server->random),
	};
	if (!server->queue_event || !server->holding_event)
		abort(); /* out of memory, as in xcalloc() */
	return server;
}

struct http_server *http_server_free(struct http_server *server)
{
	struct http_conn *c, *next;

	if (!server)
		return NULL;

	stop_accepting(server);
	server->draining = true;
	server->on_empty = NULL;
	for (c = server->conns; c; c = c->next)
		http_conn_gone(c);
	DL_FOREACH_SAFE(server->conns, c, next)
	{
		c->req = http_request_free(c->req);
		release(server, c);
	}

	jobs_free(server->jobs);
	timer_free(server->resume);
	event_free(server->queue_event);
	event_free(server->holding_event);
	timer_free(server->tick);
	http_room_free(server->strangers);
	http_room_free(server->known);
	http_limits_unref(server->limits);
	strbuf_done(&server->scratch);
	free(server);
	return NULL;
}

void http_server_set(struct http_server *server, const struct http_settings *settings)
{
	http_limits_unref(server->limits);
	server->limits = limits_new(settings);
}

void http_server_on_refusal(struct http_server *server, http_refusal_fn *fn, void *arg)
{
	server->on_refusal = fn;
	server->on_refusal_arg = arg;
}

void http_server_on_done(struct http_server *server, http_done_fn *fn, void *arg)
{
	server->on_done = fn;
	server->on_done_arg = arg;
}

void http_server_drain(struct http_server *server, loop_fn *on_empty, void *arg)
{
	stop_accepting(server);
	server->draining = true;
	server->on_empty = on_empty;
	server->on_empty_arg = arg;

	/* Connections leave the list off the queue only, so whatever is closed in here stays. */
	for (struct http_conn *c = server->conns; c; c = c->next)
		http_conn_drain(c);
	wake_queue(server); /* where on_empty comes from, if there are none */
}

size_t http_server_connections(const struct http_server *server)
{
	return server->n_conns;
}
