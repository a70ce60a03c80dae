/* SPDX-License-Identifier: MIT */
/* The HTTP server as its clients see it. */
#include "http_world.h"

/*
 * Requests and answers
 */

static void pipelined_requests_are_answered_in_order(void **state)
{
	scoped(client_freep) struct client *c = client_new(*state);

	say(c, "GET /1 HTTP/1.1\r\nHost: x\r\n\r\nGET /2 HTTP/1.1\r\nHost: x\r\n\r\n"
	       "GET /3 HTTP/1.1\r\nHost: x\r\nConnection: close\r\n\r\n");
	wait_end(c);
	assert_int_equal(times(c, "HTTP/1.1 200 OK\r\n"), 3);
	assert_true(strstr(c->in.data, "/1") < strstr(c->in.data, "/2"));
	assert_true(strstr(c->in.data, "/2") < strstr(c->in.data, "/3"));
	assert_int_equal(times(c, "Connection: close"), 1);
	assert_false(c->reset);
}

static void a_request_waits_for_the_answer_before_it(void **state)
{
	struct world *w = *state;
	scoped(client_freep) struct client *c = client_new(w);

	say(c, "GET /wait HTTP/1.1\r\nHost: x\r\n\r\nGET /next HTTP/1.1\r\nHost: x\r\n\r\n");
	wait_until(w, w->pending);
	settle(w);
	assert_int_equal(w->heads, 1);
	reply(w->pending, "first");
	wait_text(c, "/next");
	assert_true(strstr(c->in.data, "first") < strstr(c->in.data, "/next"));
}

static void every_answer_has_its_fields(void **state)
{
	scoped(client_freep) struct client *c = client_new(*state);

	get(c, "/hello");
	wait_text(c, "\r\n\r\n/hello");
	assert_true(has(c, "\r\nServer: previewd\r\n"));
	assert_true(has(c, " GMT\r\n"));
	assert_true(has(c, "\r\nX-Request-Id: "));
	assert_true(has(c, "\r\nX-Content-Type-Options: nosniff\r\n"));
	assert_true(has(c, "\r\nContent-Length: 6\r\n"));
}

static void to_head_only_the_length_is_sent(void **state)
{
	scoped(client_freep) struct client *c = client_new(*state);

	say(c, "HEAD /hello HTTP/1.1\r\nHost: x\r\n\r\nGET /none HTTP/1.1\r\nHost: x\r\n\r\n"
	       "GET /end HTTP/1.1\r\nHost: x\r\n\r\n");
	wait_text(c, "/end");
	assert_true(has(c, "Content-Length: 6\r\n"));
	assert_false(has(c, "/hello"));
	assert_true(has(c, "HTTP/1.1 204 No Content\r\n"));
	assert_int_equal(times(c, "Content-Length"), 2); /* none of 204 */
}

static void http_1_0_closes_unless_asked_not_to(void **state)
{
	scoped(client_freep) struct client *c = client_new(*state);

	say(c, "GET /1 HTTP/1.0\r\nConnection: keep-alive\r\n\r\nGET /2 HTTP/1.0\r\n\r\n");
	wait_end(c);
	assert_int_equal(times(c, "Connection: keep-alive\r\n"), 1);
	assert_int_equal(times(c, "Connection: close\r\n"), 1);
	assert_true(has(c, "/2"));
}

static void what_is_no_request_is_refused_and_heard(void **state)
{
	struct world *w = *state;
	scoped(client_freep) struct client *c = client_new(w);
	double bad = metric_value(METRIC_HTTP_BAD_REQUESTS);

	say(c, "GET / HTTP/1.1\r\nHost : x\r\n\r\nGET /smuggled HTTP/1.1\r\nHost: x\r\n\r\n");
	wait_end(c);
	assert_true(has(c, "HTTP/1.1 400 "));
	assert_true(has(c, "Connection: close\r\n"));
	assert_int_equal(times(c, "HTTP/1.1"), 1);
	assert_false(c->reset);
	assert_int_equal(w->heads, 0);
	assert_true(metric_value(METRIC_HTTP_BAD_REQUESTS) == bad + 1);
}

/*
 * Bodies
 */

static void a_body_is_asked_for_only_when_it_is_wanted(void **state)
{
	scoped(client_freep) struct client *c = client_new(*state);

	say(c, "POST /echo HTTP/1.1\r\nHost: x\r\nContent-Length: 5\r\n"
	       "Expect: 100-continue\r\n\r\n");
	wait_text(c, "HTTP/1.1 100 Continue\r\n\r\n");
	say(c, "hello");
	wait_text(c, "\r\n\r\nhello");
	strbuf_reset(&c->in);

	say(c, "POST /no HTTP/1.1\r\nHost: x\r\nContent-Length: 5\r\n"
	       "Expect: 100-continue\r\n\r\n");
	wait_end(c);
	assert_false(has(c, "100 Continue"));
	assert_true(has(c, "Connection: close\r\n"));
}

