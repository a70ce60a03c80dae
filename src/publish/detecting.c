/* SPDX-License-Identifier: MIT */
/*
 * The first phase of a build, in a helper thread: what the project is, and a copy of it.
 *
 * It is the copy that is built, so that nothing a build leaves in it (a git hook, a script, a
 * changed package.json) is run by anybody later.
 */
#include <errno.h>
#include <fcntl.h>
#include <string.h>
#include <sys/stat.h>
#include <sys/utsname.h>
#include <unistd.h>

#include "base/beneath.h"
#include "base/files.h"
#include "base/mem.h"
#include "base/strbuf.h"
#include "base/trees.h"
#include "publish/manager.h"
#include "publish/output_priv.h"
#include "publish/publisher_priv.h"
#include "publish/workspace.h"

#define ENTRIES_MAX 200000 /* of a project */
#define DEPTH_MAX   64
#define LOCK_MAX    (32 * 1024 * 1024)
#define PACKAGE_MAX (1024 * 1024)
#define LEVELS_MAX  8 /* from a package up to its workspace */

#define OPEN_DIRECTORY (O_RDONLY | O_DIRECTORY | O_NOFOLLOW | O_CLOEXEC)

void detect_free(void *arg)
{
	struct detect *d = arg;

	closep(&d->source_fd);
	if (d->member)
		closep(&d->top_fd);
	free(d->member);
	strv_free(d->packages);
	project_free(d->project);
	fault_done(&d->fault);
	free(d->workdir.path);
	free(d->workdir.session_path);
	free(d->build_script);
	free(d->output_dir);
	free(d->base);
	free(d->node_path);
	free(d->user_id);
	free(d->inject_dir);
	free(d->work);
	free(d->node);
	free(d->node_version);
	free(d->key);
	free(d->manager_key);
	free(d->own_modules);
	free(d);
}

static int cannot_copy(int r, struct fault *reterr)
{
	switch (r) {
	case -ECANCELED:
		return r;
	case -EDQUOT:
		return fault_set(reterr, FAULT_BUILD_LIMIT,
				 "the project is larger than publish.disk_max, or has more than %d "
				 "files",
				 ENTRIES_MAX);
	case -ELOOP:
		return fault_set(reterr, FAULT_BUILD_LIMIT,
				 "the project's directories are nested deeper than %d", DEPTH_MAX);
	default:
		return fault_set_errno(reterr, FAULT_NOT_A_PROJECT, r,
				       "the project cannot be copied");
	}
}

static int write_injects(struct detect *d, int work_fd)
{
	int r = make_directory_at(work_fd, "inject");

	for (size_t i = 0; r >= 0 && i < d->project->n_injects; i++) {
		const struct project_inject *one = &d->project->injects[i];
		scoped(freep) char *path = xasprintf("inject/%s", one->name);

		r = write_file_at(work_fd, path, one->content, strlen(one->content), 0444);
	}
	return r;
}

/* Whether a package depends on nothing but packages, of registries or of its workspace. */
static bool is_self_contained(const cJSON *package)
{
	static const char *const groups[] = { "dependencies", "devDependencies",
					      "optionalDependencies", "resolutions", "overrides" };
	static const char *const schemes[] = { "file:", "link:", "portal:" };
	const cJSON *one;

	for (size_t i = 0; i < ARRAY_SIZE(groups); i++) {
		cJSON_ArrayForEach(one, cJSON_GetObjectItemCaseSensitive(package, groups[i]))
		{
			if (!cJSON_IsString(one) && !cJSON_IsObject(one))
				return false;
			for (size_t s = 0; cJSON_IsString(one) && s < ARRAY_SIZE(schemes); s++)
				if (strncmp(one->valuestring, schemes[s], strlen(schemes[s])) == 0)
					return false;
		}
	}
	return true;
}

