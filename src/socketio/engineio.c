/* SPDX-License-Identifier: MIT */
/*
 * Engine.IO's sessions and their transports.
 *
 * A session polls until its upgrade is complete: while a WebSocket is probed, messages go on by
 * polling.  With the client's "5" the order is safe, because by then it has no poll and no post
 * under way: what waits for the next poll goes out over the WebSocket first.
 *
 * Nothing is freed where it ends: a session's last free is deferred, so a callback may close it.
 * Sending never calls back, so that whoever sends to a whole room isn't interrupted by its members'
 * ends.
 */
#include "socketio/engineio.h"

#include <assert.h>
#include <errno.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <strings.h>
#include <uthash.h>

#include "base/ids.h"
#include "base/log.h"
#include "base/mem.h"
#include "base/metrics.h"
#include "base/strbuf.h"
#include "http/url.h"
#include "http/websocket.h"
#include "socketio/deadlines.h"
#include "socketio/engineio_packet.h"

LOG_AREA("engineio");

#define SID_LENGTH 20

/*
 * A poll that the client began before it read our "3probe" holds up its upgrade: it is released
 * after this long.  (At once would let a client that never goes on poll without a pause.)
 */
#define NUDGE_AFTER (100 * USEC_PER_MSEC)

/* What a waiting packet costs beside its bytes, so that many small ones are bounded, too. */
#define QUEUED_PACKET_COST 32

/* A WebSocket.  It may outlive its session: the closing handshake takes its time. */
struct link {
	struct websocket *ws;
	struct eio_session *session; /* or NULL */
};

/* What only a session that polls has. */
struct polling {
	struct eio_session *session;
	struct http_request *get;  /* held until there is something to tell */
	struct http_request *post; /* whose body is arriving */
	struct bytes **queue;      /* frames for the next poll */
	size_t n_queue, queue_capacity;
	size_t queue_bytes;
	size_t allowance; /* beyond output_max, until all was taken */
	bool overflowed;
	bool probed; /* "3probe" was sent */
	struct link *probe;
	struct deadline flush;
	struct deadline upgrade;
	struct deadline nudge;
};

enum eio_state {
	EIO_STATE_POLLING,
	EIO_STATE_WEBSOCKET,
	EIO_STATE_CLOSING, /* on_closed was called; a poll is awaited to be told */
	EIO_STATE_CLOSED,  /* unknown to clients; freed soon */
};

struct eio_session {
	struct engineio *engine;
	void *data;
	struct polling *polling;   /* POLLING and CLOSING */
	struct link *link;         /* WEBSOCKET */
	struct deadline heartbeat; /* in pings, pongs or, CLOSING, ends */
	UT_hash_handle hh;
	enum eio_state state;
	char sid[SID_LENGTH + 1];
};

struct engineio {
	struct loop *loop;
	struct engineio_settings set;
	const struct engineio_ops *ops;
	void *arg;
	struct eio_session *sessions;
	bool draining;
	struct bytes *ping, *close, *noop; /* frames */
	struct deadlines *pings, *pongs, *ends, *upgrades, *nudges, *flushes;
};

/* clang-format off */
static const struct {
	int status;
	const char *message;
} errors[] = {
	[ENGINEIO_UNKNOWN_TRANSPORT] = { 400, "Transport unknown" },
	[ENGINEIO_UNKNOWN_SID] =       { 400, "Session ID unknown" },
	[ENGINEIO_BAD_METHOD] =        { 400, "Bad handshake method" },
	[ENGINEIO_BAD_REQUEST] =       { 400, "Bad request" },
	[ENGINEIO_FORBIDDEN] =         { 403, "Forbidden" },
	[ENGINEIO_BAD_VERSION] =       { 400, "Unsupported protocol version" },
};

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

static void refuse(struct http_request *req, int status, enum engineio_error error,
		   const char *message)
{
	scoped(strbuf_done) struct strbuf body = strbuf_init(STRBUF_UNLIMITED);

	strbuf_printf(&body, "{\"code\":%d,\"message\":", (int)error);
	strbuf_add_json_string(&body, message);
	strbuf_putc(&body, '}');
	http_response_header(req, "Cache-Control", "no-store");
	http_reply(req, status, "application/json", body.data, body.len);
}

