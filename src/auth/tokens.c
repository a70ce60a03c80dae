/* SPDX-License-Identifier: MIT */
/*
 * Session tokens: minted, shown, listed, revoked, expired.  The daemon answers from memory; the
 * store has their hashes for the next start.
 *
 * A dead token stays in memory, refused, until its record is known to be deleted.  So a deletion
 * that failed is tried again, and a session that ends and comes back doesn't bring its old tokens
 * along.
 */
#include "auth/auth.h"

#include <errno.h>
#include <stdlib.h>
#include <string.h>
#include <utlist.h>

#include "auth/auth_priv.h"
#include "base/crypto.h"
#include "base/ids.h"
#include "base/log.h"
#include "base/mem.h"
#include "base/metrics.h"

LOG_AREA("auth");

#define TOKEN_ID_LENGTH 12
#define SECRET_BYTES    24
#define PURGE_INTERVAL  (600 * USEC_PER_SEC)
#define MINTABLE_SCOPES (SCOPE_PREVIEW | SCOPE_PUBLISH | SCOPE_TASK | SCOPE_VIEW)

struct auth_op {
	LIST_ENTRY(auth_op) link;
	unsigned refs;     /* the caller's handle, and the commit's way back */
	struct auth *auth; /* NULL when the commit has ended, or auth is gone */
	struct store_commit *commit;
	char *token_id;
	char *text; /* of a mint: the whole token */
	auth_mint_fn *on_mint;
	auth_done_fn *on_revoke;
	void *arg;
};

/*
 * Tokens in memory.
 */
static void set_state(struct token *t, enum token_state state)
{
	metric_add(METRIC_TOKENS, (state == TOKEN_LIVE) - (t->state == TOKEN_LIVE));
	t->state = state;
}

static bool is_live(const struct token *t, usec_t now)
{
	return t->state == TOKEN_LIVE && now < t->expires_at;
}

static struct token *find_token(struct auth *a, const char *token_id)
{
	struct token *t;

	HASH_FIND_STR(a->tokens, token_id, t);
	return t;
}

static struct session_tokens *find_session(struct auth *a, const char *session_id)
{
	struct session_tokens *s;

	HASH_FIND_STR(a->sessions, session_id, s);
	return s;
}

static struct session_tokens *need_session(struct auth *a, const char *session_id)
{
	struct session_tokens *s = find_session(a, session_id);

	if (s)
		return s;

	s = xcalloc(1, sizeof(*s));
	s->session_id = xstrdup(session_id);
	HASH_ADD_KEYPTR(hh, a->sessions, s->session_id, strlen(s->session_id), s);
	return s;
}

static struct token *add_token(struct auth *a, const struct record_token *record, unsigned scopes,
			       enum token_state state)
{
	struct token *t = xcalloc(1, sizeof(*t));

	*t = (struct token){
		.token_id = xstrdup(record->token_id),
		.secret_hash = xstrdup(record->secret_hash),
		.note = xstrdup(record->note),
		.scopes = scopes,
		.exchanged = record->exchanged != 0,
		.created_at = (usec_t)record->created_at,
		.expires_at = (usec_t)record->expires_at,
		.session = need_session(a, record->session_id),
	};
	set_state(t, state);
	HASH_ADD_KEYPTR(hh, a->tokens, t->token_id, strlen(t->token_id), t);
	DL_PREPEND(t->session->tokens, t);

	if (!timer_is_set(a->purge_timer))
		timer_set(a->purge_timer, PURGE_INTERVAL);
	return t;
}

/*
 * Telling of revoked tokens: from the loop, so that nobody's stream is closed under their feet.
 */
static void on_tell_revoked(void *arg)
{
	struct auth *a = arg;
	char **revoked = STEAL(a->revoked);
	size_t n = a->n_revoked;

	a->n_revoked = 0;
	for (size_t i = 0; i < n; i++) {
		for (size_t j = 0; j < a->n_listeners; j++)
			a->listeners[j].fn(revoked[i], a->listeners[j].arg);
		free(revoked[i]);
	}
	free(revoked);
}

