/* SPDX-License-Identifier: MIT */
#pragma once

#include <stdbool.h>
#include <stddef.h>
#include <sys/types.h>

#include "auth/principal.h"
#include "base/cleanup.h"
#include "base/clock.h"
#include "base/fault.h"
#include "config/settings.h"
#include "loop/loop.h"
#include "store/store.h"

/*
 * From a credential to a principal, and the session tokens previewd mints.
 *
 *	unix socket, the daemon's own uid	admin
 *	unix socket, another uid		that login's user, no admin
 *	the admin token				admin
 *	a JSON Web Token			its `sub`, narrowed by `app`, `sid` and `scope`
 *	a session token				agent or viewer of one session
 *	the edge's token			its scope, and nothing else
 *
 * A peer of another uid has every scope but admin, under its login's name ("uid-N" where it has
 * none that is a valid id).  An admin by socket or by token is the daemon's own login, else
 *"local". A JSON Web Token without `scope` has preview, publish and view: task, canvas,
 *session:create and admin have to be named.  Unknown scopes are ignored.
 */
struct auth;

/*
 * Loads the tokens of the store; `settings` and `admin_token` are copied.  A JWT key that can't be
 * read or doesn't fit its algorithm is a fault.
 */
int auth_new(struct loop *loop, struct store *store, const struct settings *settings,
	     const char *admin_token, struct auth **ret, struct fault *reterr) must_use;
struct auth *auth_free(struct auth *a);
DEFINE_CLEANUP(struct auth *, auth_free)

/* Takes over reloaded settings and reads the JWT key again; on failure nothing changes. */
int auth_reload(struct auth *a, const struct settings *settings, struct fault *reterr) must_use;

/*
 * The admin token of the state directory, made (0600) at the first start.  Refuses a file that
 * others can read.  The caller frees with secret_free().
 */
int auth_admin_token(int state_dirfd, char **ret, struct fault *reterr) must_use;

struct credential {
	bool is_unix;
	uid_t uid;          /* of a unix peer */
	const char *bearer; /* the token of "Authorization: Bearer …", or NULL */
};

/*
 * 0 and a reference, or FAULT_UNAUTHENTICATED, FAULT_TOKEN_INVALID, FAULT_TOKEN_EXPIRED.  A bearer
 * token goes before the unix peer: who shows one wants to be what it says.  A fault's sentence
 * never says which part of a token was wrong beyond "expired", and never repeats the token.
 */
int auth_authenticate(struct auth *a, const struct credential *credential, struct principal **ret,
		      struct fault *reterr) must_use;

/*
 * Session tokens: "pvt_" id "_" secret.  The store has only the secret's hash.
 */
struct token_info {
	const char *token_id;
	const char *session_id;
	const char *note;
	unsigned scopes;
	usec_t created_at; /* realtime */
	usec_t expires_at;
};

struct token_request {
	const char *app_id;  /* of the session */
	const char *user_id; /* its owner */
	const char *session_id;
	const char *note;
	unsigned scopes; /* of preview, publish, task, view */
	usec_t ttl;      /* 0: auth.token_ttl */
	/* For a one-time code: where the session's tokens are full the oldest such one gives way.
	 */
	bool exchanged;
};

/*
 * A change on its way to the store.  The handle is the caller's to free, before `done`, inside it
 * or after it.  Freed before, it means that `done` doesn't come; the change is made all the same.
 */
struct auth_op;
struct auth_op *auth_op_free(struct auth_op *op);
DEFINE_CLEANUP(struct auth_op *, auth_op_free)

/* On success `token` is the whole token, told this once, and `info` describes it; both borrowed. */
typedef void auth_mint_fn(int result, const char *token, const struct token_info *info,
			  const struct fault *fault, void *arg);

/* NULL with a fault when it is refused at once (limit, life too long, no scope or one of others).
 */
struct auth_op *auth_mint(struct auth *a, const struct token_request *request, auth_mint_fn *done,
			  void *arg, struct fault *reterr);

typedef void auth_done_fn(int result, const struct fault *fault, void *arg);

/*
 * The token is refused from the moment of the call, and stays so when the store fails
 * (FAULT_STORE_UNAVAILABLE): the deletion is tried again, by the next call and by the purge, but if
 * previewd restarts before one succeeds the token is good again.  NULL and FAULT_TOKEN_NOT_FOUND
 * for one that is not of that session.
 */
