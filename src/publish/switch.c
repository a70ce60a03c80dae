/* SPDX-License-Identifier: MIT */
/*
 * Another release becomes the current one.
 *
 * The registry keeps a place first, so that no limit refuses what is on the air already.  Then the
 * link is switched on disk, then what is shown in memory, then the attachment is stored and told.
 * Where that last step fails, the link goes back.
 */
#include <errno.h>
#include <fcntl.h>
#include <string.h>
#include <utlist.h>

#include "base/log.h"
#include "base/mem.h"
#include "publish/publisher_priv.h"

LOG_AREA("publish");

struct work {
	int root_fd;
	char *session_id, *name;
	char release_id[RELEASE_ID_SIZE];
	char *expected;
	struct release_keep keep;
	char found[RELEASE_ID_SIZE]; /* what was current */
	/* "", or a release that goes: where this fails, or in any case where it goes back. */
	char vain[RELEASE_ID_SIZE];
	struct shown *shown;
};

struct switching {
	struct publisher *publisher;
	struct page *page;
	struct registry_place *place;
	char *new_token;
	bool is_new, focus;
	char release_id[RELEASE_ID_SIZE];
	/* What was before. */
	char previous[RELEASE_ID_SIZE];
	char *old_token; /* where there is a new one */
	usec_t was_ended_at;
	bool was_stored;
	struct job *job;
	struct work *work; /* the job's */
	struct registry_op *op;
	int failure;
	struct fault fault;
	switched_fn *done;
	void *arg;
	struct switching *prev, *next;
};

static void work_free(void *arg)
{
	struct work *w = arg;

	shown_free(w->shown);
	free(w->session_id);
	free(w->name);
	free(w->expected);
	free(w);
}

static struct work *work_new(const struct page *page, const char *release_id, const char *expected)
{
	struct publisher *p = page->shelf->publisher;
	struct work *w = xcalloc(1, sizeof(*w));

	w->root_fd = p->published_fd;
	w->session_id = xstrdup(page->shelf->session_id);
	w->name = xstrdup(page->name);
	snprintf(w->release_id, sizeof(w->release_id), "%s", release_id);
	w->expected = xstrdup_null(expected);
	w->keep = keep_of(p->settings);
	return w;
}

struct release_keep keep_of(const struct settings *settings)
{
	return (struct release_keep){
		.count = settings->publish_releases,
		.bytes = settings->publish_releases_bytes,
		.age = USEC_INFINITY,
	};
}

static void discard(const struct work *w, int place_fd)
{
	if (w->vain[0])
		(void)!release_discard(place_fd, w->vain); /* else it goes when its turn comes */
}

/* What is shown is opened in the same step: it is there when the answer is. */
static int switch_to(struct work *w, int place)
{
	int r = release_current(place, w->found);

	if (r >= 0)
		r = release_activate(place, w->release_id, w->expected);
	if (r < 0)
		return r;
	(void)!release_prune(place, &w->keep); /* else the next one does */
	r = shown_open(place, w->release_id, &w->shown);
	if (r < 0 && strcmp(w->found, w->release_id) != 0 &&
	    release_activate(place, w->found[0] ? w->found : NULL, NULL) < 0)
		return -EIO;
	return r;
}

static int switch_work(void *input)
{
	struct work *w = input;
	scoped(closep) int place = -1;
	int r = release_place(w->root_fd, w->session_id, w->name, false, &place);

	if (r < 0)
		return r;
	r = switch_to(w, place);
	if (r < 0)
		discard(w, place);
	return r;
}

/* Back to what was before, where nothing else became current meanwhile. */
static int back_work(void *input)
{
	struct work *w = input;
	scoped(closep) int place = -1;
	int r = release_place(w->root_fd, w->session_id, w->name, false, &place);

	if (r >= 0)
		r = release_activate(place, w->release_id[0] ? w->release_id : NULL, w->expected);
	if (r >= 0 && w->release_id[0])
		r = shown_open(place, w->release_id, &w->shown);
	if (r >= 0)
		discard(w, place);
	return r;
}

static int discard_work(void *input)
{
	struct work *w = input;
	scoped(closep) int place = -1;
	int r = release_place(w->root_fd, w->session_id, w->name, false, &place);

	if (r >= 0)
		discard(w, place);
	return r;
}

static void on_discarded(int result, void *arg)
{
	(void)result;
	(void)arg;
}

void page_discard(const struct page *page, const char *release_id)
{
	struct work *w = work_new(page, release_id, NULL);

	memcpy(w->vain, w->release_id, sizeof(w->vain));
	if (!job_start(page->shelf->publisher->switcher, discard_work, w, work_free, on_discarded,
		       NULL))
		work_free(w); /* it goes when its turn comes */
}

struct switching *switching_free(struct switching *s)
{
	if (!s)
		return NULL;
	DL_DELETE(s->publisher->switchings, s);
	job_free(s->job);
	registry_op_free(s->op);
	registry_place_free(s->place);
	fault_done(&s->fault);
	free(s->new_token);
	free(s->old_token);
	free(s);
	return NULL;
}

static void finish(struct switching *s, int result, cJSON *attachment)
{
	switched_fn *done = s->done;
	void *arg = s->arg;
	struct fault fault = { 0 };

	fault_move(&fault, &s->fault);
	s->page->users--;
	switching_free(s);
	done(result, attachment, &fault, arg);
	fault_done(&fault);
}

