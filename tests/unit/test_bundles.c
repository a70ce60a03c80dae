/* SPDX-License-Identifier: MIT */
/* What an app ships, taken from its web/dist: when it is, and what is left alone. */
#include <errno.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdlib.h>
#include <string.h>
/* cmocka wants the three above it */
#include <cmocka.h>

#include <fcntl.h>
#include <unistd.h>

#include "base/files.h"
#include "base/mem.h"
#include "base/trees.h"
#include "publish/bundles_priv.h"

struct world {
	char path[64];
	int fd, root_fd;
	struct settings *settings;
};

static void make_directory(const struct world *w, const char *path)
{
	assert_int_equal(make_directory_at(w->fd, path), 0);
}

static void put_file(const struct world *w, const char *path, const char *text)
{
	scoped(closep) int fd = openat(w->fd, path, O_WRONLY | O_CREAT | O_TRUNC | O_CLOEXEC, 0644);

	assert_true(fd >= 0);
	assert_int_equal(write(fd, text, strlen(text)), strlen(text));
}

static int set_up(void **state)
{
	static const char *const none[] = { NULL };
	static const char *const directories[] = {
		"state",     "apps",          "apps/bare",         "apps/bare/web",
		"apps/shop", "apps/shop/web", "apps/shop/web/dist"
	};
	const struct settings_sources sources = {
		.config_path = "/dev/null",
		.overrides = none,
		.environment = none,
	};
	struct world *w = xcalloc(1, sizeof(*w));

	strcpy(w->path, "/tmp/previewd-bundles-XXXXXX");
	if (!mkdtemp(w->path) || settings_load(&sources, NULL, NULL, &w->settings, NULL) < 0)
		return -1;
	w->fd = open_directory(w->path);
	for (size_t i = 0; i < ARRAY_SIZE(directories); i++)
		make_directory(w, directories[i]);
	w->root_fd = openat(w->fd, "state", O_RDONLY | O_DIRECTORY | O_CLOEXEC);
	w->settings->apps_dir = xasprintf("%s/apps", w->path);
	put_file(w, "apps/shop/web/dist/index.html", "<a href=/index.html>one</a>");
	*state = w;
	return 0;
}

static int tear_down(void **state)
{
	struct world *w = *state;
	int r = remove_tree_at(AT_FDCWD, w->path);

	close(w->root_fd);
	close(w->fd);
	settings_free(w->settings);
	free(w);
	return r;
}

static struct refresh *refreshed(const struct world *w, const char *app_id, const char *known,
				 int *ret_result)
{
	struct refresh *r = refresh_new(w->root_fd, app_id, w->settings, known);

	*ret_result = refresh_work(r);
	return r;
}

/* What is shown afterwards; the id of what was known where nothing has changed. */
static const char *shown_after(const struct world *w, const char *app_id, const char *known)
{
	static char id[RELEASE_ID_SIZE];
	char before[RELEASE_ID_SIZE];
	int result;
	struct refresh *r;

	strcpy(before, known);
	r = refreshed(w, app_id, before, &result);
	assert_int_equal(result, 0);
	assert_false(r->is_none);
	strcpy(id, r->shown ? r->shown->release_id : before);
	refresh_free(r);
	return id;
}

static void assert_fails(const struct world *w, const char *app_id, enum fault_code code)
{
	int result;
	struct refresh *r = refreshed(w, app_id, "", &result);

	assert_true(result < 0);
	assert_int_equal(r->fault.code, code);
	assert_null(r->shown);
	refresh_free(r);
}

static void it_is_taken_once_and_again_when_it_has_changed(void **state)
{
	const struct world *w = *state;
	char first[RELEASE_ID_SIZE], second[RELEASE_ID_SIZE];

	strcpy(first, shown_after(w, "shop", ""));
	assert_string_equal(shown_after(w, "shop", first), first);
	assert_string_equal(shown_after(w, "shop", ""), first); /* after a restart */

	/* as long, and maybe of the same time: it is another file all the same */
	put_file(w, "apps/shop/web/index.new", "<a href=/index.html>two</a>");
	assert_int_equal(
		renameat(w->fd, "apps/shop/web/index.new", w->fd, "apps/shop/web/dist/index.html"),
		0);
	strcpy(second, shown_after(w, "shop", first));
	assert_string_not_equal(second, first);

	put_file(w, "apps/shop/web/dist/more.js", "1");
	assert_string_not_equal(shown_after(w, "shop", second), second);
}