struct auth_op *auth_revoke(struct auth *a, const char *session_id, const char *token_id,
			    auth_done_fn *done, void *arg, struct fault *reterr);

/* Those of a session, newest first; expired ones are left out. */
typedef void auth_visit_fn(const struct token_info *info, void *arg);
void auth_tokens(struct auth *a, const char *session_id, auth_visit_fn *visit, void *arg);

/*
 * Session end: the deletion of all its tokens goes into the batch that ends it; they stop being
 * accepted at once, and stay so even if the batch fails (a session whose end failed gets new ones).
 */
void auth_revoke_session(struct auth *a, const char *session_id, struct store_batch *batch);

/*
 * When that batch is done: tells of these tokens, so that who follows the session hears of its end
 * before the stream is closed.
 */
void auth_session_revoked(struct auth *a, const char *session_id);

/*
 * Called on the loop when a token stops being accepted (revoked, its session ended): event streams
 * opened with it are closed by this.  Expiry is the streams' own business (principal.expires_at).
 */
typedef void auth_revoked_fn(const char *token_id, void *arg);
void auth_on_revoked(struct auth *a, auth_revoked_fn *fn, void *arg);

/*
 * One-time codes: what `previewctl open` puts into a browser's address, to be exchanged there for a
 * session token.  Kept in memory only, and only as hashes; gone when exchanged, after
 * auth.code_ttl, or with their session.
 */
struct code_info {
	char *app_id;
	char *session_id;
	char *user_id;
	char *name;  /* of the preview to show, or NULL */
	char *label; /* of the host at the edge that it opens, or NULL: the panel's */
	char *path;  /* to lead to there, or NULL: the preview's own */
	unsigned scopes;
	usec_t ttl;   /* 0: auth.code_ttl */
	bool has_uid; /* of a peer of the unix socket: the code is for a browser of the same */
	uid_t uid;
	usec_t expires_at; /* realtime */
	/* Of what its maker showed: with the one or after the other the code is worth nothing. */
	char *token_id;     /* a session token, or NULL */
	usec_t maker_until; /* realtime; 0: for good */
};

void code_info_done(struct code_info *info);

/* The code, told this once, which the caller frees with secret_free(); `info` is copied and its
 * expires_at filled in.  FAULT_TOO_MANY_REQUESTS past limits.codes and
 * limits.codes_per_user. */
int auth_code_mint(struct auth *a, struct code_info *info, char **ret,
		   struct fault *reterr) must_use;

/*
 * Takes it off: 0 and what it stands for, freed by code_info_done(), or FAULT_CODE_INVALID. `uid`
 * is whose connection shows it, NULL where that can't be known; with another's than its maker's
 * nothing happens, nor where it is for another `label` (NULL: the panel).
 */
int auth_code_take(struct auth *a, const char *code, const char *label, const uid_t *uid,
		   struct code_info *ret, struct fault *reterr) must_use;

/*
 * What a browser shows at the edge from then on: good for the host with that label alone, until
 * then (realtime), and for nothing else.  It is signed, not kept: it holds over restarts, and what
 * ends it early is the label's end, or that of the session token (or NULL) whose holder gave the
 * link away.  The caller frees with secret_free().
 */
char *auth_edge_pass_new(const struct auth *a, const char *label, const char *token_id,
			 usec_t expires_at);
bool auth_edge_pass_is_valid(const struct auth *a, const char *label, const char *pass);

/* The daemon's own: an admin's by socket or by token.  Borrowed until settings are taken over. */
const char *auth_own_user(struct auth *a);

/*
 * The credential of the edge's proxy, with the scope `edge` alone: "pve_…", made from the admin
 * token and as good as that one.  The caller frees with secret_free().
 */
char *auth_edge_token(const struct auth *a);

/*
 * The owner of a session, asked when a session token is shown: app and user come from the session.
 * false: it is not alive.  Set once, by the daemon.
 */
typedef bool auth_session_fn(const char *session_id, const char **ret_app_id,
			     const char **ret_user_id, void *arg);
void auth_set_session_lookup(struct auth *a, auth_session_fn *fn, void *arg);
