/* SPDX-License-Identifier: MIT */
/*
 * Ending a tree.  It goes in rounds: a job looks who belongs to it and signals them, then the loop
 * waits on their pidfds, and looks again when they are gone, or after a while, since they may have
 * children by now.  It is over when a few looks in a row find nobody.
 *
 * A tree that forks faster than it is looked at would lose some of its members between two looks
 * (their parent dead, no tie left), so the last rounds stop everybody first: what is stopped
 * doesn't fork.
 */
#include "proc/tree_priv.h"

#include <errno.h>
#include <event2/event.h>
#include <signal.h>
#include <stdatomic.h>
#include <string.h>

#include "base/log.h"
#include "base/mem.h"
#include "proc/cgroup.h"

LOG_AREA("proc");

#define AFTER_SIGKILL    (5 * USEC_PER_SEC) /* then what is left is said to be left */
#define WATCH_MAX        64                 /* pidfds held at once by one killing */
#define LOOKS_TO_BE_SURE 3
#define LOOKS_MAX        16 /* where new processes come all the time, no look is sure */
#define STOP_LOOKS_MAX   16
#define PAUSE_MIN        (5 * USEC_PER_MSEC)
#define PAUSE_FIRST      (20 * USEC_PER_MSEC)
#define PAUSE_MAX        (250 * USEC_PER_MSEC)
#define REFUSED_ROUNDS   3

enum phase {
	PHASE_TERM,
	PHASE_KILL,
	PHASE_OVER,
};

/* What a helper thread works on, and nobody else until it is done. */
struct round {
	struct proc_tree *tree;
	enum phase phase;
	struct process *before; /* who had its SIGTERM in an earlier round */
	size_t n_before;
	atomic_bool is_canceled;
	size_t n_refused; /* the signal was not permitted */
	int watch[WATCH_MAX];
	size_t n_watch;
};

struct watch {
	struct proc_kill *kill;
	struct event *event;
	int fd;
};

struct proc_kill {
	struct loop *loop;
	struct jobs *jobs;
	proc_kill_done_fn *done;
	void *arg;

	enum phase phase;
	struct timer *phase_timer, *look_timer;
	usec_t pause; /* until the next look if nothing happens; doubles */
	unsigned refused_rounds;

	struct proc_tree *tree; /* NULL while a round has it */
	struct round *round;    /* of the job that waits or runs; it belongs to the job */
	struct job *job;

	struct process *seen; /* members of the last round */
	size_t n_seen, n_ended;
	struct process root; /* all that is known until the first round is done; pid 0: nothing */

	struct watch watches[WATCH_MAX];
	size_t n_watching;
};

static void round_free(void *arg)
{
	struct round *round = arg;

	for (size_t i = 0; i < round->n_watch; i++)
		close(round->watch[i]);
	proc_tree_free(round->tree);
	free(round->before);
	free(round);
}

/* In the helper thread: signals one process, and keeps its pidfd for the loop to wait on. */
static void signal_one(struct round *round, const struct process *p, int first, int second)
{
	struct pidref ref;
	int r = 0;

	if (pidref_find(p->pid, p->start_time, &ref) < 0)
		return; /* gone; or no descriptor to be had, and the next round tries again */
	if (first)
		r = pidref_signal(&ref, first);
	if (r == 0 && second)
		r = pidref_signal(&ref, second);
	if (r == -EPERM)
		round->n_refused++;
	if (ref.fd >= 0 && round->n_watch < WATCH_MAX)
		round->watch[round->n_watch++] = STEAL_FD(ref.fd);
	pidref_done(&ref);
}

/* Once each: a second SIGTERM means "at once" to many programs.  One that is stopped would not come
 * to its handler. */
static void terminate(struct round *round)
{
	const struct process *members;
	const size_t n = proc_tree_processes(round->tree, &members);

	for (size_t i = 0; i < n && !atomic_load(&round->is_canceled); i++) {
		const struct process *p = &members[i];
		const bool is_new = !processes_have(round->before, round->n_before, p);
		const bool is_stopped = p->state == 'T' || p->state == 't';

		signal_one(round, p, is_new ? SIGTERM : 0, is_new || is_stopped ? SIGCONT : 0);
	}
}

static void stop_one(const struct process *p)
{
	struct pidref ref;

	if (pidref_find(p->pid, p->start_time, &ref) < 0)
		return;
	(void)!pidref_signal(&ref, SIGSTOP); /* who refuses this refuses the SIGKILL, too */
	pidref_done(&ref);
}

