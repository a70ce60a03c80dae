/* SPDX-License-Identifier: MIT */
/*
 * The real `npm ci` of a small project in a sandbox, from whatever registry npm goes to here. Where
 * npm itself can't install it, outside, this is skipped.
 */
#include "sandbox_world.h"

#include "net/connectproxy.h"

#include <sys/stat.h>

static const char package[] =
	"{\"name\":\"x\",\"version\":\"1.0.0\",\"dependencies\":{\"is-number\":"
	"\"7.0.0\"}}";
static const char lock[] =
	"{\"name\":\"x\",\"version\":\"1.0.0\",\"lockfileVersion\":3,\"requires\":true,"
	"\"packages\":"
	"{\"\":{\"name\":\"x\",\"version\":\"1.0.0\",\"dependencies\":{\"is-number\":\"7.0.0\"}},"
	"\"node_modules/is-number\":{\"version\":\"7.0.0\",\"integrity\":\"sha512-41Cifkg6e8TylSpdt"
	"TpeLVMqvSBEVzTttHvERD741+pnZ8ANv0004MRL43QKPDlK9cGvNp6NZWZUBlbGXYxxng==\"}}}";

static void write_in(const char *directory, const char *name, const char *text)
{
	scoped(freep) char *path = xasprintf("%s/%s", directory, name);
	scoped(closep) int fd = open(path, O_CREAT | O_TRUNC | O_WRONLY | O_CLOEXEC, 0644);

	assert_int_equal(write(fd, text, strlen(text)), strlen(text));
}

/* What a command prints first; NULL when it fails. */
static char *first_line_of(const char *command)
{
	FILE *f = popen(command, "r");
	char line[1024] = "";
	bool has_line = f && fgets(line, sizeof(line), f);

	if (!f || pclose(f) != 0 || !has_line)
		return NULL;
	line[strcspn(line, "\n")] = '\0';
	return xstrdup(line);
}

/* "https://host:port/path/": the entry of publish.registries, with the port, so that a mirror with
 * a private address will do. */
static char *entry_of(const char *registry)
{
	const bool is_plain = strncmp(registry, "http://", 7) == 0;
	const char *host = strstr(registry, "://") + 3;
	const size_t len = strcspn(host, "/");

	if (memchr(host, ':', len))
		return xstrndup(host, len);
	return xasprintf("%.*s:%d", (int)len, host, is_plain ? 80 : 443);
}

static const char *why_not(struct world *w, const char *registry, const char *own_proxy)
{
	scoped(freep) char *command = NULL;

	if (!registry || !strstr(registry, "://"))
		return "there is no npm";
	if (!own_proxy)
		return "npm doesn't say how it is set up";
	command = xasprintf("cd '%s' && timeout 60 npm ci --cache '%s/cache' --no-audit --no-fund "
			    "--fetch-retries 1 >/dev/null 2>&1 && rm -rf node_modules cache",
			    w->workdir, w->workdir);
	return system(command) == 0 ? NULL : "npm can't reach its registry here";
}

/* Where npm and its Node are no part of the system, their prefix. */
static char *node_prefix(void)
{
	scoped(freep) char *npm = first_line_of("command -v npm");
	char *end;

	if (!npm || strncmp(npm, "/usr/", 5) == 0)
		return NULL;
	end = strstr(npm, "/bin/");
	if (end)
		*end = '\0';
	return STEAL(npm);
}

static void on_refused(const char *text, void *arg)
{
	strbuf_printf(arg, "%s\n", text);
}

struct install {
	struct strbuf refused;
	struct connectproxy *proxy;
	char *socket_path, *node;
	const char *upstream; /* npm's own proxy */
	const char *ca;       /* of a network that inspects */
};

static void install(struct world *w, struct install *i, const char *entry)
{
	scoped(freep) char *extra_ca = i->ca ? xasprintf("NODE_EXTRA_CA_CERTS=/etc/ca.pem") : NULL;
	const struct sandbox_bind ca = { .source = i->ca, .target = "/etc/ca.pem" };
	struct sandbox_request request = request_of(w, (const char *const[]){ "npm", "ci", NULL });

	assert_int_equal(connectproxy_new(w->loop, w->jobs,
					  &(struct connectproxy_settings){
						  .path = i->socket_path,
						  .allow = (const char *const[]){ entry, NULL },
						  .connections_max = 32,
						  .buffer_max = 262144,
						  .upstream = i->upstream,
					  },
					  on_refused, &i->refused, &i->proxy, NULL),
			 0);
	request.environ_ = (const char *const[]){
		"npm_config_cache=/tmp/cache", "npm_config_audit=false",
		"npm_config_fund=false",       "npm_config_update_notifier=false",
		"npm_config_fetch_retries=3",  "npm_config_fetch_retry_mintimeout=1000",
		extra_ca ? extra_ca : "X=",    NULL
	};
	request.node = i->node;
	request.binds = &ca;
	request.n_binds = i->ca ? 1 : 0;
	request.network = SANDBOX_PROXY;
	request.proxy_socket = i->socket_path;
	request.limits.memory = 4096 * MIB;
	request.limits.processes = 256;
	request.limits.files = 4096;
	start(w, &request);
	run_loop(w);
	i->proxy = connectproxy_free(i->proxy);
}

static void npm_installs_from_a_registry_that_is_listed_and_from_no_other(void **state)
{
	struct world *w = world_of(state);
	scoped(freep) char *registry = first_line_of("npm config get registry 2>/dev/null");
	scoped(freep) char *own_proxy = first_line_of("npm config get https-proxy 2>/dev/null");
	scoped(freep) char *entry = NULL;
	scoped(freep) char *installed = xasprintf("%s/node_modules/is-number/index.js", w->workdir);
	scoped(freep) char *npmrc = NULL;
	struct install i = { .refused = strbuf_init(STRBUF_UNLIMITED),
			     .ca = getenv("NODE_EXTRA_CA_CERTS") };
	const char *why;
	struct stat st;

	write_in(w->workdir, "package.json", package);
	write_in(w->workdir, "package-lock.json", lock);
	why = why_not(w, registry, own_proxy);
	if (why) {
		print_message("# %s\n", why);
		skip();
	}
	npmrc = xasprintf("registry=%s\n", registry);
	write_in(w->workdir, ".npmrc", npmrc);
	entry = entry_of(registry);
	i.socket_path = xasprintf("%s.sock", w->workdir);
	i.node = node_prefix();
	i.upstream = strcmp(own_proxy, "null") == 0 ? NULL : own_proxy;

	install(w, &i, "registry.invalid");
	assert_false(w->end == SANDBOX_EXITED && w->code == 0);
	assert_int_equal(stat(installed, &st), -1);
	assert_non_null(strstr(strbuf_str(&i.refused), "not in publish.registries"));

	strbuf_reset(&i.refused);
	install(w, &i, entry);
	if (w->end != SANDBOX_EXITED || w->code != 0)
		fail_msg("npm ci: %s", strbuf_str(&w->output));
	assert_int_equal(stat(installed, &st), 0);
	assert_string_equal(strbuf_str(&i.refused), "");

	strbuf_done(&i.refused);
	free(i.socket_path);
	free(i.node);
}

int main(int argc, char **argv)
{
	const struct CMUnitTest tests[] = {
		sandbox_test(npm_installs_from_a_registry_that_is_listed_and_from_no_other),
	};

	helper_main(argc, argv);
	signal(SIGPIPE, SIG_IGN); /* as the daemon has it */
	alarm(240);
	return cmocka_run_group_tests_name("sandbox npm", tests, NULL, NULL);
}
