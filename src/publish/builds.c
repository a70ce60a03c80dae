/* SPDX-License-Identifier: MIT */
/*
 * Builds: how one begins, waits for its turn, ends, and is told of.
 */
#include "publish/publisher.h"

#include <assert.h>
#include <errno.h>
#include <string.h>
#include <utlist.h>

#include "base/ids.h"
#include "base/log.h"
#include "base/mem.h"
#include "base/metrics.h"
#include "base/strbuf.h"
#include "publish/publisher_priv.h"

LOG_AREA("publish");

#define BUILD_ID_LENGTH 16
#define PATH_LENGTH_MAX 4096
#define TIMEOUT_MAX     86400
#define TAIL_LINES      20

/* Logs of ended builds that are kept at once, in logs of the greatest size. */
#define LOGS_KEPT 16

const char *const build_state_names[BUILD_STATE_COUNT_] = {
#define STATE(name, text, next) [BUILD_STATE_##name] = text,
#include "publish/states.def"
#undef STATE
};

#define TO(name) (1u << BUILD_STATE_##name)
static const unsigned next_states[BUILD_STATE_COUNT_] = {
#define STATE(name, text, next) [BUILD_STATE_##name] = next,
#include "publish/states.def"
#undef STATE
};

const char *const build_phase_names[PHASE_COUNT_] = {
	[PHASE_QUEUED] = "queued", [PHASE_DETECT] = "detect", [PHASE_INSTALL] = "install",
	[PHASE_BUILD] = "build",   [PHASE_CHECK] = "check",   [PHASE_RELEASE] = "release",
};

const struct json_field publish_fields[] = {
	/* clang-format off */
	{ "workdir", JSON_STRING, offsetof(struct publish_params, workdir), .nullable = true, .min = 1, .max = PATH_LENGTH_MAX,
	  .help = "The project's directory: absolute, or relative to the session's, which it is without this. A token may name only what is beneath the session's." },
	{ "install", JSON_BOOL, offsetof(struct publish_params, install),
	  .help = "Whether to install the project's packages; else its own node_modules is used." },
	{ "build_script", JSON_STRING, offsetof(struct publish_params, build_script), .nullable = true, .min = 1, .max = 128,
	  .help = "The script of package.json that builds it; as detected without this." },
	{ "output_dir", JSON_STRING, offsetof(struct publish_params, output_dir), .nullable = true, .min = 1, .max = 512,
	  .help = "Where the build puts its files, relative; as detected without this." },
	{ "name", JSON_NAME, offsetof(struct publish_params, name),
	  .help = "Its name in the session; \"published\" where none is given." },
	{ "timeout_seconds", JSON_UINT, offsetof(struct publish_params, timeout_seconds), .nullable = true, .min = 1, .max = TIMEOUT_MAX,
	  .help = "How long the build may take; publish.build_timeout without this." },
	{ "focus", JSON_BOOL, offsetof(struct publish_params, focus),
	  .help = "Whether the user's panel should come to the front with it." },
	JSON_FIELDS_END,
	/* clang-format on */
};

void publish_params_init(struct publish_params *p)
{
	*p = (struct publish_params){ .name = xstrdup("published"),
				      .install = true,
				      .focus = true };
}

void publish_params_done(struct publish_params *p)
{
	json_fields_done(publish_fields, p);
}

static void params_copy(struct publish_params *to, const struct publish_params *from)
{
	*to = *from;
	to->workdir = xstrdup_null(from->workdir);
	to->build_script = xstrdup_null(from->build_script);
	to->output_dir = xstrdup_null(from->output_dir);
	to->name = xstrdup(from->name);
}

static int params_check(const struct publish_params *p, struct fault *reterr)
{
	if (!name_is_valid(p->name))
		fault_field(reterr, "name", "must be 1 to 64 of A-Z a-z 0-9 . _ -");
	if (p->workdir && !utf8_is_valid(p->workdir, strlen(p->workdir)))
		fault_field(reterr, "workdir", "must be text");
	if (p->output_dir && p->output_dir[0] == '/')
		fault_field(reterr, "output_dir", "must be relative to the project");
	return reterr->n_fields > 0 ? -EINVAL : 0;
}

/*
 * Memory.
 */
struct build *build_find(const struct publisher *p, const char *session_id, const char *build_id)
{
	const struct shelf *shelf = shelf_find(p, session_id);

