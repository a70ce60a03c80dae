/* SPDX-License-Identifier: MIT */
#include "net/sockdiag.h"

#include "base/mem.h"

#include <arpa/inet.h>
#include <errno.h>
#include <fcntl.h>
#include <net/if.h>
#include <netinet/in.h>
#include <sched.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stdint.h>
#include <string.h>
#include <sys/ioctl.h>
#include <sys/socket.h>
#include <sys/stat.h>
/* cmocka wants setjmp.h and the two after it above it */
#include <cmocka.h>

static struct sockdiag *sd;

/*
 * A network of our own, where that may be had: elsewhere the tests beside this one listen, too, and
 * a port that was free is theirs a moment later.
 */
static void be_alone(void)
{
	struct ifreq up = { .ifr_name = "lo", .ifr_flags = IFF_UP | IFF_RUNNING };
	scoped(closep) int fd = -1;

	if (unshare(CLONE_NEWNET) < 0)
		return;
	fd = socket(AF_INET, SOCK_DGRAM | SOCK_CLOEXEC, 0);
	assert_int_equal(ioctl(fd, SIOCSIFFLAGS, &up), 0);
}

static int open_sockdiag(void **state)
{
	(void)state;
	be_alone();
	return sockdiag_new(&sd);
}

static int close_sockdiag(void **state)
{
	(void)state;
	sd = sockdiag_free(sd);
	return 0;
}

static uint16_t port_of(int fd)
{
	struct sockaddr_in6 at; /* the port is at the same place in both */
	socklen_t len = sizeof(at);

	assert_int_equal(getsockname(fd, (struct sockaddr *)&at, &len), 0);
	return ntohs(at.sin6_port);
}

/* Port 0 is a free one. */
static int listen_at(const char *address, uint16_t port, int v6only, int backlog)
{
	const bool v6 = strchr(address, ':');
	struct sockaddr_in in = { .sin_family = AF_INET, .sin_port = htons(port) };
	struct sockaddr_in6 in6 = { .sin6_family = AF_INET6, .sin6_port = htons(port) };
	const int fd = socket(v6 ? AF_INET6 : AF_INET, SOCK_STREAM | SOCK_CLOEXEC, 0);

	assert_true(fd >= 0);
	if (v6)
		assert_int_equal(setsockopt(fd, IPPROTO_IPV6, IPV6_V6ONLY, &v6only, sizeof(v6only)),
				 0);
	assert_int_equal(inet_pton(v6 ? AF_INET6 : AF_INET, address,
				   v6 ? (void *)&in6.sin6_addr : (void *)&in.sin_addr),
			 1);
	assert_int_equal(bind(fd, v6 ? (struct sockaddr *)&in6 : (struct sockaddr *)&in,
			      v6 ? sizeof(in6) : sizeof(in)),
			 0);
	assert_int_equal(listen(fd, backlog), 0);
	return fd;
}

static unsigned inode_of(int fd)
{
	struct stat st;

	assert_int_equal(fstat(fd, &st), 0);
	return (unsigned)st.st_ino;
}

/* The row of our socket: others on this machine may listen on the same port of another address. */
static struct listener row_of(int fd)
{
	struct listener rows[32], found = { 0 };
	int n = sockdiag_listeners(sd, port_of(fd), rows, ARRAY_SIZE(rows)), ours = 0;

	for (int i = 0; i < n && i < (int)ARRAY_SIZE(rows); i++) {
		if (rows[i].inode != inode_of(fd))
			continue;
		found = rows[i];
		ours++;
	}
	assert_int_equal(ours, 1);
	return found;
}

static void a_listener_is_told_as_it_was_bound(void **state)
{
	/* clang-format off */
	static const struct {
		const char *address;
		int v6only;
		bool any_address, loopback, told_v6only;
	} rows[] = {
		{ "127.0.0.1", 0, false, true },
		{ "0.0.0.0", 0, true, true },
		{ "127.0.0.2", 0, false, false },
		{ "::1", 0, false, true, true }, /* there is no IPv4 at ::1 */
		{ "::", 0, true, true, false },
		{ "::", 1, true, true, true },
		{ "::ffff:127.0.0.1", 0, false, true },
		{ "::ffff:0.0.0.0", 0, true, true },
	};
	/* clang-format on */

	(void)state;
	for (size_t i = 0; i < ARRAY_SIZE(rows); i++) {
		scoped(closep) int fd = listen_at(rows[i].address, 0, rows[i].v6only, 7);
		struct listener l = row_of(fd);

		assert_string_equal(l.address, rows[i].address);
		assert_int_equal(l.family, strchr(rows[i].address, ':') ? AF_INET6 : AF_INET);
		assert_int_equal(l.port, port_of(fd));
		assert_int_equal(l.any_address, rows[i].any_address);
		assert_int_equal(l.loopback, rows[i].loopback);
		assert_int_equal(l.v6only, rows[i].told_v6only);
		assert_int_equal(l.queued, 0);
		assert_int_equal(l.queue_max, 7);
		assert_int_equal(l.uid, getuid());
	}
}

