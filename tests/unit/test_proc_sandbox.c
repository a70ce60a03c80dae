/* SPDX-License-Identifier: MIT */
/*
 * Hostile commands in a real sandbox. Where this machine can't have one (the remedy is told) they
 * are skipped.
 */
#include "proc/sandbox.h"

#include "proc_help.h"

#include "base/strbuf.h"
#include "loop/jobs.h"
#include "net/connectproxy.h"

#include <arpa/inet.h>
#include <linux/netlink.h>
#include <linux/sched.h>
#include <netinet/in.h>
#include <pthread.h>
#include <sys/ioctl.h>
#include <sys/ptrace.h>
#include <sys/socket.h>
#include <sys/stat.h>
#include <sys/syscall.h>

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

static void remove_tree(const char *path)
{
	scoped(freep) char *command = xasprintf("chmod -R u+rwx '%s'; rm -rf '%s'", path, path);

	assert_int_equal(system(command), 0);
}

static void on_output(const char *bytes, size_t len, void *arg)
{
	struct world *w = arg;

	strbuf_add(&w->output, bytes, len);
	if (w->stop_at && strstr(strbuf_str(&w->output), w->stop_at))
		loop_stop(w->loop);
	if (w->free_at_output)
		w->run = sandbox_run_free(w->run);
}

static void on_end(enum sandbox_end end, int code, void *arg)
{
	struct world *w = arg;

	w->n_ends++;
	w->end = end;
	w->code = code;
	w->run = sandbox_run_free(w->run);
	loop_stop(w->loop);
}

static const struct sandbox_ops ops = { .on_output = on_output, .on_end = on_end };

static void on_tick(void *arg)
{
	struct world *w = arg;

	loop_stop(w->loop);
}

static void turn(struct world *w)
{
	struct timer *timer = timer_new(w->loop, on_tick, w);

	timer_set(timer, 10 * USEC_PER_MSEC);
	assert_int_equal(loop_run(w->loop), 0);
	timer_free(timer);
}

/* NULL where it works, else why it doesn't. */
static const char *await_verdict(struct world *w)
{
	const char *remedy = NULL;

	while (!sandbox_is_usable(w->sandbox, &remedy, NULL) &&
	       strcmp(remedy, "it is being tried") == 0)
		turn(w);
	return remedy;
}

static const char *world_init(struct world *w, enum sandbox_level level)
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

static void world_done(struct world *w)
{
	w->run = sandbox_run_free(w->run);
	w->sandbox = sandbox_free(w->sandbox);
	w->jobs = jobs_free(w->jobs);
	strbuf_done(&w->output);
	loop_free(w->loop);
	remove_tree(w->workdir);
}

static struct sandbox_request request_of(const struct world *w, const char *const *argv)
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

static void start(struct world *w, const struct sandbox_request *request)
{
	scoped(fault_done) struct fault fault = { 0 };

	w->n_ends = 0;
	strbuf_reset(&w->output);
	if (sandbox_start(w->sandbox, request, &ops, w, &w->run, &fault) < 0)
		fail_msg("%s", fault.detail);
}

static void run_loop(struct world *w)
{
	assert_int_equal(loop_run(w->loop), 0);
}

/* Runs a script to its end. */
static void run_script(struct world *w, const char *script)
{
	const char *const argv[] = { "sh", "-c", script, NULL };
	struct sandbox_request request = request_of(w, argv);

	start(w, &request);
	run_loop(w);
	assert_int_equal(w->n_ends, 1);
}

static int setup(void **state)
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

static int teardown(void **state)
{
	if (*state)
		world_done(*state);
	return teardown_counting(state);
}

static struct world *world_of(void **state)
{
	if (!*state)
		skip();
	return *state;
}

static void a_command_runs_in_the_project_and_its_output_and_code_come(void **state)
{
	struct world *w = world_of(state);

	run_script(w, "pwd; id -u; echo x > made; echo err >&2; exit 3");
	assert_string_equal(strbuf_str(&w->output), "/build\n1000\nerr\n");
	assert_int_equal(w->end, SANDBOX_EXITED);
	assert_int_equal(w->code, 3);
}

