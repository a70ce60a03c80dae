/* SPDX-License-Identifier: MIT */
/* The surface over a real socket: who is let in from where, and event streams. */
#include "registry_world.h"

#include <arpa/inet.h>
#include <netinet/in.h>
#include <signal.h>
#include <sys/socket.h>

#include "api/api.h"
#include "http/server.h"

#define ADMIN_TOKEN "admin" /* see start() */

struct surface {
	struct world *w;
	struct api *api;
	struct canvas *canvas;
	struct http_server *server;
	uint16_t port;
};

static struct surface surface;

static void serve(struct surface *s)
{
	const struct http_settings http = {
		.connections_max = 100,
		.header_timeout = 20 * USEC_PER_SEC,
		.body_timeout = 20 * USEC_PER_SEC,
		.idle_timeout = 20 * USEC_PER_SEC,
		.write_timeout = 20 * USEC_PER_SEC,
		.output_max = 1024 * 1024,
		.ws_message_max = 1024 * 1024,
		.ws_ping_interval = 20 * USEC_PER_SEC,
	};
	struct sockaddr_in sa = { .sin_family = AF_INET, .sin_addr = { htonl(INADDR_LOOPBACK) } };
	const struct canvas_deps canvas_deps = {
		.loop = s->w->loop,
		.store = &s->w->gate->base,
		.bus = s->w->bus,
	};
	struct api_deps deps = {
		.loop = s->w->loop,
		.store = &s->w->gate->base,
		.bus = s->w->bus,
		.auth = s->w->auth,
		.registry = s->w->reg,
	};
	socklen_t len = sizeof(sa);
	int fd = socket(AF_INET, SOCK_STREAM | SOCK_CLOEXEC, 0);

	assert_int_equal(bind(fd, (struct sockaddr *)&sa, sizeof(sa)), 0);
	assert_int_equal(listen(fd, 16), 0);
	assert_int_equal(getsockname(fd, (struct sockaddr *)&sa, &len), 0);
	s->port = ntohs(sa.sin_port);
	assert_int_equal(canvas_new(&canvas_deps, s->w->settings, &s->canvas, NULL), 0);
	deps.canvas = s->canvas;
	assert_int_equal(api_new(&deps, s->w->settings, &s->api, NULL), 0);
	s->server = http_server_new(s->w->loop, &http, api_on_request, s->api);
	http_server_on_refusal(s->server, api_on_refusal, s->api);
	assert_int_equal(http_server_listen_consume(s->server, fd), 0);
}

static int surface_up(void **state)
{
	int r = set_up((void **)&surface.w);

	if (r == 0)
		serve(&surface);
	*state = &surface;
	return r;
}

static int surface_down(void **state)
{
	struct surface *s = *state;

	s->server = http_server_free(s->server);
	s->api = api_free(s->api);
	s->canvas = canvas_free(s->canvas);
	return tear_down((void **)&s->w);
}

/*
 * A client
 */
struct client {
	struct surface *s;
	int fd;
	struct strbuf in;
	bool ended;
};

static void client_start(struct client *c, struct surface *s)
{
	struct sockaddr_in sa = { .sin_family = AF_INET,
				  .sin_port = htons(s->port),
				  .sin_addr = { htonl(INADDR_LOOPBACK) } };

	*c = (struct client){ .s = s, .in = strbuf_init(STRBUF_UNLIMITED) };
	c->fd = socket(AF_INET, SOCK_STREAM | SOCK_CLOEXEC, 0);
	assert_int_equal(connect(c->fd, (struct sockaddr *)&sa, sizeof(sa)), 0);
}

static void client_done(struct client *c)
{
	close(c->fd);
	strbuf_done(&c->in);
}

static void say(struct client *c, const char *bytes, size_t len)
{
	assert_int_equal(send(c->fd, bytes, len, MSG_NOSIGNAL), (ssize_t)len);
}

static void listen_once(struct client *c)
{
	char buf[65536];
	ssize_t n;

	event_base_loop(loop_base(c->s->w->loop), EVLOOP_NONBLOCK);
	n = recv(c->fd, buf, sizeof(buf), MSG_DONTWAIT);
	for (ssize_t i = 0; i < n; i++) /* frames have NULs in their heads */
		strbuf_putc(&c->in, buf[i] ? buf[i] : '.');
	if (n == 0 || (n < 0 && errno != EAGAIN))
		c->ended = true;
}

/* What never comes is ended by the alarm of main(). */
static void wait_text(struct client *c, const char *text)
{
	while (!strstr(strbuf_str(&c->in), text)) {
		if (c->ended)
			fail_msg("ended without \"%s\": %s", text, strbuf_str(&c->in));
		listen_once(c);
	}
}

