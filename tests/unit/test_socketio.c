/* SPDX-License-Identifier: MIT */
/*
 * The server where its program decides: who is let in and when, rooms over both transports, the end
 * in the middle of things.  What clients see of the protocol is in tests/interop.
 */
#include "http_world.h"

#include "socketio/socketio.h"

struct server {
	struct world *w;
	struct socketio *socketio;
	struct sio_socket *asked;    /* and not answered yet */
	struct sio_socket *accepted; /* the last one */
	bool refuse_all;
	bool hang_up_at_connect;
	unsigned opened, left, disconnected;
	char reason[64];
	char name[64];
};

static bool on_open(const struct http_request *req, void **ret_data, void *arg)
{
	struct server *s = arg;

	(void)req;
	*ret_data = s;
	s->opened++;
	return !s->refuse_all;
}

static void on_left(void *client_data, void *arg)
{
	struct server *s = arg;

	assert_ptr_equal(client_data, s);
	s->left++;
}

static void on_connect(struct sio_socket *socket, const cJSON *auth, void *arg)
{
	struct server *s = arg;

	assert_ptr_equal(sio_client_data(socket), s);
	if (auth && json_string(auth, "wait")) {
		s->asked = socket;
		return;
	}
	sio_accept(socket);
	sio_join(socket, "all");
	s->accepted = socket;
	if (s->hang_up_at_connect)
		sio_close(socket);
}

static void on_event(struct sio_socket *socket, const struct sio_event *event, void *arg)
{
	struct server *s = arg;

	(void)socket;
	snprintf(s->name, sizeof(s->name), "%s", event->name);
}

static void on_disconnect(struct sio_socket *socket, const char *reason, void *arg)
{
	struct server *s = arg;

	assert_false(sio_is_in(socket, "all"));
	assert_int_equal(sio_emit(socket, "late", "", 0), -EPIPE);
	if (s->asked == socket)
		s->asked = NULL;
	s->disconnected++;
	snprintf(s->reason, sizeof(s->reason), "%s", reason);
}

static void on_request(struct http_request *req, void *arg)
{
	struct server *s = arg;

	socketio_on_request(s->socketio, req);
}

static int start(void **state)
{
	static const struct socketio_ops ops = {
		.on_open = on_open,
		.on_gone = on_left,
		.on_connect = on_connect,
		.on_event = on_event,
		.on_disconnect = on_disconnect,
	};
	static const char *const namespaces[] = { "/", "/events", NULL };
	const struct socketio_settings settings = {
		.engine = {
			.ping_interval = 20 * USEC_PER_SEC,
			.ping_timeout = 20 * USEC_PER_SEC,
			.upgrade_timeout = 20 * USEC_PER_SEC,
			.close_timeout = 20 * USEC_PER_SEC,
			.max_payload = 900,
			.first_payload_max = 500,
			.output_max = 1000,
			.sessions_max = 3,
		},
		.connect_timeout = 20 * USEC_PER_SEC,
		.ack_timeout = 20 * USEC_PER_SEC,
		.acks_max = 1,
		.namespaces = namespaces,
	};
	struct server *s = xcalloc(1, sizeof(*s));
	void *w;

	set_up(&w);
	s->w = w;
	s->w->settings.connections_max = 10;
	http_server_free(s->w->server);
	s->w->server = http_server_new(s->w->loop, &s->w->settings, on_request, s);
	assert_int_equal(http_server_listen_consume(s->w->server, listen_here(s->w)), 0);
	s->socketio = socketio_new(s->w->loop, &settings, &ops, s);
	*state = s;
	return 0;
}

static int stop(void **state)
{
	struct server *s = *state;
	void *w = s->w;

	socketio_free(s->socketio);
	tear_down(&w);
	free(s);
	return 0;
}

/*
 * A polling client: one connection for its polls, one for its posts.
 */
struct polls {
	struct client *get, *post;
	char sid[64];
};

