/* SPDX-License-Identifier: MIT */
/* Hostile commands in a real sandbox: what they can't reach, and can't use up. */
#include "sandbox_world.h"

#include <linux/netlink.h>
#include <linux/sched.h>
#include <sys/ioctl.h>
#include <sys/ptrace.h>
#include <sys/stat.h>
#include <sys/syscall.h>

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
		"cd /proc/1/root && cat etc/shadow",
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

static void a_link_in_the_project_takes_no_bind_elsewhere(void **state)
{
	struct world *w = world_of(state);
	scoped(freep) char *outside = xasprintf("%s.outside", w->workdir);
	scoped(freep) char *link = xasprintf("%s/a", w->workdir);
	scoped(freep) char *to = xasprintf("/oldroot%s", outside);
	scoped(fault_done) struct fault fault = { 0 };
	const char *const argv[] = { "true", NULL };
	const struct sandbox_bind binds[] = { { .target = "/build/a/b", .is_tmpfs = true } };
	struct sandbox_request request = request_of(w, argv);

	assert_int_equal(mkdir(outside, 0700), 0);
	assert_int_equal(symlink(to, link), 0);
	request.binds = binds;
	request.n_binds = 1;
	assert_int_equal(sandbox_start(w->sandbox, &request, &ops, w, &w->run, &fault), -EIO);
	assert_non_null(strstr(fault.detail, "symbolic link"));
	assert_int_equal(rmdir(outside), 0);
}

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
		sandbox_test(a_file_may_not_outgrow_its_limit),
		sandbox_test(one_that_fills_the_disk_is_ended),
		sandbox_test(deleted_and_hidden_files_count),
		sandbox_test(one_that_eats_memory_is_ended),
		sandbox_test(a_fork_bomb_is_held_or_ended),
		sandbox_test(what_is_shown_to_it_is_there_and_read_only_unless_said),
		sandbox_test(paths_that_lead_out_are_refused),
		sandbox_test(a_link_in_the_project_takes_no_bind_elsewhere),
	};

	if (argc == 2 && strcmp(argv[1], "calls") == 0) {
		try_calls();
		return 0;
	}
	helper_main(argc, argv);
	alarm(180);
	return cmocka_run_group_tests_name("sandbox", tests, NULL, NULL);
}