void engineio_refuse(struct http_request *req, enum engineio_error error, const char *message)
{
	refuse(req, errors[error].status, error, message ? message : errors[error].message);
}

/*
 * WebSockets
 */

static void link_drop(struct link *link, enum eio_reason why)
{
	link->session = NULL;
	websocket_close(link->ws, reasons[why].code, NULL); /* its on_closed frees the link */
}

static void link_abort(struct link *link)
{
	websocket_abort(link->ws);
	free(link);
}

/*
 * Polls: what waits for the next one, and the one that waits
 */

static void reply_text(struct http_request *req, const char *content_type, const char *text,
		       size_t len)
{
	http_response_header(req, "Cache-Control", "no-store");
	http_reply(req, 200, content_type, text, len);
}

static void reply_packets(struct http_request *req, const char *text, size_t len)
{
	reply_text(req, "text/plain; charset=UTF-8", text, len);
}

static void clear_queue(struct polling *p)
{
	for (size_t i = 0; i < p->n_queue; i++)
		bytes_unref(p->queue[i]);
	free(STEAL(p->queue));
	p->n_queue = p->queue_capacity = p->queue_bytes = p->allowance = 0;
}

static void answer_poll(struct polling *p, struct bytes *frame)
{
	scoped(strbuf_done) struct strbuf body = strbuf_init(STRBUF_UNLIMITED);

	deadline_cancel(&p->nudge);
	if (!p->get)
		return;
	engineio_payload_add(&body, frame);
	reply_packets(STEAL(p->get), body.data, body.len);
}

/*
 * As many as a body may hold of what a client says, so that both ways have one measure; a packet
 * can't be cut, so one that is larger goes alone.
 */
static size_t packets_of_a_body(const struct polling *p)
{
	const size_t max = p->session->engine->set.max_payload;
	size_t n = 0, sum = 0;

	do {
		sum += p->queue[n++]->len;
	} while (n < p->n_queue && sum + p->queue[n]->len <= max);
	return n;
}

static void reply_queue(struct polling *p, struct http_request *req)
{
	scoped(strbuf_done) struct strbuf body = strbuf_init(STRBUF_UNLIMITED);
	const size_t n = packets_of_a_body(p);

	for (size_t i = 0; i < n; i++) {
		engineio_payload_add(&body, p->queue[i]);
		p->queue_bytes -= p->queue[i]->len + QUEUED_PACKET_COST;
		bytes_unref(p->queue[i]);
	}
	p->n_queue -= n;
	memmove(p->queue, p->queue + n, p->n_queue * sizeof(p->queue[0]));
	if (p->n_queue == 0)
		clear_queue(p);
	reply_packets(req, body.data, body.len);
}

static struct polling *polling_free(struct polling *p)
{
	if (!p)
		return NULL;
	assert(!p->get && !p->post && !p->probe);
	clear_queue(p);
	deadline_cancel(&p->flush);
	deadline_cancel(&p->upgrade);
	deadline_cancel(&p->nudge);
	free(p);
	return NULL;
}

/*
 * The end
 */

static void free_session(void *arg)
{
	free(arg);
}

static void count_sessions(struct engineio *engine)
{
	metric_set(METRIC_SOCKETIO_SESSIONS, (double)HASH_COUNT(engine->sessions));
}

/* Clients know it no more. */
static void forget(struct eio_session *s, enum eio_reason why)
{
	struct engineio *engine = s->engine;
	struct polling *p = s->polling;

	s->state = EIO_STATE_CLOSED;
	HASH_DEL(engine->sessions, s);
	count_sessions(engine);
	deadline_cancel(&s->heartbeat);
	if (p) {
		if (p->probe)
			link_drop(STEAL(p->probe), why);
		if (p->post)
			engineio_refuse(STEAL(p->post), ENGINEIO_BAD_REQUEST, NULL);
		answer_poll(p, why == EIO_CLIENT ? engine->noop : engine->close);
		s->polling = polling_free(p);
	}
	if (s->link)
		link_drop(STEAL(s->link), why);
	loop_defer(engine->loop, free_session, s);
}