/* Yarn's other way needs no node_modules, but what it has instead, wherever the settings say. */
static bool has_node_modules(const struct detect *d, int project_fd)
{
	scoped(freep) char *text = NULL;
	const char *linker;

	if (d->project->manager != PM_BERRY)
		return true;
	if (beneath_read(project_fd, ".yarnrc.yml", LOCK_MAX, &text, NULL) < 0)
		return false;
	linker = strstr(text, "nodeLinker:");
	if (!linker)
		return false;
	linker += strlen("nodeLinker:");
	linker += strspn(linker, " \t'\"");
	return strncmp(linker, "node-modules", strlen("node-modules")) == 0;
}

static void key_add(struct strbuf *b, const char *name, const char *text, size_t len)
{
	strbuf_printf(b, "%s %zu\n", name, len);
	strbuf_add(b, text, len);
}

static void key_begin(const struct detect *d, struct strbuf *b)
{
	struct utsname host;

	uname(&host);
	strbuf_printf(b, "2 %s %s %s %s %s %d\n", host.machine, d->node_version,
		      d->node ? d->node : "", manager_name(d->project->manager),
		      d->project->manager_package ? d->project->manager_package : "",
		      d->install_scripts);
	if (!d->project->lockfile) /* newer ones are looked for once a day */
		strbuf_printf(b, "day %llu\n",
			      (unsigned long long)(clock_realtime() / (86400 * USEC_PER_SEC)));
}

static int put_input(int install_fd, const char *path, const char *content, size_t len)
{
	scoped(freep) char *part = xstrdup(path);
	int r = 0;

	for (char *slash = part; r >= 0 && (slash = strchr(slash, '/')); *slash++ = '/') {
		*slash = '\0';
		r = make_directory_at(install_fd, part);
	}
	return r < 0 ? r : write_file_at(install_fd, path, content, len, 0600);
}

/*
 * What an installation reads, in a directory of its own; and a digest of it, which is its key.  No
 * key where it depends on more than can be known.
 */
static int prepare_install(struct detect *d, int work_fd, int project_fd)
{
	scoped(strbuf_done) struct strbuf b = strbuf_init(3 * LOCK_MAX);
	scoped(strv_freep) char **inputs =
		workspace_inputs(project_fd, d->project->lockfile, &d->packages);
	scoped(closep) int fd = -1;
	char key[SHA256_HEX_SIZE];
	int r;

	if (!inputs || !has_node_modules(d, project_fd))
		return 0;
	r = make_directory_at(work_fd, "install");
	if (r >= 0)
		r = fd = openat(work_fd, "install", OPEN_DIRECTORY);
	if (r < 0)
		return r;
	key_begin(d, &b);
	for (char **path = inputs; *path; path++) {
		scoped(freep) char *content = NULL;
		scoped(json_freep) cJSON *package = NULL;
		size_t len;

		r = beneath_read(project_fd, *path, LOCK_MAX, &content, &len);
		if (r < 0 && errno_is_of_machine(r))
			return r;
		/* pnpm's patches may lie anywhere; these are where it puts them. */
		if (r < 0 || (strstr(content, "patchedDependencies") &&
			      !is_directory_at(project_fd, "patches")))
			return 0;
		if (strcmp(basename(*path), "package.json") == 0) {
			package = cJSON_Parse(content);
			if (!package || !is_self_contained(package))
				return 0;
		}
		key_add(&b, *path, content, len);
		r = put_input(fd, *path, content, len);
		if (r < 0)
			return r;
	}
	if (b.error)
		return 0;
	sha256_hex(strbuf_str(&b), b.len, key);
	d->key = xstrdup(key);
	return 0;
}

/* Its own packages are bound as they are where the daemon's rights are those of who asks. */
static void find_own_modules(struct detect *d)
{
	scoped(freep) char *path = path_of_fd(d->source_fd);

	if (path && is_directory_at(d->source_fd, "node_modules"))
		d->own_modules = xasprintf("%s/node_modules", path);
}

static bool is_trusted(const struct detect *d)
{
	/* As workdir_open() goes by. */
	bool is_own =
		d->workdir.path && d->workdir.path[0] == '/' && d->workdir.rights != RIGHTS_NONE;
	int64_t rights = is_own ? d->workdir.rights : d->workdir.session_rights;
	struct stat st;

	/* Another's directory could be exchanged for a link before it is bound. */
	return rights == (int64_t)geteuid() && fstat(d->source_fd, &st) == 0 &&
	       st.st_uid == geteuid();
}

