/* SPDX-License-Identifier: MIT */
/*
 * Why a preview is kept, or about to go, in sentences, and the connections they are drawn from.
 */
#include "base/json.h"
#include "base/mem.h"
#include "ctl/commands.h"
#include "ctl/ctl.h"
#include "ctl/output.h"
#include "ctl/previews.h"

static void add_number(struct table *t, const cJSON *of, const char *name)
{
	const cJSON *n = cJSON_GetObjectItemCaseSensitive(of, name);
	char text[32] = "";

	if (cJSON_IsNumber(n))
		snprintf(text, sizeof(text), "%.0f", n->valuedouble);
	table_add(t, text);
}

static void add_age(struct table *t, const struct ctl *ctl, const cJSON *of, const char *name)
{
	const cJSON *age = cJSON_GetObjectItemCaseSensitive(of, name);
	char text[AGE_TEXT_SIZE] = "";

	if (!ctl->tty) {
		add_number(t, of, name);
		return;
	}
	if (cJSON_IsNumber(age))
		format_age(age->valuedouble, text);
	table_add(t, text);
}

static void print_sockets(const struct ctl *ctl, const cJSON *sockets)
{
	static const char *const titles[] = {
		"AGE", "RECEIVED", "SENT", "LAST DATA", "PEER", NULL
	};
	scoped(table_freep) struct table *t = table_new(titles);
	const cJSON *s;

	cJSON_ArrayForEach(s, sockets)
	{
		add_age(t, ctl, s, "age_seconds");
		add_number(t, s, "bytes_received");
		add_number(t, s, "bytes_sent");
		add_age(t, ctl, s, "last_data_seconds");
		table_add(t, json_string(s, "peer"));
	}
	if (table_rows(t) == 0)
		return;
	fputc('\n', ctl->out);
	table_print(t, ctl->out, ctl->tty, ctl->color);
}

static int why(struct ctl *ctl)
{
	static const char *const rows[] = {
		"status",        "activity",
		"idle_seconds",  "idle_limit_seconds",
		"last_reset.by", "last_reset.peer",
		"last_reset.at", "reaps_at",
		"pinned",        NULL,
	};
	scoped(problem_done) struct problem problem = { 0 };
	scoped(freep) char *preview = ctl_path(ctl, "/previews", ctl_arg(ctl, "default"), &problem);
	scoped(freep) char *path = preview ? xasprintf("%s/why", preview) : NULL;
	scoped(json_freep) cJSON *answer = NULL;
	const cJSON *sentence;

	if (!path || ctl_call(ctl, "GET", path, NULL, &answer, &problem) < 0)
		return ctl_fail(ctl, &problem);
	if (ctl->common[CTL_JSON].text) {
		output_json(ctl, answer);
		return EXIT_OK;
	}
	cJSON_ArrayForEach(sentence, cJSON_GetObjectItemCaseSensitive(answer, "explanation"))
	{
		scoped(freep) char *shown =
			printable(cJSON_IsString(sentence) ? sentence->valuestring : "");

		fprintf(ctl->out, "%s\n", shown);
	}
	fputc('\n', ctl->out);
	members_print(ctl, answer, rows);
	print_sockets(ctl, cJSON_GetObjectItemCaseSensitive(answer, "sockets"));
	return EXIT_OK;
}

const struct ctl_command cmd_why = {
	.name = "why",
	.args = "[NAME]",
	.most_args = 1,
	.arg_type = CTL_PREVIEW,
	.summary = "Say why a preview is kept, or when it goes.",
	.help = "Who is connected, what last counted as use, when it will be detached for want of "
		"it, and what would keep it.",
	.exec = why,
};
