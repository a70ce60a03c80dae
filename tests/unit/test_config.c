/* SPDX-License-Identifier: MIT */
#include "config/settings.h"

#include <errno.h>
#include <fcntl.h>
#include <setjmp.h>
#include <stdarg.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>
/* cmocka wants the three above it */
#include <cmocka.h>

#include "base/files.h"
#include "base/mem.h"
#include "base/strbuf.h"
#include "config/ini.h"
#include "config/option.h"
#include "config/places.h"

/* A settings file that is there for one test. */
struct file {
	char path[64];
};

static struct file file_with(const char *text)
{
	struct file file = { .path = "/tmp/previewd-test-config-XXXXXX" };
	int fd = mkstemp(file.path);

	assert_true(fd >= 0);
	assert_int_equal(write(fd, text, strlen(text)), strlen(text));
	close(fd);
	return file;
}

static void file_remove(struct file *file)
{
	unlink(file->path);
}

static void collect(const char *sentence, void *arg)
{
	struct strbuf *collected = arg;

	strbuf_puts(collected, sentence);
	strbuf_putc(collected, '\n');
}

static struct settings *load(const struct settings_sources *sources)
{
	scoped(strbuf_done) struct strbuf warnings = strbuf_init(STRBUF_UNLIMITED);
	scoped(fault_done) struct fault fault = { 0 };
	struct settings *s = NULL;
	int r = settings_load(sources, collect, &warnings, &s, &fault);

	if (r < 0)
		fail_msg("%s", fault.detail);
	assert_string_equal(strbuf_str(&warnings), "");
	return s;
}

static struct settings *load_text(const char *text)
{
	scoped(file_remove) struct file file = file_with(text);
	const struct settings_sources sources = { .config_path = file.path };

	return load(&sources);
}

/* What `text` stands for: @ in it is the file's path. */
static char *with_path(const char *text, const char *path)
{
	scoped(strbuf_done) struct strbuf whole = strbuf_init(STRBUF_UNLIMITED);

	for (; *text; text++) {
		if (*text == '@')
			strbuf_puts(&whole, path);
		else
			strbuf_putc(&whole, *text);
	}
	return strbuf_steal(&whole);
}

static void assert_file_fails(const char *text, const char *sentence)
{
	scoped(file_remove) struct file file = file_with(text);
	scoped(freep) char *expected = with_path(sentence, file.path);
	scoped(fault_done) struct fault fault = { 0 };
	const struct settings_sources sources = { .config_path = file.path };
	struct settings *s = NULL;

	assert_int_equal(settings_load(&sources, NULL, NULL, &s, &fault), -EINVAL);
	assert_null(s);
	assert_int_equal(fault.code, FAULT_BAD_REQUEST);
	assert_string_equal(fault.detail, expected);
}

static void assert_file_warns(const char *text, const char *sentences)
{
	scoped(file_remove) struct file file = file_with(text);
	scoped(freep) char *expected = with_path(sentences, file.path);
	scoped(strbuf_done) struct strbuf warnings = strbuf_init(STRBUF_UNLIMITED);
	scoped(settings_freep) struct settings *s = NULL;
	const struct settings_sources sources = { .config_path = file.path };

	assert_int_equal(settings_load(&sources, collect, &warnings, &s, NULL), 0);
	assert_string_equal(strbuf_str(&warnings), expected);
}

static char *printed(const struct settings *s)
{
	char *text = NULL;
	size_t len = 0;
	FILE *f = open_memstream(&text, &len);

	assert_non_null(f);
	settings_print(s, f);
	fclose(f);
	return text;
}

static void every_default_is_a_value_of_its_option(void **state)
{
	struct settings s = { 0 };

	(void)state;
	for (size_t i = 0; i < OPTION_COUNT; i++)
		if (option_set(&options[i], &s, options[i].default_text) < 0)
			fail_msg("%s.%s", options[i].section, options[i].key);
	for (size_t i = 0; i < OPTION_COUNT; i++)
		option_clear(&options[i], &s);
}

static void options_have_help_and_names_of_their_own(void **state)
{
	(void)state;
	for (size_t i = 0; i < OPTION_COUNT; i++) {
		const struct option *o = &options[i];

		assert_ptr_equal(option_find(o->section, o->key), o);
		assert_true(strlen(o->help) > 0);
		/* PREVIEWD_SECTION_KEY could not be taken apart. */
		assert_null(strchr(o->section, '_'));
	}
}

