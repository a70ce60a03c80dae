/* SPDX-License-Identifier: MIT */
/* The probe, against real servers on loopback: each way one can answer, or not. */
#include <arpa/inet.h>
#include <errno.h>
#include <event2/event.h>
#include <fcntl.h>
#include <netinet/in.h>
#include <setjmp.h>
#include <signal.h>
#include <stdarg.h>
#include <stdint.h>
#include <stdio.h>
#include <string.h>
#include <strings.h>
#include <sys/socket.h>
#include <sys/wait.h>
#include <unistd.h>
/* cmocka wants the three above it */
#include <cmocka.h>

#include "base/log.h"
#include "base/mem.h"
#include "base/strbuf.h"
#include "registry/probe.h"

#define CLIENTS_MAX 16
#define SILENT      ((const char *)1) /* accepted, and nothing said */

/* Gives the answer to a request (its head), or NULL to close, or SILENT. */
typedef const char *answer_fn(const char *request);

struct client {
	struct server *server;
	int fd;
	struct event *readable;
	struct strbuf in;
};

struct server {
	struct world *w;
	int fd;
	uint16_t port;
	struct event *acceptable;
	answer_fn *answer;
	const char *banner; /* said at once */
	unsigned requests;
	struct client clients[CLIENTS_MAX];
	size_t n_clients;
};

struct world {
	struct loop *loop;
	struct fetcher *fetcher;
	struct jobs *jobs;
	struct sockdiag *sockdiag;
	struct prober *prober;
	struct server server;

	struct probe *probe;
	bool done;
	int result;
	enum fault_code code;
	char *detail;
	struct probe_report report; /* its warnings' details are not kept */
	char warning[512];
};

/*
 * A little server, on the loop of the test
 */
static void client_end(struct client *c)
{
	if (c->readable)
		event_free(c->readable);
	if (c->fd >= 0)
		close(c->fd);
	strbuf_done(&c->in);
	c->readable = NULL;
	c->fd = -1;
}

static void on_readable(evutil_socket_t fd, short what, void *arg)
{
	struct client *c = arg;
	const char *text;
	char buf[4096];
	ssize_t n = recv(fd, buf, sizeof(buf), MSG_DONTWAIT);

	(void)what;
	if (n <= 0) {
		client_end(c);
		return;
	}
	strbuf_add(&c->in, buf, (size_t)n);
	if (c->in.data[0] == 0x16) { /* a TLS hello */
		client_end(c);
		return;
	}
	if (!strstr(strbuf_str(&c->in), "\r\n\r\n"))
		return;
	c->server->requests++;
	text = c->server->answer ? c->server->answer(strbuf_str(&c->in)) : NULL;
	if (text == SILENT)
		return;
	if (text)
		assert_int_equal(send(fd, text, strlen(text), MSG_NOSIGNAL), (ssize_t)strlen(text));
	client_end(c);
}

static void on_acceptable(evutil_socket_t fd, short what, void *arg)
{
	struct server *s = arg;
	struct client *c = &s->clients[s->n_clients++];

	(void)what;
	assert_true(s->n_clients <= CLIENTS_MAX);
	c->server = s;
	c->in = strbuf_init(STRBUF_UNLIMITED);
	c->fd = accept4(fd, NULL, NULL, SOCK_CLOEXEC | SOCK_NONBLOCK);
	if (c->fd < 0)
		return;
	if (s->banner)
		(void)send(c->fd, s->banner, strlen(s->banner), MSG_NOSIGNAL);
	c->readable = event_new(loop_base(s->w->loop), c->fd, EV_READ | EV_PERSIST, on_readable, c);
	event_add(c->readable, NULL);
}

/* Binds to a free port, or to `port`, without listening yet. */
static void server_bind(struct world *w, int family, uint16_t port)
{
	struct sockaddr_in in = { .sin_family = AF_INET,
				  .sin_port = htons(port),
				  .sin_addr = { htonl(INADDR_LOOPBACK) } };
	struct sockaddr_in6 in6 = { .sin6_family = AF_INET6,
				    .sin6_port = htons(port),
				    .sin6_addr = IN6ADDR_LOOPBACK_INIT };
	struct sockaddr_in6 at;
	socklen_t len = sizeof(at);
	int r;

	w->server.w = w;
	w->server.fd = socket(family, SOCK_STREAM | SOCK_CLOEXEC | SOCK_NONBLOCK, 0);
	r = bind(w->server.fd, family == AF_INET ? (struct sockaddr *)&in : (struct sockaddr *)&in6,
		 family == AF_INET ? sizeof(in) : sizeof(in6));
	assert_int_equal(r, 0);
	assert_int_equal(getsockname(w->server.fd, (struct sockaddr *)&at, &len), 0);
	w->server.port = ntohs(at.sin6_port); /* at the same place in both families */
}

