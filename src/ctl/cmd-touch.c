/* SPDX-License-Identifier: MIT */
/*
 * "Somebody is looking": the idle clock of a preview starts anew.
 */
#include "ctl/commands.h"
#include "ctl/ctl.h"
#include "ctl/previews.h"

static int touch(struct ctl *ctl)
{
	return previews_post(ctl, "touch");
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
