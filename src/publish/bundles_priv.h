/* SPDX-License-Identifier: MIT */
#pragma once

#include "publish/bundles.h"
#include "publish/publisher_priv.h"

/*
 * refreshing.c: a job's input, which carries its results back.  It looks whether what an app ships
 * is still what was taken of it; where not, it is taken anew.
 */
struct refresh {
	struct checking *checking; /* its `cancel` ends all of it */
	int root_fd;               /* the state directory's bundled/ */
	char *apps_dir, *app_id;
	struct release_keep keep;
	char known[RELEASE_ID_SIZE]; /* what is shown already, or "" */

	struct shown *shown; /* NULL: it is what is known, or the result says why not */
	bool is_none;        /* the app ships nothing (any more) */
	struct fault fault;
};

struct refresh *refresh_new(int root_fd, const char *app_id, const struct settings *settings,
			    const char *known);
int refresh_work(void *refresh);
void refresh_free(void *refresh);

/* "/api/apps/APP/web-static/"; the caller frees. */
char *bundle_path(const char *app_id);
