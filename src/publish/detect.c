/* SPDX-License-Identifier: MIT */
/*
 * What a project is: the framework whose row in frameworks.def fits its package.json and its build
 * script, and from that row the command, the environment and the injects of the build.  Nothing of
 * the project is changed, and nothing of it is run.
 */
#include "publish/detect.h"

#include <ctype.h>
#include <fcntl.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "base/beneath.h"
#include "base/mem.h"
#include "base/parse.h"
#include "base/strbuf.h"
#include "publish/framework.h"
#include "publish/manager.h"
#include "publish/noderange.h"
#include "publish/package.h"
#include "publish/routers.h"
#include "publish/workspace.h"

#define VALUE_MAX   8192
#define VERSION_MAX 256
#define CONFIG_MAX  (1024 * 1024)

/* What detection goes by; all of it borrowed. */
struct detection {
	int dirfd;
	const struct project_params *params;
	const struct package *package, *top; /* `top` is of the workspace, or NULL */
	const struct framework *framework;
	const char *script;
	struct project *project;
};

/* --- lists */

static void add(char ***list, const char *s)
{
	strv_add_take(list, xstrdup(s));
}

static void add_once_take(char ***list, char *s)
{
	if (strv_has(*list, s))
		free(s);
	else
		strv_add_take(list, s);
}

static char **words(const char *list)
{
	return parse_list(list ? list : "", ' ');
}

static void warn(struct project *p, char *sentence)
{
	strv_add_take(&p->warnings, sentence);
}

/* --- the text of a script */

static bool ends_word(char c)
{
	return c == '\0' || isspace((unsigned char)c) || strchr(";&|()\"'", c);
}

/* Where `word` stands in a script as a command or an argument of its own, or NULL. */
static const char *find_word(const char *script, const char *word)
{
	const size_t len = strlen(word);

	for (const char *at = script; (at = strstr(at, word)); at++) {
		const bool begins = at == script || ends_word(at[-1]) || at[-1] == '/';

		if (begins && ends_word(at[len]))
			return at;
	}
	return NULL;
}

/* The word at `at`, without its quotes, or NULL at the end or where an option or an operator is. */
static char *argument_at(const char *at)
{
	char quote = '\0';
	size_t len;

	while (*at == ' ' || *at == '\t')
		at++;
	if (*at == '"' || *at == '\'')
		quote = *at++;
	len = quote ? strcspn(at, (const char[]){ quote, '\0' }) : strcspn(at, " \t\r\n;&|()<>");
	if (len == 0 || (!quote && *at == '-'))
		return NULL;
	return xstrndup(at, len);
}

/* The value of "--flag value" or "--flag=value" in a script, or NULL. */
static char *flag_value(const char *script, const char *flag)
{
	const size_t len = strlen(flag);

	for (const char *at = script; (at = strstr(at, flag)); at++) {
		if (at > script && !ends_word(at[-1]))
			continue;
		if (at[len] == '=' || at[len] == ' ')
			return argument_at(at + len + 1);
	}
	return NULL;
}

/* --- which framework, and which script builds it */

static bool is_there(int dirfd, const char *path)
{
	scoped(closep) int fd = beneath_open(dirfd, path, O_PATH);

	return fd >= 0;
}

static bool is_of(const struct detection *d, const struct framework *f)
{
	scoped(strv_freep) char **packages = words(f->packages);

	for (size_t i = 0; packages[i]; i++)
		if (package_depends_on(d->package, packages[i]))
			return true;
	return f->file && is_there(d->dirfd, f->file);
}

static bool calls_program(const struct detection *d, const char *script, const struct framework *f)
{
	const char *text = package_script(d->package, script);

	return text && find_word(text, f->program);
}

/* The framework whose program this script calls; else NULL. */
static const struct framework *framework_of_script(const struct detection *d, const char *script)
{
	for (size_t i = 0; i < n_frameworks; i++)
		if (is_of(d, &frameworks[i]) && calls_program(d, script, &frameworks[i]))
			return &frameworks[i];
	return NULL;
}

/* The first of a framework's scripts that is there, and calls its program if it has to. */
static char *script_of(const struct detection *d, const struct framework *f, bool has_to_call)
{
	scoped(strv_freep) char **names = words(f->scripts);

	for (size_t i = 0; names[i]; i++)
		if (package_script(d->package, names[i]) &&
		    (!has_to_call || calls_program(d, names[i], f)))
			return xstrdup(names[i]);
	return NULL;
}

static const struct framework *framework_of_packages(const struct detection *d)
{
	for (size_t i = 0; i < n_frameworks; i++)
		if (is_of(d, &frameworks[i]))
			return &frameworks[i];
	return NULL;
}

/*
 * A project may hold two frameworks, as a library with its documentation does: what its script
 * calls says which one it is, and where none says so the first row.
 */