	for (struct build *b = shelf ? shelf->builds : NULL; b; b = b->next)
		if (strcmp(b->build_id, build_id) == 0)
			return b;
	return NULL;
}

bool build_is_live(const struct build *b)
{
	return next_states[b->state] != 0;
}

struct build *build_make(struct publisher *p, const char *session_id, const char *build_id)
{
	struct build *b = xcalloc(1, sizeof(*b));

	b->publisher = p;
	b->shelf = shelf_ensure(p, session_id);
	b->build_id = xstrdup(build_id);
	b->workdir.rights = b->workdir.session_rights = RIGHTS_NONE;
	b->source_fd = -1;
	textlog_init(&b->log, p->deps.loop);
	DL_PREPEND(b->shelf->builds, b);
	b->shelf->n_builds++;
	return b;
}

void logs_forget(struct build *b)
{
	struct publisher *p = b->publisher;

	if (!b->log_prev)
		return;
	p->logs_bytes -= b->log.len;
	DL_DELETE2(p->logs, b, log_prev, log_next);
	b->log_prev = b->log_next = NULL;
}

struct build *build_free(struct build *b)
{
	if (!b)
		return NULL;
	steps_stop(b);
	logs_forget(b);
	queue_leave(b);
	queue_uncount(b);
	if (b->storing)
		b->storing->slot = NULL;
	if (b->waiting)
		b->waiting->slot = NULL;
	store_commit_free(b->commit);
	DL_DELETE(b->shelf->builds, b);
	b->shelf->n_builds--;
	shelf_settle(b->shelf);
	timer_free(b->tell_timer);
	for (size_t i = 0; i < b->n_lines; i++)
		free(b->lines[i]);
	free(b->lines);
	free(b->line);
	textlog_done(&b->log);
	json_free(b->document);
	fault_done(&b->fault);
	publish_params_done(&b->params);
	free(b->workdir.path);
	free(b->workdir.session_path);
	free(b->build_id);
	free(b->app_id);
	free(b->user_id);
	free(b);
	return NULL;
}

static void set_state(struct build *b, enum build_state state)
{
	assert(next_states[b->state] & (1u << state));
	if (state == BUILD_STATE_SUCCEEDED)
		metric_inc(METRIC_BUILDS_SUCCEEDED);
	else if (next_states[state] == 0)
		metric_inc(METRIC_BUILDS_FAILED);
	if (next_states[state] == 0)
		metric_add(METRIC_BUILDS, -1);
	b->state = state;
}

void build_put(const struct build *b, const cJSON *document, struct store_batch *batch)
{
	scoped(freep) char *text = document ? json_print(document) : NULL;
	const struct record_build record = {
		.session_id = b->shelf->session_id,
		.build_id = b->build_id,
		.app_id = b->app_id,
		.state = build_state_names[b->state],
		.document = text ? text : "{}",
		.created_at = (int64_t)b->created_at,
	};

	store_put(batch, RECORD_KIND_BUILD, &record);
}

void build_forget(struct build *b)
{
	struct store_batch *batch = store_batch_new();

	store_delete(batch, RECORD_KIND_BUILD,
		     &(struct record_build){ .session_id = b->shelf->session_id,
					     .build_id = b->build_id });
	publisher_commit(b->publisher, batch);
	build_free(b);
}

/*
 * The end.
 */
void build_set_phase(struct build *b, enum build_phase phase)
{
	usec_t now = clock_monotonic();

	/* What took no time at all was a phase all the same. */
	b->took[b->phase] += now > b->phase_began ? now - b->phase_began : 1;
	b->phase = phase;
	b->phase_began = now;
}

