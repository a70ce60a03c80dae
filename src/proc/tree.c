/* SPDX-License-Identifier: MIT */
/*
 * Who belongs to a task.  Each look reads /proc once, environments included, and then follows the
 * ties there are.  Who was a member stays one as long as it lives, whatever it did to its ties.
 */
#include "proc/tree_priv.h"

#include <fcntl.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "base/mem.h"
#include "proc/cgroup.h"

#define ENVIRON_MAX (256 * 1024) /* what of an environment is searched */

struct proc_tree {
	struct pidref root;
	struct pidref subreaper;
	char *mark; /* "PREVIEWD_TASK_MARK=..." or NULL */
	char *cgroup;
	bool cgroup_is_killable;
	bool is_settled;         /* nobody came or went while the last look was taken */
	struct process *members; /* of the last look, sorted by pid */
	size_t n_members;
};

struct seen {
	struct process process; /* first, so that a struct seen can be searched as one */
	bool never;             /* the caller or an ancestor of it */
	bool member;
};

struct look {
	const struct proc_tree *tree;
	struct seen *all; /* sorted by pid */
	size_t n, capacity;
	char *environ_buffer; /* ENVIRON_MAX, or NULL when there is no mark to look for */
};

static struct pidref pidref_copy(const struct pidref *p)
{
	struct pidref copy = *p;

	if (p->fd >= 0)
		copy.fd = fcntl(p->fd, F_DUPFD_CLOEXEC, 0); /* -1 is fine: the start time is left */
	return copy;
}

struct proc_tree *proc_tree_new(const struct proc_tree_settings *settings)
{
	struct proc_tree *t = xcalloc(1, sizeof(*t));

	t->root = settings->root && settings->root->pid > 0 ? pidref_copy(settings->root)
							    : PIDREF_NONE;
	/* A number alone could be another's by the next look. */
	if (settings->subreaper <= 0 || pidref_of(settings->subreaper, &t->subreaper) < 0)
		t->subreaper = PIDREF_NONE;
	if (settings->mark && *settings->mark)
		t->mark = xasprintf("PREVIEWD_TASK_MARK=%s", settings->mark);
	t->cgroup = xstrdup_null(settings->cgroup);
	return t;
}

struct proc_tree *proc_tree_free(struct proc_tree *t)
{
	if (!t)
		return NULL;
	pidref_done(&t->root);
	pidref_done(&t->subreaper);
	free(t->mark);
	free(t->cgroup);
	free(t->members);
	free(t);
	return NULL;
}

static int by_pid(const void *a, const void *b)
{
	const struct process *x = a, *y = b;

	return (x->pid > y->pid) - (x->pid < y->pid);
}

static struct seen *find(const struct look *l, pid_t pid)
{
	const struct process key = { .pid = pid };

	return l->n > 0 ? bsearch(&key, l->all, l->n, sizeof(*l->all), by_pid) : NULL;
}

bool processes_have(const struct process *all, size_t n, const struct process *p)
{
	const struct process *found = n > 0 ? bsearch(p, all, n, sizeof(*all), by_pid) : NULL;

	return found && found->start_time == p->start_time;
}

static bool is_that(const struct process *p, const struct pidref *ref)
{
	return ref->pid == p->pid && ref->start_time == p->start_time;
}

/* By what is known of the process itself. */
static bool is_known(const struct proc_tree *t, const struct process *p)
{
	return is_that(p, &t->root) || processes_have(t->members, t->n_members, p);
}

/* Whether one of the NUL-ended strings is the mark; the last may be cut. */
static bool environ_has(const char *environ_text, size_t len, const char *mark)
{
	const size_t mark_len = strlen(mark);
	const char *p = environ_text, *const end = environ_text + len;

	while (p < end) {
		const char *nul = memchr(p, '\0', (size_t)(end - p));

		if (!nul)
			return false;
		if ((size_t)(nul - p) == mark_len && memcmp(p, mark, mark_len) == 0)
			return true;
		p = nul + 1;
	}
	return false;
}

static bool is_marked(const struct look *l, const struct process *p)
{
	scoped(closep) int fd = -1;
	char path[32];
	size_t len = 0;
	ssize_t n = 1;

	/*
	 * One in uninterruptible sleep may hold the lock that reading its memory takes, and this
	 * thread would sleep with it.
	 */
	if (!l->environ_buffer || p->uid != geteuid() || p->state == 'D' || p->is_kernel_thread)
		return false;
	snprintf(path, sizeof(path), "/proc/%d/environ", p->pid);
	fd = open(path, O_RDONLY | O_CLOEXEC);
	while (fd >= 0 && len < ENVIRON_MAX && n > 0) {
		n = read(fd, l->environ_buffer + len, ENVIRON_MAX - len);
		len += n > 0 ? (size_t)n : 0;
	}
	return environ_has(l->environ_buffer, len, l->tree->mark);
}

