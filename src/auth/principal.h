/* SPDX-License-Identifier: MIT */
#pragma once

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>
#include <sys/types.h>

#include "base/cleanup.h"
#include "base/clock.h"
#include "base/fault.h"

/* What a credential may do, as bits: SCOPE_PREVIEW, SCOPE_VIEW, … */
enum scope_index {
#define SCOPE(name, text, help) SCOPE_INDEX_##name,
#include "auth/scopes.def"
#undef SCOPE
	SCOPE_COUNT_,
};

enum scope {
#define SCOPE(name, text, help) SCOPE_##name = 1u << SCOPE_INDEX_##name,
#include "auth/scopes.def"
#undef SCOPE
};

/* Separated by spaces.  -EINVAL when one is unknown,
 * unless `ignore_unknown`. */
int scopes_parse(const char *text, bool ignore_unknown, unsigned *ret) must_use;
char *scopes_format(unsigned scopes); /* the caller frees */

/* Which session: its app is checked against the one the session has kept. */
struct session_ref {
	const char *app_id;
	const char *session_id;
};

enum principal_via {
	VIA_SOCKET,
	VIA_ADMIN_TOKEN,
	VIA_JWT,
	VIA_SESSION_TOKEN,
	VIA_EDGE_TOKEN,
};

/*
 * Who makes a request, and what of it they may do.  Immutable and shared by reference: a request,
 * an event stream and an operation under way each hold one.
 */
struct principal {
	size_t refs;
	enum principal_via via;
	bool admin;
	char *user_id;    /* never NULL */
	char *app_id;     /* narrowed to this app; NULL: any */
	char *session_id; /* narrowed to this session; NULL: any */
	unsigned scopes;
	char *token_id;    /* of a session token, else NULL */
	usec_t expires_at; /* realtime; USEC_INFINITY: never */
	bool has_uid;      /* a unix peer */
	uid_t uid;
};

struct principal *principal_ref(struct principal *p);
struct principal *principal_unref(struct principal *p);
DEFINE_CLEANUP(struct principal *, principal_unref)

/* Whether it has one of those scopes (an admin has all). */
bool principal_may(const struct principal *p, unsigned any_of);

/* Whether a session of that app, id and owner is one it may know of. */
bool principal_sees(const struct principal *p, const char *app_id, const char *session_id,
		    const char *user_id);

/* Whether both are the same user's, held to the same app and session. */
bool principal_is_alike(const struct principal *a, const struct principal *b);

/*
 * By which uid's rights it may name files: the daemon's own for an admin, its own for a unix peer.
 * RIGHTS_NONE for other tokens, and for an admin's that is held to an app or a session: whoever has
 * that is to reach no more than those.
 */
#define RIGHTS_NONE (-1)
int64_t principal_rights(const struct principal *p);

/* Whether it may bring a session of that app and id into being. */
bool principal_may_create(const struct principal *p, const char *app_id, const char *session_id);
