/* SPDX-License-Identifier: MIT */
#pragma once

#include "base/cleanup.h"
#include "base/fault.h"
#include "config/settings.h"
#include "loop/loop.h"
#include "publish/publisher.h"
#include "registry/registry.h"

/*
 * What apps ship: of each app in apps.dir its web/dist, which its sessions have attached from the
 * start (type "bundled").
 *
 * It is served from a release, as a published page is: taken when it is first asked for, and again
 * when something in it has changed.  Until the new one is whole, and where it cannot be taken, the
 * old one is served.
 */
struct bundles;

#define BUNDLE_NAME "bundled" /* the attachment's */

struct bundles_deps {
	struct loop *loop;
	struct registry *registry;
	const char *state_dir; /* bundled/ is made in it */
};

int bundles_new(const struct bundles_deps *deps, const struct settings *settings,
		struct bundles **ret, struct fault *reterr);
struct bundles *bundles_free(struct bundles *b);
DEFINE_CLEANUP(struct bundles *, bundles_free)
void bundles_reload(struct bundles *b, const struct settings *settings);

/* A registry_made_fn: attaches what the session's app ships. */
void bundles_session_made(const struct session_ref *ref, void *bundles);

/* As publisher_site(): FAULT_NOT_PUBLISHED for an app that ships nothing. */
struct site_op *bundles_site(struct bundles *b, const char *app_id, publisher_site_fn *done,
			     void *arg);
