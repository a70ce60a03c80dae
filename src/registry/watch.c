/* SPDX-License-Identifier: MIT */
/*
 * Who is connected to the attached ports, and what came from them.  previewd is no proxy: every
 * activity.sample it asks the kernel for the connections of those ports and holds their counts
 * against the last; what came and went in between, the kernel tells at its end.
 *
 * Nothing here runs while nothing is attached.
 */
#include <string.h>
#include <utlist.h>

#include "base/log.h"
#include "base/mem.h"
#include "base/metrics.h"
#include "registry/registry_priv.h"

LOG_AREA("activity");

#define PORTS            65536
#define RECEIVE_BUFFER   (4 * 1024 * 1024)
#define FIRST_SAMPLE     USEC_PER_SEC          /* for a port that is new */
#define SAMPLE_AGE_MAX   (500 * USEC_PER_MSEC) /* for those who ask why */
#define OWN_PORT_SECONDS 300                   /* longer than any probe */

/* A vanished connection whose end is not told by then (it comes a moment later) is forgotten. */
#define SAMPLES_TILL_FORGOTTEN 2

/*
 * The daemon's own connections.
 */
static uint32_t seconds_now(void)
{
	return (uint32_t)(clock_monotonic() / USEC_PER_SEC) + 1;
}

static void on_own_port(uint16_t port, void *arg)
{
	struct registry *reg = arg;

	reg->own_port_at[port] = seconds_now();
}

bool watch_is_own_port(const struct registry *reg, uint16_t port)
{
	return reg->own_port_at[port] != 0 &&
	       seconds_now() - reg->own_port_at[port] <= OWN_PORT_SECONDS;
}

/*
 * Connections.
 */
static struct counts counts_of(const struct tcp_socket *s)
{
	return (struct counts){ s->bytes_received, s->data_segs_in };
}

static void traffic(struct registry *reg, struct watch *w, const struct tcp_socket *from)
{
	struct attachment *a;

	DL_FOREACH2(w->attachments, a, watch_next)
	clock_traffic(reg, a, from);
}

/* `v` is NULL for one that no sample has seen. */
static bool is_traffic(const struct registry *reg, const struct watch *w, const struct viewer *v,
		       const struct tcp_socket *s)
{
	struct counts now = counts_of(s);

	if (v ? v->own : !w->sampled || watch_is_own_port(reg, s->peer_port))
		return false;
	return counts_are_traffic(v ? &v->counts : NULL, &now,
				  reg->settings->activity_bytes_per_segment);
}

static struct viewer *viewer_new(struct registry *reg, const struct watch *w,
				 const struct tcp_socket *s)
{
	struct viewer *v = xcalloc(1, sizeof(*v));

	v->cookie = s->cookie;
	v->port = s->port;
	v->own = watch_is_own_port(reg, s->peer_port);
	v->was_there_before = !w->sampled;
	v->first_seen = clock_monotonic();
	HASH_ADD(hh, reg->viewers, cookie, sizeof(v->cookie), v);
	return v;
}

static void viewer_free(struct registry *reg, struct viewer *v)
{
	HASH_DEL(reg->viewers, v);
	free(v);
}

static void on_connection(const struct tcp_socket *s, void *arg)
{
	struct registry *reg = arg;
	struct watch *w = reg->watch_of[s->port];
	struct viewer *v;

	if (!w)
		return;
	HASH_FIND(hh, reg->viewers, &s->cookie, sizeof(s->cookie), v);
	if (is_traffic(reg, w, v, s))
		traffic(reg, w, s);
	if (!v)
		v = viewer_new(reg, w, s);
	v->counts = counts_of(s);
	v->sample = reg->sample;
	if (!v->own && s->state == TCP_STATE_ESTABLISHED)
		w->n_connections++;
}

static void on_closed(const struct tcp_socket *s, void *arg)
{
	struct registry *reg = arg;
	struct watch *w = reg->watch_of[s->port];
	struct viewer *v;

	if (!w)
		return;
	if (s->peer_port == 0) {
		presence_check_soon(reg, w);
		return;
	}
	HASH_FIND(hh, reg->viewers, &s->cookie, sizeof(s->cookie), v);
	if (is_traffic(reg, w, v, s))
		traffic(reg, w, s);
	if (v)
		viewer_free(reg, v);
}

/* Who ended untold is given the benefit of the doubt: better kept once too long than ended while
 * it is used. */
static void forget_gone(struct registry *reg)
{
	struct viewer *v, *tmp;

	HASH_ITER(hh, reg->viewers, v, tmp)
	{
		struct watch *w = reg->watch_of[v->port];

		if (v->sample == reg->sample)
			continue;
		if (reg->overrun && w && !v->own)
			traffic(reg, w, NULL);
		if (reg->overrun || !w || reg->sample - v->sample >= SAMPLES_TILL_FORGOTTEN)
			viewer_free(reg, v);
	}
	reg->overrun = false;
}

/*
 * Sampling.
 */
enum activity activity_of(const struct registry *reg, const struct attachment *a)
{
	bool used = a->active_by == CLOCK_TRAFFIC || a->active_by == CLOCK_TOUCH ||
		    a->active_by == CLOCK_EDGE;
	usec_t since = used ? clock_monotonic() - a->active_at : USEC_INFINITY;

	return activity_judge(a->watch ? a->watch->n_connections : 0, since,
			      2 * reg->settings->activity_sample);
}

