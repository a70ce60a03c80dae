/* SPDX-License-Identifier: MIT */
/*
 * Builds and releases: from a request to the publisher's operation, and back; and the log of a
 * build as a stream.
 */
#include <string.h>

#include "api/api_priv.h"
#include "api/logstream.h"
#include "base/ids.h"
#include "base/mem.h"
#include "base/parse.h"
#include "publish/publisher.h"

struct name_params {
	char *name;
};

const struct json_field rotate_fields[] = {
	{ "name", JSON_NAME, offsetof(struct name_params, name),
	  .help = "Of what is published; \"published\" where none is given." },
	JSON_FIELDS_END,
};

struct activate_params {
	char *name;
	char *expected_current;
};

const struct json_field activate_fields[] = {
	/* clang-format off */
	{ "name", JSON_NAME, offsetof(struct activate_params, name),
	  .help = "Of what is published; \"published\" where none is given." },
	{ "expected_current", JSON_STRING, offsetof(struct activate_params, expected_current), .nullable = true, .max = 64,
	  .help = "The release that must be current for this to happen; empty: none. Without it, whatever is." },
	JSON_FIELDS_END,
	/* clang-format on */
};

static bool call_flag(struct call *call, const char *name, bool *ret, struct fault *reterr)
{
	scoped(freep) char *text = NULL;

	*ret = false;
	if (call_query(call, name, &text, reterr) < 0)
		return false;
	if (text && parse_bool(text, ret) < 0) {
		fault_field(reterr, name, "must be 1 or 0");
		return false;
	}
	return true;
}

/* ?name=, or NULL with the fault. */
static char *call_name(struct call *call, struct fault *reterr)
{
	scoped(freep) char *text = NULL;

	if (call_query(call, "name", &text, reterr) < 0)
		return NULL;
	if (text && !name_is_valid(text)) {
		fault_field(reterr, "name", "must be 1 to 64 of A-Z a-z 0-9 . _ -");
		return NULL;
	}
	return text ? STEAL(text) : xstrdup("published");
}

static void begun_or_refused(struct call *call, const struct fault *fault)
{
	if (!call->publisher_op)
		api_reply_fault(call, fault);
}

static void on_answer(int result, cJSON *value, struct fault *fault, void *arg)
{
	struct call *call = arg;

	if (result < 0)
		api_reply_fault(call, fault);
	else
		api_reply_json(call, 200, cJSON_Duplicate(value, true));
}

/*
 * Builds.
 */
static void on_accepted(int result, cJSON *value, struct fault *fault, void *arg)
{
	struct call *call = arg;

	if (result < 0) {
		api_reply_fault(call, fault);
		return;
	}
	api_location(call, "builds", json_string(value, "build_id"));
	api_reply_json(call, 202, cJSON_Duplicate(value, true));
}

void route_publish(struct call *call)
{
	scoped(publish_params_done) struct publish_params params;
	scoped(fault_done) struct fault fault = { 0 };
	struct session_ref ref = call_session(call);
	bool wait;

	publish_params_init(&params);
	if (call_flag(call, "wait", &wait, &fault) &&
	    json_read(call->body, publish_fields, &params, &fault) >= 0)
		call->publisher_op =
			publisher_build(call->api->deps.publisher, call->principal, &ref, &params,
					wait, wait ? on_answer : on_accepted, call, &fault);
	begun_or_refused(call, &fault);
}

/* The answer of a read. */
static void answer(struct call *call, int result, cJSON *document, const struct fault *fault)
{
	if (result < 0)
		api_reply_fault(call, fault);
	else
		api_reply_json(call, 200, document);
}

void route_build_list(struct call *call)
{
	scoped(fault_done) struct fault fault = { 0 };
	struct session_ref ref = call_session(call);
	cJSON *j = NULL;
	int r = publisher_builds(call->api->deps.publisher, call->principal, &ref, &j, &fault);

	answer(call, r, j, &fault);
}

void route_build_get(struct call *call)
{
	scoped(fault_done) struct fault fault = { 0 };
	struct session_ref ref = call_session(call);
	cJSON *j = NULL;
	int r = publisher_build_get(call->api->deps.publisher, call->principal, &ref,
				    call_param(call, "build_id"), &j, &fault);

	answer(call, r, j, &fault);
}

void route_build_cancel(struct call *call)
{
	scoped(fault_done) struct fault fault = { 0 };
	struct session_ref ref = call_session(call);

	call->publisher_op =
		publisher_build_cancel(call->api->deps.publisher, call->principal, &ref,
				       call_param(call, "build_id"), on_answer, call, &fault);
	begun_or_refused(call, &fault);
}

void route_build_log(struct call *call)
{
	scoped(fault_done) struct fault fault = { 0 };
	struct session_ref ref = call_session(call);
	struct textlog_reader *log;
	struct log_stream *s;
	bool follow;

	if (!call_flag(call, "follow", &follow, &fault)) {
		api_reply_fault(call, &fault);
		return;
	}
	s = log_stream_new();
	if (publisher_log(call->api->deps.publisher, call->principal, &ref,
			  call_param(call, "build_id"), follow, &log_stream_ops, s, &log,
			  &fault) < 0) {
		log_stream_free(s);
		api_reply_fault(call, &fault);
		return;
	}
	log_stream_begin(s, log, call);
}

/*
 * Releases.
 */
typedef struct publisher_op *by_name_fn(struct publisher *p, struct principal *principal,
					const struct session_ref *ref, const char *name,
					publisher_done_fn *done, void *arg, struct fault *reterr);

static void begin_by_name(struct call *call, by_name_fn *begin)
{
	scoped(fault_done) struct fault fault = { 0 };
	struct session_ref ref = call_session(call);
	scoped(freep) char *name = call_name(call, &fault);

	if (name)
		call->publisher_op = begin(call->api->deps.publisher, call->principal, &ref, name,
					   on_answer, call, &fault);
	begun_or_refused(call, &fault);
}

void route_release_list(struct call *call)
{
	begin_by_name(call, publisher_releases);
}

void route_unpublish(struct call *call)
{
	begin_by_name(call, publisher_unpublish);
}

static void activate_params_done(struct activate_params *p)
{
	json_fields_done(activate_fields, p);
}

void route_release_activate(struct call *call)
{
	scoped(activate_params_done) struct activate_params params = { .name = xstrdup(
									       "published") };
	scoped(fault_done) struct fault fault = { 0 };
	struct session_ref ref = call_session(call);

	if (json_read(call->body, activate_fields, &params, &fault) >= 0)
		call->publisher_op =
			publisher_activate(call->api->deps.publisher, call->principal, &ref,
					   params.name, call_param(call, "release_id"),
					   params.expected_current, on_answer, call, &fault);
	begun_or_refused(call, &fault);
}

static void name_params_done(struct name_params *p)
{
	json_fields_done(rotate_fields, p);
}

void route_rotate(struct call *call)
{
	scoped(name_params_done) struct name_params params = { .name = xstrdup("published") };
	scoped(fault_done) struct fault fault = { 0 };
	struct session_ref ref = call_session(call);

	if (json_read(call->body, rotate_fields, &params, &fault) >= 0)
		call->publisher_op = publisher_rotate(call->api->deps.publisher, call->principal,
						      &ref, params.name, on_answer, call, &fault);
	begun_or_refused(call, &fault);
}
