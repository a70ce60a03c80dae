/* SPDX-License-Identifier: MIT */
/*
 * Published pages, and those that come with an app, to whoever knows where they are.
 *
 * Agents wrote them, and they stand on the app's origin: without more, a page's script could do
 * what its visitor may do there.  So every answer, errors and redirects among them, puts the page
 * into an origin of its own (CSP: sandbox, never with allow-same-origin).  What such a page loads
 * is asked for with "Origin: null" and without cookies, so its files are for every origin, and who
 * may see them goes by the path alone.
 *
 * A page with a host of its own (publish.host_template) has its origin by that, and is left alone.
 */
#include <string.h>
#include <strings.h>

#include "api/api_priv.h"
#include "base/ids.h"
#include "base/mem.h"
#include "base/parse.h"
#include "base/strbuf.h"
#include "publish/bundles.h"
#include "publish/publisher.h"

#define SANDBOX      "sandbox allow-scripts allow-forms allow-popups allow-modals allow-downloads; "
#define DEFAULT_NAME "published"
#define LABEL_MAX    63

/* As choices of publish.isolation stand in options.def. */
enum isolation {
	ISOLATION_SANDBOX,
	ISOLATION_SEPARATE,
	ISOLATION_TRUSTED,
};

/*
 * What keeps a page apart
 */

int published_check(const struct settings *settings, struct fault *reterr)
{
	char *const *source = settings->publish_frame_ancestors;

	for (; *source; source++)
		for (const char *c = *source; *c; c++)
			if (*c <= 0x20 || *c >= 0x7f || *c == ';' || *c == ',')
				return fault_set(reterr, FAULT_BAD_REQUEST,
						 "publish.frame_ancestors: '%s' is no source of "
						 "Content-Security-Policy",
						 *source);
	return 0;
}

static void add_ancestors(struct strbuf *b, char *const *ancestors)
{
	strbuf_puts(b, "frame-ancestors");
	if (!*ancestors)
		strbuf_puts(b, " 'none'");
	for (; *ancestors; ancestors++) {
		const char *keyword = guard_csp_keyword(*ancestors);

		strbuf_printf(b, " %s", keyword ? keyword : *ancestors);
	}
}

static bool pages_are_apart(const struct settings *settings)
{
	return settings->publish_isolation != ISOLATION_TRUSTED;
}

/* Who wrote what comes with an app is who installed it; still, it is no more trusted unasked. */
static bool bundles_are_apart(const struct settings *settings)
{
	enum { AS_PAGES, SANDBOXED, TRUSTED };

	return settings->apps_isolation == AS_PAGES ? pages_are_apart(settings)
						    : settings->apps_isolation == SANDBOXED;
}

/* On the app's origin, in a sandbox or not, or on a host of its own. */
static char *fields_of(const struct api *api, bool sandbox, bool own_host)
{
	const struct settings *settings = api->settings;
	struct strbuf b = strbuf_init(STRBUF_UNLIMITED);

	strbuf_puts(&b, "Content-Security-Policy: ");
	if (sandbox)
		strbuf_puts(&b, SANDBOX);
	add_ancestors(&b, settings->publish_frame_ancestors);
	if (own_host) /* to which the app's is another */
		strbuf_printf(&b, " %s",
			      api->public_origin ? api->public_origin
						 : "http://localhost:* http://127.0.0.1:*");
	/* the address may be all that one must know to see the page: it isn't told to others */
	strbuf_puts(&b, "\r\nReferrer-Policy: no-referrer\r\n");
	if (sandbox)
		strbuf_puts(
			&b,
			"Access-Control-Allow-Origin: *\r\n"
			"Cross-Origin-Resource-Policy: cross-origin\r\n"
			"Permissions-Policy: camera=(), microphone=(), geolocation=(), "
			"payment=(), usb=(), serial=(), hid=(), midi=(), display-capture=()\r\n");
	return strbuf_steal(&b);
}

/* "{label}.preview.example.org" or with a port, which is no matter here. */
static void read_template(struct api *api)
{
	static const char field[] = "{label}";
	const char *template = api->settings->publish_host_template;
	const char *at = template ? strstr(template, field) : NULL;

	if (!at || api->settings->publish_isolation != ISOLATION_SEPARATE)
		return;
	api->label_prefix = xstrndup(template, (size_t)(at - template));
	at += strlen(field);
	api->label_suffix = xstrndup(at, strcspn(at, ":"));
}

void published_reload(struct api *api)
{
	published_end(api);
	api->page_fields = fields_of(api, pages_are_apart(api->settings), false);
	api->bundle_fields = fields_of(api, bundles_are_apart(api->settings), false);
	api->own_host_fields = fields_of(api, false, true);
	read_template(api);
}

