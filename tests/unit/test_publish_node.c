/* SPDX-License-Identifier: MIT */
/* Ranges of Node's versions, and the installation that is in one. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdlib.h>
#include <string.h>
/* cmocka wants setjmp, stdarg and stddef above it */
#include <cmocka.h>

#include "publish/detect.h"
#include "publish/noderange.h"
#include "publish_tree.h"

/* clang-format off */
static const struct {
	const char *range, *version;
	bool is_in;
} rows[] = {
	{ "", "20.1.0", true }, { "*", "20.1.0", true }, { "x", "0.0.0", true }, { " ", "1.2.3", true },
	{ "20", "20.1.0", true }, { "20", "21.0.0", false }, { "20.x", "20.9.9", true }, { "v20", "20.0.0", true },
	{ "20.1", "20.1.9", true }, { "20.1.x", "20.2.0", false }, { "20.1.2", "20.1.2", true },
	{ "20.1.2", "20.1.3", false }, { "=20.1.2", "20.1.2", true }, { "= 20", "20.3.1", true },
	{ ">=18", "18.0.0", true }, { ">= 18", "17.9.9", false }, { ">18", "18.9.0", false }, { ">18", "19.0.0", true },
	{ ">18.2", "18.2.9", false }, { ">18.2.1", "18.2.2", true }, { "<20", "19.9.9", true }, { "<20", "20.0.0", false },
	{ "<=20", "20.9.9", true }, { "<=20.1", "20.2.0", false }, { "<=20.1.1", "20.1.1", true },
	{ "^20.19.0 || >=22.12.0", "20.20.2", true }, { "^20.19.0||>=22.12.0", "22.12.0", true },
	{ "^20.19.0 || >=22.12.0", "22.11.0", false }, { "^20.19.0 || >=22.12.0", "21.0.0", false },
	{ "^18", "18.4.0", true }, { "^18", "19.0.0", false }, { "^0.2.3", "0.2.9", true }, { "^0.2.3", "0.3.0", false },
	{ "^0.0.3", "0.0.3", true }, { "^0.0.3", "0.0.4", false }, { "^0", "0.9.9", true }, { "^0.0", "0.0.9", true },
	{ "^0.0", "0.1.0", false }, { "~20.1", "20.1.7", true }, { "~20.1.3", "20.1.2", false }, { "~20.1.3", "20.2.0", false },
	{ "~20", "20.8.0", true }, { "~> 20", "20.8.0", true }, { "18 - 20", "20.9.9", true }, { "18 - 20.1", "20.2.0", false },
	{ "18.1.0 - 20.1.1", "18.0.9", false }, { ">=18 <21", "20.0.0", true }, { ">=18 <21", "21.0.0", false },
	{ ">=18  ^20.1 ", "20.2.0", true }, { ">=18 ^20.1", "18.2.0", false },
	{ ">=20.0.0-0", "20.0.0-rc.1", true }, { ">=20.0.0", "21.0.0-rc.1", false }, { "^20.1.0-rc.2", "20.1.0-rc.10", true },
	{ "^20.1.0-rc.2", "20.1.0-rc.1", false }, { "^20.1.0-rc.2", "20.1.0-beta", false }, { "20.1.0+build", "20.1.0", true },
	{ "<20.1.0-rc.1", "20.1.0-alpha", true }, { ">20 <20", "20.0.0", false }, { "<0.0.0", "0.0.0", false }, { "<*", "1.2.3", false },
	/* no ranges, no versions */
	{ "lts/*", "20.0.0", false }, { "node 20", "20.0.0", false }, { "20.1.2.3", "20.1.2", false }, { "020", "20.0.0", false },
	{ "^", "20.0.0", false }, { "x.1", "1.1.0", false }, { "^x.1", "1.1.0", true }, { ">==20", "20.0.0", true }, { "20.", "20.0.0", false }, { ">=18,<20", "19.0.0", false }, { "99999999999999999999", "1.0.0", false },
	{ ">=18", "20", false }, { ">=18", "twenty", false }, { ">=18", "", false }, { "lts/* || 20", "20.0.0", false }, { "18 - 20 >=19", "19.0.0", false },
};
/* clang-format on */

static void a_version_is_in_a_range_as_npm_says(void **state)
{
	(void)state;
	for (size_t i = 0; i < ARRAY_SIZE(rows); i++)
		if (node_range_has(rows[i].range, rows[i].version) != rows[i].is_in)
			fail_msg("'%s' in '%s' should be %d", rows[i].version, rows[i].range,
				 rows[i].is_in);
}