static void begin_get(struct polls *p)
{
	scoped(freep) char *text =
		xasprintf("GET /socket.io/?EIO=4&transport=polling%s%s HTTP/1.1\r\nHost: x\r\n\r\n",
			  p->sid[0] ? "&sid=" : "", p->sid);

	strbuf_reset(&p->get->in);
	say(p->get, text);
}

static void begin_post(struct polls *p, size_t len, const char *body)
{
	scoped(freep) char *text =
		xasprintf("POST /socket.io/?EIO=4&transport=polling&sid=%s HTTP/1.1\r\nHost: x\r\n"
			  "Content-Length: %zu\r\n\r\n%s",
			  p->sid, len, body);

	strbuf_reset(&p->post->in);
	say(p->post, text);
}

static void push(struct polls *p, const char *body)
{
	begin_post(p, strlen(body), body);
	wait_text(p->post, "\r\n\r\nok");
}

static void polls_open(struct polls *p, struct server *s)
{
	const char *sid;

	*p = (struct polls){ client_new(s->w), client_new(s->w), "" };
	begin_get(p);
	wait_text(p->get, "maxPayload");
	sid = strstr(p->get->in.data, "\"sid\":\"") + strlen("\"sid\":\"");
	snprintf(p->sid, sizeof(p->sid), "%.20s", sid);
}

static void polls_connect(struct polls *p, struct server *s)
{
	polls_open(p, s);
	push(p, "40");
	begin_get(p);
	wait_text(p->get, "40{\"sid\":");
}

static void polls_close(struct polls *p)
{
	client_free(p->get);
	client_free(p->post);
}

/* Masked by zeros. */
static void say_text(struct client *c, const char *text)
{
	char frame[128] = { (char)0x81, (char)(0x80 | strlen(text)) };

	memcpy(frame + 6, text, strlen(text));
	say_bytes(c, frame, 6 + strlen(text));
}

static struct client *websocket_connect(struct server *s)
{
	struct client *c = client_new(s->w);

	say(c, "GET /socket.io/?EIO=4&transport=websocket HTTP/1.1\r\nHost: x\r\n"
	       "Upgrade: websocket\r\nConnection: Upgrade\r\nSec-WebSocket-Version: 13\r\n"
	       "Sec-WebSocket-Key: dGhlIHNhbXBsZSBub25jZQ==\r\n\r\n");
	wait_until(s->w, memmem(strbuf_str(&c->in), c->in.len, "maxPayload", 10));
	say_text(c, "40");
	wait_until(s->w, memmem(c->in.data, c->in.len, "40{\"sid\":", 9));
	strbuf_reset(&c->in);
	return c;
}

static void a_room_is_over_both_transports(void **state)
{
	struct server *s = *state;
	scoped(client_freep) struct client *ws = websocket_connect(s);
	scoped(sio_packet_freep) struct sio_packet *p =
		sio_packet_event("/", "news", "1,\"two\"", 7);
	struct polls polls;

	polls_connect(&polls, s);
	begin_get(&polls);
	settle(s->w);
	assert_int_equal(sio_room_size(s->socketio, "/", "all"), 2);
	assert_int_equal(sio_room_emit(s->socketio, "/", "all", p), 2);
	assert_int_equal(sio_room_emit(s->socketio, "/", "none", p), 0);
	assert_int_equal(sio_room_emit(s->socketio, "/events", "all", p), 0);
	wait_text(polls.get, "\r\n\r\n42[\"news\",1,\"two\"]");
	wait_until(s->w, ws->in.len >= 20);
	assert_memory_equal(ws->in.data,
			    "\x81\x12"
			    "42[\"news\",1,\"two\"]",
			    20);
	polls_close(&polls);
}

