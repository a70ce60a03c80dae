/* SPDX-License-Identifier: MIT */
/*
 * What a client asks: a request from its head to the end of its body, and what handlers read of it.
 *
 * The head is copied out of the connection's input, so that a request holds while more arrives.
 */
#include <assert.h>
#include <errno.h>
#include <event2/buffer.h>
#include <stdlib.h>
#include <string.h>
#include <strings.h>

#include "base/mem.h"
#include "base/metrics.h"
#include "base/parse.h"
#include "http/http_priv.h"
#include "http/url.h"

struct http_request *http_request_free(struct http_request *req)
{
	if (!req)
		return NULL;
	strbuf_done(&req->body);
	strbuf_done(&req->headers);
	free(req);
	return NULL;
}

static const char *copy(char **at, struct http_view v)
{
	char *text = *at;

	if (v.len > 0)
		memcpy(text, v.at, v.len);
	text[v.len] = '\0';
	*at += v.len + 1;
	return text;
}

static size_t text_size(const struct http_head *h, struct http_view path, struct http_view query)
{
	size_t size = h->method.len + path.len + query.len + h->host.len + 4;

	for (size_t i = 0; i < h->n_fields; i++)
		size += h->fields[i].name.len + h->fields[i].value.len + 2;
	return size;
}

static struct http_request *request_new(struct http_conn *c, const struct http_head *h)
{
	struct http_view path, query;
	struct http_request *req;
	usec_t now = clock_monotonic();
	char *at;

	http_target_split(h->target, &path, &query);
	req = xcalloc(1, sizeof(*req) + h->n_fields * sizeof(req->fields[0]) +
				 text_size(h, path, query));
	at = (char *)&req->fields[h->n_fields];

	req->conn = c;
	req->method = copy(&at, h->method);
	req->path = copy(&at, path);
	req->query = copy(&at, query);
	req->host = copy(&at, h->host);
	for (size_t i = 0; i < h->n_fields; i++) {
		req->fields[i].name = copy(&at, h->fields[i].name);
		req->fields[i].value = copy(&at, h->fields[i].value);
	}
	req->n_fields = h->n_fields;
	req->is_head = http_view_is(h->method, "HEAD");
	req->minor_0 = h->minor == 0;
	req->keep_alive = h->keep_alive;
	req->upgrade = h->upgrade_websocket;
	req->wants_continue = h->expect_continue && h->body != HTTP_BODY_NONE;
	req->body_kind = h->body;
	req->body_left = h->content_length;
	req->headers = strbuf_init(STRBUF_UNLIMITED);
	req->started = req->complete = now;
	http_server_new_id(c->server, req->id);
	return req;
}

/* Stands for what could not be parsed, so that its refusal goes the way of every answer. */
static struct http_request *request_unknown(struct http_conn *c)
{
	struct http_head nothing;

	memset(&nothing, 0, sizeof(nothing));
	nothing.method = nothing.target = nothing.host = HTTP_VIEW("");
	nothing.minor = 1;
	return request_new(c, &nothing);
}

static void refuse_unknown(struct http_conn *c, const struct http_refusal *refusal)
{
	c->req = request_unknown(c);
	c->req->must_close = true;
	http_conn_set_state(c, HTTP_CONN_PENDING);
	c->deadline = USEC_INFINITY;
	http_refuse(c->req, (int)refusal->status, refusal->why);
}

/*
 * Reading
 */

static int parse(struct http_conn *c, struct evbuffer *input, size_t len, struct http_head *ret,
		 struct http_refusal *reterr)
{
	const char *bytes = (const char *)evbuffer_pullup(input, (ev_ssize_t)len);

	return http_head_parse(bytes, len, &c->scanned, ret, reterr);
}

/* The head is nearly always in one piece; only else is it moved together. */
static int parse_front(struct http_conn *c, struct evbuffer *input, struct http_head *ret,
		       struct http_refusal *reterr)
{
	size_t all = evbuffer_get_length(input);
	size_t front = evbuffer_get_contiguous_space(input);
	int r = parse(c, input, front, ret, reterr);

	if (r != 0 || front == all || front > HTTP_HEAD_MAX)
		return r;
	if (all > HTTP_HEAD_MAX + 1)
		all = HTTP_HEAD_MAX + 1;
	return parse(c, input, all, ret, reterr);
}