static void count_activities(const struct registry *reg)
{
	size_t counts[3] = { 0 };
	const struct watch *w;

	DL_FOREACH(reg->watches, w)
	{
		const struct attachment *a;

		DL_FOREACH2(w->attachments, a, watch_next)
		counts[activity_of(reg, a)]++;
	}
	metric_set(METRIC_PREVIEWS_ACTIVE, (double)counts[ACTIVITY_ACTIVE]);
	metric_set(METRIC_PREVIEWS_PASSIVE, (double)counts[ACTIVITY_PASSIVE]);
	metric_set(METRIC_PREVIEWS_UNSEEN, (double)counts[ACTIVITY_UNSEEN]);
}

static void look_at_connections(struct registry *reg)
{
	uint16_t low = UINT16_MAX, high = 0;
	struct watch *w;
	int r;

	reg->sample++;
	DL_FOREACH(reg->watches, w)
	{
		w->n_connections = 0;
		low = w->port < low ? w->port : low;
		high = w->port > high ? w->port : high;
	}
	/* One dump for all: what lies between their ports beside them is dropped in
	 * on_connection().
	 */
	r = sockdiag_connections(reg->deps.sockdiag, low, high, on_connection, reg);
	if (r < 0 && !reg->sample_failed)
		log_warning_errno(r, "the kernel doesn't tell the connections of the attached "
				     "ports; it is asked again every activity.sample");
	reg->sample_failed = r < 0;
	if (r < 0)
		return;

	DL_FOREACH(reg->watches, w)
	w->sampled = true;
	forget_gone(reg);
}

void watch_sample(struct registry *reg)
{
	usec_t started = clock_monotonic();

	if (!reg->watches)
		return;
	reg->sampled_at = started;
	sockwatch_read(reg->sockwatch);
	look_at_connections(reg);
	presence_look_all(reg);
	count_activities(reg);
	metric_observe(METRIC_SAMPLE_SECONDS, (double)(clock_monotonic() - started) / 1e6);
}

void watch_sample_if_old(struct registry *reg)
{
	if (clock_monotonic() - reg->sampled_at >= SAMPLE_AGE_MAX)
		watch_sample(reg);
}

static void sample_in(struct registry *reg, usec_t after)
{
	reg->sample_due = clock_monotonic() + after;
	timer_set(reg->sample_timer, after);
}

static void on_sample(void *arg)
{
	struct registry *reg = arg;

	watch_sample(reg);
	if (reg->watches)
		sample_in(reg, reg->settings->activity_sample);
}

static void on_overrun(void *arg)
{
	struct registry *reg = arg;

	metric_inc(METRIC_SOCKWATCH_OVERRUNS);
	reg->overrun = true;
	sample_in(reg, 0);
}

void watch_reschedule(struct registry *reg)
{
	if (timer_is_set(reg->sample_timer) &&
	    reg->sample_due > clock_monotonic() + reg->settings->activity_sample)
		sample_in(reg, reg->settings->activity_sample);
}

/*
 * Which ports.
 */
static struct watch *watch_make(struct registry *reg, uint16_t port)
{
	struct watch *w = xcalloc(1, sizeof(*w));
	usec_t first = reg->settings->activity_sample;
	int r;

	w->registry = reg;
	w->port = port;
	reg->watch_of[port] = w;
	DL_APPEND(reg->watches, w);
	reg->n_watches++;

	r = sockwatch_add(reg->sockwatch, port);
	if (r < 0 && reg->n_watches == 1)
		log_warning_errno(r, "the kernel doesn't tell when sockets are closed: what comes "
				     "and goes between two samples is missed, and the end of a "
				     "server is seen at the next");

	if (first > FIRST_SAMPLE)
		first = FIRST_SAMPLE;
	if (!timer_is_set(reg->sample_timer) || reg->sample_due > clock_monotonic() + first)
		sample_in(reg, first);
	return w;
}

void watch_enter(struct registry *reg, struct attachment *a)
{
	uint16_t port = (uint16_t)a->record->port;

	if (!reg->deps.sockdiag || !host_is_loopback(a->record->host))
		return;
	a->watch = reg->watch_of[port] ? reg->watch_of[port] : watch_make(reg, port);
	DL_APPEND2(a->watch->attachments, a, watch_prev, watch_next);
}

void watch_leave(struct registry *reg, struct attachment *a)
{
	struct watch *w = a->watch;

	if (!w)
		return;
	DL_DELETE2(w->attachments, a, watch_prev, watch_next);
	a->watch = NULL;
	if (w->attachments)
		return;

	presence_end(reg, w);
	sockwatch_remove(reg->sockwatch, w->port);
	reg->watch_of[w->port] = NULL;
	DL_DELETE(reg->watches, w);
	reg->n_watches--;
	free(w);
	if (reg->watches)
		return;
	timer_cancel(reg->sample_timer);
	while (reg->viewers)
		viewer_free(reg, reg->viewers);
	count_activities(reg);
}

void watch_start(struct registry *reg)
{
	static const struct sockwatch_ops ops = { .closed = on_closed, .overrun = on_overrun };

	reg->watch_of = xcalloc(PORTS, sizeof(struct watch *));
	reg->own_port_at = xcalloc(PORTS, sizeof(uint32_t));
	reg->sockwatch = sockwatch_new(reg->deps.loop, RECEIVE_BUFFER, &ops, reg);
	reg->sample_timer = timer_new(reg->deps.loop, on_sample, reg);
	fetcher_tell_ports(reg->deps.fetcher, on_own_port, reg);
}

void watch_stop(struct registry *reg)
{
	fetcher_tell_ports(reg->deps.fetcher, NULL, NULL);
	timer_free(reg->sample_timer);
	sockwatch_free(reg->sockwatch);
	free(reg->own_port_at);
	free(reg->watch_of);
}
