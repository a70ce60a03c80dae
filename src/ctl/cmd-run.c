/* SPDX-License-Identifier: MIT */
/*
 * Runs a command in the foreground and attaches the server that it is.  The command has the
 * terminal, the standard output and the exit code; what previewctl has to say goes to the standard
 * error.  It is registered as a task before it begins, so that the daemon can end it when its
 * preview goes, and nothing begins that the daemon would not have.
 */
#include <errno.h>
#include <limits.h>
#include <signal.h>
#include <string.h>
#include <unistd.h>

#include "base/ids.h"
#include "base/json.h"
#include "base/mem.h"
#include "base/parse.h"
#include "ctl/client.h"
#include "ctl/commands.h"
#include "ctl/ctl.h"
#include "ctl/foreground.h"
#include "ctl/launch.h"
#include "ctl/output.h"
#include "ctl/portfinder.h"
#include "ctl/scope.h"
#include "loop/jobs.h"
#include "loop/loop.h"

#define LOOK_FIRST     (100 * USEC_PER_MSEC)
#define LOOK_EVERY     (250 * USEC_PER_MSEC)
#define LOOK_SELDOM    (2 * USEC_PER_SEC)
#define SELDOM_AFTER   (120 * USEC_PER_SEC)
#define PAGE_PATIENCE  (10 * USEC_PER_SEC) /* then what answers with no page is what there is */
#define ATTACH_TIMEOUT (60 * USEC_PER_SEC)
#define ATTACH_TRIES   3
#define TASK_ID_LENGTH 12
#define GRACE          (5 * USEC_PER_SEC)

enum { NAME, PORT, PATH, NO_FOCUS };

/* clang-format off */
static const struct ctl_option options[] = {
	[NAME] = { "name", 'n', CTL_NAME, "NAME", .help =
		"The preview's name in its session; \"default\" without it. One of that name is replaced." },
	[PORT] = { "port", 0, CTL_UINT, "PORT", 1, 65535, .help =
		"Attach this port and no other that the command listens on." },
	[PATH] = { "path", 'p', CTL_TEXT, "PATH", .help = "Where the preview opens, such as /admin." },
	[NO_FOCUS] = { "no-focus", 0, CTL_FLAG, .help = "Don't bring the preview to the front." },
	CTL_OPTIONS_END,
};
/* clang-format on */

struct run {
	struct ctl *ctl;
	struct foreground *command;
	char *previews; /* the collection's path */
	char *task_id;
	char *mark;
	const char *name;
	unsigned port;  /* this and no other; 0: any */
	bool is_remote; /* the daemon can't see our processes */

	struct loop *loop;
	struct jobs *jobs;
	struct timer *look;
	struct timer *grace;
	struct job *job;
	usec_t began_at;
	usec_t answered_at; /* something without a page did, first; 0: never */
	bool attached, attached_page;
	unsigned n_tries;
	unsigned n_signals;

	/* of the job that looks or attaches, and of nobody else meanwhile */
	struct found_server found;
	struct problem problem;
	cJSON *answer;
};

/*
 * Before and after.
 */

/* The group is named after the task, and the daemon looks for it when the task is registered. */
static void make_group(struct run *run)
{
	char id[TASK_ID_LENGTH + 1];
	char *cgroup;

	random_label(id, TASK_ID_LENGTH);
	run->task_id = xstrdup(id);
	if (scope_make(foreground_pid(run->command), id, &cgroup) >= 0)
		foreground_set_cgroup(run->command, cgroup);
}

