/* SPDX-License-Identifier: MIT */
/*
 * emit("canvas", action, params, ack): the canvas's actions over Socket.IO, as by POST B/canvas; a
 * list of {action, params} in the action's place is all or nothing.
 *
 * The session is params.session_id; else the one the socket has joined, if it is only one; else,
 * where the operator lets it, "_default_".  Requests of a socket are done in the order they came:
 * while the session of one is being made, those behind it wait.
 */
#include "api/viewer.h"

#include <errno.h>
#include <utlist.h>

#include "base/ids.h"
#include "base/mem.h"
#include "base/metrics.h"

#define SESSION_DEFAULT "_default_"

/* Of one socket, while the first one's session is being made. */
#define WAITING_MAX 64

struct canvas_request {
	struct canvas_calls *calls;
	char *session_id;
	char *app_id;
	bool wants_ack;
	uint64_t ack_id;
	struct canvas_request *prev, *next;
};

static struct canvas_request *request_free(struct canvas_request *r)
{
	if (!r)
		return NULL;
	canvas_calls_free(r->calls);
	free(r->session_id);
	free(r->app_id);
	free(r);
	return NULL;
}
DEFINE_CLEANUP(struct canvas_request *, request_free)

/*
 * Answers.
 */
static void answer(struct viewer *v, const struct canvas_request *r, cJSON *answer_consume)
{
	scoped(json_freep) cJSON *document = answer_consume;
	scoped(freep) char *text = json_print(document);

	/* A result may be the whole canvas, which was asked for. */
	if (r->wants_ack)
		(void)sio_ack_large(v->socket, r->ack_id, text, strlen(text));
}

/* What REST answers, and {ok:false}. */
static void answer_fault(struct viewer *v, const struct canvas_request *r,
			 const struct fault *fault)
{
	cJSON *j = problem_object(fault);

	cJSON_AddBoolToObject(j, "ok", false);
	answer(v, r, j);
}

static void answer_result(struct viewer *v, const struct canvas_request *r, cJSON *result_consume)
{
	cJSON *j = viewer_ok();

	cJSON_AddItemToObject(j, "result", result_consume);
	answer(v, r, j);
}

/*
 * Reading.
 */
static int read_params(const cJSON *args, cJSON **ret, struct fault *reterr)
{
	const cJSON *params = cJSON_GetArrayItem(args, 1);

	if (params && !cJSON_IsNull(params) && !cJSON_IsObject(params))
		return fault_field(reterr, "params", "must be an object");
	*ret = cJSON_IsObject(params) ? cJSON_Duplicate(params, true) : cJSON_CreateObject();
	return 0;
}

/* Takes a member that isn't the action's; NULL where it isn't there. */
static int take_id(cJSON *params, const char *name, char **ret, struct fault *reterr)
{
	scoped(json_freep) cJSON *member = cJSON_DetachItemFromObjectCaseSensitive(params, name);

	if (!member || cJSON_IsNull(member))
		return 0;
	if (!cJSON_IsString(member) || !id_is_valid(member->valuestring))
		return fault_field(reterr, name, "must be 1 to 128 of A-Z a-z 0-9 . _ : @ -");
	*ret = xstrdup(member->valuestring);
	return 0;
}

static int find_session(const struct viewer *v, struct canvas_request *r, struct fault *reterr)
{
	const struct joined *j = r->session_id ? viewer_joined(v, r->session_id) : NULL;

	if (!r->session_id && v->n_joined == 1)
		j = v->joined;
	if (!r->session_id && v->n_joined == 0 && v->api->settings->canvas_default_session)
		r->session_id = xstrdup(SESSION_DEFAULT);
	if (!r->session_id && !j)
		return fault_field(reterr, "session_id",
				   v->n_joined == 0
					   ? "is required: the socket has joined no session"
					   : "is required: the socket has joined several sessions");
	if (!r->session_id)
		r->session_id = xstrdup(j->session_id);
	if (!r->app_id)
		r->app_id = xstrdup(j ? j->app_id : APP_DEFAULT);
	return 0;
}

static int read_calls(const cJSON *args, const cJSON *params, struct canvas_request *r,
		      struct fault *reterr)
{
	const cJSON *action = cJSON_GetArrayItem(args, 0);

