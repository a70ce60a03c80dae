/* SPDX-License-Identifier: MIT */
/*
 * How long it takes until those who listen on /ws/events know.
 *
 *	evlatency attach ADDRESS:PORT TOKEN SUBSCRIBERS ROUNDS
 *		from sending an attach (no probe) to its frame, at each of the subscribers
 *	evlatency bind ADDRESS:PORT TOKEN SUBSCRIBERS ROUNDS
 *		an attach waits for a port; from the moment the port is listened on, and from the
 *		server's own first answer, to the frame
 *
 * Server, API client and subscribers are one loop here, so that all moments are of one clock.
 */
#include <arpa/inet.h>
#include <errno.h>
#include <netinet/in.h>
#include <poll.h>
#include <stdarg.h>
#include <stdbool.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/socket.h>
#include <unistd.h>

#include "base/cleanup.h"
#include "base/mem.h"
#include "client.h"

#define BUFFER_MAX     65536
#define FIXED          2 /* poll rows: the API's connection, the dev server's socket */
#define ACCEPTED_MAX   8
#define ROUND_SECONDS  20
#define FRAME_WANTED   "\"event_type\":\"web_preview:attached\""
#define SESSION_PATH   "/api/apps/default/sessions/bench"
#define OPCODE(frame)  ((unsigned char)(frame)[0] & 0x0f)
#define OPCODE_PING    0x9
#define FINAL_AND_PONG 0x8a
#define MASKED         0x80
#define CONTROL_MAX    125

struct inbox {
	int fd;
	size_t len;
	char data[BUFFER_MAX];
};

struct world {
	const char *address, *token;
	struct inbox api;
	struct inbox *subscribers;
	size_t n_subscribers;

	/* This round */
	int listener;
	int accepted[ACCEPTED_MAX];
	size_t n_accepted;
	bool *heard;
	size_t n_heard;
	bool api_answered;
	double sent_at, bound_at, first_answer_at;

	struct samples from_send, from_bound, from_answer, api_times;
};

static void receive(struct inbox *in)
{
	ssize_t n = recv(in->fd, in->data + in->len, sizeof(in->data) - in->len, 0);

	if (n <= 0)
		give_up("previewd closed a connection");
	in->len += (size_t)n;
}

static void consume(struct inbox *in, size_t n)
{
	memmove(in->data, in->data + n, in->len - n);
	in->len -= n;
}

static char *request_text(const struct world *w, const char *method, const char *path,
			  const char *fields, const char *body)
{
	return xasprintf("%s %s HTTP/1.1\r\nHost: %s\r\nAuthorization: Bearer %s\r\n"
			 "Content-Type: application/json\r\nContent-Length: %zu\r\n%s\r\n%s",
			 method, path, w->address, w->token, strlen(body), fields, body);
}

static void call(struct world *w, const char *method, const char *path, const char *body)
{
	scoped(freep) char *request = request_text(w, method, path, "", body);
	char answer[BUFFER_MAX];
	int status = exchange(w->api.fd, request, strlen(request), answer, sizeof(answer));

	if (status < 200 || status > 299)
		give_up("%s %s: %s", method, path, answer);
}

/*
 * WebSocket frames of the server (RFC 6455 section 5.2): not masked, whole.
 */
static size_t frame_parse(const struct inbox *in, const char **ret_payload, size_t *ret_len)
{
	const unsigned char *p = (const unsigned char *)in->data;
	size_t head = 2, len;

	if (in->len < 2)
		return 0;
	len = p[1];
	if (len == 126) {
		if (in->len < 4)
			return 0;
		len = (size_t)p[2] << 8 | p[3];
		head = 4;
	} else if (len == 127) {
		give_up("a frame larger than any expected");
	}
	if (in->len < head + len)
		return 0;
	*ret_payload = in->data + head;
	*ret_len = len;
	return head + len;
}

static void pong(const struct inbox *in, const char *payload, size_t len)
{
	unsigned char frame[6 + CONTROL_MAX] = { FINAL_AND_PONG, (unsigned char)(MASKED | len) };

	memcpy(frame + 6, payload, len); /* the mask is four zeros */
	if (send(in->fd, frame, 6 + len, MSG_NOSIGNAL) < 0)
		give_up("pong: %s", strerror(errno));
}

static void heard(struct world *w, size_t i)
{
	double now = seconds_now();

	if (w->heard[i])
		return;
	w->heard[i] = true;
	w->n_heard++;
	samples_add(&w->from_send, now - w->sent_at);
	if (w->bound_at > 0) {
		samples_add(&w->from_bound, now - w->bound_at);
		samples_add(&w->from_answer, now - w->first_answer_at);
	}
}

