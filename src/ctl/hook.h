/* SPDX-License-Identifier: MIT */
#pragma once

#include <stddef.h>

#include "base/cleanup.h"

struct hook_dialect;

/* The names of the dialects, separated by commas. */
#define HOOK_AGENTS "generic,claude-code,codex,gemini,cursor"

/* NULL: an agent that is not known. */
const struct hook_dialect *hook_dialect_of(const char *agent);

/*
 * Reads what the agent gave its hook.  1: the session at `ret_session`, which the caller frees, has
 * ended.  0: nothing of ours happened.  -EINVAL: no JSON, or an end without an id.
 */
int hook_read(const struct hook_dialect *dialect, const char *text, size_t len,
	      char **ret_session) must_use;
