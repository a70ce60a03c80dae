/* SPDX-License-Identifier: MIT */
/* How a run in a sandbox ends, how it reaches a registry, and what there is without a sandbox. */
#include "sandbox_world.h"

#include "base/metrics.h"
#include "net/connectproxy.h"

#include <pthread.h>

/* ---- its end ---- */

static void its_time_is_limited_and_all_of_it_ends(void **state)
{
	struct world *w = world_of(state);
	scoped(freep) char *seconds = own_seconds();
	scoped(freep) char *script = xasprintf("trap '' TERM HUP INT; (setsid setsid sleep %s &);"
					       "echo begun; sleep %s",
					       seconds, seconds);
	const char *const argv[] = { "sh", "-c", script, NULL };
	struct sandbox_request request = request_of(w, argv);
	const double kills = metric_value(METRIC_SANDBOX_KILLS);

	request.limits.wall = USEC_PER_SEC;
	start(w, &request);
	run_loop(w);
	assert_int_equal(w->end, SANDBOX_TIMED_OUT);
	assert_int_equal(metric_value(METRIC_SANDBOX_KILLS), kills + 1);
	assert_int_equal(metric_value(METRIC_SANDBOX_RUNS), 0);
	assert_false(sleeps(seconds));
}

/* The daemon's part in the test below, killed in the middle of it. */
static void run_for_ever(const char *seconds)
{
	struct world w;
	scoped(freep) char *script =
		xasprintf("(setsid sleep %s &); exec sleep %s", seconds, seconds);
	const char *const argv[] = { "sh", "-c", script, NULL };
	struct sandbox_request request;

	alarm(120);
	if (world_init(&w, SANDBOX_REQUIRE))
		_exit(1);
	request = request_of(&w, argv);
	start(&w, &request);
	puts(w.workdir);
	fflush(stdout);
	run_loop(&w);
	_exit(1);
}

static void when_the_daemon_is_killed_nothing_stays(void **state)
{
	struct world *w = world_of(state);
	scoped(freep) char *seconds = own_seconds();
	char workdir[sizeof(w->workdir)] = "";
	int out[2];
	pid_t pid;

	assert_int_equal(pipe2(out, O_CLOEXEC), 0);
	pid = fork();
	if (pid == 0) {
		dup2(out[1], STDOUT_FILENO);
		execl("/proc/self/exe", "daemon", "for-ever", seconds, NULL);
		_exit(127);
	}
	close(out[1]);
	assert_int_equal(read(out[0], workdir, sizeof(workdir) - 1), strlen(w->workdir) + 1);
	close(out[0]);
	workdir[strlen(w->workdir)] = '\0';
	while (!sleeps(seconds))
		usleep(10000);
	kill(pid, SIGKILL);
	waitpid(pid, NULL, 0);
	while (sleeps(seconds)) /* or the alarm */
		usleep(10000);
	remove_tree(workdir);
}

static void what_it_left_behind_ends_with_its_command(void **state)
{
	struct world *w = world_of(state);
	scoped(freep) char *seconds = own_seconds();
	scoped(freep) char *script = xasprintf("(setsid sleep %s >left 2>&1 &); exit 4", seconds);

	run_script(w, script);
	assert_int_equal(w->end, SANDBOX_EXITED);
	assert_int_equal(w->code, 4);
	assert_false(sleeps(seconds));
}

static void a_signal_is_told(void **state)
{
	struct world *w = world_of(state);

	run_script(w, "kill -SEGV $$");
	assert_int_equal(w->end, SANDBOX_SIGNALED);
	assert_int_equal(w->code, SIGSEGV);
}

static void one_that_is_freed_ends_without_a_word(void **state)
{
	struct world *w = world_of(state);
	const char *const argv[] = { "sh", "-c", "echo begun; sleep 60", NULL };
	struct sandbox_request request = request_of(w, argv);

	w->free_at_output = true;
	w->stop_at = "begun";
	start(w, &request);
	run_loop(w);
	assert_null(w->run);
	w->free_at_output = false;
	w->stop_at = NULL;
	start(w, &request);
	w->run = sandbox_run_free(w->run); /* before it began */
	run_script(w, "echo next");
	assert_string_equal(strbuf_str(&w->output), "next\n");
}

