/* SPDX-License-Identifier: MIT */
/*
 * Another release of a published page becomes the current one: the one before, or one that is
 * named.
 */
#include <stdio.h>
#include <string.h>

#include "base/json.h"
#include "base/mem.h"
#include "ctl/commands.h"
#include "ctl/ctl.h"
#include "ctl/output.h"

enum { NAME };

/* clang-format off */
static const struct ctl_option options[] = {
	[NAME] = { "name", 'n', CTL_NAME, "NAME", .help = "Of what is published; \"published\" without it." },
	CTL_OPTIONS_END,
};
/* clang-format on */

/* The newest of those that are older than the current one. */
static const char *release_before(const cJSON *list)
{
	const char *current = json_string(list, "current");
	const cJSON *one;

	cJSON_ArrayForEach(one, cJSON_GetObjectItemCaseSensitive(list, "releases"))
	{
		const char *id = json_string(one, "id");

		if (id && (!current || strcmp(id, current) < 0))
			return id;
	}
	return NULL;
}

static int activate(struct ctl *ctl, const cJSON *list, const char *release_id)
{
	scoped(problem_done) struct problem problem = { 0 };
	scoped(freep) char *release = ctl_path(ctl, "/releases", release_id, &problem);
	scoped(freep) char *path = release ? xasprintf("%s/activate", release) : NULL;
	scoped(json_freep) cJSON *body = cJSON_CreateObject(), *answer = NULL;
	const char *current = json_string(list, "current");

	if (ctl_given(ctl, NAME))
		json_add_string(body, "name", ctl->values[NAME].text);
	json_add_string(body, "expected_current", current ? current : "");
	if (!path || ctl_call(ctl, "POST", path, body, &answer, &problem) < 0)
		return ctl_fail(ctl, &problem);
	if (ctl->common[CTL_JSON].text) {
		output_json(ctl, answer);
		return EXIT_OK;
	}
	if (ctl->common[CTL_VERBOSE].text)
		fprintf(ctl->err, "previewctl: release %s\n", release_id);
	output_address(ctl, answer);
	return EXIT_OK;
}

static int rollback(struct ctl *ctl)
{
	scoped(problem_done) struct problem problem = { 0 };
	scoped(freep) char *base = ctl_path(ctl, "/releases", NULL, &problem);
	scoped(freep) char *path = NULL;
	scoped(json_freep) cJSON *list = NULL;
	const char *release_id;

	if (!base)
		return ctl_fail(ctl, &problem);
	path = xasprintf("%s?name=%s", base,
			 ctl_given(ctl, NAME) ? ctl->values[NAME].text : "published");
	if (ctl_call(ctl, "GET", path, NULL, &list, &problem) < 0)
		return ctl_fail(ctl, &problem);
	release_id = ctl->n_args > 0 ? ctl->args[0] : release_before(list);
	if (!release_id) {
		problem_set(&problem, EXIT_NOT_FOUND, "release_not_found",
			    "there is no release before the current one");
		problem_hint(&problem, "`previewctl releases` shows which are kept");
		return ctl_fail(ctl, &problem);
	}
	return activate(ctl, list, release_id);
}

const struct ctl_command cmd_rollback = {
	.name = "rollback",
	.args = "[RELEASE]",
	.most_args = 1,
	.arg_type = CTL_ID,
	.options = options,
	.summary = "Make another release of a published page the current one.",
	.help = "Without RELEASE it is the one before the current one. A newer one may be named, "
		"too: then it rolls forward. It fails where another became current meanwhile.",
	.exec = rollback,
};
