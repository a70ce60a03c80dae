/* SPDX-License-Identifier: MIT */
/*
 * Whatever the text: an address gives way to another of the same length however it is written,
 * nothing else of it changes, and back again it is what it was.
 */
#include <assert.h>
#include <stdlib.h>
#include <string.h>

#include "base/mem.h"
#include "fuzz.h"
#include "publish/rebase.h"

#define OLD "/p/a%40/~o/"
#define NEW "/p/a%40/~n/"

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
	scoped(strbuf_done) struct strbuf there = strbuf_init(STRBUF_UNLIMITED);
	scoped(strbuf_done) struct strbuf back = strbuf_init(STRBUF_UNLIMITED);
	scoped(strbuf_done) struct strbuf none = strbuf_init(STRBUF_UNLIMITED);
	scoped(strbuf_done) struct strbuf bounded = strbuf_init(size);
	/* a copy of just this size, so that a read behind it is seen */
	scoped(freep) char *text = malloc(size ?: 1);
	size_t n, differ = 0;

	memcpy(text, data, size);
	if (rebase_text(text, size, NEW, NEW, &none) > 0)
		return 0; /* there is one of those already */
	assert(none.len == size && (size == 0 || memcmp(none.data, text, size) == 0));

	n = rebase_text(text, size, OLD, NEW, &there);
	for (size_t i = 0; i < size && there.len == size; i++)
		differ += there.data[i] != text[i];
	if (there.len == size)
		assert(differ <= n);

	assert(rebase_text(strbuf_str(&there), there.len, NEW, OLD, &back) == n);
	if (there.len == size)
		assert(back.len == size);
	(void)rebase_text(text, size, OLD, "/p/of/a/longer/address/~n/", &bounded);
	assert(bounded.len <= size);
	return 0;
}
