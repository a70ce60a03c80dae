/* SPDX-License-Identifier: MIT */
/*
 * The policy of a sandbox as arguments of bwrap(1), tried one by one.  What isn't obvious of them:
 *
 *  - As root all capabilities stay unless --cap-drop says otherwise.
 *  - The root, /dev and /dev/shm are tmpfs: unbounded until they get a size or become read-only.
 *  - As root the files beneath /proc/sys and its kin are the sandbox's own user's: bwrap looks only
 *    whether the directories can be written, and leaves them as they are.
 *  - With the host's network its loopback can be reached, too: so a proxy, and no network.
 *  - The arguments come by a descriptor: those of the command line, host paths and all, could be
 *    read inside from /proc/1/cmdline.
 *  - RLIMIT_AS can't be used: WebAssembly reserves more than there is.
 */
#include "proc/sandbox_priv.h"

#include "base/mem.h"
#include "base/parse.h"
#include "proc/inside.h"

#include <errno.h>
#include <fcntl.h>
#include <limits.h>
#include <string.h>
#include <sys/stat.h>

#define TMP_SIZE_MAX  "536870912" /* of /tmp */
#define HOME_SIZE_MAX "268435456" /* of the home, /dev/shm, and each tmpfs of a request */
#define DEFAULT_PATH  "/usr/local/bin:/usr/bin:/bin"

const char sandbox_passwd[] = "root:x:0:0::/:/bin/sh\n"
			      "build:x:1000:1000::" SANDBOX_HOME ":/bin/sh\n"
			      "nobody:x:65534:65534::/:/bin/sh\n";
const char sandbox_group[] = "root:x:0:\nbuild:x:1000:\nnogroup:x:65534:\n";
const char sandbox_hosts[] = "127.0.0.1 localhost\n::1 localhost\n";

/* ---- the host ---- */

static char *link_target(const char *path)
{
	char target[PATH_MAX];
	ssize_t n = readlink(path, target, sizeof(target));

	return n > 0 && (size_t)n < sizeof(target) ? xstrndup(target, (size_t)n) : NULL;
}

static char *existing_program(char *path_take)
{
	if (access(path_take, X_OK) == 0)
		return path_take;
	free(path_take);
	return NULL;
}

/* Beside our own file, as in the build's directory; else where it is installed. */
static char *find_inside(void)
{
	scoped(freep) char *self = link_target("/proc/self/exe");
	char *slash = self ? strrchr(self, '/') : NULL;
	char *found = NULL;

	if (slash)
		found = existing_program(
			xasprintf("%.*s/" INSIDE_PROGRAM, (int)(slash - self), self));
	return found ? found : existing_program(xstrdup(PKGLIBEXECDIR "/" INSIDE_PROGRAM));
}

static char *find_bwrap(void)
{
	const char *path = getenv("PATH");
	scoped(strv_freep) char **places = parse_list(path && *path ? path : DEFAULT_PATH, ':');
	char *found = NULL;

	for (char **p = places; *p && !found; p++)
		found = existing_program(xasprintf("%s/bwrap", *p));
	return found;
}

void sandbox_host_read(struct sandbox_host *h, const char *inside)
{
	static const char *const paths[SANDBOX_ROOTS] = { "/bin",   "/sbin",   "/lib",    "/lib32",
							  "/lib64", "/libx32", "/libexec" };
	char resolved[PATH_MAX];
	struct stat st;

	*h = (struct sandbox_host){ 0 };
	for (size_t i = 0; i < SANDBOX_ROOTS; i++) {
		h->roots[i].path = paths[i];
		h->roots[i].link = link_target(paths[i]);
		h->roots[i].exists = stat(paths[i], &st) == 0;
	}
	h->bwrap = find_bwrap();
	h->inside = inside && realpath(inside, resolved) ? xstrdup(resolved)
		    : inside                             ? NULL
							 : find_inside();
	if (realpath("/etc/resolv.conf", resolved))
		h->resolv_conf = xstrdup(resolved);
}

void sandbox_host_done(struct sandbox_host *h)
{
	for (size_t i = 0; i < SANDBOX_ROOTS; i++)
		free(h->roots[i].link);
	free(h->bwrap);
	free(h->inside);
	free(h->resolv_conf);
	*h = (struct sandbox_host){ 0 };
}

/* ---- the request ---- */

static bool is_absolute(const char *path)
{
	return path && path[0] == '/';
}

static bool goes_up(const char *path)
{
	scoped(strv_freep) char **parts = parse_list(path, '/');

	return strv_has(parts, "..");
}