static void a_large_body_is_refused_before_it_is_read(void **state)
{
	struct world *w = *state;
	scoped(client_freep) struct client *c = client_new(w);
	scoped(freep) char *body = xcalloc(1, 200000);

	say(c, "POST /echo HTTP/1.1\r\nHost: x\r\nContent-Length: 200000\r\n\r\n");
	wait_text(c, "HTTP/1.1 413 ");
	/* It goes on sending all the same, and sees the answer, not a reset. */
	say_bytes(c, body, 100000);
	wait_end(c);
	assert_false(c->reset);
	assert_false(has(c, "100 Continue"));
}

static void chunked_bodies_are_decoded_and_bounded(void **state)
{
	scoped(client_freep) struct client *c = client_new(*state);
	scoped(client_freep) struct client *large = client_new(*state);
	scoped(client_freep) struct client *bad = client_new(*state);
	const char *head = "POST /echo HTTP/1.1\r\nHost: x\r\nTransfer-Encoding: chunked\r\n\r\n";
	char chunk[0x402] = { 0 };

	say(c, head);
	say(c, "5\r\nhe");
	settle(*state);
	say(c, "llo\r\n1;x=y\r\n!\r\n0\r\n\r\nGET /next HTTP/1.1\r\nHost: x\r\n\r\n");
	wait_text(c, "/next");
	assert_true(has(c, "\r\n\r\nhello!"));

	say(large, head);
	say(large, "400\r\n");
	say_bytes(large, chunk, sizeof(chunk));
	wait_end(large);
	assert_true(has(large, "HTTP/1.1 413 "));

	say(bad, head);
	say(bad, "5x\r\n");
	wait_end(bad);
	assert_true(has(bad, "HTTP/1.1 400 "));
}

static void a_small_unread_body_keeps_the_connection(void **state)
{
	scoped(client_freep) struct client *c = client_new(*state);

	say(c, "POST /a HTTP/1.1\r\nHost: x\r\nContent-Length: 8\r\n\r\nGET ");
	wait_text(c, "/a");
	say(c, "/b H"); /* still the body */
	say(c, "GET /c HTTP/1.1\r\nHost: x\r\n\r\n");
	wait_text(c, "/c");
	assert_int_equal(times(c, "HTTP/1.1 200"), 2);
}

/*
 * Time and bounds
 */

static void a_head_that_does_not_end_is_closed_at_its_deadline(void **state)
{
	struct world *w = *state;
	scoped(client_freep) struct client *slow = NULL;
	scoped(client_freep) struct client *idle = NULL;

	w->settings.header_timeout = 50 * USEC_PER_MSEC;
	w->settings.idle_timeout = 50 * USEC_PER_MSEC;
	http_server_set(w->server, &w->settings);
	slow = client_new(w);
	idle = client_new(w);
	say(slow, "GET / HTTP/1.1\r\nHos");
	get(idle, "/hello");
	wait_text(idle, "/hello");
	strbuf_reset(&idle->in);

	wait_end(slow);
	assert_true(has(slow, "HTTP/1.1 408 "));
	wait_end(idle);
	assert_int_equal(idle->in.len, 0);
}

static void a_body_that_stops_is_closed_at_its_deadline(void **state)
{
	struct world *w = *state;
	scoped(client_freep) struct client *c = NULL;

	w->settings.body_timeout = 50 * USEC_PER_MSEC;
	http_server_set(w->server, &w->settings);
	c = client_new(w);
	say(c, "POST /echo HTTP/1.1\r\nHost: x\r\nContent-Length: 5\r\n\r\nhe");
	wait_end(c);
	assert_true(has(c, "HTTP/1.1 408 "));
}

static void a_client_that_does_not_read_is_closed_at_its_deadline(void **state)
{
	struct world *w = *state;
	scoped(client_freep) struct client *c = NULL;
	int small = 4096;

	w->settings.write_timeout = 50 * USEC_PER_MSEC;
	http_server_set(w->server, &w->settings);
	c = client_silent(w);
	setsockopt(c->fd, SOL_SOCKET, SO_RCVBUF, &small, sizeof(small));
	for (unsigned i = 0; i < 10; i++)
		get(c, "/big");
	wait_until(w, http_server_connections(w->server) == 1);
	wait_until(w, http_server_connections(w->server) == 0);
}

