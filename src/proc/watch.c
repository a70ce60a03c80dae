/* SPDX-License-Identifier: MIT */
/*
 * The end of a process: its pidfd becomes readable.  Where the kernel gave none, it is looked at
 * every second.
 */
#include "proc/watch.h"

#include <event2/event.h>
#include <fcntl.h>

#include "base/mem.h"

#define LOOK_INTERVAL USEC_PER_SEC

struct proc_watch {
	struct pidref process; /* with a pidfd of its own */
	struct event *readable;
	struct timer *look;
	loop_fn *fn;
	void *arg;
};

static void on_look(void *arg)
{
	struct proc_watch *w = arg;

	if (pidref_is_alive(&w->process))
		timer_set(w->look, LOOK_INTERVAL);
	else
		w->fn(w->arg); /* the watch may be gone after it */
}

static void on_readable(evutil_socket_t fd, short what, void *arg)
{
	struct proc_watch *w = arg;

	(void)fd;
	(void)what;
	w->fn(w->arg);
}

struct proc_watch *proc_watch_new(struct loop *loop, const struct pidref *p, loop_fn *fn, void *arg)
{
	struct proc_watch *w = xcalloc(1, sizeof(*w));

	w->process = *p;
	w->process.fd = p->fd >= 0 ? fcntl(p->fd, F_DUPFD_CLOEXEC, 3) : -1;
	w->fn = fn;
	w->arg = arg;
	if (w->process.fd >= 0)
		w->readable = event_new(loop_base(loop), w->process.fd, EV_READ, on_readable, w);
	if (w->readable) {
		event_add(w->readable, NULL);
	} else {
		w->look = timer_new(loop, on_look, w);
		timer_set(w->look, 0);
	}
	return w;
}

struct proc_watch *proc_watch_free(struct proc_watch *w)
{
	if (!w)
		return NULL;
	if (w->readable)
		event_free(w->readable);
	timer_free(w->look);
	pidref_done(&w->process);
	free(w);
	return NULL;
}
