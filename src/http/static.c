/* SPDX-License-Identifier: MIT */
/*
 * What a request for a file of a published tree is answered.  Each answer is made of one tree
 * alone, which the answer keeps: a page that changes meanwhile doesn't mix with the one before.
 */
#include "http/static.h"

#include <errno.h>
#include <inttypes.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <strings.h>
#include <unistd.h>

#include "base/log.h"
#include "base/mem.h"
#include "http/parse.h"
#include "http/static_priv.h"
#include "http/url.h"

LOG_AREA("static");

struct visit {
	struct http_request *req;
	struct static_site *site;
	const struct static_options *options;
	const char *raw;  /* behind the prefix, as sent */
	const char *path; /* the same decoded */
	bool is_head;
};

/*
 * Answers without a file
 */

static void add_cache_control(const struct visit *v, bool immutable)
{
	static const char *const values[2][2] = {
		{ "no-cache", "private, no-cache" },
		{ "public, max-age=31536000, immutable", "private, max-age=31536000, immutable" },
	};

	http_response_header(v->req, "Cache-Control", values[immutable][v->options->is_private]);
}

static void say(const struct visit *v, int status, const char *text)
{
	add_cache_control(v, false);
	http_reply(v->req, status, "text/plain; charset=utf-8", text, strlen(text));
}

static void redirect(const struct visit *v, bool add_slash)
{
	const char *query = http_request_query(v->req);
	size_t len = strlen(v->raw);
	scoped(freep) char *location = NULL;

	if (!add_slash)
		len--; /* the path ends in one */
	location = xasprintf("%s%.*s%s%s%s", v->options->prefix, (int)len, v->raw,
			     add_slash ? "/" : "", *query ? "?" : "", query);
	http_response_header(v->req, "Location", location);
	/* the next release may have it otherwise */
	say(v, 301, "Moved Permanently\n");
}

static void say_unreadable(const struct visit *v, const struct manifest_file *file, int r)
{
	log_warning_errno(r, "cannot read the published file '%s'", file->path);
	if (r == -EMFILE || r == -ENFILE)
		say(v, 503, "Too many files are open\n");
	else
		say(v, 500, "The file cannot be read\n");
}

/*
 * Conditions
 */

enum verdict {
	VERDICT_SEND,
	VERDICT_NOT_MODIFIED,
	VERDICT_FAILED,
};

static int64_t modified_at(const struct visit *v)
{
	return v->site->manifest->created_at / (int64_t)USEC_PER_SEC;
}

/* In the order of RFC 9110 section 13.2.2. */
static enum verdict judge(const struct visit *v, const struct hot_file *hot)
{
	const char *if_match = http_request_header(v->req, "If-Match");
	const char *unmodified_since = http_request_header(v->req, "If-Unmodified-Since");
	const char *if_none_match = http_request_header(v->req, "If-None-Match");
	const char *modified_since = http_request_header(v->req, "If-Modified-Since");
	int64_t since;

	if (if_match) {
		if (!http_etag_listed(if_match, hot->etag, /* weakly= */ false))
			return VERDICT_FAILED;
	} else if (unmodified_since && http_date_parse(unmodified_since, &since) == 0 &&
		   modified_at(v) > since) {
		return VERDICT_FAILED;
	}

	if (if_none_match)
		return http_etag_listed(if_none_match, hot->etag, /* weakly= */ true)
			       ? VERDICT_NOT_MODIFIED
			       : VERDICT_SEND;
	/* Exactly that time: after a roll-back what is newer than ours isn't ours. */
	if (modified_since && http_date_parse(modified_since, &since) == 0 &&
	    modified_at(v) == since)
		return VERDICT_NOT_MODIFIED;
	return VERDICT_SEND;
}

static bool range_holds(const struct visit *v, const struct hot_file *hot)
{
	const char *if_range = http_request_header(v->req, "If-Range");
	int64_t date;

	if (!if_range)
		return true;
	if (if_range[0] == '"' || if_range[0] == 'W')
		return strcmp(if_range, hot->etag) == 0;
	return http_date_parse(if_range, &date) == 0 && date == modified_at(v);
}

/*
 * Answers with a file
 */

static void send_part(const struct visit *v, struct hot_file *hot, int status, uint64_t from,
		      uint64_t len)
{
	const struct manifest_file *file = &hot->site->manifest->files[hot->index];

	http_response_fields(v->req, hot->fields, hot->fields_len);
	if (hot->file)
		http_reply_file(v->req, status, file->type, hot->file, from, len);
	else
		http_reply_bytes(v->req, status, file->type, hot->bytes, (size_t)from, (size_t)len);
}

