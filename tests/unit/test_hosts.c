/* SPDX-License-Identifier: MIT */
/* Lists of hosts, and that no other spelling of a host slips through them or by. */
#include <errno.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stdint.h>
#include <string.h>
/* cmocka wants the three above it */
#include <cmocka.h>

#include "base/mem.h"
#include "base/parse.h"
#include "net/hosts.h"

static struct hosts *list(const char *text)
{
	scoped(strv_freep) char **entries = parse_list(text, ',');
	struct hosts *h = NULL;

	assert_int_equal(hosts_new(entries, "test", &h, NULL), 0);
	return h;
}

static void bad_entries_are_refused(void **state)
{
	static const char *const bad[] = {
		"*",    "*.",          "a b",       "a..b",        ".a",       "http://a",
		"a:80", "10.0.0.0/33", "10.0.0.0/", "10.0.0.0/-1", "::1/129",  "a/8",
		"[::1", "a.*.b",       "*.*.org",   "10.0.0.0/8x", "10.0.0/8", "",
	};

	(void)state;
	for (size_t i = 0; i < ARRAY_SIZE(bad); i++) {
		char *entries[] = { (char *)bad[i], NULL };
		scoped(fault_done) struct fault fault = { 0 };
		struct hosts *h = NULL;

		if (hosts_new(entries, "cors.test", &h, &fault) == 0)
			fail_msg("'%s' was taken", bad[i]);
		assert_non_null(strstr(fault.detail, "cors.test"));
	}
}

static void lists_have_what_they_name_in_any_spelling(void **state)
{
	static const struct {
		const char *entries;
		const char *host;
		bool has;
	} table[] = {
		/* clang-format off */
		{ "",                    "localhost",            false },
		{ "localhost",           "localhost",            true },
		{ "localhost",           "LocalHost.",           true },
		{ "LOCALHOST.",          "localhost",            true },
		{ "localhost",           "localhost.evil.org",   false },
		{ "localhost",           "127.0.0.1",            false },
		{ "example.org",         "a.example.org",        false },
		{ "*.example.org",       "a.example.org",        true },
		{ "*.example.org",       "A.B.Example.ORG.",     true },
		{ "*.example.org",       "example.org",          false },
		{ "*.example.org",       "evilexample.org",      false },
		{ "*.example.org",       ".example.org",         false },
		{ "127.0.0.1",           "127.0.0.1",            true },
		{ "127.0.0.1",           "127.0.0.2",            false },
		{ "127.0.0.1",           "::ffff:127.0.0.1",     true },
		{ "127.0.0.1",           "[::ffff:7f00:1]",      true },
		{ "::ffff:127.0.0.1",    "127.0.0.1",            true },
		{ "127.0.0.1",           "127.1",                false },
		{ "127.0.0.1",           "0177.0.0.1",           false },
		{ "127.0.0.1",           "127.0.0.1.",           true },
		{ "::1",                 "[::1]",                true },
		{ "[::1]",               "::1",                  true },
		{ "::1",                 "0:0:0:0:0:0:0:1",      true },
		{ "::1",                 "::2",                  false },
		{ "10.0.0.0/8",          "10.255.1.2",           true },
		{ "10.0.0.0/8",          "11.0.0.0",             false },
		{ "10.0.0.0/8",          "::ffff:10.1.1.1",      true },
		{ "192.168.1.128/25",    "192.168.1.127",        false },
		{ "192.168.1.128/25",    "192.168.1.200",        true },
		{ "0.0.0.0/0",           "8.8.8.8",              true },
		{ "0.0.0.0/0",           "2001:db8::1",          false },
		{ "2001:db8::/33",       "2001:db8:7fff::1",     true },
		{ "2001:db8::/33",       "2001:db8:8000::1",     false },
		{ "10.0.0.0/8",          "10.example.org",       false },
		{ "a,b,::1",             "b",                    true },
		/* clang-format on */
	};

	(void)state;
	for (size_t i = 0; i < ARRAY_SIZE(table); i++) {
		scoped(hosts_freep) struct hosts *h = list(table[i].entries);

		if (hosts_have(h, table[i].host) != table[i].has)
			fail_msg("'%s' in '%s' should be %d", table[i].host, table[i].entries,
				 table[i].has);
	}
}

static void loopback_is_known_in_every_spelling(void **state)
{
	static const struct {
		const char *host;
		bool loopback;
	} table[] = {
		/* clang-format off */
		{ "localhost",              true },
		{ "LOCALHOST.",             true },
		{ "shop.localhost",         true },
		{ "localhost.example.org",  false },
		{ "notlocalhost",           false },
		{ "127.0.0.1",              true },
		{ "127.255.255.254",        true },
		{ "126.0.0.1",              false },
		{ "0.0.0.0",                true },
		{ "0.0.0.1",                false },
		{ "::1",                    true },
		{ "[::1]",                  true },
		{ "::",                     true },
		{ "::2",                    false },
		{ "::ffff:127.0.0.1",       true },
		{ "::ffff:0.0.0.0",         true },
		{ "::ffff:10.0.0.1",        false },
		{ "10.0.0.1",               false },
		{ "",                       false },
		/* clang-format on */
	};

	(void)state;
	for (size_t i = 0; i < ARRAY_SIZE(table); i++) {
		if (host_is_loopback(table[i].host) != table[i].loopback)
			fail_msg("'%s' should be %d", table[i].host, table[i].loopback);
	}
}

