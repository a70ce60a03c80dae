/* SPDX-License-Identifier: MIT */
/*
 * The commands, in the order of the help and the manual.
 */
#include "ctl/commands.h"

#include <stddef.h>

#include "ctl/ctl.h"

const struct ctl_command *const ctl_commands[] = {
#define COMMAND(name) &cmd_##name,
#include "ctl/commands.def"
#undef COMMAND
	NULL,
};
