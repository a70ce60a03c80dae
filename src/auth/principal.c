/* SPDX-License-Identifier: MIT */
/* Who makes a request and what of it they may do: the questions the domain asks, answered here
 * only. */
#include "auth/principal.h"

#include <errno.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "base/mem.h"
#include "base/parse.h"
#include "base/strbuf.h"

static const char *const scope_names[SCOPE_COUNT_] = {
#define SCOPE(name, text, help) [SCOPE_INDEX_##name] = text,
#include "auth/scopes.def"
#undef SCOPE
};

static unsigned scope_of(const char *name)
{
	for (size_t i = 0; i < SCOPE_COUNT_; i++)
		if (strcmp(scope_names[i], name) == 0)
			return 1u << i;
	return 0;
}

int scopes_parse(const char *text, bool ignore_unknown, unsigned *ret)
{
	scoped(strv_freep) char **names = parse_list(text, ' ');
	unsigned scopes = 0;

	for (char **name = names; *name; name++) {
		unsigned scope = scope_of(*name);

		if (scope == 0 && !ignore_unknown)
			return -EINVAL;
		scopes |= scope;
	}

	*ret = scopes;
	return 0;
}

char *scopes_format(unsigned scopes)
{
	scoped(strbuf_done) struct strbuf b = strbuf_init(STRBUF_UNLIMITED);

	for (size_t i = 0; i < SCOPE_COUNT_; i++)
		if (scopes & 1u << i)
			strbuf_printf(&b, "%s%s", b.len > 0 ? " " : "", scope_names[i]);
	return strbuf_steal(&b);
}

struct principal *principal_ref(struct principal *p)
{
	p->refs++;
	return p;
}

struct principal *principal_unref(struct principal *p)
{
	if (!p || --p->refs > 0)
		return NULL;

	free(p->user_id);
	free(p->app_id);
	free(p->session_id);
	free(p->token_id);
	free(p);
	return NULL;
}

bool principal_may(const struct principal *p, unsigned any_of)
{
	return p->admin || (p->scopes & any_of) != 0;
}

/* What its credential names, it is held to: an admin's token narrowed to an app stays in it. */
static bool is_within(const struct principal *p, const char *app_id, const char *session_id)
{
	if (p->app_id && strcmp(p->app_id, app_id) != 0)
		return false;
	return !p->session_id || strcmp(p->session_id, session_id) == 0;
}

bool principal_sees(const struct principal *p, const char *app_id, const char *session_id,
		    const char *user_id)
{
	return is_within(p, app_id, session_id) && (p->admin || strcmp(p->user_id, user_id) == 0);
}

static bool same_or_none(const char *a, const char *b)
{
	return a && b ? strcmp(a, b) == 0 : a == b;
}

bool principal_is_alike(const struct principal *a, const struct principal *b)
{
	return strcmp(a->user_id, b->user_id) == 0 && same_or_none(a->app_id, b->app_id) &&
	       same_or_none(a->session_id, b->session_id);
}

int64_t principal_rights(const struct principal *p)
{
	if (p->admin && !p->app_id && !p->session_id)
		return geteuid();
	return p->has_uid ? (int64_t)p->uid : RIGHTS_NONE;
}

bool principal_may_create(const struct principal *p, const char *app_id, const char *session_id)
{
	return is_within(p, app_id, session_id) &&
	       (p->session_id || principal_may(p, SCOPE_SESSION_CREATE));
}
