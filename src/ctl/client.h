/* SPDX-License-Identifier: MIT */
#pragma once

#include <stddef.h>
#include <stdio.h>
#include <sys/types.h>

#include "base/cleanup.h"
#include "base/clock.h"
#include "ctl/problem.h"

struct cJSON;
struct ctl;

/* Where the daemon is: a unix socket, or an address and a token. */
struct endpoint {
	char *socket_path; /* NULL: by `url` */
	char *url;         /* "https://preview.example.org", without a slash at its end */
	char *token;       /* NULL: none */
};

void endpoint_done(struct endpoint *e);

/*
 * --socket, PREVIEWD_SOCKET, PREVIEWD_URL with PREVIEWD_TOKEN, else the default path.  Fails where
 * nothing says, or where PREVIEWD_URL is no http address.
 */
int endpoint_find(const struct ctl *ctl, struct endpoint *ret, struct problem *reterr) must_use;

struct client *client_new(const struct endpoint *endpoint); /* copies */
struct client *client_free(struct client *client);
DEFINE_CLEANUP(struct client *, client_free)

/*
 * One request and its answer.  `path` begins with a slash.  `ret`, where it isn't NULL, is the JSON
 * of the answer, or NULL when the answer is no JSON.  The value is the status (below 400), or -1
 * with `reterr` filled.
 */
int client_call(struct client *client, usec_t timeout, const char *method, const char *path,
		const struct cJSON *body, struct cJSON **ret, struct problem *reterr) must_use;

/* Writes the answer to a GET as it comes, for as long as it comes. */
int client_copy(struct client *client, const char *path, FILE *to, struct problem *reterr) must_use;

/* `path` as an address for people: the daemon's own, or NULL where only its socket is known. */
char *client_address(const struct client *client, const char *path);

/*
 * A bare connection to the daemon, for a WebSocket: the same address, TLS and checks as a request.
 * It does not outlive its client.
 */
struct connection;

struct connection *client_connect(struct client *client, struct problem *reterr);
struct connection *connection_free(struct connection *c);
DEFINE_CLEANUP(struct connection *, connection_free)

/* Neither waits: bytes, 0 at the end, -EAGAIN, or another negative errno. */
ssize_t connection_receive(struct connection *c, void *buffer, size_t size);
ssize_t connection_send(struct connection *c, const void *data, size_t len);
int connection_fd(const struct connection *c);

/* What a handshake of one's own puts in its head: "localhost:7070", "/prefix", the token or NULL.
 */
const char *client_host(const struct client *client);
const char *client_prefix(const struct client *client);
const char *client_token(const struct client *client);
