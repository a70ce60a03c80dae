/* SPDX-License-Identifier: MIT */
/*
 * Tasks on a loop of their own, with real processes and a store in memory.
 */
#include <errno.h>
#include <setjmp.h>
#include <signal.h>
#include <stdarg.h>
#include <stdint.h>
#include <stdio.h>
#include <string.h>
#include <sys/wait.h>
#include <unistd.h>
/* cmocka wants the three above it */
#include <cmocka.h>

#include "base/crypto.h"
#include "base/log.h"
#include "base/mem.h"
#include "tasks/tasks_priv.h"

#define PATIENCE (10 * USEC_PER_SEC)

struct world {
	struct loop *loop;
	struct jobs *jobs;
	struct store *store;
	struct fetcher *fetcher;
	struct settings *settings;
	struct tasks *tasks;
	struct timer *deadline;
	struct principal principal;

	/* the last answer */
	struct tasks_op *op;
	int result;
	enum fault_code code;
	cJSON *value;
	unsigned n_answers;

	unsigned n_exits;
	char exited[64];

	unsigned n_ended;
	int n_left; /* -1: NULL */
};

static void on_deadline(void *arg)
{
	(void)arg;
	fail_msg("waited in vain");
}

static void on_exit_of_task(const char *session_id, const char *task_id, void *arg)
{
	struct world *w = arg;

	snprintf(w->exited, sizeof(w->exited), "%s/%s", session_id, task_id);
	w->n_exits++;
	loop_stop(w->loop);
}

static void tasks_begin(struct world *w)
{
	const struct tasks_deps deps = {
		.loop = w->loop,
		.jobs = w->jobs,
		.store = w->store,
		.fetcher = w->fetcher,
	};

	assert_int_equal(tasks_new(&deps, w->settings, &w->tasks, NULL), 0);
	tasks_on_exit(w->tasks, on_exit_of_task, w);
}

static struct world *world_new(const char *const *overrides)
{
	static const char *const nothing[] = { NULL };
	const struct settings_sources sources = {
		.config_path = "/dev/null",
		.overrides = overrides ? overrides : nothing,
		.environment = nothing,
	};
	struct world *w = xcalloc(1, sizeof(*w));

	log_setup(LOG_LEVEL_ERROR, LOG_FORMAT_TEXT);
	w->loop = loop_new();
	w->jobs = jobs_new(w->loop, 2, 64);
	w->store = store_memory_new(w->loop);
	w->fetcher = fetcher_new(w->loop);
	assert_int_equal(settings_load(&sources, NULL, NULL, &w->settings, NULL), 0);
	w->deadline = timer_new(w->loop, on_deadline, w);
	w->principal = (struct principal){ .admin = true };
	tasks_begin(w);
	return w;
}

static void world_free(struct world *w)
{
	tasks_op_free(w->op);
	tasks_free(w->tasks);
	json_free(w->value);
	timer_free(w->deadline);
	fetcher_free(w->fetcher);
	jobs_free(w->jobs);
	store_free(w->store);
	loop_free(w->loop);
	settings_free(w->settings);
	free(w);
}

static void run(struct world *w)
{
	timer_set(w->deadline, PATIENCE);
	loop_run(w->loop);
	timer_cancel(w->deadline);
}

static void on_answer(int result, cJSON *value, struct fault *fault, void *arg)
{
	struct world *w = arg;

	w->result = result;
	w->code = fault->code;
	json_free(w->value);
	w->value = value ? cJSON_Duplicate(value, true) : NULL;
	w->op = tasks_op_free(w->op);
	w->n_answers++;
	loop_stop(w->loop);
}

static struct tasks_op *begin_add(struct world *w, const char *session_id,
				  const struct task_params *params, struct fault *fault)
{
	static const struct task_peer nobody = { 0 };
	const struct session_ref ref = { "app", session_id };

	return tasks_add(w->tasks, &w->principal, &nobody, &ref, params, on_answer, w, fault);
}

static struct task_params shell(char *id, char *line)
{
	static char sh[] = "/bin/sh", c[] = "-c", cwd[] = "/";
	static char *argv[4];

	argv[0] = sh;
	argv[1] = c;
	argv[2] = line;
	argv[3] = NULL;
	return (struct task_params){ .task_id = id, .command = argv, .cwd = cwd };
}

static char SLEEP[] = "exec sleep 60";
static char A[] = "a";

