/* SPDX-License-Identifier: MIT */
#include "net/fetch.h"

#include "base/mem.h"

#include <arpa/inet.h>
#include <errno.h>
#include <netinet/in.h>
#include <pthread.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stdint.h>
#include <stdio.h>
#include <string.h>
#include <strings.h>
#include <sys/socket.h>
/* cmocka wants setjmp.h and the two after it above it */
#include <cmocka.h>

/* A server in a thread: what it says to its one connection, and when. */
struct server {
	int fd;
	uint16_t port;
	pthread_t thread;
	bool at_once;       /* before a request has come */
	bool keeps_open;    /* until the client goes, else it closes behind what it said */
	const char *answer; /* NULL: none */
	size_t answer_len;  /* 0: by strlen() */
	char request[4096]; /* what came */
};

static uint16_t port_of(int fd)
{
	struct sockaddr_in6 at; /* the port is at the same place in both families */
	socklen_t len = sizeof(at);

	assert_int_equal(getsockname(fd, (struct sockaddr *)&at, &len), 0);
	return ntohs(at.sin6_port);
}

static int listen_on(int family, int backlog)
{
	const struct sockaddr_in in = { .sin_family = AF_INET,
					.sin_addr = { htonl(INADDR_LOOPBACK) } };
	const struct sockaddr_in6 in6 = { .sin6_family = AF_INET6,
					  .sin6_addr = IN6ADDR_LOOPBACK_INIT };
	const int fd = socket(family, SOCK_STREAM | SOCK_CLOEXEC, 0);

	assert_int_equal(bind(fd,
			      family == AF_INET ? (const struct sockaddr *)&in
						: (const struct sockaddr *)&in6,
			      family == AF_INET ? sizeof(in) : sizeof(in6)),
			 0);
	assert_int_equal(listen(fd, backlog), 0);
	return fd;
}

static void read_request(struct server *s, int fd)
{
	size_t len = 0;
	ssize_t n;

	while (len + 1 < sizeof(s->request) &&
	       (n = recv(fd, s->request + len, sizeof(s->request) - 1 - len, 0)) > 0) {
		const char *body;
		const char *length;

		len += (size_t)n;
		body = strstr(s->request, "\r\n\r\n");
		if (!body && len > 0 && s->request[0] == 0x16)
			return; /* a TLS hello: enough seen */
		if (!body)
			continue;
		length = strcasestr(s->request, "content-length: ");
		if (!length || strlen(body + 4) >= strtoul(length + 16, NULL, 10))
			return;
	}
}

static void *serve(void *arg)
{
	struct server *s = arg;
	scoped(closep) int fd = accept4(s->fd, NULL, NULL, SOCK_CLOEXEC);
	char rest[4096];

	if (fd < 0)
		return NULL;
	if (!s->at_once)
		read_request(s, fd);
	if (s->answer)
		(void)send(fd, s->answer, s->answer_len ? s->answer_len : strlen(s->answer),
			   MSG_NOSIGNAL);
	/* What the client still sends is read, else closing would reset the connection. */
	if (!s->keeps_open)
		shutdown(fd, SHUT_WR);
	while (recv(fd, rest, sizeof(rest), 0) > 0)
		;
	return NULL;
}

static void server_start(struct server *s, int family)
{
	s->fd = listen_on(family, 8);
	s->port = port_of(s->fd);
	assert_int_equal(pthread_create(&s->thread, NULL, serve, s), 0);
}

static void server_join(struct server *s)
{
	shutdown(s->fd, SHUT_RDWR); /* ends an accept() nobody came to */
	pthread_join(s->thread, NULL);
	close(s->fd);
}

/* What came of a request, copied. */
struct seen {
	struct loop *loop;
	struct fetcher *fetcher;
	struct fetch *handle;
	unsigned n;
	struct fetch_result result;
	char body[256], type[64], error[256];
};