/* What is behind `path` when it lies beneath `place`; NULL when it doesn't. */
static const char *beneath(const char *path, const char *place)
{
	const size_t len = strlen(place);

	return strncmp(path, place, len) == 0 && path[len] == '/' ? path + len + 1 : NULL;
}

/* The host's directory that a bind is put into, and where in it; NULL where it's a tmpfs. */
static const char *directory_of_bind(const struct sandbox_request *request, size_t i,
				     const char **ret_rest)
{
	const char *target = request->binds[i].target;

	/* The latest lies over all before. */
	while (i-- > 0) {
		const struct sandbox_bind *b = &request->binds[i];

		*ret_rest = beneath(target, b->target);
		if (*ret_rest)
			return b->is_tmpfs ? NULL : b->source;
	}
	*ret_rest = beneath(target, SANDBOX_WORKDIR);
	return *ret_rest ? request->workdir : NULL;
}

static bool leads_by_link(const char *directory, const char *path)
{
	scoped(strv_freep) char **parts = parse_list(path, '/');
	scoped(closep) int at = open(directory, O_PATH | O_DIRECTORY | O_CLOEXEC);

	for (char **part = parts; *part && at >= 0; part++) {
		struct stat st;
		int next;

		if (fstatat(at, *part, &st, AT_SYMLINK_NOFOLLOW) < 0)
			return false;
		if (S_ISLNK(st.st_mode))
			return true;
		next = openat(at, *part, O_PATH | O_NOFOLLOW | O_CLOEXEC);
		close(at);
		at = next;
	}
	return false;
}

/*
 * While bwrap makes the sandbox the host is still there, and it makes directories to bind to: a
 * link in the project must not let it make them elsewhere.
 */
static int check_links(const struct sandbox_request *request, struct fault *reterr)
{
	for (size_t i = 0; i < request->n_binds; i++) {
		const char *rest;
		const char *directory = directory_of_bind(request, i, &rest);

		if (directory && leads_by_link(directory, rest))
			return fault_set(reterr, FAULT_BUILD_FAILED,
					 "'%s' is, or is behind, a symbolic link in the project: "
					 "nothing can be put there",
					 rest);
	}
	return 0;
}

int sandbox_check(const struct sandbox_request *request, struct fault *reterr)
{
	if (!is_absolute(request->workdir))
		return fault_field(reterr, "workdir", "is no absolute path");
	if (request->cwd && (is_absolute(request->cwd) || goes_up(request->cwd)))
		return fault_field(reterr, "cwd", "'%s' is not beneath the working directory",
				   request->cwd);
	for (size_t i = 0; i < request->n_binds; i++) {
		const struct sandbox_bind *b = &request->binds[i];

		if (!is_absolute(b->target) || goes_up(b->target) ||
		    (!b->is_tmpfs && !is_absolute(b->source)))
			return fault_set(reterr, FAULT_INTERNAL,
					 "'%s' can't be shown in a sandbox as '%s'",
					 b->source ? b->source : "", b->target ? b->target : "");
	}
	return check_links(request, reterr);
}

/* ---- bwrap's arguments ---- */

static void add(struct strbuf *args, const char *a)
{
	strbuf_add(args, a, strlen(a) + 1);
}

#define ADD(args, ...)                                              \
	do {                                                        \
		static const char *const list_[] = { __VA_ARGS__ }; \
		for (size_t i_ = 0; i_ < ARRAY_SIZE(list_); i_++)   \
			add((args), list_[i_]);                     \
	} while (0)

static void add3(struct strbuf *args, const char *option, const char *a, const char *b)
{
	add(args, option);
	add(args, a);
	add(args, b);
}

static void add_fd(struct strbuf *args, const char *option, enum sandbox_fd fd, const char *target)
{
	char number[16];

	snprintf(number, sizeof(number), "%d", fd);
	add(args, option);
	add(args, number);
	if (target)
		add(args, target);
}

static void add_isolation(struct strbuf *args, const struct sandbox_request *request)
{
	ADD(args, "--unshare-user", "--unshare-pid", "--unshare-ipc", "--unshare-uts",
	    "--unshare-cgroup-try", "--uid", "1000", "--gid", "1000", "--disable-userns",
	    "--cap-drop", "ALL", "--die-with-parent", "--new-session", "--hostname", "build");
	if (request->network != SANDBOX_HOST_NETWORK)
		add(args, "--unshare-net");
	add_fd(args, "--seccomp", SANDBOX_FD_SECCOMP, NULL);
	add_fd(args, "--json-status-fd", SANDBOX_FD_STATUS, NULL);
}

/* The variables of every run, as NAME=VALUE, and then the request's. */
typedef void variable_fn(const char *name, const char *value, void *arg);

