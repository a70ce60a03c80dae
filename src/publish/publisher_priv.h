/* SPDX-License-Identifier: MIT */
#pragma once

#include <stdint.h>
#include <sys/types.h>

#include "base/crypto.h"
#include "base/hash.h"
#include "loop/jobs.h"
#include "net/connectproxy.h"
#include "proc/sandbox.h"
#include "publish/detect.h"
#include "publish/output.h"
#include "publish/publisher.h"
#include "publish/release.h"

/*
 *	session (a shelf) ── pages ── what is shown of each, while it is open
 *	                  └─ builds, newest first ── log, readers, who waits
 */
enum build_state {
#define STATE(name, text, next) BUILD_STATE_##name,
#include "publish/states.def"
#undef STATE
	BUILD_STATE_COUNT_,
};

enum build_phase {
	PHASE_QUEUED,
	PHASE_DETECT,
	PHASE_INSTALL,
	PHASE_BUILD,
	PHASE_CHECK,
	PHASE_RELEASE,
	PHASE_COUNT_,
};

struct shelf {
	struct publisher *publisher;
	char *session_id;
	struct page *pages;
	struct build *builds; /* newest first */
	size_t n_builds;
	UT_hash_handle hh;
};

/* What a page has open: used on the loop alone. */
struct shown {
	char release_id[RELEASE_ID_SIZE];
	struct static_site *site;
	struct static_site **earlier; /* newest first */
	size_t n_earlier;
	size_t n_files; /* of all of them: what it takes of memory */
};

struct page {
	struct shelf *shelf;
	char *name, *app_id, *user_id;
	char *token, *label;
	usec_t created_at;
	usec_t ended_at;               /* realtime; 0: its session lives and it is on the air */
	char current[RELEASE_ID_SIZE]; /* "": off the air */
	struct shown *shown;           /* NULL: not open */
	struct job *opening;
	struct opening *opening_input; /* the job's */
	struct site_op *waiting;       /* for the opening */
	bool is_stored;
	unsigned users; /* changes under way: it stays */
	struct page *prev, *next;
	struct page *open_prev, *open_next;
	UT_hash_handle hh;                /* by its label */
	UT_hash_handle token_hh;          /* by its token's hash */
	char token_hash[SHA256_HEX_SIZE]; /* "": it has none */
};

struct publisher {
	struct publisher_deps deps;
	const struct settings *settings;
	char *state_dir; /* absolute, without links: of deps */
	int state_fd, published_fd;
	struct jobs *work;     /* what takes long: copying, checking, compressing, removing */
	struct jobs *lookups;  /* of names, for the proxy: a dead resolver holds up only these */
	struct jobs *watch;    /* of the sandbox, which must not wait for those */
	struct jobs *switcher; /* one thread: changes of pages, in their order */
	struct sandbox *sandbox;
	struct connectproxy *proxy; /* NULL until the first installation */
	bool proxy_is_old;          /* made by settings that have changed */
	char *proxy_path;
	uint16_t port; /* of TCP that the daemon listens on; 0: none */
	struct modules *modules;
	struct shelf *shelves;
	struct page *by_label;
	struct page *by_token;
	struct page *open; /* the one asked for last is the last */
	size_t n_pages, n_open, n_open_files;
	struct build *queue; /* the next one first */
	size_t n_queued, n_running;
	struct builder *builders; /* users with builds that have not ended */
	size_t n_live;            /* these builds */
	uint64_t round;           /* of the last build that was begun */
	struct build *logs;       /* ended ones that still have theirs, oldest first */
	size_t logs_bytes;
	struct publisher_op *ops;
	struct switching *switchings;
	struct remake *remakes;
	struct timer *sweep_timer;
	bool draining;
	bool has_left_out; /* pages of the store, for the limits */
	bool is_ending;    /* it is being freed: what is left over is the next start's */
};

/*
 * publisher.c: memory
 */
