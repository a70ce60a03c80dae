/* SPDX-License-Identifier: MIT */
#pragma once

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "base/bytes.h"
#include "base/cleanup.h"
#include "base/json.h"
#include "http/server.h"
#include "loop/loop.h"
#include "socketio/engineio.h"

/*
 * A Socket.IO server (protocol 5, on Engine.IO 4) for the stock client: namespaces, authentication
 * at CONNECT, events and acknowledgements in both directions, binary, rooms.
 *
 * A client is one connection, over either transport; a socket is that client in one namespace.  To
 * send to a room, make a packet once: all members share its bytes.
 *
 * What a stock client does when it is ended: after sio_disconnect() and sio_refuse() it never comes
 * back by itself; after sio_close(), it does.
 *
 * There is no connection state recovery: a client that reconnects is a new one, in no room.
 */
struct socketio;
struct sio_socket;
struct sio_packet;

struct socketio_settings {
	struct engineio_settings engine;
	usec_t connect_timeout; /* for a client to be in its first namespace */
	usec_t ack_timeout;
	unsigned acks_max;             /* a socket's acknowledgements that may be awaited */
	const char *const *namespaces; /* "/" and others; ends with NULL; borrowed for good */
};

/* An event from a client, borrowed until on_event returns. */
struct sio_event {
	const char *name;
	const cJSON *args; /* an array: what followed the name */
	/* What {"_placeholder":true,"num":i} in args stands for; i is below n_attachments. */
	struct bytes *const *attachments;
	unsigned n_attachments;
	bool wants_ack;
	uint64_t ack_id; /* for sio_ack(), which may come later */
};

/*
 * Sockets may be closed, and anything sent, from inside any of these.
 */
struct socketio_ops {
	/*
	 * A client's first request: false answers it 403.  What `*ret_data` is set to is the
	 * client's, and given back by sio_client_data().  May be NULL.
	 */
	bool (*on_open)(const struct http_request *req, void **ret_data, void *arg);

	/* The client is gone, behind all its sockets.  May be NULL. */
	void (*on_gone)(void *client_data, void *arg);

	/*
	 * A client asks for a namespace that there is.  Answer by sio_accept() or sio_refuse(), at
	 * once or later.  `auth` is an object or NULL.
	 */
	void (*on_connect)(struct sio_socket *s, const cJSON *auth, void *arg);

	void (*on_event)(struct sio_socket *s, const struct sio_event *event, void *arg);

	/*
	 * Once for each socket of on_connect that was not refused, whoever ended it; the socket is
	 * in no room any more, and invalid after this.
	 */
	void (*on_disconnect)(struct sio_socket *s, const char *reason, void *arg);
};

struct socketio *socketio_new(struct loop *loop, const struct socketio_settings *settings,
			      const struct socketio_ops *ops, void *arg);
struct socketio *socketio_free(struct socketio *server); /* not from inside a callback */
DEFINE_CLEANUP(struct socketio *, socketio_free)

/* For the path /socket.io/: see engineio_on_request() for what is left to the caller. */
void socketio_on_request(struct socketio *server, struct http_request *req);

/* The engine's output_max from here on. */
void socketio_set_output_max(struct socketio *server, size_t output_max);

/* Closes every transport, so that the clients come back, and opens no more. */
void socketio_drain(struct socketio *server);

size_t socketio_clients(const struct socketio *server);

/* Ends the client that has waited the longest to be in a namespace; false where there is none. */
bool socketio_drop_unconnected(struct socketio *server);

void sio_accept(struct sio_socket *s);
/* `data` is what the client finds in the error's data: borrowed, may be NULL. */
void sio_refuse(struct sio_socket *s, const char *message, const cJSON *data);

const char *sio_nsp(const struct sio_socket *s);
const char *sio_id(const struct sio_socket *s); /* what the client has as socket.id; no secret */
void *sio_client_data(const struct sio_socket *s);
void sio_set_data(struct sio_socket *s, void *data);
void *sio_data(const struct sio_socket *s);

/*
 * An event, encoded once.  `args` is JSON values with commas between them, as they stand between an
 * array's brackets; len 0 is no arguments.  The packet is the caller's.
 */
struct sio_packet *sio_packet_event(const char *nsp, const char *name, const char *args,
				    size_t len);
/* With attachments, for which there are placeholders in `args`. */
struct sio_packet *sio_packet_binary(const char *nsp, const char *name, const char *args,
				     size_t len, struct bytes *const *attachments, unsigned n);
struct sio_packet *sio_packet_free(struct sio_packet *p);
DEFINE_CLEANUP(struct sio_packet *, sio_packet_free)

/*
 * Sends.  -ENOBUFS: the client doesn't read, and is being cut off (on_disconnect comes later);
 * -EPIPE: it is gone, or was not accepted.  None of these calls back.
 */
int sio_send(struct sio_socket *s, const struct sio_packet *p);
int sio_emit(struct sio_socket *s, const char *name, const char *args, size_t len);

/* `args` is NULL when no acknowledgement came: the client left, or took too long. */
typedef void sio_ack_fn(struct sio_socket *s, const cJSON *args, void *arg);

/* -EDQUOT when acks_max are awaited already.  After 0, `fn` is called once. */
int sio_emit_ack(struct sio_socket *s, const char *name, const char *args, size_t len,
		 sio_ack_fn *fn, void *arg) must_use;

/*
 * The same as bytes, for events without attachments: for who keeps them with something of its own.
 */
struct bytes *sio_frame_event(const char *nsp, const char *name, const char *args, size_t len);
int sio_send_frame(struct sio_socket *s, struct bytes *frame);

/* Acknowledges an event of the client; attachments as above. */
int sio_ack(struct sio_socket *s, uint64_t ack_id, const char *args, size_t len);
int sio_ack_binary(struct sio_socket *s, uint64_t ack_id, const char *args, size_t len,
		   struct bytes *const *attachments, unsigned n);

/* As websocket_send_large(): what a client asked for, however large, doesn't count. */
int sio_emit_large(struct sio_socket *s, const char *name, const char *args, size_t len);
int sio_send_large_frame(struct sio_socket *s, struct bytes *frame);
int sio_ack_large(struct sio_socket *s, uint64_t ack_id, const char *args, size_t len);

/* Of an accepted socket.  Joining twice is joining once. */
void sio_join(struct sio_socket *s, const char *room);
void sio_leave(struct sio_socket *s, const char *room);
bool sio_is_in(const struct sio_socket *s, const char *room);

/* Sends to all in that room of the packet's namespace, and says how many they are. */
size_t sio_room_emit(struct socketio *server, const char *nsp, const char *room,
		     const struct sio_packet *p);
size_t sio_room_size(const struct socketio *server, const char *nsp, const char *room);

/* Takes the socket out of its namespace, for good; the client's others stay. */
void sio_disconnect(struct sio_socket *s);

/* Closes the client's transport, behind what was sent. */
void sio_close(struct sio_socket *s);
