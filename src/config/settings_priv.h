/* SPDX-License-Identifier: MIT */
#pragma once

#include "config/option.h"

/* Where each value came from, for `--print-config` and for who is told that one is wrong. */
enum settings_source {
	SETTINGS_DEFAULT,
	SETTINGS_FILE,
	SETTINGS_ENVIRONMENT,
	SETTINGS_COMMAND_LINE,
};

struct settings_origin {
	char *file; /* NULL: none was read */
	struct {
		enum settings_source source;
		unsigned line; /* of the file */
	} of[OPTION_COUNT];
};