struct shelf *shelf_find(const struct publisher *p, const char *session_id);
struct shelf *shelf_ensure(struct publisher *p, const char *session_id);
void shelf_settle(struct shelf *shelf); /* frees it when nothing is on it */

/* The living session that the principal may know of, and its owner. */
int publisher_may(struct publisher *p, const struct principal *principal,
		  const struct session_ref *ref, struct fault *reterr) must_use;

/* What goes to the store and is not waited for. */
void publisher_commit(struct publisher *p, struct store_batch *batch_consume);

/* Removes a tree beneath the state directory in a helper thread; who waits is nobody. */
void publisher_remove(struct publisher *p, const char *path);
/* The same of one that was moved away from where it would be found. */
void publisher_remove_moved(struct publisher *p, const char *path);

/*
 * pages.c
 */
struct page *page_find(const struct publisher *p, const char *session_id, const char *name);
/* The same for who asks: NULL where there is none that is the session's owner's. */
int page_get(struct publisher *p, const struct principal *principal, const struct session_ref *ref,
	     const char *name, struct page **ret, struct fault *reterr) must_use;
/* A new one where there is none, for which an old one may give way. */
int page_ensure(struct publisher *p, const struct session_ref *ref, const char *user_id,
		const char *name, struct page **ret, struct fault *reterr) must_use;
struct page *page_free(struct page *page);
void page_put(const struct page *page, struct store_batch *batch);
void page_save(const struct page *page);
/* Files and record: it is gone. */
void page_remove(struct page *page);
/* The files of a page that there isn't. */
void place_remove_unknown(struct publisher *p, const char *key);
char *page_new_token(void); /* the caller frees */
/* As it was stored. */
void page_set_names(struct page *page, const char *token, const char *label);
/* The one before, which is the caller's. */
char *page_change_token_consume(struct page *page, char *token);
/* Found by its hash: how long that takes tells nothing of the tokens there are. */
struct page *page_of_token(const struct publisher *p, const char *token);

/* "/api/…/published/", and what is given out: that, or a host of its own; the caller frees. */
char *page_path(const struct page *page);
char *page_path_with(const struct page *page, const char *token);
char *page_url(const struct page *page);
/* All of it, where the daemon knows how it is reached; or NULL. */
char *page_address(const struct page *page);
/* The absolute base of what is built for it; NULL for a host of its own. */
char *page_base(const struct page *page);
bool pages_are_unlisted(const struct settings *settings);
bool pages_have_hosts(const struct settings *settings);

/* shown.c: a release, open.  Blocks. */
int shown_open(int place_fd, const char *release_id, struct shown **ret) must_use;
struct shown *shown_free(struct shown *shown);
/* NULL: nothing is, and this sentence says so. */
void shown_answer(const struct shown *shown, const char *otherwise, publisher_site_fn *done,
		  void *arg);
/* One who waits in that list until the site is open. */
struct site_op *site_op_new(struct site_op **list, publisher_site_fn *done, void *arg);
/* All that wait, by what is shown as their turn comes; each may leave, or ask again. */
void site_ops_answer(struct site_op **list, struct shown *const *shown, const char *otherwise);

/* sites.c: the pages that are open */
void page_show_consume(struct page *page, struct shown *shown);
void page_close(struct page *page);
void pages_close_some(struct publisher *p);
void page_opening_done(struct page *page); /* at its end */

/*
 * operations.c: an answer to come.  `slot` is where the thing under way keeps its operation: NULL
 * once nobody waits any more.
 */
struct publisher_op {
	struct publisher *publisher;
	struct publisher_op **slot;
	publisher_done_fn *done;
	void *arg;
	struct timer *turn;
	int result;
	cJSON *value;
	struct fault fault;
	void *context; /* the thing's that is under way; freed by `free_context` */
	void (*free_context)(void *);
	struct publisher_op *prev, *next;
};

struct publisher_op *publisher_op_new(struct publisher *p, struct publisher_op **slot,
				      publisher_done_fn *done, void *arg);
