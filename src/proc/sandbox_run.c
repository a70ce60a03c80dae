/* SPDX-License-Identifier: MIT */
/*
 * A run has three processes of ours before its command: bwrap, which waits outside; the first
 * process of the pid namespace (bwrap again), with which everything inside ends; and
 * previewd-sandbox, which runs the command when it is told to. It isn't told before the first of
 * the namespace is known and what the directories hold was measured: so nothing runs unwatched, and
 * if the daemon goes it goes, too.
 *
 * To kill a run is to kill the namespace's first process. The run is over when bwrap has reaped
 * that one, or where bwrap itself was killed, when its pidfd says so: the kernel lets the first
 * process of a namespace end only after all the others.
 */
#include "proc/sandbox.h"

#include <event2/event.h>
#include <signal.h>
#include <string.h>
#include <sys/queue.h>
#include <sys/socket.h>
#include <unistd.h>

#include "base/json.h"
#include "base/log.h"
#include "base/mem.h"
#include "base/metrics.h"
#include "base/parse.h"
#include "proc/sandbox_priv.h"
#include "proc/tree.h"
#include "proc/watch.h"

LOG_AREA("sandbox");

#define STATUS_MAX    4096
#define LOOK_INTERVAL (500 * USEC_PER_MSEC)
#define LOOK_SHARE    10 /* a look takes at most this part of a thread's time */
#define KILL_PATIENCE (5 * USEC_PER_SEC)

struct sandbox_run {
	LIST_ENTRY(sandbox_run) entry;
	struct sandbox *sandbox;
	const struct sandbox_ops *ops;
	void *arg;

	struct sandbox_spawned spawned;
	bool child_is_over;
	int code, signal; /* of child_ops' on_exit */

	struct event *status_event; /* of spawned.status_fd */
	struct strbuf status;
	struct pidref first; /* the first process inside; pid 0: not known yet */
	struct proc_watch *first_watch;

	struct timer *wall, *look_timer, *patience;
	struct job *look;
	struct sandbox_look *looking; /* the job's */
	char **directories;
	bool is_measured, has_begun;
	uint64_t disk_before;

	struct proc_kill *kill; /* of what isn't isolated */

	bool is_killed, is_over, is_freed;
	enum sandbox_end reason; /* once is_killed */
};

static void run_check_over(struct sandbox_run *run);

/* ---- what a run holds ---- */

static void run_destroy(void *arg)
{
	struct sandbox_run *run = arg;

	if (run->status_event)
		event_free(run->status_event);
	sandbox_spawned_done(&run->spawned);
	strbuf_done(&run->status);
	proc_watch_free(run->first_watch);
	pidref_done(&run->first);
	timer_free(run->wall);
	timer_free(run->look_timer);
	timer_free(run->patience);
	job_free(run->look);
	strv_free(run->directories);
	proc_kill_free(run->kill);
	free(run);
}

/* It may be inside one of its callbacks. */
static void run_discard(struct sandbox_run *run)
{
	LIST_REMOVE(run, entry);
	metric_add(METRIC_SANDBOX_RUNS, -1);
	loop_defer(run->sandbox->deps.loop, run_destroy, run);
}

static struct sandbox_run *run_new(struct sandbox *s, bool is_isolated,
				   const struct sandbox_ops *ops, void *arg)
{
	struct sandbox_run *run = xcalloc(1, sizeof(*run));

	run->sandbox = s;
	run->ops = ops;
	run->arg = arg;
	run->spawned = SANDBOX_SPAWNED_NONE;
	run->spawned.is_isolated = is_isolated;
	run->status = strbuf_init(STATUS_MAX);
	run->first = PIDREF_NONE;
	LIST_INSERT_HEAD(&s->runs, run, entry);
	metric_add(METRIC_SANDBOX_RUNS, 1);
	return run;
}

/* ---- its end ---- */

/* previewd-sandbox ends as a shell does: with 128 and the signal that ended the command. */
static int signal_of_end(const struct sandbox_run *run)
{
	if (run->signal)
		return run->signal;
	return run->code > 128 && run->code < 128 + NSIG ? run->code - 128 : 0;
}

