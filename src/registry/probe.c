/* SPDX-License-Identifier: MIT */
/*
 * One probe is a walk through the steps below; each ends in a callback that goes on to the next or
 * finishes.  All probes that wait for a port share one timer and one dump of the listeners a tick,
 * so that many waiting cost no more than one.
 */
#include "registry/probe_priv.h"

#include <arpa/inet.h>
#include <errno.h>
#include <netdb.h>
#include <string.h>
#include <utlist.h>

#include "base/mem.h"
#include "base/metrics.h"
#include "base/strbuf.h"
#include "net/hosts.h"
#include "registry/framing.h"

/* A new listener isn't announced by the kernel, so the rows are looked at this often. */
#define WAIT_TICK (15 * USEC_PER_MSEC)

/* Where the kernel can't be asked (another host), a refused connection is tried again after this.
 */
#define RETRY_AFTER (250 * USEC_PER_MSEC)

#define LISTENERS_AT_FIRST 64
#define TLS_SNIFF_TIMEOUT  (3 * USEC_PER_SEC)

static void ask(struct probe *p);
static void start(struct probe *p);

struct prober *prober_free(struct prober *p)
{
	if (!p)
		return NULL;

	timer_free(p->tick);
	free(p->listeners);
	free(p);
	return NULL;
}

size_t prober_active(const struct prober *p)
{
	return p->active;
}

static void report_done(struct probe_report *r)
{
	for (size_t i = 0; i < r->n_warnings; i++)
		free(r->warnings[i].detail);
}

static void stop_waiting(struct probe *p)
{
	if (!p->is_waiting)
		return;
	DL_DELETE(p->prober->waiting, p);
	p->is_waiting = false;
}

struct probe *probe_free(struct probe *p)
{
	if (!p)
		return NULL;

	p->prober->active--;
	metric_add(METRIC_PROBES, -1);

	stop_waiting(p);
	job_free(p->resolving);
	fetch_free(p->fetch);
	timer_free(p->retry);
	report_done(&p->report);
	free((char *)p->request.scheme);
	free((char *)p->request.host);
	free((char *)p->request.path);
	free((char *)p->request.public_host);
	free((char *)p->request.public_authority);
	free((char *)p->request.public_scheme);
	free(p->url);
	free(p);
	return NULL;
}

usec_t probe_time_left(const struct probe *p)
{
	usec_t now = clock_monotonic();

	/* A second look gets a second even when the first took all the time. */
	return p->answer_until > now + USEC_PER_SEC ? p->answer_until - now : USEC_PER_SEC;
}

/*
 * Endings.  After either the probe may be gone: its owner frees it from inside `done`.
 */
void probe_succeed(struct probe *p)
{
	metric_observe(METRIC_PROBE_SECONDS, (double)(clock_monotonic() - p->started) / 1e6);
	p->report.checked_at = clock_realtime();
	p->done(0, &p->report, NULL, p->arg);
}

static void fail(struct probe *p, int r, struct fault *fault)
{
	metric_observe(METRIC_PROBE_SECONDS, (double)(clock_monotonic() - p->started) / 1e6);
	p->done(r, NULL, fault, p->arg);
}

void probe_warn(struct probe *p, const char *code, char *detail)
{
	struct probe_report *r = &p->report;

	if (r->n_warnings == PROBE_WARNINGS_MAX) {
		free(detail);
		return;
	}
	r->warnings[r->n_warnings++] = (struct probe_warning){ .code = code, .detail = detail };
}

static const char *tls_hint(const struct probe *p)
{
	return strcmp(p->request.scheme, "https") == 0 ? "" : " with \"scheme\": \"https\"";
}

static void fail_not_listening(struct probe *p)
{
	scoped(fault_done) struct fault fault = { 0 };
	double waited = (double)(clock_monotonic() - p->started) / 1e6;
	int r = fault_set(&fault, FAULT_TARGET_NOT_LISTENING,
			  "nothing listens on %s:%u after %.1f s; start the server first, or give "
			  "it longer with wait_seconds",
			  p->request.host, p->request.port, waited);

	fail(p, r, &fault);
}

static void fail_not_accepting(struct probe *p)
{
	scoped(fault_done) struct fault fault = { 0 };
	int r = fault_set(
		&fault, FAULT_TARGET_NOT_ACCEPTING,
		"a process listens on %s:%u but accepts no connections; it may hang: look "
		"at its output, or restart it",
		p->request.host, p->request.port);

	fail(p, r, &fault);
}

