/* SPDX-License-Identifier: MIT */
/*
 * Making listening sockets and taking over those a service manager made.  A unix socket's path is
 * the hard part: what a dead daemon left there is replaced, anything else is respected.
 */
#include "net/listen.h"

#include "base/files.h"
#include "base/mem.h"
#include "base/parse.h"

#include <arpa/inet.h>
#include <errno.h>
#include <fcntl.h>
#include <netdb.h>
#include <netinet/in.h>
#include <stddef.h>
#include <stdio.h>
#include <string.h>
#include <sys/file.h>
#include <sys/stat.h>
#include <sys/un.h>

/* The row of faults.def has its own errno; these callers are promised the real one. */
#define refuse(reterr, error, ...)                                      \
	({                                                              \
		(void)fault_set((reterr), FAULT_INTERNAL, __VA_ARGS__); \
		(error);                                                \
	})

static void addrinfo_freep(struct addrinfo **list)
{
	if (*list)
		freeaddrinfo(*list);
}

/* Splits "host:port" or "[host]:port" in place. */
static int split_address(char *address, const char **ret_host, const char **ret_port)
{
	char *colon = strrchr(address, ':');
	const size_t len = colon ? (size_t)(colon - address) : 0;
	unsigned port;

	if (len == 0 || parse_uint(colon + 1, 0, UINT16_MAX, &port) < 0)
		return -EINVAL;
	*colon = '\0';
	if (address[0] == '[') {
		if (address[len - 1] != ']')
			return -EINVAL;
		address[len - 1] = '\0';
		address++;
	} else if (strchr(address, ':')) {
		return -EINVAL; /* "::1:80" could be two things */
	}
	*ret_host = address;
	*ret_port = colon + 1;
	return 0;
}

bool listen_address_is_valid(const char *address)
{
	scoped(freep) char *copy = xstrdup(address);
	const char *host, *port;

	return split_address(copy, &host, &port) >= 0;
}

static int listen_at(const struct addrinfo *at)
{
	scoped(closep) int fd = -1;
	const int on = 1;

	fd = socket(at->ai_family, SOCK_STREAM | SOCK_CLOEXEC | SOCK_NONBLOCK, 0);
	if (fd < 0)
		return -errno;
	/* A port in TIME_WAIT after a restart may be had at once. */
	if (setsockopt(fd, SOL_SOCKET, SO_REUSEADDR, &on, sizeof(on)) < 0 ||
	    bind(fd, at->ai_addr, at->ai_addrlen) < 0 || listen(fd, SOMAXCONN) < 0)
		return -errno;
	return STEAL_FD(fd);
}

int listen_tcp(const char *address, struct fault *reterr)
{
	/* A name may have both: IPv4 first, because that is what others try for "localhost". */
	static const int families[] = { AF_INET, AF_INET6 };
	scoped(freep) char *copy = xstrdup(address);
	const char *host, *port;
	int r;

	if (split_address(copy, &host, &port) < 0)
		return refuse(reterr, -EINVAL,
			      "cannot listen at '%s': write HOST:PORT or [IPV6]:PORT", address);

	r = -EADDRNOTAVAIL;
	for (size_t i = 0; i < ARRAY_SIZE(families); i++) {
		const struct addrinfo hints = { .ai_family = families[i],
						.ai_socktype = SOCK_STREAM,
						.ai_flags = AI_PASSIVE | AI_NUMERICSERV };
		scoped(addrinfo_freep) struct addrinfo *found = NULL;

		if (getaddrinfo(host, port, &hints, &found) != 0 || !found)
			continue;
		r = listen_at(found);
		if (r >= 0)
			return r;
		if (r == -EADDRINUSE)
			break; /* half of a name would surprise */
	}
	return refuse(reterr, r, "cannot listen at %s: %s%s", address, strerror(-r),
		      r == -EADDRINUSE ? "; another address is given by --listen or server.listen"
				       : "");
}

