/* SPDX-License-Identifier: MIT */
/*
 * What the surfaces ask of releases, and how they are answered.  Whoever asked may leave at any
 * time; what has begun goes on.
 */
#include <errno.h>
#include <string.h>
#include <utlist.h>

#include "base/log.h"
#include "base/mem.h"
#include "publish/publisher_priv.h"

LOG_AREA("publish");

#define ACTIVATION_TRIES 4

struct publisher_op *publisher_op_new(struct publisher *p, struct publisher_op **slot,
				      publisher_done_fn *done, void *arg)
{
	struct publisher_op *op = xcalloc(1, sizeof(*op));

	op->publisher = p;
	op->slot = slot;
	op->done = done;
	op->arg = arg;
	if (slot)
		*slot = op;
	DL_APPEND(p->ops, op);
	return op;
}

static void op_leave(struct publisher_op *op)
{
	if (op->slot)
		*op->slot = NULL;
	op->slot = NULL;
	op->turn = timer_free(op->turn);
	if (op->publisher)
		DL_DELETE(op->publisher->ops, op);
	op->publisher = NULL;
}

struct publisher_op *publisher_op_free(struct publisher_op *op)
{
	if (!op)
		return NULL;
	op_leave(op);
	if (op->free_context)
		op->free_context(op->context);
	json_free(op->value);
	fault_done(&op->fault);
	free(op);
	return NULL;
}

void publisher_ops_forget(struct publisher *p)
{
	while (p->ops)
		op_leave(p->ops);
}

void publisher_op_answer(struct publisher_op **slot, int result, cJSON *value_consume,
			 struct fault *fault)
{
	scoped(json_freep) cJSON *value = value_consume;
	scoped(fault_done) struct fault told = { 0 };
	struct publisher_op *op = *slot;
	publisher_done_fn *done;
	void *arg;

	if (!op)
		return;
	if (fault)
		fault_move(&told, fault);
	done = op->done;
	arg = op->arg;
	op_leave(op);
	done(result, value, &told, arg);
}

static void on_turn(void *arg)
{
	struct publisher_op *op = arg, *slot = op;
	cJSON *value = STEAL(op->value);

	op->slot = &slot;
	publisher_op_answer(&slot, op->result, value, &op->fault);
}

void publisher_op_answer_later(struct publisher_op *op, int result, cJSON *value)
{
	if (op->slot)
		*op->slot = NULL;
	op->slot = NULL;
	op->result = result;
	op->value = value;
	op->turn = timer_new(op->publisher->deps.loop, on_turn, op);
	timer_set(op->turn, 0);
}

/*
 * The list.
 */
struct listing {
	int root_fd;
	char *session_id, *name;
	struct release_list list;
};

static void listing_free(void *arg)
{
	struct listing *l = arg;

	release_list_done(&l->list);
	free(l->session_id);
	free(l->name);
	free(l);
}

static int listing_work(void *input)
{
	struct listing *l = input;
	scoped(closep) int place = -1;
	int r = release_place(l->root_fd, l->session_id, l->name, false, &place);

	return r < 0 ? r : release_list(place, &l->list);
}

/* An operation whose job it is: the context is freed with it, the job's input by the job. */
struct listing_op {
	struct publisher_op *op;
	struct publisher *publisher;
	struct job *job;
	struct listing *input;
};

static void listing_op_free(void *arg)
{
	struct listing_op *l = arg;

	job_free(l->job);
	free(l);
}

static cJSON *list_document(const struct publisher *p, const struct listing *l)
{
	const struct page *page = page_find(p, l->session_id, l->name);
	scoped(freep) char *url = page && page->current[0] ? page_url(page) : NULL;
	scoped(freep) char *address = page && page->current[0] ? page_address(page) : NULL;
	cJSON *j = cJSON_CreateObject(), *list;

	json_add_string(j, "name", l->name);
	json_add_string(j, "url", url);
	json_add_string(j, "address", address);
	json_add_string(j, "current", l->list.current[0] ? l->list.current : NULL);
	list = cJSON_AddArrayToObject(j, "releases");
	for (size_t i = 0; i < l->list.n; i++) {
		const struct release_info *one = &l->list.items[i];
		cJSON *release = cJSON_CreateObject();

		json_add_string(release, "id", one->id);
		cJSON_AddBoolToObject(release, "current", strcmp(one->id, l->list.current) == 0);
		json_add_time(release, "created_at", one->created_at);
		json_add_u64(release, "bytes", one->bytes);
		json_add_u64(release, "files", one->files);
		cJSON_AddItemToArray(list, release);
	}
	return j;
}

static void on_listed(int result, void *arg)
{
	struct listing_op *l = arg;
	struct fault fault = { 0 };

	l->job = NULL;
	if (result < 0 && result != -ENOENT)
		result = fault_set(&fault, FAULT_INTERNAL, "the releases cannot be read: %s",
				   strerror(-result));
	else
		result = 0;
	publisher_op_answer(&l->op, result,
			    result < 0 ? NULL : list_document(l->publisher, l->input), &fault);
}

