/* SPDX-License-Identifier: MIT */
#include "mcp/binding.h"

#include <errno.h>
#include <string.h>
#include <utlist.h>

#include "base/hash.h"
#include "base/mem.h"
#include "base/metrics.h"

/* Whose they are. */
struct teller {
	UT_hash_handle hh; /* by user */
	char *user_id;
	struct entry *by_age; /* oldest first */
	size_t n;
};

struct entry {
	UT_hash_handle hh; /* by key */
	char *key;         /* see key_of() */
	char *app_id;
	char *session_id;
	usec_t added;
	struct teller *teller;
	struct entry *prev, *next;           /* of all, oldest first */
	struct entry *user_prev, *user_next; /* of the user's */
};

struct mcp_bindings {
	struct mcp_bindings_limits limits;
	struct entry *by_key;
	struct entry *by_age;
	struct teller *tellers;
	size_t n;
};

struct mcp_bindings *mcp_bindings_new(const struct mcp_bindings_limits *limits)
{
	struct mcp_bindings *b = xcalloc(1, sizeof(*b));

	mcp_bindings_set(b, limits);
	return b;
}

static void drop(struct mcp_bindings *b, struct entry *e)
{
	struct teller *t = e->teller;

	HASH_DEL(b->by_key, e);
	DL_DELETE(b->by_age, e);
	DL_DELETE2(t->by_age, e, user_prev, user_next);
	if (--t->n == 0) {
		HASH_DEL(b->tellers, t);
		free(t->user_id);
		free(t);
	}
	b->n--;
	metric_add(METRIC_MCP_BINDINGS, -1);
	free(e->key);
	free(e->app_id);
	free(e->session_id);
	free(e);
}

static void drop_old(struct mcp_bindings *b)
{
	usec_t now = clock_monotonic();

	while (b->by_age && (b->n > b->limits.max || now - b->by_age->added >= b->limits.ttl))
		drop(b, b->by_age);
}

struct mcp_bindings *mcp_bindings_free(struct mcp_bindings *b)
{
	if (!b)
		return NULL;

	while (b->by_age)
		drop(b, b->by_age);
	free(b);
	return NULL;
}

void mcp_bindings_set(struct mcp_bindings *b, const struct mcp_bindings_limits *limits)
{
	b->limits = *limits;
	drop_old(b);
}

/* None of its parts holds a newline. */
static char *key_of(const char *user_id, const char *app_id, const char *session_id,
		    const char *tool_use_id)
{
	return xasprintf("%s\n%s\n%s\n%s", user_id, app_id ? app_id : "",
			 session_id ? session_id : "", tool_use_id);
}

static struct entry *find(const struct mcp_bindings *b, const char *key)
{
	struct entry *e = NULL;

	HASH_FIND_STR(b->by_key, key, e);
	return e;
}

static struct teller *teller_find(const struct mcp_bindings *b, const char *user_id)
{
	struct teller *t;

	HASH_FIND_STR(b->tellers, user_id, t);
	return t;
}

static struct teller *teller_ensure(struct mcp_bindings *b, const char *user_id)
{
	struct teller *t = teller_find(b, user_id);

	if (t)
		return t;
	t = xcalloc(1, sizeof(*t));
	t->user_id = xstrdup(user_id);
	HASH_ADD_KEYPTR(hh, b->tellers, t->user_id, strlen(t->user_id), t);
	return t;
}

/* For one more of the user's: of their own the oldest gives way. */
static bool make_room(struct mcp_bindings *b, const char *user_id)
{
	struct teller *t = teller_find(b, user_id);

	if (b->n < b->limits.max && (!t || t->n < b->limits.per_user))
		return true;
	if (!t)
		return false;
	drop(b, t->by_age);
	return true;
}

void mcp_bindings_add(struct mcp_bindings *b, const struct principal *who, const char *tool_use_id,
		      const char *app_id, const char *session_id)
{
	scoped(freep) char *key = key_of(who->user_id, who->app_id, who->session_id, tool_use_id);
	struct entry *e;

	drop_old(b);
	e = find(b, key);
	if (e)
		drop(b, e);
	if (!make_room(b, who->user_id))
		return;
	e = xcalloc(1, sizeof(*e));
	e->key = STEAL(key);
	e->app_id = xstrdup_null(app_id);
	e->session_id = xstrdup(session_id);
	e->added = clock_monotonic();
	e->teller = teller_ensure(b, who->user_id);
	e->teller->n++;
	HASH_ADD_KEYPTR(hh, b->by_key, e->key, strlen(e->key), e);
	DL_APPEND(b->by_age, e);
	DL_APPEND2(e->teller->by_age, e, user_prev, user_next);
	b->n++;
	metric_inc(METRIC_MCP_BINDINGS);
}

int mcp_bindings_find(struct mcp_bindings *b, const struct principal *who, const char *tool_use_id,
		      struct mcp_binding *ret)
{
	scoped(freep) char *own = key_of(who->user_id, who->app_id, who->session_id, tool_use_id);
	scoped(freep) char *users = key_of(who->user_id, NULL, NULL, tool_use_id);
	const struct entry *e;

	drop_old(b);
	e = find(b, own);
	if (!e) /* what the user's own credential told holds for what is made of it */
		e = find(b, users);
	if (!e)
		return -ENOENT;
	*ret = (struct mcp_binding){ e->app_id, e->session_id };
	return 0;
}
