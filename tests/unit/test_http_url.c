/* SPDX-License-Identifier: MIT */
#include "http/url.h"

#include <errno.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stdint.h>
#include <string.h>
/* cmocka wants the four above it */
#include <cmocka.h>

#include "base/strbuf.h"

static struct http_view view(const char *s)
{
	return (struct http_view){ s, s ? strlen(s) : 0 };
}

static void a_target_is_a_path_and_a_query(void **state)
{
	/* clang-format off */
	static const struct {
		const char *target, *path, *query;
	} rows[] = {
		{ "/", "/", NULL },
		{ "/a/b?c=d?e", "/a/b", "c=d?e" },
		{ "/a?", "/a", "" },
		{ "//a/b", "//a/b", NULL },
		{ "*", "*", NULL },
		{ "http://host:1/a/b?c", "/a/b", "c" },
		{ "http://host", "/", NULL },
		{ "HTTPS://host/", "/", NULL },
		{ "http://host?a/b", "/", "a/b" },
	};
	/* clang-format on */

	(void)state;
	for (size_t i = 0; i < ARRAY_SIZE(rows); i++) {
		struct http_view path, query;

		http_target_split(view(rows[i].target), &path, &query);
		if (!http_view_is(path, rows[i].path))
			fail_msg("%s: path %.*s", rows[i].target, (int)path.len, path.at);
		if (!rows[i].query)
			assert_null(query.at);
		else
			assert_true(query.at && http_view_is(query, rows[i].query));
	}
}

static void a_path_is_decoded_segment_by_segment(void **state)
{
	/* clang-format off */
	static const struct {
		const char *path, *segments; /* each followed by "|" */
		bool slash;
	} rows[] = {
		{ "/", "", true },
		{ "/a", "a|", false },
		{ "/a/", "a|", true },
		{ "/a/b%20c/d+e", "a|b c|d+e|", false },
		{ "/%41%7a/%c3%A4", "Az|\xc3\xa4|", false },
		{ "/.a/..b/c./...", ".a|..b|c.|...|", false },
		{ "/%25%32%66", "%2f|", false }, /* once, not twice */
		{ "/a:b@c;d=e", "a:b@c;d=e|", false },
	};
	/* clang-format on */

	(void)state;
	for (size_t i = 0; i < ARRAY_SIZE(rows); i++) {
		scoped(http_path_done) struct http_path p = { 0 };
		scoped(strbuf_done) struct strbuf seen = strbuf_init(256);

		if (http_path_decode(view(rows[i].path), &p) < 0)
			fail_msg("%s: refused", rows[i].path);
		for (size_t n = 0; n < p.n; n++)
			strbuf_printf(&seen, "%s|", p.segments[n]);
		assert_string_equal(strbuf_str(&seen), rows[i].segments);
		assert_null(p.segments[p.n]);
		assert_int_equal(p.trailing_slash, rows[i].slash);
	}
}

static void a_path_of_two_readings_is_refused(void **state)
{
	static const char *const rows[] = {
		"",       "a",    "*",       "//",     "//a",      "/a//b",     "/a//",
		"/.",     "/..",  "/a/../b", "/a/./b", "/%2e",     "/%2E%2e/a", "/a/.%2e",
		"/a%2fb", "/%2F", "/a%00",   "/%00",   "/%",       "/%4",       "/%4/a",
		"/%g0",   "/%0g", "/% 1",    "/%+1",   "/%%41",    "/a%0ab",    "/a%0d",
		"/%1b",   "/%7f", "/%ff",    "/%c3",   "/%c3/%a4", "/%c0%af",   "/%ed%a0%80",
	};

	(void)state;
	for (size_t i = 0; i < ARRAY_SIZE(rows); i++) {
		scoped(http_path_done) struct http_path p = { 0 };

		if (http_path_decode(view(rows[i]), &p) != -EINVAL)
			fail_msg("%s: not refused", rows[i]);
		assert_null(p.segments);
	}
}

static void a_parameter_of_a_query_is_decoded(void **state)
{
	/* clang-format off */
	static const struct {
		const char *query;
		int r;
		const char *value;
	} rows[] = {
		{ "a=1", 0, "1" },
		{ "b=2&a=1&c=3", 0, "1" },
		{ "a=", 0, "" },
		{ "a", 0, "" },
		{ "&&a=1&", 0, "1" },
		{ "a=b=c", 0, "b=c" },
		{ "a=x+y%20z%2B", 0, "x y z+" },
		{ "%61=%26%3d%0A", 0, "&=\n" },
		{ "a=%c3%a4", 0, "\xc3\xa4" },
		{ NULL, -ENOENT, NULL },
		{ "", -ENOENT, NULL },
		{ "aa=1&A=2&=3", -ENOENT, NULL },
		{ "b=a", -ENOENT, NULL },
		{ "a=1&a=1", -EINVAL, NULL },
		{ "a=1&%61=2", -EINVAL, NULL },
		{ "a&a", -EINVAL, NULL },
		{ "a=%", -EINVAL, NULL },
		{ "a=%1", -EINVAL, NULL },
		{ "a=%zz", -EINVAL, NULL },
		{ "a=%00", -EINVAL, NULL },
		{ "a%00b=1", -EINVAL, NULL },
		{ "a=%ff", -EINVAL, NULL },
		{ "%=1&a=1", -EINVAL, NULL },
	};
	/* clang-format on */

	(void)state;
	for (size_t i = 0; i < ARRAY_SIZE(rows); i++) {
		scoped(freep) char *value = NULL;
		int r = http_query_get(view(rows[i].query), "a", &value);

		if (r != rows[i].r)
			fail_msg("%s: %d", rows[i].query, r);
		if (r == 0)
			assert_string_equal(value, rows[i].value);
		else
			assert_null(value);
	}
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(a_target_is_a_path_and_a_query),
		cmocka_unit_test(a_path_is_decoded_segment_by_segment),
		cmocka_unit_test(a_path_of_two_readings_is_refused),
		cmocka_unit_test(a_parameter_of_a_query_is_decoded),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
