/* SPDX-License-Identifier: MIT */
#pragma once

#include <stdbool.h>
#include <stddef.h>

#include "base/cleanup.h"
#include "http/parse.h"

/*
 * Request targets: path and query, and what is percent-encoded in them (RFC 3986).
 *
 * A path is decoded segment by segment, after it is split: "%2F" is never a separator.  A path that
 * could be read in two ways (an empty, "." or ".." segment, a "/" or a control character inside
 * one) is refused, so nobody below has to think of it again.
 */

/*
 * Splits what http_head_parse() took.  The path starts with "/" ("*" stays "*"); the query is what
 * follows the first "?", its at is NULL when there is none.
 */
void http_target_split(struct http_view target, struct http_view *ret_path,
		       struct http_view *ret_query);

/* A decoded path.  "/" has no segments and ends in a slash; "/a/" has one and does, too. */
struct http_path {
	char **segments; /* UTF-8, neither empty, "." nor ".."; ends with NULL */
	size_t n;
	bool trailing_slash;
};

/* Decodes "/a/b%20c".  -EINVAL when it is no path previewd takes. */
int http_path_decode(struct http_view path, struct http_path *ret) must_use;
void http_path_done(struct http_path *p);

/* Its segments as one text, "a/b", in their own memory: they are gone after it. */
const char *http_path_join(struct http_path *p);

/*
 * The decoded value of a query's parameter, "+" being a space; the caller frees it.  A parameter
 * without "=" has the value "".  -ENOENT when it isn't there; -EINVAL when it is there twice or
 * doesn't decode (bad "%XX", NUL, no UTF-8).
 */
int http_query_get(struct http_view query, const char *name, char **ret) must_use;