/* ---- what it can't reach ---- */

/* Runs it and wants each line of `script` to fail; a line is told by itself when it doesn't. */
static void expect_all_to_fail(struct world *w, const char *const *lines)
{
	scoped(strbuf_done) struct strbuf script = strbuf_init(STRBUF_UNLIMITED);

	for (; *lines; lines++)
		strbuf_printf(&script, "if ( %s ) >/dev/null 2>&1; then echo 'worked: %s'; fi\n",
			      *lines, *lines);
	strbuf_puts(&script, "echo end");
	run_script(w, strbuf_str(&script));
	assert_string_equal(strbuf_str(&w->output), "end\n");
	assert_int_equal(w->end, SANDBOX_EXITED);
}

/* Opened and not written: where this fails the machine shall not suffer for it. */
static void nothing_of_the_host_can_be_written(void **state)
{
	static const char *const lines[] = {
		": >>/x",
		": >>/usr/x",
		": >>/etc/x",
		": >>/etc/passwd",
		": >>/run/x",
		": >>/dev/x",
		": >>/proc/sys/kernel/hostname",
		": >>/proc/sys/kernel/core_pattern",
		": >>/proc/sysrq-trigger",
		": >>/proc/sys/vm/drop_caches",
		"find /proc/sys /proc/irq /proc/bus /proc/fs -type f -writable | grep .",
		": >>/proc/sys/user/max_user_namespaces",
		"mkdir /home/x",
		"touch /run/previewd/sandbox",
		"mknod /build/disk b 8 0",
		"ls /sys/kernel",
		"chroot /build /bin/true",
		NULL,
	};

	expect_all_to_fail(world_of(state), lines);
}

static void namespaces_mounts_and_other_processes_are_out_of_reach(void **state)
{
	static const char *const lines[] = {
		"unshare -U true",
		"unshare -m true",
		"unshare -n true",
		"mount -t tmpfs none /tmp",
		"mount -o remount,rw /",
		"umount /tmp",
		"nsenter -t 1 -m true",
		"kill -9 1 && sleep 1 && kill -0 1 && false",
		"test -e /proc/10000 -o $(ls -d /proc/[0-9]* | wc -l) -gt 16",
		"cat /proc/1/mem",
		"ls /proc/1/root/root",
		NULL,
	};

	expect_all_to_fail(world_of(state), lines);
}

/* System calls that no command has: this program runs itself inside. */
static void say_denied(const char *name, long result)
{
	printf("%s %s\n", name, result < 0 ? strerrorname_np(errno) : "works");
}

static void try_calls(void)
{
	struct clone_args args = { .flags = CLONE_NEWUSER, .exit_signal = SIGCHLD };

	say_denied("ptrace", syscall(SYS_ptrace, PTRACE_TRACEME, 0, 0, 0));
	say_denied("bpf", syscall(SYS_bpf, 0, NULL, 0));
	say_denied("mount", syscall(SYS_mount, "none", "/tmp", "tmpfs", 0, NULL));
	say_denied("unshare", syscall(SYS_unshare, CLONE_NEWNS));
	say_denied("userns", syscall(SYS_unshare, CLONE_NEWUSER));
	say_denied("clone", syscall(SYS_clone, CLONE_NEWUSER | SIGCHLD, NULL, NULL, NULL, NULL));
	say_denied("clone3", syscall(SYS_clone3, &args, sizeof(args)));
	say_denied("io_uring", syscall(SYS_io_uring_setup, 1, NULL));
	say_denied("keyctl", syscall(SYS_keyctl, 0, 0, 0, 0, 0));
	say_denied("packet", socket(AF_PACKET, SOCK_RAW, 0));
	say_denied("vsock", socket(AF_VSOCK, SOCK_STREAM, 0));
	say_denied("audit", socket(AF_NETLINK, SOCK_RAW, NETLINK_AUDIT));
	say_denied("typing", ioctl(0, TIOCSTI, "x"));
	say_denied("unix", socket(AF_UNIX, SOCK_STREAM, 0));
	say_denied("inet6", socket(AF_INET6, SOCK_STREAM, 0));
	say_denied("route", socket(AF_NETLINK, SOCK_RAW, NETLINK_ROUTE));
}

