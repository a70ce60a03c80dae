/* SPDX-License-Identifier: MIT */
/*
 * Children.  posix_spawn(3) has no working place for setsid, cgroup and pidfd together, so this is
 * fork by clone3(2), and between it and execve(2) only what is safe where other threads' locks may
 * be held for ever: all that takes memory is made ready before.
 *
 * The parent waits for the execve: it reads a pipe that the execve closes, or that says why there
 * was none.
 */
#include "proc/spawn.h"

#include <assert.h>
#include <errno.h>
#include <event2/event.h>
#include <fcntl.h>
#include <linux/close_range.h>
#include <linux/sched.h>
#include <pthread.h>
#include <signal.h>
#include <stdint.h>
#include <stdlib.h>
#include <string.h>
#include <sys/ioctl.h>
#include <sys/resource.h>
#include <sys/stat.h>
#include <sys/syscall.h>
#include <sys/wait.h>

#include "base/log.h"
#include "base/mem.h"
#include "base/parse.h"

LOG_AREA("proc");

#define READ_MAX     (64 * 1024) /* in one turn of the loop */
#define DEFAULT_PATH "/usr/local/bin:/usr/bin:/bin"

struct child {
	struct loop *loop;
	const struct child_ops *ops;
	void *arg;
	struct pidref pidref;
	struct event *exit_event, *output_event; /* NULL: over */
	int output_fd;
	bool is_freed;
};

/* What a child that could not begin tells its parent. */
struct failure {
	enum { AT_CWD, AT_COMMAND, AT_SETUP } stage;
	int error;
};

/* All that the child needs, made by its parent. */
struct plan {
	const struct spawn_request *request;
	char **candidates; /* the paths that argv[0] may be, ends with NULL */
	int input, output, failures;
	int lifted[SPAWN_FDS_MAX]; /* the child's: request->fds, out of the way */
};

/* Out of the way of the child's own 0, 1 and 2, should ours have been closed. */
static int above_stdio(int fd)
{
	int above;

	if (fd > STDERR_FILENO)
		return fd;
	above = fcntl(fd, F_DUPFD_CLOEXEC, STDERR_FILENO + 1);
	if (above < 0)
		above = -errno;
	close(fd);
	return above;
}

static int make_pipe(int fds[2])
{
	int made[2];

	if (pipe2(made, O_CLOEXEC) < 0)
		return -errno;
	fds[0] = above_stdio(made[0]);
	fds[1] = above_stdio(made[1]);
	return fds[0] < 0 ? fds[0] : fds[1] < 0 ? fds[1] : 0;
}

struct pipes {
	int null; /* the child's input */
	int output[2], failures[2];
};

#define PIPES_NONE                                                       \
	{                                                                \
		.null = -1, .output = { -1, -1 }, .failures = { -1, -1 } \
	}

/*
 * A pipe's end that can be read as well: whoever has it is a reader, so that writing to it never
 * fails for want of one.
 */
static int make_two_way(int *fd)
{
	scoped(freep) char *path = xasprintf("/proc/self/fd/%d", *fd);
	int both = open(path, O_RDWR | O_CLOEXEC);

	if (both < 0)
		return -errno;
	close(*fd);
	*fd = above_stdio(both);
	return *fd < 0 ? *fd : 0;
}

static int pipes_open(struct pipes *p, bool output_outlives_us)
{
	int r = make_pipe(p->output);

	if (r >= 0 && output_outlives_us)
		r = make_two_way(&p->output[1]);

	if (r >= 0)
		r = make_pipe(p->failures);
	if (r < 0)
		return r;
	p->null = open("/dev/null", O_RDONLY | O_CLOEXEC);
	if (p->null < 0)
		return -errno;
	p->null = above_stdio(p->null);
	return p->null < 0 ? p->null : 0;
}

static void pipes_done(struct pipes *p)
{
	closep(&p->null);
	closep(&p->output[0]);
	closep(&p->output[1]);
	closep(&p->failures[0]);
	closep(&p->failures[1]);
}

