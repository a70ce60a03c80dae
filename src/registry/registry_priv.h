/* SPDX-License-Identifier: MIT */
#pragma once

#include <sys/types.h>

#include "base/hash.h"
#include "base/json.h"
#include "net/hosts.h"
#include "net/sockwatch.h"
#include "registry/activity.h"
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
	size_t n_slots; /* but for those, what limits.per_user counts */
	size_t n_bundled;
	size_t n_sessions;        /* living and ended */
	size_t n_holds;           /* what limits.holds_per_user counts */
	size_t n_forgetting;      /* of them, those that the store is being told to forget */
	struct session *sessions; /* all, oldest first */
	struct session *ended;    /* those that have ended, the longest ago first */
	UT_hash_handle hh;
};

struct session {
	char *session_id;
	char *app_id;
	struct user *user;
	char *workdir;       /* or NULL */
	int64_t workdir_uid; /* by whose rights it was set; -1: nobody's */
	char *meta;          /* JSON text, or NULL */
	usec_t created_at;
	usec_t ended_at; /* realtime; 0 while it lives */
	bool durable;    /* the store has it */
	bool will_live;
	unsigned pending;   /* changes on their way to the store */
	char *will_workdir; /* while there are some: what the last of them will leave */
	int64_t will_workdir_uid;
	char *will_meta;
	unsigned generation; /* grows at each end: what began before an end doesn't outlive it */
	bool ending;         /* its tasks are being ended: nothing new begins */
	struct slot *slots;
	size_t n_slots;   /* but for those, what limits.per_session counts */
	size_t n_bundled; /* slots that are */
	struct hold *holds;
	struct timer *grace; /* runs while it was held and is no longer; NULL before */
	usec_t grace_ends;   /* realtime; 0: it doesn't run */
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
	unsigned version; /* grows with each attachment that is handed to the store */
	bool will_exist;
	bool will_be_pinned;
	bool bundled;                /* with the app, and no more than that: no limit counts it */
	struct registry_op *waiting; /* until nothing is on its way */
	struct slot *prev, *next;
};

/* Whether what is attached is there. */
enum presence {
	PRESENCE_UNKNOWN, /* this kernel doesn't see it */
	PRESENCE_UP,
	PRESENCE_DOWN,    /* nothing listens */
	PRESENCE_FOREIGN, /* what listens is another's */
};

/* What the idle clock was set by. */
enum clock_cause {
	CLOCK_ATTACH,
	CLOCK_START, /* of the daemon */
	CLOCK_TRAFFIC,
	CLOCK_TOUCH,
	CLOCK_UNPIN,
	CLOCK_EDGE, /* a request through the edge */
};

struct attachment {
	struct record_attachment *record; /* ours */
	struct slot *slot;
	struct attachment *port_prev, *port_next;
	bool by_label; /* it is in that index, as what is in force is */
	UT_hash_handle label_hh;

	/* The idle clock (reaper.c). */
	usec_t touched_at; /* realtime; 0: never */
	usec_t active_at;  /* monotonic: when it began */
	enum clock_cause active_by;
	int active_peer_family; /* of CLOCK_TRAFFIC: whose */
	uint8_t active_peer[16];
	uint16_t active_peer_port;
	bool warned;
	struct attachment **idle_list; /* the one it is in, or NULL: never reaped */
	struct attachment *idle_prev, *idle_next;

	/* While it is in force and of this machine: the port's (watch.c). */
	struct watch *watch;
	struct attachment *watch_prev, *watch_next;

	/* Who listens (presence.c, owner.c). */
	enum presence presence;
	struct owner owner;                /* as it was when it was last its own */
	unsigned judged_inode;             /* of another's listener: foreign, or being looked up */
	struct owner_lookup *owner_lookup; /* its job's */
	struct job *owner_job;
};

/* A port of this machine with attachments in force. */
struct watch {
	struct registry *registry;
	uint16_t port;
	struct attachment *attachments;
	bool sampled;         /* what was there before it was watched is known */
	size_t n_connections; /* of viewers, at the last sample */

	bool listens;
	usec_t check_at; /* 0: not in the list of those whose listener was closed */
	struct watch *check_prev, *check_next;
	struct watch *prev, *next;
};

/* A viewer's connection, as the last sample saw it. */
struct viewer {
	uint64_t cookie;
	uint16_t port;
	bool own; /* the daemon's: a probe */
	struct counts counts;
	usec_t first_seen;
	bool was_there_before; /* the daemon looked: its age isn't known */
	unsigned sample;
	UT_hash_handle hh;
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
	struct attachment *by_label; /* servers in force */
	uint64_t edge_version;       /* grows when they or their presence change, or the template */
	uint16_t forbidden_ports[16];
	size_t n_forbidden_ports;
	struct registry_op *ops;
	struct registry_op *turns; /* of those, who goes on in the loop's next step, in order */
	struct timer *turn_timer;
	bool draining;
	registry_made_fn *on_session_made;
	void *on_session_made_arg;
	registry_ended_fn *on_session_ended;
	void *on_session_ended_arg;

