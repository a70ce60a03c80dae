/* SPDX-License-Identifier: MIT */
/*
 * Sessions of the legacy era.  They hold no more than the calls under way; forgetting one costs its
 * client an `initialize`.
 */
#include <errno.h>
#include <string.h>
#include <utlist.h>

#include "base/ids.h"
#include "base/log.h"
#include "base/mem.h"
#include "base/metrics.h"
#include "mcp/server_priv.h"

LOG_AREA("mcp");

static usec_t expires(const struct mcp_session *s)
{
	return s->used + s->server->settings->session_idle;
}

static void schedule(struct mcp_server *server)
{
	const struct mcp_session *oldest = server->by_use;
	usec_t now = clock_monotonic();

	if (!oldest)
		timer_cancel(server->expiry);
	else if (!timer_is_set(server->expiry))
		timer_set(server->expiry, expires(oldest) > now ? expires(oldest) - now : 0);
}

static void on_expiry(void *arg)
{
	struct mcp_server *server = arg;
	usec_t now = clock_monotonic();
	struct mcp_session *s, *next;

	DL_FOREACH_SAFE(server->by_use, s, next)
	{
		if (expires(s) > now)
			break;
		if (s->n_calls > 0)
			mcp_session_used(s);
		else
			mcp_session_free(s);
	}
	schedule(server);
}

void mcp_sessions_begin(struct mcp_server *server)
{
	server->expiry = timer_new(server->loop, on_expiry, server);
}

void mcp_sessions_end(struct mcp_server *server)
{
	while (server->by_use)
		mcp_session_free(server->by_use);
	server->expiry = timer_free(server->expiry);
}

struct mcp_session *mcp_session_free(struct mcp_session *s)
{
	struct mcp_server *server = s->server;

	while (s->calls)
		mcp_call_cancel(s->calls);
	HASH_DEL(server->by_id, s);
	DL_DELETE(server->by_use, s);
	server->n_sessions--;
	metric_add(METRIC_MCP_SESSIONS, -1);
	principal_unref(s->owner);
	free(s);
	return NULL;
}

void mcp_session_used(struct mcp_session *s)
{
	struct mcp_server *server = s->server;

	s->used = clock_monotonic();
	DL_DELETE(server->by_use, s);
	DL_APPEND(server->by_use, s);
}

/* Of a user who has as many as they may, the one that was unused the longest goes. */
static int make_room(struct mcp_server *server, const struct principal *who)
{
	struct mcp_session *s, *oldest = NULL;
	size_t n = 0;

	DL_FOREACH(server->by_use, s)
	{
		if (strcmp(s->owner->user_id, who->user_id) != 0)
			continue;
		n++;
		if (!oldest && s->n_calls == 0)
			oldest = s;
	}
	if (n < server->settings->sessions_per_user &&
	    server->n_sessions < server->settings->sessions_max)
		return 0;
	if (!oldest)
		return -EDQUOT;
	log_debug("user '%s' begins one more MCP session than may be: ending the oldest",
		  who->user_id);
	metric_inc(METRIC_MCP_SESSIONS_EVICTED);
	mcp_session_free(oldest);
	return 0;
}

int mcp_session_new(struct mcp_server *server, struct principal *who, struct mcp_session **ret)
{
	struct mcp_session *s;
	int r = make_room(server, who);

	if (r < 0)
		return r;
	s = xcalloc(1, sizeof(*s));
	s->server = server;
	random_hex(s->id, MCP_SESSION_ID_LENGTH / 2);
	s->owner = principal_ref(who);
	s->used = clock_monotonic();
	HASH_ADD_STR(server->by_id, id, s);
	DL_APPEND(server->by_use, s);
	server->n_sessions++;
	metric_add(METRIC_MCP_SESSIONS, 1);
	schedule(server);
	*ret = s;
	return 0;
}

struct mcp_session *mcp_session_find(struct mcp_server *server, const char *id,
				     const struct principal *who)
{
	struct mcp_session *s = NULL;

	HASH_FIND_STR(server->by_id, id, s);
	return s && principal_is_alike(s->owner, who) ? s : NULL;
}
