/* SPDX-License-Identifier: MIT */
/*
 * A file on its way to a client, behind whatever waits in the connection's output.
 *
 * Not libevent's file segments: there a socket that turns out to be full counts as closed, and one
 * turn sends as much as a fast client takes, with everybody else waiting.
 */
#include <errno.h>
#include <stdlib.h>
#include <sys/sendfile.h>

#include "base/mem.h"
#include "http/http_priv.h"
#include "http/room.h"

struct http_sending {
	struct http_conn *conn;
	struct http_file *file;
	uint64_t from;
	uint64_t left;
	struct event *writable;
	struct job *warming; /* until it is over nothing is sent */
};

uint64_t http_sendfile(struct http_conn *c, const struct http_file *file, uint64_t *from,
		       uint64_t len)
{
	uint64_t budget = HTTP_SENDFILE_PER_TURN;

	while (len > 0 && budget > 0 && !c->broken) {
		off_t offset = (off_t)*from;
		ssize_t n =
			sendfile(c->fd, file->fd, &offset, (size_t)(len < budget ? len : budget));

		if (n < 0 && errno == EINTR)
			continue;
		if (n < 0 && (errno == EAGAIN || errno == EWOULDBLOCK))
			break;
		if (n <= 0) {
			/* The client is gone; or the file is shorter than the length that was
			 * promised, and an answer that cannot be completed must not look it. */
			c->reset = true;
			c->broken = true;
			http_server_queue(c);
			break;
		}
		*from += (uint64_t)n;
		len -= (uint64_t)n;
		budget -= (uint64_t)n;
	}
	return len;
}

static void on_warm(int result, void *arg)
{
	struct http_sending *s = arg;

	(void)result; /* what failed there fails here again, where it is known what to do */
	s->warming = NULL;
	http_file_is_warm(s->file, s->from, s->left);
	event_add(s->writable, NULL);
}

/* A disk takes its time: meanwhile it is others' turn. */
static bool warm(struct http_sending *s)
{
	if (!http_file_is_cold(s->file, s->from, s->left))
		return false;
	s->warming = http_file_warm(s->conn->server->jobs, s->file, s->from, s->left, on_warm, s);
	if (s->warming)
		event_del(s->writable);
	return s->warming != NULL;
}

static void on_writable(evutil_socket_t fd, short what, void *arg)
{
	struct http_sending *s = arg;
	struct http_conn *c = s->conn;

	(void)fd;
	(void)what;
	if (warm(s))
		return;
	s->left = http_sendfile(c, s->file, &s->from, s->left);
	http_room_renew(c);
	if (s->left > 0 || c->broken)
		return;
	c->sending = http_sending_free(s);
	http_conn_taken(c);
}

struct http_sending *http_sending_new(struct http_conn *c, struct http_file *file, uint64_t from,
				      uint64_t len)
{
	struct http_sending *s = xcalloc(1, sizeof(*s));

	*s = (struct http_sending){
		.conn = c,
		.file = http_file_ref(file),
		.from = from,
		.left = len,
		.writable = event_new(loop_base(c->server->loop), c->fd, EV_WRITE | EV_PERSIST,
				      on_writable, s),
	};
	if (!s->writable)
		abort(); /* out of memory, as in xcalloc() */
	return s;
}

struct http_sending *http_sending_free(struct http_sending *s)
{
	if (!s)
		return NULL;
	job_free(s->warming);
	event_free(s->writable);
	http_file_unref(s->file);
	free(s);
	return NULL;
}

void http_sending_begin(struct http_sending *s)
{
	event_add(s->writable, NULL);
}

uint64_t http_sending_left(const struct http_sending *s)
{
	return s->left;
}
