/* SPDX-License-Identifier: MIT */
/*
 * The end of an installation, in a helper thread: what was installed is made ready for the store.
 *
 *	node_modules/
 *	below/PACKAGE/node_modules/	of a workspace
 *	packages			which those are, one a line
 *	size
 */
#include <errno.h>
#include <fcntl.h>
#include <stdio.h>
#include <string.h>
#include <unistd.h>

#include "base/beneath.h"
#include "base/files.h"
#include "base/mem.h"
#include "base/strbuf.h"
#include "base/trees.h"
#include "publish/publisher_priv.h"

#define OPEN_DIRECTORY (O_RDONLY | O_DIRECTORY | O_NOFOLLOW | O_CLOEXEC)

/* "$app" is SvelteKit's, ".tanstack-start" SolidStart's. */
const char *const module_places[] = { ".vite", ".vite-temp",      ".cache",
				      "$app",  ".tanstack-start", NULL };

struct settle *settle_new(int state_fd, const char *from, char *const *packages)
{
	struct settle *s = xcalloc(1, sizeof(*s));

	s->state_fd = state_fd;
	s->from = xstrdup(from);
	s->path = xasprintf("%s.kept", from);
	s->packages = packages ? strv_copy(packages) : NULL;
	return s;
}

void settle_free(void *arg)
{
	struct settle *s = arg;

	free(s->from);
	free(s->path);
	strv_free(s->packages);
	free(s);
}

/* The places in node_modules/ for what builds write in it. */
static int make_places(int modules)
{
	int r = 0;

	for (const char *const *place = module_places; r >= 0 && *place; place++) {
		if (!is_directory_at(modules, *place))
			r = remove_tree_at(modules, *place);
		if (r >= 0)
			r = make_directory_at(modules, *place);
	}
	return r;
}

static int make_directories(int dirfd, const char *path)
{
	scoped(freep) char *part = xstrdup(path);
	int r = 0;

	for (char *slash = part; r >= 0 && (slash = strchr(slash, '/')); *slash++ = '/') {
		*slash = '\0';
		r = make_directory_at(dirfd, part);
	}
	return r < 0 ? r : make_directory_at(dirfd, path);
}

/* Moves the node_modules/ that is in `name`, a directory of both; 0 where there is none. */
static int keep(int from, int to, const char *package)
{
	scoped(freep) char *place = package ? xasprintf("below/%s", package) : xstrdup(".");
	scoped(freep) char *target = xasprintf("%s/node_modules", place);
	/* What was installed may have put links on the way. */
	scoped(closep) int source =
		beneath_open_plain(from, package ? package : ".", O_RDONLY | O_DIRECTORY);
	scoped(closep) int modules = -1;
	int r;

	if (source < 0 && errno_is_of_machine(source))
		return source;
	if (source < 0 || !is_directory_at(source, "node_modules"))
		return 0;
	r = package ? make_directories(to, place) : 0;
	if (r < 0)
		return r;
	if (renameat(source, "node_modules", to, target) < 0)
		return -errno;
	modules = openat(to, target, OPEN_DIRECTORY);
	if (modules < 0)
		return -errno;
	r = make_places(modules);
	return r < 0 ? r : 1;
}

static int keep_packages(struct settle *s, int from, int to)
{
	scoped(strbuf_done) struct strbuf kept = strbuf_init(STRBUF_UNLIMITED);

	for (char **package = s->packages; package && *package; package++) {
		int r = keep(from, to, *package);

		if (r < 0)
			return r;
		if (r > 0)
			strbuf_printf(&kept, "%s\n", *package);
	}
	return kept.len > 0 ? write_file_at(to, "packages", kept.data, kept.len, 0600) : 0;
}

int settle_work(void *input)
{
	struct settle *s = input;
	scoped(closep) int from = openat(s->state_fd, s->from, OPEN_DIRECTORY), to = -1;
	char size[32];
	int r, len;

	if (from < 0)
		return -errno;
	r = make_directory_at(s->state_fd, s->path);
	if (r < 0)
		return r;
	to = openat(s->state_fd, s->path, OPEN_DIRECTORY);
	if (to < 0)
		return -errno;
	r = make_directory_at(from, "node_modules");
	if (r >= 0)
		r = keep(from, to, NULL);
	if (r >= 0)
		r = keep_packages(s, from, to);
	if (r >= 0)
		r = measure_tree(to, &s->bytes);
	if (r < 0)
		return r;
	/* What has a size is whole, also after a loss of power.  There are tens of thousands of
	 * files, and not one of them was synced: all at once is by far the quickest. */
	if (syncfs(to) < 0)
		return -errno;
	len = snprintf(size, sizeof(size), "%llu", (unsigned long long)s->bytes);
	return write_file_at(to, "size", size, (size_t)len, 0600);
}
