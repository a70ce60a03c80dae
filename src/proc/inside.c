/* SPDX-License-Identifier: MIT */
/*
 * previewd-sandbox: the first program inside a build's sandbox; previewd starts it, nobody else. It
 *   - waits for the daemon's word, so that no command runs before it is watched, and ends all that
 *     it can reach when the daemon is gone;
 *   - sets the limits, which count per user namespace and so must be set in the sandbox's own;
 *   - hands on what connects to 127.0.0.1:3128 to the daemon's proxy, a unix socket: programs know
 *     proxies by address and port only;
 *   - runs the command, and ends with its code.
 *
 * Plain libc and one thread: it runs where there is nothing but the read-only system.
 */
#include "proc/inside.h"

#include <errno.h>
#include <fcntl.h>
#include <netinet/in.h>
#include <poll.h>
#include <signal.h>
#include <stdbool.h>
#include <stddef.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/prctl.h>
#include <sys/resource.h>
#include <sys/signalfd.h>
#include <sys/socket.h>
#include <sys/un.h>
#include <sys/wait.h>
#include <unistd.h>

#define CONNECTIONS_MAX 64
#define NICENESS        10 /* who looks at a page goes before who builds one */
#define BUFFER_SIZE     (16 * 1024)

/* Bytes on their way from one end to the other. */
struct way {
	char buffer[BUFFER_SIZE];
	size_t start, end;
	bool no_more; /* its source has ended */
	bool is_told; /* and its target knows */
};

struct connection {
	int fds[2];         /* the program's, the proxy's; -1: this place is free */
	struct way ways[2]; /* ways[i] comes from fds[i] */
};

static struct connection connections[CONNECTIONS_MAX];

static void die(const char *what)
{
	fprintf(stderr, "previewd-sandbox: %s: %s\n", what, strerror(errno));
	exit(INSIDE_FAILED);
}

/* ---- the forwarder ---- */

static void connection_close(struct connection *c)
{
	close(c->fds[0]);
	close(c->fds[1]);
	c->fds[0] = c->fds[1] = -1;
}

static int connect_proxy(const char *path)
{
	struct sockaddr_un address = { .sun_family = AF_UNIX };
	int fd;

	if (strlen(path) >= sizeof(address.sun_path))
		return -1;
	strcpy(address.sun_path, path);
	fd = socket(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC | SOCK_NONBLOCK, 0);
	if (fd >= 0 && connect(fd, (struct sockaddr *)&address, sizeof(address)) < 0) {
		close(fd);
		return -1;
	}
	return fd;
}

static struct connection *free_place(void)
{
	for (size_t i = 0; i < CONNECTIONS_MAX; i++)
		if (connections[i].fds[0] < 0)
			return &connections[i];
	return NULL;
}

static void accept_one(int listener, const char *proxy)
{
	struct connection *c = free_place();
	int client = accept4(listener, NULL, NULL, SOCK_CLOEXEC | SOCK_NONBLOCK);
	int server;

	if (client < 0)
		return;
	server = connect_proxy(proxy);
	if (server < 0) {
		close(client);
		return;
	}
	memset(c->ways, 0, sizeof(c->ways));
	c->fds[0] = client;
	c->fds[1] = server;
}

/* Whether the connection is of further use. */
static bool way_read(struct way *w, int from)
{
	const ssize_t n = read(from, w->buffer, sizeof(w->buffer));

	if (n < 0)
		return errno == EAGAIN || errno == EINTR;
	w->start = 0;
	w->end = (size_t)n;
	w->no_more = n == 0;
	return true;
}

static bool way_write(struct way *w, int to)
{
	if (w->start < w->end) {
		const ssize_t n = send(to, w->buffer + w->start, w->end - w->start, MSG_NOSIGNAL);

		if (n < 0)
			return errno == EAGAIN || errno == EINTR;
		w->start += (size_t)n;
	}
	if (w->start == w->end && w->no_more && !w->is_told) {
		shutdown(to, SHUT_WR);
		w->is_told = true;
	}
	return true;
}

