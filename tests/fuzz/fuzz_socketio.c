/* SPDX-License-Identifier: MIT */
/* A Socket.IO packet: its parts lie inside the text, and written again it reads the same. */
#include <assert.h>
#include <string.h>

#include "base/mem.h"
#include "fuzz.h"
#include "socketio/socketio_packet.h"

static bool same(struct http_view a, struct http_view b)
{
	return a.len == b.len && memcmp(a.at, b.at, a.len) == 0;
}

static void check_again(const struct socketio_header *h)
{
	scoped(strbuf_done) struct strbuf b = strbuf_init(STRBUF_UNLIMITED);
	struct socketio_header again;

	if (h->data.len > 0 && h->data.at[0] == '/')
		return; /* no JSON; with the "/" before it left out, it looks like a namespace */
	socketio_header_encode(&b, h);
	strbuf_add(&b, h->data.at, h->data.len);
	assert(socketio_header_decode(b.data, b.len, &again) == 0);
	assert(again.type == h->type && again.n_attachments == h->n_attachments);
	assert(again.has_id == h->has_id && again.id == h->id);
	assert(same(again.nsp, h->nsp) && same(again.data, h->data));
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
	scoped(freep) char *text = xmemdup(data, size);
	scoped(json_freep) cJSON *json = NULL;
	struct socketio_header h;

	if (socketio_header_decode(text, size, &h) < 0)
		return 0;
	assert(h.n_attachments <= SOCKETIO_ATTACHMENTS_MAX && h.id <= SOCKETIO_ID_MAX);
	assert(h.data.at >= text && h.data.at + h.data.len == text + size);
	assert(h.nsp.len > 0 && h.nsp.at[0] == '/');
	check_again(&h);
	if (socketio_data_decode(&h, &json) == 0 && h.type == SOCKETIO_EVENT)
		assert(cJSON_GetArraySize(json) > 0);
	return 0;
}