static bool has(const struct client *c, const char *text)
{
	return strstr(strbuf_str(&c->in), text) != NULL;
}

/* The answer to a request, whose connection ends with it. */
static const char *ask(struct surface *s, const char *request)
{
	static char answer[16384];
	struct client c;

	client_start(&c, s);
	say(&c, request, strlen(request));
	while (!c.ended)
		listen_once(&c);
	snprintf(answer, sizeof(answer), "%s", strbuf_str(&c.in));
	client_done(&c);
	return answer;
}

static int status_of(const char *answer)
{
	int status = 0;

	sscanf(answer, "HTTP/1.1 %d", &status);
	return status;
}

#define AUTH  "Authorization: Bearer " ADMIN_TOKEN "\r\n"
#define CLOSE "Connection: close\r\n\r\n"

/*
 * From where
 */
static char *with_port(const char *fields, uint16_t port)
{
	scoped(strbuf_done) struct strbuf b = strbuf_init(STRBUF_UNLIMITED);

	for (; *fields; fields++) {
		if (*fields == '@')
			strbuf_printf(&b, "%u", port);
		else
			strbuf_putc(&b, *fields);
	}
	return strbuf_steal(&b);
}

static void hosts_and_origins_are_held_against_the_lists(void **state)
{
	static const struct {
		const char *fields; /* @ is the port */
		int status;
	} table[] = {
		/* clang-format off */
		{ "Host: localhost:@\r\n", 200 },
		{ "Host: LOCALHOST\r\n", 200 },
		{ "Host: 127.0.0.1:@\r\n", 200 },
		{ "Host: [::1]:1\r\n", 200 },
		{ "Host: shop.example.org\r\n", 200 },
		{ "Host: evil.org\r\n", 421 },
		{ "Host: localhost.evil.org\r\n", 421 },
		{ "Host: 127.0.0.2\r\n", 421 },
		{ "Host: x.shop.example.org\r\n", 421 },
		{ "Host: localhost:@\r\nOrigin: http://localhost:@\r\n", 200 },
		{ "Host: localhost:@\r\nOrigin: HTTP://LOCALHOST:@\r\n", 200 },
		{ "Host: localhost:@\r\nOrigin: http://localhost:1\r\n", 403 },
		{ "Host: localhost:@\r\nOrigin: https://localhost:@\r\n", 403 },
		{ "Host: localhost:@\r\nOrigin: http://localhost\r\n", 403 },
		{ "Host: localhost:@\r\nOrigin: http://127.0.0.1:@\r\n", 403 },
		{ "Host: localhost:@\r\nOrigin: null\r\n", 403 },
		{ "Host: localhost:@\r\nOrigin: NULL\r\n", 403 },
		{ "Host: localhost:@\r\nOrigin: \r\n", 403 },
		{ "Host: localhost:@\r\nOrigin: *\r\n", 403 },
		{ "Host: localhost:@\r\nOrigin: http://evil.org\r\n", 403 },
		{ "Host: localhost:@\r\nOrigin: https://front.example.org\r\n", 200 },
		{ "Host: localhost:@\r\nOrigin: https://Front.Example.Org\r\n", 200 },
		{ "Host: localhost:@\r\nOrigin: https://front.example.org:443\r\n", 403 },
		{ "Host: localhost:@\r\nOrigin: https://front.example.org.evil.org\r\n", 403 },
		{ "Host: localhost:@\r\nOrigin: http://front.example.org\r\n", 403 },
		{ "Host: localhost:@\r\nOrigin: https://shop.example.org\r\n", 200 },
		/* a proxy's word counts only from a proxy */
		{ "Host: localhost:@\r\nX-Forwarded-Proto: https\r\nOrigin: https://localhost:@\r\n", 403 },
		{ "Host: evil.org\r\nX-Forwarded-Host: localhost\r\n", 421 },
		/* clang-format on */
	};
	struct surface *s = *state;
	char *origins[] = { (char *)"https://front.example.org", NULL };
	struct settings settings = *s->w->settings;

	settings.cors_origins = origins;
	settings.server_public_base_url = (char *)"https://shop.example.org:443/previews";
	assert_int_equal(api_reload(s->api, &settings, NULL), 0);
	for (size_t i = 0; i < ARRAY_SIZE(table); i++) {
		scoped(freep) char *fields = with_port(table[i].fields, s->port);
		scoped(freep) char *request =
			xasprintf("GET /healthz HTTP/1.1\r\n%s" CLOSE, fields);
		const char *answer = ask(s, request);

		if (status_of(answer) != table[i].status)
			fail_msg("%s\n-> %s", fields, answer);
		/* nobody's page may read a refusal of its origin */
		if (table[i].status != 200 && strcasestr(answer, "Access-Control-Allow-Origin"))
			fail_msg("%s\n-> %s", fields, answer);
	}
	assert_int_equal(api_reload(s->api, s->w->settings, NULL), 0);
}

