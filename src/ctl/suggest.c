/* SPDX-License-Identifier: MIT */
/*
 * "Did you mean": the word at the least edit distance, two letters that changed places being one
 * edit, since that is how people mistype.
 */
#include "ctl/suggest.h"

#include <string.h>

#define WORD_MAX 32 /* longer words are nobody's typing mistake */

static size_t least(size_t a, size_t b)
{
	return a < b ? a : b;
}

/* The optimal string alignment distance. */
static size_t distance(const char *a, const char *b)
{
	size_t d[WORD_MAX + 1][WORD_MAX + 1];
	size_t n = strlen(a), m = strlen(b);

	for (size_t i = 0; i <= n; i++)
		d[i][0] = i;
	for (size_t j = 0; j <= m; j++)
		d[0][j] = j;
	for (size_t i = 1; i <= n; i++) {
		for (size_t j = 1; j <= m; j++) {
			d[i][j] = least(d[i - 1][j], d[i][j - 1]) + 1;
			d[i][j] = least(d[i][j], d[i - 1][j - 1] + (a[i - 1] != b[j - 1]));
			if (i > 1 && j > 1 && a[i - 1] == b[j - 2] && a[i - 2] == b[j - 1])
				d[i][j] = least(d[i][j], d[i - 2][j - 2] + 1);
		}
	}
	return d[n][m];
}

void suggestion_offer(struct suggestion *s, const char *candidate)
{
	size_t typed = strlen(s->typed), near;

	if (typed == 0 || typed > WORD_MAX || strlen(candidate) > WORD_MAX)
		return;

	/* The beginning of a word is the word; else a third of its letters may be wrong. */
	near = strncmp(candidate, s->typed, typed) == 0 ? 0 : distance(s->typed, candidate);
	if (near > strlen(candidate) / 3 && near != 0)
		return;
	if (!s->best || near < s->distance) {
		s->best = candidate;
		s->distance = near;
	}
}