static void what_is_sent_in_one_turn_is_one_poll(void **state)
{
	struct server *s = *state;
	scoped(sio_packet_freep) struct sio_packet *p = sio_packet_event("/", "a", "", 0);
	struct polls polls;

	polls_connect(&polls, s);
	begin_get(&polls);
	settle(s->w);
	sio_room_emit(s->socketio, "/", "all", p);
	sio_room_emit(s->socketio, "/", "all", p);
	wait_text(polls.get, "\r\n\r\n42[\"a\"]\x1e"
			     "42[\"a\"]");
	polls_close(&polls);
}

static void a_client_may_be_answered_later(void **state)
{
	struct server *s = *state;
	struct polls polls;

	polls_open(&polls, s);
	push(&polls, "40/events,{\"wait\":\"\"}");
	wait_until(s->w, s->asked);
	begin_get(&polls);
	settle(s->w);
	assert_int_equal(sio_emit(s->asked, "early", "", 0), -EPIPE);
	sio_accept(s->asked);
	wait_text(polls.get, "40/events,{\"sid\":");
	push(&polls, "42/events,[\"hello\"]");
	assert_string_equal(s->name, "hello");
	polls_close(&polls);
}

static void a_client_that_leaves_before_its_answer_is_told_of(void **state)
{
	struct server *s = *state;
	struct polls polls;

	polls_open(&polls, s);
	push(&polls, "40/events,{\"wait\":\"\"}");
	push(&polls, "1");
	assert_null(s->asked);
	assert_int_equal(s->disconnected, 1);
	assert_string_equal(s->reason, "transport close");
	assert_int_equal(s->left, 1);
	polls_close(&polls);
}

static void who_may_not_open_gets_403(void **state)
{
	struct server *s = *state;
	struct client *c = client_new(s->w);

	s->refuse_all = true;
	say(c, "GET /socket.io/?EIO=4&transport=polling HTTP/1.1\r\nHost: x\r\n\r\n");
	wait_text(c, "{\"code\":4,\"message\":\"Forbidden\"}");
	assert_true(has(c, "HTTP/1.1 403 "));
	assert_int_equal(s->left, 0);
	assert_int_equal(socketio_clients(s->socketio), 0);
	client_free(c);
}

static void closing_inside_a_callback_is_safe(void **state)
{
	struct server *s = *state;
	struct polls polls;

	s->hang_up_at_connect = true;
	polls_open(&polls, s);
	push(&polls, "40\x1e"
		     "42[\"after\"]");
	assert_string_equal(s->name, "");
	assert_string_equal(s->reason, "forced close");
	begin_get(&polls);
	wait_text(polls.get, "40{\"sid\":");
	begin_get(&polls);
	wait_text(polls.get, "\r\n\r\n1");
	begin_get(&polls);
	wait_text(polls.get, "Session ID unknown");
	polls_close(&polls);
}

static void a_post_that_arrives_at_a_closed_session_is_refused(void **state)
{
	struct server *s = *state;
	struct polls polls;

	polls_connect(&polls, s);
	begin_post(&polls, 10, "42[\"a\"");
	settle(s->w);
	socketio_drain(s->socketio);
	wait_text(polls.post, "Session ID unknown");
	assert_string_equal(s->name, "");
	assert_string_equal(s->reason, "server shutting down");
	polls_close(&polls);
}

static void a_poller_that_does_not_poll_is_cut_off(void **state)
{
	struct server *s = *state;
	scoped(sio_packet_freep) struct sio_packet *p = sio_packet_event("/", "a", "", 0);
	struct polls polls;

	polls_connect(&polls, s);
	for (unsigned i = 0; i < 1000; i++)
		sio_room_emit(s->socketio, "/", "all", p);
	assert_int_equal(s->disconnected, 0); /* not from inside */
	wait_until(s->w, s->disconnected);
	assert_string_equal(s->reason, "reading too slowly");
	polls_close(&polls);
}

