/* SPDX-License-Identifier: MIT */
#pragma once

#include <sys/types.h>
#include <uthash.h>

#include "base/json.h"
#include "net/hosts.h"
#include "registry/probe.h"
#include "registry/registry.h"

/*
 * The registry's memory.
 *
 *	user ── sessions ── slots ── the attachment now in force
 *
 * A change goes to the store first.  Until it is there, memory says both what is (slot.current,
 * session.live) and what will be once everything on its way has arrived (slot.will_exist,
 * session.will_live): reads go by the first, new changes by the second.  Results come in the order
 * of the commits, so each is applied to memory as it comes.
 */

struct user {
	char *user_id;
	size_t n_slots;           /* what limits.per_user counts */
	size_t n_sessions;        /* living and ended */
	size_t n_forgetting;      /* of them, those that the store is being told to forget */
	struct session *sessions; /* all, oldest first */
	struct session *ended;    /* those that have ended, the longest ago first */
	UT_hash_handle hh;
};

struct session {
	char *session_id;
	char *app_id;
	struct user *user;
	char *workdir; /* or NULL */
	char *meta;    /* JSON text, or NULL */
	usec_t created_at;
	usec_t ended_at; /* realtime; 0 while it lives */
	bool durable;    /* the store has it */
	bool will_live;
	unsigned pending;   /* changes on their way to the store */
	char *will_workdir; /* while there are some: what the last of them will leave */
	char *will_meta;
	unsigned generation; /* grows at each end: what began before an end doesn't outlive it */
	struct slot *slots;
	size_t n_slots; /* what limits.per_session counts */
	struct session *user_prev, *user_next;
	struct session *ended_prev, *ended_next;
	UT_hash_handle hh;
};

/* A name in a session, as long as it has an attachment or one is on its way. */
struct slot {
	struct session *session;
	char *name;
	struct attachment *current; /* NULL: none is in force yet, or any more */
	unsigned pending;
	bool will_exist;
	struct slot *prev, *next;
};

struct attachment {
	struct record_attachment *record; /* ours */
	struct slot *slot;
	usec_t touched_at; /* realtime; 0: never */
	usec_t active_at;  /* monotonic: when the idle clock began */
	struct attachment *port_prev, *port_next;

	/* The process that listens, as it was found last. */
	unsigned owner_inode;
	pid_t owner_pid; /* 0: not seen */
	char owner_command[16];
	struct owner_lookup *owner_lookup; /* its job's */
	struct job *owner_job;
};

struct registry {
	struct registry_deps deps;
	const struct settings *settings;
	struct hosts *allow_hosts;
	struct prober *prober;
	struct logins *logins; /* of the owners of listeners */
	struct session *sessions;
	struct user *users;
	struct attachment **by_port; /* lists, by port: also those on their way */
	uint16_t forbidden_ports[16];
	size_t n_forbidden_ports;
	struct registry_op *ops;
	bool draining;

	/* The listeners of the last dump, by port. */
	struct listener *listeners;
	size_t n_listeners, listeners_max;
	usec_t listeners_at;
};

enum op_stage {
	OP_WAITING,    /* for a probe or its turn on the loop: can be cancelled */
	OP_COMMITTING, /* the store has it */
};

/* Applies to memory what the store has, or takes back what it refused (`result`). */
typedef void op_apply_fn(struct registry_op *op, int result);

struct registry_op {
	struct registry *reg;
	struct principal *principal;
	char *app_id, *session_id;
	registry_done_fn *done; /* NULL: nobody waits any more */
	void *arg;
	enum op_stage stage;
	struct store_commit *commit;
	op_apply_fn *apply;
	struct timer *turn;
	struct registry_op *prev, *next;

	struct session *session; /* while committing */
	struct registry_result result;
	struct fault fault;
	int failure; /* with fault */

	/* attach */
	struct attach_params attach;
	char *label;
	char *url;
	unsigned generation;
	struct probe *probe;
	char *probed_address;
	char *probe_json;
	struct slot *slot;
	struct attachment *attachment; /* not in force yet */

	/* detach, session end */
	const char *reason;
	struct slot **ending;
	size_t n_ending;

	/* session put: what its record says */
	char *workdir, *meta;

	/* attach, session put: one that makes room for the new session */
	struct session *forgetting;
};

