/* SPDX-License-Identifier: MIT */
/*
 * libcurl's multi interface on the loop, and its many error codes as the few outcomes a person can
 * act on.  libcurl says which descriptors and which timer it waits for; the results are delivered
 * from a timer of our own, so that `done` never runs with libcurl on the stack and may free all.
 */
#include "net/fetch.h"

#include <curl/curl.h>
#include <errno.h>
#include <event2/event.h>
#include <netinet/in.h>
#include <string.h>
#include <sys/queue.h>
#include <sys/socket.h>

#include "base/log.h"
#include "base/mem.h"
#include "base/strbuf.h"

LOG_AREA("fetch");

struct fetcher {
	struct loop *loop;
	CURLM *multi;
	struct timer *curl_timer;
	struct timer *delivery;   /* set while `over` has some */
	fetch_port_fn *tell_port; /* or NULL */
	void *tell_port_arg;
	LIST_HEAD(, fetch) running;
	STAILQ_HEAD(over_list, fetch) over; /* with a result that isn't delivered yet */
};

struct fetch {
	LIST_ENTRY(fetch) entry;
	STAILQ_ENTRY(fetch) over_entry;
	enum { RUNNING, OVER, DELIVERING } state;
	struct fetcher *fetcher;
	CURL *easy;
	struct curl_slist *headers;
	struct curl_slist *connect_to;
	bool is_https;
	size_t read_max;
	struct strbuf body;
	int sockets[2]; /* the latest, one a family; -1: none */
	bool was_connected;
	unsigned char first[2]; /* of an answer that is no HTTP */
	bool not_http;
	usec_t started, took;
	CURLcode code;
	char error[CURL_ERROR_SIZE];
	fetch_done_fn *done;
	void *arg;
};

/* A descriptor of libcurl's. */
struct watch {
	struct fetcher *fetcher;
	struct event *event;
};

void fetcher_tell_ports(struct fetcher *f, fetch_port_fn *fn, void *arg)
{
	f->tell_port = fn;
	f->tell_port_arg = arg;
}

static struct fetch *fetch_of(CURL *easy)
{
	char *fetch = NULL;

	curl_easy_getinfo(easy, CURLINFO_PRIVATE, &fetch);
	return (struct fetch *)fetch;
}

static void collect_results(struct fetcher *f)
{
	const CURLMsg *message;
	int left;

	while ((message = curl_multi_info_read(f->multi, &left))) {
		struct fetch *fetch;

		if (message->msg != CURLMSG_DONE)
			continue;
		fetch = fetch_of(message->easy_handle);
		fetch->code = message->data.result;
		fetch->took = clock_monotonic() - fetch->started;
		fetch->state = OVER;
		curl_multi_remove_handle(f->multi, fetch->easy); /* ends `message`, too */
		LIST_REMOVE(fetch, entry);
		STAILQ_INSERT_TAIL(&f->over, fetch, over_entry);
		timer_set(f->delivery, 0);
	}
}

static void on_descriptor(evutil_socket_t fd, short what, void *arg)
{
	struct fetcher *f = ((struct watch *)arg)->fetcher;
	const int events =
		(what & EV_READ ? CURL_CSELECT_IN : 0) | (what & EV_WRITE ? CURL_CSELECT_OUT : 0);
	int running;

	curl_multi_socket_action(f->multi, fd, events, &running); /* may free the watch */
	collect_results(f);
}

static void on_curl_timer(void *arg)
{
	struct fetcher *f = arg;
	int running;

	curl_multi_socket_action(f->multi, CURL_SOCKET_TIMEOUT, 0, &running);
	collect_results(f);
}

static void watch_free(struct watch *watch)
{
	if (watch->event)
		event_free(watch->event);
	free(watch);
}

/* libcurl: "wait for this on that descriptor". */
static int on_wanted(CURL *easy, curl_socket_t fd, int what, void *arg, void *socket_arg)
{
	struct fetcher *f = arg;
	struct watch *watch = socket_arg;
	const short events =
		(what & CURL_POLL_IN ? EV_READ : 0) | (what & CURL_POLL_OUT ? EV_WRITE : 0);

	(void)easy;
	if (what == CURL_POLL_REMOVE) {
		if (watch)
			watch_free(watch);
		curl_multi_assign(f->multi, fd, NULL);
		return 0;
	}
	if (!watch) {
		watch = xcalloc(1, sizeof(*watch));
		watch->fetcher = f;
		curl_multi_assign(f->multi, fd, watch);
	}
	if (watch->event)
		event_free(watch->event);
	watch->event = event_new(loop_base(f->loop), fd, events | EV_PERSIST, on_descriptor, watch);
	return watch->event && event_add(watch->event, NULL) == 0 ? 0 : -1;
}

