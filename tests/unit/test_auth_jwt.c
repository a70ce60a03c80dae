/* SPDX-License-Identifier: MIT */
/* JSON Web Tokens: what is accepted, and what must never be.  Tokens are made by libjwt and by
 * hand. */
#include "auth/jwt.h"

#include <errno.h>
#include <fcntl.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stdint.h>
#include <stdio.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>
/* cmocka wants the three above it */
#include <cmocka.h>

#include "base/mem.h"
#include "base/strbuf.h"

#ifdef HAVE_JWT

#include <jwt.h>
#include <openssl/bio.h>
#include <openssl/evp.h>
#include <openssl/hmac.h>
#include <openssl/pem.h>

#define NOW    INT64_C(1800000000)
#define SECRET "0123456789abcdef0123456789abcdef"

struct key_pair {
	char *private_pem;
	char *public_pem;
};

static char directory[] = "/tmp/test_auth_jwt.XXXXXX";
static struct key_pair rsa, ec;

static usec_t frozen(void)
{
	return (usec_t)NOW * USEC_PER_SEC;
}

static char *pem_of(EVP_PKEY *key, bool private)
{
	BIO *bio = BIO_new(BIO_s_mem());
	char *data, *text;
	long len;

	if (private)
		assert_int_equal(PEM_write_bio_PrivateKey(bio, key, NULL, NULL, 0, NULL, NULL), 1);
	else
		assert_int_equal(PEM_write_bio_PUBKEY(bio, key), 1);
	len = BIO_get_mem_data(bio, &data);
	text = xstrndup(data, (size_t)len);
	BIO_free(bio);
	return text;
}

static struct key_pair key_pair_of(EVP_PKEY *key)
{
	struct key_pair pair = { pem_of(key, true), pem_of(key, false) };

	EVP_PKEY_free(key);
	return pair;
}

static void key_pair_done(struct key_pair *p)
{
	free(p->private_pem);
	free(p->public_pem);
}

static const char *key_file(const void *data, size_t len, mode_t mode)
{
	static char path[128];
	int fd;

	snprintf(path, sizeof(path), "%s/key", directory);
	unlink(path);
	fd = open(path, O_WRONLY | O_CREAT | O_CLOEXEC, 0600);
	assert_true(fd >= 0);
	assert_int_equal(write(fd, data, len), len);
	assert_int_equal(fchmod(fd, mode), 0);
	close(fd);
	return path;
}

static struct settings settings_for(int algorithm, const void *key, size_t len, mode_t mode)
{
	return (struct settings){
		.auth_jwt_algorithm = algorithm,
		.auth_jwt_key_file = (char *)key_file(key, len, mode),
		.auth_jwt_leeway = 30 * USEC_PER_SEC,
	};
}

static struct jwt_verifier *verifier(int algorithm, const char *key)
{
	struct settings settings = settings_for(algorithm, key, strlen(key), 0600);
	struct jwt_verifier *v = NULL;

	assert_int_equal(jwt_verifier_new(&settings, &v, NULL), 0);
	assert_non_null(v);
	return v;
}

/* libjwt's token of those claims. */
static char *token_of(jwt_alg_t algorithm, const char *key, const char *claims)
{
	jwt_t *jwt;
	char *token;

	assert_int_equal(jwt_new(&jwt), 0);
	assert_int_equal(jwt_add_grants_json(jwt, claims), 0);
	assert_int_equal(
		jwt_set_alg(jwt, algorithm, (const unsigned char *)key, key ? (int)strlen(key) : 0),
		0);
	token = jwt_encode_str(jwt);
	assert_non_null(token);
	jwt_free(jwt);
	return token;
}

static void add_base64url(struct strbuf *b, const void *data, size_t len)
{
	scoped(freep) char *text = xcalloc(1, 4 * len / 3 + 8);

	EVP_EncodeBlock((unsigned char *)text, data, (int)len);
	for (char *c = text; *c && *c != '='; c++)
		strbuf_putc(b, *c == '+' ? '-' : *c == '/' ? '_' : *c);
}

/* A token by hand, whatever its header says, signed by HMAC-SHA256 with `key` (NULL: not at all).
 */