static bool wait_for_head(struct http_conn *c, bool begun)
{
	if (c->half_closed) {
		http_conn_finish(c, false);
		return true;
	}
	if (begun && !c->head_begun) {
		c->head_begun = true;
		c->deadline = http_deadline(clock_monotonic(), c->limits->set.header_timeout);
	}
	return false;
}

bool http_request_read_head(struct http_conn *c)
{
	struct evbuffer *input = bufferevent_get_input(c->bev);
	struct http_refusal refusal;
	struct http_head head;
	int r;

	if (c->sending || http_conn_waiting(c) > HTTP_OUTPUT_BEFORE_NEXT)
		return false; /* goes on when it was taken */
	if (evbuffer_get_length(input) == 0)
		return wait_for_head(c, false);

	r = parse_front(c, input, &head, &refusal);
	if (r == 0)
		return wait_for_head(c, true);
	c->scanned = 0;
	if (r < 0) {
		metric_inc(METRIC_HTTP_BAD_REQUESTS);
		refuse_unknown(c, &refusal);
		return true;
	}

	c->req = request_new(c, &head);
	c->known = c->peer.is_unix; /* the kernel says who that is */
	evbuffer_drain(input, head.head_len);
	http_conn_set_state(c, HTTP_CONN_PENDING);
	c->deadline = USEC_INFINITY;
	c->server->on_head(c->req, c->server->arg);
	return true;
}

/* The server, and not its handler, answers: whoever waits for the request is told it is gone. */
static void refuse_body(struct http_conn *c, int status, const char *why)
{
	struct http_request *req = c->req;

	http_conn_set_state(c, HTTP_CONN_PENDING);
	c->deadline = USEC_INFINITY;
	if (req->on_gone) {
		loop_fn *fn = STEAL(req->on_gone);

		req->gone = true;
		fn(req->on_gone_arg);
		req->gone = false;
	}
	req->must_close = true;
	http_refuse(req, status, why);
}

static void refuse_large_body(struct http_conn *c, size_t max)
{
	char size[PARSE_TEXT_SIZE], why[100];

	snprintf(why, sizeof(why), "the body is larger than %s, the most that is taken here",
		 format_size(max, size));
	refuse_body(c, 413, why);
}

static bool body_complete(struct http_conn *c)
{
	struct http_request *req = c->req;
	http_request_fn *fn = STEAL(req->on_body);

	req->complete = clock_monotonic();
	http_conn_set_state(c, HTTP_CONN_PENDING);
	c->deadline = USEC_INFINITY;
	fn(req, req->on_body_arg);
	return true;
}

static size_t take_length(struct http_request *req, const char *bytes, size_t len)
{
	if (len > req->body_left)
		len = (size_t)req->body_left;
	strbuf_add(&req->body, bytes, len);
	req->body_left -= len;
	if (req->body_left == 0)
		req->body_kind = HTTP_BODY_NONE;
	return len;
}

static int take_chunked(struct http_request *req, const char *bytes, size_t len, size_t *ret_taken)
{
	struct http_view data;
	int r = http_chunked_decode(&req->chunked, bytes, len, ret_taken, &data);

	if (r == HTTP_CHUNKED_DATA)
		strbuf_add(&req->body, data.at, data.len);
	else if (r == HTTP_CHUNKED_END)
		req->body_kind = HTTP_BODY_NONE;
	return r;
}

bool http_request_read_body(struct http_conn *c)
{
	struct evbuffer *input = bufferevent_get_input(c->bev);
	struct http_request *req = c->req;

	while (req->body_kind != HTTP_BODY_NONE && evbuffer_get_length(input) > 0) {
		size_t front = evbuffer_get_contiguous_space(input);
		const char *bytes = (const char *)evbuffer_pullup(input, (ev_ssize_t)front);
		size_t taken = 0;
		int r = 0;

		c->deadline = http_deadline(clock_monotonic(), c->limits->set.body_timeout);
		if (req->body_kind == HTTP_BODY_LENGTH)
			taken = take_length(req, bytes, front);
		else
			r = take_chunked(req, bytes, front, &taken);
		if (r < 0) {
			metric_inc(METRIC_HTTP_BAD_REQUESTS);
			refuse_body(c, 400, "the chunked body is malformed");
			return true;
		}
		if (req->body.error < 0) {
			refuse_large_body(c, req->body.max);
			return true;
		}
		evbuffer_drain(input, taken);
	}

	if (req->body_kind == HTTP_BODY_NONE)
		return body_complete(c);
	if (c->half_closed)
		http_conn_gone(c);
	return false;
}

