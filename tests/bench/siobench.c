/* SPDX-License-Identifier: MIT */
/*
 * The fan-out of a Socket.IO server: siobench 127.0.0.1:PORT PID CLIENTS ROOMS SECONDS RATE
 *
 * Clients over WebSocket, spread over rooms, and one more that publishes.  RATE 0 keeps two
 * broadcasts under way, each done when the last of its room has it; else so many broadcasts a
 * second go out whatever comes back.  The server has, in "/", two events:
 *
 *	bench_join  [room]           joins, and acknowledges
 *	bench_pub   [room, payload]  emits "bench_ev" [payload] to the room
 *
 * A message lost, doubled or out of order ends it: then there is nothing to measure.  Prints one
 * object of JSON; the server's CPU seconds and memory are read from /proc/PID.
 */
#include "client.h"

#include <errno.h>
#include <fcntl.h>
#include <signal.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/epoll.h>
#include <sys/resource.h>
#include <sys/socket.h>
#include <unistd.h>

#include "base/cleanup.h"
#include "base/mem.h"
#include "base/strbuf.h"

#define FRAME_BYTES      200 /* of an event, as it is delivered */
#define WINDOW           2
#define OPENING_AT_ONCE  64
#define WARM_UP_SECONDS  0.5
#define SETUP_SECONDS    60
#define BROADCASTS_KNOWN 65536 /* under way, at most */

enum state {
	UPGRADING,
	OPENING,
	CONNECTING,
	JOINING,
	READY,
};

struct conn {
	int fd;
	enum state state;
	unsigned room;
	uint64_t seen; /* the last number of its room */
	struct strbuf in;
};

static struct {
	const char *address;
	int pid;
	unsigned n_clients, n_rooms;
	double seconds, rate;

	struct conn *conns; /* the last one publishes */
	unsigned started, ready;
	int epoll;

	uint64_t *room_numbers;
	unsigned *room_clients;
	uint64_t broadcasts;
	unsigned missing[BROADCASTS_KNOWN]; /* receivers a broadcast has not reached yet */
	unsigned under_way;

	bool measuring;
	uint64_t delivered;
	struct samples latencies;
} b;

/*
 * What the server uses
 */

struct usage {
	double cpu_seconds;
	size_t rss_bytes;
};

static struct usage read_usage(void)
{
	unsigned long user, system;
	char path[64], text[4096];
	struct usage u;
	long pages;
	FILE *f;

	snprintf(path, sizeof(path), "/proc/%d/stat", b.pid);
	f = fopen(path, "r");
	if (!f || !fgets(text, sizeof(text), f))
		give_up("%s: %s", path, strerror(errno));
	fclose(f);
	if (sscanf(strrchr(text, ')') + 2,
		   "%*c %*d %*d %*d %*d %*d %*u %*u %*u %*u %*u %lu %lu %*d %*d %*d %*d %*d %*d "
		   "%*u %*u %ld",
		   &user, &system, &pages) != 3)
		give_up("%s is not understood", path);
	u.cpu_seconds = (double)(user + system) / (double)sysconf(_SC_CLK_TCK);
	u.rss_bytes = (size_t)pages * (size_t)sysconf(_SC_PAGESIZE);
	return u;
}

/*
 * Frames
 */

/* The mask is of zeros, which leaves the text as it is. */
static void send_text(struct conn *c, const char *text, size_t len)
{
	char frame[8 + 512] = { (char)0x81 };
	size_t head = len < 126 ? 6 : 8;

	if (len > 512)
		give_up("a message of %zu bytes", len);
	if (len < 126) {
		frame[1] = (char)(0x80 | len);
	} else {
		frame[1] = (char)(0x80 | 126);
		frame[2] = (char)(len >> 8);
		frame[3] = (char)len;
	}
	memcpy(frame + head, text, len);
	if (send(c->fd, frame, head + len, MSG_NOSIGNAL) != (ssize_t)(head + len))
		give_up("the server takes no more: %s", strerror(errno));
}

static void say(struct conn *c, const char *text)
{
	send_text(c, text, strlen(text));
}

/* A whole frame at the front: its length, and where its payload is; 0 when it isn't all here. */
static size_t frame_length(const char *bytes, size_t len, size_t *ret_head)
{
	const uint8_t *p = (const uint8_t *)bytes;
	size_t payload, head = 2;

	if (len < 2)
		return 0;
	payload = p[1] & 0x7f;
	if (payload == 127)
		give_up("a frame above 64 KiB");
	if (payload == 126) {
		if (len < 4)
			return 0;
		payload = (size_t)(p[2] << 8 | p[3]);
		head = 4;
	}
	*ret_head = head;
	return len >= head + payload ? head + payload : 0;
}