/*
 * What an earlier build has put out must not be taken for what this one does.  Of a project that
 * nobody knows such a directory may be anything.
 */
static int remove_outputs(const struct detect *d, int project_fd)
{
	scoped(closep) int fd =
		beneath_open_plain(project_fd, d->member ? d->member : ".", O_RDONLY | O_DIRECTORY);
	int r = fd < 0 ? fd : 0;

	for (char **one = d->project->outputs; d->project->framework && *one && r >= 0; one++)
		if (strchr(*one, '/') == NULL && (*one)[0] != '.')
			r = remove_tree_at(fd, *one);
	return r;
}

/* The project's owner may have linked what only the daemon may read. */
static int copy_sources(struct detect *d, int to, const char *const *skip)
{
	const struct tree_limits limits = { d->bytes_max, ENTRIES_MAX, DEPTH_MAX };
	const int from = d->member ? d->top_fd : d->source_fd;
	struct tree_size size;
	struct stat st;
	int r;

	if (fstat(from, &st) < 0)
		return -errno;
	if (st.st_uid == geteuid())
		return copy_tree(from, to, skip, &limits, &d->cancel, NULL);
	r = copy_tree_of(st.st_uid, from, to, skip, &limits, &d->cancel, &size);
	if (size.foreign > 0)
		warnings_add(&d->project->warnings,
			     "%zu files and directories of another than the project's owner are "
			     "left out",
			     size.foreign);
	return r;
}

static int copy_project(struct detect *d)
{
	static const char *const skip[] = { ".git", ".hg", ".svn", "node_modules", NULL };
	static const char *const skip_but_modules[] = { ".git", ".hg", ".svn", NULL };
	bool binds_own = !d->install && d->is_isolated && is_trusted(d) && !d->member;
	bool with_modules = !d->install && !binds_own;
	scoped(closep) int work_fd = -1, project_fd = -1;
	int r = make_directory_at(d->state_fd, d->work);

	if (r < 0)
		return cannot_copy(r, &d->fault);
	work_fd = openat(d->state_fd, d->work, OPEN_DIRECTORY);
	if (work_fd < 0)
		return cannot_copy(-errno, &d->fault);
	r = make_directory_at(work_fd, "project");
	if (r >= 0)
		r = project_fd = openat(work_fd, "project", OPEN_DIRECTORY);
	if (r < 0)
		return cannot_copy(r, &d->fault);
	r = copy_sources(d, project_fd, with_modules ? skip_but_modules : skip);
	if (r >= 0 && !d->output_dir)
		r = remove_outputs(d, project_fd);
	if (r >= 0)
		r = make_directory_at(project_fd, "node_modules");
	if (r >= 0 && d->manager_key)
		r = make_directory_at(work_fd, "manager");
	if (r >= 0)
		r = write_injects(d, work_fd);
	if (r >= 0 && d->project->needs_install && d->install && d->is_isolated)
		r = prepare_install(d, work_fd, project_fd);
	if (r < 0)
		return cannot_copy(r, &d->fault);
	if (binds_own)
		find_own_modules(d);
	return 0;
}

/* What brings it is kept as packages are; where npm is missing, too, there is no way to it. */
static int check_manager(struct detect *d)
{
	const struct project *p = d->project;
	const char *name = manager_name(p->manager);
	scoped(freep) char *text = NULL;
	char key[SHA256_HEX_SIZE];
	struct utsname host;

	if (manager_is_installed(p->manager, p->manager_range, d->node))
		return 0;
	if (!p->manager_package || !manager_is_installed(PM_NPM, NULL, d->node))
		return fault_set(&d->fault, FAULT_INSTALL_FAILED,
				 "there is no %s in %s/bin, /usr/local/bin or /usr/bin%s: install "
				 "it there",
				 name, d->node,
				 p->manager_package ? ", and no npm to fetch it with" : "");
	uname(&host);
	text = xasprintf("manager 1 %s %s %s\n", host.machine, d->node_version, p->manager_package);
	sha256_hex(text, strlen(text), key);
	d->manager_key = xstrdup(key);
	return 0;
}

