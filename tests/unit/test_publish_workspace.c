/* SPDX-License-Identifier: MIT */
/* What a workspace is, what of it an installation reads, and what the store keeps of it. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdlib.h>
#include <string.h>
/* cmocka wants setjmp, stdarg and stddef above it */
#include <cmocka.h>

#include "base/files.h"
#include "publish/hostrules.h"
#include "publish/publisher_priv.h"
#include "publish/workspace.h"
#include "publish_tree.h"

static void joined(char *const *list, char text[static 512])
{
	text[0] = '\0';
	for (size_t i = 0; list && list[i]; i++) {
		strcat(text, i ? " " : "");
		strcat(text, list[i]);
	}
}

static void patterns_are_those_of_npm_yarn_and_pnpm(void **state)
{
	static const struct {
		const char *file, *text, *patterns;
	} rows[] = {
		{ "package.json", "{\"workspaces\":[\"apps/*\",\"./packages/*/\"]}",
		  "apps/* packages/*" },
		{ "package.json", "{\"workspaces\":{\"packages\":[\"a\",1]}}", "a" },
		{ "package.json", "{\"workspaces\":\"a\"}", "" },
		{ "package.json", "{", "" },
		{ "pnpm-workspace.yaml",
		  "packages:\n  - 'apps/*'\n\n  # no\n  - \"!**/test\"\n- lib # yes\ncatalog:\n  - "
		  "x\n",
		  "apps/* !**/test lib" },
		{ "pnpm-workspace.yaml",
		  "onlyBuiltDependencies:\n  - esbuild\npackages: [ 'a/*', b ]\n", "a/* b" },
		{ "pnpm-workspace.yaml", "onlyBuiltDependencies:\n  - esbuild\n", "" },
		{ "pnpm-workspace.yaml", "packages:", "" },
		{ "pnpm-workspace.yaml", "packages: [", "" },
		{ "pnpm-workspace.yaml", "packages:\n  - \"a", "a" },
		{ "pnpm-workspace.yaml", "subpackages:\n  - a\n", "" },
	};

	(void)state;
	for (size_t i = 0; i < ARRAY_SIZE(rows); i++) {
		scoped(tree_done) struct tree tree = tree_make();
		scoped(strv_freep) char **patterns = NULL;
		char text[512];

		tree_put(&tree, rows[i].file, rows[i].text);
		patterns = workspace_patterns(tree.fd);
		joined(patterns, text);
		if (strcmp(text, rows[i].patterns) != 0)
			fail_msg("row %zu: %s", i, text);
	}
}

static void a_star_is_one_name_and_two_are_any_number(void **state)
{
	char *const patterns[] = { (char *)"apps/*", (char *)"libs/**", (char *)"!libs/old", NULL };

	(void)state;
	assert_true(workspace_has(patterns, "apps/web"));
	assert_false(workspace_has(patterns, "apps"));
	assert_false(workspace_has(patterns, "apps/web/src"));
	assert_true(workspace_has(patterns, "libs/a/b"));
	assert_false(workspace_has(patterns, "libs/old"));
	assert_false(workspace_has(NULL, "apps/web"));
}

static void an_installation_reads_settings_and_the_package_json_of_packages(void **state)
{
	scoped(tree_done) struct tree tree = tree_make();
	scoped(strv_freep) char **inputs = NULL, **packages = NULL;
	char text[512];

	(void)state;
	tree_put(&tree, "package.json", "{\"workspaces\":[\"apps/*\"]}");
	tree_put(&tree, "yarn.lock", "");
	tree_put(&tree, "package-lock.json", "");
	tree_put(&tree, ".yarnrc.yml", "");
	tree_put(&tree, ".yarn/patches/a.patch", "");
	tree_put(&tree, ".yarn/cache/a.zip", "");
	tree_put(&tree, "apps/web/package.json", "{}");
	tree_put(&tree, "apps/web/src/package.json", "{}");
	tree_put(&tree, "apps/web/node_modules/x/package.json", "{}");
	tree_put(&tree, "other/package.json", "{}");
	inputs = workspace_inputs(tree.fd, "yarn.lock", &packages);
	joined(inputs, text);
	assert_string_equal(
		text,
		".yarn/patches/a.patch .yarnrc.yml apps/web/package.json package.json yarn.lock");
	joined(packages, text);
	assert_string_equal(text, "apps/web");
}

static void a_workspace_of_too_many_packages_has_no_key(void **state)
{
	scoped(tree_done) struct tree tree = tree_make();
	char **packages = NULL;

	(void)state;
	tree_put(&tree, "package.json", "{\"workspaces\":[\"p/*\"]}");
	for (unsigned i = 0; i < 65; i++) {
		scoped(freep) char *path = xasprintf("p/%u/package.json", i);

		tree_put(&tree, path, "{}");
	}
	assert_null(workspace_inputs(tree.fd, NULL, &packages));
	assert_null(packages);
}

