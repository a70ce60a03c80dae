/* SPDX-License-Identifier: MIT */
/*
 * The hook of a coding agent: tells the daemon when the agent's session begins and ends, and which
 * of its calls and background tasks are that session's.
 *
 * An agent waits for its hooks and may take their failure for an answer, so this one has a second,
 * says nothing and always succeeds.  Only what the agent itself names is ended: PREVIEWD_SESSION_ID
 * may be that of another agent, in whose shell this one was started.
 */
#include <errno.h>
#include <limits.h>
#include <poll.h>
#include <string.h>
#include <unistd.h>

#include "agents/hook.h"
#include "base/clock.h"
#include "base/json.h"
#include "base/mem.h"
#include "base/parse.h"
#include "base/strbuf.h"
#include "ctl/commands.h"
#include "ctl/ctl.h"
#include "proc/pidref.h"

#define BUDGET            USEC_PER_SEC
#define INPUT_MAX         (4 * 1024 * 1024) /* PostToolUse brings the tool's words along */
#define ANCESTORS_MAX     16
#define COMMAND_LINE_SIZE 1024
#define WORDS_MAX         3 /* "node", an option, "/usr/bin/gemini" */

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

/* Whether one of the first words of its command line is a program of that name: agents are run by
 * interpreters, too. */
static bool runs(pid_t pid, const char *program)
{
	scoped(freep) char *path = xasprintf("/proc/%d/cmdline", (int)pid);
	scoped(fclosep) FILE *f = fopen(path, "re");
	char words[COMMAND_LINE_SIZE];
	size_t len = f ? fread(words, 1, sizeof(words) - 1, f) : 0;
	const char *word = words;

	words[len] = '\0';
	for (int n = 0; n < WORDS_MAX && word < words + len; n++, word += strlen(word) + 1) {
		const char *name = strrchr(word, '/');

		name = name ? name + 1 : word;
		if (strncmp(name, program, strlen(program)) == 0)
			return true;
	}
	return false;
}

/* The agent's process: as it says itself, or the nearest above us that runs its program.  0: none
 * is seen, and nobody will notice should it be killed. */
static pid_t agent_pid(const struct ctl *ctl, const struct hook_dialect *dialect)
{
	const char *variable = hook_pid_variable(dialect);
	const char *text = variable ? ctl_environment(ctl, variable) : NULL;
	const char *program = hook_program(dialect);
	struct process p;
	unsigned pid;

	if (text && parse_uint(text, 2, INT_MAX, &pid) >= 0 &&
	    process_is_above((pid_t)pid, getpid()))
		return (pid_t)pid;
	if (!program || process_read(getpid(), &p) < 0)
		return 0;
	for (int n = 0; n < ANCESTORS_MAX && p.ppid > 1; n++) {
		if (runs(p.ppid, program))
			return p.ppid;
		if (process_read(p.ppid, &p) < 0)
			return 0;
	}
	return 0;
}

static void tell(struct ctl *ctl, const struct hook_event *event, usec_t deadline)
{
	scoped(problem_done) struct problem problem = { 0 };
	scoped(json_freep) cJSON *body = hook_event_document(event);
	usec_t now = clock_monotonic();

	if (now + USEC_PER_MSEC > deadline) { /* to libcurl no time at all is no limit */
		say(ctl, "the second is over");
		return;
	}
	if (ctl_call_within(ctl, deadline - now, "POST", "/hooks/generic", body, NULL, &problem) <
	    0)
		say(ctl, problem.message);
	else
		say(ctl, "previewd was told");
}

/* Silent where there is nothing to say. */
static void answer(struct ctl *ctl, const struct hook_dialect *dialect, const cJSON *document,
		   const struct hook_event *event)
{
	scoped(json_freep) cJSON *said = hook_answer(dialect, document, event);
	scoped(freep) char *text = said->child ? json_print(said) : NULL;

	if (text)
		fprintf(ctl->out, "%s\n", text);
	fflush(ctl->out);
}

static int hook(struct ctl *ctl)
{
	const struct hook_dialect *dialect = hook_dialect_of(ctl->args[0]);
	scoped(strbuf_done) struct strbuf input = strbuf_init(INPUT_MAX);
	scoped(hook_event_done) struct hook_event event = { 0 };
	scoped(json_freep) cJSON *document = NULL;
	usec_t deadline = clock_monotonic() + BUDGET;
	const char *app = ctl_app(ctl, NULL);

	if (read_input(fileno(ctl->in), &input, deadline) < 0) {
		say(ctl, "the hook's input did not come whole within a second");
		return EXIT_OK;
	}
	if (json_parse(strbuf_str(&input), input.len, &document, NULL) < 0 ||
	    hook_event_read(dialect, document, &event) < 0 || !app) {
		say(ctl, "the hook's input is not understood");
		return EXIT_OK;
	}
	answer(ctl, dialect, document, &event);
	if (event.kind == HOOK_OTHER) {
		say(ctl, "nothing of previewd's happened");
		return EXIT_OK;
	}
	if (!event.app_id)
		event.app_id = xstrdup(app);
	if (event.kind == HOOK_SESSION_START && event.pid == 0)
		event.pid = (unsigned)agent_pid(ctl, dialect);
	tell(ctl, &event, deadline);
	return EXIT_OK;
}

const struct ctl_command cmd_hook = {
	.name = "hook",
	.args = "AGENT",
	.least_args = 1,
	.most_args = 1,
	.arg_type = CTL_CHOICE,
	.arg_choices = HOOK_AGENTS,
	.summary = "Be the hook of a coding agent: pass on what it tells of its session.",
	.help = "Reads the hook's JSON on the standard input; AGENT says whose it is: claude-code, "
		"codex, gemini, cursor, or generic: {\"event\": \"session_start\" or "
		"\"session_end\", \"session_id\", \"cwd\", \"pid\"}.\n\n"
		"When the agent's session begins, previewd learns its directory and its process, "
		"so that the session also ends when the agent is killed. When it ends, all of it "
		"goes. Calls of tools are told apart by their sessions; when a background task is "
		"stopped, its previews go.\n\n"
		"It takes a second at most, is silent without --verbose, and its exit code is "
		"always 0, for an agent must not stumble over it.",
	.never_fails = true,
	.exec = hook,
};