static void on_done(const struct fetch_result *result, void *arg)
{
	struct seen *seen = arg;

	seen->n++;
	seen->result = *result;
	snprintf(seen->body, sizeof(seen->body), "%s", result->body);
	snprintf(seen->type, sizeof(seen->type), "%s",
		 result->content_type ? result->content_type : "");
	snprintf(seen->error, sizeof(seen->error), "%s", result->error);
	loop_stop(seen->loop);
}

static struct fetch_request request_to(const char *url)
{
	return (struct fetch_request){
		.method = FETCH_GET,
		.url = url,
		.connect_timeout = 5 * USEC_PER_SEC,
		.timeout = 10 * USEC_PER_SEC,
		.read_max = 200,
	};
}

static void fetch_and_wait(const struct fetch_request *request, struct seen *seen)
{
	scoped(loop_freep) struct loop *loop = loop_new();
	scoped(fetcher_freep) struct fetcher *fetcher = fetcher_new(loop);

	*seen = (struct seen){ .loop = loop };
	fetch_start(fetcher, request, on_done, seen);
	assert_int_equal(seen->n, 0); /* never before fetch_start() has returned */
	assert_int_equal(loop_run(loop), 0);
	assert_int_equal(seen->n, 1);
}

static char *url_of(const char *scheme, const char *host, uint16_t port, const char *path)
{
	return xasprintf("%s://%s:%u%s", scheme, host, port, path);
}

#define SAYS(text) .answer = (text), .answer_len = sizeof(text) - 1

