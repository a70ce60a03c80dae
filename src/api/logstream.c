/* SPDX-License-Identifier: MIT */
/*
 * A log as an HTTP stream.  A client that doesn't read is waited for: the log tells when there is
 * more, the stream when there is room.
 */
#include "api/logstream.h"

#include "api/api_priv.h"
#include "base/mem.h"

struct log_stream {
	struct http_stream *http;
	struct textlog_reader *log;
};

struct log_stream *log_stream_new(void)
{
	return xcalloc(1, sizeof(struct log_stream));
}

void log_stream_free(struct log_stream *s)
{
	textlog_reader_free(s->log);
	free(s);
}

static void on_log_bytes(const char *bytes, size_t len, void *arg)
{
	struct log_stream *s = arg;

	if (http_stream_write(s->http, bytes, len) < 0) {
		http_stream_abort(s->http);
		log_stream_free(s);
		return;
	}
	if (http_stream_waiting(s->http) > 0)
		textlog_pause(s->log);
}

static void on_log_end(void *arg)
{
	struct log_stream *s = arg;

	http_stream_end(s->http);
	free(s); /* the reader is gone already */
}

const struct textlog_ops log_stream_ops = { .on_bytes = on_log_bytes, .on_end = on_log_end };

static void on_writable(struct http_stream *http, void *arg)
{
	struct log_stream *s = arg;

	(void)http;
	textlog_resume(s->log);
}

static void on_gone(struct http_stream *http, void *arg)
{
	(void)http;
	log_stream_free(arg);
}

static void on_drain(struct http_stream *http, void *arg)
{
	http_stream_end(http);
	log_stream_free(arg);
}

void log_stream_begin(struct log_stream *s, struct textlog_reader *log, struct call *call)
{
	static const struct http_stream_ops http_ops = {
		.on_writable = on_writable,
		.on_gone = on_gone,
		.on_drain_server = on_drain,
	};

	s->log = log;
	http_response_header(call->req, "Cache-Control", "no-store");
	http_response_header(call->req, "X-Content-Type-Options", "nosniff");
	guard_cors(call->req);
	s->http = http_stream_start(call->req, 200, "text/plain; charset=utf-8", &http_ops, s);
	call_free(call);
}