/* libcurl: "call me in so many milliseconds", or not at all. */
static int on_timer_wanted(CURLM *multi, long milliseconds, void *arg)
{
	struct fetcher *f = arg;

	(void)multi;
	if (milliseconds < 0)
		timer_cancel(f->curl_timer);
	else
		timer_set(f->curl_timer, (usec_t)milliseconds * USEC_PER_MSEC);
	return 0;
}

/* connect() would take a port of its own choice, which is known only when the server may have seen
 * the request, and closed the connection, already. */
static void choose_port(const struct fetcher *f, int fd, int family)
{
	struct sockaddr_in6 local = { .sin6_family =
					      (sa_family_t)family }; /* any address, port 0 */
	socklen_t len = family == AF_INET6 ? sizeof(local) : sizeof(struct sockaddr_in);

	if (bind(fd, (struct sockaddr *)&local, len) == 0 &&
	    getsockname(fd, (struct sockaddr *)&local, &len) == 0)
		f->tell_port(ntohs(local.sin6_port), f->tell_port_arg); /* the same place in both */
}

static curl_socket_t on_open(void *arg, curlsocktype purpose, struct curl_sockaddr *address)
{
	struct fetch *fetch = arg;
	const int fd = socket(address->family, address->socktype | SOCK_CLOEXEC, address->protocol);

	(void)purpose;
	if (fd < 0)
		return CURL_SOCKET_BAD;
	if (fetch->fetcher->tell_port &&
	    (address->family == AF_INET || address->family == AF_INET6))
		choose_port(fetch->fetcher, fd, address->family);
	fetch->sockets[address->family == AF_INET6] = fd;
	return fd;
}

/*
 * libcurl gives the time of a connection only when TLS stands on it, too.  The argument isn't the
 * fetch because nothing promises that libcurl closes a socket before its request is gone.
 */
static int on_close(void *arg, curl_socket_t fd)
{
	const struct fetcher *f = arg;
	struct sockaddr_storage peer;
	socklen_t len = sizeof(peer);
	struct fetch *fetch;

	LIST_FOREACH(fetch, &f->running, entry)
	{
		for (size_t i = 0; i < ARRAY_SIZE(fetch->sockets); i++) {
			if (fetch->sockets[i] != fd)
				continue;
			fetch->sockets[i] = -1;
			if (getpeername(fd, (struct sockaddr *)&peer, &len) == 0)
				fetch->was_connected = true;
		}
	}
	return close(fd);
}

static size_t on_body(char *data, size_t size, size_t n, void *arg)
{
	struct fetch *fetch = arg;
	const size_t len = size * n, room = fetch->read_max - fetch->body.len;
	long status = 0;

	curl_easy_getinfo(fetch->easy, CURLINFO_RESPONSE_CODE, &status);
	if (status == 0) {
		/* No status line: "HTTP/0.9", which is to say anything at all. */
		fetch->not_http = true;
		memcpy(fetch->first, data, len < sizeof(fetch->first) ? len : sizeof(fetch->first));
		return len + 1;
	}
	strbuf_add(&fetch->body, data, len < room ? len : room);
	return len <= room ? len : len + 1; /* any other number than `len` ends the transfer */
}

/* Of HEAD only: the empty line behind the fields of a final answer is its end. */
static size_t on_header(char *line, size_t size, size_t n, void *arg)
{
	const struct fetch *fetch = arg;
	const size_t len = size * n;
	long status = 0;

	curl_easy_getinfo(fetch->easy, CURLINFO_RESPONSE_CODE, &status);
	if (status >= 200 && (line[0] == '\r' || line[0] == '\n'))
		return len + 1;
	return len;
}

static bool is_tls_ready(const struct fetch *fetch)
{
	curl_off_t tls_ready = 0;

	curl_easy_getinfo(fetch->easy, CURLINFO_APPCONNECT_TIME_T, &tls_ready);
	return fetch->is_https && tls_ready > 0;
}

static bool is_tls_failure(const struct fetch *fetch)
{
	return fetch->is_https && !is_tls_ready(fetch);
}

static bool is_connected(const struct fetch *fetch)
{
	curl_off_t connected = 0;

	curl_easy_getinfo(fetch->easy, CURLINFO_CONNECT_TIME_T, &connected);
	return connected > 0 || fetch->was_connected;
}

static enum fetch_outcome outcome_unconnected(const struct fetch *fetch)
{
	curl_off_t resolved = 0;
	long error = 0;