static void a_client_that_does_not_read_is_bounded(void **state)
{
	struct world *w = *state;
	scoped(client_freep) struct client *c = client_silent(w);

	for (unsigned i = 0; i < 50; i++)
		get(c, "/big");
	wait_until(w, w->heads > 0);
	settle(w);
	assert_true(w->heads < 20); /* the kernel's buffers have some of them */

	client_read(c);
	wait_until(w, w->heads == 50 && c->in.len > 50 * BIG);
	assert_int_equal(times(c, "HTTP/1.1 200 OK\r\n"), 50);
}

static void files_and_shared_bytes_go_out_in_their_turn(void **state)
{
	struct world *w = *state;
	scoped(client_freep) struct client *c = client_new(w);
	const char *at;

	get(c, "/part");
	get(c, "/shared");
	get(c, "/last");
	wait_until(w, c->in.len > 0 && strstr(c->in.data + c->in.len - 5, "/last"));
	assert_int_equal(times(c, "HTTP/1.1 206 Partial Content\r\n"), 1);

	at = strstr(c->in.data, "\r\n\r\n") + 4;
	assert_int_equal(at[0], '3');
	assert_int_equal(at[BIG], '4');
	assert_memory_equal(at + BIG + 1, "HTTP/1.1 200 OK\r\n", 17);
	at = strstr(at + BIG + 1, "\r\n\r\n") + 4; /* before it are the file's zeros */
	assert_int_equal(strspn(at, "s"), BIG - 1);
	assert_memory_equal(at + BIG - 1, "HTTP/1.1 200 OK\r\n", 17);
	assert_int_equal(w->file->refs, 1);
	assert_int_equal(w->shared->refs, 1);
}

static void a_large_file_waits_for_its_client_and_others_do_not(void **state)
{
	struct world *w = *state;
	scoped(client_freep) struct client *slow = client_silent(w);
	scoped(client_freep) struct client *other = client_new(w);

	get(slow, "/file");
	get(slow, "/behind");
	wait_until(w, w->heads == 1);
	settle(w);
	get(other, "/other");
	wait_until(w, times(other, "/other") == 1);
	assert_int_equal(w->heads, 2); /* what is behind the file was not looked at */
	assert_int_equal(w->file->refs, 2);

	client_read(slow);
	wait_until(w, w->heads == 3 && slow->in.len > FILE_SIZE &&
			      strstr(slow->in.data + slow->in.len - 7, "/behind"));
	assert_int_equal(w->file->refs, 1);
}

static void a_client_that_does_not_read_a_file_is_closed_at_its_deadline(void **state)
{
	struct world *w = *state;
	scoped(client_freep) struct client *c = NULL;

	w->settings.write_timeout = 50 * USEC_PER_MSEC;
	http_server_set(w->server, &w->settings);
	c = client_silent(w);
	get(c, "/file");
	wait_until(w, w->heads == 1 && w->file->refs == 2);
	wait_until(w, http_server_connections(w->server) == 0);
	assert_int_equal(w->file->refs, 1);
}

static void a_file_is_let_go_when_its_client_leaves_or_the_server_ends(void **state)
{
	struct world *w = *state;
	struct client *leaves = client_silent(w);
	scoped(client_freep) struct client *stays = client_silent(w);

	get(leaves, "/file");
	get(stays, "/file");
	wait_until(w, w->heads == 2 && w->file->refs == 3);
	client_free(leaves);
	wait_until(w, w->file->refs == 2);
	w->server = http_server_free(w->server);
	assert_int_equal(w->file->refs, 1);
}

/* The server has accepted it. */
static struct client *accepted_from(struct world *w, in_addr_t from)
{
	size_t n = http_server_connections(w->server);
	struct client *c = client_silent_from(w, from);

	client_read(c);
	wait_until(w, http_server_connections(w->server) == n + 1);
	return c;
}

static void past_the_limit_who_waited_the_longest_gives_way(void **state)
{
	struct world *w = *state;
	scoped(client_freep) struct client *a = accepted_from(w, INADDR_LOOPBACK);
	scoped(client_freep) struct client *b = accepted_from(w, INADDR_LOOPBACK);
	scoped(client_freep) struct client *c = accepted_from(w, INADDR_LOOPBACK);
	scoped(client_freep) struct client *d = NULL;
	double displaced = metric_value(METRIC_HTTP_DISPLACED);

	get(a, "/hello"); /* so that it is b */
	wait_text(a, "/hello");
	say(b, "GET / HT");
	d = client_new(w);
	get(d, "/hello");
	wait_text(d, "/hello");
	wait_end(b);
	settle(w);
	assert_false(a->ended || c->ended);
	assert_true(metric_value(METRIC_HTTP_DISPLACED) == displaced + 1);
}

