/* SPDX-License-Identifier: MIT */
/*
 * Which apps' pages are open, who waits for one, and when it is looked at again.
 *
 * Nobody's request says that an app was installed anew, so its directory is looked at as it is
 * asked for, at most once in CHECK_EVERY, by one helper thread for all.  An app that ships nothing
 * is remembered only while it is asked for: anybody may ask, for any name.
 */
#include "publish/bundles.h"

#include <errno.h>
#include <fcntl.h>
#include <string.h>
#include <utlist.h>

#include "base/files.h"
#include "base/hash.h"
#include "base/ids.h"
#include "base/log.h"
#include "base/mem.h"
#include "base/metrics.h"
#include "publish/bundles_priv.h"

LOG_AREA("publish");

#define CHECK_EVERY (2 * USEC_PER_SEC)
#define QUEUE_MAX   256
#define KNOWN_MAX   1024 /* past it, those with nothing to show are forgotten at once */

/* A session that is to have it. */
struct wish {
	char *session_id;
	struct wish *next;
};

struct bundle {
	struct bundles *bundles;
	char *app_id;
	struct shown *shown; /* NULL: not open */
	usec_t checked_at;   /* monotonic; 0: has to be */
	struct job *job;
	struct refresh *refresh; /* the job's */
	struct site_op *waiting;
	struct wish *wishes;
	bool answering; /* those that wait: it stays */
	char *said;     /* why it couldn't be shown the last time; NULL: it could */
	struct bundle *prev, *next;
	UT_hash_handle hh;
};

struct bundles {
	struct bundles_deps deps;
	const struct settings *settings;
	struct jobs *jobs;
	int root_fd;
	char *apps_dir; /* of the settings, or NULL */
	struct bundle *by_app;
	struct bundle *open; /* the one asked for last is the last */
	size_t n_open;
};

/*
 * Memory.
 */
static struct bundle *bundle_ensure(struct bundles *b, const char *app_id)
{
	struct bundle *bundle;

	HASH_FIND_STR(b->by_app, app_id, bundle);
	if (bundle)
		return bundle;
	bundle = xcalloc(1, sizeof(*bundle));
	bundle->bundles = b;
	bundle->app_id = xstrdup(app_id);
	HASH_ADD_KEYPTR(hh, b->by_app, bundle->app_id, strlen(bundle->app_id), bundle);
	return bundle;
}

static void bundle_close(struct bundle *bundle)
{
	struct bundles *b = bundle->bundles;

	if (!bundle->shown)
		return;
	bundle->shown = shown_free(bundle->shown);
	bundle->checked_at = 0;
	DL_DELETE(b->open, bundle);
	b->n_open--;
	metric_add(METRIC_BUNDLES_OPEN, -1);
}

static bool too_many_are_known(const struct bundles *b)
{
	return HASH_COUNT(b->by_app) > KNOWN_MAX;
}

/* When nothing is open, wanted or under way, nor to be kept in mind. */
static void bundle_settle(struct bundle *bundle)
{
	if (bundle->shown || bundle->job || bundle->waiting || bundle->wishes || bundle->answering)
		return;
	if (bundle->said && !too_many_are_known(bundle->bundles))
		return;
	HASH_DEL(bundle->bundles->by_app, bundle);
	free(bundle->said);
	free(bundle->app_id);
	free(bundle);
}

static void close_some(struct bundles *b)
{
	struct bundle *bundle, *next;

	for (bundle = b->open; bundle && b->n_open > b->settings->publish_pages_open;
	     bundle = next) {
		next = bundle->next;
		if (bundle->job) /* which counts on what is shown */
			continue;
		bundle_close(bundle);
		bundle_settle(bundle);
	}
}

static void bundle_show_consume(struct bundle *bundle, struct shown *shown)
{
	struct bundles *b = bundle->bundles;
	usec_t checked_at = bundle->checked_at;

	bundle_close(bundle);
	bundle->checked_at = checked_at;
	bundle->shown = shown;
	DL_APPEND(b->open, bundle);
	b->n_open++;
	metric_inc(METRIC_BUNDLES_OPEN);
}

/*
 * Answers.
 */
#define NOTHING "this app ships no page"

/* The bundle may be gone afterwards. */
static void answer_now(struct bundle *bundle, publisher_site_fn *done, void *arg)
{
	if (bundle->shown) {
		shown_answer(bundle->shown, NOTHING, done, arg);
		return;
	}
	bundle_settle(bundle);
	shown_answer(NULL, NOTHING, done, arg);
}

static void answer_waiting(struct bundle *bundle)
{
	bundle->answering = true;
	site_ops_answer(&bundle->waiting, &bundle->shown, NOTHING);
	bundle->answering = false;
}

static void grant_wishes(struct bundle *bundle)
{
	struct bundles *b = bundle->bundles;
	scoped(freep) char *url = bundle_path(bundle->app_id);
	struct wish *wish, *next;

	for (wish = bundle->wishes; wish; wish = next) {
		const struct session_ref ref = { bundle->app_id, wish->session_id };

		next = wish->next;
		if (bundle->shown) /* nobody waits for it */
			registry_op_free(registry_bundle(b->deps.registry, &ref, BUNDLE_NAME, url,
							 NULL, NULL));
		free(wish->session_id);
		free(wish);
	}
	bundle->wishes = NULL;
}

/*
 * Looking.
 */
static void complain(struct bundle *bundle, const char *what)
{
	if ((bundle->said && strcmp(bundle->said, what) == 0) ||
	    too_many_are_known(bundle->bundles))
		return;
	free(bundle->said);
	bundle->said = xstrdup(what);
	log_warning("app '%s': what it ships cannot be shown%s: %s", bundle->app_id,
		    bundle->shown ? " as it is now, what it shipped before is" : "", what);
}

