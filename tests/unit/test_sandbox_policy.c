/* SPDX-License-Identifier: MIT */
/* The sandbox's policy as arguments, and why it can't be had: both without a sandbox. */
#include "proc/sandbox_priv.h"

#include "base/mem.h"
#include "base/parse.h"
#include "base/strbuf.h"

#include <errno.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stdint.h>
#include <string.h>
/* cmocka wants setjmp.h and the two after it above it */
#include <cmocka.h>

static char usr_bin[] = "usr/bin", bwrap[] = "/usr/bin/bwrap", resolv_conf[] = "/run/resolv.conf",
	    inside[] = "/opt/libexec/previewd-sandbox";

static const struct sandbox_host host = {
	.roots = { { .path = "/bin", .link = usr_bin, .exists = true },
		   { .path = "/lib", .exists = true },
		   { .path = "/lib32" } },
	.bwrap = bwrap,
	.inside = inside,
	.resolv_conf = resolv_conf,
};

/* The arguments with a space behind each. */
static char *args_of(const struct sandbox_request *request)
{
	struct strbuf args = strbuf_init(STRBUF_UNLIMITED);

	sandbox_args(&args, &host, request);
	for (size_t i = 0; i < args.len; i++)
		if (args.data[i] == '\0')
			args.data[i] = ' ';
	return strbuf_steal(&args);
}

static const char *const command[] = { "npm", "run", "build", NULL };

static void assert_has(const char *args, const char *wanted)
{
	if (!strstr(args, wanted))
		fail_msg("'%s' is not among: %s", wanted, args);
}

static void assert_has_not(const char *args, const char *unwanted)
{
	if (strstr(args, unwanted))
		fail_msg("'%s' is among: %s", unwanted, args);
}

static void assert_order(const char *args, const char *first, const char *second)
{
	assert_has(args, first);
	assert_has(args, second);
	if (strstr(args, first) > strstr(args, second))
		fail_msg("'%s' comes before '%s' in: %s", second, first, args);
}

static void every_sandbox_has_all_that_holds_it(void **state)
{
	static const char *const wanted[] = {
		"--unshare-user ",
		"--unshare-pid ",
		"--unshare-ipc ",
		"--unshare-uts ",
		"--unshare-net ",
		"--disable-userns ",
		"--cap-drop ALL ",
		"--die-with-parent ",
		"--new-session ",
		"--clearenv ",
		"--seccomp 6 ",
		"--json-status-fd 5 ",
		"--ro-bind /usr /usr ",
		"--symlink usr/bin /bin ",
		"--ro-bind /lib /lib ",
		"--ro-bind-data 7 /etc/passwd ",
		"--ro-bind-data 8 /etc/group ",
		"--ro-bind-data 9 /etc/hosts ",
		"--bind /srv/app /build ",
		"--ro-bind /opt/libexec/previewd-sandbox /run/previewd/sandbox ",
		"--setenv HOME /home/build ",
		"--setenv PATH /usr/local/bin:/usr/bin:/bin ",
	};
	scoped(freep) char *args =
		args_of(&(struct sandbox_request){ .argv = command, .workdir = "/srv/app" });

	(void)state;
	for (size_t i = 0; i < ARRAY_SIZE(wanted); i++)
		assert_has(args, wanted[i]);
	assert_has_not(args, "/lib32");
	assert_has(args, "--ro-bind-try /etc/ssl/certs /etc/ssl/certs ");
	assert_has_not(args, "/etc/ssl "); /* with the machine's keys in it */
	assert_has_not(args, "/etc/pki ");
	assert_has_not(args, "private");
	assert_has_not(args, "resolv.conf");
	assert_has_not(args, "PROXY");
	assert_has_not(args, "npm"); /* the command is no secret, and stands where all can see it */
	/* What is unbounded gets its end, and only then is it closed. */
	assert_order(args, "--proc /proc ", "--ro-bind-try /proc/sys /proc/sys ");
	assert_order(args, "--dev /dev ", "--tmpfs /dev/shm ");
	assert_order(args, "--tmpfs /dev/shm ", "--remount-ro /dev ");
	assert_order(args, "--bind /srv/app /build ", "--remount-ro / ");
	assert_order(args, "--remount-ro / ", "--chdir /build ");
}