/* Where its group holds it, it is never over the limit: it was refused what would have been. */
static bool is_out_of_processes(const struct sandbox_run *run)
{
	return (run->spawned.held & CGROUP_HOLDS_PROCESSES) &&
	       cgroup_ran_out_of_processes(run->spawned.cgroup);
}

static void run_finish(struct sandbox_run *run)
{
	const int signal_number = signal_of_end(run);
	const char *cgroup = run->spawned.cgroup;
	enum sandbox_end end = run->is_killed  ? run->reason
			       : signal_number ? SANDBOX_SIGNALED
					       : SANDBOX_EXITED;

	if (cgroup && !run->is_killed && cgroup_ran_out_of_memory(cgroup))
		end = SANDBOX_NO_MEMORY;
	else if (!run->is_killed && (run->code || run->signal) && is_out_of_processes(run))
		end = SANDBOX_NO_PROCESSES;
	run->is_over = true;
	timer_cancel(run->wall);
	timer_cancel(run->look_timer);
	timer_cancel(run->patience);
	run->look = job_free(run->look);
	if (cgroup)
		(void)!cgroup_remove(cgroup);
	run->sandbox->held |= run->spawned.held;
	if (run->is_freed)
		run_discard(run);
	else
		run->ops->on_end(end, signal_number ? signal_number : run->code, run->arg);
}

static void on_rest_killed(const struct proc_kill_result *result, void *arg)
{
	struct sandbox_run *run = arg;

	for (size_t i = 0; i < result->n_left; i++)
		log_warning("process %d (%s) of a build could not be ended",
			    (int)result->left[i].pid, result->left[i].command);
	run->kill = proc_kill_free(run->kill);
	run_finish(run);
}

/* Without a namespace, whatever carries the run's mark is sought and killed. */
static void run_kill_rest(struct sandbox_run *run)
{
	const struct sandbox_deps *deps = &run->sandbox->deps;

	if (run->kill)
		return;
	run->kill = proc_kill_start(deps->loop, deps->jobs,
				    proc_tree_new(&(struct proc_tree_settings){
					    .root = child_pidref(run->spawned.child),
					    .mark = run->spawned.mark,
					    .cgroup = run->spawned.cgroup,
				    }),
				    0, on_rest_killed, run);
}

static void on_first_over(void *arg)
{
	struct sandbox_run *run = arg;

	run->first_watch = proc_watch_free(run->first_watch);
	pidref_done(&run->first);
	run->first = PIDREF_NONE;
	run_check_over(run);
}

/* Whether nothing of it runs any more. */
static void run_check_over(struct sandbox_run *run)
{
	if (!run->child_is_over || run->is_over)
		return;
	if (!run->spawned.is_isolated) {
		run_kill_rest(run);
		return;
	}
	/* bwrap has reaped it, unless bwrap was killed. */
	if (run->first.pid > 0 && pidref_is_alive(&run->first)) {
		(void)!pidref_signal(&run->first, SIGKILL);
		if (!run->first_watch)
			run->first_watch = proc_watch_new(run->sandbox->deps.loop, &run->first,
							  on_first_over, run);
		return;
	}
	run_finish(run);
}

static void run_strike(struct sandbox_run *run)
{
	closep(&run->spawned.go); /* previewd-sandbox ends by it where it hasn't begun */
	run->spawned.go = -1;
	if (run->first.pid > 0)
		(void)!pidref_signal(&run->first, SIGKILL);
	if (run->spawned.cgroup)
		(void)!cgroup_kill(run->spawned.cgroup);
}

/* It hangs where bwrap makes the sandbox ready, or bwrap itself is stopped. */
static void on_patience_over(void *arg)
{
	struct sandbox_run *run = arg;

	run_strike(run);
	if (!run->child_is_over)
		(void)!pidref_signal(child_pidref(run->spawned.child), SIGKILL);
}

