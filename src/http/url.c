/* SPDX-License-Identifier: MIT */
/*
 * Request targets taken apart.  Pure; what it refuses, nobody behind it has to think of.
 */
#include "http/url.h"

#include <errno.h>
#include <stdlib.h>
#include <string.h>

#include "base/mem.h"
#include "base/parse.h"

/*
 * Decodes into `out`, which has room for the encoded length and a NUL.  Returns the length.  Text
 * that goes on to be a file name, an id or a member of JSON has no NUL and is UTF-8.
 */
static ssize_t decode(struct http_view v, bool plus_is_space, char *out)
{
	size_t n = 0;

	for (size_t i = 0; i < v.len; i++) {
		char c = v.at[i];

		if (c == '%') {
			int high = i + 2 < v.len ? hex_digit(v.at[i + 1]) : -1;
			int low = high >= 0 ? hex_digit(v.at[i + 2]) : -1;

			if (low < 0)
				return -EINVAL;
			c = (char)(high << 4 | low);
			i += 2;
		} else if (c == '+' && plus_is_space) {
			c = ' ';
		}
		if (c == '\0')
			return -EINVAL;
		out[n++] = c;
	}
	out[n] = '\0';

	return utf8_is_valid(out, n) ? (ssize_t)n : -EINVAL;
}

/* Up to the first `separator`, which is taken off `rest`, too; at of `rest` is NULL at the end. */
static struct http_view split_off(struct http_view *rest, char separator)
{
	const char *at = memchr(rest->at, separator, rest->len);
	struct http_view first = *rest;

	if (!at) {
		*rest = (struct http_view){ 0 };
		return first;
	}
	first.len = (size_t)(at - first.at);
	*rest = (struct http_view){ at + 1, rest->len - first.len - 1 };
	return first;
}

void http_target_split(struct http_view target, struct http_view *ret_path,
		       struct http_view *ret_query)
{
	struct http_view query = target;
	struct http_view path = split_off(&query, '?');

	if (path.len > 0 && path.at[0] != '/' && !http_view_is(path, "*")) {
		/* "http://host/path": the path starts at the third slash, if there is one */
		for (int slash = 0; slash < 3 && path.at; slash++)
			(void)split_off(&path, '/');
		path = path.at ? (struct http_view){ path.at - 1, path.len + 1 } : HTTP_VIEW("/");
	}

	*ret_path = path;
	*ret_query = query;
}

static bool segment_is_plain(const char *s, size_t len)
{
	if (len == 0 || strcmp(s, ".") == 0 || strcmp(s, "..") == 0)
		return false;
	for (size_t i = 0; i < len; i++)
		if (s[i] == '/' || (unsigned char)s[i] < 0x20 || s[i] == 0x7f)
			return false;
	return true;
}

int http_path_decode(struct http_view path, struct http_path *ret)
{
	scoped(freep) char **segments = NULL;
	struct http_view rest;
	size_t n_max = 0;
	size_t n = 0;
	char *text;

	if (path.len == 0 || path.at[0] != '/')
		return -EINVAL;

	rest = (struct http_view){ path.at + 1, path.len - 1 };
	for (size_t i = 0; i < path.len; i++)
		n_max += path.at[i] == '/';
	/* one piece of memory: the array with its NULL, and the text it points to */
	segments = xcalloc(1, (n_max + 1) * sizeof(*segments) + path.len + 1);
	text = (char *)(segments + n_max + 1);

	while (rest.at && rest.len > 0) {
		ssize_t len = decode(split_off(&rest, '/'), false, text);

		if (len < 0 || !segment_is_plain(text, (size_t)len))
			return -EINVAL;
		segments[n++] = text;
		text += len + 1;
	}

	*ret = (struct http_path){
		.segments = STEAL(segments),
		.n = n,
		.trailing_slash = path.at[path.len - 1] == '/',
	};
	return 0;
}

void http_path_done(struct http_path *p)
{
	free(p->segments);
	*p = (struct http_path){ 0 };
}

const char *http_path_join(struct http_path *p)
{
	/* they stand behind each other, a NUL between them */
	for (size_t i = 1; i < p->n; i++)
		p->segments[i][-1] = '/';
	return p->n > 0 ? p->segments[0] : "";
}

/* -ENOENT when the pair is of another name. */
static int decode_pair(struct http_view pair, const char *name, char **ret)
{
	struct http_view value = pair;
	struct http_view encoded_name = split_off(&value, '=');
	scoped(freep) char *text = xcalloc(1, pair.len + 1);

	if (decode(encoded_name, true, text) < 0)
		return -EINVAL;
	if (strcmp(text, name) != 0)
		return -ENOENT;
	if (decode(value, true, text) < 0)
		return -EINVAL;

	*ret = STEAL(text);
	return 0;
}

int http_query_get(struct http_view query, const char *name, char **ret)
{
	scoped(freep) char *found = NULL;

	while (query.at && query.len > 0) {
		struct http_view pair = split_off(&query, '&');
		scoped(freep) char *value = NULL;
		int r;

		if (pair.len == 0)
			continue;
		r = decode_pair(pair, name, &value);
		if (r == -ENOENT)
			continue;
		if (r < 0 || found)
			return -EINVAL;
		found = STEAL(value);
	}
	if (!found)
		return -ENOENT;

	*ret = STEAL(found);
	return 0;
}
