/* SPDX-License-Identifier: MIT */
/* .claude/launch.json: what is run, where, with what. */
#include <setjmp.h>
#include <stdarg.h>
#include <stdint.h>
#include <string.h>
/* cmocka wants the three above it */
#include <cmocka.h>

#include <fcntl.h>
#include <stdlib.h>
#include <unistd.h>

#include "base/files.h"
#include "base/json.h"
#include "base/mem.h"
#include "base/parse.h"
#include "base/strbuf.h"
#include "base/trees.h"
#include "ctl/launch.h"

static void comments_and_last_commas_become_blanks(void **state)
{
	static const struct {
		const char *text, *plain;
	} rows[] = {
		{ "{} // x", "{}     " },
		{ "{/* \"a\": 1, */}", "{             }" },
		{ "[1, 2,]", "[1, 2 ]" },
		{ "{\"a\": 1, // last\n}", "{\"a\": 1         \n}" },
		{ "\"// no /* comment */, ]\"", "\"// no /* comment */, ]\"" },
		{ "\"a\\\"//\"", "\"a\\\"//\"" },
		{ "[1,,]", "[1, ]" },
		{ "/* open", "       " },
		{ "\"open", "\"open" },
		{ "\"\\", "\"\\" },
		{ "/", "/" },
		{ "", "" },
	};

	(void)state;
	for (size_t i = 0; i < ARRAY_SIZE(rows); i++) {
		scoped(freep) char *plain = launch_plain_json(rows[i].text, strlen(rows[i].text));

		assert_string_equal(plain, rows[i].plain);
	}
}

/* "name|argv...|cwd|env...|port auto", or the problem's sentence, or "none". */
static char *chosen(const char *configurations, const char *name)
{
	scoped(freep) char *text = xasprintf("{\"configurations\":[%s]}", configurations);
	scoped(launch_file_done) struct launch_file f = {
		.folder = xstrdup("/w"),
		.document = cJSON_Parse(text),
	};
	scoped(strbuf_done) struct strbuf b = strbuf_init(4096);
	scoped(problem_done) struct problem problem = { 0 };
	scoped(launch_done) struct launch l = { 0 };
	int r = launch_choose(&f, name, &l, &problem);

	assert_non_null(f.document);
	if (r <= 0)
		return xstrdup(r == 0 ? "none" : problem.message);
	strbuf_puts(&b, l.name ? l.name : "-");
	for (char **word = l.argv; *word; word++)
		strbuf_printf(&b, "%s%s", word == l.argv ? "|" : " ", *word);
	strbuf_printf(&b, "|%s|", l.cwd);
	for (char **variable = l.env; *variable; variable++)
		strbuf_printf(&b, "%s;", *variable);
	strbuf_printf(&b, "|%u%s", l.port, l.picks_port ? " auto" : "");
	return strbuf_steal(&b);
}

/* What is above a folder may be anybody's, as in /tmp. */
static void a_file_that_somebody_else_put_above_is_not_run(void **state)
{
	char top[] = "/tmp/previewd-launch-XXXXXX";
	scoped(freep) char *claude = NULL, *file = NULL, *here = NULL;
	const uid_t rows[][3] = {
		/* the file's, the folder's, whether it is taken */
		{ 0, 0, 1 }, { 4711, 0, 0 }, { 0, 4711, 1 }, { 4711, 4711, 1 }, { 4712, 4711, 0 },
	};

	(void)state;
	if (geteuid() != 0)
		skip(); /* nobody else can give a file to another */
	assert_non_null(mkdtemp(top));
	claude = xasprintf("%s/.claude", top);
	file = xasprintf("%s/launch.json", claude);
	here = xasprintf("%s/here", top);
	assert_int_equal(make_directory_at(AT_FDCWD, claude), 0);
	assert_int_equal(make_directory_at(AT_FDCWD, here), 0);
	assert_int_equal(write_file_at(AT_FDCWD, file, "{}", 2, 0644), 0);
	for (size_t i = 0; i < ARRAY_SIZE(rows); i++) {
		scoped(launch_file_done) struct launch_file f = { 0 };
		scoped(problem_done) struct problem problem = { 0 };

		assert_int_equal(chown(file, rows[i][0], (gid_t)-1), 0);
		assert_int_equal(chown(here, rows[i][1], (gid_t)-1), 0);
		assert_int_equal(launch_find(here, &f, &problem), rows[i][2] ? 1 : -1);
	}
	assert_int_equal(remove_tree_at(AT_FDCWD, top), 0);
}