static void without_any_source_all_is_default(void **state)
{
	scoped(settings_freep) struct settings *s = load_text("");

	(void)state;
	assert_int_equal(s->limits_per_session, 5);
	assert_true(s->probe_budget == 15 * USEC_PER_SEC);
	assert_true(s->server_body_max == 1024 * 1024);
	assert_int_equal(s->store_backend, STORE_BACKEND_SQLITE);
	assert_int_equal(s->auth_jwt_algorithm, JWT_NONE);
	assert_null(s->server_socket);
	assert_false(s->metrics_public);
	assert_int_equal(strv_len(s->server_allowed_hosts), 3);
	assert_non_null(s->cors_origins);
	assert_int_equal(strv_len(s->cors_origins), 0);
	assert_int_equal(s->preview_allow_ports.n, 1);
	assert_int_equal(s->preview_allow_ports.ranges[0].first, 1024);
}

static void each_source_goes_over_the_one_before(void **state)
{
	scoped(file_remove) struct file file = file_with("[limits]\n"
							 "per_session = 6\n"
							 "per_user = 60\n"
							 "probes = 600\n");
	static const char *const environment[] = { "PREVIEWD_LIMITS_PER_USER=70",
						   "PREVIEWD_LIMITS_PROBES=700", NULL };
	static const char *const overrides[] = { "limits.probes=800", NULL };
	const struct settings_sources sources = { .config_path = file.path,
						  .environment = environment,
						  .overrides = overrides };
	scoped(settings_freep) struct settings *s = load(&sources);

	(void)state;
	assert_int_equal(s->limits_tokens_per_session, 20);
	assert_int_equal(s->limits_per_session, 6);
	assert_int_equal(s->limits_per_user, 70);
	assert_int_equal(s->limits_probes, 800);
	assert_string_equal(settings_file(s), file.path);
}

static void the_form_of_a_file_is_forgiving_about_blanks(void **state)
{
	scoped(settings_freep) struct settings *s = load_text("\xef\xbb\xbf# a comment\r\n"
							      "  ; another\r\n"
							      "\r\n"
							      " [ limits ] \r\n"
							      "\tper_session\t=  7 \r\n"
							      "[auth]\n"
							      "jwt_issuer=\" a \\\"b\\\" c\\\\ \"\n"
							      "jwt_audience = x = y\n"
							      "[limits]\n"
							      "per_user=8");

	(void)state;
	assert_int_equal(s->limits_per_session, 7);
	assert_int_equal(s->limits_per_user, 8);
	assert_string_equal(s->auth_jwt_issuer, " a \"b\" c\\ ");
	assert_string_equal(s->auth_jwt_audience, "x = y");
}

static void a_malformed_line_is_named(void **state)
{
	(void)state;
	assert_file_fails("[limits\n", "@:1: a section's line must be of the form [section]");
	assert_file_fails("\n[]\n", "@:2: a section's line must be of the form [section]");
	assert_file_fails("[ ]\n", "@:1: a section's line must be of the form [section]");
	assert_file_fails("[", "@:1: a section's line must be of the form [section]");
	assert_file_fails("per_user = 5\n", "@:1: a key must stand below a [section]");
	assert_file_fails("[limits]\n= 5\n", "@:2: there is no key before the =");
	assert_file_fails("[limits]\r\n\r\nper_user\r\n",
			  "@:3: this is neither [section] nor key = value nor a comment");
	assert_file_fails("[auth]\njwt_issuer = \"a\n", "@:2: the closing quote is missing");
	assert_file_fails("[auth]\njwt_issuer = \"\n", "@:2: the closing quote is missing");
	assert_file_fails(
		"[auth]\njwt_issuer = \"a\" # b\n",
		"@:2: there is more behind the closing quote (a quote that belongs to the "
		"value is written \\\", a comment stands on a line of its own)");
}

static void a_nul_byte_is_refused(void **state)
{
	static const char text[] = "[a]\nb = c\0d\n";
	scoped(ini_done) struct ini ini = ini_of(text, sizeof(text) - 1);

	(void)state;
	assert_int_equal(ini_next(&ini), 1);
	assert_int_equal(ini_next(&ini), -EINVAL);
	assert_int_equal(ini.line, 2);
	assert_string_equal(ini.problem, "there is a NUL byte in the line");
}

