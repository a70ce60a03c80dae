/* SPDX-License-Identifier: MIT */
/*
 * Start, reload, drain and end of everything, in one readable order.
 */
#include "daemon/daemon.h"

#include <errno.h>
#include <signal.h>
#include <string.h>
#include <sys/resource.h>
#include <sys/stat.h>

#include "api/api.h"
#include "auth/auth.h"
#include "base/crypto.h"
#include "base/files.h"
#include "base/log.h"
#include "base/mem.h"
#include "base/parse.h"
#include "bus/bus.h"
#include "canvas/canvas.h"
#include "daemon/state.h"
#include "http/server.h"
#include "loop/jobs.h"
#include "loop/loop.h"
#include "net/fetch.h"
#include "net/listen.h"
#include "net/sdnotify.h"
#include "net/sockdiag.h"
#include "proc/cgroup.h"
#include "proc/reaper.h"
#include "proc/spawn.h"
#include "publish/bundles.h"
#include "publish/publisher.h"
#include "registry/registry.h"
#include "store/store.h"
#include "tasks/tasks.h"

LOG_AREA("daemon");

#define JOB_THREADS       2
#define JOB_QUEUE_MAX     256
#define STORE_PENDING_MAX 10000

struct daemon {
	const struct settings_sources *sources;
	struct settings *settings;
	char *state_dir;
	int state_dirfd;
	int lockfd;

	struct loop *loop;
	struct jobs *jobs;         /* names looked up, which may take seconds */
	struct jobs *process_jobs; /* walks of /proc, so that a kill waits for no name server */
	struct fetcher *fetcher;
	struct sockdiag *sockdiag;
	struct store *store;
	struct bus *bus;
	struct auth *auth;
	struct cgroups *cgroups; /* NULL: none to be had */
	struct reaper *reaper;
	struct tasks *tasks;
	struct tasks_ending *tasks_ending; /* at the end, by tasks.on_restart */
	struct canvas *canvas;
	struct registry *registry;
	struct publisher *publisher;
	struct bundles *bundles;
	struct api *api;
	struct http_server *server;
	char *socket_path; /* of the unix socket we made, to be removed */

	struct timer *drain_deadline;
	struct timer *watchdog;
	usec_t watchdog_every;
	bool draining, connections_drained, tasks_drained;
};

void daemon_log_setup(const struct settings *settings)
{
	log_setup((enum log_level)settings->log_level, (enum log_format)settings->log_format);
}

static struct http_settings http_settings_of(const struct settings *s)
{
	return (struct http_settings){
		.connections_max = s->server_connections_max,
		.header_timeout = s->server_header_timeout,
		.body_timeout = s->server_body_timeout,
		.idle_timeout = s->server_idle_timeout,
		.write_timeout = s->server_write_timeout,
		.output_max = s->events_buffer,
		.ws_message_max = s->server_body_max,
		.ws_ping_interval = s->events_ping_interval,
	};
}

static int state_open(struct daemon *d, struct fault *reterr)
{
	d->state_dir = d->settings->server_state_dir ? xstrdup(d->settings->server_state_dir)
						     : default_state_dir();
	if (!d->state_dir)
		return fault_set(reterr, FAULT_BAD_REQUEST,
				 "no state directory: set server.state_dir, or HOME");
	return state_directory_open(d->state_dir, &d->state_dirfd, &d->lockfd, reterr);
}

static int store_open(struct daemon *d, struct fault *reterr)
{
	scoped(freep) char *path = xasprintf("%s/previewd.db", d->state_dir);
	struct store_sqlite_settings settings = {
		.path = path,
		.synchronous_full = d->settings->store_synchronous == STORE_SYNCHRONOUS_FULL,
		.pending_max = STORE_PENDING_MAX,
	};

	if (d->settings->store_backend == STORE_BACKEND_MEMORY) {
		d->store = store_memory_new(d->loop);
		return 0;
	}
	return store_sqlite_open(d->loop, &settings, &d->store, reterr);
}