/* Starts one and waits until it runs: its pid. */
static pid_t start(struct world *w, const char *session_id, char *id, char *line)
{
	const struct task_params params = shell(id, line);
	unsigned before = w->n_answers;

	w->op = begin_add(w, session_id, &params, NULL);
	assert_non_null(w->op);
	assert_int_equal(w->n_answers, before);
	run(w);
	assert_int_equal(w->result, 0);
	return (pid_t)cJSON_GetObjectItemCaseSensitive(w->value, "pid")->valuedouble;
}

static void on_ended(const cJSON *left, void *arg)
{
	struct world *w = arg;

	w->n_ended++;
	w->n_left = left ? cJSON_GetArraySize(left) : -1;
	loop_stop(w->loop);
}

static const char *state_of(struct world *w, const char *session_id, const char *id)
{
	struct task *t = task_find(w->tasks, session_id, id);

	return t ? task_state_names[t->state] : "unknown";
}

static bool is_gone(pid_t pid)
{
	return kill(pid, 0) < 0 && errno == ESRCH;
}

static void a_task_that_ends_by_itself_is_told_once(void **state)
{
	static char line[] = "exit 3";
	struct world *w = world_new(NULL);

	(void)state;
	start(w, "s1", A, line);
	run(w);
	assert_int_equal(w->n_exits, 1);
	assert_string_equal(w->exited, "s1/a");
	assert_string_equal(state_of(w, "s1", "a"), "ended");
	assert_int_equal(task_find(w->tasks, "s1", "a")->exit_code, 3);
	world_free(w);
}

static void an_ending_is_told_to_who_asked_and_to_nobody_else(void **state)
{
	struct world *w = world_new(NULL);
	pid_t pid = start(w, "s1", A, SLEEP);
	struct tasks_ending *first = tasks_end(w->tasks, "s1", "a", "idle", on_ended, w);
	struct tasks_ending *second = tasks_end(w->tasks, "s1", "a", "detach", on_ended, w);

	(void)state;
	assert_int_equal(w->n_ended, 0);
	run(w);
	if (w->n_ended < 2)
		run(w);
	assert_int_equal(w->n_ended, 2);
	assert_int_equal(w->n_left, -1);
	assert_int_equal(w->n_exits, 0);
	assert_true(is_gone(pid));
	tasks_ending_free(first);
	tasks_ending_free(second);
	world_free(w);
}

static void an_unknown_task_is_answered_from_the_loop(void **state)
{
	struct world *w = world_new(NULL);
	struct tasks_ending *e = tasks_end(w->tasks, "s1", "theirs", "idle", on_ended, w);

	(void)state;
	assert_int_equal(w->n_ended, 0);
	run(w);
	assert_int_equal(w->n_ended, 1);
	assert_int_equal(w->n_left, -1);
	tasks_ending_free(e);
	world_free(w);
}

static void a_freed_ending_goes_on_in_silence(void **state)
{
	struct world *w = world_new(NULL);
	pid_t pid = start(w, "s1", A, SLEEP);
	struct tasks_ending *e;

	(void)state;
	tasks_ending_free(tasks_end(w->tasks, "s1", "a", "idle", on_ended, w));
	assert_string_equal(state_of(w, "s1", "a"), "ending");
	e = tasks_end_session(w->tasks, "s1", on_ended, w);
	run(w);
	assert_int_equal(w->n_ended, 1);
	assert_true(is_gone(pid));
	tasks_ending_free(e);
	world_free(w);
}

static void deleting_is_told_as_an_exit(void **state)
{
	struct world *w = world_new(NULL);

	(void)state;
	start(w, "s1", A, SLEEP);
	w->op = tasks_delete(w->tasks, "s1", "a", on_answer, w, NULL);
	assert_non_null(w->op);
	run(w); /* to the exit */
	assert_int_equal(w->n_exits, 1);
	run(w);
	assert_true(cJSON_IsTrue(cJSON_GetObjectItemCaseSensitive(w->value, "ended")));
	world_free(w);
}

static void a_session_ends_with_all_of_its_tasks_and_no_others(void **state)
{
	static char b[] = "b";
	struct world *w = world_new(NULL);
	pid_t first = start(w, "s1", A, SLEEP), second = start(w, "s1", b, SLEEP);
	pid_t other = start(w, "s2", A, SLEEP);
	struct tasks_ending *e = tasks_end_session(w->tasks, "s1", on_ended, w);

	(void)state;
	run(w);
	assert_true(is_gone(first) && is_gone(second));
	assert_false(is_gone(other));
	assert_int_equal(w->n_exits, 0);
	tasks_ending_free(e);
	e = tasks_end_session(w->tasks, "s2", on_ended, w);
	run(w);
	tasks_ending_free(e);
	world_free(w);
}