static void send_range(const struct visit *v, struct hot_file *hot, uint64_t from, uint64_t len)
{
	char range[80];

	snprintf(range, sizeof(range), "bytes %" PRIu64 "-%" PRIu64 "/%" PRIu64, from,
		 from + len - 1, hot->size);
	http_response_header(v->req, "Content-Range", range);
	send_part(v, hot, 206, from, len);
}

static void say_beyond(const struct visit *v, const struct hot_file *hot)
{
	char range[40];

	snprintf(range, sizeof(range), "bytes */%" PRIu64, hot->size);
	http_response_header(v->req, "Content-Range", range);
	say(v, 416, "The file has no such part\n");
}

static void send_hot(const struct visit *v, struct hot_file *hot, bool immutable)
{
	const char *range = v->is_head ? NULL : http_request_header(v->req, "Range");
	uint64_t from = 0, len = hot->size;

	if (range && range_holds(v, hot)) {
		switch (http_range_parse(range, hot->size, &from, &len)) {
		case HTTP_RANGE_WHOLE:
			break;
		case HTTP_RANGE_PART:
			add_cache_control(v, immutable);
			send_range(v, hot, from, len);
			return;
		case HTTP_RANGE_BEYOND:
			say_beyond(v, hot);
			return;
		}
	}
	add_cache_control(v, immutable);
	send_part(v, hot, 200, 0, hot->size);
}

static struct hot_file *choose(const struct visit *v, struct static_site *site,
			       const struct manifest_file *file)
{
	const char *accept = http_request_header(v->req, "Accept-Encoding");

	return hot_file_get(site, file,
			    http_coding_choose(accept, file->gz_size > 0, file->br_size > 0));
}

static void send_file(const struct visit *v, struct static_site *site,
		      const struct manifest_file *file)
{
	bool immutable = file->fingerprinted && !*http_request_query(v->req);
	struct hot_file *hot = choose(v, site, file);
	enum verdict verdict = judge(v, hot);
	int r;

	switch (verdict) {
	case VERDICT_FAILED:
		say(v, 412, "The file is another\n");
		break;
	case VERDICT_NOT_MODIFIED:
		add_cache_control(v, immutable);
		http_response_fields(v->req, hot->fields + hot->validators_at,
				     hot->coding_at - hot->validators_at);
		http_reply(v->req, 304, NULL, NULL, 0);
		break;
	case VERDICT_SEND:
		r = hot_file_load(hot);
		if (r < 0)
			say_unreadable(v, file, r);
		else
			send_hot(v, hot, immutable);
		break;
	}
	hot_file_put(hot);
}

/* A page that says that there is none: no conditions, no parts. */
static void send_404(const struct visit *v, const struct manifest_file *page)
{
	struct hot_file *hot = choose(v, v->site, page);
	int r = hot_file_load(hot);

	if (r < 0) {
		say_unreadable(v, page, r);
	} else {
		add_cache_control(v, false);
		http_response_fields(v->req, hot->fields + hot->vary_at,
				     hot->fields_len - hot->vary_at);
		if (hot->file)
			http_reply_file(v->req, 404, page->type, hot->file, 0, hot->size);
		else
			http_reply_bytes(v->req, 404, page->type, hot->bytes, 0, hot->bytes->len);
	}
	hot_file_put(hot);
}

/*
 * Where there is no file
 */

static bool names_a_file(const char *path)
{
	const char *slash = strrchr(path, '/');

	return strchr(slash ? slash + 1 : path, '.') != NULL;
}

static bool accepts_html(const char *accept)
{
	for (; *accept; accept += strcspn(accept, ","), accept += *accept == ',') {
		accept += strspn(accept, " \t");
		if (strncasecmp(accept, "text/html", 9) == 0 && strchr(" \t;,", accept[9]))
			return true;
	}
	return false;
}

/*
 * Somebody goes to a page, whose address the page's own script may understand.  A script or an
 * image that is missing must not be answered with a page: it would be taken for one.
 */
static bool is_navigation(const struct visit *v)
{
	static const char *const frames[] = { "document", "iframe", "frame", "embed", "object" };
	const char *dest = http_request_header(v->req, "Sec-Fetch-Dest");
	const char *accept = http_request_header(v->req, "Accept");

	if (names_a_file(v->path))
		return false;
	if (!dest)
		return accept && accepts_html(accept);
	for (size_t i = 0; i < ARRAY_SIZE(frames); i++)
		if (strcmp(dest, frames[i]) == 0)
			return true;
	return false;
}

