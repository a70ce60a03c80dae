/* SPDX-License-Identifier: MIT */
/*
 * What a client sends behind its handshake; the first byte says in what pieces.  However it is cut
 * it is the same messages and one end; a message is no longer than may be, a text is UTF-8,
 * and nothing comes after the end.  (Its code may differ: wslay checks the reason of a close only
 * from the third byte of each piece on.)
 */
#include <assert.h>
#include <event2/event.h>
#include <stdlib.h>
#include <string.h>
#include <sys/socket.h>
#include <sys/un.h>
#include <unistd.h>

#include "base/log.h"
#include "base/mem.h"
#include "base/parse.h"
#include "base/strbuf.h"
#include "fuzz.h"
#include "http/server.h"
#include "http/websocket.h"

#define MESSAGE_MAX 1000
#define HANDSHAKE                                                                    \
	"GET / HTTP/1.1\r\nHost: x\r\nUpgrade: websocket\r\nConnection: Upgrade\r\n" \
	"Sec-WebSocket-Version: 13\r\nSec-WebSocket-Key: dGhlIHNhbXBsZSBub25jZQ==\r\n\r\n"

struct outcome {
	struct strbuf messages;
	unsigned ends;
};

static struct loop *loop;
static struct http_server *server;
static struct sockaddr_un address;
static socklen_t address_len = sizeof(address);
static struct outcome *outcome;

static void on_message(struct websocket *ws, enum websocket_opcode opcode, const void *bytes,
		       size_t len, void *arg)
{
	(void)ws;
	(void)arg;
	assert(opcode == WEBSOCKET_TEXT || opcode == WEBSOCKET_BINARY);
	assert(opcode != WEBSOCKET_TEXT || utf8_is_valid(bytes, len));
	assert(len <= MESSAGE_MAX && outcome->ends == 0);
	strbuf_printf(&outcome->messages, "%d:%zu:", (int)opcode, len);
	strbuf_add(&outcome->messages, bytes, len);
}

static void on_closed(struct websocket *ws, int code, void *arg)
{
	(void)ws;
	(void)arg;
	(void)code;
	outcome->ends++;
}

static void on_head(struct http_request *req, void *arg)
{
	static const struct websocket_ops ops = { on_message, on_closed };

	(void)arg;
	if (!websocket_accept(req, NULL, &ops, NULL))
		abort();
}

static void set_up(void)
{
	static const struct http_settings settings = {
		.connections_max = 4,
		.header_timeout = 600 * USEC_PER_SEC,
		.body_timeout = 600 * USEC_PER_SEC,
		.idle_timeout = 600 * USEC_PER_SEC,
		.write_timeout = 600 * USEC_PER_SEC,
		.output_max = 1024 * 1024,
		.ws_message_max = MESSAGE_MAX,
		.ws_ping_interval = 600 * USEC_PER_SEC,
	};

	const struct sockaddr_un any = { .sun_family = AF_UNIX };
	int fd;

	if (loop)
		return;
	log_setup(LOG_LEVEL_ERROR, LOG_FORMAT_TEXT);
	loop = loop_new();
	server = http_server_new(loop, &settings, on_head, NULL);
	/* The kernel gives it a name, which needs no file. */
	fd = socket(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC | SOCK_NONBLOCK, 0);
	if (fd < 0 || bind(fd, (const struct sockaddr *)&any, sizeof(sa_family_t)) < 0 ||
	    listen(fd, 8) < 0 || getsockname(fd, (struct sockaddr *)&address, &address_len) < 0 ||
	    http_server_listen_consume(server, fd) < 0)
		abort();
}

/* As far as it goes without more from the client, whose socket is emptied. */
static void settle(int fd)
{
	char buffer[4096];

	for (unsigned i = 0; i < 6; i++)
		if (event_base_loop(loop_base(loop), EVLOOP_NONBLOCK) < 0)
			abort();
	while (recv(fd, buffer, sizeof(buffer), MSG_DONTWAIT) > 0)
		;
}

static void converse(const void *bytes, size_t len, size_t piece, struct outcome *o)
{
	const int fd = socket(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC, 0);

	outcome = o;
	if (fd < 0 || connect(fd, (const struct sockaddr *)&address, address_len) < 0 ||
	    send(fd, HANDSHAKE, strlen(HANDSHAKE), MSG_NOSIGNAL) < 0)
		abort();
	settle(fd);
	for (size_t at = 0; at < len; at += piece) {
		/* it may have closed already */
		(void)!send(fd, (const char *)bytes + at, len - at < piece ? len - at : piece,
			    MSG_NOSIGNAL);
		settle(fd);
	}
	close(fd);
	for (unsigned i = 0; i < 1000 && http_server_connections(server) > 0; i++)
		event_base_loop(loop_base(loop), EVLOOP_NONBLOCK);
	assert(http_server_connections(server) == 0 && o->ends == 1);
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
	struct outcome whole = { strbuf_init(STRBUF_UNLIMITED), 0 };
	struct outcome pieces = { strbuf_init(STRBUF_UNLIMITED), 0 };

	if (size < 1 || size > 8192)
		return 0;
	set_up();
	converse(data + 1, size - 1, size, &whole);
	converse(data + 1, size - 1, size / 16 + data[0] % 64 + 1, &pieces);
	assert(whole.messages.len == pieces.messages.len);
	assert(memcmp(strbuf_str(&whole.messages), strbuf_str(&pieces.messages),
		      whole.messages.len) == 0);
	strbuf_done(&whole.messages);
	strbuf_done(&pieces.messages);
	return 0;
}
