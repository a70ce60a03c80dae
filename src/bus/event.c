/* SPDX-License-Identifier: MIT */
/*
 * An event's lifetime.
 */
#include "bus/event.h"

#include <string.h>

struct event *event_ref(struct event *e)
{
	e->refs++;
	return e;
}

struct event *event_unref(struct event *e)
{
	if (!e || --e->refs > 0)
		return NULL;

	free(e->session_id);
	free(e->app_id);
	free(e->user_id);
	free(e->type);
	free(e->entity_type);
	free(e->entity_id);
	bytes_unref(e->payload);
	bytes_unref(e->ws_frame);
	for (size_t i = 0; i < EVENT_SIO_FRAMES_; i++)
		bytes_unref(e->sio_frames[i]);
	free(e);
	return NULL;
}

size_t event_size(const struct event *e)
{
	/* A frame, made once somebody listens, is the payload and a little more.  Counted before it
	 * is known who will listen, so as if all did. */
	return sizeof(*e) + (2 + EVENT_SIO_FRAMES_) * (e->payload->len + 128);
}
