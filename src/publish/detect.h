/* SPDX-License-Identifier: MIT */
#pragma once

#include <stdbool.h>
#include <stddef.h>

#include "base/cleanup.h"
#include "base/fault.h"

/*
 * What a project is and how it is built: frameworks.def has a row a framework.  Reads package.json,
 * lock files and configuration beneath a directory fd.  All of it blocks: for helper threads.
 */
struct framework;

/* Yarn is two: the classic one, and "berry", from 2 on. */
enum package_manager { PM_NONE, PM_NPM, PM_PNPM, PM_YARN, PM_BERRY, PM_BUN };

/* How an absolute base path is given to the build without editing the project. */
enum base_strategy {
	BASE_NONE, /* plain static, or relative by itself: only what is left over is rewritten */
	BASE_ARGUMENT, /* a flag, added by a preload that knows the bundler's own argv */
	BASE_ENV,      /* a variable */
	BASE_WRAPPER,  /* a configuration that wraps the project's */
	BASE_CONFIG,   /* only by the project's own configuration: a warning says which */
};

/* The caller's wishes, from `POST B/publish`; each NULL: as detected. */
struct project_params {
	const char *build_script; /* of package.json */
	const char *output_dir;   /* relative */
	const char *base; /* "/api/…/published/"; NULL: none is given (a host of its own) */
	/* Where the injects will be, as the build sees it; NULL: PROJECT_INJECT_DIR. */
	const char *inject_dir;
	const int *top; /* of the workspace that the project is a package of; NULL: of none */
};

#define PROJECT_INJECT_DIR "/inject"

struct project {
	const struct framework *framework; /* framework_name(); NULL: a build script and no more */
	enum package_manager manager;
	char *manager_range;   /* of its versions that will do; NULL: any */
	char *manager_package; /* "pnpm@10": what brings one; NULL: Node does */
	char *lockfile;        /* its name, or NULL */
	char *script;          /* of package.json; NULL: nothing is built, it is plain static */
	char **build_argv;     /* {"npm", "run", "build", NULL} and the like */
	char **build_env;      /* NAME=VALUE: the base path, the preset for static output, ... */
	char **outputs;        /* relative directories, tried in this order */
	char *node_range;      /* of engines.node (the framework's when installed), or NULL */
	char *node_wish;       /* that of .nvmrc, too, or NULL: taken where it is there */
	bool needs_install;    /* it has dependencies */
	char **warnings;       /* sentences, for the build's log and document */
	/* Files that the build is shown beside the project, read-only, in params' inject_dir: none
	 * of them has to stand in the project. */
	struct project_inject {
		char *name;    /* "argv.cjs": at /inject/argv.cjs; no slash in it */
		char *content; /* text */
	} * injects;
	size_t n_injects;
};

/* FAULT_NOT_A_PROJECT, FAULT_NO_BUILD_SCRIPT, FAULT_BAD_PACKAGE_JSON, ... each says what to do. */
int project_detect(int dirfd, const struct project_params *params, struct project **ret,
		   struct fault *reterr) must_use;
struct project *project_free(struct project *p);
DEFINE_CLEANUP(struct project *, project_free)

const char *framework_name(const struct framework *f); /* "vite", "next", ... "unknown" for NULL */

/* Whether a version "20.20.2" is in a range of package.json's engines ("^20.19 || >=22.12"). */
bool node_range_has(const char *range, const char *version);

/*
 * The prefix of an installed Node that is in `range` (NULL: any): the PATH's first, then those of
 * nvm, fnm, volta, /opt/node* and `search` (colon separated, of publish.node_path).  NULL with a
 * fault that names the range and what there is.
 */
char *node_find(const char *range, const char *search, char **ret_version, struct fault *reterr);