static void publish_end(struct build *b)
{
	bool ok = b->state == BUILD_STATE_SUCCEEDED;
	cJSON *j = cJSON_CreateObject();

	json_add_string(j, "build_id", b->build_id);
	json_add_string(j, "name", b->params.name);
	if (ok) {
		json_add_string(j, "release_id", b->release_id);
		cJSON_AddItemToObject(j, "url",
				      cJSON_Duplicate(cJSON_GetObjectItem(b->document, "url"), 1));
		json_add_u64(j, "files", b->n_files);
		json_add_u64(j, "bytes", b->bytes);
		json_add_u64(j, "took_ms", build_elapsed(b) / USEC_PER_MSEC);
		json_add_string(j, "framework", json_string(b->document, "framework"));
		cJSON_AddItemToObject(
			j, "warnings",
			cJSON_Duplicate(cJSON_GetObjectItem(b->document, "warnings"), true));
	} else {
		json_add_string(j, "state", build_state_names[b->state]);
		json_add_string(j, "phase", build_phase_names[b->phase]);
		json_add_string(j, "code", fault_slug(b->fault.code));
		json_add_string(j, "detail", b->fault.detail);
		cJSON_AddItemToObject(j, "log_tail", build_log_tail(b, TAIL_LINES));
	}
	build_publish_event(b, ok ? "web_preview:publish_finished" : "web_preview:publish_failed",
			    j);
}

static void keep_log(struct build *b)
{
	struct publisher *p = b->publisher;
	size_t most = (size_t)p->settings->publish_log_max * LOGS_KEPT;

	textlog_end(&b->log);
	DL_APPEND2(p->logs, b, log_prev, log_next);
	p->logs_bytes += b->log.len;
	while (p->logs_bytes > most && p->logs != b) {
		struct build *oldest = p->logs;

		logs_forget(oldest);
		textlog_done(&oldest->log);
		textlog_init(&oldest->log, p->deps.loop);
		textlog_end(&oldest->log);
	}
}

/* The fault as the one who waited gets it; the build keeps its own. */
static int fault_for_waiter(const struct build *b, struct fault *ret)
{
	scoped(strbuf_done) struct strbuf tail = strbuf_init(STRBUF_UNLIMITED);
	scoped(json_freep) cJSON *lines = build_log_tail(b, TAIL_LINES);
	const cJSON *line;
	int r = fault_set(ret, b->fault.code, "%s", b->fault.detail ? b->fault.detail : "");

	if (b->fault.members) {
		json_free(ret->members);
		ret->members = cJSON_Duplicate(b->fault.members, true);
	}
	fault_member_consume(ret, "build", build_view(b));
	cJSON_ArrayForEach(line, lines) strbuf_printf(&tail, "%s\n", line->valuestring);
	fault_member_consume(ret, "log_tail", cJSON_CreateString(strbuf_str(&tail)));
	return r;
}

static void answer_waiter(struct build *b)
{
	struct fault fault = { 0 };
	int r;

	if (!b->waiting)
		return;
	if (b->state == BUILD_STATE_SUCCEEDED) {
		publisher_op_answer(&b->waiting, 0, build_view(b), NULL);
		return;
	}
	r = fault_for_waiter(b, &fault);
	publisher_op_answer(&b->waiting, r, NULL, &fault);
	fault_done(&fault);
}

static void drop_empty_page(struct build *b)
{
	struct page *page = b->page;

	b->page = NULL;
	if (!page)
		return;
	page->users--;
	if (page->users == 0 && !page->is_stored && !page->current[0])
		page_remove(page);
}

void build_end(struct build *b, enum build_state state)
{
	struct publisher *p = b->publisher;
	struct store_batch *batch;
	bool was_queued = b->state == BUILD_STATE_QUEUED;

	build_set_phase(b, b->phase);
	if (b->line_len > 0)
		build_output(b, "\n", 1);
	if (b->fault.detail)
		build_log(b, "%s: %s", build_phase_names[b->phase], b->fault.detail);
	else
		build_log(b, "done in %.1f s", (double)build_elapsed(b) / 1e6);
	if (b->n_lines > 0)
		build_tell(b);
	set_state(b, state);
	b->ended_at = clock_realtime();
	b->document = build_document(b);
	log_info("session '%s': build '%s' of '%s' %s%s%s", b->shelf->session_id, b->build_id,
		 b->params.name, build_state_names[state], b->fault.detail ? ": " : "",
		 b->fault.detail ? b->fault.detail : "");
	steps_stop(b);
	publish_end(b);
	drop_empty_page(b);
	keep_log(b);

	batch = store_batch_new();
	build_put(b, b->document, batch);
	publisher_commit(p, batch);
	if (was_queued)
		queue_leave(b);
	else
		p->n_running--;
	queue_uncount(b);
	answer_waiter(b);
	queue_run(p);
}

