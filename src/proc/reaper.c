/* SPDX-License-Identifier: MIT */
/*
 * Reaping what others left.  wait(2) can't tell the orphans that came to us from our own children,
 * whose exit status somebody waits for.  But that somebody has it within a turn of the loop, so a
 * zombie that is still there when one looks again is an orphan.
 */
#include "proc/reaper.h"

#include <errno.h>
#include <signal.h>
#include <string.h>
#include <sys/prctl.h>
#include <sys/wait.h>
#include <unistd.h>

#include "base/log.h"
#include "base/mem.h"
#include "proc/pidref.h"

LOG_AREA("proc");

#define BETWEEN_LOOKS (500 * USEC_PER_MSEC)

struct zombies {
	struct process *list;
	size_t n;
};

struct reaper {
	struct loop *loop;
	struct jobs *jobs;
	struct timer *look_again;
	struct job *look;
	struct zombies *found; /* the job's */
	struct zombies before; /* of the last look */
};

static int look_work(void *input)
{
	struct zombies *z = input;
	const pid_t self = getpid();
	size_t n = 0, n_zombies = 0;
	int r = processes_read(&z->list, &n);

	if (r < 0)
		return r;
	for (size_t i = 0; i < n; i++)
		if (z->list[i].ppid == self && process_is_over(&z->list[i]))
			z->list[n_zombies++] = z->list[i];
	z->n = n_zombies;
	return 0;
}

static void zombies_free(void *input)
{
	struct zombies *z = input;

	free(z->list);
	free(z);
}

static bool was_there(const struct zombies *before, const struct process *p)
{
	for (size_t i = 0; i < before->n; i++)
		if (before->list[i].pid == p->pid && before->list[i].start_time == p->start_time)
			return true;
	return false;
}

static void on_looked(int result, void *arg)
{
	struct reaper *r = arg;
	struct zombies *found = r->found;

	r->look = NULL;
	if (result < 0) {
		log_warning_errno(result, "cannot look for orphans to reap");
		return;
	}
	for (size_t i = 0; i < found->n; i++) {
		siginfo_t info;

		if (was_there(&r->before, &found->list[i]))
			(void)waitid(P_PID, (id_t)found->list[i].pid, &info, WEXITED | WNOHANG);
	}
	free(r->before.list);
	r->before = (struct zombies){ STEAL(found->list), found->n };
	if (r->before.n > 0)
		timer_set(r->look_again, BETWEEN_LOOKS);
}

/* Whether there is any zombie at all: most children have been reaped by now. */
static bool has_zombies(void)
{
	siginfo_t info = { 0 };

	return waitid(P_ALL, 0, &info, WEXITED | WNOHANG | WNOWAIT) == 0 && info.si_pid > 0;
}

static void look(void *arg)
{
	struct reaper *r = arg;

	if (r->look || !has_zombies())
		return;
	r->found = xcalloc(1, sizeof(*r->found));
	r->look = job_start(r->jobs, look_work, r->found, zombies_free, on_looked, r);
	if (r->look)
		return;
	zombies_free(r->found);
	timer_set(r->look_again, BETWEEN_LOOKS);
}

static void on_child(int signo, void *arg)
{
	struct reaper *r = arg;

	(void)signo;
	if (!timer_is_set(r->look_again))
		timer_set(r->look_again, BETWEEN_LOOKS);
}

int reaper_new(struct loop *loop, struct jobs *jobs, struct reaper **ret)
{
	struct reaper *r = xcalloc(1, sizeof(*r));
	int error;

	r->loop = loop;
	r->jobs = jobs;
	r->look_again = timer_new(loop, look, r);
	error = loop_on_signal(loop, SIGCHLD, on_child, r);
	if (error >= 0 && prctl(PR_SET_CHILD_SUBREAPER, 1) < 0)
		error = -errno;
	if (error < 0) {
		reaper_free(r);
		return error;
	}
	*ret = r;
	return 0;
}

struct reaper *reaper_free(struct reaper *r)
{
	if (!r)
		return NULL;
	job_free(r->look);
	timer_free(r->look_again);
	free(r->before.list);
	free(r);
	return NULL;
}
