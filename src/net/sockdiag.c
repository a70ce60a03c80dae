/* SPDX-License-Identifier: MIT */
/*
 * Questions to the kernel's socket tables: a dump request over netlink, filtered in the kernel by
 * local port, and its answer taken apart row by row.
 */
#include "net/sockdiag.h"

#include <arpa/inet.h>
#include <dirent.h>
#include <errno.h>
#include <fcntl.h>
#include <linux/inet_diag.h>
#include <linux/netlink.h>
#include <linux/rtnetlink.h>
#include <linux/sock_diag.h>
#include <linux/tcp.h>
#include <netinet/in.h>
#include <stdio.h>
#include <string.h>
#include <sys/time.h>

#include "base/mem.h"

struct sockdiag {
	int fd;
	uint32_t seq; /* of the last request: what is left of an earlier answer has another */
};

typedef void row_fn(const struct nlmsghdr *h, void *arg);

/* Where the rows of an answer go. */
struct answer {
	row_fn *row;
	void *arg;
};

struct found {
	struct listener *to;
	size_t max;
	int n; /* also those past max */
};

#define PORT_OPS 4 /* an op with a port takes two places */

struct dump_request {
	struct nlmsghdr header;
	struct inet_diag_req_v2 diag;
	struct rtattr attribute;
	struct inet_diag_bc_op ops[PORT_OPS];
};

/* Which rows are wanted. */
struct question {
	int family;
	unsigned states;    /* bits */
	uint16_t low, high; /* local ports; 0 and 0: any */
};

/* Runs in the kernel, a row at a time: low <= local port <= high.  "no" leads past the end. */
static void add_port_filter(struct dump_request *q, uint16_t low, uint16_t high)
{
	const unsigned size = sizeof(q->ops), step = 2 * sizeof(q->ops[0]);

	q->attribute.rta_type = INET_DIAG_REQ_BYTECODE;
	q->attribute.rta_len = RTA_LENGTH(sizeof(q->ops));
	q->ops[0] = (struct inet_diag_bc_op){ INET_DIAG_BC_S_GE, (unsigned char)step,
					      (unsigned short)(size + 4) };
	q->ops[1].no = low;
	q->ops[2] = (struct inet_diag_bc_op){ INET_DIAG_BC_S_LE, (unsigned char)step,
					      (unsigned short)(size - step + 4) };
	q->ops[3].no = high;
	q->header.nlmsg_len = sizeof(*q);
}

static int send_request(struct sockdiag *sd, const struct question *question)
{
	const bool listeners = question->states == 1u << TCP_STATE_LISTEN;
	struct dump_request q = {
		.header = { .nlmsg_len = offsetof(struct dump_request, attribute),
			    .nlmsg_type = SOCK_DIAG_BY_FAMILY,
			    .nlmsg_flags = NLM_F_REQUEST | NLM_F_DUMP,
			    .nlmsg_seq = ++sd->seq },
		.diag = { .sdiag_family = (uint8_t)question->family,
			  .sdiag_protocol = IPPROTO_TCP,
			  .idiag_ext = listeners ? 0 : 1 << (INET_DIAG_INFO - 1),
			  .idiag_states = question->states },
	};

	if (question->high != 0)
		add_port_filter(&q, question->low, question->high);
	while (send(sd->fd, &q, q.header.nlmsg_len, 0) < 0)
		if (errno != EINTR)
			return -errno;
	return 0;
}

static void read_address(struct listener *l, const struct inet_diag_msg *m)
{
	const struct in6_addr *in6 = (const struct in6_addr *)m->id.idiag_src;
	struct in_addr in;

	inet_ntop(l->family, m->id.idiag_src, l->address, sizeof(l->address));
	if (l->family == AF_INET6 && !IN6_IS_ADDR_V4MAPPED(in6)) {
		l->any_address = IN6_IS_ADDR_UNSPECIFIED(in6);
		l->loopback = l->any_address || IN6_IS_ADDR_LOOPBACK(in6);
		return;
	}
	/* ::ffff:127.0.0.1 is 127.0.0.1 */
	memcpy(&in, l->family == AF_INET6 ? &in6->s6_addr[12] : (const void *)m->id.idiag_src,
	       sizeof(in));
	l->any_address = in.s_addr == htonl(INADDR_ANY);
	l->loopback = l->any_address || in.s_addr == htonl(INADDR_LOOPBACK);
}

