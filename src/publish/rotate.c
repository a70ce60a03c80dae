/* SPDX-License-Identifier: MIT */
/*
 * A new token for a page.  Where its address has the token in it, what was built for the old
 * address is made anew for the new one: a release of its own, which becomes current together with
 * the token.
 */
#include <string.h>

#include "base/log.h"
#include "base/mem.h"
#include "publish/publisher_priv.h"

LOG_AREA("publish");

struct rotation {
	struct publisher_op *op;
	struct page *page;
	char *token;
	char release_id[RELEASE_ID_SIZE];
	char current[RELEASE_ID_SIZE];
};

static void rotation_free(struct rotation *r)
{
	r->page->users--;
	free(r->token);
	free(r);
}

static void fail(struct rotation *r, int result, struct fault *fault)
{
	publisher_op_answer(&r->op, result, NULL, fault);
	fault_done(fault);
	rotation_free(r);
}

static void on_switched(int result, cJSON *attachment, struct fault *fault, void *arg)
{
	struct rotation *r = arg;
	scoped(freep) char *url = page_url(r->page), *address = page_address(r->page);
	cJSON *j = NULL;

	(void)attachment;
	if (result >= 0) {
		log_info("session '%s': '%s' has a new token", r->page->shelf->session_id,
			 r->page->name);
		j = cJSON_CreateObject();
		json_add_string(j, "name", r->page->name);
		json_add_string(j, "url", url);
		json_add_string(j, "address", address);
		json_add_string(j, "release_id", r->release_id);
	}
	publisher_op_answer(&r->op, result, j, fault);
	rotation_free(r);
}

static void turn_to(struct rotation *r, const char *release_id)
{
	const struct switch_request request = {
		.release_id = release_id,
		.expected = r->current,
		.token = r->token,
		.is_new = strcmp(release_id, r->current) != 0,
	};
	struct fault fault = { 0 };

	memmove(r->release_id, release_id, sizeof(r->release_id));
	if (!switch_start(r->page, &request, on_switched, r, &fault))
		fail(r, -fault_errno(fault.code), &fault);
}

static void on_remade(int result, const char *release_id, struct fault *fault, void *arg)
{
	struct rotation *r = arg;

	if (result < 0)
		fail(r, result, fault);
	else
		turn_to(r, release_id);
}

/* The address stays as it is: only what may be known of it changes. */
static struct publisher_op *rotate_token(struct rotation *r, publisher_done_fn *done, void *arg,
					 struct fault *reterr)
{
	struct publisher *p = r->page->shelf->publisher;
	const struct switch_request request = {
		.release_id = r->current,
		.expected = r->current,
		.token = r->token,
	};

	memcpy(r->release_id, r->current, sizeof(r->release_id));
	if (!switch_start(r->page, &request, on_switched, r, reterr)) {
		rotation_free(r);
		return NULL;
	}
	return publisher_op_new(p, &r->op, done, arg);
}

struct publisher_op *publisher_rotate(struct publisher *p, struct principal *principal,
				      const struct session_ref *ref, const char *name,
				      publisher_done_fn *done, void *arg, struct fault *reterr)
{
	struct page *page;
	struct rotation *r;

	if (p->draining) {
		fault_set(reterr, FAULT_DRAINING,
			  "the daemon is shutting down; try again when it is back");
		return NULL;
	}
	if (page_get(p, principal, ref, name, &page, reterr) < 0)
		return NULL;
	if (!page || !page->current[0]) {
		fault_set(reterr, FAULT_NOT_PUBLISHED, "session '%s' has published nothing as '%s'",
			  ref->session_id, name);
		return NULL;
	}
	r = xcalloc(1, sizeof(*r));
	r->page = page;
	r->token = page_new_token();
	memcpy(r->current, page->current, sizeof(r->current));
	page->users++;
	if (pages_are_unlisted(p->settings) && !pages_have_hosts(p->settings)) {
		scoped(freep) char *base = page_path_with(page, r->token);

		if (!remake_start(page, r->current, base, on_remade, r, reterr)) {
			rotation_free(r);
			return NULL;
		}
		return publisher_op_new(p, &r->op, done, arg);
	}
	return rotate_token(r, done, arg, reterr);
}
