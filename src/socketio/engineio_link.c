/* SPDX-License-Identifier: MIT */
/*
 * WebSockets, of sessions that began with one and of those that go over to one.
 *
 * With the client's "5" the order is safe, because by then it has no poll and no post under way:
 * what waits for the next poll goes out over the WebSocket first.
 *
 * A client that has read our "3probe" polls no more, and one whose WebSocket goes now would wait
 * until its heartbeat fails, or leave without what was sent to it.  So a session that is closed
 * then goes over first.
 */
#include "socketio/engineio_priv.h"

#include <stdlib.h>
#include <string.h>

#include "base/mem.h"

#define PROBE_MAX 16 /* "2probe" and "5" are all that comes before it has gone over */

/* Of a text message the first byte is its type. */
void link_set_message_max(struct eio_session *s)
{
	websocket_set_message_max(s->link->ws, s->message_max + 1);
}

void link_drop(struct link *link, enum eio_reason why)
{
	link->session = NULL;
	websocket_close(link->ws, eio_reason_code(why), NULL); /* its on_closed frees the link */
}

void link_abort(struct link *link)
{
	websocket_abort(link->ws);
	free(link);
}

static void on_websocket_packet(struct eio_session *s, enum websocket_opcode opcode,
				const char *bytes, size_t len)
{
	struct engineio_packet packet = {
		.type = ENGINEIO_MESSAGE,
		.is_binary = opcode == WEBSOCKET_BINARY,
		.data = bytes,
		.len = len,
	};

	if (len > s->message_max + (packet.is_binary ? 0 : 1))
		eio_end(s, EIO_TOO_BIG);
	else if (!packet.is_binary && engineio_packet_decode(bytes, len, &packet) < 0)
		eio_end(s, EIO_BAD_PACKET);
	else
		eio_on_packet(s, &packet);
}

/*
 * The upgrade
 */

void eio_on_nudge(struct deadline *d, void *arg)
{
	struct engineio *engine = arg;

	polling_answer(container_of(d, struct polling, nudge), engine->noop);
}

static void stop_probing(struct polling *p, enum eio_reason why)
{
	deadline_cancel(&p->upgrade);
	deadline_cancel(&p->nudge);
	p->probed = false;
	if (p->probe)
		link_drop(STEAL(p->probe), why);
}

void eio_on_upgrade_late(struct deadline *d, void *arg)
{
	(void)arg;
	stop_probing(container_of(d, struct polling, upgrade), EIO_PING_TIMEOUT);
}

static void answer_probe(struct eio_session *s)
{
	static const char probe[] = "3probe";
	struct polling *p = s->polling;

	p->probed = true;
	websocket_send(p->probe->ws, WEBSOCKET_TEXT, probe, sizeof(probe) - 1);
	if (p->n_queue == 0)
		polling_answer(p, s->engine->noop);
}

static void switch_transport(struct eio_session *s)
{
	const bool is_closing = s->state == EIO_STATE_CLOSING;
	struct polling *p = STEAL(s->polling);

	if (!is_closing)
		s->state = EIO_STATE_WEBSOCKET;
	s->link = STEAL(p->probe);
	link_set_message_max(s);
	if (p->post) /* a client that is done with polling has none */
		engineio_refuse(STEAL(p->post), ENGINEIO_BAD_REQUEST, NULL);
	polling_answer(p, s->engine->noop);
	/* What waits was bounded when it was queued.  After a failure, the rest fails. */
	for (size_t i = 0; i < p->n_queue; i++) {
		if (p->queue[i] != s->engine->close) /* a WebSocket has a close of its own */
			(void)websocket_send_large_frame(s->link->ws, p->queue[i]);
	}
	polling_free(p);
	if (is_closing)
		eio_end(s, EIO_SERVER);
	else /* Both of them anew: the ping may be one that waited. */
		eio_wait_for_ping(s);
}

static void on_probe_packet(struct eio_session *s, enum websocket_opcode opcode, const char *bytes,
			    size_t len)
{
	bool is_text = opcode == WEBSOCKET_TEXT;

	if (is_text && len == 6 && memcmp(bytes, "2probe", 6) == 0)
		answer_probe(s);
	else if (is_text && len == 1 && bytes[0] == '5' && !s->polling->overflowed)
		switch_transport(s);
	else
		stop_probing(s->polling, EIO_BAD_PACKET);
}

static void on_websocket_message(struct websocket *ws, enum websocket_opcode opcode,
				 const void *bytes, size_t len, void *arg)
{
	struct link *link = arg;
	struct eio_session *s = link->session;

	(void)ws;
	if (!s)
		return;
	if (s->link == link)
		on_websocket_packet(s, opcode, bytes, len);
	else
		on_probe_packet(s, opcode, bytes, len);
}

static void on_websocket_closed(struct websocket *ws, int code, void *arg)
{
	struct link *link = arg;
	struct eio_session *s = link->session;

	(void)ws;
	if (s && s->link == link) {
		s->link = NULL;
		eio_end(s, code == WEBSOCKET_CLOSE_TRY_LATER ? EIO_SLOW : EIO_CLIENT);
	} else if (s) {
		s->polling->probe = NULL;
		stop_probing(s->polling, EIO_CLIENT);
	}
	free(link);
}

struct link *link_accept(struct http_request *req)
{
	static const struct websocket_ops ops = { on_websocket_message, on_websocket_closed };
	struct link *link = xcalloc(1, sizeof(*link));

	link->ws = websocket_accept(req, NULL, &ops, link);
	if (!link->ws)
		free(STEAL(link));
	return link;
}

void eio_upgrade(struct eio_session *s, struct http_request *req)
{
	struct link *link = link_accept(req);

	if (!link)
		return;
	/* A second one while the first is at it, or behind it: the first isn't disturbed. */
	if (s->state != EIO_STATE_POLLING || s->polling->probe) {
		link_drop(link, EIO_BAD_PACKET);
		return;
	}
	link->session = s;
	websocket_set_message_max(link->ws, PROBE_MAX);
	s->polling->probe = link;
	deadline_set(s->engine->upgrades, &s->polling->upgrade);
}
