/* SPDX-License-Identifier: MIT */
/*
 * A release that was built for another address than its page has now is made anew for that one: a
 * release of its own, which is not the current one yet.
 */
#include <errno.h>
#include <string.h>
#include <utlist.h>

#include "base/mem.h"
#include "publish/publisher_priv.h"

struct remake {
	struct publisher *publisher;
	struct page *page;
	struct job *job;
	struct checking *input; /* the job's */
	remade_fn *done;
	void *arg;
	struct remake *prev, *next;
};

static void finish(struct remake *r, int result, const char *release_id, struct fault *fault)
{
	remade_fn *done = r->done;
	void *arg = r->arg;

	DL_DELETE(r->publisher->remakes, r);
	job_free(r->job);
	r->page->users--;
	free(r);
	done(result, release_id, fault, arg);
	fault_done(fault);
}

static void fail(struct remake *r, int result)
{
	struct fault fault = { 0 };

	fault_move(&fault, &r->input->fault);
	finish(r, result, NULL, &fault);
}

static void succeed(struct remake *r)
{
	struct fault none = { 0 };
	char release_id[RELEASE_ID_SIZE];

	memcpy(release_id, r->input->release_id, sizeof(release_id));
	r->input->is_taken = true;
	finish(r, 0, release_id, &none);
}

static void on_finished(int result, void *arg)
{
	struct remake *r = arg;

	r->job = NULL;
	if (result < 0)
		fail(r, result);
	else
		succeed(r);
}

static void on_copied(int result, void *arg)
{
	struct remake *r = arg;
	struct fault fault = { 0 };
	struct checking *next;

	r->job = NULL;
	if (result < 0) {
		fail(r, result);
		return;
	}
	if (!r->input->is_begun) { /* it is for that address already */
		succeed(r);
		return;
	}
	next = checking_take_over(r->input);
	r->input = next;
	r->job = job_start(r->publisher->work, finishing_work, next, checking_free, on_finished, r);
	if (r->job)
		return;
	checking_free(next);
	result = fault_set(&fault, FAULT_TOO_MANY_REQUESTS, "too much is under way; try again");
	finish(r, result, NULL, &fault);
}

bool remake_start(struct page *page, const char *release_id, const char *base, remade_fn *done,
		  void *arg, struct fault *reterr)
{
	struct publisher *p = page->shelf->publisher;
	struct checking *c = checking_new(page, base);
	struct remake *r = xcalloc(1, sizeof(*r));

	c->source_id = xstrdup(release_id);
	c->outputs = xcalloc(2, sizeof(*c->outputs));
	c->outputs[0] = xstrdup("files");
	r->publisher = p;
	r->page = page;
	r->input = c;
	r->done = done;
	r->arg = arg;
	r->job = job_start(p->work, checking_work, c, checking_free, on_copied, r);
	if (!r->job) {
		checking_free(c);
		free(r);
		fault_set(reterr, FAULT_TOO_MANY_REQUESTS, "too much is under way; try again");
		return false;
	}
	page->users++;
	DL_APPEND(p->remakes, r);
	return true;
}

/* Who waits is told, if only to let go of what it has. */
void remakes_forget(struct publisher *p)
{
	while (p->remakes) {
		struct fault none = { 0 };

		p->remakes->input->cancel = true;
		finish(p->remakes, -ECANCELED, NULL, &none);
	}
}
