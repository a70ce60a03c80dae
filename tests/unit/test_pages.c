/* SPDX-License-Identifier: MIT */
/* Pages of published releases: whose they are, and what is left of a change that fails. */
#include "registry_world.h"

#include <fcntl.h>
#include <netdb.h>
#include <poll.h>
#include <signal.h>
#include <stdlib.h>
#include <sys/socket.h>
#include <sys/un.h>
#include <time.h>

#include "base/files.h"
#include "base/metrics.h"
#include "base/trees.h"
#include "publish/publisher_priv.h"
#include "publish/steps_priv.h"

struct published {
	struct world *w;
	struct publisher *p;
	char path[64];
	char *project, *state;
};

struct outcome {
	struct publisher_op *op;
	bool done;
	int result;
	enum fault_code code;
	cJSON *value;
};

static void write_page(const struct published *b, const char *text)
{
	scoped(closep) int fd = open_directory(b->project);

	assert_true(fd >= 0);
	assert_int_equal(write_file_at(fd, "index.html", text, strlen(text), 0644), 0);
}

static int start_publisher(struct published *b)
{
	const struct publisher_deps deps = {
		.loop = b->w->loop,
		.store = &b->w->gate->base,
		.bus = b->w->bus,
		.registry = b->w->reg,
		.state_dir = b->state,
	};

	if (publisher_new(&deps, b->w->settings, &b->p, NULL) < 0)
		return -1;
	registry_on_session_ended(b->w->reg, publisher_session_ended, b->p);
	return 0;
}

static int set_up_publisher(void **state)
{
	struct published *b = xcalloc(1, sizeof(*b));

	if (set_up((void **)&b->w) < 0)
		return -1;
	strcpy(b->path, "/tmp/previewd-pages-XXXXXX");
	if (!mkdtemp(b->path))
		return -1;
	b->project = xasprintf("%s/project", b->path);
	b->state = xasprintf("%s/state", b->path);
	if (make_directory_at(AT_FDCWD, b->project) < 0 ||
	    make_directory_at(AT_FDCWD, b->state) < 0)
		return -1;
	b->w->ann->scopes |= SCOPE_PUBLISH;
	b->w->ann->has_uid = b->w->bob->has_uid = true;
	b->w->ann->uid = b->w->bob->uid = geteuid();
	*state = b;
	return start_publisher(b);
}

static int tear_down_publisher(void **state)
{
	struct published *b = *state;
	int r;

	publisher_free(b->p);
	r = tear_down((void **)&b->w);
	if (r >= 0)
		r = remove_tree_at(AT_FDCWD, b->path);
	free(b->project);
	free(b->state);
	free(b);
	return r;
}

static void on_outcome(int result, cJSON *value, struct fault *fault, void *arg)
{
	struct outcome *o = arg;

	assert_false(o->done);
	o->done = true;
	o->result = result;
	o->code = fault->code;
	o->value = value ? cJSON_Duplicate(value, true) : NULL;
	o->op = publisher_op_free(o->op);
}

static void outcome_done(struct outcome *o)
{
	publisher_op_free(o->op);
	json_free(o->value);
	*o = (struct outcome){ 0 };
}

/* The release's id, the caller's. */
static char *publish(struct published *b, struct principal *who, const char *session_id,
		     const char *text)
{
	scoped(publish_params_done) struct publish_params params;
	scoped(outcome_done) struct outcome o = { 0 };
	struct session_ref ref = ref_of(session_id);

	write_page(b, text);
	publish_params_init(&params);
	params.workdir = xstrdup(b->project);
	o.op = publisher_build(b->p, who, &ref, &params, true, on_outcome, &o, NULL);
	assert_non_null(o.op);
	wait_until(b->w, o.done);
	assert_int_equal(o.result, 0);
	return xstrdup(json_string(o.value, "release_id"));
}

