/* SPDX-License-Identifier: MIT */
#pragma once

#include "base/cleanup.h"
#include "base/clock.h"
#include "base/fault.h"
#include "config/settings.h"

/*
 * JSON Web Tokens (RFC 7519), verified by libjwt with the one algorithm of the settings (RFC 8725
 * section 3.1): "none" and any other are refused whatever the key.
 *
 * A token needs `sub` and a numeric `exp`.  `nbf` and `iat` are honoured where they are there,
 * `aud` and `iss` where the settings name one.  `app` and `sid` narrow it; `scope` is a string with
 * spaces or an array of strings (RFC 8693 section 4.2).  A header `typ` must be JWT where it is
 * there (so libjwt wants it: "at+jwt" of RFC 9068 is refused), and `crit` is refused.
 */
struct jwt_verifier;

/*
 * NULL in `ret` and 0 where auth.jwt_algorithm is none.  The key is refused when it doesn't fit: a
 * secret of less than 32 bytes, one that others can read, an RSA key of less than 2048 bits, an EC
 * key on another curve than P-256, a private key.
 */
int jwt_verifier_new(const struct settings *settings, struct jwt_verifier **ret,
		     struct fault *reterr) must_use;
struct jwt_verifier *jwt_verifier_free(struct jwt_verifier *v);
DEFINE_CLEANUP(struct jwt_verifier *, jwt_verifier_free)

#define JWT_LENGTH_MAX 8192 /* bytes; a longer token is refused unread */

struct jwt_claims {
	char *sub;         /* never NULL */
	char *app;         /* or NULL */
	char *sid;         /* or NULL */
	char *scope;       /* separated by spaces; NULL when the token has no such claim */
	usec_t expires_at; /* realtime; the leeway not added */
};

void jwt_claims_done(struct jwt_claims *c);

/* FAULT_TOKEN_INVALID or FAULT_TOKEN_EXPIRED; what exactly was wrong goes to the debug log. */
int jwt_verify(const struct jwt_verifier *v, const char *token, struct jwt_claims *ret,
	       struct fault *reterr) must_use;
