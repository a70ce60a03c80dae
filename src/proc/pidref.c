/* SPDX-License-Identifier: MIT */
/*
 * Processes by pidfd and start time, and what /proc says of them.  What is read of one process
 * comes through one descriptor of its /proc directory, so it can't be half one process and half the
 * next of that pid.
 */
#include "proc/pidref.h"

#include <dirent.h>
#include <errno.h>
#include <fcntl.h>
#include <inttypes.h>
#include <poll.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <sys/syscall.h>

#include "base/mem.h"

#define PASSES_MAX        8 /* over /proc, for those that come while it is read */
#define STAT_SIZE_MAX     1024
#define KERNEL_THREAD_BIT 0x00200000u /* PF_KTHREAD in field 9 of /proc/PID/stat */

static void closedirp(DIR **dir)
{
	if (*dir)
		closedir(*dir);
}

/* By number, because the C library has had names for these only since glibc 2.36. */
static int pidfd_of(pid_t pid)
{
	const int fd = (int)syscall(SYS_pidfd_open, pid, 0); /* close-on-exec by itself */

	return fd < 0 ? -errno : fd;
}

static int pidfd_signal(int fd, int signal)
{
	return syscall(SYS_pidfd_send_signal, fd, signal, NULL, 0) < 0 ? -errno : 0;
}

/*
 * "PID (comm) S ppid ...": comm is whatever the process likes, brackets and spaces included, so the
 * rest starts behind the last bracket.
 */
static int parse_stat(const char *text, struct process *p)
{
	const char *open = strchr(text, '('), *close = strrchr(text, ')');
	size_t len;
	unsigned flags;

	if (!open || !close || close < open)
		return -EINVAL;
	len = (size_t)(close - open - 1);
	if (len >= sizeof(p->command))
		len = sizeof(p->command) - 1;
	memcpy(p->command, open + 1, len);
	p->command[len] = '\0';

	if (sscanf(close + 1,
		   " %c %d %d %d %*d %*d %u %*u %*u %*u %*u %*u %*u %*d %*d %*d %*d %u %*d "
		   "%" SCNu64,
		   &p->state, &p->ppid, &p->pgrp, &p->session, &flags, &p->n_threads,
		   &p->start_time) != 7)
		return -EINVAL;
	p->is_kernel_thread = flags & KERNEL_THREAD_BIT;
	return 0;
}

/* A process that ends while it is read is as good as gone. */
static int gone_or(int error)
{
	return error == ENOENT || error == ESRCH ? -ESRCH : -error;
}

static int read_stat(int dir, struct process *p)
{
	scoped(closep) int fd = openat(dir, "stat", O_RDONLY | O_CLOEXEC);
	char text[STAT_SIZE_MAX];
	ssize_t n;

	if (fd < 0)
		return gone_or(errno);
	n = read(fd, text, sizeof(text) - 1);
	if (n < 0)
		return gone_or(errno);
	text[n] = '\0';
	return parse_stat(text, p);
}

static int read_process(int proc, pid_t pid, struct process *ret)
{
	struct process p = { .pid = pid };
	scoped(closep) int dir = -1;
	struct stat st;
	char name[16];
	int r;

	snprintf(name, sizeof(name), "%d", pid);
	dir = openat(proc, name, O_PATH | O_DIRECTORY | O_CLOEXEC);
	/* The directory's owner is the effective uid; a file's in it may be root, see proc(5). */
	if (dir < 0 || fstat(dir, &st) < 0)
		return gone_or(errno);
	p.uid = st.st_uid;
	r = read_stat(dir, &p);
	if (r < 0)
		return r;
	*ret = p;
	return 0;
}

int process_read(pid_t pid, struct process *ret)
{
	scoped(closep) int proc = -1;

	if (pid <= 0)
		return -ESRCH;
	proc = open("/proc", O_PATH | O_DIRECTORY | O_CLOEXEC);
	if (proc < 0)
		return -errno;
	return read_process(proc, pid, ret);
}

bool process_is_over(const struct process *p)
{
	return p->state == 'X' || (p->state == 'Z' && p->n_threads <= 1);
}

static int by_pid(const void *a, const void *b)
{
	const struct process *x = a, *y = b;

	return (x->pid > y->pid) - (x->pid < y->pid);
}

/* The pid that a name in /proc is, or 0. */
static pid_t pid_of_name(const char *name)
{
	char *end;
	long pid;

	if (name[0] < '1' || name[0] > '9')
		return 0;
	pid = strtol(name, &end, 10);
	return *end == '\0' && pid <= INT32_MAX ? (pid_t)pid : 0;
}

struct numbers {
	pid_t *pids;
	size_t n, capacity;
};

static void numbers_done(struct numbers *numbers)
{
	free(numbers->pids);
}

static int by_number(const void *a, const void *b)
{
	const pid_t x = *(const pid_t *)a, y = *(const pid_t *)b;

	return (x > y) - (x < y);
}

static bool numbers_have(const struct numbers *numbers, pid_t pid)
{
	return numbers->n > 0 &&
	       bsearch(&pid, numbers->pids, numbers->n, sizeof(pid), by_number) != NULL;
}

static void list_numbers(DIR *proc, struct numbers *numbers)
{
	const struct dirent *entry;

	numbers->n = 0;
	rewinddir(proc);
	while ((entry = readdir(proc))) {
		const pid_t pid = pid_of_name(entry->d_name);

		if (pid == 0)
			continue;
		if (numbers->n == numbers->capacity) {
			numbers->capacity = numbers->capacity ? 2 * numbers->capacity : 256;
			numbers->pids = xrealloc(numbers->pids, numbers->capacity * sizeof(pid));
		}
		numbers->pids[numbers->n++] = pid;
	}
	if (numbers->n > 0)
		qsort(numbers->pids, numbers->n, sizeof(*numbers->pids), by_number);
}

