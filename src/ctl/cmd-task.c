/* SPDX-License-Identifier: MIT */
/*
 * Background tasks of the session: start one, see them, read what they print, end them.
 */
#include <limits.h>
#include <string.h>

#include "base/json.h"
#include "base/mem.h"
#include "ctl/client.h"
#include "ctl/commands.h"
#include "ctl/ctl.h"
#include "ctl/logtext.h"
#include "ctl/output.h"

/* The daemon gives processes a grace before it kills them. */
#define END_TIMEOUT (3600 * USEC_PER_SEC)

enum { ID, CWD, PORT };

/* clang-format off */
static const struct ctl_option start_options[] = {
	[ID] = { "id", 0, CTL_ID, "ID", .help = "The task's id in its session; one is made without it." },
	[CWD] = { "cwd", 0, CTL_FILE, "DIR", .help =
		"Where to start it, absolute; without it in the session's directory." },
	[PORT] = { "port", 0, CTL_UINT, "PORT", 1, 65535, .help =
		"The port that it is to listen on, given to it as PORT." },
	CTL_OPTIONS_END,
};
/* clang-format on */

static int task_start(struct ctl *ctl)
{
	scoped(problem_done) struct problem problem = { 0 };
	scoped(freep) char *path = ctl_path(ctl, "/tasks", NULL, &problem);
	scoped(json_freep) cJSON *body = cJSON_CreateObject();
	scoped(json_freep) cJSON *task = NULL;

	cJSON_AddItemToObject(body, "command",
			      cJSON_CreateStringArray((const char *const *)ctl->args, ctl->n_args));
	if (ctl_given(ctl, ID))
		json_add_string(body, "task_id", ctl->values[ID].text);
	if (ctl_given(ctl, CWD))
		json_add_string(body, "cwd", ctl->values[CWD].text);
	if (ctl_given(ctl, PORT))
		json_add_u64(body, "port", ctl->values[PORT].number);
	if (!path || ctl_call(ctl, "POST", path, body, &task, &problem) < 0)
		return ctl_fail(ctl, &problem);
	if (ctl->common[CTL_JSON].text)
		output_json(ctl, task);
	else if (json_string(task, "task_id"))
		fprintf(ctl->out, "%s\n", json_string(task, "task_id"));
	return EXIT_OK;
}

const struct ctl_command cmd_task_start = {
	.name = "task start",
	.args = "COMMAND...",
	.least_args = 1,
	.most_args = INT_MAX,
	.arg_type = CTL_COMMAND,
	.options = start_options,
	.summary = "Start a command as a background task of the session.",
	.help = "The daemon runs it with a clean environment and keeps the last of its output. "
		"Prints the task's id.",
	.exec = task_start,
};

static void add_number(struct table *t, const cJSON *task, const char *member)
{
	const cJSON *j = cJSON_GetObjectItemCaseSensitive(task, member);
	char text[32] = "";

	if (cJSON_IsNumber(j))
		snprintf(text, sizeof(text), "%.0f", j->valuedouble);
	table_add(t, text);
}

static void add_command(struct table *t, const cJSON *task)
{
	const cJSON *command = cJSON_GetObjectItemCaseSensitive(task, "command");
	scoped(freep) char *text = cJSON_IsArray(command) ? json_print(command) : NULL;

	table_add(t, text);
}

static int task_ls(struct ctl *ctl)
{
	static const char *const titles[] = { "TASK", "KIND",   "STATE",   "PID",
					      "EXIT", "SIGNAL", "COMMAND", NULL };
	scoped(problem_done) struct problem problem = { 0 };
	scoped(freep) char *path = ctl_path(ctl, "/tasks", NULL, &problem);
	scoped(table_freep) struct table *t = table_new(titles);
	scoped(json_freep) cJSON *answer = NULL;
	const cJSON *task;

	if (!path || ctl_call(ctl, "GET", path, NULL, &answer, &problem) < 0)
		return ctl_fail(ctl, &problem);
	if (ctl->common[CTL_JSON].text) {
		output_json(ctl, answer);
		return EXIT_OK;
	}
	cJSON_ArrayForEach(task, cJSON_GetObjectItemCaseSensitive(answer, "tasks"))
	{
		table_add(t, json_string(task, "task_id"));
		table_add(t, json_string(task, "kind"));
		table_add(t, json_string(task, "state"));
		add_number(t, task, "pid");
		add_number(t, task, "exit_code");
		table_add(t, json_string(task, "signal"));
		add_command(t, task);
	}
	table_print(t, ctl->out, ctl->tty, ctl->color);
	return EXIT_OK;
}

