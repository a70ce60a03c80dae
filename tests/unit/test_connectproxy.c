/* SPDX-License-Identifier: MIT */
#include "net/connectproxy.h"

#include "base/mem.h"
#include "base/metrics.h"
#include "base/strbuf.h"
#include "net/connectrules.h"

#include <arpa/inet.h>
#include <errno.h>
#include <netinet/in.h>
#include <poll.h>
#include <pthread.h>
#include <setjmp.h>
#include <signal.h>
#include <stdarg.h>
#include <stdint.h>
#include <stdio.h>
#include <string.h>
#include <sys/socket.h>
#include <sys/stat.h>
#include <sys/un.h>
/* cmocka wants setjmp.h and the two after it above it */
#include <cmocka.h>

#define CONNECTED  "HTTP/1.1 200 Connection established\r\n\r\n"
#define BUFFER_MAX 65536

/* ---- the rules ---- */

static bool allows(const char *entry, const char *host, unsigned port, bool *ret_private)
{
	scoped(connectrules_freep) struct connectrules *rules = NULL;

	assert_int_equal(connectrules_new((const char *const[]){ entry, NULL }, &rules, NULL), 0);
	return connectrules_allow(rules, host, port, ret_private);
}

static void only_what_the_list_names_is_allowed(void **state)
{
	static const struct {
		const char *entry, *host;
		unsigned port;
		bool is_allowed, may_be_private;
	} cases[] = {
		{ "registry.example.org", "registry.example.org", 443, true, false },
		{ "registry.example.org", "REGISTRY.example.org.", 443, true, false },
		{ "registry.example.org", "registry.example.org", 80, false, false },
		{ "registry.example.org", "example.org", 443, false, false },
		{ "registry.example.org", "registry.example.org.evil.org", 443, false, false },
		{ "registry.example.org", "evilregistry.example.org", 443, false, false },
		{ "*.example.org", "a.b.example.org", 443, true, false },
		{ "*.example.org", "example.org", 443, false, false },
		{ "*.example.org", "evilexample.org", 443, false, false },
		{ "*.example.org:8443", "a.example.org", 8443, true, true },
		{ "*.example.org:8443", "a.example.org", 443, false, false },
		{ "localhost:4873", "localhost", 4873, true, true },
		{ "localhost:4873", "localhost", 22, false, false },
		{ "10.0.0.5", "10.0.0.5", 443, true, true },
		{ "10.0.0.5:8080", "10.0.0.5", 8080, true, true },
		{ "10.0.0.5", "10.0.0.6", 443, false, false },
		{ "[fd00::5]:8080", "fd00:0::5", 8080, true, true },
		{ "fd00::5", "fd00::5", 443, true, true },
	};

	(void)state;
	for (size_t i = 0; i < ARRAY_SIZE(cases); i++) {
		bool may_be_private;

		if (allows(cases[i].entry, cases[i].host, cases[i].port, &may_be_private) !=
			    cases[i].is_allowed ||
		    may_be_private != cases[i].may_be_private)
			fail_msg("'%s', asked for %s:%u", cases[i].entry, cases[i].host,
				 cases[i].port);
	}
}

static void an_entry_that_is_no_host_is_a_fault(void **state)
{
	static const char *const entries[] = { "https://a.org", "a.org/x", "a.org:0",     "*",
					       "*.*",           "a b",     "a.org:99999", "" };
	scoped(connectrules_freep) struct connectrules *rules = NULL;

	(void)state;
	for (size_t i = 0; i < ARRAY_SIZE(entries); i++) {
		scoped(fault_done) struct fault fault = { 0 };

		assert_int_equal(
			connectrules_new((const char *const[]){ entries[i], NULL }, &rules, &fault),
			-EINVAL);
		assert_non_null(strstr(fault.detail, "publish.registries"));
	}
}

static bool is_public(const char *text)
{
	struct sockaddr_in v4 = { .sin_family = AF_INET };
	struct sockaddr_in6 v6 = { .sin6_family = AF_INET6 };

	if (inet_pton(AF_INET, text, &v4.sin_addr) == 1)
		return address_is_public((struct sockaddr *)&v4);
	assert_int_equal(inet_pton(AF_INET6, text, &v6.sin6_addr), 1);
	return address_is_public((struct sockaddr *)&v6);
}