static const char *request_variable(const struct spawn_request *request, const char *name)
{
	const size_t len = strlen(name);

	for (const char *const *e = request->environ_; e && *e; e++)
		if (strncmp(*e, name, len) == 0 && (*e)[len] == '=')
			return *e + len + 1;
	return NULL;
}

/* As execvp(3) would try, but by the child's PATH and not ours. */
static char **candidates_of(const struct spawn_request *request)
{
	const char *command = request->argv[0];
	const char *path = request_variable(request, "PATH");
	char **list;
	size_t n;

	if (strchr(command, '/')) {
		list = xcalloc(2, sizeof(*list));
		list[0] = xstrdup(command);
		return list;
	}
	list = parse_list(path ? path : DEFAULT_PATH, ':');
	n = strv_len(list);
	for (size_t i = 0; i < n; i++) {
		char *full = xasprintf("%s/%s", list[i], command);

		free(list[i]);
		list[i] = full;
	}
	return list;
}

static struct {
	bool are_kept;
	mode_t umask;
	struct rlimit files;
} surroundings;

void child_surroundings_keep(void)
{
	surroundings.umask = umask(0);
	umask(surroundings.umask);
	surroundings.are_kept = getrlimit(RLIMIT_NOFILE, &surroundings.files) == 0;
}

/* ---- In the child: nothing but system calls. ---- */

/* By the system call: the C library keeps two signals to itself, and an ancestor of ours may have
 * left them ignored all the same. */
static void reset_signals(void)
{
	static const char usual[64]; /* struct sigaction as the kernel has it: zeros are SIG_DFL */
	sigset_t none;

	for (int s = 1; s < NSIG; s++)
		(void)syscall(SYS_rt_sigaction, s, usual, NULL, NSIG / 8);
	sigemptyset(&none);
	(void)sigprocmask(SIG_SETMASK, &none, NULL);
}

static void fail_child(const struct plan *plan, int stage, int error)
{
	const struct failure failure = { .stage = stage, .error = error };

	(void)!write(plan->failures, &failure, sizeof(failure));
	_exit(127);
}

static int exec_candidates(const struct plan *plan)
{
	int error = ENOENT;

	for (char **path = plan->candidates; *path; path++) {
		execve(*path, (char *const *)plan->request->argv,
		       (char *const *)plan->request->environ_);
		if (errno == EACCES)
			error = EACCES; /* worth telling, if nothing better comes */
		else if (errno != ENOENT && errno != ENOTDIR)
			return errno;
	}
	return error;
}

/* First out of the way of the numbers they get, all of them and the pipe for failures. */
static int pass_descriptors(struct plan *plan)
{
	const int *fds = plan->request->fds;
	const int n = (int)plan->request->n_fds;
	int lifted = STDERR_FILENO + n; /* the last of the numbers they get */
	int fd = fcntl(plan->failures, F_DUPFD_CLOEXEC, lifted + 1);

	if (fd < 0)
		return -errno;
	plan->failures = fd;
	for (int i = 0; i < n; i++) {
		fd = fcntl(fds[i], F_DUPFD_CLOEXEC, lifted + 1);
		if (fd < 0)
			return -errno;
		plan->lifted[i] = fd;
	}
	for (int i = 0; i < n; i++)
		if (dup2(plan->lifted[i], STDERR_FILENO + 1 + i) < 0)
			return -errno;
	return 0;
}

static void child_main(struct plan *plan)
{
	const unsigned n_fds = (unsigned)plan->request->n_fds;
	int r;

	reset_signals();
	setsid();
	if (dup2(plan->input, STDIN_FILENO) < 0 || dup2(plan->output, STDOUT_FILENO) < 0 ||
	    dup2(plan->output, STDERR_FILENO) < 0)
		fail_child(plan, AT_SETUP, errno);
	r = pass_descriptors(plan);
	if (r < 0)
		fail_child(plan, AT_SETUP, -r);
	/* All of ours are close-on-exec at birth; this is for what a library or our parent left. */
	(void)syscall(SYS_close_range, STDERR_FILENO + 1 + n_fds, ~0U, CLOSE_RANGE_CLOEXEC);
	if (surroundings.are_kept) {
		umask(surroundings.umask);
		setrlimit(RLIMIT_NOFILE, &surroundings.files);
	}
	if (plan->request->cwd && chdir(plan->request->cwd) < 0)
		fail_child(plan, AT_CWD, errno);
	fail_child(plan, AT_COMMAND, exec_candidates(plan));
}

