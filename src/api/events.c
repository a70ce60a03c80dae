/* SPDX-License-Identifier: MIT */
/*
 * /ws/events: a session's events as they come, and what was missed.
 *
 * A stream is opened by a credential, or, for browsers, which can't set a field, by a first frame
 * that carries it.  Then come one "joined" frame, what was missed or a snapshot, and from there
 * every event once.  Joining is one step on the loop, so that nothing falls between.
 */
#include <errno.h>
#include <inttypes.h>
#include <string.h>
#include <utlist.h>

#include "api/api_priv.h"
#include "base/ids.h"
#include "base/log.h"
#include "base/mem.h"
#include "base/parse.h"
#include "base/strbuf.h"
#include "http/websocket.h"

LOG_AREA("events");

#define AUTH_MAX        (16 * 1024) /* bytes of the first frame, of a stranger */
#define MESSAGE_MAX     (64 * 1024)
#define AUTH_TIMEOUT    (5 * USEC_PER_SEC)
#define FILTER_MAX      64 /* values of one filter */
#define FILTER_TEXT_MAX 4096

/* Close codes of ours, in the range for applications (RFC 6455 section 7.4.2). */
#define CLOSE_UNAUTHENTICATED 4401
#define CLOSE_FORBIDDEN       4403
#define CLOSE_NOT_FOUND       4404

enum filter {
	FILTER_EVENT_TYPES,
	FILTER_ENTITY_TYPES,
	FILTER_ENTITY_IDS,
	FILTER_COUNT_,
};

static const char *const filter_names[] = { "event_types", "entity_types", "entity_ids" };

struct stream {
	struct api *api;
	struct websocket *ws;
	struct principal *principal; /* NULL until the first frame */
	struct stream_user *user;
	char *session_id; /* NULL: all that the principal may see */
	bool has_since;
	uint64_t since;
	char *epoch;
	uint64_t shown;                /* up to here its snapshot said it */
	char **filters[FILTER_COUNT_]; /* NULL: everything */
	struct subscription *subscription;
	struct timer *deadline; /* for the first frame, then of the credential */
	bool closing;
	struct stream *prev, *next;
};

static void stream_free(struct stream *s)
{
	bus_unsubscribe(s->subscription);
	timer_free(s->deadline);
	principal_unref(s->principal);
	for (size_t i = 0; i < FILTER_COUNT_; i++)
		strv_free(s->filters[i]);
	free(s->session_id);
	free(s->epoch);
	stream_user_leave(s->api, s->user);
	DL_DELETE(s->api->streams, s);
	s->api->n_streams--;
	free(s);
}

/* From here on nothing more is sent; on_closed() frees it. */
static void stream_close(struct stream *s, int code, const char *reason)
{
	if (s->closing)
		return;
	s->closing = true;
	s->subscription = bus_unsubscribe(s->subscription);
	timer_cancel(s->deadline);
	websocket_close(s->ws, (enum websocket_close)code, reason);
}

static void send_text(struct stream *s, const char *text)
{
	if (!s->closing && websocket_send(s->ws, WEBSOCKET_TEXT, text, strlen(text)) < 0) {
		/* Cut off for not reading, or gone: on_closed() is on its way. */
		s->closing = true;
		s->subscription = bus_unsubscribe(s->subscription);
	}
}

static void send_json(struct stream *s, cJSON *document_consume)
{
	scoped(json_freep) cJSON *document = document_consume;
	scoped(freep) char *text = json_print(document);

	send_text(s, text);
}

static void send_error(struct stream *s, const char *code, const char *sentence)
{
	cJSON *j = cJSON_CreateObject();

	json_add_string(j, "error", sentence);
	json_add_string(j, "code", code);
	send_json(s, j);
}

static void refuse(struct stream *s, const struct fault *fault)
{
	int status = fault_http_status(fault->code);

	send_error(s, fault_slug(fault->code), fault->detail ? fault->detail : "refused");
	stream_close(s,
		     status == 404   ? CLOSE_NOT_FOUND
		     : status == 403 ? CLOSE_FORBIDDEN
		     : status == 429 ? (int)WEBSOCKET_CLOSE_TRY_LATER
				     : CLOSE_UNAUTHENTICATED,
		     fault_slug(fault->code));
}

