/* SPDX-License-Identifier: MIT */
/*
 * What is shown: the current release of a page, open, with the earlier ones beside it whose
 * fingerprinted files a page that is still open somewhere may ask for.
 *
 * Opening reads manifests, so it is done in a helper thread; what is open stays so until
 * publish.pages_open others were asked for.
 */
#include <errno.h>
#include <string.h>
#include <utlist.h>

#include "base/mem.h"
#include "base/metrics.h"
#include "publish/publisher_priv.h"

#define EARLIER_MAX    8
#define OPEN_FILES_MAX 1000000 /* some 200 bytes each, in manifests */

struct shown *shown_free(struct shown *shown)
{
	if (!shown)
		return NULL;
	static_site_unref(shown->site);
	for (size_t i = 0; i < shown->n_earlier; i++)
		static_site_unref(shown->earlier[i]);
	free(shown->earlier);
	free(shown);
	return NULL;
}
DEFINE_CLEANUP(struct shown *, shown_free)

static int open_release(int place_fd, const char *id, struct static_site **ret)
{
	int fd, r = release_open(place_fd, id, &fd);

	return r < 0 ? r : static_site_open_consume(fd, ret, NULL);
}

int shown_open(int place_fd, const char *release_id, struct shown **ret)
{
	scoped(release_list_done) struct release_list list = { 0 };
	scoped(shown_freep) struct shown *shown = xcalloc(1, sizeof(*shown));
	int r = release_list(place_fd, &list);

	if (r >= 0)
		r = open_release(place_fd, release_id, &shown->site);
	if (r < 0)
		return r;
	memcpy(shown->release_id, release_id, RELEASE_ID_SIZE);
	shown->n_files = static_site_manifest(shown->site)->n_files;
	shown->earlier = xcalloc(EARLIER_MAX, sizeof(struct static_site *));
	for (size_t i = 0; i < list.n && shown->n_earlier < EARLIER_MAX; i++) {
		if (strcmp(list.items[i].id, release_id) == 0)
			continue;
		/* One that can't be opened is missed by nobody but those who ask for it. */
		if (open_release(place_fd, list.items[i].id, &shown->earlier[shown->n_earlier]) < 0)
			continue;
		shown->n_files += static_site_manifest(shown->earlier[shown->n_earlier])->n_files;
		shown->n_earlier++;
	}
	*ret = STEAL(shown);
	return 0;
}

void page_close(struct page *page)
{
	struct publisher *p = page->shelf->publisher;

	if (!page->shown)
		return;
	p->n_open_files -= page->shown->n_files;
	page->shown = shown_free(page->shown);
	DL_DELETE2(p->open, page, open_prev, open_next);
	p->n_open--;
	metric_add(METRIC_PAGES_OPEN, -1);
}

void pages_close_some(struct publisher *p)
{
	while (p->n_open > p->settings->publish_pages_open ||
	       (p->n_open > 1 && p->n_open_files > OPEN_FILES_MAX))
		page_close(p->open);
}

void page_show_consume(struct page *page, struct shown *shown)
{
	struct publisher *p = page->shelf->publisher;

	page_close(page);
	if (!shown)
		return;
	page->shown = shown;
	DL_APPEND2(p->open, page, open_prev, open_next);
	p->n_open++;
	p->n_open_files += shown->n_files;
	metric_inc(METRIC_PAGES_OPEN);
	pages_close_some(p);
}

/*
 * Asking.
 */
struct site_op {
	struct page *page; /* NULL: it is answered */
	publisher_site_fn *done;
	void *arg;
	struct site_op *prev, *next;
};

struct site_op *site_op_free(struct site_op *op)
{
	if (!op)
		return NULL;
	if (op->page)
		DL_DELETE(op->page->waiting, op);
	free(op);
	return NULL;
}

void shown_answer(const struct shown *shown, const char *otherwise, publisher_site_fn *done,
		  void *arg)
{
	scoped(fault_done) struct fault fault = { 0 };
	struct published_site site;

	if (!shown) {
		fault_set(&fault, FAULT_NOT_PUBLISHED, "%s", otherwise);
		done(NULL, &fault, arg);
		return;
	}
	site = (struct published_site){
		.site = shown->site,
		.earlier = shown->earlier,
		.n_earlier = shown->n_earlier,
		.release_id = shown->release_id,
		.spa = true,
	};
	done(&site, NULL, arg);
}

