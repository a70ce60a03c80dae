/* SPDX-License-Identifier: MIT */
/*
 * The client against the other side of a socket: a thread that plays a daemon word by word.
 */
#include <errno.h>
#include <pthread.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stdint.h>
#include <stdlib.h>
#include <string.h>
#include <sys/socket.h>
#include <sys/un.h>
#include <unistd.h>
/* cmocka wants those above it */
#include <cmocka.h>

#include "base/crypto.h"
#include "base/json.h"
#include "base/mem.h"
#include "base/strbuf.h"
#include "ctl/client.h"
#include "ctl/ctl.h"
#include "ctl/ws.h"

/* What the other side does with its end; it asserts nothing, for it is not the test's thread. */
struct peer {
	int fd;
	const char *answer; /* sent when the head has come; "%s" in it is the WebSocket's key */
	const char *frames; /* and these behind it */
	size_t n_frames;
	struct strbuf heard;
	bool until_end; /* go on hearing until the client is gone */
	pthread_t thread;
};

static void write_all(int fd, const void *data, size_t len)
{
	ssize_t n = send(fd, data, len, MSG_NOSIGNAL);

	(void)n;
}

static void hear(struct peer *p, const char *until)
{
	char buffer[1024];
	ssize_t n;

	while ((!until || !strstr(strbuf_str(&p->heard), until)) &&
	       (n = read(p->fd, buffer, sizeof(buffer))) > 0)
		strbuf_add(&p->heard, buffer, (size_t)n);
}

static void *peer_main(void *arg)
{
	struct peer *p = arg;
	char key[64] = "", accept[29] = "";
	const char *field;
	scoped(freep) char *answer = NULL;
	const char *hole;

	hear(p, "\r\n\r\n");
	field = strstr(strbuf_str(&p->heard), "Sec-WebSocket-Key: ");
	if (field) {
		sscanf(field, "Sec-WebSocket-Key: %63s", key);
		websocket_accept_key(key, accept);
	}
	hole = strstr(p->answer, "%s");
	answer = hole ? xasprintf("%.*s%s%s", (int)(hole - p->answer), p->answer, accept, hole + 2)
		      : xstrdup(p->answer);
	write_all(p->fd, answer, strlen(answer));
	write_all(p->fd, p->frames, p->n_frames);
	if (p->until_end) {
		strbuf_reset(&p->heard);
		hear(p, NULL);
	}
	close(p->fd);
	return NULL;
}

static ssize_t receive(void *arg, void *buffer, size_t size)
{
	ssize_t n = recv(*(int *)arg, buffer, size, MSG_DONTWAIT);

	return n < 0 ? -errno : n;
}

static ssize_t send_bytes(void *arg, const void *data, size_t len)
{
	ssize_t n = send(*(int *)arg, data, len, MSG_DONTWAIT | MSG_NOSIGNAL);

	return n < 0 ? -errno : n;
}

static struct ws *open_with(struct peer *p, int *fd, struct problem *reterr)
{
	int pair[2];

	assert_int_equal(socketpair(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC, 0, pair), 0);
	p->fd = pair[1];
	p->heard = strbuf_init(1 << 20);
	*fd = pair[0];
	assert_int_equal(pthread_create(&p->thread, NULL, peer_main, p), 0);
	return ws_open(&(struct ws_transport){ receive, send_bytes, fd, *fd, -1 },
		       &(struct ws_request){ "localhost", "/ws/events?session_id=s", "secret" }, 10,
		       reterr);
}

static void peer_join(struct peer *p, int fd)
{
	close(fd);
	pthread_join(p->thread, NULL);
}

#define SWITCH                                                                               \
	"HTTP/1.1 101 Switching Protocols\r\nupgrade: WebSocket\r\nConnection: keep-alive, " \
	"Upgrade\r\n"                                                                        \
	"Sec-WebSocket-Accept: %s\r\n\r\n"

