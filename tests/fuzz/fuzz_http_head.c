/* SPDX-License-Identifier: MIT */
/*
 * Whatever the bytes: views stay inside of the head, a strict prefix of a good head needs more, a
 * refusal stays the same refusal as more comes, and parsing in pieces changes nothing.
 */
#include <assert.h>
#include <stdlib.h>
#include <string.h>

#include "fuzz.h"
#include "http/parse.h"
#include "http/url.h"

static void check_inside(struct http_view v, const char *bytes, size_t len)
{
	assert(v.at >= bytes && v.at + v.len <= bytes + len);
}

static void check_target(struct http_view target)
{
	scoped(http_path_done) struct http_path p = { 0 };
	scoped(freep) char *value = NULL;
	struct http_view path, query;

	http_target_split(target, &path, &query);
	if (http_query_get(query, "a", &value) == 0)
		assert(strlen(value) <= query.len);
	if (http_path_decode(path, &p) < 0)
		return;

	assert(p.segments[p.n] == NULL);
	for (size_t i = 0; i < p.n; i++)
		assert(p.segments[i][0] != '\0' && !strchr(p.segments[i], '/') &&
		       strcmp(p.segments[i], ".") != 0 && strcmp(p.segments[i], "..") != 0);
}

static void check_taken(const struct http_head *h, const char *bytes)
{
	check_inside(h->method, bytes, h->head_len);
	check_inside(h->target, bytes, h->head_len);
	for (size_t i = 0; i < h->n_fields; i++) {
		check_inside(h->fields[i].name, bytes, h->head_len);
		check_inside(h->fields[i].value, bytes, h->head_len);
	}

	assert(h->minor == 0 || h->host.at);
	assert(!http_head_field(h, "content-length") || !http_head_field(h, "transfer-encoding"));
	assert((h->body == HTTP_BODY_LENGTH) == (h->content_length > 0));
	check_target(h->target);
}

/* Returns the verdict of parsing piece by piece, and after how many bytes it fell. */
static int parse_in_pieces(const char *bytes, size_t len, size_t piece, struct http_refusal *reterr)
{
	struct http_head h;
	size_t scanned = 0;
	size_t n = 0;
	int r;

	do {
		n = n + piece < len ? n + piece : len;
		r = http_head_parse(bytes, n, &scanned, &h, reterr);
	} while (r == 0 && n < len);
	return r;
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
	/* a copy of just this size, so that a read behind it is seen */
	scoped(freep) char *bytes = malloc(size ?: 1);
	struct http_refusal whole = { 0 };
	struct http_head h;
	int r;

	memcpy(bytes, data, size);
	r = http_head_parse(bytes, size, NULL, &h, &whole);
	assert((r < 0) == (whole.status != 0));
	assert(r <= HTTP_HEAD_MAX && r <= (int)size);
	if (r > 0)
		check_taken(&h, bytes);

	for (size_t piece = 1; piece < 16; piece += 4) {
		struct http_refusal refusal = { 0 };

		assert(parse_in_pieces(bytes, size, piece, &refusal) == r);
		assert(refusal.status == whole.status && refusal.why == whole.why);
	}
	for (int n = 0; n < r; n++)
		assert(http_head_parse(bytes, (size_t)n, NULL, &h, NULL) == 0);
	return 0;
}
