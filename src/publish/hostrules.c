/* SPDX-License-Identifier: MIT */
/* What a page's files for other hosts say, as far as that is not done here. */
#include "publish/hostrules.h"

#include <ctype.h>
#include <string.h>

#include "base/beneath.h"
#include "base/mem.h"
#include "base/parse.h"
#include "publish/output_priv.h"

#define RULES_MAX (1024 * 1024)

/* "Everything is /index.html, 200": a page of one document, which is shown at all paths anyway. */
static bool is_done_anyway(const char *rule)
{
	char from[64], to[64];
	unsigned status;

	return sscanf(rule, "%63s %63s %u", from, to, &status) == 3 && strcmp(from, "/*") == 0 &&
	       (strcmp(to, "/index.html") == 0 || strcmp(to, "/") == 0) && status == 200;
}

static size_t count_rules(int dirfd, const char *name)
{
	scoped(freep) char *text = NULL;
	scoped(strv_freep) char **lines = NULL;
	size_t n = 0;

	if (beneath_read(dirfd, name, RULES_MAX, &text, NULL) < 0)
		return 0;
	lines = parse_list(text, '\n');
	for (char **line = lines; *line; line++) {
		const char *rule = *line + strspn(*line, " \t\r");

		if (*rule && *rule != '#' && !is_done_anyway(rule))
			n++;
	}
	return n;
}

void hostrules_check(int output_fd, char ***warnings)
{
	if (count_rules(output_fd, "_redirects") > 0)
		warnings_add(warnings,
			     "_redirects is not read: its rules are not applied, but for a page "
			     "of one document, which is shown at all of its paths anyway");
	if (count_rules(output_fd, "_headers") > 0)
		warnings_add(warnings, "_headers is not read: its headers are not sent");
}