static void tell_soon(struct auth *a, struct token *t)
{
	t->untold = false;
	a->revoked = xrealloc(a->revoked, (a->n_revoked + 1) * sizeof(a->revoked[0]));
	a->revoked[a->n_revoked++] = xstrdup(t->token_id);
	timer_set(a->revoked_timer, 0);
}

static void remove_token(struct auth *a, struct token *t)
{
	struct session_tokens *s = t->session;

	if (t->untold)
		tell_soon(a, t);
	set_state(t, TOKEN_DEAD);
	HASH_DEL(a->tokens, t);
	DL_DELETE(s->tokens, t);
	if (!s->tokens) {
		HASH_DEL(a->sessions, s);
		free(s->session_id);
		free(s);
	}
	if (!a->tokens)
		timer_cancel(a->purge_timer);

	free(t->token_id);
	free(t->secret_hash);
	free(t->note);
	free(t);
}

static struct token_info info_of(const struct token *t)
{
	return (struct token_info){
		.token_id = t->token_id,
		.session_id = t->session->session_id,
		.note = t->note,
		.scopes = t->scopes,
		.created_at = t->created_at,
		.expires_at = t->expires_at,
	};
}

static void delete_record(struct store_batch *batch, const struct token *t)
{
	store_delete(batch, RECORD_KIND_TOKEN, &(struct record_token){ .token_id = t->token_id });
}

void auth_on_revoked(struct auth *a, auth_revoked_fn *fn, void *arg)
{
	a->listeners = xrealloc(a->listeners, (a->n_listeners + 1) * sizeof(a->listeners[0]));
	a->listeners[a->n_listeners++] = (struct revoked_listener){ .fn = fn, .arg = arg };
}

/*
 * The purge.
 */
static void on_purged(int result, void *arg)
{
	struct auth *a = arg;
	struct token *t, *next;

	a->purge = store_commit_free(a->purge);
	HASH_ITER(hh, a->tokens, t, next)
	{
		if (t->being_purged && result == 0)
			remove_token(a, t);
		else
			t->being_purged = false;
	}
}

void tokens_purge(struct auth *a)
{
	scoped(store_batch_freep) struct store_batch *batch = NULL;
	const usec_t now = clock_realtime();
	struct token *t, *next;

	if (a->tokens)
		timer_set(a->purge_timer, PURGE_INTERVAL);
	if (a->purge)
		return;

	HASH_ITER(hh, a->tokens, t, next)
	{
		if (t->state == TOKEN_LIVE && t->expires_at <= now)
			set_state(t, TOKEN_DEAD);
		if (t->state != TOKEN_DEAD)
			continue;
		if (!batch)
			batch = store_batch_new();
		delete_record(batch, t);
		t->being_purged = true;
	}
	if (batch)
		a->purge = store_commit_consume(a->store, STEAL(batch), on_purged, a);
}

static void on_purge_time(void *arg)
{
	tokens_purge(arg);
}

/*
 * Start and end.
 */
static int load_token(const void *record, void *arg)
{
	const struct record_token *r = record;
	struct auth *a = arg;
	unsigned scopes;

	/* A record of a later previewd may name more: what isn't known isn't given. */
	if (scopes_parse(r->scopes, true, &scopes) < 0)
		scopes = 0;
	add_token(a, r, scopes & MINTABLE_SCOPES, TOKEN_LIVE);
	return 0;
}

static int compare_newest_first(const struct token *a, const struct token *b)
{
	return (a->created_at < b->created_at) - (a->created_at > b->created_at);
}

int tokens_load(struct auth *a, struct fault *reterr)
{
	struct session_tokens *s, *next;
	int r;

	a->purge_timer = timer_new(a->loop, on_purge_time, a);
	a->revoked_timer = timer_new(a->loop, on_tell_revoked, a);

	r = store_load(a->store, RECORD_KIND_TOKEN, load_token, a, reterr);
	if (r < 0)
		return r;
	HASH_ITER(hh, a->sessions, s, next)
	DL_SORT(s->tokens, compare_newest_first);
	tokens_purge(a);
	return 0;
}