static void fail_not_http(struct probe *p)
{
	scoped(fault_done) struct fault fault = { 0 };
	bool https = strcmp(p->request.scheme, "https") == 0;
	int r = fault_set(&fault, FAULT_TARGET_NOT_HTTP,
			  "what listens on %s:%u does not answer %s; is it the right port?%s",
			  p->request.host, p->request.port, https ? "TLS and HTTP" : "HTTP",
			  https ? " A server without TLS is attached with \"scheme\": \"http\"."
				: "");

	fail(p, r, &fault);
}

static void fail_is_tls(struct probe *p)
{
	scoped(fault_done) struct fault fault = { 0 };
	int r = fault_set(&fault, FAULT_TARGET_IS_TLS,
			  "the server on %s:%u speaks TLS; attach it%s", p->request.host,
			  p->request.port, tls_hint(p));

	fail(p, r, &fault);
}

/*
 * What the kernel says of a port.
 */
static int listeners_refresh(struct prober *prober)
{
	int n;

	for (;;) {
		n = sockdiag_listeners(prober->sockdiag, 0, prober->listeners,
				       prober->listeners_max);
		if (n < 0 || (size_t)n <= prober->listeners_max)
			break;
		prober->listeners_max = (size_t)n * 2;
		prober->listeners = xrealloc(prober->listeners,
					     prober->listeners_max * sizeof(*prober->listeners));
	}
	prober->n_listeners = n < 0 ? 0 : (size_t)n;
	return n;
}

static void add_address(struct probe *p, const char *address)
{
	for (size_t i = 0; i < p->n_addresses; i++) {
		if (strcmp(p->addresses[i], address) == 0)
			return;
	}
	if (p->n_addresses < ARRAY_SIZE(p->addresses))
		strcpy(p->addresses[p->n_addresses++], address);
}

/*
 * Fills in where the port can be reached; says whether anywhere.  Whatever loopback host was named,
 * both families are looked at: Node listens on ::1 alone on some systems, and an agent that says
 * 127.0.0.1 means "this machine".
 */
static bool find_listeners(struct probe *p)
{
	const struct prober *prober = p->prober;

	p->n_addresses = 0;
	p->address = 0;
	for (int family = AF_INET; family == AF_INET || family == AF_INET6;
	     family = family == AF_INET ? AF_INET6 : -1) {
		for (size_t i = 0; i < prober->n_listeners; i++) {
			const struct listener *l = &prober->listeners[i];

			if (l->port != p->request.port || l->family != family || !l->loopback)
				continue;
			if (family == AF_INET || (l->any_address && !l->v6only))
				add_address(p, "127.0.0.1");
			if (family == AF_INET6)
				add_address(p, "::1");
		}
	}
	return p->n_addresses > 0;
}

static unsigned connections_queued(struct probe *p)
{
	struct listener rows[8];
	unsigned queued = 0;
	int n;

	if (!p->local)
		return 0;
	n = sockdiag_listeners(p->prober->sockdiag, p->request.port, rows, ARRAY_SIZE(rows));
	for (int i = 0; i < n && i < (int)ARRAY_SIZE(rows); i++) {
		if (rows[i].loopback)
			queued += rows[i].queued;
	}
	return queued;
}

static void begin_asking(struct probe *p)
{
	stop_waiting(p);
	p->answer_until = clock_monotonic() + p->request.http_timeout;
	p->method = FETCH_HEAD;
	ask(p);
}

static void on_tick(void *arg)
{
	struct prober *prober = arg;
	usec_t now = clock_monotonic();
	int r = listeners_refresh(prober);
	struct probe *p, *tmp;

	/* An ended probe may end others (its owner's doing): take them off the list one by one. */
	DL_FOREACH_SAFE(prober->waiting, p, tmp)
	{
		if (r < 0)
			p->local = false; /* go by connecting */
		if (r < 0 || find_listeners(p)) {
			begin_asking(p);
		} else if (now >= p->wait_until) {
			stop_waiting(p);
			fail_not_listening(p);
			break; /* `tmp` may be gone; the others are looked at in the next tick */
		}
	}
	if (prober->waiting)
		timer_set(prober->tick, WAIT_TICK);
}

struct prober *prober_new(struct loop *loop, struct fetcher *fetcher, struct jobs *jobs,
			  struct sockdiag *sockdiag)
{
	struct prober *p = xcalloc(1, sizeof(*p));

