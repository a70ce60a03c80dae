/* SPDX-License-Identifier: MIT */
/*
 * Clients that mean harm, as many as wanted from one cheap process: what each does is a row of the
 * table below.
 *
 *	attack NAME ADDRESS:PORT CONNECTIONS ADDRESSES SECONDS PATH [TOKEN]
 *
 * Whoever is thrown out comes again.  They come from ADDRESSES addresses, 127.0.0.2 the first, or
 *with 0 of them from 127.0.0.1. At the end it prints how many connections it made, what they were
 *answered, and how many of them the server ended or did not take.
 */
#include <arpa/inet.h>
#include <errno.h>
#include <fcntl.h>
#include <netinet/in.h>
#include <netinet/tcp.h>
#include <stdbool.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/epoll.h>
#include <sys/resource.h>
#include <sys/socket.h>
#include <unistd.h>

#include "base/cleanup.h"
#include "base/mem.h"
#include "client.h"

#define STATUS_MAX  600
#define DRIP_PAUSE  1.0 /* seconds between two bytes of a connection */
#define RETRY_PAUSE 0.2
#define BURST       (256 * 1024) /* what is written over and over goes out in pieces of this */
#define TURN_BYTES  (1024 * 1024)
#define MILLISECOND 0.001

/* What a connection does when its bytes have gone out. */
enum after {
	HANG_UP,   /* with a reset, and comes again */
	WAIT,      /* for the server's end */
	BE_DEAF,   /* the same, and reads nothing */
	ASK_AGAIN, /* when it was answered */
	GO_ON,     /* writing the same, without an end */
};

struct text {
	char *bytes;
	size_t len;
};

struct options {
	const char *address, *path, *token;
	size_t connections, addresses;
	double seconds;
};

struct attack {
	const char *name;
	struct text (*make)(const struct options *o);
	enum after after;
	bool websocket; /* after an upgrade */
	bool drips;     /* a byte at a time */
};

struct conn {
	int fd; /* -1: to come again at `at` */
	bool connected, upgraded;
	size_t sent;
	double at;
};

struct world {
	const struct options *o;
	const struct attack *attack;
	struct text hello, payload;
	struct sockaddr_in to;
	struct conn *conns;
	int epoll;
	double now;
	unsigned long made, ended, failed, answers, bytes, by_status[STATUS_MAX];
};

/*
 * What is sent
 */

static struct text text_of(char *bytes_consume)
{
	return (struct text){ bytes_consume, strlen(bytes_consume) };
}

static struct text repeated(const char *bytes, size_t len, size_t times)
{
	struct text t = { xcalloc(times, len), times * len };

	for (size_t i = 0; i < times; i++)
		memcpy(t.bytes + i * len, bytes, len);
	return t;
}

static struct text head(const struct options *o, const char *method, const char *more)
{
	scoped(freep) char *authorization =
		o->token ? xasprintf("Authorization: Bearer %s\r\n", o->token) : xstrdup("");

	return text_of(xasprintf("%s %s HTTP/1.1\r\nHost: %s\r\n%s%s", method, o->path, o->address,
				 authorization, more));
}

static struct text nothing(const struct options *o)
{
	(void)o;
	return text_of(xstrdup(""));
}

static struct text request(const struct options *o)
{
	return head(o, "GET", "\r\n");
}

static struct text many_requests(const struct options *o)
{
	struct text one = request(o), all = repeated(one.bytes, one.len, 50);

	free(one.bytes);
	return all;
}

static struct text slow_head(const struct options *o)
{
	return head(o, "GET", "X-Slow: and then some more of it, for as long as it is let\r\n");
}

static struct text slow_body(const struct options *o)
{
	struct text t = head(o, "POST",
			     "Content-Type: application/json\r\n"
			     "Content-Length: 4000\r\n\r\n");

	t.bytes = xrealloc(t.bytes, t.len + 4000);
	memset(t.bytes + t.len, ' ', 4000);
	t.len += 4000;
	return t;
}

static struct text large_head(const struct options *o)
{
	struct text t = head(o, "GET", "X-Large: ");

	t.bytes = xrealloc(t.bytes, t.len + BURST);
	memset(t.bytes + t.len, 'x', BURST);
	t.len += BURST;
	return t;
}

static struct text garbage(const struct options *o)
{
	struct text t = { xcalloc(1, 1024), 1024 };