static void outcomes_are_told_apart(void **state)
{
	/* clang-format off */
	static const struct {
		const char *what, *scheme;
		struct server server;
		usec_t timeout; /* 0: none that matters */
		enum fetch_method method;
		enum fetch_outcome outcome;
		long status;
		const char *body;
		bool tls_suspected, nothing_came;
	} rows[] = {
		{ "an answer", "http", { SAYS("HTTP/1.1 200 OK\r\nContent-Length: 2\r\n\r\nhi") },
		  0, FETCH_GET, FETCH_ANSWERED, 200, "hi" },
		{ "an answer of 1996", "http", { SAYS("HTTP/1.0 500 Oh\r\n\r\nhi") },
		  0, FETCH_GET, FETCH_ANSWERED, 500, "hi" },
		{ "HEAD refused", "http",
		  { SAYS("HTTP/1.1 405 No\r\nContent-Length: 5\r\n\r\n"), .keeps_open = true },
		  0, FETCH_HEAD, FETCH_ANSWERED, 405, "" },
		{ "a redirect", "http",
		  { SAYS("HTTP/1.1 302 There\r\nLocation: /x\r\nContent-Length: 0\r\n\r\n") },
		  0, FETCH_GET, FETCH_ANSWERED, 302, "" },
		{ "a body cut short", "http",
		  { SAYS("HTTP/1.1 200 OK\r\nContent-Length: 9\r\n\r\nhi") },
		  0, FETCH_GET, FETCH_ANSWERED, 200, "hi" },
		{ "a stream", "http",
		  { SAYS("HTTP/1.1 200 OK\r\n\r\ndata: 1\n\n"), .keeps_open = true },
		  150 * USEC_PER_MSEC, FETCH_GET, FETCH_ANSWERED, 200, "data: 1\n\n" },
		{ "silence", "http", { .keeps_open = true },
		  150 * USEC_PER_MSEC, FETCH_GET, FETCH_SILENT, 0, "" },
		{ "only an interim answer", "http",
		  { SAYS("HTTP/1.1 103 Early Hints\r\n\r\n"), .keeps_open = true },
		  150 * USEC_PER_MSEC, FETCH_GET, FETCH_SILENT, 103, "" },
		{ "a banner", "http", { SAYS("220 smtp\r\n"), .at_once = true, .keeps_open = true },
		  0, FETCH_GET, FETCH_NOT_HTTP, 0, "" },
		{ "a banner to HEAD", "http",
		  { SAYS("220 smtp\r\n"), .at_once = true, .keeps_open = true },
		  0, FETCH_HEAD, FETCH_NOT_HTTP, 0, "" },
		{ "a banner, and the end", "http", { SAYS("SSH-2.0-x\r\n"), .at_once = true },
		  0, FETCH_HEAD, FETCH_NOT_HTTP, 0, "" },
		{ "the end at once", "http", { .at_once = true },
		  0, FETCH_GET, FETCH_NOT_HTTP, 0, "", .nothing_came = true },
		{ "the end after the request", "http", { 0 },
		  0, FETCH_HEAD, FETCH_NOT_HTTP, 0, "", .nothing_came = true },
		{ "a TLS alert", "http", { SAYS("\x15\x03\x01\x00\x02\x02\x46") },
		  0, FETCH_GET, FETCH_NOT_HTTP, 0, "", .tls_suspected = true },
		{ "a TLS alert to HEAD", "http",
		  { SAYS("\x15\x03\x03\x00\x02\x02\x0a"), .keeps_open = true },
		  0, FETCH_HEAD, FETCH_NOT_HTTP, 0, "", .tls_suspected = true },
		{ "plain HTTP where TLS was asked for", "https",
		  { SAYS("HTTP/1.1 400 Bad Request\r\nContent-Length: 0\r\n\r\n") },
		  0, FETCH_GET, FETCH_TLS_FAILED, 0, "" },
		{ "the end where TLS was asked for", "https", { 0 },
		  0, FETCH_GET, FETCH_TLS_FAILED, 0, "" },
		{ "silence where TLS was asked for", "https", { .keeps_open = true },
		  150 * USEC_PER_MSEC, FETCH_GET, FETCH_SILENT, 0, "" },
	};
	/* clang-format on */

	(void)state;
	for (size_t i = 0; i < ARRAY_SIZE(rows); i++) {
		struct server server = rows[i].server;
		scoped(freep) char *url = NULL;
		struct fetch_request request;
		struct seen seen;

		server_start(&server, AF_INET);
		url = url_of(rows[i].scheme, "127.0.0.1", server.port, "/");
		request = request_to(url);
		request.method = rows[i].method;
		if (rows[i].timeout > 0)
			request.timeout = rows[i].timeout;
		fetch_and_wait(&request, &seen);
		server_join(&server);
		if (seen.result.outcome != rows[i].outcome ||
		    seen.result.status != rows[i].status ||
		    seen.result.tls_suspected != rows[i].tls_suspected ||
		    seen.result.nothing_came != rows[i].nothing_came)
			fail_msg("%s: outcome %d, status %ld, TLS %d, nothing %d (%s)",
				 rows[i].what, seen.result.outcome, seen.result.status,
				 seen.result.tls_suspected, seen.result.nothing_came, seen.error);
		assert_string_equal(seen.body, rows[i].body);
		assert_true(seen.result.took >= rows[i].timeout);
		assert_int_not_equal(seen.result.local_port, 0);
	}
}

static void a_port_without_a_listener_is_refused(void **state)
{
	scoped(closep) int fd = listen_on(AF_INET, 1);
	scoped(freep) char *url = url_of("http", "127.0.0.1", port_of(fd), "/");
	const struct fetch_request request = request_to(url);
	struct seen seen;

	(void)state;
	close(STEAL_FD(fd));
	fetch_and_wait(&request, &seen);
	assert_int_equal(seen.result.outcome, FETCH_REFUSED);
}

static void a_full_accept_queue_is_not_accepted(void **state)
{
	scoped(closep) int fd = listen_on(AF_INET, 0);
	scoped(freep) char *url = url_of("http", "127.0.0.1", port_of(fd), "/");
	const struct sockaddr_in in = { .sin_family = AF_INET,
					.sin_port = htons(port_of(fd)),
					.sin_addr = { htonl(INADDR_LOOPBACK) } };
	scoped(closep) int only = socket(AF_INET, SOCK_STREAM | SOCK_CLOEXEC, 0);
	struct fetch_request request = request_to(url);
	struct seen seen;

	(void)state;
	assert_int_equal(connect(only, (const struct sockaddr *)&in, sizeof(in)), 0);
	request.connect_timeout = 200 * USEC_PER_MSEC;
	fetch_and_wait(&request, &seen);
	assert_int_equal(seen.result.outcome, FETCH_NOT_ACCEPTED);
	request.connect_timeout = 5 * USEC_PER_SEC;
	request.timeout = 200 * USEC_PER_MSEC; /* whichever ends first */
	fetch_and_wait(&request, &seen);
	assert_int_equal(seen.result.outcome, FETCH_NOT_ACCEPTED);
}

