/* SPDX-License-Identifier: MIT */
#pragma once

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "base/cleanup.h"
#include "base/json.h"
#include "base/strbuf.h"
#include "http/parse.h"

/*
 * Packets of Socket.IO, protocol 5: `<type>[<n>-][<namespace>,][<id>][JSON]`, as pure functions
 * over bytes.  `n` binary attachments follow as messages of their own; where one belongs, the JSON
 * has {"_placeholder":true,"num":i}.
 */
enum socketio_type {
	SOCKETIO_CONNECT,
	SOCKETIO_DISCONNECT,
	SOCKETIO_EVENT,
	SOCKETIO_ACK,
	SOCKETIO_CONNECT_ERROR,
	SOCKETIO_BINARY_EVENT,
	SOCKETIO_BINARY_ACK,
};

#define SOCKETIO_ATTACHMENTS_MAX 10

/* Ids are JavaScript numbers: above this, they lose digits. */
#define SOCKETIO_ID_MAX (UINT64_C(1) << 53)

/* Borrows from the text. */
struct socketio_header {
	enum socketio_type type;
	unsigned n_attachments;
	struct http_view nsp; /* "/" where the packet names none */
	bool has_id;
	uint64_t id;
	struct http_view data; /* the JSON, empty where there is none */
};

/* -EINVAL: no packet; -E2BIG: too many attachments. */
int socketio_header_decode(const char *text, size_t len, struct socketio_header *ret) must_use;

/*
 * Parses the packet's JSON and checks that it is what its type may carry, as a client may send it:
 * CONNECT an object or nothing, DISCONNECT nothing, EVENT an array that begins with the event's
 * name, ACK an array.  Every placeholder has its attachment.  `ret` is NULL where there is none.
 */
int socketio_data_decode(const struct socketio_header *h, cJSON **ret) must_use;

/* connect, disconnect and such are the library's own: nobody sends them. */
bool socketio_name_is_reserved(const char *name);

/* Adds everything before the JSON. */
void socketio_header_encode(struct strbuf *b, const struct socketio_header *h);
