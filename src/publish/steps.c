/* SPDX-License-Identifier: MIT */
/*
 * What is done in each phase of a build.
 *
 *	detect   look at the project, and copy it: a build must not be able to leave something in it
 *	         that is run outside later (a git hook, a script)
 *	install  packages from the store, or into it
 *	build    without a network, node_modules read-only
 *	check    the output is looked at, copied and compressed: output.h
 *	release  it gets its name, and is switched to
 *
 * Each ends on the loop and begins the next one, or ends the build.
 */
#include <errno.h>
#include <fcntl.h>
#include <string.h>
#include <unistd.h>

#include "base/files.h"
#include "base/mem.h"
#include "base/strbuf.h"
#include "base/trees.h"
#include "publish/publisher_priv.h"

#define THAW_ENTRIES_MAX 500000
#define THAW_DEPTH_MAX   64

#define TELLING_LINES 60
#define OUTPUT_KEPT   16384 /* of a command, to know why it failed */

/*
 * Jobs.  Each has its input, which carries its results back and whose first member is `cancel`.
 */
static void fail(struct build *b)
{
	build_end(b, BUILD_STATE_FAILED);
}

static void fail_with(struct build *b, enum fault_code code, const char *sentence)
{
	fault_set(&b->fault, code, "%s", sentence);
	fail(b);
}

static bool run_job(struct build *b, job_work_fn *work, void *input, volatile bool *cancel,
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
	fail_with(b, FAULT_TOO_MANY_REQUESTS, "too much is under way; try again");
	return false;
}

static void *job_is_over(struct build *b)
{
	b->job = NULL;
	b->cancel = NULL;
	return STEAL(b->work_input);
}

/*
 * Detect.
 */
static void install(struct build *b);
static void compile(struct build *b);
static void check(struct build *b);

static void log_project(struct build *b)
{
	static const char *const managers[] = { [PM_NONE] = "npm",
						[PM_NPM] = "npm",
						[PM_PNPM] = "pnpm",
						[PM_YARN] = "yarn",
						[PM_BUN] = "bun" };
	const struct project *project = b->project;

	if (!project->script) {
		build_log(b, "detect: plain static files");
	} else {
		build_log(b, "detect: %s, script \"%s\", %s, Node %s",
			  framework_name(project->framework), project->script,
			  managers[project->manager], b->node_version);
	}
	for (char **warning = project->warnings; warning && *warning; warning++)
		build_log(b, "warning: %s", *warning);
}

