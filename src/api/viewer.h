/* SPDX-License-Identifier: MIT */
#pragma once

#include "api/api_priv.h"
#include "socketio/socketio.h"

/*
 * A socket of Socket.IO whose credential was accepted: the sessions it has joined, and what it asks
 * for.
 */
#define NSP_PLAIN    "/"
#define NSP_ENVELOPE "/events"

/* Whose app nobody says. */
#define APP_DEFAULT "default"

/* A session that a socket has joined. */
struct joined {
	struct viewer *viewer;
	char *session_id;
	char *app_id;
	struct subscription *subscription;
	uint64_t shown; /* up to here its snapshot said it */
	struct joined *prev, *next;
};

struct canvas_request;

struct viewer {
	struct api *api;
	struct sio_socket *socket;
	struct principal *principal;
	struct timer *deadline; /* of the credential */
	bool envelope;          /* it is in NSP_ENVELOPE */
	bool ending;            /* its credential has ended: nothing more is done for it */
	struct joined *joined;
	unsigned n_joined;
	struct canvas_request *canvas_requests; /* the first waits for its session to be made */
	unsigned n_canvas_requests;
	struct registry_op *making; /* that session */
	struct viewer *prev, *next;
};

/* viewer.c: what it is sent. */
void viewer_acknowledge(struct viewer *v, const struct sio_event *event, cJSON *answer_consume);
/* {ok:false, error, code} */
void viewer_acknowledge_fault(struct viewer *v, const struct sio_event *event,
			      const struct fault *fault);
cJSON *viewer_ok(void); /* {ok:true}, the caller's */

/* viewer.c: joining and leaving, at an event of it. */
void viewer_on_join_session(struct viewer *v, const struct sio_event *event);
void viewer_on_leave_session(struct viewer *v, const struct sio_event *event);
void viewer_leave_all(struct viewer *v);
struct joined *viewer_joined(const struct viewer *v, const char *session_id); /* or NULL */

/* viewer_canvas.c: emit("canvas", action, params, ack). */
void viewer_on_canvas(struct viewer *v, const struct sio_event *event);
void viewer_canvas_end(struct viewer *v);
