/* SPDX-License-Identifier: MIT */
#pragma once

#include <cjson/cJSON.h>
#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "base/cleanup.h"
#include "base/fault.h"

static inline cJSON *json_free(cJSON *j)
{
	cJSON_Delete(j);
	return NULL;
}
DEFINE_CLEANUP(cJSON *, json_free)

#define JSON_DEPTH_MAX 32

/*
 * Parses untrusted text: one JSON value and nothing behind it, UTF-8, nested at most JSON_DEPTH_MAX
 * deep, no member twice in one object, no NUL inside a string.  Fails with FAULT_BAD_JSON.
 * The caller owns `ret`.
 */
int json_parse(const char *text, size_t len, cJSON **ret, struct fault *reterr) must_use;

/*
 * The same for what a client of the daemon says: of at most so many values, for a megabyte of the
 * smallest ones would hold up everybody else for a quarter of a second.
 */
#define JSON_CLIENT_VALUES_MAX 50000
int json_parse_of_client(const char *text, size_t len, cJSON **ret, struct fault *reterr) must_use;

/*
 * A table that says what an object may hold, and where in a struct each member goes.  The same
 * table describes the object in openapi.json, so the two agree.
 */
enum json_type {
	JSON_STRING,  /* char *: a copy the struct owns */
	JSON_ID,      /* char *: id_is_valid() */
	JSON_NAME,    /* char *: name_is_valid() */
	JSON_BOOL,    /* bool */
	JSON_UINT,    /* unsigned, min to max */
	JSON_ENUM,    /* int: index in `choices` */
	JSON_OBJECT,  /* cJSON *: a copy the struct owns */
	JSON_VALUE,   /* cJSON *: any value, a copy the struct owns */
	JSON_STRINGS, /* char **: strv */
	JSON_COMMAND, /* char **: argv; a string is a line for /bin/sh -c */
};

struct json_field {
	const char *name;
	enum json_type type;
	size_t offset;
	bool required;
	bool nullable; /* null leaves the default */
	unsigned min;  /* JSON_UINT: value; JSON_STRING, JSON_OBJECT (printed), JSON_STRINGS,
			  JSON_COMMAND: length */
	unsigned max;
	const char *const *choices; /* JSON_ENUM: ends with NULL */
	const char *help;           /* a sentence for openapi.json */
};

#define JSON_FIELDS_END      \
	{                    \
		.name = NULL \
	}

/*
 * Reads `object` into the struct at `ret`, which holds the defaults.  Every wrong, missing or
 * unknown member is told at once, each with its name (FAULT_INVALID_FIELD).  On failure the struct
 * holds what was read so far: the caller frees it as on success, with json_fields_done().
 */
int json_read(const cJSON *object, const struct json_field *fields, void *ret,
	      struct fault *reterr) must_use;

/* Frees what json_read() allocated and sets it to NULL. */
void json_fields_done(const struct json_field *fields, void *of);

/* The JSON Schema (2020-12) of such an object. */
cJSON *json_fields_schema(const struct json_field *fields);

/* Unformatted text, which the caller frees. */
char *json_print(const cJSON *j);

/* Adding to an object; a NULL string becomes null. */
void json_add_string(cJSON *object, const char *name, const char *value);
void json_add_u64(cJSON *object, const char *name, uint64_t value);
void json_add_time(cJSON *object, const char *name, uint64_t realtime_usec); /* 0 becomes null */

/* The string at `name`, or NULL where it is missing or no string.  Borrowed. */
const char *json_string(const cJSON *object, const char *name)
	/* jansson, which libjwt brings, exports this name: it would call ours instead of its own.
	 */
	__asm__("previewd_json_string");
