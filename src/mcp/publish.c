/* SPDX-License-Identifier: MIT */
/*
 * PreviewPublish: a build, from the first word to the page that is on the air.
 *
 * It is begun, and then followed by the session's events; a word about it goes to the client each
 * second.  A call that is over before its build (cancelled, or its client gone) ends the build,
 * even where the store has not said yet which one that is.
 */
#include <string.h>
#include <utlist.h>

#include "base/mem.h"
#include "base/strbuf.h"
#include "mcp/mcp_priv.h"

#define TICK USEC_PER_SEC /* between two words about a build */

struct publication {
	struct mcp_call *call; /* NULL: it is over, and the build is to end */
	struct mcp *mcp;
	struct principal *principal;
	struct identity identity;
	char *build_id; /* NULL until it is stored */
	bool ended;
	char *origin;
	struct publisher_op *op;
	struct subscription *subscription;
	struct timer *tick;
	usec_t began;
	cJSON *log_tail;
	struct publication *prev, *next; /* of mcp's */
};

static void publication_free(struct publication *p)
{
	DL_DELETE(p->mcp->publications, p);
	publisher_op_free(p->op);
	bus_unsubscribe(p->subscription);
	timer_free(p->tick);
	principal_unref(p->principal);
	identity_done(&p->identity);
	json_free(p->log_tail);
	free(p->build_id);
	free(p->origin);
	free(p);
}

void publications_end(struct mcp *mcp)
{
	while (mcp->publications)
		publication_free(mcp->publications);
}

static struct session_ref ref_of(const struct publication *p)
{
	return (struct session_ref){ p->identity.app_id, p->identity.session_id };
}

static void on_canceled(int result, cJSON *value, struct fault *fault, void *arg)
{
	(void)result;
	(void)value;
	(void)fault;
	(void)arg;
}

static void cancel_build(const struct publication *p)
{
	struct session_ref ref = ref_of(p);

	publisher_op_free(publisher_build_cancel(p->mcp->deps.publisher, p->principal, &ref,
						 p->build_id, on_canceled, NULL, NULL));
}

/* The call is over. */
static void on_call_over(void *arg)
{
	struct publication *p = arg;

	p->call = NULL;
	if (p->op) {
		p->subscription = bus_unsubscribe(p->subscription);
		return; /* on_begun() ends it */
	}
	if (p->build_id && !p->ended)
		cancel_build(p);
	publication_free(p);
}

/*
 * Results
 */

static const cJSON *get(const cJSON *j, const char *name)
{
	return cJSON_GetObjectItemCaseSensitive(j, name);
}

static void reply_published(struct publication *p, const cJSON *build)
{
	scoped(freep) char *url = absolute_url(p->origin, json_string(build, "url"));
	scoped(strbuf_done) struct strbuf b = strbuf_init(STRBUF_UNLIMITED);
	const cJSON *warning;

	strbuf_printf(&b,
		      "Published as '%s': %s\nThat page stays as it is until the next publish; "
		      "tell the user the URL.",
		      json_string(build, "name"), url ? url : "(it has no URL)");
	cJSON_ArrayForEach(warning, get(build, "warnings"))
		strbuf_printf(&b, "\nWarning: %s", warning->valuestring);
	p->ended = true;
	mcp_reply_tool_consume(p->call, strbuf_str(&b), view_build(build, p->origin));
}

static void reply_failed(struct publication *p, const cJSON *build)
{
	const cJSON *error = get(build, "error");
	const char *slug = json_string(error, "code"), *detail = json_string(error, "detail");
	enum fault_code code = slug ? fault_of_slug(slug) : FAULT_NONE;
	scoped(fault_done) struct fault fault = { 0 };

	fault_set(&fault, code == FAULT_NONE ? FAULT_BUILD_FAILED : code, "%s",
		  detail ? detail : "the build ended without a word");
	fault_member_consume(&fault, "build_id", cJSON_CreateString(p->build_id));
	if (p->log_tail)
		fault_member_consume(&fault, "log_tail", STEAL(p->log_tail));
	p->ended = true;
	reply_fault(p->call, &fault);
}

/*
 * Following it
 */

