/* SPDX-License-Identifier: MIT */
/*
 * Groups of processes that no process can leave.  previewd makes them only beneath a group that was
 * given to it: systemd marks such a group with an attribute, and where nobody marks, an ordinary
 * user's group that holds the daemon alone is taken for one.  Anything else belongs to whoever
 * manages the machine's groups, and is left alone.
 */
#include "proc/cgroup.h"

#include <dirent.h>
#include <errno.h>
#include <fcntl.h>
#include <stdio.h>
#include <string.h>
#include <sys/stat.h>
#include <sys/xattr.h>

#include "base/files.h"
#include "base/ids.h"
#include "base/mem.h"
#include "base/strbuf.h"

#define FILE_SIZE_MAX  (1024 * 1024) /* of mountinfo and cgroup.procs */
#define DEPTH_MAX      16
#define NAME_MAX_BYTES 128
#define LEAF           "daemon" /* where the daemon itself lives; tasks are "task-..." */

struct cgroups {
	char *base; /* directory of the delegated group */
};

static void closedirp(DIR **dir)
{
	if (*dir)
		closedir(*dir);
}

/* A text file in a group's directory, or anywhere with `directory` "". */
static int read_text(const char *directory, const char *name, char **ret)
{
	scoped(freep) char *path = xasprintf("%s%s", directory, name);

	return read_file_at(AT_FDCWD, path, FILE_SIZE_MAX, ret, NULL);
}

static int write_text(const char *directory, const char *name, const char *text)
{
	scoped(freep) char *path = xasprintf("%s%s", directory, name);
	scoped(closep) int fd = open(path, O_WRONLY | O_CLOEXEC);

	if (fd < 0)
		return -errno;
	return write(fd, text, strlen(text)) < 0 ? -errno : 0;
}

/* The line "0::/path" of /proc/PID/cgroup: that of the unified hierarchy. */
static char *path_of(pid_t pid)
{
	scoped(freep) char *file = xasprintf("/proc/%d/cgroup", (int)pid);
	scoped(freep) char *text = NULL;
	char *position, *line;

	if (read_text("", file, &text) < 0)
		return NULL;
	for (line = strtok_r(text, "\n", &position); line; line = strtok_r(NULL, "\n", &position))
		if (strncmp(line, "0::/", 4) == 0)
			return xstrdup(line + 3);
	return NULL;
}

/*
 * The path below the mount point of one mountinfo line, when it is a cgroup2 mount that shows the
 * group: `path` without the mount's root.  proc(5): "31 23 0:28 ROOT POINT OPTIONS ... - TYPE ...".
 */
static char *directory_in_mount(const char *line, const char *path)
{
	const char *type = strstr(line, " - ");
	char root[1024], point[1024];
	size_t root_len;

	if (!type || strncmp(type, " - cgroup2 ", 11) != 0)
		return NULL;
	if (sscanf(line, "%*s %*s %*s %1023s %1023s", root, point) != 2)
		return NULL;
	root_len = strcmp(root, "/") == 0 ? 0 : strlen(root);
	if (strncmp(path, root, root_len) != 0)
		return NULL;
	path += root_len;
	if (*path != '/' && *path != '\0')
		return NULL;
	return xasprintf("%s%s", point, strcmp(path, "/") == 0 ? "" : path);
}

/* The directory of a process' group, wherever the hierarchy is mounted; NULL if nowhere. */
static char *directory_of(pid_t pid)
{
	scoped(freep) char *path = path_of(pid);
	scoped(freep) char *mounts = NULL;
	char *position, *line;

	/* "/../x" is a group outside of our cgroup namespace. */
	if (!path || strncmp(path, "/..", 3) == 0)
		return NULL;
	if (read_text("", "/proc/self/mountinfo", &mounts) < 0)
		return NULL;
	for (line = strtok_r(mounts, "\n", &position); line;
	     line = strtok_r(NULL, "\n", &position)) {
		char *directory = directory_in_mount(line, path);

		if (directory)
			return directory;
	}
	return NULL;
}

static bool is_marked(const char *directory)
{
	/* "user." since systemd 251; "trusted." is readable for root only. */
	static const char *const names[] = { "user.delegate", "trusted.delegate" };

	for (size_t i = 0; i < ARRAY_SIZE(names); i++) {
		char value[2];

		if (getxattr(directory, names[i], value, sizeof(value)) == 1 && value[0] == '1')
			return true;
	}
	return false;
}

static bool holds_only_us(const char *directory)
{
	scoped(freep) char *procs = NULL;
	char us[16];

	snprintf(us, sizeof(us), "%d\n", getpid());
	return read_text(directory, "/cgroup.procs", &procs) >= 0 && strcmp(procs, us) == 0;
}

