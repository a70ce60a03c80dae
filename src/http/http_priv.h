/* SPDX-License-Identifier: MIT */
#pragma once

#include <event2/bufferevent.h>
#include <event2/event.h>
#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>
#include <sys/uio.h>

#include "base/strbuf.h"
#include "http/file.h"
#include "http/parse.h"
#include "http/server.h"
#include "loop/jobs.h"
#include "loop/loop.h"

/*
 * What the files of the HTTP server share.  Each answers one question:
 *
 *	server.c     which connections are there: accepting, the limit, the tick, drain
 *	room.c       who gives way when there is no room for another
 *	conn.c       where one connection stands, and when its bytes go in and out
 *	request.c    what a client asks: head, body, accessors
 *	response.c   what it is answered
 *	sendfile.c   files, as fast as they are taken
 *	warming.c    what of them is not in memory, read in by a helper thread
 *	stream.c     answers that have no length yet
 *	websocket.c  what comes after an upgrade
 *
 * A connection is never freed while one of its callbacks may be on the stack: closing only makes it
 * HTTP_CONN_CLOSED and puts it in the server's queue of connections to look at, and from there, off
 * an event of the server's own, it is released.
 */

/* A client may send this far ahead of what is answered; more stays in the kernel. */
#define HTTP_INPUT_MAX (64 * 1024)

/* The next pipelined request waits until the answers before it are down to this. */
#define HTTP_OUTPUT_BEFORE_NEXT (64 * 1024)

/* An unread body of at most this is skipped to keep the connection. */
#define HTTP_SKIP_MAX (64 * 1024)

/* Shared frames a connection gathers until they are sent in one write. */
#define HTTP_HELD_MAX 8

/* Bytes of a file until others have their turn. */
#define HTTP_SENDFILE_PER_TURN (1024 * 1024)

/*
 * Steps (a head, a piece of a body or of a WebSocket's bytes) and time until others have their
 * turn. One that has more to do goes into the queue, of which so much is done until sockets have
 * theirs.
 */
#define HTTP_STEPS_PER_WAKEUP 32
#define HTTP_TIME_PER_WAKEUP  (USEC_PER_MSEC / 4)
#define HTTP_TIME_PER_TURN    (USEC_PER_MSEC / 2)

/* One in so many may be a stranger's that waits, though those who are known had to give way. */
#define HTTP_STRANGERS_SHARE 16

/* Connections accepted until those that are there have their turn. */
#define HTTP_ACCEPTS_PER_TURN 64

/* After an answer that ends a connection: what is still read, for a client that is sending. */
#define HTTP_LINGER_BYTES (1024 * 1024)
#define HTTP_LINGER_TIME  (2 * USEC_PER_SEC)

enum http_conn_state {
	HTTP_CONN_HEAD,      /* a request head is awaited; the one state keep-alive idles in */
	HTTP_CONN_BODY,      /* the body of `req` is arriving */
	HTTP_CONN_PENDING,   /* `req` is with its handler */
	HTTP_CONN_STREAM,    /* `stream` is being written */
	HTTP_CONN_WEBSOCKET, /* `ws` has the connection for the rest of its life */
	HTTP_CONN_SKIP,      /* an answered request's unread body is passed over */
	HTTP_CONN_FLUSH,     /* the last answer is on its way */
	HTTP_CONN_LINGER,    /* it has gone out; the client is given time to read it */
	HTTP_CONN_CLOSED,    /* nothing is sent, read or called any more */
};

/* The settings of connections accepted since the last http_server_set(). */
struct http_limits {
	size_t refs;
	struct http_settings set;
};

struct http_conn {
	struct http_server *server;
	struct http_limits *limits;
	struct bufferevent *bev;
	int fd;
	enum http_conn_state state;
	bool processing : 1;
	bool queued : 1;      /* in the server's queue */
	bool broken : 1;      /* a send failed; told from the queue, never inside that send */
	bool half_closed : 1; /* the client has shut down its writing side */
	bool linger : 1;      /* after HTTP_CONN_FLUSH */
	bool reset : 1;       /* close with RST */
	bool head_begun : 1;  /* `deadline` is the head's and no longer idle's */

	size_t scanned;     /* of the head that is arriving */
	uint64_t skip_left; /* HTTP_CONN_SKIP: of the body; HTTP_CONN_LINGER: of the patience */
	usec_t deadline;    /* of the present state */

