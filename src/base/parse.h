/* SPDX-License-Identifier: MIT */
#pragma once

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "base/cleanup.h"
#include "base/clock.h"

/*
 * Strict parsing: the whole text is the value, or it is -EINVAL (not one) or -ERANGE (one, but
 * outside of what fits).  No leading space, no sign, no "0x".
 */
int parse_u64(const char *s, uint64_t *ret) must_use;
int parse_uint(const char *s, unsigned min, unsigned max, unsigned *ret) must_use;
int parse_bool(const char *s, bool *ret) must_use; /* yes no true false on off 1 0 */

/* "30m", "1h30m", "500ms", "15" (seconds), "infinity".  Units: us ms s m h d. */
int parse_duration(const char *s, usec_t *ret) must_use;

/* "64M", "1G", "512" (bytes).  Units: K M G, powers of 1024. */
int parse_size(const char *s, uint64_t *ret) must_use;

/* The same text back, shortest exact form ("30m", "1h30m", "1500ms"). */
#define PARSE_TEXT_SIZE 32
const char *format_duration(usec_t t, char text[static PARSE_TEXT_SIZE]);
const char *format_size(uint64_t bytes, char text[static PARSE_TEXT_SIZE]);

/* One range of "1024-65535,3000".  Bounds are inclusive. */
struct port_range {
	uint16_t first, last;
};

/* Parses such a list into a new array, which the caller frees.  Ports are 1 to 65535. */
int parse_port_ranges(const char *s, struct port_range **ret_ranges, size_t *ret_n) must_use;
bool port_ranges_have(const struct port_range *ranges, size_t n, uint16_t port);

/*
 * Splits at `separator`, trims spaces, drops empty parts.  The array ends with NULL and is freed by
 * strv_free().
 */
char **parse_list(const char *s, char separator);
char **strv_free(char **list);
char **strv_copy(char *const *list); /* of NULL: an empty one */
/* Adds to a list, which may be NULL, what is the list's from then on. */
void strv_add_take(char ***list, char *s);
bool strv_has(char *const *list, const char *s);
size_t strv_len(char *const *list);
DEFINE_CLEANUP(char **, strv_free)

/* 0 to 15, or -1 where it is none. */
static inline int hex_digit(char c)
{
	if (c >= '0' && c <= '9')
		return c - '0';
	if (c >= 'a' && c <= 'f')
		return c - 'a' + 10;
	if (c >= 'A' && c <= 'F')
		return c - 'A' + 10;
	return -1;
}

/* Whether the bytes are well-formed UTF-8 (RFC 3629: no surrogates, nothing overlong). */
bool utf8_is_valid(const char *s, size_t len);
