/* SPDX-License-Identifier: MIT */
/* Public URLs: what a template may say, and that no field breaks out of its place. */
#include <errno.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stdint.h>
#include <string.h>
/* cmocka wants the three above it */
#include <cmocka.h>

#include "base/mem.h"
#include "registry/url.h"

static void templates_name_known_fields_only(void **state)
{
	static const struct {
		const char *template;
		bool good;
	} table[] = {
		/* clang-format off */
		{ "http://{host}:{port}",                              true },
		{ "{scheme}://{host}:{port}",                          true },
		{ "https://{label}.preview.example.org",               true },
		{ "https://x/{app_id}/{session_id}/{name}/{user_id}/", true },
		{ "http://plain",                                      true },
		{ "",                                                  false },
		{ "ftp://{host}",                                      false },
		{ "javascript:alert(1)",                               false },
		{ "{host}:{port}",                                     false },
		{ "//{host}",                                          false },
		{ "http://{hosts}",                                    false },
		{ "http://{}",                                         false },
		{ "http://{HOST}",                                     false },
		{ "http://{host",                                      false },
		{ "http://host}",                                      false },
		{ "http://{{host}}",                                   false },
		{ "{scheme}{host}",                                    false },
		/* clang-format on */
	};

	(void)state;
	for (size_t i = 0; i < ARRAY_SIZE(table); i++) {
		scoped(fault_done) struct fault fault = { 0 };
		int r = url_template_check(table[i].template, &fault);

		if ((r == 0) != table[i].good)
			fail_msg("'%s' gave %d", table[i].template, r);
		if (r < 0)
			assert_non_null(strstr(fault.detail, "preview.public_url_template"));
	}
}

static void fields_are_filled_in_and_escaped(void **state)
{
	static const struct {
		const char *template, *host, *path, *url;
	} table[] = {
		/* clang-format off */
		{ "http://{host}:{port}", "127.0.0.1", "", "http://localhost:5173" },
		{ "http://{host}:{port}", "::1", "", "http://localhost:5173" },
		{ "http://{host}:{port}", "0.0.0.0", "", "http://localhost:5173" },
		{ "http://{host}:{port}", "localhost", "/x", "http://localhost:5173/x" },
		{ "http://{host}:{port}", "shop.localhost", "", "http://shop.localhost:5173" },
		{ "http://{host}:{port}", "10.0.0.1", "", "http://10.0.0.1:5173" },
		{ "http://{host}:{port}", "2001:db8::1", "", "http://[2001:db8::1]:5173" },
		{ "{scheme}://{host}:{port}", "127.0.0.1", "", "https://localhost:5173" },
		{ "https://{label}.example.org/", "::1", "/x", "https://k3j9.example.org/x" },
		{ "https://{label}.example.org", "::1", "/", "https://k3j9.example.org/" },
		{ "https://e/p/", "::1", "", "https://e/p/" },
		{ "https://e/p/", "::1", "/x?a=1#/r", "https://e/p/x?a=1#/r" },
		{ "https://e/{session_id}", "::1", "", "https://e/s%3A1" },
		{ "https://e/{user_id}", "::1", "", "https://e/ann%40shop.example" },
		{ "https://e/{app_id}-{name}-{app_id}", "::1", "", "https://e/shop-web-shop" },
		/* clang-format on */
	};

	(void)state;
	for (size_t i = 0; i < ARRAY_SIZE(table); i++) {
		struct url_fields fields = {
			.scheme = "https",
			.host = table[i].host,
			.port = 5173,
			.app_id = "shop",
			.session_id = "s:1",
			.name = "web",
			.user_id = "ann@shop.example",
			.label = "k3j9",
		};
		scoped(freep) char *url = url_expand(table[i].template, &fields, table[i].path);

		assert_string_equal(url, table[i].url);
	}
}

