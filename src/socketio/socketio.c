/* SPDX-License-Identifier: MIT */
/*
 * Socket.IO: what Engine.IO's messages mean.
 *
 * A client that breaks the protocol has its transport closed, as with the reference server: an
 * answer would go to a program that doesn't follow the rules anyhow.
 *
 * Clients and sockets are freed off the loop, so that a callback may end them.
 */
#include "socketio/socketio_priv.h"

#include <assert.h>
#include <stdlib.h>
#include <string.h>
#include <utlist.h>

#include "base/ids.h"
#include "base/mem.h"
#include "base/metrics.h"

/*
 * Sockets
 */

static struct sio_socket *socket_new(struct client *c, struct nsp *nsp)
{
	struct sio_socket *s = xcalloc(1, sizeof(*s));

	s->client = c;
	s->nsp = nsp;
	random_hex(s->id, ID_BYTES);
	LL_PREPEND(c->sockets, s);
	return s;
}

static void free_socket(void *arg)
{
	free(arg);
}

static void remove_socket(struct sio_socket *s)
{
	if (s->state == SOCKET_CONNECTED)
		metric_add(METRIC_SOCKETIO_SOCKETS, -1);
	s->state = SOCKET_GONE;
	LL_DELETE(s->client->sockets, s);
	rooms_leave_all(s->nsp->rooms, &s->rooms);
	loop_defer(s->client->server->loop, free_socket, s);
}

static void end_socket(struct sio_socket *s, const char *reason)
{
	struct socketio *server = s->client->server;

	if (s->state == SOCKET_GONE)
		return;
	remove_socket(s);
	while (s->awaited)
		awaited_end(s->awaited, NULL);
	server->ops->on_disconnect(s, reason, server->arg);
}

void sio_accept(struct sio_socket *s)
{
	scoped(json_freep) cJSON *object = NULL;

	if (s->state == SOCKET_GONE)
		return;
	assert(s->state == SOCKET_CONNECTING);
	s->state = SOCKET_CONNECTED;
	metric_inc(METRIC_SOCKETIO_SOCKETS);
	deadline_cancel(&s->client->connect);
	if (s->client->session)
		eio_admit(s->client->session);

	object = cJSON_CreateObject();
	json_add_string(object, "sid", s->id);
	sio_send_control(s->client, SOCKETIO_CONNECT, sio_view(s->nsp->name), object);
}

void sio_refuse(struct sio_socket *s, const char *message, const cJSON *data)
{
	if (s->state == SOCKET_GONE)
		return;
	assert(s->state == SOCKET_CONNECTING);
	sio_send_connect_error(s->client, sio_view(s->nsp->name), message, data);
	remove_socket(s);
}

void sio_disconnect(struct sio_socket *s)
{
	if (s->state == SOCKET_GONE)
		return;
	sio_send_control(s->client, SOCKETIO_DISCONNECT, sio_view(s->nsp->name), NULL);
	end_socket(s, "server namespace disconnect");
}

void sio_close(struct sio_socket *s)
{
	if (s->state != SOCKET_GONE && s->client->session)
		eio_close(s->client->session);
}

const char *sio_nsp(const struct sio_socket *s)
{
	return s->nsp->name;
}

const char *sio_id(const struct sio_socket *s)
{
	return s->id;
}

void *sio_client_data(const struct sio_socket *s)
{
	return s->client->data;
}

void sio_set_data(struct sio_socket *s, void *data)
{
	s->data = data;
}

void *sio_data(const struct sio_socket *s)
{
	return s->data;
}

/*
 * Rooms
 */

static struct nsp *find_nsp(const struct socketio *server, struct http_view name)
{
	for (size_t i = 0; i < server->n_nsps; i++)
		if (http_view_is(name, server->nsps[i].name))
			return &server->nsps[i];
	return NULL;
}

void sio_join(struct sio_socket *s, const char *room)
{
	if (s->state == SOCKET_CONNECTED)
		rooms_join(s->nsp->rooms, &s->rooms, room, s);
}

void sio_leave(struct sio_socket *s, const char *room)
{
	rooms_leave(s->nsp->rooms, &s->rooms, room);
}

bool sio_is_in(const struct sio_socket *s, const char *room)
{
	return rooms_have(s->rooms, room);
}