static void server_listen(struct world *w, int backlog)
{
	assert_int_equal(listen(w->server.fd, backlog), 0);
}

static void server_accept(struct world *w)
{
	struct server *s = &w->server;

	s->acceptable =
		event_new(loop_base(w->loop), s->fd, EV_READ | EV_PERSIST, on_acceptable, s);
	event_add(s->acceptable, NULL);
}

static void serve(struct world *w, answer_fn *answer)
{
	server_bind(w, AF_INET, 0);
	w->server.answer = answer;
	server_listen(w, 16);
	server_accept(w);
}

static int set_up(void **state)
{
	struct world *w = xcalloc(1, sizeof(*w));

	log_setup(LOG_LEVEL_ERROR, LOG_FORMAT_TEXT);
	w->server.fd = -1;
	w->loop = loop_new();
	w->fetcher = fetcher_new(w->loop);
	w->jobs = jobs_new(w->loop, 2, 16);
	if (sockdiag_new(&w->sockdiag) < 0)
		w->sockdiag = NULL;
	w->prober = prober_new(w->loop, w->fetcher, w->jobs, w->sockdiag);
	*state = w;
	return 0;
}

static int tear_down(void **state)
{
	struct world *w = *state;

	for (size_t i = 0; i < w->server.n_clients; i++)
		client_end(&w->server.clients[i]);
	if (w->server.acceptable)
		event_free(w->server.acceptable);
	closep(&w->server.fd);
	prober_free(w->prober);
	fetcher_free(w->fetcher);
	jobs_free(w->jobs);
	sockdiag_free(w->sockdiag);
	loop_free(w->loop);
	free(w->detail);
	free(w);
	return 0;
}

/*
 * The probe
 */
static void on_probed(int result, const struct probe_report *report, struct fault *fault, void *arg)
{
	struct world *w = arg;

	assert_false(w->done);
	w->done = true;
	w->result = result;
	if (report) {
		w->report = *report;
		for (size_t i = 0; i < report->n_warnings; i++)
			snprintf(w->warning, sizeof(w->warning), "%s", report->warnings[i].detail);
	} else {
		w->code = fault->code;
		w->detail = STEAL(fault->detail);
	}
	w->probe = probe_free(w->probe);
	loop_stop(w->loop);
}

static struct probe_request request_of(const struct world *w)
{
	return (struct probe_request){
		.scheme = "http",
		.host = "127.0.0.1",
		.port = w->server.port,
		.path = "",
		.wait = 10 * USEC_PER_SEC,
		.http_timeout = 10 * USEC_PER_SEC,
	};
}

static void start(struct world *w, const struct probe_request *request)
{
	w->probe = probe_start(w->prober, request, on_probed, w);
	assert_false(w->done);
}

static void run(struct world *w, const struct probe_request *request)
{
	start(w, request);
	loop_run(w->loop);
	assert_true(w->done);
	assert_int_equal(prober_active(w->prober), 0);
}

static void expect_fault(struct world *w, enum fault_code code)
{
	if (w->result == 0)
		fail_msg("attached with %ld, wanted %s", w->report.http_status, fault_slug(code));
	assert_string_equal(fault_slug(w->code), fault_slug(code));
	assert_int_equal(w->result, -fault_errno(code));
	assert_non_null(w->detail);
}

static void expect_status(struct world *w, long status, const char *method)
{
	if (w->result < 0)
		fail_msg("%s: %s", fault_slug(w->code), w->detail);
	assert_int_equal(w->report.http_status, status);
	assert_string_equal(w->report.method, method);
}

static const char *page(const char *request)
{
	(void)request;
	return "HTTP/1.1 200 OK\r\nContent-Length: 0\r\n\r\n";
}

