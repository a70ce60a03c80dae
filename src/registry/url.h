/* SPDX-License-Identifier: MIT */
#pragma once

#include <stdbool.h>

#include "base/fault.h"

/*
 * A preview's address for its viewers, by the template preview.public_url_template.
 */
struct url_fields {
	const char *scheme;
	const char *host; /* a loopback or any address reads "localhost" */
	unsigned port;
	const char *app_id;
	const char *session_id;
	const char *name;
	const char *user_id;
	const char *label;
};

/* Whether every {field} is one of those and the template begins with "http" or "{scheme}". */
int url_template_check(const char *template, struct fault *reterr) must_use;

/*
 * The URL, which the caller frees: each field escaped, `path` ("" or "/…") put behind it, with one
 * slash between the two.
 */
char *url_expand(const char *template, const struct url_fields *fields, const char *path);

/* Whether each attachment has a host of its own by it: the label, and no other field, is in there.
 */
bool url_template_has_edge(const char *template);

/* The label of a host, without a port, that such a template would make, in lower case; the caller
 * frees it.  NULL when it is none. */
char *url_template_label(const char *template, const char *host);

/* What stands before and behind the label in such a template's host, in lower case and without the
 * port; the caller frees both. */
void url_template_around(const char *template, char **ret_before, char **ret_behind);

/* "https://label.preview.example.org", by such a template; the caller frees it. */
char *url_expand_origin(const char *template, const struct url_fields *fields);

/* The host and "host[:port]" of an http or https URL; the caller frees both.  -EINVAL. */
int url_host(const char *url, char **ret_host, char **ret_authority) must_use;

/* "" or begins with a slash, visible ASCII that a URL may have, at most 512 bytes. */
bool url_path_is_valid(const char *path);
