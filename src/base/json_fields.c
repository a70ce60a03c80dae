/* SPDX-License-Identifier: MIT */
/*
 * Tables of fields: an object from outside read into a struct by one, and the schema that says what
 * the table says.
 */
#include "base/json.h"

#include <errno.h>
#include <limits.h>
#include <string.h>

#include "base/ids.h"
#include "base/mem.h"
#include "base/parse.h"
#include "base/strbuf.h"

static unsigned upper_bound(const struct json_field *f)
{
	return f->max ? f->max : UINT_MAX;
}

static bool in_range(const struct json_field *f, size_t n)
{
	return n >= f->min && n <= upper_bound(f);
}

/* "must be a string of 1 to 512 bytes" */
static int bad_length(const struct json_field *f, const char *what, const char *unit,
		      struct fault *reterr)
{
	if (f->min == 0 && f->max == 0)
		return fault_field(reterr, f->name, "must be %s", what);
	if (f->min == 0)
		return fault_field(reterr, f->name, "must be %s of at most %u %s", what, f->max,
				   unit);
	if (f->max == 0)
		return fault_field(reterr, f->name, "must be %s of at least %u %s", what, f->min,
				   unit);
	return fault_field(reterr, f->name, "must be %s of %u to %u %s", what, f->min, f->max,
			   unit);
}

static void put_string(void *at, const char *s)
{
	char **to = at;

	free(*to);
	*to = xstrdup(s);
}

static int read_string(const cJSON *j, const struct json_field *f, void *at, struct fault *reterr)
{
	if (!cJSON_IsString(j) || !in_range(f, strlen(j->valuestring)))
		return bad_length(f, "a string", "bytes", reterr);
	put_string(at, j->valuestring);
	return 0;
}

static int read_id(const cJSON *j, const struct json_field *f, void *at, struct fault *reterr)
{
	if (!cJSON_IsString(j) || !id_is_valid(j->valuestring))
		return fault_field(reterr, f->name, "must be 1 to %d of A-Z a-z 0-9 . _ : @ -",
				   ID_LENGTH_MAX);
	put_string(at, j->valuestring);
	return 0;
}

static int read_name(const cJSON *j, const struct json_field *f, void *at, struct fault *reterr)
{
	if (!cJSON_IsString(j) || !name_is_valid(j->valuestring))
		return fault_field(reterr, f->name, "must be 1 to %d of A-Z a-z 0-9 . _ -",
				   NAME_LENGTH_MAX);
	put_string(at, j->valuestring);
	return 0;
}

static int read_bool(const cJSON *j, const struct json_field *f, void *at, struct fault *reterr)
{
	if (!cJSON_IsBool(j))
		return fault_field(reterr, f->name, "must be true or false");
	*(bool *)at = cJSON_IsTrue(j);
	return 0;
}

static int read_uint(const cJSON *j, const struct json_field *f, void *at, struct fault *reterr)
{
	const double n = cJSON_IsNumber(j) ? j->valuedouble : -1;

	/* -1 is no number here; the range comes first, for what the cast can hold. */
	if (n < 0 || n < f->min || n > upper_bound(f) || n != (double)(unsigned)n)
		return fault_field(reterr, f->name, "must be a whole number from %u to %u", f->min,
				   upper_bound(f));
	*(unsigned *)at = (unsigned)n;
	return 0;
}

static int bad_choice(const struct json_field *f, struct fault *reterr)
{
	scoped(strbuf_done) struct strbuf names = strbuf_init(STRBUF_UNLIMITED);

	for (size_t i = 0; f->choices[i]; i++)
		strbuf_printf(&names, "%s%s", i > 0 ? ", " : "", f->choices[i]);
	return fault_field(reterr, f->name, "must be one of %s", strbuf_str(&names));
}

static int read_enum(const cJSON *j, const struct json_field *f, void *at, struct fault *reterr)
{
	for (size_t i = 0; cJSON_IsString(j) && f->choices[i]; i++) {
		if (strcmp(f->choices[i], j->valuestring) == 0) {
			*(int *)at = (int)i;
			return 0;
		}
	}
	return bad_choice(f, reterr);
}

