/* SPDX-License-Identifier: MIT */
/* JSON: what is let in, and what a table makes of it. */
#include <errno.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdlib.h>
#include <string.h>
/* cmocka wants setjmp, stdarg and stddef above it */
#include <cmocka.h>

#include "base/json.h"
#include "base/mem.h"
#include "base/parse.h"
#include "base/strbuf.h"

#define DEEP_31 "[[[[[[[[[[[[[[[[[[[[[[[[[[[[[[["
#define END_31  "]]]]]]]]]]]]]]]]]]]]]]]]]]]]]]]"

/* clang-format off */
#define ROW(text, ok) { text, sizeof(text) - 1, ok }
static const struct {
	const char *text;
	size_t len;
	bool ok;
} vectors[] = {
	ROW("{}", true), ROW("[]", true), ROW(" \t\r\n1 ", true), ROW("null", true),
	ROW("true", true), ROW("\"\"", true), ROW("-0", true), ROW("0.5e+10", true),
	ROW("1E-2", true), ROW("{\"a\":[1,{\"b\":null}]}", true), ROW("{\"a\":{\"a\":1}}", true),
	ROW("\"\\ud83d\\ude00 \xf0\x9f\x98\x80 \\\"\\\\\\/\\b\\f\\n\\r\\t\"", true),
	ROW("{\"a\":1,\"A\":2}", true), ROW("\"\x7f\"", true),
	ROW(DEEP_31 "[]" END_31, true),
	ROW(DEEP_31 "[[]]" END_31, false),
	ROW("", false), ROW(" ", false), ROW("1 2", false), ROW("{}x", false), ROW("{} \0", false),
	ROW("\xef\xbb\xbf{}", false), ROW("\0{}", false), ROW("\"a\0b\"", false),
	ROW("\"\\u0000\"", false), ROW("{\"\\u0000\":1}", false), ROW("\"a\tb\"", false),
	ROW("\"\\ud83d\"", false), ROW("\"\\ud83dx\"", false), ROW("\"\\ude00\"", false),
	ROW("\"\\ud83d\\u0041\"", false), ROW("\"\\u12g4\"", false), ROW("\"\\x41\"", false),
	ROW("\"\\", false), ROW("\"abc", false), ROW("\"\\u12", false), ROW("'a'", false),
	ROW("\"\xff\"", false), ROW("\"\xc0\x80\"", false), ROW("\"\xed\xa0\x80\"", false),
	ROW("01", false), ROW("-01", false), ROW("+1", false), ROW("1.", false), ROW(".5", false),
	ROW("-", false), ROW("1e", false), ROW("1e+", false), ROW("0x1", false), ROW("NaN", false),
	ROW("Infinity", false), ROW("1e999", false), ROW("-1e999", false),
	ROW("1111111111222222222233333333334444444444555555555566666666667777", false),
	ROW("[1,]", false), ROW("[,1]", false), ROW("[1 2]", false), ROW("[1", false),
	ROW("[1}", false), ROW("{\"a\"}", false), ROW("{\"a\":}", false), ROW("{\"a\":1,}", false),
	ROW("{a:1}", false), ROW("{1:1}", false), ROW("{\"a\":1", false), ROW("tru", false),
	ROW("True", false), ROW("nullx", false), ROW("/**/1", false), ROW("1//", false),
	ROW("{\"a\":1,\"a\":2}", false), ROW("{\"a\":1,\"b\":2,\"\\u0061\":3}", false),
	ROW("[{\"x\":{\"k\":1,\"k\":1}}]", false),
};
/* clang-format on */

