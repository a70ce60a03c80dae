/* SPDX-License-Identifier: MIT */
/*
 * Previews, sessions and the like as people and scripts read them.
 */
#include "ctl/previews.h"

#include <string.h>

#include "base/json.h"
#include "base/mem.h"
#include "ctl/ctl.h"
#include "ctl/output.h"

int previews_post(struct ctl *ctl, const char *verb)
{
	scoped(problem_done) struct problem problem = { 0 };
	scoped(freep) char *preview = ctl_path(ctl, "/previews", ctl_arg(ctl, "default"), &problem);
	scoped(freep) char *path = preview ? xasprintf("%s/%s", preview, verb) : NULL;
	scoped(json_freep) cJSON *answer = NULL;

	if (!path || ctl_call(ctl, "POST", path, NULL, &answer, &problem) < 0)
		return ctl_fail(ctl, &problem);
	if (ctl->common[CTL_JSON].text)
		output_json(ctl, answer);
	return EXIT_OK;
}

static void add_idle(struct table *t, const struct ctl *ctl, const cJSON *preview)
{
	const cJSON *idle = cJSON_GetObjectItemCaseSensitive(preview, "idle_seconds");
	char text[AGE_TEXT_SIZE] = "";

	if (cJSON_IsNumber(idle) && ctl->tty)
		format_age(idle->valuedouble, text);
	else if (cJSON_IsNumber(idle))
		snprintf(text, sizeof(text), "%.0f", idle->valuedouble);
	table_add(t, text);
}

void previews_print(const struct ctl *ctl, const cJSON *previews, bool all)
{
	static const char *const titles[] = { "SESSION", "USER", "NAME", "STATUS",
					      "IDLE",    "URL",  NULL };
	scoped(table_freep) struct table *t = table_new(all ? titles : titles + 2);
	const cJSON *preview;

	cJSON_ArrayForEach(preview, previews)
	{
		if (all) {
			table_add(t, json_string(preview, "session_id"));
			table_add(t, json_string(preview, "user_id"));
		}
		table_add(t, json_string(preview, "name"));
		table_add(t, json_string(preview, "status"));
		add_idle(t, ctl, preview);
		table_add(t, json_string(preview, "url"));
	}
	table_print(t, ctl->out, ctl->tty, ctl->color);
	if (ctl->tty && table_rows(t) == 0 && all)
		fputs("Nothing is attached.\n", ctl->err);
	else if (ctl->tty && table_rows(t) == 0)
		fprintf(ctl->err, "Nothing is attached in session '%s'.\n", ctl_session(ctl, NULL));
}

static const cJSON *member_of(const cJSON *of, const char *path)
{
	scoped(freep) char *copy = xstrdup(path);
	char *rest = copy, *name;

	while (of && (name = strsep(&rest, ".")))
		of = cJSON_GetObjectItemCaseSensitive(of, name);
	return of;
}

void members_print(const struct ctl *ctl, const cJSON *of, const char *const *rows)
{
	size_t width = 0;

	for (const char *const *row = rows; *row; row++)
		if (strlen(*row) > width)
			width = strlen(*row);

	for (; *rows; rows++) {
		const cJSON *member = member_of(of, *rows);
		scoped(freep) char *text = NULL;
		scoped(freep) char *shown = NULL;

		if (!member || cJSON_IsNull(member) ||
		    (cJSON_IsString(member) && member->valuestring[0] == '\0'))
			continue;
		text = cJSON_IsString(member) ? xstrdup(member->valuestring) : json_print(member);
		shown = printable(text);
		if (ctl->tty)
			fprintf(ctl->out, "%*s  %s\n", (int)width, *rows, shown);
		else
			fprintf(ctl->out, "%s\t%s\n", *rows, shown);
	}
}
