/* SPDX-License-Identifier: MIT */
/*
 * Whether the daemon is there and ready: for people, and for what supervises it.
 */
#include <string.h>

#include "base/json.h"
#include "ctl/client.h"
#include "ctl/commands.h"
#include "ctl/ctl.h"
#include "ctl/output.h"

#define HEALTH_TIMEOUT (5 * USEC_PER_SEC)

static void print_report(const struct ctl *ctl, const cJSON *daemon, const cJSON *counts)
{
	const cJSON *uptime = cJSON_GetObjectItemCaseSensitive(daemon, "uptime_seconds");
	const cJSON *previews = cJSON_GetObjectItemCaseSensitive(counts, "count");
	const cJSON *sessions = cJSON_GetObjectItemCaseSensitive(counts, "session_count");
	const cJSON *sandbox = cJSON_GetObjectItemCaseSensitive(
		cJSON_GetObjectItemCaseSensitive(counts, "publish"), "sandbox");
	const char *version = json_string(daemon, "version");
	char age[AGE_TEXT_SIZE];

	fprintf(ctl->out, "previewd %s is ready", version ? version : "(of unknown version)");
	if (cJSON_IsNumber(uptime))
		fprintf(ctl->out, ", up for %s", format_age(uptime->valuedouble, age));
	if (cJSON_IsNumber(previews) && cJSON_IsNumber(sessions))
		fprintf(ctl->out, "; previews: %.0f, sessions: %.0f", previews->valuedouble,
			sessions->valuedouble);
	fputc('\n', ctl->out);
	if (sandbox)
		output_sandbox(ctl, sandbox);
}

/* Only an admin is told the counts: to others the daemon is as healthy without them. */
static int ask_counts(struct ctl *ctl, cJSON **ret, struct problem *reterr)
{
	if (ctl_call_within(ctl, HEALTH_TIMEOUT, "GET", "/health/web_preview", NULL, ret, reterr) >=
	    0)
		return 0;
	if (reterr->exit_code != EXIT_NOT_ALLOWED || reterr->http_status == 0)
		return -1;
	problem_done(reterr);
	*ret = cJSON_CreateNull();
	return 0;
}

static int health(struct ctl *ctl)
{
	scoped(problem_done) struct problem problem = { 0 };
	scoped(json_freep) cJSON *daemon = NULL;
	scoped(json_freep) cJSON *counts = NULL;

	if (ctl_call_within(ctl, HEALTH_TIMEOUT, "GET", "/readyz", NULL, NULL, &problem) < 0 ||
	    ctl_call_within(ctl, HEALTH_TIMEOUT, "GET", "/healthz?verbose=1", NULL, &daemon,
			    &problem) < 0 ||
	    ask_counts(ctl, &counts, &problem) < 0)
		return ctl_fail(ctl, &problem);

	if (ctl->common[CTL_JSON].text) {
		scoped(json_freep) cJSON *both = cJSON_CreateObject();

		cJSON_AddItemToObject(both, "daemon", STEAL(daemon));
		cJSON_AddItemToObject(both, "web_preview", STEAL(counts));
		output_json(ctl, both);
	} else {
		print_report(ctl, daemon, counts);
	}
	return EXIT_OK;
}

const struct ctl_command cmd_health = {
	.name = "health",
	.summary = "Say whether the daemon is ready.",
	.help = "Succeeds only when it is: good as the health check of a container. An admin also "
		"gets the counts, and whether projects can be built here in a sandbox.",
	.exec = health,
};