static void end(struct eio_session *s, enum eio_reason why)
{
	bool tell = s->state != EIO_STATE_CLOSING;

	if (s->state == EIO_STATE_CLOSED)
		return;
	forget(s, why);
	if (!tell)
		return;
	log_debug("session ended: %s", eio_reason_name(why));
	if (s->engine->ops->on_closed)
		s->engine->ops->on_closed(s, why, s->engine->arg);
}

/* A poll that comes takes what waits; of a session that is closing, the last one ends it. */
static void flush(struct eio_session *s)
{
	struct polling *p = s->polling;

	if (p->overflowed) {
		metric_inc(METRIC_SOCKETIO_SLOW);
		end(s, EIO_SLOW);
		return;
	}
	if (!p->get || p->n_queue == 0)
		return;
	deadline_cancel(&p->nudge);
	reply_queue(p, STEAL(p->get));
	if (s->state == EIO_STATE_CLOSING && p->n_queue == 0)
		end(s, EIO_SERVER);
}

static void on_flush(struct deadline *d, void *arg)
{
	(void)arg;
	flush(container_of(d, struct polling, flush)->session);
}

static void on_end(struct deadline *d, void *arg)
{
	(void)arg;
	end(container_of(d, struct eio_session, heartbeat), EIO_SERVER);
}

/*
 * Sending
 */

static void queue_append(struct polling *p, struct bytes *frame)
{
	if (p->n_queue == p->queue_capacity) {
		p->queue_capacity = p->queue_capacity ? 2 * p->queue_capacity : 4;
		p->queue = xrealloc(p->queue, p->queue_capacity * sizeof(p->queue[0]));
	}
	p->queue[p->n_queue++] = bytes_ref(frame);
	p->queue_bytes += frame->len + QUEUED_PACKET_COST;
}

/* As for a WebSocket: a large one doesn't count, as long as it waits. */
static bool has_room(struct polling *p, size_t cost, bool is_large)
{
	const size_t most = p->session->engine->set.output_max;
	const size_t waiting = p->queue_bytes;

	if (!is_large)
		return waiting + cost <= most + p->allowance;
	if (waiting > most && waiting + cost > WEBSOCKET_LARGE_MAX)
		return false;
	p->allowance = cost + (p->allowance < waiting ? p->allowance : waiting);
	return true;
}

static int queue_send(struct eio_session *s, struct bytes *frame, bool is_large)
{
	struct engineio *engine = s->engine;
	struct polling *p = s->polling;

	if (p->overflowed)
		return -EPIPE;
	if (!has_room(p, frame->len + QUEUED_PACKET_COST, is_large)) {
		p->overflowed = true;
		clear_queue(p);
		deadline_set(engine->flushes, &p->flush);
		return -ENOBUFS;
	}
	queue_append(p, frame);
	/* In the next turn, so that what is sent in this one goes together. */
	if (p->get && !deadline_is_set(&p->flush))
		deadline_set(engine->flushes, &p->flush);
	return 0;
}

int eio_send_frame(struct eio_session *s, struct bytes *frame)
{
	switch (s->state) {
	case EIO_STATE_POLLING:
		return queue_send(s, frame, false);
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
		return queue_send(s, frame, true);
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
	queue_append(p, engine->close);
	deadline_set(engine->ends, &s->heartbeat);
	if (p->probe)
		link_drop(STEAL(p->probe), why);
	if (p->post)
		engineio_refuse(STEAL(p->post), ENGINEIO_UNKNOWN_SID, NULL);
	if (engine->ops->on_closed)
		engine->ops->on_closed(s, why, engine->arg);
	flush(s);
}

static void close_session(struct eio_session *s, enum eio_reason why)
{
	if (s->state == EIO_STATE_POLLING && !s->polling->overflowed)
		close_polling(s, why);
	else if (s->state != EIO_STATE_CLOSING)
		end(s, why);
}

void eio_close(struct eio_session *s)
{
	close_session(s, EIO_SERVER);
}

void eio_close_bad(struct eio_session *s)
{
	end(s, EIO_BAD_PACKET);
}

/*
 * Heartbeats
 */

static void wait_for_ping(struct eio_session *s)
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
	end(container_of(d, struct eio_session, heartbeat), EIO_PING_TIMEOUT);
}