/*
 * Broadcasts
 */

static uint64_t microseconds(void)
{
	return (uint64_t)(seconds_now() * 1e6);
}

static void publish(void)
{
	static const char padding[FRAME_BYTES + 1] = { [0 ... FRAME_BYTES - 1] = 'x' };
	unsigned room = (unsigned)(++b.broadcasts % b.n_rooms);
	char event[FRAME_BYTES + 1], text[FRAME_BYTES + 64];
	int len, padded;

	/* As it is delivered, to know its length; then as it is asked for. */
	len = snprintf(event, sizeof(event), "{\"t\":%llu,\"q\":%llu,\"g\":%llu,\"p\":\"",
		       (unsigned long long)microseconds(),
		       (unsigned long long)++b.room_numbers[room],
		       (unsigned long long)b.broadcasts);
	padded = FRAME_BYTES - len - (int)strlen("42[\"bench_ev\",\"}]");
	len = snprintf(text, sizeof(text), "42[\"bench_pub\",\"room%u\",%s%.*s\"}]", room, event,
		       padded, padding);
	b.missing[b.broadcasts % BROADCASTS_KNOWN] = b.room_clients[room];
	b.under_way++;
	send_text(&b.conns[b.n_clients], text, (size_t)len);
}

static uint64_t number(const char *text, const char *name)
{
	const char *at = strstr(text, name);

	if (!at)
		give_up("an event without %s: %.100s", name, text);
	return strtoull(at + strlen(name), NULL, 10);
}

static void on_event(struct conn *c, const char *text)
{
	uint64_t sent = number(text, "\"t\":");
	uint64_t n = number(text, "\"q\":");
	uint64_t broadcast = number(text, "\"g\":");

	if (n != c->seen + 1)
		give_up("client %td has %llu after %llu", c - b.conns, (unsigned long long)n,
			(unsigned long long)c->seen);
	c->seen = n;
	if (--b.missing[broadcast % BROADCASTS_KNOWN] == 0)
		b.under_way--;
	if (!b.measuring)
		return;
	b.delivered++;
	samples_add(&b.latencies, (double)(microseconds() - sent) / 1e6);
}

/*
 * Clients
 */

static void on_ready(struct conn *c)
{
	c->state = READY;
	b.ready++;
}

static void on_message(struct conn *c, const char *text)
{
	char join[64];

	if (strcmp(text, "2") == 0) {
		say(c, "3");
		return;
	}
	switch (c->state) {
	case OPENING:
		c->state = CONNECTING;
		say(c, "40");
		return;
	case CONNECTING:
		if (strncmp(text, "40", 2) != 0)
			give_up("no CONNECT: %s", text);
		if (c == &b.conns[b.n_clients]) {
			on_ready(c);
			return;
		}
		c->state = JOINING;
		snprintf(join, sizeof(join), "421[\"bench_join\",\"room%u\"]", c->room);
		say(c, join);
		return;
	case JOINING:
		if (strncmp(text, "431", 3) == 0)
			on_ready(c);
		return;
	case READY:
		if (strncmp(text, "42[\"bench_ev\"", 13) == 0)
			on_event(c, text);
		return;
	case UPGRADING:
		return;
	}
}

static size_t take_upgrade(struct conn *c)
{
	const char *end = memmem(c->in.data, c->in.len, "\r\n\r\n", 4);

	if (!end)
		return 0;
	if (strncmp(c->in.data, "HTTP/1.1 101", 12) != 0)
		give_up("no upgrade: %.60s", c->in.data);
	c->state = OPENING;
	return (size_t)(end - c->in.data) + 4;
}

static void take_messages(struct conn *c)
{
	size_t done = c->state == UPGRADING ? take_upgrade(c) : 0;
	size_t len, head;

	if (c->state == UPGRADING)
		return;
	while ((len = frame_length(c->in.data + done, c->in.len - done, &head))) {
		char *text = c->in.data + done + head;
		char *end = c->in.data + done + len;
		unsigned opcode = c->in.data[done] & 0xf;
		char behind = *end;

		if (opcode == 8)
			give_up("the server has closed client %td", c - b.conns);
		*end = '\0';
		if (opcode == 1)
			on_message(c, text);
		*end = behind;
		done += len;
	}
	strbuf_consume(&c->in, done);
}

static void on_readable(struct conn *c)
{
	static char piece[64 * 1024];
	ssize_t n = recv(c->fd, piece, sizeof(piece), MSG_DONTWAIT);

	if (n < 0 && errno == EAGAIN)
		return;
	if (n <= 0)
		give_up("client %td was cut off", c - b.conns);
	strbuf_add(&c->in, piece, (size_t)n);
	take_messages(c);
}

