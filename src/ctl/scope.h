/* SPDX-License-Identifier: MIT */
#pragma once

#include <sys/types.h>

#include "base/cleanup.h"

/*
 * A cgroup for one process and all that it will start: a transient scope, which the user's systemd
 * is asked for.  The process is moved into it as it is, so nothing but its group changes.
 *
 * Waits until it is in there, and `ret_cgroup` is the group's directory, the caller's.  -EOPNOTSUPP
 * where there is no such manager, which is nothing to tell anybody; -ETIME where it doesn't do it.
 */
int scope_make(pid_t pid, const char *task_id, char **ret_cgroup) must_use;