static void connection_events(const struct connection *c, struct pollfd polls[2])
{
	for (int i = 0; i < 2; i++) {
		const struct way *from = &c->ways[i], *to = &c->ways[!i];

		polls[i] = (struct pollfd){ .fd = c->fds[i] };
		if (!from->no_more && from->start == from->end)
			polls[i].events |= POLLIN;
		if (to->start < to->end)
			polls[i].events |= POLLOUT;
		/* A hang-up is told whether asked for or not, again and again. */
		if (!polls[i].events)
			polls[i].fd = -1;
	}
}

static void connection_move(struct connection *c, const struct pollfd polls[2])
{
	bool goes_on = true;

	for (int i = 0; i < 2 && goes_on; i++) {
		if (!polls[i].revents || polls[i].fd < 0)
			continue;
		if (polls[i].events & POLLIN)
			goes_on = way_read(&c->ways[i], c->fds[i]);
	}
	for (int i = 0; i < 2 && goes_on; i++)
		goes_on = way_write(&c->ways[i], c->fds[!i]);
	if (!goes_on || (c->ways[0].is_told && c->ways[1].is_told))
		connection_close(c);
}

static int listen_here(void)
{
	const struct sockaddr_in address = {
		.sin_family = AF_INET,
		.sin_port = htons(INSIDE_PROXY_PORT),
		.sin_addr.s_addr = htonl(INADDR_LOOPBACK),
	};
	int fd = socket(AF_INET, SOCK_STREAM | SOCK_CLOEXEC | SOCK_NONBLOCK, 0);

	if (fd < 0 || bind(fd, (const struct sockaddr *)&address, sizeof(address)) < 0 ||
	    listen(fd, 128) < 0)
		die("could not listen for the proxy's clients");
	return fd;
}

/* ---- the command ---- */

static void limit(int resource, const char *text)
{
	const rlim_t value = text ? strtoull(text, NULL, 10) : 0;
	const struct rlimit l = { .rlim_cur = value, .rlim_max = value };

	if (text && setrlimit((__rlimit_resource_t)resource, &l) < 0)
		die("could not set a limit");
}

static void await_word(int go)
{
	char byte;
	ssize_t n;

	do {
		n = read(go, &byte, 1);
	} while (n < 0 && errno == EINTR);
	if (n != 1)
		exit(INSIDE_FAILED);
}

static pid_t start_command(char **argv, const sigset_t *mask)
{
	const pid_t pid = fork();

	if (pid < 0)
		die("could not start the command");
	if (pid == 0) {
		sigprocmask(SIG_SETMASK, mask, NULL);
		close_range(STDERR_FILENO + 1, ~0U, 0);
		execvp(argv[0], argv);
		fprintf(stderr, "previewd-sandbox: '%s': %s\n", argv[0], strerror(errno));
		_exit(errno == ENOENT ? 127 : 126);
	}
	return pid;
}

/* Reaps what there is; the code of the command once it was among it, else -1. */
static int reap(pid_t command)
{
	int status, code = -1;
	pid_t pid;

	while ((pid = waitpid(-1, &status, WNOHANG)) > 0)
		if (pid == command)
			code = WIFEXITED(status) ? WEXITSTATUS(status) : 128 + WTERMSIG(status);
	return code;
}

/* The daemon is gone. In a pid namespace its first process ends with us, and all others with it. */
static void end_all(bool is_isolated)
{
	kill(is_isolated ? -1 : 0, SIGKILL);
	_exit(INSIDE_FAILED);
}

struct inside {
	int go, signals, listener;
	const char *proxy;
	bool is_isolated;
	const char *processes, *data, *file_size, *files; /* limits; NULL: none */
	char **argv;                                      /* of the command */
	pid_t command;
};

