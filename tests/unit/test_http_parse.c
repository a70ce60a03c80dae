/* SPDX-License-Identifier: MIT */
#include "http/parse.h"

#include <errno.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
/* cmocka wants the four above it */
#include <cmocka.h>

#include "base/mem.h"

struct head_vector {
	const char *what;
	const char *bytes;
	size_t len;
	unsigned status; /* 0: it is taken, and then as follows */
	const char *method;
	const char *target;
	enum http_body body;
	uint64_t content_length;
	bool keep_alive;
};

static const struct head_vector heads[] = {
#define TAKEN(w, b, m, t, kind, n, k) { w, b, sizeof(b) - 1, 0, m, t, HTTP_BODY_##kind, n, k },
#define REFUSED(w, s, b)              { .what = w, .bytes = b, .len = sizeof(b) - 1, .status = s },
#include "../vectors/http_head.def"
#undef TAKEN
#undef REFUSED
};

struct chunked_vector {
	const char *what;
	const char *bytes;
	size_t len;
	const char *data;
	int end;
};

static const struct chunked_vector bodies[] = {
#define TAKEN(w, b, d)      { w, b, sizeof(b) - 1, d, HTTP_CHUNKED_END },
#define UNFINISHED(w, b, d) { w, b, sizeof(b) - 1, d, HTTP_CHUNKED_MORE },
#define REFUSED(w, e, b)    { w, b, sizeof(b) - 1, NULL, e },
#include "../vectors/http_chunked.def"
#undef TAKEN
#undef UNFINISHED
#undef REFUSED
};

static int parse(const char *bytes, size_t len, struct http_head *ret)
{
	struct http_refusal refusal;

	return http_head_parse(bytes, len, NULL, ret, &refusal);
}

#define PARSE(literal, ret) parse((literal), sizeof(literal) - 1, (ret))

static void each_good_head_is_taken_as_it_says(void **state)
{
	(void)state;
	for (size_t i = 0; i < ARRAY_SIZE(heads); i++) {
		const struct head_vector *v = &heads[i];
		struct http_head h;

		if (v->status != 0)
			continue;
		if (parse(v->bytes, v->len, &h) != (int)v->len)
			fail_msg("%s: not taken", v->what);
		assert_int_equal(h.head_len, v->len);
		assert_true(http_view_is(h.method, v->method));
		assert_true(http_view_is(h.target, v->target));
		assert_int_equal(h.body, v->body);
		assert_int_equal(h.content_length, v->content_length);
		if (h.keep_alive != v->keep_alive)
			fail_msg("%s: keep_alive", v->what);
	}
}

static void each_bad_head_is_refused_with_its_status(void **state)
{
	(void)state;
	for (size_t i = 0; i < ARRAY_SIZE(heads); i++) {
		const struct head_vector *v = &heads[i];
		struct http_refusal refusal = { 0 };
		struct http_head h;
		int r;

		if (v->status == 0)
			continue;
		r = http_head_parse(v->bytes, v->len, NULL, &h, &refusal);
		if (r != -EINVAL || refusal.status != v->status || !refusal.why)
			fail_msg("%s: %d, %u instead of %u", v->what, r, refusal.status, v->status);
	}
}

static void each_beginning_of_a_good_head_needs_more(void **state)
{
	(void)state;
	for (size_t i = 0; i < ARRAY_SIZE(heads); i++) {
		const struct head_vector *v = &heads[i];
		struct http_head h;

		for (size_t n = 0; v->status == 0 && n < v->len; n++)
			if (parse(v->bytes, n, &h) != 0)
				fail_msg("%s: cut to %zu bytes", v->what, n);
	}
}

static void a_head_in_pieces_gets_the_same_verdict(void **state)
{
	(void)state;
	for (size_t i = 0; i < ARRAY_SIZE(heads); i++) {
		const struct head_vector *v = &heads[i];
		struct http_refusal refusal = { 0 };
		struct http_head h;
		size_t scanned = 0;
		int r = 0;

		/* at another place each time, as a buffer that grows would have it */
		for (size_t n = 0; r == 0 && n <= v->len; n++) {
			scoped(freep) char *copy = xmemdup(v->bytes, n);

			r = http_head_parse(copy, n, &scanned, &h, &refusal);
		}
		if (r != (v->status == 0 ? (int)v->len : -EINVAL) || refusal.status != v->status)
			fail_msg("%s: %d, %u", v->what, r, refusal.status);
	}
}

static void what_follows_the_head_is_left_alone(void **state)
{
	struct http_head h;

	(void)state;
	assert_int_equal(PARSE("GET / HTTP/1.0\r\n\r\n\x01\n\r\n", &h), 18);
	assert_int_equal(PARSE("GET / HTTP/1.1\r\nHost: a\r\n\r\nGET / HTTP/9\n", &h), 27);
}

