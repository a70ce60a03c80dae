/* SPDX-License-Identifier: MIT */
#pragma once

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "auth/auth.h"
#include "auth/principal.h"
#include "base/cleanup.h"
#include "base/fault.h"
#include "base/json.h"
#include "bus/bus.h"
#include "config/settings.h"
#include "loop/jobs.h"
#include "loop/loop.h"
#include "net/fetch.h"
#include "net/sockdiag.h"
#include "store/store.h"
#include "tasks/tasks.h"

/*
 * The registry: sessions, and in each its attachments, (session_id, name) → host:port/path.
 *
 * All of it is in memory; the store is the truth at start.  An operation is answered when the store
 * has it, and its events go out then.  Operations of one session take effect in the order they were
 * begun to be stored.  Every operation takes the principal it is for and decides what they may:
 * REST, MCP, Socket.IO and the command line come to the same decisions because they come here.
 */
struct registry;

struct registry_deps {
	struct loop *loop;
	struct store *store;
	struct bus *bus;
	struct auth *auth;
	struct fetcher *fetcher;
	struct jobs *jobs;
	struct tasks *tasks;
	struct sockdiag *sockdiag; /* NULL where the kernel has none */
};

/* Loads what the store has, and looks which of it listens.  The deps outlive the registry. */
int registry_new(const struct registry_deps *deps, const struct settings *settings,
		 struct registry **ret, struct fault *reterr) must_use;
struct registry *registry_free(struct registry *reg); /* operations must be gone */
DEFINE_CLEANUP(struct registry *, registry_free)

/* Takes over reloaded settings; on failure (a template, a list of hosts) nothing changes. */
int registry_reload(struct registry *reg, const struct settings *settings,
		    struct fault *reterr) must_use;

/* A port that the daemon itself listens on: never a target. */
void registry_forbid_port(struct registry *reg, uint16_t port);

/* From now on every operation that changes something is refused with FAULT_DRAINING, and attaches
 * that wait for a server are ended with it. */
void registry_drain(struct registry *reg);

/*
 * An operation under way.  Its `done` comes once, from the loop, never before the call that began
 * it returned.  Freeing the handle means that it doesn't come; what was handed to the store happens
 * all the same, a probe is cancelled.
 */
struct registry_op;
struct registry_op *registry_op_free(struct registry_op *op);
DEFINE_CLEANUP(struct registry_op *, registry_op_free)

struct registry_result {
	bool created; /* a new one, as against one that replaced or stayed */
	cJSON *value; /* the answer's document: borrowed; detach it to keep it */
};

/* 0 or a negative errno with a fault; both are borrowed, the fault may be moved out of. */
typedef void registry_done_fn(int result, struct registry_result *value, struct fault *fault,
			      void *arg);

/*
 * Attach: {port, name, path, bash_task_id, host, scheme, health_check, wait_seconds, focus}.  The
 * session is made if the principal may.  Gives the attachment with "replaced".
 */
struct attach_params {
	unsigned port;
	char *name;
	char *path;
	char *bash_task_id; /* or NULL */
	char *host;
	int scheme; /* ATTACH_HTTP, ATTACH_HTTPS */
	bool health_check;
	unsigned wait_seconds; /* 0: probe.budget */
	bool focus;
};

enum { ATTACH_HTTP, ATTACH_HTTPS };

/* The table of those members, for json_read() and openapi.json; and their defaults. */
extern const struct json_field attach_fields[];
void attach_params_init(struct attach_params *p);
void attach_params_done(struct attach_params *p);

/* Each begins an operation, or gives NULL with a fault where it is refused at once. */
struct registry_op *registry_attach(struct registry *reg, struct principal *principal,
				    const struct session_ref *ref,
				    const struct attach_params *params, registry_done_fn *done,
				    void *arg, struct fault *reterr);

/*
 * {removed:true, previous} or {removed:false, hint}.  The task that the attachment names is ended
 * first, unless another one names it, too; what could not be ended is told as `left`, and a server
 * that goes on listening because nothing was known to end, as a hint.
 */
struct registry_op *registry_detach(struct registry *reg, struct principal *principal,
				    const struct session_ref *ref, const char *name,
				    registry_done_fn *done, void *arg, struct fault *reterr);

/* What is pinned is never reaped; unpinned, its idle clock begins anew.  Gives the attachment. */
struct registry_op *registry_pin(struct registry *reg, struct principal *principal,
				 const struct session_ref *ref, const char *name, bool pinned,
				 registry_done_fn *done, void *arg, struct fault *reterr);

