/* SPDX-License-Identifier: MIT */
/*
 * Rooms: a hash by name, and in each room an array, which is what an event goes through.  A member
 * that leaves has its place taken by the last.
 */
#include "socketio/rooms.h"

#include <assert.h>
#include <stdlib.h>
#include <string.h>

#include "base/hash.h"
#include "base/mem.h"

struct room {
	UT_hash_handle hh;
	struct room_member *members;
	size_t n, capacity;
	char name[];
};

struct membership {
	struct room *room;
	size_t place;
	struct membership *next;
};

struct rooms {
	struct room *first;
};

struct rooms *rooms_new(void)
{
	return xcalloc(1, sizeof(struct rooms));
}

struct rooms *rooms_free(struct rooms *rooms)
{
	assert(!rooms || !rooms->first);
	free(rooms);
	return NULL;
}

static struct room *find(const struct rooms *rooms, const char *name)
{
	struct room *room;

	HASH_FIND_STR(rooms->first, name, room);
	return room;
}

static struct room *find_or_make(struct rooms *rooms, const char *name)
{
	struct room *room = find(rooms, name);
	size_t size = strlen(name) + 1;

	if (room)
		return room;
	room = xcalloc(1, sizeof(*room) + size);
	memcpy(room->name, name, size);
	HASH_ADD_KEYPTR(hh, rooms->first, room->name, size - 1, room);
	return room;
}

static struct membership **find_membership(struct membership **list, const char *room)
{
	while (*list && strcmp((*list)->room->name, room) != 0)
		list = &(*list)->next;
	return list;
}

bool rooms_have(const struct membership *list, const char *room)
{
	return *find_membership((struct membership **)&list, room);
}

bool rooms_join(struct rooms *rooms, struct membership **list, const char *name, void *member)
{
	struct membership *of;
	struct room *room;

	if (rooms_have(*list, name))
		return false;
	room = find_or_make(rooms, name);
	if (room->n == room->capacity) {
		room->capacity = room->capacity ? 2 * room->capacity : 2;
		room->members = xrealloc(room->members, room->capacity * sizeof(room->members[0]));
	}

	of = xcalloc(1, sizeof(*of));
	of->room = room;
	of->place = room->n;
	of->next = *list;
	*list = of;
	room->members[room->n++] = (struct room_member){ member, of };
	return true;
}

static void leave(struct rooms *rooms, struct membership **link)
{
	struct membership *of = *link;
	struct room *room = of->room;
	struct room_member *place = &room->members[of->place];

	*link = of->next;
	*place = room->members[--room->n];
	place->of->place = of->place;
	free(of);
	if (room->n > 0)
		return;
	HASH_DEL(rooms->first, room);
	free(room->members);
	free(room);
}

bool rooms_leave(struct rooms *rooms, struct membership **list, const char *room)
{
	struct membership **link = find_membership(list, room);

	if (!*link)
		return false;
	leave(rooms, link);
	return true;
}

void rooms_leave_all(struct rooms *rooms, struct membership **list)
{
	while (*list)
		leave(rooms, list);
}

size_t rooms_members(const struct rooms *rooms, const char *name, const struct room_member **ret)
{
	const struct room *room = find(rooms, name);

	*ret = room ? room->members : NULL;
	return room ? room->n : 0;
}