static void frames_arrive_as_messages_and_pings_are_answered(void **state)
{
	/* A message in one frame, a ping, a message in two frames. */
	static const char frames[] = "\x81\x05hello\x89\x02hi\x01\x03"
				     "wor\x80\x02ld";
	struct peer p = { .answer = SWITCH,
			  .frames = frames,
			  .n_frames = sizeof(frames) - 1,
			  .until_end = true };
	scoped(problem_done) struct problem problem = { 0 };
	const char *text;
	size_t len;
	int fd;
	struct ws *ws = open_with(&p, &fd, &problem);
	const unsigned char *heard;

	(void)state;
	assert_non_null(ws);
	assert_int_equal(ws_receive(ws, 10, &text, &len), 1);
	assert_int_equal(len, 5);
	assert_string_equal(text, "hello");
	assert_int_equal(ws_receive(ws, 10, &text, &len), 1);
	assert_string_equal(text, "world");
	ws_free(ws);
	peer_join(&p, fd);

	/* The pong: final, masked, two bytes that are "hi" beneath the mask. */
	heard = (const unsigned char *)strbuf_str(&p.heard);
	assert_true(p.heard.len >= 8);
	assert_int_equal(heard[0], 0x8a);
	assert_int_equal(heard[1], 0x82);
	assert_int_equal(heard[6] ^ heard[2], 'h');
	assert_int_equal(heard[7] ^ heard[3], 'i');
	strbuf_done(&p.heard);
}

static void a_close_says_why(void **state)
{
	static const char frames[] = "\x81\x01x\x88\x06\x11\x34gone";
	struct peer p = { .answer = SWITCH,
			  .frames = frames,
			  .n_frames = sizeof(frames) - 1,
			  .until_end = true };
	scoped(problem_done) struct problem problem = { 0 };
	const char *text;
	size_t len;
	int fd;
	struct ws *ws = open_with(&p, &fd, &problem);

	(void)state;
	assert_non_null(ws);
	assert_int_equal(ws_receive(ws, 10, &text, &len), 1);
	assert_int_equal(ws_receive(ws, 10, &text, &len), 0);
	assert_int_equal(ws_close_code(ws), 4404);
	assert_string_equal(ws_close_reason(ws), "gone");
	ws_free(ws);
	peer_join(&p, fd);
	strbuf_done(&p.heard);
}

static void the_handshake_says_who_asks(void **state)
{
	struct peer p = { .answer = SWITCH };
	scoped(problem_done) struct problem problem = { 0 };
	int fd;
	struct ws *ws = open_with(&p, &fd, &problem);
	const char *text;
	size_t len;

	(void)state;
	assert_non_null(ws);
	/* It closes without a word. */
	assert_int_equal(ws_receive(ws, 10, &text, &len), 0);
	assert_int_equal(ws_close_code(ws), 1006);
	ws_free(ws);
	peer_join(&p, fd);
	assert_int_equal(
		strncmp(strbuf_str(&p.heard), "GET /ws/events?session_id=s HTTP/1.1\r\n", 38), 0);
	assert_non_null(strstr(p.heard.data, "\r\nAuthorization: Bearer secret\r\n"));
	assert_non_null(strstr(p.heard.data, "\r\nSec-WebSocket-Version: 13\r\n"));
	strbuf_done(&p.heard);
}

static void what_is_no_websocket_is_refused(void **state)
{
	/* clang-format off */
	static const struct {
		const char *answer;
		int exit_code;
		const char *code;
	} rows[] = {
		{ "HTTP/1.1 404 Not Found\r\nContent-Length: 52\r\n\r\n"
		  "{\"code\":\"session_not_found\",\"detail\":\"No such one.\"}", EXIT_NOT_FOUND, "session_not_found" },
		{ "HTTP/1.1 401 Unauthorized\r\n\r\n{\"code\":\"unauthenticated\"}", EXIT_NOT_ALLOWED, "unauthenticated" },
		{ "HTTP/1.1 200 OK\r\nContent-Length: 2\r\n\r\nok", EXIT_FAILED, "bad_answer" },
		{ "HTTP/1.1 101 Switching Protocols\r\nUpgrade: websocket\r\nConnection: Upgrade\r\n"
		  "Sec-WebSocket-Accept: AAAAAAAAAAAAAAAAAAAAAAAAAAA=\r\n\r\n", EXIT_FAILED, "bad_answer" },
		{ "HTTP/1.1 101 Switching Protocols\r\nConnection: Upgrade\r\nSec-WebSocket-Accept: %s\r\n\r\n",
		  EXIT_FAILED, "bad_answer" },
		{ "SSH-2.0-OpenSSH\r\n\r\n", EXIT_UNREACHABLE, "bad_answer" },
		{ "HTTP/1.1 101", EXIT_UNREACHABLE, "unreachable" },
	};
	/* clang-format on */

	(void)state;
	for (size_t i = 0; i < ARRAY_SIZE(rows); i++) {
		struct peer p = { .answer = rows[i].answer };
		scoped(problem_done) struct problem problem = { 0 };
		int fd;

		assert_null(open_with(&p, &fd, &problem));
		peer_join(&p, fd);
		strbuf_done(&p.heard);
		assert_string_equal(problem.code, rows[i].code);
		assert_int_equal(problem.exit_code, rows[i].exit_code);
	}
}

