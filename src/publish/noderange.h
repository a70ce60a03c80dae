/* SPDX-License-Identifier: MIT */
#pragma once

#include <stdbool.h>

/* Ranges of versions as npm reads them (node_range_has() of publish/detect.h asks one). */
bool node_range_is_valid(const char *range);

/* What both of two valid ones ask for; the caller frees it. */
char *node_ranges_both(const char *a, const char *b);

/* Three numbers, with or without a "v" before and a prerelease behind. */
bool node_version_is_valid(const char *version);

/* Negative, 0 or positive, as the first is older, equal or newer; both are valid. */
int node_version_compare(const char *a, const char *b);
