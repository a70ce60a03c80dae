/* SPDX-License-Identifier: MIT */
/* The packets of Engine.IO and Socket.IO, as tables. */
#include "socketio/socketio_packet.h"

#include <errno.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stdint.h>
#include <stdio.h>
#include <string.h>
/* cmocka wants the four above it */
#include <cmocka.h>

#include "base/bytes.h"
#include "socketio/engineio_packet.h"

/* What a polling body holds, each packet as "type:data;", binary as "b:data;", "!" where it ends
 * badly. */
static void describe(const char *body, size_t len, struct strbuf *b)
{
	struct engineio_payload payload = { .at = body, .left = len };
	struct engineio_packet packet;
	int r;

	while ((r = engineio_payload_next(&payload, &packet)) > 0) {
		strbuf_putc(b, packet.is_binary ? 'b' : (char)('0' + packet.type));
		strbuf_putc(b, ':');
		strbuf_add(b, packet.data, packet.len);
		strbuf_putc(b, ';');
	}
	if (r < 0)
		strbuf_putc(b, '!');
	free(payload.binary);
}

static void a_polling_body_is_packets(void **state)
{
	/* clang-format off */
	static const struct {
		const char *body, *packets;
	} rows[] = {
		{ "4hello", "4:hello;" },
		{ "4", "4:;" },
		{ "0", "0:;" },
		{ "6", "6:;" },
		{ "2probe", "2:probe;" },
		{ "4a\x1e" "4b\x1e" "1", "4:a;4:b;1:;" },
		{ "4hello\x1e" "bSEk=", "4:hello;b:HI;" },
		{ "bSGk=\x1e" "4x", "b:Hi;4:x;" },
		{ "b", "b:;" },
		{ "", "!" },
		{ "7", "!" },
		{ "a", "!" },
		{ "4a\x1e", "4:a;!" },
		{ "\x1e" "4a", "!" },
		{ "4a\x1e\x1e" "4b", "4:a;!" },
		{ "bA", "!" },
		{ "bAAA", "!" },
		{ "b====", "!" },
		{ "bA===", "!" },
		{ "bAA=A", "!" },
		{ "bAA A", "!" },
		{ "bAA-_", "!" },
		{ "bAAAA\n", "!" },
		{ "4\xff", "!" },
		{ "4\xc3\xa4", "4:\xc3\xa4;" },
	};
	/* clang-format on */

	(void)state;
	for (size_t i = 0; i < ARRAY_SIZE(rows); i++) {
		scoped(strbuf_done) struct strbuf b = strbuf_init(STRBUF_UNLIMITED);

		describe(rows[i].body, strlen(rows[i].body), &b);
		if (strcmp(strbuf_str(&b), rows[i].packets) != 0)
			fail_msg("%s: %s", rows[i].body, strbuf_str(&b));
	}
}

static void a_frame_is_a_whole_packet(void **state)
{
	scoped(bytes_unrefp) struct bytes *text = engineio_frame_text(ENGINEIO_MESSAGE, "hi", 2);
	scoped(bytes_unrefp) struct bytes *binary = engineio_frame_binary("\0\1", 2);

	(void)state;
	assert_int_equal(text->len, 5);
	assert_memory_equal(text->data,
			    "\x81\x03"
			    "4hi",
			    5);
	assert_int_equal(binary->len, 4);
	assert_memory_equal(binary->data, "\x82\x02\0\1", 4);
}

/* At each length of a frame's header, and at the seams of base64's pieces. */
static void a_polling_body_is_written_from_frames(void **state)
{
	static const size_t lengths[] = {
		0, 1, 124, 125, 126, 3071, 3072, 3073, 65534, 65535, 70000
	};

	(void)state;
	for (size_t i = 0; i < ARRAY_SIZE(lengths); i++) {
		scoped(freep) char *data = xcalloc(1, lengths[i] + 1);
		scoped(strbuf_done) struct strbuf body = strbuf_init(STRBUF_UNLIMITED);
		scoped(bytes_unrefp) struct bytes *text = NULL;
		scoped(bytes_unrefp) struct bytes *binary = NULL;
		struct engineio_payload payload;
		struct engineio_packet packet;

		memset(data, 'x', lengths[i]);
		text = engineio_frame_text(ENGINEIO_MESSAGE, data, lengths[i]);
		binary = engineio_frame_binary(data, lengths[i]);
		engineio_payload_add(&body, text);
		engineio_payload_add(&body, binary);
		engineio_payload_add(&body, text);

		payload = (struct engineio_payload){ .at = body.data, .left = body.len };
		for (unsigned n = 0; n < 3; n++) {
			assert_int_equal(engineio_payload_next(&payload, &packet), 1);
			assert_int_equal(packet.is_binary, n == 1);
			assert_int_equal(packet.len, lengths[i]);
			assert_memory_equal(packet.data, data, lengths[i]);
		}
		assert_int_equal(engineio_payload_next(&payload, &packet), 0);
		free(payload.binary);
	}
}

