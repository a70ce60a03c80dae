/* SPDX-License-Identifier: MIT */
/*
 * WebSockets.  Frames that come in are wslay's; frames that go out are ours, because one frame is
 * shared by all who get it.
 *
 * wslay reads ahead and doesn't say whether it holds part of a frame.  So the bytes it was given
 * are counted against the lengths of the frames it has finished: at zero, and outside of a
 * fragmented message, its context is let go.
 */
#include "http/websocket.h"

#include <assert.h>
#include <errno.h>
#include <event2/buffer.h>
#include <stdlib.h>
#include <string.h>
#include <strings.h>
#include <wslay/wslay.h>

#include "base/crypto.h"
#include "base/mem.h"
#include "base/metrics.h"
#include "http/http_priv.h"
#include "http/room.h"

#define CLOSE_TIMEOUT    (5 * USEC_PER_SEC)
#define CLOSE_REASON_MAX 123

/* wslay keeps a node for each fragment, an empty one too: the message's size doesn't bound them. */
#define FRAGMENTS_MAX 1024

/* Given to wslay in a step: of the smallest frames it finds a hundred or two in them. */
#define PIECE_MAX 1024

enum {
	OPCODE_CLOSE = 8,
	OPCODE_PING = 9,
};

struct websocket {
	struct http_conn *conn;
	const struct websocket_ops *ops;
	void *arg;

	wslay_event_context_ptr reader; /* while a message is arriving */
	int64_t held_bytes;             /* given to it, less the frames it has finished */
	uint64_t frame_bytes;           /* of the frame it is in */
	bool frame_is_data;
	bool frame_is_last;
	bool message_open; /* between the fragments of one */
	unsigned fragments;
	bool piece_given;       /* one a step */
	struct strbuf *replies; /* of wslay: pongs, and closes on an error */

	size_t message_max; /* bytes of a message from the client */
	size_t allowance;   /* beyond output_max, until all was taken */

	bool close_sent; /* or queued: nothing is sent after it */
	bool ended;      /* on_closed was called, or will never be */
	int close_code;  /* ours */
	int peer_code;   /* theirs; 0: none came */

	usec_t heard; /* the last byte that came */
	usec_t pinged;
};

/*
 * Out
 */

static size_t make_header(uint8_t header[static 10], unsigned opcode, size_t len)
{
	header[0] = (uint8_t)(0x80 | opcode);
	if (len < 126) {
		header[1] = (uint8_t)len;
		return 2;
	}
	if (len <= UINT16_MAX) {
		header[1] = 126;
		header[2] = (uint8_t)(len >> 8);
		header[3] = (uint8_t)len;
		return 4;
	}
	header[1] = 127;
	for (unsigned i = 0; i < 8; i++)
		header[2 + i] = (uint8_t)((uint64_t)len >> (56 - 8 * i));
	return 10;
}

static void send_frame(struct websocket *ws, unsigned opcode, const void *bytes, size_t len)
{
	uint8_t header[10];
	const struct iovec parts[] = {
		{ .iov_base = header, .iov_len = make_header(header, opcode, len) },
		{ .iov_base = (void *)bytes, .iov_len = len },
	};

	http_conn_send(ws->conn, parts, len > 0 ? 2 : 1);
}

struct bytes *websocket_frame(enum websocket_opcode opcode, const void *bytes, size_t len)
{
	uint8_t header[10];
	size_t header_len = make_header(header, opcode, len);
	struct bytes *frame = xcalloc(1, sizeof(*frame) + header_len + len + 1);

	frame->refs = 1;
	frame->len = header_len + len;
	memcpy(frame->data, header, header_len);
	if (len > 0)
		memcpy(frame->data + header_len, bytes, len);
	return frame;
}

size_t websocket_waiting(const struct websocket *ws)
{
	return http_conn_waiting(ws->conn);
}

static bool is_open(const struct websocket *ws)
{
	return !ws->ended && !ws->close_sent && !ws->conn->broken;
}

void websocket_close(struct websocket *ws, enum websocket_close code, const char *why)
{
	uint8_t payload[2 + CLOSE_REASON_MAX] = { (uint8_t)(code >> 8), (uint8_t)code };
	size_t len = why ? strlen(why) : 0;

	assert(code != WEBSOCKET_CLOSE_NO_STATUS && code != WEBSOCKET_CLOSE_ABNORMAL);
	assert(len <= CLOSE_REASON_MAX);
	if (ws->ended || ws->close_sent)
		return;

	if (len > 0)
		memcpy(payload + 2, why, len);
	send_frame(ws, OPCODE_CLOSE, payload, 2 + len);
	ws->close_sent = true;
	ws->close_code = (int)code;
	if (ws->conn->state == HTTP_CONN_WEBSOCKET) /* for its close */
		http_room_set_waiting(ws->conn->room, ws->conn, true);
	ws->conn->deadline = http_deadline(clock_monotonic(), CLOSE_TIMEOUT);
}