static void run_kill(struct sandbox_run *run, enum sandbox_end reason)
{
	if (run->is_killed || run->is_over)
		return;
	run->is_killed = true;
	run->reason = reason;
	metric_inc(METRIC_SANDBOX_KILLS);
	if (!run->spawned.is_isolated) {
		run_kill_rest(run);
		return;
	}
	run_strike(run);
	timer_set(run->patience, KILL_PATIENCE);
}

static void on_wall(void *arg)
{
	run_kill(arg, SANDBOX_TIMED_OUT);
}

/* ---- looking at what it uses ---- */

static void look_free(void *look)
{
	sandbox_look_done(look);
	free(look);
}

static int look_work(void *look)
{
	return sandbox_look(look);
}

static void run_look(struct sandbox_run *run);

static void on_look_timer(void *arg)
{
	run_look(arg);
}

static void run_begin(struct sandbox_run *run)
{
	if (run->has_begun || run->is_killed || !run->is_measured ||
	    (run->spawned.is_isolated && run->first.pid == 0))
		return;
	run->has_begun = true;
	(void)!send(run->spawned.go, "", 1, MSG_NOSIGNAL);
	timer_set(run->look_timer, LOOK_INTERVAL);
}

static bool is_over(uint64_t used, uint64_t limit)
{
	return limit > 0 && used > limit;
}

static void run_judge(struct sandbox_run *run, const struct sandbox_usage *usage)
{
	const uint64_t disk = usage->disk > run->disk_before ? usage->disk - run->disk_before : 0;

	if (is_over(disk, run->spawned.limits.disk))
		run_kill(run, SANDBOX_DISK_FULL);
	else if (is_over(usage->memory, run->spawned.limits.memory))
		run_kill(run, SANDBOX_NO_MEMORY);
	else if (is_out_of_processes(run) ||
		 (run->spawned.limits.processes > 0 &&
		  usage->processes > run->spawned.limits.processes + SANDBOX_OWN_PROCESSES))
		run_kill(run, SANDBOX_NO_PROCESSES);
}

static void on_looked(int result, void *arg)
{
	struct sandbox_run *run = arg;
	const struct sandbox_look *look = run->looking;
	const usec_t rest = look->took * LOOK_SHARE;

	run->look = NULL;
	run->looking = NULL;
	if (result < 0)
		log_warning_errno(result, "could not look at what a build uses, trying again");
	if (!run->is_measured) {
		run->is_measured = true;
		run->disk_before = look->usage.disk;
		run_begin(run);
		return;
	}
	if (result >= 0)
		run_judge(run, &look->usage);
	if (!run->is_killed)
		timer_set(run->look_timer, rest > LOOK_INTERVAL ? rest : LOOK_INTERVAL);
}

static void run_look(struct sandbox_run *run)
{
	const struct pidref *root = child_pidref(run->spawned.child);
	struct sandbox_look *look = xcalloc(1, sizeof(*look));

	look->root = *root;
	look->root.fd = -1;
	look->directories = strv_copy(run->directories);
	run->looking = look;
	run->look = job_start(run->sandbox->deps.jobs, look_work, look, look_free, on_looked, run);
	if (!run->look) {
		look_free(look);
		timer_set(run->look_timer, LOOK_INTERVAL);
	}
}

/* What may be written, and so may grow. */
static void run_find_directories(struct sandbox_run *run, const struct sandbox_request *request)
{
	size_t n = 0;

	run->directories = xcalloc(request->n_binds + 2, sizeof(*run->directories));
	if (run->spawned.limits.disk == 0)
		return;
	run->directories[n++] = xstrdup(request->workdir);
	for (size_t i = 0; i < request->n_binds; i++)
		if (request->binds[i].is_writable && !request->binds[i].is_tmpfs)
			run->directories[n++] = xstrdup(request->binds[i].source);
}

/* ---- what bwrap tells ---- */

/* A child of bwrap's: one that has come to its pid since is not. */
static void run_find_first(struct sandbox_run *run, pid_t pid)
{
	struct pidref found = PIDREF_NONE;
	struct process p;

	if (pidref_of(pid, &found) < 0)
		return;
	if (process_read(pid, &p) < 0 || p.start_time != found.start_time ||
	    (p.ppid != child_pidref(run->spawned.child)->pid && !run->child_is_over)) {
		pidref_done(&found);
		return;
	}
	run->first = found;
	if (run->is_killed)
		run_strike(run);
	run_begin(run);
}

