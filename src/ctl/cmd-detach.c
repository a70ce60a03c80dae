/* SPDX-License-Identifier: MIT */
/*
 * Detaches one preview, or all of the session.  That there was none is told, and is no failure:
 * what was wanted is so.
 */
#include "base/json.h"
#include "base/mem.h"
#include "ctl/commands.h"
#include "ctl/ctl.h"
#include "ctl/output.h"

enum { ALL };

static const struct ctl_option options[] = {
	[ALL] = { "all", 'a', CTL_FLAG, .help = "Detach all of the session." },
	CTL_OPTIONS_END,
};

static void tell(const struct ctl *ctl, const char *name, const cJSON *answer)
{
	const char *hint = json_string(answer, "hint");
	scoped(freep) char *shown =
		hint ? printable(hint) : xasprintf("nothing is attached as '%s'", name);

	if (cJSON_IsTrue(cJSON_GetObjectItemCaseSensitive(answer, "removed")))
		fprintf(ctl->out, "%s\n", name);
	else
		fprintf(ctl->err, "previewctl: %s\n", shown);
}

/* What the daemon answered, told already unless `ret` wants it. */
static int detach_one(struct ctl *ctl, const char *name, cJSON **ret, struct problem *reterr)
{
	scoped(freep) char *path = ctl_path(ctl, "/previews", name, reterr);
	scoped(json_freep) cJSON *answer = NULL;

	if (!path || ctl_call(ctl, "DELETE", path, NULL, &answer, reterr) < 0)
		return -1;
	if (!ctl->common[CTL_JSON].text)
		tell(ctl, name, answer);
	*ret = STEAL(answer);
	return 0;
}

static int detach_all(struct ctl *ctl, cJSON **ret, struct problem *reterr)
{
	scoped(freep) char *path = ctl_path(ctl, "/previews", NULL, reterr);
	scoped(json_freep) cJSON *list = NULL;
	scoped(json_freep) cJSON *all = cJSON_CreateObject();
	cJSON *detached = cJSON_AddArrayToObject(all, "detached");
	const cJSON *preview;

	if (!path || ctl_call(ctl, "GET", path, NULL, &list, reterr) < 0)
		return -1;
	cJSON_ArrayForEach(preview, cJSON_GetObjectItemCaseSensitive(list, "previews"))
	{
		const char *name = json_string(preview, "name");
		cJSON *answer;

		if (!name)
			continue;
		if (detach_one(ctl, name, &answer, reterr) < 0)
			return -1;
		cJSON_AddItemToArray(detached, answer);
	}
	*ret = STEAL(all);
	return 0;
}

static int detach(struct ctl *ctl)
{
	scoped(problem_done) struct problem problem = { 0 };
	scoped(json_freep) cJSON *answer = NULL;
	int r;

	if (ctl_given(ctl, ALL) && ctl->n_args > 0) {
		problem_set(&problem, EXIT_USAGE, "usage",
			    "detach wants a name or --all, not both");
		return ctl_fail(ctl, &problem);
	}

	r = ctl_given(ctl, ALL) ? detach_all(ctl, &answer, &problem)
				: detach_one(ctl, ctl_arg(ctl, "default"), &answer, &problem);
	if (r < 0)
		return ctl_fail(ctl, &problem);
	if (ctl->common[CTL_JSON].text)
		output_json(ctl, answer);
	return EXIT_OK;
}

const struct ctl_command cmd_detach = {
	.name = "detach",
	.args = "[NAME]",
	.most_args = 1,
	.arg_type = CTL_PREVIEW,
	.options = options,
	.summary = "Detach a preview; \"default\" without a name.",
	.help = "Prints the names of those that went. The task that a preview was attached with is "
		"ended with the last preview that names it.",
	.exec = detach,
};
