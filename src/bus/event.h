/* SPDX-License-Identifier: MIT */
#pragma once

#include <stddef.h>
#include <stdint.h>

#include "base/bytes.h"
#include "base/cleanup.h"
#include "base/clock.h"

/* The forms an event has in Socket.IO. */
enum event_sio_frame {
	EVENT_SIO_PLAIN,    /* in the namespace "/": under its own name, with its payload */
	EVENT_SIO_ENVELOPE, /* in "/events": as "event", in an envelope */
	EVENT_SIO_NAMED,    /* in "/events", some types also: under its own name */
	EVENT_SIO_FRAMES_,
};

/*
 * Something that happened in a session: immutable, shared by reference, serialised once.
 */
struct event {
	size_t refs;
	uint64_t seq; /* preview_seq: its place in the session's history */
	usec_t ts;    /* realtime */
	char *session_id;
	char *app_id;
	char *user_id;     /* the session's owner, who may see it */
	char *type;        /* "web_preview:attached" */
	char *entity_type; /* "web_preview" */
	char *entity_id;   /* "default" */
	struct bytes
		*payload; /* a JSON object, with session_id, app_id, preview_seq and ts in it */

	/* Whole frames, each made by its transport when first wanted. */
	struct bytes *ws_frame;                      /* of /ws/events */
	struct bytes *sio_frames[EVENT_SIO_FRAMES_]; /* of Socket.IO */
};

struct event *event_ref(struct event *e);
struct event *event_unref(struct event *e);
DEFINE_CLEANUP(struct event *, event_unref)

/* What one event costs in memory, for the journals' limit. */
size_t event_size(const struct event *e);
