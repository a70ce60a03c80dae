/* SPDX-License-Identifier: MIT */
/* However a chunked body is cut: the same data, the same verdict, the same end. */
#include <assert.h>
#include <stdlib.h>
#include <string.h>

#include "fuzz.h"
#include "http/parse.h"

struct outcome {
	int verdict;
	size_t taken; /* not of a refusal */
	size_t n_data;
	char *data;
};

static void decode(const char *bytes, size_t len, size_t piece, struct outcome *o)
{
	struct http_chunked c = { 0 };
	size_t end = 0;

	*o = (struct outcome){ .data = malloc(len ?: 1) };
	while (o->verdict == HTTP_CHUNKED_MORE && end < len) {
		end = len - end > piece ? end + piece : len;
		do {
			struct http_view data;
			size_t n;

			o->verdict = http_chunked_decode(&c, bytes + o->taken, end - o->taken, &n,
							 &data);
			if (o->verdict < 0) {
				o->taken = 0;
				return;
			}
			assert(n <= end - o->taken);
			o->taken += n;
			if (o->verdict == HTTP_CHUNKED_MORE)
				assert(o->taken == end);
			if (o->verdict != HTTP_CHUNKED_DATA)
				continue;

			assert(data.len > 0 && data.at + data.len == bytes + o->taken);
			memcpy(o->data + o->n_data, data.at, data.len);
			o->n_data += data.len;
		} while (o->verdict == HTTP_CHUNKED_DATA);
	}
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
	static const size_t pieces[] = { 1, 2, 3, 7, 64 };
	scoped(freep) char *bytes = malloc(size ?: 1);
	struct outcome whole;

	memcpy(bytes, data, size);
	decode(bytes, size, size, &whole);

	for (size_t i = 0; i < ARRAY_SIZE(pieces); i++) {
		struct outcome o;

		decode(bytes, size, pieces[i], &o);
		assert(o.verdict == whole.verdict && o.taken == whole.taken);
		assert(o.n_data == whole.n_data && memcmp(o.data, whole.data, o.n_data) == 0);
		free(o.data);
	}
	free(whole.data);
	return 0;
}
