/* SPDX-License-Identifier: MIT */
/*
 * The dialects are a table: which member names the event, by which words, and where the rest is
 * found.  A member may lie deeper ("tool_response.backgroundTaskId"), and several may be tried.
 */
#include "agents/hook.h"

#include <errno.h>
#include <string.h>

#include "base/ids.h"
#include "base/json.h"
#include "base/mem.h"

#define CWD_LENGTH_MAX 4096
#define PID_MAX        4194304
#define PATHS_MAX      4

struct hook_dialect {
	const char *agent;
	const char *event; /* the member that names the event */
	const char *start, *end, *before, *after;
	const char *session[PATHS_MAX];   /* who may name the session, the best first */
	const char *task_tool[PATHS_MAX]; /* tools that begin a background task, by "tool_name" */
	const char *task[PATHS_MAX];      /* its id then */
	const char *stop_tool[PATHS_MAX]; /* tools that end one */
	const char *stopped[PATHS_MAX];   /* the id then */
	const char *pid_variable, *program;
	const char *fills_in; /* tools by the beginning of their names: given the session */
};

/*
 * Claude Code's and Codex's "Stop" is the end of a turn and not of a session: the servers that the
 * agent started live on, and so do their previews.
 */
/* clang-format off */
static const struct hook_dialect dialects[] = {
	{ .agent = "generic", .event = "event",
	  .start = "session_start", .end = "session_end", .before = "tool_use",
	  .session = { "session_id" } },
	{ .agent = "claude-code", .event = "hook_event_name",
	  .start = "SessionStart", .end = "SessionEnd", .before = "PreToolUse", .after = "PostToolUse",
	  .session = { "session_id" },
	  .task_tool = { "Bash" }, .task = { "tool_response.backgroundTaskId" },
	  .stop_tool = { "TaskStop", "KillShell", "KillBash" },
	  .stopped = { "tool_input.task_id", "tool_input.shell_id" },
	  .pid_variable = "CLAUDE_PID", .program = "claude" },
	{ .agent = "codex", .event = "hook_event_name",
	  .start = "SessionStart", .end = "SessionEnd", .before = "PreToolUse",
	  .session = { "session_id", "thread_id" }, .program = "codex" },
	{ .agent = "gemini", .event = "hook_event_name",
	  .start = "SessionStart", .end = "SessionEnd", .before = "BeforeTool",
	  .session = { "session_id" }, .program = "gemini", .fills_in = "mcp_previewd_" },
	{ .agent = "cursor", .event = "hook_event_name",
	  .start = "sessionStart", .end = "sessionEnd", .before = "preToolUse",
	  .session = { "conversation_id", "session_id" }, .program = "cursor-agent" },
};

static const char *const kinds[HOOK_KIND_COUNT_] = {
	[HOOK_OTHER] = "other",
	[HOOK_SESSION_START] = "session_start",
	[HOOK_SESSION_END] = "session_end",
	[HOOK_TOOL_USE] = "tool_use",
	[HOOK_TASK] = "task",
	[HOOK_TASK_END] = "task_end",
};
/* clang-format on */

const struct hook_dialect *hook_dialect_of(const char *agent)
{
	for (size_t i = 0; i < ARRAY_SIZE(dialects); i++)
		if (strcmp(dialects[i].agent, agent) == 0)
			return &dialects[i];
	return NULL;
}

const char *hook_pid_variable(const struct hook_dialect *dialect)
{
	return dialect->pid_variable;
}

const char *hook_program(const struct hook_dialect *dialect)
{
	return dialect->program;
}

const char *hook_kind_text(enum hook_kind kind)
{
	return kinds[kind];
}

void hook_event_done(struct hook_event *e)
{
	free(e->session_id);
	free(e->app_id);
	free(e->cwd);
	free(e->tool_use_id);
	free(e->task_id);
	*e = (struct hook_event){ 0 };
}

/* The string at "a.b"; NULL where there is none. */
static const char *string_at(const cJSON *object, const char *path)
{
	const char *dot = strchr(path, '.');

	while (dot) {
		scoped(freep) char *name = xstrndup(path, (size_t)(dot - path));

		object = cJSON_GetObjectItemCaseSensitive(object, name);
		path = dot + 1;
		dot = strchr(path, '.');
	}
	return json_string(object, path);
}

/* A copy of the first of them that is an id. */
static char *id_at(const cJSON *object, const char *const *paths)
{
	for (size_t i = 0; i < PATHS_MAX && paths[i]; i++) {
		const char *id = string_at(object, paths[i]);

		if (id && id_is_valid(id))
			return xstrdup(id);
	}
	return NULL;
}

static bool is_one_of(const char *word, const char *const *words)
{
	for (size_t i = 0; word && i < PATHS_MAX && words[i]; i++)
		if (strcmp(word, words[i]) == 0)
			return true;
	return false;
}

static bool is(const char *event, const char *word)
{
	return word && strcmp(event, word) == 0;
}

/* Which kind, and the task's id where it is about one. */
static void read_kind(const struct hook_dialect *d, const cJSON *document, const char *event,
		      struct hook_event *ret)
{
	const char *tool = json_string(document, "tool_name");

