/* SPDX-License-Identifier: MIT */
/*
 * The publisher's own life: what it finds at start, what it keeps, what it lets go.
 */
#include "publish/publisher.h"

#include <dirent.h>
#include <errno.h>
#include <fcntl.h>
#include <string.h>
#include <sys/stat.h>
#include <time.h>
#include <utlist.h>

#include "base/files.h"
#include "base/ids.h"
#include "base/log.h"
#include "base/mem.h"
#include "base/trees.h"
#include "publish/publisher_priv.h"

LOG_AREA("publish");

#define WORK_THREADS       4
#define LOOKUP_THREADS     4
#define LOOKUP_QUEUE_MAX   256
#define WATCH_THREADS      2
#define WORK_QUEUE_MAX     4096
#define REMOVAL_TRIES      20
#define REMOVAL_PAUSE_NSEC 100000000

#define SWEEP_EVERY (3600 * USEC_PER_SEC)
#define SWEEP_FIRST (60 * USEC_PER_SEC)

struct shelf *shelf_find(const struct publisher *p, const char *session_id)
{
	struct shelf *shelf;

	HASH_FIND_STR(p->shelves, session_id, shelf);
	return shelf;
}

struct shelf *shelf_ensure(struct publisher *p, const char *session_id)
{
	struct shelf *shelf = shelf_find(p, session_id);

	if (shelf)
		return shelf;
	shelf = xcalloc(1, sizeof(*shelf));
	shelf->publisher = p;
	shelf->session_id = xstrdup(session_id);
	HASH_ADD_KEYPTR(hh, p->shelves, shelf->session_id, strlen(shelf->session_id), shelf);
	return shelf;
}

void shelf_settle(struct shelf *shelf)
{
	if (shelf->pages || shelf->builds)
		return;
	HASH_DEL(shelf->publisher->shelves, shelf);
	free(shelf->session_id);
	free(shelf);
}

int publisher_may(struct publisher *p, const struct principal *principal,
		  const struct session_ref *ref, struct fault *reterr)
{
	const char *user_id;

	return registry_session_owner(p->deps.registry, principal, ref, &user_id, reterr);
}

void publisher_commit(struct publisher *p, struct store_batch *batch)
{
	/* The handle is let go: what becomes of it shows in the store's health. */
	store_commit_free(store_commit_consume(p->deps.store, batch, NULL, NULL));
}

/*
 * Removing what is left over.
 */
struct removal {
	int dirfd;
	char *path;
	bool was_moved;
};

static void removal_free(void *arg)
{
	struct removal *r = arg;

	closep(&r->dirfd);
	free(r->path);
	free(r);
}

/* What was killed may write until it is dead. */
static int removal_work(void *input)
{
	const struct timespec pause = { .tv_nsec = REMOVAL_PAUSE_NSEC };
	const struct removal *removal = input;
	int r = 0;

	/* Where it was, it is gone as a whole, also after a loss of power. */
	if (removal->was_moved && syncfs(removal->dirfd) < 0)
		return -errno;
	for (int i = 0; i < REMOVAL_TRIES; i++) {
		r = remove_tree_at(removal->dirfd, removal->path);
		if (r >= 0)
			break;
		nanosleep(&pause, NULL);
	}
	return r;
}

static void on_removed(int result, void *arg)
{
	(void)arg;
	if (result < 0)
		log_warning_errno(result, "what a build left behind stays until the next start");
}

static void start_removal(struct publisher *p, const char *path, bool was_moved)
{
	struct removal *r = xcalloc(1, sizeof(*r));

	r->dirfd = fcntl(p->state_fd, F_DUPFD_CLOEXEC, 0);
	r->path = xstrdup(path);
	r->was_moved = was_moved;
	if (r->dirfd < 0 || !job_start(p->work, removal_work, r, removal_free, on_removed, NULL))
		removal_free(r); /* the next start removes it */
}

void publisher_remove(struct publisher *p, const char *path)
{
	start_removal(p, path, false);
}

void publisher_remove_moved(struct publisher *p, const char *path)
{
	start_removal(p, path, true);
}

/*
 * At start.
 */
static int open_place(int state_fd, const char *name, int *ret_fd)
{
	int fd;

	if (mkdirat(state_fd, name, 0700) < 0 && errno != EEXIST)
		return -errno;
	fd = openat(state_fd, name, O_RDONLY | O_DIRECTORY | O_NOFOLLOW | O_CLOEXEC);
	if (fd < 0)
		return -errno;
	*ret_fd = fd;
	return 0;
}

/* Work of builds that no longer run. */
static int sweep_builds(struct publisher *p)
{
	int fd, r = open_place(p->state_fd, "builds", &fd);
	struct dirent *e;
	DIR *d;

	if (r < 0)
		return r;
	d = fdopendir(fd);
	if (!d) {
		close(fd);
		return -ENOMEM;
	}
	while ((e = readdir(d))) {
		scoped(freep) char *path = xasprintf("builds/%s", e->d_name);

		if (strcmp(e->d_name, ".") != 0 && strcmp(e->d_name, "..") != 0)
			publisher_remove(p, path);
	}
	closedir(d);
	return 0;
}