static void see(const struct process *p, void *arg)
{
	struct look *l = arg;

	if (l->n == l->capacity) {
		l->capacity = l->capacity ? 2 * l->capacity : 256;
		l->all = xrealloc(l->all, l->capacity * sizeof(*l->all));
	}
	/* The mark is read at once: what forks and ends all the time is gone after the walk. */
	l->all[l->n++] = (struct seen){
		.process = *p,
		.member = is_known(l->tree, p) || is_marked(l, p),
	};
}

/* Up from the calling process, by fresh looks: an ancestor that ends meanwhile hands us to another,
 * and the way begins anew. */
static void spare_caller(struct look *l)
{
	for (int attempt = 0; attempt < 3; attempt++) {
		pid_t pid = getpid();
		struct process p;

		while (pid > 0) {
			struct seen *s = find(l, pid);

			if (s)
				s->never = true;
			if (process_read(pid, &p) < 0)
				break;
			pid = p.ppid;
		}
		if (pid <= 0)
			return;
	}
}

static bool may_belong(const struct seen *s)
{
	return !s->never && s->process.pid != 1 && !s->process.is_kernel_thread &&
	       !process_is_over(&s->process);
}

static void drop_strangers(struct look *l)
{
	for (size_t i = 0; i < l->n; i++)
		if (!may_belong(&l->all[i]))
			l->all[i].member = false;
}

static void add_subreapers(struct look *l)
{
	const struct pidref *subreaper = &l->tree->subreaper;
	const struct seen *at = find(l, subreaper->pid);

	if (!at || !is_that(&at->process, subreaper))
		return;
	for (size_t i = 0; i < l->n; i++)
		if (l->all[i].process.ppid == subreaper->pid && may_belong(&l->all[i]))
			l->all[i].member = true;
}

/* Returns whether all in the group may be killed. */
static bool add_cgroup(struct look *l)
{
	scoped(freep) pid_t *pids = NULL;
	bool killable = true;
	size_t n = 0;

	if (!l->tree->cgroup || cgroup_processes(l->tree->cgroup, &pids, &n) < 0)
		return false;
	for (size_t i = 0; i < n; i++) {
		struct seen *s = find(l, pids[i]);

		if (!s)
			continue; /* newer than the walk: the next look has it */
		if (s->never)
			killable = false;
		if (may_belong(s))
			s->member = true;
	}
	return killable;
}

static void add_descendants(struct look *l)
{
	bool grew;

	/* A parent mostly has the smaller pid, so one pass finds nearly all. */
	do {
		grew = false;
		for (size_t i = 0; i < l->n; i++) {
			struct seen *s = &l->all[i];
			const struct seen *parent;

			if (s->member || !may_belong(s))
				continue;
			parent = find(l, s->process.ppid);
			if (parent && parent->member)
				s->member = grew = true;
		}
	} while (grew);
}

static void keep_members(struct proc_tree *t, const struct look *l)
{
	size_t n = 0;

	free(t->members);
	t->members = xcalloc(l->n ? l->n : 1, sizeof(*t->members));
	for (size_t i = 0; i < l->n; i++)
		if (l->all[i].member)
			t->members[n++] = l->all[i].process;
	t->n_members = n;
}

static void look_done(struct look *l)
{
	free(l->all);
	free(l->environ_buffer);
}

int proc_tree_look(struct proc_tree *t)
{
	scoped(look_done) struct look l = { .tree = t };
	int r;

	if (t->mark)
		l.environ_buffer = xcalloc(1, ENVIRON_MAX);
	r = processes_each(see, &l);
	if (r < 0)
		return r;
	t->is_settled = r == 0;
	if (l.n > 0)
		qsort(l.all, l.n, sizeof(*l.all), by_pid);

	spare_caller(&l);
	drop_strangers(&l);
	add_subreapers(&l);
	t->cgroup_is_killable = add_cgroup(&l);
	add_descendants(&l);
	keep_members(t, &l);
	return (int)t->n_members;
}

size_t proc_tree_processes(const struct proc_tree *t, const struct process **ret)
{
	*ret = t->members;
	return t->n_members;
}

const char *proc_tree_killable_cgroup(const struct proc_tree *t)
{
	return t->cgroup_is_killable ? t->cgroup : NULL;
}

bool proc_tree_is_settled(const struct proc_tree *t)
{
	return t->is_settled;
}

const struct pidref *proc_tree_root(const struct proc_tree *t)
{
	return &t->root;
}
