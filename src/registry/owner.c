/* SPDX-License-Identifier: MIT */
/*
 * What listens now, and who: from the kernel's listener rows, looked at again at most once a
 * second, and the holder's pid from /proc, looked up by a helper thread when the socket is a new
 * one.
 */
#include <stdio.h>
#include <string.h>

#include "base/files.h"
#include "base/mem.h"
#include "registry/registry_priv.h"

#include <fcntl.h>

#define LISTENERS_AGE_MAX USEC_PER_SEC

struct owner_lookup {
	unsigned inode;
	pid_t pid;
	char command[16];
};

static int by_port(const void *a, const void *b)
{
	const struct listener *la = a, *lb = b;

	return (int)la->port - (int)lb->port;
}

void listeners_refresh(struct registry *reg)
{
	usec_t now = clock_monotonic();
	int n;

	if (!reg->deps.sockdiag ||
	    (reg->listeners_at && now - reg->listeners_at < LISTENERS_AGE_MAX))
		return;

	for (;;) {
		n = sockdiag_listeners(reg->deps.sockdiag, 0, reg->listeners, reg->listeners_max);
		if (n < 0 || (size_t)n <= reg->listeners_max)
			break;
		reg->listeners_max = (size_t)n * 2;
		reg->listeners =
			xrealloc(reg->listeners, reg->listeners_max * sizeof(*reg->listeners));
	}
	reg->n_listeners = n < 0 ? 0 : (size_t)n;
	reg->listeners_at = now;
	if (reg->n_listeners > 0)
		qsort(reg->listeners, reg->n_listeners, sizeof(*reg->listeners), by_port);
}

const struct listener *listener_of(const struct registry *reg, const struct attachment *a)
{
	struct listener key = { .port = (uint16_t)a->record->port };
	const struct listener *l, *end = reg->listeners + reg->n_listeners;

	if (reg->n_listeners == 0)
		return NULL;
	l = bsearch(&key, reg->listeners, reg->n_listeners, sizeof(key), by_port);
	if (!l)
		return NULL;
	while (l > reg->listeners && l[-1].port == key.port)
		l--;
	for (; l < end && l->port == key.port; l++) {
		if (l->loopback)
			return l;
	}
	return NULL;
}

static int look(void *input)
{
	struct owner_lookup *o = input;
	scoped(freep) char *command = NULL;
	char path[64];

	o->pid = socket_owner_pid(o->inode);
	if (o->pid <= 0)
		return 0;

	snprintf(path, sizeof(path), "/proc/%d/comm", (int)o->pid);
	if (read_file_at(AT_FDCWD, path, 256, &command, NULL) < 0)
		return 0;
	command[strcspn(command, "\n")] = '\0';
	snprintf(o->command, sizeof(o->command), "%.15s", command);
	return 0;
}

static void on_looked(int result, void *arg)
{
	struct attachment *a = arg;

	if (result >= 0) {
		a->owner_pid = a->owner_lookup->pid;
		memcpy(a->owner_command, a->owner_lookup->command, sizeof(a->owner_command));
	}
	a->owner_job = job_free(a->owner_job);
	a->owner_lookup = NULL;
}

void owner_forget(struct attachment *a)
{
	a->owner_job = job_free(a->owner_job);
	a->owner_lookup = NULL; /* the job's own */
}

void owner_look(struct registry *reg, struct attachment *a)
{
	const struct listener *l;

	if (!host_is_loopback(a->record->host))
		return;
	listeners_refresh(reg);
	l = listener_of(reg, a);
	if (!l || l->inode == a->owner_inode)
		return;

	owner_forget(a);
	a->owner_inode = l->inode;
	a->owner_pid = 0;
	a->owner_lookup = xcalloc(1, sizeof(*a->owner_lookup));
	a->owner_lookup->inode = l->inode;
	a->owner_job = job_start(reg->deps.jobs, look, a->owner_lookup, free, on_looked, a);
	if (!a->owner_job)
		free(STEAL(a->owner_lookup)); /* the pool is full: the pid stays unknown */
}
