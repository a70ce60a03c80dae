/* SPDX-License-Identifier: MIT */
/*
 * The end of an installation, in a helper thread: what was installed is made ready for the store.
 */
#include <errno.h>
#include <fcntl.h>
#include <stdio.h>

#include "base/files.h"
#include "base/mem.h"
#include "base/trees.h"
#include "publish/publisher_priv.h"

#define CACHE_DIR      ".previewd-cache" /* of commands.c */
#define OPEN_DIRECTORY (O_RDONLY | O_DIRECTORY | O_NOFOLLOW | O_CLOEXEC)

/* "$app" is SvelteKit's. */
const char *const module_places[] = { ".vite", ".vite-temp", ".cache", "$app", NULL };

struct settle *settle_new(int state_fd, const char *path)
{
	struct settle *s = xcalloc(1, sizeof(*s));

	s->state_fd = state_fd;
	s->path = xstrdup(path);
	return s;
}

void settle_free(void *arg)
{
	struct settle *s = arg;

	free(s->path);
	free(s);
}

/* Nothing is left beside node_modules/, which has the places for what builds write in it. */
int settle_work(void *input)
{
	static const char *const left[] = {
		CACHE_DIR,  "package.json", "package-lock.json", "npm-shrinkwrap.json",
		".npmrc",   "yarn.lock",    "pnpm-lock.yaml",    "bun.lock",
		"bun.lockb"
	};
	struct settle *s = input;
	scoped(closep) int fd = openat(s->state_fd, s->path, OPEN_DIRECTORY), modules = -1;
	char size[32];
	int r = 0, len;

	if (fd < 0)
		return -errno;
	for (size_t i = 0; r >= 0 && i < ARRAY_SIZE(left); i++)
		r = remove_tree_at(fd, left[i]);
	if (r < 0)
		return r;
	r = make_directory_at(fd, "node_modules");
	if (r >= 0)
		r = modules = openat(fd, "node_modules", OPEN_DIRECTORY);
	for (const char *const *place = module_places; r >= 0 && *place; place++) {
		if (!is_directory_at(modules, *place))
			r = remove_tree_at(modules, *place);
		if (r >= 0)
			r = make_directory_at(modules, *place);
	}
	if (r >= 0)
		r = measure_tree(modules, &s->bytes);
	if (r < 0)
		return r;
	len = snprintf(size, sizeof(size), "%llu", (unsigned long long)s->bytes);
	return write_file_at(fd, "size", size, (size_t)len, 0600);
}
