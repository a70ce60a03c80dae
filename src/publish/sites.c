/* SPDX-License-Identifier: MIT */
/*
 * The pages that are open, and those who ask for one.
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

#define OPEN_FILES_MAX 1000000 /* some 200 bytes each, in manifests */

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
#define NOTHING "nothing is published here"

/* NULL: nobody's, or of none that may be seen. */
static void answer(const struct page *page, publisher_site_fn *done, void *arg)
{
	shown_answer(page ? page->shown : NULL, NOTHING, done, arg);
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

void page_opening_done(struct page *page)
{
	page->opening = job_free(page->opening);
	site_ops_answer(&page->waiting, &page->shown, NOTHING);
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
	struct page *found;

	if (!token && pages_are_unlisted(p->settings))
		return NULL;
	found = token ? page_of_token(p, token) : page_find(p, ref->session_id, name);
	if (!found || !found->current[0] || strcmp(found->app_id, ref->app_id) != 0 ||
	    strcmp(found->shelf->session_id, ref->session_id) != 0)
		return NULL;
	return found;
}

static struct site_op *ask(struct publisher *p, struct page *page, publisher_site_fn *done,
			   void *arg)
{
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
	return site_op_new(&page->waiting, done, arg);
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