static int register_task(struct run *run, struct problem *reterr)
{
	scoped(freep) char *path = ctl_path(run->ctl, "/tasks", NULL, reterr);
	scoped(json_freep) cJSON *body = cJSON_CreateObject();
	scoped(json_freep) cJSON *task = NULL;
	struct client *client = ctl_client(run->ctl, reterr);
	scoped(freep) char *remote = client ? client_address(client, "/") : NULL;

	if (!path || !client)
		return -1;
	json_add_string(body, "task_id", run->task_id);
	/* Another machine's daemon can end nothing here: it has the id, to name it by. */
	if (remote) {
		run->is_remote = true;
	} else {
		json_add_u64(body, "pid", (uint64_t)foreground_pid(run->command));
		cJSON_AddTrueToObject(body, "subreaper");
	}
	if (run->port > 0)
		json_add_u64(body, "port", run->port);
	if (ctl_call(run->ctl, "POST", path, body, &task, reterr) < 0)
		return -1;
	run->mark = xstrdup_null(json_string(task, "mark"));
	return 0;
}

static int begin(struct run *run, struct problem *reterr)
{
	scoped(freep) char *task = xasprintf("PREVIEWD_TASK_ID=%s", run->task_id);
	scoped(freep) char *session =
		xasprintf("PREVIEWD_SESSION_ID=%s", ctl_session(run->ctl, NULL));
	scoped(freep) char *app = xasprintf("PREVIEWD_APP_ID=%s", ctl_app(run->ctl, NULL));
	scoped(freep) char *mark = run->mark ? xasprintf("PREVIEWD_TASK_MARK=%s", run->mark) : NULL;
	const char *const variables[] = { task, session, app, mark, NULL };

	if (foreground_begin(run->command, variables) < 0)
		return problem_set(reterr, EXIT_FAILED, "internal_error",
				   "the command did not begin");
	return 0;
}

/* What stands under our name may be somebody else's by now. */
static void detach(struct run *run)
{
	scoped(problem_done) struct problem problem = { 0 };
	scoped(freep) char *path = xasprintf("%s/%s", run->previews, run->name);
	scoped(json_freep) cJSON *preview = NULL;
	const char *task;

	if (ctl_call(run->ctl, "GET", path, NULL, &preview, &problem) < 0)
		return; /* gone already, with the task; or the daemon is */
	task = json_string(preview, "bash_task_id");
	if (!task || strcmp(task, run->task_id) != 0)
		return;
	if (ctl_call(run->ctl, "DELETE", path, NULL, NULL, &problem) < 0)
		ctl_warn(run->ctl, "it could not be detached: %s", problem.message);
}

/* Who finds the command gone, and did nothing to it, is told. */
static void tell_why(struct run *run)
{
	static const struct {
		const char *reason, *sentence;
	} known[] = {
		{ "detach", "it was detached" },
		{ "replaced", "another server was attached as its preview" },
		{ "idle", "nobody used its preview" },
		{ "session_end", "its session ended" },
	};
	scoped(problem_done) struct problem problem = { 0 };
	scoped(freep) char *path = ctl_path(run->ctl, "/tasks", run->task_id, &problem);
	scoped(json_freep) cJSON *task = NULL;
	const char *reason;

	if (!path || ctl_call(run->ctl, "GET", path, NULL, &task, &problem) < 0)
		return;
	reason = json_string(task, "end_reason");
	for (size_t i = 0; reason && i < ARRAY_SIZE(known); i++)
		if (strcmp(known[i].reason, reason) == 0)
			ctl_warn(run->ctl, "previewd ended it: %s", known[i].sentence);
}

/* A daemon that can't see it has to be told. */
static void tell_ended(struct run *run)
{
	scoped(problem_done) struct problem problem = { 0 };
	scoped(freep) char *path = ctl_path(run->ctl, "/tasks", run->task_id, &problem);

	if (!path || ctl_call(run->ctl, "DELETE", path, NULL, NULL, &problem) < 0)
		ctl_warn(run->ctl, "the task's end could not be told: %s", problem.message);
}

/*
 * Attaching.
 */
static cJSON *attach_body(const struct run *run)
{
	cJSON *body = cJSON_CreateObject();

	json_add_u64(body, "port", run->found.port);
	json_add_string(body, "host", run->found.host);
	json_add_string(body, "scheme", run->found.tls ? "https" : "http");
	json_add_string(body, "name", run->name);
	json_add_string(body, "bash_task_id", run->task_id);
	if (ctl_given(run->ctl, PATH))
		json_add_string(body, "path", run->ctl->values[PATH].text);
	if (ctl_given(run->ctl, NO_FOCUS))
		cJSON_AddFalseToObject(body, "focus");
	return body;
}