static void what_cannot_be_asked_fails_and_says_why(void **state)
{
	/* clang-format off */
	static const struct {
		const char *url;
		enum fetch_outcome outcome;
	} rows[] = {
		{ "http://name.invalid/", FETCH_UNRESOLVED },
		{ "ftp://127.0.0.1/", FETCH_FAILED },
		{ "file:///etc/hostname", FETCH_FAILED },
		{ "http://", FETCH_FAILED },
		{ "http://127.0.0.1:99999/", FETCH_FAILED },
	};
	/* clang-format on */

	(void)state;
	for (size_t i = 0; i < ARRAY_SIZE(rows); i++) {
		const struct fetch_request request = request_to(rows[i].url);
		struct seen seen;

		fetch_and_wait(&request, &seen);
		if (seen.result.outcome != rows[i].outcome)
			fail_msg("%s: outcome %d (%s)", rows[i].url, seen.result.outcome,
				 seen.error);
		assert_true(seen.error[0]);
	}
}

static void no_more_of_a_body_is_kept_than_was_asked_for(void **state)
{
	static const struct {
		size_t read_max;
		const char *body;
	} rows[] = { { 0, "" }, { 4, "0123" }, { 10, "0123456789" }, { 11, "0123456789" } };

	(void)state;
	for (size_t i = 0; i < ARRAY_SIZE(rows); i++) {
		struct server server = {
			SAYS("HTTP/1.1 200 OK\r\nContent-Type: text/x\r\nContent-Length: 10\r\n"
			     "\r\n0123456789"),
			.keeps_open = true,
		};
		scoped(freep) char *url = NULL;
		struct fetch_request request;
		struct seen seen;

		server_start(&server, AF_INET);
		url = url_of("http", "127.0.0.1", server.port, "/");
		request = request_to(url);
		request.read_max = rows[i].read_max;
		fetch_and_wait(&request, &seen);
		server_join(&server);
		assert_int_equal(seen.result.outcome, FETCH_ANSWERED);
		assert_int_equal(seen.result.status, 200);
		assert_string_equal(seen.type, "text/x");
		assert_string_equal(seen.body, rows[i].body);
		assert_int_equal(seen.result.body_len, strlen(rows[i].body));
	}
}

static void the_environments_proxy_is_not_used(void **state)
{
	static const char *const names[] = { "http_proxy", "HTTP_PROXY", "all_proxy", "ALL_PROXY" };
	struct server server = { SAYS("HTTP/1.1 204 OK\r\n\r\n") };
	scoped(closep) int nobody = listen_on(AF_INET, 1);
	scoped(freep) char *proxy = url_of("http", "127.0.0.1", port_of(nobody), "");
	scoped(freep) char *url = NULL;
	struct fetch_request request;
	struct seen seen;

	(void)state;
	close(STEAL_FD(nobody));
	for (size_t i = 0; i < ARRAY_SIZE(names); i++)
		setenv(names[i], proxy, 1);
	unsetenv("no_proxy");
	unsetenv("NO_PROXY");
	server_start(&server, AF_INET);
	url = url_of("http", "127.0.0.1", server.port, "/");
	request = request_to(url);
	fetch_and_wait(&request, &seen);
	server_join(&server);
	for (size_t i = 0; i < ARRAY_SIZE(names); i++)
		unsetenv(names[i]);
	assert_int_equal(seen.result.status, 204);
}