static int tasks_open(struct daemon *d, struct fault *reterr)
{
	struct tasks_deps deps;
	int r = cgroups_new(&d->cgroups);

	if (r < 0)
		log_info("no delegated cgroup (%s): tasks are ended by their process trees",
			 strerror(-r));
	r = reaper_new(d->loop, d->process_jobs, &d->reaper);
	if (r < 0)
		log_warning_errno(r, "what tasks leave behind comes to init and not to previewd");

	deps = (struct tasks_deps){
		.loop = d->loop,
		.jobs = d->process_jobs,
		.store = d->store,
		.bus = d->bus,
		.fetcher = d->fetcher,
		.cgroups = d->cgroups,
	};
	return tasks_new(&deps, d->settings, &d->tasks, reterr);
}

static void on_session_ended(const char *session_id, void *arg)
{
	struct daemon *d = arg;

	canvas_session_ended(session_id, d->canvas);
	publisher_session_ended(session_id, d->publisher);
}

static int publisher_open(struct daemon *d, struct fault *reterr)
{
	const struct publisher_deps deps = {
		.loop = d->loop,
		.store = d->store,
		.bus = d->bus,
		.registry = d->registry,
		.cgroups = d->cgroups,
		.state_dir = d->state_dir,
	};

	return publisher_new(&deps, d->settings, &d->publisher, reterr);
}

static int bundles_open(struct daemon *d, struct fault *reterr)
{
	const struct bundles_deps deps = {
		.loop = d->loop,
		.registry = d->registry,
		.state_dir = d->state_dir,
	};
	int r = bundles_new(&deps, d->settings, &d->bundles, reterr);

	if (r >= 0)
		registry_on_session_made(d->registry, bundles_session_made, d->bundles);
	return r;
}

static int domain_new(struct daemon *d, struct fault *reterr)
{
	struct bus_settings bus_settings = {
		.ring = d->settings->events_ring,
		.memory_max = d->settings->events_memory_max,
	};
	scoped(freep) char *admin_token = NULL;
	struct canvas_deps canvas_deps;
	struct registry_deps deps;
	int r;

	r = bus_new(d->loop, d->store, &bus_settings, &d->bus, reterr);
	if (r < 0)
		return r;

	r = auth_admin_token(d->state_dirfd, &admin_token, reterr);
	if (r >= 0)
		r = auth_new(d->loop, d->store, d->settings, admin_token, &d->auth, reterr);
	admin_token = secret_free(admin_token);
	if (r < 0)
		return r;

	canvas_deps = (struct canvas_deps){ .loop = d->loop, .store = d->store, .bus = d->bus };
	r = canvas_new(&canvas_deps, d->settings, &d->canvas, reterr);
	if (r < 0)
		return r;

	d->jobs = jobs_new(d->loop, JOB_THREADS, JOB_QUEUE_MAX);
	d->process_jobs = jobs_new(d->loop, JOB_THREADS, JOB_QUEUE_MAX);
	d->fetcher = fetcher_new(d->loop);
	r = sockdiag_new(&d->sockdiag);
	if (r < 0)
		log_warning_errno(r, "this kernel has no inet_diag: going by connecting alone");

	r = tasks_open(d, reterr);
	if (r < 0)
		return r;

	deps = (struct registry_deps){
		.loop = d->loop,
		.store = d->store,
		.bus = d->bus,
		.auth = d->auth,
		.fetcher = d->fetcher,
		.jobs = d->jobs,
		.tasks = d->tasks,
		.sockdiag = d->sockdiag,
	};
	r = registry_new(&deps, d->settings, &d->registry, reterr);
	if (r < 0)
		return r;
	auth_set_session_lookup(d->auth, registry_session_lookup, d->registry);
	tasks_on_exit(d->tasks, registry_task_exited, d->registry);
	registry_on_session_ended(d->registry, on_session_ended, d);
	r = publisher_open(d, reterr);
	return r < 0 ? r : bundles_open(d, reterr);
}

