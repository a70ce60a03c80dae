/* SPDX-License-Identifier: MIT */
#pragma once

#include <stdbool.h>
#include <stddef.h>

#include "base/cleanup.h"
#include "base/fault.h"
#include "http/manifest.h"
#include "http/server.h"

/*
 * Serves an immutable tree of files (manifest.h): conditional requests, ranges, encodings, clean
 * URLs, 404.html, single-page applications.  RFC 9110 sections 8, 12.5, 13, 14.
 */
struct static_site;

/*
 * Takes the directory's descriptor in any case.  Reads the manifest, so it blocks: for a helper
 * thread.  The site is used on the loop alone from then on, and shared by reference: a response
 * that is under way keeps its own.
 */
int static_site_open_consume(int dirfd, struct static_site **ret, struct fault *reterr) must_use;
struct static_site *static_site_ref(struct static_site *site);
struct static_site *static_site_unref(struct static_site *site);
DEFINE_CLEANUP(struct static_site *, static_site_unref)

const struct manifest *static_site_manifest(const struct static_site *site);

struct static_options {
	/* What the request's path has before the file's: "/api/…/published/", percent-encoded as
	 * sent; redirects keep it.  A doubled prefix collapses to one. */
	const char *prefix;
	/* Earlier trees, newest first: a fingerprinted file that is missing here comes from there.
	 */
	struct static_site *const *earlier;
	size_t n_earlier;
	bool spa; /* a navigation to nothing is answered with index.html, where there is no 404.html
		   */
	bool is_private; /* Cache-Control: private instead of public */
};

/*
 * Answers a GET or HEAD for `path`, what stands behind the prefix, still percent-encoded.  Fields
 * that the caller has added (http_response_header()) go out with every answer, errors included.
 * The request is invalid once this returns.
 */
void static_serve(struct http_request *req, struct static_site *site, const char *path,
		  const struct static_options *options);
