/* SPDX-License-Identifier: MIT */
/*
 * The phase that runs the project's own build, with the packages read-only; and once more with a
 * copy of them where it wants to write there.
 */
#include <errno.h>
#include <fcntl.h>
#include <string.h>

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
	char *from;
	int state_fd;
	char *to;
	uint64_t bytes_max;
};

static void thaw_free(void *arg)
{
	struct thaw *t = arg;

	free(t->from);
	free(t->to);
	free(t);
}

static int thaw_work(void *input)
{
	struct thaw *t = input;
	const struct tree_limits limits = { t->bytes_max, THAW_ENTRIES_MAX, THAW_DEPTH_MAX };
	scoped(closep) int from = open_directory(t->from), to = -1;

	if (from < 0)
		return from;
	to = openat(t->state_fd, t->to, O_RDONLY | O_DIRECTORY | O_NOFOLLOW | O_CLOEXEC);
	if (to < 0)
		return -errno;
	return copy_tree(from, to, NULL, &limits, &t->cancel, NULL);
}

static void on_thawed(int result, void *arg)
{
	struct build *b = arg;

	build_job_over(b);
	if (result < 0) {
		fault_set(&b->fault, FAULT_INTERNAL, "the packages cannot be copied: %s",
			  strerror(-result));
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
	t->from = xstrdup(module_store_path(b->modules));
	t->state_fd = p->state_fd;
	t->to = xasprintf("%s/project/node_modules", b->work);
	t->bytes_max = p->settings->publish_disk_max;
	build_job(b, thaw_work, t, &t->cancel, thaw_free, on_thawed);
}

/*
 * The build.
 */
#define MODULES   "/build/node_modules"
#define BINDS_MAX 8

static bool wrote_to_modules(const struct build *b)
{
	return b->modules && build_said(b, "node_modules") &&
	       (build_said(b, "EROFS") || build_said(b, "ead-only file system") ||
		build_said(b, "no such file or directory, mkdir '" MODULES "'"));
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

/* The command keeps what they are made of. */
static size_t add_binds(const struct build *b, struct command *c,
			struct sandbox_bind binds[static BINDS_MAX], const char *inject)
{
	const char *modules = b->modules ? module_store_path(b->modules) : b->own_modules;
	size_t n = 0;

	if (!sandbox_isolates(b->publisher->sandbox))
		return 0;
	if (b->project->n_injects > 0)
		binds[n++] = (struct sandbox_bind){ .source = inject, .target = "/inject" };
	if (!modules)
		return n;
	binds[n++] = (struct sandbox_bind){ .source = modules, .target = MODULES };
	if (!b->modules)
		return n;
	for (const char *const *place = module_places; *place && n < BINDS_MAX; place++) {
		c->owned[c->n_owned] = xasprintf(MODULES "/%s", *place);
		binds[n++] =
			(struct sandbox_bind){ .target = c->owned[c->n_owned++], .is_tmpfs = true };
	}
	return n;
}

void steps_build(struct build *b)
{
	static const enum sandbox_network networks[] = { SANDBOX_NO_NETWORK, SANDBOX_PROXY,
							 SANDBOX_HOST_NETWORK };
	scoped(freep) char *workdir = xasprintf("%s/project", b->work_path);
	scoped(freep) char *inject = xasprintf("%s/inject", b->work_path);
	scoped(command_done) struct command c = { 0 };
	struct sandbox_bind binds[BINDS_MAX];
	size_t n;

	build_set_phase(b, PHASE_BUILD);
	build_tell(b);
	command_build(&c, b);
	n = add_binds(b, &c, binds, inject);
	build_run(b, &(struct run_request){
			     .command = &c,
			     .workdir = workdir,
			     .binds = binds,
			     .n_binds = n,
			     .network = networks[b->publisher->settings->publish_build_network],
			     .wall = wall_of(b),
			     .over = on_built,
		     });
}
