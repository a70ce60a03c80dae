/* SPDX-License-Identifier: MIT */
/* Addresses that are moved below a base path, and those that are left alone. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdlib.h>
#include <string.h>
/* cmocka wants setjmp, stdarg and stddef above it */
#include <cmocka.h>

#include "base/mem.h"
#include "publish/rebase.h"
#include "publish/rewrite.h"

#define B "/p/x/" /* "/p/x" is put before what is moved: written @ in the rows */

static bool has_file(const char *path, size_t len, void *arg)
{
	static const char *const files[] = {
		"index.html", "logo.svg",      "a.css",         "about.html", "team/index.html",
		"a b.png",    "assets/app.js", "fonts/f.woff2", "sw.js",      "p/x/inner.js",
	};

	(void)arg;
	for (size_t i = 0; i < ARRAY_SIZE(files); i++)
		if (strlen(files[i]) == len && memcmp(files[i], path, len) == 0)
			return true;
	return false;
}

/* clang-format off */
#define HTML     REWRITE_HTML
#define CSS      REWRITE_CSS
#define SCRIPT   REWRITE_SCRIPT
#define DATA     REWRITE_DATA
#define MANIFEST REWRITE_MANIFEST
static const struct {
	enum rewrite_kind kind;
	const char *from;
	const char *to; /* @: the base is put in here; NULL: nothing changes */
	bool with_prefixes;
} rows[] = {
	/* attributes: files, and pages */
	{ HTML, "<img src=\"/logo.svg\">", "<img src=\"@/logo.svg\">" },
	{ HTML, "<img src='/logo.svg'>", "<img src='@/logo.svg'>" },
	{ HTML, "<img src=/logo.svg>", "<img src=@/logo.svg>" },
	{ HTML, "<img src=/logo.svg alt=x>", "<img src=@/logo.svg alt=x>" },
	{ HTML, "<IMG\nSRC = \"/logo.svg\">", "<IMG\nSRC = \"@/logo.svg\">" },
	{ HTML, "<a href=\"/\">", "<a href=\"@/\">" },
	{ HTML, "<a href=\"/about\">", "<a href=\"@/about\">" },
	{ HTML, "<a href=\"/about/\">", "<a href=\"@/about/\">" },
	{ HTML, "<a href=\"/about.html#x\">", "<a href=\"@/about.html#x\">" },
	{ HTML, "<a href=\"/team?a=b\">", "<a href=\"@/team?a=b\">" },
	{ HTML, "<a href=\"/team/\">", "<a href=\"@/team/\">" },
	{ HTML, "<use xlink:href=\"/logo.svg#i\">", "<use xlink:href=\"@/logo.svg#i\">" },
	{ HTML, "<img src=\"/a%20b.png\">", "<img src=\"@/a%20b.png\">" },
	{ HTML, "<base href=\"/\">", "<base href=\"@/\">" },
	{ HTML, "<form action=\"/about\">", "<form action=\"@/about\">" },
	{ HTML, "<img srcset=\"/logo.svg 1x, /a%20b.png 2x,/logo.svg\">", "<img srcset=\"@/logo.svg 1x, @/a%20b.png 2x,@/logo.svg\">" },
	{ HTML, "<img srcset=\"/logo.svg 1x, /none.png 2x\">", "<img srcset=\"@/logo.svg 1x, /none.png 2x\">" },
	{ HTML, "<meta content=\"/logo.svg\">", "<meta content=\"@/logo.svg\">" },
	{ HTML, "<meta http-equiv=refresh content=\"0; url=/about\">", "<meta http-equiv=refresh content=\"0; url=@/about\">" },
	{ HTML, "<p style=\"background: url(/logo.svg)\">", "<p style=\"background: url(@/logo.svg)\">" },
	{ HTML, "<p style=\"background: url('/logo.svg')\">", "<p style=\"background: url('@/logo.svg')\">" },
	{ HTML, "<style>@import \"/a.css\";</style>", "<style>@import \"@/a.css\";</style>" },
	{ HTML, "<script>self.__next_f.push([1,\"[\\\"$\\\",{\\\"src\\\":\\\"/logo.svg\\\"}]\"])</script>",
	  "<script>self.__next_f.push([1,\"[\\\"$\\\",{\\\"src\\\":\\\"@/logo.svg\\\"}]\"])</script>" },
	{ HTML, "<a data-img=\"/logo.svg\">", "<a data-img=\"@/logo.svg\">" },
	/* what names nothing, or isn't root-absolute */
	{ HTML, "<img src=\"/none.svg\">", NULL }, { HTML, "<a href=\"/nowhere\">", NULL },
	{ HTML, "<img src=\"//logo.svg\">", NULL }, { HTML, "<img src=\"logo.svg\">", NULL },
	{ HTML, "<img src=\"./logo.svg\">", NULL }, { HTML, "<img src=\"https://h/logo.svg\">", NULL },
	{ HTML, "<img src=\"/../logo.svg\">", NULL }, { HTML, "<img src=\"/%00logo.svg\">", NULL },
	{ HTML, "<a href=\"/api/x\">", NULL }, { HTML, "<p>src is /logo.svg</p>", NULL },
	{ HTML, "<img src=", NULL }, { HTML, "<img src=\"", NULL }, { HTML, "<img src=\"/", "<img src=\"@/" },
	{ HTML, "src", NULL }, { HTML, "", NULL }, { HTML, "<img src=\"/\\logo.svg\">", NULL },
	/* below the base already, even where such a file is */
	{ HTML, "<img src=\"/p/x/logo.svg\">", NULL }, { HTML, "<a href=\"/p/x\">", NULL },
	{ HTML, "<script src=\"/p/x/inner.js\">", NULL }, { SCRIPT, "import(\"/p/x/inner.js\")", NULL },
	/* style sheets */
	{ CSS, "src:url(/fonts/f.woff2)format(\"woff2\")", "src:url(@/fonts/f.woff2)format(\"woff2\")" },
	{ CSS, "url( \"/fonts/f.woff2?v=1#x\" )", "url( \"@/fonts/f.woff2?v=1#x\" )" },
	{ CSS, "@import '/a.css';@import url(/a.css);", "@import '@/a.css';@import url(@/a.css);" },
	{ CSS, "url(/none.woff2) url(data:/logo.svg) content:\"/logo.svg\"", NULL },
	{ CSS, "url(", NULL }, { CSS, "url(url(/a.css", "url(url(@/a.css" }, { CSS, "@import", NULL },
	/* literals of scripts, minified */
	{ SCRIPT, "e.jsx(\"img\",{src:\"/logo.svg\",alt:\"\"}),n='/logo.svg'", "e.jsx(\"img\",{src:\"@/logo.svg\",alt:\"\"}),n='@/logo.svg'" },
	{ SCRIPT, "a=`/logo.svg?${v}`,b=`/logo.svg`", "a=`@/logo.svg?${v}`,b=`@/logo.svg`" },
	{ SCRIPT, "navigator.serviceWorker.register(\"/sw.js\")", "navigator.serviceWorker.register(\"@/sw.js\")" },
	{ SCRIPT, "x=\"<img src=\\\"/logo.svg\\\">\"", "x=\"<img src=\\\"@/logo.svg\\\">\"" },
	{ SCRIPT, "s.innerHTML=\"a{b:url(/logo.svg)}\"", "s.innerHTML=\"a{b:url(@/logo.svg)}\"" },
	/* a page is a route to a script, and none of ours; so is what only begins like a file */
	{ SCRIPT, "t({path:\"/about\"},{path:\"/\"},{path:\"/team/\"})", NULL },
	{ SCRIPT, "\"/logo.svg\"+x", "\"@/logo.svg\"+x" }, { SCRIPT, "\"/assets/\"+n+\".js\"", NULL },
	{ SCRIPT, "/logo.svg/.test(s)", NULL }, { SCRIPT, "\"/logo.svg x\"", NULL }, { SCRIPT, "'/logo.svg\"", NULL },
	{ SCRIPT, "\"/logo.svg", NULL }, { SCRIPT, "a=\"b/logo.svg\"", NULL },
	/* prefixes of run times, only where the build wasn't told its base */
	{ SCRIPT, "n.p=\"/\",n.u=x", "n.p=\"@/\",n.u=x", true }, { SCRIPT, "n.p=\"/\",n.u=x", NULL },
	{ SCRIPT, "__webpack_require__.p = '/';", "__webpack_require__.p = '@/';", true },
	{ SCRIPT, "const f=function(e){return\"/\"+e}", "const f=function(e){return\"@/\"+e}", true },
	{ SCRIPT, "const f=function(e){return\"/\"+e}", NULL },
	{ SCRIPT, "return\"/\"+\"x\"", NULL, true }, { SCRIPT, "xreturn\"/\"+e", NULL, true },
	{ SCRIPT, "a=\"/_next/\"+b,c=\"/_nuxt/\"", "a=\"@/_next/\"+b,c=\"@/_nuxt/\"", true },
	{ SCRIPT, "n.p", NULL, true }, { SCRIPT, "n.p=\"/", NULL, true }, { SCRIPT, "return\"/\"", NULL, true },
	/* data */
	{ DATA, "{\"icon\":\"/logo.svg\",\"page\":\"/about\",\"start\":\"/\"}", "{\"icon\":\"@/logo.svg\",\"page\":\"/about\",\"start\":\"/\"}" },
	{ MANIFEST, "{\"start_url\":\"/\",\"icons\":[{\"src\":\"/logo.svg\"}],\"x\":\"/y\"}", "{\"start_url\":\"@/\",\"icons\":[{\"src\":\"@/logo.svg\"}],\"x\":\"/y\"}" },
	{ REWRITE_NONE, "\"/logo.svg\"", NULL },
};
/* clang-format on */

