/* SPDX-License-Identifier: MIT */
/* Releases on disk: whatever is cut off when, what is current is whole. */
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

#include <dirent.h>
#include <fcntl.h>
#include <signal.h>
#include <sys/stat.h>
#include <sys/wait.h>
#include <time.h>
#include <unistd.h>

#include "base/files.h"
#include "base/mem.h"
#include "base/trees.h"
#include "publish/release.h"

struct world {
	char path[64];
	int root, place;
};

static int set_up(void **state)
{
	struct world *w = xcalloc(1, sizeof(*w));

	strcpy(w->path, "/tmp/previewd-release-XXXXXX");
	if (!mkdtemp(w->path))
		return -1;
	w->root = open_directory(w->path);
	*state = w;
	return release_place(w->root, "s1", "published", true, &w->place);
}

static int tear_down(void **state)
{
	struct world *w = *state;
	int r = remove_tree_at(AT_FDCWD, w->path);

	clock_replace(NULL, NULL);
	close(w->root);
	close(w->place);
	free(w);
	return r;
}

static void fill(int fd, const char *text)
{
	assert_int_equal(write_file_at(fd, "files/index.html", text, strlen(text), 0644), 0);
	assert_int_equal(write_file_at(fd, "files/app.js", text, strlen(text), 0644), 0);
}

/* A whole release whose files say `text`. */
static void make(int place, const char *text, char id[static RELEASE_ID_SIZE])
{
	int fd;

	assert_int_equal(release_begin(place, id, &fd), 0);
	fill(fd, text);
	close(fd);
	assert_int_equal(release_finish(place, id, 2, 2 * strlen(text)), 0);
}

/* What both files of the current release say; "" off the air, "torn" where they differ. */
static const char *shown(int place)
{
	scoped(freep) char *page = NULL, *script = NULL;
	static char text[64];
	int r = read_file_at(place, "current/files/index.html", 60, &page, NULL);

	if (r < 0 || read_file_at(place, "current/files/app.js", 60, &script, NULL) < 0)
		return r == -ENOENT ? "" : "torn";
	snprintf(text, sizeof(text), "%s", strcmp(page, script) == 0 ? page : "torn");
	return text;
}

static size_t count(int place)
{
	struct release_list l;
	size_t n;

	assert_int_equal(release_list(place, &l), 0);
	n = l.n;
	release_list_done(&l);
	return n;
}

static void a_release_is_current_when_it_was_activated(void **state)
{
	struct world *w = *state;
	char one[RELEASE_ID_SIZE], two[RELEASE_ID_SIZE];
	struct release_list l;

	make(w->place, "one", one);
	assert_string_equal(shown(w->place), "");
	assert_int_equal(release_activate(w->place, one, ""), 0);
	assert_string_equal(shown(w->place), "one");
	make(w->place, "two", two);
	assert_string_equal(shown(w->place), "one");
	assert_int_equal(release_activate(w->place, two, NULL), 0);
	assert_string_equal(shown(w->place), "two");

	assert_int_equal(release_list(w->place, &l), 0);
	assert_int_equal(l.n, 2);
	assert_string_equal(l.items[0].id, two);
	assert_string_equal(l.current, two);
	assert_string_equal(l.previous, one);
	assert_int_equal(l.items[0].files, 2);
	assert_int_equal(l.items[0].bytes, 6);
	release_list_done(&l);
}

static void an_activation_holds_only_for_what_was_expected(void **state)
{
	struct world *w = *state;
	char one[RELEASE_ID_SIZE], two[RELEASE_ID_SIZE];

	make(w->place, "one", one);
	make(w->place, "two", two);
	assert_int_equal(release_activate(w->place, one, two), -ESTALE);
	assert_string_equal(shown(w->place), "");
	assert_int_equal(release_activate(w->place, one, ""), 0);
	assert_int_equal(release_activate(w->place, two, ""), -ESTALE);
	assert_int_equal(release_activate(w->place, two, one), 0);
	assert_int_equal(release_activate(w->place, "../../etc", NULL), -ENOENT);
	assert_int_equal(release_activate(w->place, "0123456789abcdef0123456789abcdef", NULL),
			 -ENOENT);
	assert_string_equal(shown(w->place), "two");
	assert_int_equal(release_activate(w->place, NULL, two), 0);
	assert_string_equal(shown(w->place), "");
	assert_int_equal(count(w->place), 2);
}

static usec_t at_1970(void)
{
	return 1000000;
}

static void ids_sort_by_age_also_when_the_clock_is_set_back(void **state)
{
	struct world *w = *state;
	char one[RELEASE_ID_SIZE], two[RELEASE_ID_SIZE];

	make(w->place, "one", one);
	clock_replace(NULL, at_1970);
	make(w->place, "two", two);
	assert_true(strcmp(one, two) < 0);
}

