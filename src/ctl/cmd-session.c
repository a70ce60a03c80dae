/* SPDX-License-Identifier: MIT */
/*
 * Sessions: made before anything is attached (to give them a user or a directory), shown, ended.
 */
#include <string.h>

#include "base/json.h"
#include "ctl/commands.h"
#include "ctl/ctl.h"
#include "ctl/output.h"
#include "ctl/previews.h"

enum { USER, WORKDIR, META };

static const struct ctl_option new_options[] = {
	[USER] = { "user", 'u', CTL_ID, "ID", .help = "Whose it is; only an admin may say so." },
	[WORKDIR] = { "workdir", 0, CTL_FILE, "DIR", .help = "The directory that it works in." },
	[META] = { "meta", 0, CTL_TEXT, "JSON", .help = "An object that is kept with it." },
	CTL_OPTIONS_END,
};

/* The argument names the session like --session does, and goes before it. */
static char *session_path(struct ctl *ctl, struct problem *reterr)
{
	if (ctl->n_args > 0)
		ctl->common[CTL_SESSION].text = ctl->args[0];
	return ctl_path(ctl, NULL, NULL, reterr);
}

static int body_of(const struct ctl *ctl, cJSON *body, struct problem *reterr)
{
	const char *meta = ctl->values[META].text;
	cJSON *object;

	if (ctl_given(ctl, USER))
		json_add_string(body, "user_id", ctl->values[USER].text);
	if (ctl_given(ctl, WORKDIR))
		json_add_string(body, "workdir", ctl->values[WORKDIR].text);
	if (!meta)
		return 0;
	if (json_parse(meta, strlen(meta), &object, NULL) < 0)
		return problem_set(reterr, EXIT_USAGE, "usage", "--meta is no JSON: '%s'", meta);
	cJSON_AddItemToObject(body, "meta", object);
	return 0;
}

static int session_new(struct ctl *ctl)
{
	scoped(problem_done) struct problem problem = { 0 };
	scoped(freep) char *path = session_path(ctl, &problem);
	scoped(json_freep) cJSON *body = cJSON_CreateObject();
	scoped(json_freep) cJSON *session = NULL;

	if (!path || body_of(ctl, body, &problem) < 0 ||
	    ctl_call(ctl, "PUT", path, body, &session, &problem) < 0)
		return ctl_fail(ctl, &problem);
	if (ctl->common[CTL_JSON].text)
		output_json(ctl, session);
	else
		fprintf(ctl->out, "%s\n", ctl_session(ctl, NULL));
	return EXIT_OK;
}

static int session_show(struct ctl *ctl)
{
	static const char *const rows[] = {
		"session_id", "app_id",   "user_id",  "workdir",    "meta",
		"created_at", "ended_at", "previews", "latest_seq", NULL,
	};
	scoped(problem_done) struct problem problem = { 0 };
	scoped(freep) char *path = session_path(ctl, &problem);
	scoped(json_freep) cJSON *session = NULL;

	if (!path || ctl_call(ctl, "GET", path, NULL, &session, &problem) < 0)
		return ctl_fail(ctl, &problem);
	if (ctl->common[CTL_JSON].text)
		output_json(ctl, session);
	else
		members_print(ctl, session, rows);
	return EXIT_OK;
}

static int session_end(struct ctl *ctl)
{
	scoped(problem_done) struct problem problem = { 0 };
	scoped(freep) char *path = session_path(ctl, &problem);
	scoped(json_freep) cJSON *answer = NULL;
	const cJSON *name;

	if (!path || ctl_call(ctl, "DELETE", path, NULL, &answer, &problem) < 0)
		return ctl_fail(ctl, &problem);
	if (ctl->common[CTL_JSON].text) {
		output_json(ctl, answer);
		return EXIT_OK;
	}
	if (json_string(answer, "hint")) {
		scoped(freep) char *hint = printable(json_string(answer, "hint"));

		fprintf(ctl->err, "previewctl: %s\n", hint);
	}
	cJSON_ArrayForEach(name, cJSON_GetObjectItemCaseSensitive(answer, "detached"))
	{
		scoped(freep) char *shown =
			printable(cJSON_IsString(name) ? name->valuestring : "?");

		fprintf(ctl->out, "%s\n", shown);
	}
	return EXIT_OK;
}

const struct ctl_command cmd_session_new = {
	.name = "session new",
	.args = "[ID]",
	.most_args = 1,
	.arg_type = CTL_ID,
	.options = new_options,
	.summary = "Make a session, or change what is kept with it.",
	.help = "Attaching makes it by itself: this is for giving it a user or a directory first. "
		"Prints its id.",
	.exec = session_new,
};

const struct ctl_command cmd_session_show = {
	.name = "session show",
	.args = "[ID]",
	.most_args = 1,
	.arg_type = CTL_ID,
	.summary = "Show what is known of a session.",
	.exec = session_show,
};

const struct ctl_command cmd_session_end = {
	.name = "session end",
	.args = "[ID]",
	.most_args = 1,
	.arg_type = CTL_ID,
	.summary = "End a session: all that is attached in it goes.",
	.help = "Prints the names of what was detached. The session's tokens end with it. The same "
		"user may come back to the id.",
	.exec = session_end,
};
