/* SPDX-License-Identifier: MIT */
#pragma once

#include <stddef.h>

/*
 * The nearest of what was meant: offer() each candidate, then ask for `best`, which is NULL when
 * none is near enough to be what was meant.
 */
struct suggestion {
	const char *typed;
	const char *best;
	size_t distance;
};

void suggestion_offer(struct suggestion *s, const char *candidate);