static void addresses_that_are_not_public_are_known(void **state)
{
	static const char *const no[] = {
		"0.0.0.0",
		"0.1.2.3",
		"10.1.2.3",
		"100.64.0.1",
		"100.127.255.255",
		"127.0.0.1",
		"127.255.255.254",
		"169.254.169.254",
		"172.16.0.1",
		"172.31.255.255",
		"192.168.0.1",
		"224.0.0.1",
		"255.255.255.255",
		"::",
		"::1",
		"::ffff:127.0.0.1",
		"::ffff:10.0.0.1",
		"::127.0.0.1",
		"64:ff9b::7f00:1",
		"2002:7f00:1::",
		"fe80::1",
		"fec0::1",
		"fc00::1",
		"fdff::1",
		"ff02::1",
	};
	static const char *const yes[] = { "1.1.1.1",        "100.63.255.255", "100.128.0.0",
					   "172.15.0.1",     "172.32.0.1",     "192.167.1.1",
					   "2606:4700::1",   "::ffff:1.1.1.1", "64:ff9b::101:101",
					   "2002:101:101::", "223.255.255.255" };

	(void)state;
	for (size_t i = 0; i < ARRAY_SIZE(no); i++)
		if (is_public(no[i]))
			fail_msg("%s passes for public", no[i]);
	for (size_t i = 0; i < ARRAY_SIZE(yes); i++)
		if (!is_public(yes[i]))
			fail_msg("%s doesn't pass for public", yes[i]);
}

static void requests_are_parsed_strictly(void **state)
{
	static const struct {
		const char *head;
		int status;
		const char *host;
		unsigned port;
		const char *forward;
	} cases[] = {
		{ "CONNECT a.org:443 HTTP/1.1\r\nHost: a.org:443\r\n\r\n", 0, "a.org", 443, NULL },
		{ "CONNECT A.org.:8443 HTTP/1.0\r\n\r\n", 0, "a.org", 8443, NULL },
		{ "CONNECT [::1]:443 HTTP/1.1\r\n\r\n", 0, "::1", 443, NULL },
		{ "CONNECT a.org HTTP/1.1\r\n\r\n", 400, NULL, 0, NULL },
		{ "CONNECT a.org:443 HTTP/2\r\n\r\n", 400, NULL, 0, NULL },
		{ "CONNECT a.org:443\r\n\r\n", 400, NULL, 0, NULL },
		{ "CONNECT a@b.org:443 HTTP/1.1\r\n\r\n", 400, NULL, 0, NULL },
		{ "CONNECT 127.1:443 HTTP/1.1\r\n\r\n", 400, NULL, 0, NULL },
		{ "CONNECT 2130706433:443 HTTP/1.1\r\n\r\n", 400, NULL, 0, NULL },
		{ "CONNECT a.org:443 HTTP/1.1\nHost: x\r\n\r\n", 400, NULL, 0, NULL },
		{ "\r\nCONNECT a.org:443 HTTP/1.1\r\n\r\n", 400, NULL, 0, NULL },
		{ "GET / HTTP/1.1\r\nHost: a.org\r\n\r\n", 400, NULL, 0, NULL },
		{ "GET https://a.org/ HTTP/1.1\r\n\r\n", 400, NULL, 0, NULL },
		{ "GET http://a.org:4873/x?y HTTP/1.1\r\nHost: other\r\nAccept: */*\r\n"
		  "Proxy-Authorization: Basic x\r\nConnection: keep-alive\r\n\r\n",
		  0, "a.org", 4873,
		  "GET /x?y HTTP/1.1\r\nHost: a.org:4873\r\nConnection: close\r\n"
		  "Accept: */*\r\n\r\n" },
		{ "GET http://a.org HTTP/1.1\r\n\r\n", 0, "a.org", 80,
		  "GET / HTTP/1.1\r\nHost: a.org\r\nConnection: close\r\n\r\n" },
	};

	(void)state;
	for (size_t i = 0; i < ARRAY_SIZE(cases); i++) {
		scoped(connect_request_done) struct connect_request request = { 0 };
		const int status =
			connect_request_parse(cases[i].head, strlen(cases[i].head), &request);

		if (status != cases[i].status)
			fail_msg("%d for: %s", status, cases[i].head);
		if (status > 0)
			continue;
		assert_string_equal(request.host, cases[i].host);
		assert_int_equal(request.port, cases[i].port);
		if (cases[i].forward)
			assert_string_equal(request.forward, cases[i].forward);
		else
			assert_null(request.forward);
	}
}

