/* SPDX-License-Identifier: MIT */
/*
 * Which package manager, and which version of it: that of the project's own choice, else one that
 * reads its lock file.
 */
#include "publish/manager.h"

#include <errno.h>
#include <fcntl.h>
#include <limits.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "base/beneath.h"
#include "base/files.h"
#include "base/json.h"
#include "base/mem.h"
#include "base/parse.h"
#include "publish/noderange.h"

#define LOCKFILE_MAX (32 * 1024 * 1024)
#define PACKAGE_MAX  (1024 * 1024)
#define VERSION_MAX  128
#define LEVELS_MAX   4 /* from a program up to its package.json */

/* clang-format off */
static const struct {
	const char *name;
	enum package_manager kind;
} lockfiles[] = {
	{ "pnpm-lock.yaml", PM_PNPM },
	{ "yarn.lock", PM_YARN },
	{ "bun.lock", PM_BUN },
	{ "bun.lockb", PM_BUN },
	{ "package-lock.json", PM_NPM },
	{ "npm-shrinkwrap.json", PM_NPM },
};

static const struct {
	const char *name;
	const char *package; /* of the registry; NULL: Node brings it */
	const char *version; /* of that one, where neither the project nor its lock file says more */
} kinds[] = {
	[PM_NONE] = { "npm", NULL, NULL },
	[PM_NPM] = { "npm", NULL, NULL },
	[PM_PNPM] = { "pnpm", "pnpm", "10" },
	[PM_YARN] = { "yarn", "yarn", "1" },
	[PM_BERRY] = { "yarn", "@yarnpkg/cli-dist", "4" },
	[PM_BUN] = { "bun", "bun", "1" },
};

/* What reads a lock file of this version, up to the next row's. */
static const struct {
	enum package_manager kind;
	unsigned from;
	const char *range, *version;
} readers[] = {
	{ PM_PNPM, 5, ">=6.10 <8", "7" },
	{ PM_PNPM, 6, "8", "8" },
	{ PM_PNPM, 9, ">=9", "10" },
	{ PM_YARN, 1, "1", "1" },
	{ PM_BERRY, 4, "2 || 3", "3" },
	{ PM_BERRY, 7, ">=4", "4" },
};
/* clang-format on */

const char *manager_name(enum package_manager kind)
{
	return kinds[kind].name;
}

static bool is_there(int dirfd, const char *name)
{
	scoped(closep) int fd = beneath_open(dirfd, name, O_PATH);

	return fd >= 0;
}

static enum package_manager kind_of(const char *name)
{
	for (enum package_manager kind = PM_NPM; kind < ARRAY_SIZE(kinds); kind++)
		if (kind != PM_BERRY && strcmp(kinds[kind].name, name) == 0)
			return kind;
	return PM_NONE;
}

static void choose_lockfile(int dirfd, struct manager *m)
{
	for (size_t i = 0; i < ARRAY_SIZE(lockfiles); i++) {
		if (!is_there(dirfd, lockfiles[i].name))
			continue;
		if (m->kind == PM_NONE)
			m->kind = lockfiles[i].kind;
		if (m->kind != lockfiles[i].kind)
			m->is_ambiguous = true;
		else if (!m->lockfile)
			m->lockfile = lockfiles[i].name;
	}
}

/* The number behind `key` at the beginning of a line, or 0. */
static unsigned number_behind(const char *text, const char *key)
{
	const size_t len = strlen(key);

	for (const char *at = text; (at = strstr(at, key)); at++)
		if (at == text || at[-1] == '\n')
			return (unsigned)strtoul(at + len + strspn(at + len, " '\""), NULL, 10);
	return 0;
}

/* The version of the lock file's own format, or 0; yarn's says which of the two it is of. */
static unsigned lock_version(int dirfd, struct manager *m)
{
	scoped(freep) char *text = NULL;

	if (!m->lockfile || beneath_read(dirfd, m->lockfile, LOCKFILE_MAX, &text, NULL) < 0)
		return 0;
	if (m->kind == PM_PNPM)
		return number_behind(text, "lockfileVersion:");
	if (m->kind != PM_YARN)
		return 0;
	if (!strstr(text, "\n__metadata:"))
		return 1;
	m->kind = PM_BERRY;
	return number_behind(text, "  version:");
}

static bool is_wish(const char *version)
{
	return *version && strlen(version) <= VERSION_MAX && *version != '-' &&
	       node_range_is_valid(version);
}