static char *token_by_hand(const char *header, const char *claims, const char *key)
{
	struct strbuf b = strbuf_init(STRBUF_UNLIMITED);
	unsigned char signature[EVP_MAX_MD_SIZE];
	unsigned len;

	add_base64url(&b, header, strlen(header));
	strbuf_putc(&b, '.');
	add_base64url(&b, claims, strlen(claims));
	if (key)
		HMAC(EVP_sha256(), key, (int)strlen(key), (const unsigned char *)b.data, b.len,
		     signature, &len);
	strbuf_putc(&b, '.');
	if (key)
		add_base64url(&b, signature, len);
	return strbuf_steal(&b);
}

static enum fault_code verdict(const struct jwt_verifier *v, const char *token)
{
	scoped(fault_done) struct fault fault = { 0 };
	scoped(jwt_claims_done) struct jwt_claims claims = { 0 };
	int r = jwt_verify(v, token, &claims, &fault);

	assert_int_equal(r, -fault_errno(fault.code));
	return fault.code;
}

static enum fault_code verdict_of_claims(const struct jwt_verifier *v, const char *claims)
{
	scoped(freep) char *token = token_by_hand("{\"alg\":\"HS256\"}", claims, SECRET);

	return verdict(v, token);
}

#define GOOD "{\"sub\":\"ann\",\"exp\":1800000060}"

static void each_algorithm_accepts_its_own_tokens(void **state)
{
	const struct {
		int algorithm;
		const char *key;
		jwt_alg_t signed_as;
		const char *signed_with;
	} rows[] = {
		{ JWT_HS256, SECRET, JWT_ALG_HS256, SECRET },
		{ JWT_RS256, rsa.public_pem, JWT_ALG_RS256, rsa.private_pem },
		{ JWT_ES256, ec.public_pem, JWT_ALG_ES256, ec.private_pem },
	};

	(void)state;
	for (size_t i = 0; i < ARRAY_SIZE(rows); i++) {
		scoped(jwt_verifier_freep) struct jwt_verifier *v =
			verifier(rows[i].algorithm, rows[i].key);
		scoped(freep) char *token =
			token_of(rows[i].signed_as, rows[i].signed_with,
				 "{\"sub\":\"ann\",\"exp\":1800000060,\"app\":\"shop\",\"sid\":"
				 "\"s-1\",\"scope\":\"view task\"}");
		scoped(jwt_claims_done) struct jwt_claims claims = { 0 };

		assert_int_equal(jwt_verify(v, token, &claims, NULL), 0);
		assert_string_equal(claims.sub, "ann");
		assert_string_equal(claims.app, "shop");
		assert_string_equal(claims.sid, "s-1");
		assert_string_equal(claims.scope, "view task");
		assert_int_equal(claims.expires_at, UINT64_C(1800000060000000));
	}
}

static void the_header_does_not_choose_the_algorithm(void **state)
{
	scoped(jwt_verifier_freep) struct jwt_verifier *hs = verifier(JWT_HS256, SECRET);
	scoped(jwt_verifier_freep) struct jwt_verifier *rs = verifier(JWT_RS256, rsa.public_pem);
	scoped(jwt_verifier_freep) struct jwt_verifier *es = verifier(JWT_ES256, ec.public_pem);
	scoped(freep) char *confused = token_of(JWT_ALG_HS256, rsa.public_pem, GOOD);
	scoped(freep) char *confused_ec = token_of(JWT_ALG_HS256, ec.public_pem, GOOD);
	scoped(freep) char *hs512 = token_of(JWT_ALG_HS512, SECRET, GOOD);
	scoped(freep) char *rs512 = token_of(JWT_ALG_RS512, rsa.private_pem, GOOD);

	(void)state;
	assert_int_equal(verdict(rs, confused), FAULT_TOKEN_INVALID);
	assert_int_equal(verdict(es, confused_ec), FAULT_TOKEN_INVALID);
	assert_int_equal(verdict(hs, hs512), FAULT_TOKEN_INVALID);
	assert_int_equal(verdict(rs, rs512), FAULT_TOKEN_INVALID);
}