/* A project with a lock file of its own is installed by itself, unless it asks for its workspace.
 */
static bool stands_alone(int fd)
{
	scoped(manager_done) struct manager manager = { 0 };
	scoped(freep) char *text = NULL;

	if (beneath_read(fd, "package.json", PACKAGE_MAX, &text, NULL) < 0)
		return true;
	manager_find(NULL, fd, &manager);
	return manager.lockfile && !strstr(text, "\"workspace:");
}

/* Whether `path` of the tree at `top` is the project, and no link to it. */
static bool is_project(const struct detect *d, int top, const char *path)
{
	scoped(closep) int fd = beneath_open_plain(top, path, O_PATH | O_DIRECTORY);
	struct stat there, here;

	return fd >= 0 && fstat(fd, &there) == 0 && fstat(d->source_fd, &here) == 0 &&
	       there.st_dev == here.st_dev && there.st_ino == here.st_ino;
}

/* Who else may write above a project isn't to say what its build is. */
static bool is_above_of_same(const struct detect *d, int top)
{
	struct stat above, here;

	return fstat(top, &above) == 0 && fstat(d->source_fd, &here) == 0 &&
	       above.st_uid == here.st_uid && !(above.st_mode & S_IWOTH);
}

/* The nearest workspace above that has it as a package, as far as its owner may look. */
static void find_workspace(struct detect *d)
{
	scoped(freep) char *path = path_of_fd(d->source_fd);
	scoped(freep) char *above = xstrdup_null(path);

	if (!path || stands_alone(d->source_fd))
		return;
	for (unsigned level = 0; level < LEVELS_MAX; level++) {
		char *slash = strrchr(above, '/');
		const char *member;
		scoped(strv_freep) char **patterns = NULL;
		scoped(closep) int top = -1;

		if (!slash || slash == above)
			return;
		*slash = '\0';
		member = path + (slash - above) + 1;
		if (workdir_above(&d->workdir, above, &top) < 0 || !is_above_of_same(d, top))
			return;
		patterns = workspace_patterns(top);
		if (!patterns)
			continue;
		if (workspace_has(patterns, member) && is_project(d, top, member)) {
			d->member = xstrdup(member);
			d->top_fd = STEAL_FD(top);
		}
		return;
	}
}

static int choose_node(struct detect *d)
{
	struct project *p = d->project;

	if (p->node_wish)
		d->node = node_find(p->node_wish, d->node_path, &d->node_version, NULL);
	if (d->node)
		return 0;
	d->node = node_find(p->node_range, d->node_path, &d->node_version, &d->fault);
	if (!d->node)
		return -ENOENT;
	if (p->node_wish)
		warnings_add(&p->warnings,
			     "The project's .nvmrc or .node-version asks for Node %s, which is "
			     "not installed: it is built with %s",
			     p->node_wish, d->node_version);
	return 0;
}

int detect_work(void *input)
{
	struct detect *d = input;
	struct project_params params = {
		.build_script = d->build_script,
		.output_dir = d->output_dir,
		.base = d->base,
		.inject_dir = d->inject_dir,
	};
	int r = workdir_open(&d->workdir, &d->source_fd, &d->fault);

	if (r >= 0)
		find_workspace(d);
	params.top = d->member ? &d->top_fd : NULL;
	if (r >= 0)
		r = project_detect(d->source_fd, &params, &d->project, &d->fault);
	if (r < 0 || !d->project->script)
		return r;
	r = choose_node(d);
	if (r >= 0)
		r = check_manager(d);
	if (r < 0)
		return r;
	r = copy_project(d);
	if (d->cancel)
		r = -ECANCELED;
	if (r < 0 && remove_tree_at(d->state_fd, d->work) < 0)
		return r; /* the next start removes it */
	return r;
}
