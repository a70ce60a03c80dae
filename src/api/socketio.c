/* SPDX-License-Identifier: MIT */
/*
 * Events over Socket.IO: what /ws/events gives, for the stock socket.io-client.
 *
 * A socket joins sessions.  A join is one step on the loop: the acknowledgement, what was missed or
 * a snapshot, and from there every event once.  Who has joined already has all of that, so joining
 * again adds nothing: a stock client that reconnects does it, because it sends what it kept while
 * it was away before its own "connect" handler runs.
 *
 * A stock client never comes back from CONNECT_ERROR or DISCONNECT.  So these tell it what it can't
 * help, and where it should come back (its credential has ended, the daemon is shutting down) its
 * transport is closed.
 */
#include "socketio/socketio.h"

#include <errno.h>
#include <string.h>
#include <utlist.h>

#include "api/api_priv.h"
#include "base/crypto.h"
#include "base/ids.h"
#include "base/log.h"
#include "base/mem.h"
#include "base/metrics.h"
#include "base/strbuf.h"
#include "http/url.h"

LOG_AREA("socketio");

#define PATH "/socket.io/"

#define NSP_PLAIN    "/"
#define NSP_ENVELOPE "/events"

/* As with /ws/events, who shows no credential is not kept for long. */
#define CONNECT_TIMEOUT (10 * USEC_PER_SEC)
#define UPGRADE_TIMEOUT (10 * USEC_PER_SEC)
#define CLOSE_TIMEOUT   (30 * USEC_PER_SEC)
#define ACK_TIMEOUT     (10 * USEC_PER_SEC)

/* Held against events.streams_max, which may be reloaded; this is that option's own bound. */
#define CLIENTS_MAX 1000000

/* JavaScript's numbers are exact up to here. */
#define SINCE_MAX 9007199254740992.0

/* One transport: what it was opened with, for those of its sockets that bring no token. */
struct sio_client {
	bool is_unix;
	uid_t uid;
	char *bearer;
	char *address; /* for the log */
};

struct viewer;

/* A session that a socket has joined. */
struct joined {
	struct viewer *viewer;
	char *session_id;
	struct subscription *subscription;
	struct joined *prev, *next;
};

/* A socket whose credential was accepted. */
struct viewer {
	struct api *api;
	struct sio_socket *socket;
	struct principal *principal;
	struct timer *deadline; /* of the credential */
	bool envelope;          /* it is in NSP_ENVELOPE */
	bool ending;            /* its credential has ended: nothing more is sent */
	struct joined *joined;
	unsigned n_joined;
	struct viewer *prev, *next;
};

/*
 * Frames.
 */
static char *event_id(const struct event *e)
{
	scoped(freep) char *text = xasprintf("%s %llu", e->session_id, (unsigned long long)e->seq);
	char hex[SHA256_HEX_SIZE];

	sha256_hex(text, strlen(text), hex);
	return xasprintf("ev-%.12s", hex);
}

/* `id` NULL: a snapshot, which is no event. */
static void envelope_write(struct strbuf *b, const char *type, const char *app_id,
			   const char *session_id, uint64_t seq, usec_t ts, const char *id,
			   const char *payload)
{
	char text[CLOCK_TEXT_SIZE];

	strbuf_puts(b, "{\"type\":");
	strbuf_add_json_string(b, type);
	strbuf_printf(b, ",\"seq\":%llu,\"kind\":\"session\",\"app_id\":", (unsigned long long)seq);
	strbuf_add_json_string(b, app_id);
	strbuf_puts(b, ",\"session_id\":");
	strbuf_add_json_string(b, session_id);
	strbuf_printf(b, ",\"ts\":\"%s\"", clock_format(ts, text));
	if (id)
		strbuf_printf(b, ",\"event_id\":\"%s\"", id);
	strbuf_printf(b, ",\"payload\":%s}", payload);
}

static struct bytes *frame_new(const struct event *e, enum event_sio_frame form)
{
	scoped(strbuf_done) struct strbuf b = strbuf_init(STRBUF_UNLIMITED);
	scoped(freep) char *id = NULL;