	switch (fetch->code) {
	case CURLE_COULDNT_RESOLVE_HOST:
		return FETCH_UNRESOLVED;
	case CURLE_OPERATION_TIMEDOUT:
		curl_easy_getinfo(fetch->easy, CURLINFO_NAMELOOKUP_TIME_T, &resolved);
		return resolved > 0 ? FETCH_NOT_ACCEPTED : FETCH_UNRESOLVED;
	case CURLE_COULDNT_CONNECT:
		curl_easy_getinfo(fetch->easy, CURLINFO_OS_ERRNO, &error);
		if (error == ETIMEDOUT)
			return FETCH_NOT_ACCEPTED;
		if (error == ECONNREFUSED || error == EHOSTUNREACH || error == ENETUNREACH)
			return FETCH_REFUSED;
		return FETCH_FAILED;
	default:
		return FETCH_FAILED;
	}
}

static enum fetch_outcome outcome_of(const struct fetch *fetch, long status)
{
	if (status >= 200)
		return FETCH_ANSWERED; /* whatever became of the body */
	if (fetch->not_http)
		return FETCH_NOT_HTTP;
	if (fetch->code == CURLE_SSL_CONNECT_ERROR || fetch->code == CURLE_PEER_FAILED_VERIFICATION)
		return FETCH_TLS_FAILED;
	if (!is_connected(fetch))
		return outcome_unconnected(fetch);
	if (fetch->code == CURLE_OPERATION_TIMEDOUT)
		return FETCH_SILENT;
	if (is_tls_failure(fetch))
		return FETCH_TLS_FAILED;

	switch (fetch->code) {
	case CURLE_OK: /* without a status: it ended before one */
	case CURLE_GOT_NOTHING:
	case CURLE_RECV_ERROR:
	case CURLE_SEND_ERROR:
	case CURLE_UNSUPPORTED_PROTOCOL: /* "HTTP/7" */
	case CURLE_WEIRD_SERVER_REPLY:
		return FETCH_NOT_HTTP;
	default:
		return FETCH_FAILED;
	}
}

static bool nothing_came(CURLcode code)
{
	/* libcurl's other errors of this outcome are about a line it has read. */
	return code == CURLE_OK || code == CURLE_GOT_NOTHING || code == CURLE_RECV_ERROR ||
	       code == CURLE_SEND_ERROR;
}

static void fetch_destroy(struct fetch *fetch)
{
	curl_easy_cleanup(fetch->easy);
	curl_slist_free_all(fetch->headers);
	curl_slist_free_all(fetch->connect_to);
	strbuf_done(&fetch->body);
	free(fetch);
}

/* The first field of that name in the answer, or NULL. */
static const char *field_of(const struct fetch *fetch, const char *name)
{
	struct curl_header *field;

	if (curl_easy_header(fetch->easy, name, 0, CURLH_HEADER, -1, &field) != CURLHE_OK)
		return NULL;
	return field->value;
}

static void deliver(struct fetch *fetch)
{
	const unsigned char tls_alert = 0x15, tls_major = 0x03;
	struct fetch_result result = {
		.body = strbuf_str(&fetch->body),
		.body_len = fetch->body.len,
		.took = fetch->took,
		.error = fetch->error[0] ? fetch->error : curl_easy_strerror(fetch->code),
	};
	long port = 0;
	char *type = NULL;

	curl_easy_getinfo(fetch->easy, CURLINFO_RESPONSE_CODE, &result.status);
	curl_easy_getinfo(fetch->easy, CURLINFO_CONTENT_TYPE, &type);
	curl_easy_getinfo(fetch->easy, CURLINFO_LOCAL_PORT, &port);
	result.content_type = type;
	result.frame_options = field_of(fetch, "X-Frame-Options");
	result.security_policy = field_of(fetch, "Content-Security-Policy");
	result.local_port = port > 0 ? (uint16_t)port : 0;
	result.outcome = outcome_of(fetch, result.status);
	result.tls_ready = is_tls_ready(fetch);
	if (result.outcome == FETCH_ANSWERED && fetch->code == CURLE_WRITE_ERROR)
		result.error = curl_easy_strerror(CURLE_OK); /* we ended it ourselves */
	if (result.outcome == FETCH_NOT_HTTP) {
		result.tls_suspected = fetch->first[0] == tls_alert && fetch->first[1] == tls_major;
		result.nothing_came = !fetch->not_http && nothing_came(fetch->code);
	}
	fetch->state = DELIVERING;
	fetch->done(&result, fetch->arg);
	fetch_destroy(fetch);
}