/* The first line: { "child-pid": 123, … }. */
static void run_read_status(struct sandbox_run *run)
{
	char bytes[512];
	const char *newline;
	ssize_t n;

	while ((n = read(run->spawned.status_fd, bytes, sizeof(bytes))) > 0)
		strbuf_add(&run->status, bytes, (size_t)n);
	if (n == 0 && run->status_event)
		event_free(STEAL(run->status_event));
	newline = run->status.len ? memchr(run->status.data, '\n', run->status.len) : NULL;
	if (newline && run->first.pid == 0 && !run->has_begun) {
		scoped(json_freep) cJSON *line = cJSON_ParseWithLength(
			run->status.data, (size_t)(newline - run->status.data));
		const cJSON *pid = cJSON_GetObjectItemCaseSensitive(line, "child-pid");

		if (cJSON_IsNumber(pid))
			run_find_first(run, pid->valueint);
	}
}

static void on_status(evutil_socket_t fd, short what, void *arg)
{
	(void)fd;
	(void)what;
	run_read_status(arg);
}

static void on_child_output(struct child *c, const char *bytes, size_t len, void *arg)
{
	struct sandbox_run *run = arg;

	(void)c;
	if (!run->is_freed && run->ops->on_output)
		run->ops->on_output(bytes, len, run->arg);
}

static void on_child_exit(struct child *c, int code, int signal_number, void *arg)
{
	struct sandbox_run *run = arg;

	(void)c;
	run->child_is_over = true;
	run->code = code;
	run->signal = signal_number;
	if (run->status_event)
		run_read_status(run);
	run_check_over(run);
}

static const struct child_ops child_ops = {
	.on_output = on_child_output,
	.on_exit = on_child_exit,
};

/* ---- its start ---- */

/* It is spawned: now it is watched, and then told to go. */
static void run_watch(struct sandbox_run *run, const struct sandbox_request *request)
{
	struct loop *loop = run->sandbox->deps.loop;

	if (run->spawned.status_fd >= 0) {
		run->status_event = event_new(loop_base(loop), run->spawned.status_fd,
					      EV_READ | EV_PERSIST, on_status, run);
		event_add(run->status_event, NULL);
	}
	run->wall = timer_new(loop, on_wall, run);
	run->look_timer = timer_new(loop, on_look_timer, run);
	run->patience = timer_new(loop, on_patience_over, run);
	if (run->spawned.limits.wall > 0)
		timer_set(run->wall, run->spawned.limits.wall);
	run_find_directories(run, request);
	run_look(run);
}

int sandbox_run_start(struct sandbox *s, const struct sandbox_request *request, bool is_isolated,
		      const struct sandbox_ops *ops, void *arg, struct sandbox_run **ret,
		      struct fault *reterr)
{
	struct sandbox_run *run;
	int r = sandbox_check(request, reterr);

	if (r < 0)
		return r;
	run = run_new(s, is_isolated, ops, arg);
	r = sandbox_spawn(s, request, &child_ops, run, &run->spawned, reterr);
	if (r < 0) {
		run_discard(run);
		return r;
	}
	run_watch(run, request);
	*ret = run;
	return 0;
}

void sandbox_run_abandon(struct sandbox_run *run)
{
	on_patience_over(run);
	/* The helper threads may be gone when what is deferred has its turn. */
	run->look = job_free(run->look);
	run->kill = proc_kill_free(run->kill);
	run_discard(run);
}

struct sandbox_run *sandbox_run_free(struct sandbox_run *run)
{
	if (!run || run->is_freed)
		return NULL;
	run->is_freed = true;
	if (run->is_over)
		run_discard(run);
	else
		run_kill(run, SANDBOX_SIGNALED);
	return NULL;
}

bool sandbox_run_is_isolated(const struct sandbox_run *run)
{
	return run->spawned.is_isolated;
}