/*
 * Packets from the client
 */

static void on_packet(struct eio_session *s, const struct engineio_packet *packet)
{
	switch (packet->type) {
	case ENGINEIO_MESSAGE:
		s->engine->ops->on_message(s, packet->is_binary, packet->data, packet->len,
					   s->engine->arg);
		return;
	case ENGINEIO_PONG:
		wait_for_ping(s);
		return;
	case ENGINEIO_CLOSE:
		end(s, EIO_CLIENT);
		return;
	case ENGINEIO_PING: /* only servers ping */
		end(s, EIO_BAD_PACKET);
		return;
	case ENGINEIO_OPEN:
	case ENGINEIO_UPGRADE:
	case ENGINEIO_NOOP:
		return;
	}
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

	if (len > s->engine->set.max_payload + (packet.is_binary ? 0 : 1))
		end(s, EIO_TOO_BIG);
	else if (!packet.is_binary && engineio_packet_decode(bytes, len, &packet) < 0)
		end(s, EIO_BAD_PACKET);
	else
		on_packet(s, &packet);
}

/*
 * The upgrade
 */

static void on_nudge(struct deadline *d, void *arg)
{
	struct engineio *engine = arg;

	answer_poll(container_of(d, struct polling, nudge), engine->noop);
}

static void stop_probing(struct polling *p, enum eio_reason why)
{
	deadline_cancel(&p->upgrade);
	deadline_cancel(&p->nudge);
	p->probed = false;
	if (p->probe)
		link_drop(STEAL(p->probe), why);
}

static void on_upgrade_late(struct deadline *d, void *arg)
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
		answer_poll(p, s->engine->noop);
}

static void switch_transport(struct eio_session *s)
{
	struct polling *p = STEAL(s->polling);

	s->state = EIO_STATE_WEBSOCKET;
	s->link = STEAL(p->probe);
	if (p->post) /* a client that is done with polling has none */
		engineio_refuse(STEAL(p->post), ENGINEIO_BAD_REQUEST, NULL);
	answer_poll(p, s->engine->noop);
	/* What waits was bounded when it was queued.  After a failure, the rest fails. */
	for (size_t i = 0; i < p->n_queue; i++)
		(void)websocket_send_large_frame(s->link->ws, p->queue[i]);
	polling_free(p);
	/* Both of them anew: the ping may be one that waited. */
	wait_for_ping(s);
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
		end(s, code == WEBSOCKET_CLOSE_TRY_LATER ? EIO_SLOW : EIO_CLIENT);
	} else if (s) {
		s->polling->probe = NULL;
		stop_probing(s->polling, EIO_CLIENT);
	}
	free(link);
}

static struct link *link_accept(struct http_request *req)
{
	static const struct websocket_ops ops = { on_websocket_message, on_websocket_closed };
	struct link *link = xcalloc(1, sizeof(*link));

	link->ws = websocket_accept(req, NULL, &ops, link);
	if (!link->ws)
		free(STEAL(link));
	return link;
}

static void upgrade(struct eio_session *s, struct http_request *req)
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
	s->polling->probe = link;
	deadline_set(s->engine->upgrades, &s->polling->upgrade);
}

/*
 * Requests of a session
 */

static void on_get_gone(void *arg)
{
	struct eio_session *s = arg;

	s->polling->get = NULL;
	end(s, EIO_CLIENT);
}

static void poll(struct eio_session *s, struct http_request *req)
{
	struct polling *p = s->polling;

	if (p->get) {
		end(s, EIO_BAD_PACKET);
		engineio_refuse(req, ENGINEIO_BAD_REQUEST, NULL);
		return;
	}
	p->get = req;
	http_request_on_gone(req, on_get_gone, s);
	if (p->n_queue > 0)
		flush(s);
	else if (p->probed)
		deadline_set(s->engine->nudges, &p->nudge);
}

static void on_post_gone(void *arg)
{
	struct eio_session *s = arg;

	s->polling->post = NULL;
}

