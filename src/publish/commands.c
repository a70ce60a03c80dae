/* SPDX-License-Identifier: MIT */
/*
 * The command lines of installations and builds, one row a package manager.
 *
 * What they keep for themselves goes below .previewd-cache in the directory they install in, which
 * is counted with it and removed after.
 */
#include <assert.h>
#include <string.h>

#include "base/mem.h"
#include "publish/publisher_priv.h"

#define CACHE     ".previewd-cache"
#define CA_BUNDLE "/etc/ssl/certs/ca-certificates.crt"

void command_done(struct command *c)
{
	for (size_t i = 0; i < c->n_owned; i++)
		free(c->owned[i]);
	*c = (struct command){ 0 };
}

static void add_arg(struct command *c, const char *arg)
{
	if (c->n_argv + 1 < ARRAY_SIZE(c->argv))
		c->argv[c->n_argv++] = arg;
}

static void add_args(struct command *c, const char *const *args)
{
	for (; *args; args++)
		add_arg(c, *args);
}

static void add_env(struct command *c, const char *variable)
{
	if (c->n_environ + 1 < ARRAY_SIZE(c->environ_))
		c->environ_[c->n_environ++] = variable;
}

static void add_common(struct command *c)
{
	static const char *const variables[] = {
		"CI=1",
		"NO_COLOR=1",
		"FORCE_COLOR=0",
		"TERM=dumb",
		"npm_config_update_notifier=false",
		"npm_config_audit=false",
		"npm_config_fund=false",
		"npm_config_progress=false",
		"NEXT_TELEMETRY_DISABLED=1",
		"ASTRO_TELEMETRY_DISABLED=1",
		"NUXT_TELEMETRY_DISABLED=1",
		"GATSBY_TELEMETRY_DISABLED=1",
		"DO_NOT_TRACK=1",
		"BROWSER=none",
		/* what the host trusts: registries of one's own, proxies that look inside */
		"NODE_EXTRA_CA_CERTS=" CA_BUNDLE,
		"npm_config_cafile=" CA_BUNDLE,
	};

	for (size_t i = 0; i < ARRAY_SIZE(variables); i++)
		add_env(c, variables[i]);
}

/* What keeps a manager from fetching another version of itself, or installing before a script. */
static void add_manager(struct command *c, enum package_manager kind)
{
	static const char *const pnpm[] = {
		"npm_config_manage_package_manager_versions=false",
		"npm_config_package_manager_strict=false",
		"npm_config_verify_deps_before_run=false",
		/* as they are called from 11 on */
		"pnpm_config_pm_on_fail=ignore",
		"pnpm_config_verify_deps_before_run=false",
	};

	for (size_t i = 0; kind == PM_PNPM && i < ARRAY_SIZE(pnpm); i++)
		add_env(c, pnpm[i]);
	if (kind == PM_BERRY)
		add_env(c, "YARN_ENABLE_TELEMETRY=0");
}

static void add_cache(struct command *c, const char *variable, const char *root, const char *name)
{
	char *text = xasprintf("%s=%s/" CACHE "/%s", variable, root, name);

	assert(c->n_owned < ARRAY_SIZE(c->owned));
	c->owned[c->n_owned++] = text;
	add_env(c, text);
}

struct manager {
	const char *const locked[8];
	const char *const unlocked[8];
	const char *const no_scripts; /* an argument */
};

