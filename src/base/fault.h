/* SPDX-License-Identifier: MIT */
#pragma once

#include <stdbool.h>
#include <stddef.h>

#include "base/cleanup.h"

struct cJSON;

/*
 * What went wrong, for programs (a slug from faults.def) and for people (a sentence that says what
 * to do).  A function that can fail in a way its user must understand takes `struct fault *reterr`
 * last and fills it only on failure; NULL is fine where nobody asks.
 *
 *	scoped(fault_done) struct fault fault = { 0 };
 *
 *	r = registry_detach(..., &fault);
 */
enum fault_code {
	FAULT_NONE,
#define FAULT(name, slug, error, status, exit_code, title) FAULT_##name,
#include "base/faults.def"
#undef FAULT
	FAULT_COUNT_,
};

#define FAULT_FIELDS_MAX 8

struct fault {
	enum fault_code code;
	char *detail;
	struct {
		char *field;
		char *problem;
	} fields[FAULT_FIELDS_MAX]; /* of FAULT_INVALID_FIELD */
	size_t n_fields;
	struct cJSON *members; /* further members of the problem document; owned; NULL when none */
	unsigned retry_after_seconds; /* 0: none */
};

/* Frees what it holds and makes it empty. */
void fault_done(struct fault *f);

/* Moves the contents: `from` is empty afterwards.  What `to` held is freed. */
void fault_move(struct fault *to, struct fault *from);

/*
 * Says what went wrong and returns the negative errno of that fault's row, so that a failing
 * function returns in one line.  What was said before is dropped.
 */
int fault_set(struct fault *reterr, enum fault_code code, const char *format, ...)
	__attribute__((format(printf, 3, 4)));

/*
 * Whether an error tells of the machine (no descriptor, memory or space is left, the disk failed)
 * and not of what was looked at.
 */
bool errno_is_of_machine(int error);

/*
 * The same as fault_set() for what failed with an errno (of either sign), which is put behind the
 * sentence in words: where that is the machine's, the fault is FAULT_MACHINE_FAILED, and not
 * `code`, which blames somebody else.
 */
int fault_set_errno(struct fault *reterr, enum fault_code code, int error, const char *format, ...)
	__attribute__((format(printf, 4, 5)));

/*
 * Adds a wrong field to a FAULT_INVALID_FIELD (which it makes of an empty fault) and returns
 * -EINVAL.  Those past FAULT_FIELDS_MAX are dropped: the person has enough to mend.
 */
int fault_field(struct fault *reterr, const char *field, const char *format, ...)
	__attribute__((format(printf, 3, 4)));

/* Adds a member to the problem document; takes `value` in any case.  Call it after fault_set(). */
void fault_member_consume(struct fault *reterr, const char *name, struct cJSON *value);

const char *fault_slug(enum fault_code code);
const char *fault_title(enum fault_code code);
int fault_errno(enum fault_code code); /* positive; 0 for FAULT_NONE */
int fault_http_status(enum fault_code code);
int fault_exit_code(enum fault_code code); /* of previewctl */

/* The fault of a slug, as a client that got a problem document wants it; FAULT_NONE if unknown. */
enum fault_code fault_of_slug(const char *slug);