void http_request_timed_out(struct http_conn *c)
{
	static const struct http_refusal late = { 408, "the request took too long to arrive" };

	if (c->state == HTTP_CONN_BODY)
		refuse_body(c, (int)late.status, late.why);
	else
		refuse_unknown(c, &late);
}

void http_request_expect(struct http_request *req, size_t max, http_request_fn *fn, void *arg)
{
	static const char go_on[] = "HTTP/1.1 100 Continue\r\n\r\n";
	const struct iovec line = { .iov_base = (void *)go_on, .iov_len = sizeof(go_on) - 1 };
	struct http_conn *c = req->conn;

	assert(!req->on_body);
	if (c->state == HTTP_CONN_CLOSED)
		return;
	if (req->body_kind == HTTP_BODY_LENGTH && req->body_left > max) {
		refuse_large_body(c, max);
		return;
	}

	req->body = strbuf_init(max);
	req->on_body = fn;
	req->on_body_arg = arg;
	if (req->wants_continue && evbuffer_get_length(bufferevent_get_input(c->bev)) == 0)
		http_conn_send(c, &line, 1);
	req->wants_continue = false;
	http_conn_set_state(c, HTTP_CONN_BODY);
	c->deadline = http_deadline(clock_monotonic(), c->limits->set.body_timeout);
	http_conn_wake(c);
}

/*
 * The end, when it is not an answer
 */

void http_request_on_gone(struct http_request *req, loop_fn *fn, void *arg)
{
	req->on_gone = fn;
	req->on_gone_arg = arg;
	/* Should the client have left before anybody asked: told soon, never from inside here. */
	if (req->conn->half_closed || req->conn->state == HTTP_CONN_CLOSED)
		http_conn_wake(req->conn);
}

/*
 * Its connection is closed by now.  A request that is with a handler which doesn't ask to be told
 * is kept until it is answered.
 */
void http_request_gone(struct http_request *req)
{
	loop_fn *fn = STEAL(req->on_gone);
	struct http_conn *c = req->conn;

	if (!fn && !req->on_body)
		return;
	req->gone = true;
	if (fn)
		fn(req->on_gone_arg);
	c->req = http_request_free(req);
}

/*
 * What handlers read
 */

const char *http_request_method(const struct http_request *req)
{
	return req->method;
}

const char *http_request_path(const struct http_request *req)
{
	return req->path;
}

const char *http_request_query(const struct http_request *req)
{
	return req->query;
}

const char *http_request_host(const struct http_request *req)
{
	return req->host;
}

const char *http_request_header(const struct http_request *req, const char *name)
{
	for (size_t i = 0; i < req->n_fields; i++)
		if (strcasecmp(req->fields[i].name, name) == 0)
			return req->fields[i].value;
	return NULL;
}

char *http_request_headers(const struct http_request *req, const char *name)
{
	struct strbuf list = strbuf_init(STRBUF_UNLIMITED);
	bool any = false;

	for (size_t i = 0; i < req->n_fields; i++) {
		if (strcasecmp(req->fields[i].name, name) != 0)
			continue;
		if (any)
			strbuf_puts(&list, ", ");
		strbuf_puts(&list, req->fields[i].value);
		any = true;
	}
	return any ? strbuf_steal(&list) : NULL;
}

const char *http_request_body(const struct http_request *req, size_t *ret_len)
{
	if (ret_len)
		*ret_len = req->body.len;
	return strbuf_str(&req->body);
}

const struct http_peer *http_request_peer(const struct http_request *req)
{
	return &req->conn->peer;
}

void http_request_set_known(struct http_request *req)
{
	req->conn->known = true;
}

bool http_request_wants_websocket(const struct http_request *req)
{
	return req->upgrade;
}

usec_t http_request_started(const struct http_request *req)
{
	return req->started;
}

const char *http_request_id(const struct http_request *req)
{
	return req->id;
}