	if (form != EVENT_SIO_ENVELOPE)
		return sio_frame_event(form == EVENT_SIO_PLAIN ? NSP_PLAIN : NSP_ENVELOPE, e->type,
				       e->payload->data, e->payload->len);
	id = event_id(e);
	envelope_write(&b, e->type, e->app_id, e->session_id, e->seq, e->ts, id, e->payload->data);
	return sio_frame_event(NSP_ENVELOPE, "event", b.data, b.len);
}

/* Serialised and framed once, whoever asks first. */
static void send_event(struct viewer *v, struct event *e, enum event_sio_frame form)
{
	if (!e->sio_frames[form])
		e->sio_frames[form] = frame_new(e, form);
	/* Should it fail, the client is being cut off, or gone: on_disconnect() is on its way. */
	(void)sio_send_frame(v->socket, e->sio_frames[form]);
}

static void deliver(struct viewer *v, struct event *e)
{
	/* A session that is not there yet may come to be another's. */
	if (v->ending || !principal_sees(v->principal, e->app_id, e->session_id, e->user_id))
		return;
	if (!v->envelope) {
		send_event(v, e, EVENT_SIO_PLAIN);
		return;
	}
	send_event(v, e, EVENT_SIO_ENVELOPE);
	if (strcmp(e->type, "web_preview:attached") == 0)
		send_event(v, e, EVENT_SIO_NAMED);
}

static void on_published(struct event *e, void *arg)
{
	struct joined *j = arg;

	deliver(j->viewer, e);
}

static void send_snapshot(struct viewer *v, const char *app_id, const char *session_id,
			  uint64_t latest)
{
	static const char type[] = "preview:snapshot";
	scoped(strbuf_done) struct strbuf b = strbuf_init(STRBUF_UNLIMITED);
	scoped(freep) char *payload = snapshot_text(v->api, session_id, latest);

	if (!v->envelope) {
		sio_emit(v->socket, type, payload, strlen(payload));
		return;
	}
	envelope_write(&b, type, app_id, session_id, latest, clock_realtime(), NULL, payload);
	sio_emit(v->socket, "event", b.data, b.len);
}

/*
 * Acknowledgements.
 */
static void acknowledge(struct viewer *v, const struct sio_event *event, cJSON *answer_consume)
{
	scoped(json_freep) cJSON *answer = answer_consume;
	scoped(freep) char *text = json_print(answer);

	if (event->wants_ack)
		sio_ack(v->socket, event->ack_id, text, strlen(text));
}

static void acknowledge_fault(struct viewer *v, const struct sio_event *event,
			      const struct fault *fault)
{
	cJSON *answer = cJSON_CreateObject();
	scoped(strbuf_done) struct strbuf error = strbuf_init(STRBUF_UNLIMITED);

	for (size_t i = 0; i < fault->n_fields; i++)
		strbuf_printf(&error, "%s%s %s", i > 0 ? "; " : "", fault->fields[i].field,
			      fault->fields[i].problem);
	if (fault->n_fields == 0)
		strbuf_puts(&error, fault->detail ? fault->detail : fault_title(fault->code));
	cJSON_AddBoolToObject(answer, "ok", false);
	json_add_string(answer, "error", strbuf_str(&error));
	json_add_string(answer, "code", fault_slug(fault->code));
	acknowledge(v, event, answer);
}

static cJSON *answer_ok(void)
{
	cJSON *answer = cJSON_CreateObject();

	cJSON_AddBoolToObject(answer, "ok", true);
	return answer;
}

/*
 * Joining and leaving.
 */
static struct joined *joined_find(struct viewer *v, const char *session_id)
{
	struct joined *j;

	DL_FOREACH(v->joined, j)
	{
		if (strcmp(j->session_id, session_id) == 0)
			return j;
	}
	return NULL;
}

static void joined_new(struct viewer *v, const char *session_id)
{
	struct joined *j = xcalloc(1, sizeof(*j));

	j->viewer = v;
	j->session_id = xstrdup(session_id);
	j->subscription = bus_subscribe(v->api->deps.bus, session_id, on_published, j);
	DL_APPEND(v->joined, j);
	v->n_joined++;
	metric_inc(METRIC_SOCKETIO_JOINS);
}

