/* SPDX-License-Identifier: MIT */
/* Strict parsing, text and times. */
#include <errno.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdlib.h>
#include <string.h>
/* cmocka wants setjmp, stdarg and stddef above it */
#include <cmocka.h>

#include "base/clock.h"
#include "base/ids.h"
#include "base/parse.h"
#include "base/strbuf.h"

/* clang-format off */
static const struct {
	const char *text;
	int r;
	uint64_t value;
	const char *back; /* NULL: the same text */
} durations[] = {
	{ "30m", 0, 1800 * USEC_PER_SEC, NULL }, { "1h30m", 0, 5400 * USEC_PER_SEC, NULL },
	{ "1500ms", 0, 1500 * USEC_PER_MSEC, NULL }, { "15", 0, 15 * USEC_PER_SEC, "15s" },
	{ "500ms", 0, 500 * USEC_PER_MSEC, NULL }, { "0", 0, 0, "0s" }, { "7us", 0, 7, NULL },
	{ "1d", 0, 86400 * USEC_PER_SEC, NULL }, { "1m500ms", 0, 60500 * USEC_PER_MSEC, NULL },
	{ "infinity", 0, USEC_INFINITY, NULL }, { "90m", 0, 5400 * USEC_PER_SEC, "1h30m" },
	{ "18446744073709551614us", 0, USEC_INFINITY - 1, "213503982d8h1m49s551ms614us" },
	{ "18446744073709551615us", -ERANGE, 0, NULL }, { "99999999999999999999", -ERANGE, 0, NULL },
	{ "99999999999999999999s", -ERANGE, 0, NULL }, { "213503983d", -ERANGE, 0, NULL },
	{ "18446744073710", -ERANGE, 0, NULL }, { "", -EINVAL, 0, NULL }, { "m", -EINVAL, 0, NULL },
	{ "1h30", -EINVAL, 0, NULL }, { "30m1h", -EINVAL, 0, NULL }, { "1m1m", -EINVAL, 0, NULL },
	{ "1.5s", -EINVAL, 0, NULL }, { "-1s", -EINVAL, 0, NULL }, { " 1s", -EINVAL, 0, NULL },
	{ "1s ", -EINVAL, 0, NULL }, { "1x", -EINVAL, 0, NULL }, { "99999999999999999999x", -EINVAL, 0, NULL },
}, sizes[] = {
	{ "0", 0, 0, NULL }, { "512", 0, 512, NULL }, { "64M", 0, 64 << 20, NULL },
	{ "1024M", 0, 1 << 30, "1G" }, { "3K", 0, 3072, NULL }, { "1025", 0, 1025, NULL },
	{ "17179869183G", 0, UINT64_C(17179869183) << 30, NULL },
	{ "18446744073709551615", 0, UINT64_MAX, NULL },
	{ "17179869184G", -ERANGE, 0, NULL }, { "18446744073709551616", -ERANGE, 0, NULL },
	{ "", -EINVAL, 0, NULL }, { "M", -EINVAL, 0, NULL }, { "1MB", -EINVAL, 0, NULL },
	{ "1m", -EINVAL, 0, NULL }, { "1 M", -EINVAL, 0, NULL }, { "+1", -EINVAL, 0, NULL },
}, numbers[] = {
	{ "0", 0, 0, NULL }, { "18446744073709551615", 0, UINT64_MAX, NULL },
	{ "18446744073709551616", -ERANGE, 0, NULL }, { "", -EINVAL, 0, NULL },
	{ " 1", -EINVAL, 0, NULL }, { "-1", -EINVAL, 0, NULL }, { "0x1", -EINVAL, 0, NULL },
	{ "1a", -EINVAL, 0, NULL }, { "99999999999999999999a", -EINVAL, 0, NULL },
};
/* clang-format on */

static void durations_are_read_and_written_back(void **state)
{
	(void)state;
	for (size_t i = 0; i < ARRAY_SIZE(durations); i++) {
		char text[PARSE_TEXT_SIZE];
		usec_t t = 42;

		assert_int_equal(parse_duration(durations[i].text, &t), durations[i].r);
		assert_true(t == (durations[i].r < 0 ? 42 : durations[i].value));
		if (durations[i].r == 0)
			assert_string_equal(format_duration(t, text), durations[i].back
									      ? durations[i].back
									      : durations[i].text);
	}
}

static void what_is_written_of_a_duration_reads_the_same(void **state)
{
	(void)state;
	for (unsigned shift = 0; shift < 64; shift++) {
		const usec_t t = UINT64_C(0xfedcba9876543210) >> shift;
		char text[PARSE_TEXT_SIZE];
		usec_t back = 0;

		assert_int_equal(parse_duration(format_duration(t, text), &back), 0);
		assert_true(back == t);
	}
}

