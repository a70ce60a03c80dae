/* SPDX-License-Identifier: MIT */
/*
 * Looks at what a build has put out, before anything of it is read.  Whoever made it may go on
 * changing it meanwhile: every step goes by descriptors beneath the directory, and what is found
 * here is checked again when it is opened.
 *
 * What is only untidy is left out with a warning: dangling links, links to directories.  What looks
 * like an attempt fails the whole: a link that leaves the output, a device, a name in a hidden
 * place.
 */
#include <dirent.h>
#include <errno.h>
#include <fcntl.h>
#include <inttypes.h>
#include <limits.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <strings.h>
#include <sys/stat.h>
#include <unistd.h>

#include "base/beneath.h"
#include "base/mem.h"
#include "base/parse.h"
#include "base/strbuf.h"
#include "base/trees.h"
#include "publish/output_priv.h"

#define NAME_LENGTH  255
#define PATH_LENGTH  1024
#define WARNINGS_MAX 100
#define TRIED_MAX    1024

/* The project's directory as a build in the sandbox sees it: links that it made say this. */
#define SANDBOX_WORKDIR "/build/"

struct walk {
	const struct output_request *request;
	const volatile bool *cancel;
	int fd; /* the output's directory */
	struct output_list *list;
	size_t n_seen; /* entries of any kind */
	size_t n_hidden, n_foreign;
	char ***warnings;
	struct fault *reterr;
};

void warnings_add(char ***warnings, const char *format, ...)
{
	const size_t n = strv_len(*warnings);
	va_list args;

	if (n > WARNINGS_MAX)
		return;
	*warnings = xrealloc(*warnings, (n + 2) * sizeof(**warnings));
	(*warnings)[n + 1] = NULL;
	if (n == WARNINGS_MAX) {
		(*warnings)[n] = xstrdup("There are more warnings, which are left out");
		return;
	}
	va_start(args, format);
	(*warnings)[n] = xvasprintf(format, args);
	va_end(args);
}

void output_list_done(struct output_list *l)
{
	for (size_t i = 0; i < l->n; i++)
		free(l->files[i].path);
	free(l->files);
	*l = (struct output_list){ 0 };
}

/* --- where the output is */

/* An absolute link that a build made of its own output: the part beneath the project, or NULL. */
static char *link_beneath(int project_fd, const char *path)
{
	scoped(freep) char *self = xasprintf("/proc/self/fd/%d", project_fd);
	char target[PATH_MAX], project[PATH_MAX];
	ssize_t n = readlinkat(project_fd, path, target, sizeof(target) - 1);
	size_t len;

	if (n <= 0 || target[0] != '/')
		return NULL;
	target[n] = '\0';
	if (strncmp(target, SANDBOX_WORKDIR, strlen(SANDBOX_WORKDIR)) == 0)
		return xstrdup(target + strlen(SANDBOX_WORKDIR));

	n = readlink(self, project, sizeof(project) - 1);
	len = n < 0 ? 0 : (size_t)n;
	if (len == 0 || strncmp(target, project, len) != 0 || target[len] != '/')
		return NULL;
	return xstrdup(target + len + 1);
}

static int open_output(int project_fd, const char *path)
{
	scoped(freep) char *linked = NULL;
	int fd = beneath_open(project_fd, path, O_RDONLY | O_DIRECTORY);

	if (fd != -EXDEV)
		return fd;
	linked = link_beneath(project_fd, path);
	return linked ? beneath_open(project_fd, linked, O_RDONLY | O_DIRECTORY) : fd;
}

static bool has_index(int fd)
{
	scoped(closep) int index = beneath_open(fd, "index.html", O_PATH);
	struct stat st;

	return index >= 0 && fstat(index, &st) == 0 && S_ISREG(st.st_mode);
}

static char *listed(const char *const *outputs)
{
	scoped(strbuf_done) struct strbuf b = strbuf_init(TRIED_MAX);

	for (size_t i = 0; outputs[i]; i++)
		strbuf_printf(&b, "%s%s", i ? ", " : "", outputs[i]);
	return xstrdup(strbuf_str(&b));
}

int output_find(const struct output_request *request, int *ret_fd, const char **ret_name,
		struct fault *reterr)
{
	scoped(freep) char *tried = listed(request->outputs);
	const char *without = NULL;

