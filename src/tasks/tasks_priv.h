/* SPDX-License-Identifier: MIT */
#pragma once

#include <stdint.h>

#include "base/hash.h"
#include "base/json.h"
#include "proc/pidref.h"
#include "proc/spawn.h"
#include "proc/tree.h"
#include "proc/watch.h"
#include "store/store.h"
#include "tasks/tasks.h"

/*
 *	session ── tasks, oldest first ── readers of the log
 *	                               └─ waiters: endings that wait for this task
 */
enum task_state {
#define STATE(name, text, next) TASK_##name,
#include "tasks/states.def"
#undef STATE
	TASK_STATE_COUNT_,
};

enum task_kind {
	TASK_KIND_STARTED,
	TASK_KIND_REGISTERED,
	TASK_KIND_FOREIGN,
	TASK_KIND_COUNT_,
};

extern const char *const task_kind_names[TASK_KIND_COUNT_];
extern const char *const task_state_names[TASK_STATE_COUNT_];

struct waiter {
	struct tasks_ending *ending;
	struct task *task;
	struct waiter *prev, *next;               /* of the task */
	struct waiter *ending_prev, *ending_next; /* of the ending */
};

struct task {
	struct tasks *tasks;
	struct task_session *session; /* NULL: known by its id alone, and not kept */
	char *session_id, *task_id, *app_id;
	char *mark;
	enum task_kind kind;
	enum task_state state;
	struct pidref root;
	struct pidref reaper;
	char **command; /* or NULL */
	char *cwd;
	char *cgroup;
	unsigned port;
	int exit_code;               /* -1: not known */
	int signal;                  /* 0: none */
	usec_t created_at, ended_at; /* realtime */

	struct child *child;      /* of one that this run of the daemon started */
	struct proc_watch *watch; /* of any other with a process */
	bool root_has_ended;
	struct job *look;        /* who is left of it */
	struct look *look_input; /* the job's */
	struct timer *look_again;
	usec_t look_after;

	struct proc_kill *kill;
	struct task_call *call;
	struct timer *patience; /* of who waits for the call */
	bool is_overdue;        /* they were told: it goes on alone */
	char *end_reason;       /* NULL: nobody wants it to end */
	bool was_interrupted;   /* the daemon ended while it was being made, or ended */
	bool tells_exit;        /* tasks_exit_fn is called at its end */
	cJSON *left;
	struct waiter *waiters;

	struct tasks_op *adding;
	struct textlog log;
	struct task *prev, *next;
};

struct task_session {
	char *session_id;
	struct task *tasks;
	size_t n_tasks;
	UT_hash_handle hh;
};

struct tasks {
	struct tasks_deps deps;
	const struct settings *settings;
	struct task_session *sessions;
	struct task *strangers; /* those without a session, being ended */
	struct tasks_op *ops;
	struct tasks_ending *endings;
	struct timer *forget_timer, *tell_timer;
	tasks_exit_fn *on_exit;
	void *on_exit_arg;
};

/*
 * task.c: a task in memory and in the store.
 */
struct task *task_find(const struct tasks *tasks, const char *session_id, const char *task_id);

/* Enters it in its session; with `app_id` NULL it is a stranger. */
struct task *task_new(struct tasks *tasks, const char *session_id, const char *app_id,
		      const char *task_id, enum task_kind kind);
struct task *task_free(struct task *t);
void task_forget(struct task *t); /* in the store too */

/* The one writer of the state. */
void task_set_state(struct task *t, enum task_state state);
bool task_is_live(const struct task *t);

void task_put(const struct task *t, enum task_state as, struct store_batch *batch);
void task_save(const struct task *t); /* nobody waits for it */
struct task *task_of_record(struct tasks *tasks, const struct record_task *r);
cJSON *task_view(const struct task *t);

/* Nothing of it lives any more but what `t->left` lists. */
void task_has_ended(struct task *t);

struct proc_tree *task_tree(const struct task *t);

/*
 * start.c: what a started task is born with.
 */
int task_env_check(const cJSON *env, struct fault *reterr);
int task_spawn(struct task *t, const cJSON *env, struct fault *reterr) must_use;
int task_adopt(struct task *t) must_use;

/* watch.c: from the first process' end to that of the last. */
void task_watch(struct task *t);
void task_root_ended(struct task *t);
void task_watch_stop(struct task *t);
void task_let_go(struct task *t); /* after its end */

/* register.c: by the contract's rule for process ids. */
int task_check_pid(const struct task_peer *peer, pid_t pid, struct pidref *ret,
		   struct fault *reterr) must_use;

/* end.c */
void task_end(struct task *t, const char *reason);
void task_tell_waiters(struct task *t);
void waiter_free(struct waiter *w);
struct tasks_ending *ending_new(struct tasks *tasks, tasks_ended_fn *done, void *arg);
void ending_wait_for(struct tasks_ending *e, struct task *t);
void ending_begun(struct tasks_ending *e); /* all tasks it waits for are told */
void endings_forget(struct tasks *tasks);

/*
 * call.c: tells a runtime to end a task of its own.  `done` comes once, from the loop.
 */
struct task_call;
typedef void task_call_fn(bool ok, void *arg);
bool task_call_is_set(const struct tasks *tasks);
struct task_call *task_call_start(struct tasks *tasks, const char *session_id, const char *task_id,
				  const char *reason, task_call_fn *done, void *arg);
struct task_call *task_call_free(struct task_call *c);

/* operation.c */
void ops_forget(struct tasks *tasks);
void op_spawned(struct tasks_op *op);
