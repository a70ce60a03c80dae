/* SPDX-License-Identifier: MIT */
#include "http/router.h"

#include <errno.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stdint.h>
#include <stdio.h>
#include <string.h>
/* cmocka wants setjmp.h and the two after it above it */
#include <cmocka.h>

/* clang-format off */
static const struct http_route routes[] = {
	[0]  = { "GET",    "/" },
	[1]  = { "GET",    "/healthz" },
	[2]  = { "GET",    "/api/apps/{app_id}/sessions/{session_id}" },
	[3]  = { "PUT",    "/api/apps/{app_id}/sessions/{session_id}" },
	[4]  = { "POST",   "/api/apps/{app_id}/sessions/{session_id}/previews" },
	[5]  = { "GET",    "/api/apps/{app_id}/sessions/{sid}/previews/{name}" },
	[6]  = { "DELETE", "/api/apps/{app_id}/sessions/{session_id}/published" },
	[7]  = { "GET",    "/api/apps/{app_id}/sessions/{session_id}/published/{path...}" },
	[8]  = { "GET",    "/api/apps/here" },
	[9]  = { "DELETE", "/api/apps/{app_id}" },
	[10] = { "GET",    "/socket.io/" },
	[11] = { "POST",   "/socket.io/" },
	[12] = { "GET",    "/ui/{file...}" },
	[13] = { "HEAD",   "/ui/own" },
};

static const struct {
	const char *method, *path;
	int r;
	size_t route;
	const char *params; /* "name=value;" each; or the Allow list */
} rows[] = {
	{ "GET",    "/", 0, 0, "" },
	{ "GET",    "/healthz", 0, 1, "" },
	{ "HEAD",   "/healthz", 0, 1, "" },
	{ "POST",   "/healthz", -EOPNOTSUPP, 0, "GET, HEAD" },
	{ "get",    "/healthz", -EOPNOTSUPP, 0, "GET, HEAD" },
	{ "GET",    "/health", -ENOENT },
	{ "GET",    "/healthz/", -ENOENT },
	{ "GET",    "/healthz/x", -ENOENT },
	{ "GET",    "/api", -ENOENT },
	{ "GET",    "/api/apps/a/sessions/s", 0, 2, "app_id=a;session_id=s;" },
	{ "PUT",    "/api/apps/a/sessions/s", 0, 3, "app_id=a;session_id=s;" },
	{ "DELETE", "/api/apps/a/sessions/s", -EOPNOTSUPP, 0, "GET, PUT, HEAD" },
	{ "POST",   "/api/apps/a/sessions/s/previews", 0, 4, "app_id=a;session_id=s;" },
	/* rows of one shape may name their parameters as they like */
	{ "GET",    "/api/apps/a/sessions/s/previews/n", 0, 5, "app_id=a;sid=s;name=n;" },
	/* decoded after the split, so that what is encoded stays in its segment */
	{ "GET",    "/api/apps/a%20b/sessions/%C3%A9", 0, 2, "app_id=a b;session_id=\xC3\xA9;" },
	{ "GET",    "/%68ealthz", 0, 1, "" },
	{ "GET",    "/api%2Fapps/here", -EINVAL },
	{ "GET",    "/api/apps/a%2Fb/sessions/s", -EINVAL },
	{ "GET",    "/api/apps/%zz/sessions/s", -EINVAL },
	{ "GET",    "/ui/../healthz", -EINVAL },
	{ "GET",    "/ui/%2e%2e/healthz", -EINVAL },
	/* a literal goes before a parameter, unless only the parameter has the method */
	{ "GET",    "/api/apps/here", 0, 8, "" },
	{ "DELETE", "/api/apps/here", 0, 9, "app_id=here;" },
	{ "PUT",    "/api/apps/here", -EOPNOTSUPP, 0, "GET, DELETE, HEAD" },
	{ "PUT",    "/api/apps/there", -EOPNOTSUPP, 0, "DELETE" },
	{ "GET",    "/api/apps/here/sessions/s", 0, 2, "app_id=here;session_id=s;" },
	/* the rest of a path */
	{ "GET",    "/ui/", 0, 12, "file=;" },
	{ "GET",    "/ui", 0, 12, "file=;" },
	{ "GET",    "/ui/a.js", 0, 12, "file=a.js;" },
	{ "GET",    "/ui/a/b%20c/d/", 0, 12, "file=a/b c/d/;" },
	{ "HEAD",   "/ui/own", 0, 13, "" },
	{ "GET",    "/ui/own", 0, 12, "file=own;" },
	{ "DELETE", "/ui/own", -EOPNOTSUPP, 0, "HEAD, GET" },
	{ "DELETE", "/api/apps/a/sessions/s/published", 0, 6, "app_id=a;session_id=s;" },
	{ "GET",    "/api/apps/a/sessions/s/published/i/x.html", 0, 7,
	  "app_id=a;session_id=s;path=i/x.html;" },
	{ "PUT",    "/api/apps/a/sessions/s/published", -EOPNOTSUPP, 0, "DELETE, GET, HEAD" },
	/* a pattern that ends in a slash wants it */
	{ "GET",    "/socket.io/", 0, 10, "" },
	{ "POST",   "/socket.io/", 0, 11, "" },
	{ "GET",    "/socket.io", -ENOENT },
};
/* clang-format on */

static void params_text(const struct http_match *m, char *text, size_t size)
{
	size_t len = 0;

	text[0] = '\0';
	for (size_t i = 0; i < m->n_params; i++)
		len += (size_t)snprintf(text + len, size - len, "%s=%s;", m->params[i].name,
					m->params[i].value);
}

static void a_path_finds_its_row(void **state)
{
	scoped(http_router_freep) struct http_router *router =
		http_router_new(routes, ARRAY_SIZE(routes));

	(void)state;
	for (size_t i = 0; i < ARRAY_SIZE(rows); i++) {
		scoped(http_match_done) struct http_match match = { 0 };
		scoped(freep) char *allow = NULL;
		char text[256];
		const int r =
			http_router_match(router, rows[i].method, rows[i].path, &match, &allow);

		if (r != rows[i].r || match.route != rows[i].route)
			fail_msg("%s %s: %d, route %zu", rows[i].method, rows[i].path, r,
				 match.route);
		params_text(&match, text, sizeof(text));
		if (r == 0)
			assert_string_equal(text, rows[i].params);
		if (r == -EOPNOTSUPP)
			assert_string_equal(allow, rows[i].params);
		else
			assert_null(allow);
	}
}

static void a_parameter_is_found_by_its_name(void **state)
{
	scoped(http_router_freep) struct http_router *router =
		http_router_new(routes, ARRAY_SIZE(routes));
	scoped(http_match_done) struct http_match match = { 0 };
	char *allow = NULL;

	(void)state;
	assert_int_equal(http_router_match(router, "GET", "/api/apps/a/sessions/s", &match, &allow),
			 0);
	assert_string_equal(http_match_param(&match, "session_id"), "s");
	assert_null(http_match_param(&match, "name"));
}

static void an_empty_table_has_nothing(void **state)
{
	scoped(http_router_freep) struct http_router *router = http_router_new(NULL, 0);
	struct http_match match;
	char *allow = NULL;

	(void)state;
	assert_int_equal(http_router_match(router, "GET", "/", &match, &allow), -ENOENT);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(a_path_finds_its_row),
		cmocka_unit_test(a_parameter_is_found_by_its_name),
		cmocka_unit_test(an_empty_table_has_nothing),
	};

	return cmocka_run_group_tests_name("router", tests, NULL, NULL);
}
