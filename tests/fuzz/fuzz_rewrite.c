/* SPDX-License-Identifier: MIT */
/*
 * Whatever the text: nothing of it is lost, only the base is put in, as often as is said, and a
 * second time there is nothing left to do.  The first byte chooses the kind.
 */
#include <assert.h>
#include <stdlib.h>
#include <string.h>

#include "fuzz.h"
#include "publish/rewrite.h"

#define BASE "/p/x/"

static bool has_file(const char *path, size_t len, void *arg)
{
	(void)arg;
	/* Names of which a mutation easily hits one. */
	return (len == 1 && *path == 'a') || (len == 10 && memcmp(path, "index.html", 10) == 0) ||
	       (len == 6 && memcmp(path, "a.html", 6) == 0);
}

/* Takes the base out again where it was put in. */
static bool is_with_bases(const char *is, size_t is_len, const char *was, size_t was_len, size_t n)
{
	const size_t base_len = strlen(BASE) - 1;
	size_t i = 0, w = 0;

	while (i < is_len) {
		if (w < was_len && is[i] == was[w] &&
		    !(n > 0 && is_len - i >= base_len && memcmp(is + i, BASE, base_len) == 0 &&
		      (was_len - w < base_len || memcmp(was + w, BASE, base_len) != 0))) {
			i++;
			w++;
			continue;
		}
		if (n == 0 || is_len - i < base_len || memcmp(is + i, BASE, base_len) != 0)
			return false;
		i += base_len;
		n--;
	}
	return n == 0 && w == was_len;
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
	const enum rewrite_kind kind = size > 0 ? data[0] % (REWRITE_MANIFEST + 1) : REWRITE_NONE;
	const struct rewrite_rules rules = { BASE, size > 0 && data[0] & 0x80, has_file, NULL };
	const size_t len = size > 0 ? size - 1 : 0;
	scoped(strbuf_done) struct strbuf once = strbuf_init(STRBUF_UNLIMITED);
	scoped(strbuf_done) struct strbuf twice = strbuf_init(STRBUF_UNLIMITED);
	scoped(freep) char *text = malloc(len ? len : 1);
	scoped(freep) char *outside = NULL;
	size_t n;

	if (len > 0)
		memcpy(text, data + 1, len);
	n = rewrite_text(kind, text, len, &rules, &once);
	assert(once.len == len + n * (strlen(BASE) - 1));
	assert(is_with_bases(strbuf_str(&once), once.len, text, len, n));
	n = rewrite_text(kind, strbuf_str(&once), once.len, &rules, &twice);
	assert(n == 0 && twice.len == once.len);

	outside = rewrite_find_outside(text, len, BASE);
	assert(!outside || outside[0] == '/');
	(void)rewrite_has_integrity(text, len);
	return 0;
}