/* One a turn, because `done` may free the fetcher. */
static void on_delivery(void *arg)
{
	struct fetcher *f = arg;
	struct fetch *fetch = STAILQ_FIRST(&f->over);

	if (!fetch)
		return;
	STAILQ_REMOVE_HEAD(&f->over, over_entry);
	if (!STAILQ_EMPTY(&f->over))
		timer_set(f->delivery, 0);
	deliver(fetch);
}

struct fetcher *fetcher_new(struct loop *loop)
{
	struct fetcher *f = xcalloc(1, sizeof(*f));

	if (curl_global_init(CURL_GLOBAL_DEFAULT) != CURLE_OK || !(f->multi = curl_multi_init()))
		abort(); /* only memory can be missing; see base/mem.h */
	if (!(curl_version_info(CURLVERSION_NOW)->features & CURL_VERSION_ASYNCHDNS))
		log_warning("this libcurl resolves names while the daemon waits; "
			    "one with threads or c-ares is better");
	f->loop = loop;
	LIST_INIT(&f->running);
	STAILQ_INIT(&f->over);
	f->curl_timer = timer_new(loop, on_curl_timer, f);
	f->delivery = timer_new(loop, on_delivery, f);
	curl_multi_setopt(f->multi, CURLMOPT_SOCKETFUNCTION, on_wanted);
	curl_multi_setopt(f->multi, CURLMOPT_SOCKETDATA, f);
	curl_multi_setopt(f->multi, CURLMOPT_TIMERFUNCTION, on_timer_wanted);
	curl_multi_setopt(f->multi, CURLMOPT_TIMERDATA, f);
	return f;
}

struct fetcher *fetcher_free(struct fetcher *f)
{
	struct fetch *fetch;

	if (!f)
		return NULL;
	while ((fetch = LIST_FIRST(&f->running)))
		fetch_free(fetch);
	while ((fetch = STAILQ_FIRST(&f->over)))
		fetch_free(fetch);
	curl_multi_cleanup(f->multi);
	timer_free(f->curl_timer);
	timer_free(f->delivery);
	free(f);
	curl_global_cleanup();
	return NULL;
}

static long in_milliseconds(usec_t t)
{
	const usec_t max = 24 * 3600 * UINT64_C(1000);

	if (t == USEC_INFINITY)
		return 0;
	t = t / USEC_PER_MSEC + (t % USEC_PER_MSEC > 0);
	return (long)(t < max ? t : max);
}

static void set_target(struct fetch *fetch, const struct fetch_request *request)
{
	const char *address = request->connect_address;
	scoped(freep) char *port = xstrdup("");
	scoped(freep) char *to = NULL;

	curl_easy_setopt(fetch->easy, CURLOPT_URL, request->url);
	for (size_t i = 0; i < ARRAY_SIZE(fetch->sockets); i++)
		fetch->sockets[i] = -1;
	curl_easy_setopt(fetch->easy, CURLOPT_OPENSOCKETFUNCTION, on_open);
	curl_easy_setopt(fetch->easy, CURLOPT_OPENSOCKETDATA, fetch);
	curl_easy_setopt(fetch->easy, CURLOPT_CLOSESOCKETFUNCTION, on_close);
	curl_easy_setopt(fetch->easy, CURLOPT_CLOSESOCKETDATA, fetch->fetcher);
	fetch->is_https = strncasecmp(request->url, "https:", 6) == 0;
	if (!address)
		return;
	if (request->connect_port > 0) {
		free(port);
		port = xasprintf("%u", request->connect_port);
	}
	/* "HOST:PORT:TO:PORT", where an empty one is any host and port of the URL */
	to = xasprintf(strchr(address, ':') ? "::[%s]:%s" : "::%s:%s", address, port);
	fetch->connect_to = curl_slist_append(NULL, to);
	curl_easy_setopt(fetch->easy, CURLOPT_CONNECT_TO, fetch->connect_to);
}

