/* SPDX-License-Identifier: MIT */
/*
 * Long polling: what waits for the next poll, the poll that waits for something, and posts.
 */
#include "socketio/engineio_priv.h"

#include <assert.h>
#include <errno.h>
#include <stdlib.h>
#include <string.h>
#include <strings.h>

#include "base/mem.h"
#include "base/metrics.h"
#include "base/strbuf.h"

/* What a waiting packet costs beside its bytes, so that many small ones are bounded, too. */
#define QUEUED_PACKET_COST 32

static void clear_queue(struct polling *p)
{
	for (size_t i = 0; i < p->n_queue; i++)
		bytes_unref(p->queue[i]);
	free(STEAL(p->queue));
	p->n_queue = p->queue_capacity = p->queue_bytes = p->allowance = 0;
}

void polling_answer(struct polling *p, struct bytes *frame)
{
	scoped(strbuf_done) struct strbuf body = strbuf_init(STRBUF_UNLIMITED);

	deadline_cancel(&p->nudge);
	if (!p->get)
		return;
	engineio_payload_add(&body, frame);
	engineio_reply_packets(STEAL(p->get), body.data, body.len);
}

/*
 * As many as a body may hold of what a client says, so that both ways have one measure; a packet
 * can't be cut, so one that is larger goes alone.  A close goes alone, too: the stock client acts
 * on it at once, and then lets go of the messages before it, which it takes up a moment later.
 */
static size_t packets_of_a_body(const struct polling *p)
{
	const size_t max = p->session->engine->set.max_payload;
	const bool close_is_last = p->session->state == EIO_STATE_CLOSING && p->n_queue > 1;
	const size_t n_queue = p->n_queue - (close_is_last ? 1 : 0);
	size_t n = 0, sum = 0;

	do {
		sum += p->queue[n++]->len;
	} while (n < n_queue && sum + p->queue[n]->len <= max);
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
	engineio_reply_packets(req, body.data, body.len);
}

struct polling *polling_free(struct polling *p)
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

/* A poll that comes takes what waits; of a session that is closing, the last one ends it. */
void polling_flush(struct eio_session *s)
{
	struct polling *p = s->polling;

	if (p->overflowed) {
		metric_inc(METRIC_SOCKETIO_SLOW);
		eio_end(s, EIO_SLOW);
		return;
	}
	if (!p->get || p->n_queue == 0)
		return;
	deadline_cancel(&p->nudge);
	reply_queue(p, STEAL(p->get));
	if (s->state == EIO_STATE_CLOSING && p->n_queue == 0)
		eio_end(s, EIO_SERVER);
}

void polling_on_flush(struct deadline *d, void *arg)
{
	(void)arg;
	polling_flush(container_of(d, struct polling, flush)->session);
}

/*
 * Sending
 */

void polling_append(struct polling *p, struct bytes *frame)
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

int polling_send(struct eio_session *s, struct bytes *frame, bool is_large)
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
	polling_append(p, frame);
	/* In the next turn, so that what is sent in this one goes together. */
	if (p->get && !deadline_is_set(&p->flush))
		deadline_set(engine->flushes, &p->flush);
	return 0;
}

/*
 * Requests
 */

static void on_get_gone(void *arg)
{
	struct eio_session *s = arg;

	s->polling->get = NULL;
	eio_end(s, EIO_CLIENT);
}

void polling_get(struct eio_session *s, struct http_request *req)
{
	struct polling *p = s->polling;

	if (p->get) {
		eio_end(s, EIO_BAD_PACKET);
		engineio_refuse(req, ENGINEIO_BAD_REQUEST, NULL);
		return;
	}
	p->get = req;
	http_request_on_gone(req, on_get_gone, s);
	if (p->n_queue > 0)
		polling_flush(s);
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
		eio_on_packet(s, &packet);
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
		eio_end(s, EIO_BAD_PACKET);
		engineio_refuse(req, ENGINEIO_BAD_REQUEST, NULL);
		return;
	}
	engineio_reply(req, "text/html", "ok", 2);
}

void polling_post(struct eio_session *s, struct http_request *req)
{
	const char *type = http_request_header(req, "Content-Type");
	struct polling *p = s->polling;

	if (p->post || (type && strcasecmp(type, "application/octet-stream") == 0)) {
		eio_end(s, EIO_BAD_PACKET);
		engineio_refuse(req, ENGINEIO_BAD_REQUEST, NULL);
		return;
	}
	p->post = req;
	http_request_on_gone(req, on_post_gone, s);
	http_request_expect(req, s->message_max, on_post_body, s);
}
