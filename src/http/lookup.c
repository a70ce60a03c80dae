/* SPDX-License-Identifier: MIT */
/*
 * From a path to a file of the manifest.  What comes first is what static site generators of all
 * kinds expect: the file itself, then that with .html (Next writes both about.html and about/),
 * then the directory's index.
 */
#include <limits.h>
#include <stdio.h>
#include <string.h>

#include "http/static_priv.h"

/* Published paths are no longer, so a longer one is nobody's. */
#define PUBLISHED_PATH_MAX (2 * PATH_MAX)

/* Nor deeper: whoever sends a path of thousands of directories doesn't have each looked at. */
#define PUBLISHED_DEPTH_MAX 64

static const struct manifest_file *find(const struct manifest *m, const char *path, size_t len,
					const char *suffix)
{
	char full[PUBLISHED_PATH_MAX];
	int n = snprintf(full, sizeof(full), "%.*s%s", (int)len, path, suffix);

	return n > 0 && (size_t)n < sizeof(full) ? manifest_find(m, full) : NULL;
}

static struct static_found found(const struct manifest_file *file)
{
	return (struct static_found){ .file = file };
}

struct static_found static_lookup(const struct manifest *m, const char *path, bool trailing_slash)
{
	size_t len = strlen(path);
	const struct manifest_file *file;

	if (len == 0)
		return found(manifest_find(m, "index.html"));
	if (len >= PUBLISHED_PATH_MAX)
		return found(NULL);

	if (trailing_slash) {
		file = find(m, path, len, "/index.html");
		if (!file && find(m, path, len, ".html"))
			return (struct static_found){ .redirect = STATIC_DROP_SLASH };
		return found(file);
	}
	file = manifest_find(m, path);
	if (!file)
		file = find(m, path, len, ".html");
	if (!file && find(m, path, len, "/index.html"))
		return (struct static_found){ .redirect = STATIC_ADD_SLASH };
	return found(file);
}

const struct manifest_file *static_nearest_404(const struct manifest *m, const char *path)
{
	size_t len = 0;

	for (unsigned depth = 0; path[len] && depth <= PUBLISHED_DEPTH_MAX; len++)
		depth += path[len] == '/';
	if (len >= PUBLISHED_PATH_MAX)
		len = 0;
	for (;;) {
		const struct manifest_file *file;

		while (len > 0 && path[len - 1] != '/')
			len--;
		file = find(m, path, len, "404.html");
		if (file || len == 0)
			return file;
		len--;
	}
}

const char *static_collapse(const char *path, const char *prefix)
{
	size_t len;

	/* the slash that the prefix begins with is the one it ended with the first time */
	prefix += *prefix == '/';
	len = strlen(prefix);
	while (len > 0 && strncmp(path, prefix, len) == 0)
		path += len;
	return path;
}