static const struct manager managers[] = {
	[PM_NPM] = {
		.locked = { "npm", "ci", "--no-audit", "--no-fund", NULL },
		.unlocked = { "npm", "install", "--no-audit", "--no-fund", "--prefer-offline", NULL },
		.no_scripts = "--ignore-scripts",
	},
	[PM_PNPM] = {
		.locked = { "pnpm", "install", "--frozen-lockfile", "--store-dir", CACHE "/pnpm", NULL },
		.unlocked = { "pnpm", "install", "--no-frozen-lockfile", "--store-dir", CACHE "/pnpm", NULL },
		.no_scripts = "--ignore-scripts",
	},
	[PM_YARN] = {
		.locked = { "yarn", "install", "--frozen-lockfile", "--non-interactive", "--cache-folder", CACHE "/yarn", NULL },
		.unlocked = { "yarn", "install", "--non-interactive", "--cache-folder", CACHE "/yarn", NULL },
		.no_scripts = "--ignore-scripts",
	},
	[PM_BERRY] = {
		.locked = { "yarn", "install", "--immutable", NULL },
		.unlocked = { "yarn", "install", "--no-immutable", NULL },
		.no_scripts = "--mode=skip-build",
	},
	[PM_BUN] = {
		.locked = { "bun", "install", "--frozen-lockfile", NULL },
		.unlocked = { "bun", "install", NULL },
		.no_scripts = "--ignore-scripts",
	},
};

/*
 * The manager itself, of its own version.  Some put their program in place by a script: that one is
 * run, and no other.
 */
void command_manager(struct command *c, const struct build *b, const char *root)
{
	static const char script[] =
		"npm install --no-audit --no-fund --no-save --ignore-scripts --omit=dev \"$0\" && "
		"if [ -f \"node_modules/$1/install.js\" ]; then cd \"node_modules/$1\" && node "
		"install.js; fi";
	const char *package = b->project->manager_package;
	const char *const argv[] = { "/bin/sh", "-c", script, package, NULL };
	char *name = xstrndup(package, (size_t)(strrchr(package, '@') - package));

	*c = (struct command){ 0 };
	c->owned[c->n_owned++] = name;
	add_args(c, argv);
	add_arg(c, name);
	c->owned[c->n_owned] = xasprintf("npm install %s", package);
	c->shown = c->owned[c->n_owned++];
	add_common(c);
	add_cache(c, "npm_config_cache", root, "npm");
}

void command_install(struct command *c, const struct build *b, bool locked)
{
	enum package_manager m = b->project->manager == PM_NONE ? PM_NPM : b->project->manager;
	const struct manager *manager = &managers[m];

	*c = (struct command){ 0 };
	add_args(c, locked ? manager->locked : manager->unlocked);
	if (!b->publisher->settings->publish_install_scripts)
		add_arg(c, manager->no_scripts);
	add_common(c);
	add_manager(c, m);
	add_cache(c, "npm_config_cache", b->key ? "/build" : b->root, "npm");
	add_cache(c, "BUN_INSTALL_CACHE_DIR", b->key ? "/build" : b->root, "bun");
	add_cache(c, "YARN_GLOBAL_FOLDER", b->key ? "/build" : b->root, "yarn");
}

void command_build(struct command *c, const struct build *b)
{
	*c = (struct command){ 0 };
	add_args(c, (const char *const *)b->project->build_argv);
	add_common(c);
	add_manager(c, b->project->manager);
	add_cache(c, "npm_config_cache", b->root, "npm");
	add_cache(c, "YARN_GLOBAL_FOLDER", b->root, "yarn");
	add_env(c, "NODE_ENV=production");
	for (char **variable = b->project->build_env; variable && *variable; variable++)
		add_env(c, *variable);
}

static bool has(const char *text, size_t len, const char *what)
{
	return memmem(text, len, what, strlen(what)) != NULL;
}

bool output_refuses_lock(const char *output, size_t len)
{
	static const char *const signs[] = {
		"`npm ci` can only install packages",
		"EUSAGE",
		"ERR_PNPM_OUTDATED_LOCKFILE",
		"ERR_PNPM_LOCKFILE_BREAKING_CHANGE",
		"Your lockfile needs to be updated",
		"lockfile had changes, but lockfile is frozen",
		"The lockfile would have been",
	};

	for (size_t i = 0; i < ARRAY_SIZE(signs); i++)
		if (has(output, len, signs[i]))
			return true;
	return false;
}