static void past_the_limit_it_is_one_of_the_address_with_the_most(void **state)
{
	struct world *w = *state;
	const in_addr_t other = INADDR_LOOPBACK + 1;
	scoped(client_freep) struct client *first = accepted_from(w, INADDR_LOOPBACK);
	scoped(client_freep) struct client *a = accepted_from(w, other);
	scoped(client_freep) struct client *b = accepted_from(w, other);
	scoped(client_freep) struct client *c = client_silent_from(w, other);
	scoped(client_freep) struct client *d = NULL;

	client_read(c);
	wait_end(a);
	d = client_silent_from(w, INADDR_LOOPBACK + 2);
	client_read(d);
	wait_end(b);
	get(first, "/first");
	wait_text(first, "/first");
	get(c, "/c");
	wait_text(c, "/c");
	get(d, "/d");
	wait_text(d, "/d");
}

static void past_the_limit_who_takes_a_file_has_not_waited(void **state)
{
	struct world *w = *state;
	scoped(client_freep) struct client *a = accepted_from(w, INADDR_LOOPBACK);
	scoped(client_freep) struct client *b = NULL, *c = NULL, *d = NULL;

	event_del(a->readable);
	get(a, "/file");
	wait_until(w, w->heads == 1);
	settle(w);
	b = accepted_from(w, INADDR_LOOPBACK);
	c = accepted_from(w, INADDR_LOOPBACK);
	client_read(a);
	wait_until(w, a->in.len > FILE_SIZE * 3 / 4);
	d = client_new(w);
	wait_end(b);
	wait_until(w, a->in.len > FILE_SIZE);
	assert_false(a->ended || c->ended || d->ended);
}

static struct client *known_from(struct world *w, in_addr_t from)
{
	struct client *c = accepted_from(w, from);

	get(c, "/known");
	wait_text(c, "/known");
	return c;
}

static void past_the_limit_strangers_give_way_before_who_is_known(void **state)
{
	struct world *w = *state;
	scoped(client_freep) struct client *a = known_from(w, INADDR_LOOPBACK);
	scoped(client_freep) struct client *b = known_from(w, INADDR_LOOPBACK);
	scoped(client_freep) struct client *stranger = accepted_from(w, INADDR_LOOPBACK + 1);
	scoped(client_freep) struct client *c = client_silent_from(w, INADDR_LOOPBACK + 2);
	scoped(client_freep) struct client *d = NULL;

	client_read(c);
	wait_end(stranger);
	get(c, "/known");
	wait_text(c, "/known");
	get(a, "/hello"); /* as a stranger */
	wait_text(a, "/hello");
	d = client_silent_from(w, INADDR_LOOPBACK + 3);
	client_read(d);
	wait_end(a);
	settle(w);
	assert_false(b->ended || c->ended || d->ended);
}

/* Else nobody would come to be known. */
static void past_the_limit_there_is_room_for_a_few_strangers(void **state)
{
	struct world *w = *state;
	struct client *known[16];
	scoped(client_freep) struct client *stranger = NULL;

	w->settings.connections_max = ARRAY_SIZE(known);
	http_server_set(w->server, &w->settings);
	for (size_t i = 0; i < ARRAY_SIZE(known); i++)
		known[i] = known_from(w, INADDR_LOOPBACK);
	stranger = client_silent_from(w, INADDR_LOOPBACK + 1);
	client_read(stranger);
	wait_end(known[0]);
	client_free(known[0]);
	known[0] = client_silent_from(w, INADDR_LOOPBACK + 2);
	client_read(known[0]);
	wait_end(known[1]);
	get(known[0], "/known");
	wait_text(known[0], "/known");
	assert_false(stranger->ended);
	for (size_t i = 0; i < ARRAY_SIZE(known); i++)
		client_free(known[i]);
}

/* Each look at it, a second has passed. */
static usec_t hurrying_clock(void)
{
	static usec_t now = USEC_PER_SEC;

	return now += USEC_PER_SEC;
}

