/* SPDX-License-Identifier: MIT */
/*
 * One connection: where it stands, and its bytes in and out.
 *
 * Reading goes on while a request is pending, up to HTTP_INPUT_MAX, so that a client that leaves is
 * seen at once.
 *
 * The end of what a client sends (FIN) may mean that it has left or that it has only shut down its
 * writing side (RFC 9112 section 9.6); until something is written to it, TCP doesn't tell the two
 * apart.  Requests that came whole before the FIN are answered.  Where somebody asked to be told of
 * a client that leaves (on_gone; streams and WebSockets always) the FIN counts as leaving, as it
 * does with nginx.  Where nobody did, the answer is sent, and a client that has really left costs
 * one failed write.
 */
#include "http/http_priv.h"

#include <assert.h>
#include <errno.h>
#include <event2/buffer.h>
#include <stdlib.h>
#include <sys/socket.h>
#include <unistd.h>

#include "base/mem.h"
#include "base/metrics.h"
#include "http/room.h"
#include "http/websocket.h"

/* Whether it is the client's turn: see room.h. */
static bool waits_for_client(enum http_conn_state state)
{
	switch (state) {
	case HTTP_CONN_HEAD:
	case HTTP_CONN_BODY:
	case HTTP_CONN_SKIP:
	case HTTP_CONN_FLUSH:
	case HTTP_CONN_LINGER:
		return true;
	case HTTP_CONN_PENDING:
	case HTTP_CONN_STREAM:
	case HTTP_CONN_WEBSOCKET:
	case HTTP_CONN_CLOSED:
		return false;
	}
	return false;
}

static struct http_room *room_of(const struct http_conn *c)
{
	return c->known ? c->server->known : c->server->strangers;
}

void http_conn_set_state(struct http_conn *c, enum http_conn_state state)
{
	const bool waits = waits_for_client(state);

	c->state = state;
	if (!c->address)
		return; /* its socket is closed already */
	if (waits && c->room != room_of(c)) {
		http_room_leave(c->room, c);
		http_room_enter(room_of(c), c);
	}
	http_room_set_waiting(c->room, c, waits);
}

static struct evbuffer *input_of(const struct http_conn *c)
{
	return bufferevent_get_input(c->bev);
}

static struct evbuffer *output_of(const struct http_conn *c)
{
	return bufferevent_get_output(c->bev);
}

size_t http_conn_waiting(const struct http_conn *c)
{
	uint64_t of_file = c->sending ? http_sending_left(c->sending) : 0;

	return c->bev ? c->held_bytes + evbuffer_get_length(output_of(c)) + (size_t)of_file : 0;
}

/*
 * Output
 */

static bool can_send(const struct http_conn *c)
{
	return c->state != HTTP_CONN_CLOSED && !c->broken;
}

/*
 * What the kernel takes at once, when nothing waits before it.  A bufferevent alone would go
 * through epoll for each answer: two epoll_ctl() and a turn of the loop more.
 */
static size_t send_now(struct http_conn *c, const struct iovec *parts, size_t n, int flags)
{
	struct msghdr message = { .msg_iov = (struct iovec *)parts, .msg_iovlen = n };
	ssize_t sent;

	if (evbuffer_get_length(output_of(c)) > 0 || c->sending)
		return 0;
	c->taken_at = clock_monotonic();

	do {
		sent = sendmsg(c->fd, &message, MSG_NOSIGNAL | MSG_DONTWAIT | flags);
	} while (sent < 0 && errno == EINTR);
	if (sent >= 0)
		return (size_t)sent;

	if (errno != EAGAIN && errno != EWOULDBLOCK) {
		/* The caller is in the middle of its work: it learns of it from the queue. */
		c->broken = true;
		http_server_queue(c);
	}
	return 0;
}

/* What of the part is not among the `sent` bytes. */
static void queue_copy(struct http_conn *c, const struct iovec *part, size_t *sent)
{
	size_t skip = *sent < part->iov_len ? *sent : part->iov_len;
	size_t rest = part->iov_len - skip;

	*sent -= skip;
	if (rest > 0 && can_send(c)) {
		evbuffer_add(output_of(c), (const char *)part->iov_base + skip, rest);
		c->queued_bytes += rest;
	}
}