	p->loop = loop;
	p->fetcher = fetcher;
	p->jobs = jobs;
	p->sockdiag = sockdiag;
	p->tick = timer_new(loop, on_tick, p);
	p->listeners_max = LISTENERS_AT_FIRST;
	p->listeners = xcalloc(p->listeners_max, sizeof(*p->listeners));
	return p;
}

static void wait_for_listener(struct probe *p)
{
	struct prober *prober = p->prober;

	DL_APPEND(prober->waiting, p);
	p->is_waiting = true;
	if (!timer_is_set(prober->tick))
		timer_set(prober->tick, 0);
}

/* The connection was refused: there is time to try again, or there isn't. */
static void again_or_not_listening(struct probe *p, usec_t after)
{
	if (clock_monotonic() + after >= p->wait_until)
		fail_not_listening(p);
	else
		timer_set(p->retry, after);
}

static void on_retry(void *arg)
{
	struct probe *p = arg;

	if (p->local)
		wait_for_listener(p);
	else if (p->n_addresses == 0)
		start(p); /* its name is not resolved yet */
	else
		begin_asking(p);
}

static void answered(struct probe *p)
{
	if (p->request.public_host)
		probe_ask_as_public(p);
	else
		probe_succeed(p);
}

/*
 * Is what doesn't talk HTTP, or talks it only to complain, a TLS server?
 */
static void on_tls_sniffed(const struct fetch_result *result, void *arg)
{
	struct probe *p = arg;
	/* Whatever it says then, or doesn't: its first page may take longer than this waits. */
	bool is_tls = result->tls_ready;

	p->fetch = fetch_free(p->fetch);
	if (is_tls)
		fail_is_tls(p);
	else if (p->report.http_status > 0)
		answered(p);
	else if (p->closed_at_once && clock_monotonic() + RETRY_AFTER < p->wait_until)
		/* A forwarder (docker's, ssh's) accepts before there is a server behind it. */
		timer_set(p->retry, RETRY_AFTER);
	else
		fail_not_http(p);
}

static void sniff_tls(struct probe *p)
{
	scoped(freep) char *url =
		xasprintf("https://localhost:%u%s", p->request.port, p->request.path);
	struct fetch_request request = {
		.method = FETCH_HEAD,
		.url = url,
		.connect_address = p->addresses[p->address],
		.connect_port = p->request.port,
		.connect_timeout = USEC_PER_SEC,
		.timeout = TLS_SNIFF_TIMEOUT,
		.read_max = 1024,
	};

	p->fetch = fetch_start(p->prober->fetcher, &request, on_tls_sniffed, p);
}

/*
 * The first question.
 */
static void on_http_status(struct probe *p, const struct fetch_result *result)
{
	if (p->method == FETCH_HEAD && (result->status == 405 || result->status == 501)) {
		p->method = FETCH_GET;
		ask(p);
		return;
	}

	p->report.http_status = result->status;
	p->report.method = p->method == FETCH_HEAD ? "HEAD" : "GET";
	p->report.took = result->took;
	strcpy(p->report.address, p->addresses[p->address]);

	if (frame_is_refused(result->frame_options, result->security_policy))
		probe_warn(p, "frame_refused", frame_refusal_text(result->security_policy));

	/* nginx, Apache and Go answer 400 to plain HTTP on a TLS port. */
	if (result->status == 400 && strcmp(p->request.scheme, "http") == 0)
		sniff_tls(p);
	else
		answered(p);
}

static void on_silence(struct probe *p)
{
	if (connections_queued(p) > p->queued) {
		fail_not_accepting(p);
		return;
	}

	p->report.method = p->method == FETCH_HEAD ? "HEAD" : "GET";
	p->report.took = p->request.http_timeout;
	strcpy(p->report.address, p->addresses[p->address]);
	probe_warn(
		p, "slow",
		xasprintf(
			"the server accepted the connection but has not answered within %.0f s; a "
			"first compile can take that long",
			(double)p->request.http_timeout / 1e6));
	probe_succeed(p); /* what it says to its public name can't be known either */
}

static void on_answer(const struct fetch_result *result, void *arg)
{
	struct probe *p = arg;
	bool https = strcmp(p->request.scheme, "https") == 0;
	struct fetch *fetch = STEAL(p->fetch); /* `result` is its */

	switch (result->outcome) {
	case FETCH_ANSWERED:
		on_http_status(p, result);
		break;
	case FETCH_REFUSED:
	case FETCH_UNRESOLVED:
		if (p->address + 1 < p->n_addresses) {
			p->address++;
			ask(p);
		} else {
			again_or_not_listening(p, p->local ? WAIT_TICK : RETRY_AFTER);
		}
		break;
	case FETCH_NOT_ACCEPTED:
		fail_not_accepting(p);
		break;
	case FETCH_SILENT:
		on_silence(p);
		break;
	case FETCH_TLS_FAILED:
		fail_not_http(p);
		break;
	case FETCH_NOT_HTTP:
	case FETCH_FAILED:
		p->closed_at_once = result->nothing_came;
		if (result->tls_suspected && !https)
			fail_is_tls(p);
		else if (!https)
			sniff_tls(p);
		else
			fail_not_http(p);
		break;
	}
	fetch_free(fetch);
}