static int attach_work(void *arg)
{
	struct run *run = arg;
	scoped(json_freep) cJSON *body = attach_body(run);

	problem_done(&run->problem);
	run->answer = json_free(run->answer);
	return ctl_call_within(run->ctl, ATTACH_TIMEOUT, "POST", run->previews, body, &run->answer,
			       &run->problem);
}

static void look_in(struct run *run, usec_t after)
{
	if (!foreground_has_ended(run->command))
		timer_set(run->look, after);
}

static void tell_attached(const struct run *run)
{
	const char *url = json_string(run->answer, "url");
	const cJSON *warning;

	if (run->ctl->common[CTL_JSON].text) {
		scoped(freep) char *text = json_print(run->answer);

		fprintf(run->ctl->err, "%s\n", text);
	} else if (url) {
		scoped(freep) char *shown = printable(url);

		fprintf(run->ctl->err, "previewctl: %s\n", shown);
	}
	fflush(run->ctl->err);
	cJSON_ArrayForEach(warning, cJSON_GetObjectItemCaseSensitive(run->answer, "warnings"))
	{
		const char *detail = json_string(warning, "detail");

		if (detail)
			ctl_warn(run->ctl, "%s", detail);
	}
}

static void on_attached(int result, void *arg)
{
	struct run *run = arg;

	run->job = NULL;
	if (result >= 0) {
		run->attached = true;
		run->attached_page = run->found.is_page;
		tell_attached(run);
		if (!run->attached_page)
			look_in(run, LOOK_SELDOM);
		return;
	}
	if (foreground_has_ended(run->command))
		return;
	if (++run->n_tries < ATTACH_TRIES && strncmp(run->problem.code, "target_", 7) == 0) {
		look_in(run, LOOK_EVERY);
		return;
	}
	ctl_warn(run->ctl, "it could not be attached: %s", run->problem.message);
	if (run->problem.hint)
		ctl_warn(run->ctl, "%s", run->problem.hint);
}

static int look_work(void *arg)
{
	struct run *run = arg;
	const char *path = ctl_given(run->ctl, PATH) ? run->ctl->values[PATH].text : "/";

	return server_find(getpid(), (uint16_t)run->port, path, &run->found);
}

/* A page is attached at once; something else when no page comes in its time, or the port was said.
 */
static bool is_it(struct run *run)
{
	const usec_t now = clock_monotonic();

	if (run->found.is_page)
		return true;
	if (run->attached)
		return false;
	if (run->answered_at == 0)
		run->answered_at = now;
	return run->port > 0 || now - run->answered_at >= PAGE_PATIENCE;
}

static void no_input(void *input)
{
	(void)input; /* the run outlives its jobs */
}

static void on_looked(int result, void *arg)
{
	struct run *run = arg;
	usec_t age = clock_monotonic() - run->began_at;

	run->job = NULL;
	if (foreground_has_ended(run->command))
		return;
	if (result < 0) {
		ctl_warn(run->ctl, "its port can't be seen here (%s): attach it by hand",
			 strerror(-result));
		return;
	}
	if (result > 0 && is_it(run))
		run->job = job_start(run->jobs, attach_work, run, no_input, on_attached, run);
	if (!run->job)
		look_in(run, age < SELDOM_AFTER && !run->attached ? LOOK_EVERY : LOOK_SELDOM);
}

static void look(void *arg)
{
	struct run *run = arg;

	run->job = job_start(run->jobs, look_work, run, no_input, on_looked, run);
	if (!run->job)
		look_in(run, LOOK_EVERY);
}

/*
 * The end.
 */
static void on_grace(void *arg)
{
	struct run *run = arg;

	foreground_signal(run->command, SIGKILL);
	timer_set(run->grace, LOOK_EVERY); /* what was born meanwhile */
}

