/* SPDX-License-Identifier: MIT */
/*
 * What a joiner gets who cannot be told what it missed: all of the session as it is now.
 */
#include "api/api_priv.h"

char *snapshot_text(struct api *api, const char *session_id, uint64_t *ret_seq)
{
	const uint64_t seq = bus_published_seq(api->deps.bus, session_id);
	scoped(json_freep) cJSON *payload = registry_snapshot(api->deps.registry, session_id);
	char ts[CLOCK_TEXT_SIZE];

	canvas_add_snapshot(api->deps.canvas, session_id, payload);
	json_add_u64(payload, "seq", seq);
	json_add_u64(payload, "preview_seq", seq);
	json_add_string(payload, "epoch", bus_epoch(api->deps.bus));
	json_add_string(payload, "ts", clock_format(clock_realtime(), ts));
	*ret_seq = seq;
	return json_print(payload);
}