static void pruning_leaves_the_current_one_and_the_one_before(void **state)
{
	const struct release_keep by_count = { 3, UINT64_MAX, USEC_INFINITY };
	const struct release_keep by_bytes = { 100, 1, USEC_INFINITY };
	struct world *w = *state;
	char ids[6][RELEASE_ID_SIZE], text[16];
	struct release_list l;

	for (int i = 0; i < 6; i++) {
		snprintf(text, sizeof(text), "r%d", i);
		make(w->place, text, ids[i]);
		assert_int_equal(release_activate(w->place, ids[i], NULL), 0);
	}
	assert_int_equal(release_activate(w->place, ids[0], NULL), 0);
	assert_int_equal(release_prune(w->place, &by_count), 0);
	assert_int_equal(release_list(w->place, &l), 0);
	assert_int_equal(l.n, 3);
	assert_string_equal(l.items[0].id, ids[5]); /* before it */
	assert_string_equal(l.items[1].id, ids[4]); /* the newest of the others */
	assert_string_equal(l.items[2].id, ids[0]); /* current */
	release_list_done(&l);

	assert_int_equal(release_prune(w->place, &by_bytes), 0);
	assert_int_equal(count(w->place), 2);
	assert_string_equal(shown(w->place), "r0");
}

static usec_t in_ten_years(void)
{
	struct timespec now;

	clock_gettime(CLOCK_REALTIME, &now);
	return ((usec_t)now.tv_sec + UINT64_C(315360000)) * USEC_PER_SEC;
}

static void pruning_goes_by_age_too(void **state)
{
	const struct release_keep by_age = { 100, UINT64_MAX, 3600 * USEC_PER_SEC };
	struct world *w = *state;
	char one[RELEASE_ID_SIZE], two[RELEASE_ID_SIZE];

	make(w->place, "one", one);
	make(w->place, "two", two);
	assert_int_equal(release_activate(w->place, two, NULL), 0);
	assert_int_equal(release_prune(w->place, &by_age), 0);
	assert_int_equal(count(w->place), 2);
	clock_replace(NULL, in_ten_years);
	assert_int_equal(release_prune(w->place, &by_age), 0);
	assert_int_equal(count(w->place), 1);
	assert_string_equal(shown(w->place), "two");
}

static void a_reconcile_takes_away_what_is_no_release(void **state)
{
	struct world *w = *state;
	char one[RELEASE_ID_SIZE], two[RELEASE_ID_SIZE];
	int fd;

	make(w->place, "one", one);
	assert_int_equal(release_activate(w->place, one, NULL), 0);
	assert_int_equal(release_begin(w->place, two, &fd), 0);
	close(fd);
	assert_int_equal(symlinkat("releases/x", w->place, ".switching"), 0);
	assert_int_equal(mkdirat(w->root, "~old-1234", 0700), 0);
	assert_int_equal(mkdirat(w->place, "releases/.old-1", 0700), 0);

	assert_int_equal(release_reconcile(w->root), 0);
	assert_string_equal(shown(w->place), "one");
	assert_int_equal(count(w->place), 1);
	assert_int_equal(faccessat(w->place, ".switching", F_OK, AT_SYMLINK_NOFOLLOW), -1);
	assert_int_equal(faccessat(w->place, "releases/.old-1", F_OK, 0), -1);
	assert_int_equal(faccessat(w->root, "~old-1234", F_OK, 0), -1);

	assert_int_equal(remove_tree_at(w->place, "releases"), 0);
	assert_int_equal(release_reconcile(w->root), 0);
	assert_string_equal(shown(w->place), "");
	assert_int_equal(faccessat(w->place, "current", F_OK, AT_SYMLINK_NOFOLLOW), -1);
}

/*
 * kill -9 before each step that changes the disk.
 */
static int steps_left;

static void die_at_zero(const char *name)
{
	(void)name;
	if (steps_left-- == 0)
		kill(getpid(), SIGKILL);
}

typedef void act_fn(struct world *w, const char *other);

/* True when the child was killed; false when it came to its end before. */
static bool killed_at(struct world *w, int step, act_fn *act, const char *other)
{
	int status;
	pid_t pid = fork();

	if (pid == 0) {
		steps_left = step;
		release_step_hook = die_at_zero;
		act(w, other);
		_exit(0);
	}
	assert_int_equal(waitpid(pid, &status, 0), pid);
	if (WIFSIGNALED(status)) {
		assert_int_equal(WTERMSIG(status), SIGKILL);
		return true;
	}
	assert_int_equal(WEXITSTATUS(status), 0);
	return false;
}