void tokens_configure(struct auth *a, const struct settings *settings)
{
	a->tokens_per_session = settings->limits_tokens_per_session;
	a->token_ttl = settings->auth_token_ttl;
	a->token_ttl_max = settings->auth_token_ttl_max;
}

static void op_unref(struct auth_op *op)
{
	if (--op->refs > 0)
		return;
	free(op->token_id);
	secret_free(op->text);
	free(op);
}

static void op_leave(struct auth_op *op)
{
	LIST_REMOVE(op, link);
	op->auth = NULL;
	op->commit = store_commit_free(op->commit);
}

void tokens_done(struct auth *a)
{
	struct auth_op *op;
	struct token *t, *next;

	while ((op = LIST_FIRST(&a->ops))) {
		op_leave(op);
		op_unref(op);
	}
	store_commit_free(a->purge);
	HASH_ITER(hh, a->tokens, t, next)
	remove_token(a, t);
	timer_free(a->purge_timer);
	timer_free(a->revoked_timer);
	for (size_t i = 0; i < a->n_revoked; i++)
		free(a->revoked[i]);
	free(a->revoked);
	free(a->listeners);
}

/*
 * Showing one.
 */
int tokens_check(struct auth *a, const char *bearer, const struct token **ret, struct fault *reterr)
{
	const char *token_id = bearer + strlen(SESSION_TOKEN_PREFIX);
	const char *secret = strchr(token_id, '_');
	char hash[SHA256_HEX_SIZE];
	/* As much work where there is no such token: which ids there are is not to be measured. */
	static const char no_hash[SHA256_HEX_SIZE] = "";
	struct token *t = NULL;
	bool is_right = false;

	if (secret) {
		HASH_FIND(hh, a->tokens, token_id, (size_t)(secret - token_id), t);
		sha256_hex(secret + 1, strlen(secret + 1), hash);
		is_right = secret_equal(hash, t ? t->secret_hash : no_hash);
	}
	if (!t || t->state != TOKEN_LIVE || !is_right)
		return fault_set(reterr, FAULT_TOKEN_INVALID, "the token is not valid here");
	if (!is_live(t, clock_realtime()))
		return fault_set(reterr, FAULT_TOKEN_EXPIRED,
				 "the token has expired: ask for a new one");

	*ret = t;
	return 0;
}

bool token_is_live(const struct auth *a, const char *token_id)
{
	struct token *t;

	HASH_FIND_STR(a->tokens, token_id, t);
	return t && is_live(t, clock_realtime());
}

/*
 * Minting and revoking.
 */
static int store_fault(struct fault *f, const char *what)
{
	return fault_set(f, FAULT_STORE_UNAVAILABLE, "%s", what);
}

static void tell_minted(struct auth_op *op, struct auth *a, int result)
{
	scoped(fault_done) struct fault fault = { 0 };
	struct token *t = find_token(a, op->token_id);
	auth_mint_fn *done = op->on_mint;
	struct token_info info;
	int r;

	if (result < 0) {
		if (t)
			remove_token(a, t);
		r = store_fault(&fault, "the token could not be stored: try again later");
	} else if (!t || t->state == TOKEN_DEAD) {
		r = fault_set(&fault, FAULT_SESSION_NOT_FOUND,
			      "the session ended while the token was being made");
	} else {
		set_state(t, TOKEN_LIVE);
		info = info_of(t);
		if (done)
			done(0, op->text, &info, NULL, op->arg);
		return;
	}
	if (done)
		done(r, NULL, NULL, &fault, op->arg);
}

static void tell_revoked(struct auth_op *op, struct auth *a, int result)
{
	scoped(fault_done) struct fault fault = { 0 };
	struct token *t = find_token(a, op->token_id);
	auth_done_fn *done = op->on_revoke;

	if (result < 0) {
		int r = store_fault(&fault,
				    "the token is refused from now on, but the store could "
				    "not be told: revoke it again, or a restart of previewd "
				    "may bring it back");

		if (done)
			done(r, &fault, op->arg);
		return;
	}

	if (t && !t->being_purged)
		remove_token(a, t);
	if (done)
		done(0, NULL, op->arg);
}