/* 0 when the path is free now, having been a dead daemon's socket. */
static int clear_stale(const char *path, const struct sockaddr_un *sun, socklen_t sun_len,
		       struct fault *reterr)
{
	scoped(closep) int fd = -1;
	struct stat st;

	if (lstat(path, &st) < 0)
		return errno == ENOENT ? 0 : -errno;
	if (!S_ISSOCK(st.st_mode))
		return refuse(reterr, -EEXIST,
			      "cannot listen at %s: there is something that is no socket", path);

	fd = socket(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC | SOCK_NONBLOCK, 0);
	if (fd < 0)
		return -errno;
	/* Only a refusal says that nobody is there: a full queue (-EAGAIN) is somebody's. */
	if (connect(fd, (const struct sockaddr *)sun, sun_len) == 0 || errno != ECONNREFUSED)
		return refuse(reterr, -EADDRINUSE,
			      "cannot listen at %s: another process listens there", path);
	return unlink(path) < 0 ? -errno : 0;
}

static int bind_unix(const char *path, const struct sockaddr_un *sun, socklen_t sun_len,
		     mode_t mode)
{
	scoped(closep) int fd = -1;

	fd = socket(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC | SOCK_NONBLOCK, 0);
	if (fd < 0)
		return -errno;
	/* Linux takes the mode for the path, less the umask: it is never open wider than asked. */
	if (fchmod(fd, mode) < 0 || bind(fd, (const struct sockaddr *)sun, sun_len) < 0)
		return -errno;
	if (chmod(path, mode) < 0 || listen(fd, SOMAXCONN) < 0) {
		const int error = errno;

		(void)unlink(path);
		return -error;
	}
	return STEAL_FD(fd);
}

/* With the directory locked, so that two daemons don't both take the other's socket for stale. */
static int listen_unix_locked(const char *path, mode_t mode, struct fault *reterr)
{
	struct sockaddr_un sun = { .sun_family = AF_UNIX };
	const size_t len = strlen(path);
	const socklen_t sun_len = (socklen_t)(offsetof(struct sockaddr_un, sun_path) + len + 1);
	int r;

	if (len >= sizeof(sun.sun_path))
		return refuse(reterr, -ENAMETOOLONG,
			      "cannot listen at %s: a socket's path has at most %zu bytes", path,
			      sizeof(sun.sun_path) - 1);
	memcpy(sun.sun_path, path, len + 1);
	r = clear_stale(path, &sun, sun_len, reterr);
	if (r < 0)
		return r;
	return bind_unix(path, &sun, sun_len, mode);
}

int listen_unix(const char *path, mode_t mode, struct fault *reterr)
{
	const char *slash = strrchr(path, '/');
	scoped(freep) char *directory = NULL;
	scoped(fault_done) struct fault fault = { 0 };
	scoped(closep) int directory_fd = -1;
	int r;

	directory =
		slash ? xstrndup(path, slash == path ? 1 : (size_t)(slash - path)) : xstrdup(".");
	r = mkdir_parents(directory, 0700);
	if (r < 0)
		return refuse(reterr, r, "cannot make %s: %s", directory, strerror(-r));
	directory_fd = open_directory(directory);
	if (directory_fd < 0)
		return refuse(reterr, directory_fd, "cannot open %s: %s", directory,
			      strerror(-directory_fd));
	/* The lock ends with the descriptor, and it leaves no file behind. */
	while ((r = flock(directory_fd, LOCK_EX)) < 0 && errno == EINTR)
		;
	if (r < 0)
		return refuse(reterr, -errno, "cannot lock %s: %s", directory, strerror(errno));

	r = listen_unix_locked(path, mode, &fault);
	if (r < 0 && fault.code == FAULT_NONE)
		return refuse(reterr, r, "cannot listen at %s: %s", path, strerror(-r));
	if (r < 0 && reterr)
		fault_move(reterr, &fault);
	return r;
}

union any_address {
	struct sockaddr any;
	struct sockaddr_in in;
	struct sockaddr_in6 in6;
	struct sockaddr_un un;
};