static void a_bad_value_fails_with_its_place_and_what_is_right(void **state)
{
	(void)state;
	assert_file_fails("[limits]\nper_user = 5\nper_session = abc\n",
			  "@:3: limits.per_session: must be a whole number from 1 to 10000, not "
			  "\"abc\"");
	assert_file_fails("[metrics]\npublic = maybe\n",
			  "@:2: metrics.public: must be yes or no, not \"maybe\"");
	assert_file_fails("[server]\nheader_timeout = 2h\n",
			  "@:2: server.header_timeout: must be a duration from 1s to 1h, not "
			  "\"2h\"");
	assert_file_fails("[events]\nmemory_max = 1K\n",
			  "@:2: events.memory_max: must be a size of at least 64K, not \"1K\"");
	assert_file_fails("[server]\nsocket = run/x\n",
			  "@:2: server.socket: must be an absolute path or \"none\", not "
			  "\"run/x\"");
	assert_file_fails("[store]\nbackend = redis\n",
			  "@:2: store.backend: must be one of sqlite, memory, not \"redis\"");
	assert_file_fails("[preview]\nallow_ports = 0\n",
			  "@:2: preview.allow_ports: must be ports and ranges from 1 to 65535 such "
			  "as 1024-65535,80, at most 64 of them, not \"0\"");
	assert_file_fails(
		"[server]\nlisten = "
		"a:1,a:2,a:3,a:4,a:5,a:6,a:7,a:8,a:9,a:0,a:1,a:2,a:3,a:4,a:5,a:6,a:7\n",
		"@:2: server.listen: must be a list of HOST:PORT or [IPV6]:PORT separated "
		"by commas, of at most 16, not "
		"\"a:1,a:2,a:3,a:4,a:5,a:6,a:7,a:8,a:9,a:0,a:1,a:2,a:3,a:4,a:5,a:6,a:7\"");
	/* Of a list it is the wrong one that is named. */
	assert_file_fails("[server]\ntrusted_proxies = 10.0.0.0/8, proxy, ::1\n",
			  "@:2: server.trusted_proxies: must be a list of addresses or networks "
			  "separated by commas, of at most 64, not \"proxy\"");
}

static void assert_override_fails(const char *override, const char *sentence)
{
	scoped(file_remove) struct file file = file_with("");
	scoped(fault_done) struct fault fault = { 0 };
	const char *const overrides[] = { override, NULL };
	const struct settings_sources sources = { .config_path = file.path,
						  .overrides = overrides };
	struct settings *s = NULL;

	assert_int_equal(settings_load(&sources, NULL, NULL, &s, &fault), -EINVAL);
	assert_string_equal(fault.detail, sentence);
}

static void a_bad_argument_is_named(void **state)
{
	(void)state;
	assert_override_fails("limits.per_user=0",
			      "command line: limits.per_user: must be a whole number from 1 to "
			      "1000000, not \"0\"");
	assert_override_fails("limits.per_usr=1",
			      "command line: there is no setting limits.per_usr; did you mean "
			      "limits.per_user?");
	assert_override_fails("colour.of_hair=1",
			      "command line: there is no setting colour.of_hair");
	assert_override_fails("limits.per_user",
			      "command line: a setting is written section.key=value, not "
			      "\"limits.per_user\"");
	assert_override_fails("per_user=a.b",
			      "command line: a setting is written section.key=value, not "
			      "\"per_user=a.b\"");
	assert_override_fails("auth.jwt_issuer=a\nb",
			      "command line: auth.jwt_issuer: must be a line of text, not "
			      "\"a\nb\"");
}

static void a_bad_variable_is_named(void **state)
{
	static const char *const environment[] = { "PREVIEWD_LIMITS_PER_USER=", NULL };
	scoped(file_remove) struct file file = file_with("");
	scoped(fault_done) struct fault fault = { 0 };
	const struct settings_sources sources = { .config_path = file.path,
						  .environment = environment };
	struct settings *s = NULL;

	(void)state;
	assert_int_equal(settings_load(&sources, NULL, NULL, &s, &fault), -EINVAL);
	assert_string_equal(fault.detail, "PREVIEWD_LIMITS_PER_USER: limits.per_user: must be a "
					  "whole number from 1 to 1000000, not \"\"");
}

