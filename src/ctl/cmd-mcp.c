/* SPDX-License-Identifier: MIT */
/*
 * An MCP server on stdio, for agents that start their servers themselves: a bridge to the daemon's.
 *
 * The session it serves lives with it.  The daemon watches this process, by its pidfd: however it
 * ends, and an agent that is killed ends it by closing its input, the session ends a grace later.
 * A daemon that can't see this process (it is on another machine) is told at the end instead.
 */
#include <stdbool.h>
#include <string.h>
#include <unistd.h>

#include "base/json.h"
#include "base/mem.h"
#include "ctl/bridge.h"
#include "ctl/commands.h"
#include "ctl/ctl.h"

#define HOLD_TIMEOUT (2 * USEC_PER_SEC)
#define SESSIONS_MAX 64 /* of one agent, in the time it lives */

struct mcp {
	struct ctl *ctl;
	char *workdir;
	struct {
		char *id;
		bool must_end; /* the daemon doesn't hold it by us */
	} sessions[SESSIONS_MAX];
	size_t n_sessions;
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

/* Whether it is met for the first time; the last of too many are forgotten. */
static size_t session_index(struct mcp *mcp, const char *session, bool *ret_is_new)
{
	size_t i = 0;

	while (i < mcp->n_sessions && strcmp(mcp->sessions[i].id, session) != 0)
		i++;
	*ret_is_new = i == mcp->n_sessions;
	if (!*ret_is_new)
		return i;
	if (i == SESSIONS_MAX)
		free(mcp->sessions[--i].id);
	else
		mcp->n_sessions++;
	mcp->sessions[i].id = xstrdup(session);
	mcp->sessions[i].must_end = false;
	return i;
}

/* With each call, for the session may have been ended since.  "default" is everybody's, and no one
 * directory's. */
static void hold(struct mcp *mcp, const char *session)
{
	scoped(problem_done) struct problem problem = { 0 };
	scoped(json_freep) cJSON *body = cJSON_CreateObject();
	scoped(freep) char *path = path_of(mcp->ctl, session, "/holds");
	bool is_new;
	size_t i = session_index(mcp, session, &is_new);

	if (is_new && mcp->workdir && strcmp(session, "default") != 0)
		json_add_string(body, "workdir", mcp->workdir);
	if (!path ||
	    ctl_call_within(mcp->ctl, HOLD_TIMEOUT, "POST", path, body, NULL, &problem) >= 0)
		return;
	say(mcp->ctl, problem.message);
	mcp->sessions[i].must_end = problem.http_status == 403 || problem.http_status == 409;
}

static void on_call(const char *session, void *arg)
{
	hold(arg, session);
}

static void end_session(struct mcp *mcp, const char *session)
{
	scoped(problem_done) struct problem problem = { 0 };
	scoped(freep) char *path = path_of(mcp->ctl, session, NULL);

	if (path &&
	    ctl_call_within(mcp->ctl, HOLD_TIMEOUT, "DELETE", path, NULL, NULL, &problem) < 0)
		say(mcp->ctl, problem.message);
}

static void mcp_done(struct mcp *mcp)
{
	for (size_t i = 0; i < mcp->n_sessions; i++) {
		if (mcp->sessions[i].must_end)
			end_session(mcp, mcp->sessions[i].id);
		free(mcp->sessions[i].id);
	}
	free(mcp->workdir);
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
	scoped(mcp_done) struct mcp mcp = { .ctl = ctl, .workdir = workdir_of(ctl) };
	scoped(bridge_freep) struct bridge *bridge = NULL;
	struct client *client = session ? ctl_client(ctl, &problem) : NULL;
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
	/* That is everybody's: it is held when a call is for it, for agents may say another with
	 * each. */
	if (strcmp(session, "default") != 0)
		hold(&mcp, session);
	bridge_run(bridge);
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