static void end_tree(struct run *run)
{
	timer_cancel(run->look);
	if (timer_is_set(run->grace))
		return;
	foreground_signal(run->command, SIGTERM);
	timer_set(run->grace, GRACE);
}

static void on_child(int signo, void *arg)
{
	struct run *run = arg;

	(void)signo;
	if (foreground_reap(run->command) == 0)
		loop_stop(run->loop);
	else if (foreground_has_ended(run->command))
		end_tree(run);
}

/* The first asks, the second doesn't. */
static void on_signal(int signo, void *arg)
{
	struct run *run = arg;

	(void)signo;
	if (++run->n_signals == 1)
		end_tree(run);
	else
		foreground_signal(run->command, SIGKILL);
}

static int take_signals(struct run *run)
{
	static const int signals[] = { SIGINT, SIGTERM, SIGHUP, SIGQUIT };
	int r = loop_on_signal(run->loop, SIGCHLD, on_child, run);

	for (size_t i = 0; r >= 0 && i < ARRAY_SIZE(signals); i++) {
		struct sigaction before;

		if (sigaction(signals[i], NULL, &before) == 0 && before.sa_handler == SIG_IGN)
			continue; /* nohup(1) */
		r = loop_on_signal(run->loop, signals[i], on_signal, run);
	}
	return r;
}

static void run_done(struct run *run)
{
	jobs_free(run->jobs); /* waits for the one that runs: it uses all of this */
	timer_free(run->look);
	timer_free(run->grace);
	loop_free(run->loop);
	foreground_free(run->command);
	problem_done(&run->problem);
	json_free(run->answer);
	free(run->previews);
	free(run->task_id);
	free(run->mark);
}

static int supervise(struct run *run, struct problem *reterr)
{
	int r;

	run->loop = loop_new();
	run->jobs = jobs_new(run->loop, 1, 4);
	run->look = timer_new(run->loop, look, run);
	run->grace = timer_new(run->loop, on_grace, run);
	run->began_at = clock_monotonic();
	r = take_signals(run);
	if (r < 0)
		return problem_set(reterr, EXIT_FAILED, "internal_error", "signals: %s",
				   strerror(-r));
	if (begin(run, reterr) < 0)
		return -1;
	timer_set(run->look, LOOK_FIRST);
	on_child(SIGCHLD, run); /* it may have ended before we listened */
	loop_run(run->loop);
	run->jobs = jobs_free(run->jobs);
	return 0;
}

/*
 * What to run.
 */
static void set_port(char ***env, unsigned port)
{
	size_t n = strv_len(*env);

	*env = xrealloc(*env, (n + 2) * sizeof(**env));
	(*env)[n] = xasprintf("PORT=%u", port);
	(*env)[n + 1] = NULL;
}

/* One that is free now; who takes it meanwhile makes the program say so. */
static int check_port(struct launch *l, struct problem *reterr)
{
	unsigned free = port_if_free(l->port);

	if (l->picks_port) {
		set_port(&l->env, free > 0 ? free : port_if_free(0));
		l->port = 0;
		return 0;
	}
	if (l->port == 0 || free > 0)
		return 0;
	problem_set(reterr, EXIT_CONFLICT, "port_taken",
		    "something listens already on port %u of the configuration '%s'", l->port,
		    l->name ? l->name : "?");
	problem_hint(reterr, "end it, or set \"autoPort\": true where the program takes PORT");
	return -1;
}

/* Our own directory and environment are the command's. */
static int go_there(const struct launch *l, struct problem *reterr)
{
	for (char **variable = l->env; *variable; variable++) {
		scoped(freep) char *name = xstrndup(*variable, strcspn(*variable, "="));

		setenv(name, *variable + strlen(name) + 1, 1);
	}
	if (chdir(l->cwd) == 0)
		return 0;
	return problem_set(reterr, EXIT_FAILED, "launch", "%s: %s", l->cwd, strerror(errno));
}

/*
 * A single word is a configuration's name where there is one of that name; behind "--" it's always
 * a command.  1: `ret` is to be run; 0: the arguments are.
 */
