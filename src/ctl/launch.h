/* SPDX-License-Identifier: MIT */
#pragma once

#include <cjson/cJSON.h>
#include <stdbool.h>
#include <stddef.h>

#include "base/cleanup.h"
#include "ctl/problem.h"

/*
 * .claude/launch.json: how a project's servers are started, as Claude's own preview reads it.  JSON
 * with comments: {"configurations": [{name, runtimeExecutable, runtimeArgs, program, args, port,
 * autoPort, cwd, env}]}.
 */
struct launch_file {
	char *folder; /* the project's, in which .claude is */
	cJSON *document;
};

/* In `from` or the nearest folder above it.  1: found; 0: there is none; -1: one that can't be
 * read, told in `reterr`. */
int launch_find(const char *from, struct launch_file *ret, struct problem *reterr) must_use;
void launch_file_done(struct launch_file *f);

struct launch {
	char *name;
	char **argv;
	char *cwd;       /* absolute */
	char **env;      /* "NAME=value" */
	unsigned port;   /* 0: not said */
	bool picks_port; /* any that is free, which the program is told as PORT */
};

/* 1: the configuration of that name (NULL: the only one); 0: there is none of that name; -1: told
 * in `reterr`, also where the name must be said. */
int launch_choose(const struct launch_file *f, const char *name, struct launch *ret,
		  struct problem *reterr) must_use;
void launch_done(struct launch *l);

/* The same text with blanks for its comments and for a list's last comma; the caller frees. */
char *launch_plain_json(const char *text, size_t len);
