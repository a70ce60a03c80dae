/* SPDX-License-Identifier: MIT */
/* Engine.IO's packets, to and from bytes. */
#include "socketio/engineio_packet.h"

#include <errno.h>
#include <openssl/evp.h>
#include <string.h>

#include "base/mem.h"
#include "base/parse.h"
#include "http/websocket.h"

static const char base64_alphabet[] =
	"ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789+/";

int engineio_packet_decode(const char *text, size_t len, struct engineio_packet *ret)
{
	if (len == 0 || text[0] < '0' || text[0] > '0' + ENGINEIO_NOOP)
		return -EINVAL;
	*ret = (struct engineio_packet){
		.type = (enum engineio_type)(text[0] - '0'),
		.data = text + 1,
		.len = len - 1,
	};
	return 0;
}

static size_t span_base64(const char *text, size_t len)
{
	size_t n = 0;

	while (n < len && memchr(base64_alphabet, text[n], sizeof(base64_alphabet) - 1))
		n++;
	return n;
}

/*
 * Strict, because OpenSSL is not: it skips spaces, and doesn't tell padding from zero bytes.  Bits
 * that no byte uses may be anything, as in JavaScript.
 */
static int decode_base64(const char *text, size_t len, char **ret, size_t *ret_len)
{
	size_t digits = span_base64(text, len);
	size_t padding = len - digits;
	scoped(freep) char *bytes = NULL;

	if (len % 4 != 0 || padding > 2)
		return -EINVAL;
	for (size_t i = digits; i < len; i++)
		if (text[i] != '=')
			return -EINVAL;

	bytes = xcalloc(1, len / 4 * 3 + 1); /* bounded as the body is */
	if (EVP_DecodeBlock((unsigned char *)bytes, (const unsigned char *)text, (int)len) < 0)
		return -EINVAL;
	*ret_len = len / 4 * 3 - padding;
	*ret = STEAL(bytes);
	return 0;
}

static int decode_binary(struct engineio_payload *body, const char *text, size_t len,
			 struct engineio_packet *ret)
{
	size_t n;
	int r;

	free(STEAL(body->binary));
	r = decode_base64(text, len, &body->binary, &n);
	if (r < 0)
		return r;
	*ret = (struct engineio_packet){
		.type = ENGINEIO_MESSAGE,
		.is_binary = true,
		.data = body->binary,
		.len = n,
	};
	return 0;
}

int engineio_payload_next(struct engineio_payload *body, struct engineio_packet *ret)
{
	const char *packet = body->at;
	const char *end;
	size_t len;
	int r;

	if (body->finished)
		return 0;
	end = body->left > 0 ? memchr(packet, ENGINEIO_SEPARATOR, body->left) : NULL;
	len = end ? (size_t)(end - packet) : body->left;
	body->finished = !end;
	if (end) {
		body->at = end + 1;
		body->left -= len + 1;
	}

	if (len > 0 && packet[0] == 'b')
		r = decode_binary(body, packet + 1, len - 1, ret);
	else if (!utf8_is_valid(packet, len))
		r = -EINVAL;
	else
		r = engineio_packet_decode(packet, len, ret);
	return r < 0 ? r : 1;
}

struct bytes *engineio_frame_text(enum engineio_type type, const char *data, size_t len)
{
	scoped(strbuf_done) struct strbuf text = strbuf_init(STRBUF_UNLIMITED);

	strbuf_putc(&text, (char)('0' + type));
	strbuf_add(&text, data, len);
	return websocket_frame(WEBSOCKET_TEXT, text.data, text.len);
}

struct bytes *engineio_frame_binary(const void *data, size_t len)
{
	return websocket_frame(WEBSOCKET_BINARY, data, len);
}

/* The header's length is in its second byte (RFC 6455 section 5.2); servers don't mask. */
static size_t header_length(const struct bytes *frame)
{
	unsigned length = (unsigned char)frame->data[1];

	return length < 126 ? 2 : length == 126 ? 4 : 10;
}

static void add_base64(struct strbuf *b, const unsigned char *data, size_t len)
{
	unsigned char piece[4 * 1024 + 1];

	for (size_t done = 0, n; done < len; done += n) {
		n = len - done < 3 * 1024 ? len - done : 3 * 1024;
		strbuf_add(b, piece, (size_t)EVP_EncodeBlock(piece, data + done, (int)n));
	}
}

void engineio_payload_add(struct strbuf *body, const struct bytes *frame)
{
	size_t header = header_length(frame);
	bool is_binary = (frame->data[0] & 0xf) == WEBSOCKET_BINARY;

	if (body->len > 0)
		strbuf_putc(body, ENGINEIO_SEPARATOR);
	if (!is_binary) {
		strbuf_add(body, frame->data + header, frame->len - header);
		return;
	}
	strbuf_putc(body, 'b');
	add_base64(body, (const unsigned char *)frame->data + header, frame->len - header);
}