static void joined_free(struct joined *j)
{
	struct viewer *v = j->viewer;

	bus_unsubscribe(j->subscription);
	DL_DELETE(v->joined, j);
	v->n_joined--;
	metric_add(METRIC_SOCKETIO_JOINS, -1);
	free(j->session_id);
	free(j);
}

/* What a client asks for; borrowed from its event. */
struct wish {
	const char *app_id;
	const char *session_id;
	const char *epoch;
	bool has_since;
	uint64_t since;
};

static const char *read_id(const cJSON *object, const char *name, struct fault *reterr)
{
	const char *id = json_string(object, name);

	if (!id || !id_is_valid(id))
		fault_field(reterr, name, "must be 1 to 128 of A-Z a-z 0-9 . _ : @ -");
	return id;
}

static void read_since(const cJSON *object, struct wish *ret, struct fault *reterr)
{
	const cJSON *since = cJSON_GetObjectItemCaseSensitive(object, "since");
	double value;

	if (!since || cJSON_IsNull(since))
		return;
	value = cJSON_IsNumber(since) ? since->valuedouble : -1;
	if (!(value >= 0 && value <= SINCE_MAX) || value != (double)(uint64_t)value) {
		fault_field(reterr, "since", "must be a preview_seq");
		return;
	}
	ret->has_since = true;
	ret->since = (uint64_t)value;
}

/* Members we don't know are for others: a client of the wider protocol may send more. */
static int read_join(const struct sio_event *event, struct wish *ret, struct fault *reterr)
{
	const cJSON *object = cJSON_GetArrayItem(event->args, 0);

	*ret = (struct wish){
		.app_id = read_id(object, "app_id", reterr),
		.session_id = read_id(object, "session_id", reterr),
		.epoch = json_string(object, "epoch"),
	};
	read_since(object, ret, reterr);
	return reterr->n_fields > 0 ? -EINVAL : 0;
}

static void acknowledge_join(struct viewer *v, const struct sio_event *event,
			     const struct wish *wish, uint64_t latest, enum bus_recovery recovery)
{
	scoped(freep) char *room = xasprintf("session:%s", wish->session_id);
	cJSON *answer = answer_ok();

	json_add_string(answer, "room", room);
	json_add_u64(answer, "latest_seq", latest);
	json_add_string(answer, "epoch", bus_epoch(v->api->deps.bus));
	json_add_string(answer, "recovered", bus_recovery_text(recovery));
	acknowledge(v, event, answer);
}

static int may_join(struct viewer *v, const struct wish *wish, struct fault *reterr)
{
	unsigned max = v->api->settings->socketio_joins_max;
	int r = registry_may_follow(v->api->deps.registry, v->principal, wish->app_id,
				    wish->session_id, reterr);

	if (r < 0)
		return r;
	if (v->n_joined >= max && !joined_find(v, wish->session_id))
		return fault_set(reterr, FAULT_TOO_MANY_SESSIONS,
				 "this socket has joined %u sessions; leave one", v->n_joined);
	return 0;
}

/* What it missed, then live: one step on the loop. */
static void join(struct viewer *v, const struct sio_event *event, const struct wish *wish)
{
	struct bus *bus = v->api->deps.bus;
	uint64_t latest = bus_latest_seq(bus, wish->session_id);
	enum bus_recovery recovery = BUS_SNAPSHOT;
	scoped(missed_done) struct missed missed = { 0 };

	if (joined_find(v, wish->session_id)) {
		acknowledge_join(v, event, wish, latest, BUS_NOTHING_MISSED);
		return;
	}
	if (wish->has_since)
		recovery = bus_recover(bus, wish->session_id, wish->since, wish->epoch, missed_keep,
				       &missed);
	acknowledge_join(v, event, wish, latest, recovery);
	if (recovery == BUS_SNAPSHOT)
		send_snapshot(v, wish->app_id, wish->session_id, latest);
	for (size_t i = 0; i < missed.n; i++)
		deliver(v, missed.events[i]);
	joined_new(v, wish->session_id);
}

static void on_join_session(struct viewer *v, const struct sio_event *event)
{
	scoped(fault_done) struct fault fault = { 0 };
	struct wish wish;

	if (read_join(event, &wish, &fault) < 0 || may_join(v, &wish, &fault) < 0)
		acknowledge_fault(v, event, &fault);
	else
		join(v, event, &wish);
}

