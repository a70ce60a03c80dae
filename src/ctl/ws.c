/* SPDX-License-Identifier: MIT */
/*
 * The client's side of a WebSocket: the handshake is ours, the frames are wslay's.
 */
#include "ctl/ws.h"

#include <errno.h>
#include <poll.h>
#include <stdlib.h>
#include <string.h>
#include <strings.h>
#include <wslay/wslay.h>

#include "base/clock.h"
#include "base/crypto.h"
#include "base/ids.h"
#include "base/mem.h"
#include "base/parse.h"
#include "base/strbuf.h"

#define HEAD_MAX    (16 * 1024)
#define REFUSAL_MAX (64 * 1024)
#define MESSAGE_MAX (64 * 1024 * 1024)
#define KEY_BYTES   16

struct ws {
	struct ws_transport transport;
	wslay_event_context_ptr frames;
	struct strbuf early; /* what came right behind the answer's head */
	char **messages;     /* a ring would be too much: a read brings a handful */
	size_t *lengths;
	size_t n_messages, next_message;
	unsigned close_code;
	char *close_reason;
	int error;  /* 0, or why reading ended: -ECONNRESET, -EPROTO; 1: the other side's end */
	bool heard; /* anything since the last ping */
};

static int wait_for(const struct ws_transport *t, short events, usec_t deadline)
{
	for (;;) {
		/* Of a pipe that nobody reads any more poll() tells unasked. */
		struct pollfd p[] = { { .fd = t->fd, .events = events }, { .fd = t->output } };
		usec_t now = clock_monotonic();
		int r, ms;

		if (now >= deadline)
			return -ETIMEDOUT;
		ms = (int)((deadline - now + USEC_PER_MSEC - 1) / USEC_PER_MSEC);
		r = poll(p, ARRAY_SIZE(p), ms);
		if (r > 0)
			return p[1].revents & (POLLERR | POLLHUP) ? -ECANCELED : 0;
		if (r < 0 && errno != EINTR)
			return -errno;
	}
}

static int send_all(const struct ws_transport *t, const char *data, size_t len, usec_t deadline)
{
	while (len > 0) {
		ssize_t n = t->send(t->arg, data, len);

		if (n == -EAGAIN) {
			int r = wait_for(t, POLLOUT, deadline);

			if (r < 0)
				return r;
			continue;
		}
		if (n < 0)
			return (int)n;
		data += n;
		len -= (size_t)n;
	}
	return 0;
}

/* Adds what comes next: 1, or 0 at the end. */
static int receive_some(const struct ws_transport *t, struct strbuf *b, usec_t deadline)
{
	for (;;) {
		char buffer[4096];
		ssize_t n = t->receive(t->arg, buffer, sizeof(buffer));

		if (n == -EAGAIN) {
			int r = wait_for(t, POLLIN, deadline);

			if (r < 0)
				return r;
			continue;
		}
		if (n <= 0)
			return (int)n;
		strbuf_add(b, buffer, (size_t)n);
		return b->error ? b->error : 1;
	}
}

/* The value of a field of the head, in `value`; NULL where it is missing or too long. */
static const char *field_of(const char *head, const char *name, char *value, size_t size)
{
	size_t name_len = strlen(name);

	for (const char *line = strstr(head, "\r\n"); line && line[2];
	     line = strstr(line, "\r\n")) {
		size_t len;

		line += 2;
		if (strncasecmp(line, name, name_len) != 0 || line[name_len] != ':')
			continue;
		line += name_len + 1;
		line += strspn(line, " \t");
		len = strcspn(line, "\r");
		while (len > 0 && (line[len - 1] == ' ' || line[len - 1] == '\t'))
			len--;
		if (len >= size)
			return NULL;
		memcpy(value, line, len);
		value[len] = '\0';
		return value;
	}
	return NULL;
}

