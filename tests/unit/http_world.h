/* SPDX-License-Identifier: MIT */
#pragma once

/*
 * A server and raw sockets on one loop, for the tests of the HTTP server and its WebSockets.  A
 * client's socket is read by an event of the same loop, so a test turns the loop until what it
 * waits for has come.
 */
#include "http/server.h"

#include <arpa/inet.h>
#include <errno.h>
#include <event2/event.h>
#include <fcntl.h>
#include <setjmp.h>
#include <signal.h>
#include <stdarg.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>
#include <sys/resource.h>
#include <sys/socket.h>
#include <sys/un.h>
#include <unistd.h>
/* cmocka wants the three above it */
#include <cmocka.h>

#include "base/log.h"
#include "base/mem.h"
#include "base/metrics.h"
#include "base/strbuf.h"
#include "http/websocket.h"

/* each test program uses some of it */
#pragma GCC diagnostic ignored "-Wunused-function"

#define BIG (1024 * 1024)

/* More than the kernel keeps of it for a client that doesn't read. */
#define FILE_SIZE (24 * BIG)

struct world {
	struct loop *loop;
	struct http_server *server;
	struct http_settings settings;
	uint16_t port;

	unsigned heads;
	unsigned gone;
	unsigned emptied;
	unsigned writable;
	unsigned closed;
	int closed_code;
	uid_t peer_uid;
	bool peer_is_unix;
	struct http_request *pending;
	struct http_stream *stream;
	struct websocket *ws;
	struct strbuf messages;
	struct http_file *file; /* of FILE_SIZE, once one was asked for */
	struct bytes *shared;   /* of BIG */
};

struct client {
	struct world *w;
	int fd;
	struct event *readable;
	struct strbuf in;
	bool ended; /* FIN or RST */
	bool reset;
};

/*
 * The server's side
 */

static void on_gone(void *arg)
{
	struct world *w = arg;

	w->gone++;
	w->pending = NULL;
}

static void reply(struct http_request *req, const char *text)
{
	http_reply(req, 200, "text/plain", text, strlen(text));
}

static void on_body(struct http_request *req, void *arg)
{
	size_t len;
	const char *body = http_request_body(req, &len);

	(void)arg;
	http_reply(req, 200, "text/plain", body, len);
}

static void on_stream_writable(struct http_stream *s, void *arg)
{
	struct world *w = arg;

	(void)s;
	w->writable++;
}

static void on_stream_gone(struct http_stream *s, void *arg)
{
	struct world *w = arg;

	(void)s;
	w->gone++;
	w->stream = NULL;
}

static void on_message(struct websocket *ws, enum websocket_opcode opcode, const void *bytes,
		       size_t len, void *arg)
{
	struct world *w = arg;

	strbuf_printf(&w->messages, "%d:", (int)opcode);
	strbuf_add(&w->messages, bytes, len);
	strbuf_putc(&w->messages, ';');
	if (len == 5 && memcmp(bytes, "abort", 5) == 0) {
		websocket_abort(ws);
		w->ws = NULL;
	}
}

static void on_closed(struct websocket *ws, int code, void *arg)
{
	struct world *w = arg;

	(void)ws;
	w->closed++;
	w->closed_code = code;
	w->ws = NULL;
}

/* Each of its MiB begins with a letter of its own. */
static struct http_file *the_file(struct world *w)
{
	if (!w->file) {
		int fd = memfd_create("file", MFD_CLOEXEC);

		assert_true(fd >= 0);
		assert_int_equal(ftruncate(fd, FILE_SIZE), 0);
		for (off_t i = 0; i < FILE_SIZE / BIG; i++)
			assert_int_equal(pwrite(fd, &"0123456789abcdef"[i % 16], 1, i * BIG), 1);
		w->file = http_file_new_take(fd);
	}
	return w->file;
}

static struct bytes *the_shared(struct world *w)
{
	if (!w->shared) {
		scoped(freep) char *big = xcalloc(1, BIG);

		memset(big, 's', BIG);
		w->shared = bytes_new(big, BIG);
	}
	return w->shared;
}

