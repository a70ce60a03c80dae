/* SPDX-License-Identifier: MIT */
/*
 * Answers of unknown length.  At most output_max bytes wait for a client: its writer learns that
 * there is no room, and learns again when all was taken.
 */
#include <errno.h>
#include <stdio.h>
#include <stdlib.h>

#include "base/mem.h"
#include "http/http_priv.h"

struct http_stream {
	struct http_conn *conn;
	const struct http_stream_ops *ops;
	void *arg;
	bool chunked : 1;
	bool silent : 1; /* to HEAD, 204, 304: only the head is sent */
	struct http_after after;
};

struct http_stream *http_stream_free(struct http_stream *s)
{
	free(s);
	return NULL;
}

struct http_stream *http_stream_start(struct http_request *req, int status,
				      const char *content_type, const struct http_stream_ops *ops,
				      void *arg)
{
	struct http_conn *c = req->conn;
	bool has_body = http_status_has_body(status);
	struct http_stream *s = xcalloc(1, sizeof(*s));
	struct http_answer answer = {
		.status = status,
		.content_type = has_body ? content_type : NULL,
		.framing = !has_body      ? HTTP_LENGTH_NONE
			   : req->minor_0 ? HTTP_LENGTH_CLOSE
					  : HTTP_LENGTH_CHUNKED,
	};

	*s = (struct http_stream){
		.conn = c,
		.ops = ops,
		.arg = arg,
		.chunked = answer.framing == HTTP_LENGTH_CHUNKED && !req->is_head,
		.silent = !has_body || req->is_head,
	};
	c->stream = s;
	if (c->state == HTTP_CONN_CLOSED) {
		c->req = http_request_free(req);
		http_server_queue(c); /* which tells the writer */
		return s;
	}
	if (c->half_closed) {
		c->broken = true; /* to a stream that is leaving, see conn.c */
		http_server_queue(c);
	}
	s->after = http_answer_start(req, &answer, NULL, 0);
	http_conn_set_state(c, HTTP_CONN_STREAM);
	return s;
}

int http_stream_write(struct http_stream *s, const void *bytes, size_t len)
{
	struct http_conn *c = s->conn;
	char size[24];
	struct iovec parts[3] = {
		{ .iov_base = size },
		{ .iov_base = (void *)bytes, .iov_len = len },
		{ .iov_base = (void *)"\r\n", .iov_len = 2 },
	};

	if (len == 0 || s->silent)
		return 0; /* an empty chunk would be the last */
	if (http_conn_waiting(c) + len > c->limits->set.output_max)
		return -ENOBUFS;

	if (s->chunked) {
		parts[0].iov_len = (size_t)snprintf(size, sizeof(size), "%zx\r\n", len);
		http_conn_send(c, parts, 3);
	} else {
		http_conn_send(c, &parts[1], 1);
	}
	return 0;
}

size_t http_stream_waiting(const struct http_stream *s)
{
	return http_conn_waiting(s->conn);
}

void http_stream_end(struct http_stream *s)
{
	const struct iovec last = { .iov_base = (void *)"0\r\n\r\n", .iov_len = 5 };
	struct http_conn *c = s->conn;
	const struct http_after after = s->after;

	if (s->chunked)
		http_conn_send(c, &last, 1);
	c->stream = http_stream_free(s);
	if (c->state == HTTP_CONN_STREAM)
		http_conn_answered(c, &after);
}

void http_stream_abort(struct http_stream *s)
{
	struct http_conn *c = s->conn;

	c->stream = http_stream_free(s);
	http_conn_abort(c);
}

void http_stream_taken(struct http_stream *s)
{
	if (s->ops->on_writable)
		s->ops->on_writable(s, s->arg);
}

void http_stream_gone(struct http_stream *s)
{
	struct http_conn *c = s->conn;
	const struct http_stream_ops *ops = s->ops;

	if (ops->on_gone)
		ops->on_gone(s, s->arg);
	/* Unless on_gone aborted it all the same. */
	c->stream = http_stream_free(c->stream);
}

void http_stream_drain(struct http_stream *s)
{
	if (s->ops->on_drain_server)
		s->ops->on_drain_server(s, s->arg);
	else
		http_stream_end(s);
}