static void random_key(char ret[static 25])
{
	static const char alphabet[] =
		"ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789+/";
	uint8_t bytes[KEY_BYTES + 2];

	random_bytes(bytes, KEY_BYTES);
	bytes[KEY_BYTES] = bytes[KEY_BYTES + 1] = 0;
	for (size_t i = 0, out = 0; i < KEY_BYTES; i += 3) {
		uint32_t v = (uint32_t)bytes[i] << 16 | (uint32_t)bytes[i + 1] << 8 | bytes[i + 2];

		for (int shift = 18; shift >= 0; shift -= 6)
			ret[out++] = alphabet[v >> shift & 63];
	}
	/* 16 bytes end in two characters of padding, which bear no bits. */
	ret[22] = ret[23] = '=';
	ret[24] = '\0';
}

static int send_request(const struct ws_transport *t, const struct ws_request *request,
			const char *key, usec_t deadline)
{
	scoped(strbuf_done) struct strbuf b = strbuf_init(HEAD_MAX);
	int r;

	strbuf_printf(&b,
		      "GET %s HTTP/1.1\r\nHost: %s\r\nUpgrade: websocket\r\nConnection: Upgrade\r\n"
		      "Sec-WebSocket-Version: 13\r\nSec-WebSocket-Key: %s\r\n"
		      "User-Agent: previewctl/" PACKAGE_VERSION "\r\n",
		      request->target, request->host, key);
	if (request->token)
		strbuf_printf(&b, "Authorization: Bearer %s\r\n", request->token);
	strbuf_puts(&b, "\r\n");
	r = b.error ? b.error : send_all(t, strbuf_str(&b), b.len, deadline);
	if (request->token && b.data)
		explicit_bzero(b.data, b.len);
	return r;
}

/* The body of a refusal: as long as it says, or to the end, and no longer than we care for. */
static int refused(const struct ws_transport *t, struct strbuf *b, size_t head_len, int status,
		   usec_t deadline, struct problem *reterr)
{
	char text[32];
	unsigned len = REFUSAL_MAX;

	if (field_of(b->data, "Content-Length", text, sizeof(text)) &&
	    parse_uint(text, 0, REFUSAL_MAX, &len) < 0)
		len = REFUSAL_MAX;
	strbuf_consume(b, head_len);
	while (b->len < len && receive_some(t, b, deadline) > 0)
		;
	return problem_of_answer(reterr, status, strbuf_str(b), b->len < len ? b->len : len);
}

static int check_answer(const char *head, const char *key, struct problem *reterr)
{
	char expected[29], value[128];

	websocket_accept_key(key, expected);
	if (!field_of(head, "Upgrade", value, sizeof(value)) ||
	    strcasecmp(value, "websocket") != 0 ||
	    !field_of(head, "Connection", value, sizeof(value)) || !strcasestr(value, "upgrade") ||
	    !field_of(head, "Sec-WebSocket-Accept", value, sizeof(value)) ||
	    strcmp(value, expected) != 0)
		return problem_set(reterr, EXIT_FAILED, "bad_answer",
				   "the answer is not that of a WebSocket server");
	return 0;
}

static int status_of(const char *head)
{
	unsigned status;
	char text[4] = "";

	if (strncmp(head, "HTTP/1.1 ", 9) != 0 && strncmp(head, "HTTP/1.0 ", 9) != 0)
		return -EPROTO;
	memcpy(text, head + 9, strnlen(head + 9, 3));
	return parse_uint(text, 100, 599, &status) < 0 ? -EPROTO : (int)status;
}

static int shake_hands(struct ws *ws, const struct ws_request *request, usec_t deadline,
		       struct problem *reterr)
{
	scoped(strbuf_done) struct strbuf b = strbuf_init(HEAD_MAX + REFUSAL_MAX);
	const char *end = NULL;
	size_t head_len;
	char key[25];
	int r, status;

