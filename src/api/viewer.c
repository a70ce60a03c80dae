/* SPDX-License-Identifier: MIT */
/*
 * A Socket.IO viewer and its sessions: joined in one step of the loop, with what was missed or a
 * snapshot, and from there every event once.  Who has joined already has all of that, so joining
 * again adds nothing: a stock client that reconnects does it, because it sends what it kept while
 * it was away before its own "connect" handler runs.
 */
#include "api/viewer.h"

#include <errno.h>
#include <string.h>
#include <utlist.h>

#include "base/crypto.h"
#include "base/ids.h"
#include "base/mem.h"
#include "base/metrics.h"
#include "base/strbuf.h"

/* JavaScript's numbers are exact up to here. */
#define SINCE_MAX 9007199254740992.0

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

/*
 * Live events are bounded by what may wait for a client; what one has missed it gets as a whole.
 * Should either fail, the client is being cut off, or gone: on_disconnect() is on its way.
 */
typedef int send_fn(struct sio_socket *s, struct bytes *frame);

/* Serialised and framed once, whoever asks first. */
static void send_event(struct viewer *v, struct event *e, enum event_sio_frame form, send_fn *send)
{
	if (!e->sio_frames[form])
		e->sio_frames[form] = frame_new(e, form);
	(void)send(v->socket, e->sio_frames[form]);
}

static void deliver(struct viewer *v, struct event *e, send_fn *send)
{
	/* A session that is not there yet may come to be another's. */
	if (v->ending || !principal_sees(v->principal, e->app_id, e->session_id, e->user_id))
		return;
	if (!v->envelope) {
		send_event(v, e, EVENT_SIO_PLAIN, send);
		return;
	}
	send_event(v, e, EVENT_SIO_ENVELOPE, send);
	if (strcmp(e->type, "web_preview:attached") == 0)
		send_event(v, e, EVENT_SIO_NAMED, send);
}

static void on_published(struct event *e, void *arg)
{
	struct joined *j = arg;

	if (e->seq > j->shown)
		deliver(j->viewer, e, sio_send_frame);
}

/* What a client asks for; borrowed from its event. */
struct wish {
	const char *app_id;
	const char *session_id;
	const char *epoch;
	bool has_since;
	uint64_t since;
};

/* One that is cut off for its snapshot's size would come back for it again and again. */
static void send_snapshot(struct viewer *v, const struct wish *wish, uint64_t seq,
			  const char *payload)
{
	static const char type[] = "preview:snapshot";
	scoped(strbuf_done) struct strbuf b = strbuf_init(STRBUF_UNLIMITED);

	if (!v->envelope) {
		(void)sio_emit_large(v->socket, type, payload, strlen(payload));
		return;
	}
	envelope_write(&b, type, wish->app_id, wish->session_id, seq, clock_realtime(), NULL,
		       payload);
	(void)sio_emit_large(v->socket, "event", b.data, b.len);
}

/*
 * Acknowledgements.
 */
void viewer_acknowledge(struct viewer *v, const struct sio_event *event, cJSON *answer_consume)
{
	scoped(json_freep) cJSON *answer = answer_consume;
	scoped(freep) char *text = json_print(answer);

	if (event->wants_ack)
		sio_ack(v->socket, event->ack_id, text, strlen(text));
}

void viewer_acknowledge_fault(struct viewer *v, const struct sio_event *event,
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
	viewer_acknowledge(v, event, answer);
}

cJSON *viewer_ok(void)
{
	cJSON *answer = cJSON_CreateObject();

	cJSON_AddBoolToObject(answer, "ok", true);
	return answer;
}

/*
 * Joining and leaving.
 */
struct joined *viewer_joined(const struct viewer *v, const char *session_id)
{
	struct joined *j;

	DL_FOREACH(v->joined, j)
	{
		if (strcmp(j->session_id, session_id) == 0)
			return j;
	}
	return NULL;
}