/* A published page's token is a secret: what is behind it isn't said either. */
static size_t sayable(const char *path)
{
	static const char *const tokens[] = { "/published/~", "/published/%7E" };

	for (size_t i = 0; i < ARRAY_SIZE(tokens); i++) {
		const char *token = strstr(path, tokens[i]);

		if (token)
			return (size_t)(token - path) + strlen(tokens[i]);
	}
	return strlen(path);
}

static void on_done(const struct http_request *req, int status, void *arg)
{
	const char *path = http_request_path(req);

	(void)arg;
	log_debug("%s %.*s: %d in %.1f ms (%s)", http_request_method(req), (int)sayable(path), path,
		  status, (double)(clock_monotonic() - http_request_started(req)) / 1e3,
		  http_request_id(req));
}

static int surface_new(struct daemon *d, struct fault *reterr)
{
	struct http_settings settings = http_settings_of(d->settings);
	struct api_deps deps = {
		.loop = d->loop,
		.store = d->store,
		.bus = d->bus,
		.auth = d->auth,
		.registry = d->registry,
		.tasks = d->tasks,
		.canvas = d->canvas,
		.sockdiag = d->sockdiag,
		.publisher = d->publisher,
		.bundles = d->bundles,
	};
	int r = api_new(&deps, d->settings, &d->api, reterr);

	if (r < 0)
		return r;
	d->server = http_server_new(d->loop, &settings, api_on_request, d->api);
	http_server_on_refusal(d->server, api_on_refusal, d->api);
	http_server_on_done(d->server, on_done, d);
	return 0;
}

/*
 * Listening.
 */
static int serve_consume(struct daemon *d, int fd)
{
	scoped(freep) char *name = listen_name(fd);
	uint16_t port = listen_port(fd);
	int r = http_server_listen_consume(d->server, fd);

	if (r < 0)
		return r;
	if (port > 0) {
		registry_forbid_port(d->registry, port);
		api_listens_on(d->api, name, port);
		publisher_listens(d->publisher, port);
	}
	log_info("listening on %s%s", port > 0 ? "http://" : "", name);
	return 0;
}

static int listen_inherited_all(struct daemon *d, struct fault *reterr)
{
	scoped(freep) int *fds = NULL;
	int n = listen_inherited(&fds);

	for (int i = 0; i < n; i++) {
		int r = serve_consume(d, fds[i]);

		if (r < 0)
			return fault_set(reterr, FAULT_INTERNAL,
					 "cannot serve a socket handed over: %s", strerror(-r));
	}
	return n < 0 ? 0 : n;
}

static int listen_on_unix(struct daemon *d, struct fault *reterr)
{
	static const mode_t modes[] = {
		[SOCKET_MODE_0600] = 0600,
		[SOCKET_MODE_0660] = 0660,
		[SOCKET_MODE_0666] = 0666,
	};
	scoped(freep) char *path = d->settings->server_socket ? xstrdup(d->settings->server_socket)
							      : default_socket_path();
	int fd;

	if (!path || strcmp(path, "none") == 0)
		return 0;
	fd = listen_unix(path, modes[d->settings->server_socket_mode], reterr);
	if (fd < 0)
		return fd;
	d->socket_path = STEAL(path);
	return serve_consume(d, fd);
}

static int listen_all(struct daemon *d, struct fault *reterr)
{
	int r = listen_inherited_all(d, reterr);

	if (r != 0)
		return r < 0 ? r : 0; /* the service manager's sockets stand for all */

	for (char **address = d->settings->server_listen; *address; address++) {
		int fd = listen_tcp(*address, reterr);

		if (fd < 0)
			return fd;
		r = serve_consume(d, fd);
		if (r < 0)
			return r;
	}
	return listen_on_unix(d, reterr);
}

/*
 * Signals.
 */
static void stop_if_drained(struct daemon *d)
{
	if (d->connections_drained && d->tasks_drained)
		loop_stop(d->loop);
}

