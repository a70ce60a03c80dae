/* SPDX-License-Identifier: MIT */
/*
 * "Somebody is looking": the idle clock of a preview starts anew.
 */
#include "base/json.h"
#include "base/mem.h"
#include "ctl/commands.h"
#include "ctl/ctl.h"
#include "ctl/output.h"

static int touch(struct ctl *ctl)
{
	scoped(problem_done) struct problem problem = { 0 };
	scoped(freep) char *preview = ctl_path(ctl, "/previews", ctl_arg(ctl, "default"), &problem);
	scoped(freep) char *path = preview ? xasprintf("%s/touch", preview) : NULL;
	scoped(json_freep) cJSON *answer = NULL;

	if (!path || ctl_call(ctl, "POST", path, NULL, &answer, &problem) < 0)
		return ctl_fail(ctl, &problem);
	if (ctl->common[CTL_JSON].text)
		output_json(ctl, answer);
	return EXIT_OK;
}

const struct ctl_command cmd_touch = {
	.name = "touch",
	.args = "[NAME]",
	.most_args = 1,
	.arg_type = CTL_PREVIEW,
	.summary = "Say that somebody looks at a preview.",
	.help = "Its idle time starts anew, as if there had been traffic.",
	.exec = touch,
};
