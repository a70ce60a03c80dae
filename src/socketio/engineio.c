/* SPDX-License-Identifier: MIT */
/*
 * Engine.IO's sessions: sending, hearts, ends.
 *
 * A session polls until its upgrade is complete: while a WebSocket is probed, messages go on by
 * polling.
 *
 * Nothing is freed where it ends: a session's last free is deferred, so a callback may close it.
 * Sending never calls back, so that whoever sends to a whole room isn't interrupted by its members'
 * ends.
 */
#include "socketio/engineio_priv.h"

#include <errno.h>
#include <stdlib.h>

#include "base/log.h"
#include "base/mem.h"
#include "base/metrics.h"

LOG_AREA("engineio");

/*
 * A poll that the client began before it read our "3probe" holds up its upgrade: it is released
 * after this long.  (At once would let a client that never goes on poll without a pause.)
 */
#define NUDGE_AFTER (100 * USEC_PER_MSEC)

/* clang-format off */
static const struct {
	const char *name;
	enum websocket_close code;
} reasons[] = {
	[EIO_CLIENT] =       { "transport close",         WEBSOCKET_CLOSE_NORMAL },
	[EIO_SERVER] =       { "forced close",            WEBSOCKET_CLOSE_NORMAL },
	[EIO_DRAINED] =      { "server shutting down",    WEBSOCKET_CLOSE_GOING_AWAY },
	[EIO_PING_TIMEOUT] = { "ping timeout",            WEBSOCKET_CLOSE_POLICY },
	[EIO_BAD_PACKET] =   { "parse error",             WEBSOCKET_CLOSE_PROTOCOL_ERROR },
	[EIO_TOO_BIG] =      { "message too big",         WEBSOCKET_CLOSE_TOO_BIG },
	[EIO_SLOW] =         { "reading too slowly",      WEBSOCKET_CLOSE_TRY_LATER },
};
/* clang-format on */

const char *eio_reason_name(enum eio_reason why)
{
	return reasons[why].name;
}

enum websocket_close eio_reason_code(enum eio_reason why)
{
	return reasons[why].code;
}

/*
 * The end
 */

static void free_session(void *arg)
{
	free(arg);
}

void engineio_count(struct engineio *engine)
{
	metric_set(METRIC_SOCKETIO_SESSIONS, (double)HASH_COUNT(engine->sessions));
}

/* Clients know it no more. */
void eio_forget(struct eio_session *s, enum eio_reason why)
{
	struct engineio *engine = s->engine;
	struct polling *p = s->polling;

	s->state = EIO_STATE_CLOSED;
	HASH_DEL(engine->sessions, s);
	engineio_count(engine);
	deadline_cancel(&s->heartbeat);
	if (p) {
		if (p->probe)
			link_drop(STEAL(p->probe), why);
		if (p->post)
			engineio_refuse(STEAL(p->post), ENGINEIO_BAD_REQUEST, NULL);
		polling_answer(p, why == EIO_CLIENT ? engine->noop : engine->close);
		s->polling = polling_free(p);
	}
	if (s->link)
		link_drop(STEAL(s->link), why);
	loop_defer(engine->loop, free_session, s);
}

void eio_end(struct eio_session *s, enum eio_reason why)
{
	bool tell = s->state != EIO_STATE_CLOSING;

	if (s->state == EIO_STATE_CLOSED)
		return;
	eio_forget(s, why);
	if (!tell)
		return;
	log_debug("session ended: %s", eio_reason_name(why));
	if (s->engine->ops->on_closed)
		s->engine->ops->on_closed(s, why, s->engine->arg);
}

static void on_end(struct deadline *d, void *arg)
{
	(void)arg;
	eio_end(container_of(d, struct eio_session, heartbeat), EIO_SERVER);
}

/*
 * Sending
 */

int eio_send_frame(struct eio_session *s, struct bytes *frame)
{
	switch (s->state) {
	case EIO_STATE_POLLING:
		return polling_send(s, frame, false);
	case EIO_STATE_WEBSOCKET:
		return websocket_send_frame(s->link->ws, frame);
	case EIO_STATE_CLOSING:
	case EIO_STATE_CLOSED:
		return -EPIPE;
	}
	return -EPIPE;
}

int eio_send_large_frame(struct eio_session *s, struct bytes *frame)
{
	if (s->state == EIO_STATE_POLLING)
		return polling_send(s, frame, true);
	if (s->state == EIO_STATE_WEBSOCKET)
		return websocket_send_large_frame(s->link->ws, frame);
	return -EPIPE;
}

int eio_send_text(struct eio_session *s, const char *data, size_t len)
{
	scoped(bytes_unrefp) struct bytes *frame = engineio_frame_text(ENGINEIO_MESSAGE, data, len);

	return eio_send_frame(s, frame);
}

int eio_send_binary(struct eio_session *s, const void *data, size_t len)
{
	scoped(bytes_unrefp) struct bytes *frame = engineio_frame_binary(data, len);

	return eio_send_frame(s, frame);
}

/*
 * Closing
 */

static void close_polling(struct eio_session *s, enum eio_reason why)
{
	struct engineio *engine = s->engine;
	struct polling *p = s->polling;

	s->state = EIO_STATE_CLOSING;
	polling_append(p, engine->close);
	deadline_set(engine->ends, &s->heartbeat);
	if (p->probe && !p->probed)
		link_drop(STEAL(p->probe), why);
	if (p->post)
		engineio_refuse(STEAL(p->post), ENGINEIO_UNKNOWN_SID, NULL);
	if (engine->ops->on_closed)
		engine->ops->on_closed(s, why, engine->arg);
	polling_flush(s);
}