static void strict_json_is_let_in_and_nothing_else(void **state)
{
	(void)state;
	for (size_t i = 0; i < ARRAY_SIZE(vectors); i++) {
		/* A copy of the exact size, so that a sanitizer sees a byte read too far. */
		char *text = malloc(vectors[i].len ? vectors[i].len : 1);
		scoped(json_freep) cJSON *j = NULL;
		scoped(fault_done) struct fault fault = { 0 };
		int r;

		memcpy(text, vectors[i].text, vectors[i].len);
		r = json_parse(text, vectors[i].len, &j, &fault);
		free(text);
		if ((r == 0) != vectors[i].ok)
			fail_msg("%s: %s", vectors[i].text, fault.detail ? fault.detail : "let in");
		assert_int_equal(r, vectors[i].ok ? 0 : -EINVAL);
		assert_int_equal(fault.code, vectors[i].ok ? FAULT_NONE : FAULT_BAD_JSON);
		assert_int_equal(j != NULL, vectors[i].ok);
	}
}

struct thing {
	char *title, *id, *name;
	bool flag;
	unsigned port;
	int scheme;
	cJSON *meta;
	char **tags;
	char **command;
};

static const char *const schemes[] = { "http", "https", NULL };

#define AT(m) offsetof(struct thing, m)
/* clang-format off */
static const struct json_field fields[] = {
	{ "port", JSON_UINT, AT(port), .required = true, .min = 1, .max = 65535, .help = "The port." },
	{ "title", JSON_STRING, AT(title), .max = 5 },
	{ "id", JSON_ID, AT(id), .nullable = true },
	{ "name", JSON_NAME, AT(name) },
	{ "flag", JSON_BOOL, AT(flag) },
	{ "scheme", JSON_ENUM, AT(scheme), .choices = schemes, .nullable = true },
	{ "meta", JSON_OBJECT, AT(meta), .max = 20 },
	{ "tags", JSON_STRINGS, AT(tags), .min = 1, .max = 2 },
	{ "command", JSON_COMMAND, AT(command), .min = 1, .max = 3 },
	JSON_FIELDS_END,
};
/* clang-format on */

static int read_thing(const char *text, struct thing *thing, struct fault *fault)
{
	scoped(json_freep) cJSON *j = NULL;

	assert_int_equal(json_parse(text, strlen(text), &j, fault), 0);
	return json_read(j, fields, thing, fault);
}

static void a_table_fills_the_struct(void **state)
{
	struct thing thing = { .name = xstrdup("default"), .scheme = 1, .flag = true };
	scoped(freep) char *meta = NULL;

	(void)state;
	assert_int_equal(read_thing("{\"port\":1e3,\"title\":\"abcde\",\"id\":null,\"name\":\"n\","
				    "\"flag\":false,\"scheme\":\"http\",\"meta\":{\"a\":[1]},"
				    "\"tags\":[\"x\",\"y\"]}",
				    &thing, NULL),
			 0);
	assert_int_equal(thing.port, 1000);
	assert_string_equal(thing.title, "abcde");
	assert_null(thing.id);
	assert_string_equal(thing.name, "n");
	assert_false(thing.flag);
	assert_int_equal(thing.scheme, 0);
	meta = json_print(thing.meta);
	assert_string_equal(meta, "{\"a\":[1]}");
	assert_int_equal(strv_len(thing.tags), 2);
	assert_string_equal(thing.tags[1], "y");
	json_fields_done(fields, &thing);
	assert_null(thing.title);
	assert_null(thing.meta);
	assert_null(thing.tags);
}

