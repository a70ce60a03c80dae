/* SPDX-License-Identifier: MIT */
/* WebSockets as raw frames. */
#include "http_world.h"

/*
 * A client's frames, masked as they must be
 */

static void upgrade(struct client *c)
{
	say(c, "GET /ws HTTP/1.1\r\nHost: x\r\nUpgrade: websocket\r\nConnection: Upgrade\r\n"
	       "Sec-WebSocket-Version: 13\r\n"
	       "Sec-WebSocket-Key: dGhlIHNhbXBsZSBub25jZQ==\r\n\r\n");
	wait_until(c->w, c->w->ws);
	wait_text(c, "\r\n\r\n");
	strbuf_reset(&c->in);
}

static void add_frame(struct strbuf *b, unsigned first, const void *bytes, size_t len)
{
	static const uint8_t mask[4] = { 1, 2, 3, 4 };
	const uint8_t *p = bytes;

	strbuf_putc(b, (char)first);
	if (len < 126) {
		strbuf_putc(b, (char)(0x80 | len));
	} else {
		strbuf_putc(b, (char)(0x80 | 126));
		strbuf_putc(b, (char)(len >> 8));
		strbuf_putc(b, (char)len);
	}
	strbuf_add(b, mask, 4);
	for (size_t i = 0; i < len; i++)
		strbuf_putc(b, (char)(p[i] ^ mask[i % 4]));
}

static void say_frame(struct client *c, unsigned first, const void *bytes, size_t len)
{
	scoped(strbuf_done) struct strbuf b = strbuf_init(STRBUF_UNLIMITED);

	add_frame(&b, first, bytes, len);
	say_bytes(c, b.data, b.len);
}

static void wait_bytes(struct client *c, const void *bytes, size_t len)
{
	wait_until(c->w, c->in.len >= len);
	assert_memory_equal(c->in.data, bytes, len);
}

#define FIN_TEXT  0x81
#define FIN_CLOSE 0x88
#define FIN_PING  0x89
#define OPEN_TEXT 0x01
#define OPEN_MORE 0x00
#define FIN_MORE  0x80
#define CODE(n)   ((const uint8_t[]){ (n) >> 8, (n)&255 })

/* The server closes with that code, then the connection ends, and on_closed was told it. */
static void expect_close(struct client *c, unsigned code)
{
	wait_end(c);
	assert_false(c->reset);
	assert_true(c->in.len >= 4);
	assert_int_equal((uint8_t)c->in.data[0], FIN_CLOSE);
	assert_memory_equal(c->in.data + 2, CODE(code), 2);
	assert_int_equal(c->w->closed, 1);
	assert_int_equal(c->w->closed_code, (int)code);
}

/*
 * The handshake
 */

static void the_handshake_is_that_of_rfc_6455(void **state)
{
	struct world *w = *state;
	scoped(client_freep) struct client *c = client_new(w);

	say(c, "GET /ws HTTP/1.1\r\nHost: x\r\nUpgrade: websocket\r\nConnection: Upgrade\r\n"
	       "Sec-WebSocket-Version: 13\r\n"
	       "Sec-WebSocket-Key: dGhlIHNhbXBsZSBub25jZQ==\r\n\r\n");
	wait_text(c, "\r\n\r\n");
	assert_true(has(c, "HTTP/1.1 101 Switching Protocols\r\n"));
	assert_true(has(c, "Sec-WebSocket-Accept: s3pPLMBiTxaQ9kYGzzhZRbK+xOo=\r\n"));
	assert_false(has(c, "Content-Length"));
}

static void bad_handshakes_are_refused(void **state)
{
	static const struct {
		const char *fields;
		const char *answer;
	} rows[] = {
		{ "", "HTTP/1.1 426 " },
		{ "Upgrade: websocket\r\nConnection: Upgrade\r\nSec-WebSocket-Version: 8\r\n"
		  "Sec-WebSocket-Key: dGhlIHNhbXBsZSBub25jZQ==\r\n",
		  "Sec-WebSocket-Version: 13\r\n" },
		{ "Upgrade: websocket\r\nConnection: Upgrade\r\nSec-WebSocket-Version: 13\r\n",
		  "HTTP/1.1 400 " },
		{ "Upgrade: websocket\r\nConnection: Upgrade\r\nSec-WebSocket-Version: 13\r\n"
		  "Sec-WebSocket-Key: c2hvcnQ=\r\n",
		  "HTTP/1.1 400 " },
	};
	struct world *w = *state;
	scoped(client_freep) struct client *c = client_new(w);

	for (size_t i = 0; i < ARRAY_SIZE(rows); i++) {
		scoped(freep) char *text =
			xasprintf("GET /ws HTTP/1.1\r\nHost: x\r\n%s\r\n", rows[i].fields);

		strbuf_reset(&c->in);
		say(c, text);
		wait_text(c, rows[i].answer);
		assert_null(w->ws);
	}
}

