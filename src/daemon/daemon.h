/* SPDX-License-Identifier: MIT */
#pragma once

#include "base/cleanup.h"
#include "base/fault.h"
#include "config/settings.h"

/*
 * The daemon: it owns one instance of everything and knows in which order they begin and end.
 */
struct daemon;

/* `sources` is read again at SIGHUP and outlives the daemon, which takes `settings` in any case. */
int daemon_new(const struct settings_sources *sources, struct settings *settings_consume,
	       struct daemon **ret, struct fault *reterr) must_use;
struct daemon *daemon_free(struct daemon *d);
DEFINE_CLEANUP(struct daemon *, daemon_free)

/* Serves until SIGTERM or SIGINT, and drains.  0, or -errno when the loop itself failed. */
int daemon_run(struct daemon *d);

/* Sets logging up as the settings say. */
void daemon_log_setup(const struct settings *settings);