/* NULL: nobody's, or of none that may be seen. */
static void answer(const struct page *page, publisher_site_fn *done, void *arg)
{
	shown_answer(page ? page->shown : NULL, "nothing is published here", done, arg);
}

struct opening {
	int root_fd;
	char *session_id, *name;
	struct shown *shown;
};

static void opening_free(void *arg)
{
	struct opening *o = arg;

	shown_free(o->shown);
	free(o->session_id);
	free(o->name);
	free(o);
}

static int opening_work(void *input)
{
	struct opening *o = input;
	char id[RELEASE_ID_SIZE];
	scoped(closep) int place = -1;
	int r = release_place(o->root_fd, o->session_id, o->name, false, &place);

	if (r >= 0)
		r = release_current(place, id);
	if (r >= 0 && !id[0])
		r = -ENOENT;
	return r < 0 ? r : shown_open(place, id, &o->shown);
}

/* Answers all that wait; each may leave, or ask again. */
void page_opening_done(struct page *page)
{
	page->opening = job_free(page->opening);
	while (page->waiting) {
		struct site_op *op = page->waiting;

		DL_DELETE(page->waiting, op);
		op->page = NULL;
		answer(page, op->done, op->arg);
	}
}

static void on_opened(int result, void *arg)
{
	struct page *page = arg;
	struct opening *o = page->opening_input;

	page->opening = NULL;
	/* It may have been switched meanwhile: then what was opened is old. */
	if (result >= 0 && !page->shown && strcmp(page->current, o->shown->release_id) == 0)
		page_show_consume(page, STEAL(o->shown));
	page_opening_done(page);
}

static bool open_page(struct page *page)
{
	struct publisher *p = page->shelf->publisher;
	struct opening *o;

	if (page->opening)
		return true;
	o = xcalloc(1, sizeof(*o));
	o->root_fd = p->published_fd;
	o->session_id = xstrdup(page->shelf->session_id);
	o->name = xstrdup(page->name);
	page->opening_input = o;
	/* By the thread that switches: what it opens isn't taken away under it. */
	page->opening = job_start(p->switcher, opening_work, o, opening_free, on_opened, page);
	if (page->opening)
		return true;
	opening_free(o);
	return false;
}

static struct page *page_asked_for(const struct publisher *p, const struct session_ref *ref,
				   const char *name, const char *token)
{
	const struct shelf *shelf = shelf_find(p, ref->session_id);
	struct page *found = NULL;

	if (!token && pages_are_unlisted(p->settings))
		return NULL;
	for (struct page *page = shelf ? shelf->pages : NULL; page; page = page->next) {
		if (token ? secret_equal(page->token, token) : strcmp(page->name, name) == 0)
			found = page;
	}
	if (!found || !found->current[0] || strcmp(found->app_id, ref->app_id) != 0)
		return NULL;
	return found;
}

static struct site_op *ask(struct publisher *p, struct page *page, publisher_site_fn *done,
			   void *arg)
{
	struct site_op *op;

	if (!page) {
		answer(NULL, done, arg);
		return NULL;
	}
	if (page->shown) {
		DL_DELETE2(p->open, page, open_prev, open_next);
		DL_APPEND2(p->open, page, open_prev, open_next);
		answer(page, done, arg);
		return NULL;
	}
	if (!open_page(page)) {
		answer(NULL, done, arg);
		return NULL;
	}
	op = xcalloc(1, sizeof(*op));
	op->page = page;
	op->done = done;
	op->arg = arg;
	DL_APPEND(page->waiting, op);
	return op;
}

struct site_op *publisher_site_by_label(struct publisher *p, const char *label,
					publisher_site_fn *done, void *arg)
{
	struct page *page = NULL;

	if (pages_have_hosts(p->settings))
		HASH_FIND_STR(p->by_label, label, page);
	return ask(p, page && page->current[0] ? page : NULL, done, arg);
}

struct site_op *publisher_site(struct publisher *p, const struct session_ref *ref, const char *name,
			       const char *token, publisher_site_fn *done, void *arg)
{
	return ask(p, page_asked_for(p, ref, name, token), done, arg);
}
