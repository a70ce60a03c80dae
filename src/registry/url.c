/* SPDX-License-Identifier: MIT */
/*
 * Templates of public URLs.
 */
#include "registry/url.h"

#include <curl/curl.h>
#include <errno.h>
#include <stddef.h>
#include <string.h>
#include <strings.h>

#include "base/mem.h"
#include "base/strbuf.h"
#include "net/hosts.h"

#define PATH_LENGTH_MAX 512

enum url_field {
	FIELD_HOST,
	FIELD_PORT,
	FIELD_TEXT,
};

static const struct {
	const char *name;
	enum url_field kind;
	size_t offset; /* of FIELD_TEXT */
} known_fields[] = {
	/* clang-format off */
	{ "scheme",     FIELD_TEXT, offsetof(struct url_fields, scheme) },
	{ "host",       FIELD_HOST, 0 },
	{ "port",       FIELD_PORT, 0 },
	{ "app_id",     FIELD_TEXT, offsetof(struct url_fields, app_id) },
	{ "session_id", FIELD_TEXT, offsetof(struct url_fields, session_id) },
	{ "name",       FIELD_TEXT, offsetof(struct url_fields, name) },
	{ "user_id",    FIELD_TEXT, offsetof(struct url_fields, user_id) },
	{ "label",      FIELD_TEXT, offsetof(struct url_fields, label) },
	/* clang-format on */
};

/* The field named by the `len` bytes at `name`, or -1. */
static int field_find(const char *name, size_t len)
{
	for (size_t i = 0; i < ARRAY_SIZE(known_fields); i++) {
		if (strlen(known_fields[i].name) == len &&
		    memcmp(known_fields[i].name, name, len) == 0)
			return (int)i;
	}
	return -1;
}

int url_template_check(const char *template, struct fault *reterr)
{
	static const char *const starts[] = { "http://", "https://", "{scheme}://" };
	bool starts_well = false;

	for (size_t i = 0; i < ARRAY_SIZE(starts); i++)
		starts_well |= strncmp(template, starts[i], strlen(starts[i])) == 0;
	if (!starts_well)
		return fault_set(reterr, FAULT_BAD_REQUEST,
				 "preview.public_url_template must begin with http://, https:// or "
				 "{scheme}://");

	for (const char *p = template; *p; p++) {
		const char *end;

		if (*p == '}')
			return fault_set(reterr, FAULT_BAD_REQUEST,
					 "preview.public_url_template has a } without its {");
		if (*p != '{')
			continue;
		end = strchr(p, '}');
		if (!end || field_find(p + 1, (size_t)(end - p - 1)) < 0)
			return fault_set(reterr, FAULT_BAD_REQUEST,
					 "preview.public_url_template: '%.32s' is no field; there "
					 "are scheme, host, port, app_id, session_id, name, "
					 "user_id and label",
					 p);
		p = end;
	}
	return 0;
}

static void add_host(struct strbuf *b, const char *host)
{
	if (host_is_loopback(host) && host_is_address(host))
		strbuf_puts(b, "localhost");
	else if (strchr(host, ':'))
		strbuf_printf(b, "[%s]", host);
	else
		strbuf_puts(b, host);
}

static void add_field(struct strbuf *b, int field, const struct url_fields *fields)
{
	switch (known_fields[field].kind) {
	case FIELD_HOST:
		add_host(b, fields->host);
		break;
	case FIELD_PORT:
		strbuf_printf(b, "%u", fields->port);
		break;
	case FIELD_TEXT:
		strbuf_add_percent(b, *(const char *const *)((const char *)fields +
							     known_fields[field].offset));
		break;
	}
}

char *url_expand(const char *template, const struct url_fields *fields, const char *path)
{
	scoped(strbuf_done) struct strbuf b = strbuf_init(STRBUF_UNLIMITED);

	for (const char *p = template; *p; p++) {
		const char *end = *p == '{' ? strchr(p, '}') : NULL;

		if (!end) {
			strbuf_putc(&b, *p);
			continue;
		}
		add_field(&b, field_find(p + 1, (size_t)(end - p - 1)), fields);
		p = end;
	}

	if (path[0] == '/' && b.len > 0 && b.data[b.len - 1] == '/')
		path++;
	strbuf_puts(&b, path);
	return strbuf_steal(&b);
}

