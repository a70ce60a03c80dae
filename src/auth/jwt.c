/* SPDX-License-Identifier: MIT */
/*
 * JSON Web Tokens.  libjwt decodes and checks the signature; everything a token may be wrong in
 * beyond that is checked here, because libjwt 1.10 takes the algorithm from the token itself.
 */
#include "auth/jwt.h"

#include <errno.h>
#include <fcntl.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>

#include "base/files.h"
#include "base/ids.h"
#include "base/json.h"
#include "base/log.h"
#include "base/mem.h"
#include "base/strbuf.h"

#ifdef HAVE_JWT

#include <jwt.h>
#include <openssl/bio.h>
#include <openssl/err.h>
#include <openssl/evp.h>
#include <openssl/pem.h>

LOG_AREA("jwt");

#define KEY_FILE_MAX (16 * 1024)
#define HMAC_KEY_MIN 32 /* RFC 7518 section 3.2: as long as the hash */
#define RSA_BITS_MIN 2048
#define SECONDS_MAX                                                                  \
	253402300799.0 /* the end of the year 9999: more is most likely milliseconds \
			*/

struct jwt_verifier {
	int algorithm; /* JWT_HS256, … */
	char *key;
	size_t key_len;
	char *audience; /* NULL: any */
	char *issuer;   /* NULL: any */
	usec_t leeway;
};

static const char *algorithm_name(int algorithm)
{
	static const char *const names[] = {
		[JWT_NONE] = "none",
		[JWT_HS256] = "HS256",
		[JWT_RS256] = "RS256",
		[JWT_ES256] = "ES256",
	};

	return names[algorithm];
}

/*
 * The key.
 */
static BIO *bio_free(BIO *b)
{
	BIO_free(b);
	return NULL;
}
DEFINE_CLEANUP(BIO *, bio_free)

static EVP_PKEY *pkey_free(EVP_PKEY *k)
{
	EVP_PKEY_free(k);
	return NULL;
}
DEFINE_CLEANUP(EVP_PKEY *, pkey_free)

/* Against an operator's slip, not an attacker: who can change the file can change the key anyway.
 */
static int check_key_file(const char *path, int algorithm, struct fault *reterr)
{
	struct stat st;

	if (stat(path, &st) < 0)
		return fault_set(reterr, FAULT_BAD_REQUEST, "auth.jwt_key_file: %s: %s", path,
				 strerror(errno));
	if (!S_ISREG(st.st_mode))
		return fault_set(reterr, FAULT_BAD_REQUEST,
				 "auth.jwt_key_file: %s is not a regular file", path);
	if (algorithm == JWT_HS256 && (st.st_mode & S_IRWXO))
		return fault_set(
			reterr, FAULT_BAD_REQUEST,
			"auth.jwt_key_file: %s is open to other users, who could make tokens "
			"with it: chmod o= it",
			path);
	if (st.st_mode & S_IWOTH)
		return fault_set(reterr, FAULT_BAD_REQUEST,
				 "auth.jwt_key_file: other users can write %s: chmod o-w it", path);
	return 0;
}

static int take_secret(struct jwt_verifier *v, const char *path, struct fault *reterr)
{
	static const char pem[] = "-----BEGIN ";

	if (v->key_len > 0 && v->key[v->key_len - 1] == '\n')
		v->key_len--;
	if (v->key_len >= strlen(pem) && memcmp(v->key, pem, strlen(pem)) == 0)
		return fault_set(
			reterr, FAULT_BAD_REQUEST,
			"auth.jwt_key_file: %s is in PEM, but HS256 wants a shared secret: "
			"for a public key, set auth.jwt_algorithm to RS256 or ES256",
			path);
	if (v->key_len < HMAC_KEY_MIN)
		return fault_set(
			reterr, FAULT_BAD_REQUEST,
			"auth.jwt_key_file: %s holds %zu bytes, but HS256 wants at least %d: "
			"make one with `openssl rand -hex 32`",
			path, v->key_len, HMAC_KEY_MIN);
	return 0;
}

static int no_passphrase(char *buf, int size, int for_writing, void *arg)
{
	(void)buf, (void)size, (void)for_writing, (void)arg;
	return -1;
}

