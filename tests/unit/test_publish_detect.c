/* SPDX-License-Identifier: MIT */
/* What a project is said to be, and how it would be built. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdlib.h>
#include <string.h>
/* cmocka wants setjmp, stdarg and stddef above it */
#include <cmocka.h>

#include "publish/detect.h"
#include "publish/framework.h"
#include "publish_tree.h"

#define BASE "/api/apps/a/sessions/s/published/"

struct file {
	const char *path, *text;
};

struct expected {
	const char *name;
	struct file files[6];
	struct project_params params;
	/* NULL: not looked at */
	const char *framework, *script, *lockfile, *range, *manager, *manager_range, *wish;
	const char *command; /* build_argv with spaces */
	const char *outputs; /* with spaces */
	const char *env;     /* one of build_env */
	const char *inject;
	const char *warning; /* words of one */
	enum fault_code fault;
};

#define BUILD(script, dependencies)                                                      \
	{                                                                                \
		"package.json", "{\"name\":\"@me/app\",\"scripts\":{\"build\":\"" script \
				"\"},\"dependencies\":{" dependencies "}}"               \
	}
#define WITH_BASE            \
	{                    \
		.base = BASE \
	}

/* clang-format off */
static const struct expected rows[] = {
	{ "vite", { BUILD("vite build", "\"vite\":\"8\"") }, WITH_BASE,
	  .framework = "vite", .script = "build", .command = "npm run build", .outputs = "dist",
	  .env = "PREVIEWD_BASE_ARGUMENT=--base=" BASE, .inject = "argv.cjs", .warning = "no lock file" },
	{ "vite without a base", { BUILD("vite build", "\"vite\":\"8\"") },
	  .framework = "vite", .env = "!NODE_OPTIONS" },
	{ "vite with an outDir in its script", { BUILD("tsc && vite build --outDir=\\\"site\\\" && echo", "\"vite\":\"8\"") },
	  .outputs = "site dist" },
	{ "a kit that is made of vite", { BUILD("vite build", "\"vite\":\"8\",\"@sveltejs/kit\":\"2\"") }, WITH_BASE,
	  .framework = "sveltekit", .outputs = "build", .warning = "adapter-static", .env = "!NODE_OPTIONS" },
	{ "a kit with its adapter", { BUILD("vite build", "\"@sveltejs/kit\":\"2\",\"@sveltejs/adapter-static\":\"3\""), { "package-lock.json", "{}" } },
	  .framework = "sveltekit", .warning = "!" },
	{ "a library with documentation", { { "package.json", "{\"scripts\":{\"build\":\"vite build\",\"docs:build\":\"vitepress build docs\"},"
	    "\"devDependencies\":{\"vite\":\"8\",\"vitepress\":\"1\"}}" } },
	  .framework = "vite", .script = "build" },
	{ "its documentation, by name", { { "package.json", "{\"scripts\":{\"build\":\"vite build\",\"docs:build\":\"vitepress build docs\"},"
	    "\"devDependencies\":{\"vite\":\"8\",\"vitepress\":\"1\"}}" } }, { .build_script = "docs:build", .base = BASE },
	  .framework = "vitepress", .script = "docs:build", .outputs = "docs/.vitepress/dist", .env = "PREVIEWD_PROGRAM=vitepress" },
	{ "documentation alone", { { "package.json", "{\"scripts\":{\"docs:build\":\"vitepress build\"},\"devDependencies\":{\"vitepress\":\"1\"}}" } },
	  .framework = "vitepress", .script = "docs:build", .outputs = "./.vitepress/dist" },
	{ "next", { BUILD("next build", "\"next\":\"16\",\"react\":\"19\"") }, WITH_BASE,
	  .framework = "next", .outputs = "out", .inject = "next-adapter.cjs",
	  .env = "NEXT_ADAPTER_PATH=/inject/next-adapter.cjs" },
	{ "next, base", { BUILD("next build", "\"next\":\"16\"") }, WITH_BASE, .env = "PREVIEWD_BASE=/api/apps/a/sessions/s/published" },
	{ "next without a base is exported all the same", { BUILD("next build", "\"next\":\"16\"") },
	  .env = "NEXT_ADAPTER_PATH=/inject/next-adapter.cjs", .inject = "next-adapter.cjs" },
	{ "an old next", { BUILD("next build", "\"next\":\"^15.1.0\"") }, .warning = "Next before 16" },
	{ "a new one", { BUILD("next build", "\"next\":\"~16.4\""), { "yarn.lock", "" } }, .warning = "!" },
	{ "the latest", { BUILD("next build", "\"next\":\"latest\""), { "yarn.lock", "" } }, .warning = "!" },
	{ "nuxt has a script of its own", { { "package.json", "{\"scripts\":{\"build\":\"nuxt build\",\"generate\":\"nuxt generate\"},\"dependencies\":{\"nuxt\":\"4\"}}" } }, WITH_BASE,
	  .framework = "nuxt", .script = "generate", .outputs = ".output/public dist", .env = "NUXT_APP_BASE_URL=" BASE },
	{ "nuxt without it is told to prerender", { BUILD("nuxt build", "\"nuxt\":\"4\"") },
	  .script = "build", .env = "PREVIEWD_ARGUMENT=--prerender" },
	{ "astro", { BUILD("astro check && astro build", "\"astro\":\"7\"") }, WITH_BASE, .framework = "astro", .env = "PREVIEWD_PROGRAM=astro" },
	{ "angular by its file", { { "package.json", "{\"name\":\"shop\",\"scripts\":{\"build\":\"ng build\"}}" }, { "angular.json", "{}" } }, WITH_BASE,
	  .framework = "angular", .outputs = "dist/shop/browser dist/shop dist", .env = "PREVIEWD_BASE_ARGUMENT=--base-href=" BASE },
	{ "create-react-app", { BUILD("react-scripts build", "\"react-scripts\":\"5\"") }, WITH_BASE,
	  .framework = "create-react-app", .outputs = "build", .env = "PUBLIC_URL=/api/apps/a/sessions/s/published" },
	{ "vue-cli", { BUILD("vue-cli-service build", "\"@vue/cli-service\":\"5\"") }, { .base = BASE, .inject_dir = "/tmp/i" },
	  .framework = "vue-cli", .inject = "package.json", .env = "VUE_CLI_SERVICE_CONFIG_PATH=/tmp/i/vue-cli.cjs" },
	{ "docusaurus", { BUILD("docusaurus build", "\"@docusaurus/core\":\"3\"") }, WITH_BASE,
	  .framework = "docusaurus", .outputs = "build", .inject = "docusaurus.cjs", .env = "PREVIEWD_BASE_ARGUMENT=--config=/inject/docusaurus.cjs" },
	{ "eleventy", { BUILD("npx @11ty/eleventy", "\"@11ty/eleventy\":\"3\"") }, WITH_BASE,
	  .framework = "eleventy", .outputs = "_site", .env = "PREVIEWD_BASE_ARGUMENT=--pathprefix=" BASE },
	{ "parcel", { BUILD("parcel build index.html --dist-dir public_html", "\"parcel\":\"2\"") }, WITH_BASE,
	  .framework = "parcel", .outputs = "public_html dist" },
	{ "webpack", { BUILD("webpack --mode production", "\"webpack\":\"5\"") }, WITH_BASE,
	  .framework = "webpack", .env = "PREVIEWD_BASE_ARGUMENT=--output-public-path=" BASE },
	{ "gatsby can't be told", { BUILD("gatsby build", "\"gatsby\":\"5\"") }, WITH_BASE,
	  .framework = "gatsby", .outputs = "public", .warning = "pathPrefix" },
	{ "unless it asks", { BUILD("gatsby build", "\"gatsby\":\"5\""), { "package-lock.json", "{}" },
	    { "gatsby-config.mjs", "export default { pathPrefix: process.env.PREVIEWD_BASE };" } }, WITH_BASE,
	  .warning = "!", .env = "PREVIEWD_BASE=" BASE },
	{ "and on a host of its own needn't be", { BUILD("gatsby build", "\"gatsby\":\"5\""), { "yarn.lock", "" } }, .warning = "!" },
	{ "solid-start", { BUILD("vinxi build", "\"@solidjs/start\":\"1\"") }, .framework = "solid-start", .env = "SERVER_PRESET=static" },
	{ "a build of its own", { BUILD("node build.mjs", "\"left-pad\":\"1\"") }, WITH_BASE,
	  .framework = "unknown", .script = "build", .outputs = "dist build out _site" },
	{ "vite behind a script of its own", { BUILD("node build.mjs", "\"vite\":\"8\"") }, WITH_BASE, .framework = "vite", .script = "build" },
	{ "what is asked for goes first", { BUILD("vite build", "\"vite\":\"8\"") }, { .output_dir = "web/out" }, .outputs = "web/out" },

	{ "pnpm by its lock file", { BUILD("vite build", "\"vite\":\"8\""), { "pnpm-lock.yaml", "" } },
	  .command = "pnpm run build", .lockfile = "pnpm-lock.yaml", .warning = "!" },
	{ "yarn", { BUILD("vite build", "\"vite\":\"8\""), { "yarn.lock", "" } }, .command = "yarn run build", .lockfile = "yarn.lock" },
	{ "bun", { BUILD("vite build", "\"vite\":\"8\""), { "bun.lockb", "" } }, .command = "bun run build", .lockfile = "bun.lockb" },
	{ "npm's other lock file", { BUILD("vite build", "\"vite\":\"8\""), { "npm-shrinkwrap.json", "{}" } }, .command = "npm run build", .lockfile = "npm-shrinkwrap.json" },
	{ "packageManager wins", { { "package.json", "{\"packageManager\":\"pnpm@9.1.0\",\"scripts\":{\"build\":\"x\"},\"dependencies\":{\"a\":\"1\"}}" },
	    { "package-lock.json", "{}" }, { "pnpm-lock.yaml", "" } }, .command = "pnpm run build", .lockfile = "pnpm-lock.yaml", .warning = "several package managers" },
	{ "an unknown packageManager", { { "package.json", "{\"packageManager\":\"npmx@1\",\"scripts\":{\"build\":\"x\"}}" } }, .command = "npm run build" },

	{ "npm comes with Node", { BUILD("x", "\"a\":\"1\""), { "package-lock.json", "{}" } }, .manager = "", .manager_range = "" },
	{ "pnpm by what it pins", { { "package.json", "{\"packageManager\":\"pnpm@9.15.0+sha512.0a1b\",\"scripts\":{\"build\":\"x\"}}" },
	    { "pnpm-lock.yaml", "lockfileVersion: '6.0'\n" } }, .manager = "pnpm@9.15.0", .manager_range = "9.15.0" },
	{ "pnpm that pins nothing of sense", { { "package.json", "{\"packageManager\":\"pnpm@file:../x\",\"scripts\":{\"build\":\"x\"}}" } },
	  .command = "pnpm run build", .manager = "pnpm@10", .manager_range = "" },
	{ "pnpm by devEngines", { { "package.json", "{\"devEngines\":{\"packageManager\":{\"name\":\"pnpm\",\"version\":\"^11.2.0\"}},\"scripts\":{\"build\":\"x\"}}" } },
	  .command = "pnpm run build", .manager = "pnpm@^11.2.0", .manager_range = "^11.2.0" },
	{ "pnpm 7 by its lock", { BUILD("x", "\"a\":\"1\""), { "pnpm-lock.yaml", "lockfileVersion: 5.4\n\nspecifiers:\n" } }, .manager = "pnpm@7", .manager_range = ">=6.10 <8" },
	{ "pnpm 8 by its lock", { BUILD("x", "\"a\":\"1\""), { "pnpm-lock.yaml", "lockfileVersion: '6.0'\n" } }, .manager = "pnpm@8", .manager_range = "8" },
	{ "pnpm by a lock of today", { BUILD("x", "\"a\":\"1\""), { "pnpm-lock.yaml", "lockfileVersion: '9.0'\n" } }, .manager = "pnpm@10", .manager_range = ">=9" },
	{ "yarn by its lock", { BUILD("x", "\"a\":\"1\""), { "yarn.lock", "# yarn lockfile v1\n\n\na@1:\n" } }, .manager = "yarn@1", .manager_range = "1" },
	{ "yarn 3 by its lock", { BUILD("x", "\"a\":\"1\""), { "yarn.lock", "# x\n\n__metadata:\n  version: 6\n" } },
	  .command = "yarn run build", .manager = "@yarnpkg/cli-dist@3", .manager_range = "2 || 3" },
	{ "yarn 4 by its lock", { BUILD("x", "\"a\":\"1\""), { "yarn.lock", "# x\n\n__metadata:\n  version: 8\n  cacheKey: 10c0\n" } }, .manager = "@yarnpkg/cli-dist@4", .manager_range = ">=4" },
	{ "yarn 4 by its settings", { { "package.json", "{\"packageManager\":\"yarn\",\"scripts\":{\"build\":\"x\"}}" }, { ".yarnrc.yml", "" } }, .manager = "@yarnpkg/cli-dist@4" },
	{ "yarn 4 by what it pins", { { "package.json", "{\"packageManager\":\"yarn@4.5.0\",\"scripts\":{\"build\":\"x\"}}" } }, .manager = "@yarnpkg/cli-dist@4.5.0" },
	{ "yarn 1 by what it pins", { { "package.json", "{\"packageManager\":\"yarn@1.22.19\",\"scripts\":{\"build\":\"x\"}}" } }, .manager = "yarn@1.22.19" },
	{ "bun", { BUILD("x", "\"a\":\"1\""), { "bun.lock", "{}" } }, .manager = "bun@1", .manager_range = "" },

	{ "engines", { { "package.json", "{\"scripts\":{\"build\":\"x\"},\"engines\":{\"node\":\">=18\"}}" } }, .range = ">=18" },
	{ "engines that are none", { { "package.json", "{\"scripts\":{\"build\":\"x\"},\"engines\":{\"node\":\"lts/*\"}}" } }, .range = "", .warning = "engines.node" },
	{ "engines of another type", { { "package.json", "{\"scripts\":{\"build\":\"x\"},\"engines\":[1]}" } }, .range = "" },
	{ ".nvmrc", { { "package.json", "{\"scripts\":{\"build\":\"x\"}}" }, { ".nvmrc", "v22\n" } }, .range = "", .wish = "v22" },
	{ "the framework's, as locked", { BUILD("astro build", "\"astro\":\"7\""),
	    { "package-lock.json", "{\"packages\":{\"node_modules/astro\":{\"engines\":{\"node\":\">=22.12.0\"}}}}" } }, .range = ">=22.12.0" },
	{ "the framework's, as installed", { BUILD("astro build", "\"astro\":\"7\""), { "package-lock.json", "{}" },
	    { "node_modules/astro/package.json", "{\"engines\":{\"node\":\"22.x\"}}" } }, .range = "22.x" },
	{ "both", { { "package.json", "{\"scripts\":{\"build\":\"vite build\"},\"engines\":{\"node\":\">=18\"},\"devDependencies\":{\"vite\":\"8\"}}" },
	    { "node_modules/vite/package.json", "{\"engines\":{\"node\":\"^20.19.0||>=22.12.0\"}}" } }, .range = ">=18 ^20.19.0 || >=18 >=22.12.0" },

	{ "both, one with a hyphen", { { "package.json", "{\"scripts\":{\"build\":\"vite build\"},\"engines\":{\"node\":\"18 - 24\"},\"devDependencies\":{\"vite\":\"8\"}}" },
	    { "node_modules/vite/package.json", "{\"engines\":{\"node\":\"^20.19.0||>=22.12.0\"}}" } }, .range = ">=18 <=24 ^20.19.0 || >=18 <=24 >=22.12.0" },

	{ "plain static", { { "index.html", "x" } }, .framework = "static", .script = "", .outputs = "." },
	{ "a directory of it", { { "site/index.html", "x" } }, { .output_dir = "site" }, .framework = "static", .outputs = "site" },
	{ "static beside a package.json", { { "package.json", "{\"scripts\":{\"start\":\"serve\"}}" }, { "index.html", "x" } }, .framework = "static", .script = "" },
	{ "a router that isn't told", { BUILD("vite build", "\"vite\":\"8\""), { "src/main.jsx", "<BrowserRouter>\n<App/>" } }, WITH_BASE, .warning = "src/main.jsx: the router" },
	{ "one that is", { BUILD("vite build", "\"vite\":\"8\""), { "src/main.jsx", "<BrowserRouter basename={x}>" }, { "package-lock.json", "{}" } }, WITH_BASE, .warning = "!" },
	{ "vue-router that isn't", { BUILD("vite build", "\"vite\":\"8\""), { "src/a/router.ts", "history: createWebHistory( )," } }, WITH_BASE, .warning = "src/a/router.ts" },
	{ "vue-router that is", { BUILD("vite build", "\"vite\":\"8\""), { "src/a/router.ts", "createWebHistory(import.meta.env.BASE_URL)" }, { "package-lock.json", "{}" } }, WITH_BASE, .warning = "!" },
	{ "a byte order mark", { { "package.json", "\xef\xbb\xbf{\"scripts\":{\"build\":\"x\"}}" } }, .script = "build" },

	{ "nothing", { { "README", "" } }, .fault = FAULT_NOT_A_PROJECT },
	{ "no JSON", { { "package.json", "{" } }, .fault = FAULT_BAD_PACKAGE_JSON },
	{ "no object", { { "package.json", "[]" } }, .fault = FAULT_BAD_PACKAGE_JSON },
	{ "no script", { { "package.json", "{\"scripts\":{\"dev\":\"x\"}}" } }, .fault = FAULT_NO_BUILD_SCRIPT },
	{ "no script for vite", { { "package.json", "{\"dependencies\":{\"vite\":\"8\"}}" }, { "index.html", "" } }, .fault = FAULT_NO_BUILD_SCRIPT },
	{ "not the script", { BUILD("vite build", "\"vite\":\"8\"") }, { .build_script = "make" }, .fault = FAULT_NO_BUILD_SCRIPT },
	{ "a script that is no string", { { "package.json", "{\"scripts\":{\"build\":[1]}}" } }, .fault = FAULT_NO_BUILD_SCRIPT },
};
/* clang-format on */

