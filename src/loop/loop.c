/* SPDX-License-Identifier: MIT */
/*
 * The event loop: a libevent base without locks, because one thread owns it.  The one door for
 * other threads is loop_post(): a queue behind a mutex and an eventfd that wakes the loop.  A loop
 * with nothing to do sleeps without a timeout.
 */
#include "loop/loop.h"

#include <errno.h>
#include <event2/event.h>
#include <pthread.h>
#include <stdint.h>
#include <sys/eventfd.h>
#include <sys/queue.h>
#include <time.h>

#include "base/log.h"
#include "base/mem.h"

LOG_AREA("loop");

struct call {
	STAILQ_ENTRY(call) entry;
	loop_fn *fn;
	void *arg;
};

STAILQ_HEAD(call_queue, call);

struct signal_watch {
	SLIST_ENTRY(signal_watch) entry;
	struct event *event;
	loop_signal_fn *fn;
	void *arg;
};

struct loop {
	struct event_base *base;
	usec_t clock_grain; /* of the clock libevent counts by */
	bool stopped;

	struct call_queue deferred;
	bool in_deferred;
	struct event *deferred_event;

	pthread_mutex_t posted_lock;
	struct call_queue posted;
	int posted_fd;
	struct event *posted_event;

	SLIST_HEAD(, signal_watch) signals;
};

static struct call *call_new(loop_fn *fn, void *arg)
{
	struct call *call = xcalloc(1, sizeof(*call));

	call->fn = fn;
	call->arg = arg;
	return call;
}

/* Calls what is queued now, not what these calls add: they could keep us here for ever. */
static void run_batch(struct call_queue *queue)
{
	struct call_queue batch = STAILQ_HEAD_INITIALIZER(batch);
	struct call *call;

	STAILQ_CONCAT(&batch, queue);
	while ((call = STAILQ_FIRST(&batch))) {
		loop_fn *fn = call->fn;
		void *arg = call->arg;

		STAILQ_REMOVE_HEAD(&batch, entry);
		free(call);
		fn(arg);
	}
}

static void on_deferred(evutil_socket_t fd, short what, void *arg)
{
	struct loop *loop = arg;

	(void)fd;
	(void)what;
	loop->in_deferred = true;
	run_batch(&loop->deferred);
	loop->in_deferred = false;
	if (!STAILQ_EMPTY(&loop->deferred)) {
		/* By a timer of no length, so that the sockets get their turn. */
		const struct timeval at_once = { 0 };

		event_add(loop->deferred_event, &at_once);
	}
}

static void run_posted(struct loop *loop)
{
	struct call_queue batch = STAILQ_HEAD_INITIALIZER(batch);

	pthread_mutex_lock(&loop->posted_lock);
	STAILQ_CONCAT(&batch, &loop->posted);
	pthread_mutex_unlock(&loop->posted_lock);
	run_batch(&batch);
}

static void on_posted(evutil_socket_t fd, short what, void *arg)
{
	eventfd_t count;

	(void)what;
	/* Emptied before the queue is taken: a call posted in between wakes us again. */
	(void)eventfd_read(fd, &count);
	run_posted(arg);
}

static void on_libevent_log(int severity, const char *message)
{
	switch (severity) {
	case EVENT_LOG_DEBUG:
		log_debug("libevent: %s", message);
		break;
	case EVENT_LOG_MSG:
		log_info("libevent: %s", message);
		break;
	case EVENT_LOG_WARN:
		log_warning("libevent: %s", message);
		break;
	default:
		log_error("libevent: %s", message);
		break;
	}
}

static struct event_base *base_new(void)
{
	struct event_config *config = event_config_new();
	struct event_base *base = NULL;

	if (!config)
		return NULL;
	/* Without the cached time a timer that is set late in a long callback isn't early. */
	if (event_config_set_flag(config, EVENT_BASE_FLAG_NOLOCK) == 0 &&
	    event_config_set_flag(config, EVENT_BASE_FLAG_NO_CACHE_TIME) == 0)
		base = event_base_new_with_config(config);
	event_config_free(config);
	return base;
}

/*
 * libevent counts by the coarse clock, which is up to a tick behind: without this much on top a
 * timer would come that much early.  (Its precise timers cost a system call a turn.)
 */
static usec_t coarse_clock_grain(void)
{
	struct timespec grain;

	if (clock_getres(CLOCK_MONOTONIC_COARSE, &grain) < 0)
		return 0;
	return (usec_t)grain.tv_sec * USEC_PER_SEC + (usec_t)grain.tv_nsec / 1000 + 1;
}

struct loop *loop_new(void)
{
	scoped(loop_freep) struct loop *loop = xcalloc(1, sizeof(*loop));

	event_set_log_callback(on_libevent_log);
	loop->clock_grain = coarse_clock_grain();
	STAILQ_INIT(&loop->deferred);
	STAILQ_INIT(&loop->posted);
	SLIST_INIT(&loop->signals);
	pthread_mutex_init(&loop->posted_lock, NULL);

	loop->posted_fd = eventfd(0, EFD_CLOEXEC | EFD_NONBLOCK);
	if (loop->posted_fd < 0)
		return NULL;
	loop->base = base_new();
	if (!loop->base)
		return NULL;
	loop->deferred_event = event_new(loop->base, -1, 0, on_deferred, loop);
	loop->posted_event =
		event_new(loop->base, loop->posted_fd, EV_READ | EV_PERSIST, on_posted, loop);
	if (!loop->deferred_event || !loop->posted_event || event_add(loop->posted_event, NULL) < 0)
		return NULL;
	return STEAL(loop);
}

