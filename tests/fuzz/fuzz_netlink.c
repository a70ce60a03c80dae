/* SPDX-License-Identifier: MIT */
/*
 * A datagram of the kernel's socket tables.  Nothing behind its end is read, and what is told of it
 * is in its range.  The kernel is no enemy, but its structures grow, and a dump may be cut short.
 *
 * Both readers are taken in as they are, so that what comes by a netlink socket comes by a pair.
 */
#include "net/sockdiag.c"
#include "net/sockwatch.c"

#include <assert.h>
#include <stdlib.h>

#include "fuzz.h"

#define ROWS_MAX 4

static void on_connection(const struct tcp_socket *s, void *arg)
{
	char text[TCP_PEER_TEXT_SIZE];

	(void)arg;
	tcp_peer_text(s->family, s->peer, s->peer_port, text);
	assert(strlen(text) < sizeof(text) && strchr(text, ':'));
}

static void on_overrun(void *arg)
{
	(void)arg;
}

/* The other end has it in its queue. */
static int received(const void *bytes, size_t len)
{
	int fds[2];

	if (socketpair(AF_UNIX, SOCK_DGRAM | SOCK_CLOEXEC | SOCK_NONBLOCK, 0, fds) < 0 ||
	    send(fds[1], bytes, len, 0) < 0)
		abort();
	close(fds[1]);
	return fds[0];
}

static void read_as(const uint8_t *data, size_t size, row_fn *row, void *arg)
{
	/* The sequence number that the corpus has. */
	struct sockdiag sd = { .fd = received(data, size), .seq = 1 };
	const int r = read_answer(&sd, &(struct answer){ row, arg });

	assert(r <= 1);
	close(sd.fd);
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
	static const struct sockwatch_ops ops = { .closed = on_connection, .overrun = on_overrun };
	static struct sockwatch watch = { .ops = &ops };
	struct listener rows[ROWS_MAX];
	struct found found = { .to = rows, .max = ROWS_MAX };
	struct visit visit = { on_connection, NULL };

	if (size > 32 * 1024)
		return 0;
	read_as(data, size, read_listener, &found);
	for (int i = 0; i < found.n && i < ROWS_MAX; i++)
		assert(memchr(rows[i].address, '\0', sizeof(rows[i].address)));
	read_as(data, size, read_connection, &visit);

	memset(watch.watched, 0xff, sizeof(watch.watched));
	watch.fd = received(data, size);
	sockwatch_read(&watch);
	close(watch.fd);
	return 0;
}
