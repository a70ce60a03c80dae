/* SPDX-License-Identifier: MIT */
#pragma once

/*
 * A registry with everything beneath it on one loop, and a store with a gate: while it is shut,
 * what was committed waits, so that a test can stand between a change and its answer.
 */
#include <errno.h>
#include <event2/event.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stdint.h>
#include <stdio.h>
#include <string.h>
#include <unistd.h>
/* cmocka wants the three above it */
#include <cmocka.h>

#include "base/log.h"
#include "base/mem.h"
#include "base/metrics.h"
#include "base/strbuf.h"
#include "registry/registry_priv.h"
#include "store/store_priv.h"

/* each test program uses some of it */
#pragma GCC diagnostic ignored "-Wunused-function"

#define HELD_MAX 256

struct gate {
	struct store base;
	struct store *inner;
	struct store_commit *held[HELD_MAX];
	size_t n_held;
	bool shut;
};

static void gate_commit(struct store *s, struct store_commit *c)
{
	struct gate *g = container_of(s, struct gate, base);

	if (g->shut) {
		assert_true(g->n_held < HELD_MAX);
		g->held[g->n_held++] = c;
	} else {
		g->inner->ops->commit(g->inner, c);
	}
}

/* The first one that waits gets its answer: 0, or this failure. */
static void gate_let(struct gate *g, int error)
{
	assert_true(g->n_held > 0);
	store_memory_fail(g->inner, error);
	g->inner->ops->commit(g->inner, g->held[0]);
	store_memory_fail(g->inner, 0);
	memmove(g->held, g->held + 1, --g->n_held * sizeof(g->held[0]));
}

static void gate_open(struct gate *g)
{
	while (g->n_held > 0)
		gate_let(g, 0);
	g->shut = false;
}

static int gate_load(struct store *s, enum record_kind kind, store_visit_fn *visit, void *arg,
		     struct fault *reterr)
{
	struct gate *g = container_of(s, struct gate, base);

	return g->inner->ops->load(g->inner, kind, visit, arg, reterr);
}

static void gate_free(struct store *s)
{
	struct gate *g = container_of(s, struct gate, base);

	gate_open(g);
	store_free(g->inner);
	free(g);
}

static struct gate *gate_new(struct loop *loop)
{
	static const struct store_ops ops = { "gate", gate_free, gate_load, gate_commit };
	struct gate *g = xcalloc(1, sizeof(*g));

	store_init(&g->base, &ops, loop);
	g->inner = store_memory_new(loop);
	return g;
}

struct world {
	struct loop *loop;
	struct gate *gate;
	struct settings *settings;
	struct bus *bus;
	struct auth *auth;
	struct fetcher *fetcher;
	struct jobs *jobs;
	struct sockdiag *sockdiag;
	struct registry *reg;
	struct tasks *tasks;
	struct subscription *all;
	struct strbuf heard;

	struct principal *root; /* admin "root" */
	struct principal *ann;  /* may make sessions */
	struct principal *bob;
};

/* What became of an operation. */
struct answer {
	struct registry_op *op;
	enum fault_code refused; /* at once */
	bool done;
	int result;
	enum fault_code code;
	char *detail;
	cJSON *members; /* of the fault */
	bool created;
	cJSON *value;
};

static void hear(struct event *e, void *arg)
{
	struct world *w = arg;
	scoped(json_freep) cJSON *payload = cJSON_Parse(e->payload->data);
	const char *reason = json_string(payload, "reason");

	strbuf_printf(&w->heard, "%s:%s:%s%s%s ", e->session_id, strchr(e->type, ':') + 1,
		      e->entity_id, reason ? "/" : "", reason ? reason : "");
}

static const char *heard(struct world *w)
{
	static char text[8192];

	snprintf(text, sizeof(text), "%s", strbuf_str(&w->heard));
	strbuf_reset(&w->heard);
	return text;
}

#define assert_heard(w, expected) assert_string_equal(heard(w), expected)

static struct principal *user(const char *user_id)
{
	struct principal *p = xcalloc(1, sizeof(*p));

	p->refs = 1;
	p->via = VIA_JWT;
	p->user_id = xstrdup(user_id);
	p->scopes = SCOPE_PREVIEW | SCOPE_VIEW | SCOPE_SESSION_CREATE;
	p->expires_at = USEC_INFINITY;
	return p;
}