/* ---- the proxy, with a client and a server in threads ---- */

struct world {
	struct loop *loop;
	struct jobs *jobs;
	struct connectproxy *proxy;
	char directory[32], path[64];
	char refused[256];
	int listener; /* of the server */
	unsigned port;
	pthread_t threads[2];
	size_t n_threads;
	unsigned n_running; /* the loop's */
};

typedef void script_fn(struct world *w, int fd);

struct actor {
	struct world *world;
	script_fn *script;
	bool is_server;
};

static void on_refused(const char *text, void *arg)
{
	struct world *w = arg;

	snprintf(w->refused, sizeof(w->refused), "%s", text);
}

static void world_init(struct world *w, const char *allow)
{
	struct sockaddr_in at = { .sin_family = AF_INET, .sin_addr = { htonl(INADDR_LOOPBACK) } };
	socklen_t len = sizeof(at);
	scoped(freep) char *entry = NULL;

	*w = (struct world){ .loop = loop_new(), .directory = "/tmp/proxy-XXXXXX" };
	w->jobs = jobs_new(w->loop, 2, 16);
	assert_non_null(mkdtemp(w->directory));
	snprintf(w->path, sizeof(w->path), "%s/p.sock", w->directory);
	w->listener = socket(AF_INET, SOCK_STREAM | SOCK_CLOEXEC, 0);
	assert_int_equal(bind(w->listener, (struct sockaddr *)&at, sizeof(at)), 0);
	assert_int_equal(listen(w->listener, 8), 0);
	assert_int_equal(getsockname(w->listener, (struct sockaddr *)&at, &len), 0);
	w->port = ntohs(at.sin_port);
	entry = xasprintf("%s:%u", allow, w->port);
	assert_int_equal(
		connectproxy_new(
			w->loop, w->jobs,
			&(struct connectproxy_settings){
				.path = w->path,
				.allow = (const char *const[]){ strchr(allow, ':') ? allow : entry,
								NULL },
				.connections_max = 2,
				.buffer_max = BUFFER_MAX,
			},
			on_refused, w, &w->proxy, NULL),
		0);
}

static void world_done(struct world *w)
{
	struct stat st;

	w->proxy = connectproxy_free(w->proxy);
	assert_int_equal(stat(w->path, &st), -1);
	w->jobs = jobs_free(w->jobs);
	loop_free(w->loop);
	close(w->listener);
	assert_int_equal(rmdir(w->directory), 0);
}

static int connect_to_proxy(const struct world *w)
{
	struct sockaddr_un at = { .sun_family = AF_UNIX };
	int fd = socket(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC, 0);

	memcpy(at.sun_path, w->path, sizeof(w->path));
	assert_int_equal(connect(fd, (struct sockaddr *)&at, sizeof(at)), 0);
	return fd;
}

static void on_actor_done(void *arg)
{
	struct world *w = arg;

	if (--w->n_running == 0)
		loop_stop(w->loop);
}

static void *act(void *arg)
{
	struct actor *actor = arg;
	struct world *w = actor->world;
	int fd = actor->is_server ? accept(w->listener, NULL, NULL) : connect_to_proxy(w);

	actor->script(w, fd);
	close(fd);
	free(actor);
	loop_post(w->loop, on_actor_done, w);
	return NULL;
}

static void begin(struct world *w, script_fn *script, bool is_server)
{
	struct actor *actor = xcalloc(1, sizeof(*actor));

	*actor = (struct actor){ .world = w, .script = script, .is_server = is_server };
	w->n_running++;
	assert_int_equal(pthread_create(&w->threads[w->n_threads++], NULL, act, actor), 0);
}