static void on_head(struct http_request *req, void *arg)
{
	static const struct http_stream_ops stream_ops = {
		.on_writable = on_stream_writable,
		.on_gone = on_stream_gone,
	};
	static const struct websocket_ops ws_ops = { on_message, on_closed };
	const char *path = http_request_path(req);
	struct world *w = arg;

	w->heads++;
	w->peer_is_unix = http_request_peer(req)->is_unix;
	w->peer_uid = http_request_peer(req)->uid;
	if (strcmp(path, "/echo") == 0) {
		http_request_expect(req, 1000, on_body, w);
	} else if (strcmp(path, "/wait") == 0) {
		w->pending = req;
		http_request_on_gone(req, on_gone, w);
	} else if (strcmp(path, "/keep") == 0) {
		w->pending = req; /* doesn't ask to be told of a client that leaves */
	} else if (strcmp(path, "/big") == 0) {
		scoped(freep) char *big = xcalloc(1, BIG);

		memset(big, 'b', BIG);
		http_reply(req, 200, "text/plain", big, BIG);
	} else if (strcmp(path, "/file") == 0) {
		http_reply_file(req, 200, "text/plain", the_file(w), 0, FILE_SIZE);
	} else if (strcmp(path, "/part") == 0) {
		http_reply_file(req, 206, "text/plain", the_file(w), 3 * BIG, BIG + 1);
	} else if (strcmp(path, "/shared") == 0) {
		http_reply_bytes(req, 200, "text/plain", the_shared(w), 1, BIG - 1);
	} else if (strcmp(path, "/stream") == 0) {
		w->stream = http_stream_start(req, 200, "text/plain", &stream_ops, w);
	} else if (strcmp(path, "/ws") == 0) {
		w->ws = websocket_accept(req, NULL, &ws_ops, w);
	} else if (strcmp(path, "/known") == 0) {
		http_request_set_known(req);
		reply(req, path);
	} else if (strcmp(path, "/none") == 0) {
		http_reply(req, 204, NULL, NULL, 0);
	} else {
		reply(req, path);
	}
}

static int listen_here(struct world *w)
{
	struct sockaddr_in sa = { .sin_family = AF_INET,
				  .sin_addr.s_addr = htonl(INADDR_LOOPBACK) };
	socklen_t len = sizeof(sa);
	int fd = socket(AF_INET, SOCK_STREAM | SOCK_CLOEXEC, 0);

	assert_true(fd >= 0);
	assert_int_equal(bind(fd, (struct sockaddr *)&sa, sizeof(sa)), 0);
	assert_int_equal(listen(fd, 16), 0);
	assert_int_equal(getsockname(fd, (struct sockaddr *)&sa, &len), 0);
	w->port = ntohs(sa.sin_port);
	return fd;
}

static int set_up(void **state)
{
	struct world *w = xcalloc(1, sizeof(*w));

	log_setup(LOG_LEVEL_ERROR, LOG_FORMAT_TEXT);
	w->settings = (struct http_settings){
		.connections_max = 3,
		.header_timeout = 20 * USEC_PER_SEC,
		.body_timeout = 20 * USEC_PER_SEC,
		.idle_timeout = 20 * USEC_PER_SEC,
		.write_timeout = 20 * USEC_PER_SEC,
		.output_max = 256 * 1024,
		.ws_message_max = 1000,
		.ws_ping_interval = 20 * USEC_PER_SEC,
	};
	w->messages = strbuf_init(STRBUF_UNLIMITED);
	w->loop = loop_new();
	w->server = http_server_new(w->loop, &w->settings, on_head, w);
	assert_int_equal(http_server_listen_consume(w->server, listen_here(w)), 0);
	*state = w;
	return 0;
}

static int tear_down(void **state)
{
	struct world *w = *state;

	http_server_free(w->server);
	loop_free(w->loop);
	strbuf_done(&w->messages);
	http_file_unref(w->file);
	bytes_unref(w->shared);
	free(w);
	return 0;
}