static void choose(struct detection *d)
{
	struct project *p = d->project;
	const char *asked = d->params->build_script;

	if (asked)
		p->script = xstrdup_null(package_script(d->package, asked) ? asked : NULL);
	d->framework = framework_of_script(d, asked ? asked : "build");
	/* Next and Nuxt have a script of their own for static output. */
	if (d->framework && !asked)
		p->script = script_of(d, d->framework, true);
	for (size_t i = 0; !d->framework && !asked && i < n_frameworks; i++) {
		if (!is_of(d, &frameworks[i]))
			continue;
		p->script = script_of(d, &frameworks[i], true);
		if (p->script)
			d->framework = &frameworks[i];
	}
	if (!d->framework)
		d->framework = framework_of_packages(d);
	if (!p->script && !asked && d->framework)
		p->script = script_of(d, d->framework, false);
	if (!p->script && !asked && package_script(d->package, "build"))
		p->script = xstrdup("build");
	p->framework = d->framework;
	d->script = p->script ? package_script(d->package, p->script) : NULL;
}

static int no_script(const struct detection *d, struct fault *reterr)
{
	scoped(freep) char *names = package_script_names(d->package);
	const char *asked = d->params->build_script;
	const char *are = *names ? names : "none";
	scoped(strv_freep) char **packages = workspace_patterns(d->dirfd);

	if (asked)
		return fault_set(reterr, FAULT_NO_BUILD_SCRIPT,
				 "package.json has no script '%s'; its scripts: %s", asked, are);
	if (packages)
		return fault_set(reterr, FAULT_NO_BUILD_SCRIPT,
				 "package.json has no build script (its scripts: %s), and this is "
				 "the top of a workspace: publish the package in it that is the "
				 "page (%s), by its directory",
				 are, packages[0]);
	return fault_set(reterr, FAULT_NO_BUILD_SCRIPT,
			 "package.json has no build script (its scripts: %s): name one with "
			 "build_script, or add one that builds the project",
			 are);
}

/* Nothing is built: the directory, or the one that was asked for, holds the page itself. */
static int take_as_static(struct detection *d, struct fault *reterr)
{
	const char *dir = d->params->output_dir;
	scoped(freep) char *index = dir ? xasprintf("%s/index.html", dir) : xstrdup("index.html");

	if (!is_there(d->dirfd, index))
		return d->package
			       ? no_script(d, reterr)
			       : fault_set(
					 reterr, FAULT_NOT_A_PROJECT,
					 "There is neither a package.json nor an %s here: publish "
					 "from the project's directory, or name it as workdir",
					 index);
	d->framework = d->project->framework = &framework_static;
	add(&d->project->outputs, dir ? dir : ".");
	return 0;
}

/* --- from the row to the build */

/* {base}, {path}, {inject}, {name}, {argument} in a value of the table. */
static char *expand(const struct detection *d, const char *value)
{
	scoped(strbuf_done) struct strbuf b = strbuf_init(VALUE_MAX);
	const char *base = d->params->base ? d->params->base : "/";
	const char *program = d->script ? find_word(d->script, "build") : NULL;
	scoped(freep) char *argument = program ? argument_at(program + strlen("build")) : NULL;
	scoped(freep) char *path = xstrndup(base, strlen(base) - 1);
	const struct {
		const char *name;
		const char *value;
	} fields[] = {
		{ "{base}", base },
		{ "{path}", path },
		{ "{inject}", d->params->inject_dir ? d->params->inject_dir : PROJECT_INJECT_DIR },
		{ "{name}", package_name(d->package) ? package_name(d->package) : "app" },
		{ "{argument}", argument ? argument : "." },
	};

	while (*value) {
		size_t i = 0;

		while (i < ARRAY_SIZE(fields) &&
		       strncmp(value, fields[i].name, strlen(fields[i].name)) != 0)
			i++;
		if (i == ARRAY_SIZE(fields)) {
			strbuf_putc(&b, *value++);
			continue;
		}
		strbuf_puts(&b, fields[i].value);
		value += strlen(fields[i].name);
	}
	return strbuf_steal(&b);
}

/* "A=1 B=2" of the table; the values may come to hold spaces, the table's own don't. */
static void add_environment(struct detection *d, const char *list)
{
	scoped(strv_freep) char **pairs = words(list);

	for (size_t i = 0; pairs[i]; i++)
		strv_add_take(&d->project->build_env, expand(d, pairs[i]));
}

static void add_variable(struct detection *d, const char *name, const char *value)
{
	scoped(freep) char *expanded = value ? expand(d, value) : NULL;

	if (expanded)
		strv_add_take(&d->project->build_env, xasprintf("%s=%s", name, expanded));
}