/*
 * Events.
 */
static bool filters_let(const struct stream *s, const char *event_type, const char *entity_type,
			const char *entity_id)
{
	return (!s->filters[FILTER_EVENT_TYPES] ||
		strv_has(s->filters[FILTER_EVENT_TYPES], event_type)) &&
	       (!s->filters[FILTER_ENTITY_TYPES] ||
		strv_has(s->filters[FILTER_ENTITY_TYPES], entity_type)) &&
	       (!s->filters[FILTER_ENTITY_IDS] ||
		strv_has(s->filters[FILTER_ENTITY_IDS], entity_id));
}

static void frame_write(struct strbuf *b, const char *event_type, const char *entity_type,
			const char *entity_id, const char *payload)
{
	strbuf_puts(b, "{\"event_type\":");
	strbuf_add_json_string(b, event_type);
	strbuf_puts(b, ",\"entity_type\":");
	strbuf_add_json_string(b, entity_type);
	strbuf_puts(b, ",\"entity_id\":");
	strbuf_add_json_string(b, entity_id);
	strbuf_printf(b, ",\"payload\":%s}", payload);
}

/* Serialised and framed once, whoever asks first. */
static struct bytes *frame_of(struct event *e)
{
	scoped(strbuf_done) struct strbuf b = strbuf_init(STRBUF_UNLIMITED);

	if (!e->ws_frame) {
		frame_write(&b, e->type, e->entity_type, e->entity_id, e->payload->data);
		e->ws_frame = websocket_frame(WEBSOCKET_TEXT, b.data, b.len);
	}
	return e->ws_frame;
}

typedef int send_fn(struct websocket *ws, struct bytes *frame);

static void deliver(struct stream *s, struct event *e, send_fn *send)
{
	/* A session that is not there yet may come to be another's. */
	if (s->closing || !principal_sees(s->principal, e->app_id, e->session_id, e->user_id) ||
	    !filters_let(s, e->type, e->entity_type, e->entity_id))
		return;
	if (send(s->ws, frame_of(e)) < 0) {
		s->closing = true;
		s->subscription = bus_unsubscribe(s->subscription);
	}
}

static void on_event(struct event *e, void *arg)
{
	struct stream *s = arg;

	if (e->seq > s->shown)
		deliver(s, e, websocket_send_frame);
}

static void missed_keep(struct event *e, void *arg)
{
	struct missed *m = arg;

	if (m->n == m->capacity) {
		m->capacity = m->capacity ? 2 * m->capacity : 16;
		m->events = xrealloc(m->events, m->capacity * sizeof(*m->events));
	}
	m->events[m->n++] = event_ref(e);
	m->bytes += e->payload->len;
}

/* A snapshot is the less to send when so much was missed, and always does. */
enum bus_recovery missed_recover(struct api *api, const char *session_id, uint64_t since,
				 const char *epoch, struct missed *ret)
{
	enum bus_recovery recovery =
		bus_recover(api->deps.bus, session_id, since, epoch, missed_keep, ret);

	if (recovery != BUS_REPLAYED || ret->bytes <= api->settings->events_buffer)
		return recovery;
	missed_done(ret);
	return BUS_SNAPSHOT;
}

void missed_done(struct missed *m)
{
	for (size_t i = 0; i < m->n; i++)
		event_unref(m->events[i]);
	free(STEAL(m->events));
	m->n = 0;
}

static void send_joined(struct stream *s, const char *recovered, uint64_t latest)
{
	scoped(freep) char *room = s->session_id ? xasprintf("session:%s", s->session_id) : NULL;
	cJSON *j = cJSON_CreateObject();

	json_add_string(j, "status", "joined");
	json_add_string(j, "session_id", s->session_id);
	json_add_string(j, "room", room);
	json_add_u64(j, "latest_seq", latest);
	json_add_string(j, "epoch", bus_epoch(s->api->deps.bus));
	json_add_string(j, "recovered", recovered);
	send_json(s, j);
}