static void a_server_that_answers_attaches(void **state)
{
	struct world *w = *state;
	struct probe_request request;

	serve(w, page);
	request = request_of(w);
	run(w, &request);
	expect_status(w, 200, "HEAD");
	assert_string_equal(w->report.address, "127.0.0.1");
	assert_int_equal(w->report.n_warnings, 0);
	assert_int_equal(w->server.requests, 1);
	assert_true(w->report.checked_at > 0);
}

static const char *no_head_405(const char *request)
{
	return strncmp(request, "HEAD", 4) == 0 ? "HTTP/1.1 405 No\r\nContent-Length: 0\r\n\r\n"
						: "HTTP/1.1 201 Here\r\nContent-Length: 0\r\n\r\n";
}

static const char *no_head_501(const char *request)
{
	return strncmp(request, "HEAD", 4) == 0 ? "HTTP/1.1 501 No\r\nContent-Length: 0\r\n\r\n"
						: "HTTP/1.1 201 Here\r\nContent-Length: 0\r\n\r\n";
}

static void where_head_is_refused_get_is_asked(void **state)
{
	struct world *w = *state;
	struct probe_request request;

	serve(w, no_head_405);
	request = request_of(w);
	run(w, &request);
	expect_status(w, 201, "GET");
}

static void where_head_is_not_implemented_get_is_asked(void **state)
{
	struct world *w = *state;
	struct probe_request request;

	serve(w, no_head_501);
	request = request_of(w);
	run(w, &request);
	expect_status(w, 201, "GET");
}

static const char *error_500(const char *request)
{
	(void)request;
	return "HTTP/1.1 500 Compile error\r\nContent-Length: 0\r\n\r\n";
}

static void an_error_page_is_an_answer(void **state)
{
	struct world *w = *state;
	struct probe_request request;

	serve(w, error_500);
	request = request_of(w);
	run(w, &request);
	expect_status(w, 500, "HEAD");
}

static const char *elsewhere(const char *request)
{
	(void)request;
	return "HTTP/1.1 302 There\r\nLocation: http://192.0.2.1/\r\nContent-Length: 0\r\n\r\n";
}

static void redirects_are_not_followed(void **state)
{
	struct world *w = *state;
	struct probe_request request;

	serve(w, elsewhere);
	request = request_of(w);
	run(w, &request);
	expect_status(w, 302, "HEAD");
	assert_int_equal(w->server.requests, 1);
}

static const char *wants_path(const char *request)
{
	return strncmp(request, "HEAD /a?b=c HTTP/1.1\r\n", 22) == 0
		       ? "HTTP/1.1 200 OK\r\nContent-Length: 0\r\n\r\n"
		       : "HTTP/1.1 404 No\r\nContent-Length: 0\r\n\r\n";
}

static void the_path_is_what_is_asked_for(void **state)
{
	struct world *w = *state;
	struct probe_request request;

	serve(w, wants_path);
	request = request_of(w);
	request.path = "/a?b=c#d";
	run(w, &request);
	expect_status(w, 200, "HEAD");
}

static void nothing_listening_is_told_after_the_wait(void **state)
{
	struct world *w = *state;
	struct probe_request request;

	server_bind(w, AF_INET, 0); /* bound, and never listens */
	request = request_of(w);
	request.wait = 60 * USEC_PER_MSEC;
	run(w, &request);
	expect_fault(w, FAULT_TARGET_NOT_LISTENING);
}

static void many_that_wait_in_vain_are_all_told(void **state)
{
	struct world *w = *state;
	struct probe_request request;
	struct world others[5];

	server_bind(w, AF_INET, 0);
	request = request_of(w);
	request.wait = 60 * USEC_PER_MSEC;
	for (size_t i = 0; i < ARRAY_SIZE(others); i++) {
		others[i] = (struct world){ .loop = w->loop };
		others[i].probe = probe_start(w->prober, &request, on_probed, &others[i]);
	}
	for (size_t i = 0; i < ARRAY_SIZE(others); i++) {
		while (!others[i].done)
			loop_run(w->loop);
		assert_int_equal(others[i].code, FAULT_TARGET_NOT_LISTENING);
		free(others[i].detail);
	}
	assert_int_equal(prober_active(w->prober), 0);
}

