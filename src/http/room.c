/* SPDX-License-Identifier: MIT */
/*
 * Connections by the address they come from.  Addresses stand in lists by how many of theirs wait
 * for their client; as that changes by one at a time, the address with the most is always at hand.
 *
 * Of IPv6 the first 64 bits count: whoever has one address there has all of them.  Of a unix
 * socket's peers it is the uid.
 */
#include "http/room.h"

#include <arpa/inet.h>
#include <assert.h>
#include <stdlib.h>
#include <string.h>
#include <utlist.h>

#include "base/hash.h"
#include "base/mem.h"

#define PREFIX_BYTES 8

struct http_address {
	uint8_t key[1 + PREFIX_BYTES]; /* what it is, then the bytes that count */
	size_t n_conns;
	size_t n_waiting;
	struct http_conn *waiting;        /* the longest first */
	struct http_address *prev, *next; /* those with as many */
	UT_hash_handle hh;
};

struct http_room {
	struct http_address *addresses;
	struct http_address **by_waiting; /* lists, by n_waiting */
	size_t n_lists;
	size_t most; /* the last list that is not empty, else 0 */
	size_t n_waiting;
};

/*
 * Addresses
 */

static void key_of(const struct http_peer *peer, uint8_t ret[static 1 + PREFIX_BYTES])
{
	struct in6_addr address = { 0 };

	memset(ret, 0, 1 + PREFIX_BYTES);
	if (peer->is_unix) {
		memcpy(ret + 1, &peer->uid, sizeof(peer->uid));
		return;
	}
	ret[0] = strchr(peer->address, ':') ? AF_INET6 : AF_INET;
	(void)!inet_pton(ret[0], peer->address, &address);
	memcpy(ret + 1, &address, ret[0] == AF_INET ? sizeof(struct in_addr) : PREFIX_BYTES);
}

static void list(struct http_room *room, struct http_address *a)
{
	if (a->n_waiting >= room->n_lists) {
		size_t n = 2 * room->n_lists;

		room->by_waiting = xrealloc(room->by_waiting, n * sizeof(*room->by_waiting));
		memset(room->by_waiting + room->n_lists, 0,
		       (n - room->n_lists) * sizeof(*room->by_waiting));
		room->n_lists = n;
	}
	DL_APPEND(room->by_waiting[a->n_waiting], a);
	if (a->n_waiting > room->most)
		room->most = a->n_waiting;
}

static void unlist(struct http_room *room, struct http_address *a)
{
	DL_DELETE(room->by_waiting[a->n_waiting], a);
}

static struct http_address *address_of(struct http_room *room, const struct http_peer *peer)
{
	uint8_t key[1 + PREFIX_BYTES];
	struct http_address *a;

	key_of(peer, key);
	HASH_FIND(hh, room->addresses, key, sizeof(key), a);
	if (a)
		return a;
	a = xcalloc(1, sizeof(*a));
	memcpy(a->key, key, sizeof(key));
	HASH_ADD(hh, room->addresses, key, sizeof(a->key), a);
	list(room, a);
	return a;
}

/*
 * Connections
 */

void http_room_set_waiting(struct http_room *room, struct http_conn *c, bool waiting)
{
	struct http_address *a = c->address;

	if (waiting == c->waiting)
		return;
	c->waiting = waiting;
	unlist(room, a);
	if (waiting) {
		DL_APPEND2(a->waiting, c, prev_waiting, next_waiting);
		a->n_waiting++;
		room->n_waiting++;
	} else {
		DL_DELETE2(a->waiting, c, prev_waiting, next_waiting);
		a->n_waiting--;
		room->n_waiting--;
	}
	list(room, a);
	if (room->most > 0 && !room->by_waiting[room->most])
		room->most--;
}

void http_room_renew(struct http_conn *c)
{
	struct http_address *a = c->address;

	if (!c->waiting)
		return;
	DL_DELETE2(a->waiting, c, prev_waiting, next_waiting);
	DL_APPEND2(a->waiting, c, prev_waiting, next_waiting);
}

void http_room_enter(struct http_room *room, struct http_conn *c)
{
	c->room = room;
	c->address = address_of(room, &c->peer);
	c->address->n_conns++;
	http_room_set_waiting(room, c, true);
}

void http_room_leave(struct http_room *room, struct http_conn *c)
{
	struct http_address *a = c->address;

	http_room_set_waiting(room, c, false);
	c->room = NULL;
	c->address = NULL;
	if (--a->n_conns > 0)
		return;
	unlist(room, a);
	HASH_DEL(room->addresses, a);
	free(a);
}

size_t http_room_waiting(const struct http_room *room)
{
	return room->n_waiting;
}

struct http_conn *http_room_first_to_go(const struct http_room *room)
{
	return room->most > 0 ? room->by_waiting[room->most]->waiting : NULL;
}

/*
 * Life
 */

struct http_room *http_room_new(void)
{
	struct http_room *room = xcalloc(1, sizeof(*room));

	room->n_lists = 16;
	room->by_waiting = xcalloc(room->n_lists, sizeof(*room->by_waiting));
	return room;
}

struct http_room *http_room_free(struct http_room *room)
{
	if (!room)
		return NULL;
	assert(!room->addresses);
	free(room->by_waiting);
	free(room);
	return NULL;
}