static char *with_base(const char *marked)
{
	scoped(strbuf_done) struct strbuf b = strbuf_init(4096);

	for (; *marked; marked++)
		/* "@import" is CSS, not a mark */
		if (*marked == '@' && marked[1] == '/')
			strbuf_add(&b, B, strlen(B) - 1);
		else
			strbuf_putc(&b, *marked);
	return strbuf_steal(&b);
}

static char *rewritten(enum rewrite_kind kind, const char *text, bool with_prefixes, size_t *ret_n)
{
	const struct rewrite_rules rules = { B, with_prefixes, has_file, NULL };
	scoped(strbuf_done) struct strbuf out = strbuf_init(1 << 20);
	/* A copy of the exact size, so that a sanitizer sees a byte read too far. */
	scoped(freep) char *copy = malloc(strlen(text) ? strlen(text) : 1);

	memcpy(copy, text, strlen(text));
	*ret_n = rewrite_text(kind, copy, strlen(text), &rules, &out);
	return strbuf_steal(&out);
}

static void what_names_a_file_is_moved_and_nothing_else(void **state)
{
	(void)state;
	for (size_t i = 0; i < ARRAY_SIZE(rows); i++) {
		scoped(freep) char *wanted = with_base(rows[i].to ? rows[i].to : rows[i].from);
		scoped(freep) char *again = NULL;
		size_t n;
		scoped(freep) char *is =
			rewritten(rows[i].kind, rows[i].from, rows[i].with_prefixes, &n);

		if (strcmp(is, wanted) != 0)
			fail_msg("%s\nbecame\n%s", rows[i].from, is);
		assert_int_equal(n > 0, strcmp(is, rows[i].from) != 0);
		again = rewritten(rows[i].kind, is, rows[i].with_prefixes, &n);
		assert_string_equal(again, is);
		assert_int_equal(n, 0);
	}
}