static void each_type_takes_its_good_values_and_no_others(void **state)
{
	/* clang-format off */
	static const struct {
		const char *section, *key, *text;
		const char *formatted; /* NULL: refused */
	} rows[] = {
		{ "metrics", "public", "yes", "yes" },
		{ "metrics", "public", "true", "yes" },
		{ "metrics", "public", "0", "no" },
		{ "metrics", "public", "", NULL },
		{ "metrics", "public", "YES ", NULL },
		{ "limits", "per_session", "1", "1" },
		{ "limits", "per_session", "10000", "10000" },
		{ "limits", "per_session", "0", NULL },
		{ "limits", "per_session", "10001", NULL },
		{ "limits", "per_session", "99999999999999999999", NULL },
		{ "limits", "per_session", "-1", NULL },
		{ "limits", "per_session", "5 # five", NULL },
		{ "probe", "budget", "0s", "0s" },
		{ "probe", "budget", "2m", "2m" },
		{ "probe", "budget", "90", "1m30s" },
		{ "probe", "budget", "1500ms", "1500ms" },
		{ "probe", "budget", "121s", NULL },
		{ "probe", "budget", "infinity", NULL },
		{ "probe", "budget", "soon", NULL },
		{ "probe", "http_timeout", "999ms", NULL },
		{ "server", "body_max", "1024", "1K" },
		{ "server", "body_max", "1G", "1G" },
		{ "server", "body_max", "1023", NULL },
		{ "server", "body_max", "2G", NULL },
		{ "server", "body_max", "1MB", NULL },
		{ "events", "memory_max", "1000G", "1000G" },
		{ "auth", "jwt_issuer", "", "" },
		{ "auth", "jwt_issuer", "a\tb", "a\tb" },
		{ "auth", "jwt_issuer", "a\x1b[0m", NULL },
		{ "auth", "jwt_key_file", "/etc/key", "/etc/key" },
		{ "auth", "jwt_key_file", "", "" },
		{ "auth", "jwt_key_file", "none", NULL },
		{ "server", "socket", "none", "none" },
		{ "server", "allowed_hosts", " a , ,b", "a, b" },
		{ "server", "allowed_hosts", "", "" },
		{ "server", "allowed_hosts", "*.example.org, [::1]", "*.example.org, [::1]" },
		{ "server", "allowed_hosts", "http://a", NULL },
		{ "server", "listen", "0.0.0.0:0, [::1]:7070", "0.0.0.0:0, [::1]:7070" },
		{ "server", "listen", "7070", NULL },
		{ "server", "listen", "::1:80", NULL },
		{ "server", "listen", "127.0.0.1:65536", NULL },
		{ "server", "trusted_proxies", "10.0.0.0/8, ::1", "10.0.0.0/8, ::1" },
		{ "server", "trusted_proxies", "10.0.0.0/33", NULL },
		{ "server", "trusted_proxies", "localhost", NULL },
		{ "server", "public_base_url", "https://p.example.org:8443/x", "https://p.example.org:8443/x" },
		{ "server", "public_base_url", "", "" },
		{ "server", "public_base_url", "p.example.org", NULL },
		{ "server", "public_base_url", "https://", NULL },
		{ "server", "public_base_url", "https://a b", NULL },
		{ "cors", "origins", "https://a.example, http://[::1]:3000", "https://a.example, http://[::1]:3000" },
		{ "cors", "origins", "a.example", NULL },
		{ "cors", "origins", "https://a.example/", NULL },
		{ "cors", "origins", "https://a.example:443", NULL },
		{ "cors", "origins", "*", NULL },
		{ "preview", "public_url_template", "https://{label}.p.example/{app_id}", "https://{label}.p.example/{app_id}" },
		{ "preview", "public_url_template", "https://{lable}.p.example", NULL },
		{ "preview", "public_url_template", "https://{label.p.example", NULL },
		{ "preview", "public_url_template", "https://label}.p.example", NULL },
		{ "preview", "public_url_template", "https://{{label}}.p.example", NULL },
		{ "preview", "public_url_template", "{label}.p.example", NULL },
		{ "publish", "host_template", "{label}.localhost:7070", "{label}.localhost:7070" },
		{ "publish", "host_template", "p.example", NULL },
		{ "publish", "host_template", "https://{label}.p.example", NULL },
		{ "publish", "registries", "*.npmjs.org, localhost:4873, ::1", "*.npmjs.org, localhost:4873, ::1" },
		{ "publish", "registries", "https://registry.npmjs.org", NULL },
		{ "auth", "jwt_algorithm", "ES256", "ES256" },
		{ "auth", "jwt_algorithm", "es256", NULL },
		{ "auth", "jwt_algorithm", "", NULL },
		{ "auth", "jwt_algorithm", "none,HS256", NULL },
		{ "preview", "allow_ports", "3000, 8000-8999", "3000,8000-8999" },
		{ "preview", "allow_ports", "9-8", NULL },
		{ "preview", "allow_ports", "65536", NULL },
		{ "preview", "allow_ports", "", NULL },
	};
	/* clang-format on */
	scoped(settings_freep) struct settings *s = load_text("");

	(void)state;
	for (size_t i = 0; i < ARRAY_SIZE(rows); i++) {
		scoped(strbuf_done) struct strbuf before = strbuf_init(STRBUF_UNLIMITED);
		scoped(strbuf_done) struct strbuf after = strbuf_init(STRBUF_UNLIMITED);
		const struct option *o = option_find(rows[i].section, rows[i].key);
		int r;

		option_format(o, s, &before);
		r = option_set(o, s, rows[i].text);
		if (r != (rows[i].formatted ? 0 : -EINVAL))
			fail_msg("%s.%s = %s: %d", o->section, o->key, rows[i].text, r);
		option_format(o, s, &after);
		assert_string_equal(strbuf_str(&after),
				    rows[i].formatted ? rows[i].formatted : strbuf_str(&before));
	}
}

