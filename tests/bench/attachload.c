/* SPDX-License-Identifier: MIT */
/*
 * A load generator for requests that differ: keeps so many in flight, each on its keep-alive
 * connection, until a table of them is done, and prints requests a second and the time of one.
 *
 *	attachload ADDRESS:PORT IN_FLIGHT TABLE [FIELD]...
 *
 * A line of the table is "METHOD PATH BODY", BODY being JSON or nothing; FIELDs ("Name: value") go
 * with every request.  The requests are written out beforehand and go to the connections as these
 * get free, so the order of the table is about the order of arrival.
 */
#include <errno.h>
#include <fcntl.h>
#include <stdbool.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/epoll.h>
#include <sys/socket.h>
#include <unistd.h>

#include "base/cleanup.h"
#include "base/mem.h"
#include "client.h"

#define ANSWER_MAX 65536

struct request {
	char *text;
	size_t len;
};

struct table {
	struct request *requests;
	size_t n, room, next;
};

struct client {
	int fd;
	double sent_at;
	size_t len; /* of the answer so far */
	char answer[ANSWER_MAX];
};

struct run {
	struct table table;
	struct samples times;
	size_t failed;
};

static void table_add(struct table *t, char *line, const char *address, const char *fields)
{
	const char *method = strtok(line, " "), *path = strtok(NULL, " "), *body = strtok(NULL, "");
	struct request *r;

	if (!method || !path)
		give_up("a line of the table is no \"METHOD PATH BODY\"");
	if (t->n == t->room) {
		t->room = t->room ? t->room * 2 : 1024;
		t->requests = xrealloc(t->requests, t->room * sizeof(*t->requests));
	}
	r = &t->requests[t->n++];
	r->text = body ? xasprintf("%s %s HTTP/1.1\r\nHost: %s\r\n%s"
				   "Content-Type: application/json\r\n"
				   "Content-Length: %zu\r\n\r\n%s",
				   method, path, address, fields, strlen(body), body)
		       : xasprintf("%s %s HTTP/1.1\r\nHost: %s\r\n%s\r\n", method, path, address,
				   fields);
	r->len = strlen(r->text);
}

static void table_read(struct table *t, const char *path, const char *address, const char *fields)
{
	FILE *f = fopen(path, "re");
	char line[4096];

	if (!f)
		give_up("%s: %s", path, strerror(errno));
	while (fgets(line, sizeof(line), f)) {
		line[strcspn(line, "\n")] = '\0';
		if (*line)
			table_add(t, line, address, fields);
	}
	fclose(f);
	if (t->n == 0)
		give_up("%s has no requests", path);
}

static void send_next(struct run *run, struct client *c)
{
	const struct request *r = &run->table.requests[run->table.next++];

	/* One small request on a connection where nothing waits: the kernel takes it whole. */
	c->len = 0;
	c->sent_at = seconds_now();
	if (send(c->fd, r->text, r->len, MSG_NOSIGNAL) != (ssize_t)r->len)
		give_up("send: %s", strerror(errno));
}

static void answered(struct run *run, const struct client *c, int status)
{
	samples_add(&run->times, seconds_now() - c->sent_at);
	if (status >= 200 && status < 300)
		return;
	if (run->failed++ == 0)
		fprintf(stderr, "the first that failed: %.*s\n", (int)c->len, c->answer);
}

/* Says whether the answer is complete. */
static bool receive(struct run *run, struct client *c)
{
	ssize_t n = recv(c->fd, c->answer + c->len, sizeof(c->answer) - 1 - c->len, 0);
	int status;

	if (n < 0 && (errno == EAGAIN || errno == EINTR))
		return false;
	if (n <= 0)
		give_up("a connection ended before its answer");
	c->len += (size_t)n;
	c->answer[c->len] = '\0';
	if (answer_length(c->answer, c->len, &status) == 0)
		return false;
	answered(run, c, status);
	return true;
}

static void drive(struct run *run, struct client *clients, size_t n, int epoll)
{
	struct epoll_event events[64];
	size_t under_way = 0;

	for (; under_way < n && run->table.next < run->table.n; under_way++)
		send_next(run, &clients[under_way]);

	while (under_way > 0) {
		int ready = epoll_wait(epoll, events, ARRAY_SIZE(events), 30000);

		if (ready == 0)
			give_up("no answer within 30 seconds");
		for (int i = 0; i < ready; i++) {
			struct client *c = events[i].data.ptr;

			if (!receive(run, c))
				continue;
			if (run->table.next < run->table.n)
				send_next(run, c);
			else
				under_way--;
		}
	}
}

int main(int argc, char **argv)
{
	struct run run = { 0 };
	struct client *clients;
	size_t n = argc > 3 ? strtoul(argv[2], NULL, 10) : 0;
	char *fields = xstrdup("");
	double begun, took;
	int epoll = epoll_create1(EPOLL_CLOEXEC);

	if (n == 0 || epoll < 0)
		give_up("usage: attachload ADDRESS:PORT IN_FLIGHT TABLE [FIELD]...");
	for (int i = 4; i < argc; i++) {
		char *longer = xasprintf("%s%s\r\n", fields, argv[i]);

		free(fields);
		fields = longer;
	}
	table_read(&run.table, argv[3], argv[1], fields);

	clients = xcalloc(n, sizeof(*clients));
	for (size_t i = 0; i < n; i++) {
		struct epoll_event event = { .events = EPOLLIN, .data.ptr = &clients[i] };

		clients[i].fd = connect_to(argv[1]);
		fcntl(clients[i].fd, F_SETFL, O_NONBLOCK);
		epoll_ctl(epoll, EPOLL_CTL_ADD, clients[i].fd, &event);
	}

	begun = seconds_now();
	drive(&run, clients, n, epoll);
	took = seconds_now() - begun;

	printf("{\"requests\":%zu,\"failed\":%zu,\"seconds\":%.4f,\"per_second\":%.0f,"
	       "\"p50_us\":%.0f,\"p99_us\":%.0f}\n",
	       run.table.n, run.failed, took, (double)run.table.n / took,
	       samples_percentile(&run.times, 50), samples_percentile(&run.times, 99));
	return 0;
}