	random_key(key);
	r = send_request(&ws->transport, request, key, deadline);
	while (r >= 0 && !end) {
		r = receive_some(&ws->transport, &b, deadline);
		if (r <= 0)
			break;
		end = strstr(b.data, "\r\n\r\n");
		if (!end && b.len > HEAD_MAX)
			r = -EPROTO;
	}
	if (!end)
		return problem_set(reterr, EXIT_UNREACHABLE, "unreachable",
				   "the connection ended before it was a WebSocket (%s)",
				   r == 0 ? "closed by the other side" : strerror(-r));

	head_len = (size_t)(end - b.data) + 4;
	status = status_of(b.data);
	if (status != 101)
		return refused(&ws->transport, &b, head_len, status < 0 ? 502 : status, deadline,
			       reterr);

	b.data[head_len - 2] = '\0'; /* the fields and no frame */
	if (check_answer(b.data, key, reterr) < 0)
		return -1;
	strbuf_consume(&b, head_len);
	strbuf_add(&ws->early, b.data, b.len);
	return 0;
}

static ssize_t on_receive(wslay_event_context_ptr frames, uint8_t *buffer, size_t size, int flags,
			  void *arg)
{
	struct ws *ws = arg;
	ssize_t n;

	(void)flags;
	if (ws->early.len > 0) {
		n = (ssize_t)(ws->early.len < size ? ws->early.len : size);
		memcpy(buffer, ws->early.data, (size_t)n);
		strbuf_consume(&ws->early, (size_t)n);
		ws->heard = true;
		return n;
	}

	n = ws->transport.receive(ws->transport.arg, buffer, size);
	if (n > 0) {
		ws->heard = true;
		return n;
	}
	if (n != -EAGAIN)
		ws->error = n == 0 ? 1 : (int)n;
	wslay_event_set_error(frames,
			      n == -EAGAIN ? WSLAY_ERR_WOULDBLOCK : WSLAY_ERR_CALLBACK_FAILURE);
	return -1;
}

static ssize_t on_send(wslay_event_context_ptr frames, const uint8_t *data, size_t len, int flags,
		       void *arg)
{
	struct ws *ws = arg;
	ssize_t n = ws->transport.send(ws->transport.arg, data, len);

	(void)flags;
	if (n >= 0)
		return n;
	if (n != -EAGAIN && ws->error == 0)
		ws->error = (int)n;
	wslay_event_set_error(frames,
			      n == -EAGAIN ? WSLAY_ERR_WOULDBLOCK : WSLAY_ERR_CALLBACK_FAILURE);
	return -1;
}

static int on_mask(wslay_event_context_ptr frames, uint8_t *buffer, size_t len, void *arg)
{
	(void)frames;
	(void)arg;
	random_bytes(buffer, len);
	return 0;
}

static void on_message(wslay_event_context_ptr frames,
		       const struct wslay_event_on_msg_recv_arg *message, void *arg)
{
	struct ws *ws = arg;

	(void)frames;
	if (message->opcode == WSLAY_CONNECTION_CLOSE) {
		ws->close_code =
			message->status_code ? message->status_code : WSLAY_CODE_NO_STATUS_RCVD;
		free(ws->close_reason);
		/*
		 * The reason stands behind the two bytes of the code.  Of one that came in pieces
		 * wslay has not looked at all bytes, and it is going to be shown.
		 */
		ws->close_reason =
			message->msg_length > 2 && utf8_is_valid((const char *)message->msg + 2,
								 message->msg_length - 2)
				? xstrndup((const char *)message->msg + 2, message->msg_length - 2)
				: NULL;
		return;
	}
	if (message->opcode != WSLAY_TEXT_FRAME)
		return;

	ws->messages = xrealloc(ws->messages, (ws->n_messages + 1) * sizeof(*ws->messages));
	ws->lengths = xrealloc(ws->lengths, (ws->n_messages + 1) * sizeof(*ws->lengths));
	ws->messages[ws->n_messages] = xmemdup(message->msg, message->msg_length);
	ws->lengths[ws->n_messages++] = message->msg_length;
}

static void forget_messages(struct ws *ws)
{
	for (size_t i = 0; i < ws->n_messages; i++)
		free(ws->messages[i]);
	ws->n_messages = ws->next_message = 0;
}

