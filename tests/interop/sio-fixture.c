/* SPDX-License-Identifier: MIT */
/*
 * A small server on src/socketio, for the stock clients, the protocol's own test suites and the
 * load generator: prints its port, ends when its standard input does.
 *
 *	/engine.io/   sends back every message
 *	/socket.io/   namespaces / and /custom: emits "auth" with what came in CONNECT; see `events`
 *	/ws-echo      a WebSocket that sends back what it gets
 *	/state        open descriptors, connections and clients, and how many requests have come
 *
 * sio-fixture [port=N] [ping_interval=MS] [ping_timeout=MS] [connect_timeout=MS] [output_max=BYTES]
 *	[sessions_max=N]
 * Without these, what the protocol's suites want.
 */
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/resource.h>

#include "base/log.h"
#include "base/mem.h"
#include "base/parse.h"
#include "base/strbuf.h"
#include "fixture.h"
#include "http/server.h"
#include "http/websocket.h"
#include "loop/loop.h"
#include "socketio/engineio.h"
#include "socketio/socketio.h"

LOG_AREA("fixture");

#define PAYLOAD_MAX 1000000

struct fixture {
	struct loop *loop;
	struct http_server *server;
	struct engineio *engine;
	struct socketio *socketio;
	unsigned requests; /* of the protocol */
};

static struct {
	const char *name;
	unsigned value;
} options[] = {
/* clang-format off */
#define PORT            options[0].value
	{ "port", 0 },
#define PING_INTERVAL   options[1].value
	{ "ping_interval", 300 },
#define PING_TIMEOUT    options[2].value
	{ "ping_timeout", 200 },
#define CONNECT_TIMEOUT options[3].value
	{ "connect_timeout", 1000 },
#define OUTPUT_MAX      options[4].value
	{ "output_max", 16 * 1024 * 1024 },
#define SESSIONS_MAX    options[5].value
	{ "sessions_max", 20000 },
	/* clang-format on */
};

/*
 * Echoes
 */

static bool on_engine_open(struct eio_session *s, const struct http_request *req, void *arg)
{
	(void)s;
	(void)req;
	(void)arg;
	return true;
}

static void on_engine_message(struct eio_session *s, bool is_binary, const char *data, size_t len,
			      void *arg)
{
	(void)arg;
	if (is_binary)
		eio_send_binary(s, data, len);
	else
		eio_send_text(s, data, len);
}

static const struct engineio_ops engine_ops = {
	.on_open = on_engine_open,
	.on_message = on_engine_message,
};

static void on_websocket_message(struct websocket *ws, enum websocket_opcode opcode,
				 const void *bytes, size_t len, void *arg)
{
	(void)arg;
	websocket_send(ws, opcode, bytes, len);
}

static void on_websocket_closed(struct websocket *ws, int code, void *arg)
{
	(void)ws;
	(void)code;
	(void)arg;
}

/*
 * Socket.IO
 */

/* The values of an array from the n-th on, with commas between them. */
static char *values(const cJSON *array, int from)
{
	struct strbuf b = strbuf_init(STRBUF_UNLIMITED);

	for (const cJSON *j = cJSON_GetArrayItem(array, from); j; j = j->next) {
		scoped(freep) char *value = json_print(j);

		strbuf_puts(&b, value);
		if (j->next)
			strbuf_putc(&b, ',');
	}
	return strbuf_steal(&b);
}

static const char *text_arg(const struct sio_event *event, int i)
{
	const cJSON *arg = cJSON_GetArrayItem(event->args, i);

	return cJSON_IsString(arg) ? arg->valuestring : "";
}

static void ack_if_wanted(struct sio_socket *s, const struct sio_event *event)
{
	if (event->wants_ack)
		sio_ack(s, event->ack_id, "", 0);
}

static void message(struct fixture *f, struct sio_socket *s, const struct sio_event *event)
{
	scoped(freep) char *args = values(event->args, 0);
	scoped(sio_packet_freep) struct sio_packet *p =
		sio_packet_binary(sio_nsp(s), "message-back", args, strlen(args),
				  event->attachments, event->n_attachments);

	(void)f;
	sio_send(s, p);
}

static void message_with_ack(struct fixture *f, struct sio_socket *s, const struct sio_event *event)
{
	scoped(freep) char *args = values(event->args, 0);

	(void)f;
	if (event->wants_ack)
		sio_ack_binary(s, event->ack_id, args, strlen(args), event->attachments,
			       event->n_attachments);
}

static void bench_join(struct fixture *f, struct sio_socket *s, const struct sio_event *event)
{
	(void)f;
	sio_join(s, text_arg(event, 0));
	ack_if_wanted(s, event);
}

static void leave(struct fixture *f, struct sio_socket *s, const struct sio_event *event)
{
	(void)f;
	sio_leave(s, text_arg(event, 0));
	ack_if_wanted(s, event);
}

