/* SPDX-License-Identifier: MIT */
#include <errno.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stdint.h>
#include <stdlib.h>
#include <string.h>
/* cmocka wants those above it */
#include <cmocka.h>

#include "base/json.h"
#include "base/mem.h"
#include "ctl/logtext.h"
#include "ctl/output.h"
#include "ctl/problem.h"

static const char *const titles[] = { "NAME", "STATUS", "URL", NULL };

static char *print(bool human, bool color)
{
	scoped(table_freep) struct table *t = table_new(titles);
	char *text = NULL;
	size_t len;
	FILE *f = open_memstream(&text, &len);
	static const char *const cells[] = {
		"frontend", "up", "http://localhost:5173", "b\xc3\xa9", "down", "x\033[2Jy\tz",
	};

	for (size_t i = 0; i < ARRAY_SIZE(cells); i++)
		table_add(t, cells[i]);
	table_print(t, f, human, color);
	fclose(f);
	return text;
}

static void people_get_aligned_columns(void **state)
{
	scoped(freep) char *text = print(true, false);

	(void)state;
	assert_string_equal(text, "NAME      STATUS  URL\n"
				  "frontend  up      http://localhost:5173\n"
				  "b\xc3\xa9        down    x?[2Jy?z\n");
}

/* In pieces of `step` bytes. */
static char *through_logtext(const char *log, size_t step, bool colors)
{
	char *text = NULL;
	size_t size, len = strlen(log);
	FILE *to = open_memstream(&text, &size), *clean = logtext_stream(to, colors);

	assert_non_null(clean);
	for (size_t at = 0; at < len; at += step) {
		fwrite(log + at, 1, len - at < step ? len - at : step, clean);
		fflush(clean);
	}
	fclose(clean);
	fclose(to);
	return text;
}

static void a_log_drives_no_terminal_but_for_its_colors(void **state)
{
	/* clang-format off */
	static const struct {
		const char *log, *plain, *colored;
	} rows[] = {
		{ "plain\ttext\r\n\303\251 \xe2\x9c\x93 \xf0\x9f\x8e\x89\n", "plain\ttext\r\n\303\251 \xe2\x9c\x93 \xf0\x9f\x8e\x89\n", NULL },
		{ "\033[31mred\033[0m", "red", "\033[31mred\033[0m\033[0m" },
		{ "\033[38;2;1;2;3mx\033[4:3m", "x", "\033[38;2;1;2;3mx\033[4:3m\033[0m" },
		{ "a\033[2J\033[H\033[?1049h\033[>0mb", "ab", NULL }, /* clears, moves, another screen */
		{ "a\033[6n\033[c\033[?25lb", "ab", NULL },           /* asks the terminal */
		{ "a\033]0;title\ab\033]52;c;ZXZpbA==\033\\c\033]8;;http://x/\ad\033ktitle\033\\e", "abcde", NULL },
		{ "a\033Pq#0\033\\b\033_Gf\033\\c", "abc", NULL },
		{ "a\033]0;never ends\nb", "a\nb", NULL },
		{ "a\033(0b\033)Bc\033cd\0337e", "abcde", NULL },
		{ "a\a\b\177\f\vb", "ab", NULL },
		{ "a\302\2332Jb\2332Jc\377\302\251\303", "a?2Jb?2Jc?\302\251?", NULL },
		{ "a\033[12\nb\033[1\033[2Jc", "a\nbc", NULL }, /* broken off */
		{ "a\033[", "a", NULL },
	};
	/* clang-format on */

	(void)state;
	for (size_t i = 0; i < ARRAY_SIZE(rows); i++) {
		const char *colored = rows[i].colored ? rows[i].colored : rows[i].plain;

		for (size_t step = 1; step < 8; step++) {
			scoped(freep) char *plain = through_logtext(rows[i].log, step, false);
			scoped(freep) char *with = through_logtext(rows[i].log, step, true);

			assert_string_equal(plain, rows[i].plain);
			assert_string_equal(with, colored);
		}
	}
}

static void json_drives_no_terminal_and_stays_the_same_document(void **state)
{
	scoped(freep) char *shown = printable_json("{\"a\":\"\302\2332J\177\302\251\"}");

	(void)state;
	assert_string_equal(shown, "{\"a\":\"\\u009b2J\\u007f\302\251\"}");
}

static void programs_get_tabs_and_no_titles(void **state)
{
	scoped(freep) char *text = print(false, false);

	(void)state;
	assert_string_equal(text,
			    "frontend\tup\thttp://localhost:5173\nb\xc3\xa9\tdown\tx?[2Jy?z\n");
}

static void only_the_status_has_color(void **state)
{
	scoped(freep) char *text = print(true, true);

	(void)state;
	assert_non_null(strstr(text, "frontend  \033[32mup\033[0m      http"));
	assert_non_null(strstr(text, "\033[31mdown\033[0m"));
}

static void an_empty_table_is_nothing(void **state)
{
	scoped(table_freep) struct table *t = table_new(titles);
	char *text = NULL;
	size_t len;
	FILE *f = open_memstream(&text, &len);

	(void)state;
	table_print(t, f, true, false);
	fclose(f);
	assert_int_equal(len, 0);
	free(text);
}

static void controls_do_not_reach_the_terminal(void **state)
{
	scoped(freep) char *one = printable("a\033]0;x\007\n\x7f\xc2\x9b"
					    "31m\xc3\xa4");
	scoped(freep) char *lines = printable_lines("a\nb\r");

	(void)state;
	assert_string_equal(one, "a?]0;x????"
				 "?31m\xc3\xa4");
	assert_string_equal(lines, "a\nb?");
}

