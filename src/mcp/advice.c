/* SPDX-License-Identifier: MIT */
/*
 * What a model can do about a fault.  A model acts on what it reads, and it reads only text: so the
 * text says the next step, and names what it needs for it.
 */
#include "base/mem.h"
#include "base/strbuf.h"
#include "mcp/mcp_priv.h"

static const struct {
	enum fault_code code;
	const char *next;
} advice[] = {
	/* clang-format off */
	{ FAULT_SESSION_LIMIT,        "Call PreviewDetach with the name of one that is no longer needed, then try again; or attach under one of these names to replace it." },
	{ FAULT_USER_LIMIT,           "Call PreviewDetach with the name and session_id of one that is no longer needed, then try again; ask the user which, if they are not yours." },
	{ FAULT_TARGET_NOT_LISTENING, "Look at the dev server's output: it may still be compiling, have failed, or have taken another port than asked for. Start it (in the background) and call PreviewProxy with the port it prints." },
	{ FAULT_TARGET_NOT_ACCEPTING, "The process hangs or is stopped. Restart the dev server, then call PreviewProxy again." },
	{ FAULT_TARGET_NOT_HTTP,      "Pass the port of the web server, not that of a database, debugger or other service." },
	{ FAULT_TARGET_IS_TLS,        "Call PreviewProxy again with scheme \"https\", or start the dev server without TLS." },
	{ FAULT_TARGET_NOT_ALLOWED,   "Start the server on 127.0.0.1 and on another port, then call PreviewProxy with that port." },
	{ FAULT_PORT_TAKEN,           "Start the dev server on another port, then call PreviewProxy with that port." },
	{ FAULT_PREVIEW_NOT_FOUND,    "Call PreviewList to see what is attached." },
	{ FAULT_SESSION_NOT_FOUND,    "Check session_id: leave it empty if the integration fills it in. Nothing was ever attached in that session, or it is another user's." },
	{ FAULT_TOO_MANY_REQUESTS,    "Wait a few seconds, then try again." },
	{ FAULT_STORE_UNAVAILABLE,    "Nothing was changed. Try again in a moment; if it goes on, tell the user that previewd cannot write its state." },
	{ FAULT_MACHINE_FAILED,       "Nothing is wrong with the project, and nothing was changed. Try again in a moment; if it goes on, tell the user what the machine is short of." },
	{ FAULT_DRAINING,             "previewd is restarting. Try again in a few seconds." },
	{ FAULT_BUILD_RUNNING,        "Wait for that build to end, then call PreviewPublish again." },
	{ FAULT_BUILD_QUEUE_FULL,     "Try again in a minute." },
	{ FAULT_NOT_A_PROJECT,        "Pass workdir, the project's directory as an absolute path; it must hold a package.json or an index.html." },
	{ FAULT_BAD_PACKAGE_JSON,     "Mend package.json, then call PreviewPublish again." },
	{ FAULT_NO_BUILD_SCRIPT,      "Pass the right build_script, or add a script \"build\" to package.json." },
	{ FAULT_INSTALL_FAILED,       "Mend what the lines say (package.json, its lock file), then call PreviewPublish again. If the packages are installed already, pass install=false." },
	{ FAULT_BUILD_FAILED,         "Mend the error that the lines show, then call PreviewPublish again. What was published before is untouched." },
	{ FAULT_BUILD_TIMEOUT,        "Make the build faster, or call PreviewPublish with a larger timeout_seconds. What was published before is untouched." },
	{ FAULT_NO_OUTPUT,            "Pass output_dir, the directory that the build writes to, relative to the project." },
	{ FAULT_NO_INDEX,             "Pass output_dir, the directory that holds index.html after a build." },
	{ FAULT_OUTPUT_TOO_LARGE,     "Take what is large out of the build's output, then call PreviewPublish again." },
	{ FAULT_SANDBOX_UNAVAILABLE,  "Tell the user: builds need bubblewrap, or the setting publish.sandbox. PreviewProxy shows a running server without a build." },
	{ FAULT_NODE_UNAVAILABLE,     "Tell the user which Node the project needs." },
	{ FAULT_CANCELED,             "Try again." },
	{ FAULT_FORBIDDEN,            "Tell the user: the token in the agent's configuration lacks the scope for this." },
	/* clang-format on */
};

static const char *next_step(enum fault_code code)
{
	for (size_t i = 0; i < ARRAY_SIZE(advice); i++)
		if (advice[i].code == code)
			return advice[i].next;
	return NULL;
}

static void add_words(struct strbuf *b, enum fault_code code, const struct fault *fault)
{
	if (code == FAULT_INVALID_FIELD && fault->n_fields == 0) {
		strbuf_puts(b, fault->detail);
		return;
	}
	strbuf_puts(b, fault_title(code));
	if (fault->n_fields == 0 && fault->detail)
		strbuf_printf(b, ": %s", fault->detail);
	for (size_t i = 0; i < fault->n_fields; i++)
		strbuf_printf(b, "\n- %s %s", fault->fields[i].field, fault->fields[i].problem);
}

/* The limits' faults list what is attached. */
static void add_attached(struct strbuf *b, const struct fault *fault)
{
	const cJSON *list = cJSON_GetObjectItemCaseSensitive(fault->members, "attached"), *one;

	cJSON_ArrayForEach(one, list)
	{
		strbuf_printf(b, "\n- %s (session %s): %s", json_string(one, "name"),
			      json_string(one, "session_id"), json_string(one, "url"));
	}
}

/* A build's faults bring its last lines. */
static void add_log_tail(struct strbuf *b, const struct fault *fault)
{
	const cJSON *tail = cJSON_GetObjectItemCaseSensitive(fault->members, "log_tail"), *line;

	if (!tail)
		return;
	strbuf_puts(b, "\nThe build's last lines:");
	if (cJSON_IsString(tail))
		strbuf_printf(b, "\n%s", tail->valuestring);
	cJSON_ArrayForEach(line, tail) if (cJSON_IsString(line))
		strbuf_printf(b, "\n  %s", line->valuestring);
}

static cJSON *problem_meta(const struct fault *fault)
{
	cJSON *meta = cJSON_CreateObject(), *problem;
	const cJSON *member;

	problem = cJSON_AddObjectToObject(meta, "dev.previewd/problem");
	json_add_string(problem, "code", fault_slug(fault->code));
	cJSON_ArrayForEach(member, fault->members)
		cJSON_AddItemToObject(problem, member->string, cJSON_Duplicate(member, true));
	return meta;
}

void reply_fault(struct mcp_call *call, const struct fault *fault)
{
	scoped(strbuf_done) struct strbuf b = strbuf_init(STRBUF_UNLIMITED);
	enum fault_code code = fault->code == FAULT_NONE ? FAULT_INTERNAL : fault->code;
	const char *next = next_step(code);

	add_words(&b, code, fault);
	add_attached(&b, fault);
	add_log_tail(&b, fault);
	if (next)
		strbuf_printf(&b, "\n%s", next);
	mcp_reply_tool_error_consume(call, strbuf_str(&b), problem_meta(fault));
}