static void what_is_unknown_is_warned_about_with_a_hint(void **state)
{
	(void)state;
	assert_file_warns("[limits]\n\nper_sesion = 1\n",
			  "@:3: there is no setting limits.per_sesion, ignoring it; did you mean "
			  "limits.per_session?\n");
	assert_file_warns("[server]\nper_session = 1\n",
			  "@:2: there is no setting server.per_session, ignoring it; did you mean "
			  "limits.per_session?\n");
	assert_file_warns("[limits]\ncolour = red\n",
			  "@:2: there is no setting limits.colour, ignoring it\n");
	/* One warning speaks for all that is in it. */
	assert_file_warns(
		"[limit]\nper_session = 1\nper_user = x\n[log]\nlevel = debug\n",
		"@:1: there is no section [limit], ignoring it; did you mean [limits]?\n");
	assert_file_warns("[colours]\n", "@:1: there is no section [colours], ignoring it\n");
}

static void a_key_that_stands_twice_is_warned_about_and_the_later_counts(void **state)
{
	static const char text[] = "[limits]\nper_user = 3\n[log]\n[limits]\nper_user = 4\n";
	scoped(file_remove) struct file file = file_with(text);
	scoped(settings_freep) struct settings *s = NULL;
	const struct settings_sources sources = { .config_path = file.path };

	(void)state;
	assert_file_warns(text, "@:5: limits.per_user stands already in line 2; this one counts\n");
	assert_int_equal(settings_load(&sources, NULL, NULL, &s, NULL), 0);
	assert_int_equal(s->limits_per_user, 4);
}

static void a_comment_behind_a_value_is_warned_about(void **state)
{
	scoped(settings_freep) struct settings *quoted = NULL;

	(void)state;
	assert_file_warns(
		"[auth]\njwt_issuer = me # them\n",
		"@:2: auth.jwt_issuer: what looks like a comment is part of the value; "
		"comments stand on lines of their own, and a value in quotes is not warned "
		"about\n");
	quoted = load_text("[auth]\njwt_issuer = \"me # them\"\n");
	assert_string_equal(quoted->auth_jwt_issuer, "me # them");
}