static void a_server_that_starts_late_is_waited_for(void **state)
{
	struct world *w = *state;
	struct probe_request request;

	server_bind(w, AF_INET, 0);
	w->server.answer = page;
	request = request_of(w);
	start(w, &request);
	for (unsigned i = 0; i < 5; i++) /* some looks at a port that isn't there */
		event_base_loop(loop_base(w->loop), EVLOOP_ONCE);
	assert_false(w->done);
	server_listen(w, 16);
	server_accept(w);
	loop_run(w->loop);
	expect_status(w, 200, "HEAD");
}

static void an_ipv6_only_server_is_found_by_any_loopback_name(void **state)
{
	static const char *const names[] = { "127.0.0.1", "localhost", "::1" };
	struct world *w = *state;

	server_bind(w, AF_INET6, 0);
	w->server.answer = page;
	server_listen(w, 16);
	server_accept(w);
	for (size_t i = 0; i < ARRAY_SIZE(names); i++) {
		struct probe_request request = request_of(w);

		request.host = names[i];
		w->done = false;
		run(w, &request);
		expect_status(w, 200, "HEAD");
		assert_string_equal(w->report.address, "::1");
	}
}

static void a_listener_that_never_accepts_is_told_apart(void **state)
{
	struct world *w = *state;
	struct probe_request request;

	server_bind(w, AF_INET, 0);
	server_listen(w, 16); /* the kernel completes the handshake, nobody takes it */
	request = request_of(w);
	request.http_timeout = 100 * USEC_PER_MSEC;
	run(w, &request);
	if (!w->sockdiag)
		skip();
	expect_fault(w, FAULT_TARGET_NOT_ACCEPTING);
}

static void one_whose_queue_is_full_does_not_accept(void **state)
{
	struct world *w = *state;
	struct probe_request request;
	struct sockaddr_in in = { .sin_family = AF_INET, .sin_addr = { htonl(INADDR_LOOPBACK) } };
	scoped(closep) int only = socket(AF_INET, SOCK_STREAM | SOCK_CLOEXEC, 0);

	server_bind(w, AF_INET, 0);
	server_listen(w, 0);
	in.sin_port = htons(w->server.port);
	assert_int_equal(connect(only, (struct sockaddr *)&in, sizeof(in)), 0);
	request = request_of(w);
	request.http_timeout = 100 * USEC_PER_MSEC;
	run(w, &request);
	expect_fault(w, FAULT_TARGET_NOT_ACCEPTING);
}

static const char *silence(const char *request)
{
	(void)request;
	return SILENT;
}

static void one_that_accepted_and_is_silent_attaches_as_slow(void **state)
{
	struct world *w = *state;
	struct probe_request request;

	serve(w, silence);
	request = request_of(w);
	request.http_timeout = 100 * USEC_PER_MSEC;
	run(w, &request);
	expect_status(w, 0, "HEAD");
	assert_int_equal(w->report.n_warnings, 1);
	assert_string_equal(w->report.warnings[0].code, "slow");
}

static void a_banner_is_no_http(void **state)
{
	struct world *w = *state;
	struct probe_request request;

	serve(w, NULL);
	w->server.banner = "220 mail.example.org ESMTP\r\n";
	request = request_of(w);
	run(w, &request);
	expect_fault(w, FAULT_TARGET_NOT_HTTP);
}

/* A forwarder accepts before the server behind it is there. */
static const char *closes_twice_then_answers(const char *request)
{
	static unsigned n;

	return n++ < 2 ? NULL : page(request);
}

static void one_that_closes_at_first_is_asked_again(void **state)
{
	struct world *w = *state;
	struct probe_request request;

	serve(w, closes_twice_then_answers);
	request = request_of(w);
	run(w, &request);
	expect_status(w, 200, "HEAD");
}

static const char *closes(const char *request)
{
	(void)request;
	return NULL;
}

static void one_that_always_closes_is_no_http(void **state)
{
	struct world *w = *state;
	struct probe_request request;

	serve(w, closes);
	request = request_of(w);
	request.wait = 100 * USEC_PER_MSEC;
	run(w, &request);
	expect_fault(w, FAULT_TARGET_NOT_HTTP);
}

