/* SPDX-License-Identifier: MIT */
/*
 * What goes out: packets, encoded once for all who get them, and the acknowledgements that some of
 * them wait for.
 */
#include "socketio/socketio_priv.h"

#include <assert.h>
#include <errno.h>
#include <stdlib.h>
#include <utlist.h>

#include "base/mem.h"
#include "base/strbuf.h"
#include "socketio/engineio_packet.h"

struct sio_packet {
	unsigned n;
	struct bytes *frames[];
};

static struct sio_packet *packet_new(const char *text, size_t len, struct bytes *const *attachments,
				     unsigned n)
{
	struct sio_packet *p = xcalloc(1, sizeof(*p) + (1 + n) * sizeof(p->frames[0]));

	p->n = 1 + n;
	p->frames[0] = engineio_frame_text(ENGINEIO_MESSAGE, text, len);
	for (unsigned i = 0; i < n; i++)
		p->frames[1 + i] = engineio_frame_binary(attachments[i]->data, attachments[i]->len);
	return p;
}

struct sio_packet *sio_packet_free(struct sio_packet *p)
{
	if (!p)
		return NULL;
	for (unsigned i = 0; i < p->n; i++)
		bytes_unref(p->frames[i]);
	free(p);
	return NULL;
}

/* `name` is an event's, NULL in an acknowledgement. */
static struct sio_packet *packet_encode(const struct socketio_header *h, const char *name,
					const char *args, size_t len,
					struct bytes *const *attachments)
{
	scoped(strbuf_done) struct strbuf text = strbuf_init(STRBUF_UNLIMITED);

	assert(h->n_attachments <= SOCKETIO_ATTACHMENTS_MAX);
	socketio_header_encode(&text, h);
	strbuf_putc(&text, '[');
	if (name) {
		assert(!socketio_name_is_reserved(name));
		strbuf_add_json_string(&text, name);
	}
	if (name && len > 0)
		strbuf_putc(&text, ',');
	strbuf_add(&text, args, len);
	strbuf_putc(&text, ']');
	return packet_new(text.data, text.len, attachments, h->n_attachments);
}

struct sio_packet *sio_packet_binary(const char *nsp, const char *name, const char *args,
				     size_t len, struct bytes *const *attachments, unsigned n)
{
	const struct socketio_header header = {
		.type = n > 0 ? SOCKETIO_BINARY_EVENT : SOCKETIO_EVENT,
		.n_attachments = n,
		.nsp = sio_view(nsp),
	};

	return packet_encode(&header, name, args, len, attachments);
}

struct sio_packet *sio_packet_event(const char *nsp, const char *name, const char *args, size_t len)
{
	return sio_packet_binary(nsp, name, args, len, NULL, 0);
}

static int client_send(struct client *c, const struct sio_packet *p)
{
	int r = c->session ? 0 : -EPIPE;

	for (unsigned i = 0; i < p->n && r == 0; i++)
		r = eio_send_frame(c->session, p->frames[i]);
	return r;
}

int sio_send(struct sio_socket *s, const struct sio_packet *p)
{
	return s->state == SOCKET_CONNECTED ? client_send(s->client, p) : -EPIPE;
}

int sio_emit(struct sio_socket *s, const char *name, const char *args, size_t len)
{
	scoped(sio_packet_freep) struct sio_packet *p =
		sio_packet_event(s->nsp->name, name, args, len);

	return sio_send(s, p);
}

struct bytes *sio_frame_event(const char *nsp, const char *name, const char *args, size_t len)
{
	scoped(sio_packet_freep) struct sio_packet *p = sio_packet_event(nsp, name, args, len);

	return bytes_ref(p->frames[0]);
}

static bool is_open(const struct sio_socket *s)
{
	return s->state == SOCKET_CONNECTED && s->client->session;
}

int sio_send_frame(struct sio_socket *s, struct bytes *frame)
{
	return is_open(s) ? eio_send_frame(s->client->session, frame) : -EPIPE;
}

int sio_send_large_frame(struct sio_socket *s, struct bytes *frame)
{
	return is_open(s) ? eio_send_large_frame(s->client->session, frame) : -EPIPE;
}