static void equals(const struct expected *row, const char *what, const char *is, const char *wanted)
{
	if (wanted && strcmp(is ? is : "", wanted) != 0)
		fail_msg("%s: %s is '%s', not '%s'", row->name, what, is ? is : "", wanted);
}

static void joined_equals(const struct expected *row, const char *what, char *const *is,
			  const char *wanted)
{
	char text[1024] = "";

	for (size_t i = 0; is && is[i]; i++) {
		strcat(text, i ? " " : "");
		strcat(text, is[i]);
	}
	equals(row, what, text, wanted);
}

/* "words": one of the list holds them; "!words": none does. */
static void mentions(const struct expected *row, const char *what, char *const *list,
		     const char *wanted)
{
	const bool is_wanted = wanted && wanted[0] != '!';

	if (!wanted)
		return;
	if (wanted[0] == '!' && wanted[1] == '\0')
		assert_int_equal(strv_len(list), 0);
	else if (list_mentions(list, is_wanted ? wanted : wanted + 1) != is_wanted)
		fail_msg("%s: %s: '%s'", row->name, what, wanted);
}

static bool has_inject(const struct project *p, const char *name)
{
	for (size_t i = 0; i < p->n_injects; i++)
		if (strcmp(p->injects[i].name, name) == 0)
			return strlen(p->injects[i].content) > 0;
	return false;
}