static void end_session(struct published *b, struct principal *who, const char *session_id)
{
	scoped(answer_done) struct answer a = { 0 };
	scoped(fault_done) struct fault fault = { 0 };
	struct session_ref ref = ref_of(session_id);

	begun(&a, registry_session_end(b->w->reg, who, &ref, on_answer, &a, &fault), &fault);
	wait_until(b->w, a.done);
	assert_int_equal(a.result, 0);
}

static void make_session(struct published *b, struct principal *who, const char *session_id)
{
	const struct session_params nothing = { 0 };
	scoped(answer_done) struct answer a = { 0 };
	scoped(fault_done) struct fault fault = { 0 };
	struct session_ref ref = ref_of(session_id);

	begun(&a, registry_session_put(b->w->reg, who, &ref, &nothing, on_answer, &a, &fault),
	      &fault);
	wait_until(b->w, a.done);
	assert_int_equal(a.result, 0);
}

/*
 * Whose
 */
static void an_id_that_is_free_again_comes_without_the_pages_of_who_had_it(void **state)
{
	struct published *b = *state;
	struct session_ref ref = ref_of("s");
	scoped(outcome_done) struct outcome list = { 0 }, activated = { 0 }, again = { 0 };
	scoped(freep) char *release_id = NULL, *own = NULL, *token = NULL;

	b->w->settings->limits_sessions_per_user = 1;
	release_id = publish(b, b->w->ann, "s", "<h1>of ann alone</h1>");
	token = xstrdup(page_find(b->p, "s", "published")->token);
	end_session(b, b->w->ann, "s");
	make_session(b, b->w->ann, "other"); /* the one that ended is forgotten for it */
	make_session(b, b->w->bob, "s");

	list.op = publisher_releases(b->p, b->w->bob, &ref, "published", on_outcome, &list, NULL);
	wait_until(b->w, list.done);
	assert_int_equal(list.result, 0);
	assert_int_equal(cJSON_GetArraySize(cJSON_GetObjectItem(list.value, "releases")), 0);

	activated.op = publisher_activate(b->p, b->w->bob, &ref, "published", release_id, NULL,
					  on_outcome, &activated, NULL);
	assert_null(activated.op);

	own = publish(b, b->w->bob, "s", "<h1>of bob</h1>");
	again.op = publisher_releases(b->p, b->w->bob, &ref, "published", on_outcome, &again, NULL);
	wait_until(b->w, again.done);
	assert_int_equal(cJSON_GetArraySize(cJSON_GetObjectItem(again.value, "releases")), 1);
	assert_string_equal(page_find(b->p, "s", "published")->user_id, "bob");
	assert_string_not_equal(page_find(b->p, "s", "published")->token, token);
}

static bool has_place(const struct published *b, const char *key)
{
	scoped(freep) char *path = xasprintf("%s/published/%s", b->state, key);

	return is_directory_at(AT_FDCWD, path);
}

/* As a daemon leaves it that ends between the record's end and that of the files. */
static void files_that_no_record_tells_of_go_at_the_next_start(void **state)
{
	struct published *b = *state;
	scoped(freep) char *first = publish(b, b->w->ann, "s", "<h1>one</h1>");
	scoped(freep) char *kept = publish(b, b->w->ann, "kept", "<h1>two</h1>");
	struct store_batch *batch = store_batch_new();

	assert_non_null(first);
	assert_true(has_place(b, "s~published"));
	b->p = publisher_free(b->p);
	store_delete(batch, RECORD_KIND_PUBLISHED,
		     &(struct record_published){ .session_id = "s", .name = "published" });
	store_commit_free(store_commit_consume(&b->w->gate->base, batch, NULL, NULL));
	settle(b->w);

	assert_int_equal(start_publisher(b), 0);
	wait_until(b->w, !has_place(b, "s~published"));
	assert_true(has_place(b, "kept~published"));
	assert_string_equal(page_find(b->p, "kept", "published")->current, kept);
}

/*
 * Half of a change
 */
