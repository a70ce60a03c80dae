/* SPDX-License-Identifier: MIT */
/* The contract of store.h: every back end passes every test. */
#include "store/store.h"

#include <errno.h>
#include <setjmp.h>
#include <stdarg.h>
/* cmocka wants the two above it */
#include <cmocka.h>

#include "../store_help.h"

struct back_end {
	const char *name;
	bool remembers; /* beyond store_free() */
};

static struct back_end memory = { .name = "memory" };
static struct back_end sqlite = { .name = "sqlite", .remembers = true };

struct fixture {
	struct back_end *back_end;
	struct loop *loop;
	struct store *store;
	char *dir;
};

static void open_store(struct fixture *f)
{
	scoped(freep) char *path = xasprintf("%s/db", f->dir);
	const struct store_sqlite_settings settings = {
		.path = path,
		.synchronous_full = true,
		.pending_max = 2000,
	};

	if (f->back_end == &memory)
		f->store = store_memory_new(f->loop);
	else
		assert_int_equal(store_sqlite_open(f->loop, &settings, &f->store, NULL), 0);
}

static int setup(void **state)
{
	struct fixture *f = xcalloc(1, sizeof(*f));

	f->back_end = *state;
	f->loop = loop_new();
	f->dir = temporary_directory();
	open_store(f);
	*state = f;
	return 0;
}

static int teardown(void **state)
{
	struct fixture *f = *state;

	store_free(f->store);
	loop_free(f->loop);
	remove_directory(f->dir);
	free(f);
	return 0;
}

static int commit(struct fixture *f, struct store_batch *b)
{
	return commit_and_wait(f->loop, f->store, b);
}

static void *only_record;

static int keep_only(const void *record, void *arg)
{
	assert_null(only_record);
	only_record = record_copy(*(enum record_kind *)arg, record);
	return 0;
}

static void assert_only_record(struct fixture *f, enum record_kind kind, const void *record)
{
	assert_int_equal(store_load(f->store, kind, keep_only, &kind, NULL), 0);
	assert_non_null(only_record);
	assert_true(record_equal(kind, only_record, record));
	free(STEAL(only_record));
}

static void every_kind_comes_back_as_it_was_put(void **state)
{
	struct fixture *f = *state;
	const struct record_session session = {
		.session_id = "s1",
		.app_id = "default",
		.user_id = "ada@example.org",
		.workdir = "", /* not the same as NULL */
		.meta = NULL,
		.created_at = INT64_MAX,
		.ended_at = -1,
	};
	const struct record_sequence sequence = { .session_id = "s1", .reserved = 1000 };
	const struct record_token token = {
		.token_id = "t1",
		.session_id = "s1",
		.secret_hash = "00ff",
		.scopes = "preview view",
		.note = "gr\xc3\xbc\xc3\x9f 'quoted'; DROP TABLE token",
		.expires_at = 7,
	};
	struct record_attachment a = attachment("s1", "default");
	struct store_batch *b = store_batch_new();

	a.probe = "{\"http_status\":200}";
	store_put(b, RECORD_KIND_SESSION, &session);
	store_put(b, RECORD_KIND_SEQUENCE, &sequence);
	store_put(b, RECORD_KIND_ATTACHMENT, &a);
	store_put(b, RECORD_KIND_TOKEN, &token);
	assert_int_equal(commit(f, b), 0);

	assert_only_record(f, RECORD_KIND_SESSION, &session);
	assert_only_record(f, RECORD_KIND_SEQUENCE, &sequence);
	assert_only_record(f, RECORD_KIND_ATTACHMENT, &a);
	assert_only_record(f, RECORD_KIND_TOKEN, &token);
}

static void a_put_copies_what_it_is_given(void **state)
{
	struct fixture *f = *state;
	char name[] = "web";
	struct store_batch *b = store_batch_new();

	put_attachment(b, "s1", name);
	strcpy(name, "xxx");
	assert_int_equal(commit(f, b), 0);
	assert_string_equal(attachments(f->store), "s1/web ");
}

static void a_put_of_the_same_keys_replaces(void **state)
{
	struct fixture *f = *state;
	struct record_attachment a = attachment("s1", "default");
	struct store_batch *b = store_batch_new();

	assert_int_equal(put_and_wait(f->loop, f->store, "s1", "default"), 0);
	a.port = 8080;
	a.bash_task_id = "task-1";
	store_put(b, RECORD_KIND_ATTACHMENT, &a);
	assert_int_equal(commit(f, b), 0);
	assert_only_record(f, RECORD_KIND_ATTACHMENT, &a);
}