void build_cancel(struct build *b, const char *why)
{
	if (!build_is_live(b) || b->cancel_wanted)
		return;
	b->cancel_wanted = true;
	if (b->switching)
		return; /* the next moment it is on the air, or isn't */
	fault_set(&b->fault, FAULT_BUILD_CANCELED, "the build was canceled: %s", why);
	if (b->commit)
		return; /* on_stored() ends it */
	build_end(b, BUILD_STATE_CANCELED);
}

/*
 * The queue.
 */
void queue_run(struct publisher *p)
{
	while (!p->draining && p->queue && p->n_running < p->settings->publish_builds) {
		struct build *b = queue_take(p);

		set_state(b, BUILD_STATE_RUNNING);
		b->started_at = clock_realtime();
		build_set_phase(b, PHASE_DETECT);
		sandbox_retry(p->sandbox); /* what was missing may have been installed */
		steps_begin(b);
	}
}

static void publish_started(struct build *b)
{
	cJSON *j = cJSON_CreateObject();

	json_add_string(j, "build_id", b->build_id);
	json_add_string(j, "name", b->params.name);
	json_add_string(j, "state", build_state_names[b->state]);
	json_add_string(j, "phase", build_phase_names[b->phase]);
	if (b->state == BUILD_STATE_QUEUED)
		json_add_u64(j, "position", build_position(b));
	else
		cJSON_AddNullToObject(j, "position");
	build_publish_event(b, "web_preview:publish_started", j);
}

/* The record is there: a daemon that is killed from here on finds it. */
static void on_stored(int result, void *arg)
{
	struct build *b = arg;
	struct publisher *p = b->publisher;
	struct fault fault = { 0 };

	b->commit = store_commit_free(b->commit);
	if (result < 0) {
		result = fault_set(&fault, FAULT_STORE_UNAVAILABLE,
				   "the store cannot be written (%s); nothing was begun",
				   strerror(-result));
		publisher_op_answer(&b->storing, result, NULL, &fault);
		publisher_op_answer(&b->waiting, result, NULL, &fault);
		fault_done(&fault);
		metric_add(METRIC_BUILDS, -1);
		drop_empty_page(b);
		build_free(b);
		return;
	}
	if (b->cancel_wanted) {
		queue_enter(b);
		build_end(b, BUILD_STATE_CANCELED);
	} else {
		queue_enter(b);
		queue_run(p);
		if (build_is_live(b)) /* else it was told that it has failed */
			publish_started(b);
	}
	publisher_op_answer(&b->storing, 0, build_view(b), NULL);
}

static void make_room(struct shelf *shelf, unsigned most)
{
	while (shelf->n_builds >= most) {
		struct build *last = shelf->builds->prev; /* the head's is the oldest */

		if (build_is_live(last))
			return;
		build_forget(last);
	}
}

static int check(struct publisher *p, const struct session_ref *ref, const char *user_id,
		 struct fault *reterr)
{
	const struct shelf *shelf = shelf_find(p, ref->session_id);

	if (shelf && shelf->builds && build_is_live(shelf->builds)) {
		int r = fault_set(reterr, FAULT_BUILD_RUNNING,
				  "build '%s' of the session is under way; cancel it, or wait for "
				  "its end",
				  shelf->builds->build_id);

		fault_member_consume(reterr, "build_id",
				     cJSON_CreateString(shelf->builds->build_id));
		return r;
	}
	return queue_admit(p, user_id, reterr);
}

/* What is asked for, while the session is being made. */
struct request {
	struct publisher_op *op;
	struct publisher *publisher;
	struct principal *principal;
	char *app_id, *session_id;
	struct publish_params params;
	bool wait;
	struct registry_op *registry_op;
};

static void request_free(void *arg)
{
	struct request *r = arg;

	registry_op_free(r->registry_op);
	principal_unref(r->principal);
	publish_params_done(&r->params);
	free(r->app_id);
	free(r->session_id);
	free(r);
}

static struct build *build_new(struct page *page, const struct principal *principal,
			       const struct session_ref *ref, const struct publish_params *params)
{
	struct publisher *p = page->shelf->publisher;
	char build_id[BUILD_ID_LENGTH + 1];
	const char *workdir;
	struct build *b;

	random_label(build_id, BUILD_ID_LENGTH);
	b = build_make(p, ref->session_id, build_id);
	b->app_id = xstrdup(ref->app_id);
	b->user_id = xstrdup(page->user_id);
	params_copy(&b->params, params);
	b->workdir.path = xstrdup_null(params->workdir);
	b->workdir.rights = principal_rights(principal);
	if (registry_session_workdir(p->deps.registry, ref->session_id, &workdir,
				     &b->workdir.session_rights))
		b->workdir.session_path = xstrdup(workdir);
	b->created_at = clock_realtime();
	b->began = b->phase_began = clock_monotonic();
	b->page = page;
	page->users++;
	metric_inc(METRIC_BUILDS);
	return b;
}