	/* The listeners of the last dump, by port. */
	struct listener *listeners;
	size_t n_listeners, listeners_max;
	usec_t listeners_at;

	/* watch.c */
	struct watch **watch_of; /* by port */
	struct watch *watches;
	size_t n_watches;
	struct sockwatch *sockwatch;
	struct viewer *viewers;
	unsigned sample; /* counts them */
	bool overrun;    /* since the last: some ends of connections were not told */
	bool sample_failed;
	uint32_t *own_port_at; /* by port: when the daemon took it last, in seconds */
	struct timer *sample_timer;
	usec_t sample_due, sampled_at;

	/* presence.c */
	struct watch *checks; /* earliest first */
	struct timer *check_timer;
	size_t n_absent; /* watches whose port nobody listens on */
	struct timer *absent_timer;
	usec_t absent_fast_until;

	/* reaper.c: those that can be reaped, by active_at, the oldest first */
	struct attachment *idle, *idle_warned;
	struct timer *sweep_timer;
	usec_t next_sweep; /* monotonic; 0: none, for want of attachments */
	usec_t swept_at;   /* while a sweep is under way */
	bool sweep_warns;  /* it is through with reaping */
};

enum op_stage {
	OP_WAITING,    /* for a probe or its turn on the loop: can be cancelled */
	OP_ENDING,     /* a task is being ended: goes on though nobody waits */
	OP_COMMITTING, /* the store has it */
};

/* Applies to memory what the store has, or takes back what it refused (`result`). */
typedef void op_apply_fn(struct registry_op *op, int result);

/* What an operation does in the loop's next step. */
typedef void op_turn_fn(struct registry_op *op);

struct registry_op {
	struct registry *reg;
	struct principal *principal;
	char *app_id, *session_id;
	registry_done_fn *done; /* NULL: nobody waits any more */
	void *arg;
	enum op_stage stage;
	struct store_commit *commit;
	op_apply_fn *apply;
	op_turn_fn *turn; /* waits for it, in reg->turns */
	struct registry_op *turn_prev, *turn_next;
	struct slot *waits_for;
	struct registry_op *wait_prev, *wait_next;
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
	struct tasks_ending *task_ending;
	cJSON *left;      /* processes that could not be ended, or NULL */
	unsigned version; /* of the slot, when the detach began */
	struct slot **ending;
	size_t n_ending;

	/* pin, unpin */
	bool pinned;

	/* session put, hold: what its record says */
	char *workdir, *meta;
	int64_t workdir_uid;