static int busy(struct fault *reterr)
{
	int r = fault_set(reterr, FAULT_TOO_MANY_REQUESTS, "too much is under way; try again");

	if (reterr)
		reterr->retry_after_seconds = 1;
	return r;
}

struct publisher_op *publisher_releases(struct publisher *p, struct principal *principal,
					const struct session_ref *ref, const char *name,
					publisher_done_fn *done, void *arg, struct fault *reterr)
{
	struct listing_op *l;
	struct page *page;

	/* The list is read behind the removal of what was another's. */
	if (page_get(p, principal, ref, name, &page, reterr) < 0)
		return NULL;
	l = xcalloc(1, sizeof(*l));
	l->publisher = p;
	l->input = xcalloc(1, sizeof(*l->input));
	l->input->root_fd = p->published_fd;
	l->input->session_id = xstrdup(ref->session_id);
	l->input->name = xstrdup(name);
	l->job = job_start(p->switcher, listing_work, l->input, listing_free, on_listed, l);
	if (!l->job) {
		listing_free(l->input);
		free(l);
		busy(reterr);
		return NULL;
	}
	publisher_op_new(p, &l->op, done, arg);
	l->op->context = l;
	l->op->free_context = listing_op_free;
	return l->op;
}

/*
 * Another release, another token, none at all.
 */
struct change {
	struct publisher_op *op;
	struct page *page;
	char previous[RELEASE_ID_SIZE];
	char release_id[RELEASE_ID_SIZE];
	/* Of an activation: the one asked for, and what has to be current still. */
	char wanted[RELEASE_ID_SIZE];
	char *expected; /* NULL: whatever is */
	unsigned tries;
	struct job *job;
	struct registry_op *registry_op;
};

static cJSON *changed_document(const struct change *c, cJSON *attachment_consume)
{
	scoped(freep) char *url = page_url(c->page), *address = page_address(c->page);
	cJSON *j = cJSON_CreateObject();

	json_add_string(j, "name", c->page->name);
	json_add_string(j, "release_id", c->release_id);
	json_add_string(j, "previous", c->previous[0] ? c->previous : NULL);
	json_add_string(j, "url", url);
	json_add_string(j, "address", address);
	cJSON_AddItemToObject(j, "attachment",
			      attachment_consume ? attachment_consume : cJSON_CreateNull());
	return j;
}

static void activation_free(struct change *c)
{
	c->page->users--;
	free(c->expected);
	free(c);
}

static bool activate(struct change *c, struct fault *reterr);

static void on_switched(int result, cJSON *attachment, struct fault *fault, void *arg)
{
	struct change *c = arg;
	cJSON *copy = attachment ? cJSON_Duplicate(attachment, true) : NULL;

	/* Who expects nothing isn't to know that another change came in between. */
	if (result < 0 && fault->code == FAULT_RELEASE_CHANGED && !c->expected &&
	    ++c->tries < ACTIVATION_TRIES && activate(c, NULL))
		return;
	publisher_op_answer(&c->op, result, result < 0 ? NULL : changed_document(c, copy), fault);
	activation_free(c);
}

static void on_remade(int result, const char *release_id, struct fault *fault, void *arg)
{
	struct change *c = arg;
	const struct switch_request request = {
		.release_id = release_id,
		/* The address, and with it the base, only changes with what is current. */
		.expected = c->expected ? c->expected : c->previous,
		.is_new = result >= 0 && strcmp(release_id, c->wanted) != 0,
		.focus = true,
	};

	if (result >= 0) {
		memmove(c->release_id, release_id, sizeof(c->release_id));
		if (switch_start(c->page, &request, on_switched, c, fault))
			return;
		result = -fault_errno(fault->code);
	}
	publisher_op_answer(&c->op, result, NULL, fault);
	activation_free(c);
}

static bool activate(struct change *c, struct fault *reterr)
{
	scoped(freep) char *base = page_base(c->page);

	memcpy(c->previous, c->page->current, sizeof(c->previous));
	if (base)
		return remake_start(c->page, c->wanted, base, on_remade, c, reterr);
	memcpy(c->release_id, c->wanted, sizeof(c->release_id));
	return switch_start(c->page,
			    &(struct switch_request){
				    .release_id = c->wanted,
				    .expected = c->expected,
				    .focus = true,
			    },
			    on_switched, c, reterr);
}

static int refuses(const struct publisher *p, struct fault *reterr)
{
	if (!p->draining)
		return 0;
	return fault_set(reterr, FAULT_DRAINING,
			 "the daemon is shutting down; try again when it is back");
}

