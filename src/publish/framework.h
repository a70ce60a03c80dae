/* SPDX-License-Identifier: MIT */
#pragma once

#include <stdbool.h>
#include <stddef.h>

#include "publish/detect.h"

/* A row of frameworks.def, which says what each member is.  Lists are words with spaces between. */
struct framework {
	const char *name;
	const char *packages, *file;
	const char *program, *program_packages;
	const char *scripts;
	const char *outputs, *output_flags;
	const char *environment, *base_environment;
	enum base_strategy base;
	const char *command, *argument, *base_argument;
	const char *injects, *base_injects;
	const char *needs, *needs_hint;
	const char *since_hint;
	unsigned since;
	const char *below;
	const char *dev_command, *dev_port_flag;
	unsigned dev_port;
	bool dev_port_env;
};

extern const struct framework frameworks[];
extern const size_t n_frameworks;

/* The row of plain files, of which nothing is built. */
extern const struct framework framework_static;

/* The text of a file of inject/, or NULL where there is none of that name. */
const char *inject_text(const char *name);