static void hostile_text_takes_no_longer_than_its_length(void **state)
{
	static const char *const pieces[] = { "url(",  " src='", "return \"/\" ",
					      "n.p= ", "\"/",    " srcset=" };

	(void)state;
	for (size_t i = 0; i < ARRAY_SIZE(pieces); i++) {
		const struct rewrite_rules rules = { B, true, has_file, NULL };
		scoped(strbuf_done) struct strbuf text = strbuf_init(1 << 23);
		scoped(strbuf_done) struct strbuf out = strbuf_init(1 << 23);

		/* Read again from each piece this would take hours: the test's own limit ends it.
		 */
		while (text.len < 1 << 22)
			strbuf_puts(&text, pieces[i]);
		rewrite_text(i == 0 ? CSS : HTML, text.data, text.len, &rules, &out);
		assert_int_equal(out.error, 0);
		assert_true(out.len >= text.len);
	}
}

static void text_that_grows_too_far_is_said_so(void **state)
{
	const struct rewrite_rules rules = { B, false, has_file, NULL };
	scoped(strbuf_done) struct strbuf out = strbuf_init(30);

	(void)state;
	rewrite_text(SCRIPT, "'/logo.svg','/logo.svg'", 23, &rules, &out);
	assert_true(out.error < 0);
}