void http_conn_send(struct http_conn *c, const struct iovec *parts, size_t n)
{
	size_t sent;

	assert(!c->sending); /* a file goes before the next request is read */
	http_conn_send_held(c);
	if (!can_send(c))
		return;

	sent = send_now(c, parts, n, 0);
	for (size_t i = 0; i < n; i++)
		queue_copy(c, &parts[i], &sent);
}

static void drop_reference(const void *data, size_t len, void *arg)
{
	(void)data;
	(void)len;
	bytes_unref(arg);
}

static void queue_shared(struct http_conn *c, struct bytes *b, size_t from, size_t len)
{
	c->queued_bytes += len;
	evbuffer_add_reference(output_of(c), b->data + from, len, drop_reference, bytes_ref(b));
}

void http_conn_send_with_bytes(struct http_conn *c, const struct iovec *head, struct bytes *b,
			       size_t from, size_t len)
{
	const struct iovec parts[] = { *head, { b->data + from, len } };
	size_t sent;

	http_conn_send_held(c);
	if (!can_send(c))
		return;

	sent = send_now(c, parts, len > 0 ? 2 : 1, 0);
	queue_copy(c, head, &sent);
	if (sent < len && can_send(c))
		queue_shared(c, b, from + sent, len - sent);
}

void http_conn_send_with_file(struct http_conn *c, const struct iovec *head, struct http_file *file,
			      uint64_t from, uint64_t len)
{
	size_t sent;
	bool whole;

	http_conn_send_held(c);
	if (!can_send(c))
		return;

	/* MSG_MORE: the kernel puts the head into one packet with the file's first bytes */
	sent = send_now(c, head, 1, len > 0 ? MSG_MORE : 0);
	whole = sent == head->iov_len;
	queue_copy(c, head, &sent);
	if (whole && !http_file_is_cold(file, from, len))
		len = http_sendfile(c, file, &from, len);
	if (len > 0 && can_send(c)) {
		c->queued_bytes += len;
		c->sending = http_sending_new(c, file, from, len);
		if (whole)
			http_sending_begin(c->sending);
	}
}

void http_conn_send_held(struct http_conn *c)
{
	struct iovec parts[HTTP_HELD_MAX];
	unsigned n = c->n_held;
	size_t sent = 0;

	if (n == 0)
		return;
	http_server_unhold(c);
	c->n_held = 0;
	c->held_bytes = 0;
	for (unsigned i = 0; i < n; i++)
		parts[i] = (struct iovec){ c->held[i]->data, c->held[i]->len };
	if (can_send(c))
		sent = send_now(c, parts, n, 0);

	for (unsigned i = 0; i < n; i++) {
		struct bytes *b = c->held[i];
		size_t skip = sent < b->len ? sent : b->len;

		sent -= skip;
		if (skip < b->len && can_send(c))
			queue_shared(c, b, skip, b->len - skip);
		bytes_unref(b);
	}
}

void http_conn_send_shared(struct http_conn *c, struct bytes *b)
{
	if (!can_send(c))
		return;
	if (evbuffer_get_length(output_of(c)) > 0) { /* what is held has gone before */
		queue_shared(c, b, 0, b->len);
		return;
	}

	c->held[c->n_held++] = bytes_ref(b);
	c->held_bytes += b->len;
	if (c->n_held == 1)
		http_server_hold(c);
	if (c->n_held == HTTP_HELD_MAX)
		http_conn_send_held(c);
}

/*
 * What comes after an answer
 */

void http_conn_wake(struct http_conn *c)
{
	if (!c->processing)
		http_server_queue(c);
}

/*
 * A client that is still sending when its connection is closed is answered with RST, which makes
 * it forget the answer it has not read yet.  So the sending side is shut down, and what comes is
 * thrown away until the client has closed, too, or a bound is reached.
 */