/* ---- In the parent. ---- */

/* As fork(2): the pid, 0 in the child, or -errno. */
static pid_t clone_child(int cgroup_fd, int *ret_pidfd)
{
	struct clone_args args = {
		.flags = CLONE_PIDFD | (cgroup_fd >= 0 ? CLONE_INTO_CGROUP : 0),
		.pidfd = (uintptr_t)ret_pidfd,
		.exit_signal = SIGCHLD,
		.cgroup = cgroup_fd >= 0 ? (uint64_t)cgroup_fd : 0,
	};
	const long pid = syscall(SYS_clone3, &args, sizeof(args));

	return pid < 0 ? -errno : (pid_t)pid;
}

/* Where a filter forbids clone3, as container engines' older ones do. */
static pid_t fork_child(int *ret_pidfd)
{
	const pid_t pid = fork();

	if (pid < 0)
		return -errno;
	if (pid > 0)
		*ret_pidfd = (int)syscall(SYS_pidfd_open, pid, 0); /* not reaped, so it is ours */
	return pid;
}

static pid_t begin_child(const struct plan *plan, int *ret_pidfd)
{
	const char *cgroup = plan->request->cgroup;
	scoped(closep) int cgroup_fd = cgroup ? open(cgroup, O_PATH | O_DIRECTORY | O_CLOEXEC) : -1;
	pid_t pid;

	if (cgroup && cgroup_fd < 0)
		log_warning_errno(-errno, "could not open the group %s, going on without it",
				  cgroup);
	pid = clone_child(cgroup_fd, ret_pidfd);
	if (pid < 0 && cgroup_fd >= 0 && pid != -EAGAIN && pid != -ENOMEM) {
		log_warning_errno(pid, "could not enter the group %s, going on without it", cgroup);
		pid = clone_child(-1, ret_pidfd);
	}
	if (pid == -ENOSYS || pid == -EPERM)
		pid = fork_child(ret_pidfd);
	return pid;
}

/* With all signals blocked: a handler of ours that ran in the child would speak for us. */
static pid_t begin_child_quietly(struct plan *plan, int *ret_pidfd)
{
	sigset_t all, before;
	pid_t pid;

	sigfillset(&all);
	pthread_sigmask(SIG_SETMASK, &all, &before);
	pid = begin_child(plan, ret_pidfd);
	if (pid == 0)
		child_main(plan); /* doesn't return */
	pthread_sigmask(SIG_SETMASK, &before, NULL);
	return pid;
}

static void reap(int pidfd, siginfo_t *info)
{
	const idtype_t by_pidfd = (idtype_t)3; /* P_PIDFD, which old C libraries don't know */

	info->si_pid = 0;
	if (waitid(by_pidfd, (id_t)pidfd, info, WEXITED | WNOHANG) < 0)
		info->si_pid = 0;
}

/* One that told its failure is on its way out. */
static void reap_failed(pid_t pid)
{
	siginfo_t info;

	while (waitid(P_PID, (id_t)pid, &info, WEXITED) < 0 && errno == EINTR)
		;
}

/* Waits until the child has executed its program, or says why it could not. */
static int await_exec(int failures, struct failure *ret)
{
	ssize_t n;

	do {
		n = read(failures, ret, sizeof(*ret));
	} while (n < 0 && errno == EINTR);
	return n == sizeof(*ret) ? -ret->error : 0;
}

static int explain(const struct spawn_request *request, const struct failure *failure,
		   struct fault *reterr)
{
	const char *command = request->argv[0];