	for (size_t i = 0; request->outputs[i]; i++) {
		const char *name = request->outputs[i];
		scoped(closep) int fd = open_output(request->project_fd, name);

		if (fd == -ENOENT)
			continue;
		if (fd == -EXDEV || fd == -ELOOP)
			return fault_set(reterr, FAULT_BAD_OUTPUT,
					 "The output '%s' lies outside of the project", name);
		if (fd < 0)
			return fault_set(reterr, FAULT_BAD_OUTPUT,
					 "The output '%s' cannot be opened: %s", name,
					 strerror(-fd));
		if (has_index(fd)) {
			*ret_fd = STEAL_FD(fd);
			*ret_name = name;
			return 0;
		}
		if (!without)
			without = name;
	}
	if (without)
		return fault_set(
			reterr, FAULT_NO_INDEX,
			"'%s' holds no index.html: is it a build for a server? Only static "
			"output can be published",
			without);
	return fault_set(reterr, FAULT_NO_OUTPUT,
			 "There is no output (looked for: %s): name its directory with output_dir",
			 tried);
}

/* --- what is in it */

/*
 * Names that start with a dot are for tools and not for visitors, and among them are .git and .env;
 * .well-known is the exception (RFC 8615).
 */
static bool is_left_out(const struct output_request *request, const char *name)
{
	static const char *const of_projects[] = {
		"package.json", "package-lock.json", "npm-shrinkwrap.json", "pnpm-lock.yaml",
		"yarn.lock",    "bun.lock",          "bun.lockb",
	};

	if (name[0] == '.' && strcmp(name, ".well-known") != 0)
		return true;
	if (strcmp(name, "node_modules") == 0)
		return true;
	for (size_t i = 0; request->is_static && i < ARRAY_SIZE(of_projects); i++)
		if (strcmp(name, of_projects[i]) == 0)
			return true;
	return false;
}

static const char *problem_of_name(const char *name, size_t path_length)
{
	const size_t len = strlen(name);

	if (len > NAME_LENGTH || path_length > PATH_LENGTH)
		return "the name is too long";
	if (!utf8_is_valid(name, len))
		return "the name is not UTF-8";
	for (const unsigned char *c = (const unsigned char *)name; *c; c++)
		if (*c < ' ' || *c == 0x7f || *c == '\\')
			return "the name holds a control character or a backslash";
	return NULL;
}

/* A name as it may be shown: what isn't plain ASCII as \xNN. */
static char *shown(const char *path)
{
	scoped(strbuf_done) struct strbuf b = strbuf_init(4 * PATH_LENGTH);
	const bool is_text = utf8_is_valid(path, strlen(path));

	for (const unsigned char *c = (const unsigned char *)path; *c && b.len < PATH_LENGTH; c++)
		if (*c < ' ' || *c == 0x7f || (*c >= 0x80 && !is_text))
			strbuf_printf(&b, "\\x%02x", *c);
		else
			strbuf_putc(&b, (char)*c);
	return strbuf_steal(&b);
}

static int bad(const struct walk *w, const char *path, const char *problem)
{
	scoped(freep) char *name = shown(path);

	return fault_set(w->reterr, FAULT_BAD_OUTPUT, "The output cannot be published: '%s': %s",
			 name, problem);
}

static int too_many(const struct walk *w)
{
	return fault_set(w->reterr, FAULT_OUTPUT_TOO_LARGE,
			 "The output has more than %zu files (publish.files_max)",
			 w->request->limits.files);
}

static int count_entry(struct walk *w)
{
	if (*w->cancel)
		return fault_set(w->reterr, FAULT_BUILD_CANCELED, "The build was canceled");
	/* Directories and what is left out count as well: there must be an end to them, too. */
	if (++w->n_seen > 2 * w->request->limits.files + 1000)
		return too_many(w);
	return 0;
}