/* ---- by the proxy ---- */

#define DELIVERY (8 * 1024 * 1024)

static void *deliver(void *arg)
{
	static char chunk[65536];
	const int fd = accept(*(int *)arg, NULL, NULL);

	for (size_t sent = 0; sent < DELIVERY; sent += sizeof(chunk))
		if (send(fd, chunk, sizeof(chunk), MSG_NOSIGNAL) != sizeof(chunk))
			break;
	close(fd);
	return NULL;
}

static void on_refused(const char *text, void *arg)
{
	strbuf_printf(arg, "%s\n", text);
}

static void through_the_proxy_it_reaches_what_is_listed_and_nothing_else(void **state)
{
	static const char ask[] =
		"ask() { exec 3<>/dev/tcp/127.0.0.1/3128; "
		"printf 'CONNECT %%s HTTP/1.1\\r\\n\\r\\n' $1 >&3; head -c $2 <&3; }; "
		"ask example.org:443 24; ask 127.0.0.1:%u 39; "
		"(exec 3<>/dev/tcp/127.0.0.1/%u) 2>/dev/null || echo not directly; "
		"cat <&3 | wc -c";
	struct world *w = world_of(state);
	scoped(strbuf_done) struct strbuf refused = strbuf_init(STRBUF_UNLIMITED);
	scoped(freep) char *socket_path = xasprintf("%s.sock", w->workdir);
	scoped(freep) char *script = NULL;
	scoped(freep) char *entry = NULL;
	scoped(freep) char *wanted = NULL;
	struct connectproxy *proxy;
	struct sandbox_request request;
	pthread_t thread;
	unsigned port;
	int fd = listen_on_loopback(&port);

	script = xasprintf(ask, port, port);
	entry = xasprintf("127.0.0.1:%u", port);
	assert_int_equal(connectproxy_new(w->loop, w->jobs,
					  &(struct connectproxy_settings){
						  .path = socket_path,
						  .allow = (const char *const[]){ entry, NULL },
						  .connections_max = 8,
						  .buffer_max = 65536,
					  },
					  on_refused, &refused, &proxy, NULL),
			 0);
	assert_int_equal(pthread_create(&thread, NULL, deliver, &fd), 0);
	request = request_of(w, (const char *const[]){ "bash", "-c", script, NULL });
	request.network = SANDBOX_PROXY;
	request.proxy_socket = socket_path;
	start(w, &request);
	run_loop(w);
	wanted = xasprintf("HTTP/1.1 403 Forbidden\r\nHTTP/1.1 200 Connection established\r\n\r\n"
			   "not directly\n%d\n",
			   DELIVERY);
	assert_string_equal(strbuf_str(&w->output), wanted);
	assert_string_equal(strbuf_str(&refused),
			    "refused example.org:443: not in publish.registries\n");
	shutdown(fd, SHUT_RDWR);
	close(fd);
	pthread_join(thread, NULL);
	connectproxy_free(proxy);
}

/* ---- without one ---- */

static void where_it_is_off_a_command_runs_bare_and_ends_whole(void **state)
{
	struct world w;
	const char *const argv[] = {
		"sh", "-c", "pwd; echo $CI; env | grep SECRET; (setsid sleep 60 &); exit 5", NULL
	};
	struct sandbox_request request;
	scoped(freep) char *wanted = NULL;

	(void)state;
	world_init(&w, SANDBOX_OFF);
	assert_false(sandbox_isolates(w.sandbox));
	assert_int_equal(setenv("SECRET", "daemon-key", 1), 0);
	request = request_of(&w, argv);
	request.limits.memory = 0;
	start(&w, &request);
	assert_false(sandbox_run_is_isolated(w.run));
	run_loop(&w);
	unsetenv("SECRET");
	wanted = xasprintf("%s\n1\n", w.workdir);
	assert_string_equal(strbuf_str(&w.output), wanted);
	assert_int_equal(w.end, SANDBOX_EXITED);
	assert_int_equal(w.code, 5);

	request.argv = (const char *const[]){ "sleep", "60", NULL };
	request.limits.wall = 200 * USEC_PER_MSEC;
	start(&w, &request);
	run_loop(&w);
	assert_int_equal(w.end, SANDBOX_TIMED_OUT);
	world_done(&w);
}

