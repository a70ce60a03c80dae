/* SPDX-License-Identifier: MIT */
/*
 * Starting a command as a task: its environment, its group, its process.
 *
 * The environment is clean: of the daemon's own it has what a login gives, and nothing that was
 * meant for the daemon.
 */
#include <fcntl.h>
#include <stdio.h>
#include <string.h>

#include "base/log.h"
#include "base/mem.h"
#include "tasks/tasks_priv.h"

LOG_AREA("tasks");

#define DEFAULT_PATH "/usr/local/bin:/usr/bin:/bin"

/* name, and what it is where the daemon has none (NULL: left out) */
static const struct {
	const char *name, *otherwise;
} inherited[] = {
	/* clang-format off */
	{ "PATH",            DEFAULT_PATH },
	{ "HOME",            "/" },
	{ "TERM",            "dumb" },
	{ "LANG",            "C.UTF-8" },
	{ "LC_ALL",          NULL },
	{ "TZ",              NULL },
	{ "USER",            NULL },
	{ "LOGNAME",         NULL },
	{ "SHELL",           NULL },
	{ "TMPDIR",          NULL },
	{ "XDG_RUNTIME_DIR", NULL },
	/* clang-format on */
};

/* By these a task's processes are known. */
#define MARK_VARIABLE "PREVIEWD_TASK_MARK"

static bool is_ours(const char *name)
{
	return strcmp(name, "PREVIEWD_TASK_ID") == 0 || strcmp(name, "PREVIEWD_SESSION_ID") == 0 ||
	       strcmp(name, "PREVIEWD_APP_ID") == 0 || strcmp(name, MARK_VARIABLE) == 0;
}

static bool is_variable_name(const char *name)
{
	static const char letters[] = "ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz_";

	return name[0] && strchr(letters, name[0]) &&
	       strspn(name, "ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz_0123456789") ==
		       strlen(name);
}

int task_env_check(const cJSON *env, struct fault *reterr)
{
	const cJSON *value;

	cJSON_ArrayForEach(value, env)
	{
		if (!is_variable_name(value->string))
			return fault_field(reterr, "env", "'%.64s' is no name of a variable",
					   value->string);
		if (is_ours(value->string))
			return fault_field(reterr, "env", "%s is previewd's to set", value->string);
		if (!cJSON_IsString(value))
			return fault_field(reterr, "env", "the value of %s must be a string",
					   value->string);
	}
	return 0;
}

static void env_add(char **list, size_t *n, const char *name, const char *value)
{
	list[(*n)++] = xasprintf("%s=%s", name, value);
}

static char **environment_of(const struct task *t, const cJSON *env)
{
	const size_t n_own = 5;
	size_t n_given = env ? (size_t)cJSON_GetArraySize(env) : 0;
	char **list = xcalloc(ARRAY_SIZE(inherited) + n_given + n_own + 1, sizeof(*list));
	const cJSON *variable;
	size_t n = 0;

	for (size_t i = 0; i < ARRAY_SIZE(inherited); i++) {
		const char *value = getenv(inherited[i].name);

		if (!value)
			value = inherited[i].otherwise;
		if (value && !cJSON_HasObjectItem(env, inherited[i].name))
			env_add(list, &n, inherited[i].name, value);
	}
	if (t->port > 0 && !cJSON_HasObjectItem(env, "PORT")) {
		char port[8];

		snprintf(port, sizeof(port), "%u", t->port);
		env_add(list, &n, "PORT", port);
	}
	cJSON_ArrayForEach(variable, env)
		env_add(list, &n, variable->string, variable->valuestring);
	env_add(list, &n, "PREVIEWD_APP_ID", t->app_id);
	env_add(list, &n, "PREVIEWD_SESSION_ID", t->session_id);
	env_add(list, &n, "PREVIEWD_TASK_ID", t->task_id);
	env_add(list, &n, MARK_VARIABLE, t->mark);
	return list;
}

static void on_output(struct child *c, const char *bytes, size_t len, void *arg)
{
	struct task *t = arg;

	(void)c;
	textlog_add(&t->log, t->tasks->settings->tasks_log_size, bytes, len);
}

static void on_exit_of_child(struct child *c, int code, int signo, void *arg)
{
	struct task *t = arg;

	(void)c;
	t->exit_code = signo > 0 ? -1 : code;
	t->signal = signo;
	task_root_ended(t);
	if (t->state == TASK_ENDED) {
		task_save(t); /* it was killed, and this is how it went */
		task_let_go(t);
	}
}

/* A group makes the kill exact; a task goes without where there is none to be had. */
static void make_cgroup(struct task *t)
{
	int r;

	if (!t->tasks->deps.cgroups)
		return;
	r = cgroup_make(t->tasks->deps.cgroups, t->mark, &t->cgroup);
	if (r < 0)
		log_warning_errno(r, "session '%s': task '%s': no cgroup, going on without",
				  t->session_id, t->task_id);
}

static const struct child_ops ops = {
	.on_output = on_output,
	.on_exit = on_exit_of_child,
};

int task_spawn(struct task *t, const cJSON *env, struct fault *reterr)
{
	scoped(strv_freep) char **environment = environment_of(t, env);
	struct spawn_request request;
	const struct pidref *child;
	int r;

	make_cgroup(t);
	request = (struct spawn_request){
		.argv = (const char *const *)t->command,
		.environ_ = (const char *const *)environment,
		.cwd = t->cwd,
		.cgroup = t->cgroup,
		.output_outlives_us = true,
	};
	r = child_spawn(t->tasks->deps.loop, &request, &ops, t, &t->child, reterr);
	if (r < 0) {
		if (t->cgroup && cgroup_remove(t->cgroup) < 0)
			log_debug("an empty cgroup stays: %s", t->cgroup);
		return r;
	}

	/* It may have ended already: then its exit is told in the loop's next step. */
	child = child_pidref(t->child);
	t->root = (struct pidref){ child->pid, -1, child->start_time };
	if (child->fd >= 0)
		t->root.fd = fcntl(child->fd, F_DUPFD_CLOEXEC, 3);
	return 0;
}

/* One that an earlier run of the daemon started: its output is read on. */
int task_adopt(struct task *t)
{
	return child_adopt(t->tasks->deps.loop, &t->root, &ops, t, &t->child);
}
