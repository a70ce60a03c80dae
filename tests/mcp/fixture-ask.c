/* SPDX-License-Identifier: MIT */
/*
 * Tools that ask the client something first, as 2026-07-28 has it: the result says what is needed
 * and carries the state of the matter, which the client brings back with its answers.  previewd
 * asks nothing; this is to show that its server lets a handler do so.
 */
#include "fixture.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "base/crypto.h"
#include "base/mem.h"

#define ROUNDS_MAX 2
#define STATE_KEY  "a secret of this fixture's"

/* clang-format off */
#define ELICIT(message, properties) \
	"{\"method\":\"elicitation/create\",\"params\":{\"message\":\"" message "\"," \
	"\"requestedSchema\":{\"type\":\"object\",\"properties\":{" properties "}}}}"
#define ELICIT_NAME  ELICIT("What is your name?", "\"name\":{\"type\":\"string\"}")
#define SAMPLE(text) \
	"{\"method\":\"sampling/createMessage\",\"params\":{\"messages\":[{\"role\":\"user\"," \
	"\"content\":{\"type\":\"text\",\"text\":\"" text "\"}}],\"maxTokens\":100}}"
#define ROOTS        "{\"method\":\"roots/list\",\"params\":{}}"

static const struct {
	const char *name;
	bool has_state;
	bool only_declared; /* asks for what the client says it can do, and for no more */
	const char *rounds[ROUNDS_MAX]; /* inputRequests */
} asks[] = {
	{ "test_input_required_result_elicitation", false, false, { "{\"user_name\":" ELICIT_NAME "}" } },
	{ "test_input_required_result_sampling", false, false, { "{\"capital_question\":" SAMPLE("What is the capital of France?") "}" } },
	{ "test_input_required_result_list_roots", false, false, { "{\"client_roots\":" ROOTS "}" } },
	{ "test_input_required_result_request_state", true, false, { "{\"confirm\":" ELICIT("Please confirm", "\"ok\":{\"type\":\"boolean\"}") "}" } },
	{ "test_input_required_result_multiple_inputs", true, false, { "{\"user_name\":" ELICIT_NAME ",\"greeting\":" SAMPLE("Generate a greeting") ",\"client_roots\":" ROOTS "}" } },
	{ "test_input_required_result_multi_round", true, false, {
		"{\"step1\":" ELICIT("Step 1: What is your name?", "\"name\":{\"type\":\"string\"}") "}",
		"{\"step2\":" ELICIT("Step 2: What is your favorite color?", "\"color\":{\"type\":\"string\"}") "}" } },
	{ "test_input_required_result_tampered_state", true, false, { "{\"user_name\":" ELICIT_NAME "}" } },
	{ "test_input_required_result_capabilities", false, true, { "{\"user_name\":" ELICIT_NAME ",\"greeting\":" SAMPLE("Generate a greeting") "}" } },
	{ "test_input_required_result_prompt", false, false, { "{\"user_context\":" ELICIT("What context should the prompt use?", "\"context\":{\"type\":\"string\"}") "}" } },
};
/* clang-format on */

static const cJSON *get(const cJSON *j, const char *name)
{
	return cJSON_GetObjectItemCaseSensitive(j, name);
}

/* Which round it is, signed: "1.5ab3..." */
static char *state_of(const char *name, unsigned round)
{
	scoped(freep) char *text = xasprintf("%s.%u", name, round);
	char mac[SHA256_HEX_SIZE];

	hmac_sha256_hex(STATE_KEY, strlen(STATE_KEY), text, strlen(text), mac);
	return xasprintf("%u.%s", round, mac);
}

/* The round that the client's state stands for, 0 where it has none; -1: it is not ours. */
static int round_of(const struct mcp_call *call, const char *name)
{
	const char *state = json_string(mcp_call_params(call), "requestState");

	if (!state)
		return get(mcp_call_params(call), "requestState") ? -1 : 0;
	for (unsigned i = 0; i < ROUNDS_MAX; i++) {
		scoped(freep) char *ours = state_of(name, i);

		if (secret_equal(state, ours))
			return (int)i;
	}
	return -1;
}

static bool is_answer(const cJSON *request, const cJSON *answer)
{
	const char *method = json_string(request, "method");

	if (strcmp(method, "elicitation/create") == 0)
		return json_string(answer, "action");
	if (strcmp(method, "roots/list") == 0)
		return cJSON_IsArray(get(answer, "roots"));
	return cJSON_IsObject(get(answer, "content"));
}

static bool all_answered(const cJSON *requests, const cJSON *answers)
{
	const cJSON *one;

	cJSON_ArrayForEach(one, requests)
	{
		if (!is_answer(one, get(answers, one->string)))
			return false;
	}
	return true;
}

static void drop_undeclared(const struct mcp_call *call, cJSON *requests)
{
	const cJSON *declared = get(mcp_call_meta(call), MCP_META_CAPABILITIES);
	cJSON *one, *next;

	for (one = requests->child; one; one = next) {
		const char *method = json_string(one, "method");
		scoped(freep) char *capability = xstrndup(method, strcspn(method, "/"));

		next = one->next;
		if (!get(declared, capability))
			json_free(cJSON_DetachItemViaPointer(requests, one));
	}
}

static void ask(struct mcp_call *call, cJSON *requests, const char *state)
{
	cJSON *result = cJSON_CreateObject();

	json_add_string(result, "resultType", "input_required");
	cJSON_AddItemToObject(result, "inputRequests", requests);
	if (state)
		json_add_string(result, "requestState", state);
	mcp_reply_consume(call, result);
}

/* All that was answered, for those who look for their own words in it. */
static void finish(struct mcp_call *call, const cJSON *answers)
{
	const char *name = json_string(get(get(answers, "user_name"), "content"), "name");
	scoped(freep) char *printed = answers ? json_print(answers) : xstrdup("nothing");
	scoped(freep) char *text =
		xasprintf("Hello, %s! state-ok: %s", name ? name : "you", printed);

	if (strstr(json_string(mcp_call_params(call), "name"), "_prompt")) {
		cJSON *result = cJSON_CreateObject();

		fixture_add_message(result, fixture_text_content(text));
		mcp_reply_consume(call, result);
	} else {
		mcp_reply_tool_consume(call, text, NULL);
	}
}

void fixture_ask(struct mcp_call *call)
{
	const char *name = json_string(mcp_call_params(call), "name");
	const cJSON *answers = get(mcp_call_params(call), "inputResponses");
	scoped(freep) char *state = NULL;
	scoped(json_freep) cJSON *requests = NULL;
	size_t i = 0;
	int round = 0;

	while (strcmp(asks[i].name, name) != 0)
		i++;
	if (asks[i].has_state)
		round = round_of(call, name);
	if (round < 0 || !asks[i].rounds[round]) {
		mcp_fail(call, MCP_INVALID_PARAMS, "Invalid params: requestState is not ours");
		return;
	}

	requests = fixture_json(asks[i].rounds[round]);
	if (asks[i].only_declared)
		drop_undeclared(call, requests);
	if (all_answered(requests, answers)) {
		round++;
		json_free(requests);
		requests = NULL;
		if (round == ROUNDS_MAX || !asks[i].rounds[round]) {
			finish(call, answers);
			return;
		}
		requests = fixture_json(asks[i].rounds[round]);
	}
	if (asks[i].has_state)
		state = state_of(name, (unsigned)round);
	ask(call, STEAL(requests), state);
}
