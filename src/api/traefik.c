/* SPDX-License-Identifier: MIT */
/*
 * The edge by Traefik: its ForwardAuth asks /edge/verify as others do, but can't be told there
 * where a request goes.  So its HTTP provider asks for that here, every second or so: a router, a
 * middleware and a service for each label, as of now.
 *
 * It compares what it gets byte by byte, so the same is always written the same.  What it can't
 * have heard of yet falls to the last router, for all hosts of the edge: who may see it is told to
 * come back.  And as what it heard may be old, each middleware tells /edge/verify where its router
 * leads.
 *
 * No name that a user has chosen is in there.
 */
#include <string.h>

#include "api/api_priv.h"
#include "base/crypto.h"
#include "base/ids.h"
#include "base/mem.h"
#include "base/strbuf.h"

#define DEFAULT_ENTRY_POINT "websecure"

static const char label_bytes[] = "abcdefghijklmnopqrstuvwxyz0123456789-";
static const char host_bytes[] = "abcdefghijklmnopqrstuvwxyz0123456789-.";

/* Its last answer: it asks every second, and seldom is there something new. */
struct traefik {
	char *text;
	uint64_t version; /* of the registry's */
	char *self, *entry_point;
};

struct document {
	struct strbuf text;
	char *self; /* "http://127.0.0.1:7070": as Traefik reaches us */
	char *entry_point;
	char *before, *behind; /* a label, in its host */
	struct edge_route *routes;
	size_t n_routes;
};

static void document_done(struct document *d)
{
	strbuf_done(&d->text);
	free(d->self);
	free(d->entry_point);
	free(d->before);
	free(d->behind);
	edge_routes_free(d->routes, d->n_routes);
}

struct traefik *traefik_free(struct traefik *t)
{
	if (!t)
		return NULL;
	free(t->text);
	free(t->self);
	free(t->entry_point);
	free(t);
	return NULL;
}

static bool is_of(const char *text, const char *bytes)
{
	return text[strspn(text, bytes)] == '\0';
}

/* Traefik's rules quote by backticks, which nothing escapes. */
static bool can_be_told(const struct edge_route *route)
{
	return *route->label && is_of(route->label, label_bytes);
}

static void add_string(struct document *d, const char *before, const char *string,
		       const char *behind)
{
	strbuf_puts(&d->text, before);
	strbuf_add_json_string(&d->text, string);
	strbuf_puts(&d->text, behind);
}

static void add_escaped(struct strbuf *b, const char *host)
{
	for (; *host; host++)
		strbuf_printf(b, *host == '.' ? "\\%c" : "%c", *host);
}

static void add_routers(struct document *d)
{
	scoped(strbuf_done) struct strbuf rule = strbuf_init(STRBUF_UNLIMITED);
	struct strbuf *b = &d->text;

	strbuf_puts(b, "\"routers\":{");
	for (size_t i = 0; i < d->n_routes; i++) {
		const char *label = d->routes[i].label;

		if (!can_be_told(&d->routes[i]))
			continue;
		strbuf_printf(b, "\"previewd-%s\":{\"entryPoints\":[\"%s\"],", label,
			      d->entry_point);
		strbuf_printf(b, "\"rule\":\"Host(`%s%s%s`)\",", d->before, label, d->behind);
		strbuf_printf(b, "\"middlewares\":[\"previewd-%s\"],", label);
		strbuf_printf(b, "\"service\":\"previewd-%s\"},\n", label);
	}

	strbuf_puts(&rule, "HostRegexp(`^");
	add_escaped(&rule, d->before);
	strbuf_puts(&rule, "[a-z0-9-]+");
	add_escaped(&rule, d->behind);
	strbuf_puts(&rule, "$`)");
	strbuf_printf(b, "\"previewd\":{\"entryPoints\":[\"%s\"],", d->entry_point);
	add_string(d, "\"rule\":", strbuf_str(&rule), ",\"priority\":1,");
	strbuf_puts(b, "\"middlewares\":[\"previewd\",\"previewd-soon\"],"
		       "\"service\":\"previewd\"}},\n");
}

/*
 * It gets no more of a request than it judges by, and what that says of its way here is not
 * believed (no trustForwardHeader).  The cookie comes with a redirect, which is handed on as it is.
 */
static void add_verify(struct document *d, const char *name, const char *query)
{
	scoped(freep) char *address = xasprintf("%s/edge/verify%s", d->self, query);

	add_string(d, "", name, ":{\"forwardAuth\":{");
	add_string(d, "\"address\":", address, ",");
	strbuf_puts(&d->text, "\"authRequestHeaders\":[\"Cookie\",\"Origin\"]}},\n");
}

static void add_middlewares(struct document *d)
{
	strbuf_puts(&d->text, "\"middlewares\":{");
	for (size_t i = 0; i < d->n_routes; i++) {
		const struct edge_route *route = &d->routes[i];
		scoped(freep) char *name = xasprintf("previewd-%s", route->label);
		scoped(freep) char *place = xasprintf("%s://%s", route->scheme, route->upstream);
		scoped(strbuf_done) struct strbuf query = strbuf_init(STRBUF_UNLIMITED);

		if (!can_be_told(route))
			continue;
		strbuf_puts(&query, "?at=");
		strbuf_add_percent(&query, place);
		add_verify(d, name, strbuf_str(&query));
	}
	add_verify(d, "previewd", "");
	strbuf_puts(&d->text, "\"previewd-soon\":{\"replacePath\":{\"path\":\"/edge/soon\"}}},\n");
}

