/* SPDX-License-Identifier: MIT */
#pragma once

struct ctl_command;

#define COMMAND(name) extern const struct ctl_command cmd_##name;
#include "ctl/commands.def"
#undef COMMAND
