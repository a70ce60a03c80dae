/* SPDX-License-Identifier: MIT */
/*
 * What a request is answered: the status line, the fields that every answer has, and what becomes
 * of the connection.
 */
#include <assert.h>
#include <inttypes.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "base/mem.h"
#include "base/metrics.h"
#include "http/http_priv.h"

static const struct {
	int status;
	const char *text;
} reasons[] = {
	/* clang-format off */
	{ 101, "Switching Protocols" },
	{ 200, "OK" },
	{ 201, "Created" },
	{ 202, "Accepted" },
	{ 204, "No Content" },
	{ 206, "Partial Content" },
	{ 301, "Moved Permanently" },
	{ 302, "Found" },
	{ 303, "See Other" },
	{ 304, "Not Modified" },
	{ 307, "Temporary Redirect" },
	{ 308, "Permanent Redirect" },
	{ 400, "Bad Request" },
	{ 401, "Unauthorized" },
	{ 403, "Forbidden" },
	{ 404, "Not Found" },
	{ 405, "Method Not Allowed" },
	{ 406, "Not Acceptable" },
	{ 408, "Request Timeout" },
	{ 409, "Conflict" },
	{ 410, "Gone" },
	{ 412, "Precondition Failed" },
	{ 413, "Content Too Large" },
	{ 414, "URI Too Long" },
	{ 415, "Unsupported Media Type" },
	{ 416, "Range Not Satisfiable" },
	{ 417, "Expectation Failed" },
	{ 421, "Misdirected Request" },
	{ 422, "Unprocessable Content" },
	{ 424, "Failed Dependency" },
	{ 426, "Upgrade Required" },
	{ 429, "Too Many Requests" },
	{ 431, "Request Header Fields Too Large" },
	{ 500, "Internal Server Error" },
	{ 501, "Not Implemented" },
	{ 502, "Bad Gateway" },
	{ 503, "Service Unavailable" },
	{ 504, "Gateway Timeout" },
	{ 505, "HTTP Version Not Supported" },
	/* clang-format on */
};

static const char *reason(int status)
{
	for (size_t i = 0; i < ARRAY_SIZE(reasons); i++)
		if (reasons[i].status == status)
			return reasons[i].text;
	return ""; /* a client goes by the number (RFC 9112 section 4) */
}

bool http_status_has_body(int status)
{
	return status >= 200 && status != 204 && status != 304;
}

static void field(struct strbuf *b, const char *name, const char *value)
{
	strbuf_puts(b, name);
	strbuf_add(b, ": ", 2);
	strbuf_puts(b, value);
	strbuf_add(b, "\r\n", 2);
}

static bool keeps_alive(const struct http_request *req)
{
	const struct http_conn *c = req->conn;

	return req->keep_alive && !req->must_close && !c->server->draining && !c->broken;
}

/*
 * A body that nobody read is still on its way.  A small one is passed over; for a large one, one of
 * unknown length, or one that may never come because it was not told to, the connection is ended.
 */
static void decide_unread_body(struct http_request *req)
{
	if (req->body_kind == HTTP_BODY_CHUNKED || req->wants_continue ||
	    (req->body_kind == HTTP_BODY_LENGTH && req->body_left > HTTP_SKIP_MAX))
		req->must_close = true;
}

static void count(struct http_request *req, int status)
{
	struct http_server *server = req->conn->server;

	metric_inc(METRIC_HTTP_REQUESTS);
	metric_observe(METRIC_HTTP_SECONDS,
		       (double)(clock_monotonic() - req->complete) / USEC_PER_SEC);
	if (server->on_done)
		server->on_done(req, status, server->on_done_arg);
}

static void add_framing(struct strbuf *b, const struct http_request *req,
			const struct http_answer *answer, bool keep_alive)
{
	char number[32];

	switch (answer->framing) {
	case HTTP_LENGTH_KNOWN:
		snprintf(number, sizeof(number), "%" PRIu64, answer->length);
		field(b, "Content-Length", number);
		break;
	case HTTP_LENGTH_CHUNKED:
		field(b, "Transfer-Encoding", "chunked");
		break;
	case HTTP_LENGTH_CLOSE:
	case HTTP_LENGTH_NONE:
		break;
	}

	if (answer->upgrade_accept) {
		field(b, "Upgrade", "websocket");
		field(b, "Connection", "Upgrade");
		field(b, "Sec-WebSocket-Accept", answer->upgrade_accept);
	} else if (!keep_alive) {
		field(b, "Connection", "close");
	} else if (req->minor_0) {
		field(b, "Connection", "keep-alive");
	}
}

