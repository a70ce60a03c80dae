/* SPDX-License-Identifier: MIT */
#include "http/conditional.h"

#include <errno.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stdint.h>
#include <string.h>
/* cmocka wants the four above it */
#include <cmocka.h>

static void the_encoding_goes_by_weight_then_by_size(void **state)
{
	/* clang-format off */
	static const struct {
		const char *accept;
		enum http_coding both, gzip_only, none;
	} rows[] = {
#define I HTTP_CODING_IDENTITY
#define G HTTP_CODING_GZIP
#define B HTTP_CODING_BR
		{ NULL, I, I, I },
		{ "", I, I, I },
		{ "gzip, deflate, br, zstd", B, G, I },
		{ "gzip, deflate", G, G, I },
		{ "br", B, I, I },
		{ "BR", B, I, I },
		{ "x-gzip", G, G, I },
		{ "br;q=0.5, gzip;q=0.8", G, G, I },
		{ "br;q=0.8,gzip;q=0.8", B, G, I },
		{ "br;q=0, gzip", G, G, I },
		{ "br;q=0,gzip;q=0", I, I, I },
		{ "br;q=0.000, gzip;q=0.001", G, G, I },
		{ "*", B, G, I },
		{ "*;q=0", I, I, I },
		{ "*;q=0.5, br;q=0", G, G, I },
		{ "identity", I, I, I },
		{ "identity, br;q=0.5", I, I, I },
		{ "identity;q=0.5, br;q=0.5", B, I, I },
		{ "identity;q=0", I, I, I },
		{ "identity;q=0, gzip;q=0.1", G, G, I },
		{ "identity;q=0, *", B, G, I },
		{ "deflate, zstd, compress", I, I, I },
		{ " br ; q=1.000 ,\tgzip ;q=1", B, G, I },
		{ ",,br,,", B, I, I },
		/* what is no good is passed over */
		{ "br;q=2", I, I, I },
		{ "br;q=1.5", I, I, I },
		{ "br;q=x, gzip", G, G, I },
		{ "br;level=1", I, I, I },
		{ "br gzip", I, I, I },
		{ "brotli", I, I, I },
		{ "br;q=0.5x, gzip;q=0.1", G, G, I },
		{ "\"br\"", I, I, I },
		{ ";q=1", I, I, I },
	};
	/* clang-format on */

	(void)state;
	for (size_t i = 0; i < ARRAY_SIZE(rows); i++) {
		const char *accept = rows[i].accept;

		if (http_coding_choose(accept, true, true) != rows[i].both)
			fail_msg("%s: of both, %d", accept, http_coding_choose(accept, true, true));
		if (http_coding_choose(accept, true, false) != rows[i].gzip_only)
			fail_msg("%s: of gzip", accept);
		if (http_coding_choose(accept, false, false) != rows[i].none)
			fail_msg("%s: of none", accept);
	}
}

static void an_entity_tag_is_found_in_a_list(void **state)
{
	/* clang-format off */
	static const struct {
		const char *list;
		bool weakly, strongly;
	} rows[] = {
		{ "\"abc\"", true, true },
		{ "W/\"abc\"", true, false },
		{ "\"x\", \"abc\"", true, true },
		{ "\"x\",W/\"y\" , \"abc\" , \"z\"", true, true },
		{ " , ,\"abc\"", true, true },
		{ "*", true, true },
		{ " * ", true, true },
		{ "\"abc", false, false },
		{ "abc", false, false },
		{ "\"ab\"", false, false },
		{ "\"abcd\"", false, false },
		{ "\"ABC\"", false, false },
		{ "", false, false },
		{ "w/\"abc\"", false, false },
		{ "*, \"abc\"", false, false },
		{ "\"x\" \"abc\"", false, false },
		{ "\"a bc\", \"abc\"", false, false },
		{ "\"x\"\"abc\"", false, false },
	};
	/* clang-format on */

	(void)state;
	for (size_t i = 0; i < ARRAY_SIZE(rows); i++) {
		if (http_etag_listed(rows[i].list, "\"abc\"", true) != rows[i].weakly)
			fail_msg("%s: weakly", rows[i].list);
		if (http_etag_listed(rows[i].list, "\"abc\"", false) != rows[i].strongly)
			fail_msg("%s: strongly", rows[i].list);
	}
}