/* What stands for nothing elsewhere is a value here: null too, unless it is nullable. */
static void any_value_is_a_value(void **state)
{
	struct holder {
		cJSON *value;
		cJSON *other;
	};
	static const struct json_field of[] = {
		{ "value", JSON_VALUE, offsetof(struct holder, value), .required = true },
		{ "other", JSON_VALUE, offsetof(struct holder, other), .nullable = true },
		JSON_FIELDS_END,
	};
	static const char *const values[] = { "null", "false", "0",    "\"\"",
					      "[]",   "{}",    "-1.5", "[{\"a\":[null,\"x\"]}]" };
	scoped(json_freep) cJSON *schema = json_fields_schema(of);
	scoped(freep) char *text = json_print(schema);
	scoped(fault_done) struct fault fault = { 0 };
	struct holder holder = { 0 };

	(void)state;
	for (size_t i = 0; i < ARRAY_SIZE(values); i++) {
		scoped(json_freep) cJSON *j = cJSON_CreateObject();
		scoped(freep) char *printed = NULL;

		cJSON_AddItemToObject(j, "value", cJSON_Parse(values[i]));
		cJSON_AddItemToObject(j, "other", cJSON_Parse(values[i]));
		assert_int_equal(json_read(j, of, &holder, NULL), 0);
		printed = json_print(holder.value); /* a copy: j may go */
		assert_string_equal(printed, values[i]);
		assert_int_equal(holder.other == NULL, i == 0);
		json_fields_done(of, &holder);
		assert_null(holder.value);
	}
	scoped(json_freep) cJSON *empty = cJSON_CreateObject();

	assert_int_equal(json_read(empty, of, &holder, &fault), -EINVAL);
	assert_string_equal(fault.fields[0].field, "value");
	assert_string_equal(fault.fields[0].problem, "is required");
	assert_null(strstr(text, "\"type\":[")); /* any: the schema says no type */
}

static void a_command_is_a_list_or_a_line_for_the_shell(void **state)
{
	struct thing thing = { 0 };

	(void)state;
	assert_int_equal(read_thing("{\"port\":1,\"command\":[\"npm\",\"run\"]}", &thing, NULL), 0);
	assert_int_equal(strv_len(thing.command), 2);
	assert_string_equal(thing.command[1], "run");
	assert_int_equal(read_thing("{\"port\":1,\"command\":\"a | b\"}", &thing, NULL), 0);
	assert_int_equal(strv_len(thing.command), 3);
	assert_string_equal(thing.command[0], "/bin/sh");
	assert_string_equal(thing.command[2], "a | b");
	json_fields_done(fields, &thing);
	assert_null(thing.command);
}

static void what_is_not_given_keeps_its_default(void **state)
{
	struct thing thing = { .name = xstrdup("default"), .scheme = 1, .flag = true };

	(void)state;
	assert_int_equal(read_thing("{\"port\":65535,\"scheme\":null}", &thing, NULL), 0);
	assert_string_equal(thing.name, "default");
	assert_int_equal(thing.scheme, 1);
	assert_true(thing.flag);
	json_fields_done(fields, &thing);
}