static void frames_behind_the_head_are_not_lost(void **state)
{
	struct world *w = *state;
	scoped(client_freep) struct client *c = client_new(w);
	scoped(strbuf_done) struct strbuf b = strbuf_init(STRBUF_UNLIMITED);

	strbuf_puts(&b, "GET /ws HTTP/1.1\r\nHost: x\r\nUpgrade: websocket\r\n"
			"Connection: Upgrade\r\nSec-WebSocket-Version: 13\r\n"
			"Sec-WebSocket-Key: dGhlIHNhbXBsZSBub25jZQ==\r\n\r\n");
	add_frame(&b, FIN_TEXT, "one", 3);
	add_frame(&b, FIN_TEXT, "two", 3);
	say_bytes(c, b.data, b.len - 2); /* cut in the middle of a frame */
	wait_until(w, w->messages.len > 0);
	assert_string_equal(w->messages.data, "1:one;");
	say_bytes(c, b.data + b.len - 2, 2);
	wait_until(w, strstr(w->messages.data, "two"));
	assert_string_equal(w->messages.data, "1:one;1:two;");
}

/*
 * Messages
 */

static void messages_arrive_whole_however_they_are_cut(void **state)
{
	struct world *w = *state;
	scoped(client_freep) struct client *c = client_new(w);
	scoped(strbuf_done) struct strbuf b = strbuf_init(STRBUF_UNLIMITED);

	upgrade(c);
	add_frame(&b, OPEN_TEXT, "a", 1);
	add_frame(&b, FIN_PING, "p", 1);
	add_frame(&b, OPEN_MORE, "b", 1);
	add_frame(&b, FIN_MORE, "c", 1);
	add_frame(&b, 0x82, "\xff", 1);
	for (size_t i = 0; i < b.len; i++) {
		say_bytes(c, b.data + i, 1);
		event_base_loop(loop_base(w->loop), EVLOOP_NONBLOCK);
	}
	wait_until(w, strstr(strbuf_str(&w->messages), "2:"));
	assert_string_equal(w->messages.data, "1:abc;2:\xff;");
	wait_bytes(c, "\x8a\x01p", 3);
}

static void frames_are_sent_and_shared(void **state)
{
	struct world *w = *state;
	scoped(client_freep) struct client *c = client_new(w);
	scoped(freep) char *text = xcalloc(1, 70001);
	scoped(bytes_unrefp) struct bytes *frame = NULL;

	memset(text, 'x', 70000);
	frame = websocket_frame(WEBSOCKET_TEXT, text, 70000);
	upgrade(c);
	assert_int_equal(websocket_send(w->ws, WEBSOCKET_TEXT, "hi", 2), 0);
	assert_int_equal(websocket_send(w->ws, WEBSOCKET_BINARY, text, 300), 0);
	assert_int_equal(websocket_send_frame(w->ws, frame), 0);
	wait_until(w, c->in.len == 4 + 304 + 70010);
	assert_memory_equal(c->in.data, "\x81\x02hi\x82\x7e\x01\x2cx", 9);
	assert_memory_equal(c->in.data + 308, "\x81\x7f\0\0\0\0\0\x01\x11\x70x", 11);
	assert_int_equal(frame->refs, 1);
}

static void a_message_may_abort_its_websocket(void **state)
{
	struct world *w = *state;
	scoped(client_freep) struct client *c = client_new(w);
	scoped(strbuf_done) struct strbuf b = strbuf_init(STRBUF_UNLIMITED);

	upgrade(c);
	add_frame(&b, FIN_TEXT, "abort", 5);
	add_frame(&b, FIN_TEXT, "after", 5);
	say_bytes(c, b.data, b.len);
	wait_end(c);
	assert_string_equal(w->messages.data, "1:abort;");
	assert_int_equal(w->closed, 0);
}

/*
 * The end
 */

static void a_clients_close_is_answered(void **state)
{
	struct world *w = *state;
	scoped(client_freep) struct client *c = client_new(w);

	upgrade(c);
	say_frame(c, FIN_CLOSE,
		  "\x03\xe9"
		  "bye",
		  5);
	expect_close(c, 1001);
}