static void a_configuration_is_a_command_with_its_place(void **state)
{
	/* clang-format off */
	static const struct {
		const char *configurations, *name, *expected;
	} rows[] = {
		{ "{\"name\":\"web\",\"runtimeExecutable\":\"npm\",\"runtimeArgs\":[\"run\",\"dev\"],\"port\":3000}", NULL,
		  "web|npm run dev|/w||3000" },
		{ "{\"name\":\"web\",\"program\":\"${workspaceFolder}/s.js\",\"args\":[\"-v\"],\"cwd\":\"app\",\"autoPort\":true}", "web",
		  "web|node /w/s.js -v|/w/app||0 auto" },
		{ "{\"name\":\"py\",\"runtimeExecutable\":\"python3\",\"runtimeArgs\":[\"-u\"],\"program\":\"m.py\",\"cwd\":\"${workspaceFolder}/x\","
		  "\"env\":{\"A\":\"1\",\"B\":2,\"C\":\"${workspaceFolder}\"},\"autoPort\":false}", "py",
		  "py|python3 -u m.py|/w/x|A=1;B=2;C=/w;|0" },
		{ "{\"runtimeExecutable\":\"x\",\"cwd\":\"/abs\"}", NULL, "-|x|/abs||0" },
		{ "{\"name\":\"a\",\"runtimeExecutable\":\"x\"},{\"name\":\"b\",\"runtimeExecutable\":\"y\"}", "b", "b|y|/w||0" },
		{ "{\"name\":\"a\",\"runtimeExecutable\":\"x\"}", "c", "none" },
		{ "{\"name\":\"a\",\"runtimeExecutable\":\"x\"},{\"name\":\"b\",\"runtimeExecutable\":\"y\"}", NULL,
		  "/w/.claude/launch.json has several configurations: a, b" },
		{ "", NULL, "/w/.claude/launch.json has no configurations" },
		{ "{\"name\":\"a\"}", "a",
		  "/w/.claude/launch.json: the configuration 'a' wants runtimeExecutable or program, and lists of strings for arguments" },
		{ "{\"name\":\"a\",\"runtimeExecutable\":\"x\",\"runtimeArgs\":\"y\"}", "a",
		  "/w/.claude/launch.json: the configuration 'a' wants runtimeExecutable or program, and lists of strings for arguments" },
		{ "{\"name\":\"a\",\"runtimeExecutable\":\"x\",\"env\":{\"A\":[]}}", "a",
		  "/w/.claude/launch.json: the configuration 'a' has an env that is no object of strings" },
		{ "{\"name\":\"a\",\"runtimeExecutable\":\"x\",\"port\":70000}", "a",
		  "/w/.claude/launch.json: the configuration 'a' has a port that is none" },
	};
	/* clang-format on */

	(void)state;
	for (size_t i = 0; i < ARRAY_SIZE(rows); i++) {
		scoped(freep) char *got = chosen(rows[i].configurations, rows[i].name);

		assert_string_equal(got, rows[i].expected);
	}
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(comments_and_last_commas_become_blanks),
		cmocka_unit_test(a_file_that_somebody_else_put_above_is_not_run),
		cmocka_unit_test(a_configuration_is_a_command_with_its_place),
	};

	mem_init();
	return cmocka_run_group_tests(tests, NULL, NULL);
}
