/* SPDX-License-Identifier: MIT */
/*
 * A probe's second question, asked as the viewers will, by the public name: dev servers refuse
 * names that they don't know, and what they say tells how to mend it.
 */
#include "registry/probe_priv.h"

#include <string.h>

#include "base/mem.h"

#define PAGE_READ_MAX   (64 * 1024)
#define STATUS_READ_MAX 1024 /* where the status says it */

static bool has(const struct fetch_result *result, const char *text)
{
	return memmem(result->body, result->body_len, text, strlen(text)) != NULL;
}

static void on_public_hmr(const struct fetch_result *result, void *arg)
{
	struct probe *p = arg;

	if (result->outcome == FETCH_ANSWERED && result->status == 403)
		probe_warn(p, "blocked_origin",
			   xasprintf("Next refuses requests of pages on %s, so hot reload will not "
				     "work: add allowedDevOrigins: ['%s'] to next.config",
				     p->request.public_host, p->request.public_host));
	p->fetch = fetch_free(p->fetch);
	probe_succeed(p);
}

/* Asks for `url` at the address that answered, by the name that viewers use. */
static void ask_by_name(struct probe *p, const char *url, const char *const *headers,
			size_t read_max, fetch_done_fn *done)
{
	const struct fetch_request request = {
		.method = FETCH_GET,
		.url = url,
		.connect_address = p->report.address,
		.connect_port = p->request.port,
		.host_header = p->request.public_authority,
		.headers = headers,
		.connect_timeout = USEC_PER_SEC,
		.timeout = probe_time_left(p),
		.read_max = read_max,
	};

	p->fetch = fetch_start(p->prober->fetcher, &request, done, p);
}

static void check_next_origin(struct probe *p)
{
	scoped(freep) char *url = xasprintf("%s://%s:%u/_next/webpack-hmr", p->request.scheme,
					    p->request.public_host, p->request.port);
	scoped(freep) char *origin =
		xasprintf("Origin: %s://%s", p->request.public_scheme, p->request.public_authority);
	const char *const headers[] = { origin, NULL };

	ask_by_name(p, url, headers, STATUS_READ_MAX, on_public_hmr);
}

static void on_public_answer(const struct fetch_result *result, void *arg)
{
	struct probe *p = arg;
	const char *host = p->request.public_host;
	bool next = result->outcome == FETCH_ANSWERED && has(result, "/_next/");

	if (result->outcome != FETCH_ANSWERED) {
		/* It answered a moment ago; that it is slow by this name is no news. */
	} else if (has(result, "Blocked request. This host")) {
		probe_warn(
			p, "blocked_host",
			xasprintf(
				"Vite refuses the host %s: add server: { allowedHosts: ['%s'] } to "
				"vite.config, or start it with "
				"__VITE_ADDITIONAL_SERVER_ALLOWED_HOSTS=%s",
				host, host, host));
	} else if (has(result, "Invalid Host header")) {
		probe_warn(p, "blocked_host",
			   xasprintf("webpack-dev-server refuses the host %s: add devServer: { "
				     "allowedHosts: ['%s'] } to its configuration",
				     host, host));
	} else if (result->status == 403 && p->report.http_status != 403) {
		probe_warn(p, "blocked_host",
			   xasprintf("the server answers 403 to the host %s, which is the one its "
				     "viewers use: allow that host in its configuration",
				     host));
	}

	p->fetch = fetch_free(p->fetch);
	if (next)
		check_next_origin(p);
	else
		probe_succeed(p);
}

void probe_ask_as_public(struct probe *p)
{
	scoped(freep) char *url =
		xasprintf("%s://%s:%u%s", p->request.scheme, p->request.public_host,
			  p->request.port, p->request.path);

	ask_by_name(p, url, NULL, PAGE_READ_MAX, on_public_answer);
}