	switch (failure->stage) {
	case AT_CWD:
		return fault_field(reterr, "cwd", "'%s' can't be the working directory: %s",
				   request->cwd, strerror(failure->error));
	case AT_COMMAND:
		if (failure->error == ENOENT && !strchr(command, '/'))
			return fault_field(reterr, "command", "'%s' is not in the PATH", command);
		return fault_field(reterr, "command", "'%s' can't be run: %s", command,
				   strerror(failure->error));
	case AT_SETUP:
		break;
	}
	return fault_set(reterr, FAULT_INTERNAL, "could not set up '%s': %s", command,
			 strerror(failure->error));
}

static void read_output(struct child *c, size_t max)
{
	char buffer[16 * 1024];

	while (max > 0 && !c->is_freed && c->output_event) {
		const ssize_t n =
			read(c->output_fd, buffer, max < sizeof(buffer) ? max : sizeof(buffer));

		if (n < 0 && errno == EINTR)
			continue;
		if (n < 0 && errno == EAGAIN)
			return;
		if (n <= 0) {
			event_free(STEAL(c->output_event));
			return;
		}
		max -= (size_t)n;
		if (c->ops->on_output)
			c->ops->on_output(c, buffer, (size_t)n, c->arg);
	}
}

static void on_output_ready(evutil_socket_t fd, short what, void *arg)
{
	(void)fd;
	(void)what;
	read_output(arg, READ_MAX);
}

/* What is in the pipe now, and no more: what the child started may write for ever. */
static void read_rest(struct child *c)
{
	int waiting = 0;

	if (ioctl(c->output_fd, FIONREAD, &waiting) == 0 && waiting > 0)
		read_output(c, (size_t)waiting);
}

static void on_child_over(evutil_socket_t fd, short what, void *arg)
{
	struct child *c = arg;
	siginfo_t info;
	bool was_killed;

	(void)what;
	reap(fd, &info);
	/* Somebody else reaped it if there is nothing: then all that is known is that it is gone.
	 */
	was_killed = info.si_pid > 0 && info.si_code != CLD_EXITED;
	event_free(STEAL(c->exit_event));
	read_rest(c);
	if (c->is_freed || !c->ops->on_exit)
		return;
	c->ops->on_exit(c, info.si_pid > 0 && !was_killed ? info.si_status : -1,
			was_killed ? info.si_status : 0, c->arg);
}

static void child_destroy(void *arg)
{
	struct child *c = arg;

	closep(&c->output_fd);
	pidref_done(&c->pidref);
	free(c);
}

/* Takes the pidfd and the pipe's end. */
static struct child *child_new(struct loop *loop, pid_t pid, int pidfd, int output,
			       const struct child_ops *ops, void *arg)
{
	struct child *c = xcalloc(1, sizeof(*c));
	struct process p = { 0 };

	(void)!process_read(pid, &p); /* ours and not reaped: it is there */
	c->loop = loop;
	c->ops = ops;
	c->arg = arg;
	c->pidref = (struct pidref){ .pid = pid, .fd = pidfd, .start_time = p.start_time };
	c->output_fd = output;
	fcntl(output, F_SETFL, O_NONBLOCK);
	c->exit_event = event_new(loop_base(loop), pidfd, EV_READ, on_child_over, c);
	c->output_event =
		event_new(loop_base(loop), output, EV_READ | EV_PERSIST, on_output_ready, c);
	event_add(c->exit_event, NULL);
	event_add(c->output_event, NULL);
	return c;
}

