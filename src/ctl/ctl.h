/* SPDX-License-Identifier: MIT */
#pragma once

#include <stdbool.h>
#include <stdio.h>

#include "base/cleanup.h"
#include "base/clock.h"
#include "ctl/problem.h"

struct cJSON;
struct client;

/*
 * previewctl: one file a command, one row a command.  The row is the master copy: the parser, the
 * usage lines, --help, the completions and the manual page are all made from it.
 */
enum ctl_type {
	CTL_FLAG,    /* takes no value */
	CTL_TEXT,    /* anything but nothing */
	CTL_ID,      /* id_is_valid() */
	CTL_NAME,    /* name_is_valid() */
	CTL_UINT,    /* least to most */
	CTL_SECONDS, /* "90", "5m": least to most */
	CTL_CHOICE,  /* one of `choices` */
	CTL_FILE,    /* a path */
	CTL_COMMAND, /* of arguments: a program and its own, options of its among them */
	CTL_PREVIEW, /* the name of something attached: like CTL_NAME, completed from `ls` */
};

struct ctl_option {
	const char *name; /* without the dashes; NULL ends a table */
	char letter;      /* 0: none */
	enum ctl_type type;
	const char *argument; /* what the usage line calls the value */
	unsigned least, most;
	const char *choices; /* separated by commas */
	const char *help;    /* a sentence */
};

#define CTL_OPTIONS_END      \
	{                    \
		.name = NULL \
	}
#define CTL_OPTIONS_MAX 12

struct ctl_value {
	const char *text; /* NULL: not given */
	unsigned number;  /* of CTL_UINT, CTL_SECONDS */
};

/* The options that every command takes: rows of ctl_common[]. */
enum {
	CTL_APP,
	CTL_SESSION,
	CTL_SOCKET,
	CTL_JSON,
	CTL_VERBOSE,
	CTL_HELP,
	CTL_VERSION,
	CTL_COMMON_COUNT,
};
extern const struct ctl_option ctl_common[];

struct ctl {
	const char *const *environment;
	FILE *in, *out, *err;
	bool tty;   /* `out` is one: tables for people */
	bool color; /* and it wants colours */

	const struct ctl_command *command;
	struct ctl_value common[CTL_COMMON_COUNT];
	struct ctl_value values[CTL_OPTIONS_MAX]; /* of the command's own options, by their row */
	char **args;                              /* borrowed from argv */
	int n_args;

	struct client *client; /* NULL until the first call */
};

struct ctl_command {
	const char *name; /* one word, or two: "token new" */
	const char *args; /* as the usage line has them: "PORT", "[NAME]" */
	int least_args, most_args;
	enum ctl_type arg_type; /* of the first */
	const char *arg_choices;
	const struct ctl_option *options; /* NULL: none of its own */
	const char *summary;              /* a line for the list */
	const char *help;                 /* further sentences; paragraphs are parted by "\n\n" */
	bool hidden;                      /* not for people */
	bool never_fails;                 /* the exit code is 0 whatever happens */
	int (*exec)(struct ctl *ctl);     /* the exit code */
};

/* All of them, in the order of the manual; ends with NULL. */
extern const struct ctl_command *const ctl_commands[];

/* The whole program: the exit code.  `ctl` has the environment and the files, and nothing else. */
int ctl_main(struct ctl *ctl, int argc, char **argv);

/* Finds the command and reads its options and arguments.  `argv` may be put into another order. */
int ctl_parse(struct ctl *ctl, int argc, char **argv, struct problem *reterr) must_use;

/* The environment variable's value, or NULL where it is missing or empty. */
const char *ctl_environment(const struct ctl *ctl, const char *name);

static inline bool ctl_given(const struct ctl *ctl, int option)
{
	return ctl->values[option].text != NULL;
}

/* The first argument, or `otherwise`. */
const char *ctl_arg(const struct ctl *ctl, const char *otherwise);

/* Tells the person, and in JSON the program, what went wrong; the value is the exit code. */
int ctl_fail(const struct ctl *ctl, const struct problem *problem);

/* "previewctl: warning: ..." */
void ctl_warn(const struct ctl *ctl, const char *format, ...) __attribute__((format(printf, 2, 3)));

/*
 * Asks the daemon.  What it answered is the caller's; `ret` and `body` may be NULL.  The value is
 * the HTTP status (below 400), or a negative errno with the problem told in `reterr`.
 */
int ctl_call(struct ctl *ctl, const char *method, const char *path, const struct cJSON *body,
	     struct cJSON **ret, struct problem *reterr) must_use;

/* The same, with a time limit of its own. */
int ctl_call_within(struct ctl *ctl, usec_t timeout, const char *method, const char *path,
		    const struct cJSON *body, struct cJSON **ret, struct problem *reterr) must_use;

/* The daemon's client, made at the first use.  NULL, with the problem told, where none is known. */
struct client *ctl_client(struct ctl *ctl, struct problem *reterr);

/*
 * "/api/apps/A/sessions/S" and what follows, of the session in hand: `collection` such as
 * "/previews", and `name` beneath it; either may be NULL.  NULL, with the problem told, where an
 * environment variable holds something that is no id.  The caller frees it.
 */
char *ctl_path(const struct ctl *ctl, const char *collection, const char *name,
	       struct problem *reterr);

/* The same for `collection` of what is published as the first argument, else as "published". */
char *ctl_published_path(const struct ctl *ctl, const char *collection, struct problem *reterr);

/* Which session, and which app: from the options, else the environment, else "default". */
const char *ctl_session(const struct ctl *ctl, struct problem *reterr);
const char *ctl_app(const struct ctl *ctl, struct problem *reterr);
