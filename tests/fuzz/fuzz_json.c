/* SPDX-License-Identifier: MIT */
/*
 * A body.  What is taken is no deeper than may be, and means the same printed and read again; what
 * a table takes of it lies within the table's bounds, and what it refuses it says.
 */
#include <assert.h>
#include <string.h>

#include "base/ids.h"
#include "base/json.h"
#include "base/mem.h"
#include "base/parse.h"
#include "fuzz.h"

static const char *const choices[] = { "one", "two", NULL };

struct all {
	char *string, *id, *name;
	bool bool_;
	unsigned uint;
	int enum_;
	cJSON *object, *value;
	char **strings, **command;
};

#define AT(member) offsetof(struct all, member)
/* clang-format off */
static const struct json_field fields[] = {
	{ .name = "string",  .type = JSON_STRING,  .offset = AT(string),  .min = 1, .max = 8 },
	{ .name = "id",      .type = JSON_ID,      .offset = AT(id),      .nullable = true },
	{ .name = "name",    .type = JSON_NAME,    .offset = AT(name) },
	{ .name = "bool",    .type = JSON_BOOL,    .offset = AT(bool_) },
	{ .name = "uint",    .type = JSON_UINT,    .offset = AT(uint),    .min = 1, .max = 65535 },
	{ .name = "enum",    .type = JSON_ENUM,    .offset = AT(enum_),   .choices = choices },
	{ .name = "object",  .type = JSON_OBJECT,  .offset = AT(object),  .max = 64 },
	{ .name = "value",   .type = JSON_VALUE,   .offset = AT(value) },
	{ .name = "strings", .type = JSON_STRINGS, .offset = AT(strings), .max = 3 },
	{ .name = "command", .type = JSON_COMMAND, .offset = AT(command), .min = 1, .max = 3 },
	JSON_FIELDS_END,
};
/* clang-format on */

static unsigned depth_of(const cJSON *j)
{
	unsigned deepest = 0;
	const cJSON *child;

	cJSON_ArrayForEach(child, j)
	{
		const unsigned depth = depth_of(child);

		deepest = depth > deepest ? depth : deepest;
	}
	return cJSON_IsObject(j) || cJSON_IsArray(j) ? deepest + 1 : 0;
}

/* A printed number is the number again, or nearly so; all else is the same to the byte. */
static void check_again(const cJSON *j)
{
	scoped(freep) char *once = json_print(j), *twice = NULL;
	scoped(json_freep) cJSON *again = NULL;

	assert(json_parse(once, strlen(once), &again, NULL) == 0);
	assert(cJSON_Compare(j, again, true));
	twice = json_print(again);
	assert(strcmp(once, twice) == 0);
}

static void check_fields(const struct all *all)
{
	const size_t len = all->string ? strlen(all->string) : 1;

	assert(len >= 1 && len <= 8);
	assert(!all->id || id_is_valid(all->id));
	assert(!all->name || name_is_valid(all->name));
	assert(all->uint >= 1 && all->uint <= 65535);
	assert(all->enum_ == 0 || all->enum_ == 1);
	assert(!all->object || cJSON_IsObject(all->object));
	assert(!all->strings || strv_len(all->strings) <= 3);
	assert(!all->command || strv_len(all->command) >= 1);
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
	scoped(freep) char *text = xmemdup(data, size);
	scoped(fault_done) struct fault fault = { 0 }, refused = { 0 };
	scoped(json_freep) cJSON *j = NULL;
	struct all all = { .uint = 1 };

	if (json_parse(text, size, &j, &fault) < 0) {
		assert(fault.code == FAULT_BAD_JSON && fault.detail && !j);
		return 0;
	}
	assert(utf8_is_valid(text, size));
	assert(depth_of(j) <= JSON_DEPTH_MAX);
	check_again(j);
	if (json_read(j, fields, &all, &refused) < 0)
		assert(refused.code == FAULT_INVALID_FIELD);
	else
		check_fields(&all);
	json_fields_done(fields, &all);
	return 0;
}
