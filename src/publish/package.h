/* SPDX-License-Identifier: MIT */
#pragma once

#include <stdbool.h>
#include <stddef.h>

#include "base/cleanup.h"
#include "base/fault.h"
#include "publish/detect.h"

/* What package.json and what lies beside it say.  Nothing here trusts any of it. */
struct package;

/* `ret` is NULL when there is no package.json; FAULT_BAD_PACKAGE_JSON when it is none. */
int package_read(int dirfd, struct package **ret, struct fault *reterr) must_use;
struct package *package_free(struct package *p);
DEFINE_CLEANUP(struct package *, package_free)

/* Borrowed; NULL where there is none. */
const char *package_name(const struct package *p); /* without its @scope/ */
const char *package_script(const struct package *p, const char *name);
const char *package_engine(const struct package *p); /* engines.node */

/* "build, dev, test": the caller's. */
char *package_script_names(const struct package *p);

bool package_depends_on(const struct package *p, const char *name);

/* The first number of what is asked for, or 0 where there is none ("latest", a path). */
unsigned package_dependency_major(const struct package *p, const char *name);
bool package_has_dependencies(const struct package *p);

const char *package_manager_field(const struct package *p); /* packageManager */
/* Of devEngines.packageManager; each NULL where there is none. */
void package_manager_engine(const struct package *p, const char **ret_name, const char **ret_range);

/* engines.node of a dependency, as installed or, before that, as locked by npm; or NULL. */
char *dependency_engine(int dirfd, const char *name);