int child_spawn(struct loop *loop, const struct spawn_request *request, const struct child_ops *ops,
		void *arg, struct child **ret, struct fault *reterr)
{
	scoped(strv_freep) char **candidates = NULL;
	scoped(pipes_done) struct pipes pipes = PIPES_NONE;
	struct plan plan = { .request = request };
	struct failure failure;
	int pidfd = -1, r;
	pid_t pid;

	assert(request->n_fds <= SPAWN_FDS_MAX);
	if (!request->argv[0] || !*request->argv[0])
		return fault_field(reterr, "command", "is empty");
	candidates = plan.candidates = candidates_of(request);
	r = pipes_open(&pipes, request->output_outlives_us);
	if (r < 0)
		return fault_set(reterr, FAULT_INTERNAL, "could not make the pipes of '%s': %s",
				 request->argv[0], strerror(-r));
	plan.input = pipes.null;
	plan.output = pipes.output[1];
	plan.failures = pipes.failures[1];

	pid = begin_child_quietly(&plan, &pidfd);
	if (pid < 0)
		return fault_set(reterr, FAULT_INTERNAL, "could not start '%s': %s",
				 request->argv[0], strerror(-pid));
	/* Without ours, the ends of the child are the last. */
	closep(&pipes.output[1]);
	closep(&pipes.failures[1]);
	pipes.output[1] = pipes.failures[1] = -1;

	r = await_exec(pipes.failures[0], &failure);
	if (r >= 0 && pidfd < 0) {
		kill(pid, SIGKILL);
		failure = (struct failure){ .stage = AT_SETUP, .error = ENOSYS };
		r = -ENOSYS;
	}
	if (r < 0) {
		reap_failed(pid);
		closep(&pidfd);
		return explain(request, &failure, reterr);
	}
	*ret = child_new(loop, pid, pidfd, STEAL_FD(pipes.output[0]), ops, arg);
	return 0;
}

/* The pipe that is both the process' outputs, as child_spawn() made it. */
static int open_output(pid_t pid)
{
	scoped(freep) char *out = xasprintf("/proc/%d/fd/1", (int)pid);
	scoped(freep) char *err = xasprintf("/proc/%d/fd/2", (int)pid);
	scoped(closep) int fd = -1;
	struct stat a, b;

	if (stat(out, &a) < 0 || stat(err, &b) < 0)
		return -errno;
	if (!S_ISFIFO(a.st_mode) || a.st_dev != b.st_dev || a.st_ino != b.st_ino)
		return -ENOTTY;
	fd = open(out, O_RDONLY | O_NONBLOCK | O_CLOEXEC);
	if (fd < 0)
		return -errno;
	/* It may have redirected them meanwhile: another's pipe is not ours to empty. */
	if (fstat(fd, &b) < 0 || a.st_dev != b.st_dev || a.st_ino != b.st_ino)
		return -ENOTTY;
	return STEAL_FD(fd);
}

int child_adopt(struct loop *loop, const struct pidref *p, const struct child_ops *ops, void *arg,
		struct child **ret)
{
	scoped(closep) int output = open_output(p->pid);
	int pidfd;

	if (output < 0)
		return output;
	if (p->fd < 0)
		return -EOPNOTSUPP;
	if (!pidref_is_alive(p)) /* the pid was another's by then */
		return -ESRCH;
	pidfd = fcntl(p->fd, F_DUPFD_CLOEXEC, STDERR_FILENO + 1);
	if (pidfd < 0)
		return -errno;
	*ret = child_new(loop, p->pid, pidfd, STEAL_FD(output), ops, arg);
	return 0;
}

/* Reaps one that nobody waits for any more; libevent frees the event, and nothing else is held. */
static void on_released_over(evutil_socket_t fd, short what, void *arg)
{
	siginfo_t info;

	(void)what;
	(void)arg;
	reap(fd, &info);
	close(fd);
}

/* Sees to the zombie of one that runs or has just ended. */
static void release(struct child *c)
{
	siginfo_t info;

	event_free(STEAL(c->exit_event));
	reap(c->pidref.fd, &info);
	if (info.si_pid > 0)
		return;
	if (event_base_once(loop_base(c->loop), c->pidref.fd, EV_READ, on_released_over, NULL,
			    NULL) == 0)
		c->pidref.fd = -1; /* the event's now */
}

struct child *child_free(struct child *c)
{
	if (!c || c->is_freed)
		return NULL;
	c->is_freed = true;
	if (c->output_event)
		event_free(STEAL(c->output_event));
	if (c->exit_event)
		release(c);
	loop_defer(c->loop, child_destroy, c); /* we may be inside one of its callbacks */
	return NULL;
}

const struct pidref *child_pidref(const struct child *c)
{
	return &c->pidref;
}