static void start(struct world *w)
{
	struct bus_settings bus_settings = { .ring = 500, .memory_max = 1024 * 1024 };
	struct tasks_deps tasks_deps;
	struct registry_deps deps;

	assert_int_equal(bus_new(w->loop, &w->gate->base, &bus_settings, &w->bus, NULL), 0);
	assert_int_equal(auth_new(w->loop, &w->gate->base, w->settings, "admin", &w->auth, NULL),
			 0);
	tasks_deps = (struct tasks_deps){
		.loop = w->loop,
		.jobs = w->jobs,
		.store = &w->gate->base,
		.bus = w->bus,
		.fetcher = w->fetcher,
	};
	assert_int_equal(tasks_new(&tasks_deps, w->settings, &w->tasks, NULL), 0);
	deps = (struct registry_deps){
		.loop = w->loop,
		.tasks = w->tasks,
		.store = &w->gate->base,
		.bus = w->bus,
		.auth = w->auth,
		.fetcher = w->fetcher,
		.jobs = w->jobs,
		.sockdiag = w->sockdiag,
	};
	assert_int_equal(registry_new(&deps, w->settings, &w->reg, NULL), 0);
	auth_set_session_lookup(w->auth, registry_session_lookup, w->reg);
	tasks_on_exit(w->tasks, registry_task_exited, w->reg);
	w->all = bus_subscribe(w->bus, NULL, hear, w);
}

static void stop(struct world *w)
{
	w->all = bus_unsubscribe(w->all);
	w->reg = registry_free(w->reg);
	w->tasks = tasks_free(w->tasks);
	w->auth = auth_free(w->auth);
	w->bus = bus_free(w->bus);
}

static void restart(struct world *w)
{
	stop(w);
	start(w);
}

static int set_up(void **state)
{
	static const char *const none[] = { NULL };
	const struct settings_sources sources = {
		.config_path = "/dev/null",
		.overrides = none,
		.environment = none,
	};
	struct world *w = xcalloc(1, sizeof(*w));

	log_setup(LOG_LEVEL_ERROR, LOG_FORMAT_TEXT);
	if (settings_load(&sources, NULL, NULL, &w->settings, NULL) < 0)
		return -1;
	w->heard = strbuf_init(STRBUF_UNLIMITED);
	w->loop = loop_new();
	w->gate = gate_new(w->loop);
	w->fetcher = fetcher_new(w->loop);
	w->jobs = jobs_new(w->loop, 2, 64);
	if (sockdiag_new(&w->sockdiag) < 0)
		w->sockdiag = NULL;
	w->root = user("root");
	w->root->admin = true;
	w->ann = user("ann");
	w->bob = user("bob");
	start(w);
	*state = w;
	return 0;
}

static int tear_down(void **state)
{
	struct world *w = *state;

	stop(w);
	store_free(&w->gate->base);
	fetcher_free(w->fetcher);
	jobs_free(w->jobs);
	sockdiag_free(w->sockdiag);
	loop_free(w->loop);
	principal_unref(w->root);
	principal_unref(w->ann);
	principal_unref(w->bob);
	settings_free(w->settings);
	strbuf_done(&w->heard);
	free(w);
	return 0;
}

static void turn(struct world *w)
{
	assert_int_equal(event_base_loop(loop_base(w->loop), EVLOOP_ONCE), 0);
}

/* Everything that is due has happened. */
static void settle(struct world *w)
{
	for (unsigned i = 0; i < 20; i++)
		event_base_loop(loop_base(w->loop), EVLOOP_NONBLOCK);
}

/* Turns the loop until it comes true; what never does is ended by the alarm of main(). */
#define wait_until(w, condition)     \
	do {                         \
		while (!(condition)) \
			turn(w);     \
	} while (0)

static void wait_held(struct world *w, size_t n)
{
	wait_until(w, w->gate->n_held >= n);
}

static void answer_done(struct answer *a)
{
	registry_op_free(a->op);
	free(a->detail);
	json_free(a->members);
	json_free(a->value);
	*a = (struct answer){ 0 };
}

static void on_answer(int result, struct registry_result *value, struct fault *fault, void *arg)
{
	struct answer *a = arg;

	assert_false(a->done);
	a->done = true;
	a->result = result;
	a->code = fault->code;
	a->detail = STEAL(fault->detail);
	a->members = STEAL(fault->members);
	a->created = value->created;
	a->value = STEAL(value->value);
	a->op = registry_op_free(a->op);
}

static void begun(struct answer *a, struct registry_op *op, struct fault *fault)
{
	a->op = op;
	if (op)
		return;
	a->refused = fault->code;
	a->code = fault->code;
	a->result = -fault_errno(fault->code);
	a->detail = STEAL(fault->detail);
	a->members = STEAL(fault->members);
	a->done = true;
}