static void only_variables_of_a_section_are_ours_to_warn_about(void **state)
{
	static const char *const environment[] = {
		"PREVIEWD_SOCKET=/run/x",   "PREVIEWD_URL=http://localhost",
		"PREVIEWD_TOKEN=t",         "PREVIEWD_SESSION_ID=s",
		"PREVIEWD_LIMITS=1",        "PREVIEWD_LIMITS_PER_SESION=1",
		"PREVIEWD_LIMITS_COLOUR=1", "PREVIEWD_LIMITS_PER_USER=9",
		"LIMITS_PER_SESION=1",      NULL
	};
	scoped(file_remove) struct file file = file_with("");
	scoped(strbuf_done) struct strbuf warnings = strbuf_init(STRBUF_UNLIMITED);
	scoped(settings_freep) struct settings *s = NULL;
	const struct settings_sources sources = { .config_path = file.path,
						  .environment = environment };

	(void)state;
	assert_int_equal(settings_load(&sources, collect, &warnings, &s, NULL), 0);
	assert_int_equal(s->limits_per_user, 9);
	assert_string_equal(strbuf_str(&warnings),
			    "PREVIEWD_LIMITS_PER_SESION: there is no setting of this name, "
			    "ignoring it; did you mean PREVIEWD_LIMITS_PER_SESSION?\n"
			    "PREVIEWD_LIMITS_COLOUR: there is no setting of this name, ignoring "
			    "it\n");
}

static void a_file_that_was_asked_for_must_be_there_and_readable(void **state)
{
	scoped(fault_done) struct fault fault = { 0 };
	struct settings_sources sources = { .config_path = "/nonexistent/previewd.conf" };
	struct settings *s = NULL;

	(void)state;
	assert_int_equal(settings_load(&sources, NULL, NULL, &s, &fault), -EINVAL);
	assert_string_equal(fault.detail,
			    "The settings file /nonexistent/previewd.conf does not exist");

	sources.config_path = "/";
	assert_int_equal(settings_load(&sources, NULL, NULL, &s, &fault), -EINVAL);
	assert_string_equal(fault.detail, "The settings file / cannot be read: Is a directory");
	assert_null(s);
}

static void a_printed_value_says_where_it_came_from(void **state)
{
	scoped(file_remove) struct file file = file_with("[limits]\nper_session = 6\n");
	static const char *const environment[] = { "PREVIEWD_LIMITS_PER_USER=70", NULL };
	static const char *const overrides[] = { "limits.probes=800", NULL };
	const struct settings_sources sources = { .config_path = file.path,
						  .environment = environment,
						  .overrides = overrides };
	scoped(settings_freep) struct settings *s = load(&sources);
	scoped(freep) char *expected = with_path("\n[limits]\n"
						 "# from @:2\n"
						 "per_session = 6\n"
						 "# from the environment\n"
						 "per_user = 70\n"
						 "# default\n"
						 "sessions_per_user = 10000\n"
						 "# default\n"
						 "tokens_per_session = 20\n"
						 "# from the command line\n"
						 "probes = 800\n",
						 file.path);
	scoped(freep) char *text = printed(s);

	(void)state;
	assert_non_null(strstr(text, expected));
}

/* What a print means, whatever the values' origins. */
static char *without_comments(const char *text)
{
	scoped(strbuf_done) struct strbuf rest = strbuf_init(STRBUF_UNLIMITED);

	while (*text) {
		size_t len = strcspn(text, "\n");

		len += text[len] == '\n';
		if (*text != '#')
			strbuf_add(&rest, text, len);
		text += len;
	}
	return strbuf_steal(&rest);
}

static char *printed_values(const struct settings *s)
{
	scoped(freep) char *text = printed(s);

	return without_comments(text);
}

static void what_is_printed_loads_as_the_same(void **state)
{
	static const char *const overrides[] = {
		"server.listen=127.0.0.1:1, [::1]:2",
		"server.socket=none",
		"server.body_max=1536K",
		"auth.jwt_algorithm=RS256",
		"auth.jwt_issuer= \"quoted\\\" ",
		"auth.jwt_audience=a # b ; c",
		"auth.jwt_leeway=1500ms",
		"publish.node_path=\"",
		"preview.allow_ports=3000,4000-4999",
		"metrics.public=on",
		NULL,
	};
	scoped(file_remove) struct file empty = file_with("");
	const struct settings_sources sources = { .config_path = empty.path,
						  .overrides = overrides };
	scoped(settings_freep) struct settings *s = load(&sources);
	scoped(freep) char *text = printed(s);
	scoped(settings_freep) struct settings *again = load_text(text);
	scoped(freep) char *values = printed_values(s);
	scoped(freep) char *values_again = printed_values(again);

	(void)state;
	assert_string_equal(values_again, values);
	assert_string_equal(again->auth_jwt_issuer, " \"quoted\\\" ");
	assert_string_equal(again->auth_jwt_audience, "a # b ; c");
	assert_string_equal(again->publish_node_path, "\"");
	assert_string_equal(again->server_listen[1], "[::1]:2");
	assert_int_equal(again->auth_jwt_algorithm, JWT_RS256);
}

