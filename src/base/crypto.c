/* SPDX-License-Identifier: MIT */
/* The little cryptography that is ours to call: digests, and secrets compared and wiped. */
#include "base/crypto.h"

#include <openssl/crypto.h>
#include <openssl/evp.h>
#include <openssl/hmac.h>
#include <pthread.h>
#include <stdlib.h>
#include <string.h>

#include "base/cleanup.h"

#define SHA1_SIZE 20

/* RFC 6455 section 1.3 */
#define WEBSOCKET_GUID "258EAFA5-E914-47DA-95CA-C5AB0DC85B11"

static EVP_MD_CTX *context_free(EVP_MD_CTX *context)
{
	EVP_MD_CTX_free(context);
	return NULL;
}
DEFINE_CLEANUP(EVP_MD_CTX *, context_free)

/* A digest of memory fails only without memory or without a provider: nobody goes on from there. */
static void must(int ok)
{
	if (ok != 1)
		abort();
}

/* Named by EVP_sha256() alone, the algorithm is looked up among the providers at each use. */
static EVP_MD *sha256_algorithm;
static pthread_once_t sha256_found = PTHREAD_ONCE_INIT;

static void sha256_find(void)
{
	sha256_algorithm = EVP_MD_fetch(NULL, "SHA256", NULL);
	must(sha256_algorithm != NULL);
}

void sha256(const void *data, size_t len, uint8_t ret[static SHA256_SIZE])
{
	pthread_once(&sha256_found, sha256_find);
	must(EVP_Digest(data, len, ret, NULL, sha256_algorithm, NULL));
}

static void digest_hex(const uint8_t digest[static SHA256_SIZE], char ret[static SHA256_HEX_SIZE])
{
	static const char digits[] = "0123456789abcdef";

	for (size_t i = 0; i < SHA256_SIZE; i++) {
		ret[2 * i] = digits[digest[i] >> 4];
		ret[2 * i + 1] = digits[digest[i] & 15];
	}
	ret[2 * SHA256_SIZE] = '\0';
}

void sha256_hex(const void *data, size_t len, char ret[static SHA256_HEX_SIZE])
{
	uint8_t digest[SHA256_SIZE];

	sha256(data, len, digest);
	digest_hex(digest, ret);
}

/* The name is ours, the thing is the library's. */
static EVP_MD_CTX *context_of(struct sha256_state *s)
{
	return (EVP_MD_CTX *)s;
}

struct sha256_state *sha256_begin(void)
{
	EVP_MD_CTX *context = EVP_MD_CTX_new();

	pthread_once(&sha256_found, sha256_find);
	must(context != NULL);
	must(EVP_DigestInit_ex2(context, sha256_algorithm, NULL));
	return (struct sha256_state *)context;
}

void sha256_add(struct sha256_state *s, const void *data, size_t len)
{
	must(EVP_DigestUpdate(context_of(s), data, len));
}

void sha256_end_hex(struct sha256_state *s, char ret[static SHA256_HEX_SIZE])
{
	uint8_t digest[SHA256_SIZE];

	must(EVP_DigestFinal_ex(context_of(s), digest, NULL));
	digest_hex(digest, ret);
}

struct sha256_state *sha256_state_free(struct sha256_state *s)
{
	EVP_MD_CTX_free(context_of(s));
	return NULL;
}

void hmac_sha256_hex(const void *key, size_t key_len, const void *data, size_t len,
		     char ret[static SHA256_HEX_SIZE])
{
	uint8_t digest[SHA256_SIZE];

	must(HMAC(EVP_sha256(), key, (int)key_len, data, len, digest, NULL) != NULL);
	digest_hex(digest, ret);
}

void websocket_accept_key(const char *key, char ret[static 29])
{
	scoped(context_freep) EVP_MD_CTX *context = EVP_MD_CTX_new();
	uint8_t digest[SHA1_SIZE];

	must(context != NULL);
	must(EVP_DigestInit_ex(context, EVP_sha1(), NULL));
	must(EVP_DigestUpdate(context, key, strlen(key)));
	must(EVP_DigestUpdate(context, WEBSOCKET_GUID, strlen(WEBSOCKET_GUID)));
	must(EVP_DigestFinal_ex(context, digest, NULL));
	EVP_EncodeBlock((unsigned char *)ret, digest, SHA1_SIZE);
}

/* By their digests, so that neither the place of a difference nor the length shows. */
bool secret_equal(const char *a, const char *b)
{
	uint8_t digest_a[SHA256_SIZE], digest_b[SHA256_SIZE];
	bool equal;

	if (!a || !b)
		return false;

	sha256(a, strlen(a), digest_a);
	sha256(b, strlen(b), digest_b);
	equal = CRYPTO_memcmp(digest_a, digest_b, SHA256_SIZE) == 0;
	OPENSSL_cleanse(digest_a, sizeof(digest_a));
	OPENSSL_cleanse(digest_b, sizeof(digest_b));
	return equal;
}

char *secret_free(char *secret)
{
	if (secret)
		OPENSSL_cleanse(secret, strlen(secret));
	free(secret);
	return NULL;
}
