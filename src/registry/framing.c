/* SPDX-License-Identifier: MIT */
/*
 * May the panel show it?  The panel is never of the same origin: a preview has a port of its own.
 */
#include "registry/framing.h"

#include <string.h>
#include <strings.h>

#include "base/mem.h"
#include "base/parse.h"

/* The sources behind frame-ancestors, or NULL where the policy says nothing of it. */
static char **ancestors(const char *policy)
{
	static const char name[] = "frame-ancestors";
	scoped(strv_freep) char **directives = policy ? parse_list(policy, ';') : NULL;

	for (size_t i = 0; directives && directives[i]; i++) {
		size_t len = strcspn(directives[i], " \t");

		if (len == strlen(name) && strncasecmp(directives[i], name, len) == 0)
			return parse_list(directives[i] + len, ' ');
	}
	return NULL;
}

bool frame_is_refused(const char *frame_options, const char *security_policy)
{
	scoped(strv_freep) char **sources = ancestors(security_policy);

	/* Where there is such a policy, browsers leave the older field aside (CSP 3, 6.4.2). */
	if (!sources)
		return frame_options && (strcasecmp(frame_options, "DENY") == 0 ||
					 strcasecmp(frame_options, "SAMEORIGIN") == 0);

	for (size_t i = 0; sources[i]; i++) {
		/* Who names origins may well name the panel's. */
		if (strcasecmp(sources[i], "'none'") != 0 && strcasecmp(sources[i], "'self'") != 0)
			return false;
	}
	return true;
}

char *frame_refusal_text(const char *security_policy)
{
	scoped(strv_freep) char **sources = ancestors(security_policy);

	return xasprintf("the server forbids showing its pages in a frame (%s), so they open in a "
			 "tab of their own only: leave that field out in development",
			 sources ? "Content-Security-Policy: frame-ancestors" : "X-Frame-Options");
}