static int open_places(struct publisher *p, struct fault *reterr)
{
	int r = p->state_fd = open_directory(p->deps.state_dir);

	if (r >= 0)
		r = open_place(p->state_fd, "published", &p->published_fd);
	if (r >= 0) {
		/* A part that cannot be mended must not keep all else from being served. */
		int mended = release_reconcile(p->published_fd);

		if (mended < 0)
			log_warning_errno(mended, "some of what is published could not be mended");
		r = sweep_builds(p);
	}
	if (r >= 0)
		r = modules_new(p->state_fd, p->deps.state_dir, &p->modules);
	/* A page is durable when the places above it are, too. */
	if (r >= 0 && fsync(p->state_fd) < 0)
		r = -errno;
	if (r < 0)
		return fault_set(reterr, FAULT_STORE_UNAVAILABLE,
				 "the places for what is published, in %s, cannot be used: %s",
				 p->deps.state_dir, strerror(-r));
	return 0;
}

static int on_published(const void *record, void *arg)
{
	const struct record_published *r = record;
	struct publisher *p = arg;
	struct session_ref ref = { r->app_id, r->session_id };
	struct page *page;
	int place;

	if (page_ensure(p, &ref, r->user_id, r->name, &page, NULL) < 0) {
		p->has_left_out = true; /* a limit is less than it was */
		return 0;
	}
	page_set_names(page, r->token, r->label);
	page->created_at = (usec_t)r->created_at;
	page->ended_at = (usec_t)r->ended_at;
	page->is_stored = true;
	if (release_place(p->published_fd, r->session_id, r->name, false, &place) < 0)
		return 0;
	if (release_current(place, page->current) < 0)
		page->current[0] = '\0';
	close(place);
	return 0;
}

static int on_build(const void *record, void *arg)
{
	build_load(arg, record);
	return 0;
}

/* What the registry says is what is on the air, also when the daemon was killed in between. */
static void tell_registry(struct publisher *p)
{
	for (struct shelf *shelf = p->shelves; shelf; shelf = shelf->hh.next) {
		for (struct page *page = shelf->pages; page; page = page->next) {
			scoped(freep) char *url = page_url(page);

			if (page->current[0])
				registry_published_is(p->deps.registry, shelf->session_id,
						      page->name, url, page->current);
		}
	}
}

/*
 * Files that no record tells of: their page went, and the daemon with it.  Whoever has that id next
 * must not find them.
 */
static void sweep_places(struct publisher *p)
{
	int fd = openat(p->published_fd, ".", O_RDONLY | O_DIRECTORY | O_CLOEXEC);
	DIR *d = fd < 0 ? NULL : fdopendir(fd);
	struct dirent *e;

	if (!d) {
		closep(&fd);
		return;
	}
	while ((e = readdir(d)))
		place_remove_unknown(p, e->d_name);
	closedir(d);
}

static bool session_lives(const struct publisher *p, const char *session_id)
{
	const char *app_id, *user_id;

	return registry_session_lookup(session_id, &app_id, &user_id, p->deps.registry);
}

/* Its session has. */
static void shelf_end(struct shelf *shelf)
{
	const usec_t now = clock_realtime();

	for (struct page *page = shelf->pages; page; page = page->next) {
		if (page->ended_at > 0)
			continue;
		page->ended_at = now;
		page_save(page);
	}
	builds_forget(shelf);
}

static int load(struct publisher *p, struct fault *reterr)
{
	struct shelf *shelf, *tmp;
	int r = store_load(p->deps.store, RECORD_KIND_PUBLISHED, on_published, p, reterr);

	if (r >= 0)
		r = store_load(p->deps.store, RECORD_KIND_BUILD, on_build, p, reterr);
	if (r < 0)
		return r;
	HASH_ITER(hh, p->shelves, shelf, tmp)
	{
		builds_sort(shelf);
		/* The daemon was killed when the session had ended, and this had not yet. */
		if (!session_lives(p, shelf->session_id))
			shelf_end(shelf);
	}
	if (!p->has_left_out)
		sweep_places(p);
	tell_registry(p);
	return 0;
}

/*
 * The end of what was kept for a while.
 */
static bool is_over(const struct page *page, usec_t now)
{
	const struct publisher *p = page->shelf->publisher;
	usec_t keep = p->settings->publish_keep;

	if (page->users > 0 || page->ended_at == 0 || keep == USEC_INFINITY)
		return false;
	if (page->current[0] && session_lives(p, page->shelf->session_id))
		return false;
	return now >= page->ended_at && now - page->ended_at >= keep;
}

static void on_sweep(void *arg)
{
	struct publisher *p = arg;
	usec_t now = clock_realtime();
	struct shelf *shelf, *tmp;

	HASH_ITER(hh, p->shelves, shelf, tmp)
	{
		struct page *page, *next;
		bool last = false;

		for (page = shelf->pages; page && !last; page = next) {
			next = page->next;
			if (!is_over(page, now))
				continue;
			log_info("session '%s': its page '%s' was kept for publish.keep, removing "
				 "it",
				 shelf->session_id, page->name);
			last = !next; /* the shelf may go with its last page */
			page_remove(page);
		}
	}
	timer_set(p->sweep_timer, SWEEP_EVERY);
}