static size_t count_releases(const struct published *b)
{
	scoped(release_list_done) struct release_list list = { 0 };
	scoped(freep) char *published = xasprintf("%s/published", b->state);
	scoped(closep) int root = open_directory(published), place = -1;

	assert_true(root >= 0);
	assert_int_equal(release_place(root, "s", "published", false, &place), 0);
	assert_int_equal(release_list(place, &list), 0);
	return list.n;
}

static void a_token_that_cannot_be_stored_is_not_given_out(void **state)
{
	struct published *b = *state;
	struct session_ref ref = ref_of("s");
	scoped(outcome_done) struct outcome o = { 0 };
	scoped(freep) char *release_id = NULL, *token = NULL;
	struct page *page;

	b->w->settings->publish_visibility = 2; /* unlisted */
	release_id = publish(b, b->w->ann, "s", "<h1>one</h1>");
	page = page_find(b->p, "s", "published");
	token = xstrdup(page->token);

	b->w->gate->shut = true;
	o.op = publisher_rotate(b->p, b->w->ann, &ref, "published", on_outcome, &o, NULL);
	wait_held(b->w, 1);
	gate_let(b->w->gate, -ENOSPC);
	wait_until(b->w, o.done);
	gate_open(b->w->gate);
	assert_true(o.result < 0);
	assert_string_equal(page->current, release_id);
	assert_string_equal(page->token, token);
	assert_int_equal(count_releases(b), 1);
}

/* Stops the thread that comes to a step, so that something may happen meanwhile. */
static int hold_on[2], held[2];
static const char *step_to_hold;

static void wait_at_the_step(const char *step)
{
	char byte;

	if (strcmp(step, step_to_hold) != 0)
		return;
	release_step_hook = NULL;
	assert_int_equal(write(held[1], "x", 1), 1);
	assert_int_equal(read(hold_on[0], &byte, 1), 1);
}

static void hold_at(const char *step)
{
	assert_int_equal(pipe2(hold_on, O_CLOEXEC), 0);
	assert_int_equal(pipe2(held, O_CLOEXEC), 0);
	step_to_hold = step;
	release_step_hook = wait_at_the_step;
}

static void hold_the_switch(void)
{
	hold_at("symlink");
}

static void await_the_step(void)
{
	char byte;

	assert_int_equal(read(held[0], &byte, 1), 1);
}

static void let_go_on(void)
{
	assert_int_equal(write(hold_on[1], "x", 1), 1);
}

static void close_pipes(void)
{
	for (int i = 0; i < 2; i++) {
		close(hold_on[i]);
		close(held[i]);
	}
}

static void a_page_whose_session_ends_while_it_is_switched_ends_with_it(void **state)
{
	struct published *b = *state;
	struct session_ref ref = ref_of("s");
	scoped(outcome_done) struct outcome o = { 0 };
	scoped(freep) char *first = NULL, *second = NULL;

	first = publish(b, b->w->ann, "s", "<h1>one</h1>");
	second = publish(b, b->w->ann, "s", "<h1>two</h1>");
	hold_the_switch();
	o.op = publisher_activate(b->p, b->w->ann, &ref, "published", first, NULL, on_outcome, &o,
				  NULL);
	assert_non_null(o.op);
	wait_until(b->w, b->p->switchings);
	await_the_step();
	end_session(b, b->w->ann, "s");
	assert_true(page_find(b->p, "s", "published")->ended_at > 0);
	let_go_on();
	wait_until(b->w, o.done);
	close_pipes();
	assert_int_equal(o.code, FAULT_SESSION_NOT_FOUND);
	assert_string_equal(page_find(b->p, "s", "published")->current, second);
	assert_true(page_find(b->p, "s", "published")->ended_at >
		    0); /* or it would stay for ever */
}

