/* SPDX-License-Identifier: MIT */
#pragma once

#include <stdbool.h>
#include <stdint.h>

/* Which bytes may stand where (RFC 9110 section 5.6, RFC 3986). */
enum http_char {
	HTTP_CHAR_TOKEN = 1 << 0,  /* tchar: methods, field names */
	HTTP_CHAR_VALUE = 1 << 1,  /* field values: visible, space, tab, obs-text */
	HTTP_CHAR_TARGET = 1 << 2, /* request targets: visible ASCII without "#" */
	HTTP_CHAR_HOST = 1 << 3,   /* host names */
};

extern const uint8_t http_chars[256];

static inline bool http_char_is(char c, enum http_char kind)
{
	return http_chars[(unsigned char)c] & kind;
}
