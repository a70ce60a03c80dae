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

#include "base/ids.h"
#include "base/json.h"
#include "base/log.h"
#include "base/mem.h"
#include "base/metrics.h"
#include "base/parse.h"
#include "proc/sandbox_priv.h"
#include "proc/seccomp.h"
#include "proc/spawn.h"
#include "proc/tree.h"
#include "proc/watch.h"

#include <assert.h>
#include <errno.h>
#include <event2/event.h>
#include <fcntl.h>
#include <signal.h>
#include <string.h>
#include <sys/mman.h>
#include <sys/queue.h>
#include <sys/socket.h>
#include <unistd.h>

LOG_AREA("sandbox");

#define ARGS_MAX      (256 * 1024)
#define STATUS_MAX    4096
#define LOOK_INTERVAL (500 * USEC_PER_MSEC)
#define LOOK_SHARE    10 /* a look takes at most this part of a thread's time */
#define KILL_PATIENCE (5 * USEC_PER_SEC)
#define OWN_PROCESSES 3 /* bwrap twice, and previewd-sandbox */

struct sandbox_run {
	LIST_ENTRY(sandbox_run) entry;
	struct sandbox *sandbox;
	const struct sandbox_ops *ops;
	void *arg;
	bool is_isolated;
	struct sandbox_limits limits;

	struct child *child; /* bwrap, or previewd-sandbox without it */
	bool child_is_over;
	int code, signal;

	int go;        /* -1: it was told to go, or is told not to */
	int status_fd; /* of bwrap */
	struct event *status_event;
	struct strbuf status;
	struct pidref first; /* the first process inside; pid 0: not known yet */
	struct proc_watch *first_watch;

	struct timer *wall, *look_timer, *patience;
	struct job *look;
	struct sandbox_look *looking; /* the job's */
	char **directories;
	bool is_measured, has_begun;
	uint64_t disk_before;

	char *cgroup;
	unsigned held; /* by it: of cgroup_limit() */
	char *mark;
	struct proc_kill *kill; /* of what isn't isolated */

	bool is_killed, is_over, is_freed;
	enum sandbox_end reason; /* once is_killed */
};

static void run_check_over(struct sandbox_run *run);

/* ---- what a run holds ---- */

static void run_destroy(void *arg)
{
	struct sandbox_run *run = arg;

	child_free(run->child);
	if (run->status_event)
		event_free(run->status_event);
	closep(&run->status_fd);
	closep(&run->go);
	strbuf_done(&run->status);
	proc_watch_free(run->first_watch);
	pidref_done(&run->first);
	timer_free(run->wall);
	timer_free(run->look_timer);
	timer_free(run->patience);
	job_free(run->look);
	strv_free(run->directories);
	proc_kill_free(run->kill);
	free(run->cgroup);
	free(run->mark);
	free(run);
}

/* It may be inside one of its callbacks. */
static void run_discard(struct sandbox_run *run)
{
	LIST_REMOVE(run, entry);
	metric_add(METRIC_SANDBOX_RUNS, -1);
	loop_defer(run->sandbox->deps.loop, run_destroy, run);
}

static struct sandbox_run *run_new(struct sandbox *s, const struct sandbox_request *request,
				   const struct sandbox_ops *ops, void *arg)
{
	struct sandbox_run *run = xcalloc(1, sizeof(*run));

	run->sandbox = s;
	run->ops = ops;
	run->arg = arg;
	run->limits = request->limits;
	run->go = run->status_fd = -1;
	run->status = strbuf_init(STATUS_MAX);
	run->first = PIDREF_NONE;
	LIST_INSERT_HEAD(&s->runs, run, entry);
	metric_add(METRIC_SANDBOX_RUNS, 1);
	return run;
}

/* ---- its end ---- */