/* A page from before a release still asks for what it was built with. */
static bool send_from_earlier(const struct visit *v)
{
	for (size_t i = 0; i < v->options->n_earlier; i++) {
		struct static_site *site = v->options->earlier[i];
		const struct manifest_file *file = manifest_find(site->manifest, v->path);

		if (file && file->fingerprinted) {
			struct visit there = *v;

			there.site = site;
			send_file(&there, site, file);
			return true;
		}
	}
	return false;
}

static void send_none(const struct visit *v)
{
	const struct manifest *m = v->site->manifest;
	const struct manifest_file *page;
	bool navigation = is_navigation(v);

	if (send_from_earlier(v))
		return;
	page = navigation ? manifest_find(m, "200.html") : NULL;
	if (page) {
		send_file(v, v->site, page);
		return;
	}
	page = static_nearest_404(m, v->path);
	if (page) {
		send_404(v, page);
		return;
	}
	page = navigation && v->options->spa ? manifest_find(m, "index.html") : NULL;
	if (page)
		send_file(v, v->site, page);
	else
		say(v, 404, "Not found\n");
}

/*
 * The request
 */

static bool is_for_the_server(const char *path)
{
	/* of other hosts: what they say holds here, or isn't understood, but is nobody's to read */
	return strcmp(path, "_headers") == 0 || strcmp(path, "_redirects") == 0;
}

static void serve_path(struct visit *v, bool trailing_slash)
{
	struct static_found found = static_lookup(v->site->manifest, v->path, trailing_slash);

	if (found.redirect != STATIC_HERE)
		redirect(v, found.redirect == STATIC_ADD_SLASH);
	else if (found.file && !is_for_the_server(v->path))
		send_file(v, v->site, found.file);
	else
		send_none(v);
}

/* "/" and the path, in which several slashes are one: what pages put together has some in excess.
 */
static int make_absolute(const char *path, char absolute[static HTTP_TARGET_MAX + 2])
{
	size_t n = 0;

	absolute[n++] = '/';
	for (; *path; path++) {
		if (*path == '/' && absolute[n - 1] == '/')
			continue;
		if (n > HTTP_TARGET_MAX)
			return -EINVAL;
		absolute[n++] = *path;
	}
	absolute[n] = '\0';
	return 0;
}

void static_serve(struct http_request *req, struct static_site *site, const char *path,
		  const struct static_options *options)
{
	scoped(static_site_unrefp) struct static_site *ours = static_site_ref(site);
	scoped(http_path_done) struct http_path decoded = { 0 };
	const char *method = http_request_method(req);
	char absolute[HTTP_TARGET_MAX + 2];
	struct visit v = {
		.req = req,
		.site = ours,
		.options = options,
		.is_head = strcmp(method, "HEAD") == 0,
	};
	int r;

	if (!v.is_head && strcmp(method, "GET") != 0) {
		http_response_header(req, "Allow", "GET, HEAD");
		say(&v, 405, "Published pages take GET and HEAD\n");
		return;
	}
	r = make_absolute(path, absolute);
	if (r >= 0) {
		v.raw = static_collapse(absolute + 1, options->prefix);
		r = http_path_decode((struct http_view){ v.raw - 1, strlen(v.raw) + 1 }, &decoded);
	}
	if (r < 0) {
		say(&v, 400, "The path cannot be decoded\n");
		return;
	}
	v.path = http_path_join(&decoded);
	serve_path(&v, decoded.trailing_slash);
}

/*
 * Life
 */

int static_site_open_consume(int dirfd, struct static_site **ret, struct fault *reterr)
{
	scoped(closep) int fd = dirfd;
	struct static_site *site;
	struct manifest *m;
	int r;

	r = manifest_read(fd, &m, reterr);
	if (r < 0)
		return r;

	site = xcalloc(1, sizeof(*site));
	site->refs = 1;
	site->dirfd = STEAL_FD(fd);
	site->manifest = m;
	http_date_format(m->created_at / (int64_t)USEC_PER_SEC, site->last_modified);
	hot_files_init(site);
	*ret = site;
	return 0;
}

struct static_site *static_site_ref(struct static_site *site)
{
	site->refs++;
	return site;
}

struct static_site *static_site_unref(struct static_site *site)
{
	if (!site || --site->refs > 0)
		return NULL;
	hot_files_done(site);
	manifest_free(site->manifest);
	close(site->dirfd);
	free(site);
	return NULL;
}

const struct manifest *static_site_manifest(const struct static_site *site)
{
	return site->manifest;
}
