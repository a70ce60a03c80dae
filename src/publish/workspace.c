/* SPDX-License-Identifier: MIT */
/*
 * What npm, yarn and pnpm take for a workspace: "workspaces" of package.json, or "packages" of
 * pnpm-workspace.yaml.  Of YAML that is as much as pnpm's own documentation shows.
 */
#include "publish/workspace.h"

#include <ctype.h>
#include <dirent.h>
#include <errno.h>
#include <fcntl.h>
#include <fnmatch.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "base/beneath.h"
#include "base/json.h"
#include "base/mem.h"
#include "base/parse.h"

#define SETTINGS_MAX (1024 * 1024)
#define DEPTH_MAX    8
#define INPUTS_MAX   400
#define PACKAGES_MAX 64
#define PATTERNS_MAX 1000
#define ENTRIES_MAX  50000

struct list {
	char **items;
	size_t n;
};

static void list_add(struct list *l, const char *text, size_t len)
{
	l->items = xrealloc(l->items, (l->n + 2) * sizeof(*l->items));
	l->items[l->n++] = xstrndup(text, len);
	l->items[l->n] = NULL;
}

/* Without "./" before, "/" behind and quotes around. */
static void add_pattern(struct list *l, const char *text, size_t len)
{
	const bool is_not = len > 0 && *text == '!';
	scoped(freep) char *pattern = NULL;

	text += is_not;
	len -= is_not;
	while (len >= 2 && strncmp(text, "./", 2) == 0) {
		text += 2;
		len -= 2;
	}
	while (len > 0 && text[len - 1] == '/')
		len--;
	/* One more, so that it can be told. */
	if (len == 0 || l->n > PATTERNS_MAX)
		return;
	pattern = xasprintf("%s%.*s", is_not ? "!" : "", (int)len, text);
	list_add(l, pattern, strlen(pattern));
}

static void add_of_json(struct list *l, const cJSON *package)
{
	const cJSON *list = cJSON_GetObjectItemCaseSensitive(package, "workspaces"), *one;

	if (cJSON_IsObject(list))
		list = cJSON_GetObjectItemCaseSensitive(list, "packages");
	if (!cJSON_IsArray(list))
		return;
	cJSON_ArrayForEach(one, list)
	{
		if (cJSON_IsString(one))
			add_pattern(l, one->valuestring, strlen(one->valuestring));
	}
}

/* The scalar at `at`, plain or quoted; returns what is behind it. */
static const char *add_scalar(struct list *l, const char *at, const char *ends)
{
	char quote = '\0';
	size_t len;

	at += strspn(at, " \t,");
	if (*at == '"' || *at == '\'')
		quote = *at++;
	len = quote ? strcspn(at, (const char[]){ quote, '\n', '\0' }) : strcspn(at, ends);
	add_pattern(l, at, len);
	return at + len + (quote && at[len] == quote);
}

/* "packages:" and the list behind it, in either of its forms. */
static void add_of_yaml(struct list *l, const char *text)
{
	static const char key[] = "packages:";
	const char *at = text;

	while ((at = strstr(at, key)) && at > text && at[-1] != '\n')
		at++;
	if (!at)
		return;
	at += strlen(key);
	at += strspn(at, " \t");
	if (*at == '[') {
		for (at++; *at && *at != ']'; at += strspn(at, " \t\r\n,"))
			at = add_scalar(l, at, ",] \r\n");
		return;
	}
	for (at = strchr(at, '\n'); at; at = strchr(at, '\n')) {
		at += strspn(at, " \t\r\n");
		if (*at == '#')
			continue;
		if (at[0] != '-' || at[1] != ' ')
			return;
		at = add_scalar(l, at + 1, " #\r\n");
	}
}

char **workspace_patterns(int dirfd)
{
	scoped(freep) char *yaml = NULL, *text = NULL;
	scoped(json_freep) cJSON *package = NULL;
	struct list l = { 0 };

	if (beneath_read(dirfd, "pnpm-workspace.yaml", SETTINGS_MAX, &yaml, NULL) >= 0)
		add_of_yaml(&l, yaml);
	if (!l.items && beneath_read(dirfd, "package.json", SETTINGS_MAX, &text, NULL) >= 0) {
		package = cJSON_Parse(text);
		add_of_json(&l, package);
	}
	return l.items;
}

/* A star is of one name, two are of any number. */
static bool matches(const char *pattern, const char *path)
{
	return fnmatch(pattern, path, (strstr(pattern, "**") ? 0 : FNM_PATHNAME) | FNM_PERIOD) == 0;
}