/* output_max is 1000 and max_payload 900. */
static void what_was_asked_for_comes_by_polls_however_large(void **state)
{
	struct server *s = *state;
	scoped(freep) char *big = xasprintf("\"%0*d\"", 5000, 0);
	scoped(freep) char *small = xasprintf("\"%0*d\"", 400, 0);
	struct polls polls;

	polls_connect(&polls, s);
	assert_int_equal(sio_emit_large(s->accepted, "big", big, strlen(big)), 0);
	for (unsigned i = 0; i < 2; i++)
		assert_int_equal(sio_emit(s->accepted, "small", small, strlen(small)), 0);

	/* It can't be cut, so it goes alone; of the rest, as much as a client may say at once. */
	begin_get(&polls);
	wait_text(polls.get, "0\"]");
	assert_non_null(strstr(polls.get->in.data, "42[\"big\",\"000"));
	assert_null(strstr(polls.get->in.data, "small"));
	begin_get(&polls);
	wait_text(polls.get, "0\"]\x1e"
			     "42[\"small\",\"0");

	/* And then there is the usual room. */
	for (unsigned i = 0; i < 2; i++)
		assert_int_equal(sio_emit(s->accepted, "small", small, strlen(small)), 0);
	assert_int_equal(sio_emit(s->accepted, "small", small, strlen(small)), -ENOBUFS);
	wait_until(s->w, s->disconnected);
	assert_string_equal(s->reason, "reading too slowly");
	polls_close(&polls);
}

static void a_close_waits_for_the_polls_that_take_what_was_sent(void **state)
{
	struct server *s = *state;
	scoped(freep) char *text = xasprintf("\"%0*d\"", 5000, 0);
	struct polls polls;

	polls_connect(&polls, s);
	sio_emit_large(s->accepted, "first", text, strlen(text));
	sio_emit_large(s->accepted, "second", text, strlen(text));
	sio_emit(s->accepted, "third", "3", 1);
	sio_close(s->accepted);
	begin_get(&polls);
	wait_text(polls.get, "0\"]");
	assert_non_null(strstr(polls.get->in.data, "first"));
	begin_get(&polls);
	wait_text(polls.get, "0\"]");
	assert_non_null(strstr(polls.get->in.data, "second"));
	begin_get(&polls);
	wait_text(polls.get, "\r\n\r\n42[\"third\",3]");
	assert_null(strchr(strstr(polls.get->in.data, "third"), '\x1e'));
	begin_get(&polls);
	wait_text(polls.get, "\r\n\r\n1");
	begin_get(&polls);
	wait_text(polls.get, "Session ID unknown");
	polls_close(&polls);
}

/* In stop(): everything is freed with clients in every state. */
static void the_server_may_end_at_any_time(void **state)
{
	static struct polls held, posting;
	struct server *s = *state;
	struct client *ws = websocket_connect(s);

	polls_connect(&held, s);
	begin_get(&held);
	polls_connect(&posting, s);
	begin_post(&posting, 10, "4");
	settle(s->w);
	assert_int_equal(socketio_clients(s->socketio), 3);
	socketio_free(STEAL(s->socketio));
	assert_int_equal(s->left, 3);
	wait_end(ws);
	wait_text(held.get, "\r\n\r\n1");
	client_free(ws);
	polls_close(&held);
	polls_close(&posting);
}

#define test(fn) cmocka_unit_test_setup_teardown(fn, start, stop)

int main(void)
{
	static const struct CMUnitTest tests[] = {
		test(a_room_is_over_both_transports),
		test(what_is_sent_in_one_turn_is_one_poll),
		test(a_client_may_be_answered_later),
		test(a_client_that_leaves_before_its_answer_is_told_of),
		test(who_may_not_open_gets_403),
		test(closing_inside_a_callback_is_safe),
		test(a_post_that_arrives_at_a_closed_session_is_refused),
		test(a_poller_that_does_not_poll_is_cut_off),
		test(what_was_asked_for_comes_by_polls_however_large),
		test(a_close_waits_for_the_polls_that_take_what_was_sent),
		test(the_server_may_end_at_any_time),
	};

	alarm(60);
	return cmocka_run_group_tests(tests, NULL, NULL);
}