static void send_snapshot(struct stream *s, const char *text)
{
	scoped(strbuf_done) struct strbuf b = strbuf_init(STRBUF_UNLIMITED);

	frame_write(&b, "preview:snapshot", "session", s->session_id, text);
	/* One that is cut off for its snapshot's size would come back for it again and again. */
	if (!s->closing && websocket_send_large(s->ws, WEBSOCKET_TEXT, b.data, b.len) < 0) {
		s->closing = true;
		s->subscription = bus_unsubscribe(s->subscription);
	}
}

/* What it missed, then live: one step on the loop. */
static void join(struct stream *s)
{
	struct bus *bus = s->api->deps.bus;
	uint64_t latest = s->session_id ? bus_latest_seq(bus, s->session_id) : 0;
	scoped(freep) char *snapshot = NULL;
	enum bus_recovery recovery = BUS_SNAPSHOT;
	scoped(missed_done) struct missed missed = { 0 };

	if (!s->session_id) {
		send_joined(s, "nothing_missed", 0);
		s->subscription = bus_subscribe(bus, NULL, on_event, s);
		return;
	}

	if (s->has_since)
		recovery = missed_recover(s->api, s->session_id, s->since, s->epoch, &missed);
	if (recovery == BUS_SNAPSHOT) {
		snapshot = snapshot_text(s->api, s->session_id, &s->shown);
		latest = s->shown;
	}
	send_joined(s, bus_recovery_text(recovery), latest);
	if (snapshot)
		send_snapshot(s, snapshot);
	for (size_t i = 0; i < missed.n; i++)
		deliver(s, missed.events[i], websocket_send_large_frame);
	if (!s->closing)
		s->subscription = bus_subscribe(bus, s->session_id, on_event, s);
}

/*
 * Authentication.
 */
static void on_deadline(void *arg)
{
	struct stream *s = arg;

	if (!s->principal) {
		send_error(s, "unauthenticated",
			   "no {\"type\":\"auth\",\"token\":…} came within 5 s");
		stream_close(s, CLOSE_UNAUTHENTICATED, "no credential");
		return;
	}
	send_error(s, "token_expired", "the token has expired");
	stream_close(s, CLOSE_UNAUTHENTICATED, "token_expired");
}

static int may_follow(struct stream *s, const struct principal *principal, struct fault *reterr)
{
	if (!s->session_id)
		return 0;
	return registry_may_follow(s->api->deps.registry, principal, NULL, s->session_id, reterr);
}

/* Takes the principal, and joins. */
static void authenticated(struct stream *s, struct principal *principal_take)
{
	usec_t now = clock_realtime();

	s->principal = principal_take;
	websocket_set_message_max(s->ws, MESSAGE_MAX);
	timer_cancel(s->deadline);
	if (s->principal->expires_at != USEC_INFINITY)
		timer_set(s->deadline,
			  s->principal->expires_at > now ? s->principal->expires_at - now : 0);
	join(s);
}

const struct route *stream_route(void)
{
	for (size_t i = 0; i < n_routes; i++) {
		if (routes[i].handler == route_ws_events)
			return &routes[i];
	}
	return NULL;
}

static void on_auth_frame(struct stream *s, const cJSON *message)
{
	scoped(fault_done) struct fault fault = { 0 };
	scoped(principal_unrefp) struct principal *principal = NULL;
	const char *token = json_string(message, "token");
	struct credential credential = { .bearer = token ? token : "" };

	if (s->principal) {
		send_error(s, "bad_request", "the stream is authenticated already");
		return;
	}
	if (auth_authenticate(s->api->deps.auth, &credential, &principal, &fault) < 0 ||
	    call_authorize(stream_route(), principal, &fault) < 0 ||
	    may_follow(s, principal, &fault) < 0 ||
	    stream_user_enter(s->api, principal, &s->user, &fault) < 0) {
		refuse(s, &fault);
		return;
	}
	authenticated(s, STEAL(principal));
}

