/* SPDX-License-Identifier: MIT */
/*
 * package.json, and what lies beside it: lock files, what is installed.  All of it comes from
 * somebody else: it is read beneath the directory, up to a size, and a member of another type than
 * it should have is as good as missing.
 */
#include "publish/package.h"

#include <errno.h>
#include <fcntl.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "base/beneath.h"
#include "base/json.h"
#include "base/mem.h"
#include "base/strbuf.h"

#define PACKAGE_JSON_MAX (1024 * 1024)
#define LOCKFILE_MAX     (32 * 1024 * 1024)
#define SCRIPT_NAMES_MAX 1024
#define BYTE_ORDER_MARK  "\xef\xbb\xbf"

struct package {
	cJSON *json;
};

static const char *const dependency_kinds[] = { "dependencies", "devDependencies",
						"optionalDependencies" };

/* An object, or NULL where there is no such file or it is no object. */
static int read_object(int dirfd, const char *path, size_t max, cJSON **ret, struct fault *reterr)
{
	scoped(json_freep) cJSON *json = NULL;
	scoped(freep) char *text = NULL;
	const char *start;
	size_t len;
	int r = beneath_read(dirfd, path, max, &text, &len);

	if (r < 0)
		return r;

	/* npm and node read over it. */
	start = text;
	if (len >= 3 && memcmp(start, BYTE_ORDER_MARK, 3) == 0) {
		start += 3;
		len -= 3;
	}
	r = json_parse(start, len, &json, reterr);
	if (r < 0)
		return r;
	if (!cJSON_IsObject(json))
		return fault_set(reterr, FAULT_BAD_JSON, "It is no object");

	*ret = STEAL(json);
	return 0;
}

int package_read(int dirfd, struct package **ret, struct fault *reterr)
{
	scoped(fault_done) struct fault fault = { 0 };
	cJSON *json = NULL;
	int r = read_object(dirfd, "package.json", PACKAGE_JSON_MAX, &json, &fault);

	*ret = NULL;
	if (r == -ENOENT)
		return 0;
	if (fault.code)
		return fault_set(reterr, FAULT_BAD_PACKAGE_JSON, "package.json: %s", fault.detail);
	if (r == -EXDEV || r == -ELOOP)
		return fault_set(reterr, FAULT_BAD_PACKAGE_JSON,
				 "package.json is a link that leaves the project");
	if (r == -EMSGSIZE)
		return fault_set(reterr, FAULT_BAD_PACKAGE_JSON,
				 "package.json is larger than %d bytes", PACKAGE_JSON_MAX);
	if (r < 0)
		return fault_set_errno(reterr, FAULT_BAD_PACKAGE_JSON, r,
				       "package.json cannot be read");

	*ret = xcalloc(1, sizeof(**ret));
	(*ret)->json = json;
	return 0;
}

struct package *package_free(struct package *p)
{
	if (p)
		cJSON_Delete(p->json);
	free(p);
	return NULL;
}

static const cJSON *member(const cJSON *object, const char *name)
{
	return cJSON_GetObjectItemCaseSensitive(object, name);
}

const char *package_name(const struct package *p)
{
	const char *name = p ? json_string(p->json, "name") : NULL;
	const char *slash = name ? strchr(name, '/') : NULL;

	return slash ? slash + 1 : name;
}

const char *package_script(const struct package *p, const char *name)
{
	return p ? json_string(member(p->json, "scripts"), name) : NULL;
}

const char *package_engine(const struct package *p)
{
	return p ? json_string(member(p->json, "engines"), "node") : NULL;
}

char *package_script_names(const struct package *p)
{
	scoped(strbuf_done) struct strbuf names = strbuf_init(SCRIPT_NAMES_MAX);
	const cJSON *script;

	const cJSON *scripts = p ? member(p->json, "scripts") : NULL;

	cJSON_ArrayForEach(script, scripts)
	{
		/* One that doesn't fit leaves those before it. */
		if (script->string && names.len + strlen(script->string) + 2 < SCRIPT_NAMES_MAX)
			strbuf_printf(&names, "%s%s", names.len ? ", " : "", script->string);
	}
	return xstrdup(strbuf_str(&names));
}

bool package_depends_on(const struct package *p, const char *name)
{
	for (size_t i = 0; p && i < ARRAY_SIZE(dependency_kinds); i++)
		if (member(member(p->json, dependency_kinds[i]), name))
			return true;
	return false;
}

unsigned package_dependency_major(const struct package *p, const char *name)
{
	for (size_t i = 0; p && i < ARRAY_SIZE(dependency_kinds); i++) {
		const char *range = json_string(member(p->json, dependency_kinds[i]), name);
		const char *number = range ? range + strspn(range, "^~>=v ") : NULL;

		if (number && *number >= '1' && *number <= '9')
			return (unsigned)strtoul(number, NULL, 10);
	}
	return 0;
}

bool package_has_dependencies(const struct package *p)
{
	for (size_t i = 0; p && i < ARRAY_SIZE(dependency_kinds); i++) {
		const cJSON *list = member(p->json, dependency_kinds[i]);

		if (cJSON_IsObject(list) && list->child)
			return true;
	}
	return false;
}

const char *package_manager_field(const struct package *p)
{
	return p ? json_string(p->json, "packageManager") : NULL;
}

void package_manager_engine(const struct package *p, const char **ret_name, const char **ret_range)
{
	const cJSON *engine = p ? member(member(p->json, "devEngines"), "packageManager") : NULL;

	if (cJSON_IsArray(engine))
		engine = cJSON_GetArrayItem(engine, 0);
	*ret_name = engine ? json_string(engine, "name") : NULL;
	*ret_range = engine ? json_string(engine, "version") : NULL;
}

static char *engine_of(const cJSON *package)
{
	return xstrdup_null(json_string(member(package, "engines"), "node"));
}

char *dependency_engine(int dirfd, const char *name)
{
	scoped(freep) char *path = xasprintf("node_modules/%s/package.json", name);
	scoped(freep) char *key = xasprintf("node_modules/%s", name);
	scoped(json_freep) cJSON *installed = NULL;
	scoped(json_freep) cJSON *lock = NULL;

	if (read_object(dirfd, path, PACKAGE_JSON_MAX, &installed, NULL) == 0)
		return engine_of(installed);
	if (read_object(dirfd, "package-lock.json", LOCKFILE_MAX, &lock, NULL) == 0)
		return engine_of(member(member(lock, "packages"), key));
	return NULL;
}