static void one_that_is_ended_before_it_began_never_begins(void **state)
{
	static char line[] = "echo began; exec sleep 60";
	const struct task_params params = shell(A, line);
	struct world *w = world_new(NULL);
	struct tasks_ending *e;

	(void)state;
	w->op = begin_add(w, "s1", &params, NULL);
	assert_string_equal(state_of(w, "s1", "a"), "starting");
	e = tasks_end_session(w->tasks, "s1", on_ended, w);
	run(w);
	if (w->n_ended == 0)
		run(w);
	assert_int_equal(w->code, FAULT_CANCELED);
	assert_int_equal(w->n_ended, 1);
	assert_string_equal(state_of(w, "s1", "a"), "unknown");
	tasks_ending_free(e);
	world_free(w);
}

static void what_the_store_refuses_is_not_started(void **state)
{
	const struct task_params params = shell(A, SLEEP);
	struct world *w = world_new(NULL);

	(void)state;
	store_memory_fail(w->store, -ENOSPC);
	w->op = begin_add(w, "s1", &params, NULL);
	run(w);
	assert_int_equal(w->code, FAULT_STORE_UNAVAILABLE);
	assert_null(w->value);
	assert_string_equal(state_of(w, "s1", "a"), "unknown");
	world_free(w);
}

static void one_that_nobody_waits_for_is_added_all_the_same(void **state)
{
	const struct task_params params = shell(A, SLEEP);
	struct world *w = world_new(NULL);
	struct tasks_ending *e;

	(void)state;
	tasks_op_free(begin_add(w, "s1", &params, NULL));
	start(w, "s2", A, SLEEP); /* its answer comes behind */
	assert_int_equal(w->n_answers, 1);
	assert_string_equal(state_of(w, "s1", "a"), "running");
	e = tasks_end_session(w->tasks, "s1", on_ended, w);
	run(w);
	tasks_ending_free(e);
	e = tasks_end_session(w->tasks, "s2", on_ended, w);
	run(w);
	tasks_ending_free(e);
	world_free(w);
}

static void the_limit_holds_while_tasks_are_on_their_way(void **state)
{
	static const char *const overrides[] = { "limits.tasks_per_session=1", NULL };
	scoped(fault_done) struct fault fault = { 0 };
	struct task_params params = shell(A, SLEEP);
	struct world *w = world_new(overrides);
	struct tasks_ending *e;

	(void)state;
	w->op = begin_add(w, "s1", &params, NULL);
	params.task_id = NULL;
	assert_null(begin_add(w, "s1", &params, &fault));
	assert_int_equal(fault.code, FAULT_TASK_LIMIT);
	run(w);
	e = tasks_end_session(w->tasks, "s1", on_ended, w);
	run(w);
	tasks_ending_free(e);
	world_free(w);
}

static void a_new_run_finds_its_tasks_again(void **state)
{
	static char ends[] = "exit 0", b[] = "b";
	struct world *w = world_new(NULL);
	pid_t pid = start(w, "s1", A, SLEEP);
	struct tasks_ending *e;

	(void)state;
	start(w, "s1", b, ends);
	run(w); /* to its exit */
	w->tasks = tasks_free(w->tasks);
	tasks_begin(w);
	assert_string_equal(state_of(w, "s1", "a"), "running");
	assert_string_equal(state_of(w, "s1", "b"), "ended");
	assert_int_equal(task_find(w->tasks, "s1", "a")->root.pid, pid);
	e = tasks_end(w->tasks, "s1", "a", "idle", on_ended, w);
	run(w);
	assert_int_equal(w->n_exits, 1); /* b's, in the run before */
	assert_true(is_gone(pid));
	tasks_ending_free(e);
	world_free(w);
}

/* A record as a daemon left it that was killed between the store and the spawn. */
static void one_that_was_interrupted_while_it_began_is_ended(void **state)
{
	struct world *w = world_new(NULL);
	struct store_batch *batch = store_batch_new();
	pid_t child = fork();

	(void)state;
	if (child == 0) {
		setenv("PREVIEWD_TASK_MARK", "0123456789abcdef", 1);
		execlp("sleep", "sleep", "60", NULL);
		_exit(127);
	}
	store_put(batch, RECORD_KIND_TASK,
		  &(struct record_task){ .session_id = "s1",
					 .task_id = "a",
					 .app_id = "app",
					 .mark = "0123456789abcdef",
					 .kind = "started",
					 .state = "starting",
					 .exit_code = -1 });
	store_commit_free(store_commit_consume(w->store, batch, NULL, NULL));
	w->tasks = tasks_free(w->tasks);
	/* Its environment is its own only when it has executed. */
	for (char name[16] = ""; strcmp(name, "sleep") != 0;) {
		struct process p;

		assert_int_equal(process_read(child, &p), 0);
		memcpy(name, p.command, sizeof(name));
	}
	tasks_begin(w);
	run(w);
	assert_int_equal(w->n_exits, 1);
	assert_int_equal(waitpid(child, NULL, 0), child);
	world_free(w);
}