static void the_target_of_a_proxy_request_is_its_host(void **state)
{
	struct surface *s = *state;

	assert_int_equal(status_of(ask(s, "GET http://evil.org/healthz HTTP/1.1\r\n"
					  "Host: evil.org\r\n" CLOSE)),
			 421);
	assert_int_equal(status_of(ask(s, "GET http://localhost/healthz HTTP/1.1\r\n"
					  "Host: localhost\r\n" CLOSE)),
			 200);
	assert_int_equal(status_of(ask(s, "GET http://localhost/healthz HTTP/1.1\r\n"
					  "Host: evil.org\r\n" CLOSE)),
			 400);
	assert_int_equal(status_of(ask(s, "GET /healthz HTTP/1.0\r\n\r\n")), 421);
}

static void a_trusted_proxy_says_what_the_client_spoke(void **state)
{
	struct surface *s = *state;
	char *proxies[] = { (char *)"127.0.0.1", NULL };
	struct settings settings = *s->w->settings;

	settings.server_trusted_proxies = proxies;
	assert_int_equal(api_reload(s->api, &settings, NULL), 0);
	assert_int_equal(status_of(ask(s, "GET /healthz HTTP/1.1\r\nHost: localhost\r\n"
					  "X-Forwarded-Proto: https\r\n"
					  "Origin: https://localhost\r\n" CLOSE)),
			 200);
	assert_int_equal(status_of(ask(s, "GET /healthz HTTP/1.1\r\nHost: localhost\r\n"
					  "X-Forwarded-Proto: https\r\n"
					  "Origin: http://localhost\r\n" CLOSE)),
			 403);
	assert_int_equal(api_reload(s->api, s->w->settings, NULL), 0);
}

#define UPGRADE                                                                      \
	"Connection: Upgrade\r\nUpgrade: websocket\r\nSec-WebSocket-Version: 13\r\n" \
	"Sec-WebSocket-Key: dGhlIHNhbXBsZSBub25jZQ==\r\n"

static void a_foreign_page_opens_no_stream(void **state)
{
	struct surface *s = *state;
	struct client c;
	static const char request[] = "GET /ws/events?session_id=s1 HTTP/1.1\r\nHost: localhost\r\n"
				      "Origin: http://evil.org\r\n" UPGRADE "\r\n";

	client_start(&c, s);
	say(&c, request, strlen(request));
	wait_text(&c, "origin_not_allowed");
	assert_true(has(&c, "HTTP/1.1 403"));
	client_done(&c);
}

static void a_preflight_answers_allowed_origins_without_a_credential(void **state)
{
	struct surface *s = *state;
	const char *answer;

	answer = ask(s, "OPTIONS /api/previews HTTP/1.1\r\nHost: localhost\r\n"
			"Origin: http://localhost\r\nAccess-Control-Request-Method: GET\r\n" CLOSE);
	assert_int_equal(status_of(answer), 204);
	assert_non_null(strcasestr(answer, "Access-Control-Allow-Origin: http://localhost\r\n"));
	assert_null(strcasestr(answer, "Access-Control-Allow-Credentials"));
	answer = ask(s, "OPTIONS /api/previews HTTP/1.1\r\nHost: localhost\r\n"
			"Origin: http://evil.org\r\nAccess-Control-Request-Method: GET\r\n" CLOSE);
	assert_int_equal(status_of(answer), 403);
}

/*
 * Who
 */