static void bad_headers_are_refused(void **state)
{
	static const struct {
		const char *header;
		bool is_signed;
		enum fault_code code;
	} rows[] = {
		{ "{\"alg\":\"HS256\"}", true, FAULT_NONE },
		{ "{\"alg\":\"HS256\",\"typ\":\"JWT\"}", true, FAULT_NONE },
		{ "{\"alg\":\"HS256\"}", false, FAULT_TOKEN_INVALID },
		{ "{\"alg\":\"none\"}", false, FAULT_TOKEN_INVALID },
		{ "{\"alg\":\"none\"}", true, FAULT_TOKEN_INVALID },
		{ "{\"alg\":\"None\"}", false, FAULT_TOKEN_INVALID },
		{ "{\"alg\":\"NONE\"}", true, FAULT_TOKEN_INVALID },
		{ "{\"alg\":\"\"}", true, FAULT_TOKEN_INVALID },
		{ "{\"alg\":\"hs256\"}", true, FAULT_TOKEN_INVALID },
		{ "{\"alg\":\"HS384\"}", true, FAULT_TOKEN_INVALID },
		{ "{\"alg\":\"RS256\"}", true, FAULT_TOKEN_INVALID },
		{ "{\"alg\":[\"HS256\"]}", true, FAULT_TOKEN_INVALID },
		{ "{\"alg\":\"HS256\",\"crit\":[\"b64\"],\"b64\":false}", true,
		  FAULT_TOKEN_INVALID },
		{ "{\"typ\":\"JWT\"}", true, FAULT_TOKEN_INVALID },
		{ "[\"HS256\"]", true, FAULT_TOKEN_INVALID },
		{ "{\"alg\":\"HS256\"", true, FAULT_TOKEN_INVALID },
	};
	scoped(jwt_verifier_freep) struct jwt_verifier *v = verifier(JWT_HS256, SECRET);

	(void)state;
	for (size_t i = 0; i < ARRAY_SIZE(rows); i++) {
		scoped(freep) char *token =
			token_by_hand(rows[i].header, GOOD, rows[i].is_signed ? SECRET : NULL);

		if (verdict(v, token) != rows[i].code)
			fail_msg("%s", rows[i].header);
	}
}

static void claims_are_held_to_their_rules(void **state)
{
	/* clang-format off */
	static const struct {
		const char *claims;
		enum fault_code code;
	} rows[] = {
		/* exp, at NOW = 1800000000 with 30 s of leeway */
		{ GOOD, FAULT_NONE },
		{ "{\"sub\":\"a\",\"exp\":1799999971}", FAULT_NONE },
		{ "{\"sub\":\"a\",\"exp\":1799999970.5}", FAULT_NONE },
		{ "{\"sub\":\"a\",\"exp\":1799999970}", FAULT_TOKEN_EXPIRED },
		{ "{\"sub\":\"a\",\"exp\":1}", FAULT_TOKEN_EXPIRED },
		{ "{\"sub\":\"a\"}", FAULT_TOKEN_INVALID },
		{ "{\"sub\":\"a\",\"exp\":null}", FAULT_TOKEN_INVALID },
		{ "{\"sub\":\"a\",\"exp\":0}", FAULT_TOKEN_INVALID },
		{ "{\"sub\":\"a\",\"exp\":-1800000060}", FAULT_TOKEN_INVALID },
		{ "{\"sub\":\"a\",\"exp\":true}", FAULT_TOKEN_INVALID },
		{ "{\"sub\":\"a\",\"exp\":\"1800000060\"}", FAULT_TOKEN_INVALID },
		{ "{\"sub\":\"a\",\"exp\":1800000060000}", FAULT_TOKEN_INVALID },
		{ "{\"sub\":\"a\",\"exp\":1e300}", FAULT_TOKEN_INVALID },
		{ "{\"sub\":\"a\",\"exp\":99999999999999999999}", FAULT_TOKEN_INVALID },
		/* nbf and iat */
		{ "{\"sub\":\"a\",\"exp\":1800000060,\"nbf\":1800000030}", FAULT_NONE },
		{ "{\"sub\":\"a\",\"exp\":1800000060,\"nbf\":1800000031}", FAULT_TOKEN_INVALID },
		{ "{\"sub\":\"a\",\"exp\":1800000060,\"nbf\":\"0\"}", FAULT_TOKEN_INVALID },
		{ "{\"sub\":\"a\",\"exp\":1800000060,\"iat\":1800000030}", FAULT_NONE },
		{ "{\"sub\":\"a\",\"exp\":1800000060,\"iat\":1800000031}", FAULT_TOKEN_INVALID },
		/* who */
		{ "{\"exp\":1800000060}", FAULT_TOKEN_INVALID },
		{ "{\"sub\":\"\",\"exp\":1800000060}", FAULT_TOKEN_INVALID },
		{ "{\"sub\":7,\"exp\":1800000060}", FAULT_TOKEN_INVALID },
		{ "{\"sub\":\"a b\",\"exp\":1800000060}", FAULT_TOKEN_INVALID },
		{ "{\"sub\":\"a\\u0000b\",\"exp\":1800000060}", FAULT_TOKEN_INVALID },
		{ "{\"sub\":\"..\",\"exp\":1800000060}", FAULT_TOKEN_INVALID },
		{ "{\"sub\":\"a\",\"exp\":1800000060,\"sid\":\"../x\"}", FAULT_TOKEN_INVALID },
		{ "{\"sub\":\"a\",\"exp\":1800000060,\"sid\":null}", FAULT_TOKEN_INVALID },
		{ "{\"sub\":\"a\",\"exp\":1800000060,\"app\":\"\"}", FAULT_TOKEN_INVALID },
		/* scope */
		{ "{\"sub\":\"a\",\"exp\":1800000060,\"scope\":\"\"}", FAULT_NONE },
		{ "{\"sub\":\"a\",\"exp\":1800000060,\"scope\":[]}", FAULT_NONE },
		{ "{\"sub\":\"a\",\"exp\":1800000060,\"scope\":null}", FAULT_TOKEN_INVALID },
		{ "{\"sub\":\"a\",\"exp\":1800000060,\"scope\":[1]}", FAULT_TOKEN_INVALID },
		{ "{\"sub\":\"a\",\"exp\":1800000060,\"scope\":[\"view admin\"]}", FAULT_TOKEN_INVALID },
		/* An expired one that is wrong besides is only wrong. */
		{ "{\"sub\":\"a b\",\"exp\":1}", FAULT_TOKEN_INVALID },
		{ "[1]", FAULT_TOKEN_INVALID },
		{ "\"x\"", FAULT_TOKEN_INVALID },
		{ "{", FAULT_TOKEN_INVALID },
	};
	/* clang-format on */
	scoped(jwt_verifier_freep) struct jwt_verifier *v = verifier(JWT_HS256, SECRET);

	(void)state;
	for (size_t i = 0; i < ARRAY_SIZE(rows); i++)
		if (verdict_of_claims(v, rows[i].claims) != rows[i].code)
			fail_msg("%s", rows[i].claims);
}

