/* SPDX-License-Identifier: MIT */
#pragma once

#include <string.h>

#include "http/url.h"
#include "socketio/deadlines.h"
#include "socketio/rooms.h"
#include "socketio/socketio.h"
#include "socketio/socketio_packet.h"

/*
 * Between the files of Socket.IO: clients, sockets and rooms (socketio.c), and what is sent
 * (socketio_send.c).
 */

#define ID_BYTES 10 /* of a socket's id; in hexadecimal, twice as many characters */

struct nsp {
	const char *name;
	struct rooms *rooms;
};

struct socketio {
	struct loop *loop;
	struct engineio *engine;
	struct socketio_settings set;
	const struct socketio_ops *ops;
	void *arg;
	struct nsp *nsps;
	size_t n_nsps;
	struct deadlines *connects;
	struct deadlines *acks;
};

/* A packet whose attachments are arriving. */
struct incoming {
	struct socketio_header header; /* borrows from `text` */
	struct bytes *text;
	struct bytes *attachments[SOCKETIO_ATTACHMENTS_MAX];
	unsigned n;
	size_t bytes;
};

struct client {
	struct socketio *server;
	struct eio_session *session; /* NULL when it is over */
	void *data;
	struct sio_socket *sockets;
	struct incoming *incoming;
	struct deadline connect; /* until it is in a namespace */
};

enum socket_state {
	SOCKET_CONNECTING,
	SOCKET_CONNECTED,
	SOCKET_GONE,
};

/* An acknowledgement that is awaited. */
struct awaited {
	struct sio_socket *socket;
	uint64_t id;
	sio_ack_fn *fn;
	void *arg;
	struct deadline deadline;
	struct awaited *next;
};

struct sio_socket {
	struct client *client;
	struct nsp *nsp;
	void *data;
	struct sio_socket *next;
	struct membership *rooms;
	struct awaited *awaited;
	unsigned n_awaited;
	enum socket_state state;
	uint64_t next_id; /* of an event that wants an acknowledgement */
	char id[2 * ID_BYTES + 1];
};

static inline struct http_view sio_view(const char *text)
{
	return (struct http_view){ text, strlen(text) };
}

/*
 * socketio_send.c
 */

/* CONNECT, DISCONNECT: `object` is NULL for none. */
void sio_send_control(struct client *c, enum socketio_type type, struct http_view nsp,
		      const cJSON *object);
void sio_send_connect_error(struct client *c, struct http_view nsp, const char *message,
			    const cJSON *data);

/* Acknowledgements that are awaited: `args` is NULL where none came. */
void awaited_end(struct awaited *a, const cJSON *args);
void awaited_on_ack(struct sio_socket *s, uint64_t id, const cJSON *args);
void awaited_on_late(struct deadline *d, void *server);
