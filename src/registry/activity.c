/* SPDX-License-Identifier: MIT */
/*
 * Judgements on use, idleness and ownership.
 */
#include "registry/activity.h"

const char *activity_text(enum activity a)
{
	static const char *const texts[] = {
		[ACTIVITY_UNSEEN] = "unseen",
		[ACTIVITY_PASSIVE] = "passive",
		[ACTIVITY_ACTIVE] = "active",
	};

	return texts[a];
}

bool counts_are_traffic(const struct counts *before, const struct counts *now,
			unsigned bytes_per_segment)
{
	uint32_t segments;

	/* Bytes alone don't tell: the kernel counts a FIN as one. */
	if (!before || before->segments == 0)
		return now->segments > 0;
	segments = now->segments - before->segments;
	return segments > 0 && now->bytes - before->bytes >= (uint64_t)segments * bytes_per_segment;
}

enum activity activity_judge(size_t n_connections, usec_t since_use, usec_t recent)
{
	if (since_use <= recent)
		return ACTIVITY_ACTIVE;
	return n_connections > 0 ? ACTIVITY_PASSIVE : ACTIVITY_UNSEEN;
}

static usec_t warned_after(const struct idle_rule *rule)
{
	return rule->idle > rule->warning ? rule->idle - rule->warning : 0;
}

enum idle_verdict idle_judge(const struct idle_rule *rule, usec_t idle, bool warned)
{
	if (rule->idle == 0)
		return IDLE_KEEP;
	if (warned || rule->warning == 0)
		return idle >= rule->idle ? IDLE_REAP : IDLE_KEEP;
	return idle >= warned_after(rule) ? IDLE_WARN : IDLE_KEEP;
}

static usec_t first_sweep_from(const struct idle_rule *rule, usec_t at, usec_t next_sweep)
{
	usec_t sweeps;

	if (at <= next_sweep)
		return next_sweep;
	sweeps = (at - next_sweep + rule->interval - 1) / rule->interval;
	return next_sweep + sweeps * rule->interval;
}

usec_t idle_reaped_at(const struct idle_rule *rule, usec_t active_at, bool warned,
		      usec_t next_sweep)
{
	usec_t reaped, warning;

	if (rule->idle == 0 || rule->idle == USEC_INFINITY)
		return USEC_INFINITY;
	reaped = first_sweep_from(rule, active_at + rule->idle, next_sweep);
	if (warned || rule->warning == 0)
		return reaped;
	warning = first_sweep_from(rule, active_at + warned_after(rule), next_sweep);
	return reaped > warning ? reaped : warning + rule->interval;
}

bool owner_is_same(const struct owner *before, const struct owner *now, bool descends)
{
	if (before->uid != now->uid)
		return false;
	if (before->pid == 0 || now->pid == 0)
		return true;
	if (descends || before->pid == now->pid)
		return true;
	if (before->sid != 0 && before->sid == now->sid)
		return true;
	return before->cwd_inode != 0 && before->cwd_inode == now->cwd_inode &&
	       before->cwd_device == now->cwd_device;
}
