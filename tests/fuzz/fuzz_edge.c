/* SPDX-License-Identifier: MIT */
/*
 * What a visitor says to the edge, in lines: host, target, method, cookies; the first byte chooses
 * the template of hosts and whether it is TLS.  A label is a piece of that host, a code is one of a
 * link that is being opened, no cookie passes that wasn't given out, and what goes into an answer's
 * head can't end its line.
 */
#include <assert.h>
#include <stdlib.h>
#include <string.h>
#include <strings.h>

#include "api/edge_asked.h"
#include "auth/auth.h"
#include "base/crypto.h"
#include "base/mem.h"
#include "fuzz.h"
#include "registry/url.h"

static const char *const templates[] = {
	"https://{label}.preview.example.org",
	"https://p-{label}.Example.org:8443/x/{name}",
	"http://{label}",
	"{scheme}://{label}x.localhost/",
};

static struct auth *the_auth(void)
{
	static struct loop *loop;
	static struct store *store;
	static struct auth *auth;
	const struct settings settings = { .limits_codes = 1, .limits_codes_per_user = 1 };

	if (auth)
		return auth;
	loop = loop_new();
	store = store_memory_new(loop);
	if (auth_new(loop, store, &settings, "an admin token of thirty-two bytes", &auth, NULL) < 0)
		abort();
	return auth;
}

static void check_head(const char *text)
{
	for (; *text; text++)
		assert(*text > ' ' && *text < 0x7f);
}

static void check_host(const struct edge_fields *fields, const char *template,
		       const struct edge_asked *q)
{
	scoped(freep) char *before = NULL, *behind = NULL, *host = NULL;

	url_template_around(template, &before, &behind);
	host = xasprintf("%s%s%s", before, q->label, behind);
	assert(q->label[0] &&
	       q->label[strspn(q->label, "abcdefghijklmnopqrstuvwxyz0123456789._-:")] == '\0');
	assert(strncasecmp(fields->host, host, strlen(host)) == 0 || fields->host[0] == '[');
	assert(strcasecmp(strstr(q->origin, "://") + 3, fields->host) == 0);
	check_head(q->origin);
}

static void check_passes(const struct edge_fields *fields, const struct edge_asked *q)
{
	size_t n = 0;

	for (; q->passes[n]; n++) {
		const char *pass = q->passes[n];
		scoped(secret_freep) char *minted = NULL;

		assert(n < EDGE_PASSES_MAX && strstr(fields->cookies, pass));
		if (!auth_edge_pass_is_valid(the_auth(), q->label, pass))
			continue;
		minted = auth_edge_pass_new(the_auth(), q->label, NULL,
					    strtoull(pass, NULL, 10) * USEC_PER_SEC);
		assert(strcmp(pass, minted) == 0);
	}
	assert(n == 0 ||
	       strstr(fields->cookies, q->is_tls ? EDGE_HOST_COOKIE "=" : EDGE_COOKIE "="));
}

static void check_asked(const struct edge_fields *fields, const char *template)
{
	scoped(edge_asked_done) struct edge_asked q = { 0 };

	if (edge_asked_read(fields, template, &q) < 0) {
		assert(!q.label && !q.origin && !q.code && !q.passes && !q.opens);
		return;
	}
	check_host(fields, template, &q);
	assert(!q.opens || strstr(fields->target, EDGE_OPEN_PATH));
	assert(!q.code || (q.opens && (!fields->method || strcmp(fields->method, "GET") == 0)));
	assert(!q.code || strlen(q.code) < strlen(fields->target));
	check_passes(fields, &q);
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
	scoped(freep) char *text = size > 0 ? xstrndup((const char *)data + 1, size - 1) : NULL;
	const char *lines[5] = { NULL };
	char *rest = text;
	struct edge_fields fields;

	for (size_t i = 0; rest && i < ARRAY_SIZE(lines); i++)
		lines[i] = strsep(&rest, "\n");
	if (!text)
		return 0;
	fields = (struct edge_fields){
		.host = lines[0],
		.scheme = data[0] & 0x40 ? "http" : "https",
		.target = lines[1],
		.method = lines[2] && *lines[2] ? lines[2] : NULL,
		.cookies = lines[3],
	};
	check_asked(&fields, templates[data[0] % ARRAY_SIZE(templates)]);
	if (lines[4] && url_template_check(lines[4], NULL) >= 0 && url_template_has_edge(lines[4]))
		check_asked(&fields, lines[4]);

	/* What a link may lead to stands behind the origin. */
	if (fields.target && url_path_is_valid(fields.target))
		check_head(fields.target);
	return 0;
}