int processes_each(process_fn *fn, void *arg)
{
	scoped(closedirp) DIR *proc = opendir("/proc");
	scoped(numbers_done) struct numbers before = { 0 }, now = { 0 };
	bool is_news = true;

	if (!proc)
		return -errno;
	/*
	 * The list of numbers is old when all of them were read, so it is made again until it
	 * brings nobody new; and the newest come first, since they are the likeliest to vanish.
	 */
	for (int pass = 0; is_news && pass < PASSES_MAX; pass++) {
		struct numbers swap;

		is_news = false;
		list_numbers(proc, &now);
		for (size_t i = now.n; i-- > 0;) {
			struct process p;
			int r;

			if (numbers_have(&before, now.pids[i]))
				continue;
			is_news = true;
			r = read_process(dirfd(proc), now.pids[i], &p);
			if (r == -EMFILE || r == -ENFILE || r == -ENOMEM)
				return r; /* half a list would be a lie */
			if (r >= 0)
				fn(&p, arg);
		}
		swap = before;
		before = now;
		now = swap;
	}
	return is_news ? 1 : 0;
}

struct list {
	struct process *all;
	size_t n, capacity;
};

static void add_to_list(const struct process *p, void *arg)
{
	struct list *list = arg;

	if (list->n == list->capacity) {
		list->capacity = list->capacity ? 2 * list->capacity : 256;
		list->all = xrealloc(list->all, list->capacity * sizeof(*list->all));
	}
	list->all[list->n++] = *p;
}

int processes_read(struct process **ret, size_t *ret_n)
{
	struct list list = { 0 };
	int r = processes_each(add_to_list, &list);

	if (r < 0) {
		free(list.all);
		return r;
	}
	if (list.n > 0)
		qsort(list.all, list.n, sizeof(*list.all), by_pid);
	*ret = list.all;
	*ret_n = list.n;
	return 0;
}

static const struct process *find_process(const struct process *all, size_t n, pid_t pid)
{
	for (size_t i = 0; i < n; i++)
		if (all[i].pid == pid)
			return &all[i];
	return NULL;
}

/* More than any tree is high; a parent that changes while one climbs can't make it endless. */
#define ANCESTORS_MAX 256

bool process_is_above(pid_t ancestor, pid_t pid)
{
	struct process p;

	for (int i = 0; i < ANCESTORS_MAX && pid > 1; i++) {
		if (process_read(pid, &p) < 0)
			return false;
		if (p.ppid == ancestor)
			return true;
		pid = p.ppid;
	}
	return false;
}

bool process_descends(const struct process *all, size_t n, pid_t pid, pid_t ancestor)
{
	const struct process *p = find_process(all, n, pid);

	/* The list wasn't read in one instant, so it may even have a circle: at most n steps. */
	for (size_t steps = 0; p && p->ppid > 0 && steps < n; steps++) {
		if (p->ppid == ancestor)
			return true;
		p = find_process(all, n, p->ppid);
	}
	return false;
}

int pidref_of(pid_t pid, struct pidref *ret)
{
	scoped(closep) int fd = -1;
	struct process p;
	int r;

	if (pid <= 0)
		return -ESRCH;
	fd = pidfd_of(pid);
	if (fd == -EINVAL)
		return -ESRCH; /* a thread's number */
	if (fd < 0 && fd != -ENOSYS && fd != -EPERM)
		return fd;
	r = process_read(pid, &p);
	if (r < 0)
		return r;
	/* Still there behind the reading, so it is the one that was read and no later one. */
	if (fd >= 0 && pidfd_signal(fd, 0) == -ESRCH)
		return -ESRCH;

	*ret = (struct pidref){ .pid = pid, .fd = fd < 0 ? -1 : fd, .start_time = p.start_time };
	fd = -1;
	return 0;
}

int pidref_find(pid_t pid, uint64_t start_time, struct pidref *ret)
{
	struct pidref found;
	int r = pidref_of(pid, &found);

	if (r < 0)
		return r;
	if (found.start_time != start_time) {
		pidref_done(&found);
		return -ESRCH;
	}
	*ret = found;
	return 0;
}

void pidref_done(struct pidref *p)
{
	if (p->fd >= 0)
		close(p->fd);
	*p = PIDREF_NONE;
}

void pidref_let_go(struct pidref *p)
{
	if (p->fd >= 0)
		close(p->fd);
	p->fd = -1;
}

static bool is_same_and_runs(const struct pidref *ref)
{
	struct process p;

	return process_read(ref->pid, &p) >= 0 && p.start_time == ref->start_time &&
	       !process_is_over(&p);
}

bool pidref_is_alive(const struct pidref *p)
{
	struct pollfd poll_fd = { .fd = p->fd, .events = POLLIN };

	if (p->pid <= 0)
		return false;
	if (p->fd < 0)
		return is_same_and_runs(p);
	return poll(&poll_fd, 1, 0) == 0; /* readable when it has ended, reaped or not */
}

int pidref_signal(const struct pidref *p, int signal)
{
	if (!pidref_is_alive(p))
		return -ESRCH; /* a zombie would take it and do nothing */
	if (p->fd >= 0)
		return pidfd_signal(p->fd, signal);
	/* Only kernels before 5.3 come here; between the look and this the pid could change hands.
	 */
	return kill(p->pid, signal) < 0 ? -errno : 0;
}
