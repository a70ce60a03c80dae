/* SPDX-License-Identifier: MIT */
/* What may name a thing, and names that nobody can guess. */
#include "base/ids.h"

#include <errno.h>
#include <stdint.h>
#include <stdlib.h>
#include <string.h>
#include <sys/random.h>

#define ALPHANUMERIC "ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789"

static bool consists_of(const char *s, const char *allowed, size_t max)
{
	const size_t len = strnlen(s, max + 1);

	return len >= 1 && len <= max && strspn(s, allowed) == len;
}

/* "." and ".." would be directories where an id is a part of a path. */
static bool is_dots(const char *s)
{
	return strcmp(s, ".") == 0 || strcmp(s, "..") == 0;
}

bool id_is_valid(const char *s)
{
	return s && consists_of(s, ALPHANUMERIC "._:@-", ID_LENGTH_MAX) && !is_dots(s);
}

bool name_is_valid(const char *s)
{
	return s && consists_of(s, ALPHANUMERIC "._-", NAME_LENGTH_MAX) && !is_dots(s);
}

void random_bytes(void *buf, size_t n)
{
	char *at = buf;

	while (n > 0) {
		ssize_t got = getrandom(at, n, 0);

		if (got < 0 && errno == EINTR)
			continue;
		if (got <= 0)
			abort(); /* no generator: nothing that follows would be a secret */
		at += got;
		n -= (size_t)got;
	}
}

void random_hex(char *ret, size_t n_bytes)
{
	static const char digits[] = "0123456789abcdef";

	/* The bytes go into the upper half; writing from the left never overtakes the reading. */
	random_bytes(ret + n_bytes, n_bytes);
	for (size_t i = 0; i < n_bytes; i++) {
		const unsigned char byte = (unsigned char)ret[n_bytes + i];

		ret[2 * i] = digits[byte >> 4];
		ret[2 * i + 1] = digits[byte & 15];
	}
	ret[2 * n_bytes] = '\0';
}

void random_label(char *ret, size_t len)
{
	static const char letters[] = "abcdefghijklmnopqrstuvwxyz0123456789";
	const size_t n_letters = sizeof(letters) - 1;
	size_t at = 0;

	while (at < len) {
		uint8_t bytes[64];

		random_bytes(bytes, sizeof(bytes));
		for (size_t i = 0; i < sizeof(bytes) && at < len; i++) {
			/* The rest above the last whole multiple would favour the first letters. */
			if (bytes[i] < 256 / n_letters * n_letters)
				ret[at++] = letters[bytes[i] % n_letters];
		}
	}
	ret[len] = '\0';
}