int sio_emit_large(struct sio_socket *s, const char *name, const char *args, size_t len)
{
	scoped(bytes_unrefp) struct bytes *frame = sio_frame_event(s->nsp->name, name, args, len);

	return sio_send_large_frame(s, frame);
}

static struct sio_packet *packet_ack(const struct sio_socket *s, uint64_t ack_id, const char *args,
				     size_t len, struct bytes *const *attachments, unsigned n)
{
	const struct socketio_header header = {
		.type = n > 0 ? SOCKETIO_BINARY_ACK : SOCKETIO_ACK,
		.n_attachments = n,
		.nsp = sio_view(s->nsp->name),
		.has_id = true,
		.id = ack_id,
	};

	return packet_encode(&header, NULL, args, len, attachments);
}

int sio_ack_binary(struct sio_socket *s, uint64_t ack_id, const char *args, size_t len,
		   struct bytes *const *attachments, unsigned n)
{
	scoped(sio_packet_freep) struct sio_packet *p =
		packet_ack(s, ack_id, args, len, attachments, n);

	return sio_send(s, p);
}

int sio_ack_large(struct sio_socket *s, uint64_t ack_id, const char *args, size_t len)
{
	scoped(sio_packet_freep) struct sio_packet *p = packet_ack(s, ack_id, args, len, NULL, 0);

	return sio_send_large_frame(s, p->frames[0]);
}

int sio_ack(struct sio_socket *s, uint64_t ack_id, const char *args, size_t len)
{
	return sio_ack_binary(s, ack_id, args, len, NULL, 0);
}

/* CONNECT, CONNECT_ERROR, DISCONNECT: `object` is NULL for none. */
void sio_send_control(struct client *c, enum socketio_type type, struct http_view nsp,
		      const cJSON *object)
{
	const struct socketio_header header = { .type = type, .nsp = nsp };
	scoped(strbuf_done) struct strbuf text = strbuf_init(STRBUF_UNLIMITED);
	scoped(freep) char *json = object ? json_print(object) : NULL;

	socketio_header_encode(&text, &header);
	if (json)
		strbuf_puts(&text, json);
	if (c->session)
		(void)eio_send_text(c->session, text.data, text.len);
}

void sio_send_connect_error(struct client *c, struct http_view nsp, const char *message,
			    const cJSON *data)
{
	scoped(json_freep) cJSON *error = cJSON_CreateObject();

	json_add_string(error, "message", message);
	if (data)
		cJSON_AddItemToObject(error, "data", cJSON_Duplicate(data, true));
	sio_send_control(c, SOCKETIO_CONNECT_ERROR, nsp, error);
}

/*
 * Acknowledgements that are awaited
 */

void awaited_end(struct awaited *a, const cJSON *args)
{
	struct sio_socket *s = a->socket;

	LL_DELETE(s->awaited, a);
	s->n_awaited--;
	deadline_cancel(&a->deadline);
	a->fn(s, args, a->arg);
	free(a);
}

void awaited_on_late(struct deadline *d, void *arg)
{
	(void)arg;
	awaited_end(container_of(d, struct awaited, deadline), NULL);
}

void awaited_on_ack(struct sio_socket *s, uint64_t id, const cJSON *args)
{
	struct awaited *a;

	LL_SEARCH_SCALAR(s->awaited, a, id, id);
	if (a) /* an unknown one is late, or came twice */
		awaited_end(a, args);
}

int sio_emit_ack(struct sio_socket *s, const char *name, const char *args, size_t len,
		 sio_ack_fn *fn, void *arg)
{
	const struct socketio_header header = {
		.type = SOCKETIO_EVENT,
		.nsp = sio_view(s->nsp->name),
		.has_id = true,
		.id = s->next_id,
	};
	scoped(sio_packet_freep) struct sio_packet *p = NULL;
	struct awaited *a;
	int r;

	if (s->n_awaited >= s->client->server->set.acks_max)
		return -EDQUOT;
	p = packet_encode(&header, name, args, len, NULL);
	r = sio_send(s, p);
	if (r < 0)
		return r;

	a = xcalloc(1, sizeof(*a));
	a->socket = s;
	a->id = s->next_id++;
	a->fn = fn;
	a->arg = arg;
	LL_PREPEND(s->awaited, a);
	s->n_awaited++;
	deadline_set(s->client->server->acks, &a->deadline);
	return 0;
}
