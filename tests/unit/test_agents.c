/* SPDX-License-Identifier: MIT */
/* What coding agents tell their hooks, in their own words. */
#include <errno.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stdint.h>
#include <string.h>
/* cmocka wants the three above it */
#include <cmocka.h>

#include "agents/hook.h"
#include "base/json.h"
#include "base/mem.h"
#include "base/strbuf.h"

/* "kind session task-or-tool cwd", or "wrong". */
static const char *read_as(const char *agent, const char *input)
{
	static char text[512];
	scoped(json_freep) cJSON *document = NULL;
	scoped(hook_event_done) struct hook_event e = { 0 };

	assert_int_equal(json_parse(input, strlen(input), &document, NULL), 0);
	if (hook_event_read(hook_dialect_of(agent), document, &e) < 0)
		return "wrong";
	snprintf(text, sizeof(text), "%s%s%s%s%s%s%s%s%s", hook_kind_text(e.kind),
		 e.session_id ? " " : "", e.session_id ? e.session_id : "", e.task_id ? " " : "",
		 e.task_id ? e.task_id : "", e.tool_use_id ? " " : "",
		 e.tool_use_id ? e.tool_use_id : "", e.cwd ? " " : "", e.cwd ? e.cwd : "");
	return text;
}

static void each_agent_says_it_in_its_way(void **state)
{
	/* clang-format off */
	static const struct {
		const char *agent, *input, *expected;
	} rows[] = {
		{ "generic", "{\"event\":\"session_end\",\"session_id\":\"s1\"}", "session_end s1" },
		{ "generic", "{\"event\":\"session_start\",\"session_id\":\"s1\",\"cwd\":\"/w\"}", "session_start s1 /w" },
		{ "generic", "{\"event\":\"session_end\"}", "wrong" },
		{ "generic", "{\"event\":\"session_end\",\"session_id\":\"../x\"}", "wrong" },
		{ "generic", "{\"event\":\"session_start\",\"session_id\":\"s1\",\"pid\":\"7\"}", "wrong" },
		{ "generic", "{\"event\":\"session_start\",\"session_id\":\"s1\",\"pid\":-7}", "wrong" },
		{ "generic", "{\"event\":\"tool_use\",\"session_id\":\"s1\",\"tool_use_id\":\"t1\"}", "tool_use s1 t1" },
		{ "generic", "{\"event\":\"task\",\"session_id\":\"s1\",\"task_id\":\"b1\"}", "task s1 b1" },
		{ "generic", "{\"event\":\"task_end\",\"session_id\":\"s1\",\"task_id\":\"b1\"}", "task_end s1 b1" },
		{ "generic", "{\"event\":\"task_end\",\"session_id\":\"s1\"}", "wrong" },
		{ "generic", "{\"event\":\"lunch\"}", "other" },
		{ "generic", "{}", "wrong" },
		{ "generic", "[]", "wrong" },
		{ "generic", "{\"event\":7}", "wrong" },

		{ "claude-code", "{\"session_id\":\"b2c0-1\",\"hook_event_name\":\"SessionEnd\",\"reason\":\"clear\"}", "session_end b2c0-1" },
		{ "claude-code", "{\"session_id\":\"b2c0-1\",\"hook_event_name\":\"Stop\",\"background_tasks\":[]}", "other b2c0-1" },
		{ "claude-code", "{\"session_id\":\"b2c0-1\",\"hook_event_name\":\"SessionStart\",\"source\":\"resume\",\"cwd\":\"/home/ada/shop\"}",
		  "session_start b2c0-1 /home/ada/shop" },
		{ "claude-code", "{\"session_id\":\"c\",\"hook_event_name\":\"PreToolUse\",\"tool_name\":\"mcp__previewd__PreviewProxy\",\"tool_use_id\":\"toolu_01\"}",
		  "tool_use c toolu_01" },
		{ "claude-code", "{\"session_id\":\"c\",\"hook_event_name\":\"PreToolUse\",\"tool_name\":\"Bash\"}", "other c" },
		{ "claude-code", "{\"session_id\":\"c\",\"hook_event_name\":\"PostToolUse\",\"tool_name\":\"Bash\",\"tool_use_id\":\"toolu_2\","
		  "\"tool_response\":{\"backgroundTaskId\":\"b9zsxmioa\"}}", "task c b9zsxmioa toolu_2" },
		{ "claude-code", "{\"session_id\":\"c\",\"hook_event_name\":\"PostToolUse\",\"tool_name\":\"Bash\",\"tool_response\":{\"stdout\":\"\"}}", "other c" },
		{ "claude-code", "{\"session_id\":\"c\",\"hook_event_name\":\"PostToolUse\",\"tool_name\":\"mcp__x\",\"tool_response\":\"text\"}", "other c" },
		{ "claude-code", "{\"session_id\":\"c\",\"hook_event_name\":\"PostToolUse\",\"tool_name\":\"TaskStop\",\"tool_input\":{\"task_id\":\"b9\"}}", "task_end c b9" },
		{ "claude-code", "{\"session_id\":\"c\",\"hook_event_name\":\"PostToolUse\",\"tool_name\":\"KillShell\",\"tool_input\":{\"shell_id\":\"b9\"}}", "task_end c b9" },
		{ "claude-code", "{\"hook_event_name\":\"SessionEnd\"}", "wrong" },

		{ "codex", "{\"session_id\":\"c1\",\"hook_event_name\":\"SessionEnd\",\"reason\":\"other\"}", "session_end c1" },
		{ "codex", "{\"thread_id\":\"c2\",\"hook_event_name\":\"SessionStart\"}", "session_start c2" },
		{ "codex", "{\"session_id\":\"c1\",\"turn_id\":\"t\",\"hook_event_name\":\"Stop\"}", "other c1" },
		{ "gemini", "{\"session_id\":\"g1\",\"hook_event_name\":\"SessionEnd\",\"reason\":\"exit\"}", "session_end g1" },
		{ "gemini", "{\"session_id\":\"g1\",\"hook_event_name\":\"BeforeTool\",\"tool_name\":\"mcp_previewd_PreviewProxy\"}", "other g1" },
		{ "cursor", "{\"conversation_id\":\"u1\",\"hook_event_name\":\"sessionEnd\"}", "session_end u1" },
		{ "cursor", "{\"conversation_id\":\"u1\",\"hook_event_name\":\"stop\"}", "other u1" },
		{ "cursor", "{\"session_id\":\"u2\",\"hook_event_name\":\"sessionEnd\"}", "session_end u2" },
	};
	/* clang-format on */

	(void)state;
	for (size_t i = 0; i < ARRAY_SIZE(rows); i++) {
		const char *got = read_as(rows[i].agent, rows[i].input);

		if (strcmp(got, rows[i].expected) != 0)
			fail_msg("%s: %s: %s, not %s", rows[i].agent, rows[i].input, got,
				 rows[i].expected);
	}
	assert_null(hook_dialect_of("nobody"));
}