static void read_listener(const struct nlmsghdr *h, void *arg)
{
	struct found *found = arg;
	const struct inet_diag_msg *m = NLMSG_DATA(h);
	int left = (int)h->nlmsg_len - (int)NLMSG_LENGTH(sizeof(*m));
	struct listener *l;

	if (left < 0)
		return;
	if ((size_t)found->n++ >= found->max)
		return;
	l = &found->to[found->n - 1];
	*l = (struct listener){
		.family = m->idiag_family,
		.port = ntohs(m->id.idiag_sport),
		.queued = m->idiag_rqueue,
		.queue_max = m->idiag_wqueue,
		.uid = m->idiag_uid,
		.inode = m->idiag_inode,
	};
	read_address(l, m);
	for (struct rtattr *a = (struct rtattr *)(m + 1); RTA_OK(a, left); a = RTA_NEXT(a, left))
		if (a->rta_type == INET_DIAG_SKV6ONLY && RTA_PAYLOAD(a) >= 1)
			l->v6only = *(const uint8_t *)RTA_DATA(a);
}

/* 1 at the end of the answer, 0 when there is more to come, or a negative errno. */
static int read_message(struct sockdiag *sd, const struct nlmsghdr *h, const struct answer *answer)
{
	int error;

	if (h->nlmsg_seq != sd->seq)
		return 0;
	switch (h->nlmsg_type) {
	case NLMSG_DONE:
		/* A dump that broke off says so here. */
		if (h->nlmsg_len < NLMSG_LENGTH(sizeof(error)))
			return 1;
		memcpy(&error, NLMSG_DATA(h), sizeof(error));
		return error < 0 ? error : 1;
	case NLMSG_ERROR:
		if (h->nlmsg_len < NLMSG_LENGTH(sizeof(struct nlmsgerr)))
			return -EBADMSG;
		error = ((const struct nlmsgerr *)NLMSG_DATA(h))->error;
		return error < 0 ? error : 1;
	case SOCK_DIAG_BY_FAMILY:
		answer->row(h, answer->arg);
		return 0;
	default:
		return 0;
	}
}

/* The answer to one dump comes in as many datagrams as it needs, ended by NLMSG_DONE. */
static int read_answer(struct sockdiag *sd, const struct answer *answer)
{
	union {
		struct nlmsghdr header;
		char bytes[32 * 1024]; /* the kernel makes no larger ones */
	} buffer;

	for (;;) {
		const ssize_t n = recv(sd->fd, &buffer, sizeof(buffer), MSG_TRUNC);
		int64_t left = n; /* may fall below zero behind the last */

		if (n < 0 && errno == EINTR)
			continue;
		if (n < 0)
			return errno == EAGAIN ? -ETIMEDOUT : -errno;
		if ((size_t)n > sizeof(buffer))
			return -EMSGSIZE;
		for (struct nlmsghdr *h = &buffer.header; NLMSG_OK(h, left);
		     h = NLMSG_NEXT(h, left)) {
			const int r = read_message(sd, h, answer);

			if (r != 0)
				return r;
		}
	}
}

/* Both families: an IPv6 listener takes IPv4 viewers, too. */
static int dump(struct sockdiag *sd, struct question question, const struct answer *answer)
{
	static const int families[] = { AF_INET, AF_INET6 };

	for (size_t i = 0; i < ARRAY_SIZE(families); i++) {
		int r;

		question.family = families[i];
		r = send_request(sd, &question);
		if (r >= 0)
			r = read_answer(sd, answer);
		/* a kernel without IPv6 has no such table */
		if (r < 0 && !(r == -ENOENT && question.family == AF_INET6))
			return r;
	}
	return 0;
}

