/* SPDX-License-Identifier: MIT */
/*
 * What must stay is pinned: however long nobody looks, it isn't detached for that.
 */
#include "ctl/commands.h"
#include "ctl/ctl.h"
#include "ctl/previews.h"

static int pin(struct ctl *ctl)
{
	return previews_post(ctl, "pin");
}

static int unpin(struct ctl *ctl)
{
	return previews_post(ctl, "unpin");
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