static void the_host_of_a_url_is_found(void **state)
{
	static const struct {
		const char *url, *host, *authority; /* host NULL: none */
	} table[] = {
		/* clang-format off */
		{ "http://localhost:5173/x",        "localhost",     "localhost:5173" },
		{ "https://shop.example.org",       "shop.example.org", "shop.example.org" },
		{ "https://shop.example.org:443/",  "shop.example.org", "shop.example.org" },
		{ "http://shop.example.org:80/",    "shop.example.org", "shop.example.org" },
		{ "http://shop.example.org:443/",   "shop.example.org", "shop.example.org:443" },
		{ "http://[2001:db8::1]:8080/",     "[2001:db8::1]", "[2001:db8::1]:8080" },
		{ "http://user:pw@shop:1/",         "shop",          "shop:1" },
		{ "not a url",                      NULL,            NULL },
		{ "http://",                        NULL,            NULL },
		{ "ftp://shop/",                    NULL,            NULL },
		/* clang-format on */
	};

	(void)state;
	for (size_t i = 0; i < ARRAY_SIZE(table); i++) {
		scoped(freep) char *host = NULL, *authority = NULL;
		int r = url_host(table[i].url, &host, &authority);

		if ((r == 0) != (table[i].host != NULL))
			fail_msg("'%s' gave %d", table[i].url, r);
		if (r < 0)
			continue;
		assert_string_equal(host, table[i].host);
		assert_string_equal(authority, table[i].authority);
	}
}

static void paths_are_what_a_url_may_have(void **state)
{
	static const char *const good[] = { "", "/", "/a/b?c=d&e#f", "/%20",
					    "/~a:b@c;d=e,f!$'()*+" };
	static const char *const bad[] = {
		"a",     "?a", "#a",        "//\n", "/a b",    "/a\tb", "/a\r\nX: y",
		"/\x7f", "/é", "/<script>", "/\"",  "/\\evil", "/{a}",  "/`",
	};
	scoped(freep) char *longest = xcalloc(1, 514);

	(void)state;
	for (size_t i = 0; i < ARRAY_SIZE(good); i++) {
		if (!url_path_is_valid(good[i]))
			fail_msg("'%s' is good", good[i]);
	}
	for (size_t i = 0; i < ARRAY_SIZE(bad); i++) {
		if (url_path_is_valid(bad[i]))
			fail_msg("'%s' is bad", bad[i]);
	}
	memset(longest, '/', 513);
	assert_false(url_path_is_valid(longest));
	assert_true(url_path_is_valid(longest + 1));
}

static void the_label_of_a_host_is_found(void **state)
{
	static const struct {
		const char *template, *host, *label; /* NULL: it is none */
	} table[] = {
		{ "https://{label}.p.example.org", "abc.p.example.org", "abc" },
		{ "https://{label}.p.example.org:8443/x", "ABC.P.Example.Org", "abc" },
		{ "{scheme}://p-{label}.example.org", "p-abc.example.org", "abc" },
		{ "https://{label}.p.example.org", ".p.example.org", NULL },
		{ "https://{label}.p.example.org", "p.example.org", NULL },
		{ "https://{label}.p.example.org", "abc.p.example.org.evil", NULL },
		{ "https://p-{label}.example.org", "q-abc.example.org", NULL },
		{ "http://{host}:{port}", "abc", NULL },
		{ "https://example.org/{label}", "example.org", NULL },
		{ "https://{name}-{label}.example.org", "web-abc.example.org", NULL },
		{ "https://{label}.{app_id}.example.org", "abc.shop.example.org", NULL },
	};

	(void)state;
	for (size_t i = 0; i < ARRAY_SIZE(table); i++) {
		scoped(freep) char *label = url_template_label(table[i].template, table[i].host);

		if (!label != !table[i].label || (label && strcmp(label, table[i].label) != 0))
			fail_msg("%s of %s: %s", table[i].template, table[i].host, label);
	}
	assert_true(url_template_has_edge("https://{label}.p.example.org"));
	assert_false(url_template_has_edge("{scheme}://{host}:{port}"));
	assert_false(url_template_has_edge("https://example.org/{label}"));
}

static void an_origin_is_the_template_up_to_its_path(void **state)
{
	const struct url_fields fields = { .scheme = "http", .host = "127.0.0.1", .label = "abc" };
	scoped(freep) char *plain = url_expand_origin("https://{label}.p.example.org", &fields);
	scoped(freep) char *port =
		url_expand_origin("{scheme}://{label}.p.example.org:81/x/{label}?y", &fields);

	(void)state;
	assert_string_equal(plain, "https://abc.p.example.org");
	assert_string_equal(port, "http://abc.p.example.org:81");
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(templates_name_known_fields_only),
		cmocka_unit_test(fields_are_filled_in_and_escaped),
		cmocka_unit_test(the_host_of_a_url_is_found),
		cmocka_unit_test(the_label_of_a_host_is_found),
		cmocka_unit_test(an_origin_is_the_template_up_to_its_path),
		cmocka_unit_test(paths_are_what_a_url_may_have),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