static void run(struct world *w)
{
	assert_int_equal(loop_run(w->loop), 0);
	for (size_t i = 0; i < w->n_threads; i++)
		pthread_join(w->threads[i], NULL);
	w->n_threads = 0;
}

static void __attribute__((format(printf, 2, 3))) say(int fd, const char *format, ...)
{
	char text[512];
	va_list args;

	va_start(args, format);
	vsnprintf(text, sizeof(text), format, args);
	va_end(args);
	assert_int_equal(send(fd, text, strlen(text), MSG_NOSIGNAL), strlen(text));
}

static void expect(int fd, const char *wanted)
{
	char text[512];
	const ssize_t n = recv(fd, text, strlen(wanted), MSG_WAITALL);

	assert_int_equal(n, strlen(wanted));
	text[n] = '\0';
	assert_string_equal(text, wanted);
}

static void expect_end(int fd)
{
	char byte;

	assert_int_equal(recv(fd, &byte, 1, 0), 0);
}

static void talk_as_client(struct world *w, int fd)
{
	/* What is sent behind the head is the server's. */
	say(fd, "CONNECT localhost:%u HTTP/1.1\r\nHost: x\r\n\r\nearly ", w->port);
	expect(fd, CONNECTED);
	say(fd, "ping");
	shutdown(fd, SHUT_WR);
	expect(fd, "pong after the client's end");
	expect_end(fd);
}

static void talk_as_server(struct world *w, int fd)
{
	(void)w;
	expect(fd, "early ping");
	expect_end(fd);
	say(fd, "pong after the client's end");
}

static void a_tunnel_carries_both_ways_and_each_end_by_itself(void **state)
{
	struct world w;

	(void)state;
	world_init(&w, "localhost");
	begin(&w, talk_as_server, true);
	begin(&w, talk_as_client, false);
	run(&w);
	assert_string_equal(w.refused, "");
	world_done(&w);
}

static void ask_for_a_page(struct world *w, int fd)
{
	say(fd, "GET http://127.0.0.1:%u/page HTTP/1.1\r\nHost: evil\r\n\r\n", w->port);
	expect(fd, "HTTP/1.1 200 OK\r\n\r\npage");
	expect_end(fd);
}

static void serve_a_page(struct world *w, int fd)
{
	char head[128];

	snprintf(head, sizeof(head),
		 "GET /page HTTP/1.1\r\nHost: 127.0.0.1:%u\r\nConnection: close\r\n\r\n", w->port);
	expect(fd, head);
	say(fd, "HTTP/1.1 200 OK\r\n\r\npage");
}

static void plain_http_is_handed_on(void **state)
{
	struct world w;

	(void)state;
	world_init(&w, "127.0.0.1");
	begin(&w, serve_a_page, true);
	begin(&w, ask_for_a_page, false);
	run(&w);
	world_done(&w);
}

static void expect_403(struct world *w, int fd)
{
	say(fd, "CONNECT localhost:%u HTTP/1.1\r\n\r\n", w->port);
	expect(fd, "HTTP/1.1 403 Forbidden\r\n");
	while (recv(fd, (char[64]){ 0 }, 64, 0) > 0)
		;
}

static void a_host_off_the_list_is_refused_and_told(void **state)
{
	scoped(freep) char *text = NULL;
	struct world w;

	(void)state;
	world_init(&w, "other.example.org");
	begin(&w, expect_403, false);
	run(&w);
	text = xasprintf("refused localhost:%u: not in publish.registries", w.port);
	assert_string_equal(w.refused, text);
	assert_true(metric_value(METRIC_PROXY_REFUSED) >= 1);
	world_done(&w);
	assert_int_equal(metric_value(METRIC_PROXY_CONNECTIONS), 0);
}

static void ask_for_https(struct world *w, int fd)
{
	(void)w;
	say(fd, "CONNECT localhost:443 HTTP/1.1\r\n\r\n");
	expect(fd, "HTTP/1.1 403 Forbidden\r\n");
	while (recv(fd, (char[64]){ 0 }, 64, 0) > 0)
		;
}