static void flushed(struct http_conn *c)
{
	if (!c->linger || c->half_closed) {
		http_conn_close(c);
		return;
	}
	shutdown(c->fd, SHUT_WR);
	http_conn_set_state(c, HTTP_CONN_LINGER);
	c->skip_left = HTTP_LINGER_BYTES;
	c->deadline = http_deadline(clock_monotonic(), HTTP_LINGER_TIME);
	http_conn_wake(c);
}

void http_conn_finish(struct http_conn *c, bool linger)
{
	if (c->state == HTTP_CONN_CLOSED)
		return;
	http_conn_send_held(c);
	c->linger = linger || evbuffer_get_length(input_of(c)) > 0;
	c->deadline = USEC_INFINITY; /* the write deadline holds */
	http_conn_set_state(c, HTTP_CONN_FLUSH);
	if (http_conn_waiting(c) == 0)
		flushed(c);
}

static void next_request(struct http_conn *c)
{
	bool idle = evbuffer_get_length(input_of(c)) == 0;

	if (c->server->draining && idle) {
		http_conn_finish(c, false);
		return;
	}
	http_conn_set_state(c, HTTP_CONN_HEAD);
	c->scanned = 0;
	c->head_begun = false;
	c->deadline = http_deadline(clock_monotonic(), c->limits->set.idle_timeout);
	if (!idle || c->half_closed)
		http_conn_wake(c);
}

static void pass_over(struct http_conn *c, uint64_t body_bytes)
{
	http_conn_set_state(c, HTTP_CONN_SKIP);
	c->skip_left = body_bytes;
	c->deadline = http_deadline(clock_monotonic(), c->limits->set.body_timeout);
	http_conn_wake(c);
}

void http_conn_answered(struct http_conn *c, const struct http_after *after)
{
	if (!after->keep_alive)
		http_conn_finish(c, after->unread);
	else if (after->unread)
		pass_over(c, after->skip_left);
	else
		next_request(c);
}

void http_conn_close(struct http_conn *c)
{
	if (c->state == HTTP_CONN_CLOSED)
		return;
	http_conn_set_state(c, HTTP_CONN_CLOSED);
	http_conn_send_held(c); /* lets go of it */
	c->sending = http_sending_free(c->sending);
	bufferevent_disable(c->bev, EV_READ | EV_WRITE);
	http_server_queue(c);
}

void http_conn_abort(struct http_conn *c)
{
	c->reset = true;
	http_conn_close(c);
}

void http_conn_gone(struct http_conn *c)
{
	enum http_conn_state was = c->state;

	http_conn_close(c);
	switch (was) {
	case HTTP_CONN_BODY:
	case HTTP_CONN_PENDING:
		http_request_gone(c->req);
		return;
	case HTTP_CONN_STREAM:
		http_stream_gone(c->stream);
		return;
	case HTTP_CONN_WEBSOCKET:
		websocket_gone(c->ws);
		return;
	case HTTP_CONN_HEAD:
	case HTTP_CONN_SKIP:
	case HTTP_CONN_FLUSH:
	case HTTP_CONN_LINGER:
	case HTTP_CONN_CLOSED:
		return;
	}
}

/*
 * Input
 */

static void discard(struct http_conn *c, size_t n)
{
	evbuffer_drain(input_of(c), n);
	c->skip_left -= n;
}

static bool skip_body(struct http_conn *c)
{
	size_t here = evbuffer_get_length(input_of(c));

	discard(c, here < c->skip_left ? here : (size_t)c->skip_left);
	if (c->skip_left == 0) {
		next_request(c);
		return true;
	}
	if (c->half_closed)
		http_conn_close(c);
	return false;
}

static bool throw_away(struct http_conn *c)
{
	size_t here = evbuffer_get_length(input_of(c));

	if (c->half_closed || here >= c->skip_left)
		http_conn_close(c);
	else
		discard(c, here);
	return false;
}

/* Takes one step, and says whether another may follow. */
static bool step(struct http_conn *c)
{
	switch (c->state) {
	case HTTP_CONN_HEAD:
		return http_request_read_head(c);
	case HTTP_CONN_BODY:
		return http_request_read_body(c);
	case HTTP_CONN_WEBSOCKET:
		return websocket_read(c);
	case HTTP_CONN_SKIP:
		return skip_body(c);
	case HTTP_CONN_LINGER:
		return throw_away(c);
	case HTTP_CONN_PENDING:
	case HTTP_CONN_STREAM:
	case HTTP_CONN_FLUSH:
	case HTTP_CONN_CLOSED:
		return false;
	}
	return false;
}

