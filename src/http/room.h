/* SPDX-License-Identifier: MIT */
#pragma once

#include "base/cleanup.h"
#include "http/http_priv.h"

/*
 * Who gives way when there is no room for one more connection: of those that wait for their client
 * (for a request, the rest of one, an answer being taken), the one that has waited the longest of
 * the address that has the most of them.  So nobody who only holds connections keeps others out,
 * from however many addresses, and who comes from an address with few of them never notices.
 *
 * There are two of these: of strangers, and of those whose last request came with a credential, who
 * give way after them.  The address of a proxy has many clients, and one of them may be known.
 *
 * What is with its handler, a stream or a WebSocket never gives way: these have limits of their
 * own.
 *
 * Everything takes the same short time, whatever the number of connections and addresses.
 */
struct http_room;

struct http_room *http_room_new(void);
struct http_room *http_room_free(struct http_room *room); /* empty */
DEFINE_CLEANUP(struct http_room *, http_room_free)

/* A connection is there, and its client is waited for; and is no more. */
void http_room_enter(struct http_room *room, struct http_conn *c);
void http_room_leave(struct http_room *room, struct http_conn *c);

/* Whether it waits for its client. */
void http_room_set_waiting(struct http_room *room, struct http_conn *c, bool waiting);

/* Its client has taken some of what it is sent: of its address it has waited the shortest now. */
void http_room_renew(struct http_conn *c);

/* How many do. */
size_t http_room_waiting(const struct http_room *room);

/* NULL where all are busy. */
struct http_conn *http_room_first_to_go(const struct http_room *room);