static void https_of_a_plain_server_is_refused(void **state)
{
	struct world *w = *state;
	struct probe_request request;

	serve(w, page);
	request = request_of(w);
	request.scheme = "https";
	run(w, &request);
	expect_fault(w, FAULT_TARGET_NOT_HTTP);
	assert_non_null(strstr(w->detail, "\"scheme\": \"http\""));
}

/*
 * TLS, by openssl
 */
/* Its output is read to the end of the test: it would die of a closed pipe. */
static pid_t tls_start(uint16_t *ret_port, int *ret_fd, char *dir)
{
	scoped(freep) char *key = xasprintf("%s/key", dir);
	scoped(freep) char *command = xasprintf(
		"openssl req -x509 -newkey ec -pkeyopt ec_paramgen_curve:P-256 -nodes -days 1 "
		"-subj /CN=localhost -keyout %s -out %s.pem 2>/dev/null && "
		"exec openssl s_server -accept 127.0.0.1:0 -key %s -cert %s.pem -www 2>/dev/null",
		key, key, key, key);
	scoped(strbuf_done) struct strbuf said = strbuf_init(4096);
	unsigned port = 0;
	int out[2];
	pid_t pid;
	char c;

	assert_int_equal(pipe2(out, O_CLOEXEC), 0);
	pid = fork();
	assert_true(pid >= 0);
	if (pid == 0) {
		dup2(out[1], 1);
		execl("/bin/sh", "sh", "-c", command, (char *)NULL);
		_exit(127);
	}
	close(out[1]);
	while (read(out[0], &c, 1) == 1) {
		strbuf_putc(&said, c);
		if (c == '\n' && sscanf(strbuf_str(&said), "ACCEPT 127.0.0.1:%u", &port) == 1)
			break;
		if (c == '\n')
			strbuf_reset(&said);
	}
	*ret_fd = out[0];
	*ret_port = (uint16_t)port;
	return pid;
}

static void a_tls_server_is_recognised_and_attached_as_https(void **state)
{
	char dir[] = "/tmp/previewd-probe-XXXXXX";
	struct world *w = *state;
	struct probe_request request;
	scoped(closep) int output = -1;
	uint16_t port;
	pid_t pid;

	assert_non_null(mkdtemp(dir));
	pid = tls_start(&port, &output, dir);
	if (port > 0) {
		w->server.port = port;
		request = request_of(w);
		run(w, &request);
		expect_fault(w, FAULT_TARGET_IS_TLS);
		assert_non_null(strstr(w->detail, "\"scheme\": \"https\""));

		w->done = false;
		request.scheme = "https";
		request.http_timeout = 100 * USEC_PER_MSEC; /* s_server is silent to HEAD */
		run(w, &request);
		if (w->result < 0)
			fail_msg("%s", w->detail);
	}
	kill(pid, SIGKILL);
	waitpid(pid, NULL, 0);
	{
		scoped(freep) char *key = xasprintf("%s/key", dir);
		scoped(freep) char *cert = xasprintf("%s/key.pem", dir);

		unlink(key);
		unlink(cert);
		rmdir(dir);
	}
	if (port == 0)
		skip(); /* no openssl here */
}

/* nginx, Apache and Go say 400 to plain HTTP; a plain server may say it too. */
static const char *error_400(const char *request)
{
	(void)request;
	return "HTTP/1.1 400 Bad Request\r\nContent-Length: 0\r\n\r\n";
}

static void a_400_of_a_plain_server_is_an_answer(void **state)
{
	struct world *w = *state;
	struct probe_request request;

	serve(w, error_400);
	request = request_of(w);
	run(w, &request);
	expect_status(w, 400, "HEAD");
}

/*
 * The public name
 */
static bool is_public(const char *request)
{
	return strcasestr(request, "\r\nHost: app.example.org\r\n") != NULL;
}

static const char *vite(const char *request)
{
	return is_public(request) ? "HTTP/1.1 403 Forbidden\r\n\r\nBlocked request. This host "
				    "(\"app.example.org\") is not allowed."
				  : page(request);
}

static const char *webpack(const char *request)
{
	return is_public(request) ? "HTTP/1.1 200 OK\r\n\r\nInvalid Host header" : page(request);
}