static int read_object(const cJSON *j, const struct json_field *f, void *at, struct fault *reterr)
{
	scoped(freep) char *printed = cJSON_IsObject(j) ? json_print(j) : NULL;
	cJSON **to = at;

	if (!printed || !in_range(f, strlen(printed)))
		return bad_length(f, "an object", "bytes", reterr);
	json_free(*to);
	*to = cJSON_Duplicate(j, /* recurse= */ true);
	/* The copy brings its name along, which adding it elsewhere would only confuse. */
	free((*to)->string);
	(*to)->string = NULL;
	return 0;
}

static int read_value(const cJSON *j, const struct json_field *f, void *at, struct fault *reterr)
{
	cJSON **to = at;

	(void)f;
	(void)reterr;
	json_free(*to);
	*to = cJSON_Duplicate(j, /* recurse= */ true);
	free((*to)->string);
	(*to)->string = NULL;
	return 0;
}

static int read_strings(const cJSON *j, const struct json_field *f, void *at, struct fault *reterr)
{
	const size_t n = cJSON_IsArray(j) ? (size_t)cJSON_GetArraySize(j) : 0;
	scoped(strv_freep) char **list = xcalloc(n + 1, sizeof(*list));
	char ***to = at;
	const cJSON *item;
	size_t filled = 0;

	if (!cJSON_IsArray(j) || !in_range(f, n))
		return bad_length(f, "a list", "strings", reterr);
	cJSON_ArrayForEach(item, j)
	{
		if (!cJSON_IsString(item))
			return bad_length(f, "a list", "strings", reterr);
		list[filled++] = xstrdup(item->valuestring);
	}
	strv_free(*to);
	*to = STEAL(list);
	return 0;
}

/* A program with its arguments, or what one would type. */
static int read_command(const cJSON *j, const struct json_field *f, void *at, struct fault *reterr)
{
	scoped(strv_freep) char **list = NULL;
	char ***to = at;

	if (cJSON_IsArray(j))
		return read_strings(j, f, at, reterr);
	if (!cJSON_IsString(j) || !j->valuestring[0])
		return fault_field(reterr, f->name,
				   "must be a list of strings, or a line for the shell");
	list = xcalloc(4, sizeof(*list));
	list[0] = xstrdup("/bin/sh");
	list[1] = xstrdup("-c");
	list[2] = xstrdup(j->valuestring);
	strv_free(*to);
	*to = STEAL(list);
	return 0;
}

typedef int read_fn(const cJSON *j, const struct json_field *f, void *at, struct fault *reterr);

static const struct {
	read_fn *read;
	const char *schema_type;
	const char *least, *most; /* the schema's words for min and max; NULL when it has none */
	const char *pattern;
} types[] = {
	/* clang-format off */
	[JSON_STRING]  = { read_string,  "string",  "minLength", "maxLength", NULL },
	[JSON_ID]      = { read_id,      "string",  NULL, NULL, "^(?!\\.{1,2}$)[A-Za-z0-9._:@-]{1,128}$" },
	[JSON_NAME]    = { read_name,    "string",  NULL, NULL, "^(?!\\.{1,2}$)[A-Za-z0-9._-]{1,64}$" },
	[JSON_BOOL]    = { read_bool,    "boolean", NULL, NULL, NULL },
	[JSON_UINT]    = { read_uint,    "integer", "minimum", "maximum", NULL },
	[JSON_ENUM]    = { read_enum,    "string",  NULL, NULL, NULL },
	[JSON_OBJECT]  = { read_object,  "object",  NULL, NULL, NULL },
	[JSON_VALUE]   = { read_value,   NULL,      NULL, NULL, NULL },
	[JSON_STRINGS] = { read_strings, "array",   "minItems", "maxItems", NULL },
	[JSON_COMMAND] = { read_command, "array",   "minItems", "maxItems", NULL },
	/* clang-format on */
};

static int read_field(const cJSON *object, const struct json_field *f, void *ret,
		      struct fault *reterr)
{
	const cJSON *j = cJSON_GetObjectItemCaseSensitive(object, f->name);

	if (!j)
		return f->required ? fault_field(reterr, f->name, "is required") : 0;
	if (f->nullable && cJSON_IsNull(j))
		return 0;
	return types[f->type].read(j, f, (char *)ret + f->offset, reterr);
}

static bool is_known(const struct json_field *fields, const char *name)
{
	for (const struct json_field *f = fields; f->name; f++)
		if (strcmp(f->name, name) == 0)
			return true;
	return false;
}