/* clang-format off */
static const struct {
	const char *html;
	const char *outside;
} pages[] = {
	{ "<script type=module crossorigin src=\"/assets/x.js\"></script>", "/assets/x.js" },
	{ "<link rel=\"stylesheet\" href=\"/repo/a.css\">", "/repo/a.css" },
	{ "<link href=/repo/a.js rel=modulepreload>", "/repo/a.js" },
	{ "<script src='/p/x/a.js'></script><script src=/b.js></script>", "/b.js" },
	{ "<script src=\"/p/x/a.js\"></script>", NULL }, { "<script src=\"./a.js\"></script>", NULL },
	{ "<script src=\"//cdn/a.js\"></script>", NULL }, { "<script>x='<a src=\"/y\">'</script>", NULL },
	{ "<link rel=icon href=/x.ico>", NULL }, { "<a href=\"/x\">", NULL }, { "<!-- <script src=\"/x.js\"> -->", NULL },
	{ "<!-- <script src=\"/x.js\">", NULL }, { "<script", NULL }, { "<script src", NULL }, { "<script src=\"/x", "/x" }, { "", NULL },
	{ "<script data-a=\">\" src=\"/x.js\">", "/x.js" }, { "<script src=\"/p/xy.js\">", "/p/xy.js" },
};
/* clang-format on */

static void what_a_page_asks_for_outside_is_found(void **state)
{
	(void)state;
	for (size_t i = 0; i < ARRAY_SIZE(pages); i++) {
		scoped(freep) char *outside =
			rewrite_find_outside(pages[i].html, strlen(pages[i].html), B);

		if (strcmp(outside ? outside : "", pages[i].outside ? pages[i].outside : "") != 0)
			fail_msg("%s: %s", pages[i].html, outside ? outside : "nothing");
	}
}

static void integrity_is_seen(void **state)
{
	static const char with[] = "<script src=a integrity=\"sha384-x\">";
	static const char without[] = "<p>integrity=none <p integrity=x>";

	(void)state;
	assert_true(rewrite_has_integrity(with, strlen(with)));
	assert_false(rewrite_has_integrity(without, strlen(without)));
}

#define OLD "/api/apps/shop/sessions/a%40b/published/~0ld/"
#define NEW "/api/apps/shop/sessions/a%40b/published/~n3w/"