static const char *next(const char *request)
{
	if (strncmp(request, "GET /_next/webpack-hmr ", 23) == 0)
		return strcasestr(request, "\r\nOrigin: https://app.example.org\r\n")
			       ? "HTTP/1.1 403 Forbidden\r\n\r\nUnauthorized"
			       : page(request);
	return "HTTP/1.1 200 OK\r\n\r\n<script src=/_next/static/x.js>";
}

static const char *friendly(const char *request)
{
	(void)request;
	return "HTTP/1.1 200 OK\r\n\r\nhello";
}

static void the_public_host_is_tried_and_its_refusal_told(void **state)
{
	static const struct {
		answer_fn *answer;
		const char *code; /* NULL: no warning */
		const char *fix;
	} table[] = {
		{ vite, "blocked_host", "allowedHosts: ['app.example.org']" },
		{ webpack, "blocked_host", "allowedHosts: ['app.example.org']" },
		{ next, "blocked_origin", "allowedDevOrigins: ['app.example.org']" },
		{ friendly, NULL, NULL },
	};
	struct world *w = *state;

	serve(w, NULL);
	for (size_t i = 0; i < ARRAY_SIZE(table); i++) {
		struct probe_request request = request_of(w);

		request.public_host = "app.example.org";
		request.public_authority = "app.example.org";
		request.public_scheme = "https";
		w->server.answer = table[i].answer;
		w->done = false;
		run(w, &request);
		expect_status(w, 200, "HEAD");
		assert_int_equal(w->report.n_warnings, table[i].code != NULL);
		if (!table[i].code)
			continue;
		assert_string_equal(w->report.warnings[0].code, table[i].code);
		assert_non_null(strstr(w->warning, table[i].fix));
	}
}

/*
 * Handles
 */
static void a_probe_may_be_freed_at_each_step(void **state)
{
	struct world *w = *state;
	unsigned steps = 0;

	serve(w, next);
	for (; !w->done; steps++) {
		struct probe_request request = request_of(w);

		assert_true(steps < 1000);
		request.public_host = request.public_authority = "app.example.org";
		request.public_scheme = "https";
		start(w, &request);
		for (unsigned i = 0; i < steps && !w->done; i++)
			event_base_loop(loop_base(w->loop), EVLOOP_ONCE);
		w->probe = probe_free(w->probe);
		assert_int_equal(prober_active(w->prober), 0);
		while (w->server.n_clients > 0)
			client_end(&w->server.clients[--w->server.n_clients]);
	}
	assert_true(steps > 5);
}

static void an_unknown_name_has_no_address(void **state)
{
	struct world *w = *state;
	struct probe_request request;

	w->server.port = 5173;
	request = request_of(w);
	request.host = "name.invalid";
	run(w, &request);
	expect_fault(w, FAULT_TARGET_UNRESOLVED);
}

#define test(name) cmocka_unit_test_setup_teardown(name, set_up, tear_down)

int main(void)
{
	const struct CMUnitTest tests[] = {
		test(a_server_that_answers_attaches),
		test(where_head_is_refused_get_is_asked),
		test(where_head_is_not_implemented_get_is_asked),
		test(an_error_page_is_an_answer),
		test(redirects_are_not_followed),
		test(the_path_is_what_is_asked_for),
		test(nothing_listening_is_told_after_the_wait),
		test(many_that_wait_in_vain_are_all_told),
		test(a_server_that_starts_late_is_waited_for),
		test(an_ipv6_only_server_is_found_by_any_loopback_name),
		test(a_listener_that_never_accepts_is_told_apart),
		test(one_whose_queue_is_full_does_not_accept),
		test(one_that_accepted_and_is_silent_attaches_as_slow),
		test(a_banner_is_no_http),
		test(one_that_closes_at_first_is_asked_again),
		test(one_that_always_closes_is_no_http),
		test(https_of_a_plain_server_is_refused),
		test(a_tls_server_is_recognised_and_attached_as_https),
		test(a_400_of_a_plain_server_is_an_answer),
		test(the_public_host_is_tried_and_its_refusal_told),
		test(a_probe_may_be_freed_at_each_step),
		test(an_unknown_name_has_no_address),
	};

	signal(SIGPIPE, SIG_IGN);
	alarm(120);
	return cmocka_run_group_tests(tests, NULL, NULL);
}