static void on_written(int result, void *arg)
{
	struct auth_op *op = arg;
	struct auth *a = op->auth;

	op_leave(op);
	if (op->text)
		tell_minted(op, a, result);
	else
		tell_revoked(op, a, result);
	op_unref(op);
}

static struct auth_op *op_start(struct auth *a, const char *token_id, char *text_take,
				struct store_batch *batch_consume)
{
	struct auth_op *op = xcalloc(1, sizeof(*op));

	op->refs = 2;
	op->auth = a;
	op->token_id = xstrdup(token_id);
	op->text = text_take;
	LIST_INSERT_HEAD(&a->ops, op, link);
	op->commit = store_commit_consume(a->store, batch_consume, on_written, op);
	return op;
}

struct auth_op *auth_op_free(struct auth_op *op)
{
	if (!op)
		return NULL;

	op->on_mint = NULL;
	op->on_revoke = NULL;
	op_unref(op);
	return NULL;
}

/* Those on their way count as well: the limit holds however many are asked for at once. */
static unsigned count_tokens(struct auth *a, const char *session_id, usec_t now)
{
	struct session_tokens *s = find_session(a, session_id);
	struct token *t;
	unsigned n = 0;

	if (!s)
		return 0;
	DL_FOREACH(s->tokens, t)
	n += t->state == TOKEN_PENDING || is_live(t, now);
	return n;
}

/*
 * A browser that is closed leaves its token behind, and nobody knows of it any more to revoke it:
 * of these the oldest gives way to the next browser, and never what was minted for an agent.
 */
static bool may_give_way(const struct token *t, usec_t now)
{
	return t->exchanged && is_live(t, now);
}

static unsigned count_exchanged(struct auth *a, const char *session_id, usec_t now)
{
	struct session_tokens *s = find_session(a, session_id);
	struct token *t;
	unsigned n = 0;

	if (!s)
		return 0;
	DL_FOREACH(s->tokens, t)
	n += may_give_way(t, now);
	return n;
}

static struct token *oldest_exchanged(struct auth *a, const char *session_id, usec_t now)
{
	struct session_tokens *s = find_session(a, session_id);
	struct token *t, *oldest = NULL;

	if (!s)
		return NULL;
	DL_FOREACH(s->tokens, t)
	{
		if (may_give_way(t, now))
			oldest = t;
	}
	return oldest;
}

/* For one more. As when one is revoked, the old one is refused from now on whatever the store says.
 */
static void make_room(struct auth *a, const char *session_id, usec_t now, struct store_batch *batch)
{
	while (count_tokens(a, session_id, now) >= a->tokens_per_session) {
		struct token *t = oldest_exchanged(a, session_id, now);

		if (!t)
			return;
		log_info("session '%s': the panel's token '%s' gives way to a newer one",
			 session_id, t->token_id);
		tell_soon(a, t);
		set_state(t, TOKEN_DEAD);
		delete_record(batch, t);
	}
}

static int check_request(struct auth *a, const struct token_request *request, usec_t now,
			 struct fault *reterr)
{
	char most[PARSE_TEXT_SIZE];

	if (request->scopes == 0 || (request->scopes & ~(unsigned)MINTABLE_SCOPES))
		return fault_field(reterr, "scopes",
				   "must be one or more of preview, publish, task and view");
	if (request->ttl > a->token_ttl_max)
		return fault_field(reterr, "ttl_seconds", "is more than auth.token_ttl_max, %s",
				   format_duration(a->token_ttl_max, most));
	if (count_tokens(a, request->session_id, now) >=
	    a->tokens_per_session +
		    (request->exchanged ? count_exchanged(a, request->session_id, now) : 0))
		return fault_set(
			reterr, FAULT_TOKEN_LIMIT,
			"the session has %u tokens, which is its limit: revoke one, or wait "
			"for one to expire",
			a->tokens_per_session);
	return 0;
}