static void what_was_cut_off_before_it_was_noted_is_taken_again(void **state)
{
	const struct world *w = *state;
	char first[RELEASE_ID_SIZE];

	strcpy(first, shown_after(w, "shop", ""));
	assert_int_equal(unlinkat(w->root_fd, "shop~web/taken", 0), 0);
	assert_string_not_equal(shown_after(w, "shop", ""), first);
}

static void an_app_without_it_has_nothing_and_leaves_nothing(void **state)
{
	static const char *const apps[] = { "bare", "nobody" };
	const struct world *w = *state;

	for (size_t i = 0; i < ARRAY_SIZE(apps); i++) {
		int result;
		struct refresh *r = refreshed(w, apps[i], "", &result);

		assert_int_equal(result, 0);
		assert_true(r->is_none);
		refresh_free(r);
	}
	shown_after(w, "shop", "");
	assert_true(is_directory_at(w->root_fd, "shop~web"));
	assert_int_equal(remove_tree_at(w->fd, "apps/shop"), 0);
	refresh_free(refreshed(w, "shop", "", &(int){ 0 }));
	assert_false(is_directory_at(w->root_fd, "shop~web"));
}

static void what_cannot_be_taken_leaves_what_was_taken_alone(void **state)
{
	const struct world *w = *state;
	char first[RELEASE_ID_SIZE];
	int result;
	struct refresh *r;

	strcpy(first, shown_after(w, "shop", ""));
	put_file(w, "apps/shop/web/dist/more.js", "1");
	w->settings->publish_files_max = 1;
	assert_fails(w, "shop", FAULT_OUTPUT_TOO_LARGE);
	w->settings->publish_files_max = 10;
	assert_int_equal(symlinkat("/etc/hostname", w->fd, "apps/shop/web/dist/name.txt"), 0);
	assert_fails(w, "shop", FAULT_BAD_OUTPUT);
	assert_int_equal(unlinkat(w->fd, "apps/shop/web/dist/name.txt", 0), 0);
	assert_int_equal(unlinkat(w->fd, "apps/shop/web/dist/index.html", 0), 0);
	assert_fails(w, "shop", FAULT_NO_INDEX);

	r = refresh_new(w->root_fd, "shop", w->settings, "");
	r->checking->cancel = true;
	assert_true(refresh_work(r) < 0);
	refresh_free(r);

	put_file(w, "apps/shop/web/dist/index.html", "<p>back");
	r = refreshed(w, "shop", first, &result);
	assert_int_equal(result, 0);
	assert_int_equal(r->shown->n_earlier, 1);
	refresh_free(r);
}

static void links_do_not_lead_out_of_the_apps(void **state)
{
	const struct world *w = *state;

	make_directory(w, "outside");
	make_directory(w, "outside/web");
	make_directory(w, "outside/web/dist");
	put_file(w, "outside/web/dist/index.html", "secret");
	assert_int_equal(symlinkat("../outside", w->fd, "apps/up"), 0);
	assert_fails(w, "up", FAULT_INTERNAL);
	make_directory(w, "apps/half");
	make_directory(w, "apps/half/web");
	assert_int_equal(symlinkat("../../shop/web/dist", w->fd, "apps/half/web/dist"), 0);
	assert_fails(w, "half", FAULT_INTERNAL);
	assert_int_equal(symlinkat("shop", w->fd, "apps/same"), 0);
	assert_true(*shown_after(w, "same", ""));
}

static void its_path_is_encoded(void **state)
{
	scoped(freep) char *path = bundle_path("a@b:c");

	(void)state;
	assert_string_equal(path, "/api/apps/a%40b%3Ac/web-static/");
}

int main(void)
{
#define test(name) cmocka_unit_test_setup_teardown(name, set_up, tear_down)
	const struct CMUnitTest tests[] = {
		test(it_is_taken_once_and_again_when_it_has_changed),
		test(what_was_cut_off_before_it_was_noted_is_taken_again),
		test(an_app_without_it_has_nothing_and_leaves_nothing),
		test(what_cannot_be_taken_leaves_what_was_taken_alone),
		test(links_do_not_lead_out_of_the_apps),
		test(its_path_is_encoded),
	};

	alarm(60);
	return cmocka_run_group_tests_name("publish/bundles", tests, NULL, NULL);
}