/* With the Host of the visitor, as the other recipes do: a server knows by it how it is shown. */
static void add_services(struct document *d)
{
	strbuf_puts(&d->text, "\"services\":{");
	for (size_t i = 0; i < d->n_routes; i++) {
		const struct edge_route *route = &d->routes[i];
		scoped(freep) char *place = xasprintf("%s://%s", route->scheme, route->upstream);

		if (!can_be_told(route))
			continue;
		strbuf_printf(&d->text, "\"previewd-%s\":{\"loadBalancer\":{", route->label);
		add_string(d, "\"servers\":[{\"url\":", place, "}],");
		strbuf_puts(&d->text, "\"passHostHeader\":true,"
				      "\"responseForwarding\":{\"flushInterval\":\"-1ms\"},"
				      "\"serversTransport\":\"previewd\"}},\n");
	}
	add_string(d, "\"previewd\":{\"loadBalancer\":{\"servers\":[{\"url\":", d->self,
		   "}],\"passHostHeader\":false}}},\n");
}

/* No map of it is ever empty: Traefik takes that for an error, and stays with what it had. */
static void write_document(struct document *d)
{
	strbuf_puts(&d->text, "{\"http\":{\n");
	add_routers(d);
	add_middlewares(d);
	add_services(d);
	/* a development server's own certificate */
	strbuf_puts(&d->text, "\"serversTransports\":"
			      "{\"previewd\":{\"insecureSkipVerify\":true}}\n}}\n");
}

/* As it came here it comes here again; over a unix socket nobody asks for themselves. */
static char *self_of(const struct call *call)
{
	const bool is_unix = http_request_peer(call->req)->is_unix;
	const char *host = is_unix ? call->api->address : http_request_host(call->req);

	return host ? xasprintf("%s://%s", guard_scheme(call->api, call->req), host) : NULL;
}

static int read_question(struct call *call, struct document *d, struct fault *reterr)
{
	const struct registry *registry = call->api->deps.registry;
	int r = call_query(call, "entrypoint", &d->entry_point, reterr);

	if (r < 0)
		return r;
	if (!d->entry_point)
		d->entry_point = xstrdup(DEFAULT_ENTRY_POINT);
	if (!name_is_valid(d->entry_point))
		return fault_field(reterr, "entrypoint", "must be 1 to 64 of A-Z a-z 0-9 . _ -");
	registry_edge_around(registry, &d->before, &d->behind);
	if (!registry_has_edge(registry) || !is_of(d->before, host_bytes) ||
	    !is_of(d->behind, host_bytes))
		return fault_set(reterr, FAULT_NO_EDGE,
				 "there is no edge: preview.public_url_template has no {label} in "
				 "its host, or the host is none of letters, digits, . and -");
	d->self = self_of(call);
	if (!d->self)
		return fault_set(reterr, FAULT_NO_EDGE, "previewd listens on a unix socket only");
	return 0;
}

static bool is_as_before(const struct api *api, const struct document *d)
{
	const struct traefik *t = api->traefik;

	return t && t->version == registry_edge_version(api->deps.registry) &&
	       strcmp(t->self, d->self) == 0 && strcmp(t->entry_point, d->entry_point) == 0;
}

static void renew(struct api *api, struct document *d)
{
	struct traefik *t = xcalloc(1, sizeof(*t));

	t->version = registry_edge_version(api->deps.registry);
	d->n_routes = registry_edge_routes(api->deps.registry, &d->routes);
	write_document(d);
	t->text = strbuf_steal(&d->text);
	t->self = STEAL(d->self);
	t->entry_point = STEAL(d->entry_point);
	traefik_free(api->traefik);
	api->traefik = t;
}

void route_edge_traefik(struct call *call)
{
	scoped(document_done) struct document d = { .text = strbuf_init(STRBUF_UNLIMITED) };
	scoped(fault_done) struct fault fault = { 0 };

	if (read_question(call, &d, &fault) < 0) {
		api_reply_fault(call, &fault);
		return;
	}
	if (!is_as_before(call->api, &d))
		renew(call->api, &d);
	api_reply_text(call, 200, "application/json", call->api->traefik->text);
}

void edge_reply_soon(struct call *call)
{
	static const char text[] = "This preview was attached a moment ago, and is here in "
				   "another: the page loads itself again.\n";

	http_response_header(call->req, "Cache-Control", "no-store");
	http_response_header(call->req, "Retry-After", "1");
	http_response_header(call->req, "Refresh", "1");
	http_reply(call->req, 503, "text/plain; charset=utf-8", text, strlen(text));
	call_free(call);
}

void route_edge_soon(struct call *call)
{
	edge_reply_soon(call);
}

void route_edge_token(struct call *call)
{
	scoped(secret_freep) char *token = auth_edge_token(call->api->deps.auth);
	cJSON *j = cJSON_CreateObject();

	json_add_string(j, "token", token);
	api_reply_json(call, 200, j);
}
