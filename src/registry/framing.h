/* SPDX-License-Identifier: MIT */
#pragma once

#include <stdbool.h>

/*
 * Whether an answer with those fields (NULL: none) keeps a page of another origin from framing it:
 * X-Frame-Options (RFC 7034) and frame-ancestors of a Content-Security-Policy.
 */
bool frame_is_refused(const char *frame_options, const char *security_policy);

/* The same as a sentence with what to do about it, which the caller frees. */
char *frame_refusal_text(const char *security_policy);