static void check(const struct expected *row)
{
	scoped(tree_done) struct tree tree = tree_make();
	scoped(project_freep) struct project *p = NULL;
	scoped(fault_done) struct fault fault = { 0 };
	int r;

	for (size_t i = 0; i < ARRAY_SIZE(row->files) && row->files[i].path; i++)
		tree_put(&tree, row->files[i].path, row->files[i].text);
	r = project_detect(tree.fd, &row->params, &p, &fault);
	if (fault.code != row->fault)
		fail_msg("%s: %s", row->name, fault.detail ? fault.detail : "taken");
	if (row->fault) {
		assert_true(r < 0 && strlen(fault.detail) > 20);
		return;
	}
	assert_int_equal(r, 0);
	equals(row, "framework", framework_name(p->framework), row->framework);
	equals(row, "script", p->script, row->script);
	equals(row, "lock file", p->lockfile, row->lockfile);
	equals(row, "range", p->node_range, row->range);
	equals(row, "wish", p->node_wish, row->wish);
	equals(row, "manager", p->manager_package, row->manager);
	equals(row, "manager's range", p->manager_range, row->manager_range);
	joined_equals(row, "command", p->build_argv, row->command);
	joined_equals(row, "outputs", p->outputs, row->outputs);
	mentions(row, "environment", p->build_env, row->env);
	mentions(row, "warnings", p->warnings, row->warning);
	if (row->inject && !has_inject(p, row->inject))
		fail_msg("%s: no inject '%s'", row->name, row->inject);
}