static void the_filter_denies_what_a_build_has_no_business_with(void **state)
{
	static const char denied[] =
		"ptrace EPERM\nbpf EPERM\nmount EPERM\nunshare EPERM\nuserns EPERM\nclone EPERM\n"
		"clone3 ENOSYS\nio_uring ENOSYS\nkeyctl EPERM\npacket EAFNOSUPPORT\n"
		"vsock EAFNOSUPPORT\naudit EAFNOSUPPORT\ntyping EPERM\nunix works\ninet6 works\n"
		"route works\n";
	struct world *w = world_of(state);
	const char *const argv[] = { "/self", "calls", NULL };
	struct sandbox_request request = request_of(w, argv);
	scoped(freep) char *self = realpath("/proc/self/exe", NULL);

	request.binds = &(struct sandbox_bind){ .source = self, .target = "/self" };
	request.n_binds = 1;
	request.environ_ = (const char *const[]){ "ASAN_OPTIONS=detect_leaks=0", NULL };
	request.limits.memory = 0; /* sanitizers reserve much */
	start(w, &request);
	run_loop(w);
	assert_string_equal(strbuf_str(&w->output), denied);
}

static void its_environment_is_its_own(void **state)
{
	struct world *w = world_of(state);
	const char *const argv[] = {
		"sh", "-c",
		"env | grep -e SECRET -e PREVIEWD; echo $MINE $HOME;"
		"tr '\\0' '\\n' </proc/1/environ | grep -v ^PATH=;"
		"tr '\\0' ' ' </proc/1/cmdline; echo; ls /proc/self/fd | wc -l;"
		"cat /etc/passwd | cut -d: -f1; hostname; id -G",
		NULL
	};
	struct sandbox_request request = request_of(w, argv);

	assert_int_equal(setenv("SECRET", "daemon-key", 1), 0);
	request.environ_ = (const char *const[]){ "MINE=1", NULL };
	start(w, &request);
	run_loop(w);
	unsetenv("SECRET");
	assert_non_null(strstr(strbuf_str(&w->output), "1 /home/build\n"));
	assert_null(strstr(strbuf_str(&w->output), "daemon-key"));
	assert_null(strstr(strbuf_str(&w->output), w->workdir));
	/* 0 to 2, and ls' own */
	assert_non_null(strstr(strbuf_str(&w->output), "\n4\nroot\nbuild\nnobody\nbuild\n1000\n"));
}

static void files_of_the_host_are_not_there(void **state)
{
	struct world *w = world_of(state);
	scoped(freep) char *secret = xasprintf("%s.secret", w->workdir);
	scoped(freep) char *line = xasprintf("test -e %s", secret);
	const char *const lines[] = { line,
				      "test -e /root",
				      "test -e /home/build/.npmrc",
				      "test -e /etc/shadow",
				      "test -e /var",
				      "test -e /srv",
				      "test -e /etc/hostname",
				      NULL };
	int fd = open(secret, O_CREAT | O_WRONLY | O_CLOEXEC, 0600);

	assert_true(fd >= 0);
	close(fd);
	expect_all_to_fail(w, lines);
	unlink(secret);
}

static int listen_on_loopback(unsigned *ret_port)
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

