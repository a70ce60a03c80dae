/* SPDX-License-Identifier: MIT */
#pragma once

#include <sys/types.h>

#include "base/cleanup.h"

/*
 * The login names of uids, remembered: a look-up may go to a directory service, and every request
 * over the unix socket needs one.
 */
struct logins;

struct logins *logins_new(void);
struct logins *logins_free(struct logins *l);
DEFINE_CLEANUP(struct logins *, logins_free)

/*
 * The name as an identifier, borrowed until the next call.  NULL where there is none, or none that
 * is a valid id: it is never bent into one, lest two logins become one user.
 */
const char *logins_name(struct logins *l, uid_t uid);

void logins_forget(struct logins *l);