static void run_finish(struct sandbox_run *run)
{
	enum sandbox_end end = run->is_killed                              ? run->reason
			       : run->signal                               ? SANDBOX_SIGNALED
			       : run->code > 128 && run->code < 128 + NSIG ? SANDBOX_SIGNALED
									   : /* as a shell */
				       SANDBOX_EXITED;
	int code = run->signal               ? run->signal
		   : end == SANDBOX_SIGNALED ? run->code - 128
					     : run->code;

	if (run->cgroup && !run->is_killed && cgroup_ran_out_of_memory(run->cgroup))
		end = SANDBOX_NO_MEMORY;
	run->is_over = true;
	timer_cancel(run->wall);
	timer_cancel(run->look_timer);
	timer_cancel(run->patience);
	run->look = job_free(run->look);
	if (run->cgroup)
		(void)!cgroup_remove(run->cgroup);
	run->sandbox->held |= run->held;
	if (run->is_freed)
		run_discard(run);
	else
		run->ops->on_end(end, code, run->arg);
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
					    .root = child_pidref(run->child),
					    .mark = run->mark,
					    .cgroup = run->cgroup,
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
	if (!run->is_isolated) {
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
	closep(&run->go); /* previewd-sandbox ends by it where it hasn't begun */
	run->go = -1;
	if (run->first.pid > 0)
		(void)!pidref_signal(&run->first, SIGKILL);
	if (run->cgroup)
		(void)!cgroup_kill(run->cgroup);
}

/* It hangs where bwrap makes the sandbox ready, or bwrap itself is stopped. */
static void on_patience_over(void *arg)
{
	struct sandbox_run *run = arg;

	run_strike(run);
	if (!run->child_is_over)
		(void)!pidref_signal(child_pidref(run->child), SIGKILL);
}

static void run_kill(struct sandbox_run *run, enum sandbox_end reason)
{
	if (run->is_killed || run->is_over)
		return;
	run->is_killed = true;
	run->reason = reason;
	metric_inc(METRIC_SANDBOX_KILLS);
	if (!run->is_isolated) {
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

static char **copy_list(char **list)
{
	char **copy = xcalloc(strv_len(list) + 1, sizeof(*copy));

	for (size_t i = 0; list && list[i]; i++)
		copy[i] = xstrdup(list[i]);
	return copy;
}

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
	    (run->is_isolated && run->first.pid == 0))
		return;
	run->has_begun = true;
	(void)!send(run->go, "", 1, MSG_NOSIGNAL);
	timer_set(run->look_timer, LOOK_INTERVAL);
}

static bool is_over(uint64_t used, uint64_t limit)
{
	return limit > 0 && used > limit;
}

static void run_judge(struct sandbox_run *run, const struct sandbox_usage *usage)
{
	const uint64_t disk = usage->disk > run->disk_before ? usage->disk - run->disk_before : 0;

	if (is_over(disk, run->limits.disk))
		run_kill(run, SANDBOX_DISK_FULL);
	else if (is_over(usage->memory, run->limits.memory))
		run_kill(run, SANDBOX_NO_MEMORY);
	else if (run->limits.processes > 0 &&
		 usage->processes > run->limits.processes + OWN_PROCESSES)
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
	const struct pidref *root = child_pidref(run->child);
	struct sandbox_look *look = xcalloc(1, sizeof(*look));

	look->root = *root;
	look->root.fd = -1;
	look->directories = copy_list(run->directories);
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
	if (run->limits.disk == 0)
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
	    (p.ppid != child_pidref(run->child)->pid && !run->child_is_over)) {
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

	while ((n = read(run->status_fd, bytes, sizeof(bytes))) > 0)
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

/* The descriptors of enum sandbox_fd, -1 where there is none. */
struct descriptors {
	int fds[SANDBOX_FD_END_ - SANDBOX_FD_GO];
};

static struct descriptors descriptors_none(void)
{
	struct descriptors d;

	for (size_t i = 0; i < ARRAY_SIZE(d.fds); i++)
		d.fds[i] = -1;
	return d;
}

static void descriptors_done(struct descriptors *d)
{
	for (size_t i = 0; i < ARRAY_SIZE(d->fds); i++)
		closep(&d->fds[i]);
}

static int *descriptor(struct descriptors *d, enum sandbox_fd which)
{
	return &d->fds[which - SANDBOX_FD_GO];
}

static int make_file(const void *bytes, size_t len)
{
	scoped(closep) int fd = memfd_create("sandbox", MFD_CLOEXEC);

	if (fd < 0)
		return -errno;
	for (size_t done = 0; done < len;) {
		const ssize_t n = write(fd, (const char *)bytes + done, len - done);

		if (n < 0)
			return -errno;
		done += (size_t)n;
	}
	if (lseek(fd, 0, SEEK_SET) < 0)
		return -errno;
	return STEAL_FD(fd);
}

static int put_text(struct descriptors *d, enum sandbox_fd which, const char *text)
{
	return *descriptor(d, which) = make_file(text, strlen(text));
}

static int put_go(struct sandbox_run *run, struct descriptors *d)
{
	int ends[2];

	if (socketpair(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC, 0, ends) < 0)
		return -errno;
	run->go = ends[0];
	*descriptor(d, SANDBOX_FD_GO) = ends[1];
	return 0;
}

static int put_status(struct sandbox_run *run, struct descriptors *d)
{
	int ends[2];

	if (pipe2(ends, O_CLOEXEC) < 0)
		return -errno;
	(void)fcntl(ends[0], F_SETFL, O_NONBLOCK);
	run->status_fd = ends[0];
	*descriptor(d, SANDBOX_FD_STATUS) = ends[1];
	return 0;
}

static int put_isolation(struct sandbox_run *run, const struct sandbox_request *request,
			 struct descriptors *d)
{
	scoped(strbuf_done) struct strbuf args = strbuf_init(ARGS_MAX);
	int r;

	sandbox_args(&args, &run->sandbox->host, request);
	if (args.error)
		return args.error;
	r = *descriptor(d, SANDBOX_FD_ARGS) = make_file(args.data, args.len);
	if (r >= 0)
		r = put_status(run, d);
	if (r >= 0)
		r = *descriptor(d, SANDBOX_FD_SECCOMP) = seccomp_filter();
	if (r >= 0)
		r = put_text(d, SANDBOX_FD_PASSWD, sandbox_passwd);
	if (r >= 0)
		r = put_text(d, SANDBOX_FD_GROUP, sandbox_group);
	return r >= 0 ? put_text(d, SANDBOX_FD_HOSTS, sandbox_hosts) : r;
}

/* Its own environment is bare: what bwrap itself gets can be read inside. */
static int run_spawn_isolated(struct sandbox_run *run, const struct sandbox_request *request,
			      struct fault *reterr)
{
	static const char *const bare[] = { "PATH=/usr/local/bin:/usr/bin:/bin", NULL };
	scoped(strv_freep) char **command =
		sandbox_command(&run->sandbox->host, request, &run->limits, true);
	scoped(descriptors_done) struct descriptors d = descriptors_none();
	int r = put_go(run, &d);

	if (r >= 0)
		r = put_isolation(run, request, &d);
	if (r < 0)
		return fault_set(reterr, FAULT_INTERNAL, "could not make the sandbox ready: %s",
				 strerror(-r));
	return child_spawn(run->sandbox->deps.loop,
			   &(struct spawn_request){
				   .argv = (const char *const *)command,
				   .environ_ = bare,
				   .cwd = "/",
				   .cgroup = run->cgroup,
				   .fds = d.fds,
				   .n_fds = ARRAY_SIZE(d.fds),
			   },
			   &child_ops, run, &run->child, reterr);
}

static int run_spawn_bare(struct sandbox_run *run, const struct sandbox_request *request,
			  struct fault *reterr)
{
	scoped(strv_freep) char **command =
		sandbox_command(&run->sandbox->host, request, &run->limits, false);
	scoped(strv_freep) char **environ_ = sandbox_environ(request, run->mark);
	scoped(freep) char *cwd = request->cwd ? xasprintf("%s/%s", request->workdir, request->cwd)
					       : xstrdup(request->workdir);
	scoped(descriptors_done) struct descriptors d = descriptors_none();
	int r = put_go(run, &d);

	if (r < 0)
		return fault_set(reterr, FAULT_INTERNAL, "could not make the build ready: %s",
				 strerror(-r));
	return child_spawn(run->sandbox->deps.loop,
			   &(struct spawn_request){
				   .argv = (const char *const *)command,
				   .environ_ = (const char *const *)environ_,
				   .cwd = cwd,
				   .cgroup = run->cgroup,
				   .fds = d.fds,
				   .n_fds = 1, /* SANDBOX_FD_GO */
			   },
			   &child_ops, run, &run->child, reterr);
}

static void run_make_cgroup(struct sandbox_run *run)
{
	struct cgroups *cgroups = run->sandbox->deps.cgroups;
	scoped(freep) char *name = NULL;
	char number[17];
	int r;

	if (!cgroups)
		return;
	random_hex(number, sizeof(number) / 2);
	name = xasprintf("build-%s", number);
	r = cgroup_make(cgroups, name, &run->cgroup);
	if (r < 0) {
		log_warning_errno(r, "could not make a group for a build, going on without it");
		return;
	}
	run->held = cgroup_limit(
		cgroups, run->cgroup,
		&(struct cgroup_limits){
			.memory = run->limits.memory,
			.processes =
				run->limits.processes ? run->limits.processes + OWN_PROCESSES : 0,
		});
	/* Then a process has all of it, and nobody need look. */
	if (run->held & CGROUP_HOLDS_MEMORY)
		run->limits.memory = 0;
}

static void run_make_mark(struct sandbox_run *run)
{
	char mark[33];

	random_hex(mark, sizeof(mark) / 2);
	run->mark = xstrdup(mark);
}

static int run_spawn(struct sandbox_run *run, const struct sandbox_request *request,
		     struct fault *reterr)
{
	int r;

	run_make_cgroup(run);
	if (run->is_isolated) {
		r = run_spawn_isolated(run, request, reterr);
	} else {
		run_make_mark(run);
		r = run_spawn_bare(run, request, reterr);
	}
	if (r < 0 && run->cgroup)
		(void)!cgroup_remove(run->cgroup);
	return r;
}

/* It is spawned: now it is watched, and then told to go. */
static void run_watch(struct sandbox_run *run, const struct sandbox_request *request)
{
	struct loop *loop = run->sandbox->deps.loop;

	if (run->status_fd >= 0) {
		run->status_event = event_new(loop_base(loop), run->status_fd, EV_READ | EV_PERSIST,
					      on_status, run);
		event_add(run->status_event, NULL);
	}
	run->wall = timer_new(loop, on_wall, run);
	run->look_timer = timer_new(loop, on_look_timer, run);
	run->patience = timer_new(loop, on_patience_over, run);
	if (run->limits.wall > 0)
		timer_set(run->wall, run->limits.wall);
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
	run = run_new(s, request, ops, arg);
	run->is_isolated = is_isolated;
	r = run_spawn(run, request, reterr);
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
	return run->is_isolated;
}