/* How far it goes, as long as the session lives: the first packet may have closed it. */
static int read_payload(struct eio_session *s, const char *text, size_t len)
{
	struct engineio_payload body = { .at = text, .left = len };
	struct engineio_packet packet;
	int r;

	while ((r = engineio_payload_next(&body, &packet)) > 0) {
		on_packet(s, &packet);
		if (s->state != EIO_STATE_POLLING)
			break;
	}
	free(body.binary);
	return r;
}

static void on_post_body(struct http_request *req, void *arg)
{
	struct eio_session *s = arg;
	size_t len;
	const char *body = http_request_body(req, &len);

	s->polling->post = NULL;
	http_request_on_gone(req, NULL, NULL);
	if (read_payload(s, body, len) < 0) {
		end(s, EIO_BAD_PACKET);
		engineio_refuse(req, ENGINEIO_BAD_REQUEST, NULL);
		return;
	}
	reply_text(req, "text/html", "ok", 2);
}

static void post(struct eio_session *s, struct http_request *req)
{
	const char *type = http_request_header(req, "Content-Type");
	struct polling *p = s->polling;

	if (p->post || (type && strcasecmp(type, "application/octet-stream") == 0)) {
		end(s, EIO_BAD_PACKET);
		engineio_refuse(req, ENGINEIO_BAD_REQUEST, NULL);
		return;
	}
	p->post = req;
	http_request_on_gone(req, on_post_gone, s);
	http_request_expect(req, s->engine->set.max_payload, on_post_body, s);
}

/* Asked for by the client's next request, should the timers be late. */
static void run_heartbeats(struct engineio *engine)
{
	deadlines_run(engine->pings);
	deadlines_run(engine->pongs);
}

static void on_session_request(struct engineio *engine, struct http_request *req, const char *sid,
			       bool over_websocket)
{
	const char *method = http_request_method(req);
	struct eio_session *s;

	run_heartbeats(engine);
	HASH_FIND_STR(engine->sessions, sid, s);
	if (s && s->polling && s->polling->overflowed) {
		flush(s);
		s = NULL;
	}
	if (!s) {
		engineio_refuse(req, ENGINEIO_UNKNOWN_SID, NULL);
	} else if (over_websocket) {
		if (http_request_wants_websocket(req))
			upgrade(s, req);
		else
			engineio_refuse(req, ENGINEIO_BAD_REQUEST, NULL);
	} else if (!s->polling || http_request_wants_websocket(req)) {
		engineio_refuse(req, ENGINEIO_BAD_REQUEST, NULL);
	} else if (strcmp(method, "GET") == 0) {
		poll(s, req);
	} else if (strcmp(method, "POST") == 0 && s->state == EIO_STATE_POLLING) {
		post(s, req);
	} else if (strcmp(method, "POST") == 0) {
		engineio_refuse(req, ENGINEIO_UNKNOWN_SID, NULL);
	} else {
		http_response_header(req, "Allow", "GET, POST");
		refuse(req, 405, ENGINEIO_BAD_METHOD, errors[ENGINEIO_BAD_METHOD].message);
	}
}

/*
 * The handshake
 */

/* Characters of base64url, as good in a query as in a path. */
static void new_sid(char ret[static SID_LENGTH + 1])
{
	static const char alphabet[] =
		"ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789-_";
	uint8_t random[SID_LENGTH];

	random_bytes(random, sizeof(random));
	for (size_t i = 0; i < SID_LENGTH; i++)
		ret[i] = alphabet[random[i] % 64];
	ret[SID_LENGTH] = '\0';
}

static struct eio_session *session_new(struct engineio *engine)
{
	struct eio_session *s = xcalloc(1, sizeof(*s));

	s->engine = engine;
	new_sid(s->sid);
	HASH_ADD_STR(engine->sessions, sid, s);
	count_sessions(engine);
	wait_for_ping(s);
	return s;
}

static void add_open_packet(struct strbuf *b, const struct eio_session *s, bool may_upgrade)
{
	const struct engineio_settings *set = &s->engine->set;

	strbuf_printf(b,
		      "0{\"sid\":\"%s\",\"upgrades\":[%s],\"pingInterval\":%llu,"
		      "\"pingTimeout\":%llu,\"maxPayload\":%zu}",
		      s->sid, may_upgrade ? "\"websocket\"" : "",
		      (unsigned long long)(set->ping_interval / USEC_PER_MSEC),
		      (unsigned long long)(set->ping_timeout / USEC_PER_MSEC), set->max_payload);
}