static void add_injects(struct detection *d, const char *list)
{
	scoped(strv_freep) char **names = words(list);
	struct project *p = d->project;

	for (size_t i = 0; names[i]; i++) {
		p->injects = xrealloc(p->injects, (p->n_injects + 1) * sizeof(*p->injects));
		p->injects[p->n_injects++] = (struct project_inject){
			.name = xstrdup(names[i]),
			.content = xstrdup(inject_text(names[i])),
		};
	}
}

/* The preload that adds arguments to the program's own command line, whoever calls it. */
static void add_arguments(struct detection *d)
{
	const struct framework *f = d->framework;
	const char *base_argument = d->params->base ? f->base_argument : NULL;

	if (!f->argument && !base_argument)
		return;
	add_injects(d, "argv.cjs");
	add_variable(d, "NODE_OPTIONS", "--require={inject}/argv.cjs");
	add_variable(d, "PREVIEWD_PROGRAM", f->program);
	add_variable(d, "PREVIEWD_PACKAGES", f->program_packages);
	add_variable(d, "PREVIEWD_COMMAND", f->command);
	add_variable(d, "PREVIEWD_ARGUMENT", f->argument);
	add_variable(d, "PREVIEWD_BASE_ARGUMENT", base_argument);
}

/* Where the output may be: as asked, as the script says, as the framework does. */
static void add_outputs(struct detection *d)
{
	struct project *p = d->project;
	scoped(strv_freep) char **flags = words(d->framework ? d->framework->output_flags : NULL);
	scoped(strv_freep) char **places =
		words(d->framework ? d->framework->outputs : "dist build out _site");

	if (d->params->output_dir) {
		add(&p->outputs, d->params->output_dir);
		return;
	}
	for (size_t i = 0; flags[i]; i++) {
		char *value = flag_value(d->script, flags[i]);

		if (value)
			add_once_take(&p->outputs, value);
	}
	for (size_t i = 0; places[i]; i++)
		add_once_take(&p->outputs, expand(d, places[i]));
}

static void add_command(struct detection *d)
{
	struct project *p = d->project;

	add(&p->build_argv, manager_name(p->manager));
	add(&p->build_argv, "run");
	add(&p->build_argv, p->script);
}

static bool is_too_old(const struct detection *d, const struct framework *f)
{
	scoped(strv_freep) char **packages = words(f->packages);

	for (size_t i = 0; packages[i]; i++) {
		const unsigned major = package_dependency_major(d->package, packages[i]);

		if (major > 0 && major < f->since)
			return true;
	}
	return false;
}

/* Whether a configuration of the project takes the base path from where it is given. */
static bool asks_for_base(const struct detection *d)
{
	static const char *const names[] = { "vite.config", "react-router.config", "app.config",
					     "gatsby-config" };
	static const char *const endings[] = { "js", "mjs", "cjs", "ts", "mts", "cts" };

	for (size_t i = 0; i < ARRAY_SIZE(names) * ARRAY_SIZE(endings); i++) {
		scoped(freep) char *text = NULL;
		scoped(freep) char *path = xasprintf("%s.%s", names[i / ARRAY_SIZE(endings)],
						     endings[i % ARRAY_SIZE(endings)]);

		if (beneath_read(d->dirfd, path, CONFIG_MAX, &text, NULL) >= 0 &&
		    strstr(text, "PREVIEWD_BASE"))
			return true;
	}
	return false;
}

static void apply_framework(struct detection *d)
{
	const struct framework *f = d->framework;
	struct project *p = d->project;

	if (!f)
		return;
	add_environment(d, f->environment);
	add_injects(d, f->injects);
	if (d->params->base) {
		add_environment(d, f->base_environment);
		add_injects(d, f->base_injects);
	}
	add_arguments(d);
	if (f->needs && !package_depends_on(d->package, f->needs))
		warn(p, xstrdup(f->needs_hint));
	if (is_too_old(d, f))
		warn(p, xstrdup(f->since_hint));
	if (f->below && d->params->base && !asks_for_base(d))
		warn(p, xasprintf("%s; else give the page a host of its own "
				  "(publish.host_template)",
				  f->below));
}

/* --- which Node */

/* ".nvmrc" and ".node-version": a version, or the beginning of one. */
static char *range_of_file(int dirfd)
{
	static const char *const names[] = { ".nvmrc", ".node-version" };

	for (size_t i = 0; i < ARRAY_SIZE(names); i++) {
		scoped(freep) char *text = NULL;

		if (beneath_read(dirfd, names[i], VERSION_MAX, &text, NULL) < 0)
			continue;
		text[strcspn(text, " \t\r\n")] = '\0';
		/* "lts/jod" says nothing that could be compared. */
		if (*text && node_range_is_valid(text))
			return STEAL(text);
	}
	return NULL;
}