static void make_head(struct http_request *req, const struct http_answer *answer, bool keep_alive)
{
	struct http_server *server = req->conn->server;
	struct strbuf *b = &server->scratch;
	char line[16];

	strbuf_reset(b);
	snprintf(line, sizeof(line), "HTTP/1.1 %03d ", answer->status);
	strbuf_puts(b, line);
	strbuf_puts(b, reason(answer->status));
	strbuf_puts(b, "\r\nServer: previewd\r\nX-Content-Type-Options: nosniff\r\nDate: ");
	strbuf_puts(b, http_server_date(server));
	strbuf_puts(b, "\r\nX-Request-Id: ");
	strbuf_puts(b, req->id);
	strbuf_add(b, "\r\n", 2);
	if (answer->content_type)
		field(b, "Content-Type", answer->content_type);
	add_framing(b, req, answer, keep_alive);
	strbuf_add(b, req->headers.data, req->headers.len);
	strbuf_add(b, "\r\n", 2);
}

struct http_after http_answer_start(struct http_request *req, const struct http_answer *answer,
				    const void *body, size_t len)
{
	struct http_conn *c = req->conn;
	struct strbuf *head = &c->server->scratch;
	struct http_after after;
	struct iovec parts[2];

	req->on_gone = NULL;
	decide_unread_body(req);
	after = (struct http_after){
		.keep_alive = keeps_alive(req) && answer->framing != HTTP_LENGTH_CLOSE,
		.unread = req->body_kind != HTTP_BODY_NONE,
		.skip_left = req->body_left,
	};

	make_head(req, answer, after.keep_alive);
	parts[0] = (struct iovec){ .iov_base = head->data, .iov_len = head->len };
	parts[1] = (struct iovec){ .iov_base = (void *)body, .iov_len = len };
	if (answer->bytes && !req->is_head)
		http_conn_send_with_bytes(c, parts, answer->bytes, (size_t)answer->from,
					  (size_t)answer->length);
	else if (answer->file && !req->is_head)
		http_conn_send_with_file(c, parts, answer->file, answer->from, answer->length);
	else
		http_conn_send(c, parts, len > 0 ? 2 : 1);
	count(req, answer->status);
	c->req = http_request_free(req);
	return after;
}

void http_response_header(struct http_request *req, const char *name, const char *value)
{
	assert(!strpbrk(name, "\r\n:") && !strpbrk(value, "\r\n"));
	field(&req->headers, name, value);
}

void http_response_fields(struct http_request *req, const char *lines, size_t len)
{
	assert(len == 0 || (len > 2 && memcmp(lines + len - 2, "\r\n", 2) == 0));
	strbuf_add(&req->headers, lines, len);
}

/* The client has left, and the handler didn't ask to be told: nothing to answer to. */
static bool drop(struct http_request *req)
{
	struct http_conn *c = req->conn;

	if (c->state != HTTP_CONN_CLOSED)
		return false;
	c->req = http_request_free(req);
	http_server_queue(c);
	return true;
}

static void reply(struct http_request *req, struct http_answer *answer, const void *body,
		  size_t len)
{
	struct http_conn *c = req->conn;
	bool has_body = http_status_has_body(answer->status);
	struct http_after after;

	if (req->gone || drop(req))
		return;
	assert(c->req == req && (c->state == HTTP_CONN_PENDING || c->state == HTTP_CONN_BODY));

	answer->framing = has_body ? HTTP_LENGTH_KNOWN : HTTP_LENGTH_NONE;
	if (!has_body) {
		answer->content_type = NULL;
		answer->bytes = NULL;
		answer->file = NULL;
	}
	after = http_answer_start(req, answer, body, has_body && !req->is_head ? len : 0);
	http_conn_answered(c, &after);
}

void http_reply(struct http_request *req, int status, const char *content_type, const void *body,
		size_t len)
{
	struct http_answer answer = {
		.status = status,
		.content_type = content_type,
		.length = len,
	};

	reply(req, &answer, body, len);
}

void http_reply_bytes(struct http_request *req, int status, const char *content_type,
		      struct bytes *body, size_t from, size_t len)
{
	struct http_answer answer = {
		.status = status,
		.content_type = content_type,
		.length = len,
		.bytes = body,
		.from = from,
	};

	assert(from <= body->len && len <= body->len - from);
	reply(req, &answer, NULL, 0);
}

void http_reply_file(struct http_request *req, int status, const char *content_type,
		     struct http_file *file, uint64_t from, uint64_t len)
{
	struct http_answer answer = {
		.status = status,
		.content_type = content_type,
		.length = len,
		.file = file,
		.from = from,
	};

	reply(req, &answer, NULL, 0);
}

void http_refuse(struct http_request *req, int status, const char *why)
{
	struct http_server *server = req->conn->server;
	scoped(freep) char *content_type = NULL;
	scoped(freep) char *body = NULL;

	if (server->on_refusal)
		server->on_refusal(status, why, &content_type, &body, server->on_refusal_arg);
	if (!body) {
		free(content_type);
		content_type = xstrdup("text/plain; charset=utf-8");
		body = xasprintf("%s\n", why);
	}
	http_reply(req, status, content_type, body, strlen(body));
}