/* The project's own word: "pnpm@10.34.8+sha512.…", or devEngines' name and range. */
static bool read_wish(const struct package *p, struct manager *m, char **ret_version)
{
	const char *field = package_manager_field(p), *name, *version;
	scoped(freep) char *before = NULL;

	if (field) {
		before = xstrndup(field, strcspn(field, "@"));
		name = before;
		version = strchr(field, '@');
		version = version ? version + 1 : "";
	} else {
		package_manager_engine(p, &name, &version);
	}
	if (name)
		m->kind = kind_of(name);
	if (!name || m->kind == PM_NONE || !version)
		return false;
	*ret_version = xstrndup(version, strcspn(version, "+"));
	if (is_wish(*ret_version))
		return true;
	free(STEAL(*ret_version));
	return false;
}

static bool is_berry(const char *version)
{
	const char *number = version + strcspn(version, "0123456789");

	return strtoul(number, NULL, 10) >= 2;
}

static void set_version(struct manager *m, const char *range, const char *version)
{
	m->range = xstrdup_null(range);
	if (kinds[m->kind].package)
		m->package = xasprintf("%s@%s", kinds[m->kind].package, version);
}

static void set_by_lock(struct manager *m, unsigned lock)
{
	const char *range = NULL, *version = kinds[m->kind].version;

	for (size_t i = 0; lock > 0 && i < ARRAY_SIZE(readers); i++) {
		if (readers[i].kind == m->kind && lock >= readers[i].from) {
			range = readers[i].range;
			version = readers[i].version;
		}
	}
	set_version(m, range, version);
}

void manager_find(const struct package *p, int dirfd, struct manager *ret)
{
	scoped(freep) char *wish = NULL;
	bool is_wished;
	unsigned lock;

	*ret = (struct manager){ 0 };
	is_wished = read_wish(p, ret, &wish);
	choose_lockfile(dirfd, ret);
	if (ret->kind == PM_NONE && p)
		ret->kind = PM_NPM;
	lock = lock_version(dirfd, ret);
	if (ret->kind == PM_YARN && !ret->lockfile && is_there(dirfd, ".yarnrc.yml"))
		ret->kind = PM_BERRY;
	if (is_wished && (ret->kind == PM_YARN || ret->kind == PM_BERRY))
		ret->kind = is_berry(wish) ? PM_BERRY : PM_YARN;
	if (is_wished)
		set_version(ret, wish, wish);
	else
		set_by_lock(ret, lock);
}

void manager_done(struct manager *m)
{
	free(m->range);
	free(m->package);
	*m = (struct manager){ 0 };
}

/* --- what is installed */

static bool is_beneath(const char *path, const char *place)
{
	const size_t len = strlen(place);

	return strncmp(path, place, len) == 0 && path[len] == '/';
}

/* Of the package that a program belongs to, or NULL. */
static char *version_of(const char *program)
{
	scoped(freep) char *place = xstrdup(program);

	for (unsigned level = 0; level < LEVELS_MAX; level++) {
		char *slash = strrchr(place, '/');
		scoped(freep) char *path = NULL, *text = NULL;
		scoped(json_freep) cJSON *package = NULL;

		if (!slash || slash == place)
			return NULL;
		*slash = '\0';
		path = xasprintf("%s/package.json", place);
		if (read_file_at(AT_FDCWD, path, PACKAGE_MAX, &text, NULL) < 0)
			continue;
		package = cJSON_Parse(text);
		if (json_string(package, "version"))
			return xstrdup(json_string(package, "version"));
	}
	return NULL;
}

static bool fits(const char *program, const char *range, const char *node)
{
	char path[PATH_MAX];
	scoped(freep) char *version = NULL;

	if (access(program, X_OK) < 0 || !realpath(program, path) || strstr(path, "/corepack/") ||
	    (!is_beneath(path, "/usr") && !is_beneath(path, node)))
		return false;
	if (!range)
		return true;
	version = version_of(path);
	return version && node_version_is_valid(version) && node_range_has(range, version);
}

bool manager_is_installed(enum package_manager kind, const char *range, const char *node)
{
	const char *const places[] = { node, "/usr/local", "/usr" };

	/* Node's own is good for all of its lock files. */
	if (!kinds[kind].package)
		range = NULL;
	for (size_t i = 0; i < ARRAY_SIZE(places); i++) {
		scoped(freep) char *program = xasprintf("%s/bin/%s", places[i], kinds[kind].name);

		if (access(program, X_OK) == 0)
			return fits(program, range, node);
	}
	return false;
}