static void the_store_keeps_the_packages_of_each(void **state)
{
	scoped(tree_done) struct tree tree = tree_make();
	char *const packages[] = { (char *)"apps/web", (char *)"libs/a", NULL };
	const char *key = "aaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaa";
	struct settle *settle = settle_new(tree.fd, "install", packages);
	scoped(modules_freep) struct modules *modules = NULL;
	struct module_store *store;

	(void)state;
	tree_put(&tree, "install/package.json", "{}");
	tree_put(&tree, "install/node_modules/x/index.js", "");
	tree_put(&tree, "install/apps/web/node_modules/y/index.js", "");
	tree_put(&tree, "install/libs/a/package.json", "{}");
	assert_int_equal(settle_work(settle), 0);
	assert_int_equal(modules_new(tree.fd, tree.path, &modules), 0);
	assert_int_equal(modules_add(modules, "ann", key, settle->path, settle->bytes, &store), 0);
	for (unsigned round = 0; round < 2; round++) {
		scoped(freep) char *place = module_store_package_path(store, "apps/web");
		scoped(freep) char *file = xasprintf("%s/y/index.js", place);
		scoped(freep) char *vite = xasprintf("%s/.vite", place);
		char text[512];

		joined(module_store_packages(store), text);
		assert_string_equal(text, "apps/web");
		assert_int_equal(access(file, F_OK), 0);
		assert_int_equal(access(vite, F_OK), 0);
		modules_let_go(store);
		if (round == 0) { /* and after a restart */
			modules = modules_free(modules);
			assert_int_equal(modules_new(tree.fd, tree.path, &modules), 0);
			store = modules_find(modules, "ann", key);
			assert_non_null(store);
		}
	}
	settle_free(settle);
}

static void what_an_installation_links_to_is_not_taken_along(void **state)
{
	scoped(tree_done) struct tree tree = tree_make();
	char *const packages[] = { (char *)"apps/web", NULL };
	struct settle *settle = settle_new(tree.fd, "install", packages);

	(void)state;
	tree_put(&tree, "install/node_modules/x/index.js", "");
	tree_put(&tree, "outside/web/node_modules/theirs", "");
	assert_int_equal(symlinkat("../outside", tree.fd, "install/apps"), 0);
	assert_int_equal(settle_work(settle), 0);
	assert_int_equal(faccessat(tree.fd, "outside/web/node_modules/theirs", F_OK, 0), 0);
	settle_free(settle);
}

/* The store has them one a line. */
static void a_package_whose_name_has_a_newline_has_no_key(void **state)
{
	scoped(tree_done) struct tree tree = tree_make();
	char **packages = NULL;

	(void)state;
	tree_put(&tree, "package.json", "{\"workspaces\":[\"**\"]}");
	tree_put(&tree, "c\n../d/package.json", "{}");
	assert_null(workspace_inputs(tree.fd, NULL, &packages));
	assert_null(packages);
}

static void too_many_patterns_have_no_key(void **state)
{
	scoped(tree_done) struct tree tree = tree_make();
	scoped(strv_freep) char **patterns = NULL;
	scoped(freep) char *text = xcalloc(1, 200000);
	char **packages = NULL;

	(void)state;
	strcpy(text, "packages:\n");
	for (char *at = text + strlen(text); at < text + 100000; at += 6)
		memcpy(at, "- a/*\n", 6);
	tree_put(&tree, "pnpm-workspace.yaml", text);
	tree_put(&tree, "a/b/package.json", "{}");
	patterns = workspace_patterns(tree.fd);
	assert_true(strv_len(patterns) <= 1025);
	assert_null(workspace_inputs(tree.fd, NULL, &packages));
	assert_null(packages);
}

static void rules_for_other_hosts_are_told_of_unless_they_are_done_anyway(void **state)
{
	static const struct {
		const char *file, *text, *warning;
	} rows[] = {
		{ "_redirects", "# all of it\n/*   /index.html   200\n\n", NULL },
		{ "_redirects", "/* / 200", NULL },
		{ "_redirects", "/* /index.html 302\n", "_redirects" },
		{ "_redirects", "/* /index.html 200\n/old /new 301\n", "_redirects" },
		{ "_headers", "# none\n", NULL },
		{ "_headers", "/*\n  X-A: b\n", "_headers" },
	};

	(void)state;
	for (size_t i = 0; i < ARRAY_SIZE(rows); i++) {
		scoped(tree_done) struct tree tree = tree_make();
		scoped(strv_freep) char **warnings = NULL;

		tree_put(&tree, rows[i].file, rows[i].text);
		hostrules_check(tree.fd, &warnings);
		assert_int_equal(warnings ? strv_len(warnings) : 0, rows[i].warning ? 1 : 0);
		if (rows[i].warning)
			assert_true(list_mentions(warnings, rows[i].warning));
	}
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(patterns_are_those_of_npm_yarn_and_pnpm),
		cmocka_unit_test(a_star_is_one_name_and_two_are_any_number),
		cmocka_unit_test(an_installation_reads_settings_and_the_package_json_of_packages),
		cmocka_unit_test(a_workspace_of_too_many_packages_has_no_key),
		cmocka_unit_test(the_store_keeps_the_packages_of_each),
		cmocka_unit_test(what_an_installation_links_to_is_not_taken_along),
		cmocka_unit_test(a_package_whose_name_has_a_newline_has_no_key),
		cmocka_unit_test(too_many_patterns_have_no_key),
		cmocka_unit_test(rules_for_other_hosts_are_told_of_unless_they_are_done_anyway),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