void published_end(struct api *api)
{
	free(STEAL(api->page_fields));
	free(STEAL(api->bundle_fields));
	free(STEAL(api->own_host_fields));
	free(STEAL(api->label_prefix));
	free(STEAL(api->label_suffix));
}

/*
 * Where a page is
 */

/* The label of a host that the template would make: lower case; NULL when it is none. */
static char *label_of(const struct api *api, const struct http_request *req)
{
	scoped(freep) char *host = NULL;
	size_t prefix, suffix, len;
	unsigned port;

	if (!api->label_suffix || host_split(http_request_host(req), &host, &port) < 0)
		return NULL;
	prefix = strlen(api->label_prefix);
	suffix = strlen(api->label_suffix);
	len = strlen(host);
	if (len <= prefix + suffix || len - prefix - suffix > LABEL_MAX ||
	    strncasecmp(host, api->label_prefix, prefix) != 0 ||
	    strcasecmp(host + len - suffix, api->label_suffix) != 0)
		return NULL;
	len -= prefix + suffix;
	memmove(host, host + prefix, len);
	host[len] = '\0';
	return strchr(host, '.') ? NULL : STEAL(host);
}

/* "/api/apps/APP/sessions/SESSION/published[/…]" or "/api/apps/APP/web-static[/…]", and what of it
 * names the page. */
struct address {
	char app_id[ID_LENGTH_MAX + 1];
	char session_id[ID_LENGTH_MAX + 1]; /* "": what comes with the app */
	char name[ID_LENGTH_MAX + 1];       /* "published", or of "@NAME" */
	char token[ID_LENGTH_MAX + 1];      /* "", or of "~TOKEN" */
	const char *rest;                   /* behind the slash; NULL where that is missing */
};

static bool take(const char **at, const char *literal)
{
	size_t len = strlen(literal);

	if (strncmp(*at, literal, len) != 0)
		return false;
	*at += len;
	return true;
}

/* A segment that is an id once it is decoded. */
static bool take_id(const char **at, char ret[static ID_LENGTH_MAX + 1])
{
	const char *c = *at;
	size_t n = 0;

	for (; *c && *c != '/' && n < ID_LENGTH_MAX; c++) {
		ret[n] = *c;
		if (*c == '%') {
			int high = hex_digit(c[1]);
			int low = high < 0 ? -1 : hex_digit(c[2]);

			if (low < 0)
				return false;
			ret[n] = (char)(high << 4 | low);
			c += 2;
		}
		n++;
	}
	ret[n] = '\0';
	*at = c;
	return (!*c || *c == '/') && id_is_valid(ret);
}

static bool read_address(const char *path, struct address *ret)
{
	*ret = (struct address){ .name = DEFAULT_NAME };

	if (!take(&path, "/api/apps/") || !take_id(&path, ret->app_id))
		return false;
	if (take(&path, "/web-static")) {
		ret->rest = *path ? path + 1 : NULL;
		return !*path || *path == '/';
	}
	if (!take(&path, "/sessions/") || !take_id(&path, ret->session_id) ||
	    !take(&path, "/published") || (*path && *path != '/'))
		return false;
	if (take(&path, "/@") || take(&path, "/%40")) {
		if (!take_id(&path, ret->name))
			return false;
	} else if (take(&path, "/~") || take(&path, "/%7E")) {
		if (!take_id(&path, ret->token))
			return false;
	}
	ret->rest = *path ? path + 1 : NULL;
	return true;
}

/*
 * The request
 */

struct visit {
	struct api *api;
	struct http_request *req;
	struct site_op *op;
	const char *rest;
	bool is_private;
	char prefix[]; /* of the path, up to `rest` */
};

static void say(struct http_request *req, int status, const char *text)
{
	http_response_header(req, "Cache-Control", "no-store");
	http_reply(req, status, "text/plain; charset=utf-8", text, strlen(text));
}

static void visit_free(struct visit *v)
{
	site_op_free(v->op);
	free(v);
}

static void on_gone(void *arg)
{
	visit_free(arg);
}

static void on_site(const struct published_site *site, struct fault *fault, void *arg)
{
	struct visit *v = arg;

	if (!site) {
		scoped(freep) char *text = xasprintf("%s\n", fault->detail);

		say(v->req, fault_http_status(fault->code), text);
	} else {
		const struct static_options options = {
			.prefix = v->prefix,
			.earlier = site->earlier,
			.n_earlier = site->n_earlier,
			.spa = site->spa,
			.is_private = v->is_private,
		};

		static_serve(v->req, site->site, v->rest, &options);
	}
	visit_free(v);
}

static struct visit *visit_new(struct api *api, struct http_request *req, const char *rest)
{
	const char *path = http_request_path(req);
	size_t len = (size_t)(rest - path);
	struct visit *v = xcalloc(1, sizeof(*v) + len + 1);

