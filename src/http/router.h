/* SPDX-License-Identifier: MIT */
#pragma once

#include <stddef.h>

#include "base/cleanup.h"

/*
 * From a method and a path to a row of a table.
 *
 * A pattern is "/api/apps/{app_id}/sessions/{session_id}": each segment is literal or one
 * parameter; a last "{name...}" takes all that is left, which may be empty, also without the slash
 * before it. A literal goes before a parameter.  A pattern that ends in a slash fits only a path
 * that does. GET also serves HEAD.  Paths are matched segment by segment after percent-decoding, so
 * an encoded slash never changes the structure.
 */
struct http_route {
	const char *method;
	const char *pattern;
};

#define HTTP_PARAMS_MAX 8

struct http_match {
	size_t route; /* index in the table */
	size_t n_params;
	struct {
		const char *name; /* borrowed from the router */
		char *value;      /* decoded */
	} params[HTTP_PARAMS_MAX];
};

struct http_router;

/* `routes` are copied.  Two rows of the same method and pattern are a broken invariant. */
struct http_router *http_router_new(const struct http_route *routes, size_t n);
struct http_router *http_router_free(struct http_router *router);
DEFINE_CLEANUP(struct http_router *, http_router_free)

/*
 * 0 and `ret` filled (freed by http_match_done()); -ENOENT when no pattern fits; -EINVAL for a path
 * that cannot be decoded; -EOPNOTSUPP when a pattern fits but not the method: then `ret_allow` is a
 * list for the Allow field, which the caller frees.
 */
int http_router_match(const struct http_router *router, const char *method, const char *path,
		      struct http_match *ret, char **ret_allow) must_use;

void http_match_done(struct http_match *m);

/* The value of a parameter of the matched pattern, or NULL. */
const char *http_match_param(const struct http_match *m, const char *name);