const struct ctl_command cmd_task_ls = {
	.name = "task ls",
	.summary = "List the session's tasks.",
	.help = "Those that ended a while ago are among them.",
	.exec = task_ls,
};

enum { FOLLOW, RAW };

/* clang-format off */
static const struct ctl_option log_options[] = {
	[FOLLOW] = { "follow", 'f', CTL_FLAG, .help = "Go on until the task ends." },
	[RAW] = { "raw", 0, CTL_FLAG, .help =
		"On a terminal, too, all that it printed: also what moves the cursor or sets titles." },
	CTL_OPTIONS_END,
};
/* clang-format on */

/* As it is, unless it would drive somebody's terminal. */
static int copy_log(struct ctl *ctl, struct client *client, const char *path,
		    struct problem *reterr)
{
	FILE *clean;
	int r;

	if (!ctl->tty || ctl_given(ctl, RAW))
		return client_copy(client, path, ctl->out, reterr);
	clean = logtext_stream(ctl->out, ctl->color);
	if (!clean)
		return problem_set(reterr, EXIT_FAILED, "output", "out of memory");
	r = client_copy(client, path, clean, reterr);
	fclose(clean);
	return r;
}

static int task_log(struct ctl *ctl)
{
	scoped(problem_done) struct problem problem = { 0 };
	scoped(freep) char *task = ctl_path(ctl, "/tasks", ctl->args[0], &problem);
	struct client *client = task ? ctl_client(ctl, &problem) : NULL;
	scoped(freep) char *path = NULL;

	if (!client)
		return ctl_fail(ctl, &problem);
	path = xasprintf("%s/log%s", task, ctl_given(ctl, FOLLOW) ? "?follow=1" : "");
	if (copy_log(ctl, client, path, &problem) < 0)
		return ctl_fail(ctl, &problem);
	return EXIT_OK;
}

const struct ctl_command cmd_task_log = {
	.name = "task log",
	.args = "TASK",
	.least_args = 1,
	.most_args = 1,
	.arg_type = CTL_ID,
	.options = log_options,
	.summary = "Print what a task printed: the last of it.",
	.help = "On a terminal without what would drive that, but for colours.",
	.exec = task_log,
};

static int task_end(struct ctl *ctl)
{
	scoped(problem_done) struct problem problem = { 0 };
	scoped(freep) char *path = ctl_path(ctl, "/tasks", ctl->args[0], &problem);
	scoped(json_freep) cJSON *answer = NULL;
	const cJSON *left, *one;

	if (!path || ctl_call_within(ctl, END_TIMEOUT, "DELETE", path, NULL, &answer, &problem) < 0)
		return ctl_fail(ctl, &problem);
	if (ctl->common[CTL_JSON].text)
		output_json(ctl, answer);
	else if (json_string(answer, "hint") && ctl->common[CTL_VERBOSE].text)
		fprintf(ctl->err, "previewctl: %s\n", json_string(answer, "hint"));

	left = cJSON_GetObjectItemCaseSensitive(answer, "left");
	cJSON_ArrayForEach(one, left)
	{
		const cJSON *pid = cJSON_GetObjectItemCaseSensitive(one, "pid");
		const char *command = json_string(one, "command");

		ctl_warn(ctl, "process %.0f (%s) could not be ended",
			 cJSON_IsNumber(pid) ? pid->valuedouble : 0, command ? command : "");
	}
	return cJSON_GetArraySize(left) > 0 ? EXIT_FAILED : EXIT_OK;
}

const struct ctl_command cmd_task_end = {
	.name = "task end",
	.args = "TASK",
	.least_args = 1,
	.most_args = 1,
	.arg_type = CTL_ID,
	.summary = "End a task: all of its processes.",
	.help = "What does not end by itself is killed after the daemon's tasks.kill_grace. What "
		"could not be ended is told, and the exit code is then 1.",
	.exec = task_end,
};