static void ask(struct probe *p)
{
	struct fetch_request request = {
		.method = p->method,
		.url = p->url,
		.connect_address = p->addresses[p->address],
		.connect_port = p->request.port,
		.connect_timeout = probe_time_left(p),
		.timeout = probe_time_left(p),
		.read_max = 4096,
	};

	p->queued = connections_queued(p);
	p->fetch = fetch_start(p->prober->fetcher, &request, on_answer, p);
}

/*
 * Where to.
 */
static int resolve(void *input)
{
	struct lookup *lookup = input;
	struct addrinfo hints = { .ai_socktype = SOCK_STREAM }, *found = NULL;
	int r = -ENOENT;

	if (getaddrinfo(lookup->host, NULL, &hints, &found) == 0 && found &&
	    getnameinfo(found->ai_addr, found->ai_addrlen, lookup->address, sizeof(lookup->address),
			NULL, 0, NI_NUMERICHOST) == 0)
		r = 0;
	if (found)
		freeaddrinfo(found);
	return r;
}

static void lookup_free(void *p)
{
	struct lookup *lookup = p;

	free(lookup->host);
	free(lookup);
}

static void on_resolved(int result, void *arg)
{
	struct probe *p = arg;

	if (result < 0) {
		scoped(fault_done) struct fault fault = { 0 };

		fail(p,
		     fault_set(&fault, FAULT_TARGET_UNRESOLVED, "the host name '%s' has no address",
			       p->request.host),
		     &fault);
		return;
	}
	if (p->request.may_connect) {
		scoped(fault_done) struct fault fault = { 0 };
		int r = p->request.may_connect(p->lookup->address, &fault,
					       p->request.may_connect_arg);

		if (r < 0) {
			fail(p, r, &fault);
			return;
		}
	}
	add_address(p, p->lookup->address);
	p->resolving = job_free(p->resolving);
	begin_asking(p);
}

static void start(struct probe *p)
{
	const char *host = p->request.host;

	if (host_is_loopback(host)) {
		p->local = p->prober->sockdiag != NULL;
		add_address(p, "127.0.0.1");
		add_address(p, "::1");
	} else if (host_is_address(host)) {
		add_address(p, host);
	} else {
		p->lookup = xcalloc(1, sizeof(*p->lookup));
		p->lookup->host = xstrdup(host);
		p->resolving =
			job_start(p->prober->jobs, resolve, p->lookup, lookup_free, on_resolved, p);
		if (!p->resolving) { /* the pool is full */
			lookup_free(STEAL(p->lookup));
			timer_set(p->retry, RETRY_AFTER);
		}
		return;
	}

	if (p->local)
		wait_for_listener(p);
	else
		begin_asking(p);
}

struct probe *probe_start(struct prober *prober, const struct probe_request *request,
			  probe_done_fn *done, void *arg)
{
	struct probe *p = xcalloc(1, sizeof(*p));
	const char *shown = host_is_loopback(request->host) ? "localhost" : request->host;
	bool bracket = strchr(shown, ':') != NULL;

	prober->active++;
	metric_inc(METRIC_PROBES);

	p->prober = prober;
	p->done = done;
	p->arg = arg;
	p->request = *request;
	p->request.scheme = xstrdup(request->scheme);
	p->request.host = xstrdup(request->host);
	p->request.path = xstrdup(request->path[0] ? request->path : "/");
	p->request.public_host = xstrdup_null(request->public_host);
	p->request.public_authority = xstrdup_null(request->public_authority);
	p->request.public_scheme = xstrdup_null(request->public_scheme);
	p->url = xasprintf("%s://%s%s%s:%u%s", p->request.scheme, bracket ? "[" : "", shown,
			   bracket ? "]" : "", p->request.port, p->request.path);
	p->started = clock_monotonic();
	p->wait_until = p->started + request->wait;
	p->retry = timer_new(prober->loop, on_retry, p);

	start(p);
	return p;
}