static void a_head_is_at_most_16_kib(void **state)
{
	static const char start[] = "GET / HTTP/1.1\r\nHost: a\r\nX: ";
	scoped(freep) char *bytes = xcalloc(1, HTTP_HEAD_MAX + 1);
	struct http_refusal refusal;
	struct http_head h;

	(void)state;
	memset(bytes, 'a', HTTP_HEAD_MAX + 1);
	memcpy(bytes, start, sizeof(start) - 1);
	memcpy(bytes + HTTP_HEAD_MAX - 4, "\r\n\r\n", 4);
	assert_int_equal(parse(bytes, HTTP_HEAD_MAX - 1, &h), 0);
	assert_int_equal(parse(bytes, HTTP_HEAD_MAX, &h), HTTP_HEAD_MAX);

	memcpy(bytes + HTTP_HEAD_MAX - 4, "a\r\n\r\n", 5);
	assert_int_equal(http_head_parse(bytes, HTTP_HEAD_MAX + 1, NULL, &h, &refusal), -EINVAL);
	assert_int_equal(refusal.status, 431);
}

static void fields_are_found_in_any_case_and_trimmed(void **state)
{
	struct http_head h;

	(void)state;
	assert_true(PARSE("GET / HTTP/1.1\r\nHost: a:80\r\nAccept:\t a b \r\nX: 1\r\nx: "
			  "2\r\nE:\r\n\r\n",
			  &h) > 0);
	assert_int_equal(h.n_fields, 5);
	assert_true(http_view_is(h.host, "a:80"));
	assert_true(http_view_is(http_head_field(&h, "ACCEPT")->value, "a b"));
	assert_true(http_view_is(http_head_field(&h, "x")->value, "1"));
	assert_null(http_head_field(&h, "Accep"));

	assert_true(http_view_is(http_head_value(&h, "accept"), "a b"));
	assert_non_null(http_head_value(&h, "e").at);
	assert_null(http_head_value(&h, "x").at); /* two */
	assert_null(http_head_value(&h, "y").at);
}

static void tokens_are_found_in_lists(void **state)
{
	struct http_head h;

	(void)state;
	assert_true(http_list_has_token(HTTP_VIEW("a, Upgrade"), "upgrade"));
	assert_true(http_list_has_token(HTTP_VIEW(",,upgrade\t,"), "upgrade"));
	assert_false(http_list_has_token(HTTP_VIEW("upgrades, an upgrade, upgrad"), "upgrade"));
	assert_false(http_list_has_token(HTTP_VIEW(""), "upgrade"));

	assert_true(PARSE("GET / HTTP/1.1\r\nHost: a\r\nVary: a\r\nVary: b,c\r\n\r\n", &h) > 0);
	assert_true(http_head_has_token(&h, "vary", "C"));
	assert_false(http_head_has_token(&h, "vary", "d"));
}

static void an_upgrade_needs_both_fields_1_1_and_no_body(void **state)
{
	/* clang-format off */
	static const struct {
		const char *request;
		bool upgrade;
	} rows[] = {
		{ "GET / HTTP/1.1\r\nHost: a\r\nConnection: x, UPGRADE\r\nUpgrade: h2c, WebSocket\r\n\r\n", true },
		{ "GET / HTTP/1.1\r\nHost: a\r\nUpgrade: websocket\r\n\r\n", false },
		{ "GET / HTTP/1.1\r\nHost: a\r\nConnection: upgrade\r\n\r\n", false },
		{ "GET / HTTP/1.1\r\nHost: a\r\nConnection: upgrade\r\nUpgrade: h2c\r\n\r\n", false },
		{ "GET / HTTP/1.0\r\nConnection: upgrade\r\nUpgrade: websocket\r\n\r\n", false },
		{ "GET / HTTP/1.1\r\nHost: a\r\nConnection: upgrade\r\nUpgrade: websocket\r\nContent-Length: 1\r\n\r\n", false },
	};
	/* clang-format on */

	(void)state;
	for (size_t i = 0; i < ARRAY_SIZE(rows); i++) {
		struct http_head h;

		assert_true(parse(rows[i].request, strlen(rows[i].request), &h) > 0);
		assert_int_equal(h.upgrade_websocket, rows[i].upgrade);
	}
}

static void only_a_1_1_client_with_a_body_waits_for_100(void **state)
{
	/* clang-format off */
	static const struct {
		const char *request;
		bool expect;
	} rows[] = {
		{ "PUT / HTTP/1.1\r\nHost: a\r\nExpect: 100-continue\r\nContent-Length: 1\r\n\r\n", true },
		{ "PUT / HTTP/1.1\r\nHost: a\r\nExpect: 100-Continue\r\nTransfer-Encoding: chunked\r\n\r\n", true },
		{ "PUT / HTTP/1.1\r\nHost: a\r\nExpect: 100-continue\r\n\r\n", false },
		{ "PUT / HTTP/1.0\r\nExpect: 100-continue\r\nContent-Length: 1\r\n\r\n", false },
	};
	/* clang-format on */

	(void)state;
	for (size_t i = 0; i < ARRAY_SIZE(rows); i++) {
		struct http_head h;

		assert_true(parse(rows[i].request, strlen(rows[i].request), &h) > 0);
		assert_int_equal(h.expect_continue, rows[i].expect);
	}
}