static void on_detected(int result, void *arg)
{
	struct build *b = arg;
	struct detect *d = job_is_over(b);

	if (result < 0) {
		fault_move(&b->fault, &d->fault);
		fail(b);
		return;
	}
	b->source_fd = STEAL_FD(d->source_fd);
	b->project = STEAL(d->project);
	b->node = STEAL(d->node);
	b->node_version = STEAL(d->node_version);
	b->key = STEAL(d->key);
	b->own_modules = STEAL(d->own_modules);
	log_project(b);
	if (b->project->script) {
		install(b);
	} else {
		b->packages = "none";
		check(b);
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
	b->root = d->is_isolated ? xstrdup("/build") : xasprintf("%s/project", b->work_path);
	d->bytes_max = settings->publish_disk_max;
	d->source_fd = -1;
	if (run_job(b, detect_work, d, &d->cancel, detect_free, on_detected))
		build_tell(b);
}

/*
 * Commands in the sandbox.
 */
static void keep_output(struct build *b, const char *bytes, size_t len)
{
	size_t keep = b->last_output_len;

	if (!b->last_output)
		b->last_output = xcalloc(OUTPUT_KEPT, 1);
	if (len >= OUTPUT_KEPT) {
		bytes += len - OUTPUT_KEPT;
		len = OUTPUT_KEPT;
	}
	if (keep + len > OUTPUT_KEPT) {
		keep = OUTPUT_KEPT - len;
		memmove(b->last_output, b->last_output + b->last_output_len - keep, keep);
	}
	memcpy(b->last_output + keep, bytes, len);
	b->last_output_len = keep + len;
}

static void on_output(const char *bytes, size_t len, void *arg)
{
	struct build *b = arg;

	keep_output(b, bytes, len);
	build_output(b, bytes, len);
}

static void log_command(struct build *b, const struct command *c)
{
	scoped(strbuf_done) struct strbuf line = strbuf_init(4096);

	for (size_t i = 0; i < c->n_argv; i++)
		strbuf_printf(&line, " %s", c->argv[i]);
	build_log(b, "%s:%s", build_phase_names[b->phase], strbuf_str(&line));
}

/* A Node that the sandbox sees with the rest of the system need not be bound. */
static const char *node_outside(const struct build *b)
{
	if (!b->node || strcmp(b->node, "/usr") == 0 || strcmp(b->node, "/usr/local") == 0)
		return NULL;
	return b->node;
}

static bool has_network(const struct build *b)
{
	return b && b->run && (b->phase == PHASE_INSTALL || b->phase == PHASE_BUILD);
}

/* Whose it was, the proxy doesn't know: of several users' builds none is told of another's. */
static void on_refused(const char *text, void *arg)
{
	struct publisher *p = arg;
	const char *user_id = NULL;

	for (struct shelf *shelf = p->shelves; shelf; shelf = shelf->hh.next) {
		if (!has_network(shelf->builds))
			continue;
		if (user_id && strcmp(user_id, shelf->builds->user_id) != 0)
			return;
		user_id = shelf->builds->user_id;
	}
	for (struct shelf *shelf = p->shelves; shelf; shelf = shelf->hh.next)
		if (has_network(shelf->builds))
			build_log(shelf->builds, "network: %s", text);
}

int proxy_ensure(struct publisher *p, struct fault *reterr)
{
	const struct connectproxy_settings settings = {
		.path = p->proxy_path,
		.allow = (const char *const *)p->settings->publish_registries,
		.connections_max = 256,
		.buffer_max = 256 * 1024,
	};

	/* One that runs meanwhile keeps to the old list. */
	if (p->proxy_is_old && p->n_running <= 1)
		p->proxy = connectproxy_free(p->proxy);
	if (p->proxy)
		return 0;
	p->proxy_is_old = false;
	return connectproxy_new(p->deps.loop, p->lookups, &settings, on_refused, p, &p->proxy,
				reterr);
}

static void run_command(struct build *b, const struct command *c, const char *workdir,
			const struct sandbox_bind *binds, size_t n_binds,
			enum sandbox_network network, usec_t wall, const struct sandbox_ops *ops)
{
	struct publisher *p = b->publisher;
	const struct settings *settings = p->settings;
	const struct sandbox_request request = {
		.argv = c->argv,
		.environ_ = c->environ_,
		.workdir = workdir,
		.node = node_outside(b),
		.binds = binds,
		.n_binds = n_binds,
		.network = network,
		.proxy_socket = network == SANDBOX_PROXY ? p->proxy_path : NULL,
		.limits = {
			.wall = wall,
			.memory = settings->publish_memory_max,
			.file_size = settings->publish_disk_max,
			.disk = settings->publish_disk_max,
			.processes = settings->publish_processes_max,
			.files = 8192,
		},
	};

	b->last_output_len = 0;
	log_command(b, c);
	if ((network == SANDBOX_PROXY && proxy_ensure(p, &b->fault) < 0) ||
	    sandbox_start(p->sandbox, &request, ops, b, &b->run, &b->fault) < 0) {
		fail(b);
		return;
	}
	b->was_isolated = true;
	b->isolated = sandbox_run_is_isolated(b->run);
	if (!b->isolated)
		build_log(b, "warning: this runs without a sandbox");
}

/* The line that says it best, for the sentence of the failure: an Error, an error, the last one. */
static char *telling_line(const struct build *b)
{
	scoped(json_freep) cJSON *tail = build_log_tail(b, TELLING_LINES);
	const char *best = NULL;
	const cJSON *line;
	int rank = 0;

	cJSON_ArrayForEach(line, tail)
	{
		const char *text = line->valuestring;
		int its = strstr(text, "Error: ") ? 3 : strstr(text, "rror") ? 2 : 1;

		if (text[0] == '#' || its < rank)
			continue;
		best = text;
		rank = its;
	}
	return best ? xasprintf(": %s", best) : xstrdup("");
}

static void command_failed(struct build *b, enum sandbox_end end, int code, enum fault_code fault,
			   const char *what, usec_t wall)
{
	scoped(freep) char *line = telling_line(b);
	char text[PARSE_TEXT_SIZE];

	switch (end) {
	case SANDBOX_EXITED:
		fault_set(&b->fault, fault, "%s ended with %d%s", what, code, line);
		break;
	case SANDBOX_SIGNALED:
		fault_set(&b->fault, fault, "%s was ended by signal %d (%s)%s", what, code,
			  strsignal(code), line);
		break;
	case SANDBOX_TIMED_OUT:
		fault_set(&b->fault, FAULT_BUILD_TIMEOUT, "%s took longer than %s", what,
			  format_duration(wall, text));
		break;
	case SANDBOX_DISK_FULL:
		fault_set(&b->fault, FAULT_BUILD_LIMIT,
			  "%s wrote more than publish.disk_max allows", what);
		break;
	case SANDBOX_NO_PROCESSES:
		fault_set(&b->fault, FAULT_BUILD_LIMIT,
			  "%s made more processes than publish.processes_max allows", what);
		break;
	case SANDBOX_NO_MEMORY:
		fault_set(&b->fault, FAULT_BUILD_LIMIT,
			  "%s needed more memory than publish.memory_max allows", what);
		break;
	}
	fail(b);
}

/*
 * Install.
 */
static void remove_gone(const char *relative, void *arg)
{
	publisher_remove(arg, relative);
}

static void on_settled(int result, void *arg)
{
	struct build *b = arg;
	struct publisher *p = b->publisher;
	struct settle *s = job_is_over(b);

	if (result >= 0)
		result =
			modules_add(p->modules, b->user_id, b->key, s->path, s->bytes, &b->modules);
	if (result < 0) {
		fault_set(&b->fault, FAULT_INSTALL_FAILED, "the packages cannot be kept: %s",
			  strerror(-result));
		fail(b);
		return;
	}
	modules_trim(p->modules, p->settings->publish_store_max, remove_gone, p);
	compile(b);
}

static void settle(struct build *b)
{
	struct settle *s = settle_new(b->publisher->state_fd, b->work);

	run_job(b, settle_work, s, &s->cancel, settle_free, on_settled);
}

static void run_install(struct build *b, bool locked);

static void on_installed(enum sandbox_end end, int code, void *arg)
{
	struct build *b = arg;
	bool refused = end == SANDBOX_EXITED && code != 0 && !b->tried_install &&
		       b->project->lockfile &&
		       output_refuses_lock(b->last_output, b->last_output_len);

	b->run = sandbox_run_free(b->run);
	if (refused) {
		b->tried_install = true;
		build_log(b, "install: %s does not fit package.json, installing without it",
			  b->project->lockfile);
		run_install(b, false);
	} else if (end != SANDBOX_EXITED || code != 0) {
		command_failed(b, end, code, FAULT_INSTALL_FAILED, "the installation",
			       b->publisher->settings->publish_install_timeout);
	} else {
		b->packages = "installed";
		if (b->key)
			settle(b);
		else
			compile(b);
	}
}

static void run_install(struct build *b, bool locked)
{
	scoped(freep) char *workdir =
		xasprintf("%s/%s", b->work_path, b->key ? "install" : "project");
	static const struct sandbox_ops ops = { .on_output = on_output, .on_end = on_installed };
	scoped(command_done) struct command c = { 0 };

	command_install(&c, b, locked);
	run_command(b, &c, workdir, NULL, 0, SANDBOX_PROXY,
		    b->publisher->settings->publish_install_timeout, &ops);
}

static void install(struct build *b)
{
	build_set_phase(b, PHASE_INSTALL);
	build_tell(b);
	if (!b->project->needs_install) {
		b->packages = "none";
		compile(b);
		return;
	}
	if (!b->params.install) {
		b->packages = "project";
		compile(b);
		return;
	}
	if (b->key)
		b->modules = modules_find(b->publisher->modules, b->user_id, b->key);
	if (b->modules) {
		b->packages = "cached";
		build_log(b, "install: the packages are there from an earlier build");
		compile(b);
		return;
	}
	run_install(b, b->project->lockfile != NULL);
}

/*
 * Build.
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

	job_is_over(b);
	if (result < 0) {
		fault_set(&b->fault, FAULT_INTERNAL, "the packages cannot be copied: %s",
			  strerror(-result));
		fail(b);
		return;
	}
	b->modules = modules_let_go(b->modules);
	compile(b);
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
	run_job(b, thaw_work, t, &t->cancel, thaw_free, on_thawed);
}

static bool output_has(const struct build *b, const char *what)
{
	return memmem(b->last_output, b->last_output_len, what, strlen(what)) != NULL;
}

static bool wrote_to_modules(const struct build *b)
{
	return b->modules && b->last_output && output_has(b, "node_modules") &&
	       (output_has(b, "EROFS") || output_has(b, "ead-only file system") ||
		output_has(b, "no such file or directory, mkdir '/build/node_modules"));
}

static void on_compiled(enum sandbox_end end, int code, void *arg)
{
	struct build *b = arg;
	usec_t wall = b->params.timeout_seconds ? b->params.timeout_seconds * USEC_PER_SEC
						: b->publisher->settings->publish_build_timeout;

	b->run = sandbox_run_free(b->run);
	if (end == SANDBOX_EXITED && code != 0 && wrote_to_modules(b))
		thaw(b);
	else if (end != SANDBOX_EXITED || code != 0)
		command_failed(b, end, code, FAULT_BUILD_FAILED, "the build", wall);
	else
		check(b);
}

#define MODULES   "/build/node_modules"
#define BINDS_MAX 8

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

static void compile(struct build *b)
{
	static const enum sandbox_network networks[] = { SANDBOX_NO_NETWORK, SANDBOX_PROXY,
							 SANDBOX_HOST_NETWORK };
	static const struct sandbox_ops ops = { .on_output = on_output, .on_end = on_compiled };
	const struct settings *settings = b->publisher->settings;
	scoped(freep) char *workdir = xasprintf("%s/project", b->work_path);
	scoped(freep) char *inject = xasprintf("%s/inject", b->work_path);
	scoped(command_done) struct command c = { 0 };
	struct sandbox_bind binds[BINDS_MAX];
	size_t n;

	build_set_phase(b, PHASE_BUILD);
	build_tell(b);
	command_build(&c, b);
	n = add_binds(b, &c, binds, inject);
	run_command(b, &c, workdir, binds, n, networks[settings->publish_build_network],
		    b->params.timeout_seconds ? b->params.timeout_seconds * USEC_PER_SEC
					      : settings->publish_build_timeout,
		    &ops);
}

/*
 * Check.
 */
static void release(struct build *b, struct checking *c);

static void on_checked(int result, void *arg)
{
	struct build *b = arg;
	struct checking *c = job_is_over(b), *next;

	if (result < 0) {
		fault_move(&b->fault, &c->fault);
		fail(b);
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

static void check(struct build *b)
{
	struct checking *c = checking_new(b->page, b->base);

	build_set_phase(b, PHASE_CHECK);
	build_tell(b);
	c->project = b->project->script ? xasprintf("%s/project", b->work) : NULL;
	c->source_fd = STEAL_FD(b->source_fd);
	c->outputs = strv_copy(b->project->outputs);
	c->is_static = !b->project->script;
	run_job(b, checking_work, c, &c->cancel, checking_free, on_checked);
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
		fail(b);
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
	struct checking *c = job_is_over(b);
	scoped(freep) char *base = page_base(b->page);

	c->is_taken = result >= 0;
	if (!c->is_taken) {
		fault_move(&b->fault, &c->fault);
		fail(b);
		return;
	}
	if (base ? !b->base || strcmp(base, b->base) != 0 : b->base != NULL) {
		page_discard(b->page, b->release_id);
		fail_with(b, FAULT_RELEASE_CHANGED,
			  "the page's address changed during the build; publish again");
		return;
	}
	b->switching = switch_start(b->page, &request, on_switched, b, &b->fault);
	if (!b->switching)
		fail(b);
}

static void release(struct build *b, struct checking *c)
{
	build_set_phase(b, PHASE_RELEASE);
	build_tell(b);
	run_job(b, finishing_work, c, &c->cancel, checking_free, on_finished);
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
	free(STEAL(b->own_modules));
	free(STEAL(b->last_output));
	free(STEAL(b->base_state));
}