/* Takes what frames there are; says whether one contained that text. */
static bool take_frames(struct inbox *in, const char *wanted)
{
	const char *payload;
	size_t len, n;
	bool found = false;

	while ((n = frame_parse(in, &payload, &len)) > 0) {
		if (OPCODE(in->data) == OPCODE_PING)
			pong(in, payload, len);
		else if (memmem(payload, len, wanted, strlen(wanted)))
			found = true;
		consume(in, n);
	}
	return found;
}

static void subscribe(struct world *w, struct inbox *in)
{
	scoped(freep) char *request = request_text(
		w, "GET", "/ws/events?session_id=bench&event_types=web_preview:attached",
		"Connection: Upgrade\r\nUpgrade: websocket\r\nSec-WebSocket-Version: 13\r\n"
		"Sec-WebSocket-Key: AAAAAAAAAAAAAAAAAAAAAA==\r\n",
		"");
	size_t head = 0;
	int status;

	in->fd = connect_to(w->address);
	if (send(in->fd, request, strlen(request), MSG_NOSIGNAL) < 0)
		give_up("send: %s", strerror(errno));
	while (head == 0) {
		receive(in);
		head = answer_length(in->data, in->len, &status);
	}
	if (status != 101)
		give_up("no WebSocket: %.*s", (int)in->len, in->data);
	consume(in, head);
	while (!take_frames(in, "\"joined\""))
		receive(in);
}

/*
 * The dev server.
 */
static uint16_t free_port(void)
{
	struct sockaddr_in sin = { .sin_family = AF_INET, .sin_addr.s_addr = htonl(0x7f000001) };
	socklen_t len = sizeof(sin);
	int fd = socket(AF_INET, SOCK_STREAM | SOCK_CLOEXEC, 0);

	if (fd < 0 || bind(fd, (struct sockaddr *)&sin, sizeof(sin)) < 0 ||
	    getsockname(fd, (struct sockaddr *)&sin, &len) < 0)
		give_up("no free port: %s", strerror(errno));
	close(fd);
	return ntohs(sin.sin_port);
}

static void server_start(struct world *w, uint16_t port)
{
	struct sockaddr_in sin = {
		.sin_family = AF_INET,
		.sin_port = htons(port),
		.sin_addr.s_addr = htonl(0x7f000001),
	};
	int on = 1;

	w->listener = socket(AF_INET, SOCK_STREAM | SOCK_CLOEXEC, 0);
	setsockopt(w->listener, SOL_SOCKET, SO_REUSEADDR, &on, sizeof(on));
	if (bind(w->listener, (struct sockaddr *)&sin, sizeof(sin)) < 0 ||
	    listen(w->listener, 16) < 0)
		give_up("bind: %s", strerror(errno));
	w->bound_at = seconds_now();
}

static void server_answer(struct world *w)
{
	static const char answer[] = "HTTP/1.1 200 OK\r\nContent-Type: text/html\r\n"
				     "Content-Length: 0\r\nConnection: close\r\n\r\n";
	int fd = accept4(w->listener, NULL, NULL, SOCK_CLOEXEC);
	char request[4096];

	if (fd < 0 || w->n_accepted == ACCEPTED_MAX)
		give_up("accept: %s", strerror(errno));
	w->accepted[w->n_accepted++] = fd;
	if (recv(fd, request, sizeof(request), 0) > 0 &&
	    send(fd, answer, strlen(answer), MSG_NOSIGNAL) > 0 && w->first_answer_at == 0)
		w->first_answer_at = seconds_now();
}

static void server_stop(struct world *w)
{
	for (size_t i = 0; i < w->n_accepted; i++)
		close(w->accepted[i]);
	w->n_accepted = 0;
	if (w->listener >= 0)
		close(w->listener);
	w->listener = -1;
}

/*
 * One round: from the request that is on its way until everybody knows.
 */
static void take_answer(struct world *w)
{
	int status;

	receive(&w->api);
	if (answer_length(w->api.data, w->api.len, &status) == 0)
		return;
	if (status < 200 || status > 299)
		give_up("attach: %.*s", (int)w->api.len, w->api.data);
	w->api.len = 0;
	w->api_answered = true;
	samples_add(&w->api_times, seconds_now() - w->sent_at);
}