	(void)o;
	for (size_t i = 0; i < t.len; i++)
		t.bytes[i] = (char)(i * 7919 % 255 + 1);
	return t;
}

static struct text tls_hello(const struct options *o)
{
	static const char hello[] = "\x16\x03\x01\x02\x00\x01\x00\x01\xfc\x03\x03";
	struct text t = { xcalloc(1, 517), 517 };

	(void)o;
	memcpy(t.bytes, hello, sizeof(hello) - 1);
	return t;
}

/* As much JSON as there may be, of the kind that is the most work: half a million values. */
static struct text large_body(const struct options *o)
{
	const size_t len = 1000000;
	scoped(freep) char *fields = xasprintf("Content-Type: application/json\r\n"
					       "Content-Length: %zu\r\n\r\n",
					       len);
	struct text t = head(o, "POST", fields);
	static const char open[] = "{\"key\":\"k\",\"value\":[";
	char *body;

	t.bytes = xrealloc(t.bytes, t.len + len);
	body = t.bytes + t.len;
	memcpy(body, open, sizeof(open) - 1);
	for (size_t i = sizeof(open) - 1; i < len - 3; i++)
		body[i] = i % 2 ? ',' : '1';
	memcpy(body + len - 3, "1]}", 3); /* and so the last of them is 11 */
	t.len += len;
	return t;
}

#define FRAME(opcode, len_byte)                                       \
	{                                                             \
		(char)(opcode), (char)(0x80 | (len_byte)), 0, 0, 0, 0 \
	}

static struct text pings(const struct options *o)
{
	static const char ping[] = FRAME(0x89, 0);

	(void)o;
	return repeated(ping, sizeof(ping), 1000);
}

static struct text small_messages(const struct options *o)
{
	static const char message[] = { (char)0x81, (char)0x81, 0, 0, 0, 0, 'x' };

	(void)o;
	return repeated(message, sizeof(message), 1000);
}

static struct text empty_fragments(const struct options *o)
{
	static const char fragment[] = FRAME(0x00, 0);
	struct text t = repeated(fragment, sizeof(fragment), 1000);

	(void)o;
	t.bytes[0] = 0x01; /* which begins the message; again later, which is wrong as well */
	return t;
}

/* Says it is of 2^40 bytes. */
static struct text huge_frame(const struct options *o)
{
	static const char start[] = { (char)0x82, (char)0xff, 0, 0, 1, 0, 0, 0, 0, 0, 0, 0, 0, 0 };
	struct text t = { xcalloc(1, BURST), BURST };

	(void)o;
	memcpy(t.bytes, start, sizeof(start));
	return t;
}

/* A message that is as large as it may be, and never whole. */
static struct text large_frame(const struct options *o)
{
	static const char start[] = {
		(char)0x82, (char)0xff, 0, 0, 0, 0, 0, 0xf, 0, 0, 0, 0, 0, 0
	};
	struct text t = { xcalloc(1, 980000), 980000 };

	(void)o;
	memcpy(t.bytes, start, sizeof(start));
	return t;
}

/* clang-format off */
static const struct attack attacks[] = {
	{ "slow-head",       slow_head,       WAIT,      .drips = true },
	{ "slow-body",       slow_body,       WAIT,      .drips = true },
	{ "deaf",            many_requests,   BE_DEAF },
	{ "idle",            nothing,         WAIT },
	{ "idle-websocket",  nothing,         WAIT,      .websocket = true },
	{ "connect",         nothing,         HANG_UP },
	{ "garbage",         garbage,         WAIT },
	{ "tls",             tls_hello,       WAIT },
	{ "large-head",      large_head,      WAIT },
	{ "huge-frame",      huge_frame,      GO_ON,     .websocket = true },
	{ "large-frame",     large_frame,     WAIT,      .websocket = true },
	{ "small-messages",  small_messages,  GO_ON,     .websocket = true },
	{ "empty-fragments", empty_fragments, GO_ON,     .websocket = true },
	{ "pings",           pings,           GO_ON,     .websocket = true },
	{ "ask",             request,         ASK_AGAIN },
	{ "large-body",      large_body,      ASK_AGAIN },
};
/* clang-format on */

static struct text upgrade(const struct options *o)
{
	return head(o, "GET",
		    "Connection: Upgrade\r\nUpgrade: websocket\r\n"
		    "Sec-WebSocket-Version: 13\r\n"
		    "Sec-WebSocket-Key: AAAAAAAAAAAAAAAAAAAAAA==\r\n\r\n");
}

