/* SPDX-License-Identifier: MIT */
#pragma once

#include <sys/queue.h>

#include "auth/auth.h"
#include "base/crypto.h"
#include "base/hash.h"

/*
 * What auth.c (credentials) and tokens.c (the session tokens) share.
 */
#define SESSION_TOKEN_PREFIX "pvt_"

struct auth_op;
struct jwt_verifier;
struct logins;

enum token_state {
	TOKEN_PENDING, /* minted, not durable yet: nobody has it */
	TOKEN_LIVE,
	TOKEN_DEAD, /* revoked or expired: refused, and kept until its record is surely gone */
};

struct token {
	UT_hash_handle hh; /* by id */
	enum token_state state;
	bool being_purged; /* in the batch of the purge under way */
	bool untold;       /* DEAD, and its listeners wait for auth_session_revoked() */
	char *token_id;
	char *secret_hash;
	char *note;
	unsigned scopes;
	bool exchanged; /* for a one-time code: gives way where the session's tokens are full */
	usec_t created_at;
	usec_t expires_at;
	struct session_tokens *session;
	struct token *prev, *next; /* of its session, newest first */
};

struct session_tokens {
	UT_hash_handle hh; /* by session_id */
	char *session_id;
	struct token *tokens;
};

struct revoked_listener {
	auth_revoked_fn *fn;
	void *arg;
};

struct auth {
	struct loop *loop;
	struct store *store;
	char *admin_token;
	struct jwt_verifier *jwt; /* NULL: none are accepted */
	usec_t jwt_leeway;
	struct logins *logins;
	auth_session_fn *session_lookup;
	void *session_lookup_arg;

	struct token *tokens;
	struct session_tokens *sessions;
	unsigned tokens_per_session;
	usec_t token_ttl;
	usec_t token_ttl_max;
	LIST_HEAD(, auth_op) ops;

	struct timer *purge_timer; /* set while there are tokens */
	struct store_commit *purge;

	struct timer *revoked_timer; /* tells `revoked` to the listeners */
	char **revoked;
	size_t n_revoked;
	struct revoked_listener *listeners;
	size_t n_listeners;

	struct code *codes; /* by hash: oldest first */
	unsigned codes_max, codes_per_user;
	usec_t code_ttl;
	struct timer *codes_timer; /* of the oldest */

	char edge_key[SHA256_HEX_SIZE]; /* signs what browsers show at the edge */
};

int tokens_load(struct auth *a, struct fault *reterr) must_use;
void tokens_configure(struct auth *a, const struct settings *settings);
void tokens_done(struct auth *a);

/* The token of a bearer "pvt_…", borrowed; FAULT_TOKEN_INVALID or FAULT_TOKEN_EXPIRED. */
int tokens_check(struct auth *a, const char *bearer, const struct token **ret,
		 struct fault *reterr) must_use;

/* Whether that token would be accepted now. */
bool token_is_live(const struct auth *a, const char *token_id);

void edge_begin(struct auth *a);
bool edge_token_is(const struct auth *a, const char *bearer);

void codes_begin(struct auth *a);
void codes_configure(struct auth *a, const struct settings *settings);
void codes_done(struct auth *a);
void codes_drop_session(struct auth *a, const char *session_id);

/* What the purge timer does: deletes dead and expired tokens from the store, in one batch. */
void tokens_purge(struct auth *a);