/* Answers and forgets whoever waits in the slot; nobody may.  Takes the value; moves the fault. */
void publisher_op_answer(struct publisher_op **slot, int result, cJSON *value, struct fault *fault);
void publisher_op_answer_later(struct publisher_op *op, int result, cJSON *value_consume);
void publisher_ops_forget(struct publisher *p);

/*
 * switch.c: another release becomes the current one, on disk, in memory and in the registry; or
 * none of it happens.
 */
struct switching;
typedef void switched_fn(int result, cJSON *attachment, struct fault *fault, void *arg);
struct switch_request {
	const char *release_id;
	const char *expected; /* NULL: whatever is current */
	const char *token;    /* a new one to go with it, or NULL */
	bool is_new;          /* nobody knows of the release yet: it goes if the switch fails */
	bool focus;
};
struct switching *switch_start(struct page *page, const struct switch_request *request,
			       switched_fn *done, void *arg, struct fault *reterr);
/* A release that nobody knows of and that is not switched to goes. */
void page_discard(const struct page *page, const char *release_id);
/* `done` doesn't come; what has begun goes on. */
struct switching *switching_free(struct switching *s);
void switchings_forget(struct publisher *p);
struct release_keep keep_of(const struct settings *settings);

/*
 * remake.c: a release as it is for another base.  `done` gives that one's id, or the same id where
 * it is for that base already (or for none); it comes from the loop, also when the publisher ends.
 */
struct remake;
typedef void remade_fn(int result, const char *release_id, struct fault *fault, void *arg);
bool remake_start(struct page *page, const char *release_id, const char *base, remade_fn *done,
		  void *arg, struct fault *reterr);
void remakes_forget(struct publisher *p);

/*
 * modules.c: the store of installed packages.
 */
struct modules;
struct module_store; /* one installation; held while it is bound into a build */

int modules_new(int state_fd, const char *state_dir, struct modules **ret) must_use;
struct modules *modules_free(struct modules *m);
DEFINE_CLEANUP(struct modules *, modules_free)
/* NULL when there is none; held until modules_let_go(). */
struct module_store *modules_find(struct modules *m, const char *user_id, const char *key);
/*
 * What was installed in `staged`, a directory beneath the state directory as settle_work() leaves
 * it, gets its name.  Held.  Where another was faster, it is that one.
 */
int modules_add(struct modules *m, const char *user_id, const char *key, const char *staged,
		uint64_t bytes, struct module_store **ret) must_use;
struct module_store *modules_let_go(struct module_store *s);
const char *module_store_path(const struct module_store *s); /* of its node_modules, absolute */
/* The packages of a workspace that have a node_modules of their own there, and the path of one's,
 * which the caller frees. */
char *const *module_store_packages(const struct module_store *s);
char *module_store_package_path(const struct module_store *s, const char *package);
/* Those that are too much, by their last use: each is renamed, `gone` is told where to. */
void modules_trim(struct modules *m, uint64_t bytes_max,
		  void (*gone)(const char *relative, void *arg), void *arg);
uint64_t modules_bytes(const struct modules *m);

/*
 * workdir.c: whose files may be built.  Blocks.
 */
struct workdir_request {
	char *path;         /* as asked for; NULL: the session's */
	int64_t rights;     /* a uid by whose rights, or RIGHTS_NONE */
	char *session_path; /* the session's, or NULL */
	int64_t session_rights;
};
int workdir_open(const struct workdir_request *request, int *ret_fd, struct fault *reterr) must_use;
/* A directory above it, absolute, where that may be read by the same rights. */
int workdir_above(const struct workdir_request *request, const char *path, int *ret_fd) must_use;

/*
 * builds.c: a build, its states, its document
 */
struct build;
typedef void build_run_over_fn(struct build *b, enum sandbox_end end, int code);