/* PUT of a session: {user_id, workdir, meta}, each optional.  Gives the session. */
struct session_params {
	char *user_id;
	char *workdir;
	cJSON *meta;
};

extern const struct json_field session_fields[];
void session_params_done(struct session_params *p);

struct registry_op *registry_session_put(struct registry *reg, struct principal *principal,
					 const struct session_ref *ref,
					 const struct session_params *params,
					 registry_done_fn *done, void *arg, struct fault *reterr);

/* Session end: everything of it detached, its tokens revoked.  {ended, session_id, detached}. */
struct registry_op *registry_session_end(struct registry *reg, struct principal *principal,
					 const struct session_ref *ref, registry_done_fn *done,
					 void *arg, struct fault *reterr);

/*
 * Holding: the session ends sessions.grace after the last of the processes that hold it is gone,
 * however it went, also while there was no daemon.  One that was never held lives until it is
 * ended.  The process is the peer itself (`pid` 0) or one above it.  Makes the session if the
 * principal may.  Gives {session_id, app_id, pid, command, held_since, grace_seconds}.
 */
struct hold_params {
	unsigned pid;  /* 0: the peer */
	char *workdir; /* kept with the session, or NULL */
};

extern const struct json_field hold_fields[];
void hold_params_done(struct hold_params *p);

struct registry_op *registry_hold(struct registry *reg, struct principal *principal,
				  const struct task_peer *peer, const struct session_ref *ref,
				  const struct hold_params *params, registry_done_fn *done,
				  void *arg, struct fault *reterr);

/* {holds: [{pid, command, held_since}], ends_at}: the latter null while somebody holds it. */
int registry_holds(struct registry *reg, const struct principal *principal,
		   const struct session_ref *ref, cJSON **ret, struct fault *reterr) must_use;

/* Hears of each session that was made or came back, once the store has it.  It may begin what comes
 * later; the session's other events go out behind it. */
typedef void registry_made_fn(const struct session_ref *ref, void *arg);
void registry_on_session_made(struct registry *reg, registry_made_fn *fn, void *arg);

/* Hears of each session that has ended, once the store has it, in the same step of the loop. */
typedef void registry_ended_fn(const char *session_id, void *arg);
void registry_on_session_ended(struct registry *reg, registry_ended_fn *fn, void *arg);

/* A tasks_exit_fn over the registry: what names a task that has ended by itself goes with it. */
void registry_task_exited(const char *session_id, const char *task_id, void *registry);

/*
 * Reads.  They answer at once from memory; the caller owns `ret`.
 */
int registry_session_get(struct registry *reg, const struct principal *principal,
			 const struct session_ref *ref, cJSON **ret, struct fault *reterr) must_use;
int registry_list(struct registry *reg, const struct principal *principal,
		  const struct session_ref *ref, cJSON **ret, struct fault *reterr) must_use;
int registry_get(struct registry *reg, const struct principal *principal,
		 const struct session_ref *ref, const char *name, cJSON **ret,
		 struct fault *reterr) must_use;

/* "Somebody is looking": resets the idle clock.  Gives the attachment. */
int registry_touch(struct registry *reg, const struct principal *principal,
		   const struct session_ref *ref, const char *name, cJSON **ret,
		   struct fault *reterr) must_use;

/*
 * The edge: a proxy in front of which each attached server has a host name of its own, by its label
 * in preview.public_url_template.  Whether a request may pass is decided in src/api/edge.c.
 */
bool registry_has_edge(const struct registry *reg);

/* A request for what has that label: where to ("127.0.0.1:5173", the caller frees it), and how.
 * It is use, and resets the idle clock.  FAULT_PREVIEW_NOT_FOUND; FAULT_TARGET_NOT_LISTENING;
 * FAULT_FORBIDDEN where what listens there now is another's. */
int registry_edge_pass(struct registry *reg, const char *label, char **ret_upstream,
		       const char **ret_scheme, struct fault *reterr) must_use;

/* The path a viewer of it begins with; NULL where nothing has that label any more.  Borrowed. */
const char *registry_edge_path(const struct registry *reg, const char *label);

/*
 * Where each host of the edge leads to now, as registry_edge_pass() would say it, by label; freed
 * by edge_routes_free().
 */
struct edge_route {
	const char *label;
	const char *scheme;
	char *upstream;
};

/* Another number where they may have changed since. */
uint64_t registry_edge_version(const struct registry *reg);

size_t registry_edge_routes(const struct registry *reg, struct edge_route **ret);
void edge_routes_free(struct edge_route *routes, size_t n);

/* What stands before and behind a label in its host; the caller's.  Empty where there is no edge.
 */
void registry_edge_around(const struct registry *reg, char **ret_before, char **ret_behind);

