/* SPDX-License-Identifier: MIT */
/*
 * A look through the sources for routers of the browser's history that aren't told where the page
 * lies.  It goes by words, not by a parser: it may miss one, and says which file it means.
 */
#include "publish/routers.h"

#include <ctype.h>
#include <dirent.h>
#include <fcntl.h>
#include <stdbool.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "base/beneath.h"
#include "base/mem.h"
#include "base/parse.h"

#define ENTRIES_MAX  2000
#define DEPTH_MAX    6
#define SOURCE_MAX   (256 * 1024)
#define FINDINGS_MAX 4

/* clang-format off */
static const struct {
	const char *call;
	const char *told;   /* where this word is in the file, the router is told */
	const char *remedy;
} routers[] = {
	{ "<BrowserRouter", "basename", "give it basename={import.meta.env.BASE_URL} or what your bundler calls it" },
	{ "createBrowserRouter(", "basename", "give it { basename: import.meta.env.BASE_URL } or what your bundler calls it" },
	{ "createWebHistory()", NULL, "give it import.meta.env.BASE_URL or what your bundler calls it" },
	{ "createRouter({routeTree", "basepath", "give it basepath: import.meta.env.BASE_URL" },
};

static const char *const endings[] = { ".js", ".jsx", ".ts", ".tsx", ".mjs", ".vue", ".svelte" };
/* clang-format on */

struct look {
	char ***warnings;
	size_t n_entries, n_findings;
};

static bool is_source(const char *name)
{
	const size_t len = strlen(name);

	for (size_t i = 0; i < ARRAY_SIZE(endings); i++) {
		const size_t n = strlen(endings[i]);

		if (len > n && strcmp(name + len - n, endings[i]) == 0)
			return true;
	}
	return false;
}

static void drop_blanks(char *text)
{
	char *to = text;

	for (const char *from = text; *from; from++)
		if (!isspace((unsigned char)*from))
			*to++ = *from;
	*to = '\0';
}

static void look_at_file(struct look *look, int dirfd, const char *path)
{
	scoped(freep) char *text = NULL;

	if (beneath_read(dirfd, path, SOURCE_MAX, &text, NULL) < 0)
		return;
	drop_blanks(text);
	for (size_t i = 0; i < ARRAY_SIZE(routers); i++) {
		if (!strstr(text, routers[i].call) ||
		    (routers[i].told && strstr(text, routers[i].told)))
			continue;
		look->n_findings++;
		strv_add_take(
			look->warnings,
			xasprintf(
				"%s: the router isn't told the path that the page lies below, and "
				"will find no route: %s, or give the page a host of its own "
				"(publish.host_template)",
				path, routers[i].remedy));
		return;
	}
}

static void look_at_directory(struct look *look, int dirfd, const char *path, unsigned depth)
{
	scoped(closep) int fd = beneath_open_plain(dirfd, path, O_RDONLY | O_DIRECTORY);
	struct dirent *entry;
	DIR *dir;

	if (fd < 0)
		return;
	dir = fdopendir(fd);
	if (!dir)
		return;
	(void)STEAL_FD(fd);
	while ((entry = readdir(dir)) && look->n_findings < FINDINGS_MAX &&
	       ++look->n_entries <= ENTRIES_MAX) {
		scoped(freep) char *below = xasprintf("%s/%s", path, entry->d_name);

		if (entry->d_name[0] == '.' || !utf8_is_valid(below, strlen(below)))
			continue;
		if (entry->d_type == DT_REG && is_source(entry->d_name))
			look_at_file(look, dirfd, below);
		else if (entry->d_type == DT_DIR && depth < DEPTH_MAX)
			look_at_directory(look, dirfd, below, depth + 1);
	}
	closedir(dir);
}

void routers_check(int dirfd, char ***warnings)
{
	static const char *const places[] = { "src", "app" };
	struct look look = { .warnings = warnings };

	for (size_t i = 0; i < ARRAY_SIZE(places); i++)
		look_at_directory(&look, dirfd, places[i], 0);
}
