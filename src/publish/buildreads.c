/* SPDX-License-Identifier: MIT */
/*
 * Builds that are there already: read, canceled, forgotten with their session, found at start.
 */
#include <errno.h>
#include <string.h>
#include <utlist.h>

#include "base/mem.h"
#include "publish/publisher_priv.h"

static int find(struct publisher *p, const struct principal *principal,
		const struct session_ref *ref, const char *build_id, struct build **ret,
		struct fault *reterr)
{
	int r = publisher_may(p, principal, ref, reterr);

	if (r < 0)
		return r;
	*ret = build_find(p, ref->session_id, build_id);
	if (!*ret)
		return fault_set(reterr, FAULT_BUILD_NOT_FOUND, "session '%s' has no build '%s'",
				 ref->session_id, build_id);
	return 0;
}

int publisher_builds(struct publisher *p, const struct principal *principal,
		     const struct session_ref *ref, cJSON **ret, struct fault *reterr)
{
	int r = publisher_may(p, principal, ref, reterr);
	const struct shelf *shelf;
	cJSON *list;

	if (r < 0)
		return r;
	*ret = cJSON_CreateObject();
	list = cJSON_AddArrayToObject(*ret, "builds");
	shelf = shelf_find(p, ref->session_id);
	for (struct build *b = shelf ? shelf->builds : NULL; b; b = b->next)
		cJSON_AddItemToArray(list, build_view(b));
	return 0;
}

int publisher_build_get(struct publisher *p, const struct principal *principal,
			const struct session_ref *ref, const char *build_id, cJSON **ret,
			struct fault *reterr)
{
	struct build *b;
	int r = find(p, principal, ref, build_id, &b, reterr);

	if (r >= 0)
		*ret = build_view(b);
	return r;
}

int publisher_log(struct publisher *p, const struct principal *principal,
		  const struct session_ref *ref, const char *build_id, bool follow,
		  const struct textlog_ops *ops, void *arg, struct textlog_reader **ret,
		  struct fault *reterr)
{
	struct build *b;
	int r = find(p, principal, ref, build_id, &b, reterr);

	if (r >= 0)
		*ret = textlog_read(&b->log, follow, ops, arg);
	return r;
}

struct publisher_op *publisher_build_cancel(struct publisher *p, struct principal *principal,
					    const struct session_ref *ref, const char *build_id,
					    publisher_done_fn *done, void *arg,
					    struct fault *reterr)
{
	struct publisher_op *op;
	struct build *b;
	cJSON *j;

	if (find(p, principal, ref, build_id, &b, reterr) < 0)
		return NULL;
	op = publisher_op_new(p, NULL, done, arg);
	j = cJSON_CreateObject();
	if (build_is_live(b) && !b->switching) {
		build_cancel(b, "somebody asked for it");
		cJSON_AddBoolToObject(j, "canceled", true);
	} else {
		cJSON_AddBoolToObject(j, "canceled", false);
		json_add_string(j, "hint", "the build has ended already");
	}
	cJSON_AddItemToObject(j, "build", build_view(b));
	publisher_op_answer_later(op, 0, j);
	return op;
}

void builds_forget(struct shelf *shelf)
{
	struct build *b, *next;
	bool last = false;

	if (shelf->builds && build_is_live(shelf->builds))
		build_cancel(shelf->builds, "its session ended");
	for (b = shelf->builds; b && !last; b = next) {
		next = b->next;
		last = !next && !shelf->pages;
		if (!build_is_live(b))
			build_forget(b);
	}
}

/* Of one that its session's end let be, for it could not be canceled any more. */
void build_forget_if_over(struct build *b)
{
	const char *app_id, *user_id;

	if (!registry_session_lookup(b->shelf->session_id, &app_id, &user_id,
				     b->publisher->deps.registry))
		build_forget(b);
}

/*
 * At start.  What was under way then is under way no more.
 */
static const char interrupted_detail[] = "the daemon ended during the build; nothing was changed";

/* Who has seen it begin is waiting for its end. */
static void tell_interrupted(struct build *b)
{
	const char *name = json_string(b->document, "name"), *app_id, *user_id;
	cJSON *j;

	if (!name || !registry_session_lookup(b->shelf->session_id, &app_id, &user_id,
					      b->publisher->deps.registry))
		return;
	b->params.name = xstrdup(name);
	b->user_id = xstrdup(user_id);
	j = cJSON_CreateObject();
	json_add_string(j, "build_id", b->build_id);
	json_add_string(j, "name", name);
	json_add_string(j, "state", build_state_names[BUILD_STATE_INTERRUPTED]);
	json_add_string(j, "phase", json_string(b->document, "phase"));
	json_add_string(j, "code", fault_slug(FAULT_BUILD_INTERRUPTED));
	json_add_string(j, "detail", interrupted_detail);
	cJSON_AddArrayToObject(j, "log_tail");
	build_publish_event(b, "web_preview:publish_failed", j);
}

static void interrupted(struct build *b)
{
	cJSON *error = cJSON_CreateObject();
	struct store_batch *batch;
	char at[CLOCK_TEXT_SIZE];

	tell_interrupted(b);

	b->state = BUILD_STATE_INTERRUPTED;
	b->ended_at = clock_realtime();
	json_add_string(error, "code", fault_slug(FAULT_BUILD_INTERRUPTED));
	json_add_string(error, "detail", interrupted_detail);
	json_add_string(error, "phase", json_string(b->document, "phase"));
	cJSON_ReplaceItemInObject(b->document, "error", error);
	cJSON_ReplaceItemInObject(b->document, "phase", cJSON_CreateNull());
	cJSON_ReplaceItemInObject(b->document, "position", cJSON_CreateNull());
	cJSON_ReplaceItemInObject(b->document, "ended_at",
				  cJSON_CreateString(clock_format(b->ended_at, at)));
	cJSON_ReplaceItemInObject(b->document, "state",
				  cJSON_CreateString(build_state_names[b->state]));
	batch = store_batch_new();
	build_put(b, b->document, batch);
	publisher_commit(b->publisher, batch);
}

void build_load(struct publisher *p, const struct record_build *record)
{
	cJSON *document = cJSON_Parse(record->document);
	struct build *b;

	if (!document) /* somebody's hand in the database */
		return;
	b = build_make(p, record->session_id, record->build_id);
	b->app_id = xstrdup(record->app_id);
	b->created_at = (usec_t)record->created_at;
	b->document = document;
	textlog_end(&b->log);
	for (int i = 0; i < BUILD_STATE_COUNT_; i++)
		if (strcmp(build_state_names[i], record->state) == 0)
			b->state = (enum build_state)i;
	if (build_is_live(b))
		interrupted(b);
}

static int newest_first(const struct build *a, const struct build *b)
{
	return a->created_at > b->created_at ? -1 : a->created_at < b->created_at;
}

void builds_sort(struct shelf *shelf)
{
	DL_SORT(shelf->builds, newest_first);
}
