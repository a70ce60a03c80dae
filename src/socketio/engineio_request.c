/* SPDX-License-Identifier: MIT */
/*
 * Requests of Engine.IO: which session each is for, the handshake that begins one, refusals.
 */
#include "socketio/engineio_priv.h"

#include <stdlib.h>
#include <string.h>
#include <strings.h>

#include "base/ids.h"
#include "base/mem.h"
#include "base/strbuf.h"
#include "http/url.h"

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
/* clang-format on */

void engineio_refuse_as(struct http_request *req, int status, enum engineio_error error,
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
	engineio_refuse_as(req, errors[error].status, error,
			   message ? message : errors[error].message);
}

void engineio_reply(struct http_request *req, const char *content_type, const char *text,
		    size_t len)
{
	http_response_header(req, "Cache-Control", "no-store");
	http_reply(req, 200, content_type, text, len);
}

void engineio_reply_packets(struct http_request *req, const char *text, size_t len)
{
	engineio_reply(req, "text/plain; charset=UTF-8", text, len);
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
		polling_flush(s);
		s = NULL;
	}
	if (!s) {
		engineio_refuse(req, ENGINEIO_UNKNOWN_SID, NULL);
	} else if (over_websocket) {
		if (http_request_wants_websocket(req))
			eio_upgrade(s, req);
		else
			engineio_refuse(req, ENGINEIO_BAD_REQUEST, NULL);
	} else if (!s->polling || http_request_wants_websocket(req)) {
		engineio_refuse(req, ENGINEIO_BAD_REQUEST, NULL);
	} else if (strcmp(method, "GET") == 0) {
		polling_get(s, req);
	} else if (strcmp(method, "POST") == 0 && s->state == EIO_STATE_POLLING) {
		polling_post(s, req);
	} else if (strcmp(method, "POST") == 0) {
		engineio_refuse(req, ENGINEIO_UNKNOWN_SID, NULL);
	} else {
		http_response_header(req, "Allow", "GET, POST");
		engineio_refuse_as(req, 405, ENGINEIO_BAD_METHOD,
				   errors[ENGINEIO_BAD_METHOD].message);
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
	s->message_max = engine->set.first_payload_max;
	new_sid(s->sid);
	HASH_ADD_STR(engine->sessions, sid, s);
	engineio_count(engine);
	eio_wait_for_ping(s);
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
	engineio_reply_packets(req, open.data, open.len);
}

static void open_websocket(struct eio_session *s, struct http_request *req)
{
	scoped(strbuf_done) struct strbuf open = strbuf_init(STRBUF_UNLIMITED);

	s->state = EIO_STATE_WEBSOCKET;
	s->link = link_accept(req);
	if (!s->link) {
		eio_end(s, EIO_CLIENT);
		return;
	}
	s->link->session = s;
	link_set_message_max(s);
	add_open_packet(&open, s, false);
	websocket_send(s->link->ws, WEBSOCKET_TEXT, open.data, open.len);
}

static void refuse_for_now(struct http_request *req, const char *why)
{
	http_response_header(req, "Retry-After", "1");
	engineio_refuse_as(req, 503, ENGINEIO_FORBIDDEN, why);
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
		eio_forget(s, EIO_SERVER);
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