/* Stops all of them, until a look finds nobody new. */
static int stop_all(struct proc_tree *tree)
{
	scoped(freep) struct process *stopped = NULL;
	size_t n_stopped = 0;

	for (int looks = 0; looks < STOP_LOOKS_MAX; looks++) {
		const struct process *members;
		const size_t n = proc_tree_processes(tree, &members);
		size_t n_new = 0;
		int r;

		for (size_t i = 0; i < n; i++) {
			if (processes_have(stopped, n_stopped, &members[i]))
				continue;
			stop_one(&members[i]);
			n_new++;
		}
		if (n_new == 0)
			break;
		free(stopped);
		stopped = xmemdup(members, n * sizeof(*members));
		n_stopped = n;
		r = proc_tree_look(tree);
		if (r < 0)
			return r; /* those of the last look get their SIGKILL all the same */
	}
	return 0;
}

static int destroy(struct round *round)
{
	const char *cgroup = proc_tree_killable_cgroup(round->tree);
	const struct process *members;
	size_t n;
	int r = 0;

	if (atomic_load(&round->is_canceled))
		return 0;
	if (cgroup && cgroup_kill(cgroup) >= 0)
		r = proc_tree_look(round->tree); /* what has no such group remains */
	if (r >= 0)
		r = stop_all(round->tree);
	n = proc_tree_processes(round->tree, &members);
	for (size_t i = 0; i < n; i++)
		signal_one(round, &members[i], SIGKILL, 0);
	return r;
}

static int round_work(void *input)
{
	struct round *round = input;
	int r = 0;

	/* /proc isn't read in one instant: a child born behind the walk, of a parent that ended
	 * before it, would be missed by one look alone. */
	for (int looks = 0, sure = 0; r == 0 && sure < LOOKS_TO_BE_SURE && looks < LOOKS_MAX;
	     looks++) {
		r = proc_tree_look(round->tree);
		sure += proc_tree_is_settled(round->tree);
	}
	if (r <= 0)
		return r;
	if (round->phase == PHASE_TERM)
		terminate(round);
	else
		r = destroy(round);
	return r < 0 ? r : 1;
}

static void stop_watching(struct proc_kill *k)
{
	for (size_t i = 0; i < WATCH_MAX; i++) {
		struct watch *w = &k->watches[i];

		if (!w->event)
			continue;
		event_free(w->event);
		close(w->fd);
		w->event = NULL;
	}
	k->n_watching = 0;
}

static void on_exit_seen(evutil_socket_t fd, short what, void *arg)
{
	struct watch *w = arg;
	struct proc_kill *k = w->kill;

	(void)what;
	event_free(w->event);
	w->event = NULL;
	close(fd);
	k->n_watching--;
	/* Not for each: a look costs more than an exit, and some usually end together. */
	if (k->n_watching == 0 && !k->job)
		timer_set(k->look_timer, PAUSE_MIN);
}

/* Takes the pidfds of a round. */
static void start_watching(struct proc_kill *k, struct round *round)
{
	for (size_t i = 0; i < round->n_watch; i++) {
		struct watch *w = &k->watches[i];

		w->kill = k;
		w->fd = round->watch[i];
		w->event = event_new(loop_base(k->loop), w->fd, EV_READ, on_exit_seen, w);
		if (!w->event || event_add(w->event, NULL) < 0) {
			if (w->event)
				event_free(w->event);
			w->event = NULL;
			close(w->fd);
			continue; /* the next look tells */
		}
		k->n_watching++;
	}
	round->n_watch = 0;
}

/* What was seen before and isn't any more has ended. */
static void remember_members(struct proc_kill *k)
{
	const struct process *members;
	const size_t n = proc_tree_processes(k->tree, &members);

	for (size_t i = 0; i < k->n_seen; i++)
		if (!processes_have(members, n, &k->seen[i]))
			k->n_ended++;
	free(k->seen);
	k->seen = xmemdup(members, n * sizeof(*members));
	k->n_seen = n;
	k->root.pid = 0;
}

static bool still_runs(const struct process *p)
{
	struct process now;

	return process_read(p->pid, &now) >= 0 && now.start_time == p->start_time &&
	       !process_is_over(&now);
}

/* Cuts down what was seen to what still runs. */
static void sort_out_left(struct proc_kill *k)
{
	size_t n = 0;

	if (k->root.pid > 0) {
		/* No round was ever done. */
		free(k->seen);
		k->seen = xmemdup(&k->root, sizeof(k->root));
		k->n_seen = 1;
	}
	for (size_t i = 0; i < k->n_seen; i++) {
		if (still_runs(&k->seen[i]))
			k->seen[n++] = k->seen[i];
		else
			k->n_ended++;
	}
	k->n_seen = n;
}

