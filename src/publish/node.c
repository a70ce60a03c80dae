/* SPDX-License-Identifier: MIT */
/*
 * The Node that a project needs, among those that are installed.  The PATH's is taken where it
 * fits; else the newest that does of the version managers' directories.
 */
#include <dirent.h>
#include <errno.h>
#include <limits.h>
#include <poll.h>
#include <signal.h>
#include <spawn.h>
#include <stdlib.h>
#include <string.h>
#include <sys/wait.h>
#include <unistd.h>

#include "base/clock.h"
#include "base/mem.h"
#include "base/parse.h"
#include "base/strbuf.h"
#include "publish/detect.h"
#include "publish/noderange.h"

#include <fcntl.h>
#include <glob.h>

#define FOUND_MAX    64
#define LIST_MAX     1024
#define VERSION_SIZE 64
#define ANSWER_WAIT  (10 * USEC_PER_SEC)

/* Below the home directory; what is behind each: a directory with a Node in it. */
static const char *const home_places[] = {
	".nvm/versions/node/*",
	".local/share/fnm/node-versions/*/installation",
	".fnm/node-versions/*/installation",
	".volta/tools/image/node/*",
};

struct node {
	char *prefix;
	char *version; /* NULL until somebody asked it */
};

struct nodes {
	struct node list[FOUND_MAX];
	size_t n;
	int error; /* why one could not be asked */
};

static void nodes_done(struct nodes *nodes)
{
	for (size_t i = 0; i < nodes->n; i++) {
		free(nodes->list[i].prefix);
		free(nodes->list[i].version);
	}
}

/* The text up to its end or a line's, as far as it comes in time. */
static void read_line(int fd, char *line, size_t size)
{
	const usec_t deadline = clock_monotonic() + ANSWER_WAIT;
	size_t len = 0;

	while (len < size - 1 && !memchr(line, '\n', len)) {
		struct pollfd p = { .fd = fd, .events = POLLIN };
		const usec_t now = clock_monotonic();
		ssize_t n;

		if (now >= deadline ||
		    poll(&p, 1, (int)((deadline - now) / USEC_PER_MSEC) + 1) <= 0)
			break;
		n = read(fd, line + len, size - 1 - len);
		if (n <= 0)
			break;
		len += (size_t)n;
	}
	line[len] = '\0';
	line[strcspn(line, "\r\n")] = '\0';
}

static int start_asking(const char *program, int out, pid_t *ret_pid)
{
	char *const argv[] = { (char *)program, (char *)"--version", NULL };
	char *const no_environment[] = { NULL };
	posix_spawn_file_actions_t actions;
	sigset_t none;
	posix_spawnattr_t attributes;
	int r;

	posix_spawn_file_actions_init(&actions);
	posix_spawnattr_init(&attributes);
	sigemptyset(&none);
	posix_spawnattr_setsigmask(&attributes, &none);
	posix_spawnattr_setflags(&attributes, POSIX_SPAWN_SETSIGMASK);
	posix_spawn_file_actions_addopen(&actions, 0, "/dev/null", O_RDONLY, 0);
	posix_spawn_file_actions_adddup2(&actions, out, 1);
	posix_spawn_file_actions_addopen(&actions, 2, "/dev/null", O_WRONLY, 0);
	r = posix_spawn(ret_pid, program, &actions, &attributes, argv, no_environment);
	posix_spawnattr_destroy(&attributes);
	posix_spawn_file_actions_destroy(&actions);
	return -r;
}

/* What `node --version` says, without the "v"; NULL where it doesn't run. */
static char *ask_version(const char *prefix, int *error)
{
	scoped(freep) char *program = xasprintf("%s/bin/node", prefix);
	scoped(closep) int in = -1;
	char line[VERSION_SIZE] = "";
	int ends[2];
	pid_t pid;
	int r;

	if (pipe2(ends, O_CLOEXEC) < 0) {
		*error = -errno;
		return NULL;
	}
	in = ends[0];
	r = start_asking(program, ends[1], &pid);
	close(ends[1]);
	if (r < 0) {
		*error = r;
		return NULL;
	}
	read_line(in, line, sizeof(line));
	kill(pid, SIGKILL);
	while (waitpid(pid, NULL, 0) < 0 && errno == EINTR)
		;
	if (line[0] != 'v' || !node_version_is_valid(line))
		return NULL;
	return xstrdup(line + 1);
}

static void add_prefix(struct nodes *nodes, const char *prefix)
{
	scoped(freep) char *program = xasprintf("%s/bin/node", prefix);

	for (size_t i = 0; i < nodes->n; i++)
		if (strcmp(nodes->list[i].prefix, prefix) == 0)
			return;
	if (nodes->n < FOUND_MAX && access(program, X_OK) == 0)
		nodes->list[nodes->n++] = (struct node){ .prefix = xstrdup(prefix) };
}