int json_read(const cJSON *object, const struct json_field *fields, void *ret, struct fault *reterr)
{
	const cJSON *member;
	int r = 0;

	if (!cJSON_IsObject(object))
		return fault_set(reterr, FAULT_INVALID_FIELD, "A JSON object is expected");

	for (const struct json_field *f = fields; f->name; f++)
		if (read_field(object, f, ret, reterr) < 0)
			r = -EINVAL;
	cJSON_ArrayForEach(member, object)
	{
		if (!is_known(fields, member->string))
			r = fault_field(reterr, member->string, "is not known here");
	}
	return r;
}

void json_fields_done(const struct json_field *fields, void *of)
{
	for (const struct json_field *f = fields; f->name; f++) {
		void *at = (char *)of + f->offset;

		switch (f->type) {
		case JSON_STRING:
		case JSON_ID:
		case JSON_NAME:
			free(*(char **)at);
			*(char **)at = NULL;
			break;
		case JSON_OBJECT:
		case JSON_VALUE:
			*(cJSON **)at = json_free(*(cJSON **)at);
			break;
		case JSON_STRINGS:
		case JSON_COMMAND:
			*(char ***)at = strv_free(*(char ***)at);
			break;
		case JSON_BOOL:
		case JSON_UINT:
		case JSON_ENUM:
			break;
		}
	}
}

static void schema_add_type(cJSON *schema, const struct json_field *f)
{
	const char *type = types[f->type].schema_type;
	cJSON *either;

	if (!type)
		return; /* any */
	if (!f->nullable && f->type != JSON_COMMAND) {
		cJSON_AddStringToObject(schema, "type", type);
		return;
	}
	either = cJSON_AddArrayToObject(schema, "type");
	cJSON_AddItemToArray(either, cJSON_CreateString(type));
	if (f->type == JSON_COMMAND)
		cJSON_AddItemToArray(either, cJSON_CreateString("string"));
	if (f->nullable)
		cJSON_AddItemToArray(either, cJSON_CreateString("null"));
}

/* The schema counts characters where json_read() counts bytes: it allows no less. */
static void schema_add_bounds(cJSON *schema, const struct json_field *f)
{
	if (types[f->type].least && (f->min > 0 || f->type == JSON_UINT))
		cJSON_AddNumberToObject(schema, types[f->type].least, f->min);
	if (types[f->type].most && (f->max > 0 || f->type == JSON_UINT))
		cJSON_AddNumberToObject(schema, types[f->type].most, upper_bound(f));
	if (types[f->type].pattern)
		cJSON_AddStringToObject(schema, "pattern", types[f->type].pattern);
}

static void schema_add_choices(cJSON *schema, const struct json_field *f)
{
	cJSON *choices = cJSON_AddArrayToObject(schema, "enum");

	for (size_t i = 0; f->choices[i]; i++)
		cJSON_AddItemToArray(choices, cJSON_CreateString(f->choices[i]));
	if (f->nullable)
		cJSON_AddItemToArray(choices, cJSON_CreateNull());
}

static cJSON *field_schema(const struct json_field *f)
{
	cJSON *schema = cJSON_CreateObject();

	schema_add_type(schema, f);
	schema_add_bounds(schema, f);
	if (f->type == JSON_ENUM)
		schema_add_choices(schema, f);
	if (f->type == JSON_STRINGS || f->type == JSON_COMMAND)
		cJSON_AddStringToObject(cJSON_AddObjectToObject(schema, "items"), "type", "string");
	if (f->help)
		cJSON_AddStringToObject(schema, "description", f->help);
	return schema;
}

cJSON *json_fields_schema(const struct json_field *fields)
{
	cJSON *schema = cJSON_CreateObject();
	cJSON *properties, *required = cJSON_CreateArray();

	cJSON_AddStringToObject(schema, "type", "object");
	properties = cJSON_AddObjectToObject(schema, "properties");
	for (const struct json_field *f = fields; f->name; f++) {
		cJSON_AddItemToObject(properties, f->name, field_schema(f));
		if (f->required)
			cJSON_AddItemToArray(required, cJSON_CreateString(f->name));
	}
	cJSON_AddItemToObject(schema, "required", required);
	cJSON_AddFalseToObject(schema, "additionalProperties");
	return schema;
}
