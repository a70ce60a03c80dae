/* SPDX-License-Identifier: MIT */
#pragma once

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>
#include <sys/types.h>

#include "base/clock.h"

/*
 * The judgements behind "it is used", "it is idle" and "it is another's now": pure, over numbers
 * the kernel gave.  Who looks, when, and what follows is in watch.c, presence.c and reaper.c.
 */
enum activity {
	ACTIVITY_UNSEEN,  /* nobody is connected, or the kernel can't see */
	ACTIVITY_PASSIVE, /* connections are open, and at most keep alive */
	ACTIVITY_ACTIVE,
};

const char *activity_text(enum activity a); /* "unseen", "passive", "active" */

/* What has come in on a connection from its peer. */
struct counts {
	uint64_t bytes;
	uint32_t segments; /* with data; wraps */
};

/*
 * Whether what came between two looks is somebody's use.  `before` NULL or empty: a new connection,
 * where any data is.  On an old one the pings of an HMR socket are small and a segment each, a
 * request is larger: it goes by bytes a segment.
 */
bool counts_are_traffic(const struct counts *before, const struct counts *now,
			unsigned bytes_per_segment);

/* Use longer ago than `recent` doesn't make it active any more. */
enum activity activity_judge(size_t n_connections, usec_t since_use, usec_t recent);

/*
 * The reaper's rule.  Sweeps come every `interval`; each preview is warned at one and reaped at a
 * later one, unless `warning` is 0.
 */
struct idle_rule {
	usec_t idle; /* 0: never */
	usec_t warning;
	usec_t interval;
};

enum idle_verdict {
	IDLE_KEEP,
	IDLE_WARN,
	IDLE_REAP,
};

enum idle_verdict idle_judge(const struct idle_rule *rule, usec_t idle, bool warned);

/* The sweep that will reap what was used last at `active_at`, if it isn't used again; USEC_INFINITY
 * for never.  Times are of one clock. */
usec_t idle_reaped_at(const struct idle_rule *rule, usec_t active_at, bool warned,
		      usec_t next_sweep);

/* Who listens.  0 is unknown, of each member but the uid. */
struct owner {
	unsigned inode; /* of the listening socket */
	uid_t uid;
	pid_t pid;
	pid_t sid; /* of the process' session (setsid) */
	uint64_t cwd_device, cwd_inode;
	char command[16];
};

/*
 * Whether the new holder of a port is the old one's restart: the same uid and, where both processes
 * were seen, a descendant, one of the same terminal or shell session, or one at work in the same
 * directory (an agent restarts its server in a shell of its own).
 */
bool owner_is_same(const struct owner *before, const struct owner *now, bool descends);