static void without_a_network_even_the_hosts_loopback_is_out_of_reach(void **state)
{
	struct world *w = world_of(state);
	unsigned port;
	int fd = listen_on_loopback(&port);
	scoped(freep) char *line = xasprintf("bash -c \"exec 3<>/dev/tcp/127.0.0.1/%u\"", port);

	expect_all_to_fail(w, (const char *const[]){ line,
						     "bash -c \"exec 3<>/dev/tcp/203.0.113.1/443\"",
						     "grep -v lo: /proc/net/dev | grep :", NULL });
	close(fd);
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

/* ---- what it can't use up ---- */

static void a_file_may_not_outgrow_its_limit(void **state)
{
	struct world *w = world_of(state);

	run_script(w, "truncate -s 10G sparse 2>/dev/null && echo sparse;"
		      "head -c 100000000 /dev/zero >big 2>/dev/null && echo big; stat -c %s big");
	assert_string_equal(strbuf_str(&w->output), "67108864\n");
}

static void one_that_fills_the_disk_is_ended(void **state)
{
	struct world *w = world_of(state);

	run_script(w, "i=0; while :; do i=$((i+1)); head -c 16M /dev/zero >f$i; sleep 0.1; done");
	assert_int_equal(w->end, SANDBOX_DISK_FULL);
}

static void deleted_and_hidden_files_count(void **state)
{
	struct world *w = world_of(state);

	run_script(w,
		   "for i in 4 5 6 7 8 9; do eval \"exec $i>f; rm f; head -c 60M /dev/zero >&$i\";"
		   "done; sleep 60");
	assert_int_equal(w->end, SANDBOX_DISK_FULL);
	/* As root nothing is hidden by its mode. */
	run_script(w, "mkdir d; for i in 1 2 3; do head -c 60M /dev/zero >d/$i; done; chmod 0 d;"
		      "sleep 60");
	assert_int_equal(w->end, SANDBOX_DISK_FULL);
}

static void one_that_eats_memory_is_ended(void **state)
{
	struct world *w = world_of(state);
	const char *const greedy[] = { "sh", "-c",
				       "x=$(head -c 200M /dev/zero | tr '\\0' x); echo $?", NULL };
	struct sandbox_request request = request_of(w, greedy);

	request.limits.memory = 64 * MIB;
	start(w, &request);
	run_loop(w);
	/* By the kernel, or when it was looked at. */
	assert_true(w->end == SANDBOX_NO_MEMORY || w->end == SANDBOX_SIGNALED ||
		    (w->end == SANDBOX_EXITED && w->code != 0));

	/* Each within what the kernel holds it to, all of them together not. */
	request.argv = (const char *const[]){
		"sh", "-c",
		"for i in 1 2 3 4 5 6; do perl -e '$x = \"x\" x (30 << 20); sleep 60' & done; wait",
		NULL
	};
	request.limits.memory = 100 * MIB;
	start(w, &request);
	run_loop(w);
	assert_int_equal(w->end, SANDBOX_NO_MEMORY);
}

/* As an ordinary user the kernel refuses more; for root it doesn't, and then the whole is ended. */
static void a_fork_bomb_is_held_or_ended(void **state)
{
	struct world *w = world_of(state);

	/* Bounded, for the machine's sake, should the limit fail. */
	run_script(w, "for i in $(seq 400); do sleep 60 & done 2>/dev/null; echo started; wait");
	if (w->end == SANDBOX_NO_PROCESSES)
		assert_int_equal(geteuid(), 0);
	else
		assert_int_equal(w->end, SANDBOX_EXITED);
}

/* ---- its end ---- */

/* Whether a `sleep SECONDS` runs anywhere on this machine; the seconds are the test's own. */
static bool sleeps(const char *seconds)
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
static char *own_seconds(void)
{
	return xasprintf("10%07d", getpid());
}

static void its_time_is_limited_and_all_of_it_ends(void **state)
{
	struct world *w = world_of(state);
	scoped(freep) char *seconds = own_seconds();
	scoped(freep) char *script = xasprintf("trap '' TERM HUP INT; (setsid setsid sleep %s &);"
					       "echo begun; sleep %s",
					       seconds, seconds);
	const char *const argv[] = { "sh", "-c", script, NULL };
	struct sandbox_request request = request_of(w, argv);

	request.limits.wall = USEC_PER_SEC;
	start(w, &request);
	run_loop(w);
	assert_int_equal(w->end, SANDBOX_TIMED_OUT);
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

static void what_is_shown_to_it_is_there_and_read_only_unless_said(void **state)
{
	struct world *w = world_of(state);
	scoped(freep) char *store = xasprintf("%s/store", w->workdir);
	scoped(freep) char *cache = xasprintf("%s/cache", w->workdir);
	const struct sandbox_bind binds[] = {
		{ .source = store, .target = "/build/sub/node_modules" },
		{ .target = "/build/sub/node_modules/.cache", .is_tmpfs = true },
		{ .source = cache, .target = "/cache", .is_writable = true },
	};
	const char *const argv[] = { "sh", "-c",
				     "pwd; cat node_modules/package; echo x >node_modules/package;"
				     "echo x >node_modules/.cache/x && echo cached;"
				     "echo x >/cache/x && echo kept",
				     NULL };
	struct sandbox_request request = request_of(w, argv);
	scoped(freep) char *script = xasprintf("cd %s && mkdir -p sub store/.cache cache && "
					       "echo package >store/package",
					       w->workdir);

	assert_int_equal(system(script), 0);
	request.cwd = "sub";
	request.binds = binds;
	request.n_binds = ARRAY_SIZE(binds);
	start(w, &request);
	run_loop(w);
	assert_non_null(strstr(strbuf_str(&w->output), "/build/sub\npackage\n"));
	assert_non_null(strstr(strbuf_str(&w->output), "Read-only file system"));
	assert_non_null(strstr(strbuf_str(&w->output), "cached\nkept\n"));
}

static void paths_that_lead_out_are_refused(void **state)
{
	struct world *w = world_of(state);
	const char *const argv[] = { "true", NULL };
	static const char *const cwds[] = { "..", "/tmp", "a/../../b" };
	struct sandbox_request request = request_of(w, argv);

	for (size_t i = 0; i < ARRAY_SIZE(cwds); i++) {
		request.cwd = cwds[i];
		assert_int_equal(sandbox_start(w->sandbox, &request, &ops, w, &w->run, NULL),
				 -EINVAL);
	}
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

#define sandbox_test(f) cmocka_unit_test_setup_teardown(f, setup, teardown)

int main(int argc, char **argv)
{
	const struct CMUnitTest tests[] = {
		sandbox_test(a_command_runs_in_the_project_and_its_output_and_code_come),
		sandbox_test(nothing_of_the_host_can_be_written),
		sandbox_test(namespaces_mounts_and_other_processes_are_out_of_reach),
		sandbox_test(the_filter_denies_what_a_build_has_no_business_with),
		sandbox_test(its_environment_is_its_own),
		sandbox_test(files_of_the_host_are_not_there),
		sandbox_test(without_a_network_even_the_hosts_loopback_is_out_of_reach),
		sandbox_test(through_the_proxy_it_reaches_what_is_listed_and_nothing_else),
		sandbox_test(a_file_may_not_outgrow_its_limit),
		sandbox_test(one_that_fills_the_disk_is_ended),
		sandbox_test(deleted_and_hidden_files_count),
		sandbox_test(one_that_eats_memory_is_ended),
		sandbox_test(a_fork_bomb_is_held_or_ended),
		sandbox_test(its_time_is_limited_and_all_of_it_ends),
		sandbox_test(when_the_daemon_is_killed_nothing_stays),
		sandbox_test(what_it_left_behind_ends_with_its_command),
		sandbox_test(a_signal_is_told),
		sandbox_test(one_that_is_freed_ends_without_a_word),
		sandbox_test(what_is_shown_to_it_is_there_and_read_only_unless_said),
		sandbox_test(paths_that_lead_out_are_refused),
		proc_test(where_it_is_off_a_command_runs_bare_and_ends_whole),
		proc_test(where_it_is_required_and_missing_the_remedy_is_told),
	};

	if (argc == 2 && strcmp(argv[1], "calls") == 0) {
		try_calls();
		return 0;
	}
	if (argc == 3 && strcmp(argv[1], "for-ever") == 0)
		run_for_ever(argv[2]);
	helper_main(argc, argv);
	alarm(180);
	return cmocka_run_group_tests_name("sandbox", tests, NULL, NULL);
}