static void start_client(void)
{
	struct conn *c = &b.conns[b.started];
	struct epoll_event interest = { .events = EPOLLIN, .data.ptr = c };
	char request[512];
	int len;

	c->room = b.started % b.n_rooms;
	if (b.started < b.n_clients)
		b.room_clients[c->room]++;
	c->in = strbuf_init(STRBUF_UNLIMITED);
	c->fd = connect_to(b.address);
	epoll_ctl(b.epoll, EPOLL_CTL_ADD, c->fd, &interest);
	len = snprintf(request, sizeof(request),
		       "GET /socket.io/?EIO=4&transport=websocket HTTP/1.1\r\nHost: %s\r\n"
		       "Connection: Upgrade\r\nUpgrade: websocket\r\nSec-WebSocket-Version: 13\r\n"
		       "Sec-WebSocket-Key: dGhlIHNhbXBsZSBub25jZQ==\r\n\r\n",
		       b.address);
	if (send(c->fd, request, (size_t)len, MSG_NOSIGNAL) != len)
		give_up("send: %s", strerror(errno));
	b.started++;
}

/*
 * The phases
 */

static void turn(int wait_ms)
{
	struct epoll_event events[512];
	int n = epoll_wait(b.epoll, events, 512, wait_ms);

	for (int i = 0; i < n; i++)
		on_readable(events[i].data.ptr);
}

static void open_all(void)
{
	double late = seconds_now() + SETUP_SECONDS;

	while (b.ready < b.n_clients + 1) {
		while (b.started < b.n_clients + 1 && b.started - b.ready < OPENING_AT_ONCE)
			start_client();
		turn(10);
		if (seconds_now() > late)
			give_up("%u of %u clients are ready", b.ready, b.n_clients + 1);
	}
}

static void load_for(double seconds)
{
	double begun = seconds_now(), now = begun;
	double published = 0;

	while (now - begun < seconds) {
		if (b.rate > 0) {
			for (; published <= (now - begun) * b.rate; published++)
				publish();
		} else {
			while (b.under_way < WINDOW)
				publish();
		}
		turn(1);
		now = seconds_now();
	}
}

static void wait_for_the_rest(void)
{
	double late = seconds_now() + 10;

	while (b.under_way > 0) {
		turn(10);
		if (seconds_now() > late)
			give_up("%u broadcasts have not arrived", b.under_way);
	}
}

static void measure(void)
{
	struct usage before = read_usage(), connected, begin, end;
	double begun, seconds;

	open_all();
	usleep(200 * 1000); /* the server may still be at what came last */
	connected = read_usage();

	load_for(WARM_UP_SECONDS);
	begin = read_usage();
	begun = seconds_now();
	b.measuring = true;
	load_for(b.seconds);
	end = read_usage();
	seconds = seconds_now() - begun;
	b.measuring = false;
	wait_for_the_rest();

	printf("{\"delivered\":%llu,\"per_second\":%.0f,\"cpu_us\":%.3f,\"p50_us\":%.0f,"
	       "\"p99_us\":%.0f,\"client_bytes\":%.0f}\n",
	       (unsigned long long)b.delivered, (double)b.delivered / seconds,
	       (end.cpu_seconds - begin.cpu_seconds) * 1e6 / (double)b.delivered,
	       samples_percentile(&b.latencies, 50), samples_percentile(&b.latencies, 99),
	       ((double)connected.rss_bytes - (double)before.rss_bytes) / b.n_clients);
}

static void open_many_files(void)
{
	struct rlimit limit;

	getrlimit(RLIMIT_NOFILE, &limit);
	limit.rlim_cur = limit.rlim_max;
	setrlimit(RLIMIT_NOFILE, &limit);
}

int main(int argc, char **argv)
{
	if (argc != 7)
		give_up("usage: siobench ADDRESS PID CLIENTS ROOMS SECONDS RATE");
	b.address = argv[1];
	b.pid = atoi(argv[2]);
	b.n_clients = (unsigned)atoi(argv[3]);
	b.n_rooms = (unsigned)atoi(argv[4]);
	b.seconds = atof(argv[5]);
	b.rate = atof(argv[6]);
	if (b.n_clients == 0 || b.n_rooms == 0 || b.n_rooms > b.n_clients)
		give_up("more rooms than clients, or none");

	open_many_files();
	alarm((unsigned)b.seconds + SETUP_SECONDS + 30);
	b.conns = xcalloc(b.n_clients + 1, sizeof(*b.conns));
	b.room_numbers = xcalloc(b.n_rooms, sizeof(*b.room_numbers));
	b.room_clients = xcalloc(b.n_rooms, sizeof(*b.room_clients));
	b.epoll = epoll_create1(EPOLL_CLOEXEC);
	measure();
	return 0;
}
