/* SPDX-License-Identifier: MIT */
/*
 * The default places of the socket, the state and the settings file.  The daemon and previewctl
 * both ask here, which is how they find each other without a setting.
 */
#include "config/places.h"

#include <stdbool.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "base/mem.h"
#include "config/settings.h"

#define SYSTEM_SETTINGS SYSCONFDIR "/previewd/previewd.conf"

/* The XDG base directory specification says of relative paths: invalid, ignore them. */
static bool says(const char *path)
{
	return path && *path == '/';
}

static char *beneath_first(const char *directories, const char *name)
{
	return xasprintf("%.*s%s", (int)strcspn(directories, ":"), directories, name);
}

char *place_of_socket(const char *runtime_directory, const char *xdg_runtime_dir, uid_t uid)
{
	if (says(runtime_directory))
		return beneath_first(runtime_directory, "/previewd.sock");
	if (says(xdg_runtime_dir))
		return xasprintf("%s/previewd/previewd.sock", xdg_runtime_dir);
	if (uid == 0)
		return xstrdup(SYSTEM_SOCKET);
	return xasprintf("/tmp/previewd-%u/previewd.sock", (unsigned)uid);
}

char *place_of_state(const char *state_directory, const char *xdg_state_home, const char *home,
		     uid_t uid)
{
	if (says(state_directory))
		return beneath_first(state_directory, "");
	if (says(xdg_state_home))
		return xasprintf("%s/previewd", xdg_state_home);
	if (says(home))
		return xasprintf("%s/.local/state/previewd", home);
	return uid == 0 ? xstrdup("/var/lib/previewd") : NULL;
}

char **places_of_settings(const char *xdg_config_home, const char *home, uid_t uid)
{
	char **places = xcalloc(3, sizeof(*places));
	size_t n = 0;

	if (uid != 0 && says(xdg_config_home))
		places[n++] = xasprintf("%s/previewd/previewd.conf", xdg_config_home);
	else if (uid != 0 && says(home))
		places[n++] = xasprintf("%s/.config/previewd/previewd.conf", home);
	places[n] = xstrdup(SYSTEM_SETTINGS);
	return places;
}

char *default_socket_path(void)
{
	return place_of_socket(getenv("RUNTIME_DIRECTORY"), getenv("XDG_RUNTIME_DIR"), geteuid());
}

char *default_state_dir(void)
{
	return place_of_state(getenv("STATE_DIRECTORY"), getenv("XDG_STATE_HOME"), getenv("HOME"),
			      geteuid());
}
