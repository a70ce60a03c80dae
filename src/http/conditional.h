/* SPDX-License-Identifier: MIT */
#pragma once

#include <stdbool.h>
#include <stdint.h>

#include "base/cleanup.h"

/*
 * What a request asks of a representation: in which encoding, only if it changed, which part (RFC
 * 9110 sections 12.5.3, 13, 14).  Pure functions over field values.  A value that is no good is
 * passed over, as if the field weren't there.
 */

enum http_coding {
	HTTP_CODING_IDENTITY,
	HTTP_CODING_GZIP,
	HTTP_CODING_BR,
	HTTP_CODING_COUNT_,
};

/*
 * The encoding that suits Accept-Encoding (NULL: there is none) best, of those that there are.
 * Identity where nothing does: better than an answer that nobody can use.
 */
enum http_coding http_coding_choose(const char *accept_encoding, bool has_gzip, bool has_br);

/*
 * Whether a list of entity tags ("*", or quoted ones) has `etag`, which is strong and has its
 * quotes.  If-None-Match compares weakly: W/"a" is "a".
 */
bool http_etag_listed(const char *list, const char *etag, bool weakly);

/* "Sun, 06 Nov 1994 08:49:37 GMT", and the two older forms that must be understood. */
#define HTTP_DATE_SIZE 30
int http_date_parse(const char *s, int64_t *ret) must_use; /* seconds since 1970; -EINVAL */
void http_date_format(int64_t seconds, char text[static HTTP_DATE_SIZE]);

enum http_range {
	HTTP_RANGE_WHOLE, /* no range, one that cannot be read, or several: all of it is sent */
	HTTP_RANGE_PART,
	HTTP_RANGE_BEYOND, /* 416 */
};

/* `ret_from` and `ret_len` (at least 1) are set for HTTP_RANGE_PART. */
enum http_range http_range_parse(const char *range, uint64_t size, uint64_t *ret_from,
				 uint64_t *ret_len);
