/* SPDX-License-Identifier: MIT */
#include "net/sockwatch.h"

#include "base/mem.h"

#include <arpa/inet.h>
#include <errno.h>
#include <netinet/in.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stdint.h>
#include <string.h>
#include <sys/socket.h>
/* cmocka wants setjmp.h and the two after it above it */
#include <cmocka.h>

#define CLOSED_MAX 4096
#define PATIENCE   (10 * USEC_PER_SEC)

struct fixture {
	struct loop *loop;
	struct sockwatch *watch;
	struct sockdiag *diag;
	struct timer *patience;
	struct tcp_socket closed[CLOSED_MAX];
	size_t n_closed, wanted;
	unsigned overruns, overruns_wanted;
	bool late;
};

static void look_whether_done(struct fixture *f)
{
	if (f->n_closed >= f->wanted && f->overruns >= f->overruns_wanted)
		loop_stop(f->loop);
}

static void on_closed(const struct tcp_socket *s, void *arg)
{
	struct fixture *f = arg;

	assert_true(f->n_closed < CLOSED_MAX);
	f->closed[f->n_closed++] = *s;
	look_whether_done(f);
}

static void on_overrun(void *arg)
{
	struct fixture *f = arg;

	f->overruns++;
	look_whether_done(f);
}

static void on_late(void *arg)
{
	struct fixture *f = arg;

	f->late = true;
	loop_stop(f->loop);
}

static const struct sockwatch_ops ops = { .closed = on_closed, .overrun = on_overrun };

static int setup_with(void **state, size_t buffer)
{
	struct fixture *f = xcalloc(1, sizeof(*f));

	*state = f;
	f->loop = loop_new();
	f->patience = timer_new(f->loop, on_late, f);
	f->watch = sockwatch_new(f->loop, buffer, &ops, f);
	return sockdiag_new(&f->diag);
}

static int setup(void **state)
{
	return setup_with(state, 1 << 20);
}

static int teardown(void **state)
{
	struct fixture *f = *state;

	sockdiag_free(f->diag);
	sockwatch_free(f->watch);
	timer_free(f->patience);
	loop_free(f->loop);
	free(f);
	return 0;
}

static void await(struct fixture *f, size_t n_closed, unsigned overruns)
{
	f->wanted = n_closed;
	f->overruns_wanted = overruns;
	timer_set(f->patience, PATIENCE);
	if (f->n_closed < n_closed || f->overruns < overruns)
		assert_int_equal(loop_run(f->loop), 0);
	assert_false(f->late);
}

static uint16_t port_of(int fd)
{
	struct sockaddr_in6 at;
	socklen_t len = sizeof(at);

	assert_int_equal(getsockname(fd, (struct sockaddr *)&at, &len), 0);
	return ntohs(at.sin6_port);
}

static int new_listener(int family)
{
	struct sockaddr_in6 at = { .sin6_family = (sa_family_t)family }; /* any address, any port */
	const int fd = socket(family, SOCK_STREAM | SOCK_CLOEXEC, 0);

	assert_true(fd >= 0);
	assert_int_equal(bind(fd, (struct sockaddr *)&at,
			      family == AF_INET6 ? sizeof(at) : sizeof(struct sockaddr_in)),
			 0);
	assert_int_equal(listen(fd, 64), 0);
	return fd;
}

struct pair {
	int viewer, server;
};

static struct pair connect_to(int listener)
{
	struct sockaddr_in to = { .sin_family = AF_INET,
				  .sin_port = htons(port_of(listener)),
				  .sin_addr = { htonl(INADDR_LOOPBACK) } };
	struct pair p = { .viewer = socket(AF_INET, SOCK_STREAM | SOCK_CLOEXEC, 0) };

	assert_int_equal(connect(p.viewer, (struct sockaddr *)&to, sizeof(to)), 0);
	p.server = accept4(listener, NULL, NULL, SOCK_CLOEXEC);
	assert_true(p.server >= 0);
	return p;
}

static void send_all(int fd, size_t n)
{
	scoped(freep) char *bytes = xcalloc(1, n);

	assert_int_equal(send(fd, bytes, n, 0), (ssize_t)n);
}

static void read_all(int fd, size_t n)
{
	char bytes[4096];

	while (n > 0) {
		const ssize_t got = recv(fd, bytes, n < sizeof(bytes) ? n : sizeof(bytes), 0);

		assert_true(got > 0);
		n -= (size_t)got;
	}
}

static void pair_close(struct pair p)
{
	close(p.viewer);
	close(p.server);
}

static void a_closed_connection_is_told_with_its_last_counts(void **state)
{
	struct fixture *f = *state;
	scoped(closep) int listener = new_listener(AF_INET);
	char peer[TCP_PEER_TEXT_SIZE];

	assert_int_equal(sockwatch_add(f->watch, port_of(listener)), 0);
	for (int i = 0; i < 3; i++) {
		struct pair p = connect_to(listener);
		scoped(freep) char *at = xasprintf("127.0.0.1:%u", port_of(p.viewer));

		send_all(p.viewer, 100);
		read_all(p.server, 100);
		send_all(p.viewer, 20);
		read_all(p.server, 20);
		send_all(p.server, 3000);
		read_all(p.viewer, 3000);
		pair_close(p);
		await(f, (size_t)i + 1, 0);

		const struct tcp_socket *s = &f->closed[i];

		assert_int_equal(s->port, port_of(listener));
		assert_string_equal(tcp_peer_text(s->family, s->peer, s->peer_port, peer), at);
		assert_in_range(s->bytes_received, 120, 121); /* the FIN may count */
		assert_int_equal(s->data_segs_in, 2);
		assert_in_range(s->bytes_acked, 3000, 3002);
	}
	assert_int_equal(f->n_closed, 3); /* and the viewers' own ends not at all */
}

