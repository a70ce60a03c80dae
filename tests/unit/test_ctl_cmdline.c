/* SPDX-License-Identifier: MIT */
#include <setjmp.h>
#include <stdarg.h>
#include <stdint.h>
#include <stdlib.h>
#include <string.h>
/* cmocka wants those above it */
#include <cmocka.h>

#include "base/mem.h"
#include "base/parse.h"
#include "ctl/ctl.h"
#include "ctl/usage.h"

#define WORDS_MAX 16

/* One command line, with what it needs to live. */
struct line {
	struct ctl ctl;
	struct problem problem;
	char **words;
	char *argv[WORDS_MAX];
	int argc;
	char *out, *err;
	size_t out_len, err_len;
};

static void line_open(struct line *l, const char *text, const char *const *environment)
{
	*l = (struct line){ .ctl.environment = environment };
	l->ctl.out = open_memstream(&l->out, &l->out_len);
	l->ctl.err = open_memstream(&l->err, &l->err_len);
	l->words = parse_list(text, ' ');
	for (l->argc = 0; l->words[l->argc]; l->argc++)
		l->argv[l->argc] = l->words[l->argc];
}

static void line_done(struct line *l)
{
	fclose(l->ctl.out);
	fclose(l->ctl.err);
	free(l->out);
	free(l->err);
	strv_free(l->words);
	problem_done(&l->problem);
}

static int parse(struct line *l, const char *text)
{
	line_open(l, text, NULL);
	return ctl_parse(&l->ctl, l->argc, l->argv, &l->problem);
}

static void options_stand_before_and_behind_the_command(void **state)
{
	scoped(line_done) struct line l;

	(void)state;
	assert_int_equal(
		parse(&l, "previewctl --json -s s1 attach 3000 --name web -w 2m --no-probe"), 0);
	assert_string_equal(l.ctl.command->name, "attach");
	assert_int_equal(l.ctl.n_args, 1);
	assert_string_equal(l.ctl.args[0], "3000");
	assert_non_null(l.ctl.common[CTL_JSON].text);
	assert_string_equal(l.ctl.common[CTL_SESSION].text, "s1");
	assert_string_equal(l.ctl.values[0].text, "web");
	assert_int_equal(l.ctl.values[4].number, 120);
	assert_null(l.ctl.values[1].text);
}

static void a_command_may_have_two_words(void **state)
{
	scoped(line_done) struct line l;

	(void)state;
	assert_int_equal(parse(&l, "previewctl token revoke t1 --json"), 0);
	assert_string_equal(l.ctl.command->name, "token revoke");
	assert_string_equal(l.ctl.args[0], "t1");
	assert_non_null(l.ctl.common[CTL_JSON].text);
}

static void what_is_wrong_is_told_with_what_would_be_right(void **state)
{
	/* clang-format off */
	static const struct {
		const char *line, *message, *hint;
	} rows[] = {
		{ "previewctl", "what should it do", "help" },
		{ "previewctl atach 1", "no command 'atach'", "'attach'" },
		{ "previewctl wtach", "no command 'wtach'", "'watch'" },
		{ "previewctl frobnicate", "no command 'frobnicate'", "lists the commands" },
		{ "previewctl mdco", "no command 'mdco'", "lists the commands" }, /* it's hidden */
		{ "previewctl token", "one word more: new, list, revoke, edge", "help token" },
		{ "previewctl token lsit", "no command 'token lsit'", "'token list'" },
		{ "previewctl attach", "attach wants PORT\nusage: previewctl attach", NULL },
		{ "previewctl attach 1 2", "'2'\nusage: previewctl attach", NULL },
		{ "previewctl attach 0", "PORT must be a number from 1 to 65535", NULL },
		{ "previewctl attach 65536", "PORT must be a number", NULL },
		{ "previewctl attach 80x", "PORT must be a number", NULL },
		{ "previewctl attach 1 --nmae x", "attach has no option --nmae", "--name" },
		{ "previewctl attach 1 --no", "--no is short for several", "help attach" },
		{ "previewctl attach 1 -x", "attach has no option -x", "help attach" },
		{ "previewctl attach 1 --name", "--name wants a value: --name NAME", "help attach" },
		{ "previewctl attach 1 --name a/b", "--name must be", NULL },
		{ "previewctl attach 1 --no-probe=yes", "--no-probe takes no value", NULL },
		{ "previewctl attach 1 --wait 121", "--wait must be a time of 1 to 120", NULL },
		{ "previewctl attach 1 --wait 0", "--wait must be a time of 1 to 120", NULL },
		{ "previewctl attach 1 --scheme htps", "must be http or https, not 'htps'", "'https'" },
		{ "previewctl ls --session a/b", "--session must be", NULL },
		{ "previewctl completion fsih", "must be bash, zsh or fish", "'fish'" },
		{ "previewctl ls --name x", "ls has no option --name", NULL }, /* another command's */
	};
	/* clang-format on */

	(void)state;
	for (size_t i = 0; i < ARRAY_SIZE(rows); i++) {
		scoped(line_done) struct line l;

		assert_int_equal(parse(&l, rows[i].line), -1);
		assert_int_equal(l.problem.exit_code, EXIT_USAGE);
		if (!strstr(l.problem.message, rows[i].message))
			fail_msg("%s: %s", rows[i].line, l.problem.message);
		if (rows[i].hint && (!l.problem.hint || !strstr(l.problem.hint, rows[i].hint)))
			fail_msg("%s: hint: %s", rows[i].line, l.problem.hint);
	}
}