static void close_session(struct eio_session *s, enum eio_reason why)
{
	if (s->state == EIO_STATE_POLLING && !s->polling->overflowed)
		close_polling(s, why);
	else if (s->state != EIO_STATE_CLOSING)
		eio_end(s, why);
}

void eio_close(struct eio_session *s)
{
	close_session(s, EIO_SERVER);
}

void eio_close_bad(struct eio_session *s)
{
	eio_end(s, EIO_BAD_PACKET);
}

/*
 * What may come
 */

void eio_admit(struct eio_session *s)
{
	s->message_max = s->engine->set.max_payload;
	if (s->link)
		link_set_message_max(s);
}

size_t eio_message_max(const struct eio_session *s)
{
	return s->message_max;
}

/*
 * Heartbeats
 */

void eio_wait_for_ping(struct eio_session *s)
{
	deadline_set(s->engine->pings, &s->heartbeat);
}

/*
 * The time for the pong counts from when the ping was due, so that a client can tell when its
 * session is over; but a server that was late itself gives at least half of it.
 */
static void on_ping_due(struct deadline *d, void *arg)
{
	struct eio_session *s = container_of(d, struct eio_session, heartbeat);
	struct engineio *engine = arg;
	usec_t late = clock_monotonic() + engine->set.ping_timeout / 2;
	usec_t at = d->at + engine->set.ping_timeout;

	deadline_set_at(engine->pongs, d, at > late ? at : late);
	(void)eio_send_frame(s, engine->ping);
}

static void on_pong_due(struct deadline *d, void *arg)
{
	(void)arg;
	eio_end(container_of(d, struct eio_session, heartbeat), EIO_PING_TIMEOUT);
}

/*
 * Packets from the client
 */

void eio_on_packet(struct eio_session *s, const struct engineio_packet *packet)
{
	switch (packet->type) {
	case ENGINEIO_MESSAGE:
		s->engine->ops->on_message(s, packet->is_binary, packet->data, packet->len,
					   s->engine->arg);
		return;
	case ENGINEIO_PONG:
		eio_wait_for_ping(s);
		return;
	case ENGINEIO_CLOSE:
		eio_end(s, EIO_CLIENT);
		return;
	case ENGINEIO_PING: /* only servers ping */
		eio_end(s, EIO_BAD_PACKET);
		return;
	case ENGINEIO_OPEN:
	case ENGINEIO_UPGRADE:
	case ENGINEIO_NOOP:
		return;
	}
}

/*
 * Life
 */

struct engineio *engineio_new(struct loop *loop, const struct engineio_settings *settings,
			      const struct engineio_ops *ops, void *arg)
{
	struct engineio *engine = xcalloc(1, sizeof(*engine));

	*engine = (struct engineio){
		.loop = loop,
		.set = *settings,
		.ops = ops,
		.arg = arg,
		.ping = engineio_frame_text(ENGINEIO_PING, "", 0),
		.close = engineio_frame_text(ENGINEIO_CLOSE, "", 0),
		.noop = engineio_frame_text(ENGINEIO_NOOP, "", 0),
		.pings = deadlines_new(loop, settings->ping_interval, on_ping_due, engine),
		.pongs = deadlines_new(loop, settings->ping_timeout, on_pong_due, engine),
		.ends = deadlines_new(loop, settings->close_timeout, on_end, engine),
		.upgrades =
			deadlines_new(loop, settings->upgrade_timeout, eio_on_upgrade_late, engine),
		.nudges = deadlines_new(loop, NUDGE_AFTER, eio_on_nudge, engine),
		.flushes = deadlines_new(loop, 0, polling_on_flush, engine),
	};
	return engine;
}

static void drop(struct eio_session *s)
{
	if (s->polling && s->polling->probe)
		link_abort(STEAL(s->polling->probe));
	if (s->link)
		link_abort(STEAL(s->link));
	eio_end(s, EIO_DRAINED);
}

struct engineio *engineio_free(struct engineio *engine)
{
	if (!engine)
		return NULL;
	while (engine->sessions)
		drop(engine->sessions);
	deadlines_free(engine->pings);
	deadlines_free(engine->pongs);
	deadlines_free(engine->ends);
	deadlines_free(engine->upgrades);
	deadlines_free(engine->nudges);
	deadlines_free(engine->flushes);
	bytes_unref(engine->ping);
	bytes_unref(engine->close);
	bytes_unref(engine->noop);
	free(engine);
	return NULL;
}

void engineio_set_output_max(struct engineio *engine, size_t output_max)
{
	engine->set.output_max = output_max;
}

void engineio_drain(struct engineio *engine)
{
	struct eio_session *s, *next;

	engine->draining = true;
	HASH_ITER(hh, engine->sessions, s, next)
	close_session(s, EIO_DRAINED);
}

size_t engineio_sessions(const struct engineio *engine)
{
	return HASH_COUNT(engine->sessions);
}

void eio_set_data(struct eio_session *s, void *data)
{
	s->data = data;
}

void *eio_data(const struct eio_session *s)
{
	return s->data;
}
