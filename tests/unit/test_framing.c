/* SPDX-License-Identifier: MIT */
/* Which answers keep a page of another origin from framing them. */
#include <setjmp.h>
#include <stdarg.h>
#include <stdint.h>
#include <string.h>
/* cmocka wants the three above it */
#include <cmocka.h>

#include "base/cleanup.h"
#include "registry/framing.h"

static void a_page_is_refused_by_what_browsers_go_by(void **state)
{
	static const struct {
		const char *frame_options, *security_policy;
		bool refused;
	} cases[] = {
		/* clang-format off */
		{ NULL,         NULL,                                             false },
		{ "DENY",       NULL,                                             true },
		{ "sameorigin", NULL,                                             true },
		{ "ALLOWALL",   NULL,                                             false },
		{ NULL,         "frame-ancestors 'none'",                         true },
		{ NULL,         "default-src 'self'; Frame-Ancestors 'self'",     true },
		{ NULL,         "frame-ancestors 'self' https://app.example.org", false },
		{ NULL,         "frame-ancestors *",                              false },
		{ NULL,         "frame-ancestors",                                true },
		{ NULL,         "frame-ancestors;",                               true },
		{ NULL,         "default-src 'none'",                             false },
		{ NULL,         "report-uri /frame-ancestors",                    false },
		{ "DENY",       "frame-ancestors *",                              false },
		{ "DENY",       "default-src 'self'",                             true },
		{ NULL,         "",                                               false },
		/* clang-format on */
	};

	(void)state;
	for (size_t i = 0; i < ARRAY_SIZE(cases); i++) {
		if (frame_is_refused(cases[i].frame_options, cases[i].security_policy) !=
		    cases[i].refused)
			fail_msg("%s | %s", cases[i].frame_options ? cases[i].frame_options : "-",
				 cases[i].security_policy ? cases[i].security_policy : "-");
	}
}

static void the_sentence_names_the_field(void **state)
{
	scoped(freep) char *policy = frame_refusal_text("frame-ancestors 'none'");
	scoped(freep) char *options = frame_refusal_text("default-src 'self'");

	(void)state;
	assert_non_null(strstr(policy, "frame-ancestors"));
	assert_non_null(strstr(options, "X-Frame-Options"));
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(a_page_is_refused_by_what_browsers_go_by),
		cmocka_unit_test(the_sentence_names_the_field),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