static struct store_commit *store_new(struct build *b)
{
	scoped(json_freep) cJSON *document = build_document(b);
	struct store_batch *batch = store_batch_new();

	build_put(b, document, batch);
	return store_commit_consume(b->publisher->deps.store, batch, on_stored, b);
}

/* In a session that is there. */
static int begin(struct publisher *p, struct principal *principal, const struct session_ref *ref,
		 const struct publish_params *params, struct build **ret, struct fault *reterr)
{
	const char *user_id;
	struct page *page;
	struct build *b;
	int r = registry_session_owner(p->deps.registry, principal, ref, &user_id, reterr);

	if (r >= 0)
		r = registry_publish_check(p->deps.registry, principal, ref, params->name, reterr);
	if (r >= 0)
		r = check(p, ref, user_id, reterr);
	if (r >= 0)
		r = page_ensure(p, ref, user_id, params->name, &page, reterr);
	if (r < 0)
		return r;

	make_room(page->shelf, p->settings->publish_builds_kept);
	b = build_new(page, principal, ref, params);
	queue_count(b);
	bus_prepare(p->deps.bus, ref->session_id);
	b->commit = store_new(b);
	*ret = b;
	return 0;
}

static void move_to_build(struct publisher_op *op, struct build *b, bool wait)
{
	op->slot = wait ? &b->waiting : &b->storing;
	*op->slot = op;
}

static void on_session_made(int result, struct registry_result *value, struct fault *fault,
			    void *arg)
{
	struct request *r = arg;
	struct session_ref ref = { r->app_id, r->session_id };
	struct fault own = { 0 };
	struct build *b;

	(void)value;
	if (result < 0) {
		publisher_op_answer(&r->op, result, NULL, fault);
		return;
	}
	result = begin(r->publisher, r->principal, &ref, &r->params, &b, &own);
	if (result < 0) {
		publisher_op_answer(&r->op, result, NULL, &own);
		fault_done(&own);
		return;
	}
	move_to_build(r->op, b, r->wait);
}

/* The session is made by the first who publishes in it, if they may. */
static struct publisher_op *make_session(struct publisher *p, struct principal *principal,
					 const struct session_ref *ref,
					 const struct publish_params *params, bool wait,
					 publisher_done_fn *done, void *arg, struct fault *reterr)
{
	const struct session_params nothing = { 0 };
	struct request *r = xcalloc(1, sizeof(*r));

	r->registry_op = registry_session_put(p->deps.registry, principal, ref, &nothing,
					      on_session_made, r, reterr);
	if (!r->registry_op) {
		request_free(r);
		return NULL;
	}
	r->publisher = p;
	r->principal = principal_ref(principal);
	r->app_id = xstrdup(ref->app_id);
	r->session_id = xstrdup(ref->session_id);
	params_copy(&r->params, params);
	r->wait = wait;
	publisher_op_new(p, &r->op, done, arg);
	r->op->context = r;
	r->op->free_context = request_free;
	return r->op;
}

struct publisher_op *publisher_build(struct publisher *p, struct principal *principal,
				     const struct session_ref *ref,
				     const struct publish_params *params, bool wait,
				     publisher_done_fn *done, void *arg, struct fault *reterr)
{
	scoped(fault_done) struct fault fault = { 0 };
	struct publisher_op *op = NULL;
	struct build *b = NULL;

	if (params_check(params, &fault) >= 0) {
		if (p->draining)
			fault_set(&fault, FAULT_DRAINING,
				  "the daemon is shutting down; try again when it is back");
		else if (publisher_may(p, principal, ref, NULL) < 0)
			op = make_session(p, principal, ref, params, wait, done, arg, &fault);
		else if (begin(p, principal, ref, params, &b, &fault) >= 0)
			move_to_build(op = publisher_op_new(p, NULL, done, arg), b, wait);
	}
	if (!op && reterr)
		fault_move(reterr, &fault);
	return op;
}