static void each_wrong_field_is_told_with_its_problem(void **state)
{
	/* clang-format off */
	static const struct {
		const char *text, *field, *problem;
	} rows[] = {
		{ "{}", "port", "is required" },
		{ "{\"port\":0}", "port", "must be a whole number from 1 to 65535" },
		{ "{\"port\":65536}", "port", "must be a whole number from 1 to 65535" },
		{ "{\"port\":1.5}", "port", "must be a whole number from 1 to 65535" },
		{ "{\"port\":-1}", "port", "must be a whole number from 1 to 65535" },
		{ "{\"port\":1e300}", "port", "must be a whole number from 1 to 65535" },
		{ "{\"port\":\"80\"}", "port", "must be a whole number from 1 to 65535" },
		{ "{\"port\":null}", "port", "must be a whole number from 1 to 65535" },
		{ "{\"port\":true}", "port", "must be a whole number from 1 to 65535" },
		{ "{\"port\":1,\"title\":\"abcdef\"}", "title", "must be a string of at most 5 bytes" },
		{ "{\"port\":1,\"title\":null}", "title", "must be a string of at most 5 bytes" },
		{ "{\"port\":1,\"id\":\"a/b\"}", "id", "must be 1 to 128 of A-Z a-z 0-9 . _ : @ -" },
		{ "{\"port\":1,\"name\":\"..\"}", "name", "must be 1 to 64 of A-Z a-z 0-9 . _ -" },
		{ "{\"port\":1,\"name\":7}", "name", "must be 1 to 64 of A-Z a-z 0-9 . _ -" },
		{ "{\"port\":1,\"flag\":1}", "flag", "must be true or false" },
		{ "{\"port\":1,\"scheme\":\"ftp\"}", "scheme", "must be one of http, https" },
		{ "{\"port\":1,\"meta\":[]}", "meta", "must be an object of at most 20 bytes" },
		{ "{\"port\":1,\"meta\":{\"a\":\"0123456789abcdef\"}}", "meta", "must be an object of at most 20 bytes" },
		{ "{\"port\":1,\"command\":[]}", "command", "must be a list of 1 to 3 strings" },
		{ "{\"port\":1,\"command\":\"\"}", "command", "must be a list of strings, or a line for the shell" },
		{ "{\"port\":1,\"command\":{}}", "command", "must be a list of strings, or a line for the shell" },
		{ "{\"port\":1,\"tags\":[]}", "tags", "must be a list of 1 to 2 strings" },
		{ "{\"port\":1,\"tags\":[\"a\",1]}", "tags", "must be a list of 1 to 2 strings" },
		{ "{\"port\":1,\"Port\":1}", "Port", "is not known here" },
	};
	/* clang-format on */

	(void)state;
	for (size_t i = 0; i < ARRAY_SIZE(rows); i++) {
		scoped(fault_done) struct fault fault = { 0 };
		struct thing thing = { 0 };

		assert_int_equal(read_thing(rows[i].text, &thing, &fault), -EINVAL);
		assert_int_equal(fault.code, FAULT_INVALID_FIELD);
		assert_int_equal(fault.n_fields, 1);
		assert_string_equal(fault.fields[0].field, rows[i].field);
		assert_string_equal(fault.fields[0].problem, rows[i].problem);
		json_fields_done(fields, &thing);
	}
}

static void all_wrong_fields_are_told_at_once(void **state)
{
	scoped(fault_done) struct fault fault = { 0 };
	struct thing thing = { 0 };

	(void)state;
	assert_int_equal(read_thing("{\"flag\":0,\"nope\":1}", &thing, &fault), -EINVAL);
	assert_int_equal(fault.n_fields, 3);
	assert_string_equal(fault.fields[0].field, "port");
	assert_string_equal(fault.fields[1].field, "flag");
	assert_string_equal(fault.fields[2].field, "nope");
	assert_int_equal(read_thing("[]", &thing, &fault), -EINVAL);
	assert_int_equal(fault.code, FAULT_INVALID_FIELD);
}

static void the_schema_says_what_the_table_says(void **state)
{
	scoped(json_freep) cJSON *schema = json_fields_schema(fields);
	const cJSON *properties = cJSON_GetObjectItem(schema, "properties");
	scoped(freep) char *port = json_print(cJSON_GetObjectItem(properties, "port"));
	scoped(freep) char *title = json_print(cJSON_GetObjectItem(properties, "title"));
	scoped(freep) char *scheme = json_print(cJSON_GetObjectItem(properties, "scheme"));
	scoped(freep) char *command = json_print(cJSON_GetObjectItem(properties, "command"));
	scoped(freep) char *required = json_print(cJSON_GetObjectItem(schema, "required"));

	(void)state;
	assert_string_equal(port, "{\"type\":\"integer\",\"minimum\":1,\"maximum\":65535,"
				  "\"description\":\"The port.\"}");
	assert_string_equal(title, "{\"type\":\"string\",\"maxLength\":5}");
	assert_string_equal(scheme, "{\"type\":[\"string\",\"null\"],"
				    "\"enum\":[\"http\",\"https\",null]}");
	assert_string_equal(required, "[\"port\"]");
	assert_true(cJSON_IsFalse(cJSON_GetObjectItem(schema, "additionalProperties")));
	assert_string_equal(command, "{\"type\":[\"array\",\"string\"],\"minItems\":1,"
				     "\"maxItems\":3,\"items\":{\"type\":\"string\"}}");
	assert_int_equal(cJSON_GetArraySize(properties), 9);
}