int sockdiag_listeners(struct sockdiag *sd, uint16_t port, struct listener *ret, size_t max)
{
	struct found found = { .to = ret, .max = max };
	int r = dump(
		sd,
		(struct question){ .states = 1u << TCP_STATE_LISTEN, .low = port, .high = port },
		&(struct answer){ read_listener, &found });

	return r < 0 ? r : found.n;
}

/*
 * Connections.
 */
static void read_counts(struct tcp_socket *s, const struct rtattr *a)
{
	struct tcp_info info = { 0 }; /* the kernel's may be older or newer, and ill-aligned */
	const size_t len = RTA_PAYLOAD(a);

	memcpy(&info, RTA_DATA(a), len < sizeof(info) ? len : sizeof(info));
	s->bytes_received = info.tcpi_bytes_received;
	s->bytes_acked = info.tcpi_bytes_acked;
	s->data_segs_in = info.tcpi_data_segs_in;
	s->last_data_recv_ms = info.tcpi_last_data_recv;
}

bool tcp_socket_read(const struct nlmsghdr *h, struct tcp_socket *ret)
{
	const struct inet_diag_msg *m = NLMSG_DATA(h);
	int left = (int)h->nlmsg_len - (int)NLMSG_LENGTH(sizeof(*m));

	if (h->nlmsg_type != SOCK_DIAG_BY_FAMILY || left < 0)
		return false;
	*ret = (struct tcp_socket){
		.cookie = (uint64_t)m->id.idiag_cookie[1] << 32 | m->id.idiag_cookie[0],
		.family = m->idiag_family,
		.state = m->idiag_state,
		.port = ntohs(m->id.idiag_sport),
		.peer_port = ntohs(m->id.idiag_dport),
		.uid = m->idiag_uid,
		.inode = m->idiag_inode,
	};
	memcpy(ret->peer, m->id.idiag_dst, m->idiag_family == AF_INET6 ? 16 : 4);
	for (struct rtattr *a = (struct rtattr *)(m + 1); RTA_OK(a, left); a = RTA_NEXT(a, left))
		if (a->rta_type == INET_DIAG_INFO)
			read_counts(ret, a);
	return true;
}

struct visit {
	sockdiag_visit_fn *fn;
	void *arg;
};

static void read_connection(const struct nlmsghdr *h, void *arg)
{
	const struct visit *visit = arg;
	struct tcp_socket s;

	if (tcp_socket_read(h, &s))
		visit->fn(&s, visit->arg);
}

/* Those past their handshake; what waits out its time (TIME_WAIT) has no counts any more. */
#define CONNECTION_STATES                                                                      \
	(1u << TCP_STATE_ESTABLISHED | 1u << TCP_STATE_FIN_WAIT1 | 1u << TCP_STATE_FIN_WAIT2 | \
	 1u << TCP_STATE_CLOSE_WAIT | 1u << TCP_STATE_LAST_ACK | 1u << TCP_STATE_CLOSING)

int sockdiag_connections(struct sockdiag *sd, uint16_t low, uint16_t high, sockdiag_visit_fn *fn,
			 void *arg)
{
	struct visit visit = { fn, arg };

	return dump(sd, (struct question){ .states = CONNECTION_STATES, .low = low, .high = high },
		    &(struct answer){ read_connection, &visit });
}

struct client {
	uint16_t to_port;
	bool found;
	uid_t uid;
};

static bool is_loopback_peer(const struct tcp_socket *s)
{
	struct in6_addr in6;

	if (s->family == AF_INET)
		return s->peer[0] == 127;
	memcpy(&in6, s->peer, sizeof(in6));
	return IN6_IS_ADDR_LOOPBACK(&in6) || (IN6_IS_ADDR_V4MAPPED(&in6) && s->peer[12] == 127);
}

static void look_for_client(const struct tcp_socket *s, void *arg)
{
	struct client *client = arg;

	if (s->peer_port != client->to_port || !is_loopback_peer(s))
		return;
	client->found = true;
	client->uid = s->uid;
}

