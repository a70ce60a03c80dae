/* SPDX-License-Identifier: MIT */
/*
 * What went wrong.  The table of faults.def is read here; a fault is filled in one line where the
 * failure is found and carried to whoever tells the person.
 */
#include "base/fault.h"

#include <assert.h>
#include <cjson/cJSON.h>
#include <errno.h>
#include <stdarg.h>
#include <stdlib.h>
#include <string.h>

#include "base/mem.h"

static const struct {
	const char *slug;
	const char *title;
	int error;
	int http_status;
	int exit_code;
} rows[FAULT_COUNT_] = {
	[FAULT_NONE] = { "none", "No fault", 0, 200, 0 },
#define FAULT(name, slug_, error_, status_, exit_code_, title_) \
	[FAULT_##name] = { slug_, title_, error_, status_, exit_code_ },
#include "base/faults.def"
#undef FAULT
};

void fault_done(struct fault *f)
{
	if (!f)
		return;

	free(f->detail);
	for (size_t i = 0; i < f->n_fields; i++) {
		free(f->fields[i].field);
		free(f->fields[i].problem);
	}
	cJSON_Delete(f->members);
	*f = (struct fault){ 0 };
}

void fault_move(struct fault *to, struct fault *from)
{
	if (to == from)
		return;
	if (!to) {
		fault_done(from);
		return;
	}

	fault_done(to);
	*to = *from;
	*from = (struct fault){ 0 };
}

int fault_set(struct fault *reterr, enum fault_code code, const char *format, ...)
{
	char *detail;
	va_list args;

	assert(code != FAULT_NONE);
	if (!reterr)
		return -fault_errno(code);

	/* Printed before the old contents go: they may be among the arguments. */
	va_start(args, format);
	detail = xvasprintf(format, args);
	va_end(args);

	fault_done(reterr);
	reterr->code = code;
	reterr->detail = detail;
	return -fault_errno(code);
}

/* What an operator does about it. */
static const char *remedy_of(int error)
{
	switch (error) {
	case EMFILE:
		return "previewd has all the files open that it may: try again, or let it have "
		       "more (LimitNOFILE=, ulimit -n)";
	case ENFILE:
		return "all the files are open that may be on this machine: try again, or raise "
		       "fs.file-max";
	case ENOMEM:
	case ENOBUFS:
		return "no memory is left: try again, or end something";
	case ENOSPC:
	case EDQUOT:
		return "no space is left: free some on the disk of the state directory";
	case EROFS:
		return "the file system is read-only";
	case EIO:
		return "the disk failed: see the kernel's log";
	default:
		return NULL;
	}
}

bool errno_is_of_machine(int error)
{
	return remedy_of(abs(error)) != NULL;
}

int fault_set_errno(struct fault *reterr, enum fault_code code, int error, const char *format, ...)
{
	const char *remedy = remedy_of(abs(error));
	scoped(freep) char *what = NULL;
	va_list args;

	va_start(args, format);
	what = xvasprintf(format, args);
	va_end(args);
	if (!remedy)
		return fault_set(reterr, code, "%s: %s", what, strerror(abs(error)));
	return fault_set(reterr, FAULT_MACHINE_FAILED, "%s: %s; %s", what, strerror(abs(error)),
			 remedy);
}

int fault_field(struct fault *reterr, const char *field, const char *format, ...)
{
	va_list args;

	if (!reterr)
		return -EINVAL;
	if (reterr->code != FAULT_INVALID_FIELD) {
		fault_done(reterr);
		reterr->code = FAULT_INVALID_FIELD;
	}
	if (reterr->n_fields == FAULT_FIELDS_MAX)
		return -EINVAL;

	va_start(args, format);
	reterr->fields[reterr->n_fields].problem = xvasprintf(format, args);
	va_end(args);
	reterr->fields[reterr->n_fields].field = xstrdup(field);
	reterr->n_fields++;

	/* The first one is the sentence for those who read only that. */
	if (!reterr->detail)
		reterr->detail = xasprintf("'%s' %s", field, reterr->fields[0].problem);
	return -EINVAL;
}

void fault_member_consume(struct fault *reterr, const char *name, struct cJSON *value)
{
	if (!reterr) {
		cJSON_Delete(value);
		return;
	}

	if (!reterr->members)
		reterr->members = cJSON_CreateObject();
	cJSON_DeleteItemFromObjectCaseSensitive(reterr->members, name);
	cJSON_AddItemToObject(reterr->members, name, value);
}

const char *fault_slug(enum fault_code code)
{
	return rows[code].slug;
}

const char *fault_title(enum fault_code code)
{
	return rows[code].title;
}

int fault_errno(enum fault_code code)
{
	return rows[code].error;
}

int fault_http_status(enum fault_code code)
{
	return rows[code].http_status;
}

int fault_exit_code(enum fault_code code)
{
	return rows[code].exit_code;
}

enum fault_code fault_of_slug(const char *slug)
{
	for (int code = FAULT_NONE + 1; code < FAULT_COUNT_; code++)
		if (strcmp(rows[code].slug, slug) == 0)
			return (enum fault_code)code;
	return FAULT_NONE;
}