static void added_members_print_exactly(void **state)
{
	scoped(json_freep) cJSON *j = cJSON_CreateObject();
	scoped(freep) char *text = NULL;

	(void)state;
	json_add_string(j, "s", NULL);
	json_add_u64(j, "u", 1000000000000000);
	json_add_u64(j, "m", UINT64_MAX);
	json_add_time(j, "t", UINT64_C(1795232580123456));
	json_add_time(j, "n", 0);
	text = json_print(j);
	assert_string_equal(text, "{\"s\":null,\"u\":1000000000000000,\"m\":18446744073709551615,"
				  "\"t\":\"2026-11-21T03:43:00.123Z\",\"n\":null}");
	assert_string_equal(json_string(j, "t"), "2026-11-21T03:43:00.123Z");
	assert_null(json_string(j, "s"));
	assert_null(json_string(j, "none"));
}

static void numbers_print_as_they_came(void **state)
{
	static const char text[] = "{\"a\":[9007199254740991,0.30000000000000004,1,-2.5],"
				   "\"b\":{\"c\":0.1,\"d\":-9007199254740991,\"e\":1e+300}}";
	scoped(json_freep) cJSON *j = NULL;
	scoped(freep) char *printed = NULL;

	(void)state;

	assert_int_equal(json_parse(text, strlen(text), &j, NULL), 0);
	printed = json_print(j);
	assert_string_equal(printed, text);
}

static void documents_print_as_they_came(void **state)
{
	static const char text[] =
		"{\"o\":{},\"a\":[],\"n\":null,\"t\":true,\"f\":[false,[1,2],{}],"
		"\"s\":\"\\\"\\\\/\\n\\u0001\\t\u00fc\",\"\\\"k\":\"\"}";
	scoped(json_freep) cJSON *j = NULL;
	scoped(freep) char *printed = NULL;

	(void)state;

	assert_int_equal(json_parse(text, strlen(text), &j, NULL), 0);
	printed = json_print(j);
	assert_string_equal(printed, text);
}

static void what_a_client_says_has_a_bounded_number_of_values(void **state)
{
	scoped(strbuf_done) struct strbuf text = strbuf_init(STRBUF_UNLIMITED);
	scoped(fault_done) struct fault fault = { 0 };
	cJSON *j = NULL;

	(void)state;
	strbuf_puts(&text, "[1");
	for (unsigned i = 2; i < JSON_CLIENT_VALUES_MAX; i++) /* the list is one, too */
		strbuf_puts(&text, ",1");
	strbuf_puts(&text, "]");
	assert_int_equal(json_parse_of_client(text.data, text.len, &j, &fault), 0);
	j = json_free(j);

	text.data[text.len - 1] = ',';
	strbuf_puts(&text, "{}]");
	assert_true(json_parse_of_client(text.data, text.len, &j, &fault) < 0);
	assert_int_equal(fault.code, FAULT_BAD_JSON);
	assert_non_null(strstr(fault.detail, "too many values"));
	assert_int_equal(json_parse(text.data, text.len, &j, NULL), 0);
	json_free(j);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(what_a_client_says_has_a_bounded_number_of_values),
		cmocka_unit_test(strict_json_is_let_in_and_nothing_else),
		cmocka_unit_test(a_table_fills_the_struct),
		cmocka_unit_test(any_value_is_a_value),
		cmocka_unit_test(a_command_is_a_list_or_a_line_for_the_shell),
		cmocka_unit_test(what_is_not_given_keeps_its_default),
		cmocka_unit_test(each_wrong_field_is_told_with_its_problem),
		cmocka_unit_test(all_wrong_fields_are_told_at_once),
		cmocka_unit_test(the_schema_says_what_the_table_says),
		cmocka_unit_test(added_members_print_exactly),
		cmocka_unit_test(numbers_print_as_they_came),
		cmocka_unit_test(documents_print_as_they_came),
	};

	mem_init();
	return cmocka_run_group_tests(tests, NULL, NULL);
}
