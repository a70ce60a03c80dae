/* SPDX-License-Identifier: MIT */
/*
 * What a proxy at the edge says of a request: its host, its target, its cookies.
 */
#include "api/edge_asked.h"

#include <errno.h>
#include <stdlib.h>
#include <string.h>

#include "base/crypto.h"
#include "base/mem.h"
#include "base/parse.h"
#include "http/url.h"
#include "net/hosts.h"
#include "registry/url.h"

static char *label_of(const char *authority, const char *template)
{
	scoped(freep) char *host = NULL;
	unsigned port;

	if (!authority || host_split(authority, &host, &port) < 0)
		return NULL;
	return url_template_label(template, host);
}

static void read_target(const struct edge_fields *fields, struct edge_asked *ret)
{
	static const char open[] = EDGE_OPEN_PATH;
	struct http_view path, query;

	if (!fields->target)
		return;
	http_target_split((struct http_view){ fields->target, strlen(fields->target) }, &path,
			  &query);
	if (path.len != strlen(open) || memcmp(path.at, open, path.len) != 0)
		return;
	ret->opens = true;
	/* What only looks whether there is a link doesn't use it up. */
	if ((fields->method && strcmp(fields->method, "GET") != 0) || !query.at)
		return;
	if (http_query_get(query, "code", &ret->code) < 0)
		ret->code = NULL;
}

static void read_cookies(const char *cookies, struct edge_asked *ret)
{
	const char *name = ret->is_tls ? EDGE_HOST_COOKIE "=" : EDGE_COOKIE "=";
	scoped(strv_freep) char **list = cookies ? parse_list(cookies, ';') : NULL;
	size_t n = 0;

	ret->passes = xcalloc(EDGE_PASSES_MAX + 1, sizeof(*ret->passes));
	for (size_t i = 0; list && list[i] && n < EDGE_PASSES_MAX; i++) {
		if (strncmp(list[i], name, strlen(name)) == 0)
			ret->passes[n++] = xstrdup(list[i] + strlen(name));
	}
}

int edge_asked_read(const struct edge_fields *fields, const char *template, struct edge_asked *ret)
{
	struct edge_asked asked = { .is_tls = strcmp(fields->scheme, "https") == 0 };

	asked.label = label_of(fields->host, template);
	if (!asked.label)
		return -EINVAL;
	asked.origin = xasprintf("%s://%s", fields->scheme, fields->host);
	read_target(fields, &asked);
	read_cookies(fields->cookies, &asked);
	*ret = asked;
	return 0;
}

void edge_asked_done(struct edge_asked *asked)
{
	free(asked->label);
	free(asked->origin);
	secret_free(asked->code);
	strv_free(asked->passes);
	*asked = (struct edge_asked){ 0 };
}