static void ages_have_two_units(void **state)
{
	char text[AGE_TEXT_SIZE];

	(void)state;
	assert_string_equal(format_age(0, text), "0s");
	assert_string_equal(format_age(59.9, text), "59s");
	assert_string_equal(format_age(185, text), "3m05s");
	assert_string_equal(format_age(12345, text), "3h25m");
	assert_string_equal(format_age(90000, text), "1d01h");
	assert_string_equal(format_age(-1, text), "0s");
}

static void an_answer_becomes_a_sentence_and_an_exit_code(void **state)
{
	/* clang-format off */
	static const struct {
		int status;
		const char *body;
		int exit_code;
		const char *code, *message, *hint;
	} rows[] = {
		{ 404, "{\"code\":\"preview_not_found\",\"detail\":\"No 'x'.\"}",
		  EXIT_NOT_FOUND, "preview_not_found", "No 'x'.", "previewctl ls" },
		{ 401, "{\"code\":\"token_expired\",\"detail\":\"d\"}",
		  EXIT_NOT_ALLOWED, "token_expired", "d", "token new" },
		{ 409, "{\"code\":\"session_limit\",\"detail\":\"Full.\",\"attached\":"
		       "[{\"session_id\":\"s\",\"name\":\"web\",\"url\":\"http://u\"}]}",
		  EXIT_CONFLICT, "session_limit", "Full.\n  attached: s web http://u", "detach NAME" },
		{ 422, "{\"code\":\"invalid_field\",\"detail\":\"'port' is low\",\"errors\":["
		       "{\"field\":\"port\",\"problem\":\"is low\"},{\"field\":\"host\",\"problem\":\"is bad\"}]}",
		  EXIT_USAGE, "invalid_field", "'port' is low\n  host: is bad", NULL },
		{ 424, "{\"code\":\"target_not_listening\",\"detail\":\"d\"}",
		  EXIT_TIMED_OUT, "target_not_listening", "d", "--wait" },
		{ 424, "{\"code\":\"target_is_tls\",\"detail\":\"d\",\"hint\":\"its own\"}",
		  EXIT_FAILED, "target_is_tls", "d", "its own" },
		/* of a newer daemon: the status says */
		{ 403, "{\"code\":\"not_on_sundays\",\"title\":\"Closed\"}",
		  EXIT_NOT_ALLOWED, "not_on_sundays", "Closed", NULL },
		{ 429, "{\"code\":\"new_limit\",\"detail\":\"d\"}", EXIT_CONFLICT, "new_limit", "d", NULL },
		/* of somebody else */
		{ 502, "<html>Bad Gateway</html>", EXIT_UNREACHABLE, "bad_answer", "status 502", "PREVIEWD_URL" },
		{ 301, "", EXIT_FAILED, "bad_answer", "status 301", "PREVIEWD_URL" },
		{ 404, "[1]", EXIT_NOT_FOUND, "bad_answer", "status 404", NULL },
	};
	/* clang-format on */

	(void)state;
	for (size_t i = 0; i < ARRAY_SIZE(rows); i++) {
		scoped(problem_done) struct problem p = { 0 };

		assert_int_equal(
			problem_of_answer(&p, rows[i].status, rows[i].body, strlen(rows[i].body)),
			-1);
		assert_int_equal(p.exit_code, rows[i].exit_code);
		assert_int_equal(p.http_status, rows[i].status);
		assert_string_equal(p.code, rows[i].code);
		if (!strstr(p.message, rows[i].message))
			fail_msg("%s", p.message);
		if (rows[i].hint)
			assert_non_null(strstr(p.hint, rows[i].hint));
	}
}

static void every_fault_has_an_exit_code_of_the_manual(void **state)
{
	(void)state;
	for (int code = FAULT_NONE; code < FAULT_COUNT_; code++)
		assert_non_null(exit_code_meaning(fault_exit_code((enum fault_code)code)));
	assert_null(exit_code_meaning(99));
}

static void json_errors_bring_the_document_along(void **state)
{
	static const char body[] =
		"{\"code\":\"user_limit\",\"detail\":\"x\\u001b[31m\",\"limit\":20}";
	scoped(problem_done) struct problem p = { 0 };
	scoped(freep) char *text = NULL;
	scoped(json_freep) cJSON *parsed = NULL;
	size_t len;
	FILE *f = open_memstream(&text, &len);
	const cJSON *error;
	const char *line;

	(void)state;
	problem_of_answer(&p, 409, body, strlen(body));
	problem_print(&p, f, true);
	fclose(f);

	assert_int_equal(strncmp(text, "previewctl: x?[31m\npreviewctl: hint: ", 37), 0);
	line = strchr(text, '{');
	assert_int_equal(json_parse(line, strcspn(line, "\n"), &parsed, NULL), 0);
	error = cJSON_GetObjectItemCaseSensitive(parsed, "error");
	assert_string_equal(json_string(error, "code"), "user_limit");
	assert_int_equal(cJSON_GetObjectItemCaseSensitive(
				 cJSON_GetObjectItemCaseSensitive(error, "problem"), "limit")
				 ->valueint,
			 20);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(people_get_aligned_columns),
		cmocka_unit_test(a_log_drives_no_terminal_but_for_its_colors),
		cmocka_unit_test(json_drives_no_terminal_and_stays_the_same_document),
		cmocka_unit_test(programs_get_tabs_and_no_titles),
		cmocka_unit_test(only_the_status_has_color),
		cmocka_unit_test(an_empty_table_is_nothing),
		cmocka_unit_test(controls_do_not_reach_the_terminal),
		cmocka_unit_test(ages_have_two_units),
		cmocka_unit_test(an_answer_becomes_a_sentence_and_an_exit_code),
		cmocka_unit_test(every_fault_has_an_exit_code_of_the_manual),
		cmocka_unit_test(json_errors_bring_the_document_along),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
