/* SPDX-License-Identifier: MIT */
/*
 * The least of an HTTP client that a load generator needs: it knows only answers of servers that
 * behave, and spends next to nothing on them, so that the server is what is measured.
 */
#include "client.h"

#include <arpa/inet.h>
#include <errno.h>
#include <netinet/in.h>
#include <netinet/tcp.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <strings.h>
#include <sys/socket.h>
#include <time.h>
#include <unistd.h>

#include "base/mem.h"

void give_up(const char *format, ...)
{
	va_list args;

	va_start(args, format);
	vfprintf(stderr, format, args);
	va_end(args);
	fputc('\n', stderr);
	exit(1);
}

int connect_to(const char *address)
{
	struct sockaddr_in to = { .sin_family = AF_INET };
	const char *colon = strrchr(address, ':');
	char host[64];
	int fd, on = 1;

	if (!colon)
		give_up("'%s' is no address and port", address);
	snprintf(host, sizeof(host), "%.*s", (int)(colon - address), address);
	to.sin_port = htons((uint16_t)strtoul(colon + 1, NULL, 10));
	if (inet_pton(AF_INET, host, &to.sin_addr) != 1)
		give_up("'%s' is no IPv4 address", host);

	fd = socket(AF_INET, SOCK_STREAM | SOCK_CLOEXEC, 0);
	if (fd < 0 || connect(fd, (struct sockaddr *)&to, sizeof(to)) < 0)
		give_up("connect to %s: %s", address, strerror(errno));
	setsockopt(fd, IPPROTO_TCP, TCP_NODELAY, &on, sizeof(on));
	return fd;
}

static const char *find_field(const char *head, const char *end, const char *name)
{
	size_t len = strlen(name);

	for (const char *line = head; line && line < end; line = strstr(line, "\r\n")) {
		if (*line == '\r')
			line += 2;
		if (strncasecmp(line, name, len) == 0)
			return line + len;
	}
	return NULL;
}

size_t answer_length(const char *text, size_t len, int *ret_status)
{
	const char *end = memmem(text, len, "\r\n\r\n", 4), *field, *last;
	size_t head, body;
	int status;

	if (!end)
		return 0;
	head = (size_t)(end - text) + 4;
	status = len > 12 ? atoi(text + 9) : 0;
	if (status < 100)
		give_up("no HTTP answer: %.80s", text);
	*ret_status = status;
	if (status < 200 || status == 204)
		return head;

	field = find_field(text, end, "content-length:");
	if (field) {
		body = strtoul(field, NULL, 10);
		return len - head >= body ? head + body : 0;
	}
	if (!find_field(text, end, "transfer-encoding:"))
		give_up("an answer without a length: %.200s", text);
	last = memmem(text + head - 2, len - head + 2, "\r\n0\r\n\r\n", 7);
	return last ? (size_t)(last - text) + 7 : 0;
}

int exchange(int fd, const char *request, size_t len, char *answer, size_t answer_size)
{
	size_t n = 0;
	int status;

	if (send(fd, request, len, MSG_NOSIGNAL) != (ssize_t)len)
		give_up("send: %s", strerror(errno));
	do {
		ssize_t got =
			n < answer_size - 1 ? recv(fd, answer + n, answer_size - 1 - n, 0) : -1;

		if (got <= 0)
			give_up("the connection ended before the answer");
		n += (size_t)got;
		answer[n] = '\0';
	} while (answer_length(answer, n, &status) == 0);
	return status;
}

double seconds_now(void)
{
	struct timespec t;

	clock_gettime(CLOCK_MONOTONIC, &t);
	return (double)t.tv_sec + (double)t.tv_nsec / 1e9;
}

void samples_add(struct samples *s, double value)
{
	if (s->n == s->room) {
		s->room = s->room ? s->room * 2 : 1024;
		s->values = xrealloc(s->values, s->room * sizeof(*s->values));
	}
	s->values[s->n++] = value;
}

static int by_value(const void *a, const void *b)
{
	double x = *(const double *)a, y = *(const double *)b;

	return (x > y) - (x < y);
}

double samples_percentile(struct samples *s, double percent)
{
	if (s->n == 0)
		return 0;
	qsort(s->values, s->n, sizeof(*s->values), by_value);
	return s->values[(size_t)(percent / 100 * (double)(s->n - 1) + 0.5)] * 1e6;
}

void samples_done(struct samples *s)
{
	free(s->values);
	*s = (struct samples){ 0 };
}
