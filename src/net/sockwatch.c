/* SPDX-License-Identifier: MIT */
/*
 * The TCP-destroy multicast groups on the loop, and the filter that keeps the rest of the machine's
 * sockets away from it.
 */
#include "net/sockwatch.h"

#include <errno.h>
#include <event2/event.h>
#include <linux/filter.h>
#include <linux/inet_diag.h>
#include <linux/netlink.h>
#include <linux/sock_diag.h>
#include <stddef.h>
#include <string.h>
#include <sys/socket.h>

#include "base/mem.h"

#define PORTS           65536
#define WORD_BITS       64
#define EXACT_MAX       64  /* ports: a jump of the filter reaches 255 instructions */
#define MESSAGES_A_TURN 512 /* then others on the loop come first */

struct sockwatch {
	struct loop *loop;
	size_t receive_buffer;
	const struct sockwatch_ops *ops;
	void *arg;
	int fd; /* -1: nothing to watch, or no such groups */
	struct event *readable;
	uint64_t watched[PORTS / WORD_BITS];
	size_t n_watched;
	uint16_t low, high; /* of the filter, while it is no exact one */
	bool exact;
};

static bool is_watched(const struct sockwatch *w, uint16_t port)
{
	return w->watched[port / WORD_BITS] >> (port % WORD_BITS) & 1;
}

/* Calls with each watched port, lowest first: by the word, for most are empty. */
#define FOREACH_PORT(w, port)                                                                      \
	for (size_t word_ = 0; word_ < PORTS / WORD_BITS; word_++)                                 \
		for (uint64_t left_ = (w)->watched[word_];                                         \
		     left_ &&                                                                      \
		     ((port) = (uint16_t)(word_ * WORD_BITS + (size_t)__builtin_ctzll(left_)), 1); \
		     left_ &= left_ - 1)

/*
 * The filter: a message is the netlink header, then struct inet_diag_msg.  BPF loads big-endian, as
 * the port is.
 */
static int attach_filter(struct sockwatch *w)
{
	struct sock_filter ops[EXACT_MAX + 4];
	struct sock_fprog program = { .filter = ops };
	unsigned short n = 0;
	uint16_t port;

	ops[n++] = (struct sock_filter)BPF_STMT(
		BPF_LD | BPF_H | BPF_ABS,
		NLMSG_HDRLEN + offsetof(struct inet_diag_msg, id.idiag_sport));
	if (w->exact) {
		unsigned char to_accept = (unsigned char)w->n_watched;

		FOREACH_PORT(w, port)
		ops[n++] = (struct sock_filter)BPF_JUMP(BPF_JMP | BPF_JEQ | BPF_K, port,
							to_accept--, 0);
	} else {
		ops[n++] = (struct sock_filter)BPF_JUMP(BPF_JMP | BPF_JGE | BPF_K, w->low, 0, 1);
		ops[n++] = (struct sock_filter)BPF_JUMP(BPF_JMP | BPF_JGT | BPF_K, w->high, 0, 1);
	}
	ops[n++] = (struct sock_filter)BPF_STMT(BPF_RET | BPF_K, 0);
	ops[n++] = (struct sock_filter)BPF_STMT(BPF_RET | BPF_K, UINT32_MAX);
	program.len = n;
	if (setsockopt(w->fd, SOL_SOCKET, SO_ATTACH_FILTER, &program, sizeof(program)) < 0)
		return -errno;
	return 0;
}

/* The filter follows the ports: while they are few each time, then only when they reach further. */
static int filter_ports(struct sockwatch *w, uint16_t changed)
{
	const bool exact = w->n_watched <= EXACT_MAX;
	uint16_t port;

	if (w->fd < 0)
		return 0;
	if (!exact && !w->exact && changed >= w->low && changed <= w->high)
		return 0;
	if (!exact) {
		w->low = UINT16_MAX;
		w->high = 0;
		FOREACH_PORT(w, port)
		{
			w->low = port < w->low ? port : w->low;
			w->high = port;
		}
	}
	w->exact = exact;
	return attach_filter(w);
}