static void both_families_on_one_port_are_two_rows(void **state)
{
	scoped(closep) int v6 = listen_at("::1", 0, 1, 1);
	scoped(closep) int v4 = listen_at("127.0.0.1", port_of(v6), 0, 1);
	struct listener l[2] = { 0 };

	(void)state;
	assert_int_equal(sockdiag_listeners(sd, port_of(v6), l, 2), 2);
	assert_int_equal(l[0].inode, inode_of(v4));
	assert_int_equal(l[1].inode, inode_of(v6));

	/* No more is written than there is room for, and the count says so. */
	l[1].inode = 0;
	assert_int_equal(sockdiag_listeners(sd, port_of(v6), l, 1), 2);
	assert_int_equal(l[1].inode, 0);
}

static void a_port_nobody_listens_on_has_no_rows(void **state)
{
	scoped(closep) int fd = listen_at("127.0.0.1", 0, 0, 1);
	const uint16_t port = port_of(fd);

	(void)state;
	close(STEAL_FD(fd));
	assert_int_equal(sockdiag_listeners(sd, port, NULL, 0), 0);
}

static int connect_to(uint16_t port)
{
	const struct sockaddr_in in = { .sin_family = AF_INET,
					.sin_port = htons(port),
					.sin_addr = { htonl(INADDR_LOOPBACK) } };
	const int fd = socket(AF_INET, SOCK_STREAM | SOCK_CLOEXEC, 0);

	assert_int_equal(connect(fd, (const struct sockaddr *)&in, sizeof(in)), 0);
	return fd;
}

static void connections_that_are_not_accepted_are_counted(void **state)
{
	scoped(closep) int fd = listen_at("127.0.0.1", 0, 0, 16);
	int clients[3];
	struct listener l;

	(void)state;
	for (unsigned i = 0; i < ARRAY_SIZE(clients); i++) {
		clients[i] = connect_to(port_of(fd));
		assert_int_equal(sockdiag_listeners(sd, port_of(fd), &l, 1), 1);
		assert_int_equal(l.queued, i + 1);
	}
	close(accept4(fd, NULL, NULL, SOCK_CLOEXEC));
	assert_int_equal(sockdiag_listeners(sd, port_of(fd), &l, 1), 1);
	assert_int_equal(l.queued, 2);
	for (unsigned i = 0; i < ARRAY_SIZE(clients); i++)
		close(clients[i]);
}

#define MANY 900 /* their rows don't fit one datagram */

static void the_dump_of_all_ports_has_every_listener_once(void **state)
{
	static int fds[MANY];
	static unsigned seen[MANY];
	const size_t max = MANY + 131072; /* and whatever else this machine runs */
	scoped(freep) struct listener *l = xcalloc(max, sizeof(*l));
	int n;

	(void)state;
	for (size_t i = 0; i < MANY; i++)
		fds[i] = listen_at(i % 2 ? "127.0.0.1" : "::1", 0, 0, 1);
	n = sockdiag_listeners(sd, 0, l, max);
	assert_in_range(n, MANY, max);
	for (size_t i = 0; i < MANY; i++) {
		const unsigned inode = inode_of(fds[i]);

		for (int j = 0; j < n; j++)
			seen[i] += l[j].inode == inode && l[j].port == port_of(fds[i]);
		assert_int_equal(seen[i], 1);
	}
	for (size_t i = 0; i < MANY; i++)
		close(fds[i]);
}

static void the_owner_of_a_socket_is_found(void **state)
{
	scoped(closep) int fd = listen_at("127.0.0.1", 0, 0, 1);
	const unsigned inode = inode_of(fd);

	(void)state;
	assert_int_equal(socket_owner_pid(inode), getpid());
	close(STEAL_FD(fd));
	assert_int_equal(socket_owner_pid(inode), 0);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(a_listener_is_told_as_it_was_bound),
		cmocka_unit_test(both_families_on_one_port_are_two_rows),
		cmocka_unit_test(a_port_nobody_listens_on_has_no_rows),
		cmocka_unit_test(connections_that_are_not_accepted_are_counted),
		cmocka_unit_test(the_dump_of_all_ports_has_every_listener_once),
		cmocka_unit_test(the_owner_of_a_socket_is_found),
	};

	return cmocka_run_group_tests_name("sockdiag", tests, open_sockdiag, close_sockdiag);
}
