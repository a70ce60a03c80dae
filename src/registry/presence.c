/* SPDX-License-Identifier: MIT */
/*
 * Is the server there, and is it still the one that was attached?
 *
 * The kernel tells the end of a listener within a millisecond.  After activity.down_grace, which is
 * for servers that restart in place, a look at the listeners says whether one remains, and the
 * preview is down or not.  A new listener isn't announced: while a port is without one, the
 * listeners are looked at often for some seconds, and then once a second; one look serves all.
 */
#include <utlist.h>

#include "base/log.h"
#include "base/mem.h"
#include "base/metrics.h"
#include "registry/registry_priv.h"

LOG_AREA("presence");

#define ABSENT_TICK      (15 * USEC_PER_MSEC)
#define ABSENT_FAST_FOR  (10 * USEC_PER_SEC)
#define ABSENT_SLOW_TICK USEC_PER_SEC

/* Ports checked at once: more are cheaper with one look at all listeners. */
#define SINGLE_CHECKS_MAX 8

#define ROWS_MAX 32 /* listeners of one port (SO_REUSEPORT) that are looked at */

const char *presence_text(enum presence p)
{
	static const char *const texts[] = {
		[PRESENCE_UNKNOWN] = "unknown",
		[PRESENCE_UP] = "up",
		[PRESENCE_DOWN] = "down",
		[PRESENCE_FOREIGN] = "down",
	};

	return texts[p];
}

static bool is_down(enum presence p)
{
	return p == PRESENCE_DOWN || p == PRESENCE_FOREIGN;
}

static void set_presence(struct registry *reg, struct attachment *a, enum presence to)
{
	enum presence from = a->presence;

	if (from == to)
		return;
	a->presence = to;
	reg->edge_version++;
	metric_add(METRIC_PREVIEWS_DOWN, (int)is_down(to) - (int)is_down(from));
	if (from == PRESENCE_UNKNOWN)
		return; /* it was just attached, or found again at the start */
	if (!a->slot->will_exist || a->slot->session->ending)
		return; /* its task is being ended by us: `detached` tells of it */

	metric_inc(is_down(to) ? METRIC_DOWNS : METRIC_UPS);
	if (to == PRESENCE_FOREIGN)
		metric_inc(METRIC_OWNER_CHANGES);
	log_info("session '%s': the server of '%s' on port %u %s", a->slot->session->session_id,
		 a->record->name, (unsigned)a->record->port,
		 to == PRESENCE_UP     ? "is back"
		 : to == PRESENCE_DOWN ? "is gone"
				       : "is another's now");
	publish_presence(reg, a);
}

/*
 * One attachment and what listens on its port.
 */
static void presence_update(struct registry *reg, struct attachment *a, const struct listener *l)
{
	if (!l) {
		a->judged_inode = 0;
		set_presence(reg, a, PRESENCE_DOWN);
	} else if (l->inode == a->owner.inode) {
		set_presence(reg, a, PRESENCE_UP);
	} else if (a->owner.inode == 0 || (l->uid == a->owner.uid && a->owner.pid == 0)) {
		owner_adopt(reg, a, l);
		set_presence(reg, a, PRESENCE_UP);
	} else if (l->uid != a->owner.uid) {
		owner_forget(a);
		a->judged_inode = l->inode;
		set_presence(reg, a, PRESENCE_FOREIGN);
	} else if (l->inode != a->judged_inode) {
		owner_question(reg, a, l);
	}
}

void presence_judged(struct registry *reg, struct attachment *a, const struct owner *found,
		     bool same)
{
	if (same)
		a->owner = *found;
	set_presence(reg, a, same ? PRESENCE_UP : PRESENCE_FOREIGN);
}

/*
 * A port.
 */
static void look_again(struct registry *reg)
{
	if (reg->n_absent > 0)
		timer_set(reg->absent_timer, clock_monotonic() < reg->absent_fast_until
						     ? ABSENT_TICK
						     : ABSENT_SLOW_TICK);
}

static void set_listens(struct registry *reg, struct watch *w, bool listens)
{
	if (w->listens == listens)
		return;
	w->listens = listens;
	if (listens) {
		reg->n_absent--;
		return;
	}
	reg->n_absent++;
	if (!timer_is_set(reg->absent_timer))
		look_again(reg);
}

static void look(struct registry *reg, struct watch *w, const struct listener *rows, size_t n)
{
	struct attachment *a, *tmp;
	bool listens = false;

	for (size_t i = 0; i < n; i++)
		listens |= rows[i].loopback;
	set_listens(reg, w, listens);
	DL_FOREACH_SAFE2(w->attachments, a, tmp, watch_next)
	presence_update(reg, a, listener_for(a, rows, n));
}