	v->api = api;
	v->req = req;
	v->rest = rest;
	memcpy(v->prefix, path, len);
	return v;
}

/* The asking may have been answered before it returned: then `v` is gone, and so is the request. */
static void wait_for(struct visit *v, struct http_request *req, struct site_op *op)
{
	if (!op)
		return;
	v->op = op;
	http_request_on_gone(req, on_gone, v);
}

/* A script's question whether it may ask (RFC 9110 section 9.3.7, Fetch's preflight). */
static void answer_options(struct http_request *req)
{
	if (http_request_header(req, "Access-Control-Request-Method")) {
		http_response_header(req, "Access-Control-Allow-Methods", "GET, HEAD");
		http_response_header(req, "Access-Control-Allow-Headers", "*");
		http_response_header(req, "Access-Control-Max-Age", "600");
	}
	http_response_header(req, "Allow", "GET, HEAD, OPTIONS");
	http_reply(req, 204, NULL, NULL, 0);
}

/* Whether that answered it: what is asked for isn't a page's file. */
static bool answer_at_once(struct http_request *req, bool sandbox)
{
	const char *worker = http_request_header(req, "Service-Worker");

	if (strcmp(http_request_method(req), "OPTIONS") == 0) {
		answer_options(req);
		return true;
	}
	/* One of an earlier page that was not kept apart would outlive this one. */
	if (sandbox && worker) {
		say(req, 404, "Published pages have no service workers\n");
		return true;
	}
	return false;
}

static void add_slash(struct http_request *req)
{
	const char *query = http_request_query(req);
	scoped(freep) char *location =
		xasprintf("%s/%s%s", http_request_path(req), *query ? "?" : "", query);

	http_response_header(req, "Location", location);
	say(req, 301, "Moved Permanently\n");
}

static void visit_bundle(struct api *api, struct http_request *req, const struct address *address)
{
	struct visit *v;

	http_response_fields(req, api->bundle_fields, strlen(api->bundle_fields));
	if (answer_at_once(req, bundles_are_apart(api->settings)))
		return;
	if (!address->rest) {
		add_slash(req);
		return;
	}
	v = visit_new(api, req, address->rest);
	wait_for(v, req, bundles_site(api->deps.bundles, address->app_id, on_site, v));
}

static void visit_path(struct api *api, struct http_request *req, const struct address *address)
{
	const struct session_ref ref = { address->app_id, address->session_id };
	struct visit *v;

	http_response_fields(req, api->page_fields, strlen(api->page_fields));
	if (answer_at_once(req, pages_are_apart(api->settings)))
		return;
	if (!address->rest) {
		add_slash(req);
		return;
	}
	v = visit_new(api, req, address->rest);
	v->is_private = *address->token;
	wait_for(v, req,
		 publisher_site(api->deps.publisher, &ref, address->name,
				*address->token ? address->token : NULL, on_site, v));
}

static void visit_host(struct api *api, struct http_request *req, const char *label)
{
	const char *path = http_request_path(req);
	struct visit *v;

	http_response_fields(req, api->own_host_fields, strlen(api->own_host_fields));
	if (answer_at_once(req, false))
		return;
	if (*path != '/') {
		say(req, 400, "There is no such path\n");
		return;
	}
	v = visit_new(api, req, path + 1);
	v->is_private = true;
	wait_for(v, req, publisher_site_by_label(api->deps.publisher, label, on_site, v));
}

static bool method_is_read(const struct http_request *req)
{
	const char *method = http_request_method(req);

	return strcmp(method, "GET") == 0 || strcmp(method, "HEAD") == 0 ||
	       strcmp(method, "OPTIONS") == 0;
}

bool published_request(struct api *api, struct http_request *req)
{
	scoped(fault_done) struct fault fault = { 0 };
	scoped(freep) char *label = label_of(api, req);
	struct address address;

	if (label) { /* nothing else is there, whatever the path */
		visit_host(api, req, label);
		return true;
	}
	if (!method_is_read(req) || !read_address(http_request_path(req), &address))
		return false;
	if (guard_host(api, req, &fault) < 0)
		api_refuse(req, &fault);
	else if (!*address.session_id)
		visit_bundle(api, req, &address);
	else
		visit_path(api, req, &address);
	return true;
}

/* What published_request() didn't take is no page's address: "/api/%61pps/…". */
void route_published(struct call *call)
{
	scoped(fault_done) struct fault fault = { 0 };

	fault_set(&fault, FAULT_NOT_PUBLISHED, "nothing is published here");
	api_reply_fault(call, &fault);
}

void route_web_static(struct call *call)
{
	route_published(call);
}