/*
 * Connections
 */

static void come_again(struct world *w, struct conn *c, double pause)
{
	const struct linger at_once = { .l_onoff = 1, .l_linger = 0 };

	if (c->fd >= 0) { /* by a reset, which leaves no port waiting */
		setsockopt(c->fd, SOL_SOCKET, SO_LINGER, &at_once, sizeof(at_once));
		close(c->fd);
	}
	*c = (struct conn){ .fd = -1, .at = w->now + pause };
}

static void watch(struct world *w, struct conn *c, uint32_t events, int operation)
{
	struct epoll_event event = { .events = events, .data.ptr = c };

	epoll_ctl(w->epoll, operation, c->fd, &event);
}

static void begin(struct world *w, struct conn *c)
{
	struct sockaddr_in from = { .sin_family = AF_INET };
	size_t number = (size_t)(c - w->conns);
	int on = 1, small = 4096;

	c->fd = socket(AF_INET, SOCK_STREAM | SOCK_CLOEXEC | SOCK_NONBLOCK, 0);
	if (c->fd < 0)
		give_up("socket: %s", strerror(errno));
	if (w->o->addresses > 0) {
		from.sin_addr.s_addr = htonl(0x7f000002 + (uint32_t)(number % w->o->addresses));
		setsockopt(c->fd, IPPROTO_IP, IP_BIND_ADDRESS_NO_PORT, &on, sizeof(on));
		if (bind(c->fd, (struct sockaddr *)&from, sizeof(from)) < 0)
			give_up("bind: %s", strerror(errno));
	}
	if (w->attack->after == BE_DEAF)
		setsockopt(c->fd, SOL_SOCKET, SO_RCVBUF, &small, sizeof(small));
	setsockopt(c->fd, IPPROTO_TCP, TCP_NODELAY, &on, sizeof(on));
	w->made++;
	if (connect(c->fd, (struct sockaddr *)&w->to, sizeof(w->to)) < 0 && errno != EINPROGRESS) {
		w->failed++;
		come_again(w, c, RETRY_PAUSE);
		return;
	}
	watch(w, c, EPOLLIN | EPOLLOUT, EPOLL_CTL_ADD);
}

static const struct text *script_of(const struct world *w, const struct conn *c)
{
	return w->attack->websocket && !c->upgraded ? &w->hello : &w->payload;
}

/* Everything of this part is sent. */
static void sent_all(struct world *w, struct conn *c)
{
	if (w->attack->websocket && !c->upgraded) {
		watch(w, c, EPOLLIN, EPOLL_CTL_MOD);
	} else if (w->attack->after == HANG_UP) {
		come_again(w, c, 0);
	} else if (w->attack->after == GO_ON) {
		c->sent = 0;
	} else {
		watch(w, c, w->attack->after == BE_DEAF ? 0 : EPOLLIN, EPOLL_CTL_MOD);
	}
}

static void send_more(struct world *w, struct conn *c)
{
	const struct text *t = script_of(w, c);
	size_t left = t->len - c->sent, most = w->attack->drips ? 1 : TURN_BYTES;
	ssize_t n = 0;

	if (left > 0)
		n = send(c->fd, t->bytes + c->sent, left < most ? left : most, MSG_NOSIGNAL);
	if (n < 0 && errno != EAGAIN) {
		w->ended++;
		come_again(w, c, RETRY_PAUSE);
		return;
	}
	if (n > 0) {
		c->sent += (size_t)n;
		w->bytes += (unsigned long)n;
	}
	if (c->sent == t->len) {
		sent_all(w, c);
	} else if (w->attack->drips) {
		c->at = w->now + DRIP_PAUSE;
		watch(w, c, EPOLLIN, EPOLL_CTL_MOD);
	}
}

static void receive(struct world *w, struct conn *c)
{
	static char answer[65536];
	ssize_t n = recv(c->fd, answer, sizeof(answer) - 1, 0);
	int status = 0;

	if (n < 0 && errno == EAGAIN)
		return;
	if (n <= 0) {
		w->ended++;
		come_again(w, c, w->attack->after == HANG_UP ? 0 : RETRY_PAUSE);
		return;
	}
	answer[n] = '\0';
	if (strncmp(answer, "HTTP/1.1 ", 9) != 0)
		return;
	status = atoi(answer + 9);
	if (status > 0 && status < STATUS_MAX)
		w->by_status[status]++;
	w->answers++;
	if (status == 101) {
		c->upgraded = true;
		c->sent = 0;
		watch(w, c, EPOLLIN | EPOLLOUT, EPOLL_CTL_MOD);
	} else if (w->attack->after == ASK_AGAIN) { /* an answer is short enough to come whole */
		c->sent = 0;
		watch(w, c, EPOLLIN | EPOLLOUT, EPOLL_CTL_MOD);
	}
}

