/* SPDX-License-Identifier: MIT */
/*
 * What must stay is pinned: however long nobody looks, it isn't detached for that.
 */
#include "base/json.h"
#include "base/mem.h"
#include "ctl/commands.h"
#include "ctl/ctl.h"
#include "ctl/output.h"

static int call(struct ctl *ctl, const char *verb)
{
	scoped(problem_done) struct problem problem = { 0 };
	scoped(freep) char *preview = ctl_path(ctl, "/previews", ctl_arg(ctl, "default"), &problem);
	scoped(freep) char *path = preview ? xasprintf("%s/%s", preview, verb) : NULL;
	scoped(json_freep) cJSON *answer = NULL;

	if (!path || ctl_call(ctl, "POST", path, NULL, &answer, &problem) < 0)
		return ctl_fail(ctl, &problem);
	if (ctl->common[CTL_JSON].text)
		output_json(ctl, answer);
	return EXIT_OK;
}

static int pin(struct ctl *ctl)
{
	return call(ctl, "pin");
}

static int unpin(struct ctl *ctl)
{
	return call(ctl, "unpin");
}

const struct ctl_command cmd_pin = {
	.name = "pin",
	.args = "[NAME]",
	.most_args = 1,
	.arg_type = CTL_PREVIEW,
	.summary = "Keep a preview however long nobody uses it.",
	.help = "It stays pinned when it is attached anew, and over restarts of the daemon, until "
		"it is unpinned or detached.",
	.exec = pin,
};

const struct ctl_command cmd_unpin = {
	.name = "unpin",
	.args = "[NAME]",
	.most_args = 1,
	.arg_type = CTL_PREVIEW,
	.summary = "Let a preview go again when nobody uses it.",
	.help = "Its idle time starts anew.",
	.exec = unpin,
};