/* The root of a hierarchy has no cgroup.events. */
static bool is_root(const char *directory)
{
	scoped(freep) char *events = xasprintf("%s/cgroup.events", directory);

	return access(events, F_OK) < 0;
}

static bool is_writable(const char *directory)
{
	scoped(freep) char *procs = xasprintf("%s/cgroup.procs", directory);

	return access(directory, W_OK) == 0 && access(procs, W_OK) == 0;
}

static bool is_delegated(const char *directory)
{
	if (is_root(directory) || !is_writable(directory))
		return false;
	return is_marked(directory) || (geteuid() != 0 && holds_only_us(directory));
}

/* Moves this process into the leaf, so that the delegated group itself is free of processes. */
static int enter_leaf(const char *base)
{
	scoped(freep) char *leaf = xasprintf("%s/" LEAF, base);

	if (mkdir(leaf, 0755) < 0 && errno != EEXIST)
		return -errno;
	return write_text(leaf, "/cgroup.procs", "0");
}

int cgroups_new(struct cgroups **ret)
{
	scoped(freep) char *own = directory_of(getpid());
	struct cgroups *c;
	char *slash;
	int r = 0;

	if (!own)
		return -EOPNOTSUPP;
	if (is_delegated(own)) {
		r = enter_leaf(own);
	} else {
		/* Born in a leaf already: DelegateSubgroup=, or an earlier call of this. */
		slash = strrchr(own, '/');
		if (!slash || slash == own || is_root(own))
			return -EOPNOTSUPP;
		*slash = '\0';
		if (!is_marked(own) || !is_delegated(own))
			return -EOPNOTSUPP;
	}
	if (r < 0)
		return r;
	c = xcalloc(1, sizeof(*c));
	c->base = STEAL(own);
	*ret = c;
	return 0;
}

struct cgroups *cgroups_free(struct cgroups *c)
{
	if (!c)
		return NULL;
	free(c->base);
	free(c);
	return NULL;
}

/* "task-NAME" of harmless bytes: the kernel's own files are "cgroup.*", ours is LEAF. */
static char *safe_path(const struct cgroups *c, const char *name)
{
	char safe[NAME_MAX_BYTES + 1];
	size_t len = 0;

	for (; *name && len < NAME_MAX_BYTES; name++) {
		const char one[] = { *name, '\0' };

		safe[len++] = id_is_valid(one) || *name == '.' ? *name : '_';
	}
	safe[len] = '\0';
	return xasprintf("%s/task-%s", c->base, safe);
}

int cgroup_make(struct cgroups *c, const char *name, char **ret_path)
{
	scoped(freep) char *path = safe_path(c, name);
	scoped(freep) char *other = NULL;
	char suffix[9];

	if (mkdir(path, 0755) < 0) {
		if (errno != EEXIST)
			return -errno;
		/*
		 * Left by an earlier task, maybe with something in it, or another name made safe to
		 * the same: one group for two tasks would kill both.
		 */
		random_hex(suffix, sizeof(suffix) / 2);
		other = xasprintf("%s-%s", path, suffix);
		if (mkdir(other, 0755) < 0)
			return -errno;
	}
	*ret_path = other ? STEAL(other) : STEAL(path);
	return 0;
}

char *cgroup_run_name(const char *task_id)
{
	return xasprintf("previewd-run-%s.scope", task_id);
}

int cgroup_of(pid_t pid, char **ret_path)
{
	char *path = directory_of(pid);

	if (!path)
		return -EOPNOTSUPP;
	*ret_path = path;
	return 0;
}

int cgroup_of_run(pid_t pid, const char *task_id, char **ret_path)
{
	scoped(freep) char *wanted = cgroup_run_name(task_id);
	scoped(freep) char *path = NULL;
	int r = cgroup_of(pid, &path);

	if (r < 0)
		return r;
	if (strcmp(strrchr(path, '/') + 1, wanted) != 0)
		return -ENOENT;
	*ret_path = STEAL(path);
	return 0;
}

static int add_pids(const char *path, pid_t **pids, size_t *n)
{
	scoped(freep) char *text = NULL;
	char *position, *line;
	int r = read_text(path, "/cgroup.procs", &text);

	/* A threaded group can't say; its processes are in the one above. */
	if (r == -EOPNOTSUPP)
		return 0;
	if (r < 0)
		return r;
	for (line = strtok_r(text, "\n", &position); line; line = strtok_r(NULL, "\n", &position)) {
		*pids = xrealloc(*pids, (*n + 1) * sizeof(**pids));
		(*pids)[(*n)++] = (pid_t)strtol(line, NULL, 10);
	}
	return 0;
}

