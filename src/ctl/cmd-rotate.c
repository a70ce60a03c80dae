/* SPDX-License-Identifier: MIT */
/*
 * A new token for a published page: links that were given out before stop working.
 */

#include "base/json.h"
#include "ctl/commands.h"
#include "ctl/ctl.h"
#include "ctl/output.h"

static int rotate(struct ctl *ctl)
{
	scoped(problem_done) struct problem problem = { 0 };
	scoped(freep) char *path = ctl_path(ctl, "/published", "rotate", &problem);
	scoped(json_freep) cJSON *body = cJSON_CreateObject(), *answer = NULL;

	if (ctl->n_args > 0)
		json_add_string(body, "name", ctl->args[0]);
	if (!path || ctl_call(ctl, "POST", path, body, &answer, &problem) < 0)
		return ctl_fail(ctl, &problem);
	if (ctl->common[CTL_JSON].text)
		output_json(ctl, answer);
	else
		output_address(ctl, answer);
	return EXIT_OK;
}

const struct ctl_command cmd_rotate = {
	.name = "rotate",
	.args = "[NAME]",
	.most_args = 1,
	.arg_type = CTL_NAME,
	.summary = "Give a published page a new unguessable address.",
	.help = "Links with the old token stop working. Where pages are public "
		"(publish.visibility) the address has no token, and stays as it is. NAME is "
		"\"published\" without it.",
	.exec = rotate,
};
