/* SPDX-License-Identifier: MIT */
/*
 * What is shown: a release, open, with the earlier ones beside it whose fingerprinted files a page
 * that is still open somewhere may ask for; and who waits until it is.
 */
#include <string.h>
#include <utlist.h>

#include "base/mem.h"
#include "publish/publisher_priv.h"

#define EARLIER_MAX 8

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

/*
 * Who asks.
 */
struct site_op {
	struct site_op **list; /* NULL: it is answered */
	publisher_site_fn *done;
	void *arg;
	struct site_op *prev, *next;
};

struct site_op *site_op_new(struct site_op **list, publisher_site_fn *done, void *arg)
{
	struct site_op *op = xcalloc(1, sizeof(*op));

	op->list = list;
	op->done = done;
	op->arg = arg;
	DL_APPEND(*list, op);
	return op;
}

struct site_op *site_op_free(struct site_op *op)
{
	if (!op)
		return NULL;
	if (op->list)
		DL_DELETE(*op->list, op);
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

void site_ops_answer(struct site_op **list, struct shown *const *shown, const char *otherwise)
{
	while (*list) {
		struct site_op *op = *list;

		DL_DELETE(*list, op);
		op->list = NULL;
		shown_answer(*shown, otherwise, op->done, op->arg);
	}
}
