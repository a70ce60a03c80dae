/* SPDX-License-Identifier: MIT */
#pragma once

#include <stdbool.h>
#include <stddef.h>

#include "base/bytes.h"
#include "http/server.h"

/*
 * WebSockets (RFC 6455, version 13): the handshake is ours, frames are read by wslay.  wslay's
 * context is 8.6 KB, so a connection has one only while a message is arriving.
 */
struct websocket;

enum websocket_opcode {
	WEBSOCKET_TEXT = 1, /* valid UTF-8 */
	WEBSOCKET_BINARY = 2,
};

/* Close codes (RFC 6455 section 7.4.1, and the registry of its section 11.7). */
enum websocket_close {
	WEBSOCKET_CLOSE_NORMAL = 1000,
	WEBSOCKET_CLOSE_GOING_AWAY = 1001,
	WEBSOCKET_CLOSE_PROTOCOL_ERROR = 1002,
	WEBSOCKET_CLOSE_NO_STATUS = 1005, /* never sent */
	WEBSOCKET_CLOSE_ABNORMAL = 1006,  /* never sent */
	WEBSOCKET_CLOSE_BAD_DATA = 1007,
	WEBSOCKET_CLOSE_POLICY = 1008,
	WEBSOCKET_CLOSE_TOO_BIG = 1009,
	WEBSOCKET_CLOSE_INTERNAL = 1011,
	WEBSOCKET_CLOSE_TRY_LATER = 1013,
};

struct websocket_ops {
	/* One whole message, borrowed.  May be called again before the first send was taken. */
	void (*on_message)(struct websocket *ws, enum websocket_opcode opcode, const void *bytes,
			   size_t len, void *arg);

	/*
	 * Once, however it ends; the WebSocket is invalid after it.  Also after websocket_close(),
	 * when the other side has answered or its time for it is over.
	 */
	void (*on_closed)(struct websocket *ws, int code, void *arg);
};

/*
 * Upgrades.  On a bad handshake it answers by itself (400, or 426 with Sec-WebSocket-Version) and
 * gives NULL.  `protocol` is the subprotocol agreed on, or NULL.  The request is invalid once this
 * returns.
 */
struct websocket *websocket_accept(struct http_request *req, const char *protocol,
				   const struct websocket_ops *ops, void *arg);

/* Of one message from the client; at most, and at first, http_settings' ws_message_max. */
void websocket_set_message_max(struct websocket *ws, size_t bytes);

/*
 * Sends one message.  When more than output_max would wait the client is cut off (counted as slow,
 * closed with 1013) and -ENOBUFS returned; -EPIPE after a close.  on_closed comes later, never from
 * inside.
 */
int websocket_send(struct websocket *ws, enum websocket_opcode opcode, const void *bytes,
		   size_t len);

/*
 * The same, but it doesn't count against output_max, nor while it waits: for what a client asked
 * for and cannot do without, however large.  One who asks again and doesn't read is cut off when
 * WEBSOCKET_LARGE_MAX would wait.
 */
#define WEBSOCKET_LARGE_MAX ((size_t)32 << 20)
int websocket_send_large(struct websocket *ws, enum websocket_opcode opcode, const void *bytes,
			 size_t len);

/* A whole frame, made once and shared by all receivers. */
struct bytes *websocket_frame(enum websocket_opcode opcode, const void *bytes, size_t len);
int websocket_send_frame(struct websocket *ws, struct bytes *frame);
int websocket_send_large_frame(struct websocket *ws, struct bytes *frame);

size_t websocket_waiting(const struct websocket *ws);

/* Starts the closing handshake.  `reason` is at most 123 bytes of UTF-8. */
void websocket_close(struct websocket *ws, enum websocket_close code, const char *reason);

/* Drops the connection at once; no callback comes after this. */
void websocket_abort(struct websocket *ws);