/* A name whose owner lets it point to this machine: localhost stands for it. */
static void a_name_that_resolves_to_this_machine_is_refused(void **state)
{
	struct world w;

	(void)state;
	world_init(&w, "x");
	w.proxy = connectproxy_free(w.proxy);
	assert_int_equal(
		connectproxy_new(w.loop, w.jobs,
				 &(struct connectproxy_settings){
					 .path = w.path,
					 .allow = (const char *const[]){ "localhost", NULL },
					 .connections_max = 2,
					 .buffer_max = BUFFER_MAX,
				 },
				 on_refused, &w, &w.proxy, NULL),
		0);
	begin(&w, ask_for_https, false);
	run(&w);
	assert_non_null(strstr(w.refused, "refused localhost:443: its address "));
	assert_non_null(strstr(w.refused, " is not public"));
	world_done(&w);
}

static void say_nonsense(struct world *w, int fd)
{
	(void)w;
	say(fd, "GET / HTTP/1.1\r\n\r\n");
	expect(fd, "HTTP/1.1 400 Bad Request\r\n");
	while (recv(fd, (char[64]){ 0 }, 64, 0) > 0)
		;
}

static void send_an_endless_head(struct world *w, int fd)
{
	char field[1024];

	(void)w;
	memset(field, 'a', sizeof(field));
	for (int i = 0; i < 16; i++)
		(void)!send(fd, field, sizeof(field), MSG_NOSIGNAL);
	expect(fd, "HTTP/1.1 431 ");
}

static void what_is_no_request_is_answered_so(void **state)
{
	struct world w;

	(void)state;
	world_init(&w, "localhost");
	begin(&w, say_nonsense, false);
	begin(&w, send_an_endless_head, false);
	run(&w);
	world_done(&w);
}

#define FLOOD (64 * 1024 * 1024)

static size_t sent, received_before; /* of the flood, before the reader began */

static void flood(struct world *w, int fd)
{
	static char chunk[65536];

	(void)w;
	for (sent = 0; sent < FLOOD;) {
		const ssize_t n = send(fd, chunk, sizeof(chunk), MSG_NOSIGNAL);

		assert_true(n > 0);
		__atomic_add_fetch(&sent, (size_t)n, __ATOMIC_SEQ_CST);
	}
}

/* Reads nothing until the sender stands still. */
static void read_late(struct world *w, int fd)
{
	static char chunk[65536];
	size_t last = (size_t)-1, all = 0;

	say(fd, "CONNECT 127.0.0.1:%u HTTP/1.1\r\n\r\n", w->port);
	expect(fd, CONNECTED);
	while (__atomic_load_n(&sent, __ATOMIC_SEQ_CST) != last) {
		last = __atomic_load_n(&sent, __ATOMIC_SEQ_CST);
		poll(NULL, 0, 300);
	}
	received_before = last;
	for (ssize_t n; (n = recv(fd, chunk, sizeof(chunk), 0)) > 0;)
		all += (size_t)n;
	assert_int_equal(all, FLOOD);
}

static void one_that_does_not_read_stops_the_other(void **state)
{
	struct world w;

	(void)state;
	world_init(&w, "127.0.0.1");
	sent = 0;
	begin(&w, flood, true);
	begin(&w, read_late, false);
	run(&w);
	/* The kernel's buffers hold some megabytes, and the proxy nearly nothing. */
	assert_true(received_before < FLOOD / 2);
	world_done(&w);
}

/* As the proxy of a company: its answer has fields, and the server speaks at once. */
static void be_upstream(struct world *w, int fd)
{
	(void)w;
	expect(fd, "CONNECT registry.example.org:443 HTTP/1.1\r\nHost: registry.example.org:443\r\n"
		   "Proxy-Authorization: Basic YWRhOnBAc3M=\r\n\r\n");
	say(fd, "HTTP/1.1 200 OK\r\nVia: x\r\n\r\nhello");
	expect(fd, "hi");
}