/*
 * The client's side
 */

static void on_readable(evutil_socket_t fd, short what, void *arg)
{
	struct client *c = arg;
	char buf[65536];
	ssize_t n = recv(fd, buf, sizeof(buf), MSG_DONTWAIT);

	(void)what;
	if (n > 0) {
		strbuf_add(&c->in, buf, (size_t)n);
		return;
	}
	if (n < 0 && errno == EAGAIN)
		return;
	c->ended = true;
	c->reset = n < 0;
	event_del(c->readable);
}

/* One that doesn't read until client_read(), from that one of the loopback's addresses. */
static struct client *client_silent_from(struct world *w, in_addr_t from)
{
	struct sockaddr_in own = { .sin_family = AF_INET, .sin_addr.s_addr = htonl(from) };
	struct sockaddr_in sa = { .sin_family = AF_INET,
				  .sin_addr.s_addr = htonl(INADDR_LOOPBACK),
				  .sin_port = htons(w->port) };
	struct client *c = xcalloc(1, sizeof(*c));

	c->w = w;
	c->in = strbuf_init(STRBUF_UNLIMITED);
	c->fd = socket(AF_INET, SOCK_STREAM | SOCK_CLOEXEC, 0);
	assert_true(c->fd >= 0);
	assert_int_equal(bind(c->fd, (struct sockaddr *)&own, sizeof(own)), 0);
	assert_int_equal(connect(c->fd, (struct sockaddr *)&sa, sizeof(sa)), 0);
	c->readable = event_new(loop_base(w->loop), c->fd, EV_READ | EV_PERSIST, on_readable, c);
	return c;
}

static struct client *client_silent(struct world *w)
{
	return client_silent_from(w, INADDR_LOOPBACK);
}

static void client_read(struct client *c)
{
	event_add(c->readable, NULL);
}

static struct client *client_new(struct world *w)
{
	struct client *c = client_silent(w);

	client_read(c);
	return c;
}

static struct client *client_free(struct client *c)
{
	if (!c)
		return NULL;
	event_free(c->readable);
	if (c->fd >= 0)
		close(c->fd);
	strbuf_done(&c->in);
	free(c);
	return NULL;
}
DEFINE_CLEANUP(struct client *, client_free)

static void client_close(struct client *c)
{
	event_del(c->readable);
	close(c->fd);
	c->fd = -1;
}

static void say_bytes(struct client *c, const void *bytes, size_t len)
{
	assert_int_equal(send(c->fd, bytes, len, MSG_NOSIGNAL), (ssize_t)len);
}

static void say(struct client *c, const char *text)
{
	say_bytes(c, text, strlen(text));
}

static void get(struct client *c, const char *path)
{
	scoped(freep) char *text = xasprintf("GET %s HTTP/1.1\r\nHost: x\r\n\r\n", path);

	say(c, text);
}

static void turn(struct world *w)
{
	assert_int_equal(event_base_loop(loop_base(w->loop), EVLOOP_ONCE), 0);
}

/* Turns the loop until it comes true; what never does is ended by the alarm of main(). */
#define wait_until(w, condition)     \
	do {                         \
		while (!(condition)) \
			turn(w);     \
	} while (0)

static unsigned times(const struct client *c, const char *text)
{
	unsigned n = 0;

	for (const char *at = strbuf_str(&c->in); (at = strstr(at, text)); at += strlen(text))
		n++;
	return n;
}

static bool has(const struct client *c, const char *text)
{
	return times(c, text) > 0;
}

static void wait_text(struct client *c, const char *text)
{
	while (!has(c, text)) {
		if (c->ended)
			fail_msg("ended without \"%s\": %s", text, strbuf_str(&c->in));
		turn(c->w);
	}
}

static void wait_end(struct client *c)
{
	wait_until(c->w, c->ended);
}

/* Everything that can go on without the client has gone on. */
static void settle(struct world *w)
{
	for (unsigned i = 0; i < 200; i++)
		event_base_loop(loop_base(w->loop), EVLOOP_NONBLOCK);
}
