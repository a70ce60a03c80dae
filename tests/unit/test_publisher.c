/* SPDX-License-Identifier: MIT */
/* The parts of the publisher that are no build: what is kept, whose files, what is said. */
#include <errno.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
/* cmocka wants the three above it */
#include <cmocka.h>

#include <fcntl.h>
#include <sys/stat.h>
#include <unistd.h>

#include "base/files.h"
#include "base/mem.h"
#include "base/trees.h"
#include "publish/publisher_priv.h"

struct place {
	char path[64];
	int fd;
};

static int set_up(void **state)
{
	struct place *p = xcalloc(1, sizeof(*p));

	strcpy(p->path, "/tmp/previewd-publisher-XXXXXX");
	if (!mkdtemp(p->path))
		return -1;
	p->fd = open_directory(p->path);
	*state = p;
	return make_directory_at(p->fd, "builds");
}

static int tear_down(void **state)
{
	struct place *p = *state;
	int r = remove_tree_at(AT_FDCWD, p->path);

	close(p->fd);
	free(p);
	return r;
}

/*
 * The store of packages
 */
static char *key(char c)
{
	static char text[SHA256_HEX_SIZE];

	memset(text, c, SHA256_HEX_SIZE - 1);
	return text;
}

static struct module_store *add(struct place *p, struct modules *m, const char *user, char c,
				uint64_t bytes)
{
	struct module_store *s;
	char size[32];
	int len = snprintf(size, sizeof(size), "%llu", (unsigned long long)bytes);

	assert_int_equal(make_directory_at(p->fd, "builds/x"), 0);
	assert_int_equal(make_directory_at(p->fd, "builds/x/node_modules"), 0);
	assert_int_equal(write_file_at(p->fd, "builds/x/size", size, (size_t)len, 0600), 0);
	assert_int_equal(modules_add(m, user, key(c), "builds/x", bytes, &s), 0);
	return s;
}

static bool has(struct modules *m, const char *user, char c)
{
	struct module_store *s = modules_find(m, user, key(c));

	modules_let_go(s);
	return s != NULL;
}

static void count_gone(const char *relative, void *arg)
{
	assert_non_null(strstr(relative, "builds/gone-"));
	++*(unsigned *)arg;
}

static void packages_are_found_by_their_user_and_key_also_after_a_restart(void **state)
{
	struct place *p = *state;
	struct modules *m;

	assert_int_equal(modules_new(p->fd, p->path, &m), 0);
	modules_let_go(add(p, m, "ann", 'a', 10));
	assert_true(has(m, "ann", 'a'));
	assert_false(has(m, "bob", 'a'));
	assert_false(has(m, "ann", 'b'));
	modules_free(m);

	assert_int_equal(modules_new(p->fd, p->path, &m), 0);
	assert_true(has(m, "ann", 'a'));
	assert_int_equal(modules_bytes(m), 10);
	modules_free(m);
}

static void those_used_the_longest_ago_go_but_never_what_is_in_use(void **state)
{
	struct place *p = *state;
	struct module_store *held;
	unsigned gone = 0;
	struct modules *m;

	assert_int_equal(modules_new(p->fd, p->path, &m), 0);
	held = add(p, m, "ann", 'a', 10);
	modules_let_go(add(p, m, "ann", 'b', 10));
	modules_let_go(add(p, m, "bob", 'c', 10));
	assert_true(has(m, "ann", 'b')); /* used */
	modules_trim(m, 20, count_gone, &gone);
	assert_int_equal(gone, 1);
	assert_true(has(m, "ann", 'a'));
	assert_true(has(m, "ann", 'b'));
	assert_false(has(m, "bob", 'c'));

	modules_trim(m, 0, count_gone, &gone);
	assert_int_equal(gone, 2);
	assert_int_equal(modules_bytes(m), 10);
	modules_let_go(held);
	modules_trim(m, 0, count_gone, &gone);
	assert_int_equal(modules_bytes(m), 0);
	modules_free(m);
}

/* In the place of libc's: looks what is said of the packages when they are not on disk yet. */
static unsigned n_synced;

