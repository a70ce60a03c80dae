/* SPDX-License-Identifier: MIT */
#pragma once

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>
#include <sys/types.h>

#include "base/bytes.h"
#include "base/clock.h"
#include "http/file.h"
#include "loop/loop.h"

/*
 * HTTP/1.1 on bufferevents (RFC 9110, RFC 9112).
 *
 * A request goes: head parsed → `on_head` decides (who, what, how large a body) → body collected →
 * the handler named there → one answer, at once or later.  Requests of a connection are answered in
 * their order; the next is not parsed before the answer to the one before it is on its way.
 *
 * The server bounds everything a client can grow: connections, head, body, what it has not read
 * yet, the time for each.  A client that leaves is noticed while its answer is pending.
 */
struct http_server;
struct http_request;

struct http_settings {
	unsigned connections_max;
	usec_t header_timeout; /* from a request's first byte (or the accept) to its head's end */
	usec_t body_timeout;   /* between two pieces of a body */
	usec_t idle_timeout;   /* keep-alive without a request */
	usec_t write_timeout;  /* output waiting and nothing taken by the client */
	size_t output_max;     /* bytes a stream or WebSocket may have waiting */
	size_t ws_message_max; /* bytes of a WebSocket message from a client */
	usec_t ws_ping_interval;
};

/*
 * Called with each request's head.  It answers with http_reply() (and the body, if any, is not
 * read), or calls http_request_expect() to have it, or upgrades.
 */
typedef void http_request_fn(struct http_request *req, void *arg);

struct http_server *http_server_new(struct loop *loop, const struct http_settings *settings,
				    http_request_fn *on_head, void *arg);
struct http_server *http_server_free(struct http_server *server); /* closes everything at once */
DEFINE_CLEANUP(struct http_server *, http_server_free)

/* For SIGHUP: holds for connections accepted from now on. */
void http_server_set(struct http_server *server, const struct http_settings *settings);

/* Serves a listening socket (TCP or unix), whose descriptor it takes in any case. */
int http_server_listen_consume(struct http_server *server, int fd) must_use;

/*
 * Stops accepting, lets answers under way finish, closes idle connections, and tells streams and
 * WebSockets (their `on_drain_server`, else closed with 1001).  `on_empty` comes once, when the
 * last connection is gone.
 */
void http_server_drain(struct http_server *server, loop_fn *on_empty, void *arg);

size_t http_server_connections(const struct http_server *server);

/* Who is at the other end. */
struct http_peer {
	bool is_unix;
	uid_t uid; /* of a unix peer (SO_PEERCRED) */
	pid_t pid;
	char address[46]; /* of a TCP peer: numeric, no port */
	uint16_t port;
	uint16_t local_port; /* which it connected to */
};

/*
 * All of these are borrowed and hold until the request is answered or gone.
 */
const char *http_request_method(const struct http_request *req);
const char *http_request_path(const struct http_request *req);  /* as sent, without the query */
const char *http_request_query(const struct http_request *req); /* "" when there is none */
const char *http_request_host(const struct http_request *req);  /* "" when there is none (1.0) */

/* The value of the first field of that name (any case), or NULL. */
const char *http_request_header(const struct http_request *req, const char *name);
/* The values of all of them as one list (RFC 9110 section 5.3), or NULL; the caller frees. */
char *http_request_headers(const struct http_request *req, const char *name);

const char *http_request_body(const struct http_request *req, size_t *ret_len); /* NUL behind it */
const struct http_peer *http_request_peer(const struct http_request *req);
/* Whose it is has been shown: until the next request its connection gives way after those of
 * strangers. */
void http_request_set_known(struct http_request *req);
bool http_request_wants_websocket(const struct http_request *req);
usec_t http_request_started(const struct http_request *req); /* monotonic */

/* A short random id for logs, also sent as X-Request-Id. */
const char *http_request_id(const struct http_request *req);

/*
 * From `on_head`: reads a body of at most `max` bytes (an announced larger one is answered 413
 * before any of it is read, a chunked one when it passes the limit) and calls `fn` with it. Answers
 * "100 Continue" where the client waits for it.
 */
void http_request_expect(struct http_request *req, size_t max, http_request_fn *fn, void *arg);

/*
 * One call, when the client leaves before the answer is complete, or the server is freed.  The
 * request is invalid once it returns.  Answering takes it off.
 */
void http_request_on_gone(struct http_request *req, loop_fn *fn, void *arg);

/* Adds a field to the answer to come; both are copied.  CR, LF and NUL in them are a broken
 * invariant of the caller. */
void http_response_header(struct http_request *req, const char *name, const char *value);

/* The same for fields that stand ready, "Name: value\r\n" each. */
void http_response_fields(struct http_request *req, const char *lines, size_t len);

/*
 * Answers.  `content_type` is NULL for no body.  The body is copied.  To HEAD only its length is
 * sent; 204 and 304 have none.  The request is invalid once this returns.
 */
void http_reply(struct http_request *req, int status, const char *content_type, const void *body,
		size_t len);

/*
 * The same for bodies that aren't copied: `len` bytes from `from` on of shared memory, or of a file
 * (by sendfile(), as fast as the client takes them).  They are referred to as long as it takes.
 */
void http_reply_bytes(struct http_request *req, int status, const char *content_type,
		      struct bytes *body, size_t from, size_t len);
void http_reply_file(struct http_request *req, int status, const char *content_type,
		     struct http_file *file, uint64_t from, uint64_t len);

/* What the server itself has to refuse (400, 408, 413, 431, 501, ...) is formatted by this. */
typedef void http_refusal_fn(int status, const char *why, char **ret_content_type, char **ret_body,
			     void *arg);
void http_server_on_refusal(struct http_server *server, http_refusal_fn *fn, void *arg);

/* Called as each answer's head is decided: for the log and the metrics. */
typedef void http_done_fn(const struct http_request *req, int status, void *arg);
void http_server_on_done(struct http_server *server, http_done_fn *fn, void *arg);

/*
 * An answer of unknown length, chunked (or until close, to HTTP/1.0).
 */
struct http_stream;

struct http_stream_ops {
	void (*on_writable)(struct http_stream *s, void *arg); /* all of what waited was taken */
	void (*on_gone)(struct http_stream *s, void *arg);     /* the stream is invalid after it */
	void (*on_drain_server)(struct http_stream *s, void *arg); /* may be NULL: it is ended */
};

/* The request is invalid once this returns. */
struct http_stream *http_stream_start(struct http_request *req, int status,
				      const char *content_type, const struct http_stream_ops *ops,
				      void *arg);

/* -ENOBUFS when more than output_max would wait: nothing was added, and the caller decides. */
int http_stream_write(struct http_stream *s, const void *bytes, size_t len) must_use;
size_t http_stream_waiting(const struct http_stream *s);

/* Ends the answer; what waits is still sent.  No callback comes after this. */
void http_stream_end(struct http_stream *s);

/* Cuts the client off: it sees an incomplete answer.  No callback comes after this. */
void http_stream_abort(struct http_stream *s);
