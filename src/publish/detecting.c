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

#include "base/files.h"
#include "base/mem.h"
#include "base/strbuf.h"
#include "base/trees.h"
#include "publish/manager.h"
#include "publish/output_priv.h"
#include "publish/publisher_priv.h"

#define ENTRIES_MAX 200000 /* of a project */
#define DEPTH_MAX   64
#define LOCK_MAX    (32 * 1024 * 1024)

#define OPEN_DIRECTORY (O_RDONLY | O_DIRECTORY | O_NOFOLLOW | O_CLOEXEC)

void detect_free(void *arg)
{
	struct detect *d = arg;

	closep(&d->source_fd);
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
		return fault_set(reterr, FAULT_NOT_A_PROJECT, "the project cannot be copied: %s",
				 strerror(-r));
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

/* What of package.json makes an installation depend on more than itself and its lock file. */
static bool is_self_contained(const cJSON *package, int fd)
{
	static const char *const groups[] = { "dependencies", "devDependencies",
					      "optionalDependencies", "resolutions", "overrides" };
	static const char *const schemes[] = { "file:", "link:", "portal:", "workspace:",
					       "patch:" };
	const cJSON *one;

	if (cJSON_GetObjectItemCaseSensitive(package, "workspaces") ||
	    faccessat(fd, "pnpm-workspace.yaml", F_OK, AT_SYMLINK_NOFOLLOW) == 0 ||
	    faccessat(fd, ".yarnrc.yml", F_OK, AT_SYMLINK_NOFOLLOW) == 0 ||
	    faccessat(fd, "patches", F_OK, AT_SYMLINK_NOFOLLOW) == 0)
		return false;
	for (size_t i = 0; i < ARRAY_SIZE(groups); i++) {
		cJSON_ArrayForEach(one, cJSON_GetObjectItemCaseSensitive(package, groups[i]))
		{
			if (!cJSON_IsString(one))
				return cJSON_IsObject(one);
			for (size_t s = 0; s < ARRAY_SIZE(schemes); s++)
				if (strncmp(one->valuestring, schemes[s], strlen(schemes[s])) == 0)
					return false;
		}
	}
	return true;
}

static void key_add(struct strbuf *b, const char *name, const char *text, size_t len)
{
	strbuf_printf(b, "%s %zu\n", name, len);
	strbuf_add(b, text, len);
}

/* A digest of all that the installation depends on; NULL where that is more than can be known. */
static int compute_key(struct detect *d, int fd)
{
	scoped(strbuf_done) struct strbuf b = strbuf_init(3 * LOCK_MAX);
	const char *const files[] = { "package.json", d->project->lockfile, ".npmrc" };
	scoped(freep) char *text = NULL;
	scoped(json_freep) cJSON *package = NULL;
	char key[SHA256_HEX_SIZE];
	struct utsname host;
	int r = read_file_at(fd, "package.json", LOCK_MAX, &text, NULL);

	if (r < 0)
		return r;
	package = cJSON_Parse(text);
	if (!package || !is_self_contained(package, fd))
		return 0;
	uname(&host);
	strbuf_printf(&b, "2 %s %s %s %s %s %d\n", host.machine, d->node_version,
		      d->node ? d->node : "", manager_name(d->project->manager),
		      d->project->manager_package ? d->project->manager_package : "",
		      d->install_scripts);
	for (size_t i = 0; i < ARRAY_SIZE(files); i++) {
		scoped(freep) char *content = NULL;
		size_t len;

		if (files[i] && read_file_at(fd, files[i], LOCK_MAX, &content, &len) >= 0)
			key_add(&b, files[i], content, len);
	}
	if (!d->project->lockfile) /* newer ones are looked for once a day */
		strbuf_printf(&b, "day %llu\n",
			      (unsigned long long)(clock_realtime() / (86400 * USEC_PER_SEC)));
	if (b.error)
		return 0;
	sha256_hex(strbuf_str(&b), b.len, key);
	d->key = xstrdup(key);
	return 0;
}

/* What an installation reads, in a directory of its own. */
static int prepare_install(struct detect *d, int work_fd, int project_fd)
{
	const char *const files[] = { "package.json", d->project->lockfile, ".npmrc" };
	scoped(closep) int fd = -1;
	int r = make_directory_at(work_fd, "install");

	if (r < 0)
		return r;
	fd = openat(work_fd, "install", OPEN_DIRECTORY);
	if (fd < 0)
		return -errno;
	for (size_t i = 0; i < ARRAY_SIZE(files); i++) {
		scoped(freep) char *content = NULL;
		size_t len;

		if (!files[i] || read_file_at(project_fd, files[i], LOCK_MAX, &content, &len) < 0)
			continue;
		r = write_file_at(fd, files[i], content, len, 0600);
		if (r < 0)
			return r;
	}
	return 0;
}

/* Its own packages are bound as they are where the daemon's rights are those of who asks. */
static void find_own_modules(struct detect *d)
{
	char link[64], path[4096];
	ssize_t n;

	snprintf(link, sizeof(link), "/proc/self/fd/%d", d->source_fd);
	n = readlink(link, path, sizeof(path) - 1);
	if (n <= 0 || !is_directory_at(d->source_fd, "node_modules"))
		return;
	path[n] = '\0';
	d->own_modules = xasprintf("%s/node_modules", path);
}

static bool is_trusted(const struct detect *d)
{
	/* As workdir_open() goes by. */
	bool is_own =
		d->workdir.path && d->workdir.path[0] == '/' && d->workdir.rights != RIGHTS_NONE;
	int64_t rights = is_own ? d->workdir.rights : d->workdir.session_rights;

	return rights == (int64_t)geteuid();
}

/*
 * What an earlier build has put out must not be taken for what this one does.  Of a project that
 * nobody knows such a directory may be anything.
 */
static int remove_outputs(const struct detect *d, int project_fd)
{
	int r = 0;

	for (char **one = d->project->outputs; d->project->framework && *one && r >= 0; one++)
		if (strchr(*one, '/') == NULL && (*one)[0] != '.')
			r = remove_tree_at(project_fd, *one);
	return r;
}

/* The project's owner may have linked what only the daemon may read. */
static int copy_sources(struct detect *d, int to, const char *const *skip)
{
	const struct tree_limits limits = { d->bytes_max, ENTRIES_MAX, DEPTH_MAX };
	struct tree_size size;
	struct stat st;
	int r;

	if (fstat(d->source_fd, &st) < 0)
		return -errno;
	if (st.st_uid == geteuid())
		return copy_tree(d->source_fd, to, skip, &limits, &d->cancel, NULL);
	r = copy_tree_of(st.st_uid, d->source_fd, to, skip, &limits, &d->cancel, &size);
	if (size.foreign > 0)
		warnings_add(&d->project->warnings,
			     "%zu hard links to files that are not the project's owner's are left "
			     "out",
			     size.foreign);
	return r;
}

static int copy_project(struct detect *d)
{
	static const char *const skip[] = { ".git", ".hg", ".svn", "node_modules", NULL };
	static const char *const skip_but_modules[] = { ".git", ".hg", ".svn", NULL };
	bool binds_own = !d->install && d->is_isolated && is_trusted(d);
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
		r = compute_key(d, project_fd);
	if (r >= 0 && d->key)
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

int detect_work(void *input)
{
	struct detect *d = input;
	const struct project_params params = {
		.build_script = d->build_script,
		.output_dir = d->output_dir,
		.base = d->base,
		.inject_dir = d->inject_dir,
	};
	int r = workdir_open(&d->workdir, &d->source_fd, &d->fault);

	if (r >= 0)
		r = project_detect(d->source_fd, &params, &d->project, &d->fault);
	if (r < 0 || !d->project->script)
		return r;
	d->node = node_find(d->project->node_range, d->node_path, &d->node_version, &d->fault);
	if (!d->node)
		return -ENOENT;
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
