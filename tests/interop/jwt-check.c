/* SPDX-License-Identifier: MIT */
/*
 * jwt-check ALGORITHM KEYFILE [AUDIENCE [ISSUER]]: reads JSON Web Tokens, one a line, and writes
 * what previewd makes of each as one line of JSON.  For jwt.test.mjs.
 */
#include <errno.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "auth/jwt.h"
#include "base/json.h"
#include "base/mem.h"

static int algorithm_of(const char *name)
{
	static const char *const names[] = { "none", "HS256", "RS256", "ES256" };

	for (size_t i = 0; i < ARRAY_SIZE(names); i++)
		if (strcmp(names[i], name) == 0)
			return (int)i;
	return -EINVAL;
}

static void judge(const struct jwt_verifier *v, const char *token)
{
	scoped(jwt_claims_done) struct jwt_claims claims = { 0 };
	scoped(fault_done) struct fault fault = { 0 };
	scoped(json_freep) cJSON *verdict = cJSON_CreateObject();
	scoped(freep) char *text = NULL;

	if (jwt_verify(v, token, &claims, &fault) < 0) {
		json_add_string(verdict, "code", fault_slug(fault.code));
	} else {
		json_add_string(verdict, "sub", claims.sub);
		json_add_string(verdict, "app", claims.app);
		json_add_string(verdict, "sid", claims.sid);
		json_add_string(verdict, "scope", claims.scope);
		json_add_time(verdict, "expires_at", claims.expires_at);
	}
	text = json_print(verdict);
	puts(text);
}

int main(int argc, char **argv)
{
	scoped(jwt_verifier_freep) struct jwt_verifier *v = NULL;
	scoped(fault_done) struct fault fault = { 0 };
	scoped(freep) char *line = NULL;
	struct settings settings = { .auth_jwt_leeway = 5 * USEC_PER_SEC };
	size_t size = 0;

	mem_init();
	if (argc < 3 || argc > 5 || (settings.auth_jwt_algorithm = algorithm_of(argv[1])) <= 0) {
		fprintf(stderr, "usage: jwt-check HS256|RS256|ES256 KEYFILE [AUDIENCE [ISSUER]]\n");
		return 2;
	}
	settings.auth_jwt_key_file = argv[2];
	settings.auth_jwt_audience = argc > 3 ? argv[3] : NULL;
	settings.auth_jwt_issuer = argc > 4 ? argv[4] : NULL;

	if (jwt_verifier_new(&settings, &v, &fault) < 0) {
		fprintf(stderr, "%s\n", fault.detail);
		return 1;
	}
	while (getline(&line, &size, stdin) >= 0) {
		line[strcspn(line, "\n")] = '\0';
		judge(v, line);
	}
	return 0;
}