static int add_file(struct walk *w, const char *path, const struct stat *st, bool is_link)
{
	const struct output_limits *limits = &w->request->limits;
	struct output_list *l = w->list;
	const uint64_t size = (uint64_t)st->st_size;

	if (l->n >= limits->files)
		return too_many(w);
	if (size > limits->file_bytes)
		return fault_set(w->reterr, FAULT_OUTPUT_TOO_LARGE,
				 "'%s' has %" PRIu64 " bytes, more than %" PRIu64
				 " (publish.file_max)",
				 path, size, limits->file_bytes);
	if (size > limits->bytes - l->bytes)
		return fault_set(w->reterr, FAULT_OUTPUT_TOO_LARGE,
				 "The output has more than %" PRIu64 " bytes (publish.bytes_max)",
				 limits->bytes);
	if (l->n == l->capacity) {
		l->capacity = l->capacity ? l->capacity * 2 : 64;
		l->files = xrealloc(l->files, l->capacity * sizeof(*l->files));
	}
	l->files[l->n++] = (struct output_file){
		.path = xstrdup(path),
		.is_link = is_link,
		.size = size,
		.device = st->st_dev,
		.inode = st->st_ino,
		.changed = st->st_ctim,
		.links = st->st_nlink,
	};
	l->bytes += size;
	return 0;
}

static bool is_foreign(struct walk *w, const struct stat *st)
{
	if (!w->request->owner || !tree_is_foreign(st, *w->request->owner))
		return false;
	w->n_foreign++;
	return true;
}

/* Whether the way from the output to what `fd` has open leads through a name that is left out. */
static bool leads_to_left_out(const struct walk *w, int fd)
{
	char root[PATH_MAX], target[PATH_MAX];
	scoped(freep) char *root_link = xasprintf("/proc/self/fd/%d", w->fd);
	scoped(freep) char *target_link = xasprintf("/proc/self/fd/%d", fd);
	const ssize_t root_len = readlink(root_link, root, sizeof(root) - 1);
	const ssize_t target_len = readlink(target_link, target, sizeof(target) - 1);
	scoped(strv_freep) char **parts = NULL;

	if (root_len < 0 || target_len <= root_len || memcmp(root, target, (size_t)root_len) != 0)
		return true;
	target[target_len] = '\0';
	parts = parse_list(target + root_len, '/');
	for (size_t i = 0; parts[i]; i++)
		if (is_left_out(w->request, parts[i]))
			return true;
	return false;
}

static int look_at_link(struct walk *w, const char *path)
{
	scoped(closep) int fd = beneath_open(w->fd, path, O_PATH);
	struct stat st;

	if (fd == -EXDEV)
		return bad(w, path, "a symbolic link that leaves the output");
	if (fd < 0) {
		warnings_add(w->warnings, "'%s' is left out: a symbolic link that leads nowhere",
			     path);
		return 0;
	}
	if (fstat(fd, &st) < 0)
		return -errno;
	if (S_ISDIR(st.st_mode)) {
		warnings_add(w->warnings, "'%s' is left out: a symbolic link to a directory", path);
		return 0;
	}
	if (!S_ISREG(st.st_mode))
		return bad(w, path, "a symbolic link to what is no file");
	if (leads_to_left_out(w, fd)) {
		warnings_add(w->warnings,
			     "'%s' is left out: a symbolic link to what is not published", path);
		return 0;
	}
	return is_foreign(w, &st) ? 0 : add_file(w, path, &st, true);
}

static int look_at_directory(struct walk *w, const char *path, unsigned depth);

static int look_at_entry(struct walk *w, const char *path, unsigned depth)
{
	struct stat st;

	if (fstatat(w->fd, path, &st, AT_SYMLINK_NOFOLLOW) < 0)
		return errno == ENOENT ? 0 : bad(w, path, strerror(errno));
	switch (st.st_mode & S_IFMT) {
	case S_IFREG:
		return is_foreign(w, &st) ? 0 : add_file(w, path, &st, false);
	case S_IFDIR:
		return look_at_directory(w, path, depth + 1);
	case S_IFLNK:
		return look_at_link(w, path);
	default:
		return bad(w, path, "neither a file nor a directory");
	}
}

static int look_at_entries(struct walk *w, DIR *dir, const char *path, unsigned depth)
{
	const struct dirent *entry;

	while ((entry = readdir(dir))) {
		const char *name = entry->d_name;
		const char *problem;
		int r;

		if (strcmp(name, ".") == 0 || strcmp(name, "..") == 0)
			continue;
		r = count_entry(w);
		if (r < 0)
			return r;
		if (is_left_out(w->request, name)) {
			w->n_hidden += strncmp(name, ".env", 4) == 0 || strcmp(name, ".git") == 0;
			continue;
		}

		scoped(freep) char *below = *path ? xasprintf("%s/%s", path, name) : xstrdup(name);

		problem = problem_of_name(name, strlen(below));
		r = problem ? bad(w, below, problem) : look_at_entry(w, below, depth);
		if (r < 0)
			return r;
	}
	return 0;
}

