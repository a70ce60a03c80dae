/* SPDX-License-Identifier: MIT */
/*
 * The program around the commands: which one, for which session, and how failure is told.
 */
#include "ctl/ctl.h"

#include <stdarg.h>
#include <string.h>

#include "base/ids.h"
#include "base/mem.h"
#include "base/strbuf.h"
#include "ctl/client.h"
#include "ctl/output.h"
#include "ctl/usage.h"

#define CALL_TIMEOUT (30 * USEC_PER_SEC)

const char *ctl_environment(const struct ctl *ctl, const char *name)
{
	size_t len = strlen(name);

	for (const char *const *v = ctl->environment; v && *v; v++)
		if (strncmp(*v, name, len) == 0 && (*v)[len] == '=')
			return (*v)[len + 1] ? *v + len + 1 : NULL;
	return NULL;
}

const char *ctl_arg(const struct ctl *ctl, const char *otherwise)
{
	return ctl->n_args > 0 ? ctl->args[0] : otherwise;
}

int ctl_fail(const struct ctl *ctl, const struct problem *problem)
{
	fflush(ctl->out);
	problem_print(problem, ctl->err, ctl->common[CTL_JSON].text != NULL);
	return problem->exit_code;
}

void ctl_warn(const struct ctl *ctl, const char *format, ...)
{
	scoped(freep) char *text = NULL;
	scoped(freep) char *shown = NULL;
	va_list args;

	va_start(args, format);
	text = xvasprintf(format, args);
	va_end(args);
	shown = printable(text);
	fflush(ctl->out);
	fprintf(ctl->err, "previewctl: warning: %s\n", shown);
}

/* The first of the variables that is set.  What it holds must be an id. */
static const char *id_of(const struct ctl *ctl, int option, const char *const *variables,
			 struct problem *reterr)
{
	if (ctl->common[option].text)
		return ctl->common[option].text;

	for (; *variables; variables++) {
		const char *id = ctl_environment(ctl, *variables);

		if (!id)
			continue;
		if (id_is_valid(id))
			return id;
		problem_set(
			reterr, EXIT_USAGE, "usage",
			"%s holds '%s', which is no %s id: 1 to %d letters, digits or . _ : @ -",
			*variables, id, ctl_common[option].name, ID_LENGTH_MAX);
		problem_hint(reterr, "--%s ID goes before it", ctl_common[option].name);
		return NULL;
	}
	return "default";
}

const char *ctl_session(const struct ctl *ctl, struct problem *reterr)
{
	/* Each agent gives its shells its own session's id. */
	static const char *const variables[] = {
		"PREVIEWD_SESSION_ID", "CLAUDE_CODE_SESSION_ID", "CODEX_SESSION_ID",
		"CODEX_THREAD_ID",     "GEMINI_SESSION_ID",      NULL,
	};

	return id_of(ctl, CTL_SESSION, variables, reterr);
}

const char *ctl_app(const struct ctl *ctl, struct problem *reterr)
{
	static const char *const variables[] = { "PREVIEWD_APP_ID", NULL };

	return id_of(ctl, CTL_APP, variables, reterr);
}

char *ctl_path(const struct ctl *ctl, const char *collection, const char *name,
	       struct problem *reterr)
{
	scoped(strbuf_done) struct strbuf b = strbuf_init(STRBUF_UNLIMITED);
	const char *app = ctl_app(ctl, reterr);
	const char *session = app ? ctl_session(ctl, reterr) : NULL;

	if (!session)
		return NULL;

	strbuf_puts(&b, "/api/apps/");
	strbuf_add_percent(&b, app);
	strbuf_puts(&b, "/sessions/");
	strbuf_add_percent(&b, session);
	if (collection)
		strbuf_puts(&b, collection);
	if (name) {
		strbuf_putc(&b, '/');
		strbuf_add_percent(&b, name);
	}
	return strbuf_steal(&b);
}

struct client *ctl_client(struct ctl *ctl, struct problem *reterr)
{
	scoped(endpoint_done) struct endpoint endpoint = { 0 };

	if (ctl->client)
		return ctl->client;
	if (endpoint_find(ctl, &endpoint, reterr) < 0)
		return NULL;
	ctl->client = client_new(&endpoint);
	return ctl->client;
}

int ctl_call_within(struct ctl *ctl, usec_t timeout, const char *method, const char *path,
		    const struct cJSON *body, struct cJSON **ret, struct problem *reterr)
{
	struct client *client = ctl_client(ctl, reterr);

	if (!client)
		return -1;
	return client_call(client, timeout, method, path, body, ret, reterr);
}

int ctl_call(struct ctl *ctl, const char *method, const char *path, const struct cJSON *body,
	     struct cJSON **ret, struct problem *reterr)
{
	return ctl_call_within(ctl, CALL_TIMEOUT, method, path, body, ret, reterr);
}

char *ctl_published_path(const struct ctl *ctl, const char *collection, struct problem *reterr)
{
	scoped(freep) char *path = ctl_path(ctl, collection, NULL, reterr);

	return path ? xasprintf("%s?name=%s", path, ctl_arg(ctl, "published")) : NULL;
}

static int run(struct ctl *ctl, int argc, char **argv)
{
	scoped(problem_done) struct problem problem = { 0 };

	if (ctl_parse(ctl, argc, argv, &problem) < 0)
		return ctl_fail(ctl, &problem);

	if (ctl->common[CTL_VERSION].text) {
		fputs("previewctl " PACKAGE_VERSION "\n", ctl->out);
		return EXIT_OK;
	}
	if (ctl->common[CTL_HELP].text) {
		if (ctl->command)
			usage_of_command(ctl->command, ctl->out);
		else
			usage_of_program(ctl->out);
		return EXIT_OK;
	}
	return ctl->command->exec(ctl);
}

int ctl_main(struct ctl *ctl, int argc, char **argv)
{
	int code = run(ctl, argc, argv);

	/* What could not be written (a full disk) must not pass for success. */
	if (fflush(ctl->out) != 0 && code == EXIT_OK) {
		fputs("previewctl: the output could not be written\n", ctl->err);
		code = EXIT_FAILED;
	}
	ctl->client = client_free(ctl->client);
	return ctl->command && ctl->command->never_fails ? EXIT_OK : code;
}