/*
 * Messages.
 */
static int strings_of(const cJSON *array, char ***ret)
{
	size_t n = (size_t)cJSON_GetArraySize(array), i = 0, len = 0;
	const cJSON *item;
	char **list;

	if (!cJSON_IsArray(array) || n > FILTER_MAX)
		return -EINVAL;
	cJSON_ArrayForEach(item, array)
	{
		if (!cJSON_IsString(item))
			return -EINVAL;
		len += strlen(item->valuestring);
	}
	if (len > FILTER_TEXT_MAX)
		return -EINVAL;
	list = xcalloc(n + 1, sizeof(*list));
	cJSON_ArrayForEach(item, array) list[i++] = xstrdup(item->valuestring);
	*ret = list;
	return 0;
}

/* Each filter named replaces the one before; an empty list lets everything through again. */
static void on_subscribe(struct stream *s, const cJSON *message)
{
	char **next[FILTER_COUNT_] = { 0 };
	cJSON *reply, *filters;
	bool bad = false;

	for (size_t i = 0; i < FILTER_COUNT_; i++) {
		const cJSON *list = cJSON_GetObjectItemCaseSensitive(message, filter_names[i]);

		bad |= list && strings_of(list, &next[i]) < 0;
	}
	if (bad) {
		send_error(s, "invalid_field",
			   "a filter must be a list of at most 64 strings of 4096 bytes together");
		goto out;
	}

	reply = cJSON_CreateObject();
	json_add_string(reply, "status", "subscribed");
	filters = cJSON_AddObjectToObject(reply, "filters");
	for (size_t i = 0; i < FILTER_COUNT_; i++) {
		if (!next[i])
			continue;
		cJSON_AddItemToObject(filters, filter_names[i],
				      cJSON_CreateStringArray((const char *const *)next[i],
							      (int)strv_len(next[i])));
		strv_free(s->filters[i]);
		s->filters[i] = next[i][0] ? STEAL(next[i]) : NULL;
	}
	send_json(s, reply);
out:
	for (size_t i = 0; i < FILTER_COUNT_; i++)
		strv_free(next[i]);
}

static void on_message(struct websocket *ws, enum websocket_opcode opcode, const void *bytes,
		       size_t len, void *arg)
{
	scoped(fault_done) struct fault fault = { 0 };
	scoped(json_freep) cJSON *message = NULL;
	struct stream *s = arg;
	const char *type;

	(void)ws;

	if (s->closing)
		return;
	if (opcode != WEBSOCKET_TEXT || json_parse_of_client(bytes, len, &message, &fault) < 0 ||
	    !cJSON_IsObject(message)) {
		send_error(s, "bad_json", "a message must be a JSON object in a text frame");
		return;
	}

	type = json_string(message, "type");
	if (type && strcmp(type, "auth") == 0)
		on_auth_frame(s, message);
	else if (!s->principal)
		send_error(s, "unauthenticated",
			   "the first message must be {\"type\":\"auth\",\"token\":…}");
	else if (type && strcmp(type, "subscribe") == 0)
		on_subscribe(s, message);
	else if (type && strcmp(type, "ping") == 0)
		send_text(s, "{\"type\":\"pong\"}");
	else if (!type)
		send_error(s, "bad_request", "a message needs its \"type\"");
	/* Other types are for others: clients may send more than we know. */
}

static void on_closed(struct websocket *ws, int code, void *arg)
{
	struct stream *s = arg;

	(void)ws;
	log_debug("a stream of session '%s' closed with %d", s->session_id ? s->session_id : "*",
		  code);
	stream_free(s);
}

/*
 * Opening.
 */