	if (cJSON_IsString(action))
		return canvas_calls_read(action->valuestring, params, &r->calls, reterr);
	if (!cJSON_IsArray(action))
		return fault_field(reterr, "action", "must be a name, or a list of actions");
	if (cJSON_GetArraySize(params) > 0)
		return fault_field(reterr, params->child->string, "is not known beside a list");
	return canvas_calls_read_list(action, &r->calls, reterr);
}

/* Who may write is asked first: others learn nothing of what is right. */
static int read_request(const struct viewer *v, const struct sio_event *event,
			struct canvas_request *r, struct fault *reterr)
{
	scoped(json_freep) cJSON *params = NULL;

	if (call_authorize(canvas_route(), v->principal, reterr) < 0 ||
	    read_params(event->args, &params, reterr) < 0 ||
	    take_id(params, "session_id", &r->session_id, reterr) < 0 ||
	    take_id(params, "app_id", &r->app_id, reterr) < 0 || find_session(v, r, reterr) < 0 ||
	    read_calls(event->args, params, r, reterr) < 0)
		return -EINVAL;
	return 0;
}

/*
 * Doing.
 */
static struct session_ref session_of(const struct canvas_request *r)
{
	return (struct session_ref){ r->app_id, r->session_id };
}

/* In a session that is there. */
static void run(struct viewer *v, const struct canvas_request *r)
{
	scoped(fault_done) struct fault fault = { 0 };
	struct session_ref ref = session_of(r);
	struct canvas_session_ref of = { r->session_id, r->app_id, NULL };
	struct api_deps *deps = &v->api->deps;
	cJSON *result = NULL;

	if (registry_session_owner(deps->registry, v->principal, &ref, &of.user_id, &fault) < 0 ||
	    canvas_run(deps->canvas, &of, r->calls, &result, &fault) < 0)
		answer_fault(v, r, &fault);
	else
		answer_result(v, r, result);
}

static void take_first(struct viewer *v)
{
	struct canvas_request *r = v->canvas_requests;

	DL_DELETE(v->canvas_requests, r);
	v->n_canvas_requests--;
	metric_add(METRIC_SOCKETIO_CANVAS_WAITING, -1);
	request_free(r);
}

static void on_session_made(int result, struct registry_result *value, struct fault *fault,
			    void *arg);

/* Whether it is done; else its session is being made. */
static bool try_request(struct viewer *v, const struct canvas_request *r)
{
	scoped(fault_done) struct fault fault = { 0 };
	struct session_ref ref = session_of(r);
	int made = canvas_calls_only_read(r->calls)
			   ? 1
			   : session_ensure(v->api, v->principal, &ref, on_session_made, v,
					    &v->making, &fault);

	if (made > 0)
		run(v, r);
	else if (made < 0)
		answer_fault(v, r, &fault);
	return made != 0;
}

static void on_session_made(int result, struct registry_result *value, struct fault *fault,
			    void *arg)
{
	struct viewer *v = arg;

	(void)value;
	v->making = registry_op_free(v->making);
	if (v->ending)
		return;
	if (result < 0)
		answer_fault(v, v->canvas_requests, fault);
	else
		run(v, v->canvas_requests);
	take_first(v);
	while (v->canvas_requests && try_request(v, v->canvas_requests))
		take_first(v);
}

static void wait_for_session(struct viewer *v, struct canvas_request *r_take)
{
	DL_APPEND(v->canvas_requests, r_take);
	v->n_canvas_requests++;
	metric_inc(METRIC_SOCKETIO_CANVAS_WAITING);
}

void viewer_on_canvas(struct viewer *v, const struct sio_event *event)
{
	scoped(fault_done) struct fault fault = { 0 };
	scoped(request_freep) struct canvas_request *r = xcalloc(1, sizeof(*r));

	r->wants_ack = event->wants_ack;
	r->ack_id = event->ack_id;
	if (read_request(v, event, r, &fault) < 0) {
		answer_fault(v, r, &fault);
	} else if (v->n_canvas_requests >= WAITING_MAX) {
		fault_set(&fault, FAULT_TOO_MANY_REQUESTS,
			  "%u requests of this socket wait for their session to be made",
			  v->n_canvas_requests);
		answer_fault(v, r, &fault);
	} else if (v->canvas_requests || !try_request(v, r)) {
		wait_for_session(v, STEAL(r));
	}
}

void viewer_canvas_end(struct viewer *v)
{
	v->making = registry_op_free(v->making);
	while (v->canvas_requests)
		take_first(v);
}