int sockdiag_client_uid(struct sockdiag *sd, uint16_t port, uint16_t to_port, uid_t *ret)
{
	struct client client = { .to_port = to_port };
	int r = sockdiag_connections(sd, port, port, look_for_client, &client);

	if (r < 0)
		return r;
	if (!client.found)
		return -ENOENT;
	*ret = client.uid;
	return 0;
}

const char *tcp_peer_text(int family, const uint8_t peer[static 16], uint16_t peer_port,
			  char text[static TCP_PEER_TEXT_SIZE])
{
	struct in6_addr in6; /* `peer` may stand anywhere */
	bool v4;
	char address[INET6_ADDRSTRLEN];

	memcpy(&in6, peer, sizeof(in6));
	v4 = family == AF_INET || IN6_IS_ADDR_V4MAPPED(&in6);
	inet_ntop(v4 ? AF_INET : AF_INET6, family == AF_INET6 && v4 ? peer + 12 : peer, address,
		  sizeof(address));
	snprintf(text, TCP_PEER_TEXT_SIZE, v4 ? "%s:%u" : "[%s]:%u", address, peer_port);
	return text;
}

int sockdiag_new(struct sockdiag **ret)
{
	scoped(sockdiag_freep) struct sockdiag *sd = xcalloc(1, sizeof(*sd));
	const struct sockaddr_nl kernel = { .nl_family = AF_NETLINK };
	/* The kernel answers at once.  Should it not, the loop must not stand still for ever. */
	const struct timeval patience = { .tv_sec = 1 };
	int r;

	sd->fd = socket(AF_NETLINK, SOCK_RAW | SOCK_CLOEXEC, NETLINK_SOCK_DIAG);
	if (sd->fd < 0)
		return -errno;
	if (connect(sd->fd, (const struct sockaddr *)&kernel, sizeof(kernel)) < 0 ||
	    setsockopt(sd->fd, SOL_SOCKET, SO_RCVTIMEO, &patience, sizeof(patience)) < 0)
		return -errno;
	/* Whether there is inet_diag shows only in an answer. */
	r = sockdiag_listeners(sd, 1, NULL, 0);
	if (r < 0)
		return r;
	*ret = STEAL(sd);
	return 0;
}

struct sockdiag *sockdiag_free(struct sockdiag *sd)
{
	if (!sd)
		return NULL;
	closep(&sd->fd);
	free(sd);
	return NULL;
}

static void closedirp(DIR **d)
{
	if (*d)
		closedir(*d);
}

static DIR *open_beneath(int dirfd, const char *path)
{
	const int fd = openat(dirfd, path, O_RDONLY | O_DIRECTORY | O_CLOEXEC);
	DIR *d = fd < 0 ? NULL : fdopendir(fd);

	if (fd >= 0 && !d)
		close(fd);
	return d;
}

static bool holds_socket(int proc_fd, const char *pid, const char *wanted)
{
	scoped(freep) char *path = xasprintf("%s/fd", pid);
	scoped(closedirp) DIR *fds = open_beneath(proc_fd, path);
	const struct dirent *entry;

	while (fds && (entry = readdir(fds))) {
		char link[64];
		const ssize_t n = readlinkat(dirfd(fds), entry->d_name, link, sizeof(link) - 1);

		if (n < 0)
			continue;
		link[n] = '\0';
		if (strcmp(link, wanted) == 0)
			return true;
	}
	return false;
}

pid_t socket_owner_pid(unsigned inode)
{
	scoped(closedirp) DIR *proc = open_beneath(AT_FDCWD, "/proc");
	scoped(freep) char *wanted = xasprintf("socket:[%u]", inode);
	const struct dirent *entry;

	while (proc && (entry = readdir(proc))) {
		if (entry->d_name[0] < '1' || entry->d_name[0] > '9')
			continue;
		if (holds_socket(dirfd(proc), entry->d_name, wanted))
			return (pid_t)strtol(entry->d_name, NULL, 10);
	}
	return 0;
}