typedef int directory_fn(const char *path, unsigned depth, void *arg);

/* Calls `fn` for each group right below; its first failure ends it. */
static int for_each_below(const char *path, unsigned depth, directory_fn *fn, void *arg)
{
	scoped(closedirp) DIR *dir = opendir(path);
	const struct dirent *entry;
	int r = 0;

	if (!dir)
		return -errno;
	if (depth >= DEPTH_MAX)
		return -ELOOP;
	while (r >= 0 && (entry = readdir(dir))) {
		scoped(freep) char *below = NULL;

		if (entry->d_type != DT_DIR || entry->d_name[0] == '.')
			continue;
		below = xasprintf("%s/%s", path, entry->d_name);
		r = fn(below, depth + 1, arg);
		if (r == -ENOENT)
			r = 0; /* removed meanwhile */
	}
	return r;
}

struct pids {
	pid_t *pids;
	size_t n;
};

static int collect(const char *path, unsigned depth, void *arg)
{
	struct pids *found = arg;
	int r = add_pids(path, &found->pids, &found->n);

	return r < 0 ? r : for_each_below(path, depth, collect, found);
}

int cgroup_processes(const char *path, pid_t **ret, size_t *ret_n)
{
	struct pids found = { 0 };
	int r = collect(path, 0, &found);

	if (r < 0) {
		free(found.pids);
		return r;
	}
	*ret = found.pids;
	*ret_n = found.n;
	return 0;
}

static int write_number(const char *path, const char *name, uint64_t value)
{
	scoped(freep) char *text = xasprintf("%llu", (unsigned long long)value);

	return write_text(path, name, text);
}

static bool limit_memory(const char *path, uint64_t bytes)
{
	if (bytes == 0 || write_number(path, "/memory.max", bytes) < 0)
		return false;
	/* Neither is everywhere: a kernel without swap, an old one. */
	(void)!write_text(path, "/memory.swap.max", "0");
	(void)!write_text(path, "/memory.oom.group", "1");
	return true;
}

unsigned cgroup_limit(struct cgroups *c, const char *path, const struct cgroup_limits *limits)
{
	unsigned held = 0;

	/* One by one: a controller that isn't there would refuse the other, too. */
	(void)!write_text(c->base, "/cgroup.subtree_control", "+memory");
	(void)!write_text(c->base, "/cgroup.subtree_control", "+pids");
	if (limit_memory(path, limits->memory))
		held |= CGROUP_HOLDS_MEMORY;
	if (limits->processes > 0 && write_number(path, "/pids.max", limits->processes) >= 0)
		held |= CGROUP_HOLDS_PROCESSES;
	return held;
}

/* Whether a counter of the group's is no longer 0: "oom_kill 3". */
static bool has_counted(const char *path, const char *file, const char *counter)
{
	scoped(freep) char *events = NULL;
	const char *row;

	if (read_text(path, file, &events) < 0)
		return false;
	row = strstr(events, counter);
	return row && row[strlen(counter)] != '0';
}

bool cgroup_ran_out_of_memory(const char *path)
{
	return has_counted(path, "/memory.events", "oom_kill ");
}

bool cgroup_ran_out_of_processes(const char *path)
{
	return has_counted(path, "/pids.events", "max ");
}

int cgroup_kill(const char *path)
{
	scoped(freep) pid_t *pids = NULL;
	size_t n = 0;
	int r = cgroup_processes(path, &pids, &n);

	if (r < 0)
		return r;
	for (size_t i = 0; i < n; i++)
		if (pids[i] == getpid())
			return -EPERM;
	r = write_text(path, "/cgroup.kill", "1");
	return r == -ENOENT ? -EOPNOTSUPP : r; /* since Linux 5.14 */
}

int cgroup_is_populated(const char *path)
{
	scoped(freep) char *events = NULL;
	const char *row;
	int r = read_text(path, "/cgroup.events", &events);

	if (r < 0)
		return r;
	row = strstr(events, "populated ");
	return row ? row[strlen("populated ")] == '1' : -EINVAL;
}

/* What a task made below its group goes first. */
static int remove_all(const char *path, unsigned depth, void *arg)
{
	int r = for_each_below(path, depth, remove_all, arg);

	if (r < 0)
		return r;
	return rmdir(path) < 0 ? -errno : 0;
}

int cgroup_remove(const char *path)
{
	return remove_all(path, 0, NULL);
}