/*
 * The close frame waits behind what the client hasn't read, so a client that wakes up within the
 * time for closing learns why; nothing more is queued for it.
 */
static int cut_off(struct websocket *ws)
{
	metric_inc(METRIC_WS_SLOW);
	websocket_close(ws, WEBSOCKET_CLOSE_TRY_LATER, "reading too slowly");
	return -ENOBUFS;
}

static bool has_room(struct websocket *ws, size_t len)
{
	size_t max;

	if (websocket_waiting(ws) == 0)
		ws->allowance = 0;
	max = ws->conn->limits->set.output_max + ws->allowance;
	return len <= max && websocket_waiting(ws) <= max - len;
}

int websocket_send(struct websocket *ws, enum websocket_opcode opcode, const void *bytes,
		   size_t len)
{
	if (!is_open(ws))
		return -EPIPE;
	if (!has_room(ws, len))
		return cut_off(ws);
	send_frame(ws, opcode, bytes, len);
	return 0;
}

/* Whether it may be sent: then it doesn't count, as long as it waits. */
static int make_room(struct websocket *ws, size_t len)
{
	const size_t waiting = websocket_waiting(ws);

	if (!is_open(ws))
		return -EPIPE;
	if (waiting > ws->conn->limits->set.output_max && waiting + len > WEBSOCKET_LARGE_MAX)
		return cut_off(ws);
	ws->allowance = len + (ws->allowance < waiting ? ws->allowance : waiting);
	return 0;
}

int websocket_send_large(struct websocket *ws, enum websocket_opcode opcode, const void *bytes,
			 size_t len)
{
	int r = make_room(ws, len);

	if (r >= 0)
		send_frame(ws, opcode, bytes, len);
	return r;
}

int websocket_send_frame(struct websocket *ws, struct bytes *frame)
{
	if (!is_open(ws))
		return -EPIPE;
	if (!has_room(ws, frame->len))
		return cut_off(ws);
	http_conn_send_shared(ws->conn, frame);
	return 0;
}

int websocket_send_large_frame(struct websocket *ws, struct bytes *frame)
{
	int r = make_room(ws, frame->len);

	if (r >= 0)
		http_conn_send_shared(ws->conn, frame);
	return r;
}

/*
 * The end
 */

static void end(struct websocket *ws, int code)
{
	if (ws->ended)
		return;
	ws->ended = true;
	metric_add(METRIC_WS_CONNECTIONS, -1);
	ws->ops->on_closed(ws, code, ws->arg);
}

void websocket_gone(struct websocket *ws)
{
	end(ws, ws->close_sent ? ws->close_code : WEBSOCKET_CLOSE_ABNORMAL);
}

void websocket_abort(struct websocket *ws)
{
	if (ws->ended)
		return;
	ws->ended = true;
	metric_add(METRIC_WS_CONNECTIONS, -1);
	if (ws->reader)
		wslay_event_shutdown_read(ws->reader); /* it may be what called us */
	http_conn_abort(ws->conn);
}

struct websocket *websocket_free(struct websocket *ws)
{
	if (!ws)
		return NULL;
	if (ws->reader)
		wslay_event_context_free(ws->reader);
	free(ws);
	return NULL;
}

/* Nothing can be said any more, or everything has been: the server closes first. */
static void finish(struct websocket *ws, int code)
{
	http_conn_finish(ws->conn, true);
	end(ws, code);
}

void websocket_tick(struct websocket *ws, usec_t now)
{
	struct http_conn *c = ws->conn;

	if (ws->close_sent) {
		if (now >= c->deadline) {
			c->reset = true;
			http_conn_gone(c);
		}
		return;
	}
	if (now < http_deadline(ws->pinged, c->limits->set.ws_ping_interval))
		return;
	if (ws->heard < ws->pinged) {
		c->reset = true;
		http_conn_gone(c);
		return;
	}
	/* Behind what waits a ping would not arrive; that client has its write deadline. */
	if (websocket_waiting(ws) == 0) {
		send_frame(ws, OPCODE_PING, NULL, 0);
		ws->pinged = now;
	}
}