static void a_request_adds_what_it_asks_for(void **state)
{
	const struct sandbox_bind binds[] = {
		{ .source = "/store/1", .target = "/build/node_modules" },
		{ .target = "/build/node_modules/.cache", .is_tmpfs = true },
		{ .source = "/cache/ada", .target = "/cache", .is_writable = true },
	};
	scoped(freep) char *args = args_of(&(struct sandbox_request){
		.argv = command,
		.workdir = "/srv/app",
		.cwd = "packages/web",
		.environ_ = (const char *const[]){ "HOME=/elsewhere", "A=b=c d", NULL },
		.node = "/opt/node22",
		.path = "/tools",
		.binds = binds,
		.n_binds = ARRAY_SIZE(binds),
	});

	(void)state;
	assert_has(args, "--chdir /build/packages/web ");
	assert_has(args, "--setenv PATH /tools:/opt/node22/bin:/usr/local/bin:/usr/bin:/bin ");
	assert_has(args, "--ro-bind /opt/node22 /opt/node22 ");
	assert_has(args, "--setenv A b=c d ");
	assert_order(args, "--setenv HOME /home/build ", "--setenv HOME /elsewhere ");
	assert_order(args, "--bind /srv/app /build ", "--ro-bind /store/1 /build/node_modules ");
	assert_order(args, "--ro-bind /store/1 /build/node_modules ",
		     "--size 268435456 --tmpfs /build/node_modules/.cache ");
	assert_has(args, "--bind /cache/ada /cache ");
}

static void the_network_is_what_was_asked_for(void **state)
{
	scoped(freep) char *proxied = args_of(&(struct sandbox_request){
		.argv = command,
		.workdir = "/srv/app",
		.network = SANDBOX_PROXY,
		.proxy_socket = "/run/p.sock",
	});
	scoped(freep) char *open = args_of(&(struct sandbox_request){
		.argv = command,
		.workdir = "/srv/app",
		.network = SANDBOX_HOST_NETWORK,
	});

	(void)state;
	assert_has(proxied, "--unshare-net ");
	assert_has(proxied, "--ro-bind /run/p.sock /run/previewd/proxy.sock ");
	assert_has(proxied, "--setenv HTTPS_PROXY http://127.0.0.1:3128 ");
	assert_has(proxied, "--setenv npm_config_https_proxy http://127.0.0.1:3128 ");
	assert_has_not(open, "--unshare-net");
	assert_has(open, "--ro-bind /run/resolv.conf /etc/resolv.conf ");
}

static char *joined(char **list)
{
	struct strbuf b = strbuf_init(STRBUF_UNLIMITED);

	for (char **s = list; *s; s++)
		strbuf_printf(&b, "%s ", *s);
	return strbuf_steal(&b);
}

static void the_command_line_has_the_limits_and_nothing_of_the_host(void **state)
{
	struct sandbox_request request = {
		.argv = command,
		.workdir = "/srv/app",
		.network = SANDBOX_PROXY,
		.limits = { .memory = 1000, .file_size = 2000, .processes = 30, .files = 40 },
	};
	scoped(strv_freep) char **isolated = NULL;
	scoped(strv_freep) char **bare = NULL;
	scoped(freep) char *isolated_text = NULL;
	scoped(freep) char *bare_text = NULL;

	(void)state;
	isolated = sandbox_command(&host, &request, &request.limits, true);
	isolated_text = joined(isolated);
	assert_string_equal(isolated_text,
			    "/usr/bin/bwrap --args 4 -- /run/previewd/sandbox -i -n 62 -g 3 "
			    "-d 1000 -f 2000 -o 40 -p /run/previewd/proxy.sock -- npm run build ");
	bare = sandbox_command(&host, &request, &request.limits, false);
	bare_text = joined(bare);
	assert_string_equal(
		bare_text,
		"/opt/libexec/previewd-sandbox -g 3 -d 1000 -f 2000 -o 40 -- npm run build ");
}

static void a_bare_runs_environment_has_each_name_once(void **state)
{
	const struct sandbox_request request = {
		.argv = command,
		.workdir = "/srv/app",
		.environ_ = (const char *const[]){ "CI=", "A=1", NULL },
	};
	scoped(strv_freep) char **environ_ = sandbox_environ(&request, "mark");

	(void)state;
	assert_true(strv_has(environ_, "CI="));
	assert_false(strv_has(environ_, "CI=1"));
	assert_true(strv_has(environ_, "A=1"));
	assert_true(strv_has(environ_, "PREVIEWD_TASK_MARK=mark"));
}

/* ---- why not ---- */

static const struct sandbox_facts working = {
	.has_seccomp = true,
	.has_inside = true,
	.has_bwrap = true,
	.said = "",
	.userns_clone = -1,
	.userns_max = 10000,
	.apparmor_restricts = -1,
};