size_t sio_room_emit(struct socketio *server, const char *nsp_name, const char *room,
		     const struct sio_packet *p)
{
	const struct nsp *nsp = find_nsp(server, sio_view(nsp_name));
	const struct room_member *members;
	size_t n = nsp ? rooms_members(nsp->rooms, room, &members) : 0;

	/* Nobody leaves in here: see eio_send_frame(). */
	for (size_t i = 0; i < n; i++)
		(void)sio_send(members[i].member, p);
	return n;
}

size_t sio_room_size(const struct socketio *server, const char *nsp_name, const char *room)
{
	const struct nsp *nsp = find_nsp(server, sio_view(nsp_name));
	const struct room_member *members;

	return nsp ? rooms_members(nsp->rooms, room, &members) : 0;
}

/*
 * Packets in
 */

static void close_bad(struct client *c)
{
	if (c->session)
		eio_close_bad(c->session);
}

static struct sio_socket *find_socket(const struct client *c, struct http_view nsp)
{
	struct sio_socket *s;

	LL_FOREACH(c->sockets, s)
	if (http_view_is(nsp, s->nsp->name))
		return s;
	return NULL;
}

static void on_connect(struct client *c, const struct socketio_header *h, const cJSON *auth)
{
	struct nsp *nsp = find_nsp(c->server, h->nsp);

	if (find_socket(c, h->nsp)) {
		close_bad(c);
		return;
	}
	if (!nsp) {
		sio_send_connect_error(c, h->nsp, "Invalid namespace", NULL);
		return;
	}
	c->server->ops->on_connect(socket_new(c, nsp), auth, c->server->arg);
}

/* Takes the array apart. */
static void on_event(struct sio_socket *s, const struct socketio_header *h, cJSON *array,
		     struct bytes *const *attachments)
{
	scoped(json_freep) cJSON *first = cJSON_DetachItemFromArray(array, 0);
	scoped(freep) char *number = cJSON_IsNumber(first) ? json_print(first) : NULL;
	const struct sio_event event = {
		.name = number ? number : first->valuestring,
		.args = array,
		.attachments = attachments,
		.n_attachments = h->n_attachments,
		.wants_ack = h->has_id,
		.ack_id = h->id,
	};
	struct socketio *server = s->client->server;

	server->ops->on_event(s, &event, server->arg);
}

static void on_packet(struct client *c, const struct socketio_header *h,
		      struct bytes *const *attachments)
{
	scoped(json_freep) cJSON *data = NULL;
	struct sio_socket *s;

	if (socketio_data_decode(h, &data) < 0) {
		close_bad(c);
		return;
	}
	if (h->type == SOCKETIO_CONNECT) {
		on_connect(c, h, data);
		return;
	}
	s = find_socket(c, h->nsp);
	if (!s || s->state != SOCKET_CONNECTED)
		close_bad(c);
	else if (h->type == SOCKETIO_DISCONNECT)
		end_socket(s, "client namespace disconnect");
	else if (h->type == SOCKETIO_EVENT || h->type == SOCKETIO_BINARY_EVENT)
		on_event(s, h, data, attachments);
	else
		awaited_on_ack(s, h->id, data);
}

static struct incoming *incoming_free(struct incoming *in)
{
	if (!in)
		return NULL;
	for (unsigned i = 0; i < in->n; i++)
		bytes_unref(in->attachments[i]);
	bytes_unref(in->text);
	free(in);
	return NULL;
}
DEFINE_CLEANUP(struct incoming *, incoming_free)

/* Kept as text, which is parsed again when all is there: as cJSON, it would be many times larger.
 */
static void wait_for_attachments(struct client *c, const struct socketio_header *h,
				 const char *text, size_t len)
{
	scoped(json_freep) cJSON *data = NULL;
	struct incoming *in;

	if (socketio_data_decode(h, &data) < 0) {
		close_bad(c);
		return;
	}
	in = xcalloc(1, sizeof(*in));
	in->text = bytes_new(text, len);
	in->bytes = len;
	in->header = *h;
	in->header.data.at = in->text->data + (h->data.at - text);
	in->header.nsp.at = h->nsp.at >= text && h->nsp.at < text + len
				    ? in->text->data + (h->nsp.at - text)
				    : h->nsp.at;
	c->incoming = in;
}

