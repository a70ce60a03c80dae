/* SPDX-License-Identifier: MIT */
/*
 * The tools: from a call to the registry's operation, and back.
 */
#include <string.h>

#include "base/mem.h"
#include "mcp/mcp_priv.h"

/* clang-format off */
#define SESSION_ID_SCHEMA \
	{"type": "string", "description": "Filled in by the client integration; leave empty."}

#define PREVIEW_SCHEMA { \
	"type": "object", \
	"properties": { \
		"session_id": {"type": "string"}, \
		"app_id": {"type": "string"}, \
		"name": {"type": "string"}, \
		"type": {"type": "string", "description": "proxy: a running server; published: a build; bundled: comes with the app."}, \
		"url": {"type": "string", "description": "What the user opens."}, \
		"port": {"type": "integer"}, \
		"path": {"type": "string"}, \
		"status": {"type": "string", "enum": ["up", "down", "unknown"]}, \
		"http_status": {"type": "integer", "description": "What the server answered when it was attached."}, \
		"warnings": {"type": "array", "items": {"type": "object", "properties": { \
			"code": {"type": "string"}, "detail": {"type": "string"}}, "required": ["code", "detail"]}}, \
		"replaced": {"type": "boolean", "description": "Whether one of this name was there before."}, \
		"focus": {"type": "boolean"}, \
		"pinned": {"type": "boolean"}, \
		"bash_task_id": {"type": "string"}, \
		"attached_at": {"type": "string"}, \
		"idle_seconds": {"type": "integer"}, \
		"reaps_at": {"type": "string", "description": "When it goes, if nobody uses it."} \
	}, \
	"required": ["session_id", "name", "url", "status"] \
}

/* Hosts that show pages show the card with the result; "ui/resourceUri" is for the older of them. */
#define CARD_META \
	"\"ui\":{\"resourceUri\":\"" CARD_URI "\",\"visibility\":[\"model\",\"app\"]}," \
	"\"ui/resourceUri\":\"" CARD_URI "\""

/* JSON as it is read, in C: the macros in it are expanded before it becomes text. */
#define JSON_TEXT(...) #__VA_ARGS__
#define JSON(...) JSON_TEXT(__VA_ARGS__)
/* clang-format on */

#define TICK USEC_PER_SEC /* between two words about a wait */

/* What a tool's call has under way. */
struct work {
	struct mcp_call *call;
	struct registry_op *op;
	struct timer *tick;
	usec_t began;
	unsigned port, patience; /* seconds */
	char *name;
	char *origin;
};

static void work_free(void *arg)
{
	struct work *w = arg;

	registry_op_free(w->op);
	timer_free(w->tick);
	free(w->name);
	free(w->origin);
	free(w);
}

static struct work *work_new(struct mcp_call *call, const char *name)
{
	struct work *w = xcalloc(1, sizeof(*w));

	w->call = call;
	w->name = xstrdup(name);
	w->origin = origin_of(call);
	w->began = clock_monotonic();
	mcp_call_keep(call, w, work_free);
	return w;
}

static struct registry *registry_of(struct mcp_call *call)
{
	const struct mcp *mcp = mcp_call_arg(call);

	return mcp->deps.registry;
}

bool tool_may(struct mcp_call *call, unsigned scopes)
{
	scoped(fault_done) struct fault fault = { 0 };
	scoped(freep) char *wanted = NULL;

	if (principal_may(mcp_call_principal(call), scopes))
		return true;
	wanted = scopes_format(scopes);
	fault_set(&fault, FAULT_FORBIDDEN, "the credential has none of these scopes: %s", wanted);
	reply_fault(call, &fault);
	return false;
}

cJSON *tool_arguments(const struct mcp_call *call)
{
	cJSON *j = cJSON_Duplicate(mcp_call_arguments(call), true), *one, *next;

	free(STEAL(j->string));
	for (one = j->child; one; one = next) {
		bool says_session = strcmp(one->string, "session_id") == 0 ||
				    strcmp(one->string, "app_id") == 0;

		next = one->next;
		if (says_session || cJSON_IsNull(one) ||
		    (cJSON_IsString(one) && one->valuestring[0] == '\0'))
			cJSON_Delete(cJSON_DetachItemViaPointer(j, one));
	}
	return j;
}

/* An operation has begun, or was refused at once, which ends the call. */
static void begun(struct work *w, struct registry_op *op, const struct fault *fault)
{
	w->op = op;
	if (!op)
		reply_fault(w->call, fault);
}

/*
 * PreviewProxy
 */

static void on_tick(void *arg)
{
	struct work *w = arg;
	double waited = (double)((clock_monotonic() - w->began) / USEC_PER_SEC);
	scoped(freep) char *message =
		xasprintf("Waiting for the server on port %u (%.0f s)", w->port, waited);

	/* The total is a guess: the first answer may take longer than the port to be bound. */
	mcp_call_progress(w->call, waited, waited < w->patience ? w->patience : 0, message);
	timer_set(w->tick, TICK);
}

static void on_attached(int result, struct registry_result *value, struct fault *fault, void *arg)
{
	struct work *w = arg;
	scoped(freep) char *text = NULL;

	if (result < 0) {
		reply_fault(w->call, fault);
		return;
	}
	text = text_preview(value->value, w->origin);
	mcp_reply_tool_consume(w->call, text, view_preview(value->value, w->origin));
}