static void however_busy_those_that_left_make_room_at_once(void **state)
{
	struct world *w = *state;
	scoped(client_freep) struct client *a = accepted_from(w, INADDR_LOOPBACK);
	scoped(client_freep) struct client *b = accepted_from(w, INADDR_LOOPBACK);
	scoped(client_freep) struct client *c = accepted_from(w, INADDR_LOOPBACK);

	client_close(a);
	client_close(b);
	client_close(c);
	clock_replace(hurrying_clock, NULL);
	wait_until(w, http_server_connections(w->server) < 3);
	clock_replace(NULL, NULL);
	assert_int_equal(http_server_connections(w->server), 0);
}

/* A body on its way, an answer that is not taken: these give way as well. */
static void what_is_half_a_request_gives_way(void **state)
{
	struct world *w = *state;
	scoped(client_freep) struct client *a = accepted_from(w, INADDR_LOOPBACK);
	scoped(client_freep) struct client *b = accepted_from(w, INADDR_LOOPBACK);
	scoped(client_freep) struct client *c = accepted_from(w, INADDR_LOOPBACK);
	scoped(client_freep) struct client *d = NULL;

	say(a, "POST /body HTTP/1.1\r\nHost: x\r\nContent-Length: 10\r\n\r\n12");
	wait_until(w, w->heads == 1);
	get(b, "/keep");
	get(c, "/wait");
	wait_until(w, w->heads == 3);
	d = client_new(w);
	get(d, "/hello");
	wait_text(d, "/hello");
	wait_end(a);
	assert_false(b->ended || c->ended);
}

static void without_descriptors_one_that_waits_gives_way(void **state)
{
	struct world *w = *state;
	double displaced = metric_value(METRIC_HTTP_DISPLACED);
	scoped(client_freep) struct client *a = accepted_from(w, INADDR_LOOPBACK);
	scoped(client_freep) struct client *b = client_new(w);
	struct rlimit before, none;

	/* the client's socket, made last, is the highest descriptor */
	assert_int_equal(getrlimit(RLIMIT_NOFILE, &before), 0);
	none = before;
	none.rlim_cur = (rlim_t)b->fd + 1;
	assert_int_equal(setrlimit(RLIMIT_NOFILE, &none), 0);
	get(b, "/hello");
	wait_text(b, "/hello");
	wait_end(a);
	assert_true(metric_value(METRIC_HTTP_DISPLACED) == displaced + 1);
	assert_int_equal(setrlimit(RLIMIT_NOFILE, &before), 0);
}

static void connections_past_the_limit_are_told_so(void **state)
{
	struct world *w = *state;
	scoped(client_freep) struct client *a = client_new(w);
	scoped(client_freep) struct client *b = client_new(w);
	scoped(client_freep) struct client *c = client_new(w);
	scoped(client_freep) struct client *d = NULL;
	scoped(client_freep) struct client *e = NULL;

	get(a, "/wait");
	get(b, "/wait");
	get(c, "/wait");
	wait_until(w, w->heads == 3);
	d = client_new(w);
	wait_end(d);
	assert_true(has(d, "HTTP/1.1 503 "));

	client_close(a);
	wait_until(w, http_server_connections(w->server) == 2);
	e = client_new(w);
	get(e, "/hello");
	wait_text(e, "/hello");
}

static void without_descriptors_accepting_pauses_and_goes_on(void **state)
{
	struct world *w = *state;
	double errors = metric_value(METRIC_HTTP_ACCEPT_ERRORS);
	scoped(client_freep) struct client *c = client_new(w);
	struct rlimit before, none;

	/* its socket is the highest descriptor: one more is one too many */
	assert_int_equal(getrlimit(RLIMIT_NOFILE, &before), 0);
	none = before;
	none.rlim_cur = (rlim_t)c->fd + 1;
	assert_int_equal(setrlimit(RLIMIT_NOFILE, &none), 0);
	get(c, "/hello");
	wait_until(w, metric_value(METRIC_HTTP_ACCEPT_ERRORS) > errors);
	settle(w);
	assert_true(metric_value(METRIC_HTTP_ACCEPT_ERRORS) < errors + 3); /* and not a flood */

	assert_int_equal(setrlimit(RLIMIT_NOFILE, &before), 0);
	wait_text(c, "/hello");
}

/*
 * Clients that leave
 */

static void a_client_that_leaves_is_noticed_while_its_answer_is_pending(void **state)
{
	struct world *w = *state;
	scoped(client_freep) struct client *c = client_new(w);

	get(c, "/wait");
	wait_until(w, w->pending);
	client_close(c);
	wait_until(w, w->gone == 1);
	wait_until(w, http_server_connections(w->server) == 0);
}