static int run(struct line *l, const char *text)
{
	line_open(l, text, NULL);
	return ctl_main(&l->ctl, l->argc, l->argv);
}

static void usage_errors_exit_2_and_help_exits_0(void **state)
{
	/* clang-format off */
	static const struct {
		const char *line;
		int code;
		bool out; /* speaks there, and nowhere else */
	} rows[] = {
		{ "previewctl", 2, false },
		{ "previewctl nothing", 2, false },
		{ "previewctl --help", 0, true },
		{ "previewctl --version", 0, true },
		{ "previewctl attach --help", 0, true }, /* though PORT is missing */
		{ "previewctl help token", 0, true },
		{ "previewctl help token new", 0, true },
		{ "previewctl help nothing", 2, false },
		{ "previewctl hook nobody", 0, false }, /* an agent must not stumble */
		{ "previewctl hook", 0, false },
	};
	/* clang-format on */

	(void)state;
	for (size_t i = 0; i < ARRAY_SIZE(rows); i++) {
		scoped(line_done) struct line l;
		int code = run(&l, rows[i].line);

		fflush(l.ctl.out);
		fflush(l.ctl.err);
		if (code != rows[i].code)
			fail_msg("%s: exit code %d", rows[i].line, code);
		assert_int_equal(l.out_len > 0, rows[i].out);
		assert_int_equal(l.err_len > 0, !rows[i].out);
	}
}

static void with_json_an_error_is_json_too(void **state)
{
	scoped(line_done) struct line l;

	(void)state;
	assert_int_equal(run(&l, "previewctl attach 1 --json --wait never"), 2);
	fflush(l.ctl.err);
	assert_non_null(
		strstr(l.err, "\n{\"error\":{\"code\":\"usage\",\"message\":\"--wait must be"));
}

static void a_piped_program_that_cannot_write_fails(void **state)
{
	char *words[] = { (char *)"previewctl", (char *)"version", NULL };
	struct ctl ctl = { .out = fopen("/dev/full", "w"), .err = fopen("/dev/null", "w") };

	(void)state;
	assert_int_equal(ctl_main(&ctl, 2, words), EXIT_FAILED);
	fclose(ctl.out);
	fclose(ctl.err);
}

static void the_session_is_the_first_that_is_named(void **state)
{
	/* clang-format off */
	static const struct {
		const char *line;
		const char *environment[4];
		const char *session; /* NULL: refused */
	} rows[] = {
		{ "previewctl ls", { NULL }, "default" },
		{ "previewctl ls", { "GEMINI_SESSION_ID=g" }, "g" },
		{ "previewctl ls", { "GEMINI_SESSION_ID=g", "CODEX_THREAD_ID=t" }, "t" },
		{ "previewctl ls", { "CODEX_THREAD_ID=t", "CODEX_SESSION_ID=c" }, "c" },
		{ "previewctl ls", { "CODEX_SESSION_ID=c", "CLAUDE_CODE_SESSION_ID=cc" }, "cc" },
		{ "previewctl ls", { "CLAUDE_CODE_SESSION_ID=cc", "PREVIEWD_SESSION_ID=p" }, "p" },
		{ "previewctl ls", { "PREVIEWD_SESSION_ID=", "CODEX_SESSION_ID=c" }, "c" },
		{ "previewctl ls", { "PREVIEWD_SESSION_IDX=x" }, "default" },
		{ "previewctl -s o ls", { "PREVIEWD_SESSION_ID=p" }, "o" },
		{ "previewctl ls --session o", { "PREVIEWD_SESSION_ID=p" }, "o" },
		{ "previewctl ls", { "PREVIEWD_SESSION_ID=a/b" }, NULL },
	};
	/* clang-format on */

	(void)state;
	for (size_t i = 0; i < ARRAY_SIZE(rows); i++) {
		scoped(line_done) struct line l;
		const char *session;

		line_open(&l, rows[i].line, rows[i].environment);
		assert_int_equal(ctl_parse(&l.ctl, l.argc, l.argv, &l.problem), 0);
		session = ctl_session(&l.ctl, &l.problem);
		if (rows[i].session) {
			assert_string_equal(session, rows[i].session);
			continue;
		}
		assert_null(session);
		assert_int_equal(l.problem.exit_code, EXIT_USAGE);
		assert_non_null(strstr(l.problem.message, "PREVIEWD_SESSION_ID holds 'a/b'"));
	}
}