static void a_delete_needs_all_keys_to_match(void **state)
{
	struct fixture *f = *state;
	struct store_batch *b = store_batch_new();

	put_attachment(b, "s1", "a");
	put_attachment(b, "s1", "b");
	put_attachment(b, "s2", "a");
	store_delete(b, RECORD_KIND_ATTACHMENT,
		     &(struct record_attachment){ .session_id = "s1", .name = "a" });
	assert_int_equal(commit(f, b), 0);
	assert_string_equal(attachments(f->store), "s1/b s2/a ");
}

static void a_delete_of_what_is_not_there_is_no_error(void **state)
{
	struct fixture *f = *state;
	struct store_batch *b = store_batch_new();

	store_delete(b, RECORD_KIND_TOKEN, &(struct record_token){ .token_id = "t1" });
	assert_int_equal(commit(f, b), 0);
}

static void a_batch_is_applied_in_its_order(void **state)
{
	struct fixture *f = *state;
	const struct record_attachment a = attachment("s1", "a");
	const struct record_attachment b = attachment("s1", "b");
	struct store_batch *batch = store_batch_new();

	store_put(batch, RECORD_KIND_ATTACHMENT, &a);
	store_delete(batch, RECORD_KIND_ATTACHMENT, &a);
	store_delete(batch, RECORD_KIND_ATTACHMENT, &b);
	store_put(batch, RECORD_KIND_ATTACHMENT, &b);
	assert_int_equal(commit(f, batch), 0);
	assert_string_equal(attachments(f->store), "s1/b ");
}

static void records_are_loaded_in_the_order_of_their_keys(void **state)
{
	struct fixture *f = *state;
	struct store_batch *b = store_batch_new();

	put_attachment(b, "b", "a");
	put_attachment(b, "ab", "a");
	put_attachment(b, "a", "b");
	put_attachment(b, "a", "B");
	put_attachment(b, "a", "\xc3\xa9"); /* bytes are unsigned */
	assert_int_equal(commit(f, b), 0);
	assert_string_equal(attachments(f->store), "a/B a/b a/\xc3\xa9 ab/a b/a ");
}

static int refuse_second(const void *record, void *arg)
{
	(void)record;
	return ++*(int *)arg == 2 ? -EXDEV : 0;
}

static void a_visit_can_end_the_walk(void **state)
{
	struct fixture *f = *state;
	struct store_batch *b = store_batch_new();
	int n = 0;

	put_attachment(b, "s1", "a");
	put_attachment(b, "s1", "b");
	put_attachment(b, "s1", "c");
	assert_int_equal(commit(f, b), 0);
	assert_int_equal(store_load(f->store, RECORD_KIND_ATTACHMENT, refuse_second, &n, NULL),
			 -EXDEV);
	assert_int_equal(n, 2);
}

#define IN_FLIGHT 1000

struct flight {
	struct fixture *f;
	int answered;
	struct arrival {
		struct flight *flight;
		struct store_commit *commit;
		int number;
	} arrivals[IN_FLIGHT];
};

static void on_arrival(int result, void *arg)
{
	struct arrival *a = arg;

	assert_int_equal(result, 0);
	assert_int_equal(a->number, a->flight->answered);
	if (a->number % 2) /* the other half after the last answer */
		a->commit = store_commit_free(a->commit);
	if (++a->flight->answered == IN_FLIGHT)
		loop_stop(a->flight->f->loop);
}

static int count(const void *record, void *arg)
{
	(void)record;
	++*(int *)arg;
	return 0;
}

static void a_thousand_in_flight_are_answered_in_order_by_the_loop(void **state)
{
	struct flight *flight = xcalloc(1, sizeof(*flight));
	int n = 0;

	flight->f = *state;
	for (int i = 0; i < IN_FLIGHT; i++) {
		struct arrival *a = &flight->arrivals[i];
		struct store_batch *b = store_batch_new();
		scoped(freep) char *name = xasprintf("n%d", i);

		*a = (struct arrival){ .flight = flight, .number = i };
		put_attachment(b, "s1", name);
		a->commit = store_commit_consume(flight->f->store, b, on_arrival, a);
	}
	assert_int_equal(flight->answered, 0);
	loop_run(flight->f->loop);
	assert_int_equal(flight->answered, IN_FLIGHT);

	assert_int_equal(store_load(flight->f->store, RECORD_KIND_ATTACHMENT, count, &n, NULL), 0);
	assert_int_equal(n, IN_FLIGHT);
	for (int i = 0; i < IN_FLIGHT; i++)
		store_commit_free(flight->arrivals[i].commit);
	free(flight);
}

static void on_unwanted(int result, void *arg)
{
	(void)result;
	(void)arg;
	fail_msg("an answer nobody waits for");
}

