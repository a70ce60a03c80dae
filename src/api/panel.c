/* SPDX-License-Identifier: MIT */
/*
 * The panel's files, as a browser asks for them: revalidated by a strong ETag, compressed where
 * that is accepted, and under a policy that lets nothing run but them.
 */
#include <string.h>
#include <strings.h>

#include "api/api_priv.h"
#include "base/crypto.h"
#include "base/mem.h"
#include "base/parse.h"
#include "base/strbuf.h"
#include "ui/assets.h"

#define ETAG_SIZE 48 /* "\"", 32 of the hash, "-gz", "\"" and room */

struct panel {
	char *policy;
	char (*etags)[ETAG_SIZE]; /* one a file */
};

/*
 * Previews are framed from wherever they are; everything else is the daemon's own.  Styles are set
 * by style sheets and by script, never by an attribute.
 */
#define POLICY                                                                              \
	"default-src 'none'; script-src 'self'; style-src 'self'; img-src 'self' data:; "   \
	"connect-src 'self'; frame-src http: https:; base-uri 'none'; form-action 'none'; " \
	"require-trusted-types-for 'script'; trusted-types 'none'; frame-ancestors"

struct panel *panel_new(void)
{
	struct panel *panel = xcalloc(1, sizeof(*panel));

	panel->etags = xcalloc(n_ui_assets, sizeof(*panel->etags));
	for (size_t i = 0; i < n_ui_assets; i++) {
		char hash[SHA256_HEX_SIZE];

		sha256_hex(ui_assets[i].data, ui_assets[i].len, hash);
		snprintf(panel->etags[i], ETAG_SIZE, "\"%.32s\"", hash);
	}
	return panel;
}

struct panel *panel_free(struct panel *panel)
{
	if (!panel)
		return NULL;
	free(panel->policy);
	free(panel->etags);
	free(panel);
	return NULL;
}

/* An origin, with a star for names beneath: nothing that could end the directive. */
static bool is_ancestor(const char *text)
{
	return (strncmp(text, "http://", 7) == 0 || strncmp(text, "https://", 8) == 0) &&
	       text[strspn(text, "ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz"
				 "0123456789-._:/*[]")] == '\0';
}

int panel_reload(struct panel *panel, const struct settings *settings, struct fault *reterr)
{
	scoped(strbuf_done) struct strbuf b = strbuf_init(STRBUF_UNLIMITED);
	char *const *list = settings->ui_frame_ancestors;

	strbuf_puts(&b, POLICY);
	if (!*list)
		strbuf_puts(&b, " 'none'");
	for (; *list; list++) {
		const char *keyword = guard_csp_keyword(*list);

		if (keyword)
			strbuf_printf(&b, " %s", keyword);
		else if (is_ancestor(*list))
			strbuf_printf(&b, " %s", *list);
		else
			return fault_set(reterr, FAULT_BAD_REQUEST,
					 "ui.frame_ancestors: '%s' is no origin (https://app."
					 "example.org), nor \"self\" or \"none\"",
					 *list);
	}
	free(panel->policy);
	panel->policy = strbuf_steal(&b);
	return 0;
}

/* "gzip" in a list of codings, and not with a weight of nothing (RFC 9110 section 12.5.3). */
static bool accepts_gzip(const char *accept)
{
	scoped(strv_freep) char **codings = accept ? parse_list(accept, ',') : NULL;

	for (size_t i = 0; codings && codings[i]; i++) {
		size_t len = strcspn(codings[i], "; \t");
		const char *weight = strstr(codings[i] + len, "q=");

		if (len == 4 && strncasecmp(codings[i], "gzip", 4) == 0)
			return !weight || strpbrk(weight + 2, "123456789") != NULL;
	}
	return false;
}

static bool has_etag(const char *if_none_match, const char *etag)
{
	scoped(strv_freep) char **list = if_none_match ? parse_list(if_none_match, ',') : NULL;

	for (size_t i = 0; list && list[i]; i++) {
		const char *one = strncmp(list[i], "W/", 2) == 0 ? list[i] + 2 : list[i];

		if (strcmp(one, "*") == 0 || strcmp(one, etag) == 0)
			return true;
	}
	return false;
}

static void reply(struct call *call, const struct ui_asset *asset)
{
	const struct panel *panel = call->api->panel;
	struct http_request *req = call->req;
	bool gzip = accepts_gzip(http_request_header(req, "Accept-Encoding"));
	char etag[ETAG_SIZE];

	strcpy(etag, panel->etags[asset - ui_assets]);
	if (gzip)
		strcpy(etag + strlen(etag) - 1, "-gz\"");

	http_response_header(req, "ETag", etag);
	http_response_header(req, "Cache-Control", "no-cache");
	http_response_header(req, "Vary", "Accept-Encoding");
	http_response_header(req, "Content-Security-Policy", panel->policy);
	http_response_header(req, "Referrer-Policy", "no-referrer");
	guard_cors(req);
	if (has_etag(http_request_header(req, "If-None-Match"), etag)) {
		http_reply(req, 304, NULL, NULL, 0);
	} else if (gzip) {
		http_response_header(req, "Content-Encoding", "gzip");
		http_reply(req, 200, asset->content_type, asset->gzip, asset->gzip_len);
	} else {
		http_reply(req, 200, asset->content_type, asset->data, asset->len);
	}
	call_free(call);
}

/* Relative, so that it holds behind a proxy that serves us below a path, too. */
static void send_to(struct call *call, const char *location)
{
	http_response_header(call->req, "Location", location);
	http_response_header(call->req, "Cache-Control", "no-cache");
	http_reply(call->req, 302, NULL, NULL, 0);
	call_free(call);
}

void route_ui_from_root(struct call *call)
{
	send_to(call, "ui/");
}

void route_ui_from_bare(struct call *call)
{
	send_to(call, "ui/");
}

void route_ui_index(struct call *call)
{
	reply(call, ui_asset_find("index.html"));
}

void route_ui_file(struct call *call)
{
	scoped(fault_done) struct fault fault = { 0 };
	const char *name = call_param(call, "file");
	const struct ui_asset *asset = ui_asset_find(name);

	if (asset) {
		reply(call, asset);
		return;
	}
	fault_set(&fault, FAULT_NOT_FOUND, "the panel has no file %.200s", name);
	api_reply_fault(call, &fault);
}