static struct session_ref ref_of(const char *session_id)
{
	return (struct session_ref){ "shop", session_id };
}

static void attach_start(struct world *w, struct principal *p, const char *session_id,
			 const char *name, unsigned port, struct answer *a)
{
	scoped(attach_params_done) struct attach_params params;
	scoped(fault_done) struct fault fault = { 0 };
	struct session_ref ref = ref_of(session_id);

	attach_params_init(&params);
	free(params.name);
	params.name = xstrdup(name);
	params.port = port;
	params.health_check = false;
	begun(a, registry_attach(w->reg, p, &ref, &params, on_answer, a, &fault), &fault);
}

static void detach_start(struct world *w, struct principal *p, const char *session_id,
			 const char *name, struct answer *a)
{
	scoped(fault_done) struct fault fault = { 0 };
	struct session_ref ref = ref_of(session_id);

	begun(a, registry_detach(w->reg, p, &ref, name, on_answer, a, &fault), &fault);
}

static void end_start(struct world *w, struct principal *p, const char *session_id,
		      struct answer *a)
{
	scoped(fault_done) struct fault fault = { 0 };
	struct session_ref ref = ref_of(session_id);

	begun(a, registry_session_end(w->reg, p, &ref, on_answer, a, &fault), &fault);
}

static void put_start(struct world *w, struct principal *p, const char *session_id,
		      const char *workdir, const char *meta, struct answer *a)
{
	scoped(fault_done) struct fault fault = { 0 };
	struct session_ref ref = ref_of(session_id);
	struct session_params params = {
		.workdir = (char *)workdir,
		.meta = meta ? cJSON_Parse(meta) : NULL,
	};

	begun(a, registry_session_put(w->reg, p, &ref, &params, on_answer, a, &fault), &fault);
	json_free(params.meta);
}

/* Does it and answers whether it went well, with the fault's code where it didn't. */
static enum fault_code finish(struct world *w, struct answer *a)
{
	enum fault_code code;

	wait_until(w, a->done);
	code = a->result < 0 ? a->code : FAULT_NONE;
	answer_done(a);
	return code;
}

static enum fault_code attach(struct world *w, struct principal *p, const char *session_id,
			      const char *name, unsigned port)
{
	struct answer a = { 0 };

	attach_start(w, p, session_id, name, port, &a);
	return finish(w, &a);
}

static enum fault_code detach(struct world *w, struct principal *p, const char *session_id,
			      const char *name)
{
	struct answer a = { 0 };

	detach_start(w, p, session_id, name, &a);
	return finish(w, &a);
}

static enum fault_code end(struct world *w, struct principal *p, const char *session_id)
{
	struct answer a = { 0 };

	end_start(w, p, session_id, &a);
	return finish(w, &a);
}

static enum fault_code put(struct world *w, struct principal *p, const char *session_id,
			   const char *workdir, const char *meta)
{
	struct answer a = { 0 };

	put_start(w, p, session_id, workdir, meta, &a);
	return finish(w, &a);
}

/* "a b c ": what is attached in the session, or the slug of why that can't be said. */
static const char *attached(struct world *w, const struct principal *p, const char *session_id)
{
	scoped(fault_done) struct fault fault = { 0 };
	struct session_ref ref = ref_of(session_id);
	scoped(json_freep) cJSON *j = NULL;
	static char text[4096];
	const cJSON *one;

	text[0] = '\0';
	if (registry_list(w->reg, p, &ref, &j, &fault) < 0)
		return fault_slug(fault.code);
	cJSON_ArrayForEach(one, cJSON_GetObjectItem(j, "previews"))
		sprintf(text + strlen(text), "%s ", json_string(one, "name"));
	return text;
}

#define assert_attached(w, p, session_id, expected) \
	assert_string_equal(attached(w, p, session_id), expected)

/* A member of the session's document: text or printed JSON, "null" when it isn't there. */
static const char *session_member(struct world *w, const char *session_id, const char *name)
{
	struct session_ref ref = ref_of(session_id);
	scoped(json_freep) cJSON *j = NULL;
	scoped(freep) char *printed = NULL;
	static char text[1024];

	if (registry_session_get(w->reg, w->root, &ref, &j, NULL) < 0)
		return "no session";
	printed = json_print(cJSON_GetObjectItem(j, name));
	snprintf(text, sizeof(text), "%s", printed);
	return text;
}
