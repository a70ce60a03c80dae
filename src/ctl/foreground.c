/* SPDX-License-Identifier: MIT */
/*
 * Job control for one job.
 */
#include "ctl/foreground.h"

#include <errno.h>
#include <fcntl.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/prctl.h>
#include <sys/wait.h>
#include <unistd.h>

#include "base/mem.h"
#include "base/strbuf.h"
#include "proc/cgroup.h"
#include "proc/pidref.h"

#define NOT_FOUND     127 /* as of a shell */
#define NOT_RUNNABLE  126
#define VARIABLES_MAX 4096

struct foreground {
	pid_t pid;
	int gate;          /* -1: it was let go */
	bool has_terminal; /* stdin is one, and ours to give */
	bool has_ended;
	int status;
	char *cgroup; /* NULL: none of its own */
};

/* A background process that gives the terminal away is stopped by SIGTTOU, if it doesn't ignore it.
 */
static void give_terminal(pid_t pgrp)
{
	sighandler_t before = signal(SIGTTOU, SIG_IGN);

	(void)!tcsetpgrp(STDIN_FILENO, pgrp);
	signal(SIGTTOU, before);
}

/* Waits at the gate; what comes through it are variables.  Nothing: it was all in vain. */
static void wait_at(int gate)
{
	static char text[VARIABLES_MAX + 1];
	size_t len = 0;
	ssize_t n;

	while (len < VARIABLES_MAX && (n = read(gate, text + len, VARIABLES_MAX - len)) != 0) {
		if (n < 0 && errno != EINTR)
			_exit(NOT_RUNNABLE);
		len += n > 0 ? (size_t)n : 0;
	}
	if (len == 0)
		_exit(NOT_RUNNABLE);
	for (char *p = text; p < text + len; p += strlen(p) + 1)
		putenv(p);
}

static void be_command(char *const *argv, int gate)
{
	int error;

	setpgid(0, 0);
	wait_at(gate);
	signal(SIGPIPE, SIG_DFL); /* previewctl ignores it */
	signal(SIGINT, SIG_DFL);
	execvp(argv[0], argv);
	error = errno;
	fprintf(stderr, "previewctl: cannot run '%s': %s\n", argv[0], strerror(error));
	if (error == ENOENT && argv[1] && *argv[1] == '-')
		fprintf(stderr,
			"previewctl: hint: '%s' was taken for its option; options of previewctl go "
			"before it\n",
			argv[1]);
	_exit(error == ENOENT ? NOT_FOUND : NOT_RUNNABLE);
}

int foreground_new(char *const *argv, struct foreground **ret, struct problem *reterr)
{
	scoped(foreground_freep) struct foreground *f = xcalloc(1, sizeof(*f));
	int gate[2];

	f->gate = -1;
	if (prctl(PR_SET_CHILD_SUBREAPER, 1) < 0 || pipe2(gate, O_CLOEXEC) < 0)
		return problem_set(reterr, EXIT_FAILED, "internal_error", "cannot run it: %s",
				   strerror(errno));
	f->gate = gate[1];
	fflush(NULL);
	f->pid = fork();
	if (f->pid == 0) {
		close(gate[1]);
		be_command(argv, gate[0]);
	}
	close(gate[0]);
	if (f->pid < 0)
		return problem_set(reterr, EXIT_FAILED, "internal_error", "cannot run it: %s",
				   strerror(errno));
	setpgid(f->pid, f->pid); /* both do: whoever comes first */
	f->has_terminal = isatty(STDIN_FILENO) && tcgetpgrp(STDIN_FILENO) == getpgrp();
	*ret = STEAL(f);
	return 0;
}

pid_t foreground_pid(const struct foreground *f)
{
	return f->pid;
}

int foreground_begin(struct foreground *f, const char *const *variables)
{
	scoped(strbuf_done) struct strbuf b = strbuf_init(VARIABLES_MAX);
	int r = 0;

	for (; *variables; variables++)
		strbuf_add(&b, *variables, strlen(*variables) + 1);
	if (b.error)
		return b.error;
	if (f->has_terminal)
		give_terminal(f->pid);
	if (write(f->gate, b.data, b.len) != (ssize_t)b.len)
		r = -EPIPE;
	close(STEAL_FD(f->gate));
	return r;
}

/* Stops as its command has, so that the shell has the terminal; then both go on. */
static void stop_along(struct foreground *f)
{
	if (f->has_terminal)
		give_terminal(getpgrp());
	raise(SIGSTOP);
	if (f->has_terminal && tcgetpgrp(STDIN_FILENO) == getpgrp())
		give_terminal(f->pid);
	kill(-f->pid, SIGCONT); /* not reaped, so the group is its own */
}

int foreground_reap(struct foreground *f)
{
	int status;
	pid_t pid;

	while ((pid = waitpid(-1, &status, WNOHANG | WUNTRACED)) > 0) {
		if (pid != f->pid)
			continue;
		if (WIFSTOPPED(status)) {
			if (f->has_terminal)
				stop_along(f);
			continue;
		}
		f->has_ended = true;
		f->status = status;
		if (f->has_terminal)
			give_terminal(getpgrp());
	}
	return pid < 0 && errno == ECHILD ? 0 : 1;
}

bool foreground_has_ended(const struct foreground *f)
{
	return f->has_ended;
}

int foreground_exit_code(const struct foreground *f)
{
	if (!f->has_ended)
		return EXIT_FAILED;
	return WIFSIGNALED(f->status) ? 128 + WTERMSIG(f->status) : WEXITSTATUS(f->status);
}

void foreground_set_cgroup(struct foreground *f, char *path_take)
{
	free(f->cgroup);
	f->cgroup = path_take;
}

int foreground_signal(const struct foreground *f, int signal)
{
	scoped(freep) struct process *all = NULL;
	size_t n = 0;
	int n_found = 0;

	/* At once, while it forks as it likes; the walk is for what has left the group. */
	if (signal == SIGKILL && f->cgroup)
		(void)!cgroup_kill(f->cgroup);
	if (processes_read(&all, &n) < 0)
		return 0;
	for (size_t i = 0; i < n; i++) {
		struct pidref ref;

		if (!process_descends(all, n, all[i].pid, getpid()))
			continue;
		if (pidref_find(all[i].pid, all[i].start_time, &ref) < 0)
			continue;
		n_found += pidref_signal(&ref, signal) >= 0;
		if (signal != SIGKILL)
			(void)!pidref_signal(&ref,
					     SIGCONT); /* one that is stopped would not hear */
		pidref_done(&ref);
	}
	return n_found;
}

struct foreground *foreground_free(struct foreground *f)
{
	if (!f)
		return NULL;
	if (f->gate >= 0) {
		close(f->gate);
		if (f->pid > 0)
			waitpid(f->pid, NULL, 0);
	}
	free(f->cgroup);
	free(f);
	return NULL;
}
