/* SPDX-License-Identifier: MIT */
/*
 * Builds the project and publishes what came out.  On a terminal a line says which phase it is in
 * and for how long; what the build printed is shown when it failed, or all along with --verbose.
 */
#include <errno.h>
#include <signal.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <time.h>
#include <unistd.h>

#include "base/json.h"
#include "base/mem.h"
#include "ctl/client.h"
#include "ctl/commands.h"
#include "ctl/ctl.h"
#include "ctl/logtext.h"
#include "ctl/output.h"

#define LOOK_FIRST (50 * USEC_PER_MSEC)
#define LOOK_LAST  (400 * USEC_PER_MSEC)

enum { NAME, SCRIPT, OUTPUT, NO_INSTALL, TIMEOUT, NO_WAIT, NO_FOCUS };

/* clang-format off */
static const struct ctl_option options[] = {
	[NAME] = { "name", 'n', CTL_NAME, "NAME", .help = "Its name in the session; \"published\" without it." },
	[SCRIPT] = { "script", 0, CTL_TEXT, "SCRIPT", .help = "The script of package.json that builds it." },
	[OUTPUT] = { "output", 0, CTL_FILE, "DIR", .help = "Where the build puts its files, relative to the project." },
	[NO_INSTALL] = { "no-install", 0, CTL_FLAG, .help = "Build with the project's own node_modules." },
	[TIMEOUT] = { "timeout", 0, CTL_SECONDS, "TIME", 1, 86400, .help = "How long the build may take." },
	[NO_WAIT] = { "no-wait", 0, CTL_FLAG, .help = "Begin the build, print its id and don't wait for it." },
	[NO_FOCUS] = { "no-focus", 0, CTL_FLAG, .help = "Don't bring the user's panel to the front with it." },
	CTL_OPTIONS_END,
};
/* clang-format on */

static volatile sig_atomic_t interrupted;

static void on_signal(int signo)
{
	interrupted = signo;
}

static bool is_there(const char *dir, const char *name)
{
	scoped(freep) char *path = xasprintf("%s/%s", dir, name);

	return access(path, F_OK) == 0;
}

/*
 * The directory that was named, else this one where it looks like a project, else the session's,
 * which the daemon knows.
 */
static int add_workdir(struct ctl *ctl, cJSON *body, struct problem *reterr)
{
	const char *named = ctl->n_args > 0 ? ctl->args[0] : NULL;
	scoped(freep) char *dir = realpath(named ? named : ".", NULL);

	if (!dir && named)
		return problem_set(reterr, EXIT_USAGE, "no_directory", "%s: %s", named,
				   strerror(errno));
	if (dir && (named || is_there(dir, "package.json") || is_there(dir, "index.html")))
		json_add_string(body, "workdir", dir);
	return 0;
}

static cJSON *body_of(struct ctl *ctl, struct problem *reterr)
{
	scoped(json_freep) cJSON *body = cJSON_CreateObject();

	if (add_workdir(ctl, body, reterr) < 0)
		return NULL;
	if (ctl_given(ctl, NAME))
		json_add_string(body, "name", ctl->values[NAME].text);
	if (ctl_given(ctl, SCRIPT))
		json_add_string(body, "build_script", ctl->values[SCRIPT].text);
	if (ctl_given(ctl, OUTPUT))
		json_add_string(body, "output_dir", ctl->values[OUTPUT].text);
	if (ctl_given(ctl, TIMEOUT))
		json_add_u64(body, "timeout_seconds", ctl->values[TIMEOUT].number);
	cJSON_AddBoolToObject(body, "install", !ctl_given(ctl, NO_INSTALL));
	cJSON_AddBoolToObject(body, "focus", !ctl_given(ctl, NO_FOCUS));
	return STEAL(body);
}

static bool is_live(const cJSON *build)
{
	const char *state = json_string(build, "state");

	return state && (strcmp(state, "queued") == 0 || strcmp(state, "running") == 0);
}

/* "\r" and the line, so that it is written over. */
static void show_progress(struct ctl *ctl, const cJSON *build)
{
	const cJSON *elapsed = cJSON_GetObjectItemCaseSensitive(build, "elapsed_ms");
	const cJSON *position = cJSON_GetObjectItemCaseSensitive(build, "position");
	const char *phase = json_string(build, "phase");
	scoped(freep) char *shown = printable(phase ? phase : "");

	fprintf(ctl->err, "\r\033[K%s", shown);
	if (cJSON_IsNumber(position))
		fprintf(ctl->err, " (%.0f.)", position->valuedouble);
	if (cJSON_IsNumber(elapsed))
		fprintf(ctl->err, " %.1fs", elapsed->valuedouble / 1e3);
	fflush(ctl->err);
}

static void pause_for(usec_t time)
{
	const struct timespec t = {
		.tv_sec = (time_t)(time / USEC_PER_SEC),
		.tv_nsec = (long)(time % USEC_PER_SEC) * 1000,
	};

	nanosleep(&t, NULL); /* shorter where a signal comes: so much the better */
}

static void cancel(struct ctl *ctl, const char *path)
{
	scoped(problem_done) struct problem problem = { 0 };

	if (ctl_call(ctl, "DELETE", path, NULL, NULL, &problem) < 0)
		ctl_warn(ctl, "the build could not be canceled: %s", problem.message);
}

