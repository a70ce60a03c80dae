/* SPDX-License-Identifier: MIT */
/*
 * What a browser shows at the edge: "EXPIRY.TOKEN_ID.SIGNATURE" of one label.
 *
 * Nothing of it is kept, so that nobody can make the daemon keep much, and a restart ends none.  A
 * label is unguessable and ends with its attachment, and a pass ends with both; so it does with the
 * session token of who gave the link away, where it was one: who may look no more lets nobody look.
 */
#include "auth/auth.h"

#include <string.h>

#include "auth/auth_priv.h"
#include "base/crypto.h"
#include "base/ids.h"
#include "base/mem.h"
#include "base/parse.h"

#define EDGE_TOKEN_PREFIX "pve_"

/* A new admin token makes a new key: who has to make one wants everything of before to end. */
void edge_begin(struct auth *a)
{
	static const char purpose[] = "previewd edge pass";

	if (a->admin_token)
		hmac_sha256_hex(a->admin_token, strlen(a->admin_token), purpose, strlen(purpose),
				a->edge_key);
	else
		random_hex(a->edge_key, (SHA256_HEX_SIZE - 1) / 2);
}

static char *pass_of(const struct auth *a, const char *label, uint64_t expiry, const char *token_id)
{
	scoped(freep) char *said =
		xasprintf("%llu.%s", (unsigned long long)expiry, token_id ? token_id : "");
	scoped(freep) char *text = xasprintf("%s.%s", said, label);
	char signature[SHA256_HEX_SIZE];

	hmac_sha256_hex(a->edge_key, strlen(a->edge_key), text, strlen(text), signature);
	return xasprintf("%s.%s", said, signature);
}

char *auth_edge_pass_new(const struct auth *a, const char *label, const char *token_id,
			 usec_t expires_at)
{
	return pass_of(a, label, expires_at / USEC_PER_SEC, token_id);
}

bool auth_edge_pass_is_valid(const struct auth *a, const char *label, const char *pass)
{
	const size_t digits_len = strcspn(pass, ".");
	scoped(freep) char *digits = xstrndup(pass, digits_len);
	const char *id = pass[digits_len] ? pass + digits_len + 1 : "";
	scoped(freep) char *token_id = xstrndup(id, strcspn(id, "."));
	scoped(secret_freep) char *expected = NULL;
	uint64_t expiry;

	if (parse_u64(digits, &expiry) < 0)
		return false;
	expected = pass_of(a, label, expiry, token_id);
	return secret_equal(pass, expected) && expiry > clock_realtime() / USEC_PER_SEC &&
	       (!*token_id || token_is_live(a, token_id));
}

char *auth_edge_token(const struct auth *a)
{
	static const char purpose[] = "previewd edge token"; /* a pass begins with a digit */
	char secret[SHA256_HEX_SIZE];

	hmac_sha256_hex(a->edge_key, strlen(a->edge_key), purpose, strlen(purpose), secret);
	return xasprintf(EDGE_TOKEN_PREFIX "%s", secret);
}

bool edge_token_is(const struct auth *a, const char *bearer)
{
	scoped(secret_freep) char *token = auth_edge_token(a);

	return secret_equal(bearer, token);
}
