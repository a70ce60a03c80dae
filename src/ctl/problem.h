/* SPDX-License-Identifier: MIT */
#pragma once

#include <stdbool.h>
#include <stddef.h>
#include <stdio.h>

#include "base/cleanup.h"
#include "base/fault.h"

struct cJSON;

enum ctl_exit {
	EXIT_OK = 0,
	EXIT_FAILED = 1,
	EXIT_USAGE = 2,
	EXIT_NOT_FOUND = 3,
	EXIT_NOT_ALLOWED = 4,
	EXIT_CONFLICT = 5, /* or a limit */
	EXIT_UNREACHABLE = 6,
	EXIT_TIMED_OUT = 7,
	EXIT_INTERRUPTED = 130,
};

/* What the codes mean, for the help and the manual; NULL for those in between. */
const char *exit_code_meaning(int code);

/*
 * What went wrong, as previewctl tells it: from the daemon's problem document, or its own.
 *
 *	scoped(problem_done) struct problem problem = { 0 };
 */
struct problem {
	int exit_code; /* EXIT_OK: nothing went wrong */
	char *code;    /* a slug of base/faults.def, or of previewctl's own */
	char *message;
	char *hint;             /* what to do next; NULL: nothing to say */
	int http_status;        /* 0: the daemon did not say it */
	struct cJSON *document; /* the problem document, or NULL */
};

void problem_done(struct problem *p);

/* Says what went wrong.  The value is always -1, so that a failing function returns in one line. */
int problem_set(struct problem *reterr, int exit_code, const char *code, const char *format, ...)
	__attribute__((format(printf, 4, 5)));
void problem_hint(struct problem *reterr, const char *format, ...)
	__attribute__((format(printf, 2, 3)));

int problem_of_fault(struct problem *reterr, const struct fault *fault);

/* What an answer of status 400 and more says.  The body may be anything: a proxy may have made it.
 */
int problem_of_answer(struct problem *reterr, int http_status, const char *body, size_t len);

/* "previewctl: sentence" and its hint; with `json` also a line {"error":{code,message,hint}}. */
void problem_print(const struct problem *p, FILE *f, bool json);
