/* SPDX-License-Identifier: MIT */
/*
 * Attaches a running server to the session: prints the address that its viewers use.
 */
#include "base/json.h"
#include "base/parse.h"
#include "ctl/commands.h"
#include "ctl/ctl.h"
#include "ctl/output.h"

/*
 * The daemon waits for the port (at most 120 s), then for an answer over HTTP (at most 120 s, twice
 * where the address for viewers is another).  It is the one to give up, not we.
 */
#define LISTEN_SECONDS_MAX 120
#define ANSWER_SECONDS_MAX 300

enum { NAME, PATH, HOST, SCHEME, WAIT, TASK, NO_PROBE, NO_FOCUS };

/* clang-format off */
static const struct ctl_option options[] = {
	[NAME] = { "name", 'n', CTL_NAME, "NAME", .help =
		"The preview's name in its session; \"default\" without it. One of that name is replaced." },
	[PATH] = { "path", 'p', CTL_TEXT, "PATH", .help = "Where the preview opens, such as /admin." },
	[HOST] = { "host", 0, CTL_TEXT, "HOST", .help =
		"Where the server listens; 127.0.0.1 without it. The daemon's preview.allow_hosts says which may be." },
	[SCHEME] = { "scheme", 0, CTL_CHOICE, "SCHEME", .choices = "http,https", .help =
		"What the server speaks: http, or https." },
	[WAIT] = { "wait", 'w', CTL_SECONDS, "SECONDS", 1, LISTEN_SECONDS_MAX, .help =
		"How long the port may take to be listened on, 1 to 120; without it as the daemon is set, 15." },
	[TASK] = { "task", 't', CTL_TEXT, "ID", .help =
		"The background task that the server is. It is ended when its last preview is detached." },
	[NO_PROBE] = { "no-probe", 0, CTL_FLAG, .help = "Attach without asking the server anything." },
	[NO_FOCUS] = { "no-focus", 0, CTL_FLAG, .help = "Don't bring the preview to the front." },
	CTL_OPTIONS_END,
};
/* clang-format on */

static cJSON *body_of(const struct ctl *ctl, unsigned port)
{
	cJSON *body = cJSON_CreateObject();
	const struct {
		int option;
		const char *member;
	} texts[] = {
		{ NAME, "name" },     { PATH, "path" },         { HOST, "host" },
		{ SCHEME, "scheme" }, { TASK, "bash_task_id" },
	};

	json_add_u64(body, "port", port);
	for (size_t i = 0; i < ARRAY_SIZE(texts); i++)
		if (ctl_given(ctl, texts[i].option))
			json_add_string(body, texts[i].member, ctl->values[texts[i].option].text);
	if (ctl_given(ctl, WAIT))
		json_add_u64(body, "wait_seconds", ctl->values[WAIT].number);
	if (ctl_given(ctl, NO_PROBE))
		cJSON_AddFalseToObject(body, "health_check");
	if (ctl_given(ctl, NO_FOCUS))
		cJSON_AddFalseToObject(body, "focus");
	return body;
}

static void tell_warnings(const struct ctl *ctl, const cJSON *attached)
{
	const cJSON *warning;

	cJSON_ArrayForEach(warning, cJSON_GetObjectItemCaseSensitive(attached, "warnings"))
	{
		const char *detail = json_string(warning, "detail");

		if (detail)
			ctl_warn(ctl, "%s", detail);
	}
}

static int attach(struct ctl *ctl)
{
	scoped(problem_done) struct problem problem = { 0 };
	scoped(freep) char *path = ctl_path(ctl, "/previews", NULL, &problem);
	scoped(json_freep) cJSON *body = NULL;
	scoped(json_freep) cJSON *attached = NULL;
	unsigned port, seconds = LISTEN_SECONDS_MAX + ANSWER_SECONDS_MAX;
	const char *url;

	if (!path || parse_uint(ctl->args[0], 1, 65535, &port) < 0)
		return ctl_fail(ctl, &problem);

	body = body_of(ctl, port);
	if (ctl_given(ctl, WAIT))
		seconds = ctl->values[WAIT].number + ANSWER_SECONDS_MAX;
	if (ctl_call_within(ctl, seconds * USEC_PER_SEC, "POST", path, body, &attached, &problem) <
	    0)
		return ctl_fail(ctl, &problem);

	url = json_string(attached, "url");
	if (ctl->common[CTL_JSON].text) {
		output_json(ctl, attached);
	} else if (url) {
		scoped(freep) char *shown = printable(url);

		fprintf(ctl->out, "%s\n", shown);
	}
	tell_warnings(ctl, attached);
	if (ctl->common[CTL_VERBOSE].text &&
	    cJSON_IsTrue(cJSON_GetObjectItemCaseSensitive(attached, "replaced")))
		fputs("previewctl: it replaced the one of that name\n", ctl->err);
	return EXIT_OK;
}

const struct ctl_command cmd_attach = {
	.name = "attach",
	.args = "PORT",
	.least_args = 1,
	.most_args = 1,
	.arg_type = CTL_UINT,
	.options = options,
	.summary = "Attach the server that listens on a port.",
	.help = "Waits until the port is listened on, asks the server for the page, and prints the "
		"address for viewers. What may keep them from seeing it is told as a warning, with "
		"the setting that mends it.",
	.exec = attach,
};
