/* SPDX-License-Identifier: MIT */
/* The hash of tables whose keys others choose.  libcrypto's SipHash sets up a context each time,
 * which takes longer than all else that is done with a short key. */
#include "base/hash.h"

#include <endian.h>
#include <pthread.h>
#include <string.h>

#include "base/ids.h"

struct sip {
	uint64_t v0, v1, v2, v3;
};

static uint64_t rotate(uint64_t x, unsigned bits)
{
	return x << bits | x >> (64 - bits);
}

static void rounds(struct sip *s, unsigned n)
{
	while (n-- > 0) {
		s->v0 += s->v1;
		s->v1 = rotate(s->v1, 13) ^ s->v0;
		s->v0 = rotate(s->v0, 32);
		s->v2 += s->v3;
		s->v3 = rotate(s->v3, 16) ^ s->v2;
		s->v0 += s->v3;
		s->v3 = rotate(s->v3, 21) ^ s->v0;
		s->v2 += s->v1;
		s->v1 = rotate(s->v1, 17) ^ s->v2;
		s->v2 = rotate(s->v2, 32);
	}
}

static void take(struct sip *s, uint64_t word)
{
	s->v3 ^= word;
	rounds(s, 2);
	s->v0 ^= word;
}

static uint64_t word_at(const uint8_t *bytes, size_t len)
{
	uint64_t word = 0;

	memcpy(&word, bytes, len);
	return le64toh(word);
}

uint64_t siphash(const uint8_t key[static HASH_KEY_SIZE], const void *data, size_t len)
{
	const uint64_t k0 = word_at(key, 8), k1 = word_at(key + 8, 8);
	const uint8_t *at = data;
	size_t left = len;
	struct sip s = {
		.v0 = k0 ^ UINT64_C(0x736f6d6570736575),
		.v1 = k1 ^ UINT64_C(0x646f72616e646f6d),
		.v2 = k0 ^ UINT64_C(0x6c7967656e657261),
		.v3 = k1 ^ UINT64_C(0x7465646279746573),
	};

	for (; left >= 8; at += 8, left -= 8)
		take(&s, word_at(at, 8));
	take(&s, (uint64_t)len << 56 | (left > 0 ? word_at(at, left) : 0));
	s.v2 ^= 0xff;
	rounds(&s, 4);
	return s.v0 ^ s.v1 ^ s.v2 ^ s.v3;
}

static uint8_t own_key[HASH_KEY_SIZE];
static pthread_once_t has_key = PTHREAD_ONCE_INIT;

static void make_key(void)
{
	random_bytes(own_key, sizeof(own_key));
}

uint32_t hash_of(const void *data, size_t len)
{
	pthread_once(&has_key, make_key);
	return (uint32_t)siphash(own_key, data, len);
}