static void a_socketio_header_is_read(void **state)
{
	/* clang-format off */
	static const struct {
		const char *text;
		int result;
		enum socketio_type type;
		unsigned n_attachments;
		const char *nsp;
		int64_t id; /* -1: none */
		const char *data;
	} rows[] = {
		{ "0", 0, SOCKETIO_CONNECT, 0, "/", -1, "" },
		{ "0{\"a\":1}", 0, SOCKETIO_CONNECT, 0, "/", -1, "{\"a\":1}" },
		{ "0/admin", 0, SOCKETIO_CONNECT, 0, "/admin", -1, "" },
		{ "0/admin,", 0, SOCKETIO_CONNECT, 0, "/admin", -1, "" },
		{ "0/admin?a=b,{}", 0, SOCKETIO_CONNECT, 0, "/admin?a=b", -1, "{}" },
		{ "1/admin,", 0, SOCKETIO_DISCONNECT, 0, "/admin", -1, "" },
		{ "2[\"a\"]", 0, SOCKETIO_EVENT, 0, "/", -1, "[\"a\"]" },
		{ "2/,[\"a\"]", 0, SOCKETIO_EVENT, 0, "/", -1, "[\"a\"]" },
		{ "212[\"a\"]", 0, SOCKETIO_EVENT, 0, "/", 12, "[\"a\"]" },
		{ "2/admin,0[\"a\"]", 0, SOCKETIO_EVENT, 0, "/admin", 0, "[\"a\"]" },
		{ "29007199254740992[]", 0, SOCKETIO_EVENT, 0, "/", 9007199254740992, "[]" },
		{ "29007199254740993[]", -EINVAL, 0, 0, NULL, 0, NULL },
		{ "3/admin,456[]", 0, SOCKETIO_ACK, 0, "/admin", 456, "[]" },
		{ "4{}", 0, SOCKETIO_CONNECT_ERROR, 0, "/", -1, "{}" },
		{ "51-[\"a\"]", 0, SOCKETIO_BINARY_EVENT, 1, "/", -1, "[\"a\"]" },
		{ "510-/a,7[]", 0, SOCKETIO_BINARY_EVENT, 10, "/a", 7, "[]" },
		{ "50-[\"a\"]", 0, SOCKETIO_BINARY_EVENT, 0, "/", -1, "[\"a\"]" },
		{ "61-3[]", 0, SOCKETIO_BINARY_ACK, 1, "/", 3, "[]" },
		{ "511-[]", -E2BIG, 0, 0, NULL, 0, NULL },
		{ "599999999999999999999-[]", -E2BIG, 0, 0, NULL, 0, NULL },
		{ "5[]", -EINVAL, 0, 0, NULL, 0, NULL },
		{ "5-[]", -EINVAL, 0, 0, NULL, 0, NULL },
		{ "51[]", -EINVAL, 0, 0, NULL, 0, NULL },
		{ "51", -EINVAL, 0, 0, NULL, 0, NULL },
		{ "", -EINVAL, 0, 0, NULL, 0, NULL },
		{ "7", -EINVAL, 0, 0, NULL, 0, NULL },
		{ "abc", -EINVAL, 0, 0, NULL, 0, NULL },
	};
	/* clang-format on */

	(void)state;
	for (size_t i = 0; i < ARRAY_SIZE(rows); i++) {
		struct socketio_header h;
		int r = socketio_header_decode(rows[i].text, strlen(rows[i].text), &h);

		if (r != rows[i].result)
			fail_msg("%s: %d", rows[i].text, r);
		if (r < 0)
			continue;
		assert_int_equal(h.type, rows[i].type);
		assert_int_equal(h.n_attachments, rows[i].n_attachments);
		assert_int_equal(h.has_id, rows[i].id >= 0);
		if (h.has_id)
			assert_int_equal(h.id, (uint64_t)rows[i].id);
		if (!http_view_is(h.nsp, rows[i].nsp) || !http_view_is(h.data, rows[i].data))
			fail_msg("%s: %.*s %.*s", rows[i].text, (int)h.nsp.len, h.nsp.at,
				 (int)h.data.len, h.data.at);
	}
}