static void a_servers_close_waits_for_its_answer(void **state)
{
	struct world *w = *state;
	scoped(client_freep) struct client *c = client_new(w);

	upgrade(c);
	websocket_close(w->ws, WEBSOCKET_CLOSE_POLICY, "no");
	assert_int_equal(websocket_send(w->ws, WEBSOCKET_TEXT, "x", 1), -EPIPE);
	wait_bytes(c, "\x88\x04\x03\xf0no", 6);
	assert_int_equal(w->closed, 0);
	say_frame(c, FIN_TEXT, "late", 4);
	say_frame(c, FIN_CLOSE, CODE(1008), 2);
	expect_close(c, 1008);
	assert_int_equal(w->messages.len, 0);
}

static void what_breaks_the_protocol_is_closed_with_its_code(void **state)
{
	static const char big[1001];
	/* clang-format off */
	static const struct {
		unsigned first;
		const char *bytes;
		size_t len;
		unsigned code;
	} rows[] = {
		{ FIN_TEXT, "\xff", 1, 1007 },
		{ FIN_TEXT, big, sizeof(big), 1009 },
		{ FIN_MORE, "x", 1, 1002 },
		{ 0xc1, "x", 1, 1002 }, /* a reserved bit */
		{ 0x83, "x", 1, 1002 }, /* a reserved opcode */
		{ FIN_CLOSE, "x", 1, 1002 },
	};
	/* clang-format on */
	struct world *w = *state;

	for (size_t i = 0; i < ARRAY_SIZE(rows); i++) {
		scoped(client_freep) struct client *c = client_new(w);

		w->closed = 0;
		upgrade(c);
		say_frame(c, rows[i].first, rows[i].bytes, rows[i].len);
		expect_close(c, rows[i].code);
	}
}

static void an_unmasked_frame_is_closed_with_1002(void **state)
{
	scoped(client_freep) struct client *c = client_new(*state);

	upgrade(c);
	say_bytes(c, "\x81\x01x", 3);
	expect_close(c, 1002);
}

static void fragments_without_end_are_refused(void **state)
{
	scoped(client_freep) struct client *c = client_new(*state);
	scoped(strbuf_done) struct strbuf b = strbuf_init(STRBUF_UNLIMITED);

	upgrade(c);
	add_frame(&b, OPEN_TEXT, "", 0);
	for (unsigned i = 0; i < 2000; i++)
		add_frame(&b, OPEN_MORE, "", 0);
	say_bytes(c, b.data, b.len);
	expect_close(c, 1008);
}

/* What was asked for comes whole, however large, and what follows has its usual room. */
static void a_large_message_does_not_count(void **state)
{
	struct world *w = *state;
	scoped(client_freep) struct client *c = client_new(w);
	const size_t max = w->settings.output_max, len = 3 * max;
	scoped(freep) char *text = xcalloc(1, len);
	scoped(bytes_unrefp) struct bytes *frame = websocket_frame(WEBSOCKET_BINARY, text, len);
	scoped(bytes_unrefp) struct bytes *small = websocket_frame(WEBSOCKET_BINARY, text, 1000);
	double slow = metric_value(METRIC_WS_SLOW);
	size_t sent = 2 * frame->len, n = 0;

	upgrade(c);
	event_del(c->readable);
	assert_int_equal(websocket_send_large(w->ws, WEBSOCKET_BINARY, text, len), 0);
	assert_int_equal(websocket_send_large_frame(w->ws, frame), 0);
	for (; n < max / 2 / small->len; n++)
		assert_int_equal(websocket_send_frame(w->ws, small), 0);
	sent += n * small->len;
	client_read(c);
	wait_until(w, c->in.len == sent);
	assert_memory_equal(c->in.data, frame->data, frame->len);
	assert_memory_equal(c->in.data + frame->len, frame->data, frame->len);

	/* When all of it was read, the room is what it was before. */
	wait_until(w, websocket_waiting(w->ws) == 0);
	event_del(c->readable);
	for (n = 0; websocket_send_frame(w->ws, small) == 0; n++) {
		assert_true(websocket_waiting(w->ws) <= max);
		assert_true(n < 100000);
		event_base_loop(loop_base(w->loop), EVLOOP_NONBLOCK);
	}
	assert_true(metric_value(METRIC_WS_SLOW) == slow + 1);
	assert_int_equal(websocket_send_large(w->ws, WEBSOCKET_BINARY, text, len), -EPIPE);
}