static void on_attachment(struct client *c, const char *bytes, size_t len)
{
	struct incoming *in = c->incoming;
	size_t max = eio_message_max(c->session);

	if (!in || in->bytes > max || len > max - in->bytes) {
		close_bad(c);
		return;
	}
	in->bytes += len;
	in->attachments[in->n++] = bytes_new(bytes, len);
	if (in->n == in->header.n_attachments) {
		scoped(incoming_freep) struct incoming *whole = STEAL(c->incoming);

		on_packet(c, &whole->header, whole->attachments);
	}
}

static void on_text(struct client *c, const char *text, size_t len)
{
	struct socketio_header header;

	if (c->incoming || socketio_header_decode(text, len, &header) < 0)
		close_bad(c);
	else if (header.n_attachments > 0)
		wait_for_attachments(c, &header, text, len);
	else
		on_packet(c, &header, NULL);
}

/*
 * Clients
 */

static void on_message(struct eio_session *session, bool is_binary, const char *data, size_t len,
		       void *arg)
{
	struct client *c = eio_data(session);

	(void)arg;
	if (is_binary)
		on_attachment(c, data, len);
	else
		on_text(c, data, len);
}

static bool on_open(struct eio_session *session, const struct http_request *req, void *arg)
{
	struct socketio *server = arg;
	void *data = NULL;
	struct client *c;

	if (server->ops->on_open && !server->ops->on_open(req, &data, server->arg))
		return false;
	c = xcalloc(1, sizeof(*c));
	c->server = server;
	c->session = session;
	c->data = data;
	eio_set_data(session, c);
	deadline_set(server->connects, &c->connect);
	return true;
}

static void free_client(void *arg)
{
	free(arg);
}

static void on_closed(struct eio_session *session, enum eio_reason why, void *arg)
{
	struct client *c = eio_data(session);
	struct socketio *server = arg;

	c->session = NULL;
	deadline_cancel(&c->connect);
	c->incoming = incoming_free(c->incoming);
	while (c->sockets)
		end_socket(c->sockets, eio_reason_name(why));
	if (server->ops->on_gone)
		server->ops->on_gone(c->data, server->arg);
	loop_defer(server->loop, free_client, c);
}

static void on_connect_late(struct deadline *d, void *arg)
{
	(void)arg;
	eio_close(container_of(d, struct client, connect)->session);
}

bool socketio_drop_unconnected(struct socketio *server)
{
	struct deadline *oldest = deadlines_first(server->connects);

	if (!oldest)
		return false;
	eio_close_bad(container_of(oldest, struct client, connect)->session);
	return true;
}

/*
 * The server
 */

static void add_nsps(struct socketio *server, const char *const *names)
{
	while (names[server->n_nsps])
		server->n_nsps++;
	server->nsps = xcalloc(server->n_nsps, sizeof(server->nsps[0]));
	for (size_t i = 0; i < server->n_nsps; i++)
		server->nsps[i] = (struct nsp){ names[i], rooms_new() };
}

struct socketio *socketio_new(struct loop *loop, const struct socketio_settings *settings,
			      const struct socketio_ops *ops, void *arg)
{
	static const struct engineio_ops engine_ops = { on_open, on_message, on_closed };
	struct socketio *server = xcalloc(1, sizeof(*server));

	server->loop = loop;
	server->set = *settings;
	server->ops = ops;
	server->arg = arg;
	add_nsps(server, settings->namespaces);
	server->connects = deadlines_new(loop, settings->connect_timeout, on_connect_late, server);
	server->acks = deadlines_new(loop, settings->ack_timeout, awaited_on_late, server);
	server->engine = engineio_new(loop, &settings->engine, &engine_ops, server);
	return server;
}

struct socketio *socketio_free(struct socketio *server)
{
	if (!server)
		return NULL;
	engineio_free(server->engine);
	deadlines_free(server->connects);
	deadlines_free(server->acks);
	for (size_t i = 0; i < server->n_nsps; i++)
		rooms_free(server->nsps[i].rooms);
	free(server->nsps);
	free(server);
	return NULL;
}

void socketio_on_request(struct socketio *server, struct http_request *req)
{
	engineio_on_request(server->engine, req);
}

void socketio_set_output_max(struct socketio *server, size_t output_max)
{
	engineio_set_output_max(server->engine, output_max);
}

void socketio_drain(struct socketio *server)
{
	engineio_drain(server->engine);
}

size_t socketio_clients(const struct socketio *server)
{
	return engineio_sessions(server->engine);
}