static void all_of_it_can_be_said_in_the_generic_dialect(void **state)
{
	static const char text[] =
		"{\"event\":\"session_start\",\"session_id\":\"s1\",\"app_id\":\"shop\","
		"\"cwd\":\"/w\",\"tool_use_id\":\"t1\",\"task_id\":\"b1\",\"pid\":7}";
	scoped(json_freep) cJSON *document = cJSON_Parse(text), *again = NULL;
	scoped(hook_event_done) struct hook_event e = { 0 };
	scoped(freep) char *printed = NULL;

	(void)state;
	assert_int_equal(hook_event_read(hook_dialect_of("generic"), document, &e), 0);
	again = hook_event_document(&e);
	printed = json_print(again);
	assert_string_equal(printed, text);
}

static void gemini_is_given_the_session_to_call_with(void **state)
{
	/* clang-format off */
	static const struct {
		const char *agent, *input, *expected;
	} rows[] = {
		{ "gemini", "{\"session_id\":\"g1\",\"hook_event_name\":\"BeforeTool\",\"tool_name\":\"mcp_previewd_PreviewProxy\","
		  "\"tool_input\":{\"port\":5173}}",
		  "{\"hookSpecificOutput\":{\"hookEventName\":\"BeforeTool\",\"tool_input\":{\"port\":5173,\"session_id\":\"g1\"}}}" },
		{ "gemini", "{\"session_id\":\"g1\",\"hook_event_name\":\"BeforeTool\",\"tool_name\":\"mcp_previewd_PreviewList\"}",
		  "{\"hookSpecificOutput\":{\"hookEventName\":\"BeforeTool\",\"tool_input\":{\"session_id\":\"g1\"}}}" },
		{ "gemini", "{\"session_id\":\"g1\",\"hook_event_name\":\"BeforeTool\",\"tool_name\":\"run_shell_command\"}", "{}" },
		{ "gemini", "{\"session_id\":\"g1\",\"hook_event_name\":\"AfterTool\",\"tool_name\":\"mcp_previewd_PreviewList\"}", "{}" },
		{ "claude-code", "{\"session_id\":\"c\",\"hook_event_name\":\"PreToolUse\",\"tool_name\":\"mcp_previewd_x\",\"tool_use_id\":\"t\"}", "{}" },
	};
	/* clang-format on */

	(void)state;
	for (size_t i = 0; i < ARRAY_SIZE(rows); i++) {
		const struct hook_dialect *dialect = hook_dialect_of(rows[i].agent);
		scoped(json_freep) cJSON *document = cJSON_Parse(rows[i].input), *said = NULL;
		scoped(hook_event_done) struct hook_event e = { 0 };
		scoped(freep) char *text = NULL;

		assert_int_equal(hook_event_read(dialect, document, &e), 0);
		said = hook_answer(dialect, document, &e);
		text = json_print(said);
		assert_string_equal(text, rows[i].expected);
	}
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(each_agent_says_it_in_its_way),
		cmocka_unit_test(gemini_is_given_the_session_to_call_with),
		cmocka_unit_test(all_of_it_can_be_said_in_the_generic_dialect),
	};

	mem_init();
	return cmocka_run_group_tests(tests, NULL, NULL);
}
