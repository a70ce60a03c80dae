/* SPDX-License-Identifier: MIT */
#pragma once

#include <stddef.h>
#include <sys/types.h>

#include "base/cleanup.h"
#include "ctl/problem.h"

/* The bytes beneath a WebSocket.  Neither function waits: bytes, 0 at the end, or -EAGAIN. */
struct ws_transport {
	ssize_t (*receive)(void *arg, void *buffer, size_t size);
	ssize_t (*send)(void *arg, const void *data, size_t len);
	void *arg;
	int fd;     /* to wait by */
	int output; /* whose reader's end ends the waiting, too; -1: none */
};

/* What the handshake says. */
struct ws_request {
	const char *host;
	const char *target; /* path and query */
	const char *token;  /* NULL: none */
};

/*
 * A WebSocket client (RFC 6455), blocking: it opens, and then gives messages one by one.  Pings are
 * answered by themselves.
 */
struct ws;

/*
 * The handshake.  A refusal is told as the problem document it is; anything else than a WebSocket,
 * as "bad_answer".  `transport` is copied; what it speaks through must live as long.
 */
struct ws *ws_open(const struct ws_transport *transport, const struct ws_request *request,
		   unsigned seconds, struct problem *reterr);
struct ws *ws_free(struct ws *ws); /* says goodbye where it still can */
DEFINE_CLEANUP(struct ws *, ws_free)

/*
 * Waits for the next text message, which stays valid until the next call.  1: there is one.  0: the
 * other side closed; ws_close_code() says why.  After `quiet_seconds` without a byte it pings, and
 * after as many again it's -ETIMEDOUT.  -ECANCELED: nobody reads the output any more.  -ECONNRESET,
 * -EPROTO: as they say.
 */
int ws_receive(struct ws *ws, unsigned quiet_seconds, const char **ret, size_t *ret_len) must_use;

unsigned ws_close_code(const struct ws *ws); /* 1005: closed without one; 1006: without closing */
const char *ws_close_reason(const struct ws *ws);
