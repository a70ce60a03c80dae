/* SPDX-License-Identifier: MIT */
/*
 * From what went wrong to a sentence, a hint and an exit code.  The exit codes are those of
 * base/faults.def; an answer that has no slug known here, of a newer daemon or of a proxy before
 * it, goes by its status.
 */
#include "ctl/problem.h"

#include <stdarg.h>
#include <string.h>

#include "base/json.h"
#include "base/mem.h"
#include "base/strbuf.h"
#include "ctl/output.h"

static const char *const meanings[] = {
	[EXIT_OK] = "It worked.",
	[EXIT_FAILED] = "It failed.",
	[EXIT_USAGE] = "The command line, or a value in it, is wrong.",
	[EXIT_NOT_FOUND] = "There is no such session, preview or token.",
	[EXIT_NOT_ALLOWED] = "The credential does not allow it.",
	[EXIT_CONFLICT] = "A limit is reached, or it is another's.",
	[EXIT_UNREACHABLE] = "The daemon cannot be reached.",
	[EXIT_TIMED_OUT] = "Waited in vain, for a server to listen or to answer.",
	[EXIT_INTERRUPTED] = "Interrupted by SIGINT.",
};

/* What to do next, where the sentence itself can't know that previewctl is who asks. */
static const struct {
	enum fault_code code;
	const char *hint;
} hints[] = {
	{ FAULT_UNAUTHENTICATED, "set PREVIEWD_TOKEN; `previewctl token new` on the daemon's own "
				 "machine makes a token" },
	{ FAULT_TOKEN_INVALID,
	  "`previewctl token new` on the daemon's own machine makes a token for "
	  "PREVIEWD_TOKEN" },
	{ FAULT_TOKEN_EXPIRED, "`previewctl token new` on the daemon's own machine makes another" },
	{ FAULT_SESSION_LIMIT, "`previewctl detach NAME` makes room" },
	{ FAULT_USER_LIMIT,
	  "`previewctl ls --all` shows them, `previewctl detach NAME --session ID` "
	  "makes room" },
	{ FAULT_TOKEN_LIMIT, "`previewctl token revoke TOKEN_ID` makes room" },
	{ FAULT_PREVIEW_NOT_FOUND, "`previewctl ls` shows what is attached" },
	{ FAULT_SESSION_NOT_FOUND, "`previewctl ls --all` shows the sessions that have previews" },
	{ FAULT_TOKEN_NOT_FOUND, "`previewctl token list` shows the tokens" },
	{ FAULT_TARGET_NOT_LISTENING, "start the server, or give it longer with --wait SECONDS" },
	{ FAULT_TARGET_IS_TLS, "add --scheme https" },
	{ FAULT_NOT_A_PROJECT, "`previewctl publish DIR` names the project's directory" },
	{ FAULT_PORT_TAKEN, "let the server listen on another port" },
};

const char *exit_code_meaning(int code)
{
	return code >= 0 && (size_t)code < ARRAY_SIZE(meanings) ? meanings[code] : NULL;
}

void problem_done(struct problem *p)
{
	free(p->code);
	free(p->message);
	free(p->hint);
	json_free(p->document);
	*p = (struct problem){ 0 };
}

int problem_set(struct problem *reterr, int exit_code, const char *code, const char *format, ...)
{
	scoped(freep) char *message = NULL;
	va_list args;

	if (!reterr)
		return -1;

	va_start(args, format);
	message = xvasprintf(format, args);
	va_end(args);

	problem_done(reterr);
	reterr->exit_code = exit_code;
	reterr->code = xstrdup(code);
	reterr->message = STEAL(message);
	return -1;
}

void problem_hint(struct problem *reterr, const char *format, ...)
{
	va_list args;

	if (!reterr)
		return;

	free(reterr->hint);
	va_start(args, format);
	reterr->hint = xvasprintf(format, args);
	va_end(args);
}

static void hint_of_fault(struct problem *reterr, enum fault_code code)
{
	for (size_t i = 0; i < ARRAY_SIZE(hints); i++)
		if (hints[i].code == code)
			problem_hint(reterr, "%s", hints[i].hint);
}

