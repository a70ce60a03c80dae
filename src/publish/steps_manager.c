/* SPDX-License-Identifier: MIT */
/*
 * The package manager of a project, where it is not installed here in a version that will do: it
 * comes from the registry by Node's npm, as packages do, and is kept in the store as they are.
 */
#include <string.h>

#include "base/mem.h"
#include "publish/steps_priv.h"

#define PLACE "manager" /* beneath the build's own directory */

static void on_settled(int result, void *arg)
{
	struct build *b = arg;
	struct settle *s = build_job_over(b);

	if (result >= 0)
		result = modules_add(b->publisher->modules, b->user_id, b->manager_key, s->path,
				     s->bytes, &b->manager);
	if (result < 0) {
		fault_set(&b->fault, FAULT_INSTALL_FAILED, "%s cannot be kept: %s",
			  b->project->manager_package, strerror(-result));
		build_fail(b);
		return;
	}
	steps_trim_store(b->publisher);
	steps_packages(b);
}

static void on_fetched(struct build *b, enum sandbox_end end, int code)
{
	scoped(freep) char *path = xasprintf("%s/" PLACE, b->work);
	struct settle *s;

	if (end != SANDBOX_EXITED || code != 0) {
		scoped(freep) char *what = xasprintf("%s is not installed here, and fetching it",
						     b->project->manager_package);

		build_run_failed(b, end, code, FAULT_INSTALL_FAILED, what,
				 b->publisher->settings->publish_install_timeout);
		return;
	}
	s = settle_new(b->publisher->state_fd, path, NULL);
	build_job(b, settle_work, s, &s->cancel, settle_free, on_settled);
}

static void fetch(struct build *b)
{
	scoped(freep) char *workdir = xasprintf("%s/" PLACE, b->work_path);
	scoped(command_done) struct command c = { 0 };

	command_manager(&c, b, sandbox_isolates(b->publisher->sandbox) ? BUILD_ROOT : workdir);
	build_run(b, &(struct run_request){
			     .command = &c,
			     .workdir = workdir,
			     .network = SANDBOX_PROXY,
			     .wall = b->publisher->settings->publish_install_timeout,
			     .over = on_fetched,
		     });
}

void steps_install(struct build *b)
{
	build_set_phase(b, PHASE_INSTALL);
	build_tell(b);
	if (b->manager_key)
		b->manager = modules_find(b->publisher->modules, b->user_id, b->manager_key);
	if (b->manager_key && !b->manager)
		fetch(b);
	else
		steps_packages(b);
}
