/* SPDX-License-Identifier: MIT */
#pragma once

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "base/cleanup.h"

#define SHA256_SIZE     32
#define SHA256_HEX_SIZE 65 /* with the NUL */

void sha256(const void *data, size_t len, uint8_t ret[static SHA256_SIZE]);
void sha256_hex(const void *data, size_t len, char ret[static SHA256_HEX_SIZE]);

/* The same over pieces, as they come. */
struct sha256_state;
struct sha256_state *sha256_begin(void);
void sha256_add(struct sha256_state *s, const void *data, size_t len);
void sha256_end_hex(struct sha256_state *s, char ret[static SHA256_HEX_SIZE]); /* once */
struct sha256_state *sha256_state_free(struct sha256_state *s);
DEFINE_CLEANUP(struct sha256_state *, sha256_state_free)

/* HMAC (RFC 2104) with SHA-256, in hexadecimal: what a web hook is signed with. */
void hmac_sha256_hex(const void *key, size_t key_len, const void *data, size_t len,
		     char ret[static SHA256_HEX_SIZE]);

/* SHA-1 and base64, for Sec-WebSocket-Accept (RFC 6455 section 4.2.2) and for nothing else. */
void websocket_accept_key(const char *key, char ret[static 29]);

/* Compares in a time that doesn't depend on where they differ.  A NULL equals nothing. */
bool secret_equal(const char *a, const char *b);

/* Overwrites and frees; the compiler may not leave it out.  NULL is fine. */
char *secret_free(char *secret);
DEFINE_CLEANUP(char *, secret_free)