	/* hold */
	struct hold *hold;

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

/* Within a change: `workdir` and `meta`, where they aren't NULL, go into the batch; `workdir_uid`
 * as principal_rights() has it. */
void session_will_have(struct session *s, const char *workdir, int64_t workdir_uid,
		       const char *meta, struct store_batch *batch);

/*
 * The change has arrived (0) or failed.  `makes_live`: it came with session_begin_change(), so that
 * a session which had ended is back.  One that never became durable is freed with the last change.
 */
void session_settle(struct registry *reg, struct session *s, int result, bool makes_live);
void session_end_in_memory(struct session *s, usec_t ended_at);
void session_free(struct registry *reg, struct session *s);

struct slot *slot_find(const struct session *s, const char *name);
struct slot *slot_make(struct session *s, const char *name);
void slot_set_bundled(struct slot *slot, bool bundled);
void slot_to_end(struct slot *slot); /* the session's list is in the order of attaching */
void slot_settle(struct slot *slot); /* frees it when nothing is there or on its way */

/* Takes the record (of record_copy()); enters the port's list. */
struct attachment *attachment_new_take(struct registry *reg, struct record_attachment *record);
struct attachment *attachment_free(struct registry *reg, struct attachment *a);
/* It is its slot's current one from now on. */
void attachment_begin(struct registry *reg, struct attachment *a, enum clock_cause cause);

/* One on that host and port that another user has, or NULL. */
const struct attachment *attachment_of_other_user(const struct registry *reg, const char *host,
						  uint16_t port, const struct user *user);
/* Whether a session but this one has it attached, too. */
bool port_is_shared(const struct registry *reg, const char *host, uint16_t port,
		    const char *session_id);
bool same_host(const char *a, const char *b); /* all of loopback is one */

int registry_load(struct registry *reg, struct fault *reterr) must_use;

/*
 * operation.c: the life of an operation.
 */
struct registry_op *op_new(struct registry *reg, struct principal *principal,
			   const struct session_ref *ref, registry_done_fn *done, void *arg);

/* Its turn comes when nothing is on its way for the slot any more; the slot may be gone by then. */
void op_wait_for_slot(struct registry_op *op, struct slot *slot, op_turn_fn *fn);
void slot_is_quiet(struct slot *slot);

/* Those that ask first go first. */
void op_take_turn(struct registry_op *op, op_turn_fn *fn);
void on_turns(void *registry);

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
/* `left` may be NULL. */
void publish_detached(struct registry *reg, const struct attachment *a, const char *reason,
		      const cJSON *left);

void publish_presence(struct registry *reg, const struct attachment *a);
void publish_idle_warning(struct registry *reg, const struct attachment *a);
int attachment_find(const struct registry *reg, const struct principal *principal,
		    const struct session_ref *ref, const char *name, struct attachment **ret,
		    struct fault *reterr) must_use;

/* change.c: the end of a slot's attachment, by whoever's will.  `principal` and `done` may be NULL.
 */
struct registry_op *slot_detach(struct registry *reg, struct slot *slot, const char *reason,
				struct principal *principal, registry_done_fn *done, void *arg);

/* The end of a session that lives, by whoever's will.  `principal` and `done` may be NULL. */
struct registry_op *session_end(struct registry *reg, struct session *s,
				struct principal *principal, registry_done_fn *done, void *arg);

/*
 * hold.c: the processes that a session lives with.
 */
int holds_load(struct registry *reg, struct fault *reterr) must_use;
void holds_delete(const struct session *s, struct store_batch *batch); /* it is about to end */
void holds_drop(struct session *s); /* it has ended: those from before its end go */
void holds_free(struct session *s);
/* attach.c */
int limits_check(const struct registry *reg, const struct session *s, const struct user *user,
		 const char *name, struct fault *reterr) must_use;
char *label_for(const struct session *s, const char *name);
void on_attached(struct registry_op *op, int result); /* an op_apply_fn */

/* Whether it has no server, only files: a published one, or one that comes with the app. */
bool attachment_is_page(const struct attachment *a);
bool attachment_is_published(const struct attachment *a);
bool attachment_is_bundled(const struct attachment *a);

/* Whether an attachment of the session other than `except` names the task. */
bool task_is_named(const struct session *s, const char *task_id, const struct attachment *except);

/*
 * owner.c: what listens, and who.
 */
void listeners_refresh(struct registry *reg); /* when older than a second */
void listeners_refresh_now(struct registry *reg);
/* The rows of a port among those, as borrowed; the value is their number. */
size_t listeners_on(const struct registry *reg, uint16_t port, const struct listener **ret);
/* The one of `rows` that is the attachment's: its own socket, else what its viewers reach. */
const struct listener *listener_for(const struct attachment *a, const struct listener *rows,
				    size_t n);
const struct listener *listener_of(const struct registry *reg, const struct attachment *a);

/* Takes the holder of that listener as its owner; the process is looked up meanwhile. */
void owner_adopt(struct registry *reg, struct attachment *a, const struct listener *l);
/* Looks up whether that listener's holder is its owner's restart, for presence_judged(). */
void owner_question(struct registry *reg, struct attachment *a, const struct listener *l);
/* Looks its owner's process up, where it isn't known. */
void owner_look(struct registry *reg, struct attachment *a);
void owner_forget(struct attachment *a);

/*
 * presence.c: is it there?
 */
const char *presence_text(enum presence p);
void presence_start(struct registry *reg);
void presence_stop(struct registry *reg);
void presence_load(struct registry *reg); /* what was found again, without events */
void presence_begin(struct registry *reg, struct attachment *a);
void presence_end(struct registry *reg, struct watch *w); /* it goes */
void presence_check_soon(struct registry *reg, struct watch *w);
void presence_look_all(struct registry *reg);
void presence_judged(struct registry *reg, struct attachment *a, const struct owner *found,
		     bool same);

/*
 * watch.c: who is connected, and what came.
 */
void watch_start(struct registry *reg);
void watch_stop(struct registry *reg);
/* The attachment is in force. */
void watch_enter(struct registry *reg, struct attachment *a);
void watch_leave(struct registry *reg, struct attachment *a);
void watch_sample(struct registry *reg);
void watch_sample_if_old(struct registry *reg);
void watch_reschedule(struct registry *reg); /* settings have changed */
bool watch_is_own_port(const struct registry *reg, uint16_t port);
enum activity activity_of(const struct registry *reg, const struct attachment *a);

/*
 * reaper.c: the idle clock.
 */
void reaper_start(struct registry *reg);
void reaper_stop(struct registry *reg);
/* Settings have changed. */
void reaper_reschedule(struct registry *reg);
void reaper_rest(struct registry *reg); /* when nothing is left to reap */
/* The clock begins anew. */
void clock_reset(struct registry *reg, struct attachment *a, enum clock_cause cause);
void clock_traffic(struct registry *reg, struct attachment *a, const struct tcp_socket *from);
void clock_leave(struct attachment *a);
/* Its end failed: it is due as before. */
void clock_resume(struct registry *reg, struct attachment *a);
struct idle_rule reaper_rule(const struct registry *reg);
/* Realtime; 0: never. */
usec_t reaper_due(const struct registry *reg, const struct attachment *a);
uint64_t idle_seconds(const struct attachment *a);