static void audience_and_issuer_are_held_to_the_settings(void **state)
{
	/* clang-format off */
	static const struct {
		const char *more;
		enum fault_code code;
	} rows[] = {
		{ "\"iss\":\"idp\",\"aud\":\"previewd\"", FAULT_NONE },
		{ "\"iss\":\"idp\",\"aud\":[\"x\",\"previewd\"]", FAULT_NONE },
		{ "\"iss\":\"idp\",\"aud\":[]", FAULT_TOKEN_INVALID },
		{ "\"iss\":\"idp\",\"aud\":\"preview\"", FAULT_TOKEN_INVALID },
		{ "\"iss\":\"idp\",\"aud\":{\"previewd\":1}", FAULT_TOKEN_INVALID },
		{ "\"iss\":\"idp\",\"aud\":{\"x\":\"previewd\"}", FAULT_TOKEN_INVALID },
		{ "\"iss\":\"idp\",\"aud\":[[\"previewd\"]]", FAULT_TOKEN_INVALID },
		{ "\"iss\":\"idp\"", FAULT_TOKEN_INVALID },
		{ "\"aud\":\"previewd\"", FAULT_TOKEN_INVALID },
		{ "\"iss\":\"other\",\"aud\":\"previewd\"", FAULT_TOKEN_INVALID },
		{ "\"iss\":[\"idp\"],\"aud\":\"previewd\"", FAULT_TOKEN_INVALID },
	};
	/* clang-format on */
	struct settings settings = settings_for(JWT_HS256, SECRET, strlen(SECRET), 0600);
	scoped(jwt_verifier_freep) struct jwt_verifier *v = NULL;

	(void)state;
	settings.auth_jwt_audience = (char *)"previewd";
	settings.auth_jwt_issuer = (char *)"idp";
	assert_int_equal(jwt_verifier_new(&settings, &v, NULL), 0);
	for (size_t i = 0; i < ARRAY_SIZE(rows); i++) {
		scoped(freep) char *claims =
			xasprintf("{\"sub\":\"a\",\"exp\":1800000060,%s}", rows[i].more);

		if (verdict_of_claims(v, claims) != rows[i].code)
			fail_msg("%s", rows[i].more);
	}
}

