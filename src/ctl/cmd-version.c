/* SPDX-License-Identifier: MIT */
/*
 * The version of this program; `health` tells the daemon's.
 */
#include "base/json.h"
#include "ctl/commands.h"
#include "ctl/ctl.h"
#include "ctl/output.h"

static int version(struct ctl *ctl)
{
	scoped(json_freep) cJSON *document = NULL;

	if (!ctl->common[CTL_JSON].text) {
		fputs("previewctl " PACKAGE_VERSION "\n", ctl->out);
		return EXIT_OK;
	}
	document = cJSON_CreateObject();
	json_add_string(document, "version", PACKAGE_VERSION);
	output_json(ctl, document);
	return EXIT_OK;
}

const struct ctl_command cmd_version = {
	.name = "version",
	.summary = "Print the version.",
	.exec = version,
};
