/* SPDX-License-Identifier: MIT */
/*
 * Whether a peer may register a process.  What is registered will be killed one day, so it must be
 * the peer's own to kill: of its uid, and beneath it.
 *
 * A session leader with process groups of jobs beneath it is somebody's shell, and no task.
 */
#include <unistd.h>

#include "tasks/tasks_priv.h"

/* Whether it leads a session in which children of its own have process groups of theirs. */
static bool is_shell(const struct process *p)
{
	scoped(freep) struct process *all = NULL;
	size_t n = 0;

	if (p->session != p->pid)
		return false;
	if (processes_read(&all, &n) < 0)
		return true; /* not known to be none */
	for (size_t i = 0; i < n; i++) {
		if (all[i].ppid == p->pid && all[i].session == p->pid && all[i].pgrp != p->pgrp)
			return true;
	}
	return false;
}

#define refuse(reterr, ...) fault_set((reterr), FAULT_TASK_NOT_ALLOWED, __VA_ARGS__)

int task_check_pid(const struct task_peer *peer, pid_t pid, struct pidref *ret,
		   struct fault *reterr)
{
	const pid_t self = getpid();
	struct pidref ref = PIDREF_NONE;
	struct process p;
	int r;

	if (!peer->is_unix || peer->pid <= 0)
		return refuse(reterr, "a process can be registered only over the unix socket, by "
				      "one of its ancestors on this machine");
	if (pid == self || pid == 1 || process_is_above(pid, self))
		return refuse(reterr, "process %d is previewd itself, or one above it", (int)pid);

	r = pidref_of(pid, &ref);
	if (r >= 0)
		r = process_read(pid, &p);
	if (r < 0) {
		pidref_done(&ref);
		return fault_field(reterr, "pid", "there is no process %d", (int)pid);
	}

	if (p.uid != peer->uid)
		r = refuse(reterr, "process %d is another user's", (int)pid);
	else if (!process_is_above(peer->pid, pid))
		r = refuse(reterr,
			   "process %d does not descend from the one that asks (%d): a task is "
			   "registered by who started it",
			   (int)pid, (int)peer->pid);
	else if (is_shell(&p))
		r = refuse(reterr,
			   "process %d leads a session with other jobs in it: register the job, "
			   "not its shell",
			   (int)pid);
	else if (!pidref_is_alive(&ref)) /* what was read may have been its successor's */
		r = fault_field(reterr, "pid", "process %d has just ended", (int)pid);

	if (r < 0) {
		pidref_done(&ref);
		return r;
	}
	*ret = ref;
	return 0;
}