static void a_project_is_what_its_files_say(void **state)
{
	(void)state;
	for (size_t i = 0; i < ARRAY_SIZE(rows); i++)
		check(&rows[i]);
}

static void package_json_may_not_lead_out_of_the_project(void **state)
{
	scoped(tree_done) struct tree outside = tree_make();
	scoped(tree_done) struct tree tree = tree_make();
	const struct project_params params = { 0 };
	scoped(project_freep) struct project *p = NULL;
	scoped(fault_done) struct fault fault = { 0 };
	scoped(freep) char *target = xasprintf("%s/package.json", outside.path);

	(void)state;
	tree_put(&outside, "package.json", "{\"scripts\":{\"build\":\"x\"}}");
	tree_link(&tree, target, "package.json");
	assert_true(project_detect(tree.fd, &params, &p, &fault) < 0);
	assert_int_equal(fault.code, FAULT_BAD_PACKAGE_JSON);
}

static void nobody_waits_for_a_fifo(void **state)
{
	scoped(tree_done) struct tree tree = tree_make();
	const struct project_params params = { 0 };
	scoped(project_freep) struct project *p = NULL;
	scoped(fault_done) struct fault fault = { 0 };

	(void)state;
	assert_int_equal(mkfifoat(tree.fd, "package.json", 0644), 0);
	assert_true(project_detect(tree.fd, &params, &p, &fault) < 0);
	assert_int_equal(fault.code, FAULT_BAD_PACKAGE_JSON);
}