/*
 * In: wslay's callbacks
 */

static ssize_t on_want_bytes(wslay_event_context_ptr reader, uint8_t *buf, size_t len, int flags,
			     void *arg)
{
	struct websocket *ws = arg;
	struct evbuffer *input = bufferevent_get_input(ws->conn->bev);
	int n;

	(void)flags;
	if (ws->piece_given || evbuffer_get_length(input) == 0) {
		wslay_event_set_error(reader, WSLAY_ERR_WOULDBLOCK);
		return -1;
	}
	ws->piece_given = true;
	n = evbuffer_remove(input, buf, len < PIECE_MAX ? len : PIECE_MAX);
	ws->held_bytes += n;
	return n;
}

static ssize_t on_have_bytes(wslay_event_context_ptr reader, const uint8_t *data, size_t len,
			     int flags, void *arg)
{
	/* Header and payload come one by one: gathered, they are one write. */
	struct websocket *ws = arg;

	(void)reader;
	(void)flags;
	strbuf_add(ws->replies, data, len);
	return (ssize_t)len;
}

static void on_frame_start(wslay_event_context_ptr reader,
			   const struct wslay_event_on_frame_recv_start_arg *frame, void *arg)
{
	struct websocket *ws = arg;
	uint64_t extra = frame->payload_length < 126           ? 0
			 : frame->payload_length <= UINT16_MAX ? 2
							       : 8;

	ws->frame_bytes = 2 + extra + 4 + frame->payload_length;
	ws->frame_is_data = !wslay_is_ctrl_frame(frame->opcode);
	ws->frame_is_last = frame->fin;
	if (ws->frame_is_data && ++ws->fragments > FRAGMENTS_MAX && !ws->close_sent) {
		websocket_close(ws, WEBSOCKET_CLOSE_POLICY, "too many fragments");
		wslay_event_shutdown_read(reader);
	}
}

static void on_frame_end(wslay_event_context_ptr reader, void *arg)
{
	struct websocket *ws = arg;

	(void)reader;
	ws->held_bytes -= (int64_t)ws->frame_bytes;
	if (!ws->frame_is_data)
		return;
	ws->message_open = !ws->frame_is_last;
	if (ws->frame_is_last)
		ws->fragments = 0;
}

static void on_whole_message(wslay_event_context_ptr reader,
			     const struct wslay_event_on_msg_recv_arg *message, void *arg)
{
	struct websocket *ws = arg;

	(void)reader;
	if (message->opcode == OPCODE_CLOSE) {
		/* Half a code is an error (RFC 6455 section 5.5.1), which wslay lets pass. */
		if (message->msg_length == 1)
			websocket_close(ws, WEBSOCKET_CLOSE_PROTOCOL_ERROR, NULL);
		ws->peer_code =
			message->status_code ? message->status_code : WEBSOCKET_CLOSE_NO_STATUS;
	}
	if (!wslay_is_ctrl_frame(message->opcode) && is_open(ws))
		ws->ops->on_message(ws, (enum websocket_opcode)message->opcode,
				    message->msg_length ? (const char *)message->msg : "",
				    message->msg_length, ws->arg);
}

/*
 * In: a step
 */

static wslay_event_context_ptr reader_new(struct websocket *ws)
{
	static const struct wslay_event_callbacks callbacks = {
		.recv_callback = on_want_bytes,
		.send_callback = on_have_bytes,
		.on_frame_recv_start_callback = on_frame_start,
		.on_frame_recv_end_callback = on_frame_end,
		.on_msg_recv_callback = on_whole_message,
	};
	wslay_event_context_ptr reader;

	if (wslay_event_context_server_init(&reader, &callbacks, ws) != 0)
		abort(); /* out of memory, as in xcalloc() */
	wslay_event_config_set_max_recv_msg_length(reader, ws->message_max);
	return reader;
}

void websocket_set_message_max(struct websocket *ws, size_t bytes)
{
	const size_t most = ws->conn->limits->set.ws_message_max;

	ws->message_max = bytes < most ? bytes : most;
	if (ws->reader)
		wslay_event_config_set_max_recv_msg_length(ws->reader, ws->message_max);
}