/* What a link to it needs.  Borrowed, but for `origin`, its own through the edge: NULL where it has
 * none. */
struct edge_place {
	const char *label;
	const char *url;
	char *origin; /* "https://LABEL.preview.example.org" */
};
int registry_edge_place(const struct registry *reg, const struct principal *principal,
			const struct session_ref *ref, const char *name, struct edge_place *ret,
			struct fault *reterr) must_use;

/* Why it is kept or about to go: sockets, what set the idle clock last, when it ends. */
int registry_why(struct registry *reg, const struct principal *principal,
		 const struct session_ref *ref, const char *name, cJSON **ret,
		 struct fault *reterr) must_use;

/* For polling clients: never a failure but a wrong parameter.  `session_id` and `name` as sent. */
int registry_lookup(struct registry *reg, const struct principal *principal,
		    const struct session_ref *ref, const char *name, cJSON **ret,
		    struct fault *reterr) must_use;

/* All that the principal may see, over sessions: {previews, next}.  `after` NULL: from the start.
 */
int registry_list_all(struct registry *reg, const struct principal *principal, unsigned limit,
		      const char *after, cJSON **ret, struct fault *reterr) must_use;

/* GET /health/web_preview */
cJSON *registry_health(struct registry *reg);

/*
 * Published pages: attachments without a server.  src/publish decides what is served; the registry
 * counts them in its limits, tells of them and lets them go with their session.
 *
 * Whether the session may have one of that name (one that is there is replaced): asked before a
 * build, so that nobody builds in vain.  The session is made or brought back elsewhere.
 */
int registry_publish_check(struct registry *reg, const struct principal *principal,
			   const struct session_ref *ref, const char *name,
			   struct fault *reterr) must_use;

/*
 * A place that the limits count, held while the page is switched, for a moment: a detach of that
 * name waits for it.  FAULT_SESSION_NOT_FOUND, FAULT_SESSION_LIMIT, FAULT_USER_LIMIT.
 */
struct registry_place;
int registry_place_take(struct registry *reg, const struct session_ref *ref, const char *name,
			struct registry_place **ret, struct fault *reterr) must_use;
struct registry_place *registry_place_free(struct registry_place *place);
DEFINE_CLEANUP(struct registry_place *, registry_place_free)

struct publish_attachment {
	const char *url;
	const char *release_id;
	bool focus;
};

/* Attaches there, as registry_attach() answers.  Takes the place, and the batch (it may be NULL):
 * what else is to become durable with it. */
struct registry_op *registry_publish_consume(struct registry_place *place,
					     const struct publish_attachment *attachment,
					     struct store_batch *batch, registry_done_fn *done,
					     void *arg);

/* Detaches what is published under the name.  NULL where there is nothing: `done` doesn't come. */
struct registry_op *registry_unpublish(struct registry *reg, const struct session_ref *ref,
				       const char *name, registry_done_fn *done, void *arg);

/* At start and reload: what its page really has.  Tells nobody, for nobody listens yet. */
void registry_published_is(struct registry *reg, const char *session_id, const char *name,
			   const char *url, const char *release_id);

/*
 * What comes with the app: attached under the name where the session lives and has nothing of that
 * name, else NULL.  The limits don't count it, for nobody asked for it: its place is one more.
 */
struct registry_op *registry_bundle(struct registry *reg, const struct session_ref *ref,
				    const char *name, const char *url, registry_done_fn *done,
				    void *arg);

/* The session's project directory and by whose rights it was named, a uid or -1.  Borrowed. */
bool registry_session_workdir(struct registry *reg, const char *session_id,
			      const char **ret_workdir, int64_t *ret_uid);

/*
 * For event streams: whether the principal may follow the session, FAULT_SESSION_NOT_FOUND if not.
 * `app_id` NULL: whatever the session's is.  One who may make it may wait for a session to come.
 */
int registry_may_follow(struct registry *reg, const struct principal *principal, const char *app_id,
			const char *session_id, struct fault *reterr) must_use;

/* The payload of preview:snapshot, but for the canvas, preview_seq and ts; the caller owns it. */
cJSON *registry_snapshot(struct registry *reg, const char *session_id);

/* For minting: the session's own app and owner.  Borrowed until the loop's next step. */
int registry_session_owner(struct registry *reg, const struct principal *principal,
			   const struct session_ref *ref, const char **ret_user_id,
			   struct fault *reterr) must_use;

/* An auth_session_fn over the registry: the owner of a living session. */
bool registry_session_lookup(const char *session_id, const char **ret_app_id,
			     const char **ret_user_id, void *registry);