static int serve(const struct inside *in)
{
	enum { GO, SIGNALS, LISTENER, FIRST };
	static struct pollfd polls[FIRST + 2 * CONNECTIONS_MAX];

	for (;;) {
		nfds_t n = FIRST;

		polls[GO] = (struct pollfd){ .fd = in->go, .events = POLLIN };
		polls[SIGNALS] = (struct pollfd){ .fd = in->signals, .events = POLLIN };
		polls[LISTENER] = (struct pollfd){
			.fd = free_place() ? in->listener : -1,
			.events = POLLIN,
		};
		/* No more than there are: poll(2) refuses more than may be open. */
		for (size_t i = 0; i < CONNECTIONS_MAX; i++) {
			if (connections[i].fds[0] < 0)
				continue;
			connection_events(&connections[i], &polls[n]);
			n += 2;
		}
		if (poll(polls, n, -1) < 0) {
			if (errno != EINTR)
				die("poll");
			continue;
		}

		if (polls[GO].revents)
			end_all(in->is_isolated);
		if (polls[SIGNALS].revents) {
			struct signalfd_siginfo info;
			const int code =
				read(in->signals, &info, sizeof(info)) > 0 ? reap(in->command) : -1;

			if (code >= 0)
				return code;
		}
		n = FIRST;
		for (size_t i = 0; i < CONNECTIONS_MAX; i++) {
			if (connections[i].fds[0] < 0)
				continue;
			connection_move(&connections[i], &polls[n]);
			n += 2;
		}
		if (polls[LISTENER].revents)
			accept_one(in->listener, in->proxy);
	}
}

static bool read_options(struct inside *in, int argc, char **argv)
{
	int option;

	while ((option = getopt(argc, argv, "+g:p:n:d:f:o:i")) >= 0) {
		switch (option) {
		case 'g':
			in->go = atoi(optarg);
			break;
		case 'p':
			in->proxy = optarg;
			break;
		case 'n':
			in->processes = optarg;
			break;
		case 'd':
			in->data = optarg;
			break;
		case 'f':
			in->file_size = optarg;
			break;
		case 'o':
			in->files = optarg;
			break;
		case 'i':
			in->is_isolated = true;
			break;
		default:
			return false;
		}
	}
	if (in->go < 0 || optind >= argc) {
		fprintf(stderr, "previewd-sandbox is started by previewd\n");
		return false;
	}
	in->argv = argv + optind;
	return true;
}

static void set_limits(const struct inside *in)
{
	(void)setpriority(PRIO_PROCESS, 0, NICENESS);
	limit(RLIMIT_CORE, "0");
	limit(RLIMIT_FSIZE, in->file_size);
	limit(RLIMIT_NOFILE, in->files);
	limit(RLIMIT_DATA, in->data);
	limit(RLIMIT_NPROC, in->processes);
}

int main(int argc, char **argv)
{
	struct inside in = { .go = -1, .listener = -1 };
	sigset_t child, before;

	if (!read_options(&in, argc, argv))
		return INSIDE_FAILED;
	for (size_t i = 0; i < CONNECTIONS_MAX; i++)
		connections[i].fds[0] = connections[i].fds[1] = -1;

	await_word(in.go);
	set_limits(&in);
	if (in.proxy)
		in.listener = listen_here();
	/* Its descriptors, of which one holds the daemon's ear, are not the command's. */
	fcntl(in.go, F_SETFD, FD_CLOEXEC);
	prctl(PR_SET_DUMPABLE, 0);
	sigemptyset(&child);
	sigaddset(&child, SIGCHLD);
	sigprocmask(SIG_BLOCK, &child, &before);
	in.signals = signalfd(-1, &child, SFD_CLOEXEC | SFD_NONBLOCK);
	if (in.signals < 0)
		die("signalfd");
	in.command = start_command(in.argv, &before);
	return serve(&in);
}