static void send_replies(struct websocket *ws)
{
	scoped(strbuf_done) struct strbuf replies = strbuf_init(STRBUF_UNLIMITED);
	struct iovec whole;

	if (ws->close_sent || !wslay_event_want_write(ws->reader))
		return;
	ws->replies = &replies;
	(void)!wslay_event_send(ws->reader);
	ws->replies = NULL;

	if (!has_room(ws, replies.len)) {
		cut_off(ws);
		return;
	}
	whole = (struct iovec){ .iov_base = replies.data, .iov_len = replies.len };
	http_conn_send(ws->conn, &whole, 1);
	if (wslay_event_get_close_sent(ws->reader)) {
		ws->close_sent = true;
		ws->close_code = wslay_event_get_status_code_sent(ws->reader);
	}
}

bool websocket_read(struct http_conn *c)
{
	struct websocket *ws = c->ws;
	int r;

	if (evbuffer_get_length(bufferevent_get_input(c->bev)) == 0)
		return false;

	ws->heard = clock_monotonic();
	if (!ws->reader)
		ws->reader = reader_new(ws);
	ws->piece_given = false;
	r = wslay_event_recv(ws->reader);
	if (c->state != HTTP_CONN_WEBSOCKET)
		return true; /* on_message has aborted it */

	if (ws->peer_code) {
		int code = ws->close_sent ? ws->close_code : ws->peer_code;

		send_replies(ws); /* its close, unless ours went before */
		finish(ws, code);
		return true;
	}
	if (r < 0) /* wslay's own close has no code then */
		websocket_close(ws, WEBSOCKET_CLOSE_PROTOCOL_ERROR, NULL);
	send_replies(ws);
	if (!wslay_event_get_read_enabled(ws->reader)) {
		finish(ws, ws->close_code);
		return true;
	}
	if (ws->held_bytes == 0 && !ws->message_open) {
		wslay_event_context_free(ws->reader);
		ws->reader = NULL;
	}
	return true;
}

/*
 * The handshake (RFC 6455 section 4.2)
 */

/* 16 bytes in base64. */
static bool key_is_good(const char *key)
{
	static const char alphabet[] = "ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz"
				       "0123456789+/";

	return key && strlen(key) == 24 && strspn(key, alphabet) == 22 && key[22] == '=' &&
	       key[23] == '=';
}

static bool handshake_is_good(struct http_request *req)
{
	const char *version = http_request_header(req, "Sec-WebSocket-Version");

	if (!req->upgrade || !version || strcmp(version, "13") != 0) {
		http_response_header(req, "Sec-WebSocket-Version", "13");
		http_response_header(req, "Upgrade", "websocket");
		http_response_header(req, "Connection", "Upgrade");
		http_refuse(req, 426, "this is a WebSocket endpoint, version 13");
		return false;
	}
	if (strcmp(req->method, "GET") != 0 ||
	    !key_is_good(http_request_header(req, "Sec-WebSocket-Key"))) {
		http_refuse(req, 400, "the WebSocket handshake has no good Sec-WebSocket-Key");
		return false;
	}
	return true;
}

struct websocket *websocket_accept(struct http_request *req, const char *protocol,
				   const struct websocket_ops *ops, void *arg)
{
	struct http_conn *c = req->conn;
	struct http_answer answer = { .status = 101, .framing = HTTP_LENGTH_NONE };
	usec_t now = clock_monotonic();
	struct websocket *ws;
	char accept[29];

	if (c->state == HTTP_CONN_CLOSED || !handshake_is_good(req)) {
		if (c->state == HTTP_CONN_CLOSED && c->req == req)
			http_reply(req, 400, NULL, NULL, 0); /* to nobody */
		return NULL;
	}

	websocket_accept_key(http_request_header(req, "Sec-WebSocket-Key"), accept);
	answer.upgrade_accept = accept;
	if (protocol)
		http_response_header(req, "Sec-WebSocket-Protocol", protocol);
	http_answer_start(req, &answer, NULL, 0);

	ws = xcalloc(1, sizeof(*ws));
	*ws = (struct websocket){
		.conn = c,
		.ops = ops,
		.arg = arg,
		.message_max = c->limits->set.ws_message_max,
		.heard = now,
		.pinged = now,
	};
	c->ws = ws;
	http_conn_set_state(c, HTTP_CONN_WEBSOCKET);
	c->deadline = USEC_INFINITY;
	metric_inc(METRIC_WS_CONNECTIONS);
	if (c->half_closed)
		c->broken = true; /* it has left, see conn.c; told from the queue */
	if (c->server->draining)
		websocket_close(ws, WEBSOCKET_CLOSE_GOING_AWAY, "the server is shutting down");
	http_conn_wake(c);
	if (c->broken)
		http_server_queue(c);
	return ws;
}