static void a_path_names_app_session_and_preview(void **state)
{
	static const char *const environment[] = { "PREVIEWD_APP_ID=shop@x", NULL };
	scoped(line_done) struct line l;
	scoped(freep) char *path = NULL;

	(void)state;
	line_open(&l, "previewctl ls -s s:1", environment);
	assert_int_equal(ctl_parse(&l.ctl, l.argc, l.argv, &l.problem), 0);
	path = ctl_path(&l.ctl, "/previews", "web", &l.problem);
	assert_string_equal(path, "/api/apps/shop%40x/sessions/s%3A1/previews/web");
}

/* Every table the parser, the help and the completions read. */
static void the_rows_are_whole(void **state)
{
	(void)state;
	for (size_t i = 0; ctl_commands[i]; i++) {
		const struct ctl_command *command = ctl_commands[i];
		size_t n = 0;

		assert_non_null(command->exec);
		assert_int_equal(command->summary[strlen(command->summary) - 1], '.');
		assert_true(command->least_args <= command->most_args);
		assert_int_equal(command->most_args > 0, command->args != NULL);
		for (const struct ctl_option *o = command->options; o && o->name; o++, n++) {
			assert_int_equal(o->help[strlen(o->help) - 1], '.');
			assert_int_equal(o->type == CTL_FLAG, o->argument == NULL);
			for (const struct ctl_option *c = ctl_common; c->name; c++) {
				assert_string_not_equal(c->name, o->name);
				assert_true(o->letter == 0 || o->letter != c->letter);
			}
		}
		assert_true(n <= CTL_OPTIONS_MAX);
	}
}

static void the_completions_know_every_command_and_option(void **state)
{
	static const char *const shells[] = { "bash", "zsh", "fish" };

	(void)state;
	for (size_t i = 0; i < ARRAY_SIZE(shells); i++) {
		scoped(freep) char *text = xasprintf("previewctl completion %s", shells[i]);
		scoped(line_done) struct line l;

		assert_int_equal(run(&l, text), 0);
		fflush(l.ctl.out);
		assert_null(strstr(l.out, "mdoc"));
		for (size_t j = 0; ctl_commands[j]; j++)
			for (const struct ctl_option *o = ctl_commands[j]->options; o && o->name;
			     o++)
				assert_non_null(strstr(l.out, o->name));
	}
}

static void the_manual_page_has_every_command(void **state)
{
	char frame[] = ".Sh X\n@COMMANDS@\n@OPTIONS@\n@EXIT_CODES@\n";
	char *page = NULL;
	size_t len = 0;
	FILE *in = fmemopen(frame, strlen(frame), "r"), *out = open_memstream(&page, &len);

	(void)state;
	usage_of_manual(in, out);
	fclose(in);
	fclose(out);
	assert_int_equal(strncmp(page, ".Sh X\n.Bl", 9), 0);
	assert_null(strchr(page, '@'));
	for (size_t i = 0; ctl_commands[i]; i++) {
		scoped(freep) char *item = xasprintf("\n.It Cm %s", ctl_commands[i]->name);

		assert_int_equal(strstr(page, item) != NULL, !ctl_commands[i]->hidden);
	}
	free(page);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(options_stand_before_and_behind_the_command),
		cmocka_unit_test(a_command_may_have_two_words),
		cmocka_unit_test(what_is_wrong_is_told_with_what_would_be_right),
		cmocka_unit_test(usage_errors_exit_2_and_help_exits_0),
		cmocka_unit_test(with_json_an_error_is_json_too),
		cmocka_unit_test(a_piped_program_that_cannot_write_fails),
		cmocka_unit_test(the_session_is_the_first_that_is_named),
		cmocka_unit_test(a_path_names_app_session_and_preview),
		cmocka_unit_test(the_rows_are_whole),
		cmocka_unit_test(the_completions_know_every_command_and_option),
		cmocka_unit_test(the_manual_page_has_every_command),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
