/* SPDX-License-Identifier: MIT */
#pragma once

#include <stdbool.h>
#include <stddef.h>
#include <sys/types.h>

#include "auth/principal.h"
#include "base/cleanup.h"
#include "base/fault.h"
#include "base/json.h"
#include "bus/bus.h"
#include "config/settings.h"
#include "loop/jobs.h"
#include "loop/loop.h"
#include "loop/textlog.h"
#include "net/fetch.h"
#include "proc/cgroup.h"
#include "store/store.h"

/*
 * Background tasks: the process trees of a session, and their ends.
 *
 * A task is one that the daemon started, one that its peer registered by pid, or one that only its
 * own runtime knows, of which previewd has the id and tells tasks.kill_command or tasks.kill_url.
 * A task belongs to one session.  Ending one ends all of its tree and nothing else, and says what
 * it could not end.
 */
struct tasks;

struct tasks_deps {
	struct loop *loop;
	struct jobs *jobs;
	struct store *store;
	struct bus *bus;
	struct fetcher *fetcher;
	struct cgroups *cgroups; /* NULL where there are none */
};

/* Loads the store's and finds again, by pid and start time, those that still run. */
int tasks_new(const struct tasks_deps *deps, const struct settings *settings, struct tasks **ret,
	      struct fault *reterr) must_use;
struct tasks *tasks_free(struct tasks *t);
DEFINE_CLEANUP(struct tasks *, tasks_free)
int tasks_reload(struct tasks *t, const struct settings *settings, struct fault *reterr) must_use;

/*
 * A task has ended, by itself or by tasks_delete(): its previews go with "task_exit".  Set once, by
 * the daemon; of those that ended while there was no daemon it is told then.
 */
typedef void tasks_exit_fn(const char *session_id, const char *task_id, void *arg);
void tasks_on_exit(struct tasks *t, tasks_exit_fn *fn, void *arg);

/*
 * Ends a task for a reason of web_preview:detached.  `done` comes once, from the loop, unless the
 * handle was freed (the ending goes on): `left` lists as JSON objects {pid, command} what could not
 * be ended, NULL when nothing is left or nothing was known of it; it is borrowed.  A runtime that
 * is told to end its task is waited for only so long: then `done` comes, and the telling goes on.
 * The handle is the caller's to free, before `done`, inside it or after it.  `done` may be NULL.
 */
struct tasks_ending;
typedef void tasks_ended_fn(const cJSON *left, void *arg);
struct tasks_ending *tasks_end(struct tasks *t, const char *session_id, const char *task_id,
			       const char *reason, tasks_ended_fn *done, void *arg);
struct tasks_ending *tasks_ending_free(struct tasks_ending *e);
DEFINE_CLEANUP(struct tasks_ending *, tasks_ending_free)

/* Whether one of the session's has not ended yet. */
bool tasks_any_live(const struct tasks *t, const char *session_id);

/* All of a session, at its end. */
struct tasks_ending *tasks_end_session(struct tasks *t, const char *session_id,
				       tasks_ended_fn *done, void *arg);

/* At the daemon's end, by tasks.on_restart: those it started; NULL where they go on. */
struct tasks_ending *tasks_end_started(struct tasks *t, tasks_ended_fn *done, void *arg);

/*
 * What the surfaces ask.  The session was checked by the caller (the registry knows sessions).
 */
struct tasks_op;
struct tasks_op *tasks_op_free(struct tasks_op *op);
DEFINE_CLEANUP(struct tasks_op *, tasks_op_free)
typedef void tasks_done_fn(int result, cJSON *value, struct fault *fault, void *arg);

struct task_params {
	char *task_id;  /* NULL: one is made */
	char **command; /* argv, for a task to start; or NULL */
	char *cwd;
	cJSON *env;     /* names to values, added to a clean environment */
	unsigned port;  /* 0: none */
	unsigned pid;   /* of a task to register; 0: none */
	bool subreaper; /* all children of the peer are of that task: previewctl run */
};

extern const struct json_field task_fields[];
void task_params_done(struct task_params *p);

/* Who asks over the unix socket: only such a peer may register a pid. */
struct task_peer {
	bool is_unix;
	uid_t uid;
	pid_t pid;
};

struct tasks_op *tasks_add(struct tasks *t, const struct principal *principal,
			   const struct task_peer *peer, const struct session_ref *ref,
			   const struct task_params *params, tasks_done_fn *done, void *arg,
			   struct fault *reterr);
struct tasks_op *tasks_delete(struct tasks *t, const char *session_id, const char *task_id,
			      tasks_done_fn *done, void *arg, struct fault *reterr);
int tasks_list(struct tasks *t, const char *session_id, cJSON **ret) must_use;
int tasks_get(struct tasks *t, const char *session_id, const char *task_id, cJSON **ret,
	      struct fault *reterr) must_use;

/* The log, as textlog_read() gives it; it ends with the task. */
int tasks_log(struct tasks *t, const char *session_id, const char *task_id, bool follow,
	      const struct textlog_ops *ops, void *arg, struct textlog_reader **ret,
	      struct fault *reterr) must_use;