static void on_drained(void *arg)
{
	struct daemon *d = arg;

	d->connections_drained = true;
	stop_if_drained(d);
}

static void on_tasks_ended(const cJSON *left, void *arg)
{
	struct daemon *d = arg;

	(void)left; /* is in the log */
	d->tasks_drained = true;
	stop_if_drained(d);
}

static void on_drain_deadline(void *arg)
{
	struct daemon *d = arg;

	log_warning("%zu connections are still open at the end of server.drain_timeout, closing "
		    "them%s",
		    http_server_connections(d->server),
		    d->tasks_drained ? "" : "; tasks have not ended yet");
	loop_stop(d->loop);
}

static void on_terminate(int signo, void *arg)
{
	struct daemon *d = arg;

	if (d->draining) {
		log_info("%s again, stopping at once", strsignal(signo));
		loop_stop(d->loop);
		return;
	}
	log_info("%s, finishing what is under way", strsignal(signo));
	d->draining = true;
	sd_notify_state("STOPPING=1\nSTATUS=Finishing requests");
	registry_drain(d->registry);
	publisher_drain(d->publisher);
	api_drain(d->api);
	timer_set(d->drain_deadline, d->settings->server_drain_timeout);
	d->tasks_ending = tasks_end_started(d->tasks, on_tasks_ended, d);
	d->tasks_drained = d->tasks_ending == NULL;
	http_server_drain(d->server, on_drained, d);
}

static void log_sentence(const char *sentence, void *arg)
{
	(void)arg;
	log_warning("%s", sentence);
}

static void log_needs_restart(const char *name, void *arg)
{
	(void)arg;
	log_warning("%s has changed and takes effect at the next start", name);
}

/*
 * Each takes all of the new settings or keeps the old.  What refuses by the settings alone comes
 * first, and takes its old ones back whatever happened since.  auth reads a file, which may be gone
 * when the old settings name it: behind it nothing fails.
 */
static int take_over(struct daemon *d, const struct settings *settings, struct fault *reterr)
{
	struct http_settings http = http_settings_of(settings);
	int r = registry_reload(d->registry, settings, reterr);

	if (r >= 0)
		r = tasks_reload(d->tasks, settings, reterr);
	if (r >= 0)
		r = api_reload(d->api, settings, reterr);
	if (r >= 0)
		r = auth_reload(d->auth, settings, reterr);
	if (r < 0)
		return r;
	publisher_reload(d->publisher, settings);
	bundles_reload(d->bundles, settings);
	http_server_set(d->server, &http);
	canvas_reload(d->canvas, settings);
	bus_set_memory_max(d->bus, settings->events_memory_max);
	daemon_log_setup(settings);
	return 0;
}

static void on_reload(int signo, void *arg)
{
	scoped(fault_done) struct fault fault = { 0 };
	scoped(settings_freep) struct settings *settings = NULL;
	struct daemon *d = arg;
	scoped(freep) char *reloading = xasprintf("RELOADING=1\nMONOTONIC_USEC=%llu",
						  (unsigned long long)clock_monotonic());

	(void)signo;

	sd_notify_state(reloading);
	if (settings_load(d->sources, log_sentence, NULL, &settings, &fault) < 0) {
		log_error("reload: %s; the settings stay as they were", fault.detail);
	} else if (take_over(d, settings, &fault) < 0) {
		scoped(fault_done) struct fault again = { 0 };

		log_error("reload: %s; the settings stay as they were", fault.detail);
		/* The key that they name may have gone since: the one that was read of it stays. */
		if (take_over(d, d->settings, &again) < 0)
			log_warning("reload: %s; what was read of it before is used on",
				    again.detail);
	} else {
		struct settings *old = d->settings;

		settings_need_restart(old, settings, log_needs_restart, NULL);
		d->settings = STEAL(settings);
		settings_free(old);
		log_info("settings reloaded");
	}
	sd_notify_state("READY=1");
}