/* (room, payload...) to the room */
static void bench_pub(struct fixture *f, struct sio_socket *s, const struct sio_event *event)
{
	scoped(freep) char *args = values(event->args, 1);
	scoped(sio_packet_freep) struct sio_packet *p =
		sio_packet_binary(sio_nsp(s), "bench_ev", args, strlen(args), event->attachments,
				  event->n_attachments);

	sio_room_emit(f->socketio, sio_nsp(s), text_arg(event, 0), p);
	ack_if_wanted(s, event);
}

/* (n): events "flood" from 0 to n-1, in one go */
static void flood(struct fixture *f, struct sio_socket *s, const struct sio_event *event)
{
	const cJSON *n = cJSON_GetArrayItem(event->args, 0);

	(void)f;
	for (int i = 0; cJSON_IsNumber(n) && i < n->valueint; i++) {
		char number[16];
		int len = snprintf(number, sizeof(number), "%d", i);

		if (sio_emit(s, "flood", number, (size_t)len) < 0)
			return;
	}
	ack_if_wanted(s, event);
}

static void on_answer(struct sio_socket *s, const cJSON *args, void *arg)
{
	scoped(freep) char *text = args ? values(args, 0) : xstrdup("\"none\"");

	(void)arg;
	sio_emit(s, "answer", text, strlen(text));
}

/* (args...): asks the client "question" with them, and emits "answer" with what it acknowledges */
static void ask(struct fixture *f, struct sio_socket *s, const struct sio_event *event)
{
	scoped(freep) char *args = values(event->args, 0);

	(void)f;
	if (sio_emit_ack(s, "question", args, strlen(args), on_answer, NULL) < 0)
		sio_emit(s, "answer", "\"not asked\"", 11);
}

static void kick(struct fixture *f, struct sio_socket *s, const struct sio_event *event)
{
	(void)f;
	(void)event;
	sio_disconnect(s);
}

static void hang_up(struct fixture *f, struct sio_socket *s, const struct sio_event *event)
{
	(void)f;
	(void)event;
	sio_close(s);
}

static void drain(struct fixture *f, struct sio_socket *s, const struct sio_event *event)
{
	(void)s;
	(void)event;
	socketio_drain(f->socketio);
}

static const struct {
	const char *name;
	void (*fn)(struct fixture *f, struct sio_socket *s, const struct sio_event *event);
} events[] = {
	/* clang-format off */
	{ "message",          message },
	{ "message-with-ack", message_with_ack },
	{ "bench_join",       bench_join },
	{ "bench_pub",        bench_pub },
	{ "leave",            leave },
	{ "flood",            flood },
	{ "ask",              ask },
	{ "kick",             kick },
	{ "hang_up",          hang_up },
	{ "drain",            drain },
	/* clang-format on */
};

static void on_event(struct sio_socket *s, const struct sio_event *event, void *arg)
{
	for (size_t i = 0; i < ARRAY_SIZE(events); i++)
		if (strcmp(event->name, events[i].name) == 0)
			events[i].fn(arg, s, event);
}

/* {"refuse":"why"} is refused, with {"refuse":...} for its data. */
static void on_connect(struct sio_socket *s, const cJSON *auth, void *arg)
{
	scoped(freep) char *text = auth ? json_print(auth) : xstrdup("{}");
	const char *refuse = auth ? json_string(auth, "refuse") : NULL;

	(void)arg;
	if (refuse) {
		sio_refuse(s, refuse, auth);
		return;
	}
	sio_accept(s);
	sio_emit(s, "auth", text, strlen(text));
}

static void on_disconnect(struct sio_socket *s, const char *reason, void *arg)
{
	(void)arg;
	log_debug("%s of %s: %s", sio_id(s), sio_nsp(s), reason);
}

static const struct socketio_ops socketio_ops = {
	.on_connect = on_connect,
	.on_event = on_event,
	.on_disconnect = on_disconnect,
};

/*
 * HTTP
 */

static void reply_state(struct fixture *f, struct http_request *req)
{
	char text[160];

	snprintf(text, sizeof(text),
		 "{\"fds\":%u,\"connections\":%zu,\"clients\":%zu,\"sessions\":%zu,"
		 "\"requests\":%u}\n",
		 fixture_descriptors(), http_server_connections(f->server),
		 socketio_clients(f->socketio), engineio_sessions(f->engine), f->requests);
	http_reply(req, 200, "application/json", text, strlen(text));
}

static bool starts_with(const char *text, const char *prefix)
{
	return strncmp(text, prefix, strlen(prefix)) == 0;
}

