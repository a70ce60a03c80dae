/* SPDX-License-Identifier: MIT */
#pragma once

#include "base/hash.h"
#include "http/websocket.h"
#include "socketio/deadlines.h"
#include "socketio/engineio.h"
#include "socketio/engineio_packet.h"

/*
 * Between the files of Engine.IO: sessions (engineio.c), polling (engineio_polling.c), WebSockets
 * and the upgrade to one (engineio_link.c), requests and the handshake (engineio_request.c).
 */

#define SID_LENGTH 20

/* A WebSocket.  It may outlive its session: the closing handshake takes its time. */
struct link {
	struct websocket *ws;
	struct eio_session *session; /* or NULL */
};

/* What only a session that polls has. */
struct polling {
	struct eio_session *session;
	struct http_request *get;  /* held until there is something to tell */
	struct http_request *post; /* whose body is arriving */
	struct bytes **queue;      /* frames for the next poll */
	size_t n_queue, queue_capacity;
	size_t queue_bytes;
	size_t allowance; /* beyond output_max, until all was taken */
	bool overflowed;
	bool probed; /* "3probe" was sent */
	struct link *probe;
	struct deadline flush;
	struct deadline upgrade;
	struct deadline nudge;
};

enum eio_state {
	EIO_STATE_POLLING,
	EIO_STATE_WEBSOCKET,
	EIO_STATE_CLOSING, /* on_closed was called; a poll is awaited to be told */
	EIO_STATE_CLOSED,  /* unknown to clients; freed soon */
};

struct eio_session {
	struct engineio *engine;
	void *data;
	struct polling *polling;   /* POLLING and CLOSING */
	struct link *link;         /* WEBSOCKET */
	struct deadline heartbeat; /* in pings, pongs or, CLOSING, ends */
	UT_hash_handle hh;
	enum eio_state state;
	size_t message_max; /* bytes of a message or a polling body, as yet */
	char sid[SID_LENGTH + 1];
};

struct engineio {
	struct loop *loop;
	struct engineio_settings set;
	const struct engineio_ops *ops;
	void *arg;
	struct eio_session *sessions;
	bool draining;
	struct bytes *ping, *close, *noop; /* frames */
	struct deadlines *pings, *pongs, *ends, *upgrades, *nudges, *flushes;
};

/*
 * engineio.c: sessions.
 */
void engineio_count(struct engineio *engine); /* the metric */

/* Clients know it no more; the second tells its owner, too. */
void eio_forget(struct eio_session *s, enum eio_reason why);
void eio_end(struct eio_session *s, enum eio_reason why);
enum websocket_close eio_reason_code(enum eio_reason why);
void eio_wait_for_ping(struct eio_session *s);
void eio_on_packet(struct eio_session *s, const struct engineio_packet *packet);

/*
 * engineio_polling.c: what waits for the next poll, and the poll that waits.
 */
struct polling *polling_free(struct polling *p);
void polling_append(struct polling *p, struct bytes *frame);
int polling_send(struct eio_session *s, struct bytes *frame, bool is_large);
void polling_answer(struct polling *p, struct bytes *frame);
void polling_flush(struct eio_session *s);
void polling_on_flush(struct deadline *d, void *engine);
/* Take over a request. */
void polling_get(struct eio_session *s, struct http_request *req);
void polling_post(struct eio_session *s, struct http_request *req);

/*
 * engineio_link.c: WebSockets.
 */
struct link *link_accept(struct http_request *req); /* NULL: a bad handshake, answered */
void link_set_message_max(struct eio_session *s);
void link_drop(struct link *link, enum eio_reason why);
void link_abort(struct link *link);
/* A session goes from polling to this WebSocket, once that was probed. */
void eio_upgrade(struct eio_session *s, struct http_request *req);
void eio_on_nudge(struct deadline *d, void *engine);
void eio_on_upgrade_late(struct deadline *d, void *engine);

/*
 * engineio_request.c: answers.
 */
void engineio_reply(struct http_request *req, const char *content_type, const char *text,
		    size_t len);
void engineio_reply_packets(struct http_request *req, const char *text, size_t len);
/* engineio_refuse() as another status. */
void engineio_refuse_as(struct http_request *req, int status, enum engineio_error error,
			const char *message);
