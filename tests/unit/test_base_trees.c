/* SPDX-License-Identifier: MIT */
/* Whole trees: copied as far as they may be, removed whatever they are. */
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
#include <pthread.h>
#include <sys/stat.h>
#include <unistd.h>

#include "base/files.h"
#include "base/trees.h"

struct place {
	char path[64];
	int fd;
};

static int set_up(void **state)
{
	static struct place p;

	strcpy(p.path, "/tmp/previewd-trees-XXXXXX");
	if (!mkdtemp(p.path))
		return -1;
	p.fd = open_directory(p.path);
	*state = &p;
	return p.fd < 0;
}

static int tear_down(void **state)
{
	struct place *p = *state;

	close(p->fd);
	return remove_tree_at(AT_FDCWD, p->path);
}

static void make(int dirfd, const char *name, const char *text)
{
	assert_int_equal(write_file_at(dirfd, name, text, strlen(text), 0644), 0);
}

static void what_is_nested_deeper_than_the_descriptors_go_is_removed(void **state)
{
	struct place *p = *state;
	int at = dup(p->fd);

	for (int i = 0; i < 3000; i++) {
		int next;

		assert_int_equal(mkdirat(at, "a-directory-with-a-long-name", 0700), 0);
		next = openat(at, "a-directory-with-a-long-name", O_RDONLY | O_DIRECTORY);
		assert_true(next >= 0);
		close(at);
		at = next;
	}
	make(at, "f", "x");
	close(at);
	assert_int_equal(remove_tree_at(p->fd, "a-directory-with-a-long-name"), 0);
	assert_int_equal(faccessat(p->fd, "a-directory-with-a-long-name", F_OK, 0), -1);
}

static void what_is_nested_too_deep_is_not_measured(void **state)
{
	struct place *p = *state;
	int at = dup(p->fd);
	uint64_t bytes = 0;

	for (int i = 0; i < 1000; i++) {
		int next;

		assert_int_equal(mkdirat(at, "d", 0700), 0);
		if (i == 50) {
			make(at, "f", "x");
			assert_int_equal(measure_tree(p->fd, &bytes), 0);
			assert_true(bytes > 0);
		}
		next = openat(at, "d", O_RDONLY | O_DIRECTORY);
		assert_true(next >= 0);
		close(at);
		at = next;
	}
	close(at);
	assert_int_equal(measure_tree(p->fd, &bytes), -ELOOP);
	assert_int_equal(remove_tree_at(p->fd, "d"), 0);
}

static void links_are_removed_and_not_what_they_point_at(void **state)
{
	struct place *p = *state;
	struct stat st;

	assert_int_equal(mkdirat(p->fd, "kept", 0700), 0);
	make(p->fd, "kept/f", "x");
	assert_int_equal(mkdirat(p->fd, "tree", 0700), 0);
	assert_int_equal(symlinkat("../kept", p->fd, "tree/link"), 0);
	assert_int_equal(mkfifoat(p->fd, "tree/fifo", 0600), 0);
	assert_int_equal(mkdirat(p->fd, "tree/closed", 0700), 0);
	make(p->fd, "tree/closed/f", "x");
	assert_int_equal(fchmodat(p->fd, "tree/closed", 0, 0), 0);

	assert_int_equal(remove_tree_at(p->fd, "tree"), 0);
	assert_int_equal(remove_tree_at(p->fd, "tree"), 0);
	assert_int_equal(fstatat(p->fd, "kept/f", &st, 0), 0);
	assert_int_equal(symlinkat("kept", p->fd, "link"), 0);
	assert_int_equal(remove_tree_at(p->fd, "link"), 0);
	assert_int_equal(fstatat(p->fd, "kept/f", &st, 0), 0);
}

