/* SPDX-License-Identifier: MIT */
/*
 * Stands between previewd and the kernel (LD_PRELOAD) and does what no test may do to a machine: a
 * disk that fails at the n-th write, a death in the middle of one, a clock that jumps, a kernel
 * that drops messages.  What it does is in a file that it has mapped ($FAULTS_CONTROL), so the test
 * says it, and sees how far the daemon came, while it runs.  Without the file it does nothing.
 *
 * Only the daemon itself is meant: what it starts inherits the variable, and is left alone.
 */
#include <dlfcn.h>
#include <errno.h>
#include <fcntl.h>
#include <limits.h>
#include <signal.h>
#include <stdatomic.h>
#include <stdbool.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>
#include <sys/socket.h>
#include <sys/time.h>
#include <time.h>
#include <unistd.h>

enum what {
	NOTHING,
	KILL,      /* before the step */
	KILL_TORN, /* with half of it done */
	FAIL,
};

/* Of the database and its log alone, or of all that is written beneath $FAULTS_STATE. */
enum scope {
	STORE,
	STATE,
};

enum { WRITES = 1, SYNCS = 2, CHANGES = 4 /* names, lengths */ };

/* As tests/faults/control.mjs writes it. */
struct control {
	_Atomic int32_t what;
	_Atomic int32_t countdown; /* steps until then */
	_Atomic int32_t error;
	_Atomic int32_t times; /* so many steps fail; below 0: all */
	_Atomic int32_t steps; /* that there were */
	_Atomic int32_t scope;
	_Atomic int32_t kinds;
	_Atomic int32_t netlink_drops; /* so many times a netlink socket says ENOBUFS */
	_Atomic int64_t clock_offset;  /* seconds */
	_Atomic int32_t failed;        /* steps that did */
};

static struct control *control;
static pid_t daemon_pid;
static const char *state_dir;