static void a_closed_listener_is_told(void **state)
{
	static const int families[] = { AF_INET, AF_INET6 };
	struct fixture *f = *state;

	for (size_t i = 0; i < ARRAY_SIZE(families); i++) {
		const int listener = new_listener(families[i]);
		const uint16_t port = port_of(listener);

		assert_int_equal(sockwatch_add(f->watch, port), 0);
		close(listener);
		await(f, i + 1, 0);
		assert_int_equal(f->closed[i].port, port);
		assert_int_equal(f->closed[i].peer_port, 0);
		assert_int_equal(f->closed[i].family, families[i]);
		assert_int_equal(sockdiag_listeners(f->diag, port, NULL, 0), 0);
	}
}

/* Above and below the number up to which the kernel's filter is exact. */
static void only_watched_ports_are_told(void **state)
{
	static const size_t numbers[] = { 2, 64, 65, 200, 65, 64, 2 };
	struct fixture *f = *state;
	static int all[200], others[200];
	size_t watched = 0;

	for (size_t i = 0; i < ARRAY_SIZE(all); i++) {
		all[i] = new_listener(AF_INET);
		others[i] = new_listener(AF_INET);
	}
	for (size_t i = 0; i < ARRAY_SIZE(numbers); i++) {
		for (; watched < numbers[i]; watched++)
			assert_int_equal(sockwatch_add(f->watch, port_of(all[watched])), 0);
		for (; watched > numbers[i]; watched--)
			sockwatch_remove(f->watch, port_of(all[watched - 1]));

		pair_close(connect_to(others[i]));
		if (watched < ARRAY_SIZE(all))
			pair_close(connect_to(all[watched]));
		pair_close(connect_to(all[0]));
		pair_close(connect_to(all[watched - 1]));
		await(f, 2, 0);
		assert_int_equal(f->n_closed, 2);
		assert_int_equal(f->closed[0].port, port_of(all[0]));
		assert_int_equal(f->closed[1].port, port_of(all[watched - 1]));
		f->n_closed = 0;
	}
	for (size_t i = 0; i < ARRAY_SIZE(all); i++) {
		close(all[i]);
		close(others[i]);
	}
}

static int setup_small(void **state)
{
	return setup_with(state, 4096);
}

/* The kernel tells in its own time, so a watch with room for all says when it is through. */
static void more_than_the_buffer_holds_is_an_overrun(void **state)
{
	struct fixture *f = *state, *roomy;
	scoped(closep) int listener = new_listener(AF_INET);
	void *other;

	assert_int_equal(setup_with(&other, 1 << 20), 0);
	roomy = other;
	assert_int_equal(sockwatch_add(f->watch, port_of(listener)), 0);
	assert_int_equal(sockwatch_add(roomy->watch, port_of(listener)), 0);
	for (int i = 0; i < 200; i++)
		pair_close(connect_to(listener));
	await(roomy, 200, 0);
	await(f, 0, 1);
	assert_int_equal(roomy->overruns, 0);

	/* It goes on behind it. */
	sockwatch_read(f->watch);
	assert_true(f->n_closed < 200);
	f->n_closed = 0;
	pair_close(connect_to(listener));
	await(f, 1, 1);
	assert_int_equal(f->overruns, 1);
	teardown(&other);
}

struct seen {
	struct tcp_socket rows[8];
	size_t n;
};

static void on_row(const struct tcp_socket *s, void *arg)
{
	struct seen *seen = arg;

	assert_true(seen->n < ARRAY_SIZE(seen->rows));
	seen->rows[seen->n++] = *s;
}

static struct seen look(struct fixture *f, uint16_t port)
{
	struct seen seen = { .n = 0 };

	assert_int_equal(sockdiag_connections(f->diag, port, port, on_row, &seen), 0);
	return seen;
}

static void a_dump_has_the_servers_end_of_each_connection(void **state)
{
	struct fixture *f = *state;
	scoped(closep) int listener = new_listener(AF_INET6); /* takes IPv4, too */
	struct pair p = connect_to(listener), q = connect_to(listener);
	char peer[TCP_PEER_TEXT_SIZE];
	struct seen seen;

	send_all(p.viewer, 600);
	read_all(p.server, 600);
	seen = look(f, port_of(listener));
	assert_int_equal(seen.n, 2);

	const struct tcp_socket *s = &seen.rows[seen.rows[0].peer_port != port_of(p.viewer)];
	scoped(freep) char *at = xasprintf("127.0.0.1:%u", port_of(p.viewer));

	assert_string_equal(tcp_peer_text(s->family, s->peer, s->peer_port, peer), at);
	assert_int_equal(s->state, TCP_STATE_ESTABLISHED);
	assert_int_equal(s->bytes_received, 600);
	assert_int_equal(s->data_segs_in, 1);
	assert_int_equal(s->uid, getuid());

	/* The same connection is told by the same cookie at its end. */
	assert_int_equal(sockwatch_add(f->watch, port_of(listener)), 0);
	pair_close(p);
	await(f, 1, 0);
	assert_true(f->closed[0].cookie == s->cookie);
	pair_close(q);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test_setup_teardown(a_closed_connection_is_told_with_its_last_counts,
						setup, teardown),
		cmocka_unit_test_setup_teardown(a_closed_listener_is_told, setup, teardown),
		cmocka_unit_test_setup_teardown(only_watched_ports_are_told, setup, teardown),
		cmocka_unit_test_setup_teardown(more_than_the_buffer_holds_is_an_overrun,
						setup_small, teardown),
		cmocka_unit_test_setup_teardown(a_dump_has_the_servers_end_of_each_connection,
						setup, teardown),
	};

	return cmocka_run_group_tests_name("sockwatch", tests, NULL, NULL);
}