static void tool_proxy(struct mcp_call *call)
{
	const struct mcp *mcp = mcp_call_arg(call);
	scoped(attach_params_done) struct attach_params params;
	scoped(identity_done) struct identity identity = { 0 };
	scoped(json_freep) cJSON *arguments = tool_arguments(call);
	scoped(fault_done) struct fault fault = { 0 };
	struct session_ref ref;
	struct work *w;

	attach_params_init(&params);
	if (!tool_may(call, SCOPE_PREVIEW))
		return;
	if (json_read(arguments, attach_fields, &params, &fault) < 0 ||
	    identity_of(call, &identity, &fault) < 0) {
		reply_fault(call, &fault);
		return;
	}

	ref = (struct session_ref){ identity.app_id, identity.session_id };
	w = work_new(call, params.name);
	w->port = params.port;
	w->patience = params.wait_seconds ? params.wait_seconds
					  : (unsigned)(mcp->settings->probe_budget / USEC_PER_SEC);
	if (params.health_check && mcp_call_wants_progress(call)) {
		w->tick = timer_new(mcp_call_loop(call), on_tick, w);
		timer_set(w->tick, TICK);
	}
	begun(w,
	      registry_attach(mcp->deps.registry, mcp_call_principal(call), &ref, &params,
			      on_attached, w, &fault),
	      &fault);
}

/*
 * PreviewDetach, PreviewList, PreviewWhy
 */

struct name_params {
	char *name;
};

static const struct json_field name_fields[] = {
	{ "name", JSON_NAME, offsetof(struct name_params, name) },
	JSON_FIELDS_END,
};

static void name_params_done(struct name_params *p)
{
	json_fields_done(name_fields, p);
}

/* Of the tools that take a name and no more; else it is answered. */
static int take_name(struct mcp_call *call, const struct json_field *fields,
		     struct name_params *ret, struct identity *ret_identity)
{
	scoped(json_freep) cJSON *arguments = tool_arguments(call);
	scoped(fault_done) struct fault fault = { 0 };
	int r;

	ret->name = xstrdup("default");
	r = json_read(arguments, fields, ret, &fault);
	if (r >= 0)
		r = identity_of(call, ret_identity, &fault);
	if (r < 0)
		reply_fault(call, &fault);
	return r;
}

static void on_detached(int result, struct registry_result *value, struct fault *fault, void *arg)
{
	struct work *w = arg;
	scoped(freep) char *text = NULL;

	if (result < 0) {
		reply_fault(w->call, fault);
		return;
	}
	text = text_detached(value->value, w->name);
	mcp_reply_tool_consume(w->call, text, view_detached(value->value, w->origin));
}

static void tool_detach(struct mcp_call *call)
{
	scoped(name_params_done) struct name_params params = { 0 };
	scoped(identity_done) struct identity identity = { 0 };
	scoped(fault_done) struct fault fault = { 0 };
	struct session_ref ref;
	struct work *w;

	if (!tool_may(call, SCOPE_PREVIEW) || take_name(call, name_fields, &params, &identity) < 0)
		return;

	ref = (struct session_ref){ identity.app_id, identity.session_id };
	w = work_new(call, params.name);
	begun(w,
	      registry_detach(registry_of(call), mcp_call_principal(call), &ref, params.name,
			      on_detached, w, &fault),
	      &fault);
}

static void tool_list(struct mcp_call *call)
{
	static const struct json_field none[] = { JSON_FIELDS_END };
	scoped(name_params_done) struct name_params params = { 0 };
	scoped(identity_done) struct identity identity = { 0 };
	scoped(fault_done) struct fault fault = { 0 };
	scoped(freep) char *origin = origin_of(call);
	scoped(json_freep) cJSON *list = NULL;
	scoped(freep) char *text = NULL;
	struct session_ref ref;
	int r;

	if (!tool_may(call, SCOPE_PREVIEW | SCOPE_VIEW) ||
	    take_name(call, none, &params, &identity) < 0)
		return;

	ref = (struct session_ref){ identity.app_id, identity.session_id };
	r = registry_list(registry_of(call), mcp_call_principal(call), &ref, &list, &fault);
	/* A session begins with its first attach: until then nothing is attached in it. */
	if (r < 0 && fault.code != FAULT_SESSION_NOT_FOUND) {
		reply_fault(call, &fault);
		return;
	}
	text = text_list(list, identity.session_id, origin);
	mcp_reply_tool_consume(call, text, view_list(list, origin));
}

static void tool_why(struct mcp_call *call)
{
	scoped(name_params_done) struct name_params params = { 0 };
	scoped(identity_done) struct identity identity = { 0 };
	scoped(fault_done) struct fault fault = { 0 };
	scoped(freep) char *origin = origin_of(call);
	scoped(json_freep) cJSON *document = NULL;
	scoped(freep) char *text = NULL;
	struct session_ref ref;

	if (!tool_may(call, SCOPE_PREVIEW | SCOPE_VIEW) ||
	    take_name(call, name_fields, &params, &identity) < 0)
		return;

	ref = (struct session_ref){ identity.app_id, identity.session_id };
	if (registry_why(registry_of(call), mcp_call_principal(call), &ref, params.name, &document,
			 &fault) < 0) {
		reply_fault(call, &fault);
		return;
	}
	text = text_why(document, origin);
	mcp_reply_tool_consume(call, text, view_why(document, origin));
}

const struct mcp_tool mcp_tools[] = {
#define TOOL(id, name, title, hints, input, output, meta, description) \
	{ name, title, description, hints, input, output, meta, tool_##id },
#include "mcp/tools.def"
#undef TOOL
};

const size_t n_mcp_tools = ARRAY_SIZE(mcp_tools);