static int check_public_key(EVP_PKEY *key, int algorithm, const char *path, struct fault *reterr)
{
	char curve[64] = "";

	if (algorithm == JWT_RS256) {
		if (!EVP_PKEY_is_a(key, "RSA"))
			return fault_set(
				reterr, FAULT_BAD_REQUEST,
				"auth.jwt_key_file: %s holds no RSA key, which RS256 wants", path);
		if (EVP_PKEY_get_bits(key) < RSA_BITS_MIN)
			return fault_set(
				reterr, FAULT_BAD_REQUEST,
				"auth.jwt_key_file: the RSA key of %s has %d bits, but RS256 "
				"wants at least %d",
				path, EVP_PKEY_get_bits(key), RSA_BITS_MIN);
		return 0;
	}

	if (!EVP_PKEY_is_a(key, "EC") ||
	    EVP_PKEY_get_group_name(key, curve, sizeof(curve), NULL) != 1 ||
	    strcmp(curve, "prime256v1") != 0)
		return fault_set(
			reterr, FAULT_BAD_REQUEST,
			"auth.jwt_key_file: %s holds no key on the curve P-256, which ES256 "
			"wants",
			path);
	return 0;
}

/* Keeps the key as it was understood, so that libjwt can't find another one in the same file. */
static int take_public_key(struct jwt_verifier *v, const char *path, struct fault *reterr)
{
	scoped(bio_freep) BIO *in = BIO_new_mem_buf(v->key, (int)v->key_len);
	scoped(bio_freep) BIO *out = BIO_new(BIO_s_mem());
	scoped(pkey_freep) EVP_PKEY *key = NULL;
	char *pem;
	long len;
	int r;

	if (strstr(v->key, "PRIVATE KEY-----"))
		return fault_set(reterr, FAULT_BAD_REQUEST,
				 "auth.jwt_key_file: %s holds a private key, which belongs to the "
				 "issuer alone: give the public one (openssl pkey -pubout)",
				 path);

	key = PEM_read_bio_PUBKEY(in, NULL, no_passphrase, NULL);
	ERR_clear_error();
	if (!key)
		return fault_set(reterr, FAULT_BAD_REQUEST,
				 "auth.jwt_key_file: %s holds no public key in PEM "
				 "(\"-----BEGIN PUBLIC KEY-----\")",
				 path);

	r = check_public_key(key, v->algorithm, path, reterr);
	if (r < 0)
		return r;

	if (PEM_write_bio_PUBKEY(out, key) != 1)
		return fault_set(reterr, FAULT_INTERNAL, "cannot write the key of %s again", path);
	len = BIO_get_mem_data(out, &pem);
	free(v->key);
	v->key = xmemdup(pem, (size_t)len);
	v->key_len = (size_t)len;
	return 0;
}

static int read_key(struct jwt_verifier *v, const char *path, struct fault *reterr)
{
	int r;

	if (!path)
		return fault_set(reterr, FAULT_BAD_REQUEST,
				 "auth.jwt_algorithm is %s, so auth.jwt_key_file must name its key",
				 algorithm_name(v->algorithm));

	r = check_key_file(path, v->algorithm, reterr);
	if (r < 0)
		return r;

	r = read_file_at(AT_FDCWD, path, KEY_FILE_MAX, &v->key, &v->key_len);
	if (r < 0)
		return fault_set(reterr, FAULT_BAD_REQUEST, "auth.jwt_key_file: %s: %s", path,
				 strerror(-r));

	if (v->algorithm == JWT_HS256)
		return take_secret(v, path, reterr);
	return take_public_key(v, path, reterr);
}

int jwt_verifier_new(const struct settings *settings, struct jwt_verifier **ret,
		     struct fault *reterr)
{
	scoped(jwt_verifier_freep) struct jwt_verifier *v = NULL;
	int r;

	if (settings->auth_jwt_algorithm == JWT_NONE) {
		*ret = NULL;
		return 0;
	}

	v = xcalloc(1, sizeof(*v));
	v->algorithm = settings->auth_jwt_algorithm;
	v->audience = xstrdup_null(settings->auth_jwt_audience);
	v->issuer = xstrdup_null(settings->auth_jwt_issuer);
	v->leeway = settings->auth_jwt_leeway;

	r = read_key(v, settings->auth_jwt_key_file, reterr);
	if (r < 0)
		return r;

	*ret = STEAL(v);
	return 0;
}

struct jwt_verifier *jwt_verifier_free(struct jwt_verifier *v)
{
	if (!v)
		return NULL;

	if (v->key)
		explicit_bzero(v->key, v->key_len);
	free(v->key);
	free(v->audience);
	free(v->issuer);
	free(v);
	return NULL;
}

/*
 * The token's outside.  Each check gives NULL when it is content, else what is wrong.
 */
static jwt_t *token_free(jwt_t *t)
{
	jwt_free(t);
	return NULL;
}
DEFINE_CLEANUP(jwt_t *, token_free)