	/* The write deadline, worked out at each tick: bytes ever queued less bytes waiting. */
	uint64_t queued_bytes;
	uint64_t taken_bytes;
	usec_t taken_at;

	struct bytes *held[HTTP_HELD_MAX]; /* of http_conn_send_shared(), not yet sent */
	unsigned n_held;
	size_t held_bytes;
	struct http_conn *prev_holding, *next_holding; /* the server's list */

	bool known;                   /* its last request came with a credential */
	struct http_room *room;       /* one of the server's two */
	struct http_address *address; /* of room.c, as the next three */
	bool waiting;                 /* for its client */
	struct http_conn *prev_waiting, *next_waiting;

	struct http_sending *sending; /* a file, behind the output; NULL when none */

	struct http_request *req;
	struct http_stream *stream;
	struct websocket *ws;
	struct http_peer peer;

	struct http_conn *prev, *next; /* the server's list */
	struct http_conn *next_queued;
};

struct http_listener;
struct http_address;
struct http_room;

struct http_server {
	struct loop *loop;
	struct jobs *jobs; /* which read files in */
	struct http_limits *limits;
	http_request_fn *on_head;
	void *arg;
	http_refusal_fn *on_refusal;
	void *on_refusal_arg;
	http_done_fn *on_done;
	void *on_done_arg;

	struct http_listener *listeners;
	struct timer *resume; /* accepting, after it was paused */
	unsigned accepted;    /* since the others had their turn */
	bool accept_failing;  /* said in the log already */

	struct http_conn *conns;
	struct http_room *strangers, *known;
	size_t n_conns; /* that have a descriptor */
	struct http_conn *queue, **queue_end;
	struct event *queue_event;
	bool in_queue;
	struct http_conn *holding;
	struct event *holding_event;
	struct timer *tick; /* set only while there are connections */

	bool draining;
	loop_fn *on_empty;
	void *on_empty_arg;

	struct strbuf scratch; /* an answer's head */
	uint64_t date_second;
	char date[40];
	uint8_t random[512]; /* for request ids, so that not each one is a system call */
	size_t random_used;
};

struct http_request_field {
	const char *name;
	const char *value;
};

/* One block: this, its fields, its texts. */
struct http_request {
	struct http_conn *conn;
	const char *method;
	const char *path;
	const char *query;
	const char *host;
	char id[17];
	bool is_head : 1;
	bool minor_0 : 1;         /* HTTP/1.0 */
	bool keep_alive : 1;      /* the client would */
	bool must_close : 1;      /* the server won't */
	bool upgrade : 1;         /* a good Upgrade: websocket */
	bool wants_continue : 1;  /* and was not told yet */
	bool gone : 1;            /* its on_gone is on the stack */
	enum http_body body_kind; /* what is still unread of it */
	uint64_t body_left;
	struct http_chunked chunked;
	struct strbuf body;
	http_request_fn *on_body;
	void *on_body_arg;
	loop_fn *on_gone;
	void *on_gone_arg;
	struct strbuf headers; /* of the answer */
	usec_t started;
	usec_t complete; /* when its last byte had come */
	size_t n_fields;
	struct http_request_field fields[];
};

/* conn.c */
struct http_conn *http_conn_new(struct http_server *server, int fd, const struct http_peer *peer);
void http_conn_release(struct http_conn *c); /* from the queue, or the server's end */
void http_conn_set_state(struct http_conn *c, enum http_conn_state state);
void http_conn_process(struct http_conn *c); /* as far as the input goes */
void http_conn_wake(struct http_conn *c);    /* the same soon, from the queue */
void http_conn_tick(struct http_conn *c, usec_t now);
void http_conn_drain(struct http_conn *c);
size_t http_conn_waiting(const struct http_conn *c); /* bytes of output */

/* Sends, or queues what the kernel doesn't take now.  The bytes are copied. */
void http_conn_send(struct http_conn *c, const struct iovec *parts, size_t n);
/*
 * The same, but what has to wait refers to the shared memory; and it waits, for the end of the turn
 * at least: what goes to many is mostly followed by more, and together they are one write.
 */
