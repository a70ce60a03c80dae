/* SPDX-License-Identifier: MIT */
/* Socket.IO's packets, to and from bytes. */
#include "socketio/socketio_packet.h"

#include <errno.h>
#include <string.h>

#include "base/fault.h"

static const char *const reserved_names[] = {
	"connect", "connect_error", "disconnect", "disconnecting", "newListener", "removeListener",
};

static bool is_digit(char c)
{
	return c >= '0' && c <= '9';
}

/* Digits at the front, taken off it; -ERANGE above `max`. */
static int take_number(struct http_view *left, uint64_t max, uint64_t *ret)
{
	uint64_t n = 0;

	while (left->len > 0 && is_digit(*left->at)) {
		n = n * 10 + (uint64_t)(*left->at - '0');
		if (n > max)
			return -ERANGE;
		left->at++;
		left->len--;
	}
	*ret = n;
	return 0;
}

static bool has_attachments(enum socketio_type type)
{
	return type == SOCKETIO_BINARY_EVENT || type == SOCKETIO_BINARY_ACK;
}

static int take_attachments(struct http_view *left, struct socketio_header *h)
{
	uint64_t n;

	if (left->len == 0 || !is_digit(*left->at))
		return -EINVAL;
	if (take_number(left, SOCKETIO_ATTACHMENTS_MAX, &n) < 0)
		return -E2BIG;
	if (left->len == 0 || *left->at != '-')
		return -EINVAL;
	left->at++;
	left->len--;
	h->n_attachments = (unsigned)n;
	return 0;
}

/* The comma may be left out where nothing follows.  A query is part of the name. */
static void take_nsp(struct http_view *left, struct socketio_header *h)
{
	const char *comma;

	h->nsp = HTTP_VIEW("/");
	if (left->len == 0 || *left->at != '/')
		return;
	comma = memchr(left->at, ',', left->len);
	h->nsp = (struct http_view){ left->at, comma ? (size_t)(comma - left->at) : left->len };
	left->at += h->nsp.len + (comma ? 1 : 0);
	left->len -= h->nsp.len + (comma ? 1 : 0);
}

int socketio_header_decode(const char *text, size_t len, struct socketio_header *ret)
{
	struct http_view left = { text, len };
	struct socketio_header h = { 0 };
	int r;

	if (len == 0 || text[0] < '0' || text[0] > '0' + SOCKETIO_BINARY_ACK)
		return -EINVAL;
	h.type = (enum socketio_type)(text[0] - '0');
	left.at++;
	left.len--;

	if (has_attachments(h.type)) {
		r = take_attachments(&left, &h);
		if (r < 0)
			return r;
	}
	take_nsp(&left, &h);
	h.has_id = left.len > 0 && is_digit(*left.at);
	if (take_number(&left, SOCKETIO_ID_MAX, &h.id) < 0)
		return -EINVAL;
	h.data = left;
	*ret = h;
	return 0;
}

bool socketio_name_is_reserved(const char *name)
{
	for (size_t i = 0; i < ARRAY_SIZE(reserved_names); i++)
		if (strcmp(name, reserved_names[i]) == 0)
			return true;
	return false;
}

static bool begins_with_name(const cJSON *array)
{
	const cJSON *first = array->child;

	return first && (cJSON_IsNumber(first) ||
			 (cJSON_IsString(first) && !socketio_name_is_reserved(first->valuestring)));
}

static bool suits(const struct socketio_header *h, const cJSON *data)
{
	switch (h->type) {
	case SOCKETIO_CONNECT:
		return !data || cJSON_IsObject(data);
	case SOCKETIO_DISCONNECT:
		return !data;
	case SOCKETIO_EVENT:
	case SOCKETIO_BINARY_EVENT:
		return cJSON_IsArray(data) && begins_with_name(data);
	case SOCKETIO_ACK:
	case SOCKETIO_BINARY_ACK:
		return h->has_id && cJSON_IsArray(data);
	case SOCKETIO_CONNECT_ERROR:
		return false; /* only servers say this */
	}
	return false;
}

static bool is_bad_placeholder(const cJSON *j, unsigned n_attachments)
{
	const cJSON *num;

	if (!cJSON_IsTrue(cJSON_GetObjectItemCaseSensitive(j, "_placeholder")))
		return false;
	num = cJSON_GetObjectItemCaseSensitive(j, "num");
	return !cJSON_IsNumber(num) || num->valuedouble != num->valueint || num->valueint < 0 ||
	       (unsigned)num->valueint >= n_attachments;
}

/* Goes no deeper than JSON_DEPTH_MAX. */
static bool has_bad_placeholder(const cJSON *j, unsigned n_attachments)
{
	if (cJSON_IsObject(j) && is_bad_placeholder(j, n_attachments))
		return true;
	for (const cJSON *child = j->child; child; child = child->next)
		if (has_bad_placeholder(child, n_attachments))
			return true;
	return false;
}

int socketio_data_decode(const struct socketio_header *h, cJSON **ret)
{
	scoped(json_freep) cJSON *data = NULL;
	struct fault why = { 0 };
	int r;

	if (h->data.len > 0) {
		r = json_parse_of_client(h->data.at, h->data.len, &data, &why);
		fault_done(&why);
		if (r < 0)
			return r;
	}
	if (!suits(h, data))
		return -EINVAL;
	if (has_attachments(h->type) && has_bad_placeholder(data, h->n_attachments))
		return -EINVAL;
	*ret = STEAL(data);
	return 0;
}

void socketio_header_encode(struct strbuf *b, const struct socketio_header *h)
{
	strbuf_putc(b, (char)('0' + h->type));
	if (has_attachments(h->type))
		strbuf_printf(b, "%u-", h->n_attachments);
	if (!http_view_is(h->nsp, "/")) {
		strbuf_add(b, h->nsp.at, h->nsp.len);
		strbuf_putc(b, ',');
	}
	if (h->has_id)
		strbuf_printf(b, "%llu", (unsigned long long)h->id);
}
