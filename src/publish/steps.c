/* SPDX-License-Identifier: MIT */
/*
 * The phases of a build, in their order.
 *
 *	detect   look at the project, and copy it: a build must not be able to leave something in it
 *	         that is run outside later (a git hook, a script)
 *	install  packages from the store, or into it: steps_install.c
 *	build    without a network, node_modules read-only: steps_build.c
 *	check    the output is looked at, copied and compressed: output.h
 *	release  it gets its name, and is switched to
 *
 * Each ends on the loop and begins the next one, or ends the build.
 */
#include <string.h>

#include "base/mem.h"
#include "publish/manager.h"
#include "publish/steps_priv.h"

/*
 * What all of them do.
 */
void build_fail(struct build *b)
{
	build_end(b, BUILD_STATE_FAILED);
}

void build_fail_with(struct build *b, enum fault_code code, const char *sentence)
{
	fault_set(&b->fault, code, "%s", sentence);
	build_fail(b);
}

bool build_job(struct build *b, job_work_fn *work, void *input, volatile bool *cancel,
	       void (*free_input)(void *), job_done_fn *done)
{
	b->work_input = input;
	b->cancel = cancel;
	b->job = job_start(b->publisher->work, work, input, free_input, done, b);
	if (b->job)
		return true;
	b->work_input = NULL;
	b->cancel = NULL;
	free_input(input);
	build_fail_with(b, FAULT_TOO_MANY_REQUESTS, "too much is under way; try again");
	return false;
}

void *build_job_over(struct build *b)
{
	b->job = NULL;
	b->cancel = NULL;
	return STEAL(b->work_input);
}

/*
 * Detect.
 */
static void log_project(struct build *b)
{
	const struct project *project = b->project;

	if (!project->script) {
		build_log(b, "detect: plain static files");
	} else {
		build_log(b, "detect: %s, script \"%s\", %s, Node %s",
			  framework_name(project->framework), project->script,
			  manager_name(project->manager), b->node_version);
	}
	if (b->member && project->script)
		build_log(b, "detect: the package %s of its workspace", b->member);
	for (char **warning = project->warnings; warning && *warning; warning++)
		build_log(b, "warning: %s", *warning);
}

static void on_detected(int result, void *arg)
{
	struct build *b = arg;
	struct detect *d = build_job_over(b);

	if (result < 0) {
		fault_move(&b->fault, &d->fault);
		build_fail(b);
		return;
	}
	b->source_fd = STEAL_FD(d->source_fd);
	b->project = STEAL(d->project);
	b->node = STEAL(d->node);
	b->node_version = STEAL(d->node_version);
	b->key = STEAL(d->key);
	b->member = xstrdup_null(d->member);
	b->workspace = STEAL(d->packages);
	b->manager_key = STEAL(d->manager_key);
	b->own_modules = STEAL(d->own_modules);
	log_project(b);
	if (b->project->script) {
		steps_install(b);
	} else {
		b->packages = "none";
		steps_check(b);
	}
}

void steps_begin(struct build *b)
{
	struct publisher *p = b->publisher;
	const struct settings *settings = p->settings;
	struct detect *d = xcalloc(1, sizeof(*d));

	b->base = page_base(b->page);
	b->work = xasprintf("builds/%s", b->build_id);
	b->work_path = xasprintf("%s/builds/%s", p->deps.state_dir, b->build_id);

	d->workdir = b->workdir;
	d->workdir.path = xstrdup_null(b->workdir.path);
	d->workdir.session_path = xstrdup_null(b->workdir.session_path);
	d->build_script = xstrdup_null(b->params.build_script);
	d->output_dir = xstrdup_null(b->params.output_dir);
	d->base = xstrdup_null(b->base);
	d->node_path = xstrdup_null(settings->publish_node_path);
	d->user_id = xstrdup(b->user_id);
	d->work = xstrdup(b->work);
	d->state_fd = p->state_fd;
	d->install = b->params.install;
	d->install_scripts = settings->publish_install_scripts;
	d->is_isolated = sandbox_isolates(p->sandbox);
	d->inject_dir =
		d->is_isolated ? xstrdup(PROJECT_INJECT_DIR) : xasprintf("%s/inject", b->work_path);
	b->root = d->is_isolated ? xstrdup(BUILD_ROOT) : xasprintf("%s/project", b->work_path);
	d->bytes_max = settings->publish_disk_max;
	d->source_fd = -1;
	if (build_job(b, detect_work, d, &d->cancel, detect_free, on_detected))
		build_tell(b);
}

