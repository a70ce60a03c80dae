/* SPDX-License-Identifier: MIT */
/*
 * All that is known of one preview, or of the session and what is attached in it.
 */
#include "base/json.h"
#include "base/mem.h"
#include "ctl/commands.h"
#include "ctl/ctl.h"
#include "ctl/output.h"
#include "ctl/previews.h"

static int status_of_preview(struct ctl *ctl, const char *name)
{
	static const char *const rows[] = {
		"session_id",    "name",
		"status",        "url",
		"scheme",        "host",
		"port",          "path",
		"attached_at",   "touched_at",
		"activity",      "idle_seconds",
		"reaps_at",      "pinned",
		"bash_task_id",  "probe.http_status",
		"probe.took_ms", "probe.address",
		"owner.pid",     "owner.user",
		"owner.command", NULL,
	};
	scoped(problem_done) struct problem problem = { 0 };
	scoped(freep) char *path = ctl_path(ctl, "/previews", name, &problem);
	scoped(json_freep) cJSON *preview = NULL;
	const cJSON *warning;

	if (!path || ctl_call(ctl, "GET", path, NULL, &preview, &problem) < 0)
		return ctl_fail(ctl, &problem);
	if (ctl->common[CTL_JSON].text) {
		output_json(ctl, preview);
		return EXIT_OK;
	}
	members_print(ctl, preview, rows);
	cJSON_ArrayForEach(warning,
			   cJSON_GetObjectItemCaseSensitive(
				   preview, "warnings")) if (json_string(warning, "detail"))
		ctl_warn(ctl, "%s", json_string(warning, "detail"));
	return EXIT_OK;
}

/* Whether what is published can be built here: an admin is told, with the remedy where it can't. */
static cJSON *sandbox_state(struct ctl *ctl)
{
	scoped(problem_done) struct problem problem = { 0 };
	scoped(json_freep) cJSON *health = NULL;
	cJSON *publish;

	if (ctl_call(ctl, "GET", "/health/web_preview", NULL, &health, &problem) < 0)
		return NULL;
	publish = cJSON_GetObjectItemCaseSensitive(health, "publish");
	return cJSON_DetachItemFromObjectCaseSensitive(publish, "sandbox");
}

static int status_of_session(struct ctl *ctl)
{
	static const char *const rows[] = {
		"session_id", "app_id",   "user_id",    "workdir",
		"created_at", "ended_at", "latest_seq", NULL,
	};
	scoped(problem_done) struct problem problem = { 0 };
	scoped(freep) char *path = ctl_path(ctl, NULL, NULL, &problem);
	scoped(freep) char *beneath = path ? ctl_path(ctl, "/previews", NULL, &problem) : NULL;
	scoped(json_freep) cJSON *session = NULL;
	scoped(json_freep) cJSON *list = NULL;
	scoped(json_freep) cJSON *sandbox = NULL;

	if (!path || ctl_call(ctl, "GET", path, NULL, &session, &problem) < 0 ||
	    ctl_call(ctl, "GET", beneath, NULL, &list, &problem) < 0)
		return ctl_fail(ctl, &problem);
	sandbox = sandbox_state(ctl);

	if (ctl->common[CTL_JSON].text) {
		scoped(json_freep) cJSON *both = cJSON_CreateObject();

		cJSON_AddItemToObject(both, "session", STEAL(session));
		cJSON_AddItemToObject(both, "previews",
				      cJSON_DetachItemFromObjectCaseSensitive(list, "previews"));
		if (sandbox)
			cJSON_AddItemToObject(both, "sandbox", STEAL(sandbox));
		output_json(ctl, both);
		return EXIT_OK;
	}
	members_print(ctl, session, rows);
	fputc('\n', ctl->out);
	previews_print(ctl, cJSON_GetObjectItemCaseSensitive(list, "previews"), false);
	if (sandbox) {
		fputc('\n', ctl->out);
		output_sandbox(ctl, sandbox);
	}
	return EXIT_OK;
}

static int status(struct ctl *ctl)
{
	return ctl->n_args > 0 ? status_of_preview(ctl, ctl->args[0]) : status_of_session(ctl);
}

const struct ctl_command cmd_status = {
	.name = "status",
	.args = "[NAME]",
	.most_args = 1,
	.arg_type = CTL_PREVIEW,
	.summary = "Show all about a preview, or about the session.",
	.exec = status,
};
