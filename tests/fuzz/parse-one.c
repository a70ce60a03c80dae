/* SPDX-License-Identifier: MIT */
/*
 * Says in JSON what the parser makes of bytes, for comparison with another.
 *
 *	parse-one < REQUESTS	one line for all of the input
 *	parse-one --hex		one line for each line, which is the bytes in hexadecimal
 *	parse-one --vectors	the vectors of the unit tests: what, bytes in hexadecimal, taken
 *
 * A line is {"requests": [{"method", "target", "body", "upgrade"}...], "end", "status", "why"}: the
 * requests that came whole, body being its length and upgrade whether it offers to change to
 * another protocol, and then how it ends: "clean" (nothing is left), "closed"
 * (the last one ends the connection), "more" (a request is cut short) or "refused".
 */
#include <cjson/cJSON.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "base/mem.h"
#include "base/parse.h"
#include "http/parse.h"

#define INPUT_MAX (1024 * 1024)

static const struct vector {
	const char *what;
	const char *bytes;
	size_t len;
	bool taken;
} vectors[] = {
#define TAKEN(w, b, ...) { w, b, sizeof(b) - 1, true },
#define REFUSED(w, s, b) { w, b, sizeof(b) - 1, false },
#include "../vectors/http_head.def"
#undef TAKEN
#undef REFUSED
#define CHUNKED(b)          "POST / HTTP/1.1\r\nHost: a\r\nTransfer-Encoding: chunked\r\n\r\n" b
#define TAKEN(w, b, d)      { w, CHUNKED(b), sizeof(CHUNKED(b)) - 1, true },
#define UNFINISHED(w, b, d) { w, CHUNKED(b), sizeof(CHUNKED(b)) - 1, false },
#define REFUSED(w, e, b)    { w, CHUNKED(b), sizeof(CHUNKED(b)) - 1, false },
#include "../vectors/http_chunked.def"
};

static void print_json_consume(cJSON *j)
{
	scoped(freep) char *text = cJSON_PrintUnformatted(j);

	puts(text);
	fflush(stdout);
	cJSON_Delete(j);
}

static void print_vectors(void)
{
	for (size_t i = 0; i < ARRAY_SIZE(vectors); i++) {
		const struct vector *v = &vectors[i];
		scoped(freep) char *hex = xcalloc(2, v->len + 1);
		cJSON *j = cJSON_CreateObject();

		for (size_t n = 0; n < v->len; n++)
			sprintf(hex + 2 * n, "%02x", (unsigned char)v->bytes[n]);
		cJSON_AddStringToObject(j, "what", v->what);
		cJSON_AddStringToObject(j, "bytes", hex);
		cJSON_AddBoolToObject(j, "taken", v->taken);
		print_json_consume(j);
	}
}

/* Returns 1 when the body is whole, 0 when it is cut short, negative when it is refused. */
static int skip_body(const struct http_head *h, const char **at, const char *end, uint64_t *ret_n)
{
	struct http_chunked c = { 0 };
	int r = HTTP_CHUNKED_DATA;

	*ret_n = h->content_length;
	if (h->body != HTTP_BODY_CHUNKED) {
		if (h->content_length > (uint64_t)(end - *at))
			return 0;
		*at += h->content_length;
		return 1;
	}

	while (r == HTTP_CHUNKED_DATA) {
		struct http_view data = { 0 };
		size_t n;

		r = http_chunked_decode(&c, *at, (size_t)(end - *at), &n, &data);
		if (r < 0)
			return r;
		*at += n;
		*ret_n += data.len;
	}
	return r == HTTP_CHUNKED_END;
}

static void add_request(cJSON *requests, const struct http_head *h, uint64_t body)
{
	scoped(freep) char *method = xstrndup(h->method.at, h->method.len);
	scoped(freep) char *target = xstrndup(h->target.at, h->target.len);
	cJSON *j = cJSON_CreateObject();

	cJSON_AddStringToObject(j, "method", method);
	cJSON_AddStringToObject(j, "target", target);
	cJSON_AddNumberToObject(j, "body", (double)body);
	cJSON_AddBoolToObject(j, "upgrade",
			      http_head_field(h, "upgrade") &&
				      http_head_has_token(h, "connection", "upgrade"));
	cJSON_AddItemToArray(requests, j);
}

/* Takes requests until something ends it, and says what. */
static const char *take_requests(const char *at, const char *end, cJSON *requests,
				 struct http_refusal *refusal)
{
	while (at < end) {
		struct http_head h;
		uint64_t body;
		int r;

		r = http_head_parse(at, (size_t)(end - at), NULL, &h, refusal);
		if (r <= 0)
			return r < 0 ? "refused" : "more";
		at += r;

		r = skip_body(&h, &at, end, &body);
		if (r < 0)
			*refusal = (struct http_refusal){ 400, "the chunked body is malformed" };
		if (r <= 0)
			return r < 0 ? "refused" : "more";
		add_request(requests, &h, body);
		if (!h.keep_alive)
			return "closed";
	}
	return "clean";
}

static void judge(const char *bytes, size_t len)
{
	cJSON *j = cJSON_CreateObject();
	cJSON *requests = cJSON_AddArrayToObject(j, "requests");
	struct http_refusal refusal = { 0 };

	cJSON_AddStringToObject(j, "end", take_requests(bytes, bytes + len, requests, &refusal));
	if (refusal.status != 0) {
		cJSON_AddNumberToObject(j, "status", refusal.status);
		cJSON_AddStringToObject(j, "why", refusal.why);
	}
	print_json_consume(j);
}

/* In place; returns the number of bytes. */
static size_t from_hex(char *text)
{
	size_t n = 0;

	while (hex_digit(text[2 * n]) >= 0 && hex_digit(text[2 * n + 1]) >= 0) {
		text[n] = (char)(hex_digit(text[2 * n]) << 4 | hex_digit(text[2 * n + 1]));
		n++;
	}
	return n;
}

int main(int argc, char **argv)
{
	scoped(freep) char *input = xcalloc(1, INPUT_MAX);

	if (argc == 1) {
		judge(input, fread(input, 1, INPUT_MAX, stdin));
	} else if (strcmp(argv[1], "--hex") == 0) {
		while (fgets(input, INPUT_MAX, stdin))
			judge(input, from_hex(input));
	} else if (strcmp(argv[1], "--vectors") == 0) {
		print_vectors();
	} else {
		fputs("usage: parse-one [--hex | --vectors]\n", stderr);
		return 2;
	}
	return 0;
}