bool workspace_has(char *const *patterns, const char *path)
{
	bool has = false;

	for (; patterns && *patterns; patterns++) {
		if ((*patterns)[0] != '!')
			has = has || matches(*patterns, path);
		else if (matches(*patterns + 1, path))
			return false;
	}
	return has;
}

/*
 * What is read.
 */
struct look {
	int dirfd;
	struct list inputs, packages;
	char **patterns;
	size_t n_entries;
	bool is_too_much;
};

typedef void look_fn(struct look *look, const char *path, bool is_directory, unsigned depth);

static void each_entry(struct look *look, const char *path, unsigned depth, look_fn *fn)
{
	const int fd = beneath_open_plain(look->dirfd, path, O_RDONLY | O_DIRECTORY);
	DIR *dir = fd < 0 ? NULL : fdopendir(fd);
	struct dirent *entry;

	if (!dir) {
		if (fd >= 0)
			close(fd);
		return;
	}
	while ((entry = readdir(dir)) && !look->is_too_much) {
		scoped(freep) char *below = strcmp(path, ".") == 0
						    ? xstrdup(entry->d_name)
						    : xasprintf("%s/%s", path, entry->d_name);

		if (strcmp(entry->d_name, ".") == 0 || strcmp(entry->d_name, "..") == 0)
			continue;
		if (++look->n_entries > ENTRIES_MAX)
			look->is_too_much = true;
		else if (entry->d_type == DT_REG || entry->d_type == DT_DIR)
			fn(look, below, entry->d_type == DT_DIR, depth);
	}
	closedir(dir);
}

static void add_input(struct look *look, const char *path)
{
	list_add(&look->inputs, path, strlen(path));
	if (look->inputs.n > INPUTS_MAX)
		look->is_too_much = true;
}

static void on_any(struct look *look, const char *path, bool is_directory, unsigned depth)
{
	if (!is_directory)
		add_input(look, path);
	else if (depth < DEPTH_MAX)
		each_entry(look, path, depth + 1, on_any);
}

static void on_package(struct look *look, const char *path, bool is_directory, unsigned depth)
{
	const char *slash = strrchr(path, '/');
	const char *name = slash ? slash + 1 : path;
	scoped(freep) char *place = slash ? xstrndup(path, (size_t)(slash - path)) : NULL;

	if (is_directory) {
		if (depth < DEPTH_MAX && name[0] != '.' && strcmp(name, "node_modules") != 0)
			each_entry(look, path, depth + 1, on_package);
		return;
	}
	if (!place || strcmp(name, "package.json") != 0 || !workspace_has(look->patterns, place))
		return;
	/* The store has them one a line, and lists lose blanks around what is in them. */
	if (strpbrk(place, " \t\r\n"))
		look->is_too_much = true;
	add_input(look, path);
	list_add(&look->packages, place, strlen(place));
	if (look->packages.n > PACKAGES_MAX)
		look->is_too_much = true;
}

static void add_settings(struct look *look, const char *lockfile)
{
	const char *const files[] = { "package.json",
				      ".npmrc",
				      ".yarnrc",
				      ".yarnrc.yml",
				      "pnpm-workspace.yaml",
				      ".pnpmfile.cjs",
				      ".pnpmfile.mjs",
				      "bunfig.toml",
				      lockfile };
	static const char *const directories[] = { "patches", ".yarn/patches", ".yarn/plugins",
						   ".yarn/releases" };

	for (size_t i = 0; i < ARRAY_SIZE(files); i++) {
		scoped(closep) int fd =
			files[i] ? beneath_open_plain(look->dirfd, files[i], O_PATH) : -1;

		if (fd >= 0)
			add_input(look, files[i]);
	}
	for (size_t i = 0; i < ARRAY_SIZE(directories); i++)
		each_entry(look, directories[i], 0, on_any);
}

static int by_name(const void *a, const void *b)
{
	return strcmp(*(char *const *)a, *(char *const *)b);
}

static void sort(struct list *l)
{
	if (l->items)
		qsort(l->items, l->n, sizeof(*l->items), by_name);
}

char **workspace_inputs(int dirfd, const char *lockfile, char ***ret_packages)
{
	scoped(strv_freep) char **patterns = workspace_patterns(dirfd);
	struct look look = { .dirfd = dirfd, .patterns = patterns };

	add_settings(&look, lockfile);
	look.is_too_much |= patterns && strv_len(patterns) > PATTERNS_MAX;
	if (patterns)
		each_entry(&look, ".", 0, on_package);
	if (look.is_too_much) {
		strv_free(look.inputs.items);
		strv_free(look.packages.items);
		return NULL;
	}
	sort(&look.inputs);
	sort(&look.packages);
	*ret_packages = look.packages.items ? look.packages.items : strv_copy(NULL);
	return look.inputs.items;
}