static void where_it_is_required_and_missing_the_remedy_is_told(void **state)
{
	scoped(freep) char *path = xstrdup(getenv("PATH"));
	scoped(fault_done) struct fault fault = { 0 };
	const char *const argv[] = { "true", NULL };
	struct sandbox_request request;
	struct world w;

	(void)state;
	assert_int_equal(setenv("PATH", "/nowhere", 1), 0);
	assert_non_null(strstr(world_init(&w, SANDBOX_REQUIRE), "apt install bubblewrap"));
	assert_int_equal(setenv("PATH", path, 1), 0);
	request = request_of(&w, argv);
	assert_int_equal(sandbox_start(w.sandbox, &request, &ops, &w, &w.run, &fault), -EOPNOTSUPP);
	assert_int_equal(fault.code, FAULT_SANDBOX_UNAVAILABLE);
	assert_non_null(strstr(fault.detail, "bwrap is not installed"));
	sandbox_set_level(w.sandbox, SANDBOX_PREFER); /* tried again, and there it is or isn't */
	await_verdict(&w);
	assert_int_equal(sandbox_isolates(w.sandbox), sandbox_is_usable(w.sandbox, NULL, NULL));
	world_done(&w);
}

static int wait_for_word(void *input)
{
	const struct timespec moment = { .tv_nsec = 100000000 };
	char byte;

	if (read(*(int *)input, &byte, 1) != 1)
		return -EIO;
	nanosleep(&moment, NULL); /* what waits behind it is not begun any more */
	return 0;
}

static void no_word(int result, void *arg)
{
	(void)result;
	(void)arg;
}

/* As where the daemon is ended while its helper threads have other things to do. */
static void the_end_comes_before_its_first_look(void **state)
{
	const char *const argv[] = { "sleep", "60", NULL };
	struct sandbox_request request;
	struct world w;
	int word[2];

	(void)state;
	world_init(&w, SANDBOX_OFF);
	assert_int_equal(pipe2(word, O_CLOEXEC), 0);
	for (int i = 0; i < 2; i++) /* as many as there are threads */
		assert_non_null(job_start(w.jobs, wait_for_word, &word[0], NULL, no_word, NULL));
	request = request_of(&w, argv);
	start(&w, &request);
	w.sandbox = sandbox_free(w.sandbox);
	assert_int_equal(write(word[1], "xx", 2), 2);
	w.jobs = jobs_free(w.jobs);
	loop_free(w.loop);
	strbuf_done(&w.output);
	remove_tree(w.workdir);
	close(word[0]);
	close(word[1]);
}

int main(int argc, char **argv)
{
	const struct CMUnitTest tests[] = {
		sandbox_test(its_time_is_limited_and_all_of_it_ends),
		sandbox_test(when_the_daemon_is_killed_nothing_stays),
		sandbox_test(what_it_left_behind_ends_with_its_command),
		sandbox_test(a_signal_is_told),
		sandbox_test(one_that_is_freed_ends_without_a_word),
		sandbox_test(through_the_proxy_it_reaches_what_is_listed_and_nothing_else),
		proc_test(where_it_is_off_a_command_runs_bare_and_ends_whole),
		proc_test(where_it_is_required_and_missing_the_remedy_is_told),
		proc_test(the_end_comes_before_its_first_look),
	};

	if (argc == 3 && strcmp(argv[1], "for-ever") == 0)
		run_for_ever(argv[2]);
	helper_main(argc, argv);
	signal(SIGPIPE, SIG_IGN); /* as the daemon has it */
	alarm(180);
	return cmocka_run_group_tests_name("sandbox run", tests, NULL, NULL);
}