static void the_connection_goes_where_it_is_told_whatever_the_url(void **state)
{
	static const struct {
		int family;
		const char *address;
	} rows[] = { { AF_INET, "127.0.0.1" }, { AF_INET6, "::1" } };
	static const char *const headers[] = { "X-Test: 1", NULL };

	(void)state;
	for (size_t i = 0; i < ARRAY_SIZE(rows); i++) {
		struct server server = { SAYS("HTTP/1.1 204 OK\r\n\r\n") };
		struct fetch_request request = request_to("http://name.invalid/a?b=c");
		struct seen seen;

		server_start(&server, rows[i].family);
		request.method = FETCH_POST;
		request.body = "a body";
		request.body_len = 6;
		request.connect_address = rows[i].address;
		request.connect_port = server.port;
		request.host_header = "preview.example:8080";
		request.headers = headers;
		fetch_and_wait(&request, &seen);
		server_join(&server);
		assert_int_equal(seen.result.status, 204);
		assert_ptr_equal(strstr(server.request, "POST /a?b=c HTTP/1.1\r\n"),
				 server.request);
		assert_non_null(strstr(server.request, "\r\nHost: preview.example:8080\r\n"));
		assert_null(strstr(server.request, "name.invalid"));
		assert_non_null(strstr(server.request, "\r\nX-Test: 1\r\n"));
		assert_null(strcasestr(server.request, "expect:"));
		assert_non_null(strstr(server.request, "\r\n\r\na body"));
	}
}

static void free_everything(const struct fetch_result *result, void *arg)
{
	struct seen *seen = arg;

	on_done(result, seen);
	seen->handle = fetch_free(seen->handle);
	seen->fetcher = fetcher_free(seen->fetcher);
	assert_int_equal(result->outcome, seen->result.outcome); /* still there */
}

static void handle_and_fetcher_may_be_freed_inside_done(void **state)
{
	scoped(loop_freep) struct loop *loop = loop_new();
	struct seen seen = { .loop = loop, .fetcher = fetcher_new(loop) };
	const struct fetch_request request = request_to("ftp://127.0.0.1/");

	(void)state;
	seen.handle = fetch_start(seen.fetcher, &request, free_everything, &seen);
	/* Another whose result waits behind it is cancelled by it. */
	fetch_start(seen.fetcher, &request, free_everything, &seen);
	assert_int_equal(loop_run(loop), 0);
	assert_int_equal(seen.n, 1);
	assert_null(seen.fetcher);
}

static void a_freed_request_says_nothing(void **state)
{
	struct server server = { .keeps_open = true };
	scoped(loop_freep) struct loop *loop = loop_new();
	scoped(fetcher_freep) struct fetcher *fetcher = fetcher_new(loop);
	struct seen freed = { .loop = loop }, other = { .loop = loop };
	scoped(freep) char *url = NULL;
	struct fetch_request request;
	struct fetch *handle;

	(void)state;
	server_start(&server, AF_INET);
	url = url_of("http", "127.0.0.1", server.port, "/");
	request = request_to(url);
	handle = fetch_start(fetcher, &request, on_done, &freed);
	request.url = "ftp://127.0.0.1/";
	fetch_start(fetcher, &request, on_done, &other);
	assert_int_equal(loop_run(loop), 0);
	assert_int_equal(other.n, 1);
	fetch_free(handle);
	server_join(&server); /* its connection has ended, or it would wait for ever */
	assert_int_equal(freed.n, 0);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(outcomes_are_told_apart),
		cmocka_unit_test(a_port_without_a_listener_is_refused),
		cmocka_unit_test(a_full_accept_queue_is_not_accepted),
		cmocka_unit_test(what_cannot_be_asked_fails_and_says_why),
		cmocka_unit_test(no_more_of_a_body_is_kept_than_was_asked_for),
		cmocka_unit_test(the_environments_proxy_is_not_used),
		cmocka_unit_test(the_connection_goes_where_it_is_told_whatever_the_url),
		cmocka_unit_test(handle_and_fetcher_may_be_freed_inside_done),
		cmocka_unit_test(a_freed_request_says_nothing),
	};

	return cmocka_run_group_tests_name("fetch", tests, NULL, NULL);
}
