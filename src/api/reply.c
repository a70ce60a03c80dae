/* SPDX-License-Identifier: MIT */
/*
 * Answers: JSON documents, and problem documents (RFC 9457) for faults.  The one place where a
 * fault becomes an HTTP status.
 */
#include <stdio.h>
#include <string.h>

#include "api/api_priv.h"
#include "base/mem.h"

static void add_field_errors(cJSON *problem, const struct fault *fault)
{
	cJSON *errors = cJSON_AddArrayToObject(problem, "errors");

	for (size_t i = 0; i < fault->n_fields; i++) {
		cJSON *e = cJSON_CreateObject();

		json_add_string(e, "field", fault->fields[i].field);
		json_add_string(e, "problem", fault->fields[i].problem);
		cJSON_AddItemToArray(errors, e);
	}
}

cJSON *problem_object(const struct fault *fault)
{
	cJSON *problem = cJSON_CreateObject();
	enum fault_code code = fault->code == FAULT_NONE ? FAULT_INTERNAL : fault->code;
	scoped(freep) char *type = xasprintf("urn:previewd:problem:%s", fault_slug(code));
	const cJSON *member;

	json_add_string(problem, "type", type);
	json_add_string(problem, "title", fault_title(code));
	json_add_u64(problem, "status", (uint64_t)fault_http_status(code));
	if (fault->detail)
		json_add_string(problem, "detail", fault->detail);
	json_add_string(problem, "code", fault_slug(code));
	if (fault->n_fields > 0)
		add_field_errors(problem, fault);
	cJSON_ArrayForEach(member, fault->members)
		cJSON_AddItemToObject(problem, member->string, cJSON_Duplicate(member, true));
	return problem;
}

char *problem_text(const struct fault *fault)
{
	scoped(json_freep) cJSON *problem = problem_object(fault);

	return json_print(problem);
}

void api_refuse(struct http_request *req, const struct fault *fault)
{
	enum fault_code code = fault->code == FAULT_NONE ? FAULT_INTERNAL : fault->code;
	scoped(freep) char *text = problem_text(fault);
	char seconds[16];

	if (fault->retry_after_seconds) {
		snprintf(seconds, sizeof(seconds), "%u", fault->retry_after_seconds);
		http_response_header(req, "Retry-After", seconds);
	}
	if (fault_http_status(code) == 401)
		http_response_header(req, "WWW-Authenticate", "Bearer realm=\"previewd\"");
	if (code == FAULT_UPGRADE_REQUIRED)
		http_response_header(req, "Upgrade", "websocket");
	http_response_header(req, "Cache-Control", "no-store");
	if (code != FAULT_ORIGIN_NOT_ALLOWED && code != FAULT_HOST_NOT_ALLOWED)
		guard_cors(req);
	http_reply(req, fault_http_status(code), "application/problem+json", text, strlen(text));
}

void api_reply_fault(struct call *call, const struct fault *fault)
{
	api_refuse(call->req, fault);
	call_free(call);
}

void api_reply_text(struct call *call, int status, const char *content_type, const char *text)
{
	http_response_header(call->req, "Cache-Control", "no-store");
	guard_cors(call->req);
	http_reply(call->req, status, content_type, text, strlen(text));
	call_free(call);
}

void api_location(struct call *call, const char *collection, const char *name)
{
	scoped(freep) char *location =
		xasprintf("/api/apps/%s/sessions/%s/%s/%s", call_param(call, "app_id"),
			  call_param(call, "session_id"), collection, name);

	http_response_header(call->req, "Location", location);
}

void api_reply_json(struct call *call, int status, cJSON *document_consume)
{
	scoped(json_freep) cJSON *document = document_consume;
	scoped(freep) char *text = json_print(document);

	api_reply_text(call, status, "application/json", text);
}

void api_on_refusal(int status, const char *why, char **ret_content_type, char **ret_body,
		    void *arg)
{
	scoped(json_freep) cJSON *problem = cJSON_CreateObject();
	scoped(freep) char *type = NULL;
	enum fault_code code = FAULT_BAD_REQUEST;

	(void)arg;

	/* What the HTTP layer refuses has no row in faults.def but where the API refuses it too. */
	for (int i = FAULT_NONE + 1; i < FAULT_COUNT_; i++) {
		if (fault_http_status((enum fault_code)i) == status) {
			code = (enum fault_code)i;
			break;
		}
	}
	type = xasprintf("urn:previewd:problem:%s", fault_slug(code));
	json_add_string(problem, "type", type);
	json_add_string(problem, "title", fault_title(code));
	json_add_u64(problem, "status", (uint64_t)status);
	json_add_string(problem, "detail", why);
	json_add_string(problem, "code", fault_slug(code));
	*ret_content_type = xstrdup("application/problem+json");
	*ret_body = json_print(problem);
}