	if (is(event, d->start))
		ret->kind = HOOK_SESSION_START;
	else if (is(event, d->end))
		ret->kind = HOOK_SESSION_END;
	else if (is(event, d->before))
		ret->kind = HOOK_TOOL_USE;
	else if (is(event, d->after) && is_one_of(tool, d->task_tool) &&
		 (ret->task_id = id_at(document, d->task)))
		ret->kind = HOOK_TASK;
	else if (is(event, d->after) && is_one_of(tool, d->stop_tool) &&
		 (ret->task_id = id_at(document, d->stopped)))
		ret->kind = HOOK_TASK_END;
}

/* What only our own dialect says. */
static int read_generic(const cJSON *document, const char *event, struct hook_event *ret)
{
	static const char *const app[] = { "app_id", NULL };
	static const char *const task[] = { "task_id", NULL };
	const cJSON *pid = cJSON_GetObjectItemCaseSensitive(document, "pid");

	ret->app_id = id_at(document, app);
	if (!ret->task_id)
		ret->task_id = id_at(document, task);
	if (is(event, kinds[HOOK_TASK]))
		ret->kind = HOOK_TASK;
	else if (is(event, kinds[HOOK_TASK_END]))
		ret->kind = HOOK_TASK_END;

	if (!pid)
		return 0;
	if (!cJSON_IsNumber(pid) || pid->valuedouble < 1 || pid->valuedouble > PID_MAX)
		return -EINVAL;
	ret->pid = (unsigned)pid->valuedouble;
	return 0;
}

static bool is_complete(const struct hook_event *e)
{
	switch (e->kind) {
	case HOOK_OTHER:
		return true;
	case HOOK_SESSION_START:
	case HOOK_SESSION_END:
		return e->session_id;
	case HOOK_TOOL_USE:
		return e->session_id && e->tool_use_id;
	case HOOK_TASK:
	case HOOK_TASK_END:
		return e->session_id && e->task_id;
	case HOOK_KIND_COUNT_:
		break;
	}
	return false;
}

int hook_event_read(const struct hook_dialect *dialect, const cJSON *document,
		    struct hook_event *ret)
{
	static const char *const tool_use[] = { "tool_use_id", NULL };
	const char *event = json_string(document, dialect->event), *cwd;
	int r = 0;

	*ret = (struct hook_event){ 0 };
	if (!event)
		return -EINVAL;

	read_kind(dialect, document, event, ret);
	ret->session_id = id_at(document, dialect->session);
	ret->tool_use_id = id_at(document, tool_use);
	cwd = json_string(document, "cwd");
	if (cwd && cwd[0] == '/' && strlen(cwd) <= CWD_LENGTH_MAX)
		ret->cwd = xstrdup(cwd);
	if (strcmp(dialect->agent, "generic") == 0)
		r = read_generic(document, event, ret);

	/* Gemini's calls have no id: there is nothing to bind. */
	if (ret->kind == HOOK_TOOL_USE && !ret->tool_use_id && ret->session_id)
		ret->kind = HOOK_OTHER;
	return r < 0 || !is_complete(ret) ? -EINVAL : 0;
}

/* What Gemini is given replaces all of the arguments. */
static cJSON *with_session(const cJSON *arguments, const char *session_id)
{
	cJSON *all =
		cJSON_IsObject(arguments) ? cJSON_Duplicate(arguments, true) : cJSON_CreateObject();

	if (!json_string(all, "session_id"))
		json_add_string(all, "session_id", session_id);
	return all;
}

cJSON *hook_answer(const struct hook_dialect *dialect, const cJSON *document,
		   const struct hook_event *e)
{
	const char *event = json_string(document, dialect->event);
	const char *tool = json_string(document, "tool_name");
	cJSON *answer = cJSON_CreateObject(), *output;

	if (!dialect->fills_in || !e->session_id || !event || !is(event, dialect->before) ||
	    !tool || strncmp(tool, dialect->fills_in, strlen(dialect->fills_in)) != 0)
		return answer;
	output = cJSON_AddObjectToObject(answer, "hookSpecificOutput");
	json_add_string(output, "hookEventName", event);
	cJSON_AddItemToObject(output, "tool_input",
			      with_session(cJSON_GetObjectItemCaseSensitive(document, "tool_input"),
					   e->session_id));
	return answer;
}

cJSON *hook_event_document(const struct hook_event *e)
{
	const struct {
		const char *name, *value;
	} members[] = {
		{ "event", kinds[e->kind] },       { "session_id", e->session_id },
		{ "app_id", e->app_id },           { "cwd", e->cwd },
		{ "tool_use_id", e->tool_use_id }, { "task_id", e->task_id },
	};
	cJSON *j = cJSON_CreateObject();

	for (size_t i = 0; i < ARRAY_SIZE(members); i++)
		if (members[i].value)
			json_add_string(j, members[i].name, members[i].value);
	if (e->pid > 0)
		json_add_u64(j, "pid", e->pid);
	return j;
}