static bool has_posted(struct loop *loop)
{
	bool some;

	pthread_mutex_lock(&loop->posted_lock);
	some = !STAILQ_EMPTY(&loop->posted);
	pthread_mutex_unlock(&loop->posted_lock);
	return some;
}

struct loop *loop_free(struct loop *loop)
{
	struct signal_watch *watch;

	if (!loop)
		return NULL;
	/* Calls that still wait are mostly the last free of something. */
	while (!STAILQ_EMPTY(&loop->deferred) || has_posted(loop)) {
		run_batch(&loop->deferred);
		run_posted(loop);
	}
	while ((watch = SLIST_FIRST(&loop->signals))) {
		SLIST_REMOVE_HEAD(&loop->signals, entry);
		event_free(watch->event);
		free(watch);
	}
	if (loop->posted_event)
		event_free(loop->posted_event);
	if (loop->deferred_event)
		event_free(loop->deferred_event);
	if (loop->base)
		event_base_free(loop->base);
	closep(&loop->posted_fd);
	pthread_mutex_destroy(&loop->posted_lock);
	free(loop);
	return NULL;
}

int loop_run(struct loop *loop)
{
	int r = 0;

	while (!loop->stopped && r == 0)
		r = event_base_loop(loop->base, EVLOOP_NO_EXIT_ON_EMPTY);
	loop->stopped = false;
	return r < 0 ? -EIO : 0;
}

void loop_stop(struct loop *loop)
{
	loop->stopped = true;
	event_base_loopbreak(loop->base);
}

struct event_base *loop_base(struct loop *loop)
{
	return loop->base;
}

void loop_defer(struct loop *loop, loop_fn *fn, void *arg)
{
	const bool first = STAILQ_EMPTY(&loop->deferred);
	struct call *call = call_new(fn, arg);

	STAILQ_INSERT_TAIL(&loop->deferred, call, entry);
	/* In the same turn of the loop, behind what is active already; see on_deferred(). */
	if (first && !loop->in_deferred)
		event_active(loop->deferred_event, EV_TIMEOUT, 0);
}

void loop_post(struct loop *loop, loop_fn *fn, void *arg)
{
	struct call *call = call_new(fn, arg);
	bool first;

	pthread_mutex_lock(&loop->posted_lock);
	first = STAILQ_EMPTY(&loop->posted);
	STAILQ_INSERT_TAIL(&loop->posted, call, entry);
	/* Under the lock: a loop that may be freed after this call is not touched behind it. */
	if (first)
		(void)eventfd_write(loop->posted_fd, 1);
	pthread_mutex_unlock(&loop->posted_lock);
}

struct timer {
	struct event *event;
	usec_t clock_grain;
	loop_fn *fn;
	void *arg;
};

static void on_timer(evutil_socket_t fd, short what, void *arg)
{
	struct timer *t = arg;

	(void)fd;
	(void)what;
	t->fn(t->arg); /* may have freed the timer */
}

struct timer *timer_new(struct loop *loop, loop_fn *fn, void *arg)
{
	struct timer *t = xcalloc(1, sizeof(*t));

	t->clock_grain = loop->clock_grain;
	t->fn = fn;
	t->arg = arg;
	t->event = evtimer_new(loop->base, on_timer, t);
	if (!t->event)
		abort(); /* only memory can be missing; see base/mem.h */
	return t;
}

struct timer *timer_free(struct timer *t)
{
	if (!t)
		return NULL;
	event_free(t->event);
	free(t);
	return NULL;
}

void timer_set(struct timer *t, usec_t after)
{
	const usec_t max = UINT64_C(100) * 365 * 24 * 3600 * USEC_PER_SEC;
	struct timeval tv;

	if (after == USEC_INFINITY) {
		timer_cancel(t);
		return;
	}
	if (after > 0) /* at once is at once */
		after = (after < max ? after : max) + t->clock_grain;
	tv.tv_sec = (time_t)(after / USEC_PER_SEC);
	tv.tv_usec = (suseconds_t)(after % USEC_PER_SEC);
	/* A timer that has come due and waits for its turn would be called all the same. */
	evtimer_del(t->event);
	evtimer_add(t->event, &tv);
}

void timer_cancel(struct timer *t)
{
	evtimer_del(t->event);
}

bool timer_is_set(const struct timer *t)
{
	return evtimer_pending(t->event, NULL);
}

static void on_signal(evutil_socket_t signal, short what, void *arg)
{
	struct signal_watch *watch = arg;

	(void)what;
	watch->fn(signal, watch->arg);
}

int loop_on_signal(struct loop *loop, int signal, loop_signal_fn *fn, void *arg)
{
	struct signal_watch *watch = xcalloc(1, sizeof(*watch));

	watch->fn = fn;
	watch->arg = arg;
	watch->event = evsignal_new(loop->base, signal, on_signal, watch);
	if (!watch->event || evsignal_add(watch->event, NULL) < 0) {
		if (watch->event)
			event_free(watch->event);
		free(watch);
		return -EINVAL;
	}
	SLIST_INSERT_HEAD(&loop->signals, watch, entry);
	return 0;
}