static void a_frame_that_breaks_the_protocol_ends_it(void **state)
{
	static const char frames[] = "\x81\x01x\x83\x01y"; /* opcode 3 is nobody's */
	struct peer p = { .answer = SWITCH,
			  .frames = frames,
			  .n_frames = sizeof(frames) - 1,
			  .until_end = true };
	scoped(problem_done) struct problem problem = { 0 };
	int fd;
	struct ws *ws = open_with(&p, &fd, &problem);
	const char *text;
	size_t len;

	(void)state;
	assert_int_equal(ws_receive(ws, 10, &text, &len), 1);
	assert_int_equal(ws_receive(ws, 10, &text, &len), -EPROTO);
	ws_free(ws);
	peer_join(&p, fd);
	strbuf_done(&p.heard);
}

/* A daemon on a unix socket, for one request. */
struct served {
	struct peer peer;
	char directory[32];
	char path[64];
	int listener;
	struct client *client;
	pthread_t thread;
};

static void *serve_one(void *arg)
{
	struct served *s = arg;

	s->peer.fd = accept(s->listener, NULL, NULL);
	return peer_main(&s->peer);
}

static void serve(struct served *s, const char *answer)
{
	struct sockaddr_un address = { .sun_family = AF_UNIX };

	*s = (struct served){ .directory = "/tmp/test_ctl_XXXXXX", .peer.answer = answer };
	s->peer.heard = strbuf_init(1 << 20);
	assert_non_null(mkdtemp(s->directory));
	snprintf(s->path, sizeof(s->path), "%s/s", s->directory);
	strcpy(address.sun_path, s->path);
	s->listener = socket(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC, 0);
	assert_int_equal(bind(s->listener, (struct sockaddr *)&address, sizeof(address)), 0);
	assert_int_equal(listen(s->listener, 1), 0);
	assert_int_equal(pthread_create(&s->thread, NULL, serve_one, s), 0);
	s->client = client_new(&(struct endpoint){ .socket_path = s->path, .token = NULL });
}

static void served_done(struct served *s)
{
	client_free(s->client);
	close(s->listener);
	unlink(s->path);
	rmdir(s->directory);
	strbuf_done(&s->peer.heard);
}

static void a_request_goes_over_the_socket(void **state)
{
	scoped(problem_done) struct problem problem = { 0 };
	scoped(json_freep) cJSON *body = cJSON_CreateObject();
	scoped(json_freep) cJSON *answer = NULL;
	struct served s;

	(void)state;
	/* A proxy that nobody must ask. */
	setenv("http_proxy", "http://127.0.0.1:9", 1);
	serve(&s, "HTTP/1.1 201 Created\r\nContent-Length: 14\r\nConnection: "
		  "close\r\n\r\n{\"url\":\"here\"}");
	json_add_u64(body, "port", 3000);
	assert_int_equal(
		client_call(s.client, 10 * USEC_PER_SEC, "POST", "/api/x", body, &answer, &problem),
		201);
	pthread_join(s.thread, NULL);
	assert_string_equal(json_string(answer, "url"), "here");
	assert_int_equal(strncmp(strbuf_str(&s.peer.heard), "POST /api/x HTTP/1.1\r\n", 22), 0);
	assert_non_null(strstr(s.peer.heard.data, "\r\nContent-Type: application/json\r\n"));
	served_done(&s);
	unsetenv("http_proxy");
}

