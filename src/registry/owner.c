/* SPDX-License-Identifier: MIT */
/*
 * What listens now, and who: from the kernel's listener rows, and the holder's process from /proc,
 * looked up by a helper thread when the socket is a new one.
 */
#include <fcntl.h>
#include <stdio.h>
#include <string.h>
#include <sys/stat.h>

#include "base/files.h"
#include "base/mem.h"
#include "registry/registry_priv.h"

#define LISTENERS_AGE_MAX USEC_PER_SEC
#define ANCESTORS_MAX     64

struct owner_lookup {
	struct owner found;
	pid_t ancestor; /* 0: none is looked for */
	bool descends;
};

/*
 * Rows.
 */
static int by_port(const void *a, const void *b)
{
	const struct listener *la = a, *lb = b;

	return (int)la->port - (int)lb->port;
}

void listeners_refresh_now(struct registry *reg)
{
	int n;

	for (;;) {
		n = sockdiag_listeners(reg->deps.sockdiag, 0, reg->listeners, reg->listeners_max);
		if (n < 0 || (size_t)n <= reg->listeners_max)
			break;
		reg->listeners_max = (size_t)n * 2;
		reg->listeners =
			xrealloc(reg->listeners, reg->listeners_max * sizeof(*reg->listeners));
	}
	reg->n_listeners = n < 0 ? 0 : (size_t)n;
	reg->listeners_at = n < 0 ? 0 : clock_monotonic();
	if (reg->n_listeners > 0)
		qsort(reg->listeners, reg->n_listeners, sizeof(*reg->listeners), by_port);
}

void listeners_refresh(struct registry *reg)
{
	if (!reg->deps.sockdiag)
		return;
	if (!reg->listeners_at || clock_monotonic() - reg->listeners_at >= LISTENERS_AGE_MAX)
		listeners_refresh_now(reg);
}

size_t listeners_on(const struct registry *reg, uint16_t port, const struct listener **ret)
{
	struct listener key = { .port = port };
	const struct listener *l, *end = reg->listeners + reg->n_listeners, *first;

	*ret = NULL;
	if (reg->n_listeners == 0)
		return 0;
	l = bsearch(&key, reg->listeners, reg->n_listeners, sizeof(key), by_port);
	if (!l)
		return 0;
	for (first = l; first > reg->listeners && first[-1].port == port; first--)
		;
	while (l < end && l->port == port)
		l++;
	*ret = first;
	return (size_t)(l - first);
}

const struct listener *listener_for(const struct attachment *a, const struct listener *rows,
				    size_t n)
{
	const struct listener *best = NULL;
	int family = strchr(a->record->address, ':') ? AF_INET6 : AF_INET;

	for (size_t i = 0; i < n; i++) {
		if (!rows[i].loopback)
			continue;
		if (rows[i].inode == a->owner.inode)
			return &rows[i];
		if (!best || (rows[i].family == family && best->family != family))
			best = &rows[i];
	}
	return best;
}

const struct listener *listener_of(const struct registry *reg, const struct attachment *a)
{
	const struct listener *rows;
	size_t n = listeners_on(reg, (uint16_t)a->record->port, &rows);

	return listener_for(a, rows, n);
}

/*
 * Processes, in a helper thread.
 */
static int read_proc(pid_t pid, const char *file, char **ret)
{
	char path[64];

	snprintf(path, sizeof(path), "/proc/%d/%s", (int)pid, file);
	return read_file_at(AT_FDCWD, path, 4096, ret, NULL);
}

/* proc(5): "pid (command) state ppid pgrp session …", and a command may hold anything. */
static bool read_stat(pid_t pid, int *ret_ppid, int *ret_sid)
{
	scoped(freep) char *stat = NULL;
	const char *behind;
	char state;

	if (read_proc(pid, "stat", &stat) < 0)
		return false;
	behind = strrchr(stat, ')');
	return behind && sscanf(behind + 1, " %c %d %*d %d", &state, ret_ppid, ret_sid) == 3;
}

static bool descends_from(pid_t pid, pid_t ancestor)
{
	int ppid, sid;

	for (int i = 0; i < ANCESTORS_MAX && pid > 1; i++, pid = ppid) {
		if (pid == ancestor)
			return true;
		if (!read_stat(pid, &ppid, &sid))
			return false;
	}
	return false;
}

static int look(void *input)
{
	struct owner_lookup *lookup = input;
	struct owner *o = &lookup->found;
	scoped(freep) char *command = NULL;
	struct stat cwd;
	char path[64];
	int ppid, sid;

	o->pid = socket_owner_pid(o->inode);
	if (o->pid <= 0)
		return 0;

	if (read_stat(o->pid, &ppid, &sid))
		o->sid = sid;
	snprintf(path, sizeof(path), "/proc/%d/cwd", (int)o->pid);
	if (stat(path, &cwd) == 0) {
		o->cwd_device = cwd.st_dev;
		o->cwd_inode = cwd.st_ino;
	}
	if (lookup->ancestor)
		lookup->descends = descends_from(o->pid, lookup->ancestor);
	if (read_proc(o->pid, "comm", &command) >= 0) {
		command[strcspn(command, "\n")] = '\0';
		snprintf(o->command, sizeof(o->command), "%.15s", command);
	}
	return 0;
}

static void on_looked(int result, void *arg)
{
	struct attachment *a = arg;
	struct registry *reg = a->watch ? a->watch->registry : NULL;
	struct owner found = a->owner_lookup->found;
	bool descends = a->owner_lookup->descends;

	owner_forget(a);
	if (result < 0 || !reg) {
		a->judged_inode = 0; /* as if it hadn't been asked */
		return;
	}
	if (found.inode == a->owner.inode)
		a->owner = found;
	else if (found.inode == a->judged_inode)
		presence_judged(reg, a, &found, owner_is_same(&a->owner, &found, descends));
}

void owner_forget(struct attachment *a)
{
	a->owner_job = job_free(a->owner_job);
	a->owner_lookup = NULL; /* the job's own */
}

/* 0 where the pool is full. */
static bool look_up(struct registry *reg, struct attachment *a, unsigned inode, uid_t uid,
		    pid_t ancestor)
{
	owner_forget(a);
	a->owner_lookup = xcalloc(1, sizeof(*a->owner_lookup));
	a->owner_lookup->found = (struct owner){ .inode = inode, .uid = uid };
	a->owner_lookup->ancestor = ancestor;
	a->owner_job = job_start(reg->deps.jobs, look, a->owner_lookup, free, on_looked, a);
	if (!a->owner_job)
		free(STEAL(a->owner_lookup));
	return a->owner_job != NULL;
}

void owner_adopt(struct registry *reg, struct attachment *a, const struct listener *l)
{
	a->owner = (struct owner){ .inode = l->inode, .uid = l->uid };
	a->judged_inode = 0;
	/* All that a restarted daemon finds again would be looked up at once: they wait until asked
	 * for. */
	if (a->active_by != CLOCK_START)
		look_up(reg, a, l->inode, l->uid, 0);
}

void owner_question(struct registry *reg, struct attachment *a, const struct listener *l)
{
	if (look_up(reg, a, l->inode, l->uid, a->owner.pid))
		a->judged_inode = l->inode;
}

void owner_look(struct registry *reg, struct attachment *a)
{
	if (a->watch && a->owner.inode && !a->owner.pid && !a->owner_job)
		look_up(reg, a, a->owner.inode, a->owner.uid, 0);
}