static void a_half_closed_client_gets_its_answers(void **state)
{
	struct world *w = *state;
	scoped(client_freep) struct client *c = client_new(w);

	say(c, "GET /1 HTTP/1.1\r\nHost: x\r\n\r\nGET /keep HTTP/1.1\r\nHost: x\r\n\r\n");
	shutdown(c->fd, SHUT_WR);
	wait_until(w, w->pending);
	settle(w);
	reply(w->pending, "later");
	wait_end(c);
	assert_true(has(c, "/1"));
	assert_true(has(c, "later"));
	assert_int_equal(w->gone, 0);
}

static void a_request_nobody_watches_holds_until_it_is_answered(void **state)
{
	struct world *w = *state;
	const struct linger at_once = { .l_onoff = 1 };
	scoped(client_freep) struct client *c = client_new(w);

	get(c, "/keep?a=b");
	wait_until(w, w->pending);
	setsockopt(c->fd, SOL_SOCKET, SO_LINGER, &at_once, sizeof(at_once));
	client_close(c);
	wait_until(w, http_server_connections(w->server) == 0);
	assert_string_equal(http_request_query(w->pending), "a=b");
	reply(w->pending, "to nobody");
	settle(w);
}

static void answer_another(void *arg)
{
	reply(arg, "to nobody");
}

static void do_nothing(void *arg)
{
	(void)arg;
}

/* A client that leaves while its request is kept; the connection goes, the request stays. */
static struct http_request *kept_of_nobody(struct world *w)
{
	const struct linger at_once = { .l_onoff = 1 };
	struct client *c = client_new(w);

	w->pending = NULL;
	get(c, "/keep");
	wait_until(w, w->pending);
	setsockopt(c->fd, SOL_SOCKET, SO_LINGER, &at_once, sizeof(at_once));
	client_close(c);
	client_free(c);
	wait_until(w, http_server_connections(w->server) == 0);
	return w->pending;
}

/* With the clock in a hurry the first is released in its turn, and the others out of it. */
static void who_is_told_of_a_client_that_left_may_answer_another(void **state)
{
	struct world *w = *state;
	struct http_request *kept[3];

	for (unsigned i = 0; i < 3; i++)
		kept[i] = kept_of_nobody(w);
	http_request_on_gone(kept[0], do_nothing, NULL);
	http_request_on_gone(kept[1], on_gone, w);
	http_request_on_gone(kept[2], answer_another, kept[1]);
	clock_replace(hurrying_clock, NULL);
	settle(w);
	clock_replace(NULL, NULL);
	assert_int_equal(w->gone, 0);
}

static void freeing_the_server_tells_who_waits(void **state)
{
	struct world *w = *state;
	scoped(client_freep) struct client *a = client_new(w);
	scoped(client_freep) struct client *b = client_new(w);
	scoped(client_freep) struct client *c = client_new(w);

	get(a, "/wait");
	get(b, "/stream");
	get(c, "/keep");
	wait_until(w, w->heads == 3);
	w->server = http_server_free(w->server);
	assert_int_equal(w->gone, 2);
}

/*
 * Streams
 */

static void a_stream_is_chunked_and_the_connection_goes_on(void **state)
{
	struct world *w = *state;
	scoped(client_freep) struct client *c = client_new(w);

	get(c, "/stream");
	wait_until(w, w->stream);
	assert_int_equal(http_stream_write(w->stream, "hello", 5), 0);
	assert_int_equal(http_stream_write(w->stream, "", 0), 0);
	wait_text(c, "5\r\nhello\r\n");
	http_stream_end(w->stream);
	get(c, "/next");
	wait_text(c, "0\r\n\r\nHTTP/1.1 200 OK\r\n");
	wait_text(c, "/next");
}

static void a_stream_to_http_1_0_ends_with_the_connection(void **state)
{
	struct world *w = *state;
	scoped(client_freep) struct client *c = client_new(w);

	say(c, "GET /stream HTTP/1.0\r\n\r\n");
	wait_until(w, w->stream);
	assert_int_equal(http_stream_write(w->stream, "hello", 5), 0);
	http_stream_end(w->stream);
	wait_end(c);
	assert_true(has(c, "\r\n\r\nhello"));
	assert_false(has(c, "chunked"));
}

