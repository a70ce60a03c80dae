/* SPDX-License-Identifier: MIT */
/*
 * The prompt `preview`, which clients offer as a command: it sets the model to work.
 */
#include "base/mem.h"
#include "mcp/mcp_priv.h"

void prompt_preview(struct mcp_call *call)
{
	const char *what = json_string(mcp_call_arguments(call), "what");
	scoped(freep) char *text = xasprintf("Show me %.500s as a live preview. If its dev server "
					     "does not run yet, start it in the "
					     "background, on 127.0.0.1, and see from its output "
					     "which port it listens on. Then call "
					     "PreviewProxy with that port, and with the background "
					     "task's id as bash_task_id where "
					     "you have one. If it reports a problem, do what it "
					     "says and call it again. Tell me the "
					     "URL.",
					     what && what[0] ? what : "this project");
	cJSON *result = cJSON_CreateObject(), *message = cJSON_CreateObject(), *content;

	json_add_string(result, "description", "Start the dev server and attach it");
	json_add_string(message, "role", "user");
	content = cJSON_AddObjectToObject(message, "content");
	json_add_string(content, "type", "text");
	json_add_string(content, "text", text);
	cJSON_AddItemToArray(cJSON_AddArrayToObject(result, "messages"), message);
	mcp_reply_consume(call, result);
}