static usec_t life_of(const struct auth *a, const struct token_request *request)
{
	if (request->ttl > 0)
		return request->ttl;
	return a->token_ttl < a->token_ttl_max ? a->token_ttl : a->token_ttl_max;
}

struct auth_op *auth_mint(struct auth *a, const struct token_request *request, auth_mint_fn *done,
			  void *arg, struct fault *reterr)
{
	const usec_t now = clock_realtime();
	scoped(freep) char *scopes = NULL;
	char token_id[TOKEN_ID_LENGTH + 1];
	char secret[2 * SECRET_BYTES + 1];
	char hash[SHA256_HEX_SIZE];
	struct record_token record;
	struct store_batch *batch;
	struct auth_op *op;
	char *text;

	if (check_request(a, request, now, reterr) < 0)
		return NULL;

	random_label(token_id, TOKEN_ID_LENGTH);
	random_hex(secret, SECRET_BYTES);
	sha256_hex(secret, strlen(secret), hash);
	text = xasprintf(SESSION_TOKEN_PREFIX "%s_%s", token_id, secret);
	explicit_bzero(secret, sizeof(secret));

	scopes = scopes_format(request->scopes);
	record = (struct record_token){
		.token_id = token_id,
		.session_id = request->session_id,
		.secret_hash = hash,
		.scopes = scopes,
		.note = request->note ? request->note : "",
		.created_at = (int64_t)now,
		.expires_at = (int64_t)(now + life_of(a, request)),
		.exchanged = request->exchanged,
	};
	batch = store_batch_new();
	if (request->exchanged)
		make_room(a, request->session_id, now, batch);
	store_put(batch, RECORD_KIND_TOKEN, &record);
	add_token(a, &record, request->scopes, TOKEN_PENDING);

	op = op_start(a, token_id, text, batch);
	op->on_mint = done;
	op->arg = arg;
	return op;
}

struct auth_op *auth_revoke(struct auth *a, const char *session_id, const char *token_id,
			    auth_done_fn *done, void *arg, struct fault *reterr)
{
	struct token *t = find_token(a, token_id);
	struct store_batch *batch;
	struct auth_op *op;

	if (!t || t->state == TOKEN_PENDING || strcmp(t->session->session_id, session_id) != 0) {
		fault_set(reterr, FAULT_TOKEN_NOT_FOUND, "the session has no such token");
		return NULL;
	}

	if (t->state == TOKEN_LIVE)
		log_info("session '%s': token '%s' is revoked", session_id, token_id);
	if (t->state == TOKEN_LIVE)
		tell_soon(a, t);
	set_state(t, TOKEN_DEAD);
	batch = store_batch_new();
	delete_record(batch, t);

	op = op_start(a, token_id, NULL, batch);
	op->on_revoke = done;
	op->arg = arg;
	return op;
}

void auth_tokens(struct auth *a, const char *session_id, auth_visit_fn *visit, void *arg)
{
	struct session_tokens *s = find_session(a, session_id);
	const usec_t now = clock_realtime();
	struct token *t;

	if (!s)
		return;
	DL_FOREACH(s->tokens, t)
	{
		struct token_info info = info_of(t);

		if (is_live(t, now))
			visit(&info, arg);
	}
}

void auth_revoke_session(struct auth *a, const char *session_id, struct store_batch *batch)
{
	struct session_tokens *s = find_session(a, session_id);
	struct token *t;

	codes_drop_session(a, session_id);
	if (!s)
		return;
	DL_FOREACH(s->tokens, t)
	{
		t->untold |= t->state == TOKEN_LIVE;
		set_state(t, TOKEN_DEAD);
		delete_record(batch, t);
	}
}

void auth_session_revoked(struct auth *a, const char *session_id)
{
	struct session_tokens *s = find_session(a, session_id);
	struct token *t;

	if (!s)
		return;
	DL_FOREACH(s->tokens, t)
	{
		if (t->untold)
			tell_soon(a, t);
	}
}
