/* SPDX-License-Identifier: MIT */
/* A polling body: packets lie inside it or are decoded from it, and written out they are the same.
 */
#include <assert.h>
#include <stdlib.h>
#include <string.h>

#include "base/mem.h"
#include "fuzz.h"
#include "socketio/engineio_packet.h"

static struct bytes *frame_of(const struct engineio_packet *packet)
{
	return packet->is_binary ? engineio_frame_binary(packet->data, packet->len)
				 : engineio_frame_text(packet->type, packet->data, packet->len);
}

/* Reads all; what was read goes to `ret` as a body of its own. */
static int read_all(const char *bytes, size_t len, struct strbuf *ret)
{
	struct engineio_payload body = { .at = bytes, .left = len };
	struct engineio_packet packet;
	int r;

	while ((r = engineio_payload_next(&body, &packet)) > 0) {
		scoped(bytes_unrefp) struct bytes *frame = frame_of(&packet);

		assert(packet.type <= ENGINEIO_NOOP);
		assert(packet.is_binary ||
		       (packet.data >= bytes && packet.data + packet.len <= bytes + len));
		engineio_payload_add(ret, frame);
	}
	free(body.binary);
	return r;
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
	scoped(freep) char *bytes = xmemdup(data, size);
	scoped(strbuf_done) struct strbuf once = strbuf_init(STRBUF_UNLIMITED);
	scoped(strbuf_done) struct strbuf twice = strbuf_init(STRBUF_UNLIMITED);

	if (read_all(bytes, size, &once) < 0)
		return 0;
	assert(read_all(once.data, once.len, &twice) == 0);
	assert(once.len == twice.len && memcmp(once.data, twice.data, once.len) == 0);
	return 0;
}
