/* SPDX-License-Identifier: MIT */
#pragma once

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>

#include "base/cleanup.h"
#include "base/clock.h"
#include "base/fault.h"
#include "base/parse.h"

/*
 * The settings: command line > environment > file > default.  Read-only once loaded; a reload makes
 * a new one.
 */
struct settings_ports {
	struct port_range *ranges;
	size_t n;
};

#define SETTING_TYPE_BOOL          bool
#define SETTING_TYPE_UINT          unsigned
#define SETTING_TYPE_DURATION      usec_t
#define SETTING_TYPE_SIZE          uint64_t
#define SETTING_TYPE_STRING        char * /* NULL: not set */
#define SETTING_TYPE_PATH          char *
#define SETTING_TYPE_LIST          char ** /* strv, never NULL */
#define SETTING_TYPE_LISTEN        char **
#define SETTING_TYPE_HOSTS         char **
#define SETTING_TYPE_NETWORKS      char **
#define SETTING_TYPE_ORIGINS       char **
#define SETTING_TYPE_REGISTRIES    char **
#define SETTING_TYPE_URL           char *
#define SETTING_TYPE_TEMPLATE      char *
#define SETTING_TYPE_HOST_TEMPLATE char *
#define SETTING_TYPE_ENUM          int /* index in the row's choices */
#define SETTING_TYPE_PORTS         struct settings_ports

struct settings_origin; /* where each value came from */

struct settings {
#define OPTION(section, key, TYPE, def, least, most, flags, choices, help) \
	SETTING_TYPE_##TYPE section##_##key;
#include "config/options.def"
#undef OPTION
	struct settings_origin *origins;
};

/* The choices of the ENUM rows, in their order in options.def. */
enum { JWT_NONE, JWT_HS256, JWT_RS256, JWT_ES256 };
enum { LISTENER_OWNER_ANY, LISTENER_OWNER_SAME };
enum { STORE_BACKEND_SQLITE, STORE_BACKEND_MEMORY };
enum { STORE_SYNCHRONOUS_FULL, STORE_SYNCHRONOUS_NORMAL };
enum { TASKS_KEEP, TASKS_END };
enum { SOCKET_MODE_0600, SOCKET_MODE_0660, SOCKET_MODE_0666 };

struct settings_sources {
	/* --config; NULL: the default places, where a missing file is fine */
	const char *config_path;
	const char *const *overrides; /* "section.key=value" of the command line; ends with NULL */
	const char *const *environment; /* environ: PREVIEWD_SECTION_KEY */
};

/* An unknown key or section: a warning, told one by one. */
typedef void settings_warning_fn(const char *sentence, void *arg);

/*
 * A bad value fails with FAULT_BAD_REQUEST and a sentence that names the file and line, variable or
 * option it stands in.  `warn` may be NULL.
 */
int settings_load(const struct settings_sources *sources, settings_warning_fn *warn, void *arg,
		  struct settings **ret, struct fault *reterr) must_use;
struct settings *settings_free(struct settings *s);
DEFINE_CLEANUP(struct settings *, settings_free)

/* The file that was read, or NULL. */
const char *settings_file(const struct settings *s);

/* "default", "file" with the line in it, "environment" or "command_line"; `ret_line` is 0 for the
 * others. */
const char *settings_source_of(const struct settings *s, size_t number, unsigned *ret_line);

/* One line an option, in the file's form, each with where its value came from as a comment. */
void settings_print(const struct settings *s, FILE *f);

/* Calls `changed` for each option that differs and cannot be taken over without a restart. */
void settings_need_restart(const struct settings *before, const struct settings *after,
			   settings_warning_fn *changed, void *arg);

/* Where things are by default: owned by the caller.  NULL where nothing says. */
char *default_socket_path(void);
char *default_state_dir(void);