/* clang-format off */
static const struct {
	const char *text, *moved; /* NULL: as it was */
} addresses[] = {
	{ OLD, NEW },
	{ "href=\"" OLD "a.js\" src='" OLD "'", "href=\"" NEW "a.js\" src='" NEW "'" },
	{ "https://h" OLD "?x", "https://h" NEW "?x" },
	/* In JSON and JavaScript, and in strings of such. */
	{ "\"\\/api\\/apps\\/shop\\/sessions\\/a%40b\\/published\\/~0ld\\/x\"",
	  "\"\\/api\\/apps\\/shop\\/sessions\\/a%40b\\/published\\/~n3w\\/x\"" },
	{ "\\\\\\/api\\\\\\/apps\\\\\\/shop\\\\\\/sessions\\\\\\/a%40b\\\\\\/published\\\\\\/~0ld\\\\\\/",
	  "\\\\\\/api\\\\\\/apps\\\\\\/shop\\\\\\/sessions\\\\\\/a%40b\\\\\\/published\\\\\\/~n3w\\\\\\/" },
	{ "\\u002fapi\\u002fapps\\u002Fshop\\u002fsessions\\u002fa%40b\\u002fpublished\\u002f~0ld\\u002f",
	  "\\u002fapi\\u002fapps\\u002Fshop\\u002fsessions\\u002fa%40b\\u002fpublished\\u002f~n3w\\u002f" },
	{ "\\\\u002Fapi\\\\u002Fapps\\\\u002Fshop\\\\u002Fsessions\\\\u002Fa%40b\\\\u002Fpublished\\\\u002F\\\\u007e0ld\\\\u002F",
	  "\\\\u002Fapi\\\\u002Fapps\\\\u002Fshop\\\\u002Fsessions\\\\u002Fa%40b\\\\u002Fpublished\\\\u002F\\\\u007en3w\\\\u002F" },
	{ "\\x2fapi\\x2fapps\\x2fshop\\x2fsessions\\x2fa%40b\\x2fpublished\\x2f~0ld\\x2f",
	  "\\x2fapi\\x2fapps\\x2fshop\\x2fsessions\\x2fa%40b\\x2fpublished\\x2f~n3w\\x2f" },
	/* In a query, once and twice. */
	{ "?to=%2Fapi%2fapps%2Fshop%2Fsessions%2Fa%2540b%2Fpublished%2F%7E0ld%2F&",
	  "?to=%2Fapi%2fapps%2Fshop%2Fsessions%2Fa%2540b%2Fpublished%2F%7En3w%2F&" },
	{ "%252Fapi%252Fapps%252Fshop%252Fsessions%252Fa%252540b%252Fpublished%252F~0ld%252F",
	  "%252Fapi%252Fapps%252Fshop%252Fsessions%252Fa%252540b%252Fpublished%252F~n3w%252F" },
	/* In HTML. */
	{ "\"&#x2F;api&#x2f;apps&#47;shop&#x2F;sessions&#x2F;a%40b&#x2F;published&#x2F;~0ld&#x2F;\"",
	  "\"&#x2F;api&#x2f;apps&#47;shop&#x2F;sessions&#x2F;a%40b&#x2F;published&#x2F;~n3w&#x2F;\"" },
	/* A backslash of its own before it, and what is nearly it. */
	{ "'\\\\" OLD "'", "'\\\\" NEW "'" },
	{ "/api/apps/shop/sessions/a%40b/published/~0ld", NULL }, { "/api/apps/shop/sessions/a@b/published/~0ld/", NULL },
	{ "\\\\\\\\\\\\\\\\\\\\", NULL }, { "\\u002", NULL }, { "%2", NULL }, { "%25", NULL }, { "&#x2F", NULL }, { "&#", NULL }, { "&#x;", NULL }, { "", NULL },
};
/* clang-format on */

static void an_address_is_another_however_it_is_written(void **state)
{
	(void)state;
	for (size_t i = 0; i < ARRAY_SIZE(addresses); i++) {
		scoped(strbuf_done) struct strbuf out = strbuf_init(STRBUF_UNLIMITED);
		const char *text = addresses[i].text, *moved = addresses[i].moved;
		size_t n = rebase_text(text, strlen(text), OLD, NEW, &out);

		if (strcmp(strbuf_str(&out), moved ? moved : text) != 0)
			fail_msg("%s: %s", text, strbuf_str(&out));
		assert_int_equal(n > 0, moved != NULL);
	}
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(what_names_a_file_is_moved_and_nothing_else),
		cmocka_unit_test(hostile_text_takes_no_longer_than_its_length),
		cmocka_unit_test(text_that_grows_too_far_is_said_so),
		cmocka_unit_test(what_a_page_asks_for_outside_is_found),
		cmocka_unit_test(integrity_is_seen),
		cmocka_unit_test(an_address_is_another_however_it_is_written),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
