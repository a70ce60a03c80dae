/* SPDX-License-Identifier: MIT */
/*
 * What agents give their hooks on the standard input, and how each says that a session has ended.
 */
#include "ctl/hook.h"

#include <errno.h>
#include <string.h>

#include "base/ids.h"
#include "base/json.h"
#include "base/mem.h"

struct hook_dialect {
	const char *agent;
	const char *event;  /* the member that names the event */
	const char *ended;  /* its value when a session ends */
	const char *ids[3]; /* the members that may name the session, the best first */
};

/*
 * Claude Code's and Codex's "Stop" is the end of a turn and not of a session: the servers that the
 * agent started live on, and so do their previews.
 */
/* clang-format off */
static const struct hook_dialect dialects[] = {
	{ "generic",     "event",           "session_end", { "session_id" } },
	{ "claude-code", "hook_event_name", "SessionEnd",  { "session_id" } },
	{ "codex",       "hook_event_name", "SessionEnd",  { "session_id", "thread_id" } },
	{ "gemini",      "hook_event_name", "SessionEnd",  { "session_id" } },
	{ "cursor",      "hook_event_name", "sessionEnd",  { "conversation_id", "session_id" } },
};
/* clang-format on */

const struct hook_dialect *hook_dialect_of(const char *agent)
{
	for (size_t i = 0; i < ARRAY_SIZE(dialects); i++)
		if (strcmp(dialects[i].agent, agent) == 0)
			return &dialects[i];
	return NULL;
}

int hook_read(const struct hook_dialect *dialect, const char *text, size_t len, char **ret_session)
{
	scoped(json_freep) cJSON *document = NULL;
	const char *event;

	if (json_parse(text, len, &document, NULL) < 0)
		return -EINVAL;
	event = json_string(document, dialect->event);
	if (!event)
		return -EINVAL;
	if (strcmp(event, dialect->ended) != 0)
		return 0;

	for (size_t i = 0; i < ARRAY_SIZE(dialect->ids) && dialect->ids[i]; i++) {
		const char *id = json_string(document, dialect->ids[i]);

		if (id && id_is_valid(id)) {
			*ret_session = xstrdup(id);
			return 1;
		}
	}
	return -EINVAL;
}
