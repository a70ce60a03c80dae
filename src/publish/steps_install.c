/* SPDX-License-Identifier: MIT */
/*
 * The phase that brings a project's packages: those that an earlier build with the same key has put
 * into the store, or new ones, which go there.
 */
#include <string.h>

#include "base/mem.h"
#include "publish/manager.h"
#include "publish/output_priv.h"
#include "publish/steps_priv.h"

static void remove_gone(const char *relative, void *arg)
{
	publisher_remove_moved(arg, relative);
}

void steps_trim_store(struct publisher *p)
{
	modules_trim(p->modules, p->settings->publish_store_max, remove_gone, p);
}

static void on_settled(int result, void *arg)
{
	struct build *b = arg;
	struct publisher *p = b->publisher;
	struct settle *s = build_job_over(b);

	if (result >= 0)
		result =
			modules_add(p->modules, b->user_id, b->key, s->path, s->bytes, &b->modules);
	if (result < 0) {
		fault_set_errno(&b->fault, FAULT_INSTALL_FAILED, result,
				"the packages cannot be kept");
		build_fail(b);
		return;
	}
	steps_trim_store(p);
	steps_node(b);
}

static void settle(struct build *b)
{
	scoped(freep) char *path = xasprintf("%s/install", b->work);
	struct settle *s = settle_new(b->publisher->state_fd, path, b->workspace);

	build_job(b, settle_work, s, &s->cancel, settle_free, on_settled);
}

static void run_install(struct build *b, bool locked);

static void on_installed(struct build *b, enum sandbox_end end, int code)
{
	bool refused = end == SANDBOX_EXITED && code != 0 && !b->tried_install &&
		       b->project->lockfile &&
		       output_refuses_lock(b->last_output, b->last_output_len);

	if (refused) {
		b->tried_install = true;
		warnings_add(&b->project->warnings,
			     "%s does not fit package.json and is not used (%s says why in the "
			     "log): what is installed may differ from one publish to the next",
			     b->project->lockfile, manager_name(b->project->manager));
		build_log(b, "install: %s does not fit package.json, installing without it",
			  b->project->lockfile);
		run_install(b, false);
	} else if (end != SANDBOX_EXITED || code != 0) {
		build_run_failed(b, end, code, FAULT_INSTALL_FAILED, "the installation",
				 b->publisher->settings->publish_install_timeout);
	} else {
		b->packages = "installed";
		if (b->key)
			settle(b);
		else
			steps_node(b);
	}
}

static void run_install(struct build *b, bool locked)
{
	scoped(freep) char *workdir =
		xasprintf("%s/%s", b->work_path, b->key ? "install" : "project");
	scoped(command_done) struct command c = { 0 };

	command_install(&c, b, locked);
	build_run(b, &(struct run_request){
			     .command = &c,
			     .workdir = workdir,
			     .network = SANDBOX_PROXY,
			     .wall = b->publisher->settings->publish_install_timeout,
			     .over = on_installed,
		     });
}

void steps_packages(struct build *b)
{
	if (!b->project->needs_install) {
		b->packages = "none";
		steps_node(b);
		return;
	}
	if (!b->params.install) {
		b->packages = "project";
		steps_node(b);
		return;
	}
	if (b->key)
		b->modules = modules_find(b->publisher->modules, b->user_id, b->key);
	if (b->modules) {
		b->packages = "cached";
		build_log(b, "install: the packages are there from an earlier build");
		steps_node(b);
		return;
	}
	run_install(b, b->project->lockfile != NULL);
}