struct ws *ws_open(const struct ws_transport *transport, const struct ws_request *request,
		   unsigned seconds, struct problem *reterr)
{
	static const struct wslay_event_callbacks callbacks = {
		.recv_callback = on_receive,
		.send_callback = on_send,
		.genmask_callback = on_mask,
		.on_msg_recv_callback = on_message,
	};
	scoped(ws_freep) struct ws *ws = xcalloc(1, sizeof(*ws));

	ws->transport = *transport;
	ws->heard = true;
	ws->close_code = WSLAY_CODE_ABNORMAL_CLOSURE;
	ws->early = strbuf_init(HEAD_MAX + REFUSAL_MAX);
	if (shake_hands(ws, request, clock_monotonic() + seconds * USEC_PER_SEC, reterr) < 0)
		return NULL;

	if (wslay_event_context_client_init(&ws->frames, &callbacks, ws) < 0)
		abort(); /* out of memory */
	wslay_event_config_set_max_recv_msg_length(ws->frames, MESSAGE_MAX);
	return STEAL(ws);
}

struct ws *ws_free(struct ws *ws)
{
	if (!ws)
		return NULL;

	if (ws->frames) {
		if (ws->error == 0 &&
		    wslay_event_queue_close(ws->frames, WSLAY_CODE_NORMAL_CLOSURE, NULL, 0) == 0)
			(void)wslay_event_send(ws->frames);
		wslay_event_context_free(ws->frames);
	}
	forget_messages(ws);
	free(ws->messages);
	free(ws->lengths);
	free(ws->close_reason);
	strbuf_done(&ws->early);
	free(ws);
	return NULL;
}

/* Reads all there is now, and sends what that asks for. */
static int read_now(struct ws *ws)
{
	forget_messages(ws);
	if (wslay_event_want_read(ws->frames) && wslay_event_recv(ws->frames) < 0 && ws->error == 0)
		ws->error = -EPROTO;
	if (wslay_event_want_write(ws->frames) && wslay_event_send(ws->frames) < 0 &&
	    ws->error == 0)
		ws->error = -EPROTO;
	/* wslay reads on no more after a close or what broke the protocol. */
	if (ws->error == 0 && !wslay_event_want_read(ws->frames))
		ws->error = ws->close_code == WSLAY_CODE_ABNORMAL_CLOSURE ? -EPROTO : 1;
	return ws->error;
}

static int wait_for_bytes(struct ws *ws, unsigned quiet_seconds)
{
	short events = (short)(POLLIN | (wslay_event_want_write(ws->frames) ? POLLOUT : 0));
	usec_t patience = quiet_seconds * USEC_PER_SEC;
	int r = wait_for(&ws->transport, events, clock_monotonic() + patience);

	if (r != -ETIMEDOUT)
		return r;
	if (!ws->heard)
		return -ETIMEDOUT;

	/* Quiet for long: is anybody there?  A pong will be heard, or nothing will. */
	ws->heard = false;
	wslay_event_queue_msg(ws->frames, &(struct wslay_event_msg){ .opcode = WSLAY_PING });
	return 0;
}

int ws_receive(struct ws *ws, unsigned quiet_seconds, const char **ret, size_t *ret_len)
{
	while (ws->next_message == ws->n_messages) {
		int r;

		if (ws->error != 0)
			return ws->error > 0 ? 0 : ws->error;
		/* TLS may hold bytes that poll() doesn't know of: read first, then wait. */
		if (read_now(ws) != 0 || ws->n_messages > 0)
			continue;
		r = wait_for_bytes(ws, quiet_seconds);
		if (r < 0)
			return ws->error = r;
	}

	*ret = ws->messages[ws->next_message];
	*ret_len = ws->lengths[ws->next_message++];
	return 1;
}

unsigned ws_close_code(const struct ws *ws)
{
	return ws->close_code;
}

const char *ws_close_reason(const struct ws *ws)
{
	return ws->close_reason ? ws->close_reason : "";
}