void http_conn_send_shared(struct http_conn *c, struct bytes *b);
/* A head with a piece of shared memory, or of a file, behind it, at once. */
void http_conn_send_with_bytes(struct http_conn *c, const struct iovec *head, struct bytes *b,
			       size_t from, size_t len);
void http_conn_send_with_file(struct http_conn *c, const struct iovec *head, struct http_file *file,
			      uint64_t from, uint64_t len);
void http_conn_taken(struct http_conn *c); /* all of what waited */
void http_conn_send_held(struct http_conn *c);

/* What an answer leaves behind: known when its head is made, done when its end is out. */
struct http_after {
	bool keep_alive;
	bool unread;        /* some of the request's body */
	uint64_t skip_left; /* of it, where that is known */
};

void http_conn_answered(struct http_conn *c, const struct http_after *after);
void http_conn_finish(struct http_conn *c, bool linger);

void http_conn_close(struct http_conn *c); /* nobody is told */
void http_conn_abort(struct http_conn *c); /* the same, by RST */
void http_conn_gone(struct http_conn *c);  /* whoever has it is told */

static inline usec_t http_deadline(usec_t now, usec_t after)
{
	return after >= USEC_INFINITY - now ? USEC_INFINITY : now + after;
}

/* sendfile.c */
/* Sends from the file what the kernel takes now; returns what is left, for http_sending_new(). */
uint64_t http_sendfile(struct http_conn *c, const struct http_file *file, uint64_t *from,
		       uint64_t len);
/* Sends the rest as the client takes it; with what waits in the output before it, after that. */
struct http_sending *http_sending_new(struct http_conn *c, struct http_file *file, uint64_t from,
				      uint64_t len);
struct http_sending *http_sending_free(struct http_sending *s);
void http_sending_begin(struct http_sending *s); /* nothing waits before it any more */
uint64_t http_sending_left(const struct http_sending *s);

/* warming.c */
/* Whether the next turn's part of it would have the loop wait for a disk. */
bool http_file_is_cold(struct http_file *file, uint64_t from, uint64_t len);
/* Reads that part in; NULL: it can't be, so send it as it is.  job_free() cancels. */
struct job *http_file_warm(struct jobs *jobs, struct http_file *file, uint64_t from, uint64_t len,
			   job_done_fn *done, void *arg);
/* It was read in.  Believed even where memory is so short that it is gone: it isn't tried for ever.
 */
void http_file_is_warm(struct http_file *file, uint64_t from, uint64_t len);

/* server.c */
void http_server_queue(struct http_conn *c);
void http_server_hold(struct http_conn *c);
void http_server_unhold(struct http_conn *c);
struct http_limits *http_limits_unref(struct http_limits *limits);
const char *http_server_date(struct http_server *server);
void http_server_new_id(struct http_server *server, char ret[static 17]);

/* request.c: each takes a step on the input, and says whether another may follow */
bool http_request_read_head(struct http_conn *c);
bool http_request_read_body(struct http_conn *c);
void http_request_timed_out(struct http_conn *c); /* 408 */
void http_request_gone(struct http_request *req);
struct http_request *http_request_free(struct http_request *req);

/* response.c */
struct http_answer {
	int status;
	const char *content_type; /* or NULL */
	enum {
		HTTP_LENGTH_KNOWN,
		HTTP_LENGTH_CHUNKED,
		HTTP_LENGTH_CLOSE,
		HTTP_LENGTH_NONE
	} framing;
	uint64_t length;
	const char *upgrade_accept; /* Sec-WebSocket-Accept, of a 101 */

	/* Where the body is `length` bytes of one of these, from `from` on. */
	struct bytes *bytes;
	struct http_file *file;
	uint64_t from;
};

/* Sends the head, with that body behind it, and frees the request. */
struct http_after http_answer_start(struct http_request *req, const struct http_answer *answer,
				    const void *body, size_t len);
bool http_status_has_body(int status);
void http_refuse(struct http_request *req, int status, const char *why);

/* stream.c */
void http_stream_taken(struct http_stream *s);
void http_stream_gone(struct http_stream *s);
void http_stream_drain(struct http_stream *s);
struct http_stream *http_stream_free(struct http_stream *s);

/* websocket.c */
bool websocket_read(struct http_conn *c);
void websocket_gone(struct websocket *ws);
void websocket_tick(struct websocket *ws, usec_t now);
struct websocket *websocket_free(struct websocket *ws);