/* What a strategy needs is in the row, and what it names is compiled in. */
static void each_row_of_the_table_is_whole(void **state)
{
	(void)state;
	for (size_t i = 0; i < n_frameworks; i++) {
		const struct framework *f = &frameworks[i];
		scoped(strv_freep) char **injects = parse_list(f->injects ? f->injects : "", ' ');
		scoped(strv_freep) char **base_injects =
			parse_list(f->base_injects ? f->base_injects : "", ' ');

		assert_non_null(f->packages);
		assert_non_null(f->program);
		assert_non_null(f->program_packages);
		assert_non_null(f->scripts);
		assert_non_null(f->outputs);
		assert_non_null(f->dev_command);
		assert_in_range(f->dev_port, 1024, 65535);
		assert_true(f->base != BASE_ARGUMENT || f->base_argument);
		assert_true(f->base != BASE_ENV || f->base_environment);
		assert_true(f->base != BASE_WRAPPER || f->injects || f->base_injects);
		assert_true((f->base == BASE_CONFIG) == (f->below != NULL));
		assert_true(!f->needs == !f->needs_hint);
		assert_true((f->since > 0) == (f->since_hint != NULL));
		for (size_t n = 0; injects[n]; n++)
			assert_non_null(inject_text(injects[n]));
		for (size_t n = 0; base_injects[n]; n++)
			assert_non_null(inject_text(base_injects[n]));
		for (size_t n = 0; n < i; n++)
			assert_string_not_equal(f->name, frameworks[n].name);
	}
	assert_non_null(inject_text("argv.cjs"));
	assert_null(inject_text("../argv.cjs"));
}