static void a_scope_array_reads_like_a_string(void **state)
{
	scoped(jwt_verifier_freep) struct jwt_verifier *v = verifier(JWT_HS256, SECRET);
	scoped(freep) char *token = token_by_hand(
		"{\"alg\":\"HS256\"}",
		"{\"sub\":\"a\",\"exp\":1800000060,\"scope\":[\"view\",\"session:create\"]}",
		SECRET);
	scoped(jwt_claims_done) struct jwt_claims claims = { 0 };

	(void)state;
	assert_int_equal(jwt_verify(v, token, &claims, NULL), 0);
	assert_string_equal(claims.scope, "view session:create");
	assert_null(claims.app);
	assert_null(claims.sid);
}

static void what_is_no_token_is_refused(void **state)
{
	static const char *const rows[] = {
		"",
		".",
		"..",
		"...",
		"a.b",
		"a.b.c",
		"a..c",
		".b.c",
		"e30.e30.",
		"e30..e30",
		"e30.e30.e30.e30",
		"e30.e30.e30",
		"\xff\xfe.\x01.x",
		"garbage",
	};
	scoped(jwt_verifier_freep) struct jwt_verifier *v = verifier(JWT_HS256, SECRET);
	scoped(freep) char *good = token_by_hand("{\"alg\":\"HS256\"}", GOOD, SECRET);
	scoped(freep) char *forged = token_by_hand("{\"alg\":\"HS256\"}", GOOD, SECRET "x");

	(void)state;
	for (size_t i = 0; i < ARRAY_SIZE(rows); i++)
		assert_int_equal(verdict(v, rows[i]), FAULT_TOKEN_INVALID);
	assert_int_equal(verdict(v, forged), FAULT_TOKEN_INVALID);

	/* Cut anywhere, or with one character changed or added anywhere, it is not the token. */
	assert_int_equal(verdict(v, good), FAULT_NONE);
	for (size_t i = 0; i < strlen(good); i++) {
		scoped(freep) char *cut = xstrndup(good, i);
		scoped(freep) char *changed = xstrdup(good);
		scoped(freep) char *longer = xasprintf("%.*s %s", (int)i, good, good + i);

		changed[i] = changed[i] == 'A' ? 'B' : 'A';
		assert_int_equal(verdict(v, cut), FAULT_TOKEN_INVALID);
		assert_int_equal(verdict(v, changed), FAULT_TOKEN_INVALID);
		assert_int_equal(verdict(v, longer), FAULT_TOKEN_INVALID);
	}
}

static void a_huge_token_is_refused_however_well_signed(void **state)
{
	scoped(jwt_verifier_freep) struct jwt_verifier *v = verifier(JWT_HS256, SECRET);
	scoped(freep) char *padding = xcalloc(1, JWT_LENGTH_MAX + 1);
	scoped(freep) char *big = NULL, *small = NULL;

	(void)state;
	memset(padding, 'x', JWT_LENGTH_MAX);
	big = xasprintf("{\"sub\":\"a\",\"exp\":1800000060,\"x\":\"%s\"}", padding);
	assert_int_equal(verdict_of_claims(v, big), FAULT_TOKEN_INVALID);

	padding[JWT_LENGTH_MAX / 2] = '\0';
	small = xasprintf("{\"sub\":\"a\",\"exp\":1800000060,\"x\":\"%s\"}", padding);
	assert_int_equal(verdict_of_claims(v, small), FAULT_NONE);
}

static void expect_refused_key(const struct settings *settings, const char *sentence)
{
	scoped(fault_done) struct fault fault = { 0 };
	struct jwt_verifier *v = NULL;

	assert_true(jwt_verifier_new(settings, &v, &fault) < 0);
	assert_int_equal(fault.code, FAULT_BAD_REQUEST);
	if (!strstr(fault.detail, sentence))
		fail_msg("\"%s\" doesn't say \"%s\"", fault.detail, sentence);
}

static void expect_refused(int algorithm, const char *key, mode_t mode, const char *sentence)
{
	struct settings settings = settings_for(algorithm, key, strlen(key), mode);

	expect_refused_key(&settings, sentence);
}