/* Of one port, fresh from the kernel. */
static void look_at_port(struct registry *reg, struct watch *w)
{
	struct listener rows[ROWS_MAX];
	int n = sockdiag_listeners(reg->deps.sockdiag, w->port, rows, ROWS_MAX);

	if (n >= 0)
		look(reg, w, rows, n < ROWS_MAX ? (size_t)n : ROWS_MAX);
}

/* Of all ports that are watched, by the listeners of the last dump. */
static void look_at_rows(struct registry *reg, struct watch *w)
{
	const struct listener *rows;
	size_t n = listeners_on(reg, w->port, &rows);

	look(reg, w, rows, n);
}

void presence_look_all(struct registry *reg)
{
	struct watch *w;

	listeners_refresh_now(reg);
	if (!reg->listeners_at)
		return; /* the kernel didn't say */
	DL_FOREACH(reg->watches, w)
	look_at_rows(reg, w);
}

/*
 * A listener has gone.
 */
static void check_later(struct registry *reg)
{
	usec_t now = clock_monotonic();

	if (reg->checks)
		timer_set(reg->check_timer,
			  reg->checks->check_at > now ? reg->checks->check_at - now : 0);
}

static void drop_check(struct registry *reg, struct watch *w)
{
	if (!w->check_at)
		return;
	DL_DELETE2(reg->checks, w, check_prev, check_next);
	w->check_at = 0;
}

/* It may be a restart: the new listener is wanted at once. */
static void expect_back(struct registry *reg)
{
	reg->absent_fast_until = clock_monotonic() + ABSENT_FAST_FOR;
	look_again(reg);
}

static void on_check(void *arg)
{
	struct registry *reg = arg;
	usec_t now = clock_monotonic();
	struct watch *w;
	unsigned n = 0;

	while ((w = reg->checks) && w->check_at <= now) {
		drop_check(reg, w);
		if (++n == SINGLE_CHECKS_MAX)
			listeners_refresh_now(reg);
		if (n < SINGLE_CHECKS_MAX)
			look_at_port(reg, w);
		else if (reg->listeners_at)
			look_at_rows(reg, w);
		if (!w->listens)
			expect_back(reg);
	}
	check_later(reg);
}

void presence_check_soon(struct registry *reg, struct watch *w)
{
	if (w->check_at)
		return;
	w->check_at = clock_monotonic() + reg->settings->activity_down_grace;
	DL_APPEND2(reg->checks, w, check_prev, check_next);
	check_later(reg);
}

/*
 * Listeners that are waited for.
 */
static void on_absent_tick(void *arg)
{
	struct registry *reg = arg;
	const struct listener *rows;
	uint16_t port;

	if (reg->n_absent == 0)
		return;
	listeners_refresh_now(reg);
	for (size_t i = 0; i < reg->n_listeners; i += listeners_on(reg, port, &rows)) {
		struct watch *w;

		port = reg->listeners[i].port;
		w = reg->watch_of[port];
		if (w && !w->listens)
			look_at_rows(reg, w);
	}
	look_again(reg);
}

/*
 * Coming and going of attachments.
 */
void presence_begin(struct registry *reg, struct attachment *a)
{
	struct watch *w = a->watch;
	bool is_first = w && w->attachments == a && !a->watch_next;

	if (!w)
		return;
	/* It counts as listened on until looked at, so that the absent ones are told. */
	if (is_first)
		w->listens = true;
	if (a->record->probe) {
		look_at_port(reg, w); /* a moment ago it answered */
	} else {
		listeners_refresh(reg);
		look_at_rows(reg, w);
	}
}

void presence_end(struct registry *reg, struct watch *w)
{
	drop_check(reg, w);
	if (!w->listens)
		reg->n_absent--;
	if (reg->n_absent == 0)
		timer_cancel(reg->absent_timer);
	if (!reg->checks)
		timer_cancel(reg->check_timer);
}

void presence_start(struct registry *reg)
{
	reg->check_timer = timer_new(reg->deps.loop, on_check, reg);
	reg->absent_timer = timer_new(reg->deps.loop, on_absent_tick, reg);
}

void presence_stop(struct registry *reg)
{
	timer_free(reg->check_timer);
	timer_free(reg->absent_timer);
}

void presence_load(struct registry *reg)
{
	struct watch *w;
	size_t up = 0, down = 0;

	if (!reg->watches)
		return;

	DL_FOREACH(reg->watches, w)
	w->listens = true;
	presence_look_all(reg);
	DL_FOREACH(reg->watches, w)
	{
		const struct attachment *a;

		DL_FOREACH2(w->attachments, a, watch_next)
		*(a->presence == PRESENCE_UP ? &up : &down) += 1;
	}
	log_info("found %zu previews again; the servers of %zu listen, of %zu do not", up + down,
		 up, down);
}