/* The project's own demand, checked; one that is no range is left out, as npm does. */
static char *project_range(struct detection *d)
{
	const char *range = package_engine(d->package);

	if (range && strlen(range) <= VERSION_MAX && node_range_is_valid(range))
		return xstrdup(range);
	if (range)
		warn(d->project,
		     xasprintf("engines.node of package.json is no range of versions, and ignored: "
			       "'%.64s'",
			       range));
	return NULL;
}

static char *find_engine(const struct detection *d, const char *package)
{
	char *engine = dependency_engine(d->dirfd, package);

	return engine || !d->params->top ? engine : dependency_engine(*d->params->top, package);
}

/* The framework's own demand is the one that breaks a build, so it is asked beside the project's.
 */
static char *node_range(struct detection *d)
{
	scoped(freep) char *own = project_range(d);
	scoped(strv_freep) char **packages = words(d->framework ? d->framework->packages : NULL);
	scoped(freep) char *theirs = NULL;

	for (size_t i = 0; packages[i] && !theirs; i++)
		if (package_depends_on(d->package, packages[i]))
			theirs = find_engine(d, packages[i]);
	if (!theirs || strlen(theirs) > VERSION_MAX || !node_range_is_valid(theirs))
		return STEAL(own);
	return own ? node_ranges_both(own, theirs) : STEAL(theirs);
}

/* What its file wishes for is taken if it is there: unlike a demand it may be an exact version. */
static void find_node(struct detection *d)
{
	struct project *p = d->project;
	scoped(freep) char *wish = range_of_file(d->dirfd);

	if (!wish && d->params->top)
		wish = range_of_file(*d->params->top);
	p->node_range = node_range(d);
	p->node_wish = wish && p->node_range ? node_ranges_both(wish, p->node_range) : STEAL(wish);
}

static void find_manager(struct detection *d)
{
	scoped(manager_done) struct manager manager = { 0 };
	struct project *p = d->project;

	manager_find(d->top ? d->top : d->package, d->params->top ? *d->params->top : d->dirfd,
		     &manager);
	p->manager = manager.kind;
	p->manager_range = STEAL(manager.range);
	p->manager_package = STEAL(manager.package);
	p->lockfile = xstrdup_null(manager.lockfile);
	p->needs_install = package_has_dependencies(d->package) || package_has_dependencies(d->top);
	if (manager.is_ambiguous)
		warn(p, xasprintf("There are lock files of several package managers: %s is used",
				  manager_name(p->manager)));
	else if (p->needs_install && !p->lockfile)
		warn(p, xstrdup("There is no lock file: what is installed may differ from one "
				"publish to the next"));
}

static int detect(int dirfd, const struct project_params *params, struct project **ret,
		  struct fault *reterr)
{
	scoped(package_freep) struct package *package = NULL, *top = NULL;
	scoped(project_freep) struct project *p = xcalloc(1, sizeof(*p));
	struct detection d = { .dirfd = dirfd, .params = params, .project = p };
	int r = package_read(dirfd, &package, reterr);

	if (r >= 0 && params->top)
		r = package_read(*params->top, &top, reterr);
	if (r < 0)
		return r;
	d.package = package;
	d.top = top;
	if (package)
		choose(&d);
	if (!p->script) {
		if (params->build_script || (d.framework && !params->output_dir))
			r = package ? no_script(&d, reterr) : take_as_static(&d, reterr);
		else
			r = take_as_static(&d, reterr);
		if (r < 0)
			return r;
		*ret = STEAL(p);
		return 0;
	}

	find_manager(&d);
	add_command(&d);
	add_outputs(&d);
	apply_framework(&d);
	find_node(&d);
	if (params->base)
		routers_check(dirfd, &p->warnings);
	*ret = STEAL(p);
	return 0;
}

int project_detect(int dirfd, const struct project_params *params, struct project **ret,
		   struct fault *reterr)
{
	scoped(project_freep) struct project *p = NULL;
	int r;

	beneath_forget_failure();
	r = detect(dirfd, params, &p, reterr);
	r = beneath_tell_failure(r, "the project cannot be read", reterr);
	if (r >= 0)
		*ret = STEAL(p);
	return r;
}

struct project *project_free(struct project *p)
{
	if (!p)
		return NULL;
	free(p->manager_range);
	free(p->manager_package);
	free(p->lockfile);
	free(p->script);
	strv_free(p->build_argv);
	strv_free(p->build_env);
	strv_free(p->outputs);
	free(p->node_range);
	free(p->node_wish);
	strv_free(p->warnings);
	for (size_t i = 0; i < p->n_injects; i++) {
		free(p->injects[i].name);
		free(p->injects[i].content);
	}
	free(p->injects);
	free(p);
	return NULL;
}