struct reader {
	struct loop *loop;
	struct textlog_reader *log;
	char text[65536];
	size_t len;
	bool pauses, ended;
};

static void on_bytes(const char *bytes, size_t len, void *arg)
{
	struct reader *r = arg;

	assert_true(r->len + len < sizeof(r->text));
	memcpy(r->text + r->len, bytes, len);
	r->len += len;
	if (r->pauses) {
		textlog_pause(r->log);
		loop_stop(r->loop);
	}
}

static void on_end_of_log(void *arg)
{
	struct reader *r = arg;

	r->ended = true;
	loop_stop(r->loop);
}

static const struct textlog_ops reader_ops = { .on_bytes = on_bytes, .on_end = on_end_of_log };

static void a_paused_reader_is_told_what_it_missed(void **state)
{
	static const char *const overrides[] = { "tasks.log_size=4096", NULL };
	static struct reader r;
	struct world *w = world_new(overrides);
	char block[1024];
	struct task *t;

	(void)state;
	memset(block, 'x', sizeof(block));
	t = task_new(w->tasks, "s1", "app", "a", TASK_KIND_FOREIGN);
	task_set_state(t, TASK_RUNNING);
	r = (struct reader){ .loop = w->loop, .pauses = true };
	textlog_add(&t->log, 4096, "begin\n", 6);
	assert_int_equal(tasks_log(w->tasks, "s1", "a", true, &reader_ops, &r, &r.log, NULL), 0);
	assert_int_equal(r.len, 0);
	run(w);
	assert_memory_equal(r.text, "begin\n", 6);

	for (int i = 0; i < 20; i++)
		textlog_add(&t->log, 4096, block, sizeof(block));
	r.pauses = false;
	textlog_resume(r.log);
	task_has_ended(t);
	run(w);
	if (!r.ended)
		run(w);
	assert_true(r.ended);
	assert_non_null(strstr(r.text, "bytes are lost here]\nxxx"));
	world_free(w);
}

static void a_tasks_end_ends_its_readers(void **state)
{
	static struct reader r;
	struct world *w = world_new(NULL);
	struct task *t = task_new(w->tasks, "s1", "app", "a", TASK_KIND_FOREIGN);

	(void)state;
	r = (struct reader){ .loop = w->loop };
	assert_int_equal(tasks_log(w->tasks, "s1", "a", true, &reader_ops, &r, &r.log, NULL), 0);
	task_free(t);
	assert_true(r.ended);
	world_free(w);
}

static void a_web_hook_is_signed_as_rfc_4231_says(void **state)
{
	char hex[SHA256_HEX_SIZE];

	(void)state;
	hmac_sha256_hex("Jefe", 4, "what do ya want for nothing?", 28, hex);
	assert_string_equal(hex,
			    "5bdcc146bf60754e6a042426089575c75a003f089d2739839dec58b964ec3843");
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(a_task_that_ends_by_itself_is_told_once),
		cmocka_unit_test(an_ending_is_told_to_who_asked_and_to_nobody_else),
		cmocka_unit_test(an_unknown_task_is_answered_from_the_loop),
		cmocka_unit_test(a_freed_ending_goes_on_in_silence),
		cmocka_unit_test(deleting_is_told_as_an_exit),
		cmocka_unit_test(a_session_ends_with_all_of_its_tasks_and_no_others),
		cmocka_unit_test(one_that_is_ended_before_it_began_never_begins),
		cmocka_unit_test(what_the_store_refuses_is_not_started),
		cmocka_unit_test(one_that_nobody_waits_for_is_added_all_the_same),
		cmocka_unit_test(the_limit_holds_while_tasks_are_on_their_way),
		cmocka_unit_test(a_new_run_finds_its_tasks_again),
		cmocka_unit_test(one_that_was_interrupted_while_it_began_is_ended),
		cmocka_unit_test(a_paused_reader_is_told_what_it_missed),
		cmocka_unit_test(a_tasks_end_ends_its_readers),
		cmocka_unit_test(a_web_hook_is_signed_as_rfc_4231_says),
	};

	mem_init();
	return cmocka_run_group_tests(tests, NULL, NULL);
}