/* Who waits is told, if only to let go of what it has. */
void switchings_forget(struct publisher *p)
{
	while (p->switchings)
		finish(p->switchings, -ECANCELED, NULL);
}

static int explain(struct switching *s, int result)
{
	const char *session_id = s->page->shelf->session_id;
	int r;

	switch (result) {
	case -ENOENT:
		return fault_set(&s->fault, FAULT_RELEASE_NOT_FOUND,
				 "'%s' of session '%s' has no release '%s'", s->page->name,
				 session_id, s->work->release_id);
	case -ESTALE:
		r = fault_set(&s->fault, FAULT_RELEASE_CHANGED,
			      "another release of '%s' became current meanwhile; look again",
			      s->page->name);
		fault_member_consume(&s->fault, "current",
				     s->work->found[0] ? cJSON_CreateString(s->work->found)
						       : cJSON_CreateNull());
		return r;
	default:
		log_error_errno(result, "session '%s': '%s' cannot be switched", session_id,
				s->page->name);
		return fault_set_errno(&s->fault, FAULT_INTERNAL, result,
				       "the release cannot be activated");
	}
}

static void on_back(int result, void *arg)
{
	struct switching *s = arg;
	struct page *page = s->page;

	s->job = NULL;
	if (result < 0) {
		log_error_errno(result,
				"session '%s': '%s' stays with a release that is not "
				"attached",
				page->shelf->session_id, page->name);
	} else {
		memcpy(page->current, s->previous, sizeof(page->current));
		page_show_consume(page, STEAL(s->work->shown));
	}
	finish(s, s->failure, NULL);
}

/* In memory, but for what another change has made of it meanwhile. */
static void take_back(struct switching *s)
{
	struct page *page = s->page;

	if (s->old_token && strcmp(page->token, s->new_token) == 0) {
		free(page_change_token_consume(page, STEAL(s->old_token)));
	}
	if (page->ended_at == 0)
		page->ended_at = s->was_ended_at;
	page->is_stored = s->was_stored;
}

static void go_back(struct switching *s)
{
	struct work *w = work_new(s->page, s->previous, s->release_id);

	if (s->is_new)
		memcpy(w->vain, s->release_id, sizeof(w->vain));
	take_back(s);
	s->work = w;
	s->job = job_start(s->publisher->switcher, back_work, w, work_free, on_back, s);
	if (s->job)
		return;
	work_free(w);
	finish(s, s->failure, NULL);
}

static void on_attached(int result, struct registry_result *value, struct fault *fault, void *arg)
{
	struct switching *s = arg;
	scoped(json_freep) cJSON *attachment = STEAL(value->value);

	if (result < 0)
		fault_move(&s->fault, fault);
	s->op = registry_op_free(s->op);
	if (result < 0) {
		s->failure = result;
		go_back(s);
		return;
	}
	finish(s, 0, attachment);
}

static void on_switched(int result, void *arg)
{
	struct switching *s = arg;
	struct page *page = s->page;
	struct publish_attachment attachment = { .focus = s->focus };
	scoped(freep) char *url = NULL;
	struct store_batch *batch;

	s->job = NULL;
	if (result < 0) {
		finish(s, explain(s, result), NULL);
		return;
	}
	memcpy(s->previous, s->work->found, sizeof(s->previous));
	memcpy(page->current, s->work->release_id, sizeof(page->current));
	page_show_consume(page, STEAL(s->work->shown));
	memcpy(s->release_id, page->current, sizeof(s->release_id));
	if (s->new_token) {
		s->old_token = page_change_token_consume(page, xstrdup(s->new_token));
	}
	s->was_ended_at = page->ended_at;
	s->was_stored = page->is_stored;
	page->ended_at = 0;
	page->is_stored = true;

	url = page_url(page);
	attachment.url = url;
	attachment.release_id = page->current;
	batch = store_batch_new();
	page_put(page, batch);
	s->op = registry_publish_consume(STEAL(s->place), &attachment, batch, on_attached, s);
}

struct switching *switch_start(struct page *page, const struct switch_request *request,
			       switched_fn *done, void *arg, struct fault *reterr)
{
	struct publisher *p = page->shelf->publisher;
	struct session_ref ref = { page->app_id, page->shelf->session_id };
	struct registry_place *place;
	struct switching *s;

	if (registry_place_take(p->deps.registry, &ref, page->name, &place, reterr) < 0) {
		if (request->is_new)
			page_discard(page, request->release_id);
		return NULL;
	}
	s = xcalloc(1, sizeof(*s));
	s->publisher = p;
	s->page = page;
	s->place = place;
	s->new_token = xstrdup_null(request->token);
	s->is_new = request->is_new;
	s->focus = request->focus;
	s->done = done;
	s->arg = arg;
	DL_APPEND(p->switchings, s);
	s->work = work_new(page, request->release_id, request->expected);
	if (s->is_new)
		memcpy(s->work->vain, s->work->release_id, sizeof(s->work->vain));
	s->job = job_start(p->switcher, switch_work, s->work, work_free, on_switched, s);
	if (!s->job) {
		work_free(s->work);
		switching_free(s);
		fault_set(reterr, FAULT_TOO_MANY_REQUESTS, "too much is under way; try again");
		return NULL;
	}
	page->users++;
	return s;
}