struct build {
	struct publisher *publisher;
	struct shelf *shelf;
	char *build_id;
	char *app_id, *user_id;
	struct publish_params params;
	struct workdir_request workdir;
	enum build_state state;
	enum build_phase phase;
	bool cancel_wanted;
	usec_t created_at, started_at, ended_at; /* realtime */
	usec_t began, phase_began;               /* monotonic */
	usec_t took[PHASE_COUNT_];
	struct publisher_op *storing; /* of the caller, until it is in the store */
	struct publisher_op *waiting; /* of one who waits for the end */
	struct store_commit *commit;
	cJSON *document; /* of one that has ended; else NULL */

	/* What the phases found, steps_priv.h */
	struct page *page;
	struct project *project;
	char *base;
	char *node, *node_version;
	char *work;           /* "builds/ID", beneath the state directory; NULL: none is needed */
	char *work_path;      /* the same, absolute; the copy of the project is below project/ */
	char *root;           /* what it is built in, as the command sees it */
	char *member;         /* where in a workspace the project is, relative; or NULL */
	char **workspace;     /* its packages; or NULL */
	char *key;            /* of its packages in the store; NULL: they cannot be shared */
	char *manager_key;    /* of its package manager there; NULL: it is installed */
	char *own_modules;    /* the project's own node_modules, to be bound */
	const char *packages; /* "cached", "installed", "project", "none"; NULL: not yet */
	bool isolated, was_isolated;
	struct module_store *modules, *manager;
	bool tried_install; /* with the lock file, which did not fit */
	struct sandbox_run *run;
	build_run_over_fn *run_over; /* its end, for the phase */
	char *last_output;           /* the end of what a command printed, to know why it failed */
	size_t last_output_len;
	struct job *job;
	void *work_input;      /* the job's */
	volatile bool *cancel; /* of the job under way, or NULL */
	int source_fd;
	char release_id[RELEASE_ID_SIZE];
	size_t n_files;
	uint64_t bytes;
	char *base_state;
	char **warnings;
	struct switching *switching;
	struct fault fault;

	/* buildlog.c */
	struct textlog log;
	char *line; /* not ended yet */
	size_t line_len;
	char **lines; /* for the next event */
	size_t n_lines, n_dropped;
	usec_t told_at;
	struct timer *tell_timer;

	struct build *prev, *next; /* of the shelf */
	struct build *queue_prev, *queue_next;
	struct builder *builder; /* while it is counted */
	uint64_t round;
	struct build *log_prev, *log_next;
};

extern const char *const build_state_names[BUILD_STATE_COUNT_];
extern const char *const build_phase_names[PHASE_COUNT_];

struct build *build_find(const struct publisher *p, const char *session_id, const char *build_id);
struct build *build_make(struct publisher *p, const char *session_id, const char *build_id);
struct build *build_free(struct build *b);
/* As it is now, in the store; and out of it, and of memory. */
void build_put(const struct build *b, const cJSON *document, struct store_batch *batch);
void build_forget(struct build *b);
bool build_is_live(const struct build *b);
/* buildview.c: as it is now, and as it is answered, which is how it ended. */
cJSON *build_document(const struct build *b);
cJSON *build_view(const struct build *b);
usec_t build_elapsed(const struct build *b);
unsigned build_position(const struct build *b); /* in the queue, from 1 on */
void build_set_phase(struct build *b, enum build_phase phase);
/* The end: with what is in `fault` where it didn't succeed.  The build stays, its means don't. */
void build_end(struct build *b, enum build_state state);
void build_cancel(struct build *b, const char *why);
void build_load(struct publisher *p, const struct record_build *record);
void builds_sort(struct shelf *shelf);
void builds_forget(struct shelf *shelf); /* of a session that has ended */
void build_forget_if_over(struct build *b);
void queue_run(struct publisher *p);

/* queue.c: whether one more of the user's may come, and whose is next. */
int queue_admit(const struct publisher *p, const char *user_id, struct fault *reterr) must_use;
void queue_count(struct build *b);   /* from its beginning … */
void queue_uncount(struct build *b); /* … to its end; once */
void queue_enter(struct build *b);
void queue_leave(struct build *b);             /* where it is in it */
struct build *queue_take(struct publisher *p); /* the next, which runs from now on */