static int signals_take(struct daemon *d)
{
	int r;

	signal(SIGPIPE, SIG_IGN);
	r = loop_on_signal(d->loop, SIGTERM, on_terminate, d);
	if (r >= 0)
		r = loop_on_signal(d->loop, SIGINT, on_terminate, d);
	if (r >= 0)
		r = loop_on_signal(d->loop, SIGHUP, on_reload, d);
	return r;
}

static void on_watchdog(void *arg)
{
	struct daemon *d = arg;

	sd_notify_state("WATCHDOG=1");
	timer_set(d->watchdog, d->watchdog_every);
}

/* sd_watchdog_enabled(3): half of the time the manager allows. */
static void watchdog_start(struct daemon *d)
{
	const char *text = getenv("WATCHDOG_USEC");
	uint64_t usec;

	if (!text || parse_u64(text, &usec) < 0 || usec == 0)
		return;
	d->watchdog_every = usec / 2;
	d->watchdog = timer_new(d->loop, on_watchdog, d);
	timer_set(d->watchdog, d->watchdog_every);
}

/* Each viewer and each probe is a descriptor. */
static void raise_descriptor_limit(void)
{
	struct rlimit limit;

	if (getrlimit(RLIMIT_NOFILE, &limit) < 0 || limit.rlim_cur == limit.rlim_max)
		return;
	limit.rlim_cur = limit.rlim_max;
	setrlimit(RLIMIT_NOFILE, &limit);
}

int daemon_new(const struct settings_sources *sources, struct settings *settings_consume,
	       struct daemon **ret, struct fault *reterr)
{
	scoped(daemon_freep) struct daemon *d = xcalloc(1, sizeof(*d));
	int r;

	d->sources = sources;
	d->settings = settings_consume;
	d->state_dirfd = d->lockfd = -1;
	child_surroundings_keep();
	umask(0077);
	if (geteuid() == 0)
		log_warning("running as root, and would rather not: a user's own daemon "
			    "(systemctl --user start previewd) can end no more than that user's "
			    "processes");
	raise_descriptor_limit();

	d->loop = loop_new();
	d->drain_deadline = timer_new(d->loop, on_drain_deadline, d);

	r = signals_take(d);
	if (r < 0)
		return fault_set(reterr, FAULT_INTERNAL, "signals: %s", strerror(-r));
	r = state_open(d, reterr);
	if (r < 0)
		return r;
	r = store_open(d, reterr);
	if (r < 0)
		return r;
	r = domain_new(d, reterr);
	if (r < 0)
		return r;
	r = surface_new(d, reterr);
	if (r < 0)
		return r;
	r = listen_all(d, reterr);
	if (r < 0)
		return r;

	*ret = STEAL(d);
	return 0;
}

int daemon_run(struct daemon *d)
{
	watchdog_start(d);
	sd_notify_state("READY=1\nSTATUS=Serving");
	return loop_run(d->loop);
}

struct daemon *daemon_free(struct daemon *d)
{
	if (!d)
		return NULL;

	/* Outermost first: each lets go of what it holds of the next. */
	http_server_free(d->server);
	api_free(d->api);
	canvas_free(d->canvas);
	bundles_free(d->bundles);
	publisher_free(d->publisher);
	d->store = store_free(d->store);
	registry_free(d->registry);
	tasks_ending_free(d->tasks_ending);
	tasks_free(d->tasks);
	cgroups_free(d->cgroups);
	auth_free(d->auth);
	bus_free(d->bus);
	fetcher_free(d->fetcher);
	reaper_free(d->reaper);
	jobs_free(d->process_jobs);
	jobs_free(d->jobs);
	sockdiag_free(d->sockdiag);
	timer_free(d->drain_deadline);
	timer_free(d->watchdog);
	loop_free(d->loop);

	if (d->socket_path)
		unlink(d->socket_path);
	closep(&d->lockfd);
	closep(&d->state_dirfd);
	settings_free(d->settings);
	free(d->socket_path);
	free(d->state_dir);
	free(d);
	return NULL;
}