static void a_key_that_does_not_fit_is_refused(void **state)
{
	struct key_pair short_rsa = key_pair_of(EVP_RSA_gen(1024));
	struct key_pair p384 = key_pair_of(EVP_EC_gen("P-384"));
	struct settings settings = { .auth_jwt_algorithm = JWT_RS256 };

	(void)state;
	expect_refused(JWT_HS256, "0123456789abcdef0123456789abcde\n", 0600, "at least 32");
	expect_refused(JWT_HS256, "", 0600, "at least 32");
	expect_refused(JWT_HS256, SECRET, 0644, "open to other users");
	expect_refused(JWT_HS256, rsa.public_pem, 0600, "RS256");
	expect_refused(JWT_RS256, short_rsa.public_pem, 0644, "at least 2048");
	expect_refused(JWT_RS256, ec.public_pem, 0644, "no RSA key");
	expect_refused(JWT_RS256, rsa.private_pem, 0600, "private key");
	expect_refused(JWT_RS256, rsa.public_pem, 0646, "can write");
	expect_refused(JWT_RS256, SECRET, 0644, "no public key");
	expect_refused(JWT_ES256, p384.public_pem, 0644, "P-256");
	expect_refused(JWT_ES256, rsa.public_pem, 0644, "P-256");

	expect_refused_key(&settings, "auth.jwt_key_file");
	settings.auth_jwt_key_file = (char *)"/nowhere/key";
	expect_refused_key(&settings, "No such file");
	settings.auth_jwt_key_file = directory;
	expect_refused_key(&settings, "regular file");

	key_pair_done(&short_rsa);
	key_pair_done(&p384);
}

static void one_newline_behind_a_secret_is_not_part_of_it(void **state)
{
	scoped(jwt_verifier_freep) struct jwt_verifier *v = verifier(JWT_HS256, SECRET "\n");
	scoped(jwt_verifier_freep) struct jwt_verifier *w = verifier(JWT_HS256, SECRET "\n\n");

	(void)state;
	assert_int_equal(verdict_of_claims(v, GOOD), FAULT_NONE);
	assert_int_equal(verdict_of_claims(w, GOOD), FAULT_TOKEN_INVALID);
}

static void no_algorithm_is_no_verifier(void **state)
{
	struct settings settings = { .auth_jwt_algorithm = JWT_NONE };
	struct jwt_verifier *v = (struct jwt_verifier *)&settings;

	(void)state;
	assert_int_equal(jwt_verifier_new(&settings, &v, NULL), 0);
	assert_null(v);
}

static int set_up(void **state)
{
	(void)state;
	clock_replace(NULL, frozen);
	rsa = key_pair_of(EVP_RSA_gen(2048));
	ec = key_pair_of(EVP_EC_gen("P-256"));
	return mkdtemp(directory) ? 0 : -1;
}

static int tear_down(void **state)
{
	char path[128];

	(void)state;
	key_pair_done(&rsa);
	key_pair_done(&ec);
	snprintf(path, sizeof(path), "%s/key", directory);
	unlink(path);
	return rmdir(directory);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(each_algorithm_accepts_its_own_tokens),
		cmocka_unit_test(the_header_does_not_choose_the_algorithm),
		cmocka_unit_test(bad_headers_are_refused),
		cmocka_unit_test(claims_are_held_to_their_rules),
		cmocka_unit_test(audience_and_issuer_are_held_to_the_settings),
		cmocka_unit_test(a_scope_array_reads_like_a_string),
		cmocka_unit_test(what_is_no_token_is_refused),
		cmocka_unit_test(a_huge_token_is_refused_however_well_signed),
		cmocka_unit_test(a_key_that_does_not_fit_is_refused),
		cmocka_unit_test(one_newline_behind_a_secret_is_not_part_of_it),
		cmocka_unit_test(no_algorithm_is_no_verifier),
	};

	return cmocka_run_group_tests(tests, set_up, tear_down);
}

#else

static void without_libjwt_an_algorithm_is_refused(void **state)
{
	struct settings settings = { .auth_jwt_algorithm = JWT_HS256 };
	scoped(fault_done) struct fault fault = { 0 };
	struct jwt_verifier *v = NULL;

	(void)state;
	assert_int_equal(jwt_verifier_new(&settings, &v, &fault), -EINVAL);
	assert_non_null(strstr(fault.detail, "libjwt"));
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(without_libjwt_an_algorithm_is_refused),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}

#endif