static struct page *page_of(struct publisher *p, struct principal *principal,
			    const struct session_ref *ref, const char *name, struct fault *reterr)
{
	struct page *page;

	if (refuses(p, reterr) < 0 || page_get(p, principal, ref, name, &page, reterr) < 0)
		return NULL;
	if (!page)
		fault_set(reterr, FAULT_NOT_PUBLISHED, "session '%s' has published nothing as '%s'",
			  ref->session_id, name);
	return page;
}

struct publisher_op *publisher_activate(struct publisher *p, struct principal *principal,
					const struct session_ref *ref, const char *name,
					const char *release_id, const char *expected_current,
					publisher_done_fn *done, void *arg, struct fault *reterr)
{
	struct page *page = page_of(p, principal, ref, name, reterr);
	struct change *c;

	if (!page)
		return NULL;
	if (!release_id_is_valid(release_id)) {
		fault_set(reterr, FAULT_RELEASE_NOT_FOUND, "'%s' is no release", release_id);
		return NULL;
	}
	c = xcalloc(1, sizeof(*c));
	c->page = page;
	memcpy(c->wanted, release_id, sizeof(c->wanted));
	c->expected = xstrdup_null(expected_current);
	page->users++;
	if (!activate(c, reterr)) {
		activation_free(c);
		return NULL;
	}
	return publisher_op_new(p, &c->op, done, arg);
}

/*
 * Off the air: the page first, then its attachment.
 */
struct closing {
	int root_fd;
	char *session_id, *name;
};

static void closing_free(void *arg)
{
	struct closing *c = arg;

	free(c->session_id);
	free(c->name);
	free(c);
}

static int closing_work(void *input)
{
	const struct closing *c = input;
	scoped(closep) int place = -1;
	int r = release_place(c->root_fd, c->session_id, c->name, false, &place);

	return r < 0 ? r : release_activate(place, NULL, NULL);
}

static void closed(struct change *c)
{
	cJSON *j = cJSON_CreateObject();

	cJSON_AddBoolToObject(j, "removed", true);
	json_add_string(j, "name", c->page->name);
	json_add_string(j, "release_id", c->previous);
	publisher_op_answer(&c->op, 0, j, NULL);
	c->page->users--;
	free(c);
}

static void on_detached(int result, struct registry_result *value, struct fault *fault, void *arg)
{
	struct change *c = arg;

	(void)value;
	(void)fault;
	registry_op_free(c->registry_op);
	if (result < 0)
		log_warning_errno(result, "session '%s': '%s' is off the air and still attached",
				  c->page->shelf->session_id, c->page->name);
	closed(c);
}

static void on_closed(int result, void *arg)
{
	struct change *c = arg;
	struct page *page = c->page;
	struct publisher *p = page->shelf->publisher;
	struct session_ref ref = { page->app_id, page->shelf->session_id };
	struct fault fault = { 0 };

	c->job = NULL;
	if (result < 0) {
		result = fault_set(&fault, FAULT_INTERNAL, "it cannot be taken off the air: %s",
				   strerror(-result));
		publisher_op_answer(&c->op, result, NULL, &fault);
		page->users--;
		free(c);
		return;
	}
	log_info("session '%s': '%s' is off the air", ref.session_id, page->name);
	page->current[0] = '\0';
	page->ended_at = clock_realtime();
	page_close(page);
	page_save(page);
	c->registry_op = registry_unpublish(p->deps.registry, &ref, page->name, on_detached, c);
	if (!c->registry_op)
		closed(c);
}

static struct publisher_op *nothing_there(struct publisher *p, publisher_done_fn *done, void *arg,
					  const char *name)
{
	struct publisher_op *op = publisher_op_new(p, NULL, done, arg);
	scoped(freep) char *hint = xasprintf("nothing is published as '%s'", name);
	cJSON *j = cJSON_CreateObject();

	cJSON_AddBoolToObject(j, "removed", false);
	json_add_string(j, "hint", hint);
	publisher_op_answer_later(op, 0, j);
	return op;
}

struct publisher_op *publisher_unpublish(struct publisher *p, struct principal *principal,
					 const struct session_ref *ref, const char *name,
					 publisher_done_fn *done, void *arg, struct fault *reterr)
{
	struct closing *input;
	struct page *page;
	struct change *c;

	if (refuses(p, reterr) < 0 || page_get(p, principal, ref, name, &page, reterr) < 0)
		return NULL;
	if (!page || !page->current[0])
		return nothing_there(p, done, arg, name);

	c = xcalloc(1, sizeof(*c));
	c->page = page;
	memcpy(c->previous, page->current, sizeof(c->previous));
	input = xcalloc(1, sizeof(*input));
	input->root_fd = p->published_fd;
	input->session_id = xstrdup(ref->session_id);
	input->name = xstrdup(name);
	c->job = job_start(p->switcher, closing_work, input, closing_free, on_closed, c);
	if (!c->job) {
		closing_free(input);
		free(c);
		busy(reterr);
		return NULL;
	}
	page->users++;
	return publisher_op_new(p, &c->op, done, arg);
}