static void a_range_of_any_length_ends(void **state)
{
	scoped(freep) char *long_range = xcalloc(1, 100001);

	(void)state;
	for (size_t i = 0; i < 100000; i += 4)
		memcpy(long_range + i, ">=1 ", 4);
	assert_false(node_range_has(long_range, "20.0.0"));
	for (size_t i = 0; i < 100000; i += 2)
		memcpy(long_range + i, "||", 2);
	assert_true(node_range_has(long_range, "20.0.0"));
}

/* A program that says a version, as far as anybody asks it. */
static void put_node(const struct tree *t, const char *prefix, const char *version)
{
	scoped(freep) char *path = xasprintf("%s/bin/node", prefix);
	scoped(freep) char *text = xasprintf("#!/bin/sh\necho '%s'\n", version);

	tree_put(t, path, text);
	assert_int_equal(fchmodat(t->fd, path, 0755, 0), 0);
}

struct world {
	struct tree tree;
	char *path, *home;
};

static int set_up(void **state)
{
	struct world *w = xcalloc(1, sizeof(*w));
	scoped(freep) char *home = NULL;
	scoped(freep) char *path = NULL;

	w->tree = tree_make();
	w->path = xstrdup_null(getenv("PATH"));
	w->home = xstrdup_null(getenv("HOME"));
	put_node(&w->tree, "path", "v20.20.2");
	put_node(&w->tree, "home/.nvm/versions/node/v22.1.0", "v22.1.0");
	put_node(&w->tree, "home/.nvm/versions/node/v22.9.0", "v22.9.0");
	put_node(&w->tree, "home/.nvm/versions/node/v22.10.0", "v22.10.0");
	put_node(&w->tree, "home/.nvm/versions/node/broken", "Segmentation fault");
	put_node(&w->tree, "home/.volta/tools/image/node/18.0.0", "v18.0.0");
	put_node(&w->tree, "more/node-24", "v24.2.0");
	put_node(&w->tree, "one", "v26.0.0");
	path = xasprintf("/nowhere:%s/path/bin", w->tree.path);
	home = xasprintf("%s/home", w->tree.path);
	setenv("PATH", path, 1);
	setenv("HOME", home, 1);
	*state = w;
	return 0;
}

static int tear_down(void **state)
{
	struct world *w = *state;

	setenv("PATH", w->path ? w->path : "", 1);
	setenv("HOME", w->home ? w->home : "", 1);
	tree_done(&w->tree);
	free(w->path);
	free(w->home);
	free(w);
	return 0;
}

static void finds(const struct world *w, const char *range, const char *search, const char *prefix,
		  const char *version)
{
	scoped(freep) char *wanted = xasprintf("%s/%s", w->tree.path, prefix);
	scoped(freep) char *real = realpath(wanted, NULL);
	scoped(fault_done) struct fault fault = { 0 };
	scoped(freep) char *found_version = NULL;
	scoped(freep) char *found = node_find(range, search, &found_version, &fault);
	scoped(freep) char *found_real = found ? realpath(found, NULL) : NULL;

	if (!found)
		fail_msg("%s: %s", range ? range : "any", fault.detail);
	assert_string_equal(found_real, real);
	assert_string_equal(found_version, version);
}

static void the_path_comes_first_and_then_the_newest(void **state)
{
	const struct world *w = *state;
	scoped(freep) char *search = xasprintf("%s/more:%s/one", w->tree.path, w->tree.path);

	finds(w, NULL, NULL, "path", "20.20.2");
	finds(w, ">=18", NULL, "path", "20.20.2");
	finds(w, "^22", NULL, "home/.nvm/versions/node/v22.10.0", "22.10.0");
	finds(w, "22.1", NULL, "home/.nvm/versions/node/v22.1.0", "22.1.0");
	finds(w, "18", NULL, "home/.volta/tools/image/node/18.0.0", "18.0.0");
	finds(w, "24", search, "more/node-24", "24.2.0");
	finds(w, "26", search, "one", "26.0.0");
}

static void where_none_fits_the_failure_names_them(void **state)
{
	scoped(fault_done) struct fault fault = { 0 };

	(void)state;
	assert_null(node_find("^99", NULL, NULL, &fault));
	assert_int_equal(fault.code, FAULT_NODE_UNAVAILABLE);
	assert_non_null(strstr(fault.detail, "^99"));
	assert_non_null(strstr(fault.detail, "20.20.2"));
	assert_non_null(strstr(fault.detail, "22.10.0"));
	assert_null(strstr(fault.detail, "Segmentation"));
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(a_version_is_in_a_range_as_npm_says),
		cmocka_unit_test(a_range_of_any_length_ends),
		cmocka_unit_test_setup_teardown(the_path_comes_first_and_then_the_newest, set_up,
						tear_down),
		cmocka_unit_test_setup_teardown(where_none_fits_the_failure_names_them, set_up,
						tear_down),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