void http_conn_process(struct http_conn *c)
{
	unsigned steps = 0;
	bool more = true;
	usec_t end;

	if (c->processing)
		return;
	c->processing = true;
	end = clock_monotonic() + HTTP_TIME_PER_WAKEUP;
	do {
		more = step(c);
	} while (more && ++steps < HTTP_STEPS_PER_WAKEUP && clock_monotonic() < end);
	c->processing = false;

	if (c->state == HTTP_CONN_PENDING && c->half_closed && c->req->on_gone)
		http_conn_gone(c);
	if (c->state == HTTP_CONN_WEBSOCKET && c->half_closed && !more)
		http_conn_gone(c); /* what it had said before is heard */
	if (more)
		http_server_queue(c);
}

static void on_read(struct bufferevent *bev, void *arg)
{
	struct http_conn *c = arg;

	(void)bev;
	if (!c->queued) /* else its turn comes */
		http_conn_process(c);
}

void http_conn_taken(struct http_conn *c)
{
	usec_t now = clock_monotonic();

	switch (c->state) {
	case HTTP_CONN_FLUSH:
		flushed(c);
		return;
	case HTTP_CONN_STREAM:
		http_stream_taken(c->stream);
		return;
	case HTTP_CONN_HEAD:
		/* A request that waited for this was not late by its client's fault. */
		c->deadline = http_deadline(now, c->head_begun ? c->limits->set.header_timeout
							       : c->limits->set.idle_timeout);
		http_conn_process(c);
		return;
	case HTTP_CONN_BODY:
	case HTTP_CONN_PENDING:
	case HTTP_CONN_WEBSOCKET:
	case HTTP_CONN_SKIP:
	case HTTP_CONN_LINGER:
	case HTTP_CONN_CLOSED:
		return;
	}
}

/* The output buffer is empty. */
static void on_write(struct bufferevent *bev, void *arg)
{
	struct http_conn *c = arg;

	(void)bev;
	if (c->sending)
		http_sending_begin(c->sending);
	else
		http_conn_taken(c);
}

/* The client sends no more: see the top of this file. */
static void on_end_of_input(struct http_conn *c)
{
	c->half_closed = true;
	switch (c->state) {
	case HTTP_CONN_HEAD:
	case HTTP_CONN_BODY:
	case HTTP_CONN_SKIP:
	case HTTP_CONN_LINGER:
	case HTTP_CONN_WEBSOCKET:
		http_conn_process(c);
		return;
	case HTTP_CONN_PENDING:
		if (c->req->on_gone)
			http_conn_gone(c);
		return;
	case HTTP_CONN_STREAM:
		http_conn_gone(c);
		return;
	case HTTP_CONN_FLUSH:
	case HTTP_CONN_CLOSED:
		return;
	}
}

static void on_event(struct bufferevent *bev, short what, void *arg)
{
	struct http_conn *c = arg;

	(void)bev;
	if ((what & BEV_EVENT_EOF) && (what & BEV_EVENT_READING))
		on_end_of_input(c);
	else
		http_conn_gone(c);
}

/*
 * Time
 */

static bool takes_nothing(struct http_conn *c, usec_t now)
{
	size_t waiting = http_conn_waiting(c) - c->held_bytes;
	uint64_t taken = c->queued_bytes - waiting;

	if (waiting == 0)
		return false;
	if (taken != c->taken_bytes) {
		c->taken_bytes = taken;
		c->taken_at = now;
	}
	return now >= http_deadline(c->taken_at, c->limits->set.write_timeout);
}