/* As the stock server answers with cors.origin "*". */
static void reply_options(struct http_request *req)
{
	const char *fields = http_request_header(req, "Access-Control-Request-Headers");

	http_response_header(req, "Access-Control-Allow-Methods", "GET,HEAD,PUT,PATCH,POST,DELETE");
	http_response_header(req, "Vary", "Access-Control-Request-Headers");
	if (fields)
		http_response_header(req, "Access-Control-Allow-Headers", fields);
	http_reply(req, 204, NULL, NULL, 0);
}

static void on_head(struct http_request *req, void *arg)
{
	static const struct websocket_ops echo = { on_websocket_message, on_websocket_closed };
	const char *origin = http_request_header(req, "Origin");
	const char *path = http_request_path(req);
	struct fixture *f = arg;

	http_response_header(req, "Access-Control-Allow-Origin", "*");
	f->requests += starts_with(path, "/socket.io/") || starts_with(path, "/engine.io/");
	if (strcmp(path, "/ws-echo") == 0)
		websocket_accept(req, NULL, &echo, NULL);
	else if (strcmp(path, "/state") == 0)
		reply_state(f, req);
	else if (!starts_with(path, "/socket.io/") && !starts_with(path, "/engine.io/"))
		http_reply(req, 404, "text/plain", "not here\n", 9);
	else if (strcmp(http_request_method(req), "OPTIONS") == 0)
		reply_options(req);
	else if (origin && strcmp(origin, "https://evil.example") == 0)
		engineio_refuse(req, ENGINEIO_FORBIDDEN, NULL);
	else if (starts_with(path, "/socket.io/"))
		socketio_on_request(f->socketio, req);
	else
		engineio_on_request(f->engine, req);
}

static bool take_option(const char *text)
{
	for (size_t i = 0; i < ARRAY_SIZE(options); i++) {
		size_t len = strlen(options[i].name);

		if (strncmp(text, options[i].name, len) == 0 && text[len] == '=')
			return parse_uint(text + len + 1, 0, UINT32_MAX, &options[i].value) >= 0;
	}
	return false;
}

static void open_many_files(void)
{
	struct rlimit limit;

	getrlimit(RLIMIT_NOFILE, &limit);
	limit.rlim_cur = limit.rlim_max;
	setrlimit(RLIMIT_NOFILE, &limit);
}

static struct http_settings http_settings(void)
{
	struct http_settings settings = fixture_settings();

	settings.connections_max = 30000;
	settings.output_max = OUTPUT_MAX;
	settings.ws_message_max = PAYLOAD_MAX + 1; /* and Engine.IO's digit */
	return settings;
}

static struct socketio_settings socketio_settings(void)
{
	static const char *const namespaces[] = { "/", "/custom", NULL };

	return (struct socketio_settings){
		.engine = {
			.ping_interval = PING_INTERVAL * USEC_PER_MSEC,
			.ping_timeout = PING_TIMEOUT * USEC_PER_MSEC,
			.upgrade_timeout = 10 * USEC_PER_SEC,
			.close_timeout = 30 * USEC_PER_SEC,
			.max_payload = PAYLOAD_MAX,
			.first_payload_max = PAYLOAD_MAX,
			.output_max = OUTPUT_MAX,
			.sessions_max = SESSIONS_MAX,
		},
		.connect_timeout = CONNECT_TIMEOUT * USEC_PER_MSEC,
		.ack_timeout = 500 * USEC_PER_MSEC,
		.acks_max = 4,
		.namespaces = namespaces,
	};
}

static int serve(struct fixture *f)
{
	const struct http_settings http = http_settings();
	const struct socketio_settings socketio = socketio_settings();
	uint16_t port = (uint16_t)PORT;
	/* At the same port: a client that says "localhost" may mean either. */
	int v4 = fixture_listen(AF_INET, &port);
	int v6 = fixture_listen(AF_INET6, &port);

	if (v4 < 0)
		return -1;
	f->server = http_server_new(f->loop, &http, on_head, f);
	f->socketio = socketio_new(f->loop, &socketio, &socketio_ops, f);
	f->engine = engineio_new(f->loop, &socketio.engine, &engine_ops, f);
	if (http_server_listen_consume(f->server, v4) < 0 ||
	    (v6 >= 0 && http_server_listen_consume(f->server, v6) < 0))
		return -1;
	printf("%u\n", port);
	fflush(stdout);
	return 0;
}

int main(int argc, char **argv)
{
	struct fixture f = { .loop = loop_new() };

	for (int i = 1; i < argc; i++)
		if (!take_option(argv[i]))
			return EXIT_FAILURE;
	log_setup(LOG_LEVEL_WARNING, LOG_FORMAT_TEXT);
	mem_init();
	open_many_files();
	if (!f.loop || serve(&f) < 0)
		return EXIT_FAILURE;
	fixture_run(f.loop, fixture_on_input, f.loop);
	socketio_free(f.socketio);
	engineio_free(f.engine);
	http_server_free(f.server);
	loop_free(f.loop);
	return EXIT_SUCCESS;
}