static void a_stream_has_back_pressure(void **state)
{
	struct world *w = *state;
	scoped(client_freep) struct client *c = client_silent(w);
	scoped(freep) char *piece = xcalloc(1, 10000);
	size_t written = 0;

	memset(piece, 's', 10000);
	get(c, "/stream");
	wait_until(w, w->stream);
	while (http_stream_write(w->stream, piece, 10000) == 0) {
		written += 10000;
		assert_true(written < 64 * BIG);
		event_base_loop(loop_base(w->loop), EVLOOP_NONBLOCK);
	}
	assert_int_equal(http_stream_write(w->stream, piece, 10000), -ENOBUFS);
	assert_true(http_stream_waiting(w->stream) <= w->settings.output_max + 64);
	assert_int_equal(w->writable, 0);

	client_read(c);
	wait_until(w, w->writable == 1);
	assert_int_equal(http_stream_waiting(w->stream), 0);
	http_stream_end(w->stream);
	wait_text(c, "\r\n0\r\n\r\n");
	assert_true(c->in.len > written);
}

static void an_aborted_stream_is_seen_to_be_incomplete(void **state)
{
	struct world *w = *state;
	scoped(client_freep) struct client *c = client_new(w);

	get(c, "/stream");
	wait_until(w, w->stream);
	http_stream_abort(w->stream);
	wait_end(c);
	assert_false(has(c, "0\r\n\r\n"));
	assert_int_equal(w->gone, 0);
}

static void a_streams_client_that_leaves_is_noticed(void **state)
{
	struct world *w = *state;
	scoped(client_freep) struct client *c = client_new(w);

	get(c, "/stream");
	wait_until(w, w->stream);
	client_close(c);
	wait_until(w, w->gone == 1);
}

/*
 * Drain
 */

static void on_empty(void *arg)
{
	struct world *w = arg;

	w->emptied++;
}

static void drain_lets_answers_finish_and_closes_the_rest(void **state)
{
	struct world *w = *state;
	scoped(client_freep) struct client *idle = client_new(w);
	scoped(client_freep) struct client *waits = client_new(w);
	scoped(client_freep) struct client *streams = client_new(w);

	get(idle, "/hello");
	wait_text(idle, "/hello");
	get(waits, "/wait");
	get(streams, "/stream");
	wait_until(w, w->pending && w->stream);

	http_server_drain(w->server, on_empty, w);
	wait_end(idle);
	wait_end(streams);
	assert_true(has(streams, "0\r\n\r\n"));
	assert_int_equal(w->emptied, 0);
	reply(w->pending, "last");
	wait_end(waits);
	assert_true(has(waits, "Connection: close\r\n"));
	assert_true(has(waits, "last"));
	wait_until(w, w->emptied == 1);
}

static void draining_an_idle_server_ends_soon(void **state)
{
	struct world *w = *state;

	http_server_drain(w->server, on_empty, w);
	assert_int_equal(w->emptied, 0);
	wait_until(w, w->emptied == 1);
}

