/* SPDX-License-Identifier: MIT */
/*
 * What a server sends to previewctl's WebSocket: an answer to the handshake as it is, or, where the
 * first byte is even, frames behind a good one.  It comes to an end, and every text is UTF-8.
 */
#include <assert.h>
#include <errno.h>
#include <fcntl.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "base/crypto.h"
#include "base/mem.h"
#include "base/parse.h"
#include "base/strbuf.h"
#include "ctl/ws.h"
#include "fuzz.h"

struct script {
	struct strbuf asked;
	struct strbuf answer;
	size_t at, piece;
	bool is_good; /* the handshake */
};

static ssize_t on_receive(void *arg, void *buffer, size_t size)
{
	struct script *s = arg;
	size_t n = s->answer.len - s->at;

	n = n < size ? n : size;
	n = n < s->piece ? n : s->piece;
	if (n > 0)
		memcpy(buffer, s->answer.data + s->at, n);
	s->at += n;
	return (ssize_t)n;
}

/* The answer needs the key that was asked with: it comes before the frames. */
static void answer_well(struct script *s)
{
	static const char name[] = "Sec-WebSocket-Key: ";
	scoped(strbuf_done) struct strbuf b = strbuf_init(STRBUF_UNLIMITED);
	const char *at = strstr(s->asked.data, name);
	scoped(freep) char *key = xstrndup(at + strlen(name), 24);
	char accept[29];

	websocket_accept_key(key, accept);
	strbuf_printf(&b,
		      "HTTP/1.1 101 Switching Protocols\r\nUpgrade: websocket\r\n"
		      "Connection: Upgrade\r\nSec-WebSocket-Accept: %s\r\n\r\n",
		      accept);
	if (s->answer.len > 0)
		strbuf_add(&b, s->answer.data, s->answer.len);
	strbuf_done(&s->answer);
	s->answer = b;
	b = strbuf_init(0);
}

static ssize_t on_send(void *arg, const void *data, size_t len)
{
	struct script *s = arg;

	if (s->asked.len > 1024 * 1024)
		return (ssize_t)len;
	strbuf_add(&s->asked, data, len);
	if (s->is_good && strstr(s->asked.data, "\r\n\r\n")) {
		s->is_good = false;
		answer_well(s);
	}
	return (ssize_t)len;
}

static void receive_all(struct ws *ws)
{
	const char *text;
	size_t len;
	int r;

	while ((r = ws_receive(ws, 1, &text, &len)) > 0)
		assert(utf8_is_valid(text, len));
	assert(r == 0 || r == -EPROTO || r == -ECONNRESET);
	assert(utf8_is_valid(ws_close_reason(ws), strlen(ws_close_reason(ws))));
	assert(ws_close_code(ws) >= 1000 && ws_close_code(ws) < 5000);
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
	static const struct ws_request request = { "x", "/ws/events", "token" };
	struct script s = { strbuf_init(STRBUF_UNLIMITED), strbuf_init(STRBUF_UNLIMITED), 0, 0, 0 };
	struct ws_transport transport = { on_receive, on_send, &s, -1, -1 };
	struct problem problem = { 0 };
	struct ws *ws;

	static int readable = -1;

	if (size < 1)
		return 0;
	if (readable < 0)
		readable = open("/dev/null", O_RDONLY | O_CLOEXEC);
	transport.fd = readable;
	s.is_good = data[0] % 2 == 0;
	s.piece = size / 16 + data[0] / 2 + 1;
	strbuf_add(&s.answer, data + 1, size - 1);
	ws = ws_open(&transport, &request, 1, &problem);
	if (ws)
		receive_all(ws);
	else
		assert(problem.exit_code != EXIT_OK && problem.message);
	ws_free(ws);
	problem_done(&problem);
	strbuf_done(&s.asked);
	strbuf_done(&s.answer);
	return 0;
}