static void on_event(struct world *w, struct conn *c, uint32_t events)
{
	if (c->fd < 0)
		return;
	if (events & EPOLLOUT) {
		c->connected = true;
		send_more(w, c);
	}
	if (c->fd >= 0 && (events & (EPOLLIN | EPOLLHUP | EPOLLERR)))
		receive(w, c);
}

/* Those whose time it is: to come again, or to let another byte drip. */
static void see_to(struct world *w)
{
	for (size_t i = 0; i < w->o->connections; i++) {
		struct conn *c = &w->conns[i];

		if (c->at > w->now || c->at <= 0)
			continue;
		c->at = 0;
		if (c->fd < 0)
			begin(w, c);
		else
			send_more(w, c);
	}
}

static void print(const struct world *w)
{
	const char *comma = "";

	printf("{\"made\":%lu,\"ended\":%lu,\"failed\":%lu,\"bytes\":%lu,\"statuses\":{", w->made,
	       w->ended, w->failed, w->bytes);
	for (size_t i = 0; i < STATUS_MAX; i++) {
		if (w->by_status[i] == 0)
			continue;
		printf("%s\"%zu\":%lu", comma, i, w->by_status[i]);
		comma = ",";
	}
	printf("}}\n");
}

static const struct attack *find(const char *name)
{
	for (size_t i = 0; i < ARRAY_SIZE(attacks); i++) {
		if (strcmp(attacks[i].name, name) == 0)
			return &attacks[i];
	}
	give_up("there is no attack '%s'", name);
	return NULL;
}

static void raise_descriptor_limit(size_t wanted)
{
	struct rlimit limit = { wanted, wanted };

	if (setrlimit(RLIMIT_NOFILE, &limit) == 0 || getrlimit(RLIMIT_NOFILE, &limit) < 0)
		return;
	limit.rlim_cur = limit.rlim_max;
	setrlimit(RLIMIT_NOFILE, &limit);
}

static void address_parse(const char *text, struct sockaddr_in *ret)
{
	scoped(freep) char *host = xstrdup(text);
	char *colon = strrchr(host, ':');

	*ret = (struct sockaddr_in){ .sin_family = AF_INET };
	if (!colon)
		give_up("'%s' is no address and port", text);
	*colon = '\0';
	ret->sin_port = htons((uint16_t)strtoul(colon + 1, NULL, 10));
	if (inet_pton(AF_INET, host, &ret->sin_addr) != 1)
		give_up("'%s' is no IPv4 address", host);
}

int main(int argc, char **argv)
{
	struct epoll_event events[256];
	struct options o = { 0 };
	struct world w = { .o = &o, .epoll = epoll_create1(EPOLL_CLOEXEC) };
	double end, seen_to = 0;

	if (argc < 7)
		give_up("usage: attack NAME ADDRESS:PORT CONNECTIONS ADDRESSES SECONDS PATH "
			"[TOKEN]");
	o = (struct options){
		.address = argv[2],
		.connections = strtoul(argv[3], NULL, 10),
		.addresses = strtoul(argv[4], NULL, 10),
		.seconds = strtod(argv[5], NULL),
		.path = argv[6],
		.token = argv[7],
	};
	w.attack = find(argv[1]);
	w.hello = upgrade(&o);
	w.payload = w.attack->make(&o);
	address_parse(o.address, &w.to);
	raise_descriptor_limit(o.connections + 100);

	w.conns = xcalloc(o.connections, sizeof(*w.conns));
	for (size_t i = 0; i < o.connections; i++)
		w.conns[i] = (struct conn){ .fd = -1, .at = MILLISECOND };

	end = seconds_now() + o.seconds;
	while ((w.now = seconds_now()) < end) {
		int n;

		if (w.now - seen_to >= 0.01) {
			see_to(&w);
			seen_to = w.now;
		}
		n = epoll_wait(w.epoll, events, ARRAY_SIZE(events), 10);
		for (int i = 0; i < n; i++)
			on_event(&w, events[i].data.ptr, events[i].events);
	}
	print(&w);
	return 0;
}