static void a_unix_peer_is_known_by_its_uid(void **state)
{
	struct world *w = *state;
	struct sockaddr_un sa = { .sun_family = AF_UNIX };
	scoped(client_freep) struct client *c = xcalloc(1, sizeof(*c));
	socklen_t len = sizeof(sa);
	int fd = socket(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC, 0);

	/* autobind: the kernel picks an abstract name */
	assert_int_equal(bind(fd, (struct sockaddr *)&sa, sizeof(sa_family_t)), 0);
	assert_int_equal(listen(fd, 4), 0);
	assert_int_equal(getsockname(fd, (struct sockaddr *)&sa, &len), 0);
	assert_int_equal(http_server_listen_consume(w->server, fd), 0);

	c->w = w;
	c->in = strbuf_init(STRBUF_UNLIMITED);
	c->fd = socket(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC, 0);
	assert_int_equal(connect(c->fd, (struct sockaddr *)&sa, len), 0);
	c->readable = event_new(loop_base(w->loop), c->fd, EV_READ | EV_PERSIST, on_readable, c);
	client_read(c);
	get(c, "/hello");
	wait_text(c, "/hello");
	assert_true(w->peer_is_unix);
	assert_int_equal(w->peer_uid, getuid());
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test_setup_teardown(pipelined_requests_are_answered_in_order, set_up,
						tear_down),
		cmocka_unit_test_setup_teardown(a_request_waits_for_the_answer_before_it, set_up,
						tear_down),
		cmocka_unit_test_setup_teardown(every_answer_has_its_fields, set_up, tear_down),
		cmocka_unit_test_setup_teardown(to_head_only_the_length_is_sent, set_up, tear_down),
		cmocka_unit_test_setup_teardown(http_1_0_closes_unless_asked_not_to, set_up,
						tear_down),
		cmocka_unit_test_setup_teardown(what_is_no_request_is_refused_and_heard, set_up,
						tear_down),
		cmocka_unit_test_setup_teardown(a_body_is_asked_for_only_when_it_is_wanted, set_up,
						tear_down),
		cmocka_unit_test_setup_teardown(a_large_body_is_refused_before_it_is_read, set_up,
						tear_down),
		cmocka_unit_test_setup_teardown(chunked_bodies_are_decoded_and_bounded, set_up,
						tear_down),
		cmocka_unit_test_setup_teardown(a_small_unread_body_keeps_the_connection, set_up,
						tear_down),
		cmocka_unit_test_setup_teardown(a_head_that_does_not_end_is_closed_at_its_deadline,
						set_up, tear_down),
		cmocka_unit_test_setup_teardown(a_body_that_stops_is_closed_at_its_deadline, set_up,
						tear_down),
		cmocka_unit_test_setup_teardown(
			a_client_that_does_not_read_is_closed_at_its_deadline, set_up, tear_down),
		cmocka_unit_test_setup_teardown(a_client_that_does_not_read_is_bounded, set_up,
						tear_down),
		cmocka_unit_test_setup_teardown(files_and_shared_bytes_go_out_in_their_turn, set_up,
						tear_down),
		cmocka_unit_test_setup_teardown(a_large_file_waits_for_its_client_and_others_do_not,
						set_up, tear_down),
		cmocka_unit_test_setup_teardown(
			a_client_that_does_not_read_a_file_is_closed_at_its_deadline, set_up,
			tear_down),
		cmocka_unit_test_setup_teardown(
			a_file_is_let_go_when_its_client_leaves_or_the_server_ends, set_up,
			tear_down),
		cmocka_unit_test_setup_teardown(past_the_limit_who_waited_the_longest_gives_way,
						set_up, tear_down),
		cmocka_unit_test_setup_teardown(
			past_the_limit_it_is_one_of_the_address_with_the_most, set_up, tear_down),
		cmocka_unit_test_setup_teardown(past_the_limit_who_takes_a_file_has_not_waited,
						set_up, tear_down),
		cmocka_unit_test_setup_teardown(
			past_the_limit_strangers_give_way_before_who_is_known, set_up, tear_down),
		cmocka_unit_test_setup_teardown(past_the_limit_there_is_room_for_a_few_strangers,
						set_up, tear_down),
		cmocka_unit_test_setup_teardown(however_busy_those_that_left_make_room_at_once,
						set_up, tear_down),
		cmocka_unit_test_setup_teardown(what_is_half_a_request_gives_way, set_up,
						tear_down),
		cmocka_unit_test_setup_teardown(without_descriptors_one_that_waits_gives_way,
						set_up, tear_down),
		cmocka_unit_test_setup_teardown(connections_past_the_limit_are_told_so, set_up,
						tear_down),
		cmocka_unit_test_setup_teardown(without_descriptors_accepting_pauses_and_goes_on,
						set_up, tear_down),
		cmocka_unit_test_setup_teardown(
			a_client_that_leaves_is_noticed_while_its_answer_is_pending, set_up,
			tear_down),
		cmocka_unit_test_setup_teardown(a_half_closed_client_gets_its_answers, set_up,
						tear_down),
		cmocka_unit_test_setup_teardown(a_request_nobody_watches_holds_until_it_is_answered,
						set_up, tear_down),
		cmocka_unit_test_setup_teardown(
			who_is_told_of_a_client_that_left_may_answer_another, set_up, tear_down),
		cmocka_unit_test_setup_teardown(freeing_the_server_tells_who_waits, set_up,
						tear_down),
		cmocka_unit_test_setup_teardown(a_stream_is_chunked_and_the_connection_goes_on,
						set_up, tear_down),
		cmocka_unit_test_setup_teardown(a_stream_to_http_1_0_ends_with_the_connection,
						set_up, tear_down),
		cmocka_unit_test_setup_teardown(a_stream_has_back_pressure, set_up, tear_down),
		cmocka_unit_test_setup_teardown(an_aborted_stream_is_seen_to_be_incomplete, set_up,
						tear_down),
		cmocka_unit_test_setup_teardown(a_streams_client_that_leaves_is_noticed, set_up,
						tear_down),
		cmocka_unit_test_setup_teardown(drain_lets_answers_finish_and_closes_the_rest,
						set_up, tear_down),
		cmocka_unit_test_setup_teardown(draining_an_idle_server_ends_soon, set_up,
						tear_down),
		cmocka_unit_test_setup_teardown(a_unix_peer_is_known_by_its_uid, set_up, tear_down),
	};

	alarm(60); /* what never comes */
	return cmocka_run_group_tests(tests, NULL, NULL);
}
