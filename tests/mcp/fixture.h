/* SPDX-License-Identifier: MIT */
#pragma once

#include "base/json.h"
#include "mcp/server.h"

/* JSON of ours: a mistake in it ends the program. */
cJSON *fixture_json(const char *text);

/* One more message of the user's in a prompt's result. */
void fixture_add_message(cJSON *result, cJSON *content);
cJSON *fixture_text_content(const char *text);

/* fixture-ask.c: the tools and the prompt named test_input_required_result_... */
void fixture_ask(struct mcp_call *call);