static void a_freed_handle_is_not_answered_but_its_batch_is_written(void **state)
{
	struct fixture *f = *state;
	struct store_batch *b = store_batch_new();

	put_attachment(b, "s1", "a");
	store_commit_free(store_commit_consume(f->store, b, on_unwanted, NULL));
	/* Answers are in order: behind this one the other's can't come any more. */
	assert_int_equal(put_and_wait(f->loop, f->store, "s1", "b"), 0);
	assert_string_equal(attachments(f->store), "s1/a s1/b ");
}

static void a_freed_store_has_written_all_and_answers_nothing(void **state)
{
	struct fixture *f = *state;
	struct store_commit *commits[100];

	for (size_t i = 0; i < ARRAY_SIZE(commits); i++) {
		struct store_batch *b = store_batch_new();
		scoped(freep) char *name = xasprintf("n%zu", i);

		put_attachment(b, "s1", name);
		commits[i] = store_commit_consume(f->store, b, on_unwanted, NULL);
	}
	f->store = store_free(f->store);
	open_store(f);
	assert_int_equal(put_and_wait(f->loop, f->store, "s1", "last"), 0);
	for (size_t i = 0; i < ARRAY_SIZE(commits); i++)
		store_commit_free(commits[i]);

	int n = 0;

	assert_int_equal(store_load(f->store, RECORD_KIND_ATTACHMENT, count, &n, NULL), 0);
	assert_int_equal(n, f->back_end->remembers ? 101 : 1);
}

static void on_last_wish(int result, void *arg)
{
	struct fixture *f = arg;

	assert_int_equal(result, 0);
	f->store = store_free(f->store);
	loop_stop(f->loop);
}

static void the_store_may_be_freed_by_an_answer(void **state)
{
	struct fixture *f = *state;
	struct store_commit *first, *second;

	first = store_commit_consume(f->store, store_batch_new(), on_last_wish, f);
	second = store_commit_consume(f->store, store_batch_new(), on_unwanted, NULL);
	loop_run(f->loop);
	store_commit_free(first);
	store_commit_free(second);
}

static void health_is_that_of_the_newest_commit(void **state)
{
	struct fixture *f = *state;

	assert_int_equal(store_health(f->store), 0);
	assert_int_equal(put_and_wait(f->loop, f->store, "s1", "a"), 0);
	store_probe(f->store);
	assert_int_equal(put_and_wait(f->loop, f->store, "s1", "b"), 0);
	assert_int_equal(store_health(f->store), 0);
	assert_string_equal(attachments(f->store), "s1/a s1/b ");
}

static void a_memory_store_fails_when_a_test_wants_it(void **state)
{
	struct fixture *f = *state;

	store_memory_fail(f->store, -ENOSPC);
	assert_int_equal(put_and_wait(f->loop, f->store, "s1", "a"), -ENOSPC);
	assert_int_equal(store_health(f->store), -ENOSPC);
	store_memory_fail(f->store, 0);
	assert_int_equal(put_and_wait(f->loop, f->store, "s1", "b"), 0);
	assert_int_equal(store_health(f->store), 0);
	assert_string_equal(attachments(f->store), "s1/b ");
}

#define BOTH(test)                                               \
	{ "memory: " #test, test, setup, teardown, &memory },    \
	{                                                        \
		"sqlite: " #test, test, setup, teardown, &sqlite \
	}

int main(void)
{
	const struct CMUnitTest tests[] = {
		/* clang-format off */
		BOTH(every_kind_comes_back_as_it_was_put),
		BOTH(a_put_copies_what_it_is_given),
		BOTH(a_put_of_the_same_keys_replaces),
		BOTH(a_delete_needs_all_keys_to_match),
		BOTH(a_delete_of_what_is_not_there_is_no_error),
		BOTH(a_batch_is_applied_in_its_order),
		BOTH(records_are_loaded_in_the_order_of_their_keys),
		BOTH(a_visit_can_end_the_walk),
		BOTH(a_thousand_in_flight_are_answered_in_order_by_the_loop),
		BOTH(a_freed_handle_is_not_answered_but_its_batch_is_written),
		BOTH(a_freed_store_has_written_all_and_answers_nothing),
		BOTH(the_store_may_be_freed_by_an_answer),
		BOTH(health_is_that_of_the_newest_commit),
		{ "memory: it fails when a test wants it",
		  a_memory_store_fails_when_a_test_wants_it, setup, teardown, &memory },
		/* clang-format on */
	};

	alarm(120); /* an answer that doesn't come */
	mem_init();
	return cmocka_run_group_tests(tests, NULL, NULL);
}
