/* SPDX-License-Identifier: MIT */
#pragma once

#include <stdbool.h>

struct cJSON;
struct ctl;

/*
 * A whole command: tells the daemon to do `verb` ("pin") with the preview that the first argument
 * names.  The exit code.
 */
int previews_post(struct ctl *ctl, const char *verb);

/* A table of previews; `all` adds whose each is.  Where there is none, people are told so. */
void previews_print(const struct ctl *ctl, const struct cJSON *previews, bool all);

/* "url: http://..." and so on: `rows` of members, "probe.http_status" being one within another. */
void members_print(const struct ctl *ctl, const struct cJSON *of, const char *const *rows);