static void on_deadline(struct http_conn *c)
{
	switch (c->state) {
	case HTTP_CONN_HEAD:
		if (http_conn_waiting(c) > 0)
			return; /* that is the write deadline's */
		metric_inc(METRIC_HTTP_TIMEOUTS);
		if (evbuffer_get_length(input_of(c)) > 0)
			http_request_timed_out(c);
		else
			http_conn_close(c);
		return;
	case HTTP_CONN_BODY:
		metric_inc(METRIC_HTTP_TIMEOUTS);
		http_request_timed_out(c);
		return;
	case HTTP_CONN_SKIP:
	case HTTP_CONN_LINGER:
		http_conn_close(c);
		return;
	case HTTP_CONN_PENDING:
	case HTTP_CONN_STREAM:
	case HTTP_CONN_WEBSOCKET:
	case HTTP_CONN_FLUSH:
	case HTTP_CONN_CLOSED:
		return;
	}
}

void http_conn_tick(struct http_conn *c, usec_t now)
{
	if (c->state == HTTP_CONN_CLOSED)
		return;
	if (takes_nothing(c, now)) {
		metric_inc(METRIC_HTTP_TIMEOUTS);
		c->reset = true;
		http_conn_gone(c);
	} else if (c->state == HTTP_CONN_WEBSOCKET) {
		websocket_tick(c->ws, now);
	} else if (now >= c->deadline) {
		on_deadline(c);
	}
}

void http_conn_drain(struct http_conn *c)
{
	switch (c->state) {
	case HTTP_CONN_HEAD:
		if (evbuffer_get_length(input_of(c)) == 0)
			http_conn_finish(c, false);
		return;
	case HTTP_CONN_STREAM:
		http_stream_drain(c->stream);
		return;
	case HTTP_CONN_WEBSOCKET:
		websocket_close(c->ws, WEBSOCKET_CLOSE_GOING_AWAY, "the server is shutting down");
		return;
	case HTTP_CONN_BODY:
	case HTTP_CONN_PENDING:
	case HTTP_CONN_SKIP:
	case HTTP_CONN_FLUSH:
	case HTTP_CONN_LINGER:
	case HTTP_CONN_CLOSED:
		return;
	}
}

/*
 * Life
 */

struct http_conn *http_conn_new(struct http_server *server, int fd, const struct http_peer *peer)
{
	struct http_conn *c = xcalloc(1, sizeof(*c));
	usec_t now = clock_monotonic();

	*c = (struct http_conn){
		.server = server,
		.limits = server->limits,
		.bev = bufferevent_socket_new(loop_base(server->loop), fd, 0),
		.fd = fd,
		.peer = *peer,
		.deadline = http_deadline(now, server->limits->set.header_timeout),
		.head_begun = true, /* the accept counts as its first byte */
		.known = peer->is_unix,
	};
	c->limits->refs++;
	if (!c->bev)
		abort(); /* out of memory, as in xcalloc() */
	bufferevent_setcb(c->bev, on_read, on_write, on_event, c);
	bufferevent_setwatermark(c->bev, EV_READ, 0, HTTP_INPUT_MAX);
	bufferevent_set_max_single_read(c->bev, HTTP_INPUT_MAX);
	bufferevent_set_max_single_write(c->bev, 256 * 1024);
	bufferevent_enable(c->bev, EV_READ);
	return c;
}

static void close_socket(struct http_conn *c)
{
	const struct linger at_once = { .l_onoff = 1, .l_linger = 0 };

	/* A freed bufferevent lives on until the loop has finalized it: the socket doesn't. */
	bufferevent_disable(c->bev, EV_READ | EV_WRITE);
	bufferevent_setcb(c->bev, NULL, NULL, NULL, NULL);
	bufferevent_free(c->bev);
	c->bev = NULL;
	if (c->reset)
		setsockopt(c->fd, SOL_SOCKET, SO_LINGER, &at_once, sizeof(at_once));
	close(c->fd);
	c->fd = -1;
}

/*
 * A request that nobody takes back (no on_gone) keeps the memory of its connection until it is
 * answered: its handler may still read it.
 */
void http_conn_release(struct http_conn *c)
{
	if (c->bev)
		close_socket(c);
	if (c->req)
		return;
	http_stream_free(c->stream);
	websocket_free(c->ws);
	http_limits_unref(c->limits);
	free(c);
}