static void only_what_a_reload_cannot_take_over_needs_a_restart(void **state)
{
	scoped(strbuf_done) struct strbuf changed = strbuf_init(STRBUF_UNLIMITED);
	scoped(settings_freep) struct settings *before = load_text("[server]\nlisten = a:1, b:2\n");
	scoped(settings_freep) struct settings *same = load_text("[server]\nlisten = a:1,b:2\n"
								 "[limits]\nper_user = 9\n");
	scoped(settings_freep) struct settings *after =
		load_text("[events]\nring = 9\n[server]\nlisten = b:2\nstate_dir = /s\n");

	(void)state;
	settings_need_restart(before, same, collect, &changed);
	assert_string_equal(strbuf_str(&changed), "");

	settings_need_restart(before, after, collect, &changed);
	assert_string_equal(
		strbuf_str(&changed),
		"server.listen: the change from \"a:1, b:2\" to \"b:2\" needs a restart\n"
		"server.state_dir: the change from \"\" to \"/s\" needs a restart\n"
		"events.ring: the change from \"500\" to \"9\" needs a restart\n");
}

static void assert_place_consume(char *place, const char *expected)
{
	if (expected)
		assert_string_equal(place, expected);
	else
		assert_null(place);
	free(place);
}

static void the_socket_is_where_the_environment_says(void **state)
{
	(void)state;
	assert_place_consume(place_of_socket("/run/a:/run/b", "/run/user/7", 7),
			     "/run/a/previewd.sock");
	assert_place_consume(place_of_socket(NULL, "/run/user/7", 7),
			     "/run/user/7/previewd/previewd.sock");
	assert_place_consume(place_of_socket("", "relative", 0), "/run/previewd/previewd.sock");
	assert_place_consume(place_of_socket(NULL, NULL, 7), "/tmp/previewd-7/previewd.sock");
}

static void the_state_is_where_the_environment_says(void **state)
{
	(void)state;
	assert_place_consume(place_of_state("/var/lib/a:/var/lib/b", "/x", "/home/u", 7),
			     "/var/lib/a");
	assert_place_consume(place_of_state(NULL, "/x", "/home/u", 7), "/x/previewd");
	assert_place_consume(place_of_state(NULL, "", "/home/u", 7),
			     "/home/u/.local/state/previewd");
	assert_place_consume(place_of_state(NULL, NULL, NULL, 0), "/var/lib/previewd");
	assert_place_consume(place_of_state(NULL, NULL, NULL, 7), NULL);
}

static void root_reads_the_systems_file_and_others_their_own_first(void **state)
{
	static const char system_file[] = SYSCONFDIR "/previewd/previewd.conf";
	scoped(strv_freep) char **root = places_of_settings("/x", "/root", 0);
	scoped(strv_freep) char **user = places_of_settings("/x", "/home/u", 7);
	scoped(strv_freep) char **home = places_of_settings(NULL, "/home/u", 7);
	scoped(strv_freep) char **nobody = places_of_settings(NULL, NULL, 7);

	(void)state;
	assert_int_equal(strv_len(root), 1);
	assert_string_equal(root[0], system_file);
	assert_int_equal(strv_len(user), 2);
	assert_string_equal(user[0], "/x/previewd/previewd.conf");
	assert_string_equal(user[1], system_file);
	assert_string_equal(home[0], "/home/u/.config/previewd/previewd.conf");
	assert_int_equal(strv_len(nobody), 1);
}

/* The default places depend on who asks, and nothing is unreadable to root. */
static void become(uid_t uid)
{
	if (getuid() == 0)
		assert_int_equal(seteuid(uid), 0);
}

