/* SPDX-License-Identifier: MIT */
#pragma once

#include "base/cleanup.h"

/*
 * Tells the service manager a state (sd_notify(3)): "READY=1", "STOPPING=1", "STATUS=…", lines
 * separated by "\n".  0 where there is nobody to tell, 1 when told, or a negative errno.  systemd's
 * own advice is to write this datagram rather than to link its library for it.
 */
int sd_notify_state(const char *state);
