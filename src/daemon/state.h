/* SPDX-License-Identifier: MIT */
#pragma once

#include "base/fault.h"

/*
 * Opens the state directory, which is made where it is missing, and takes it: it belongs to one
 * daemon at a time, for as long as `ret_lockfd` is open.  One in which another user could put a
 * token or a database of theirs is refused.
 */
int state_directory_open(const char *path, int *ret_dirfd, int *ret_lockfd,
			 struct fault *reterr) must_use;
