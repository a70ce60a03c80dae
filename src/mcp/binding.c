/* SPDX-License-Identifier: MIT */
#include "mcp/binding.h"

#include <errno.h>
#include <string.h>
#include <uthash.h>
#include <utlist.h>

#include "base/mem.h"
#include "base/metrics.h"

struct entry {
	UT_hash_handle hh; /* by key */
	char *key;         /* user and tool use: neither holds a newline */
	char *app_id;
	char *session_id;
	usec_t added;
	struct entry *prev, *next; /* oldest first */
};

struct mcp_bindings {
	unsigned max;
	usec_t ttl;
	struct entry *by_key;
	struct entry *by_age;
	size_t n;
};

struct mcp_bindings *mcp_bindings_new(unsigned max, usec_t ttl)
{
	struct mcp_bindings *b = xcalloc(1, sizeof(*b));

	mcp_bindings_set(b, max, ttl);
	return b;
}

static void drop(struct mcp_bindings *b, struct entry *e)
{
	HASH_DEL(b->by_key, e);
	DL_DELETE(b->by_age, e);
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

	while (b->by_age && (b->n > b->max || now - b->by_age->added >= b->ttl))
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

void mcp_bindings_set(struct mcp_bindings *b, unsigned max, usec_t ttl)
{
	b->max = max;
	b->ttl = ttl;
	drop_old(b);
}

static struct entry *find(const struct mcp_bindings *b, const char *user_id,
			  const char *tool_use_id)
{
	scoped(freep) char *key = xasprintf("%s\n%s", user_id, tool_use_id);
	struct entry *e = NULL;

	HASH_FIND_STR(b->by_key, key, e);
	return e;
}

void mcp_bindings_add(struct mcp_bindings *b, const char *user_id, const char *tool_use_id,
		      const char *app_id, const char *session_id)
{
	struct entry *e = find(b, user_id, tool_use_id);

	if (e)
		drop(b, e);
	e = xcalloc(1, sizeof(*e));
	e->key = xasprintf("%s\n%s", user_id, tool_use_id);
	e->app_id = xstrdup_null(app_id);
	e->session_id = xstrdup(session_id);
	e->added = clock_monotonic();
	HASH_ADD_KEYPTR(hh, b->by_key, e->key, strlen(e->key), e);
	DL_APPEND(b->by_age, e);
	b->n++;
	metric_inc(METRIC_MCP_BINDINGS);
	drop_old(b);
}

int mcp_bindings_find(struct mcp_bindings *b, const char *user_id, const char *tool_use_id,
		      struct mcp_binding *ret)
{
	const struct entry *e;

	drop_old(b);
	e = find(b, user_id, tool_use_id);
	if (!e)
		return -ENOENT;
	*ret = (struct mcp_binding){ e->app_id, e->session_id };
	return 0;
}
