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
	free(e);
	return NULL;
}

size_t event_size(const struct event *e)
{
	/* The frame, made once somebody listens, is the payload and a little more. */
	return sizeof(*e) + 2 * e->payload->len + 128;
}