static void valid_hosts_are_names_and_plain_addresses(void **state)
{
	static const char *const good[] = {
		"localhost", "a-b.example.org", "my_host", "127.0.0.1", "::1", "2001:db8::1", "h2",
	};
	static const char *const bad[] = {
		"",       "a b",          "a.",    "a..b", "-a/",    "127.1", "2130706433",
		"0x7f.1", "0x7f000001.1", "[::1]", "a:80", "::1%lo", "a@b",   "a#b",
		"é",      "1.2.3.4.5",    "a.0x1",
	};
	scoped(freep) char *label = xcalloc(1, 65);

	(void)state;
	for (size_t i = 0; i < ARRAY_SIZE(good); i++) {
		if (!host_is_valid(good[i]))
			fail_msg("'%s' is good", good[i]);
	}
	for (size_t i = 0; i < ARRAY_SIZE(bad); i++) {
		if (host_is_valid(bad[i]))
			fail_msg("'%s' is bad", bad[i]);
	}
	memset(label, 'a', 64);
	assert_false(host_is_valid(label));
	assert_true(host_is_valid(label + 1));
}

static void authorities_are_split_strictly(void **state)
{
	static const struct {
		const char *authority;
		const char *host; /* NULL: refused */
		unsigned port;
	} table[] = {
		/* clang-format off */
		{ "localhost",          "localhost", 0 },
		{ "LocalHost.:80",      "localhost", 80 },
		{ "127.0.0.1:65535",    "127.0.0.1", 65535 },
		{ "[::1]",              "::1",       0 },
		{ "[::1]:7070",         "::1",       7070 },
		{ "",                   NULL, 0 },
		{ ":80",                NULL, 0 },
		{ "a:",                 NULL, 0 },
		{ "a:0",                NULL, 0 },
		{ "a:65536",            NULL, 0 },
		{ "a:80:90",            NULL, 0 },
		{ "a: 80",              NULL, 0 },
		{ "a:+80",              NULL, 0 },
		{ "::1",                NULL, 0 },
		{ "[::1",               NULL, 0 },
		{ "[::1]x",             NULL, 0 },
		{ "[::1]]",             NULL, 0 },
		{ "[127.0.0.1]",        NULL, 0 },
		{ "[localhost]",        NULL, 0 },
		{ "[]",                 NULL, 0 },
		{ "user@localhost",     NULL, 0 },
		{ "localhost/x",        NULL, 0 },
		{ "localhost, evil",    NULL, 0 },
		{ "127.1",              NULL, 0 },
		/* clang-format on */
	};

	(void)state;
	for (size_t i = 0; i < ARRAY_SIZE(table); i++) {
		scoped(freep) char *host = NULL;
		unsigned port = 0;
		int r = host_split(table[i].authority, &host, &port);

		if ((r == 0) != (table[i].host != NULL))
			fail_msg("'%s' gave %d", table[i].authority, r);
		if (r < 0)
			continue;
		assert_string_equal(host, table[i].host);
		assert_int_equal(port, table[i].port);
	}
}

static void addresses_that_no_server_has_are_known_in_every_form(void **state)
{
	static const char *const special[] = {
		"0.0.0.0",
		"0.1.2.3",
		"127.0.0.1",
		"127.255.255.255",
		"169.254.169.254",
		"169.254.0.1",
		"100.100.100.200",
		"168.63.129.16",
		"192.0.0.192",
		"224.0.0.1",
		"255.255.255.255",
		"240.0.0.1",
		"::",
		"::1",
		"::ffff:169.254.169.254",
		"::ffff:a9fe:a9fe",
		"::ffff:127.0.0.1",
		"::127.0.0.1",
		"::169.254.169.254",
		"64:ff9b::169.254.169.254",
		"64:ff9b::7f00:1",
		"64:ff9b:1::a9fe:a9fe",
		"2002:a9fe:a9fe::1",
		"2002:7f00:1::",
		"fe80::1",
		"fe80::1%lo",
		"febf::1",
		"fec0::1",
		"ff02::1",
		"fd00:ec2::254",
		"",
		"localhost",
		"127.1",
		"2852039166",
		"0x7f.1",
	};
	static const char *const others[] = {
		"10.0.0.1",        "172.16.0.1",       "192.168.1.1",     "100.64.0.1",
		"8.8.8.8",         "169.253.1.1",      "192.0.2.1",       "223.255.255.255",
		"::ffff:10.0.0.1", "64:ff9b::808:808", "2002:808:808::1", "fd00::1",
		"2001:db8::1",
	};

	(void)state;
	for (size_t i = 0; i < ARRAY_SIZE(special); i++)
		if (!address_is_special(special[i]))
			fail_msg("%s is special", special[i]);
	for (size_t i = 0; i < ARRAY_SIZE(others); i++)
		if (address_is_special(others[i]))
			fail_msg("%s is as good as any", others[i]);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(bad_entries_are_refused),
		cmocka_unit_test(lists_have_what_they_name_in_any_spelling),
		cmocka_unit_test(loopback_is_known_in_every_spelling),
		cmocka_unit_test(addresses_that_no_server_has_are_known_in_every_form),
		cmocka_unit_test(valid_hosts_are_names_and_plain_addresses),
		cmocka_unit_test(authorities_are_split_strictly),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
