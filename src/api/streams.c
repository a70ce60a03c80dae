/* SPDX-License-Identifier: MIT */
/*
 * How many event streams there may be, over either transport, and who may have how many of them.
 *
 * A browser shows its credential only when its stream is open.  So those that have shown none take
 * nobody's place: where all places are taken, the one that has waited the longest for its
 * credential gives way.
 */
#include <string.h>

#include "api/api_priv.h"
#include "base/hash.h"
#include "base/mem.h"
#include "base/metrics.h"
#include "socketio/socketio.h"

struct stream_user {
	UT_hash_handle hh;
	char *user_id;
	size_t n;
};

static int refuse(struct fault *reterr, size_t n, const char *whose)
{
	int r = fault_set(reterr, FAULT_TOO_MANY_STREAMS, "%zu event streams%s are open already", n,
			  whose);

	reterr->retry_after_seconds = 5;
	return r;
}

int streams_admit(struct api *api, struct fault *reterr)
{
	if (api->draining)
		return fault_set(reterr, FAULT_DRAINING, "the daemon is shutting down");
	if (api->n_streams < api->settings->events_streams_max)
		return 0;
	if (!stream_drop_nameless(api) && !socketio_drop_unconnected(api->socketio))
		return refuse(reterr, api->n_streams, "");
	metric_inc(METRIC_STREAMS_GAVE_WAY);
	return 0;
}

/* The daemon's own user's are the operator's, who sets the limit. */
static bool is_unbounded(const struct api *api, const struct principal *who)
{
	return who->admin || strcmp(who->user_id, auth_own_user(api->deps.auth)) == 0;
}

int stream_user_enter(struct api *api, const struct principal *who, struct stream_user **ret,
		      struct fault *reterr)
{
	struct stream_user *u;

	*ret = NULL;
	if (is_unbounded(api, who))
		return 0;
	HASH_FIND_STR(api->stream_users, who->user_id, u);
	if (u && u->n >= api->settings->events_streams_per_user)
		return refuse(reterr, u->n, " of this user");
	if (!u) {
		u = xcalloc(1, sizeof(*u));
		u->user_id = xstrdup(who->user_id);
		HASH_ADD_KEYPTR(hh, api->stream_users, u->user_id, strlen(u->user_id), u);
	}
	u->n++;
	*ret = u;
	return 0;
}

void stream_user_leave(struct api *api, struct stream_user *u)
{
	if (!u || --u->n > 0)
		return;
	HASH_DEL(api->stream_users, u);
	free(u->user_id);
	free(u);
}