static void joined_new(struct viewer *v, const struct wish *wish, uint64_t shown)
{
	struct joined *j = xcalloc(1, sizeof(*j));

	j->viewer = v;
	j->shown = shown;
	j->session_id = xstrdup(wish->session_id);
	j->app_id = xstrdup(wish->app_id);
	j->subscription = bus_subscribe(v->api->deps.bus, j->session_id, on_published, j);
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
	free(j->app_id);
	free(j);
}

static const char *read_id(const cJSON *object, const char *name, struct fault *reterr)
{
	const char *id = json_string(object, name);

	if (!id || !id_is_valid(id))
		fault_field(reterr, name, "must be 1 to 128 of A-Z a-z 0-9 . _ : @ -");
	return id;
}

/* Who has one app only never says which. */
static const char *read_app(const cJSON *object, struct fault *reterr)
{
	const cJSON *app = cJSON_GetObjectItemCaseSensitive(object, "app_id");

	return !app || cJSON_IsNull(app) ? APP_DEFAULT : read_id(object, "app_id", reterr);
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
		.app_id = read_app(object, reterr),
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
	cJSON *answer = viewer_ok();

	json_add_string(answer, "room", room);
	json_add_u64(answer, "latest_seq", latest);
	json_add_string(answer, "epoch", bus_epoch(v->api->deps.bus));
	json_add_string(answer, "recovered", bus_recovery_text(recovery));
	viewer_acknowledge(v, event, answer);
}

static int may_join(struct viewer *v, const struct wish *wish, struct fault *reterr)
{
	unsigned max = v->api->settings->socketio_joins_max;
	int r = call_authorize(stream_route(), v->principal, reterr);

	if (r >= 0)
		r = registry_may_follow(v->api->deps.registry, v->principal, wish->app_id,
					wish->session_id, reterr);
	if (r < 0)
		return r;
	if (v->n_joined >= max && !viewer_joined(v, wish->session_id))
		return fault_set(reterr, FAULT_TOO_MANY_SESSIONS,
				 "this socket has joined %u sessions; leave one", v->n_joined);
	return 0;
}

/* What it missed, then live: one step on the loop. */
static void join(struct viewer *v, const struct sio_event *event, const struct wish *wish)
{
	struct bus *bus = v->api->deps.bus;
	uint64_t latest = bus_latest_seq(bus, wish->session_id), shown = 0;
	scoped(freep) char *snapshot = NULL;
	enum bus_recovery recovery = BUS_SNAPSHOT;
	scoped(missed_done) struct missed missed = { 0 };

	if (viewer_joined(v, wish->session_id)) {
		acknowledge_join(v, event, wish, latest, BUS_NOTHING_MISSED);
		return;
	}
	if (wish->has_since)
		recovery =
			missed_recover(v->api, wish->session_id, wish->since, wish->epoch, &missed);
	if (recovery == BUS_SNAPSHOT) {
		snapshot = snapshot_text(v->api, wish->session_id, &shown);
		latest = shown;
	}
	acknowledge_join(v, event, wish, latest, recovery);
	if (snapshot)
		send_snapshot(v, wish, shown, snapshot);
	for (size_t i = 0; i < missed.n; i++)
		deliver(v, missed.events[i], sio_send_large_frame);
	joined_new(v, wish, shown);
}

void viewer_on_join_session(struct viewer *v, const struct sio_event *event)
{
	scoped(fault_done) struct fault fault = { 0 };
	struct wish wish;

	if (read_join(event, &wish, &fault) < 0 || may_join(v, &wish, &fault) < 0)
		viewer_acknowledge_fault(v, event, &fault);
	else
		join(v, event, &wish);
}

void viewer_on_leave_session(struct viewer *v, const struct sio_event *event)
{
	scoped(fault_done) struct fault fault = { 0 };
	const char *session_id = read_id(cJSON_GetArrayItem(event->args, 0), "session_id", &fault);
	struct joined *j;

	if (fault.n_fields > 0) {
		viewer_acknowledge_fault(v, event, &fault);
		return;
	}
	j = viewer_joined(v, session_id);
	if (j)
		joined_free(j);
	viewer_acknowledge(v, event, viewer_ok());
}

void viewer_leave_all(struct viewer *v)
{
	while (v->joined)
		joined_free(v->joined);
}
