/* SPDX-License-Identifier: MIT */
/*
 * A small server on src/http, for clients that are not ours: prints its port, ends when its
 * standard input does.
 *
 *	GET  /json        185 bytes of JSON
 *	POST /echo        the body
 *	GET  /slow?ms=N   an answer after that time
 *	GET  /stream      ten lines, chunked
 *	GET  /ws-echo     a WebSocket that sends back what it gets
 *	GET  /state       open descriptors and connections
 */
#include <arpa/inet.h>
#include <dirent.h>
#include <event2/event.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/socket.h>
#include <unistd.h>

#include "base/mem.h"
#include "http/server.h"
#include "http/websocket.h"
#include "loop/loop.h"

struct fixture {
	struct loop *loop;
	struct http_server *server;
};

struct slow {
	struct http_request *req;
	struct timer *timer;
};

static void reply_text(struct http_request *req, int status, const char *text)
{
	http_reply(req, status, "text/plain; charset=utf-8", text, strlen(text));
}

static void reply_json(struct http_request *req)
{
	static const char json[] =
		"{\"previews\":[{\"session_id\":\"5b1c2f3e\",\"name\":\"default\",\"type\":"
		"\"proxy\","
		"\"url\":\"http://localhost:5173/\",\"host\":\"127.0.0.1\",\"port\":5173,"
		"\"path\":\"/\",\"status\":\"up\",\"idle\":12}]}\n";

	http_reply(req, 200, "application/json", json, sizeof(json) - 1);
}

static void on_echo_body(struct http_request *req, void *arg)
{
	size_t len;
	const char *body = http_request_body(req, &len);

	(void)arg;
	http_reply(req, 200, "application/octet-stream", body, len);
}

static void slow_free(struct slow *slow)
{
	timer_free(slow->timer);
	free(slow);
}

static void on_slow_time(void *arg)
{
	struct slow *slow = arg;

	reply_text(slow->req, 200, "slow\n");
	slow_free(slow);
}

static void on_slow_gone(void *arg)
{
	slow_free(arg);
}

static void start_slow(struct fixture *f, struct http_request *req)
{
	struct slow *slow = xcalloc(1, sizeof(*slow));
	const char *query = http_request_query(req);
	unsigned ms = 100;

	if (strncmp(query, "ms=", 3) == 0)
		ms = (unsigned)strtoul(query + 3, NULL, 10);
	slow->req = req;
	slow->timer = timer_new(f->loop, on_slow_time, slow);
	timer_set(slow->timer, ms * USEC_PER_MSEC);
	http_request_on_gone(req, on_slow_gone, slow);
}

static void start_stream(struct http_request *req)
{
	static const struct http_stream_ops ops = { 0 };
	struct http_stream *s = http_stream_start(req, 200, "text/plain", &ops, NULL);

	for (unsigned i = 0; i < 10; i++) {
		char line[32];
		int len = snprintf(line, sizeof(line), "line %u\n", i);

		if (http_stream_write(s, line, (size_t)len) < 0) {
			http_stream_abort(s);
			return;
		}
	}
	http_stream_end(s);
}

static void on_message(struct websocket *ws, enum websocket_opcode opcode, const void *bytes,
		       size_t len, void *arg)
{
	(void)arg;
	websocket_send(ws, opcode, bytes, len);
}

static void on_closed(struct websocket *ws, int code, void *arg)
{
	(void)ws;
	(void)code;
	(void)arg;
}

static unsigned open_descriptors(void)
{
	DIR *dir = opendir("/proc/self/fd");
	unsigned n = 0;

	while (dir && readdir(dir))
		n++;
	if (dir)
		closedir(dir);
	return n - 3; /* ".", ".." and the directory's own */
}

static void reply_state(struct fixture *f, struct http_request *req)
{
	char text[96];

	snprintf(text, sizeof(text), "{\"fds\":%u,\"connections\":%zu}\n", open_descriptors(),
		 http_server_connections(f->server));
	http_reply(req, 200, "application/json", text, strlen(text));
}

static void on_head(struct http_request *req, void *arg)
{
	static const struct websocket_ops echo = { on_message, on_closed };
	const char *path = http_request_path(req);
	struct fixture *f = arg;

	if (strcmp(path, "/json") == 0)
		reply_json(req);
	else if (strcmp(path, "/echo") == 0)
		http_request_expect(req, 1024 * 1024, on_echo_body, NULL);
	else if (strcmp(path, "/slow") == 0)
		start_slow(f, req);
	else if (strcmp(path, "/stream") == 0)
		start_stream(req);
	else if (strcmp(path, "/ws-echo") == 0)
		websocket_accept(req, NULL, &echo, NULL);
	else if (strcmp(path, "/state") == 0)
		reply_state(f, req);
	else
		reply_text(req, 404, "not here\n");
}

static void on_stdin(evutil_socket_t fd, short what, void *arg)
{
	struct fixture *f = arg;
	char ignored[256];

	(void)what;
	if (read(fd, ignored, sizeof(ignored)) <= 0)
		loop_stop(f->loop);
}

static int listen_anywhere(uint16_t *ret_port)
{
	struct sockaddr_in sa = { .sin_family = AF_INET,
				  .sin_addr.s_addr = htonl(INADDR_LOOPBACK) };
	socklen_t len = sizeof(sa);
	int fd = socket(AF_INET, SOCK_STREAM | SOCK_CLOEXEC, 0);

	if (fd < 0 || bind(fd, (struct sockaddr *)&sa, sizeof(sa)) < 0 || listen(fd, 511) < 0 ||
	    getsockname(fd, (struct sockaddr *)&sa, &len) < 0)
		return -1;
	*ret_port = ntohs(sa.sin_port);
	return fd;
}

int main(void)
{
	const struct http_settings settings = {
		.connections_max = 4096,
		.header_timeout = 10 * USEC_PER_SEC,
		.body_timeout = 10 * USEC_PER_SEC,
		.idle_timeout = 60 * USEC_PER_SEC,
		.write_timeout = 30 * USEC_PER_SEC,
		.output_max = 1024 * 1024,
		.ws_message_max = 256 * 1024,
		.ws_ping_interval = 20 * USEC_PER_SEC,
	};
	struct fixture f = { .loop = loop_new() };
	struct event *input;
	uint16_t port;
	int fd = listen_anywhere(&port);

	if (!f.loop || fd < 0)
		return EXIT_FAILURE;
	f.server = http_server_new(f.loop, &settings, on_head, &f);
	if (http_server_listen_consume(f.server, fd) < 0)
		return EXIT_FAILURE;
	/* a pipe: /dev/null and files are nothing epoll takes */
	input = event_new(loop_base(f.loop), STDIN_FILENO, EV_READ | EV_PERSIST, on_stdin, &f);
	event_add(input, NULL);
	printf("%u\n", port);
	fflush(stdout);

	loop_run(f.loop);

	event_free(input);
	http_server_free(f.server);
	loop_free(f.loop);
	return EXIT_SUCCESS;
}