int syncfs(int fd)
{
	n_synced++;
	assert_int_equal(faccessat(fd, "node_modules/p/index.js", F_OK, 0), 0);
	assert_int_equal(faccessat(fd, "size", F_OK, 0), -1);
	return 0;
}

static void packages_are_said_to_be_whole_when_they_are_on_disk(void **state)
{
	struct place *p = *state;
	struct settle *s = settle_new(p->fd, "builds/w/install", NULL);

	assert_int_equal(make_directory_at(p->fd, "builds/w"), 0);
	assert_int_equal(make_directory_at(p->fd, "builds/w/install"), 0);
	assert_int_equal(make_directory_at(p->fd, "builds/w/install/node_modules"), 0);
	assert_int_equal(make_directory_at(p->fd, "builds/w/install/node_modules/p"), 0);
	assert_int_equal(
		write_file_at(p->fd, "builds/w/install/node_modules/p/index.js", "1", 1, 0600), 0);
	n_synced = 0;
	assert_int_equal(settle_work(s), 0);
	assert_int_equal(n_synced, 1);
	assert_int_equal(faccessat(p->fd, "builds/w/install.kept/size", F_OK, 0), 0);
	settle_free(s);
}

/*
 * Whose files
 */
static void rights_are_those_of_who_named_the_directory(void **state)
{
	struct place *p = *state;
	int64_t own = geteuid(), other = own + 1;
	scoped(freep) char *session = xasprintf("%s/session", p->path);
	scoped(freep) char *inside = xasprintf("%s/session/inside", p->path);
	scoped(freep) char *beside = xasprintf("%s/session-2", p->path);
	const struct {
		const char *path;
		int64_t rights;
		const char *session;
		int64_t session_rights;
		enum fault_code code;
	} rows[] = {
		{ session, own, NULL, RIGHTS_NONE, FAULT_NONE },
		{ beside, own, session, own, FAULT_NONE },
		{ session, other, NULL, RIGHTS_NONE, FAULT_FORBIDDEN },
		{ NULL, RIGHTS_NONE, session, own, FAULT_NONE },
		{ NULL, RIGHTS_NONE, session, RIGHTS_NONE, FAULT_FORBIDDEN },
		{ NULL, RIGHTS_NONE, session, other, FAULT_FORBIDDEN },
		{ NULL, RIGHTS_NONE, NULL, RIGHTS_NONE, FAULT_NOT_A_PROJECT },
		{ inside, RIGHTS_NONE, session, own, FAULT_NONE },
		{ "inside", RIGHTS_NONE, session, own, FAULT_NONE },
		{ "inside", own, session, own, FAULT_NONE },
		{ beside, RIGHTS_NONE, session, own, FAULT_FORBIDDEN },
		{ "..", RIGHTS_NONE, session, own, FAULT_FORBIDDEN },
		{ "out", RIGHTS_NONE, session, own, FAULT_FORBIDDEN },
		{ "none", RIGHTS_NONE, session, own, FAULT_NOT_A_PROJECT },
		{ "/", RIGHTS_NONE, session, own, FAULT_FORBIDDEN },
	};

	assert_int_equal(make_directory_at(p->fd, "session"), 0);
	assert_int_equal(make_directory_at(p->fd, "session/inside"), 0);
	assert_int_equal(make_directory_at(p->fd, "session-2"), 0);
	assert_int_equal(symlinkat("../session-2", p->fd, "session/out"), 0);
	for (size_t i = 0; i < ARRAY_SIZE(rows); i++) {
		const struct workdir_request request = {
			.path = (char *)rows[i].path,
			.rights = rows[i].rights,
			.session_path = (char *)rows[i].session,
			.session_rights = rows[i].session_rights,
		};
		scoped(fault_done) struct fault fault = { 0 };
		scoped(closep) int fd = -1;
		int r = workdir_open(&request, &fd, &fault);

		print_message("# row %zu: %s\n", i, fault.detail ? fault.detail : "open");
		assert_int_equal(fault.code, rows[i].code);
		assert_int_equal(r < 0, rows[i].code != FAULT_NONE);
	}
}

