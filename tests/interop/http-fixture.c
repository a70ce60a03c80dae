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
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "base/mem.h"
#include "fixture.h"
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

static void reply_state(struct fixture *f, struct http_request *req)
{
	char text[96];

	snprintf(text, sizeof(text), "{\"fds\":%u,\"connections\":%zu}\n", fixture_descriptors(),
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

int main(void)
{
	const struct http_settings settings = fixture_settings();
	struct fixture f = { .loop = loop_new() };

	if (!f.loop)
		return EXIT_FAILURE;
	f.server = fixture_serve(f.loop, &settings, on_head, &f);
	if (!f.server)
		return EXIT_FAILURE;
	fixture_run(f.loop, fixture_on_input, f.loop);
	http_server_free(f.server);
	loop_free(f.loop);
	return EXIT_SUCCESS;
}
