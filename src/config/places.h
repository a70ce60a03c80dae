/* SPDX-License-Identifier: MIT */
#pragma once

#include <sys/types.h>

/*
 * Where things are by default, worked out from what the environment says and who asks.  All text is
 * owned by the caller; an argument that is NULL, empty or not an absolute path says nothing.
 */

/* Of root's daemon and of the system unit's. */
#define SYSTEM_SOCKET "/run/previewd/previewd.sock"

/* systemd's $RUNTIME_DIRECTORY and $STATE_DIRECTORY may be several, with colons: the first counts.
 */
char *place_of_socket(const char *runtime_directory, const char *xdg_runtime_dir, uid_t uid);
char *place_of_state(const char *state_directory, const char *xdg_state_home, const char *home,
		     uid_t uid); /* NULL: nothing says */

/*
 * The settings files to try, in their order: root has the system's, another user their own and then
 * the system's.  The array ends with NULL and is freed by strv_free().
 */
char **places_of_settings(const char *xdg_config_home, const char *home, uid_t uid);
