/* SPDX-License-Identifier: MIT */
/*
 * Events over Socket.IO: what /ws/events gives, for the stock socket.io-client.
 *
 * A stock client never comes back from CONNECT_ERROR or DISCONNECT.  So these tell it what it can't
 * help, and where it should come back (its credential has ended, the daemon is shutting down) its
 * transport is closed.
 */
#include "api/viewer.h"

#include <errno.h>
#include <string.h>
#include <utlist.h>

#include "base/crypto.h"
#include "base/ids.h"
#include "base/log.h"
#include "base/mem.h"
#include "base/metrics.h"
#include "base/strbuf.h"
#include "http/url.h"

LOG_AREA("socketio");

#define PATH "/socket.io/"

/* As with /ws/events, who shows no credential is not kept for long. */
#define CONNECT_TIMEOUT (10 * USEC_PER_SEC)
#define CONNECT_MAX     (16 * 1024) /* bytes of its message */
#define UPGRADE_TIMEOUT (10 * USEC_PER_SEC)
#define CLOSE_TIMEOUT   (30 * USEC_PER_SEC)
#define ACK_TIMEOUT     (10 * USEC_PER_SEC)

/* Held against events.streams_max, which may be reloaded; this is that option's own bound. */
#define CLIENTS_MAX 1000000

/* One transport: what it was opened with, for those of its sockets that bring no token. */
struct sio_client {
	bool is_unix;
	uid_t uid;
	char *bearer;
	char *address; /* for the log */
	/* whose it was first: later sockets of it are its, too */
	bool is_named;
	struct stream_user *user;
};

static void on_ping(struct viewer *v, const struct sio_event *event)
{
	cJSON *answer = viewer_ok();
	char ts[CLOCK_TEXT_SIZE];

	json_add_string(answer, "ts", clock_format(clock_realtime(), ts));
	viewer_acknowledge(v, event, answer);
}

static const struct {
	const char *name;
	void (*fn)(struct viewer *v, const struct sio_event *event);
} events[] = {
	{ "join_session", viewer_on_join_session },
	{ "leave_session", viewer_on_leave_session },
	{ "canvas", viewer_on_canvas },
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
	viewer_acknowledge_fault(v, event, &fault);
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
	viewer_leave_all(v);
	viewer_canvas_end(v);
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

static int count(struct api *api, struct sio_client *c, const struct principal *principal,
		 struct fault *reterr)
{
	int r = c->is_named ? 0 : stream_user_enter(api, principal, &c->user, reterr);

	c->is_named |= r >= 0;
	return r;
}

/* Whoever may join, and a back end that only writes the canvas. */
static int may_come(const struct principal *principal, struct fault *reterr)
{
	if (principal_may(principal, SCOPE_CANVAS))
		return 0;
	return call_authorize(stream_route(), principal, reterr);
}

static void on_connect(struct sio_socket *s, const cJSON *auth, void *arg)
{
	scoped(fault_done) struct fault fault = { 0 };
	scoped(principal_unrefp) struct principal *principal = NULL;
	scoped(json_freep) cJSON *data = NULL;
	struct api *api = arg;

	if (authenticate(api, sio_client_data(s), auth, &principal, &fault) >= 0 &&
	    may_come(principal, &fault) >= 0 &&
	    count(api, sio_client_data(s), principal, &fault) >= 0) {
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
	stream_user_leave(api, c->user);
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
			.first_payload_max = CONNECT_MAX,
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
	if (settings.engine.max_payload < CONNECT_MAX)
		settings.engine.first_payload_max = settings.engine.max_payload;
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