static void on_leave_session(struct viewer *v, const struct sio_event *event)
{
	scoped(fault_done) struct fault fault = { 0 };
	const char *session_id = read_id(cJSON_GetArrayItem(event->args, 0), "session_id", &fault);
	struct joined *j;

	if (fault.n_fields > 0) {
		acknowledge_fault(v, event, &fault);
		return;
	}
	j = joined_find(v, session_id);
	if (j)
		joined_free(j);
	acknowledge(v, event, answer_ok());
}

static void on_ping(struct viewer *v, const struct sio_event *event)
{
	cJSON *answer = answer_ok();
	char ts[CLOCK_TEXT_SIZE];

	json_add_string(answer, "ts", clock_format(clock_realtime(), ts));
	acknowledge(v, event, answer);
}

static const struct {
	const char *name;
	void (*fn)(struct viewer *v, const struct sio_event *event);
} events[] = {
	{ "join_session", on_join_session },
	{ "leave_session", on_leave_session },
	{ "ping", on_ping },
};

static void on_event(struct sio_socket *s, const struct sio_event *event, void *arg)
{
	scoped(fault_done) struct fault fault = { 0 };
	struct viewer *v = sio_data(s);

	(void)arg;
	if (v->ending)
		return;
	for (size_t i = 0; i < ARRAY_SIZE(events); i++) {
		if (strcmp(event->name, events[i].name) == 0) {
			events[i].fn(v, event);
			return;
		}
	}
	fault_set(&fault, FAULT_BAD_REQUEST, "there is no event '%.100s' to send", event->name);
	acknowledge_fault(v, event, &fault);
}

/*
 * Credentials.
 */
static void on_deadline(void *arg)
{
	struct viewer *v = arg;

	/* It comes back, and is told why not by CONNECT_ERROR. */
	sio_close(v->socket);
}

static void viewer_new(struct api *api, struct sio_socket *s, struct principal *principal_take)
{
	struct viewer *v = xcalloc(1, sizeof(*v));
	usec_t now = clock_realtime();

	v->api = api;
	v->socket = s;
	v->principal = principal_take;
	v->envelope = strcmp(sio_nsp(s), NSP_ENVELOPE) == 0;
	v->deadline = timer_new(api->deps.loop, on_deadline, v);
	if (v->principal->expires_at != USEC_INFINITY)
		timer_set(v->deadline,
			  v->principal->expires_at > now ? v->principal->expires_at - now : 0);
	DL_APPEND(api->viewers, v);
	sio_set_data(s, v);
}

static void viewer_free(struct viewer *v)
{
	while (v->joined)
		joined_free(v->joined);
	timer_free(v->deadline);
	principal_unref(v->principal);
	DL_DELETE(v->api->viewers, v);
	free(v);
}

/* A token in CONNECT goes before the request's, and that before the unix peer. */
static int authenticate(struct api *api, const struct sio_client *c, const cJSON *auth,
			struct principal **ret, struct fault *reterr)
{
	struct credential credential = { .is_unix = c->is_unix, .uid = c->uid };
	const cJSON *token = cJSON_GetObjectItemCaseSensitive(auth, "token");
	int r;

	credential.bearer = c->bearer;
	if (token && !cJSON_IsNull(token))
		credential.bearer = cJSON_IsString(token) ? token->valuestring : "";
	r = auth_authenticate(api->deps.auth, &credential, ret, reterr);
	if (r < 0 && credential.bearer)
		log_info("a socket from %s: %s", c->address, fault_slug(reterr->code));
	return r;
}

static void on_connect(struct sio_socket *s, const cJSON *auth, void *arg)
{
	scoped(fault_done) struct fault fault = { 0 };
	scoped(principal_unrefp) struct principal *principal = NULL;
	scoped(json_freep) cJSON *data = NULL;
	struct api *api = arg;

	if (authenticate(api, sio_client_data(s), auth, &principal, &fault) >= 0 &&
	    call_authorize(stream_route(), principal, &fault) >= 0) {
		viewer_new(api, s, STEAL(principal));
		sio_accept(s);
		return;
	}
	data = cJSON_CreateObject();
	json_add_string(data, "code", fault_slug(fault.code));
	sio_refuse(s, fault.detail ? fault.detail : fault_title(fault.code), data);
}

