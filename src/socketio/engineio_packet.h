/* SPDX-License-Identifier: MIT */
#pragma once

#include <stdbool.h>
#include <stddef.h>

#include "base/bytes.h"
#include "base/strbuf.h"

/*
 * Packets of Engine.IO, protocol 4: pure functions over bytes.
 *
 * Over a WebSocket a packet is a message: text that begins with the type's digit, or the bare bytes
 * of a binary message.  Over polling a body holds packets with 0x1e between them, and a binary
 * message is "b" and base64.
 *
 * A packet that goes out is kept as its WebSocket frame, made once for all who get it; a polling
 * client's body is written from that, too.
 */
enum engineio_type {
	ENGINEIO_OPEN,
	ENGINEIO_CLOSE,
	ENGINEIO_PING,
	ENGINEIO_PONG,
	ENGINEIO_MESSAGE,
	ENGINEIO_UPGRADE,
	ENGINEIO_NOOP,
};

#define ENGINEIO_SEPARATOR '\x1e'

/* Borrows from what it was decoded from. */
struct engineio_packet {
	enum engineio_type type;
	bool is_binary; /* an ENGINEIO_MESSAGE */
	const char *data;
	size_t len;
};

/* A text message of a WebSocket. */
int engineio_packet_decode(const char *text, size_t len, struct engineio_packet *ret) must_use;

/* A polling body that is being read: begin with { .at = body, .left = len }. */
struct engineio_payload {
	const char *at;
	size_t left;
	bool finished; /* the last packet was given */
	char *binary;  /* what base64 was last decoded to; the reader's to free */
};

/*
 * Gives the next packet and 1, or 0 at the end.  -EINVAL: what comes next is none (an unknown type,
 * nothing at all, bad base64, text that isn't UTF-8).  A binary packet holds until the next call.
 */
int engineio_payload_next(struct engineio_payload *body, struct engineio_packet *ret) must_use;

/* A whole WebSocket frame of that packet.  `data` of a binary message has no type before it. */
struct bytes *engineio_frame_text(enum engineio_type type, const char *data, size_t len);
struct bytes *engineio_frame_binary(const void *data, size_t len);

/* Adds what such a frame carries to a polling body, behind a separator where one is due. */
void engineio_payload_add(struct strbuf *body, const struct bytes *frame);