/* They are bound by their name, which their owner may give to something else meanwhile. */
static void packages_in_the_directory_of_another_uid_are_copied_and_not_bound(void **state)
{
	static const char package[] = "{\"scripts\":{\"build\":\"node build.cjs\"}}";
	const uid_t other = 4711;
	struct place *p = *state;
	struct detect *d;
	int r;

	if (geteuid() != 0)
		skip(); /* nobody else can give a directory to another */
	assert_int_equal(make_directory_at(p->fd, "project"), 0);
	assert_int_equal(make_directory_at(p->fd, "project/node_modules"), 0);
	assert_int_equal(
		write_file_at(p->fd, "project/package.json", package, strlen(package), 0644), 0);
	assert_int_equal(fchownat(p->fd, "project", other, (gid_t)-1, 0), 0);
	d = xcalloc(1, sizeof(*d));
	*d = (struct detect){
		.workdir = { .path = xstrdup("."),
			     .rights = geteuid(),
			     .session_path = xasprintf("%s/project", p->path),
			     .session_rights = other },
		.user_id = xstrdup("ann"),
		.work = xstrdup("builds/x"),
		.inject_dir = xstrdup("/inject"),
		.state_fd = p->fd,
		.source_fd = -1,
		.is_isolated = true,
		.bytes_max = 1 << 20,
	};
	r = detect_work(d);
	if (r < 0)
		print_message("# %s\n", d->fault.detail); /* no Node, no npm */
	else
		assert_true(is_directory_at(p->fd, "builds/x/project/node_modules"));
	assert_null(d->own_modules);
	detect_free(d);
	if (r < 0)
		skip();
}

static void a_lock_file_that_does_not_fit_is_known_by_what_is_said(void **state)
{
	static const struct {
		const char *output;
		bool refuses;
	} rows[] = {
		{ "npm error code EUSAGE\nnpm error\nnpm error `npm ci` can only install packages "
		  "when your package.json and package-lock.json",
		  true },
		{ "YN0028: The lockfile would have been modified by this install, which is", true },
		{ " ERR_PNPM_OUTDATED_LOCKFILE  Cannot install", true },
		{ "error lockfile had changes, but lockfile is frozen", true },
		{ "npm error code E404\nnpm error 404 Not Found", false },
		{ "", false },
	};

	(void)state;
	for (size_t i = 0; i < ARRAY_SIZE(rows); i++)
		assert_int_equal(output_refuses_lock(rows[i].output, strlen(rows[i].output)),
				 rows[i].refuses);
}

static void the_log_tail_is_text_without_what_drives_a_terminal(void **state)
{
	struct loop *loop = loop_new();
	struct build b = { 0 };
	static const char output[] = "one\n\033[31mred\033[0m \a\ttab\n10%\r50%\r100%\r\nbad \xff "
				     "byte\n\n\xc3\xa4\nlast";
	scoped(freep) char *text = NULL;
	cJSON *tail;

	(void)state;
	textlog_init(&b.log, loop);
	textlog_add(&b.log, 4096, output, strlen(output));
	tail = build_log_tail(&b, 20);
	text = json_print(tail);
	assert_string_equal(text, "[\"one\",\"red  tab\",\"100%\",\"bad ? byte\",\"\xc3\xa4\","
				  "\"last\"]");
	json_free(tail);
	tail = build_log_tail(&b, 2);
	assert_int_equal(cJSON_GetArraySize(tail), 2);
	assert_string_equal(cJSON_GetArrayItem(tail, 1)->valuestring, "last");
	json_free(tail);
	textlog_done(&b.log);
	loop_free(loop);
}

int main(void)
{
#define test(name) cmocka_unit_test_setup_teardown(name, set_up, tear_down)
	const struct CMUnitTest tests[] = {
		test(packages_are_found_by_their_user_and_key_also_after_a_restart),
		test(packages_are_said_to_be_whole_when_they_are_on_disk),
		test(those_used_the_longest_ago_go_but_never_what_is_in_use),
		test(rights_are_those_of_who_named_the_directory),
		test(packages_in_the_directory_of_another_uid_are_copied_and_not_bound),
		test(a_lock_file_that_does_not_fit_is_known_by_what_is_said),
		test(the_log_tail_is_text_without_what_drives_a_terminal),
	};

	alarm(60);
	return cmocka_run_group_tests_name("publish/publisher", tests, NULL, NULL);
}