static void sizes_are_read_and_written_back(void **state)
{
	(void)state;
	for (size_t i = 0; i < ARRAY_SIZE(sizes); i++) {
		char text[PARSE_TEXT_SIZE];
		uint64_t n = 42;

		assert_int_equal(parse_size(sizes[i].text, &n), sizes[i].r);
		assert_true(n == (sizes[i].r < 0 ? 42 : sizes[i].value));
		if (sizes[i].r == 0)
			assert_string_equal(format_size(n, text),
					    sizes[i].back ? sizes[i].back : sizes[i].text);
	}
}

static void numbers_are_digits_that_fit(void **state)
{
	unsigned u = 42;

	(void)state;
	for (size_t i = 0; i < ARRAY_SIZE(numbers); i++) {
		uint64_t n = 42;

		assert_int_equal(parse_u64(numbers[i].text, &n), numbers[i].r);
		assert_true(n == (numbers[i].r < 0 ? 42 : numbers[i].value));
	}
	assert_int_equal(parse_uint("0", 1, 5, &u), -ERANGE);
	assert_int_equal(parse_uint("6", 1, 5, &u), -ERANGE);
	assert_int_equal(parse_uint("4294967297", 1, 5, &u), -ERANGE);
	assert_int_equal(u, 42);
	assert_int_equal(parse_uint("5", 1, 5, &u), 0);
	assert_int_equal(u, 5);
}

static void booleans_have_eight_words(void **state)
{
	static const char *const yes[] = { "yes", "true", "on", "1" };
	static const char *const no[] = { "no", "false", "off", "0" };
	static const char *const neither[] = { "", "Yes", "2", "y", "true " };
	bool b;

	(void)state;
	for (size_t i = 0; i < 4; i++) {
		b = false;
		assert_int_equal(parse_bool(yes[i], &b), 0);
		assert_true(b);
		assert_int_equal(parse_bool(no[i], &b), 0);
		assert_false(b);
	}
	for (size_t i = 0; i < ARRAY_SIZE(neither); i++)
		assert_int_equal(parse_bool(neither[i], &b), -EINVAL);
}

static void port_ranges_are_inclusive(void **state)
{
	/* clang-format off */
	static const struct { const char *text; int r; } wrong[] = {
		{ "", -EINVAL }, { "0", -ERANGE }, { "65536", -ERANGE }, { "5-3", -EINVAL },
		{ "1-", -EINVAL }, { "-1", -EINVAL }, { "1-2-3", -EINVAL }, { "80,x", -EINVAL },
		{ "99999999999999999999", -ERANGE }, { "1-65536", -ERANGE }, { "99999x", -EINVAL },
	};
	/* clang-format on */
	scoped(freep) struct port_range *ranges = NULL;
	size_t n = 0;

	(void)state;
	for (size_t i = 0; i < ARRAY_SIZE(wrong); i++)
		assert_int_equal(parse_port_ranges(wrong[i].text, &ranges, &n), wrong[i].r);
	assert_null(ranges);
	assert_int_equal(parse_port_ranges("1024-65535, 80", &ranges, &n), 0);
	assert_int_equal(n, 2);
	assert_true(port_ranges_have(ranges, n, 80));
	assert_true(port_ranges_have(ranges, n, 1024));
	assert_true(port_ranges_have(ranges, n, 65535));
	assert_false(port_ranges_have(ranges, n, 1023));
	assert_false(port_ranges_have(ranges, n, 81));
}

static void lists_lose_blanks_and_empty_parts(void **state)
{
	scoped(strv_freep) char **list = parse_list(" a b ,, \t,c,", ',');
	scoped(strv_freep) char **none = parse_list("", ',');

	(void)state;
	assert_int_equal(strv_len(list), 2);
	assert_true(strv_has(list, "a b"));
	assert_true(strv_has(list, "c"));
	assert_false(strv_has(list, "a"));
	assert_int_equal(strv_len(none), 0);
	assert_false(strv_has(NULL, "a"));
}

static void utf8_is_well_formed_or_refused(void **state)
{
	static const char *const good[] = { "",
					    "a",
					    "\xc2\x80",
					    "\xe0\xa0\x80",
					    "\xed\x9f\xbf",
					    "\xee\x80\x80",
					    "\xf0\x90\x80\x80",
					    "\xf4\x8f\xbf\xbf" };
	static const char *const bad[] = { "\x80",
					   "\xc1\xbf",
					   "\xc2",
					   "\xc2"
					   "A",
					   "\xe0\x9f\xbf",
					   "\xed\xa0\x80",
					   "\xe1\x80",
					   "\xe1\x80"
					   "A",
					   "\xf0\x8f\xbf\xbf",
					   "\xf4\x90\x80\x80",
					   "\xf5\x80\x80\x80",
					   "\xf1\x80\x80",
					   "\xff" };

	(void)state;
	for (size_t i = 0; i < ARRAY_SIZE(good); i++)
		assert_true(utf8_is_valid(good[i], strlen(good[i])));
	for (size_t i = 0; i < ARRAY_SIZE(bad); i++)
		assert_false(utf8_is_valid(bad[i], strlen(bad[i])));
}