static void a_build_whose_session_ends_while_its_release_is_switched_to_is_forgotten(void **state)
{
	struct published *b = *state;
	struct session_ref ref = ref_of("s");
	scoped(publish_params_done) struct publish_params params;
	scoped(outcome_done) struct outcome o = { 0 };
	scoped(freep) char *first = publish(b, b->w->ann, "s", "<h1>one</h1>");

	assert_non_null(first);
	publish_params_init(&params);
	params.workdir = xstrdup(b->project);
	hold_the_switch();
	o.op = publisher_build(b->p, b->w->ann, &ref, &params, true, on_outcome, &o, NULL);
	assert_non_null(o.op);
	wait_until(b->w, b->p->switchings);
	await_the_step();
	end_session(b, b->w->ann, "s");
	let_go_on();
	wait_until(b->w, o.done);
	close_pipes();
	assert_true(o.result < 0);
	assert_null(shelf_find(b->p, "s")->builds);
}

static void nothing_is_left_of_a_build_that_is_canceled_as_its_release_is_made(void **state)
{
	struct published *b = *state;
	struct session_ref ref = ref_of("s");
	scoped(publish_params_done) struct publish_params params;
	scoped(outcome_done) struct outcome o = { 0 };
	scoped(freep) char *first = publish(b, b->w->ann, "s", "<h1>one</h1>");

	assert_non_null(first);
	write_page(b, "<h1>two</h1>");
	publish_params_init(&params);
	params.workdir = xstrdup(b->project);
	hold_at("rename release");
	o.op = publisher_build(b->p, b->w->ann, &ref, &params, true, on_outcome, &o, NULL);
	assert_non_null(o.op);
	wait_until(b->w, shelf_find(b->p, "s")->builds->phase == PHASE_RELEASE);
	await_the_step();
	build_cancel(shelf_find(b->p, "s")->builds, "enough");
	let_go_on();
	wait_until(b->w, o.done);
	wait_until(b->w, metric_value(METRIC_JOBS) == 0);
	close_pipes();
	assert_int_equal(o.code, FAULT_BUILD_CANCELED);
	assert_int_equal(count_releases(b), 1);
	assert_string_equal(page_find(b->p, "s", "published")->current, first);
}

/* In place of the C library's: a resolver that answers nothing until the pipe is closed. */
static int resolver[2] = { -1, -1 };

int getaddrinfo(const char *node, const char *service, const struct addrinfo *hints,
		struct addrinfo **ret)
{
	struct pollfd closed = { .fd = resolver[0] };

	(void)node;
	(void)service;
	(void)hints;
	(void)ret;
	poll(&closed, 1, -1);
	return EAI_AGAIN;
}

static int ask_proxy(const char *path)
{
	static const char head[] = "CONNECT registry.example:443 HTTP/1.1\r\n\r\n";
	struct sockaddr_un address = { .sun_family = AF_UNIX };
	int fd = socket(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC, 0);

	assert_true(fd >= 0);
	snprintf(address.sun_path, sizeof(address.sun_path), "%s", path);
	assert_int_equal(connect(fd, (struct sockaddr *)&address, sizeof(address)), 0);
	assert_int_equal(write(fd, head, strlen(head)), strlen(head));
	return fd;
}

static void a_resolver_that_is_silent_holds_up_no_build(void **state)
{
	static const char *registries[] = { "registry.example", NULL };
	struct published *b = *state;
	char **before = b->w->settings->publish_registries;
	scoped(freep) char *release_id = NULL;
	int clients[8];

	assert_int_equal(pipe2(resolver, O_CLOEXEC), 0);
	b->w->settings->publish_registries = (char **)registries;
	assert_int_equal(proxy_ensure(b->p, NULL), 0);
	b->w->settings->publish_registries = before;
	for (size_t i = 0; i < ARRAY_SIZE(clients); i++)
		clients[i] = ask_proxy(b->p->proxy_path);
	wait_until(b->w, metric_value(METRIC_JOBS) == ARRAY_SIZE(clients));

	release_id = publish(b, b->w->ann, "s", "<h1>one</h1>");
	assert_non_null(release_id);
	close(resolver[1]);
	wait_until(b->w, metric_value(METRIC_JOBS) == 0);
	for (size_t i = 0; i < ARRAY_SIZE(clients); i++)
		close(clients[i]);
	close(resolver[0]);
}

