/* SPDX-License-Identifier: MIT */
/*
 * Which Node builds, once the packages are there: what the framework needs is in its package.json,
 * which before the installation only npm's lock files tell of.
 */
#include <errno.h>
#include <fcntl.h>
#include <string.h>
#include <unistd.h>

#include "base/beneath.h"
#include "base/files.h"
#include "base/mem.h"
#include "base/parse.h"
#include "publish/framework.h"
#include "publish/noderange.h"
#include "publish/package.h"
#include "publish/steps_priv.h"

#define RANGE_MAX 256 /* as it is before the installation */

struct choosing {
	volatile bool cancel;
	char *place;  /* absolute, with the node_modules in it, or ... */
	char *below;  /* ... this directory of it, which an installation may have made a link */
	char *member; /* of it, or NULL */
	char *packages, *range, *node_path, *version;

	char *node, *node_version; /* NULL: the one that was chosen before */
	struct fault fault;
};

static void choosing_free(void *arg)
{
	struct choosing *c = arg;

	free(c->place);
	free(c->below);
	free(c->member);
	free(c->packages);
	free(c->range);
	free(c->node_path);
	free(c->version);
	free(c->node);
	free(c->node_version);
	fault_done(&c->fault);
	free(c);
}

/*
 * The range of the package that makes the framework, or NULL.  The node_modules of a workspace's
 * package lies elsewhere in the store, and its links lead to where it will be.
 */
static char *engine_of(const struct choosing *c, int place, const char *name)
{
	scoped(freep) char *link = NULL;
	char target[4096];
	const char *at = target;
	ssize_t n;

	if (!c->member)
		return dependency_engine(place, name);
	link = xasprintf("below/%s/node_modules/%s", c->member, name);
	n = readlinkat(place, link, target, sizeof(target) - 1);
	if (n <= 0) {
		scoped(freep) char *own = xasprintf("%s/below/%s", c->place, c->member);
		scoped(closep) int fd = open_directory(own);
		char *engine = fd < 0 ? NULL : dependency_engine(fd, name);

		return engine ? engine : dependency_engine(place, name);
	}
	target[n] = '\0';
	while (strncmp(at, "../", 3) == 0)
		at += 3;
	if (strncmp(at, "node_modules/", strlen("node_modules/")) == 0)
		at += strlen("node_modules/");
	return dependency_engine(place, at);
}

static int choose(void *input)
{
	struct choosing *c = input;
	scoped(strv_freep) char **names = parse_list(c->packages, ' ');
	scoped(freep) char *theirs = NULL, *range = NULL;
	scoped(closep) int top = open_directory(c->place);
	scoped(closep) int place =
		beneath_open_plain(top, c->below ? c->below : ".", O_RDONLY | O_DIRECTORY);

	for (size_t i = 0; place >= 0 && names[i] && !theirs; i++)
		theirs = engine_of(c, place, names[i]);
	if (!theirs || strlen(theirs) > RANGE_MAX || !node_range_is_valid(theirs) ||
	    node_range_has(theirs, c->version))
		return 0;
	range = c->range ? node_ranges_both(theirs, c->range) : xstrdup(theirs);
	c->node = node_find(range, c->node_path, &c->node_version, &c->fault);
	return c->node ? 0 : -ENOENT;
}

static void on_chosen(int result, void *arg)
{
	struct build *b = arg;
	struct choosing *c = build_job_over(b);

	if (result < 0) {
		fault_move(&b->fault, &c->fault);
		build_fail(b);
		return;
	}
	if (c->node) {
		free(b->node);
		free(b->node_version);
		b->node = STEAL(c->node);
		b->node_version = STEAL(c->node_version);
		build_log(b, "build: %s needs another Node: %s",
			  framework_name(b->project->framework), b->node_version);
	}
	steps_build(b);
}

void steps_node(struct build *b)
{
	const struct framework *framework = b->project->framework;
	struct choosing *c;

	if (!framework || !framework->packages || !b->project->needs_install) {
		steps_build(b);
		return;
	}
	c = xcalloc(1, sizeof(*c));
	if (b->modules) {
		const char *modules = module_store_path(b->modules);

		c->place = xstrndup(modules, strlen(modules) - strlen("/node_modules"));
		c->member = xstrdup_null(b->member);
	} else {
		c->place = xasprintf("%s/project", b->work_path);
		c->below = xstrdup_null(b->member);
	}
	c->packages = xstrdup(framework->packages);
	c->range = xstrdup_null(b->project->node_range);
	c->node_path = xstrdup_null(b->publisher->settings->publish_node_path);
	c->version = xstrdup(b->node_version);
	build_job(b, choose, c, &c->cancel, choosing_free, on_chosen);
}