#define FACTS(...)                                 \
	({                                         \
		struct sandbox_facts f_ = working; \
		struct sandbox_facts *f = &f_;     \
		(void)f;                           \
		__VA_ARGS__;                       \
		f_;                                \
	})

static void each_cause_has_its_remedy(void **state)
{
	static const char no_permission[] =
		"bwrap: No permissions to create new namespace, likely because the kernel does not "
		"allow non-privileged user namespaces.\n";
	static const char no_proc[] =
		"bwrap: Can't mount proc on /newroot/proc: Operation not permitted\n";
	const struct {
		struct sandbox_facts facts;
		const char *remedy;
	} cases[] = {
		{ FACTS(f->has_seccomp = false), "libseccomp-dev" },
		{ FACTS(f->has_inside = false), "install previewd again" },
		{ FACTS(f->has_bwrap = false), "apt install bubblewrap" },
		{ FACTS(f->said = "bwrap: Unknown option --disable-userns\n"), "0.8 or newer" },
		{ FACTS(f->said = "bwrap: setting up uid map: Permission denied\n",
			f->apparmor_restricts = 1),
		  "profile bwrap /usr/bin/bwrap flags=(unconfined)" },
		{ FACTS(f->said = "bwrap: loopback: Failed RTM_NEWADDR: Operation not permitted\n",
			f->apparmor_restricts = 1),
		  "kernel.apparmor_restrict_unprivileged_userns=0" },
		{ FACTS(f->said = no_permission, f->userns_clone = 0),
		  "kernel.unprivileged_userns_clone=1" },
		{ FACTS(f->said = "bwrap: Creating new namespace failed: No space left on device\n",
			f->userns_max = 0),
		  "user.max_user_namespaces=15000" },
		{ FACTS(f->said = no_proc, f->is_container = true), "systempaths=unconfined" },
		{ FACTS(f->said = no_permission, f->is_container = true), "seccomp=unconfined" },
		{ FACTS(f->said = "bwrap: Failed to make / slave: Permission denied\n",
			f->is_container = true),
		  "apparmor=unconfined" },
		{ FACTS(f->said = no_permission, f->is_unit = true), "/systemd/builds.conf" },
		{ FACTS(f->said = "could not make the sandbox ready: Invalid argument",
			f->is_unit = true),
		  "/systemd/builds.conf" },
		{ FACTS(f->said = no_permission), "RestrictNamespaces=" },
		{ FACTS(f->said = "something else\n"), "It said: something else" },
	};

	(void)state;
	for (size_t i = 0; i < ARRAY_SIZE(cases); i++) {
		scoped(freep) char *remedy = sandbox_remedy(&cases[i].facts);

		if (!strstr(remedy, cases[i].remedy))
			fail_msg("'%s' is not in: %s", cases[i].remedy, remedy);
	}
}

static void the_last_line_of_what_was_said_is_told(void **state)
{
	const struct sandbox_facts facts = FACTS(f->said = "first\nlast\n\n");
	scoped(freep) char *remedy = sandbox_remedy(&facts);

	(void)state;
	assert_non_null(strstr(remedy, "It said: last"));
	assert_null(strstr(remedy, "first"));
}

static void what_it_said_is_cut_between_words(void **state)
{
	/* 190 bytes of whole words, then one that the limit is within. */
	scoped(strbuf_done) struct strbuf said = strbuf_init(STRBUF_UNLIMITED);
	struct sandbox_facts facts = working;
	scoped(freep) char *remedy = NULL;

	(void)state;
	for (int i = 0; i < 19; i++)
		strbuf_puts(&said, "ninechars ");
	strbuf_puts(&said, "permitted-but-cut and more\n");
	facts.said = strbuf_str(&said);
	remedy = sandbox_remedy(&facts);
	assert_non_null(strstr(remedy, "ninechars …"));
	assert_null(strstr(remedy, "permitted"));
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(every_sandbox_has_all_that_holds_it),
		cmocka_unit_test(a_request_adds_what_it_asks_for),
		cmocka_unit_test(the_network_is_what_was_asked_for),
		cmocka_unit_test(the_command_line_has_the_limits_and_nothing_of_the_host),
		cmocka_unit_test(a_bare_runs_environment_has_each_name_once),
		cmocka_unit_test(each_cause_has_its_remedy),
		cmocka_unit_test(the_last_line_of_what_was_said_is_told),
		cmocka_unit_test(what_it_said_is_cut_between_words),
	};

	return cmocka_run_group_tests_name("sandbox policy", tests, NULL, NULL);
}
