/* SPDX-License-Identifier: MIT */
/*
 * A build's commands in the sandbox: how they are run, what is kept of what they say, and the
 * sentence for one that failed.
 */
#include <string.h>

#include "base/mem.h"
#include "base/parse.h"
#include "base/strbuf.h"
#include "publish/steps_priv.h"

#define FILES_OPEN_MAX  8192 /* a process */
#define CONNECTIONS_MAX 256
#define BUFFER_MAX      (256 * 1024) /* bytes, a connection */

#define MANAGER "/manager/node_modules" /* where one that was fetched is, inside */

#define TELLING_LINES 60
#define OUTPUT_KEPT   16384 /* of a command, to know why it failed */

/*
 * What it says.
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

bool build_said(const struct build *b, const char *what)
{
	return b->last_output && memmem(b->last_output, b->last_output_len, what, strlen(what));
}

/*
 * Its one way to the network.
 */
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
		.connections_max = CONNECTIONS_MAX,
		.buffer_max = BUFFER_MAX,
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

/*
 * Running.
 */
static void log_command(struct build *b, const struct command *c)
{
	scoped(strbuf_done) struct strbuf line = strbuf_init(4096);

	if (c->shown)
		strbuf_printf(&line, " %s", c->shown);
	for (size_t i = 0; !c->shown && i < c->n_argv; i++)
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

/*
 * The package manager that was fetched is seen by every command: scripts call it, too.  Returns the
 * directory of its program, which the caller frees, or NULL.
 */
static char *add_manager(const struct build *b, struct sandbox_bind *binds, size_t *n)
{
	const char *modules = b->manager ? module_store_path(b->manager) : NULL;

	if (!modules)
		return NULL;
	if (!sandbox_isolates(b->publisher->sandbox))
		return xasprintf("%s/.bin", modules);
	binds[(*n)++] = (struct sandbox_bind){ .source = modules, .target = MANAGER };
	return xstrdup(MANAGER "/.bin");
}

static void on_end(enum sandbox_end end, int code, void *arg)
{
	struct build *b = arg;

	b->run = sandbox_run_free(b->run);
	b->run_over(b, end, code);
}

void build_run(struct build *b, const struct run_request *r)
{
	static const struct sandbox_ops ops = { .on_output = on_output, .on_end = on_end };
	struct publisher *p = b->publisher;
	const struct settings *settings = p->settings;
	scoped(freep) struct sandbox_bind *binds = xcalloc(r->n_binds + 1, sizeof(*binds));
	size_t n_binds = r->n_binds;
	scoped(freep) char *path = add_manager(b, binds, &n_binds);
	const struct sandbox_request request = {
		.argv = r->command->argv,
		.environ_ = r->command->environ_,
		.workdir = r->workdir,
		.cwd = r->cwd,
		.node = node_outside(b),
		.path = path,
		.binds = binds,
		.n_binds = n_binds,
		.network = r->network,
		.proxy_socket = r->network == SANDBOX_PROXY ? p->proxy_path : NULL,
		.limits = {
			.wall = r->wall,
			.memory = settings->publish_memory_max,
			.file_size = settings->publish_disk_max,
			.disk = settings->publish_disk_max,
			.processes = settings->publish_processes_max,
			.files = FILES_OPEN_MAX,
		},
	};

	for (size_t i = 0; i < r->n_binds; i++)
		binds[i] = r->binds[i];
	b->last_output_len = 0;
	b->run_over = r->over;
	log_command(b, r->command);
	if ((r->network == SANDBOX_PROXY && proxy_ensure(p, &b->fault) < 0) ||
	    sandbox_start(p->sandbox, &request, &ops, b, &b->run, &b->fault) < 0) {
		build_fail(b);
		return;
	}
	b->was_isolated = true;
	b->isolated = sandbox_run_is_isolated(b->run);
	if (!b->isolated)
		build_log(b, "warning: this runs without a sandbox");
}

/*
 * Why it failed.
 */
/* How much a line says; of several of the last kind it is the first. */
enum { SAYS_NOTHING, IS_A_LINE, HAS_AN_ERROR, IS_AN_ERROR, FIRST_SAYS_IT };

static int rank_of(const char *text, const char *before)
{
	/* What comes behind an error, and says only that there was one. */
	static const char *const empty[] = {
		"A complete log of this run",
		"For a full report see",
		"Command failed with exit code",
		"ELIFECYCLE",
		"npm error code",
		"npm error path",
		"npm error command",
		"info Visit",
	};

	if (text[0] == '#')
		return SAYS_NOTHING;
	for (size_t i = 0; i < ARRAY_SIZE(empty); i++)
		if (strstr(text, empty[i]))
			return SAYS_NOTHING;
	/* TypeScript's "file(line,column): error TS…", and what npm says below its code. */
	if (strstr(text, " error TS") || strstr(before, "npm error code"))
		return FIRST_SAYS_IT;
	return strstr(text, "Error: ") ? IS_AN_ERROR
	       : strstr(text, "rror")  ? HAS_AN_ERROR
				       : IS_A_LINE;
}

/* The line that says it best, for the sentence of the failure: an Error, an error, the last one. */
static char *telling_line(const struct build *b)
{
	scoped(json_freep) cJSON *tail = build_log_tail(b, TELLING_LINES);
	const char *best = NULL, *before = "";
	const cJSON *line;
	int rank = 0;

	cJSON_ArrayForEach(line, tail)
	{
		const char *text = line->valuestring;
		int its = rank_of(text, before);

		before = text;
		if (its < rank || (its == rank && its == FIRST_SAYS_IT))
			continue;
		best = text;
		rank = its;
	}
	return best ? xasprintf(": %s", best) : xstrdup("");
}

void build_run_failed(struct build *b, enum sandbox_end end, int code, enum fault_code fault,
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
	build_fail(b);
}