/* One who asks again and again and reads nothing is cut off all the same. */
static void large_messages_have_their_limit(void **state)
{
	struct world *w = *state;
	scoped(client_freep) struct client *c = client_new(w);
	const size_t len = WEBSOCKET_LARGE_MAX / 4;
	scoped(freep) char *text = xcalloc(1, len);
	scoped(bytes_unrefp) struct bytes *frame = websocket_frame(WEBSOCKET_BINARY, text, len);
	unsigned n = 0;

	upgrade(c);
	event_del(c->readable);
	while (websocket_send_large_frame(w->ws, frame) == 0) {
		assert_true(++n < 16);
		assert_true(websocket_waiting(w->ws) <= WEBSOCKET_LARGE_MAX);
		event_base_loop(loop_base(w->loop), EVLOOP_NONBLOCK);
	}
	assert_true(n >= 3);
	assert_int_equal(websocket_send_large_frame(w->ws, frame), -EPIPE);
}

static void a_client_that_does_not_read_is_cut_off(void **state)
{
	struct world *w = *state;
	scoped(client_freep) struct client *c = client_new(w);
	scoped(freep) char *text = xcalloc(1, 100000);
	scoped(bytes_unrefp) struct bytes *frame = websocket_frame(WEBSOCKET_BINARY, text, 100000);
	double slow = metric_value(METRIC_WS_SLOW);
	unsigned frames = 0;

	upgrade(c);
	event_del(c->readable);
	while (websocket_send_frame(w->ws, frame) == 0) {
		assert_true(++frames < 1000);
		event_base_loop(loop_base(w->loop), EVLOOP_NONBLOCK);
	}
	assert_true(websocket_waiting(w->ws) <= w->settings.output_max + 64);
	assert_int_equal(w->closed, 0);
	assert_int_equal(websocket_send_frame(w->ws, frame), -EPIPE);
	assert_true(metric_value(METRIC_WS_SLOW) == slow + 1);

	/* One that wakes up in time reads what was sent before, and why it ends. */
	client_read(c);
	wait_until(w, c->in.len > frames * frame->len);
	assert_memory_equal(c->in.data + frames * frame->len + 2, CODE(1013), 2);
	say_frame(c, FIN_CLOSE, CODE(1013), 2);
	wait_until(w, w->closed == 1);
	assert_int_equal(frame->refs, 1);
}

static void a_silent_peer_is_pinged_and_given_up(void **state)
{
	struct world *w = *state;
	scoped(client_freep) struct client *c = NULL;

	w->settings.ws_ping_interval = 10 * USEC_PER_MSEC;
	http_server_set(w->server, &w->settings);
	c = client_new(w);
	upgrade(c);
	wait_bytes(c, "\x89\0", 2);
	say_frame(c, 0x8a, "", 0); /* lives on to the next ping */
	strbuf_reset(&c->in);
	wait_bytes(c, "\x89\0", 2);
	assert_int_equal(w->closed, 0);
	wait_end(c);
	assert_int_equal(w->closed_code, WEBSOCKET_CLOSE_ABNORMAL);
}

static void a_client_that_leaves_is_noticed(void **state)
{
	struct world *w = *state;
	scoped(client_freep) struct client *c = client_new(w);

	upgrade(c);
	client_close(c);
	wait_until(w, w->closed == 1);
	assert_int_equal(w->closed_code, WEBSOCKET_CLOSE_ABNORMAL);
}

static void drain_says_going_away(void **state)
{
	struct world *w = *state;
	scoped(client_freep) struct client *c = client_new(w);

	upgrade(c);
	http_server_drain(w->server, NULL, NULL);
	wait_until(w, c->in.len > 4);
	say_frame(c, FIN_CLOSE, CODE(1001), 2);
	expect_close(c, 1001);
}

/* Each look at it, a millisecond has passed. */
static usec_t hurrying_clock(void)
{
	static usec_t now = USEC_PER_SEC;

	return now += USEC_PER_MSEC;
}