static int choose(struct ctl *ctl, struct launch *ret, struct problem *reterr)
{
	scoped(launch_file_done) struct launch_file file = { 0 };
	scoped(freep) char *here = getcwd(NULL, 0);
	bool may_be_command = ctl->n_args > 0;
	int r;

	if (ctl->n_args > 1 || (may_be_command && strcmp(ctl->args[-1], "--") == 0))
		return 0;
	r = here ? launch_find(here, &file, reterr) : 0;
	if (r > 0)
		r = launch_choose(&file, may_be_command ? ctl->args[0] : NULL, ret, reterr);
	if (r > 0) {
		if (ctl_given(ctl, PORT))
			ret->port = ctl->values[PORT].number;
		r = check_port(ret, reterr);
		return r < 0 ? r : 1;
	}
	if (r < 0 && may_be_command && !ret->argv) {
		ctl_warn(ctl, "%s", reterr->message);
		problem_done(reterr);
		return 0;
	}
	if (r == 0 && !may_be_command) {
		problem_set(reterr, EXIT_USAGE, "usage",
			    "run wants a command, or a .claude/launch.json here or above");
		problem_hint(reterr, "`previewctl help run` tells more");
		return -1;
	}
	return r;
}

static int run_command(struct ctl *ctl)
{
	scoped(problem_done) struct problem problem = { 0 };
	scoped(launch_done) struct launch launch = { 0 };
	scoped(run_done) struct run run = { .ctl = ctl, .name = "default" };
	int chosen = choose(ctl, &launch, &problem);

	if (chosen < 0)
		return ctl_fail(ctl, &problem);
	if (ctl_given(ctl, NAME))
		run.name = ctl->values[NAME].text;
	else if (launch.name && name_is_valid(launch.name))
		run.name = launch.name;
	run.port = chosen > 0 ? launch.port : ctl_given(ctl, PORT) ? ctl->values[PORT].number : 0;
	run.previews = ctl_path(ctl, "/previews", NULL, &problem);
	if (!run.previews || ctl_call(ctl, "GET", "/readyz", NULL, NULL, &problem) < 0)
		return ctl_fail(ctl, &problem);
	ctl->client = client_free(ctl->client); /* its connection is nothing for the command */

	if ((chosen > 0 && go_there(&launch, &problem) < 0) ||
	    foreground_new(chosen > 0 ? launch.argv : ctl->args, &run.command, &problem) < 0)
		return ctl_fail(ctl, &problem);
	make_group(&run);
	if (register_task(&run, &problem) < 0 || supervise(&run, &problem) < 0)
		return ctl_fail(ctl, &problem);
	if (run.n_signals == 0)
		tell_why(&run);
	if (run.attached)
		detach(&run);
	if (run.is_remote)
		tell_ended(&run);
	return foreground_exit_code(run.command);
}

const struct ctl_command cmd_run = {
	.name = "run",
	.args = "[NAME | COMMAND...]",
	.most_args = INT_MAX,
	.arg_type = CTL_COMMAND,
	.options = options,
	.summary = "Run a server in the foreground, with its preview attached.",
	.help = "The command has the terminal and the standard output. When one of its processes "
		"listens on a port and answers with a page, that is attached and its address "
		"printed on the standard error.\n\n"
		"When the command ends, what it left running is ended, too, the preview is "
		"detached, and the exit code is the command's: 128 and the signal where one ended "
		"it. When the preview is detached, the command is ended.\n\n"
		"Where a systemd of the user's is running, the command has a scope of its own "
		"there, "
		"previewd-run-TASK.scope, and what is ended is ended by that.\n\n"
		"NAME is a configuration of the project's .claude/launch.json, here or in a folder "
		"above; it may be left out where there is only one, and the preview has its name. "
		"What is behind -- is always a command. Options go before either: what is behind "
		"its first word is the command's.\n\n"
		"The daemon must be running: without it nothing is begun.",
	.exec = run_command,
};