/* The program may be a link into the installation: what lies beside it is there. */
static void add_program(struct nodes *nodes, const char *directory)
{
	scoped(freep) char *path = xasprintf("%s/node", directory);
	scoped(freep) char *real = realpath(path, NULL);
	char *slash = real ? strrchr(real, '/') : NULL;

	if (!slash)
		return;
	*slash = '\0';
	slash = strrchr(real, '/');
	if (!slash || strcmp(slash, "/bin") != 0)
		return;
	*slash = '\0';
	add_prefix(nodes, real);
}

static void add_matches(struct nodes *nodes, const char *pattern)
{
	glob_t found = { 0 };

	if (glob(pattern, 0, NULL, &found) == 0)
		for (size_t i = 0; i < found.gl_pathc; i++)
			add_prefix(nodes, found.gl_pathv[i]);
	globfree(&found);
}

static void find_of_path(struct nodes *nodes)
{
	const char *path = getenv("PATH");
	scoped(strv_freep) char **directories = parse_list(path ? path : "", ':');

	for (size_t i = 0; directories[i]; i++)
		if (directories[i][0] == '/')
			add_program(nodes, directories[i]);
}

static void find_elsewhere(struct nodes *nodes, const char *search)
{
	const char *home = getenv("HOME");
	scoped(strv_freep) char **directories = parse_list(search ? search : "", ':');

	for (size_t i = 0; directories[i]; i++) {
		scoped(freep) char *bin = xasprintf("%s/bin", directories[i]);

		/* A directory that has a Node, is one, or holds several. */
		add_program(nodes, directories[i]);
		add_program(nodes, bin);
		scoped(freep) char *several = xasprintf("%s/*", directories[i]);
		add_matches(nodes, several);
	}
	for (size_t i = 0; home && i < ARRAY_SIZE(home_places); i++) {
		scoped(freep) char *pattern = xasprintf("%s/%s", home, home_places[i]);

		add_matches(nodes, pattern);
	}
	add_matches(nodes, "/opt/node*");
}

static void ask_from(struct nodes *nodes, size_t from)
{
	for (size_t i = from; i < nodes->n; i++)
		nodes->list[i].version = ask_version(nodes->list[i].prefix, &nodes->error);
}

static bool fits(const struct node *node, const char *range)
{
	return node->version && (!range || node_range_has(range, node->version));
}

static const struct node *newest_fit(const struct nodes *nodes, size_t from, const char *range)
{
	const struct node *best = NULL;

	for (size_t i = from; i < nodes->n; i++)
		if (fits(&nodes->list[i], range) &&
		    (!best || node_version_compare(nodes->list[i].version, best->version) > 0))
			best = &nodes->list[i];
	return best;
}

static int none_fits(const struct nodes *nodes, const char *range, struct fault *reterr)
{
	scoped(strbuf_done) struct strbuf there = strbuf_init(LIST_MAX);

	if (errno_is_of_machine(nodes->error))
		return fault_set_errno(reterr, FAULT_NODE_UNAVAILABLE, nodes->error,
				       "no Node could be asked for its version");
	for (size_t i = 0; i < nodes->n; i++)
		if (nodes->list[i].version)
			strbuf_printf(&there, "%s%s", there.len ? ", " : "",
				      nodes->list[i].version);
	if (there.len == 0)
		return fault_set(reterr, FAULT_NODE_UNAVAILABLE,
				 "No Node is installed: put one into the PATH, or name its "
				 "directory in publish.node_path");
	return fault_set(
		reterr, FAULT_NODE_UNAVAILABLE,
		"The project needs Node %s; installed: %s. Install one that fits (nvm, fnm, "
		"or below /opt/node*), or name its directory in publish.node_path",
		range, strbuf_str(&there));
}

char *node_find(const char *range, const char *search, char **ret_version, struct fault *reterr)
{
	scoped(nodes_done) struct nodes nodes = { 0 };
	const struct node *found = NULL;
	size_t n_of_path;

	find_of_path(&nodes);
	n_of_path = nodes.n;
	ask_from(&nodes, 0);
	for (size_t i = 0; i < n_of_path && !found; i++)
		if (fits(&nodes.list[i], range))
			found = &nodes.list[i];
	if (!found) {
		find_elsewhere(&nodes, search);
		ask_from(&nodes, n_of_path);
		found = newest_fit(&nodes, n_of_path, range);
	}
	if (!found) {
		(void)none_fits(&nodes, range, reterr);
		return NULL;
	}
	if (ret_version)
		*ret_version = xstrdup(found->version);
	return xstrdup(found->prefix);
}