static void a_flood_of_small_frames_leaves_others_their_turn(void **state)
{
	struct world *w = *state;
	scoped(strbuf_done) struct strbuf flood = strbuf_init(STRBUF_UNLIMITED);
	scoped(client_freep) struct client *c = client_new(w), *other = client_new(w);
	const unsigned n = 500; /* what libevent reads at once */
	unsigned heads;

	upgrade(c);
	settle(w); /* the other is accepted */
	heads = w->heads;
	for (unsigned i = 0; i < n; i++)
		add_frame(&flood, FIN_TEXT, "x", 1);
	say_bytes(c, flood.data, flood.len);
	get(other, "/hello");
	clock_replace(hurrying_clock, NULL);
	wait_until(w, w->heads > heads);
	assert_true(w->messages.len < n * strlen("1:x;"));
	wait_until(w, w->messages.len == n * strlen("1:x;"));
	clock_replace(NULL, NULL);
}

static void what_was_said_before_the_end_is_heard(void **state)
{
	struct world *w = *state;
	scoped(strbuf_done) struct strbuf words = strbuf_init(STRBUF_UNLIMITED);
	scoped(client_freep) struct client *c = client_new(w);
	const unsigned n = 500; /* many a turn's worth, each as short as can be */

	upgrade(c);
	for (unsigned i = 0; i < n; i++)
		add_frame(&words, FIN_TEXT, "x", 1);
	say_bytes(c, words.data, words.len);
	assert_int_equal(shutdown(c->fd, SHUT_WR), 0);
	clock_replace(hurrying_clock, NULL);
	wait_until(w, w->closed == 1);
	clock_replace(NULL, NULL);
	assert_int_equal(w->messages.len, n * strlen("1:x;"));
	assert_int_equal(w->closed_code, 1006);
}

static void a_websocket_may_have_a_smaller_limit_of_its_own(void **state)
{
	struct world *w = *state;
	char text[200];
	scoped(client_freep) struct client *c = client_new(w);

	memset(text, 'x', sizeof(text));
	upgrade(c);
	websocket_set_message_max(w->ws, 100);
	say_frame(c, FIN_TEXT, text, 100);
	wait_until(w, w->messages.len == 100 + 3);
	websocket_set_message_max(w->ws, 200);
	say_frame(c, FIN_TEXT, text, 200);
	wait_until(w, w->messages.len == 100 + 3 + 200 + 3);
	websocket_set_message_max(w->ws, 100);
	say_frame(c, FIN_TEXT, text, 101);
	expect_close(c, 1009);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test_setup_teardown(the_handshake_is_that_of_rfc_6455, set_up,
						tear_down),
		cmocka_unit_test_setup_teardown(bad_handshakes_are_refused, set_up, tear_down),
		cmocka_unit_test_setup_teardown(frames_behind_the_head_are_not_lost, set_up,
						tear_down),
		cmocka_unit_test_setup_teardown(messages_arrive_whole_however_they_are_cut, set_up,
						tear_down),
		cmocka_unit_test_setup_teardown(frames_are_sent_and_shared, set_up, tear_down),
		cmocka_unit_test_setup_teardown(a_message_may_abort_its_websocket, set_up,
						tear_down),
		cmocka_unit_test_setup_teardown(a_clients_close_is_answered, set_up, tear_down),
		cmocka_unit_test_setup_teardown(a_servers_close_waits_for_its_answer, set_up,
						tear_down),
		cmocka_unit_test_setup_teardown(what_breaks_the_protocol_is_closed_with_its_code,
						set_up, tear_down),
		cmocka_unit_test_setup_teardown(an_unmasked_frame_is_closed_with_1002, set_up,
						tear_down),
		cmocka_unit_test_setup_teardown(fragments_without_end_are_refused, set_up,
						tear_down),
		cmocka_unit_test_setup_teardown(a_flood_of_small_frames_leaves_others_their_turn,
						set_up, tear_down),
		cmocka_unit_test_setup_teardown(what_was_said_before_the_end_is_heard, set_up,
						tear_down),
		cmocka_unit_test_setup_teardown(a_websocket_may_have_a_smaller_limit_of_its_own,
						set_up, tear_down),
		cmocka_unit_test_setup_teardown(a_large_message_does_not_count, set_up, tear_down),
		cmocka_unit_test_setup_teardown(large_messages_have_their_limit, set_up, tear_down),
		cmocka_unit_test_setup_teardown(a_client_that_does_not_read_is_cut_off, set_up,
						tear_down),
		cmocka_unit_test_setup_teardown(a_silent_peer_is_pinged_and_given_up, set_up,
						tear_down),
		cmocka_unit_test_setup_teardown(a_client_that_leaves_is_noticed, set_up, tear_down),
		cmocka_unit_test_setup_teardown(drain_says_going_away, set_up, tear_down),
	};

	alarm(60); /* what never comes */
	return cmocka_run_group_tests(tests, NULL, NULL);
}
