/* SPDX-License-Identifier: MIT */
/* uid → login name, by the system's user database, with a small memory. */
#include "auth/logins.h"

#include <errno.h>
#include <pwd.h>
#include <stdlib.h>
#include <string.h>

#include "base/hash.h"
#include "base/ids.h"
#include "base/mem.h"

#define REMEMBERED_MAX 1024
#define BUFFER_FIRST   (16 * 1024)
#define BUFFER_MAX     (1024 * 1024)

struct login {
	UT_hash_handle hh;
	uid_t uid;
	char *name; /* or NULL */
};

struct logins {
	struct login *by_uid;
};

struct logins *logins_new(void)
{
	return xcalloc(1, sizeof(struct logins));
}

struct logins *logins_free(struct logins *l)
{
	if (!l)
		return NULL;

	logins_forget(l);
	free(l);
	return NULL;
}

void logins_forget(struct logins *l)
{
	struct login *login, *next;

	HASH_ITER(hh, l->by_uid, login, next)
	{
		HASH_DEL(l->by_uid, login);
		free(login->name);
		free(login);
	}
}

/* "uid-7" is what auth.c calls a uid without a name: a login of that form must not be mistaken for
 * it. */
static bool is_usable(const char *name)
{
	return id_is_valid(name) && strncmp(name, "uid-", 4) != 0;
}

static char *look_up(uid_t uid)
{
	for (size_t size = BUFFER_FIRST; size <= BUFFER_MAX; size *= 2) {
		scoped(freep) char *buffer = xcalloc(1, size);
		struct passwd entry, *found = NULL;
		int r = getpwuid_r(uid, &entry, buffer, size, &found);

		if (r == ERANGE)
			continue;
		return r == 0 && found && is_usable(found->pw_name) ? xstrdup(found->pw_name)
								    : NULL;
	}
	return NULL;
}

const char *logins_name(struct logins *l, uid_t uid)
{
	struct login *login;

	HASH_FIND(hh, l->by_uid, &uid, sizeof(uid), login);
	if (login)
		return login->name;

	if (HASH_COUNT(l->by_uid) >= REMEMBERED_MAX)
		logins_forget(l);
	login = xcalloc(1, sizeof(*login));
	login->uid = uid;
	login->name = look_up(uid);
	HASH_ADD(hh, l->by_uid, uid, sizeof(login->uid), login);
	return login->name;
}
