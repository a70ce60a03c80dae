/* SPDX-License-Identifier: MIT */
/*
 * Session tokens: for an agent in a container, a colleague who may look, a page that listens.  The
 * token itself is shown once, when it is made; previewd keeps only its hash.
 */
#include "base/json.h"
#include "base/mem.h"
#include "base/parse.h"
#include "base/strbuf.h"
#include "ctl/commands.h"
#include "ctl/ctl.h"
#include "ctl/output.h"

#define YEAR_SECONDS (365 * 86400)

enum { SCOPE, TTL, NOTE };

/* clang-format off */
static const struct ctl_option new_options[] = {
	[SCOPE] = { "scope", 0, CTL_TEXT, "SCOPES", .help =
		"What it may do, separated by commas: view, preview and so on; \"view\" without it." },
	[TTL] = { "ttl", 0, CTL_SECONDS, "TIME", 1, YEAR_SECONDS, .help =
		"How long it lives, such as 2h or 30d; without it as the daemon's auth.token_ttl says." },
	[NOTE] = { "note", 0, CTL_TEXT, "TEXT", .help = "For whom it is: shown by `token list`." },
	CTL_OPTIONS_END,
};
/* clang-format on */

static cJSON *body_of(const struct ctl *ctl)
{
	scoped(strv_freep) char **scopes =
		parse_list(ctl_given(ctl, SCOPE) ? ctl->values[SCOPE].text : "view", ',');
	cJSON *body = cJSON_CreateObject();
	cJSON *list = cJSON_AddArrayToObject(body, "scopes");

	for (size_t i = 0; scopes[i]; i++)
		cJSON_AddItemToArray(list, cJSON_CreateString(scopes[i]));
	if (ctl_given(ctl, TTL))
		json_add_u64(body, "ttl_seconds", ctl->values[TTL].number);
	if (ctl_given(ctl, NOTE))
		json_add_string(body, "note", ctl->values[NOTE].text);
	return body;
}

static int print_token(struct ctl *ctl, cJSON *answer)
{
	scoped(problem_done) struct problem problem = { 0 };

	if (ctl->common[CTL_JSON].text) {
		output_json(ctl, answer);
		return EXIT_OK;
	}
	if (!json_string(answer, "token")) {
		problem_set(&problem, EXIT_FAILED, "bad_answer", "the answer has no token in it");
		return ctl_fail(ctl, &problem);
	}
	fprintf(ctl->out, "%s\n", json_string(answer, "token"));
	return EXIT_OK;
}

static int token_new(struct ctl *ctl)
{
	scoped(problem_done) struct problem problem = { 0 };
	scoped(freep) char *path = ctl_path(ctl, "/tokens", NULL, &problem);
	scoped(json_freep) cJSON *body = body_of(ctl);
	scoped(json_freep) cJSON *token = NULL;
	const char *expires;
	int r;

	if (!path || ctl_call(ctl, "POST", path, body, &token, &problem) < 0)
		return ctl_fail(ctl, &problem);
	r = print_token(ctl, token);
	expires = json_string(token, "expires_at");
	if (r == EXIT_OK && ctl->tty && expires && !ctl->common[CTL_JSON].text)
		fprintf(ctl->err, "It is shown this once and ends at %s.\n", expires);
	return r;
}

static void add_scopes(struct table *t, const cJSON *token)
{
	scoped(strbuf_done) struct strbuf b = strbuf_init(4096);
	const cJSON *scope;

	cJSON_ArrayForEach(
		scope, cJSON_GetObjectItemCaseSensitive(token, "scopes")) if (cJSON_IsString(scope))
		strbuf_printf(&b, "%s%s", b.len > 0 ? "," : "", scope->valuestring);
	table_add(t, strbuf_str(&b));
}

static int token_list(struct ctl *ctl)
{
	static const char *const titles[] = { "TOKEN_ID", "SCOPES", "EXPIRES", "NOTE", NULL };
	scoped(problem_done) struct problem problem = { 0 };
	scoped(freep) char *path = ctl_path(ctl, "/tokens", NULL, &problem);
	scoped(table_freep) struct table *t = table_new(titles);
	scoped(json_freep) cJSON *list = NULL;
	const cJSON *token;

	if (!path || ctl_call(ctl, "GET", path, NULL, &list, &problem) < 0)
		return ctl_fail(ctl, &problem);
	if (ctl->common[CTL_JSON].text) {
		output_json(ctl, list);
		return EXIT_OK;
	}
	cJSON_ArrayForEach(token, cJSON_GetObjectItemCaseSensitive(list, "tokens"))
	{
		table_add(t, json_string(token, "token_id"));
		add_scopes(t, token);
		table_add(t, json_string(token, "expires_at"));
		table_add(t, json_string(token, "note"));
	}
	table_print(t, ctl->out, ctl->tty, ctl->color);
	return EXIT_OK;
}

static int token_revoke(struct ctl *ctl)
{
	scoped(problem_done) struct problem problem = { 0 };
	scoped(freep) char *path = ctl_path(ctl, "/tokens", ctl->args[0], &problem);
	scoped(json_freep) cJSON *answer = NULL;

	if (!path || ctl_call(ctl, "DELETE", path, NULL, &answer, &problem) < 0)
		return ctl_fail(ctl, &problem);
	if (ctl->common[CTL_JSON].text)
		output_json(ctl, answer);
	return EXIT_OK;
}

static int token_edge(struct ctl *ctl)
{
	scoped(problem_done) struct problem problem = { 0 };
	scoped(json_freep) cJSON *answer = NULL;

	if (ctl_call(ctl, "POST", "/edge/token", NULL, &answer, &problem) < 0)
		return ctl_fail(ctl, &problem);
	return print_token(ctl, answer);
}

const struct ctl_command cmd_token_new = {
	.name = "token new",
	.options = new_options,
	.summary = "Make a token for the session, and print it.",
	.help = "It allows what its scopes name, in this session and no other, until it expires, "
		"is revoked or its session ends.",
	.exec = token_new,
};

const struct ctl_command cmd_token_list = {
	.name = "token list",
	.summary = "List the session's tokens, without the tokens themselves.",
	.exec = token_list,
};

const struct ctl_command cmd_token_revoke = {
	.name = "token revoke",
	.args = "TOKEN_ID",
	.least_args = 1,
	.most_args = 1,
	.arg_type = CTL_TEXT,
	.summary = "Revoke a token: who uses it is cut off.",
	.exec = token_revoke,
};

const struct ctl_command cmd_token_edge = {
	.name = "token edge",
	.summary = "Print the token of the edge's proxy.",
	.help = "With it Traefik reads from /edge/traefik where the hosts of previews lead to; it "
		"is "
		"good for nothing else, and as long as the admin token.  See contrib/edge.",
	.exec = token_edge,
};