int url_host(const char *url, char **ret_host, char **ret_authority)
{
	CURLU *u = curl_url();
	char *scheme = NULL, *host = NULL, *port = NULL;
	int r = -EINVAL;

	if (!u || curl_url_set(u, CURLUPART_URL, url, 0) != CURLUE_OK ||
	    curl_url_get(u, CURLUPART_SCHEME, &scheme, 0) != CURLUE_OK ||
	    curl_url_get(u, CURLUPART_HOST, &host, 0) != CURLUE_OK)
		goto out;
	if (strcmp(scheme, "http") != 0 && strcmp(scheme, "https") != 0)
		goto out;
	/* None is no failure; and the scheme's own isn't written, as browsers write it. */
	curl_url_get(u, CURLUPART_PORT, &port, CURLU_NO_DEFAULT_PORT);

	*ret_authority = port ? xasprintf("%s:%s", host, port) : xstrdup(host);
	*ret_host = xstrdup(host);
	r = 0;
out:
	curl_free(scheme);
	curl_free(host);
	curl_free(port);
	curl_url_cleanup(u);
	return r;
}

struct span {
	const char *at;
	size_t len;
};

/* What stands before and behind the label in the host; -EINVAL where that alone is no host. */
static int label_place(const char *template, struct span *before, struct span *behind)
{
	static const char field[] = "{label}";
	const char *host = strstr(template, "://");
	const char *label, *end;

	if (!host)
		return -EINVAL;
	host += strlen("://");
	end = host + strcspn(host, ":/?#");
	label = strstr(host, field);
	if (!label || label >= end)
		return -EINVAL;
	*before = (struct span){ host, (size_t)(label - host) };
	label += strlen(field);
	*behind = (struct span){ label, (size_t)(end - label) };
	return memchr(before->at, '{', before->len) || memchr(behind->at, '{', behind->len)
		       ? -EINVAL
		       : 0;
}

bool url_template_has_edge(const char *template)
{
	struct span before, behind;

	return label_place(template, &before, &behind) == 0;
}

static void lower(char *text)
{
	for (; *text; text++) {
		if (*text >= 'A' && *text <= 'Z')
			*text += 'a' - 'A';
	}
}

void url_template_around(const char *template, char **ret_before, char **ret_behind)
{
	struct span before, behind;

	if (label_place(template, &before, &behind) < 0)
		before = behind = (struct span){ "", 0 };
	*ret_before = xstrndup(before.at, before.len);
	*ret_behind = xstrndup(behind.at, behind.len);
	lower(*ret_before);
	lower(*ret_behind);
}

char *url_template_label(const char *template, const char *host)
{
	struct span before, behind;
	size_t len = strlen(host);
	char *label;

	if (label_place(template, &before, &behind) < 0 || len <= before.len + behind.len ||
	    strncasecmp(host, before.at, before.len) != 0 ||
	    strncasecmp(host + len - behind.len, behind.at, behind.len) != 0)
		return NULL;
	label = xstrndup(host + before.len, len - before.len - behind.len);
	lower(label);
	return label;
}

char *url_expand_origin(const char *template, const struct url_fields *fields)
{
	const char *host = strstr(template, "://") + strlen("://");
	scoped(freep) char *origin =
		xstrndup(template, (size_t)(host - template) + strcspn(host, "/?#"));

	return url_expand(origin, fields, "");
}

bool url_path_is_valid(const char *path)
{
	if (path[0] == '\0')
		return true;
	if (path[0] != '/' || strlen(path) > PATH_LENGTH_MAX)
		return false;
	for (const char *p = path; *p; p++) {
		if (*p <= ' ' || *p >= 0x7f || strchr("\"<>\\^`{|}", *p))
			return false;
	}
	return true;
}
