/* SPDX-License-Identifier: MIT */
/*
 * What a sandbox uses, looked at from outside, in a helper thread: for the limits that the kernel
 * holds for a process only, or not for root, where there is no cgroup. Between two looks a run may
 * overstep; then it is killed whole.
 *
 * All that runs in a pid namespace descends from the namespace's first process, for whoever loses
 * its parent comes to that one: so the tree is found by parents, with no right over it.
 */
#include "proc/sandbox_priv.h"

#include <dirent.h>
#include <errno.h>
#include <fcntl.h>
#include <stdio.h>
#include <string.h>
#include <sys/stat.h>

#include "base/hash.h"
#include "base/mem.h"
#include "base/parse.h"

#define DEPTH_MAX   256
#define HIDDEN_COST (UINT64_C(1) << 40)
#define INODE_COST                                                                    \
	1024 /* bytes that a file of no bytes takes: a million of them are a gigabyte \
	      */
#define STATM_MAX  256
#define BLOCK_SIZE 512 /* of st_blocks, whatever the file system's own is */

static void closedirp(DIR **dir)
{
	if (*dir)
		closedir(*dir);
}

/* ---- directories ---- */

static uint64_t bytes_of(const struct stat *st)
{
	return (uint64_t)st->st_blocks * BLOCK_SIZE + INODE_COST;
}

/* One of ours that we can't look into, or so deep that nobody does: it was made to hide something.
 */
static uint64_t bytes_hidden(const struct stat *st)
{
	return st->st_uid == geteuid() ? HIDDEN_COST : 0;
}

/*
 * By descriptors, and into no other file system: what is moved meanwhile leads nowhere else.
 * Files vanish under a build all the time.
 */
static uint64_t measure(int parent, const char *name, const struct stat *self, unsigned depth)
{
	int fd = openat(parent, name, O_RDONLY | O_DIRECTORY | O_NOFOLLOW | O_CLOEXEC);
	scoped(closedirp) DIR *dir = fd >= 0 ? fdopendir(fd) : NULL;
	const struct dirent *entry;
	uint64_t bytes = 0;

	if (!dir) {
		bytes = errno == EACCES || errno == EMFILE ? bytes_hidden(self) : 0;
		closep(&fd);
		return bytes;
	}
	while ((entry = readdir(dir))) {
		struct stat st;

		if (strcmp(entry->d_name, ".") == 0 || strcmp(entry->d_name, "..") == 0)
			continue;
		if (fstatat(fd, entry->d_name, &st, AT_SYMLINK_NOFOLLOW) < 0 ||
		    st.st_dev != self->st_dev)
			continue;
		bytes += bytes_of(&st);
		if (S_ISDIR(st.st_mode))
			bytes += depth < DEPTH_MAX ? measure(fd, entry->d_name, &st, depth + 1)
						   : bytes_hidden(&st);
	}
	return bytes;
}

static uint64_t measure_directory(const char *path, dev_t *ret_device)
{
	struct stat st;

	*ret_device = 0;
	if (stat(path, &st) < 0)
		return 0;
	*ret_device = st.st_dev;
	return measure(AT_FDCWD, path, &st, 0);
}

/* ---- processes ---- */

struct seen {
	struct {
		dev_t device;
		ino_t inode;
	} key;
	UT_hash_handle hh;
};

struct tree {
	const struct process *all;
	size_t n;
	struct sandbox_usage *usage;
	const dev_t *devices; /* of the directories */
	size_t n_devices;
	struct seen *seen; /* deleted files that were counted */
};

/* What is its own and in memory: proc(5) has "size resident shared …" in pages. */
static uint64_t memory_of(pid_t pid)
{
	char path[32], text[STATM_MAX];
	unsigned long resident, shared;
	scoped(closep) int fd = -1;
	ssize_t n;

	snprintf(path, sizeof(path), "/proc/%d/statm", (int)pid);
	fd = open(path, O_RDONLY | O_CLOEXEC);
	n = fd >= 0 ? read(fd, text, sizeof(text) - 1) : -1;
	if (n <= 0)
		return 0;
	text[n] = '\0';
	if (sscanf(text, "%*s %lu %lu", &resident, &shared) != 2 || shared > resident)
		return 0;
	return (uint64_t)(resident - shared) * (uint64_t)sysconf(_SC_PAGESIZE);
}

static bool see(struct tree *t, const struct stat *st)
{
	struct seen *s = xcalloc(1, sizeof(*s)), *other;

	s->key.device = st->st_dev;
	s->key.inode = st->st_ino;
	HASH_FIND(hh, t->seen, &s->key, sizeof(s->key), other);
	if (other) {
		free(s);
		return false;
	}
	HASH_ADD(hh, t->seen, key, sizeof(s->key), s);
	return true;
}

static bool is_on_disk(const struct tree *t, dev_t device)
{
	for (size_t i = 0; i < t->n_devices; i++)
		if (t->devices[i] == device)
			return true;
	return false;
}

/* Files that only a descriptor holds: deleted ones take their disk, memfd_create(2)'s memory. */
static void count_deleted(struct tree *t, pid_t pid)
{
	scoped(freep) char *path = xasprintf("/proc/%d/fd", (int)pid);
	scoped(closedirp) DIR *dir = opendir(path);
	const struct dirent *entry;

	while (dir && (entry = readdir(dir))) {
		struct stat st;

		if (fstatat(dirfd(dir), entry->d_name, &st, 0) < 0 || !S_ISREG(st.st_mode) ||
		    st.st_nlink != 0 || !see(t, &st))
			continue;
		if (is_on_disk(t, st.st_dev))
			t->usage->disk += bytes_of(&st);
		else
			t->usage->memory += bytes_of(&st);
	}
}

static void count_process(struct tree *t, const struct process *p)
{
	t->usage->processes += p->n_threads ? p->n_threads : 1;
	t->usage->memory += memory_of(p->pid);
	count_deleted(t, p->pid);
}

static void count_tree(struct tree *t, pid_t root)
{
	struct seen *s, *next;

	for (size_t i = 0; i < t->n; i++)
		if (t->all[i].pid == root || process_descends(t->all, t->n, t->all[i].pid, root))
			count_process(t, &t->all[i]);
	HASH_ITER(hh, t->seen, s, next)
	{
		HASH_DEL(t->seen, s);
		free(s);
	}
}

int sandbox_look(struct sandbox_look *look)
{
	const usec_t began = clock_monotonic();
	const size_t n = strv_len(look->directories);
	scoped(freep) dev_t *devices = xcalloc(n + 1, sizeof(*devices));
	scoped(freep) struct process *all = NULL;
	struct tree tree = { .usage = &look->usage, .devices = devices, .n_devices = n };
	int r;

	look->usage = (struct sandbox_usage){ 0 };
	for (size_t i = 0; i < n; i++)
		look->usage.disk += measure_directory(look->directories[i], &devices[i]);
	if (look->root.pid > 0 && pidref_is_alive(&look->root)) {
		r = processes_read(&all, &tree.n);
		if (r < 0)
			return r;
		tree.all = all;
		count_tree(&tree, look->root.pid);
	}
	look->took = clock_monotonic() - began;
	return 0;
}

void sandbox_look_done(struct sandbox_look *look)
{
	pidref_done(&look->root);
	strv_free(look->directories);
	look->directories = NULL;
}
