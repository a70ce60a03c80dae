/* SPDX-License-Identifier: MIT */
/*
 * The idle clock and what happens at its end: a sweep every reaper.interval warns the viewers of
 * previews that have been idle for long, and detaches those that have been idle too long.
 *
 * What can be reaped is in one of two lists, those warned and those not, each in the order of their
 * last use; so a sweep looks only at those that are due.  It works in steps, for a thousand may be
 * due at once, half an hour after the daemon's start.
 */
#include <string.h>
#include <utlist.h>

#include "base/log.h"
#include "base/metrics.h"
#include "registry/registry_priv.h"

LOG_AREA("reaper");

#define STEP_MAX   100 /* warnings and detaches before others on the loop come */
#define STEP_PAUSE USEC_PER_MSEC

uint64_t idle_seconds(const struct attachment *a)
{
	return (clock_monotonic() - a->active_at) / USEC_PER_SEC;
}

struct idle_rule reaper_rule(const struct registry *reg)
{
	return (struct idle_rule){
		.idle = reg->settings->reaper_idle,
		.warning = reg->settings->reaper_warning,
		.interval = reg->settings->reaper_interval,
	};
}

usec_t reaper_due(const struct registry *reg, const struct attachment *a)
{
	struct idle_rule rule = reaper_rule(reg);
	usec_t at = USEC_INFINITY, now = clock_monotonic();

	if (a->idle_list && reg->next_sweep)
		at = idle_reaped_at(&rule, a->active_at, a->warned, reg->next_sweep);
	if (at == USEC_INFINITY)
		return 0;
	return clock_realtime() + (at > now ? at - now : 0);
}

/*
 * The clock.
 */
void clock_leave(struct attachment *a)
{
	if (a->idle_list)
		DL_DELETE2(*a->idle_list, a, idle_prev, idle_next);
	a->idle_list = NULL;
}

static void append(struct attachment **list, struct attachment *a)
{
	clock_leave(a);
	a->idle_list = list;
	DL_APPEND2(*list, a, idle_prev, idle_next);
}

static void sweep_in(struct registry *reg, usec_t after)
{
	reg->next_sweep = clock_monotonic() + after;
	timer_set(reg->sweep_timer, after);
}

static bool can_be_reaped(const struct attachment *a)
{
	return strcmp(a->record->type, "proxy") == 0 && !a->record->pinned && a->slot->will_exist &&
	       a->slot->current == a;
}

void clock_reset(struct registry *reg, struct attachment *a, enum clock_cause cause)
{
	a->active_at = clock_monotonic();
	a->active_by = cause;
	a->warned = false;
	if (!can_be_reaped(a)) {
		clock_leave(a);
		return;
	}
	append(&reg->idle, a);
	if (!reg->next_sweep)
		sweep_in(reg, reg->settings->reaper_interval);
}

void clock_traffic(struct registry *reg, struct attachment *a, const struct tcp_socket *from)
{
	a->active_peer_family = from ? from->family : 0;
	a->active_peer_port = from ? from->peer_port : 0;
	if (from)
		memcpy(a->active_peer, from->peer, sizeof(a->active_peer));
	clock_reset(reg, a, CLOCK_TRAFFIC);
}

void clock_resume(struct registry *reg, struct attachment *a)
{
	if (a->idle_list || !can_be_reaped(a))
		return;
	a->idle_list = a->warned ? &reg->idle_warned : &reg->idle;
	DL_PREPEND2(*a->idle_list, a, idle_prev, idle_next);
	if (!reg->next_sweep)
		sweep_in(reg, reg->settings->reaper_interval);
}

/*
 * The sweep.
 */
static usec_t idle_at(const struct registry *reg, const struct attachment *a)
{
	return reg->swept_at > a->active_at ? reg->swept_at - a->active_at : 0;
}

static void reap(struct registry *reg, struct attachment *a)
{
	if (a->slot->pending > 0) { /* somebody is replacing, pinning or ending it just now */
		clock_reset(reg, a, CLOCK_ATTACH);
		return;
	}
	log_info("session '%s': '%s' had no traffic for %llu s, detaching it",
		 a->slot->session->session_id, a->record->name,
		 (unsigned long long)idle_seconds(a));
	metric_inc(METRIC_REAPED);
	clock_leave(a);
	slot_detach(reg, a->slot, "idle", NULL, NULL, NULL);
}

static void warn(struct registry *reg, struct attachment *a)
{
	a->warned = true;
	append(&reg->idle_warned, a);
	metric_inc(METRIC_IDLE_WARNINGS);
	publish_idle_warning(reg, a);
}

/* One that is due, or NULL.  What is warned in this sweep is not reaped in it. */
static struct attachment *next_due(struct registry *reg, enum idle_verdict *ret)
{
	struct idle_rule rule = reaper_rule(reg);
	struct attachment *a = reg->idle_warned;

	if (!reg->sweep_warns && a &&
	    (*ret = idle_judge(&rule, idle_at(reg, a), true)) == IDLE_REAP)
		return a;
	reg->sweep_warns = true;
	a = reg->idle;
	if (a && (*ret = idle_judge(&rule, idle_at(reg, a), false)) != IDLE_KEEP)
		return a;
	return NULL;
}

static void step(struct registry *reg)
{
	usec_t started = clock_monotonic();
	enum idle_verdict verdict;
	struct attachment *a = NULL;

	for (unsigned n = 0; n < STEP_MAX && !reg->draining && (a = next_due(reg, &verdict)); n++) {
		if (verdict == IDLE_REAP)
			reap(reg, a);
		else
			warn(reg, a);
	}
	metric_observe(METRIC_SWEEP_SECONDS, (double)(clock_monotonic() - started) / 1e6);
	if (a && !reg->draining) {
		timer_set(reg->sweep_timer, STEP_PAUSE);
		return;
	}

	reg->swept_at = 0;
	if (!reg->idle && !reg->idle_warned)
		reg->next_sweep = 0; /* the next attachment starts it again */
	else
		timer_set(reg->sweep_timer, reg->next_sweep > clock_monotonic()
						    ? reg->next_sweep - clock_monotonic()
						    : 0);
}

static void on_sweep(void *arg)
{
	struct registry *reg = arg;

	if (!reg->swept_at) {
		watch_sample(reg); /* nobody is ended by an old look */
		reg->swept_at = clock_monotonic();
		reg->next_sweep = reg->swept_at + reg->settings->reaper_interval;
		reg->sweep_warns = false;
	}
	step(reg);
}

void reaper_reschedule(struct registry *reg)
{
	usec_t latest = clock_monotonic() + reg->settings->reaper_interval;

	if (reg->next_sweep > latest && !reg->swept_at)
		sweep_in(reg, reg->settings->reaper_interval);
}

void reaper_rest(struct registry *reg)
{
	if (reg->idle || reg->idle_warned || reg->swept_at)
		return;
	timer_cancel(reg->sweep_timer);
	reg->next_sweep = 0;
}

void reaper_start(struct registry *reg)
{
	reg->sweep_timer = timer_new(reg->deps.loop, on_sweep, reg);
}

void reaper_stop(struct registry *reg)
{
	timer_free(reg->sweep_timer);
}
