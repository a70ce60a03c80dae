/* SPDX-License-Identifier: MIT */
/*
 * An MCP server on stdio, for agents that start their servers themselves: a bridge to the daemon's.
 *
 * The session it serves lives with it.  The daemon watches this process, by its pidfd: however it
 * ends, and an agent that is killed ends it by closing its input, the session ends a grace later.
 * A daemon that can't see this process (it is on another machine) is told at the end instead.
 */
#include <string.h>
#include <unistd.h>

#include "base/ids.h"
#include "base/json.h"
#include "base/mem.h"
#include "base/parse.h"
#include "ctl/bridge.h"
#include "ctl/commands.h"
#include "ctl/ctl.h"

#define HOLD_TIMEOUT (2 * USEC_PER_SEC)
#define SESSIONS_MAX 64 /* of one agent, in the time it lives */

struct mcp {
	struct ctl *ctl;
	char *to_end[SESSIONS_MAX]; /* those the daemon doesn't hold by us */
	size_t n_to_end;
};

static void say(const struct ctl *ctl, const char *sentence)
{
	if (ctl->common[CTL_VERBOSE].text)
		fprintf(ctl->err, "previewctl: %s\n", sentence);
}

static char *path_of(struct ctl *ctl, const char *session, const char *collection)
{
	const char *before = ctl->common[CTL_SESSION].text;
	char *path;

	ctl->common[CTL_SESSION].text = session;
	path = ctl_path(ctl, collection, NULL, NULL);
	ctl->common[CTL_SESSION].text = before;
	return path;
}

static void remember_to_end(struct mcp *mcp, const char *session)
{
	for (size_t i = 0; i < mcp->n_to_end; i++)
		if (strcmp(mcp->to_end[i], session) == 0)
			return;
	if (mcp->n_to_end < SESSIONS_MAX)
		mcp->to_end[mcp->n_to_end++] = xstrdup(session);
}

/* A daemon that isn't reached is asked again with the next call. */
static void hold(struct mcp *mcp, const char *session, const char *workdir)
{
	scoped(problem_done) struct problem problem = { 0 };
	scoped(json_freep) cJSON *body = cJSON_CreateObject();
	scoped(freep) char *path = path_of(mcp->ctl, session, "/holds");

	if (workdir)
		json_add_string(body, "workdir", workdir);
	if (!path ||
	    ctl_call_within(mcp->ctl, HOLD_TIMEOUT, "POST", path, body, NULL, &problem) >= 0)
		return;
	say(mcp->ctl, problem.message);
	if (problem.http_status == 403 || problem.http_status == 409)
		remember_to_end(mcp, session);
}

static void on_call(const char *session, void *arg)
{
	hold(arg, session, NULL);
}

static void end_sessions(struct mcp *mcp)
{
	for (size_t i = 0; i < mcp->n_to_end; i++) {
		scoped(problem_done) struct problem problem = { 0 };
		scoped(freep) char *path = path_of(mcp->ctl, mcp->to_end[i], NULL);

		if (path && ctl_call_within(mcp->ctl, HOLD_TIMEOUT, "DELETE", path, NULL, NULL,
					    &problem) < 0)
			say(mcp->ctl, problem.message);
		free(mcp->to_end[i]);
	}
	mcp->n_to_end = 0;
}

/* The project's: as the agent says it, else where we were started. */
static char *workdir_of(const struct ctl *ctl)
{
	const char *project = ctl_environment(ctl, "CLAUDE_PROJECT_DIR");

	return project && project[0] == '/' ? xstrdup(project) : getcwd(NULL, 0);
}

static int serve(struct ctl *ctl)
{
	scoped(problem_done) struct problem problem = { 0 };
	const char *session = ctl_session(ctl, &problem);
	scoped(freep) char *workdir = workdir_of(ctl);
	scoped(bridge_freep) struct bridge *bridge = NULL;
	struct client *client = session ? ctl_client(ctl, &problem) : NULL;
	struct mcp mcp = { .ctl = ctl };
	struct bridge_settings settings;

	if (!client || !ctl_app(ctl, &problem))
		return ctl_fail(ctl, &problem);

	settings = (struct bridge_settings){
		.client = client,
		.session = session,
		.in = fileno(ctl->in),
		.out = ctl->out,
		.log = ctl->common[CTL_VERBOSE].text ? ctl->err : NULL,
		.on_call = on_call,
		.arg = &mcp,
	};
	bridge = bridge_new(&settings);
	hold(&mcp, session, strcmp(session, "default") == 0 ? NULL : workdir);
	bridge_run(bridge);
	end_sessions(&mcp);
	return EXIT_OK;
}

const struct ctl_command cmd_mcp = {
	.name = "mcp",
	.summary = "Be an MCP server on the standard input and output.",
	.help = "For the configuration of an agent that starts its MCP servers: it hands on what "
		"the "
		"agent says to previewd, which must be running, and back.\n\n"
		"Calls are for the session of --session or of the environment, where they don't "
		"say another. That session lives with this command: when its input ends, or it is "
		"ended in any way, the session ends after sessions.grace, and with it all that is "
		"attached. At PREVIEWD_URL, from where this process can't be seen, it ends at "
		"once, "
		"and not where this command is killed.",
	.exec = serve,
};
