/* SPDX-License-Identifier: MIT */
#pragma once

#include <stdbool.h>
#include <stddef.h>

#include "base/bytes.h"
#include "base/cleanup.h"
#include "base/clock.h"
#include "http/server.h"
#include "loop/loop.h"

/*
 * Engine.IO, protocol 4: sessions of messages in both directions, over long polling, over a
 * WebSocket, or from the first to the second without losing or reordering any.
 *
 * Who may come, from which Origin and with which CORS fields in the answer, is the caller's: it
 * looks at the request, adds fields by http_response_header(), and passes it on or refuses it by
 * engineio_refuse().  OPTIONS is the caller's, too.
 */
struct engineio;
struct eio_session;

struct engineio_settings {
	usec_t ping_interval;
	usec_t ping_timeout;
	usec_t upgrade_timeout;
	usec_t close_timeout; /* a session closed from here is kept for its next poll to tell it */
	size_t max_payload;   /* bytes of a message, or a polling body, from a client: at most the
				 http_settings' ws_message_max.  And of a polling body to it, but
				 for a message that alone is larger */
	size_t first_payload_max; /* the same until eio_admit() */
	size_t output_max;        /* bytes that may wait for the next poll; for WebSockets it is the
				     http_settings' */
	unsigned sessions_max;
};

enum eio_reason {
	EIO_CLIENT,       /* it closed, or its connection did */
	EIO_SERVER,       /* eio_close() */
	EIO_DRAINED,      /* engineio_drain() */
	EIO_PING_TIMEOUT, /* no heartbeat */
	EIO_BAD_PACKET,   /* or requests that may not be */
	EIO_TOO_BIG,      /* a message above max_payload */
	EIO_SLOW,         /* output_max would have been passed */
};

/* "transport close" and such, for logs. */
const char *eio_reason_name(enum eio_reason why);

/* A session may be closed from inside on_message; it is valid until on_closed returns. */
struct engineio_ops {
	/*
	 * A session begins with this request.  False refuses it, 403; nothing else is called then.
	 * Nothing can be sent yet.
	 */
	bool (*on_open)(struct eio_session *s, const struct http_request *req, void *arg);

	/* Borrowed, no NUL behind it.  What isn't binary is UTF-8. */
	void (*on_message)(struct eio_session *s, bool is_binary, const char *data, size_t len,
			   void *arg);

	/* Once, for each session that was opened; also from inside eio_close(). */
	void (*on_closed)(struct eio_session *s, enum eio_reason why, void *arg);
};

struct engineio *engineio_new(struct loop *loop, const struct engineio_settings *settings,
			      const struct engineio_ops *ops, void *arg);

/* Drops all sessions, telling on_closed.  Not from inside a callback. */
struct engineio *engineio_free(struct engineio *engine);
DEFINE_CLEANUP(struct engineio *, engineio_free)

/* Takes over a request of any method, from http_server's on_head. */
void engineio_on_request(struct engineio *engine, struct http_request *req);

/* For polling, from here on. */
void engineio_set_output_max(struct engineio *engine, size_t output_max);

/* Closes every session such that a stock client comes back; new ones are answered 503. */
void engineio_drain(struct engineio *engine);

size_t engineio_sessions(const struct engineio *engine);

/* What a client is answered: `{"code":N,"message":"..."}`. */
enum engineio_error {
	ENGINEIO_UNKNOWN_TRANSPORT,
	ENGINEIO_UNKNOWN_SID,
	ENGINEIO_BAD_METHOD,
	ENGINEIO_BAD_REQUEST,
	ENGINEIO_FORBIDDEN,
	ENGINEIO_BAD_VERSION,
};

/* `message` is NULL for the protocol's own. */
void engineio_refuse(struct http_request *req, enum engineio_error error, const char *message);

/*
 * The client is known: from here on its messages may have max_payload bytes, where until now they
 * may have first_payload_max, so that strangers fill no memory.
 */
void eio_admit(struct eio_session *s);
size_t eio_message_max(const struct eio_session *s);

/*
 * Sends one message.  When more than the limit would wait the client is cut off and -ENOBUFS
 * returned; -EPIPE after the end.  on_closed comes later, never from inside.
 */
int eio_send_text(struct eio_session *s, const char *data, size_t len);
int eio_send_binary(struct eio_session *s, const void *data, size_t len);

/* The same with a frame of engineio_frame_text() or engineio_frame_binary(), which is shared. */
int eio_send_frame(struct eio_session *s, struct bytes *frame);

/* As websocket_send_large(): what a client asked for, however large, doesn't count. */
int eio_send_large_frame(struct eio_session *s, struct bytes *frame);

void eio_close(struct eio_session *s);

/* As eio_close(), for a client that broke the protocol. */
void eio_close_bad(struct eio_session *s);

void eio_set_data(struct eio_session *s, void *data);
void *eio_data(const struct eio_session *s);
