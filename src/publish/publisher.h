/* SPDX-License-Identifier: MIT */
#pragma once

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "auth/principal.h"
#include "base/cleanup.h"
#include "base/fault.h"
#include "base/json.h"
#include "bus/bus.h"
#include "config/settings.h"
#include "http/static.h"
#include "loop/loop.h"
#include "loop/textlog.h"
#include "proc/cgroup.h"
#include "registry/registry.h"
#include "store/store.h"

/*
 * Publish: a session's project is built once in a sandbox, and its static output becomes a release
 * that is served until the next one is whole.
 *
 * A build goes through detect, install, build, check, release; its lines and phases are events. One
 * build a session at a time, at most publish.builds at once, the others wait in a queue.  What a
 * build changes it changes at its end in one step; a failed, cancelled or interrupted one changes
 * nothing.
 */
struct publisher;

struct publisher_deps {
	struct loop *loop;
	struct store *store;
	struct bus *bus;
	struct registry *registry;
	struct cgroups *cgroups; /* NULL where there are none */
	const char *state_dir;   /* published/, modules/ and builds/ are made in it */
};

int publisher_new(const struct publisher_deps *deps, const struct settings *settings,
		  struct publisher **ret, struct fault *reterr) must_use;
struct publisher *publisher_free(struct publisher *p); /* ends what builds */
DEFINE_CLEANUP(struct publisher *, publisher_free)
void publisher_reload(struct publisher *p, const struct settings *settings);
void publisher_drain(struct publisher *p);

/* A port that the daemon listens on: the first one is in the addresses that are given out. */
void publisher_listens(struct publisher *p, uint16_t port);

/* As registry_op: `done` once, from the loop; freeing the handle means that it doesn't come. */
struct publisher_op;
struct publisher_op *publisher_op_free(struct publisher_op *op);
DEFINE_CLEANUP(struct publisher_op *, publisher_op_free)
typedef void publisher_done_fn(int result, cJSON *value, struct fault *fault, void *arg);

/* {workdir, install, build_script, output_dir, name, timeout_seconds} */
struct publish_params {
	char *workdir;      /* NULL: the session's */
	char *build_script; /* NULL: as detected, "build" */
	char *output_dir;   /* NULL: as detected */
	char *name;         /* "published" */
	bool install;
	unsigned timeout_seconds; /* 0: publish.build_timeout */
	bool focus;               /* whether the user's panel should come to the front with it */
};
extern const struct json_field publish_fields[];
void publish_params_init(struct publish_params *p);
void publish_params_done(struct publish_params *p);

/*
 * Begins (or queues) a build in a session that is there, or is made if the principal may: `done`
 * gives the build's document as soon as it is stored, or with `wait` at its end, then with the
 * fault of one that failed (whose members `build` and `log_tail` tell of it).
 */
struct publisher_op *publisher_build(struct publisher *p, struct principal *principal,
				     const struct session_ref *ref,
				     const struct publish_params *params, bool wait,
				     publisher_done_fn *done, void *arg, struct fault *reterr);

/* {builds:[…]}, the newest first, and one: {build_id, session_id, name, state, phase, framework, …,
 * release_id, url, error}.  The caller's. */
int publisher_builds(struct publisher *p, const struct principal *principal,
		     const struct session_ref *ref, cJSON **ret, struct fault *reterr) must_use;
int publisher_build_get(struct publisher *p, const struct principal *principal,
			const struct session_ref *ref, const char *build_id, cJSON **ret,
			struct fault *reterr) must_use;
struct publisher_op *publisher_build_cancel(struct publisher *p, struct principal *principal,
					    const struct session_ref *ref, const char *build_id,
					    publisher_done_fn *done, void *arg,
					    struct fault *reterr);

/* The log, as textlog_read() gives it; it ends with the build. */
int publisher_log(struct publisher *p, const struct principal *principal,
		  const struct session_ref *ref, const char *build_id, bool follow,
		  const struct textlog_ops *ops, void *arg, struct textlog_reader **ret,
		  struct fault *reterr) must_use;

/* {name, url, current, releases:[{id, current, created_at, bytes, files}]}, the newest first */
struct publisher_op *publisher_releases(struct publisher *p, struct principal *principal,
					const struct session_ref *ref, const char *name,
					publisher_done_fn *done, void *arg, struct fault *reterr);
struct publisher_op *publisher_activate(struct publisher *p, struct principal *principal,
					const struct session_ref *ref, const char *name,
					const char *release_id, const char *expected_current,
					publisher_done_fn *done, void *arg, struct fault *reterr);
/* Takes it off the air.  The releases stay until publish.keep. */
struct publisher_op *publisher_unpublish(struct publisher *p, struct principal *principal,
					 const struct session_ref *ref, const char *name,
					 publisher_done_fn *done, void *arg, struct fault *reterr);
/* A new unguessable token: links given out before stop working. */
struct publisher_op *publisher_rotate(struct publisher *p, struct principal *principal,
				      const struct session_ref *ref, const char *name,
				      publisher_done_fn *done, void *arg, struct fault *reterr);

/*
 * What is on the air, for serving.  `token` NULL: asked for by name, which publish.visibility must
 * allow.  `done` comes from the loop, at once (before the call returns) where the site is open
 * already.  FAULT_NOT_PUBLISHED else; the same for what may not be seen.
 */
struct published_site {
	struct static_site *site; /* borrowed: static_serve() keeps its own reference */
	struct static_site *const
		*earlier; /* kept releases that are open, newest first; borrowed */
	size_t n_earlier;
	const char *release_id;
	bool spa;
};
struct site_op;
typedef void publisher_site_fn(const struct published_site *site, struct fault *fault, void *arg);
struct site_op *publisher_site(struct publisher *p, const struct session_ref *ref, const char *name,
			       const char *token, publisher_site_fn *done, void *arg);
/* The same by the label of a host of its own (publish.host_template). */
struct site_op *publisher_site_by_label(struct publisher *p, const char *label,
					publisher_site_fn *done, void *arg);
struct site_op *site_op_free(struct site_op *op); /* `done` doesn't come */

/* A registry_ended_fn: builds of it are cancelled, its attachment goes; its page stays for keep. */
void publisher_session_ended(const char *session_id, void *publisher);

/* For the health document: builds running and waiting, releases, bytes, the sandbox. */
cJSON *publisher_health(struct publisher *p);