static void set_message(struct fetch *fetch, const struct fetch_request *request)
{
	CURL *easy = fetch->easy;

	switch (request->method) {
	case FETCH_HEAD:
		/* By CURLOPT_NOBODY libcurl hides what came if it was no HTTP; see on_header(). */
		curl_easy_setopt(easy, CURLOPT_CUSTOMREQUEST, "HEAD");
		curl_easy_setopt(easy, CURLOPT_HEADERFUNCTION, on_header);
		curl_easy_setopt(easy, CURLOPT_HEADERDATA, fetch);
		break;
	case FETCH_GET:
		curl_easy_setopt(easy, CURLOPT_HTTPGET, 1L);
		break;
	case FETCH_POST:
		curl_easy_setopt(easy, CURLOPT_POST, 1L);
		curl_easy_setopt(easy, CURLOPT_POSTFIELDSIZE_LARGE, (curl_off_t)request->body_len);
		curl_easy_setopt(easy, CURLOPT_COPYPOSTFIELDS, request->body ? request->body : "");
		/* libcurl would wait a second for the "100 Continue" of a server without it. */
		fetch->headers = curl_slist_append(fetch->headers, "Expect:");
		break;
	}
	if (request->host_header) {
		scoped(freep) char *host = xasprintf("Host: %s", request->host_header);

		fetch->headers = curl_slist_append(fetch->headers, host);
	}
	for (size_t i = 0; request->headers && request->headers[i]; i++)
		fetch->headers = curl_slist_append(fetch->headers, request->headers[i]);
	curl_easy_setopt(easy, CURLOPT_HTTPHEADER, fetch->headers);
	curl_easy_setopt(easy, CURLOPT_USERAGENT, "previewd/" PACKAGE_VERSION);
}

static void set_limits(struct fetch *fetch, const struct fetch_request *request)
{
	CURL *easy = fetch->easy;

	curl_easy_setopt(easy, CURLOPT_PROXY, "");
	curl_easy_setopt(easy, CURLOPT_NOPROXY, "*");
	curl_easy_setopt(easy, CURLOPT_FOLLOWLOCATION, 0L);
	curl_easy_setopt(easy, CURLOPT_PROTOCOLS_STR, "http,https");
	curl_easy_setopt(easy, CURLOPT_HTTP_VERSION, (long)CURL_HTTP_VERSION_1_1);
	/* Allowed, so that on_body() gets to see what came instead of HTTP. */
	curl_easy_setopt(easy, CURLOPT_HTTP09_ALLOWED, 1L);
	curl_easy_setopt(easy, CURLOPT_FRESH_CONNECT, 1L);
	curl_easy_setopt(easy, CURLOPT_FORBID_REUSE, 1L);
	curl_easy_setopt(easy, CURLOPT_NOSIGNAL, 1L);
#if LIBCURL_VERSION_NUM >= 0x075700
	/* Else a cancelled request waits, on the loop, for its look-up thread to end. */
	curl_easy_setopt(easy, CURLOPT_QUICK_EXIT, 1L);
#endif
	curl_easy_setopt(easy, CURLOPT_CONNECTTIMEOUT_MS,
			 in_milliseconds(request->connect_timeout));
	curl_easy_setopt(easy, CURLOPT_TIMEOUT_MS, in_milliseconds(request->timeout));
	curl_easy_setopt(easy, CURLOPT_SSL_VERIFYPEER, request->verify_peer ? 1L : 0L);
	curl_easy_setopt(easy, CURLOPT_SSL_VERIFYHOST, request->verify_peer ? 2L : 0L);
	fetch->read_max = request->read_max;
	fetch->body = strbuf_init(request->read_max + 1);
	curl_easy_setopt(easy, CURLOPT_WRITEFUNCTION, on_body);
	curl_easy_setopt(easy, CURLOPT_WRITEDATA, fetch);
}

struct fetch *fetch_start(struct fetcher *f, const struct fetch_request *request,
			  fetch_done_fn *done, void *arg)
{
	struct fetch *fetch = xcalloc(1, sizeof(*fetch));

	fetch->fetcher = f;
	fetch->done = done;
	fetch->arg = arg;
	fetch->started = clock_monotonic();
	fetch->easy = curl_easy_init();
	if (!fetch->easy)
		abort(); /* only memory can be missing; see base/mem.h */
	curl_easy_setopt(fetch->easy, CURLOPT_PRIVATE, fetch);
	curl_easy_setopt(fetch->easy, CURLOPT_ERRORBUFFER, fetch->error);
	set_target(fetch, request);
	set_message(fetch, request);
	set_limits(fetch, request);
	LIST_INSERT_HEAD(&f->running, fetch, entry);
	curl_multi_add_handle(f->multi, fetch->easy); /* starts by the timer */
	return fetch;
}

struct fetch *fetch_free(struct fetch *fetch)
{
	if (!fetch)
		return NULL;
	switch (fetch->state) {
	case RUNNING:
		curl_multi_remove_handle(fetch->fetcher->multi, fetch->easy);
		LIST_REMOVE(fetch, entry);
		break;
	case OVER:
		STAILQ_REMOVE(&fetch->fetcher->over, fetch, fetch, over_entry);
		break;
	case DELIVERING:
		return NULL; /* deliver() ends it */
	}
	fetch_destroy(fetch);
	return NULL;
}
