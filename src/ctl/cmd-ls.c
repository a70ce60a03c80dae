/* SPDX-License-Identifier: MIT */
/*
 * What is attached, in this session or in all that the credential may see.
 */
#include <string.h>

#include "base/json.h"
#include "base/mem.h"
#include "base/strbuf.h"
#include "ctl/commands.h"
#include "ctl/ctl.h"
#include "ctl/output.h"
#include "ctl/previews.h"

#define PAGE 100

enum { ALL };

static const struct ctl_option options[] = {
	[ALL] = { "all", 'a', CTL_FLAG,
		  .help = "Previews of all sessions that the credential may see." },
	CTL_OPTIONS_END,
};

/* A session that doesn't exist yet has no previews: reading doesn't make it, nor is it a failure.
 */
static int list_session(struct ctl *ctl, cJSON **ret, struct problem *reterr)
{
	scoped(freep) char *path = ctl_path(ctl, "/previews", NULL, reterr);

	if (!path)
		return -1;
	if (ctl_call(ctl, "GET", path, NULL, ret, reterr) >= 0)
		return 0;
	if (reterr->http_status != 404 || strcmp(reterr->code, "session_not_found") != 0)
		return -1;
	*ret = cJSON_CreateObject();
	cJSON_AddArrayToObject(*ret, "previews");
	return 0;
}

/* Page after page, as one document. */
static int list_all(struct ctl *ctl, cJSON **ret, struct problem *reterr)
{
	scoped(json_freep) cJSON *all = cJSON_CreateObject();
	cJSON *previews = cJSON_AddArrayToObject(all, "previews");
	scoped(freep) char *after = NULL;

	do {
		scoped(strbuf_done) struct strbuf path = strbuf_init(64 * 1024);
		scoped(json_freep) cJSON *page = NULL;
		const cJSON *list;
		cJSON *preview;

		strbuf_printf(&path, "/api/previews?limit=%d", PAGE);
		if (after) {
			strbuf_puts(&path, "&after=");
			strbuf_add_percent(&path, after);
		}
		if (ctl_call(ctl, "GET", strbuf_str(&path), NULL, &page, reterr) < 0)
			return -1;

		list = cJSON_GetObjectItemCaseSensitive(page, "previews");
		while ((preview = cJSON_DetachItemFromArray((cJSON *)list, 0)))
			cJSON_AddItemToArray(previews, preview);
		free(after);
		after = xstrdup_null(json_string(page, "next"));
	} while (after);

	*ret = STEAL(all);
	return 0;
}

static int ls(struct ctl *ctl)
{
	scoped(problem_done) struct problem problem = { 0 };
	scoped(json_freep) cJSON *list = NULL;
	bool all = ctl_given(ctl, ALL);
	int r = all ? list_all(ctl, &list, &problem) : list_session(ctl, &list, &problem);

	if (r < 0)
		return ctl_fail(ctl, &problem);
	if (ctl->common[CTL_JSON].text)
		output_json(ctl, list);
	else
		previews_print(ctl, cJSON_GetObjectItemCaseSensitive(list, "previews"), all);
	return EXIT_OK;
}

const struct ctl_command cmd_ls = {
	.name = "ls",
	.options = options,
	.summary = "List what is attached.",
	.help = "A table for people. Into a pipe it is a line a preview, with tabs between and no "
		"titles: name, status, seconds without a viewer, URL; with --all the session and "
		"the user go before them.",
	.exec = ls,
};