static void on_no_site(const struct published_site *site, struct fault *fault, void *arg)
{
	(void)site;
	(void)fault;
	(void)arg;
}

static void the_end_finds_pages_that_wait_to_be_opened(void **state)
{
	struct published *b = *state;
	struct session_ref ref = ref_of("s"), other = ref_of("other");
	scoped(outcome_done) struct outcome o = { 0 };
	scoped(freep) char *first = NULL, *second = NULL, *third = NULL;

	first = publish(b, b->w->ann, "s", "<h1>one</h1>");
	second = publish(b, b->w->ann, "s", "<h1>two</h1>");
	third = publish(b, b->w->ann, "other", "<h1>three</h1>");
	page_close(page_find(b->p, "other", "published"));
	hold_the_switch();
	o.op = publisher_activate(b->p, b->w->ann, &ref, "published", first, NULL, on_outcome, &o,
				  NULL);
	wait_until(b->w, b->p->switchings);
	await_the_step();
	site_op_free(publisher_site(b->p, &other, "published", NULL, on_no_site, NULL));
	assert_non_null(page_find(b->p, "other", "published")->opening);
	let_go_on();
	b->p = publisher_free(b->p);
	close_pipes();
	settle(b->w);
}

static void what_is_published_again_does_not_go_with_what_failed_before(void **state)
{
	struct published *b = *state;
	struct session_ref ref = ref_of("s"), other = ref_of("other");
	scoped(publish_params_done) struct publish_params params;
	scoped(outcome_done) struct outcome switched = { 0 }, failed = { 0 }, good = { 0 };
	scoped(freep) char *first = publish(b, b->w->ann, "other", "<h1>one</h1>");
	scoped(freep) char *second = publish(b, b->w->ann, "other", "<h1>two</h1>");

	/* The thread that changes pages is busy with another's. */
	hold_the_switch();
	switched.op = publisher_activate(b->p, b->w->ann, &other, "published", first, NULL,
					 on_outcome, &switched, NULL);
	wait_until(b->w, b->p->switchings);
	await_the_step();

	publish_params_init(&params);
	params.workdir = xasprintf("%s/nowhere", b->path);
	failed.op =
		publisher_build(b->p, b->w->ann, &ref, &params, true, on_outcome, &failed, NULL);
	wait_until(b->w, failed.done);
	assert_int_equal(failed.code, FAULT_NOT_A_PROJECT);
	free(params.workdir);
	params.workdir = xstrdup(b->project);
	good.op = publisher_build(b->p, b->w->ann, &ref, &params, true, on_outcome, &good, NULL);
	wait_until(b->w, page_find(b->p, "s", "published")->users == 2); /* it is switched */

	let_go_on();
	wait_until(b->w, good.done && switched.done);
	close_pipes();
	assert_int_equal(good.result, 0);
	assert_string_not_equal(first, second);
}

int main(void)
{
#define test(name) cmocka_unit_test_setup_teardown(name, set_up_publisher, tear_down_publisher)
	const struct CMUnitTest tests[] = {
		test(an_id_that_is_free_again_comes_without_the_pages_of_who_had_it),
		test(files_that_no_record_tells_of_go_at_the_next_start),
		test(a_token_that_cannot_be_stored_is_not_given_out),
		test(a_page_whose_session_ends_while_it_is_switched_ends_with_it),
		test(a_build_whose_session_ends_while_its_release_is_switched_to_is_forgotten),
		test(nothing_is_left_of_a_build_that_is_canceled_as_its_release_is_made),
		test(what_is_published_again_does_not_go_with_what_failed_before),
		test(a_resolver_that_is_silent_holds_up_no_build),
		test(the_end_finds_pages_that_wait_to_be_opened),
	};

	signal(SIGPIPE, SIG_IGN); /* as the daemon does */
	alarm(120);
	return cmocka_run_group_tests_name("publish/pages", tests, NULL, NULL);
}