static void the_three_forms_of_a_date_are_read(void **state)
{
	/* clang-format off */
	static const struct {
		const char *text;
		int64_t seconds; /* -1: none */
	} rows[] = {
		{ "Sun, 06 Nov 1994 08:49:37 GMT", 784111777 },
		{ "Sunday, 06-Nov-94 08:49:37 GMT", 784111777 },
		{ "Sun Nov  6 08:49:37 1994", 784111777 },
		{ "Thu, 01 Jan 1970 00:00:00 GMT", 0 },
		{ "Tue, 29 Feb 2028 23:59:59 GMT", 1835481599 },
		{ "Sun, 06 Nov 1994 08:49:37", -1 },
		{ "Sun, 06 Nov 1994 08:49:37 UTC", -1 },
		{ "Sun, 6 Nov 1994 08:49:37 GMT", -1 },
		{ "Sun, 06 nov 1994 08:49:37 GMT", -1 },
		{ "Sun, 06 Nov 1994 24:00:00 GMT", -1 },
		{ "Sun, 00 Nov 1994 08:49:37 GMT", -1 },
		{ "Xyz, 06 Nov 1994 08:49:37 GMT", -1 },
		{ "784111777", -1 },
		{ "", -1 },
		{ ",", -1 },
		{ "Sunday, 06-Nov-94 08:49:37 GMT ", -1 },
	};
	/* clang-format on */
	char text[HTTP_DATE_SIZE];

	(void)state;
	for (size_t i = 0; i < ARRAY_SIZE(rows); i++) {
		int64_t seconds = -1;

		if (http_date_parse(rows[i].text, &seconds) < 0)
			seconds = -1;
		if (seconds != rows[i].seconds)
			fail_msg("%s: %lld", rows[i].text, (long long)seconds);
	}
	http_date_format(784111777, text);
	assert_string_equal(text, "Sun, 06 Nov 1994 08:49:37 GMT");
}

static void a_range_is_one_part_or_all(void **state)
{
	/* clang-format off */
	static const struct {
		const char *range;
		uint64_t size;
		enum http_range kind;
		uint64_t from, len;
	} rows[] = {
		{ "bytes=0-9", 100, HTTP_RANGE_PART, 0, 10 },
		{ "bytes=0-0", 100, HTTP_RANGE_PART, 0, 1 },
		{ "bytes=90-", 100, HTTP_RANGE_PART, 90, 10 },
		{ "bytes=90-500", 100, HTTP_RANGE_PART, 90, 10 },
		{ "bytes=-10", 100, HTTP_RANGE_PART, 90, 10 },
		{ "bytes=-500", 100, HTTP_RANGE_PART, 0, 100 },
		{ "BYTES= 0-9 ", 100, HTTP_RANGE_PART, 0, 10 },
		{ "bytes=0-99999999999999999999999", 100, HTTP_RANGE_PART, 0, 100 },
		{ "bytes=100-", 100, HTTP_RANGE_BEYOND, 0, 0 },
		{ "bytes=99999999999999999999999-", 100, HTTP_RANGE_BEYOND, 0, 0 },
		{ "bytes=-0", 100, HTTP_RANGE_BEYOND, 0, 0 },
		{ "bytes=0-", 0, HTTP_RANGE_WHOLE, 0, 0 },
		{ "bytes=-5", 0, HTTP_RANGE_WHOLE, 0, 0 },
		{ "bytes=1-", 0, HTTP_RANGE_BEYOND, 0, 0 },
		{ "bytes=0-9,20-29", 100, HTTP_RANGE_WHOLE, 0, 0 },
		{ "bytes=9-0", 100, HTTP_RANGE_WHOLE, 0, 0 },
		{ "bytes=-", 100, HTTP_RANGE_WHOLE, 0, 0 },
		{ "bytes=", 100, HTTP_RANGE_WHOLE, 0, 0 },
		{ "bytes=a-b", 100, HTTP_RANGE_WHOLE, 0, 0 },
		{ "bytes=0x1-2", 100, HTTP_RANGE_WHOLE, 0, 0 },
		{ "bytes=+1-2", 100, HTTP_RANGE_WHOLE, 0, 0 },
		{ "items=0-9", 100, HTTP_RANGE_WHOLE, 0, 0 },
		{ "bytes", 100, HTTP_RANGE_WHOLE, 0, 0 },
		{ "", 100, HTTP_RANGE_WHOLE, 0, 0 },
		{ "bytes=0-9 x", 100, HTTP_RANGE_WHOLE, 0, 0 },
	};
	/* clang-format on */

	(void)state;
	for (size_t i = 0; i < ARRAY_SIZE(rows); i++) {
		uint64_t from = 0, len = 0;

		if (http_range_parse(rows[i].range, rows[i].size, &from, &len) != rows[i].kind ||
		    from != rows[i].from || len != rows[i].len)
			fail_msg("%s of %llu: %llu+%llu", rows[i].range,
				 (unsigned long long)rows[i].size, (unsigned long long)from,
				 (unsigned long long)len);
	}
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(the_encoding_goes_by_weight_then_by_size),
		cmocka_unit_test(an_entity_tag_is_found_in_a_list),
		cmocka_unit_test(the_three_forms_of_a_date_are_read),
		cmocka_unit_test(a_range_is_one_part_or_all),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