int publisher_new(const struct publisher_deps *deps, const struct settings *settings,
		  struct publisher **ret, struct fault *reterr)
{
	scoped(publisher_freep) struct publisher *p = xcalloc(1, sizeof(*p));
	struct sandbox_deps sandbox_deps;
	int r;

	p->deps = *deps;
	p->settings = settings;
	p->state_fd = p->published_fd = -1;
	p->work = jobs_new(deps->loop, WORK_THREADS, WORK_QUEUE_MAX);
	p->lookups = jobs_new(deps->loop, LOOKUP_THREADS, LOOKUP_QUEUE_MAX);
	p->watch = jobs_new(deps->loop, WATCH_THREADS, WORK_QUEUE_MAX);
	p->switcher = jobs_new(deps->loop, 1, WORK_QUEUE_MAX);
	p->sweep_timer = timer_new(deps->loop, on_sweep, p);
	p->state_dir = realpath(deps->state_dir, NULL);
	if (!p->state_dir)
		return fault_set(reterr, FAULT_STORE_UNAVAILABLE, "%s: %s", deps->state_dir,
				 strerror(errno));
	p->deps.state_dir = p->state_dir;
	p->proxy_path = xasprintf("%s/registry.sock", p->state_dir);

	r = open_places(p, reterr);
	if (r < 0)
		return r;
	sandbox_deps = (struct sandbox_deps){
		.loop = deps->loop,
		.jobs = p->watch,
		.cgroups = deps->cgroups,
	};
	p->sandbox = sandbox_new(&sandbox_deps, (enum sandbox_level)settings->publish_sandbox);
	r = load(p, reterr);
	if (r < 0)
		return r;
	timer_set(p->sweep_timer, SWEEP_FIRST);
	*ret = STEAL(p);
	return 0;
}

struct publisher *publisher_free(struct publisher *p)
{
	struct shelf *shelf, *tmp;

	if (!p)
		return NULL;

	p->draining = p->is_ending = true;
	HASH_ITER(hh, p->shelves, shelf, tmp)
	{
		for (struct build *b = shelf->builds; b; b = b->next)
			steps_stop(b);
		for (struct page *page = shelf->pages; page; page = page->next)
			page->opening = job_free(page->opening);
	}
	publisher_ops_forget(p);
	remakes_forget(p);
	switchings_forget(p);
	jobs_free(p->switcher);
	sandbox_free(p->sandbox);
	jobs_free(p->watch);
	jobs_free(p->work);
	connectproxy_free(p->proxy);
	jobs_free(p->lookups);
	HASH_ITER(hh, p->shelves, shelf, tmp)
	{
		bool last = false;

		while (!last && shelf->builds) {
			last = !shelf->builds->next && !shelf->pages;
			build_free(shelf->builds);
		}
		while (!last && shelf->pages) {
			last = !shelf->pages->next;
			page_free(shelf->pages);
		}
	}
	modules_free(p->modules);
	timer_free(p->sweep_timer);
	closep(&p->published_fd);
	closep(&p->state_fd);
	free(p->proxy_path);
	free(p->state_dir);
	free(p);
	return NULL;
}

void publisher_reload(struct publisher *p, const struct settings *settings)
{
	p->settings = settings;
	sandbox_set_level(p->sandbox, (enum sandbox_level)settings->publish_sandbox);
	p->proxy_is_old = true;
	pages_close_some(p);
	tell_registry(p);
	queue_run(p);
}

void publisher_drain(struct publisher *p)
{
	struct shelf *shelf, *tmp;

	p->draining = true;
	HASH_ITER(hh, p->shelves, shelf, tmp)
	{
		if (shelf->builds && build_is_live(shelf->builds))
			build_cancel(shelf->builds, "the daemon is shutting down");
	}
}

void publisher_listens(struct publisher *p, uint16_t port)
{
	if (p->port)
		return;
	p->port = port;
	tell_registry(p); /* addresses of hosts have the port in them */
}

void publisher_session_ended(const char *session_id, void *publisher)
{
	struct shelf *shelf = shelf_find(publisher, session_id);

	if (shelf)
		shelf_end(shelf);
}

cJSON *publisher_health(struct publisher *p)
{
	cJSON *j = cJSON_CreateObject(), *sandbox;
	const char *remedy = NULL, *limits = NULL;
	bool usable = sandbox_is_usable(p->sandbox, &remedy, &limits);

	json_add_u64(j, "running", p->n_running);
	json_add_u64(j, "waiting", p->n_queued);
	json_add_u64(j, "pages", p->n_pages);
	json_add_u64(j, "packages_bytes", modules_bytes(p->modules));
	sandbox = cJSON_AddObjectToObject(j, "sandbox");
	cJSON_AddBoolToObject(sandbox, "usable", usable);
	json_add_string(sandbox, "remedy", remedy);
	json_add_string(sandbox, "limits", limits);
	return j;
}