static void a_buffer_that_is_full_stays_as_it_was(void **state)
{
	scoped(strbuf_done) struct strbuf b = strbuf_init(5);
	scoped(freep) char *stolen = NULL;

	(void)state;
	assert_string_equal(strbuf_str(&b), "");
	strbuf_puts(&b, "abcde");
	assert_int_equal(b.error, 0);
	strbuf_putc(&b, 'f');
	assert_int_equal(b.error, -EMSGSIZE);
	strbuf_consume(&b, 2);
	strbuf_printf(&b, "%d", 1);
	assert_string_equal(strbuf_str(&b), "cde");
	strbuf_reset(&b);
	strbuf_printf(&b, "%s-%d", "ab", 12);
	assert_int_equal(b.error, 0);
	strbuf_printf(&b, "%s", "x");
	assert_int_equal(b.error, -EMSGSIZE);
	stolen = strbuf_steal(&b);
	assert_string_equal(stolen, "ab-12");
	assert_int_equal(b.len, 0);
	assert_int_equal(b.error, 0);
}

static void text_is_escaped(void **state)
{
	scoped(strbuf_done) struct strbuf b = strbuf_init(STRBUF_UNLIMITED);

	(void)state;
	strbuf_add_json_string(&b, "a\"\\\n\x01\x7f\xc3\xa4/");
	assert_string_equal(strbuf_str(&b), "\"a\\\"\\\\\\n\\u0001\x7f\xc3\xa4/\"");
	strbuf_reset(&b);
	strbuf_add_percent(&b, "aZ0-._~ /%\xc3\xa4");
	assert_string_equal(strbuf_str(&b), "aZ0-._~%20%2F%25%C3%A4");
}

static usec_t fixed_time(void)
{
	return UINT64_C(1795232580123999);
}

static void a_test_has_its_own_clock(void **state)
{
	char text[CLOCK_TEXT_SIZE];

	(void)state;
	clock_replace(fixed_time, fixed_time);
	assert_string_equal(clock_format(clock_realtime(), text), "2026-11-21T03:43:00.123Z");
	assert_true(clock_monotonic() == fixed_time());
	clock_replace(NULL, NULL);
	assert_true(clock_monotonic() != fixed_time());
	assert_true(clock_monotonic() <= clock_monotonic());
	assert_string_equal(clock_format(0, text), "1970-01-01T00:00:00.000Z");
}

static void ids_and_names_are_plain(void **state)
{
	char longest[ID_LENGTH_MAX + 2];

	(void)state;
	memset(longest, 'a', sizeof(longest));
	longest[ID_LENGTH_MAX + 1] = '\0';
	assert_false(id_is_valid(longest));
	longest[ID_LENGTH_MAX] = '\0';
	assert_true(id_is_valid(longest));
	longest[NAME_LENGTH_MAX + 1] = '\0';
	assert_false(name_is_valid(longest));
	longest[NAME_LENGTH_MAX] = '\0';
	assert_true(name_is_valid(longest));
	assert_true(id_is_valid("aZ09._:@-"));
	assert_false(name_is_valid("a:b"));
	assert_false(name_is_valid("a@b"));
	assert_true(name_is_valid("..."));
	assert_false(id_is_valid(NULL));
	assert_false(id_is_valid(""));
	assert_false(id_is_valid("."));
	assert_false(name_is_valid(".."));
	assert_false(id_is_valid("a/b"));
	assert_false(id_is_valid("\xc3\xa4"));
}

static void random_text_has_its_length_and_letters(void **state)
{
	char hex[33], again[33], label[41];

	(void)state;
	random_hex(hex, 16);
	random_hex(again, 16);
	assert_int_equal(strspn(hex, "0123456789abcdef"), 32);
	assert_int_equal(strlen(hex), 32);
	assert_string_not_equal(hex, again);
	random_label(label, 40);
	assert_int_equal(strspn(label, "abcdefghijklmnopqrstuvwxyz0123456789"), 40);
	assert_int_equal(strlen(label), 40);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(durations_are_read_and_written_back),
		cmocka_unit_test(what_is_written_of_a_duration_reads_the_same),
		cmocka_unit_test(sizes_are_read_and_written_back),
		cmocka_unit_test(numbers_are_digits_that_fit),
		cmocka_unit_test(booleans_have_eight_words),
		cmocka_unit_test(port_ranges_are_inclusive),
		cmocka_unit_test(lists_lose_blanks_and_empty_parts),
		cmocka_unit_test(utf8_is_well_formed_or_refused),
		cmocka_unit_test(a_buffer_that_is_full_stays_as_it_was),
		cmocka_unit_test(text_is_escaped),
		cmocka_unit_test(a_test_has_its_own_clock),
		cmocka_unit_test(ids_and_names_are_plain),
		cmocka_unit_test(random_text_has_its_length_and_letters),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