int problem_of_fault(struct problem *reterr, const struct fault *fault)
{
	problem_set(reterr, fault_exit_code(fault->code), fault_slug(fault->code), "%s",
		    fault->detail ? fault->detail : fault_title(fault->code));
	if (reterr)
		hint_of_fault(reterr, fault->code);
	return -1;
}

static int exit_code_of_status(int status)
{
	switch (status) {
	case 401:
	case 403:
	case 421:
		return EXIT_NOT_ALLOWED;
	case 404:
	case 410:
		return EXIT_NOT_FOUND;
	case 409:
	case 429:
		return EXIT_CONFLICT;
	case 422:
		return EXIT_USAGE;
	case 502: /* of the proxy before the daemon */
	case 504:
		return EXIT_UNREACHABLE;
	default:
		return EXIT_FAILED;
	}
}

/* The wrong fields, each with its problem, where the sentence doesn't say so already. */
static void add_fields(struct strbuf *b, const cJSON *document)
{
	const cJSON *errors = cJSON_GetObjectItemCaseSensitive(document, "errors");
	const cJSON *error;

	cJSON_ArrayForEach(error, errors)
	{
		const char *field = json_string(error, "field");
		const char *wrong = json_string(error, "problem");

		if (field && wrong && !strstr(strbuf_str(b), wrong))
			strbuf_printf(b, "\n  %s: %s", field, wrong);
	}
}

/* A limit's answer lists what is attached, so that one can be chosen to go. */
static void add_attached(struct strbuf *b, const cJSON *document)
{
	const cJSON *attached = cJSON_GetObjectItemCaseSensitive(document, "attached");
	const cJSON *one;

	cJSON_ArrayForEach(one, attached)
	{
		const char *session = json_string(one, "session_id");
		const char *name = json_string(one, "name");
		const char *url = json_string(one, "url");

		if (name)
			strbuf_printf(b, "\n  attached: %s%s%s%s%s", session ? session : "",
				      session ? " " : "", name, url ? " " : "", url ? url : "");
	}
}

int problem_of_answer(struct problem *reterr, int http_status, const char *body, size_t len)
{
	scoped(json_freep) cJSON *document = NULL;
	scoped(strbuf_done) struct strbuf message = strbuf_init(64 * 1024);
	const char *slug, *detail;
	enum fault_code code;

	if (!reterr)
		return -1;

	if (json_parse(body, len, &document, NULL) < 0 || !json_string(document, "code")) {
		problem_set(reterr, exit_code_of_status(http_status), "bad_answer",
			    "the answer was HTTP status %d, and not one of previewd's",
			    http_status);
		problem_hint(reterr, "check that PREVIEWD_URL is previewd's address");
		reterr->http_status = http_status;
		return -1;
	}

	slug = json_string(document, "code");
	detail = json_string(document, "detail");
	if (!detail)
		detail = json_string(document, "title");
	code = fault_of_slug(slug);

	strbuf_puts(&message, detail ? detail : slug);
	add_fields(&message, document);
	add_attached(&message, document);
	problem_set(reterr,
		    code == FAULT_NONE ? exit_code_of_status(http_status) : fault_exit_code(code),
		    slug, "%s", strbuf_str(&message));
	if (json_string(document, "hint"))
		problem_hint(reterr, "%s", json_string(document, "hint"));
	else
		hint_of_fault(reterr, code);
	reterr->http_status = http_status;
	reterr->document = STEAL(document);
	return -1;
}

void problem_print(const struct problem *p, FILE *f, bool json)
{
	scoped(freep) char *message = printable_lines(p->message);

	fprintf(f, "previewctl: %s\n", message);
	if (p->hint) {
		scoped(freep) char *hint = printable(p->hint);

		fprintf(f, "previewctl: hint: %s\n", hint);
	}
	if (json) {
		scoped(json_freep) cJSON *document = cJSON_CreateObject();
		cJSON *error = cJSON_AddObjectToObject(document, "error");
		scoped(freep) char *text = NULL;

		json_add_string(error, "code", p->code);
		json_add_string(error, "message", p->message);
		json_add_string(error, "hint", p->hint);
		if (p->document)
			cJSON_AddItemToObject(error, "problem", cJSON_Duplicate(p->document, true));
		text = json_print(document);
		fprintf(f, "%s\n", text);
	}
}