/* Until its end.  The build's document, or NULL with the problem told. */
static cJSON *wait_for(struct ctl *ctl, const char *path, struct problem *reterr)
{
	bool shows = isatty(fileno(ctl->err)) && !ctl->common[CTL_VERBOSE].text;
	usec_t pause = LOOK_FIRST;

	for (;;) {
		scoped(json_freep) cJSON *build = NULL;

		if (interrupted) {
			cancel(ctl, path);
			interrupted = 0;
		}
		if (ctl_call(ctl, "GET", path, NULL, &build, reterr) < 0)
			return NULL;
		if (!is_live(build)) {
			if (shows)
				fputs("\r\033[K", ctl->err);
			return STEAL(build);
		}
		if (shows)
			show_progress(ctl, build);
		pause_for(pause);
		pause = pause < LOOK_LAST ? pause + pause / 4 : LOOK_LAST;
	}
}

static int show_log(struct ctl *ctl, const char *path, bool follow)
{
	scoped(problem_done) struct problem problem = { 0 };
	scoped(freep) char *log = xasprintf("%s/log%s", path, follow ? "?follow=1" : "");
	FILE *clean;
	int r;

	fflush(ctl->err);
	clean = logtext_stream(ctl->err, false);
	if (!clean)
		return -1;
	r = client_copy(ctl->client, log, clean, &problem);
	fclose(clean);
	return r;
}

/* The last lines of the log, for people who did not see it. */
static void show_tail(struct ctl *ctl, const char *path)
{
	scoped(problem_done) struct problem problem = { 0 };
	scoped(freep) char *log = xasprintf("%s/log", path);
	scoped(freep) char *text = NULL;
	size_t size = 0, from;
	unsigned lines = 0;
	FILE *memory = open_memstream(&text, &size), *clean;

	if (!memory)
		return;
	if (client_copy(ctl->client, log, memory, &problem) < 0) {
		fclose(memory);
		return;
	}
	fclose(memory);
	for (from = size; from > 0 && lines <= 20; from--)
		lines += text[from - 1] == '\n' && from != size;
	clean = logtext_stream(ctl->err, false);
	if (size > 0 && clean)
		fputs(text + (lines > 20 ? from + 1 : from), clean);
	if (clean)
		fclose(clean);
}

static int failed(struct ctl *ctl, const char *path, const cJSON *build)
{
	const cJSON *error = cJSON_GetObjectItemCaseSensitive(build, "error");
	const char *code = json_string(error, "code");
	const char *detail = json_string(error, "detail");
	enum fault_code fault = fault_of_slug(code ? code : "");
	scoped(problem_done) struct problem problem = { 0 };

	if (ctl->common[CTL_JSON].text)
		output_json(ctl, build);
	if (!ctl->common[CTL_VERBOSE].text)
		show_tail(ctl, path);
	if (fault)
		problem_of_fault(&problem,
				 &(const struct fault){ .code = fault, .detail = (char *)detail });
	else
		problem_set(&problem, EXIT_FAILED, code ? code : "build_failed", "%s",
			    detail ? detail : "the build failed");
	return ctl_fail(ctl, &problem);
}

static int report(struct ctl *ctl, const char *path, const cJSON *build)
{
	const char *state = json_string(build, "state");
	const cJSON *warning;

	if (!state || strcmp(state, "succeeded") != 0)
		return failed(ctl, path, build);
	if (ctl->common[CTL_JSON].text) {
		output_json(ctl, build);
		return EXIT_OK;
	}
	cJSON_ArrayForEach(warning, cJSON_GetObjectItemCaseSensitive(build, "warnings"))
	{
		scoped(freep) char *shown =
			printable(cJSON_IsString(warning) ? warning->valuestring : "");

		ctl_warn(ctl, "%s", shown);
	}
	output_address(ctl, build);
	return EXIT_OK;
}

static int publish(struct ctl *ctl)
{
	scoped(problem_done) struct problem problem = { 0 };
	scoped(freep) char *publish_path = ctl_path(ctl, "/publish", NULL, &problem);
	scoped(json_freep) cJSON *body = publish_path ? body_of(ctl, &problem) : NULL;
	scoped(json_freep) cJSON *begun = NULL, *build = NULL;
	scoped(freep) char *path = NULL;

	if (!body || ctl_call(ctl, "POST", publish_path, body, &begun, &problem) < 0)
		return ctl_fail(ctl, &problem);
	if (ctl_given(ctl, NO_WAIT)) {
		if (ctl->common[CTL_JSON].text)
			output_json(ctl, begun);
		else
			fprintf(ctl->out, "%s\n", json_string(begun, "build_id"));
		return EXIT_OK;
	}
	path = ctl_path(ctl, "/builds", json_string(begun, "build_id"), &problem);
	if (!path)
		return ctl_fail(ctl, &problem);

	signal(SIGINT, on_signal);
	signal(SIGTERM, on_signal);
	if (ctl->common[CTL_VERBOSE].text && show_log(ctl, path, true) < 0 && interrupted)
		cancel(ctl, path);
	build = wait_for(ctl, path, &problem);
	if (!build)
		return ctl_fail(ctl, &problem);
	return report(ctl, path, build);
}

const struct ctl_command cmd_publish = {
	.name = "publish",
	.args = "[DIR]",
	.most_args = 1,
	.arg_type = CTL_FILE,
	.options = options,
	.summary = "Build the project and publish it.",
	.help = "The project is the directory that is named, else this one where it has a "
		"package.json or an index.html, else the session's. Its packages are installed as "
		"its lock file says, and it is built in a sandbox. Prints the address, which shows "
		"what was published before until all of the new is there. When it fails, the end "
		"of "
		"the log is shown and nothing has changed; with --verbose all of it is.\n\n"
		"An interrupt cancels the build.",
	.exec = publish,
};
