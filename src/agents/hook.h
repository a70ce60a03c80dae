/* SPDX-License-Identifier: MIT */
#pragma once

#include <cjson/cJSON.h>
#include <stddef.h>

#include "base/cleanup.h"

/*
 * What coding agents tell their hooks, each in its own dialect of JSON, read into one form.  It may
 * come to `previewctl hook AGENT` or to the daemon itself; both read it here.
 */
struct hook_dialect;

/* The names of the dialects, separated by commas. */
#define HOOK_AGENTS "generic,claude-code,codex,gemini,cursor"

/* NULL: an agent that is not known. */
const struct hook_dialect *hook_dialect_of(const char *agent);

/*
 * The variable in which the agent gives its hooks its own pid, and the program's name by which it
 * is found above a hook otherwise; each may be NULL.
 */
const char *hook_pid_variable(const struct hook_dialect *dialect);
const char *hook_program(const struct hook_dialect *dialect);

enum hook_kind {
	HOOK_OTHER, /* nothing of ours */
	HOOK_SESSION_START,
	HOOK_SESSION_END,
	HOOK_TOOL_USE, /* a call of a tool is about to be made */
	HOOK_TASK,     /* the call began a background task */
	HOOK_TASK_END, /* the call ended one */
	HOOK_KIND_COUNT_,
};

/* The kind in the generic dialect: "session_start". */
const char *hook_kind_text(enum hook_kind kind);

struct hook_event {
	enum hook_kind kind;
	char *session_id;  /* NULL only with HOOK_OTHER */
	char *app_id;      /* or NULL */
	char *cwd;         /* absolute, or NULL */
	char *tool_use_id; /* or NULL */
	char *task_id;     /* the agent's own name of a background task, or NULL */
	unsigned pid;      /* the agent's, or 0 */
};

void hook_event_done(struct hook_event *e);

/*
 * 0, with HOOK_OTHER for what is no concern of ours.  -EINVAL: no event, or one of ours without
 * what it needs.  The caller ends `ret` with hook_event_done() in any case.
 */
int hook_event_read(const struct hook_dialect *dialect, const cJSON *document,
		    struct hook_event *ret) must_use;

/*
 * What the hook answers, as the agent wants it; never NULL.  Where the agent doesn't tell its MCP
 * servers the session, it's the arguments of a call of ours with the session in them.
 */
cJSON *hook_answer(const struct hook_dialect *dialect, const cJSON *document,
		   const struct hook_event *e);

/* The same event in the generic dialect. */
cJSON *hook_event_document(const struct hook_event *e);