static void on_disconnect(struct sio_socket *s, const char *reason, void *arg)
{
	(void)arg;
	log_debug("a socket of '%s' ended: %s", sio_nsp(s), reason);
	viewer_free(sio_data(s));
}

/* Closed from the timer: a close ends a client's other sockets too, which are in the same list. */
void viewers_on_token_revoked(struct api *api, const char *token_id)
{
	struct viewer *v;

	DL_FOREACH(api->viewers, v)
	{
		if (!v->principal->token_id || strcmp(v->principal->token_id, token_id) != 0)
			continue;
		v->ending = true;
		timer_set(v->deadline, 0);
	}
}

/*
 * Clients.
 */
static bool on_open(const struct http_request *req, void **ret_data, void *arg)
{
	const struct http_peer *peer = http_request_peer(req);
	struct api *api = arg;
	struct sio_client *c = xcalloc(1, sizeof(*c));
	const char *bearer = NULL;

	/* A field that is no bearer token is a wrong one. */
	if (bearer_of(req, &bearer, NULL) < 0)
		bearer = "";
	c->is_unix = peer->is_unix;
	c->uid = peer->uid;
	c->bearer = xstrdup_null(bearer);
	c->address = guard_client(api, req);
	api->n_streams++;
	*ret_data = c;
	return true;
}

static void on_gone(void *data, void *arg)
{
	struct sio_client *c = data;
	struct api *api = arg;

	api->n_streams--;
	secret_free(c->bearer);
	free(c->address);
	free(c);
}

/*
 * Requests.
 */
bool socketio_is_path(const char *path)
{
	return strcmp(path, PATH) == 0;
}

static bool is_handshake(const struct http_request *req)
{
	const char *query = http_request_query(req);
	scoped(freep) char *sid = NULL;

	return http_query_get((struct http_view){ query, strlen(query) }, "sid", &sid) < 0;
}

/* Host and Origin have been looked at. */
void socketio_request(struct api *api, struct http_request *req)
{
	scoped(fault_done) struct fault fault = { 0 };

	if (strcmp(http_request_method(req), "OPTIONS") == 0) {
		guard_preflight(req, "GET, POST");
		return;
	}
	if (is_handshake(req) && streams_admit(api, &fault) < 0) {
		api_refuse(req, &fault);
		return;
	}
	guard_cors(req);
	socketio_on_request(api->socketio, req);
}

/*
 * Life.
 */
void socketio_begin(struct api *api)
{
	static const struct socketio_ops ops = {
		.on_open = on_open,
		.on_gone = on_gone,
		.on_connect = on_connect,
		.on_event = on_event,
		.on_disconnect = on_disconnect,
	};
	static const char *const namespaces[] = { NSP_PLAIN, NSP_ENVELOPE, NULL };
	const struct settings *set = api->settings;
	struct socketio_settings settings = {
		.engine = {
			.ping_interval = set->socketio_ping_interval,
			.ping_timeout = set->socketio_ping_timeout,
			.upgrade_timeout = UPGRADE_TIMEOUT,
			.close_timeout = CLOSE_TIMEOUT,
			.max_payload = set->socketio_max_payload,
			.output_max = set->events_buffer,
			.sessions_max = CLIENTS_MAX,
		},
		.connect_timeout = CONNECT_TIMEOUT,
		.ack_timeout = ACK_TIMEOUT,
		.acks_max = 0, /* nothing is asked of a client */
		.namespaces = namespaces,
	};

	/* A WebSocket message is the payload and Engine.IO's digit. */
	if (settings.engine.max_payload >= set->server_body_max)
		settings.engine.max_payload = set->server_body_max - 1;
	api->socketio = socketio_new(api->deps.loop, &settings, &ops, api);
}

void socketio_end(struct api *api)
{
	api->socketio = socketio_free(api->socketio);
}

void socketio_reload(struct api *api)
{
	if (api->socketio)
		socketio_set_output_max(api->socketio, api->settings->events_buffer);
}
