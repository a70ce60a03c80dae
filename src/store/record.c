/* SPDX-License-Identifier: MIT */
/*
 * Records as data: what records.def says of each kind, and the few things that can be done to a
 * record without knowing what it means.
 */
#include "store/record.h"

#include <assert.h>
#include <stdlib.h>
#include <string.h>

#include "base/cleanup.h"
#include "base/mem.h"

#define KEY_ROW(field)       { #field, RECORD_TYPE_KEY, offsetof(record_t, field) },
#define TEXT_ROW(field)      { #field, RECORD_TYPE_TEXT, offsetof(record_t, field) },
#define TEXT_NULL_ROW(field) { #field, RECORD_TYPE_TEXT_NULL, offsetof(record_t, field) },
#define INT_ROW(field)       { #field, RECORD_TYPE_INT, offsetof(record_t, field) },

#define ONE(field) +1
#define NONE(field)

const struct record_info *record_info(enum record_kind kind)
{
	switch (kind) {
		/* clang-format off */
#define RECORD(UPPER, lower, FIELDS)                                                        \
	case RECORD_KIND_##UPPER: {                                                         \
		typedef struct record_##lower record_t;                                     \
		static const struct record_field fields[] = {                               \
			FIELDS(KEY_ROW, TEXT_ROW, TEXT_NULL_ROW, INT_ROW)                   \
		};                                                                          \
		static const struct record_info info = {                                    \
			.name = #lower,                                                     \
			.size = sizeof(record_t),                                           \
			.fields = fields,                                                   \
			.n_fields = ARRAY_SIZE(fields),                                     \
			.n_keys = FIELDS(ONE, NONE, NONE, NONE),                            \
		};                                                                          \
		return &info;                                                               \
	}
		RECORDS(RECORD)
#undef RECORD
		/* clang-format on */
	case RECORD_KIND_COUNT_:
		break;
	}
	abort();
}

static const char *text_at(const struct record_field *f, const void *record)
{
	return *(const char *const *)((const char *)record + f->offset);
}

static int64_t int_at(const struct record_field *f, const void *record)
{
	return *(const int64_t *)((const char *)record + f->offset);
}

static size_t text_size(const struct record_field *f, const void *record)
{
	const char *text;

	if (f->type == RECORD_TYPE_INT)
		return 0;

	text = text_at(f, record);
	assert(text || f->type == RECORD_TYPE_TEXT_NULL);
	return text ? strlen(text) + 1 : 0;
}

/* The first `n_fields` fields; the texts stand behind the struct. */
static void *copy_fields(enum record_kind kind, const void *record, size_t n_fields)
{
	const struct record_info *info = record_info(kind);
	size_t size = info->size;
	char *copy, *text;

	for (size_t i = 0; i < n_fields; i++)
		size += text_size(&info->fields[i], record);

	copy = xcalloc(1, size);
	text = copy + info->size;
	for (size_t i = 0; i < n_fields; i++) {
		const struct record_field *f = &info->fields[i];
		size_t len = text_size(f, record);

		if (f->type == RECORD_TYPE_INT) {
			*(int64_t *)(copy + f->offset) = int_at(f, record);
		} else if (len > 0) {
			*(const char **)(copy + f->offset) = memcpy(text, text_at(f, record), len);
			text += len;
		}
	}
	return copy;
}

void *record_copy(enum record_kind kind, const void *record)
{
	return copy_fields(kind, record, record_info(kind)->n_fields);
}

void *record_copy_keys(enum record_kind kind, const void *record)
{
	return copy_fields(kind, record, record_info(kind)->n_keys);
}

static bool field_equal(const struct record_field *f, const void *a, const void *b)
{
	const char *text_a, *text_b;

	if (f->type == RECORD_TYPE_INT)
		return int_at(f, a) == int_at(f, b);

	text_a = text_at(f, a);
	text_b = text_at(f, b);
	return text_a && text_b ? strcmp(text_a, text_b) == 0 : text_a == text_b;
}

bool record_equal(enum record_kind kind, const void *a, const void *b)
{
	const struct record_info *info = record_info(kind);

	for (size_t i = 0; i < info->n_fields; i++)
		if (!field_equal(&info->fields[i], a, b))
			return false;
	return true;
}

int record_compare_keys(enum record_kind kind, const void *a, const void *b)
{
	const struct record_info *info = record_info(kind);

	for (size_t i = 0; i < info->n_keys; i++) {
		int order = strcmp(text_at(&info->fields[i], a), text_at(&info->fields[i], b));

		if (order != 0)
			return order;
	}
	return 0;
}