/*
 * memory.c: users, sessions, slots, attachments and their indexes.
 */
struct session *session_find(const struct registry *reg, const char *session_id);

/* The living session the principal may know of, or NULL with FAULT_SESSION_NOT_FOUND. */
struct session *session_visible(const struct registry *reg, const struct principal *principal,
				const struct session_ref *ref, struct fault *reterr);

/*
 * Whether the principal may change that session, making it or bringing it back where needed.  `ret`
 * is NULL for one that doesn't exist yet.
 */
int session_writable(const struct registry *reg, const struct principal *principal,
		     const struct session_ref *ref, struct session **ret, struct fault *reterr);

/*
 * A new session in memory; the caller's batch makes it durable.  FAULT_TOO_MANY_SESSIONS.  Where
 * the batch forgets another one to make room, that is `ret_forgetting`, and once the store has
 * answered session_forgotten() is told; else NULL.
 */
int session_make(struct registry *reg, const struct session_ref *ref, const char *user_id,
		 struct store_batch *batch, struct session **ret, struct session **ret_forgetting,
		 struct fault *reterr);
void session_forgotten(struct registry *reg, struct session *s, int result);

/*
 * Each of these counts a change as pending and is paired with one session_settle().  The first
 * knows that the session lives; the second puts it in the batch where the store doesn't have it as
 * living; the third puts it there as ended.
 */
void session_begin(struct session *s);
void session_begin_change(struct session *s, struct store_batch *batch);
void session_begin_end(struct session *s, struct store_batch *batch);

/* Within a change: `workdir` and `meta`, where they aren't NULL, go into the batch. */
void session_will_have(struct session *s, const char *workdir, const char *meta,
		       struct store_batch *batch);

/*
 * The change has arrived (0) or failed.  `makes_live`: it came with session_begin_change(), so that
 * a session which had ended is back.  One that never became durable is freed with the last change.
 */
void session_settle(struct registry *reg, struct session *s, int result, bool makes_live);
void session_end_in_memory(struct session *s, usec_t ended_at);
void session_free(struct registry *reg, struct session *s);

struct slot *slot_find(const struct session *s, const char *name);
struct slot *slot_make(struct session *s, const char *name);
void slot_to_end(struct slot *slot); /* the session's list is in the order of attaching */
void slot_settle(struct slot *slot); /* frees it when nothing is there or on its way */

/* Takes the record (of record_copy()); enters the port's list. */
struct attachment *attachment_new_take(struct registry *reg, struct record_attachment *record);
struct attachment *attachment_free(struct registry *reg, struct attachment *a);

/* One on that host and port that another user has, or NULL. */
const struct attachment *attachment_of_other_user(const struct registry *reg, const char *host,
						  uint16_t port, const struct user *user);

int registry_load(struct registry *reg, struct fault *reterr) must_use;

/*
 * operation.c: the life of an operation.
 */
struct registry_op *op_new(struct registry *reg, struct principal *principal,
			   const struct session_ref *ref, registry_done_fn *done, void *arg);

/* The answer comes in the loop's next step, from what is in op->result or op->fault. */
void op_finish_later(struct registry_op *op, int failure);
/* The answer comes now: the operation may be gone afterwards. */
void op_finish(struct registry_op *op, int failure);
void op_commit(struct registry_op *op, struct store_batch *batch, op_apply_fn *apply);
int op_store_failed(struct registry_op *op, int result); /* fills the fault; its errno */
int registry_refuses_changes(const struct registry *reg, struct fault *reterr);

/* Ends with that fault what waits for a server, of a session or (NULL) of all. */
void ops_cancel_waiting(struct registry *reg, const char *session_id, enum fault_code code,
			const char *sentence);

/*
 * view.c: documents and events.
 */
cJSON *attachment_view(struct registry *reg, const struct attachment *a);
cJSON *session_view(struct registry *reg, const struct session *s);
void publish_attached(struct registry *reg, const struct attachment *a);
void publish_detached(struct registry *reg, const struct attachment *a, const char *reason);

/* owner.c: what listens, and who. */
void listeners_refresh(struct registry *reg);
const struct listener *listener_of(const struct registry *reg, const struct attachment *a);
void owner_look(struct registry *reg, struct attachment *a);
void owner_forget(struct attachment *a);