static void a_copy_has_files_and_links_and_nothing_skipped(void **state)
{
	static const char *const skip[] = { "node_modules", ".git", NULL };
	static const struct tree_limits limits = { 1000, 100, 8 };
	struct place *p = *state;
	struct tree_size size;
	bool cancel = false;
	char *text = NULL, target[64] = "";
	struct stat st;
	int from, to;

	assert_int_equal(mkdirat(p->fd, "from", 0700), 0);
	assert_int_equal(mkdirat(p->fd, "to", 0700), 0);
	assert_int_equal(mkdirat(p->fd, "from/src", 0700), 0);
	assert_int_equal(mkdirat(p->fd, "from/src/node_modules", 0700), 0);
	make(p->fd, "from/src/node_modules/x", "no");
	make(p->fd, "from/src/main.js", "hello");
	assert_int_equal(fchmodat(p->fd, "from/src/main.js", 04755, 0), 0);
	assert_int_equal(symlinkat("/etc/passwd", p->fd, "from/link"), 0);
	assert_int_equal(mkfifoat(p->fd, "from/fifo", 0600), 0);
	from = openat(p->fd, "from", O_RDONLY | O_DIRECTORY);
	to = openat(p->fd, "to", O_RDONLY | O_DIRECTORY);

	assert_int_equal(copy_tree(from, to, skip, &limits, &cancel, &size), 0);
	assert_int_equal(read_file_at(to, "src/main.js", 100, &text, NULL), 0);
	assert_string_equal(text, "hello");
	assert_int_equal(fstatat(to, "src/main.js", &st, 0), 0);
	assert_int_equal(st.st_mode & 07777, 0755);
	assert_int_equal(readlinkat(to, "link", target, sizeof(target)), 11);
	assert_string_equal(target, "/etc/passwd");
	assert_int_equal(faccessat(to, "src/node_modules", F_OK, 0), -1);
	assert_int_equal(faccessat(to, "fifo", F_OK, 0), -1);
	assert_int_equal(size.bytes, 5);
	free(text);
	close(from);
	close(to);
}

/* A link of ours, in the tree of somebody who would be another. */
static void a_copy_of_anothers_tree_has_nothing_that_is_not_theirs_to_read(void **state)
{
	static const struct tree_limits limits = { 1000, 100, 8 };
	struct place *p = *state;
	struct tree_size size;
	bool cancel = false;
	int from, to;

	assert_int_equal(mkdirat(p->fd, "theirs", 0700), 0);
	assert_int_equal(mkdirat(p->fd, "theirs/src", 0700), 0);
	assert_int_equal(mkdirat(p->fd, "plain", 0700), 0);
	make(p->fd, "secret", "of the daemon");
	make(p->fd, "theirs/src/own", "own");
	make(p->fd, "theirs/src/private", "of the daemon");
	assert_int_equal(mkdirat(p->fd, "theirs/closed", 0700), 0);
	make(p->fd, "theirs/closed/file", "of the daemon");
	assert_int_equal(linkat(p->fd, "secret", p->fd, "theirs/src/secret", 0), 0);
	assert_int_equal(fchmodat(p->fd, "theirs/src", 0755, 0), 0);
	assert_int_equal(fchmodat(p->fd, "theirs/src/own", 0644, 0), 0);
	assert_int_equal(fchmodat(p->fd, "theirs/src/private", 0640, 0), 0);
	assert_int_equal(fchmodat(p->fd, "theirs/closed/file", 0644, 0), 0);
	from = openat(p->fd, "theirs", O_RDONLY | O_DIRECTORY);

	to = openat(p->fd, "plain", O_RDONLY | O_DIRECTORY);
	assert_int_equal(copy_tree_of(geteuid(), from, to, NULL, &limits, &cancel, &size), 0);
	assert_int_equal(faccessat(to, "src/secret", F_OK, 0), 0);
	assert_int_equal(size.foreign, 0);
	close(to);
	assert_int_equal(mkdirat(p->fd, "held", 0700), 0);
	to = openat(p->fd, "held", O_RDONLY | O_DIRECTORY);
	assert_int_equal(copy_tree_of(geteuid() + 1, from, to, NULL, &limits, &cancel, &size), 0);
	assert_int_equal(faccessat(to, "src/own", F_OK, 0), 0);
	assert_int_equal(faccessat(to, "src/secret", F_OK, 0), -1);
	assert_int_equal(faccessat(to, "src/private", F_OK, 0), -1);
	assert_int_equal(faccessat(to, "closed", F_OK, 0), -1);
	assert_int_equal(size.foreign, 3);
	close(to);
	close(from);
}

