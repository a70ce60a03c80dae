/* SPDX-License-Identifier: MIT */
/*
 * A JSON Web Token: as it is, or, of a header and claims in two lines, put together and signed as
 * it should be, so that what stands in it is read.  Only the latter ever passes, and then has what
 * a token needs.
 */
#include <assert.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>
#include <sys/stat.h>
#include <unistd.h>

#include "auth/jwt.h"
#include "base/crypto.h"
#include "base/ids.h"
#include "base/mem.h"
#include "base/parse.h"
#include "base/strbuf.h"
#include "fuzz.h"

static const char secret[] = "a secret of more than thirty-two bytes";

static const struct jwt_verifier *the_verifier(void)
{
	static struct jwt_verifier *v;
	char path[64];
	int fd;

	if (v)
		return v;
	fd = memfd_create("key", MFD_CLOEXEC);
	snprintf(path, sizeof(path), "/proc/self/fd/%d", fd);
	if (fd < 0 || fchmod(fd, 0600) < 0 ||
	    write(fd, secret, strlen(secret)) != (ssize_t)strlen(secret))
		abort();
	(void)!jwt_verifier_new(&(struct settings){ .auth_jwt_algorithm = JWT_HS256,
						    .auth_jwt_key_file = path,
						    .auth_jwt_leeway = USEC_PER_SEC },
				&v, NULL);
	close(fd);
	return v;
}

static void add_base64url(struct strbuf *b, const uint8_t *bytes, size_t len)
{
	static const char alphabet[] = "ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz"
				       "0123456789-_";

	for (size_t i = 0; i < len; i += 3) {
		const size_t n = len - i < 3 ? len - i : 3;
		uint32_t v = (uint32_t)bytes[i] << 16;

		if (n > 1)
			v |= (uint32_t)bytes[i + 1] << 8;
		if (n > 2)
			v |= bytes[i + 2];
		for (size_t k = 0; k <= n; k++)
			strbuf_putc(b, alphabet[v >> (18 - 6 * k) & 63]);
	}
}

static void add_signature(struct strbuf *b)
{
	char hex[SHA256_HEX_SIZE];
	uint8_t bytes[SHA256_SIZE];

	hmac_sha256_hex(secret, strlen(secret), b->data, b->len, hex);
	for (size_t i = 0; i < sizeof(bytes); i++)
		bytes[i] = (uint8_t)(hex_digit(hex[2 * i]) << 4 | hex_digit(hex[2 * i + 1]));
	strbuf_putc(b, '.');
	add_base64url(b, bytes, sizeof(bytes));
}

static void verify(const char *token, bool is_signed)
{
	scoped(jwt_claims_done) struct jwt_claims claims = { 0 };
	scoped(fault_done) struct fault fault = { 0 };

	if (jwt_verify(the_verifier(), token, &claims, &fault) < 0) {
		assert(fault.code == FAULT_TOKEN_INVALID || fault.code == FAULT_TOKEN_EXPIRED);
		assert(!claims.sub && !claims.app && !claims.sid && !claims.scope);
		return;
	}
	assert(is_signed);
	assert(claims.sub && id_is_valid(claims.sub));
	assert(!claims.app || id_is_valid(claims.app));
	assert(!claims.sid || id_is_valid(claims.sid));
	assert(claims.expires_at > 0);
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
	const uint8_t *newline = size > 0 ? memchr(data, '\n', size) : NULL;
	scoped(strbuf_done) struct strbuf b = strbuf_init(STRBUF_UNLIMITED);
	scoped(freep) char *text = xstrndup((const char *)data, size);

	if (!the_verifier())
		return 0; /* built without libjwt */
	verify(text, false);
	if (!newline)
		return 0;
	add_base64url(&b, data, (size_t)(newline - data));
	strbuf_putc(&b, '.');
	add_base64url(&b, newline + 1, (size_t)(data + size - newline - 1));
	add_signature(&b);
	verify(strbuf_str(&b), true);
	return 0;
}