void logs_forget(struct build *b);

/* detecting.c: a job's input, which carries its results back */
struct detect {
	volatile bool cancel;
	struct workdir_request workdir;
	char *build_script, *output_dir, *base, *node_path;
	char *user_id;
	int state_fd;
	char *work; /* "builds/ID" */
	char *inject_dir;
	bool install, install_scripts, is_isolated;
	uint64_t bytes_max;

	int source_fd;
	struct project *project;
	char *node, *node_version;
	char *member; /* where in its workspace it is, or NULL: that is built, in this directory */
	char **packages; /* the workspace's, that have a package.json */
	int top_fd;
	char *key, *manager_key;
	char *own_modules;
	struct fault fault;
};
int detect_work(void *detect);
void detect_free(void *detect);

/* What of node_modules/ builds write to: a place of each build's own; ends with NULL. */
extern const char *const module_places[];

/* settling.c: the same */
struct settle {
	volatile bool cancel;
	int state_fd;
	char *from;      /* "builds/ID/install": what was installed ... */
	char *path;      /* ... and where it is made ready: node_modules/ and what is of it */
	char **packages; /* of a workspace, which may have one each */
	uint64_t bytes;
};
/* `packages` may be NULL. */
struct settle *settle_new(int state_fd, const char *from, char *const *packages);
int settle_work(void *settle);
void settle_free(void *settle);

/* checking.c: the same of two jobs, one after the other */
struct checking {
	volatile bool cancel;
	int state_fd, published_fd;
	char *session_id, *name;
	char *project; /* "builds/ID/project", or NULL: source_fd */
	int source_fd;
	char **outputs; /* borrowed from the build's project: a copy */
	char *base;
	char *source_id;   /* NULL, or the source is this release, which was made for ... */
	char *rebase_from; /* ... this base; nothing begins where that is `base` */
	bool is_static;
	struct output_limits limits;

	int place_fd, target_fd;
	char release_id[RELEASE_ID_SIZE];
	bool is_begun, is_finished;
	bool is_taken; /* its release is another's concern; else it goes with this */
	struct manifest *manifest;
	struct output_report report;
	uint64_t bytes;
	struct fault fault;
};
struct checking *checking_new(const struct page *page, const char *base);
/* Of a place beneath another root than the pages'. */
struct checking *checking_new_at(int root_fd, const char *session_id, const char *name,
				 const char *base, const struct settings *settings);
int checking_work(void *checking);
struct checking *checking_take_over(struct checking *from);
int finishing_work(void *checking);
void checking_free(void *checking);

/* steps.c: what is done in each phase; build_end() comes from here */
void steps_begin(struct build *b);
void steps_stop(struct build *b); /* ends what runs and frees what it has */

/* commands.c: the command line of an installation or a build */
struct command {
	const char *argv[16];
	const char *environ_[64];
	size_t n_argv, n_environ;
	char *owned[8];
	size_t n_owned;
	const char *shown; /* in the log, of one whose argv says too much; borrowed */
};
void command_done(struct command *c);
/* Brings the package manager into `root`, as the command sees it. */
void command_manager(struct command *c, const struct build *b, const char *root);
void command_install(struct command *c, const struct build *b, bool locked);
void command_build(struct command *c, const struct build *b);
/* Whether the output says that the lock file doesn't fit, so that installing without it may do. */
bool output_refuses_lock(const char *output, size_t len);

/* buildlog.c */
void build_log(struct build *b, const char *format, ...) __attribute__((format(printf, 2, 3)));
void build_output(struct build *b, const char *bytes, size_t len);
void build_tell(struct build *b); /* what has not been told yet, now */
cJSON *build_log_tail(const struct build *b, size_t lines_max);
void build_publish_event(struct build *b, const char *type, cJSON *payload_consume);