static void a_redirect_is_not_followed(void **state)
{
	scoped(problem_done) struct problem problem = { 0 };
	struct served s;

	(void)state;
	serve(&s, "HTTP/1.1 302 Found\r\nLocation: http://127.0.0.1:9/\r\nContent-Length: 0\r\n"
		  "Connection: close\r\n\r\n");
	assert_int_equal(
		client_call(s.client, 10 * USEC_PER_SEC, "GET", "/x", NULL, NULL, &problem), -1);
	pthread_join(s.thread, NULL);
	assert_int_equal(problem.http_status, 302);
	assert_int_equal(problem.exit_code, EXIT_FAILED);
	served_done(&s);
}

static void nobody_there_is_unreachable_and_says_how_to_start_it(void **state)
{
	scoped(problem_done) struct problem problem = { 0 };
	scoped(client_freep) struct client *client =
		client_new(&(struct endpoint){ .socket_path = (char *)"/nonexistent/p.sock" });

	(void)state;
	assert_int_equal(client_call(client, 10 * USEC_PER_SEC, "GET", "/x", NULL, NULL, &problem),
			 -1);
	assert_int_equal(problem.exit_code, EXIT_UNREACHABLE);
	assert_non_null(strstr(problem.message, "/nonexistent/p.sock"));
	assert_non_null(strstr(problem.hint, "systemctl --user start previewd"));
}

static void the_daemon_is_found_in_order(void **state)
{
	/* clang-format off */
	static const struct {
		const char *option;
		const char *environment[4];
		const char *socket_path, *url, *token;
	} rows[] = {
		{ "/o", { "PREVIEWD_SOCKET=/e", "PREVIEWD_URL=http://u" }, "/o", NULL, NULL },
		{ NULL, { "PREVIEWD_SOCKET=/e", "PREVIEWD_URL=http://u" }, "/e", NULL, NULL },
		{ NULL, { "PREVIEWD_URL=https://u/p//", "PREVIEWD_TOKEN=t" }, NULL, "https://u/p", "t" },
		{ NULL, { "PREVIEWD_URL=http://u" }, NULL, "http://u", NULL },
	};
	/* clang-format on */

	(void)state;
	for (size_t i = 0; i < ARRAY_SIZE(rows); i++) {
		struct ctl ctl = { .environment = rows[i].environment };
		scoped(endpoint_done) struct endpoint e = { 0 };
		scoped(problem_done) struct problem problem = { 0 };

		ctl.common[CTL_SOCKET].text = rows[i].option;
		assert_int_equal(endpoint_find(&ctl, &e, &problem), 0);
		assert_string_equal(e.socket_path ? e.socket_path : "-",
				    rows[i].socket_path ? rows[i].socket_path : "-");
		assert_string_equal(e.url ? e.url : "-", rows[i].url ? rows[i].url : "-");
		assert_string_equal(e.token ? e.token : "-", rows[i].token ? rows[i].token : "-");
	}
}

static void an_address_that_is_no_http_is_refused(void **state)
{
	const char *environment[] = { "PREVIEWD_URL=file:///etc/passwd", NULL };
	struct ctl ctl = { .environment = environment };
	scoped(endpoint_done) struct endpoint e = { 0 };
	scoped(problem_done) struct problem problem = { 0 };

	(void)state;
	assert_int_equal(endpoint_find(&ctl, &e, &problem), -1);
	assert_int_equal(problem.exit_code, EXIT_USAGE);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(frames_arrive_as_messages_and_pings_are_answered),
		cmocka_unit_test(a_close_says_why),
		cmocka_unit_test(the_handshake_says_who_asks),
		cmocka_unit_test(what_is_no_websocket_is_refused),
		cmocka_unit_test(a_frame_that_breaks_the_protocol_ends_it),
		cmocka_unit_test(a_request_goes_over_the_socket),
		cmocka_unit_test(a_redirect_is_not_followed),
		cmocka_unit_test(nobody_there_is_unreachable_and_says_how_to_start_it),
		cmocka_unit_test(the_daemon_is_found_in_order),
		cmocka_unit_test(an_address_that_is_no_http_is_refused),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