static void open_polling(struct eio_session *s, struct http_request *req)
{
	scoped(strbuf_done) struct strbuf open = strbuf_init(STRBUF_UNLIMITED);

	s->state = EIO_STATE_POLLING;
	s->polling = xcalloc(1, sizeof(*s->polling));
	s->polling->session = s;
	add_open_packet(&open, s, true);
	reply_packets(req, open.data, open.len);
}

static void open_websocket(struct eio_session *s, struct http_request *req)
{
	scoped(strbuf_done) struct strbuf open = strbuf_init(STRBUF_UNLIMITED);

	s->state = EIO_STATE_WEBSOCKET;
	s->link = link_accept(req);
	if (!s->link) {
		end(s, EIO_CLIENT);
		return;
	}
	s->link->session = s;
	add_open_packet(&open, s, false);
	websocket_send(s->link->ws, WEBSOCKET_TEXT, open.data, open.len);
}

static void refuse_for_now(struct http_request *req, const char *why)
{
	http_response_header(req, "Retry-After", "1");
	refuse(req, 503, ENGINEIO_FORBIDDEN, why);
}

static void open_session(struct engineio *engine, struct http_request *req, bool over_websocket)
{
	struct eio_session *s;

	if (engine->draining) {
		refuse_for_now(req, "Shutting down");
		return;
	}
	if (HASH_COUNT(engine->sessions) >= engine->set.sessions_max) {
		refuse_for_now(req, "Too many sessions");
		return;
	}
	s = session_new(engine);
	if (!engine->ops->on_open(s, req, engine->arg)) {
		forget(s, EIO_SERVER);
		engineio_refuse(req, ENGINEIO_FORBIDDEN, NULL);
		return;
	}
	if (over_websocket)
		open_websocket(s, req);
	else
		open_polling(s, req);
}

static bool method_is_get(const struct http_request *req)
{
	return strcmp(http_request_method(req), "GET") == 0;
}

/* NULL where it is missing, or is there twice. */
static char *parameter(const struct http_request *req, const char *name)
{
	const char *query = http_request_query(req);
	char *value = NULL;

	if (http_query_get((struct http_view){ query, strlen(query) }, name, &value) < 0)
		return NULL;
	return value;
}

/* In the order of the reference server, so that the same request gets the same answer. */
void engineio_on_request(struct engineio *engine, struct http_request *req)
{
	scoped(freep) char *transport = parameter(req, "transport");
	scoped(freep) char *sid = parameter(req, "sid");
	scoped(freep) char *version = parameter(req, "EIO");
	bool over_websocket = transport && strcmp(transport, "websocket") == 0;

	if (!over_websocket && (!transport || strcmp(transport, "polling") != 0))
		engineio_refuse(req, ENGINEIO_UNKNOWN_TRANSPORT, NULL);
	else if (sid)
		on_session_request(engine, req, sid, over_websocket);
	else if (!method_is_get(req))
		engineio_refuse(req, ENGINEIO_BAD_METHOD, NULL);
	else if (over_websocket && !http_request_wants_websocket(req))
		engineio_refuse(req, ENGINEIO_BAD_REQUEST, NULL);
	else if (!version || strcmp(version, "4") != 0)
		engineio_refuse(req, ENGINEIO_BAD_VERSION, NULL);
	else
		open_session(engine, req, over_websocket);
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
		.upgrades = deadlines_new(loop, settings->upgrade_timeout, on_upgrade_late, engine),
		.nudges = deadlines_new(loop, NUDGE_AFTER, on_nudge, engine),
		.flushes = deadlines_new(loop, 0, on_flush, engine),
	};
	return engine;
}

static void drop(struct eio_session *s)
{
	if (s->polling && s->polling->probe)
		link_abort(STEAL(s->polling->probe));
	if (s->link)
		link_abort(STEAL(s->link));
	end(s, EIO_DRAINED);
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

bool eio_is_websocket(const struct eio_session *s)
{
	return s->state == EIO_STATE_WEBSOCKET;
}