static void publish(struct world *w, const char *other)
{
	const struct release_keep keep = { 2, UINT64_MAX, USEC_INFINITY };
	char id[RELEASE_ID_SIZE];
	int fd;

	(void)other;
	if (release_begin(w->place, id, &fd) < 0 ||
	    write_file_at(fd, "files/index.html", "new", 3, 0644) < 0 ||
	    write_file_at(fd, "files/app.js", "new", 3, 0644) < 0 ||
	    release_finish(w->place, id, 2, 6) < 0 || release_activate(w->place, id, NULL) < 0 ||
	    release_prune(w->place, &keep) < 0)
		_exit(1);
}

static void roll_back(struct world *w, const char *other)
{
	if (release_activate(w->place, other, NULL) < 0)
		_exit(1);
}

static void a_publish_killed_at_any_step_leaves_the_old_or_the_new(void **state)
{
	struct world *w = *state;
	char older[RELEASE_ID_SIZE], old[RELEASE_ID_SIZE];
	unsigned olds = 0, news = 0;

	for (int step = 0;; step++) {
		struct release_list l;
		bool killed;

		make(w->place, "older", older);
		assert_int_equal(release_activate(w->place, older, NULL), 0);
		make(w->place, "old", old);
		assert_int_equal(release_activate(w->place, old, NULL), 0);
		killed = killed_at(w, step, publish, NULL);

		olds += strcmp(shown(w->place), "old") == 0;
		news += strcmp(shown(w->place), "new") == 0;
		assert_int_equal(olds + news, step + 1);
		assert_int_equal(release_reconcile(w->root), 0);
		assert_true(strcmp(shown(w->place), "old") == 0 ||
			    strcmp(shown(w->place), "new") == 0);
		assert_int_equal(release_list(w->place, &l), 0);
		for (size_t i = 0; i < l.n; i++) /* each that is left is whole */
			assert_int_equal(l.items[i].files, 2);
		release_list_done(&l);
		if (!killed)
			break;
	}
	assert_true(olds > 5);
	assert_true(news > 1);
}

static void a_roll_back_killed_at_any_step_leaves_the_old_or_the_new(void **state)
{
	struct world *w = *state;
	char one[RELEASE_ID_SIZE], two[RELEASE_ID_SIZE];
	bool killed = true;

	make(w->place, "one", one);
	make(w->place, "two", two);
	for (int step = 0; killed; step++) {
		assert_int_equal(release_activate(w->place, two, NULL), 0);
		killed = killed_at(w, step, roll_back, one);
		assert_int_equal(release_reconcile(w->root), 0);
		assert_true(strcmp(shown(w->place), "one") == 0 ||
			    strcmp(shown(w->place), "two") == 0);
	}
	assert_string_equal(shown(w->place), "one");
}

static void take_away(struct world *w, const char *other)
{
	(void)other;
	if (release_remove_all(w->root, "s1", "published") < 0)
		_exit(1);
}

static void a_removal_killed_at_any_step_leaves_all_or_nothing(void **state)
{
	struct world *w = *state;
	char one[RELEASE_ID_SIZE];
	bool killed = true;

	for (int step = 0; killed; step++) {
		int place, r;

		assert_int_equal(release_place(w->root, "s1", "published", true, &place), 0);
		make(place, "one", one);
		assert_int_equal(release_activate(place, one, NULL), 0);
		close(place);
		killed = killed_at(w, step, take_away, NULL);
		assert_int_equal(release_reconcile(w->root), 0);
		r = release_place(w->root, "s1", "published", false, &place);
		if (r < 0) {
			assert_int_equal(r, -ENOENT);
			continue;
		}
		assert_string_equal(shown(place), "one");
		close(place);
	}
}

int main(void)
{
#define test(name) cmocka_unit_test_setup_teardown(name, set_up, tear_down)
	const struct CMUnitTest tests[] = {
		test(a_release_is_current_when_it_was_activated),
		test(an_activation_holds_only_for_what_was_expected),
		test(ids_sort_by_age_also_when_the_clock_is_set_back),
		test(pruning_leaves_the_current_one_and_the_one_before),
		test(pruning_goes_by_age_too),
		test(a_reconcile_takes_away_what_is_no_release),
		test(a_publish_killed_at_any_step_leaves_the_old_or_the_new),
		test(a_roll_back_killed_at_any_step_leaves_the_old_or_the_new),
		test(a_removal_killed_at_any_step_leaves_all_or_nothing),
	};

	alarm(60);
	return cmocka_run_group_tests_name("publish/release", tests, NULL, NULL);
}
