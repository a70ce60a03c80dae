/* SPDX-License-Identifier: MIT */
/*
 * What was published: which releases are kept, and which of them is current.
 */
#include <stdio.h>

#include "base/json.h"
#include "ctl/commands.h"
#include "ctl/ctl.h"
#include "ctl/output.h"

static void add_number(struct table *t, const cJSON *release, const char *member)
{
	const cJSON *j = cJSON_GetObjectItemCaseSensitive(release, member);
	char text[32] = "";

	if (cJSON_IsNumber(j))
		snprintf(text, sizeof(text), "%.0f", j->valuedouble);
	table_add(t, text);
}

static int releases(struct ctl *ctl)
{
	static const char *const titles[] = { "RELEASE", "CURRENT", "CREATED",
					      "FILES",   "BYTES",   NULL };
	scoped(problem_done) struct problem problem = { 0 };
	scoped(freep) char *path = ctl_published_path(ctl, "/releases", &problem);
	scoped(table_freep) struct table *t = table_new(titles);
	scoped(json_freep) cJSON *answer = NULL;
	const cJSON *one;

	if (!path || ctl_call(ctl, "GET", path, NULL, &answer, &problem) < 0)
		return ctl_fail(ctl, &problem);
	if (ctl->common[CTL_JSON].text) {
		output_json(ctl, answer);
		return EXIT_OK;
	}
	cJSON_ArrayForEach(one, cJSON_GetObjectItemCaseSensitive(answer, "releases"))
	{
		table_add(t, json_string(one, "id"));
		table_add(t, cJSON_IsTrue(cJSON_GetObjectItemCaseSensitive(one, "current")) ? "yes"
											    : "");
		table_add(t, json_string(one, "created_at"));
		add_number(t, one, "files");
		add_number(t, one, "bytes");
	}
	table_print(t, ctl->out, ctl->tty, ctl->color);
	return EXIT_OK;
}

const struct ctl_command cmd_releases = {
	.name = "releases",
	.args = "[NAME]",
	.most_args = 1,
	.arg_type = CTL_NAME,
	.summary = "List the releases of a published page, the newest first.",
	.help = "NAME is \"published\" without it.",
	.exec = releases,
};