static void statuses_are_the_contracts(void **state)
{
#define REST "HTTP/1.1\r\nHost: localhost\r\n"
#define S1   "/api/apps/shop/sessions/s1"
#define JSON "Content-Type: application/json\r\n"
	static const struct {
		const char *request;
		int status;
		const char *code;
	} table[] = {
		/* clang-format off */
		{ "GET " S1 " " REST CLOSE, 401, "unauthenticated" },
		{ "GET " S1 " " REST "Authorization: Basic YTpi\r\n" CLOSE, 401, "unauthenticated" },
		{ "GET " S1 " " REST "Authorization: Bearer wrong\r\n" CLOSE, 401, "token_invalid" },
		{ "GET " S1 " " REST "Cookie: token=admin\r\n" CLOSE, 401, "unauthenticated" },
		{ "GET " S1 "?token=admin " REST CLOSE, 401, "unauthenticated" },
		{ "GET /metrics " REST CLOSE, 401, "unauthenticated" },
		{ "GET " S1 " " REST AUTH CLOSE, 404, "session_not_found" },
		{ "DELETE " S1 "/previews/x " REST AUTH CLOSE, 404, "session_not_found" },
		{ "GET /api/apps/../sessions/s1 " REST AUTH CLOSE, 400, "bad_request" },
		{ "GET /api/apps/a%20b/sessions/s1 " REST AUTH CLOSE, 422, "invalid_field" },
		{ "GET /api/nothing " REST CLOSE, 404, "not_found" },
		{ "PATCH " S1 " " REST AUTH CLOSE, 405, "method_not_allowed" },
		{ "POST " S1 "/previews " REST AUTH CLOSE, 422, "invalid_field" },
		{ "POST " S1 "/previews " REST AUTH "Content-Length: 2\r\n" CLOSE "{}", 415, "unsupported_media_type" },
		{ "POST " S1 "/previews " REST AUTH JSON "Content-Length: 1\r\n" CLOSE "{", 400, "bad_json" },
		{ "POST " S1 "/previews " REST AUTH JSON "Content-Length: 2\r\n" CLOSE "[]", 400, "bad_json" },
		{ "POST " S1 "/previews " REST AUTH JSON "Content-Length: 20\r\n" CLOSE "{\"port\":9e999999999}", 400, "bad_json" },
		{ "POST " S1 "/previews " REST AUTH JSON "Content-Length: 26\r\n" CLOSE "{\"port\":18446744073709556}", 422, "invalid_field" },
		{ "POST " S1 "/previews " REST AUTH JSON "Content-Length: 15\r\n" CLOSE "{\"port\":5173.5}", 422, "invalid_field" },
		{ "POST " S1 "/previews " REST AUTH JSON "Content-Length: 11\r\n" CLOSE "{\"port\":80}", 403, "target_not_allowed" },
		{ "POST " S1 "/previews " REST AUTH JSON "Content-Length: 99999999\r\n" CLOSE, 413, "body_too_large" },
		{ "GET /api/apps/shop/web-preview " REST AUTH CLOSE, 422, "invalid_field" },
		{ "GET /api/previews?limit=0 " REST AUTH CLOSE, 422, "invalid_field" },
		{ "GET /api/previews?after=nobody " REST AUTH CLOSE, 422, "invalid_field" },
		{ "GET /ws/events " REST AUTH CLOSE, 426, "upgrade_required" },
		/* clang-format on */
	};
	struct surface *s = *state;

	for (size_t i = 0; i < ARRAY_SIZE(table); i++) {
		const char *answer = ask(s, table[i].request);
		scoped(freep) char *code = xasprintf("\"code\":\"%s\"", table[i].code);

		if (status_of(answer) != table[i].status || !strstr(answer, code))
			fail_msg("%s\n-> %s", table[i].request, answer);
	}
}

/*
 * Streams
 */
static void stream_open(struct client *c, struct surface *s, const char *query, const char *fields)
{
	scoped(freep) char *request =
		xasprintf("GET /ws/events?%s HTTP/1.1\r\nHost: localhost\r\n" UPGRADE "%s\r\n",
			  query, fields);

	client_start(c, s);
	say(c, request, strlen(request));
	wait_text(c, "\r\n\r\n");
}

/* One masked text frame, by a mask of zeros. */
static void say_frame(struct client *c, const char *text)
{
	size_t len = strlen(text);
	char small[6] = { (char)0x81, (char)(0x80 | len) };
	char large[8] = { (char)0x81, (char)(0x80 | 126), (char)(len >> 8), (char)len };

	if (len < 126)
		say(c, small, sizeof(small));
	else
		say(c, large, sizeof(large));
	say(c, text, len);
}

static void a_stream_joins_with_a_snapshot_and_hears(void **state)
{
	struct surface *s = *state;
	struct client c;

	attach(s->w, s->w->ann, "s1", "web", 5173);
	stream_open(&c, s, "session_id=s1", AUTH);
	wait_text(&c, "preview:snapshot");
	assert_true(has(&c, "\"recovered\":\"snapshot\""));
	wait_text(&c, "\"name\":\"web\"");
	detach(s->w, s->w->ann, "s1", "web");
	wait_text(&c, "web_preview:detached");
	client_done(&c);
}