static void each_request_variable(const struct sandbox_request *request, variable_fn *fn, void *arg)
{
	for (const char *const *e = request->environ_; e && *e; e++) {
		const char *equals = strchr(*e, '=');
		scoped(freep) char *name = NULL;

		if (!equals)
			continue;
		name = xstrndup(*e, (size_t)(equals - *e));
		fn(name, equals + 1, arg);
	}
}

static void each_proxy_variable(variable_fn *fn, void *arg)
{
	static const char *const names[] = { "HTTP_PROXY",       "HTTPS_PROXY",
					     "http_proxy",       "https_proxy",
					     "npm_config_proxy", "npm_config_https_proxy",
					     "YARN_HTTP_PROXY",  "YARN_HTTPS_PROXY" };
	scoped(freep) char *url = xasprintf("http://127.0.0.1:%d", INSIDE_PROXY_PORT);

	for (size_t i = 0; i < ARRAY_SIZE(names); i++)
		fn(names[i], url, arg);
	/* The host's loopback isn't behind it, and that of the inside isn't either. */
	fn("NO_PROXY", "", arg);
	fn("no_proxy", "", arg);
	fn("npm_config_noproxy", "", arg);
}

static void each_variable(const struct sandbox_request *request, const char *home, bool is_isolated,
			  variable_fn *fn, void *arg)
{
	scoped(freep) char *path =
		xasprintf("%s%s%s%s" DEFAULT_PATH, request->path ? request->path : "",
			  request->path ? ":" : "", request->node ? request->node : "",
			  request->node ? "/bin:" : "");

	fn("PATH", path, arg);
	fn("HOME", home, arg);
	fn("TMPDIR", "/tmp", arg);
	fn("USER", "build", arg);
	fn("LOGNAME", "build", arg);
	fn("SHELL", "/bin/sh", arg);
	fn("LANG", "C.UTF-8", arg);
	fn("CI", "1", arg);
	if (is_isolated && request->network == SANDBOX_PROXY)
		each_proxy_variable(fn, arg);
	each_request_variable(request, fn, arg);
}

static void add_variable(const char *name, const char *value, void *arg)
{
	add3(arg, "--setenv", name, value);
}

static void add_system(struct strbuf *args, const struct sandbox_host *host)
{
	/* Not all of /etc/ssl and /etc/pki: the machine's own keys are there, which a daemon that
	 * runs as root could read. */
	static const char *const shown[] = {
		"/etc/ssl/certs",    "/etc/ssl/cert.pem",        "/etc/ssl/openssl.cnf",
		"/etc/pki/ca-trust", "/etc/pki/tls/certs",       "/etc/pki/tls/cert.pem",
		"/etc/alternatives", "/etc/pki/tls/openssl.cnf", "/etc/ca-certificates",
		"/etc/ld.so.cache",  "/etc/localtime",
	};

	add3(args, "--ro-bind", "/usr", "/usr");
	for (size_t i = 0; i < SANDBOX_ROOTS; i++) {
		if (!host->roots[i].exists)
			continue;
		if (host->roots[i].link)
			add3(args, "--symlink", host->roots[i].link, host->roots[i].path);
		else
			add3(args, "--ro-bind", host->roots[i].path, host->roots[i].path);
	}
	for (size_t i = 0; i < ARRAY_SIZE(shown); i++)
		add3(args, "--ro-bind-try", shown[i], shown[i]);
	add_fd(args, "--ro-bind-data", SANDBOX_FD_PASSWD, "/etc/passwd");
	add_fd(args, "--ro-bind-data", SANDBOX_FD_GROUP, "/etc/group");
}

/* What in /proc is the machine's and not a process'. */
static void add_proc(struct strbuf *args)
{
	static const char *const shared[] = {
		"/proc/sys",  "/proc/sysrq-trigger", "/proc/irq",    "/proc/bus",    "/proc/fs",
		"/proc/scsi", "/proc/acpi",          "/proc/asound", "/proc/driver", "/proc/mtrr"
	};

	add3(args, "--proc", "/proc", "--dev");
	add(args, "/dev");
	for (size_t i = 0; i < ARRAY_SIZE(shared); i++)
		add3(args, "--ro-bind-try", shared[i], shared[i]);
}

static void add_network(struct strbuf *args, const struct sandbox_host *host,
			const struct sandbox_request *request)
{
	if (request->network == SANDBOX_HOST_NETWORK) {
		ADD(args, "--ro-bind-try", "/etc/hosts", "/etc/hosts", "--ro-bind-try",
		    "/etc/nsswitch.conf", "/etc/nsswitch.conf");
		if (host->resolv_conf)
			add3(args, "--ro-bind", host->resolv_conf, "/etc/resolv.conf");
		return;
	}
	/* The names of a machine alone. */
	add_fd(args, "--ro-bind-data", SANDBOX_FD_HOSTS, "/etc/hosts");
	if (request->network == SANDBOX_PROXY)
		add3(args, "--ro-bind", request->proxy_socket, SANDBOX_PROXY_SOCKET);
}