static void an_authority_is_a_name_and_a_port(void **state)
{
	struct http_view name;
	uint16_t port;

	(void)state;
	assert_int_equal(http_authority_split(HTTP_VIEW("a.b"), &name, &port), 0);
	assert_true(http_view_is(name, "a.b"));
	assert_int_equal(port, 0);

	assert_int_equal(http_authority_split(HTTP_VIEW("127.0.0.1:8080"), &name, &port), 0);
	assert_true(http_view_is(name, "127.0.0.1"));
	assert_int_equal(port, 8080);

	assert_int_equal(http_authority_split(HTTP_VIEW("[::1]:1"), &name, &port), 0);
	assert_true(http_view_is(name, "::1"));
	assert_int_equal(port, 1);

	assert_int_equal(http_authority_split(HTTP_VIEW("[::1]1"), &name, &port), -EINVAL);
	assert_int_equal(http_authority_split(HTTP_VIEW("a:000080"), &name, &port), -EINVAL);
	assert_int_equal(http_authority_split((struct http_view){ 0 }, NULL, NULL), -EINVAL);
}

/* Decodes in pieces of `piece` bytes, as a connection would; returns the last step. */
static int decode(const char *bytes, size_t len, size_t piece, char *data, size_t *ret_taken)
{
	struct http_chunked c = { 0 };
	size_t taken = 0;
	size_t end = 0;
	int r = HTTP_CHUNKED_MORE;

	data[0] = '\0';
	while (r == HTTP_CHUNKED_MORE && end < len) {
		end = end + piece < len ? end + piece : len;
		do {
			struct http_view view;
			size_t n;

			r = http_chunked_decode(&c, bytes + taken, end - taken, &n, &view);
			if (r < 0)
				return r;
			taken += n;
			if (r == HTTP_CHUNKED_DATA)
				strncat(data, view.at, view.len);
		} while (r == HTTP_CHUNKED_DATA);
	}
	*ret_taken = taken;
	return r;
}

static void each_chunked_body_comes_out_however_it_is_cut(void **state)
{
	(void)state;
	for (size_t i = 0; i < ARRAY_SIZE(bodies); i++) {
		const struct chunked_vector *v = &bodies[i];

		for (size_t piece = 1; piece <= v->len; piece++) {
			scoped(freep) char *data = xcalloc(1, v->len + 1);
			size_t taken;
			int r = decode(v->bytes, v->len, piece, data, &taken);

			if (r != v->end)
				fail_msg("%s: %d, in pieces of %zu", v->what, r, piece);
			if (r < 0)
				continue;
			assert_string_equal(data, v->data);
			assert_int_equal(taken, v->len);
		}
	}
}

static void the_next_request_is_left_behind_a_chunked_body(void **state)
{
	static const char bytes[] = "3\r\nabc\r\n0\r\n\r\nGET / HTTP/1.1\r\n";
	char data[sizeof(bytes)];
	size_t taken;

	(void)state;
	assert_int_equal(decode(bytes, sizeof(bytes) - 1, sizeof(bytes), data, &taken),
			 HTTP_CHUNKED_END);
	assert_string_equal(bytes + taken, "GET / HTTP/1.1\r\n");
}

static void a_bad_chunked_body_stays_bad(void **state)
{
	struct http_chunked c = { 0 };
	struct http_view data;
	size_t n;

	(void)state;
	assert_int_equal(http_chunked_decode(&c, "x", 1, &n, &data), -EINVAL);
	assert_int_equal(http_chunked_decode(&c, "0\r\n\r\n", 5, &n, &data), -EINVAL);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(each_good_head_is_taken_as_it_says),
		cmocka_unit_test(each_bad_head_is_refused_with_its_status),
		cmocka_unit_test(each_beginning_of_a_good_head_needs_more),
		cmocka_unit_test(a_head_in_pieces_gets_the_same_verdict),
		cmocka_unit_test(what_follows_the_head_is_left_alone),
		cmocka_unit_test(a_head_is_at_most_16_kib),
		cmocka_unit_test(fields_are_found_in_any_case_and_trimmed),
		cmocka_unit_test(tokens_are_found_in_lists),
		cmocka_unit_test(an_upgrade_needs_both_fields_1_1_and_no_body),
		cmocka_unit_test(only_a_1_1_client_with_a_body_waits_for_100),
		cmocka_unit_test(an_authority_is_a_name_and_a_port),
		cmocka_unit_test(each_chunked_body_comes_out_however_it_is_cut),
		cmocka_unit_test(the_next_request_is_left_behind_a_chunked_body),
		cmocka_unit_test(a_bad_chunked_body_stays_bad),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