static void read_messages(struct sockwatch *w, unsigned max)
{
	union {
		struct nlmsghdr header;
		char bytes[8192];
	} buffer;

	while (w->fd >= 0 && max-- > 0) {
		const ssize_t n = recv(w->fd, &buffer, sizeof(buffer), MSG_DONTWAIT);
		int64_t left = n; /* may fall below zero behind the last */

		if (n < 0 && errno == ENOBUFS) {
			w->ops->overrun(w->arg);
			continue;
		}
		if (n < 0 && errno == EINTR)
			continue;
		if (n < 0)
			return;
		for (struct nlmsghdr *h = &buffer.header; NLMSG_OK(h, left);
		     h = NLMSG_NEXT(h, left)) {
			struct tcp_socket s;

			if (tcp_socket_read(h, &s) && is_watched(w, s.port))
				w->ops->closed(&s, w->arg);
		}
	}
}

static void on_readable(evutil_socket_t fd, short what, void *arg)
{
	(void)fd;
	(void)what;
	read_messages(arg, MESSAGES_A_TURN);
}

void sockwatch_read(struct sockwatch *w)
{
	read_messages(w, UINT16_MAX);
}

static void leave(struct sockwatch *w)
{
	if (w->readable)
		event_free(STEAL(w->readable));
	closep(&w->fd);
	w->fd = -1;
}

static void enlarge_buffer(int fd, size_t bytes)
{
	const int size = (int)bytes;

	if (setsockopt(fd, SOL_SOCKET, SO_RCVBUFFORCE, &size, sizeof(size)) < 0)
		setsockopt(fd, SOL_SOCKET, SO_RCVBUF, &size, sizeof(size)); /* up to rmem_max */
}

/* The filter stands before the first message can come. */
static int join(struct sockwatch *w)
{
	const struct sockaddr_nl any = { .nl_family = AF_NETLINK };
	static const int groups[] = { SKNLGRP_INET_TCP_DESTROY, SKNLGRP_INET6_TCP_DESTROY };
	int r;

	w->fd = socket(AF_NETLINK, SOCK_RAW | SOCK_CLOEXEC | SOCK_NONBLOCK, NETLINK_SOCK_DIAG);
	if (w->fd < 0)
		return -errno;
	enlarge_buffer(w->fd, w->receive_buffer);
	w->exact = true;
	r = attach_filter(w);
	/* A socket without an address of its own is passed over. */
	if (r >= 0 && bind(w->fd, (const struct sockaddr *)&any, sizeof(any)) < 0)
		r = -errno;
	for (size_t i = 0; r >= 0 && i < ARRAY_SIZE(groups); i++) {
		if (setsockopt(w->fd, SOL_NETLINK, NETLINK_ADD_MEMBERSHIP, &groups[i],
			       sizeof(groups[i])) < 0)
			r = -errno;
	}
	if (r >= 0) {
		w->readable =
			event_new(loop_base(w->loop), w->fd, EV_READ | EV_PERSIST, on_readable, w);
		if (!w->readable || event_add(w->readable, NULL) < 0)
			r = -ENOMEM;
	}
	if (r < 0)
		leave(w);
	return r;
}

int sockwatch_add(struct sockwatch *w, uint16_t port)
{
	if (is_watched(w, port))
		return 0;
	w->watched[port / WORD_BITS] |= UINT64_C(1) << (port % WORD_BITS);
	w->n_watched++;
	return w->n_watched == 1 ? join(w) : filter_ports(w, port);
}

void sockwatch_remove(struct sockwatch *w, uint16_t port)
{
	if (!is_watched(w, port))
		return;
	w->watched[port / WORD_BITS] &= ~(UINT64_C(1) << (port % WORD_BITS));
	w->n_watched--;
	if (w->n_watched == 0)
		leave(w);
	else if (w->n_watched <= EXACT_MAX && filter_ports(w, port) < 0)
		return; /* the wider filter stays: what it lets through is dropped here */
}

struct sockwatch *sockwatch_new(struct loop *loop, size_t receive_buffer,
				const struct sockwatch_ops *ops, void *arg)
{
	struct sockwatch *w = xcalloc(1, sizeof(*w));

	w->loop = loop;
	w->receive_buffer = receive_buffer;
	w->ops = ops;
	w->arg = arg;
	w->fd = -1;
	return w;
}

struct sockwatch *sockwatch_free(struct sockwatch *w)
{
	if (!w)
		return NULL;
	leave(w);
	free(w);
	return NULL;
}
