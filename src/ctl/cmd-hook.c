/* SPDX-License-Identifier: MIT */
/*
 * The hook of a coding agent: when the agent's session ends, so does ours.
 *
 * An agent waits for its hooks and may take their failure for an answer, so this one has a second,
 * says nothing and always succeeds.  Only what the agent itself names is ended: PREVIEWD_SESSION_ID
 * may be that of another agent, in whose shell this one was started.
 */
#include <errno.h>
#include <poll.h>
#include <unistd.h>

#include "base/clock.h"
#include "base/json.h"
#include "base/mem.h"
#include "base/strbuf.h"
#include "ctl/commands.h"
#include "ctl/ctl.h"
#include "ctl/hook.h"

#define BUDGET    USEC_PER_SEC
#define INPUT_MAX (4 * 1024 * 1024) /* Stop and PostToolUse bring the model's words along */

static void say(const struct ctl *ctl, const char *sentence)
{
	if (ctl->common[CTL_VERBOSE].text)
		fprintf(ctl->err, "previewctl: %s\n", sentence);
}

/* All of the input, or as much as comes before the deadline. */
static int read_input(int fd, struct strbuf *b, usec_t deadline)
{
	for (;;) {
		struct pollfd p = { .fd = fd, .events = POLLIN };
		usec_t now = clock_monotonic();
		char buffer[16 * 1024];
		ssize_t n;

		if (now >= deadline)
			return -ETIMEDOUT;
		if (poll(&p, 1, (int)((deadline - now) / USEC_PER_MSEC) + 1) <= 0)
			continue;
		n = read(fd, buffer, sizeof(buffer));
		if (n == 0)
			return b->error;
		if (n < 0 && errno != EINTR && errno != EAGAIN)
			return -errno;
		if (n > 0)
			strbuf_add(b, buffer, (size_t)n);
	}
}

static void end_session(struct ctl *ctl, const char *session, usec_t deadline)
{
	scoped(problem_done) struct problem problem = { 0 };
	scoped(freep) char *path = NULL;
	usec_t now = clock_monotonic();
	int r;

	if (now + USEC_PER_MSEC > deadline) { /* to libcurl no time at all is no limit */
		say(ctl, "the second is over");
		return;
	}
	ctl->common[CTL_SESSION].text = session;
	path = ctl_path(ctl, NULL, NULL, &problem);
	r = path ? ctl_call_within(ctl, deadline - now, "DELETE", path, NULL, NULL, &problem) : -1;
	if (r < 0)
		say(ctl, problem.message);
	else
		say(ctl, "the session has ended");
}

static int hook(struct ctl *ctl)
{
	scoped(strbuf_done) struct strbuf input = strbuf_init(INPUT_MAX);
	scoped(freep) char *session = NULL;
	usec_t deadline = clock_monotonic() + BUDGET;
	int r = read_input(fileno(ctl->in), &input, deadline);

	if (r < 0) {
		say(ctl, "the hook's input did not come whole within a second");
		return EXIT_OK;
	}
	r = hook_read(hook_dialect_of(ctl->args[0]), strbuf_str(&input), input.len, &session);
	if (r > 0)
		end_session(ctl, session, deadline);
	else
		say(ctl, r == 0 ? "no end of a session: nothing to do"
				: "the hook's input is not understood");
	return EXIT_OK;
}

const struct ctl_command cmd_hook = {
	.name = "hook",
	.args = "AGENT",
	.least_args = 1,
	.most_args = 1,
	.arg_type = CTL_CHOICE,
	.arg_choices = HOOK_AGENTS,
	.summary = "Be the hook of a coding agent: end the session with the agent's.",
	.help = "Reads the hook's JSON on the standard input; AGENT says whose it is: generic "
		"({\"event\":\"session_end\",\"session_id\":\"...\"}), claude-code, codex, gemini "
		"or "
		"cursor. It takes a second at most, is silent without --verbose, and its exit code "
		"is "
		"always 0, for an agent must not stumble over it.",
	.never_fails = true,
	.exec = hook,
};