static void forget_job(struct proc_kill *k)
{
	if (!k->job)
		return;
	atomic_store(&k->round->is_canceled, true);
	k->job = job_free(k->job); /* its round, and the tree with it, go when the thread is done */
	k->round = NULL;
}

/* The last thing that is done with `k`: `done` may free it. */
static void finish(struct proc_kill *k)
{
	struct proc_kill_result result;

	k->phase = PHASE_OVER;
	forget_job(k);
	stop_watching(k);
	timer_cancel(k->phase_timer);
	timer_cancel(k->look_timer);
	sort_out_left(k);
	result = (struct proc_kill_result){ .ended = k->n_ended,
					    .left = k->seen,
					    .n_left = k->n_seen };
	k->done(&result, k->arg);
}

static void look_later(struct proc_kill *k)
{
	timer_set(k->look_timer, k->pause);
	k->pause = 2 * k->pause < PAUSE_MAX ? 2 * k->pause : PAUSE_MAX;
}

static void on_round_done(int result, void *arg);

static void start_round(struct proc_kill *k)
{
	struct round *round;

	if (!k->tree)
		return; /* one is under way, and what follows it sees to the rest */
	round = xcalloc(1, sizeof(*round));
	round->tree = STEAL(k->tree);
	round->phase = k->phase;
	round->before = xmemdup(k->seen, k->n_seen * sizeof(*k->seen));
	round->n_before = k->n_seen;
	atomic_init(&round->is_canceled, false);
	timer_cancel(k->look_timer);

	k->job = job_start(k->jobs, round_work, round, round_free, on_round_done, k);
	if (!k->job) {
		k->tree = STEAL(round->tree);
		round_free(round);
		look_later(k); /* the helpers have their hands full */
		return;
	}
	k->round = round;
}

static void on_round_done(int result, void *arg)
{
	struct proc_kill *k = arg;
	struct round *round = STEAL(k->round);
	const bool was_term = round->phase == PHASE_TERM;

	k->job = NULL;
	k->tree = STEAL(round->tree);
	if (result < 0)
		log_warning_errno(result, "could not look at all of a task's processes, trying on");
	else
		remember_members(k);
	stop_watching(k);
	start_watching(k, round);
	if (result == 0) {
		finish(k);
		return;
	}
	if (k->phase == PHASE_KILL && was_term) {
		start_round(k); /* the grace ended meanwhile */
		return;
	}
	/* Others' processes: waiting changes little, and somebody waits for the answer. */
	if (k->phase == PHASE_KILL && result > 0 && round->n_refused == k->n_seen) {
		if (++k->refused_rounds == REFUSED_ROUNDS) {
			finish(k);
			return;
		}
	} else {
		k->refused_rounds = 0;
	}
	look_later(k);
}

static void on_look_timer(void *arg)
{
	start_round(arg);
}

static void enter_kill(struct proc_kill *k)
{
	k->phase = PHASE_KILL;
	k->pause = PAUSE_FIRST;
	timer_set(k->phase_timer, AFTER_SIGKILL);
	start_round(k);
}

static void on_phase_timer(void *arg)
{
	struct proc_kill *k = arg;

	if (k->phase == PHASE_TERM)
		enter_kill(k);
	else
		finish(k);
}

struct proc_kill *proc_kill_start(struct loop *loop, struct jobs *jobs, struct proc_tree *tree_take,
				  usec_t grace, proc_kill_done_fn *done, void *arg)
{
	struct proc_kill *k = xcalloc(1, sizeof(*k));
	const struct pidref *root = proc_tree_root(tree_take);

	k->loop = loop;
	k->jobs = jobs;
	k->done = done;
	k->arg = arg;
	k->tree = tree_take;
	k->phase_timer = timer_new(loop, on_phase_timer, k);
	k->look_timer = timer_new(loop, on_look_timer, k);
	k->pause = PAUSE_FIRST;
	if (root->pid > 0 && process_read(root->pid, &k->root) >= 0 &&
	    k->root.start_time != root->start_time)
		k->root.pid = 0;

	if (grace == 0) {
		enter_kill(k);
	} else {
		timer_set(k->phase_timer, grace);
		start_round(k);
	}
	return k;
}

struct proc_kill *proc_kill_free(struct proc_kill *k)
{
	if (!k)
		return NULL;
	forget_job(k);
	stop_watching(k);
	timer_free(k->phase_timer);
	timer_free(k->look_timer);
	proc_tree_free(k->tree);
	free(k->seen);
	free(k);
	return NULL;
}