static void on_refreshed(int result, void *arg)
{
	struct bundle *bundle = arg;
	struct bundles *b = bundle->bundles;
	struct refresh *refresh = bundle->refresh;

	bundle->job = NULL;
	bundle->checked_at = clock_monotonic();
	if (refresh->is_none) {
		free(STEAL(bundle->said));
		bundle_close(bundle);
	} else if (result < 0) {
		complain(bundle, refresh->fault.detail ? refresh->fault.detail : strerror(-result));
	} else {
		free(STEAL(bundle->said));
		if (refresh->shown)
			bundle_show_consume(bundle, STEAL(refresh->shown));
	}
	grant_wishes(bundle);
	answer_waiting(bundle);
	bundle_settle(bundle);
	close_some(b);
}

static bool refresh(struct bundle *bundle)
{
	struct bundles *b = bundle->bundles;
	struct refresh *input;

	if (bundle->job)
		return true;
	input = refresh_new(b->root_fd, bundle->app_id, b->settings,
			    bundle->shown ? bundle->shown->release_id : "");
	bundle->refresh = input;
	bundle->job = job_start(b->jobs, refresh_work, input, refresh_free, on_refreshed, bundle);
	if (bundle->job)
		return true;
	refresh_free(input);
	return false;
}

static bool is_fresh(const struct bundle *bundle)
{
	return bundle->checked_at && clock_monotonic() - bundle->checked_at < CHECK_EVERY;
}

void bundles_session_made(const struct session_ref *ref, void *bundles)
{
	struct bundles *b = bundles;
	struct bundle *bundle;
	struct wish *wish;

	if (!b->apps_dir)
		return;
	bundle = bundle_ensure(b, ref->app_id);
	wish = xcalloc(1, sizeof(*wish));
	wish->session_id = xstrdup(ref->session_id);
	LL_APPEND(bundle->wishes, wish);
	if (refresh(bundle))
		return;
	log_warning("session '%s': too much is under way to attach what its app ships",
		    ref->session_id);
	grant_wishes(bundle); /* if it is open */
	bundle_settle(bundle);
}

struct site_op *bundles_site(struct bundles *b, const char *app_id, publisher_site_fn *done,
			     void *arg)
{
	struct bundle *bundle;

	if (!b->apps_dir || !id_is_valid(app_id)) {
		shown_answer(NULL, NOTHING, done, arg);
		return NULL;
	}
	bundle = bundle_ensure(b, app_id);
	if (bundle->shown) {
		DL_DELETE(b->open, bundle);
		DL_APPEND(b->open, bundle);
	}
	if (is_fresh(bundle) || !refresh(bundle)) {
		answer_now(bundle, done, arg);
		return NULL;
	}
	return site_op_new(&bundle->waiting, done, arg);
}

/*
 * Life.
 */
static int open_root(const char *state_dir, int *ret_fd)
{
	scoped(closep) int state = open_directory(state_dir);
	int fd, r;

	if (state < 0)
		return state;
	r = make_directory_at(state, "bundled");
	if (r < 0)
		return r;
	fd = openat(state, "bundled", O_RDONLY | O_DIRECTORY | O_NOFOLLOW | O_CLOEXEC);
	if (fd < 0)
		return -errno;
	*ret_fd = fd;
	return 0;
}

/* Its work is told to end; nobody hears of it. */
static void forget_job(struct bundle *bundle)
{
	if (bundle->job)
		bundle->refresh->checking->cancel = true;
	bundle->job = job_free(bundle->job);
}

static void forget_all(struct bundles *b)
{
	struct bundle *bundle, *next;

	HASH_ITER(hh, b->by_app, bundle, next)
	{
		forget_job(bundle);
		bundle_close(bundle);
		grant_wishes(bundle); /* which lets them go */
		answer_waiting(bundle);
		free(STEAL(bundle->said));
		bundle_settle(bundle);
	}
}

void bundles_reload(struct bundles *b, const struct settings *settings)
{
	b->settings = settings;
	if (strcmp(b->apps_dir ? b->apps_dir : "", settings->apps_dir ? settings->apps_dir : "") !=
	    0) {
		free(STEAL(b->apps_dir)); /* who asks meanwhile is refused */
		forget_all(b);
		b->apps_dir = xstrdup_null(settings->apps_dir);
	}
	close_some(b);
}

int bundles_new(const struct bundles_deps *deps, const struct settings *settings,
		struct bundles **ret, struct fault *reterr)
{
	scoped(bundles_freep) struct bundles *b = xcalloc(1, sizeof(*b));
	int r;

	b->deps = *deps;
	b->settings = settings;
	b->root_fd = -1;
	b->apps_dir = xstrdup_null(settings->apps_dir);
	b->jobs = jobs_new(deps->loop, 1, QUEUE_MAX);
	r = open_root(deps->state_dir, &b->root_fd);
	if (r < 0)
		return fault_set(reterr, FAULT_STORE_UNAVAILABLE,
				 "the place for what apps ship, in %s, cannot be used: %s",
				 deps->state_dir, strerror(-r));
	r = release_reconcile(b->root_fd);
	if (r < 0)
		log_warning_errno(r, "some of what apps ship could not be mended");
	*ret = STEAL(b);
	return 0;
}

struct bundles *bundles_free(struct bundles *b)
{
	if (!b)
		return NULL;
	for (struct bundle *bundle = b->by_app; bundle; bundle = bundle->hh.next)
		forget_job(bundle);
	jobs_free(b->jobs);
	free(STEAL(b->apps_dir));
	forget_all(b);
	closep(&b->root_fd);
	free(b);
	return NULL;
}
