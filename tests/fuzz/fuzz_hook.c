/* SPDX-License-Identifier: MIT */
/*
 * What an agent tells its hook; the first byte chooses the agent.  An event of ours has what it
 * needs, and in the generic dialect it is the same event.
 */
#include <assert.h>
#include <string.h>

#include "agents/hook.h"
#include "base/ids.h"
#include "base/json.h"
#include "base/mem.h"
#include "base/parse.h"
#include "fuzz.h"

static bool same(const char *a, const char *b)
{
	return a && b ? strcmp(a, b) == 0 : a == b;
}

static void check_again(const struct hook_event *e)
{
	scoped(json_freep) cJSON *document = hook_event_document(e);
	scoped(hook_event_done) struct hook_event again = { 0 };

	if (e->kind == HOOK_OTHER)
		return;
	assert(hook_event_read(hook_dialect_of("generic"), document, &again) == 0);
	assert(again.kind == e->kind && again.pid == e->pid);
	assert(same(again.session_id, e->session_id) && same(again.app_id, e->app_id));
	assert(same(again.cwd, e->cwd) && same(again.tool_use_id, e->tool_use_id));
	assert(same(again.task_id, e->task_id));
}

static void check_event(const struct hook_event *e)
{
	assert(e->kind == HOOK_OTHER || id_is_valid(e->session_id));
	assert(!e->app_id || id_is_valid(e->app_id));
	assert(!e->cwd || e->cwd[0] == '/');
	assert(e->kind != HOOK_TOOL_USE || e->tool_use_id);
	assert((e->kind != HOOK_TASK && e->kind != HOOK_TASK_END) || e->task_id);
	check_again(e);
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
	scoped(strv_freep) char **agents = parse_list(HOOK_AGENTS, ',');
	scoped(hook_event_done) struct hook_event e = { 0 };
	scoped(json_freep) cJSON *document = NULL, *answer = NULL;
	scoped(freep) char *text = NULL;
	const struct hook_dialect *dialect;

	if (size == 0)
		return 0;
	dialect = hook_dialect_of(agents[data[0] % strv_len(agents)]);
	text = xmemdup(data + 1, size - 1);
	if (json_parse(text, size - 1, &document, NULL) < 0)
		return 0;
	if (hook_event_read(dialect, document, &e) == 0)
		check_event(&e);
	answer = hook_answer(dialect, document, &e);
	assert(cJSON_IsObject(answer));
	return 0;
}