static void turn(struct world *w, struct pollfd *rows, int timeout_ms)
{
	int n;

	rows[0] = (struct pollfd){ .fd = w->api.fd, .events = POLLIN };
	rows[1] = (struct pollfd){ .fd = w->listener, .events = POLLIN };
	for (size_t i = 0; i < w->n_subscribers; i++)
		rows[FIXED + i] = (struct pollfd){ .fd = w->subscribers[i].fd, .events = POLLIN };

	n = poll(rows, FIXED + w->n_subscribers, timeout_ms);
	if (n < 0)
		give_up("poll: %s", strerror(errno));
	if (rows[1].revents)
		server_answer(w);
	for (size_t i = 0; n > 0 && i < w->n_subscribers; i++) {
		if (!rows[FIXED + i].revents)
			continue;
		receive(&w->subscribers[i]);
		if (take_frames(&w->subscribers[i], FRAME_WANTED))
			heard(w, i);
	}
	if (rows[0].revents)
		take_answer(w);
}

static void round_begin(struct world *w, uint16_t port, bool probe)
{
	scoped(freep) char *body =
		xasprintf("{\"port\":%u,\"health_check\":%s,\"wait_seconds\":15}", port,
			  probe ? "true" : "false");
	scoped(freep) char *request =
		request_text(w, "PUT", SESSION_PATH "/previews/default", "", body);

	memset(w->heard, 0, w->n_subscribers * sizeof(*w->heard));
	w->n_heard = 0;
	w->api_answered = false;
	w->bound_at = w->first_answer_at = 0;
	w->sent_at = seconds_now();
	if (send(w->api.fd, request, strlen(request), MSG_NOSIGNAL) < 0)
		give_up("send: %s", strerror(errno));
}

static void round_await(struct world *w, struct pollfd *rows)
{
	double deadline = seconds_now() + ROUND_SECONDS;

	while (w->n_heard < w->n_subscribers || !w->api_answered) {
		if (seconds_now() > deadline)
			give_up("%zu of %zu heard within %d seconds", w->n_heard, w->n_subscribers,
				ROUND_SECONDS);
		turn(w, rows, 1000);
	}
}

static void round_attach(struct world *w, struct pollfd *rows, size_t number)
{
	(void)number;
	round_begin(w, 5173, false);
	round_await(w, rows);
}

static void round_bind(struct world *w, struct pollfd *rows, size_t number)
{
	uint16_t port = free_port();
	/* So that the moment of binding is anywhere between two looks of the daemon's. */
	double bind_at = seconds_now() + 0.030 + (double)(number * 7919 % 100) / 1000;

	round_begin(w, port, true);
	while (seconds_now() < bind_at)
		turn(w, rows, 1);
	server_start(w, port);
	round_await(w, rows);
	server_stop(w);
	call(w, "DELETE", SESSION_PATH "/previews/default", "");
}

static void print_times(const char *name, struct samples *s)
{
	printf("\"%s\":{\"n\":%zu,\"p50_us\":%.0f,\"p99_us\":%.0f,\"max_us\":%.0f}", name, s->n,
	       samples_percentile(s, 50), samples_percentile(s, 99), samples_percentile(s, 100));
}

int main(int argc, char **argv)
{
	struct world w = { .listener = -1 };
	bool bind = argc == 6 && strcmp(argv[1], "bind") == 0;
	struct pollfd *rows;
	size_t rounds;

	if (argc != 6 || (!bind && strcmp(argv[1], "attach") != 0))
		give_up("usage: evlatency attach|bind ADDRESS:PORT TOKEN SUBSCRIBERS ROUNDS");
	w.address = argv[2];
	w.token = argv[3];
	w.n_subscribers = strtoul(argv[4], NULL, 10);
	rounds = strtoul(argv[5], NULL, 10);

	w.api.fd = connect_to(w.address);
	call(&w, "PUT", SESSION_PATH, "{}");
	w.subscribers = xcalloc(w.n_subscribers, sizeof(*w.subscribers));
	w.heard = xcalloc(w.n_subscribers, sizeof(*w.heard));
	rows = xcalloc(FIXED + w.n_subscribers, sizeof(*rows));
	for (size_t i = 0; i < w.n_subscribers; i++)
		subscribe(&w, &w.subscribers[i]);

	for (size_t i = 0; i < rounds; i++)
		(bind ? round_bind : round_attach)(&w, rows, i);

	printf("{");
	print_times("answer", &w.api_times);
	printf(",");
	print_times("frame", &w.from_send);
	if (bind) {
		printf(",");
		print_times("from_bound", &w.from_bound);
		printf(",");
		print_times("from_first_answer", &w.from_answer);
	}
	printf("}\n");
	return 0;
}