/* The ring is sized at start: a reload that makes it smaller must not make the replay overflow. */
static void a_replay_after_a_reload_is_whole(void **state)
{
	struct surface *s = *state;
	struct settings settings = *s->w->settings;
	scoped(freep) char *query =
		xasprintf("session_id=s1&since=0&epoch=%s", bus_epoch(s->w->bus));
	struct client c;

	for (unsigned i = 0; i < 40; i++)
		attach(s->w, s->w->ann, "s1", "web", 5000 + i);
	settings.events_ring = 1;
	assert_int_equal(api_reload(s->api, &settings, NULL), 0);
	stream_open(&c, s, query, AUTH);
	wait_text(&c, "\"port\":5039");
	assert_true(has(&c, "\"recovered\":\"replayed\""));
	assert_true(has(&c, "\"port\":5000"));
	client_done(&c);
	assert_int_equal(api_reload(s->api, s->w->settings, NULL), 0);
}

static void a_browser_authenticates_by_its_first_frame(void **state)
{
	struct surface *s = *state;
	struct client c;

	attach(s->w, s->w->ann, "s1", "web", 5173);
	stream_open(&c, s, "session_id=s1", "Origin: http://localhost\r\n");
	say_frame(&c, "{\"type\":\"ping\"}");
	wait_text(&c, "unauthenticated");
	assert_false(has(&c, "joined"));
	say_frame(&c, "{\"type\":\"auth\",\"token\":\"" ADMIN_TOKEN "\"}");
	wait_text(&c, "preview:snapshot");
	say_frame(&c, "nonsense");
	wait_text(&c, "bad_json");
	say_frame(&c, "{\"type\":\"ping\"}");
	wait_text(&c, "pong");
	client_done(&c);
}

static void a_wrong_first_frame_closes_with_4401(void **state)
{
	struct surface *s = *state;
	struct client c;

	stream_open(&c, s, "session_id=s1", "");
	say_frame(&c, "{\"type\":\"auth\",\"token\":\"wrong\"}");
	wait_text(&c, "token_invalid");
	wait_text(&c, "\x11\x31"); /* 4401 */
	client_done(&c);
}

static void filters_let_through_what_they_name(void **state)
{
	struct surface *s = *state;
	scoped(freep) char *huge = xcalloc(1, 10000);
	scoped(freep) char *message = NULL;
	struct client c;

	attach(s->w, s->w->ann, "s1", "web", 5173);
	stream_open(&c, s, "session_id=s1&event_types=web_preview:detached&entity_ids=,", AUTH);
	wait_text(&c, "preview:snapshot");
	attach(s->w, s->w->ann, "s1", "web", 5174);
	wait_text(&c, "\"reason\":\"replaced\"");

	memset(huge, 'x', 9999);
	message = xasprintf("{\"type\":\"subscribe\",\"entity_ids\":[\"%s\"]}", huge);
	say_frame(&c, message);
	wait_text(&c, "invalid_field");
	say_frame(&c, "{\"type\":\"subscribe\",\"event_types\":[]}");
	wait_text(&c, "subscribed");
	attach(s->w, s->w->ann, "s1", "web", 5175);
	wait_text(&c, "\"port\":5175");
	assert_false(has(&c, "\"port\":5174"));
	client_done(&c);
}

static void a_stream_of_an_unknown_session_hears_when_it_comes(void **state)
{
	struct surface *s = *state;
	struct client c;

	stream_open(&c, s, "session_id=later", AUTH);
	wait_text(&c, "preview:snapshot");
	attach(s->w, s->w->ann, "later", "web", 5173);
	wait_text(&c, "web_preview:attached");
	client_done(&c);
}

#define test(name) cmocka_unit_test_setup_teardown(name, surface_up, surface_down)

int main(void)
{
	const struct CMUnitTest tests[] = {
		test(hosts_and_origins_are_held_against_the_lists),
		test(the_target_of_a_proxy_request_is_its_host),
		test(a_trusted_proxy_says_what_the_client_spoke),
		test(a_foreign_page_opens_no_stream),
		test(a_preflight_answers_allowed_origins_without_a_credential),
		test(statuses_are_the_contracts),
		test(a_stream_joins_with_a_snapshot_and_hears),
		test(a_replay_after_a_reload_is_whole),
		test(a_browser_authenticates_by_its_first_frame),
		test(a_wrong_first_frame_closes_with_4401),
		test(filters_let_through_what_they_name),
		test(a_stream_of_an_unknown_session_hears_when_it_comes),
	};

	signal(SIGPIPE, SIG_IGN);
	alarm(120);
	return cmocka_run_group_tests(tests, NULL, NULL);
}
