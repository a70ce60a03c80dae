/* SPDX-License-Identifier: MIT */
#pragma once

/*
 * Commands in a real sandbox. Where this machine can't have one (the remedy is told) the tests are
 * skipped.
 */
#include "proc/sandbox.h"

#include "proc_help.h"

#include "base/strbuf.h"
#include "loop/jobs.h"
#include "proc/sandbox_priv.h"

#include <arpa/inet.h>
#include <netinet/in.h>
#include <sys/socket.h>

#define MIB (UINT64_C(1024) * 1024)

struct world {
	struct loop *loop;
	struct jobs *jobs;
	struct sandbox *sandbox;
	struct sandbox_run *run;
	struct strbuf output;
	char workdir[32];
	const char *stop_at; /* stops the loop when this is in the output */
	bool free_at_output;
	unsigned n_ends;
	enum sandbox_end end;
	int code;
};

static inline void remove_tree(const char *path)
{
	scoped(freep) char *command = xasprintf("chmod -R u+rwx '%s'; rm -rf '%s'", path, path);

	assert_int_equal(system(command), 0);
}

static inline void on_output(const char *bytes, size_t len, void *arg)
{
	struct world *w = arg;

	strbuf_add(&w->output, bytes, len);
	if (w->stop_at && strstr(strbuf_str(&w->output), w->stop_at))
		loop_stop(w->loop);
	if (w->free_at_output)
		w->run = sandbox_run_free(w->run);
}

static inline void on_end(enum sandbox_end end, int code, void *arg)
{
	struct world *w = arg;

	w->n_ends++;
	w->end = end;
	w->code = code;
	w->run = sandbox_run_free(w->run);
	loop_stop(w->loop);
}

static const struct sandbox_ops ops = { .on_output = on_output, .on_end = on_end };

static inline void on_tick(void *arg)
{
	struct world *w = arg;

	loop_stop(w->loop);
}

static inline void turn(struct world *w)
{
	struct timer *timer = timer_new(w->loop, on_tick, w);

	timer_set(timer, 10 * USEC_PER_MSEC);
	assert_int_equal(loop_run(w->loop), 0);
	timer_free(timer);
}

/* NULL where it works, else why it doesn't. */
static inline const char *await_verdict(struct world *w)
{
	const char *remedy = NULL;

	while (!sandbox_is_usable(w->sandbox, &remedy, NULL) &&
	       strcmp(remedy, "it is being tried") == 0)
		turn(w);
	return remedy;
}

static inline const char *world_init(struct world *w, enum sandbox_level level)
{
	*w = (struct world){
		.loop = loop_new(),
		.output = strbuf_init(STRBUF_UNLIMITED),
		.workdir = "/tmp/sandbox-XXXXXX",
	};
	assert_non_null(mkdtemp(w->workdir));
	w->jobs = jobs_new(w->loop, 2, 16);
	w->sandbox = sandbox_new(&(struct sandbox_deps){ .loop = w->loop,
							 .jobs = w->jobs,
							 .inside = "./previewd-sandbox" },
				 level);
	return await_verdict(w);
}

static inline void world_done(struct world *w)
{
	w->run = sandbox_run_free(w->run);
	/* Those that were freed come to their end. */
	while (!LIST_EMPTY(&w->sandbox->runs))
		turn(w);
	w->sandbox = sandbox_free(w->sandbox);
	w->jobs = jobs_free(w->jobs);
	strbuf_done(&w->output);
	loop_free(w->loop);
	remove_tree(w->workdir);
}

static inline struct sandbox_request request_of(const struct world *w, const char *const *argv)
{
	return (struct sandbox_request){
		.argv = argv,
		.workdir = w->workdir,
		.limits = { .wall = 60 * USEC_PER_SEC,
			    .memory = 1024 * MIB,
			    .file_size = 64 * MIB,
			    .disk = 128 * MIB,
			    .processes = 64,
			    .files = 256 },
	};
}

static inline void start(struct world *w, const struct sandbox_request *request)
{
	scoped(fault_done) struct fault fault = { 0 };

	w->n_ends = 0;
	strbuf_reset(&w->output);
	if (sandbox_start(w->sandbox, request, &ops, w, &w->run, &fault) < 0)
		fail_msg("%s", fault.detail);
}

static inline void run_loop(struct world *w)
{
	assert_int_equal(loop_run(w->loop), 0);
}

/* Runs a script to its end. */
static inline void run_script(struct world *w, const char *script)
{
	const char *const argv[] = { "sh", "-c", script, NULL };
	struct sandbox_request request = request_of(w, argv);

	start(w, &request);
	run_loop(w);
	assert_int_equal(w->n_ends, 1);
}

static inline int setup(void **state)
{
	static struct world w;
	const char *remedy;

	setup_counting(state);
	remedy = world_init(&w, SANDBOX_REQUIRE);
	*state = &w;
	if (remedy) {
		print_message("# no sandbox here: %s\n", remedy);
		*state = NULL;
		world_done(&w);
	}
	return 0;
}

static inline int teardown(void **state)
{
	if (*state)
		world_done(*state);
	return teardown_counting(state);
}

static inline struct world *world_of(void **state)
{
	if (!*state)
		skip();
	return *state;
}

/* Whether a `sleep SECONDS` runs anywhere on this machine; the seconds are the test's own. */
static inline bool sleeps(const char *seconds)
{
	struct process *all;
	bool found = false;
	size_t n;

	assert_int_equal(processes_read(&all, &n), 0);
	for (size_t i = 0; i < n && !found; i++) {
		scoped(freep) char *path = xasprintf("/proc/%d/cmdline", (int)all[i].pid);
		scoped(closep) int fd = open(path, O_RDONLY | O_CLOEXEC);
		char command[64] = "";

		if (fd >= 0 && read(fd, command, sizeof(command) - 1) > 0)
			found = strcmp(command, "sleep") == 0 &&
				strcmp(command + 6, seconds) == 0 && !process_is_over(&all[i]);
	}
	free(all);
	return found;
}

/* Longer than any test, and no other run's. */
static inline char *own_seconds(void)
{
	return xasprintf("10%07d", getpid());
}

static inline int listen_on_loopback(unsigned *ret_port)
{
	struct sockaddr_in at = { .sin_family = AF_INET, .sin_addr = { htonl(INADDR_LOOPBACK) } };
	socklen_t len = sizeof(at);
	int fd = socket(AF_INET, SOCK_STREAM | SOCK_CLOEXEC, 0);

	assert_int_equal(bind(fd, (struct sockaddr *)&at, sizeof(at)), 0);
	assert_int_equal(listen(fd, 1), 0);
	assert_int_equal(getsockname(fd, (struct sockaddr *)&at, &len), 0);
	*ret_port = ntohs(at.sin_port);
	return fd;
}

#define sandbox_test(f) cmocka_unit_test_setup_teardown(f, setup, teardown)