static socklen_t own_address(int fd, union any_address *ret)
{
	socklen_t len = sizeof(*ret);

	memset(ret, 0, sizeof(*ret));
	return getsockname(fd, &ret->any, &len) < 0 ? 0 : len;
}

uint16_t listen_port(int fd)
{
	union any_address address;

	own_address(fd, &address);
	switch (address.any.sa_family) {
	case AF_INET:
		return ntohs(address.in.sin_port);
	case AF_INET6:
		return ntohs(address.in6.sin6_port);
	default:
		return 0;
	}
}

char *listen_name(int fd)
{
	const size_t path_at = offsetof(struct sockaddr_un, sun_path);
	union any_address address;
	const size_t len = own_address(fd, &address);
	char text[INET6_ADDRSTRLEN];

	switch (address.any.sa_family) {
	case AF_INET:
		inet_ntop(AF_INET, &address.in.sin_addr, text, sizeof(text));
		return xasprintf("%s:%u", text, listen_port(fd));
	case AF_INET6:
		inet_ntop(AF_INET6, &address.in6.sin6_addr, text, sizeof(text));
		return xasprintf("[%s]:%u", text, listen_port(fd));
	case AF_UNIX:
		if (len > path_at + 1 && !address.un.sun_path[0]) /* the abstract kind */
			return xasprintf("unix:@%.*s", (int)(len - path_at - 1),
					 address.un.sun_path + 1);
		return xasprintf("unix:%.*s", (int)(len - path_at), address.un.sun_path);
	default:
		return xstrdup("(no socket)");
	}
}

static int take_over(int fd)
{
	int listens = 0;
	socklen_t len = sizeof(listens);
	const int flags = fcntl(fd, F_GETFL);

	if (flags < 0 || getsockopt(fd, SOL_SOCKET, SO_ACCEPTCONN, &listens, &len) < 0)
		return -errno;
	if (!listens)
		return -EINVAL; /* a datagram socket, or a connection of Accept=yes */
	if (fcntl(fd, F_SETFL, flags | O_NONBLOCK) < 0 || fcntl(fd, F_SETFD, FD_CLOEXEC) < 0)
		return -errno;
	return 0;
}

/* The kernel lets nobody bind to another's. */
bool address_is_ours(const char *address)
{
	const struct addrinfo hints = { .ai_flags = AI_NUMERICHOST, .ai_socktype = SOCK_DGRAM };
	scoped(closep) int fd = -1;
	struct addrinfo *found;
	bool is_ours;

	if (getaddrinfo(address, NULL, &hints, &found) != 0)
		return false;
	fd = socket(found->ai_family, SOCK_DGRAM | SOCK_CLOEXEC, 0);
	is_ours = fd >= 0 && bind(fd, found->ai_addr, found->ai_addrlen) == 0;
	freeaddrinfo(found);
	return is_ours;
}

static int inherited_count(void)
{
	const char *pid_text = getenv("LISTEN_PID"), *fds_text = getenv("LISTEN_FDS");
	unsigned pid, n;

	if (!pid_text || !fds_text)
		return 0;
	if (parse_uint(pid_text, 1, INT32_MAX, &pid) < 0 || parse_uint(fds_text, 0, 1024, &n) < 0)
		return -EINVAL;
	return (pid_t)pid == getpid() ? (int)n : 0;
}

int listen_inherited(int **ret_fds)
{
	static const char *const names[] = { "LISTEN_PID", "LISTEN_PIDFDID", "LISTEN_FDS",
					     "LISTEN_FDNAMES" };
	const int first_fd = 3;
	const int n = inherited_count();
	scoped(freep) int *fds = NULL;

	/* In any case: a child must not take them for its own. */
	for (size_t i = 0; i < ARRAY_SIZE(names); i++)
		unsetenv(names[i]);
	if (n < 0)
		return n;

	fds = xcalloc((size_t)n, sizeof(fds[0]));
	for (int i = 0; i < n; i++) {
		const int r = take_over(first_fd + i);

		if (r < 0)
			return r;
		fds[i] = first_fd + i;
	}
	*ret_fds = STEAL(fds);
	return n;
}
