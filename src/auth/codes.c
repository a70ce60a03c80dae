/* SPDX-License-Identifier: MIT */
/*
 * One-time codes.  A code is seen by whatever shows a browser's address (its history, a process
 * list), so it is worth nothing soon, nothing to another login of this machine, and nothing at all
 * once it was used: a token takes its place, which no address ever carries.
 */
#include "auth/auth.h"

#include <errno.h>
#include <stdlib.h>
#include <string.h>

#include "auth/auth_priv.h"
#include "base/crypto.h"
#include "base/ids.h"
#include "base/log.h"
#include "base/mem.h"
#include "base/metrics.h"

LOG_AREA("auth");

#define CODE_BYTES 24

struct code {
	UT_hash_handle hh; /* by hash, in the order of minting */
	char hash[SHA256_HEX_SIZE];
	usec_t deadline; /* monotonic */
	struct code_info info;
};

void code_info_done(struct code_info *info)
{
	free(info->app_id);
	free(info->session_id);
	free(info->user_id);
	free(info->name);
	free(info->label);
	free(info->path);
	free(info->token_id);
	*info = (struct code_info){ 0 };
}

static void remove_code(struct auth *a, struct code *c)
{
	HASH_DEL(a->codes, c);
	metric_set(METRIC_CODES, HASH_COUNT(a->codes));
	code_info_done(&c->info);
	free(c);
}

static void drop_expired(struct auth *a)
{
	const usec_t now = clock_monotonic();
	struct code *c, *next;

	/* All of them: they have not all the same time. */
	HASH_ITER(hh, a->codes, c, next)
	{
		if (now >= c->deadline)
			remove_code(a, c);
	}
}

static void on_time(void *arg)
{
	struct auth *a = arg;

	drop_expired(a);
	if (a->codes)
		timer_set(a->codes_timer, a->code_ttl);
}

void codes_begin(struct auth *a)
{
	a->codes_timer = timer_new(a->loop, on_time, a);
}

void codes_configure(struct auth *a, const struct settings *settings)
{
	a->codes_max = settings->limits_codes;
	a->codes_per_user = settings->limits_codes_per_user;
	a->code_ttl = settings->auth_code_ttl;
}

void codes_done(struct auth *a)
{
	struct code *c, *next;

	HASH_ITER(hh, a->codes, c, next)
	remove_code(a, c);
	timer_free(a->codes_timer);
}

void codes_drop_session(struct auth *a, const char *session_id)
{
	struct code *c, *next;

	HASH_ITER(hh, a->codes, c, next)
	{
		if (strcmp(c->info.session_id, session_id) == 0)
			remove_code(a, c);
	}
}

static int check_limits(const struct auth *a, const char *user_id, struct fault *reterr)
{
	const unsigned n = HASH_COUNT(a->codes);
	unsigned of_user = 0;
	int r;

	for (const struct code *c = a->codes; c; c = c->hh.next)
		of_user += strcmp(c->info.user_id, user_id) == 0;
	if (n < a->codes_max && of_user < a->codes_per_user)
		return 0;

	r = fault_set(reterr, FAULT_TOO_MANY_REQUESTS,
		      "%u codes wait for their exchange, %u of them for this user, which is the "
		      "limit: try again when some have expired",
		      n, of_user);
	reterr->retry_after_seconds = (unsigned)(a->code_ttl / USEC_PER_SEC);
	return r;
}

int auth_code_mint(struct auth *a, struct code_info *info, char **ret, struct fault *reterr)
{
	scoped(secret_freep) char *text = xcalloc(1, 2 * CODE_BYTES + 1);
	const usec_t ttl = info->ttl ? info->ttl : a->code_ttl;
	struct code *c;
	int r;

	drop_expired(a);
	r = check_limits(a, info->user_id, reterr);
	if (r < 0)
		return r;

	random_hex(text, CODE_BYTES);
	info->expires_at = clock_realtime() + ttl;
	c = xcalloc(1, sizeof(*c));
	c->deadline = clock_monotonic() + ttl;
	c->info = (struct code_info){
		.app_id = xstrdup(info->app_id),
		.session_id = xstrdup(info->session_id),
		.user_id = xstrdup(info->user_id),
		.name = xstrdup_null(info->name),
		.label = xstrdup_null(info->label),
		.path = xstrdup_null(info->path),
		.scopes = info->scopes,
		.has_uid = info->has_uid,
		.uid = info->uid,
		.expires_at = info->expires_at,
		.token_id = xstrdup_null(info->token_id),
		.maker_until = info->maker_until,
	};
	sha256_hex(text, strlen(text), c->hash);
	HASH_ADD_STR(a->codes, hash, c);
	metric_set(METRIC_CODES, HASH_COUNT(a->codes));
	if (!timer_is_set(a->codes_timer))
		timer_set(a->codes_timer, a->code_ttl);
	*ret = STEAL(text);
	return 0;
}

static bool same_label(const char *a, const char *b)
{
	return a && b ? strcmp(a, b) == 0 : a == b;
}

/* It opens no more than its maker may still see. */
static bool maker_is_good(const struct auth *a, const struct code_info *info)
{
	return (!info->token_id || token_is_live(a, info->token_id)) &&
	       (!info->maker_until || clock_realtime() < info->maker_until);
}

int auth_code_take(struct auth *a, const char *code, const char *label, const uid_t *uid,
		   struct code_info *ret, struct fault *reterr)
{
	char hash[SHA256_HEX_SIZE];
	struct code *c;

	drop_expired(a);
	/* Found by its hash: how long that takes tells nothing of the code itself. */
	sha256_hex(code, strlen(code), hash);
	HASH_FIND_STR(a->codes, hash, c);
	if (c && (!same_label(c->info.label, label) || !maker_is_good(a, &c->info)))
		c = NULL;
	if (c && c->info.has_uid && uid && *uid != c->info.uid) {
		log_warning("session '%s': uid %u shows a one-time code that was made for uid %u",
			    c->info.session_id, (unsigned)*uid, (unsigned)c->info.uid);
		c = NULL;
	}
	if (!c) {
		metric_inc(METRIC_AUTH_FAILURES);
		return fault_set(reterr, FAULT_CODE_INVALID,
				 "the code was used already or has expired; `previewctl open` "
				 "makes a new one");
	}

	*ret = c->info;
	c->info = (struct code_info){ 0 };
	remove_code(a, c);
	return 0;
}
