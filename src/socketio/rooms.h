/* SPDX-License-Identifier: MIT */
#pragma once

#include <stdbool.h>
#include <stddef.h>

#include "base/cleanup.h"

/*
 * Who is in which room.  A room exists as long as it has members.  Joining, leaving and finding a
 * room take constant time, however many members it has.
 */
struct rooms;
struct membership; /* a member's list of its own begins with NULL */

struct rooms *rooms_new(void);
struct rooms *rooms_free(struct rooms *rooms); /* empty by then */
DEFINE_CLEANUP(struct rooms *, rooms_free)

/* False when it is, or is not, there already. */
bool rooms_join(struct rooms *rooms, struct membership **list, const char *room, void *member);
bool rooms_leave(struct rooms *rooms, struct membership **list, const char *room);
void rooms_leave_all(struct rooms *rooms, struct membership **list);

bool rooms_have(const struct membership *list, const char *room);

struct room_member {
	void *member;
	struct membership *of;
};

/* The members, borrowed until one joins or leaves; 0 where there is no such room. */
size_t rooms_members(const struct rooms *rooms, const char *room, const struct room_member **ret);