static void tell(struct publication *p, const cJSON *build)
{
	static const char *const phases[][2] = {
		{ "queued", "Waiting for other builds" }, { "detect", "Looking at the project" },
		{ "install", "Installing packages" },     { "build", "Building" },
		{ "check", "Checking what was built" },   { "release", "Putting it on the air" },
	};
	const char *phase = json_string(build, "phase"), *words = "Working";
	double elapsed = (double)(clock_monotonic() - p->began) / (double)USEC_PER_SEC;
	scoped(freep) char *message = NULL;

	for (size_t i = 0; phase && i < ARRAY_SIZE(phases); i++)
		if (strcmp(phases[i][0], phase) == 0)
			words = phases[i][1];
	message = xasprintf("%s (%.0f s)", words, elapsed);
	mcp_call_progress(p->call, elapsed, 0, message);
}

/* Answers where it has ended. */
static void look(struct publication *p)
{
	struct session_ref ref = ref_of(p);
	scoped(fault_done) struct fault fault = { 0 };
	scoped(json_freep) cJSON *build = NULL;
	const char *state;

	if (publisher_build_get(p->mcp->deps.publisher, p->principal, &ref, p->build_id, &build,
				&fault) < 0) {
		p->ended = true;
		reply_fault(p->call, &fault);
		return;
	}
	state = json_string(build, "state");
	if (strcmp(state, "queued") == 0 || strcmp(state, "running") == 0) {
		tell(p, build);
		timer_set(p->tick, TICK);
	} else if (strcmp(state, "succeeded") == 0) {
		reply_published(p, build);
	} else {
		reply_failed(p, build);
	}
}

static void on_tick(void *arg)
{
	look(arg);
}

static bool is_end(const char *type)
{
	return strcmp(type, "web_preview:publish_finished") == 0 ||
	       strcmp(type, "web_preview:publish_failed") == 0;
}

/* The last lines of a build that failed are told with its event. */
static void on_event(struct event *e, void *arg)
{
	struct publication *p = arg;
	scoped(json_freep) cJSON *payload = NULL;
	const char *build_id;

	if (!p->build_id || !is_end(e->type))
		return;
	payload = cJSON_Parse(e->payload->data);
	build_id = json_string(payload, "build_id");
	if (!build_id || strcmp(build_id, p->build_id) != 0)
		return;
	p->log_tail = json_free(p->log_tail);
	p->log_tail = cJSON_DetachItemFromObjectCaseSensitive(payload, "log_tail");
	timer_set(p->tick, 0); /* when the publisher is done with it */
}

static void on_begun(int result, cJSON *value, struct fault *fault, void *arg)
{
	struct publication *p = arg;

	p->op = publisher_op_free(p->op);
	if (result >= 0)
		p->build_id = xstrdup_null(json_string(value, "build_id"));
	if (!p->call) {
		if (p->build_id)
			cancel_build(p);
		publication_free(p);
	} else if (!p->build_id) {
		p->ended = true;
		reply_fault(p->call, fault);
	} else {
		look(p);
	}
}

void tool_publish(struct mcp_call *call)
{
	struct mcp *mcp = mcp_call_arg(call);
	scoped(publish_params_done) struct publish_params params;
	scoped(identity_done) struct identity identity = { 0 };
	scoped(json_freep) cJSON *arguments = tool_arguments(call);
	scoped(fault_done) struct fault fault = { 0 };
	struct session_ref ref;
	struct publication *p;

	publish_params_init(&params);
	if (!tool_may(call, SCOPE_PUBLISH))
		return;
	if (json_read(arguments, publish_fields, &params, &fault) < 0 ||
	    identity_of(call, &identity, &fault) < 0) {
		reply_fault(call, &fault);
		return;
	}

	p = xcalloc(1, sizeof(*p));
	p->call = call;
	p->mcp = mcp;
	p->principal = principal_ref(mcp_call_principal(call));
	p->identity = identity;
	identity = (struct identity){ 0 };
	p->origin = origin_of(call);
	p->began = clock_monotonic();
	p->tick = timer_new(mcp->deps.loop, on_tick, p);
	p->subscription = bus_subscribe(mcp->deps.bus, p->identity.session_id, on_event, p);
	DL_APPEND(mcp->publications, p);
	mcp_call_keep(call, p, on_call_over);

	ref = ref_of(p);
	p->op = publisher_build(mcp->deps.publisher, p->principal, &ref, &params, false, on_begun,
				p, &fault);
	if (!p->op)
		reply_fault(call, &fault);
}
