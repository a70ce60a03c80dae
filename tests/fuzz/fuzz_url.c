/* SPDX-License-Identifier: MIT */
/*
 * A target, the name of a parameter, an authority, and a template, one a line.  What decodes
 * encodes and decodes to the same, and nothing of a URL leads out of the part it stands in.
 */
#include <assert.h>
#include <stdlib.h>
#include <string.h>

#include "base/mem.h"
#include "base/parse.h"
#include "base/strbuf.h"
#include "fuzz.h"
#include "http/url.h"
#include "net/connectrules.h"
#include "net/hosts.h"
#include "registry/url.h"

static struct http_view view_of(const char *text)
{
	return (struct http_view){ text, strlen(text) };
}

static void try_path(struct http_view path)
{
	scoped(strbuf_done) struct strbuf b = strbuf_init(STRBUF_UNLIMITED);
	scoped(http_path_done) struct http_path once = { 0 }, twice = { 0 };

	if (http_path_decode(path, &once) < 0)
		return;
	for (size_t i = 0; i < once.n; i++) {
		assert(utf8_is_valid(once.segments[i], strlen(once.segments[i])));
		strbuf_putc(&b, '/');
		strbuf_add_percent(&b, once.segments[i]);
	}
	if (once.trailing_slash)
		strbuf_putc(&b, '/');
	assert(http_path_decode(view_of(strbuf_str(&b)), &twice) == 0);
	assert(twice.n == once.n && twice.trailing_slash == once.trailing_slash);
	for (size_t i = 0; i < once.n; i++)
		assert(strcmp(once.segments[i], twice.segments[i]) == 0);
}

static void try_query(struct http_view query, const char *name)
{
	scoped(strbuf_done) struct strbuf b = strbuf_init(STRBUF_UNLIMITED);
	scoped(freep) char *once = NULL, *twice = NULL;

	if (http_query_get(query, name, &once) < 0 || !utf8_is_valid(name, strlen(name)))
		return;
	assert(utf8_is_valid(once, strlen(once)) && strlen(once) <= query.len);
	strbuf_puts(&b, "z%20=&&");
	strbuf_add_percent(&b, name);
	strbuf_putc(&b, '=');
	strbuf_add_percent(&b, once);
	assert(http_query_get(view_of(strbuf_str(&b)), name, &twice) == 0);
	assert(strcmp(once, twice) == 0);
}

static void try_authority(const char *text)
{
	scoped(freep) char *host = NULL, *same = NULL;
	scoped(upstream_done) struct upstream upstream = { 0 };
	scoped(freep) char *proxy = xasprintf("http://%s", text);
	unsigned port;

	if (upstream_parse(proxy, &upstream, NULL) == 0)
		assert(upstream.port > 0 && !strpbrk(upstream.host, " /@\r\n"));
	if (host_split(text, &host, &port) < 0)
		return;
	assert(host[0] && port <= UINT16_MAX && !strpbrk(host, " []/@?#\\\r\n"));
	assert(host_is_valid(host));
	if (strchr(host, ':')) {
		scoped(freep) char *bracketed = xasprintf("[%s]", host);

		assert(host_split(bracketed, &same, &port) == 0);
	} else {
		assert(host_split(host, &same, &port) == 0);
	}
	assert(port == 0 && strcmp(host, same) == 0);
}

static void try_template(const char *text, const char *path)
{
	static const struct url_fields fields = { "http", "::1", 5173,   "a/../b",
						  "s s",  "n\"", "u?&#", "l\r\n" };
	scoped(freep) char *host = NULL, *authority = NULL, *url = NULL;

	if (url_host(text, &host, &authority) == 0)
		assert(host[0] && strstr(authority, host) == authority + (*authority == '['));
	if (url_template_check(text, NULL) < 0)
		return;
	url = url_expand(text, &fields, url_path_is_valid(path) ? path : "");
	assert(!strpbrk(url, "\r\n") || strpbrk(text, "\r\n"));
	assert(!strstr(url, "a/../b") || strstr(text, "a/../b") || strstr(path, "a/../b"));
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
	scoped(freep) char *text = xmemdup(data, size);
	char *end = text + strlen(text); /* of what isn't there */
	char *lines[4] = { text, end, end, end };
	struct http_view path, query;

	for (size_t i = 1; i < ARRAY_SIZE(lines); i++) {
		char *newline = strchr(lines[i - 1], '\n');

		if (!newline)
			break;
		*newline = '\0';
		lines[i] = newline + 1;
	}
	http_target_split(view_of(lines[0]), &path, &query);
	try_path(path);
	try_path(view_of(lines[0]));
	try_query(query, lines[1]);
	try_authority(lines[2]);
	try_template(lines[3], lines[0]);
	return 0;
}