#define REAL(name)                                                      \
	({                                                              \
		static typeof(&name) real_;                             \
		if (!real_)                                             \
			real_ = (typeof(&name))dlsym(RTLD_NEXT, #name); \
		real_;                                                  \
	})

__attribute__((constructor)) static void map_control(void)
{
	const char *path = getenv("FAULTS_CONTROL");
	int fd;
	void *at;

	state_dir = getenv("FAULTS_STATE");
	if (!path || !state_dir || strcmp(program_invocation_short_name, "previewd") != 0)
		return;
	fd = open(path, O_RDWR | O_CLOEXEC);
	if (fd < 0)
		return;
	at = mmap(NULL, sizeof(*control), PROT_READ | PROT_WRITE, MAP_SHARED, fd, 0);
	close(fd);
	daemon_pid = getpid();
	if (at != MAP_FAILED)
		control = at;
}

static bool is_daemon(void)
{
	return control && getpid() == daemon_pid;
}

static bool is_meant(int fd)
{
	char link[64], path[PATH_MAX];
	ssize_t n;

	snprintf(link, sizeof(link), "/proc/self/fd/%d", fd);
	n = readlink(link, path, sizeof(path) - 1);
	if (n <= 0)
		return false;
	path[n] = '\0';
	if (control->scope == STORE)
		return strstr(path, "/previewd.db") != NULL;
	return strncmp(path, state_dir, strlen(state_dir)) == 0;
}

__attribute__((noreturn)) static void die(void)
{
	kill(daemon_pid, SIGKILL);
	for (;;)
		pause();
}

/* What is to become of this step: NOTHING, or KILL_TORN or FAIL, which the caller does. */
static enum what step(int kind)
{
	enum what what = control->what;

	control->steps++;
	if (what == NOTHING || !(control->kinds & kind) || control->countdown-- > 0)
		return NOTHING;
	if (what == KILL)
		die();
	if (what == FAIL) {
		if (control->times == 0)
			return NOTHING;
		if (control->times > 0)
			control->times--;
		control->failed++;
		errno = control->error;
	}
	return what;
}

static enum what step_of(int fd, int kind)
{
	const int saved = errno;

	if (!is_daemon() || !is_meant(fd)) {
		errno = saved;
		return NOTHING;
	}
	return step(kind);
}

static enum what step_of_names(void)
{
	return is_daemon() && control->scope == STATE ? step(CHANGES) : NOTHING;
}

ssize_t pwrite64(int fd, const void *data, size_t n, off64_t at)
{
	switch (step_of(fd, WRITES)) {
	case KILL_TORN:
		(void)!REAL(pwrite64)(fd, data, n / 2, at);
		die();
	case FAIL:
		return -1;
	default:
		return REAL(pwrite64)(fd, data, n, at);
	}
}

ssize_t pwrite(int fd, const void *data, size_t n, off_t at)
{
	return pwrite64(fd, data, n, at);
}

ssize_t write(int fd, const void *data, size_t n)
{
	switch (step_of(fd, WRITES)) {
	case KILL_TORN:
		(void)!REAL(write)(fd, data, n / 2);
		die();
	case FAIL:
		return -1;
	default:
		return REAL(write)(fd, data, n);
	}
}

ssize_t copy_file_range(int in, off64_t *in_at, int out, off64_t *out_at, size_t n, unsigned flags)
{
	switch (step_of(out, WRITES)) {
	case KILL_TORN:
		die();
	case FAIL:
		return -1;
	default:
		return REAL(copy_file_range)(in, in_at, out, out_at, n, flags);
	}
}

/* Those that are done or not: torn is as not done. */
#define STEP(name, parameters, arguments, found)     \
	int name parameters                          \
	{                                            \
		switch (found) {                     \
		case KILL_TORN:                      \
			die();                       \
		case FAIL:                           \
			return -1;                   \
		default:                             \
			return REAL(name) arguments; \
		}                                    \
	}

STEP(fsync, (int fd), (fd), step_of(fd, SYNCS))
STEP(fdatasync, (int fd), (fd), step_of(fd, SYNCS))
STEP(ftruncate, (int fd, off_t n), (fd, n), step_of(fd, CHANGES))
STEP(ftruncate64, (int fd, off64_t n), (fd, n), step_of(fd, CHANGES))
STEP(rename, (const char *a, const char *b), (a, b), step_of_names())
STEP(renameat, (int d, const char *a, int e, const char *b), (d, a, e, b), step_of_names())
STEP(renameat2, (int d, const char *a, int e, const char *b, unsigned flags), (d, a, e, b, flags),
     step_of_names())
STEP(linkat, (int d, const char *a, int e, const char *b, int flags), (d, a, e, b, flags),
     step_of_names())
STEP(symlinkat, (const char *a, int d, const char *b), (a, d, b), step_of_names())
STEP(unlinkat, (int d, const char *a, int flags), (d, a, flags), step_of_names())

ssize_t recv(int fd, void *data, size_t n, int flags)
{
	int domain = 0;
	socklen_t size = sizeof(domain);

	if (is_daemon() && control->netlink_drops > 0 &&
	    getsockopt(fd, SOL_SOCKET, SO_DOMAIN, &domain, &size) == 0 && domain == AF_NETLINK) {
		/* What had come is gone, as it is when the kernel's buffer was full. */
		(void)!REAL(recv)(fd, data, n, flags | MSG_DONTWAIT);
		control->netlink_drops--;
		errno = ENOBUFS;
		return -1;
	}
	return REAL(recv)(fd, data, n, flags);
}

int clock_gettime(clockid_t id, struct timespec *ret)
{
	const int r = REAL(clock_gettime)(id, ret);

	if (r == 0 && control && (id == CLOCK_REALTIME || id == CLOCK_REALTIME_COARSE))
		ret->tv_sec += control->clock_offset;
	return r;
}

int gettimeofday(struct timeval *restrict ret, void *restrict zone)
{
	const int r = REAL(gettimeofday)(ret, zone);

	if (r == 0 && control)
		ret->tv_sec += control->clock_offset;
	return r;
}

time_t time(time_t *ret)
{
	struct timespec now;

	clock_gettime(CLOCK_REALTIME, &now);
	if (ret)
		*ret = now.tv_sec;
	return now.tv_sec;
}