static void another_users_own_file_is_read_and_must_be_readable(void **state)
{
	char home[] = "/tmp/previewd-test-config-XXXXXX";
	scoped(freep) char *directory = NULL;
	scoped(freep) char *path = NULL;
	scoped(freep) char *variable = NULL;
	scoped(fault_done) struct fault fault = { 0 };
	scoped(settings_freep) struct settings *s = NULL;
	struct settings *none = NULL;

	(void)state;
	assert_non_null(mkdtemp(home));
	directory = xasprintf("%s/previewd", home);
	path = xasprintf("%s/previewd.conf", directory);
	variable = xasprintf("XDG_CONFIG_HOME=%s", home);
	assert_int_equal(chmod(home, 0755), 0);
	assert_int_equal(mkdir_parents(directory, 0755), 0);
	assert_int_equal(write_file_at(AT_FDCWD, path, "[limits]\nper_user = 7\n", 22, 0644), 0);

	const char *const environment[] = { variable, NULL };
	const struct settings_sources sources = { .environment = environment };

	become(65534);
	s = load(&sources);
	become(0);
	assert_int_equal(s->limits_per_user, 7);
	assert_string_equal(settings_file(s), path);

	assert_int_equal(chmod(path, 0), 0);
	become(65534);
	assert_int_equal(settings_load(&sources, NULL, NULL, &none, &fault), -EINVAL);
	become(0);
	assert_non_null(strstr(fault.detail, "previewd.conf cannot be read: Permission denied"));

	unlink(path);
	rmdir(directory);
	rmdir(home);
}

/* The sample as somebody leaves it who takes away the sign before every setting. */
static char *uncommented(const char *text)
{
	scoped(strbuf_done) struct strbuf rest = strbuf_init(STRBUF_UNLIMITED);
	bool at_start = true;

	for (; *text; text++) {
		if (!at_start || *text != '#' || text[1] == ' ')
			strbuf_putc(&rest, *text);
		at_start = *text == '\n';
	}
	return strbuf_steal(&rest);
}

/* The build has made it beneath the directory that the tests run in. */
static char *sample_file(void)
{
	char *text = NULL;

	assert_int_equal(
		read_file_at(AT_FDCWD, "etc/previewd.conf.sample", 1024 * 1024, &text, NULL), 0);
	return text;
}

static void the_sample_says_every_default(void **state)
{
	scoped(freep) char *sample = sample_file();
	scoped(freep) char *text = uncommented(sample);
	scoped(settings_freep) struct settings *from_text = load_text(text);
	scoped(settings_freep) struct settings *defaults = load_text("");
	scoped(freep) char *origins = printed(from_text);
	scoped(freep) char *values = printed_values(from_text);
	scoped(freep) char *default_values = printed_values(defaults);

	(void)state;
	settings_free(load_text(sample)); /* as it is, it is a good file too */
	assert_null(strstr(origins, "# default\n"));
	assert_string_equal(values, default_values);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(every_default_is_a_value_of_its_option),
		cmocka_unit_test(options_have_help_and_names_of_their_own),
		cmocka_unit_test(without_any_source_all_is_default),
		cmocka_unit_test(each_source_goes_over_the_one_before),
		cmocka_unit_test(the_form_of_a_file_is_forgiving_about_blanks),
		cmocka_unit_test(a_malformed_line_is_named),
		cmocka_unit_test(a_nul_byte_is_refused),
		cmocka_unit_test(a_bad_value_fails_with_its_place_and_what_is_right),
		cmocka_unit_test(a_bad_argument_is_named),
		cmocka_unit_test(a_bad_variable_is_named),
		cmocka_unit_test(each_type_takes_its_good_values_and_no_others),
		cmocka_unit_test(what_is_unknown_is_warned_about_with_a_hint),
		cmocka_unit_test(a_key_that_stands_twice_is_warned_about_and_the_later_counts),
		cmocka_unit_test(a_comment_behind_a_value_is_warned_about),
		cmocka_unit_test(only_variables_of_a_section_are_ours_to_warn_about),
		cmocka_unit_test(a_file_that_was_asked_for_must_be_there_and_readable),
		cmocka_unit_test(a_printed_value_says_where_it_came_from),
		cmocka_unit_test(what_is_printed_loads_as_the_same),
		cmocka_unit_test(only_what_a_reload_cannot_take_over_needs_a_restart),
		cmocka_unit_test(the_socket_is_where_the_environment_says),
		cmocka_unit_test(the_state_is_where_the_environment_says),
		cmocka_unit_test(root_reads_the_systems_file_and_others_their_own_first),
		cmocka_unit_test(another_users_own_file_is_read_and_must_be_readable),
		cmocka_unit_test(the_sample_says_every_default),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