static const char *check_part(const char *part, size_t len)
{
	static const char base64url[] = "ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz"
					"0123456789-_";

	return len > 0 && len % 4 != 1 && strspn(part, base64url) >= len
		       ? NULL
		       : "a part of it is empty or not base64url";
}

/*
 * libjwt 1.10 skips what isn't base64 and, on an empty part, writes behind its buffer: nothing but
 * three well-formed parts gets to it.
 */
static const char *check_shape(const char *token)
{
	const char *part = token;
	const char *wrong = NULL;

	if (strnlen(token, JWT_LENGTH_MAX + 1) > JWT_LENGTH_MAX)
		return "it is too long";

	for (int i = 0; i < 3 && !wrong; i++) {
		size_t len = strcspn(part, ".");

		if ((part[len] == '.') != (i < 2))
			return "it has not three parts";
		wrong = check_part(part, len);
		part += len + 1;
	}
	return wrong;
}

/*
 * Reads the header before the key comes near the token: with the token's own choice, a public key
 * would do as the secret of an HMAC, and "none" as no signature.  Without a key libjwt only
 * decodes.
 */
static const char *check_header(const struct jwt_verifier *v, const char *token)
{
	scoped(token_freep) jwt_t *undecided = NULL;
	scoped(freep) char *critical = NULL;
	const char *algorithm;

	if (jwt_decode(&undecided, token, NULL, 0) != 0)
		return "its header or its claims cannot be read";

	algorithm = jwt_get_header(undecided, "alg");
	if (!algorithm || strcmp(algorithm, algorithm_name(v->algorithm)) != 0)
		return "its algorithm is not the one of auth.jwt_algorithm";

	critical = jwt_get_headers_json(undecided, "crit");
	if (critical)
		return "it has critical headers (RFC 7515 section 4.1.11), of which none is known";
	return NULL;
}

static const char *read_signed(const struct jwt_verifier *v, const char *token, cJSON **ret)
{
	static const jwt_alg_t algorithms[] = {
		[JWT_HS256] = JWT_ALG_HS256,
		[JWT_RS256] = JWT_ALG_RS256,
		[JWT_ES256] = JWT_ALG_ES256,
	};
	scoped(token_freep) jwt_t *decoded = NULL;
	scoped(freep) char *claims = NULL;
	int r;

	r = jwt_decode(&decoded, token, (const unsigned char *)v->key, (int)v->key_len);
	ERR_clear_error();
	if (r != 0 || jwt_get_alg(decoded) != algorithms[v->algorithm])
		return "its signature is not right";

	claims = jwt_get_grants_json(decoded, NULL);
	if (!claims || json_parse(claims, strlen(claims), ret, NULL) < 0)
		return "its claims cannot be read";
	if (!cJSON_IsObject(*ret))
		return "its claims are not an object";
	return NULL;
}

/*
 * The claims.
 */
static const char *read_id(const cJSON *claims, const char *name, char **ret)
{
	const cJSON *claim = cJSON_GetObjectItemCaseSensitive(claims, name);

	if (!claim)
		return NULL;
	if (!cJSON_IsString(claim) || !id_is_valid(claim->valuestring))
		return "its sub, app or sid is no identifier";
	*ret = xstrdup(claim->valuestring);
	return NULL;
}

static const char *read_scopes(const cJSON *claim, char **ret)
{
	scoped(strbuf_done) struct strbuf b = strbuf_init(JWT_LENGTH_MAX);
	const cJSON *scope;

	cJSON_ArrayForEach(scope, claim)
	{
		if (!cJSON_IsString(scope) || strchr(scope->valuestring, ' '))
			return "its scope is not an array of names";
		strbuf_printf(&b, "%s%s", b.len > 0 ? " " : "", scope->valuestring);
	}
	if (b.error)
		return "its scope is too long";
	*ret = strbuf_steal(&b);
	return NULL;
}

static const char *read_scope(const cJSON *claims, char **ret)
{
	const cJSON *claim = cJSON_GetObjectItemCaseSensitive(claims, "scope");

	if (!claim)
		return NULL;
	if (cJSON_IsArray(claim))
		return read_scopes(claim, ret);
	if (!cJSON_IsString(claim))
		return "its scope is neither a string nor an array";
	*ret = xstrdup(claim->valuestring);
	return NULL;
}

static bool audience_has(const cJSON *claim, const char *audience)
{
	const cJSON *one;

	if (cJSON_IsString(claim))
		return strcmp(claim->valuestring, audience) == 0;
	if (!cJSON_IsArray(claim))
		return false;
	cJSON_ArrayForEach(one, claim) if (cJSON_IsString(one) &&
					   strcmp(one->valuestring, audience) == 0) return true;
	return false;
}