static void add_binds(struct strbuf *args, const struct sandbox_request *request)
{
	add3(args, "--bind", request->workdir, SANDBOX_WORKDIR);
	for (size_t i = 0; i < request->n_binds; i++) {
		const struct sandbox_bind *b = &request->binds[i];

		if (b->is_tmpfs) {
			ADD(args, "--size", HOME_SIZE_MAX, "--tmpfs");
			add(args, b->target);
		} else {
			add3(args, b->is_writable ? "--bind" : "--ro-bind", b->source, b->target);
		}
	}
}

void sandbox_args(struct strbuf *args, const struct sandbox_host *host,
		  const struct sandbox_request *request)
{
	add_isolation(args, request);
	add(args, "--clearenv");
	each_variable(request, SANDBOX_HOME, true, add_variable, args);
	add_system(args, host);
	add_network(args, host, request);
	add_proc(args);
	ADD(args, "--size", HOME_SIZE_MAX, "--tmpfs", "/dev/shm", "--remount-ro", "/dev", "--size",
	    TMP_SIZE_MAX, "--tmpfs", "/tmp", "--size", HOME_SIZE_MAX, "--tmpfs", SANDBOX_HOME);
	if (request->node)
		add3(args, "--ro-bind", request->node, request->node);
	add3(args, "--ro-bind", host->inside, SANDBOX_INSIDE);
	add_binds(args, request);
	ADD(args, "--remount-ro", "/", "--chdir");
	if (request->cwd) {
		scoped(freep) char *cwd = xasprintf(SANDBOX_WORKDIR "/%s", request->cwd);

		add(args, cwd);
	} else {
		add(args, SANDBOX_WORKDIR);
	}
}

/* ---- the command ---- */

struct list {
	char **items;
	size_t n;
};

static void list_take(struct list *l, char *item)
{
	l->items = xrealloc(l->items, (l->n + 2) * sizeof(*l->items));
	l->items[l->n++] = item;
	l->items[l->n] = NULL;
}

static void list_add(struct list *l, const char *item)
{
	list_take(l, xstrdup(item));
}

static void list_add_number(struct list *l, const char *option, uint64_t value)
{
	if (value == 0)
		return;
	list_add(l, option);
	list_take(l, xasprintf("%llu", (unsigned long long)value));
}

char **sandbox_command(const struct sandbox_host *host, const struct sandbox_request *request,
		       const struct sandbox_limits *limits, bool is_isolated)
{
	struct list l = { 0 };

	if (is_isolated) {
		list_add(&l, host->bwrap);
		list_add_number(&l, "--args", SANDBOX_FD_ARGS);
		list_add(&l, "--");
		list_add(&l, SANDBOX_INSIDE);
		list_add(&l, "-i");
		list_add_number(&l, "-n",
				limits->processes ? limits->processes + PROCESSES_BEYOND : 0);
	} else {
		list_add(&l, host->inside);
	}
	list_add_number(&l, "-g", SANDBOX_FD_GO);
	list_add_number(&l, "-d", limits->memory);
	list_add_number(&l, "-f", limits->file_size);
	list_add_number(&l, "-o", limits->files);
	if (is_isolated && request->network == SANDBOX_PROXY) {
		list_add(&l, "-p");
		list_add(&l, SANDBOX_PROXY_SOCKET);
	}
	list_add(&l, "--");
	for (const char *const *a = request->argv; *a; a++)
		list_add(&l, *a);
	return l.items;
}

/* One that is there gets the new value: of two, programs would see the first. */
static void list_variable(const char *name, const char *value, void *arg)
{
	struct list *l = arg;
	const size_t len = strlen(name);

	for (size_t i = 0; i < l->n; i++) {
		if (strncmp(l->items[i], name, len) == 0 && l->items[i][len] == '=') {
			free(l->items[i]);
			l->items[i] = xasprintf("%s=%s", name, value);
			return;
		}
	}
	list_take(l, xasprintf("%s=%s", name, value));
}

char **sandbox_environ(const struct sandbox_request *request, const char *mark)
{
	const char *home = getenv("HOME");
	struct list l = { 0 };

	each_variable(request, home ? home : "/", false, list_variable, &l);
	list_variable("PREVIEWD_TASK_MARK", mark, &l);
	return l.items;
}
