/* SPDX-License-Identifier: MIT */
#pragma once

#include "base/cleanup.h"
#include "base/clock.h"
#include "base/fault.h"
#include "config/settings.h"

/*
 * JSON Web Tokens (RFC 7519), verified by libjwt with the one algorithm of the settings (RFC 8725
 * section 3.1): "none" and any other are refused whatever the key.
 */
struct jwt_verifier;

/* NULL in `ret` and 0 where auth.jwt_algorithm is none. */
int jwt_verifier_new(const struct settings *settings, struct jwt_verifier **ret,
		     struct fault *reterr) must_use;
struct jwt_verifier *jwt_verifier_free(struct jwt_verifier *v);
DEFINE_CLEANUP(struct jwt_verifier *, jwt_verifier_free)

struct jwt_claims {
	char *sub;	   /* never NULL */
	char *app;	   /* or NULL */
	char *sid;	   /* or NULL */
	char *scope;	   /* separated by spaces; NULL when the token names none */
	usec_t expires_at; /* realtime; the leeway not added */
};

void jwt_claims_done(struct jwt_claims *c);

/* FAULT_TOKEN_INVALID or FAULT_TOKEN_EXPIRED; what exactly was wrong goes to the debug log. */
int jwt_verify(const struct jwt_verifier *v, const char *token, struct jwt_claims *ret,
	       struct fault *reterr) must_use;
