/* SPDX-License-Identifier: MIT */
/*
 * Attachments by the host names they have at the edge.
 */
#include <stdlib.h>
#include <string.h>

#include "base/mem.h"
#include "registry/registry_priv.h"
#include "registry/url.h"

static const char *template_of(const struct registry *reg)
{
	return reg->settings->preview_public_url_template;
}

bool registry_has_edge(const struct registry *reg)
{
	return url_template_has_edge(template_of(reg));
}

static struct attachment *find(const struct registry *reg, const char *label)
{
	struct attachment *a;

	HASH_FIND(label_hh, reg->by_label, label, strlen(label), a);
	return a;
}

/* Numeric: a proxy would have to look a name up, and might find another server. */
static char *upstream_of(const struct attachment *a)
{
	const struct record_attachment *r = a->record;
	const char *host = r->address[0] ? r->address : r->host;

	if (strcmp(host, "0.0.0.0") == 0 || (host_is_loopback(host) && !host_is_address(host)))
		host = "127.0.0.1";
	else if (strcmp(host, "::") == 0)
		host = "::1";
	return xasprintf(strchr(host, ':') ? "[%s]:%u" : "%s:%u", host, (unsigned)r->port);
}

static int check_target(const struct attachment *a, struct fault *reterr)
{
	/* A name is looked up by the proxy, who holds what it finds against no list. */
	if (!a->record->address[0] && !host_is_loopback(a->record->host) &&
	    !host_is_address(a->record->host))
		return fault_set(reterr, FAULT_FORBIDDEN,
				 "nobody has looked where this preview's host name leads: attach "
				 "it with its health check");
	/* The next to listen may be another's, and who waits for it to come back is no viewer. */
	if (a->presence == PRESENCE_DOWN)
		return fault_set(reterr, FAULT_TARGET_NOT_LISTENING,
				 "the server of this preview is down");
	if (a->presence == PRESENCE_FOREIGN)
		return fault_set(reterr, FAULT_FORBIDDEN,
				 "another's server has taken the port of this preview");
	return 0;
}

int registry_edge_pass(struct registry *reg, const char *label, char **ret_upstream,
		       const char **ret_scheme, struct fault *reterr)
{
	struct attachment *a = find(reg, label);
	int r;

	if (!a)
		return fault_set(reterr, FAULT_PREVIEW_NOT_FOUND, "nothing is attached here");
	r = check_target(a, reterr);
	if (r < 0)
		return r;
	clock_reset(reg, a, CLOCK_EDGE);
	*ret_upstream = upstream_of(a);
	*ret_scheme = a->record->scheme;
	return 0;
}

uint64_t registry_edge_version(const struct registry *reg)
{
	return reg->edge_version;
}

static int by_label(const void *a, const void *b)
{
	return strcmp(((const struct edge_route *)a)->label, ((const struct edge_route *)b)->label);
}

size_t registry_edge_routes(const struct registry *reg, struct edge_route **ret)
{
	struct edge_route *routes = xcalloc(HASH_CNT(label_hh, reg->by_label) + 1, sizeof(*routes));
	size_t n = 0;

	for (const struct attachment *a = reg->by_label; a; a = a->label_hh.next) {
		if (check_target(a, NULL) < 0)
			continue;
		routes[n++] = (struct edge_route){ .label = a->record->label,
						   .scheme = a->record->scheme,
						   .upstream = upstream_of(a) };
	}
	qsort(routes, n, sizeof(*routes), by_label);
	*ret = routes;
	return n;
}

void edge_routes_free(struct edge_route *routes, size_t n)
{
	for (size_t i = 0; i < n; i++)
		free(routes[i].upstream);
	free(routes);
}

void registry_edge_around(const struct registry *reg, char **ret_before, char **ret_behind)
{
	url_template_around(template_of(reg), ret_before, ret_behind);
}

const char *registry_edge_path(const struct registry *reg, const char *label)
{
	const struct attachment *a = find(reg, label);

	return a ? a->record->path : NULL;
}

static char *origin_of(const struct registry *reg, const struct attachment *a)
{
	const struct session *s = a->slot->session;
	const struct url_fields fields = {
		.scheme = a->record->scheme,
		.host = a->record->host,
		.port = (unsigned)a->record->port,
		.app_id = s->app_id,
		.session_id = s->session_id,
		.name = a->record->name,
		.user_id = s->user->user_id,
		.label = a->record->label,
	};

	return url_expand_origin(template_of(reg), &fields);
}

int registry_edge_place(const struct registry *reg, const struct principal *principal,
			const struct session_ref *ref, const char *name, struct edge_place *ret,
			struct fault *reterr)
{
	struct attachment *a;
	int r = attachment_find(reg, principal, ref, name, &a, reterr);

	if (r < 0)
		return r;
	*ret = (struct edge_place){ .label = a->record->label, .url = a->record->url };
	if (a->by_label && registry_has_edge(reg))
		ret->origin = origin_of(reg, a);
	return 0;
}