static void a_packet_carries_what_its_type_may(void **state)
{
	/* clang-format off */
	static const struct {
		const char *text;
		bool good;
	} rows[] = {
		{ "0", true },
		{ "0{}", true },
		{ "0[]", false },
		{ "0\"x\"", false },
		{ "0null", false },
		{ "1", true },
		{ "1{}", false },
		{ "2[\"a\"]", true },
		{ "2[1,2]", true },
		{ "2", false },
		{ "2[]", false },
		{ "2{}", false },
		{ "2[null]", false },
		{ "2[{}]", false },
		{ "2[true]", false },
		{ "2[\"a\"", false },
		{ "2[\"a\"]x", false },
		{ "2[\"connect\"]", false },
		{ "2[\"connect_error\"]", false },
		{ "2[\"disconnect\"]", false },
		{ "2[\"disconnecting\"]", false },
		{ "2[\"newListener\"]", false },
		{ "2[\"removeListener\"]", false },
		{ "31[]", true },
		{ "3[]", false },
		{ "31", false },
		{ "31{}", false },
		{ "4{\"message\":\"x\"}", false },
		{ "51-[\"a\",{\"_placeholder\":true,\"num\":0}]", true },
		{ "51-[\"a\",{\"b\":[{\"_placeholder\":true,\"num\":0}]}]", true },
		{ "51-[\"a\",{\"_placeholder\":false,\"num\":9}]", true },
		{ "51-[\"a\"]", true },
		{ "51-[\"a\",{\"_placeholder\":true,\"num\":1}]", false },
		{ "51-[\"a\",{\"_placeholder\":true,\"num\":-1}]", false },
		{ "51-[\"a\",{\"_placeholder\":true,\"num\":0.5}]", false },
		{ "51-[\"a\",{\"_placeholder\":true,\"num\":1e300}]", false },
		{ "51-[\"a\",{\"_placeholder\":true}]", false },
		{ "2[\"a\",{\"_placeholder\":true,\"num\":1}]", true }, /* just an object */
	};
	/* clang-format on */

	(void)state;
	for (size_t i = 0; i < ARRAY_SIZE(rows); i++) {
		scoped(json_freep) cJSON *data = NULL;
		struct socketio_header h;
		int r;

		assert_int_equal(socketio_header_decode(rows[i].text, strlen(rows[i].text), &h), 0);
		r = socketio_data_decode(&h, &data);
		if ((r == 0) != rows[i].good)
			fail_msg("%s: %d", rows[i].text, r);
	}
}

static void a_header_is_written_as_it_is_read(void **state)
{
	static const char *const texts[] = {
		"0", "0/admin,", "2", "212", "2/admin,0", "3/admin,456", "51-", "510-/a,7", "61-3",
	};

	(void)state;
	for (size_t i = 0; i < ARRAY_SIZE(texts); i++) {
		scoped(strbuf_done) struct strbuf b = strbuf_init(STRBUF_UNLIMITED);
		struct socketio_header h;

		assert_int_equal(socketio_header_decode(texts[i], strlen(texts[i]), &h), 0);
		socketio_header_encode(&b, &h);
		assert_string_equal(strbuf_str(&b), texts[i]);
	}
}

int main(void)
{
	static const struct CMUnitTest tests[] = {
		cmocka_unit_test(a_polling_body_is_packets),
		cmocka_unit_test(a_frame_is_a_whole_packet),
		cmocka_unit_test(a_polling_body_is_written_from_frames),
		cmocka_unit_test(a_socketio_header_is_read),
		cmocka_unit_test(a_packet_carries_what_its_type_may),
		cmocka_unit_test(a_header_is_written_as_it_is_read),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
