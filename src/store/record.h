/* SPDX-License-Identifier: MIT */
#pragma once

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "store/records.def"

/*
 * The records the store keeps, as structs: struct record_session, struct record_attachment, …
 * Strings are borrowed or owned as the function that has the record says.
 */
enum record_kind {
#define RECORD(UPPER, lower, fields) RECORD_KIND_##UPPER,
	RECORDS(RECORD)
#undef RECORD
		RECORD_KIND_COUNT_,
};

#define RECORD_TEXT_MEMBER_(name) const char *name;
#define RECORD_INT_MEMBER_(name)  int64_t name;
#define RECORD(UPPER, lower, fields)                                                  \
	struct record_##lower {                                                       \
		fields(RECORD_TEXT_MEMBER_, RECORD_TEXT_MEMBER_, RECORD_TEXT_MEMBER_, \
		       RECORD_INT_MEMBER_)                                            \
	};
RECORDS(RECORD)
#undef RECORD

/* The same facts at run time: how a record is copied, compared and written as columns. */
enum record_type {
	RECORD_TYPE_KEY,
	RECORD_TYPE_TEXT,
	RECORD_TYPE_TEXT_NULL,
	RECORD_TYPE_INT,
};

struct record_field {
	const char *name;
	enum record_type type;
	size_t offset;
};

struct record_info {
	const char *name; /* also the table's */
	size_t size;
	const struct record_field *fields;
	size_t n_fields;
	size_t n_keys; /* they come first */
};

const struct record_info *record_info(enum record_kind kind);

/* A deep copy, all in one allocation: free() it. */
void *record_copy(enum record_kind kind, const void *record);
/* The same of the keys alone; the other fields are NULL and 0. */
void *record_copy_keys(enum record_kind kind, const void *record);

bool record_equal(enum record_kind kind, const void *a, const void *b);
/* Orders by the keys, as strcmp() does. */
int record_compare_keys(enum record_kind kind, const void *a, const void *b);
