/* SPDX-License-Identifier: MIT */
#pragma once

/* The rows of all commands, each in its cmd-*.c, for who needs one by name. */
struct ctl_command;

#define COMMAND(name) extern const struct ctl_command cmd_##name;
#include "ctl/commands.def"
#undef COMMAND