static int look_at_directory(struct walk *w, const char *path, unsigned depth)
{
	scoped(closep) int fd = -1;
	struct stat st;
	DIR *dir;
	int r;

	if (depth > w->request->limits.depth)
		return fault_set(w->reterr, FAULT_OUTPUT_TOO_LARGE,
				 "The output has directories more than %u deep",
				 w->request->limits.depth);
	fd = beneath_open_plain(w->fd, *path ? path : ".", O_RDONLY | O_DIRECTORY);
	if (fd < 0)
		return bad(w, path, strerror(-fd));
	if (fstat(fd, &st) < 0)
		return -errno;
	if (is_foreign(w, &st))
		return 0;
	dir = fdopendir(fd);
	if (!dir)
		return -errno;
	(void)STEAL_FD(fd);
	r = look_at_entries(w, dir, path, depth);
	closedir(dir);
	return r;
}

static int compare_paths(const void *a, const void *b)
{
	return strcmp(((const struct output_file *)a)->path, ((const struct output_file *)b)->path);
}

static int compare_inodes(const void *a, const void *b)
{
	const struct output_file *const *left = a;
	const struct output_file *const *right = b;

	if ((*left)->device != (*right)->device)
		return (*left)->device < (*right)->device ? -1 : 1;
	return (*left)->inode < (*right)->inode ? -1 : (*left)->inode > (*right)->inode;
}

/* A file that has a name outside of the output, too, may be anybody's: link(2) asks few. */
static int check_hard_links(const struct walk *w)
{
	const struct output_list *l = w->list;
	scoped(freep) const struct output_file **several =
		xcalloc(l->n ? l->n : 1, sizeof(*several));
	size_t n = 0, same;

	for (size_t i = 0; i < l->n; i++)
		if (l->files[i].links > 1 && !l->files[i].is_link)
			several[n++] = &l->files[i];
	qsort(several, n, sizeof(*several), compare_inodes);
	for (size_t i = 0; i < n; i += same) {
		for (same = 1;
		     i + same < n && compare_inodes(&several[i], &several[i + same]) == 0;)
			same++;
		if (several[i]->links > same)
			return bad(w, several[i]->path,
				   "a hard link to a file outside of the output");
	}
	return 0;
}

static int compare_folded(const void *a, const void *b)
{
	const struct output_file *const *left = a;
	const struct output_file *const *right = b;

	return strcasecmp((*left)->path, (*right)->path);
}

/* They work here and nowhere where case doesn't count. */
static void warn_of_case(const struct walk *w)
{
	const struct output_list *l = w->list;
	scoped(freep) const struct output_file **sorted = xcalloc(l->n ? l->n : 1, sizeof(*sorted));

	for (size_t i = 0; i < l->n; i++)
		sorted[i] = &l->files[i];
	qsort(sorted, l->n, sizeof(*sorted), compare_folded);
	for (size_t i = 1; i < l->n; i++)
		if (compare_folded(&sorted[i - 1], &sorted[i]) == 0)
			warnings_add(w->warnings, "'%s' and '%s' differ only in case",
				     sorted[i - 1]->path, sorted[i]->path);
}

int output_walk(const struct output_request *request, int output_fd, const volatile bool *cancel,
		struct output_list *ret, char ***warnings, struct fault *reterr)
{
	struct walk w = {
		.request = request,
		.cancel = cancel,
		.fd = output_fd,
		.list = ret,
		.warnings = warnings,
		.reterr = reterr,
	};
	int r = look_at_directory(&w, "", 0);

	if (r < 0)
		return r;
	/* Files of a release are shared with others by link. */
	r = request->rebase_from ? 0 : check_hard_links(&w);
	if (r < 0)
		return r;
	if (w.n_hidden > 0)
		warnings_add(warnings, "%zu of .git and .env* in the output are left out",
			     w.n_hidden);
	if (w.n_foreign > 0)
		warnings_add(warnings,
			     "%zu files and directories of another than the project's owner are "
			     "left out",
			     w.n_foreign);
	qsort(ret->files, ret->n, sizeof(*ret->files), compare_paths);
	warn_of_case(&w);
	return 0;
}