static int read_filters(struct call *call, struct stream *s, struct fault *reterr)
{
	for (size_t i = 0; i < FILTER_COUNT_; i++) {
		scoped(freep) char *text = NULL;
		int r = call_query(call, filter_names[i], &text, reterr);

		if (r < 0)
			return r;
		if (!text || !*text)
			continue;
		if (strlen(text) > FILTER_TEXT_MAX)
			return fault_field(reterr, filter_names[i], "is too long");
		s->filters[i] = parse_list(text, ',');
		if (!s->filters[i][0]) { /* nothing but commas */
			s->filters[i] = strv_free(s->filters[i]);
			continue;
		}
		if (strv_len(s->filters[i]) > FILTER_MAX)
			return fault_field(reterr, filter_names[i], "has more than %d values",
					   FILTER_MAX);
	}
	return 0;
}

static int read_query(struct call *call, struct stream *s, struct fault *reterr)
{
	scoped(freep) char *since = NULL;
	int r;

	r = call_query(call, "session_id", &s->session_id, reterr);
	if (r < 0)
		return r;
	if (s->session_id && !id_is_valid(s->session_id))
		return fault_field(reterr, "session_id",
				   "must be 1 to 128 of A-Z a-z 0-9 . _ : @ -");
	r = call_query(call, "epoch", &s->epoch, reterr);
	if (r < 0)
		return r;
	r = call_query(call, "since", &since, reterr);
	if (r < 0)
		return r;
	s->has_since = since && *since;
	if (s->has_since && parse_u64(since, &s->since) < 0)
		return fault_field(reterr, "since", "must be a preview_seq");
	return read_filters(call, s, reterr);
}

static struct stream *stream_new(struct api *api)
{
	struct stream *s = xcalloc(1, sizeof(*s));

	s->api = api;
	s->deadline = timer_new(api->deps.loop, on_deadline, s);
	DL_APPEND(api->streams, s);
	api->n_streams++;
	return s;
}

void route_ws_events(struct call *call)
{
	static const struct websocket_ops ops = { on_message, on_closed };
	scoped(fault_done) struct fault fault = { 0 };
	struct api *api = call->api;
	struct principal *principal = STEAL(call->principal);
	struct stream *s = NULL;

	if (!http_request_wants_websocket(call->req)) {
		fault_set(&fault, FAULT_UPGRADE_REQUIRED, "connect to /ws/events as a WebSocket");
		goto refused;
	}
	if (streams_admit(api, &fault) < 0)
		goto refused;

	s = stream_new(api);
	if (read_query(call, s, &fault) < 0 ||
	    (principal && (may_follow(s, principal, &fault) < 0 ||
			   stream_user_enter(api, principal, &s->user, &fault) < 0)))
		goto refused;

	s->ws = websocket_accept(call->req, NULL, &ops, s);
	call_free(call);
	if (!s->ws) { /* a bad handshake, answered */
		principal_unref(principal);
		stream_free(s);
		return;
	}
	if (principal) {
		authenticated(s, principal);
		return;
	}
	websocket_set_message_max(s->ws, AUTH_MAX);
	timer_set(s->deadline, AUTH_TIMEOUT);
	return;

refused:
	principal_unref(principal);
	if (s)
		stream_free(s);
	api_reply_fault(call, &fault);
}

void streams_on_token_revoked(struct api *api, const char *token_id)
{
	struct stream *s;

	DL_FOREACH(api->streams, s)
	{
		if (s->closing || !s->principal || !s->principal->token_id ||
		    strcmp(s->principal->token_id, token_id) != 0)
			continue;
		send_error(s, "token_invalid", "the token was revoked");
		stream_close(s, CLOSE_UNAUTHENTICATED, "token revoked");
	}
}

bool stream_drop_nameless(struct api *api)
{
	struct stream *s;

	DL_FOREACH(api->streams, s)
	{
		if (!s->principal && s->ws) { /* also one that doesn't answer its close */
			websocket_abort(s->ws);
			stream_free(s);
			return true;
		}
	}
	return false;
}

void streams_end(struct api *api)
{
	while (api->streams) {
		if (api->streams->ws)
			websocket_abort(api->streams->ws);
		stream_free(api->streams);
	}
}