static void a_machine_short_of_descriptors_is_blamed_and_not_the_project(void **state)
{
	const struct project_params params = { .base = BASE };
	struct tree t = tree_make();
	bool is_done = false;

	(void)state;
	tree_put(&t, "package.json",
		 "{\"scripts\":{\"build\":\"vite build\"},\"dependencies\":{\"vite\":\"8\"}}");
	tree_put(&t, "pnpm-lock.yaml", "");
	tree_put(&t, ".nvmrc", "22");
	for (unsigned n = 0; !is_done; n++) {
		struct rlimit before = leave_descriptors(n);
		scoped(project_freep) struct project *p = NULL;
		scoped(fault_done) struct fault fault = { 0 };
		int r = project_detect(t.fd, &params, &p, &fault);

		setrlimit(RLIMIT_NOFILE, &before);
		is_done = r >= 0;
		assert_true(n > 0 || !is_done);
		if (!is_done) {
			assert_string_equal(fault_slug(fault.code), "machine_failed");
			assert_non_null(strstr(fault.detail, "LimitNOFILE"));
			continue;
		}
		assert_string_equal(p->framework->name, "vite");
		assert_string_equal(p->lockfile, "pnpm-lock.yaml");
	}
	tree_done(&t);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(a_project_is_what_its_files_say),
		cmocka_unit_test(package_json_may_not_lead_out_of_the_project),
		cmocka_unit_test(nobody_waits_for_a_fifo),
		cmocka_unit_test(a_machine_short_of_descriptors_is_blamed_and_not_the_project),
		cmocka_unit_test(each_row_of_the_table_is_whole),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
