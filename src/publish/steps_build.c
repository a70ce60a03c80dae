/* SPDX-License-Identifier: MIT */
/*
 * The phase that runs the project's own build, with the packages read-only; and once more with a
 * copy of them where it wants to write there.
 */
#include <errno.h>
#include <fcntl.h>
#include <string.h>

#include "base/beneath.h"
#include "base/files.h"
#include "base/mem.h"
#include "base/trees.h"
#include "publish/steps_priv.h"

#define THAW_ENTRIES_MAX 500000
#define THAW_DEPTH_MAX   64

/*
 * A copy of the packages.
 */
struct thaw {
	volatile bool cancel;
	char **from; /* absolute */
	int state_fd;
	char **to;          /* of each: where its node_modules will be */
	uint64_t bytes_max; /* of all that are left */
};

static void thaw_free(void *arg)
{
	struct thaw *t = arg;

	strv_free(t->from);
	strv_free(t->to);
	free(t);
}

static int thaw_one(struct thaw *t, size_t i)
{
	const struct tree_limits limits = { t->bytes_max, THAW_ENTRIES_MAX, THAW_DEPTH_MAX };
	scoped(closep) int from = open_directory(t->from[i]), place = -1, to = -1;
	struct tree_size size = { 0 };
	int r;

	if (from < 0)
		return from;
	/* The build that failed may have put links on the way. */
	place = beneath_open_plain(t->state_fd, t->to[i], O_RDONLY | O_DIRECTORY);
	if (place < 0)
		return place;
	/* The mount point that bwrap made, or one that it hasn't yet. */
	r = make_directory_at(place, "node_modules");
	if (r < 0)
		return r;
	to = openat(place, "node_modules", O_RDONLY | O_DIRECTORY | O_NOFOLLOW | O_CLOEXEC);
	if (to < 0)
		return -errno;
	r = copy_tree(from, to, NULL, &limits, &t->cancel, &size);
	if (r >= 0)
		t->bytes_max -= size.bytes < t->bytes_max ? size.bytes : t->bytes_max;
	return r;
}

static int thaw_work(void *input)
{
	struct thaw *t = input;
	int r = 0;

	for (size_t i = 0; t->from[i] && r >= 0; i++)
		r = thaw_one(t, i);
	return r;
}

static void on_thawed(int result, void *arg)
{
	struct build *b = arg;

	build_job_over(b);
	if (result < 0) {
		fault_set_errno(&b->fault, FAULT_BUILD_FAILED, result,
				"the packages cannot be copied");
		build_fail(b);
		return;
	}
	b->modules = modules_let_go(b->modules);
	steps_build(b);
}

/* Some builds write to packages: they get a copy, which is slower, and of theirs alone. */
static void thaw(struct build *b)
{
	struct publisher *p = b->publisher;
	struct thaw *t = xcalloc(1, sizeof(*t));

	build_log(b, "build: it writes to node_modules, building again with a copy of it");
	strv_add_take(&t->from, xstrdup(module_store_path(b->modules)));
	strv_add_take(&t->to, xasprintf("%s/project", b->work));
	for (char *const *one = module_store_packages(b->modules); *one; one++) {
		strv_add_take(&t->from, module_store_package_path(b->modules, *one));
		strv_add_take(&t->to, xasprintf("%s/project/%s", b->work, *one));
	}
	t->state_fd = p->state_fd;
	t->bytes_max = p->settings->publish_disk_max;
	build_job(b, thaw_work, t, &t->cancel, thaw_free, on_thawed);
}

/*
 * The build.
 */
#define MODULES BUILD_ROOT "/node_modules"

static bool wrote_to_modules(const struct build *b)
{
	return b->modules && build_said(b, "node_modules") &&
	       (build_said(b, "EROFS") || build_said(b, "ead-only file system") ||
		build_said(b, "no such file or directory, mkdir '" BUILD_ROOT "/"));
}

static usec_t wall_of(const struct build *b)
{
	return b->params.timeout_seconds ? b->params.timeout_seconds * USEC_PER_SEC
					 : b->publisher->settings->publish_build_timeout;
}

static void on_built(struct build *b, enum sandbox_end end, int code)
{
	if (end == SANDBOX_EXITED && code != 0 && wrote_to_modules(b))
		thaw(b);
	else if (end != SANDBOX_EXITED || code != 0)
		build_run_failed(b, end, code, FAULT_BUILD_FAILED, "the build", wall_of(b));
	else
		steps_check(b);
}

/* What a build is shown beside its project. */
struct shows {
	struct sandbox_bind *items;
	size_t n;
	char **owned; /* what they are made of */
};

static void shows_done(struct shows *shows)
{
	free(shows->items);
	strv_free(shows->owned);
}

/* `source` NULL: a place in memory.  Takes both. */
static void show_take(struct shows *shows, char *source, char *target)
{
	shows->items = xrealloc(shows->items, (shows->n + 1) * sizeof(*shows->items));
	shows->items[shows->n++] = (struct sandbox_bind){
		.source = source,
		.target = target,
		.is_tmpfs = !source,
	};
	if (source)
		strv_add_take(&shows->owned, source);
	strv_add_take(&shows->owned, target);
}

static void show_places(struct shows *shows, const char *modules)
{
	for (const char *const *place = module_places; *place; place++)
		show_take(shows, NULL, xasprintf("%s/%s", modules, *place));
}

static void show_store(const struct build *b, struct shows *shows)
{
	show_take(shows, xstrdup(module_store_path(b->modules)), xstrdup(MODULES));
	show_places(shows, MODULES);
	for (char *const *one = module_store_packages(b->modules); *one; one++) {
		char *target = xasprintf(BUILD_ROOT "/%s/node_modules", *one);

		show_take(shows, module_store_package_path(b->modules, *one), target);
		if (b->member && strcmp(*one, b->member) == 0)
			show_places(shows, target);
	}
}

static void show_all(const struct build *b, struct shows *shows)
{
	if (!sandbox_isolates(b->publisher->sandbox))
		return;
	if (b->project->n_injects > 0)
		show_take(shows, xasprintf("%s/inject", b->work_path), xstrdup("/inject"));
	if (b->modules)
		show_store(b, shows);
	else if (b->own_modules)
		show_take(shows, xstrdup(b->own_modules), xstrdup(MODULES));
}

void steps_build(struct build *b)
{
	static const enum sandbox_network networks[] = { SANDBOX_NO_NETWORK, SANDBOX_PROXY,
							 SANDBOX_HOST_NETWORK };
	scoped(freep) char *workdir = xasprintf("%s/project", b->work_path);
	scoped(command_done) struct command c = { 0 };
	scoped(shows_done) struct shows shows = { 0 };

	build_set_phase(b, PHASE_BUILD);
	build_tell(b);
	command_build(&c, b);
	show_all(b, &shows);
	build_run(b, &(struct run_request){
			     .command = &c,
			     .workdir = workdir,
			     .cwd = b->member,
			     .binds = shows.items,
			     .n_binds = shows.n,
			     .network = networks[b->publisher->settings->publish_build_network],
			     .wall = wall_of(b),
			     .over = on_built,
		     });
}