static void a_copy_keeps_to_its_limits(void **state)
{
	static const struct {
		struct tree_limits limits;
		bool cancel;
		int result;
	} rows[] = {
		{ { 9, 100, 8 }, false, -EDQUOT },  { { 100, 3, 8 }, false, -EDQUOT },
		{ { 100, 100, 1 }, false, -ELOOP }, { { 100, 100, 8 }, true, -ECANCELED },
		{ { 10, 4, 2 }, false, 0 },
	};
	struct place *p = *state;
	int from;

	assert_int_equal(mkdirat(p->fd, "l", 0700), 0);
	assert_int_equal(mkdirat(p->fd, "l/a", 0700), 0);
	assert_int_equal(mkdirat(p->fd, "l/a/b", 0700), 0);
	make(p->fd, "l/f", "12345");
	make(p->fd, "l/a/b/g", "12345");
	from = openat(p->fd, "l", O_RDONLY | O_DIRECTORY);
	for (size_t i = 0; i < ARRAY_SIZE(rows); i++) {
		int to;

		assert_int_equal(remove_tree_at(p->fd, "copy"), 0);
		assert_int_equal(mkdirat(p->fd, "copy", 0700), 0);
		to = openat(p->fd, "copy", O_RDONLY | O_DIRECTORY);
		assert_int_equal(copy_tree(from, to, NULL, &rows[i].limits, &rows[i].cancel, NULL),
				 rows[i].result);
		close(to);
	}
	close(from);
}

struct mover {
	int fd; /* of the tree that is removed */
	volatile bool stop;
};

#define DEEP "project/state/builds/id/project/e"

static void *move_to_and_fro(void *arg)
{
	struct mover *m = arg;

	while (!m->stop) {
		(void)renameat(m->fd, DEEP, m->fd, "project/e");
		usleep(2000);
		(void)renameat(m->fd, "project/e", m->fd, DEEP);
		usleep(2000);
	}
	return NULL;
}

/* The names are those that a walk which believed in ".." would go up by, out of its tree. */
static void who_moves_directories_of_the_tree_leads_nobody_out_of_it(void **state)
{
	static const char *const made[] = { "project",
					    "project/state",
					    "project/state/builds",
					    "project/state/builds/id",
					    "project/state/builds/id/project",
					    DEEP };
	struct place *p = *state;

	for (int round = 0; round < 5; round++) {
		struct mover m = { 0 };
		pthread_t thread;
		int builds, e;

		(void)mkdirat(p->fd, "builds", 0700);
		builds = openat(p->fd, "builds", O_RDONLY | O_DIRECTORY);
		make(builds, "another", "x");
		assert_int_equal(mkdirat(builds, "id", 0700), 0);
		m.fd = openat(builds, "id", O_RDONLY | O_DIRECTORY);
		for (size_t i = 0; i < ARRAY_SIZE(made); i++)
			assert_int_equal(mkdirat(m.fd, made[i], 0700), 0);
		e = openat(m.fd, DEEP, O_RDONLY | O_DIRECTORY);
		for (int i = 0; i < 3000; i++) {
			char name[16];

			snprintf(name, sizeof(name), "%d", i);
			assert_int_equal(mkdirat(e, name, 0700), 0);
		}
		close(e);

		assert_int_equal(pthread_create(&thread, NULL, move_to_and_fro, &m), 0);
		(void)!remove_tree_at(builds, "id"); /* or it says that it couldn't */
		m.stop = true;
		pthread_join(thread, NULL);
		assert_int_equal(faccessat(p->fd, "builds/another", F_OK, 0), 0);
		assert_int_equal(remove_tree_at(builds, "id"), 0);
		close(m.fd);
		close(builds);
	}
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(what_is_nested_deeper_than_the_descriptors_go_is_removed),
		cmocka_unit_test(what_is_nested_too_deep_is_not_measured),
		cmocka_unit_test(links_are_removed_and_not_what_they_point_at),
		cmocka_unit_test(a_copy_has_files_and_links_and_nothing_skipped),
		cmocka_unit_test(a_copy_of_anothers_tree_has_nothing_that_is_not_theirs_to_read),
		cmocka_unit_test(a_copy_keeps_to_its_limits),
		cmocka_unit_test(who_moves_directories_of_the_tree_leads_nobody_out_of_it),
	};

	return cmocka_run_group_tests_name("base/trees", tests, set_up, tear_down);
}
