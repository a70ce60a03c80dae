/* SPDX-License-Identifier: MIT */
/*
 * Takes a published page off the air.
 */
#include <stdio.h>

#include "base/json.h"
#include "ctl/commands.h"
#include "ctl/ctl.h"
#include "ctl/output.h"

static int unpublish(struct ctl *ctl)
{
	scoped(problem_done) struct problem problem = { 0 };
	scoped(freep) char *path = ctl_published_path(ctl, "/published", &problem);
	scoped(json_freep) cJSON *answer = NULL;

	if (!path || ctl_call(ctl, "DELETE", path, NULL, &answer, &problem) < 0)
		return ctl_fail(ctl, &problem);
	if (ctl->common[CTL_JSON].text)
		output_json(ctl, answer);
	else if (json_string(answer, "hint"))
		fprintf(ctl->err, "previewctl: %s\n", json_string(answer, "hint"));
	else if (json_string(answer, "name"))
		fprintf(ctl->out, "%s\n", json_string(answer, "name"));
	return EXIT_OK;
}

const struct ctl_command cmd_unpublish = {
	.name = "unpublish",
	.args = "[NAME]",
	.most_args = 1,
	.arg_type = CTL_NAME,
	.summary = "Take a published page off the air.",
	.help = "Its releases stay for a while: `previewctl rollback` puts one of them back. NAME "
		"is \"published\" without it. It is no failure when there was none.",
	.exec = unpublish,
};