static void go_upstream(struct world *w, int fd)
{
	(void)w;
	say(fd, "CONNECT registry.example.org:443 HTTP/1.1\r\n\r\n");
	expect(fd, CONNECTED "hello");
	say(fd, "hi");
	expect_end(fd);
}

static void refuse_upstream(struct world *w, int fd)
{
	(void)w;
	expect(fd, "CONNECT registry.example.org:443 ");
	say(fd, "HTTP/1.1 407 Proxy Authentication Required\r\n\r\n");
	expect(fd, "HTTP/1.1");
}

static void be_refused_upstream(struct world *w, int fd)
{
	(void)w;
	say(fd, "CONNECT registry.example.org:443 HTTP/1.1\r\n\r\n");
	expect(fd, "HTTP/1.1 502 Bad Gateway\r\n");
	while (recv(fd, (char[64]){ 0 }, 64, 0) > 0)
		;
}

static void a_machine_behind_a_proxy_goes_by_that(void **state)
{
	scoped(freep) char *url = NULL;
	struct world w;

	(void)state;
	world_init(&w, "x");
	w.proxy = connectproxy_free(w.proxy);
	url = xasprintf("http://ada:p%%40ss@localhost:%u/", w.port);
	assert_int_equal(
		connectproxy_new(
			w.loop, w.jobs,
			&(struct connectproxy_settings){
				.path = w.path,
				.allow = (const char *const[]){ "registry.example.org", NULL },
				.connections_max = 2,
				.buffer_max = BUFFER_MAX,
				.upstream = url,
			},
			on_refused, &w, &w.proxy, NULL),
		0);
	begin(&w, be_upstream, true);
	begin(&w, go_upstream, false);
	run(&w);
	begin(&w, refuse_upstream, true);
	begin(&w, be_refused_upstream, false);
	run(&w);
	begin(&w, expect_403, false); /* the list holds all the same */
	run(&w);
	world_done(&w);
}

static void an_upstream_proxy_that_is_none_is_a_fault(void **state)
{
	static const char *const urls[] = { "https://proxy:3128", "proxy:3128", "http://",
					    "http://a b", "socks5://proxy" };

	(void)state;
	for (size_t i = 0; i < ARRAY_SIZE(urls); i++) {
		struct upstream u;

		assert_int_equal(upstream_parse(urls[i], &u, NULL), -EINVAL);
	}
}

static void hang_up_at_once(struct world *w, int fd)
{
	(void)w;
	(void)fd;
}

static void more_clients_than_the_limit_wait_their_turn(void **state)
{
	struct world w;
	int idle[2];

	(void)state;
	world_init(&w, "localhost");
	for (int i = 0; i < 2; i++)
		idle[i] = connect_to_proxy(&w);
	begin(&w, hang_up_at_once, false); /* the loop has seen both when it has seen this */
	run(&w);
	begin(&w, talk_as_server, true);
	begin(&w, talk_as_client, false);
	close(idle[0]);
	close(idle[1]);
	run(&w);
	world_done(&w);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(only_what_the_list_names_is_allowed),
		cmocka_unit_test(an_entry_that_is_no_host_is_a_fault),
		cmocka_unit_test(addresses_that_are_not_public_are_known),
		cmocka_unit_test(requests_are_parsed_strictly),
		cmocka_unit_test(a_tunnel_carries_both_ways_and_each_end_by_itself),
		cmocka_unit_test(plain_http_is_handed_on),
		cmocka_unit_test(a_host_off_the_list_is_refused_and_told),
		cmocka_unit_test(a_name_that_resolves_to_this_machine_is_refused),
		cmocka_unit_test(what_is_no_request_is_answered_so),
		cmocka_unit_test(one_that_does_not_read_stops_the_other),
		cmocka_unit_test(a_machine_behind_a_proxy_goes_by_that),
		cmocka_unit_test(an_upstream_proxy_that_is_none_is_a_fault),
		cmocka_unit_test(more_clients_than_the_limit_wait_their_turn),
	};

	signal(SIGPIPE, SIG_IGN);
	alarm(120);
	return cmocka_run_group_tests_name("connectproxy", tests, NULL, NULL);
}