static const char *check_parties(const struct jwt_verifier *v, const cJSON *claims)
{
	const char *issuer = json_string(claims, "iss");

	if (v->audience &&
	    !audience_has(cJSON_GetObjectItemCaseSensitive(claims, "aud"), v->audience))
		return "it is for another audience";
	if (v->issuer && (!issuer || strcmp(issuer, v->issuer) != 0))
		return "it is from another issuer";
	return NULL;
}

/* A NumericDate (RFC 7519 section 2).  0 where the claim is missing. */
static const char *read_date(const cJSON *claims, const char *name, usec_t *ret)
{
	const cJSON *claim = cJSON_GetObjectItemCaseSensitive(claims, name);

	*ret = 0;
	if (!claim)
		return NULL;
	if (!cJSON_IsNumber(claim) ||
	    !(claim->valuedouble > 0 && claim->valuedouble <= SECONDS_MAX))
		return "its exp, nbf or iat is no date in seconds";
	*ret = (usec_t)(claim->valuedouble * (double)USEC_PER_SEC);
	return NULL;
}

static const char *check_beginning(const struct jwt_verifier *v, const cJSON *claims)
{
	const usec_t latest = clock_realtime() + v->leeway;
	const char *wrong;
	usec_t not_before, issued_at;

	wrong = read_date(claims, "nbf", &not_before);
	if (!wrong)
		wrong = read_date(claims, "iat", &issued_at);
	if (wrong)
		return wrong;
	return not_before > latest || issued_at > latest ? "its time has not come" : NULL;
}

static const char *read_claims(const struct jwt_verifier *v, const cJSON *claims,
			       struct jwt_claims *ret)
{
	const char *wrong;

	if ((wrong = check_parties(v, claims)) || (wrong = check_beginning(v, claims)) ||
	    (wrong = read_id(claims, "sub", &ret->sub)) ||
	    (wrong = read_id(claims, "app", &ret->app)) ||
	    (wrong = read_id(claims, "sid", &ret->sid)) ||
	    (wrong = read_scope(claims, &ret->scope)) ||
	    (wrong = read_date(claims, "exp", &ret->expires_at)))
		return wrong;
	if (!ret->sub)
		return "it names no sub";
	if (ret->expires_at == 0)
		return "it has no exp";
	return NULL;
}

void jwt_claims_done(struct jwt_claims *c)
{
	free(c->sub);
	free(c->app);
	free(c->sid);
	free(c->scope);
	*c = (struct jwt_claims){ 0 };
}

static const char *read_token(const struct jwt_verifier *v, const char *token,
			      struct jwt_claims *ret)
{
	scoped(json_freep) cJSON *claims = NULL;
	const char *wrong;

	if ((wrong = check_shape(token)) || (wrong = check_header(v, token)) ||
	    (wrong = read_signed(v, token, &claims)))
		return wrong;
	return read_claims(v, claims, ret);
}

int jwt_verify(const struct jwt_verifier *v, const char *token, struct jwt_claims *ret,
	       struct fault *reterr)
{
	scoped(jwt_claims_done) struct jwt_claims claims = { 0 };
	const char *wrong = read_token(v, token, &claims);

	if (wrong) {
		log_debug("refused a JSON Web Token: %s", wrong);
		return fault_set(reterr, FAULT_TOKEN_INVALID, "the token is not valid here");
	}
	/* Last, so that only the holder of a token that was good learns that it no longer is. */
	if (clock_realtime() >= claims.expires_at + v->leeway)
		return fault_set(reterr, FAULT_TOKEN_EXPIRED,
				 "the token has expired: get a new one from its issuer");

	*ret = claims;
	claims = (struct jwt_claims){ 0 };
	return 0;
}

#else /* HAVE_JWT */

int jwt_verifier_new(const struct settings *settings, struct jwt_verifier **ret,
		     struct fault *reterr)
{
	if (settings->auth_jwt_algorithm != JWT_NONE)
		return fault_set(reterr, FAULT_BAD_REQUEST,
				 "auth.jwt_algorithm must be none: this previewd was built without "
				 "libjwt");
	*ret = NULL;
	return 0;
}

struct jwt_verifier *jwt_verifier_free(struct jwt_verifier *v)
{
	(void)v;
	return NULL;
}

void jwt_claims_done(struct jwt_claims *c)
{
	*c = (struct jwt_claims){ 0 };
}

int jwt_verify(const struct jwt_verifier *v, const char *token, struct jwt_claims *ret,
	       struct fault *reterr)
{
	(void)v, (void)token, (void)ret;
	return fault_set(reterr, FAULT_TOKEN_INVALID, "the token is not valid here");
}

#endif