/*
 * Check.
 */
static void release(struct build *b, struct checking *c);

static void on_checked(int result, void *arg)
{
	struct build *b = arg;
	struct checking *c = build_job_over(b), *next;

	if (result < 0) {
		fault_move(&b->fault, &c->fault);
		build_fail(b);
		return;
	}
	b->n_files = c->manifest->n_files;
	b->bytes = c->manifest->bytes;
	b->base_state = STEAL(c->report.base_state);
	b->warnings = STEAL(c->report.warnings);
	memcpy(b->release_id, c->release_id, sizeof(b->release_id));
	for (char **warning = b->warnings; warning && *warning; warning++)
		build_log(b, "warning: %s", *warning);
	build_log(b, "check: %zu files, %llu bytes; base: %s", b->n_files,
		  (unsigned long long)b->bytes, b->base_state ? b->base_state : "none");
	next = checking_take_over(c);
	release(b, next);
}

void steps_check(struct build *b)
{
	struct checking *c = checking_new(b->page, b->base);

	build_set_phase(b, PHASE_CHECK);
	build_tell(b);
	if (b->project->script)
		c->project = xasprintf("%s/project%s%s", b->work, b->member ? "/" : "",
				       b->member ? b->member : "");
	c->source_fd = STEAL_FD(b->source_fd);
	c->outputs = strv_copy(b->project->outputs);
	c->is_static = !b->project->script;
	build_job(b, checking_work, c, &c->cancel, checking_free, on_checked);
}

/*
 * Release.
 */
static void on_switched(int result, cJSON *attachment, struct fault *fault, void *arg)
{
	struct build *b = arg;

	(void)attachment;
	b->switching = NULL;
	if (result < 0) {
		fault_move(&b->fault, fault);
		build_fail(b);
		build_forget_if_over(b);
		return;
	}
	build_end(b, BUILD_STATE_SUCCEEDED);
}

static void on_finished(int result, void *arg)
{
	struct build *b = arg;
	const struct switch_request request = { .release_id = b->release_id,
						.is_new = true,
						.focus = b->params.focus };
	struct checking *c = build_job_over(b);
	scoped(freep) char *base = page_base(b->page);

	c->is_taken = result >= 0;
	if (!c->is_taken) {
		fault_move(&b->fault, &c->fault);
		build_fail(b);
		return;
	}
	if (base ? !b->base || strcmp(base, b->base) != 0 : b->base != NULL) {
		page_discard(b->page, b->release_id);
		build_fail_with(b, FAULT_RELEASE_CHANGED,
				"the page's address changed during the build; publish again");
		return;
	}
	b->switching = switch_start(b->page, &request, on_switched, b, &b->fault);
	if (!b->switching)
		build_fail(b);
}

static void release(struct build *b, struct checking *c)
{
	build_set_phase(b, PHASE_RELEASE);
	build_tell(b);
	build_job(b, finishing_work, c, &c->cancel, checking_free, on_finished);
}

void steps_stop(struct build *b)
{
	struct publisher *p = b->publisher;

	b->run = sandbox_run_free(b->run);
	if (b->cancel)
		*b->cancel = true;
	b->cancel = NULL;
	b->work_input = NULL;
	b->job = job_free(b->job);
	b->switching = switching_free(b->switching);
	b->modules = modules_let_go(b->modules);
	b->manager = modules_let_go(b->manager);
	if (b->work && !p->is_ending)
		publisher_remove(p, b->work);
	closep(&b->source_fd);
	b->source_fd = -1;
	b->project = project_free(b->project);
	strv_free(b->warnings);
	b->warnings = NULL;
	free(STEAL(b->base));
	free(STEAL(b->node));
	free(STEAL(b->node_version));
	free(STEAL(b->work));
	free(STEAL(b->work_path));
	free(STEAL(b->root));
	free(STEAL(b->key));
	free(STEAL(b->member));
	strv_free(STEAL(b->workspace));
	free(STEAL(b->manager_key));
	free(STEAL(b->own_modules));
	free(STEAL(b->last_output));
	free(STEAL(b->base_state));
}
