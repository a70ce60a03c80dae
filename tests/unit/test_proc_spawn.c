/* SPDX-License-Identifier: MIT */
#include "proc/spawn.h"

#include "proc_help.h"

#include "base/strbuf.h"

#include <sys/resource.h>
#include <sys/stat.h>

struct world {
	struct loop *loop;
	struct child *child;
	struct strbuf output;
	unsigned n_exits;
	int code, signal;
	const char *stop_at; /* stops the loop when this is in the output; else at the exit */
	bool free_at_output, free_at_exit;
};

static void world_init(struct world *w)
{
	*w = (struct world){ .loop = loop_new(), .output = strbuf_init(STRBUF_UNLIMITED) };
}

static void world_done(struct world *w)
{
	w->child = child_free(w->child);
	strbuf_done(&w->output);
	loop_free(w->loop);
}

static void on_output(struct child *c, const char *bytes, size_t len, void *arg)
{
	struct world *w = arg;

	assert_ptr_equal(c, w->child);
	assert_true(len > 0);
	strbuf_add(&w->output, bytes, len);
	if (w->free_at_output)
		w->child = child_free(w->child);
	if (w->free_at_output || (w->stop_at && strstr(strbuf_str(&w->output), w->stop_at)))
		loop_stop(w->loop);
}

static void on_exit_(struct child *c, int code, int signal, void *arg)
{
	struct world *w = arg;

	assert_ptr_equal(c, w->child);
	w->n_exits++;
	w->code = code;
	w->signal = signal;
	if (w->free_at_exit)
		w->child = child_free(w->child);
	if (!w->stop_at)
		loop_stop(w->loop);
}

static const struct child_ops ops = { .on_output = on_output, .on_exit = on_exit_ };
static const char *const usual_environ[] = { "PATH=/usr/bin:/bin", "ONE=1", NULL };

static int try_spawn(struct world *w, const char *const *argv, const char *cwd,
		     struct fault *reterr)
{
	return child_spawn(
		w->loop,
		&(struct spawn_request){ .argv = argv, .environ_ = usual_environ, .cwd = cwd },
		&ops, w, &w->child, reterr);
}

static void spawn_shell(struct world *w, const char *script)
{
	const char *const argv[] = { "sh", "-c", script, NULL };

	assert_int_equal(try_spawn(w, argv, "/tmp", NULL), 0);
}

static void run(struct world *w)
{
	assert_int_equal(loop_run(w->loop), 0);
}

static void its_output_comes_whole_and_its_code_after_it(void **state)
{
	struct world w;

	(void)state;
	world_init(&w);
	spawn_shell(&w, "echo out; echo err >&2; pwd; echo \"$ONE$HOME\"; cat; exit 7");
	assert_int_equal(w.output.len, 0); /* not before child_spawn() returns */
	run(&w);
	assert_string_equal(strbuf_str(&w.output), "out\nerr\n/tmp\n1\n");
	assert_int_equal(w.n_exits, 1);
	assert_int_equal(w.code, 7);
	assert_int_equal(w.signal, 0);
	world_done(&w);
}

static void a_flood_of_output_comes_whole(void **state)
{
	struct world w;

	(void)state;
	world_init(&w);
	spawn_shell(&w, "yes 0123456789abcde | head -n 131072; printf end");
	run(&w);
	assert_int_equal(w.output.len, 2 * 1024 * 1024 + 3);
	assert_string_equal(w.output.data + 2 * 1024 * 1024, "end");
	world_done(&w);
}

static void the_signal_that_ended_it_is_told(void **state)
{
	struct world w;

	(void)state;
	world_init(&w);
	spawn_shell(&w, "exec sleep 60");
	assert_true(pidref_is_alive(child_pidref(w.child)));
	assert_int_equal(pidref_signal(child_pidref(w.child), SIGTERM), 0);
	run(&w);
	assert_int_equal(w.code, -1);
	assert_int_equal(w.signal, SIGTERM);
	assert_int_equal(pidref_signal(child_pidref(w.child), SIGTERM), -ESRCH);
	world_done(&w);
}

static void it_is_born_into_a_session_of_its_own(void **state)
{
	struct world w;
	struct process p;

	(void)state;
	world_init(&w);
	spawn_shell(&w, "exec sleep 60");
	assert_int_equal(process_read(child_pidref(w.child)->pid, &p), 0);
	assert_int_equal(p.start_time, child_pidref(w.child)->start_time);
	assert_int_equal(p.session, p.pid);
	assert_int_equal(p.pgrp, p.pid);
	assert_int_equal(pidref_signal(child_pidref(w.child), SIGKILL), 0);
	run(&w);
	world_done(&w);
}

static void its_signals_and_descriptors_are_as_new(void **state)
{
	const int leaky = fcntl(STDIN_FILENO, F_DUPFD, 50); /* not close-on-exec */
	scoped(freep) char *script = xasprintf("test -e /proc/$$/fd/%d && echo leaked; "
					       "exec grep -E '^Sig(Blk|Ign)' /proc/self/status",
					       leaky);
	sigset_t usr1, before;
	struct world w;

	(void)state;
	assert_true(leaky >= 50);
	world_init(&w);
	signal(SIGPIPE, SIG_IGN);
	sigemptyset(&usr1);
	sigaddset(&usr1, SIGUSR1);
	sigprocmask(SIG_BLOCK, &usr1, &before);
	spawn_shell(&w, script);
	sigprocmask(SIG_SETMASK, &before, NULL);
	signal(SIGPIPE, SIG_DFL);
	run(&w);
	assert_string_equal(strbuf_str(&w.output),
			    "SigBlk:\t0000000000000000\nSigIgn:\t0000000000000000\n");
	close(leaky);
	world_done(&w);
}

static void stop(void *arg)
{
	loop_stop(arg);
}

static void its_output_outlives_us_and_is_read_on(void **state)
{
	const char *const argv[] = { "sh", "-c", "echo one; sleep 0.2; echo two; exit 3", NULL };
	const struct spawn_request request = {
		.argv = argv, .environ_ = usual_environ, .cwd = "/tmp", .output_outlives_us = true
	};
	struct pidref ref = PIDREF_NONE;
	struct world w;

	(void)state;
	world_init(&w);
	w.stop_at = "one";
	assert_int_equal(child_spawn(w.loop, &request, &ops, &w, &w.child, NULL), 0);
	run(&w);
	assert_int_equal(pidref_of(child_pidref(w.child)->pid, &ref), 0);
	w.child = child_free(w.child); /* from here on nobody reads */

	w.stop_at = NULL;
	assert_int_equal(child_adopt(w.loop, &ref, &ops, &w, &w.child), 0);
	run(&w);
	assert_string_equal(strbuf_str(&w.output), "one\ntwo\n");
	assert_int_equal(w.n_exits, 1);
	loop_defer(w.loop, stop, w.loop); /* what was let go is reaped in the same turn */
	run(&w);
	pidref_done(&ref);
	world_done(&w);
}

static void an_output_that_is_not_ours_is_not_adopted(void **state)
{
	const char *const argv[] = { "sh", "-c", "echo go >&2; exec sleep 20 2>/dev/null", NULL };
	struct pidref ref = PIDREF_NONE;
	struct child *adopted = NULL;
	struct process p = { 0 };
	struct world w;

	(void)state;
	world_init(&w);
	w.stop_at = "go";
	assert_int_equal(try_spawn(&w, argv, "/tmp", NULL), 0);
	run(&w);
	while (strcmp(p.command, "sleep") != 0)
		assert_int_equal(process_read(child_pidref(w.child)->pid, &p), 0);
	assert_int_equal(pidref_of(p.pid, &ref), 0);
	assert_int_equal(child_adopt(w.loop, &ref, &ops, &w, &adopted), -ENOTTY);
	w.stop_at = NULL;
	assert_int_equal(pidref_signal(&ref, SIGKILL), 0);
	run(&w);
	pidref_done(&ref);
	world_done(&w);
}

static void its_command_is_looked_up_in_its_own_path(void **state)
{
	char directory[] = "/tmp/previewd-spawn-XXXXXX";
	scoped(freep) char *program = NULL, *path = NULL;
	const char *const argv[] = { "just-here", NULL };
	const char *environ_text[] = { NULL, NULL };
	const char script[] = "#!/bin/sh\necho found\n";
	struct world w;
	int fd;

	(void)state;
	assert_non_null(mkdtemp(directory));
	program = xasprintf("%s/just-here", directory);
	path = xasprintf("PATH=/nowhere:%s", directory);
	environ_text[0] = path;
	fd = open(program, O_WRONLY | O_CREAT | O_CLOEXEC, 0755);
	assert_int_equal(write(fd, script, sizeof(script) - 1), sizeof(script) - 1);
	close(fd);

	world_init(&w);
	assert_int_equal(child_spawn(w.loop,
				     &(struct spawn_request){
					     .argv = argv, .environ_ = environ_text, .cwd = "/" },
				     &ops, &w, &w.child, NULL),
			 0);
	run(&w);
	assert_string_equal(strbuf_str(&w.output), "found\n");
	world_done(&w);
	unlink(program);
	rmdir(directory);
}

static void what_cannot_begin_is_a_fault_with_its_field(void **state)
{
	static const struct {
		const char *command, *cwd, *field, *detail;
	} rows[] = {
		{ "true", "/nowhere", "cwd",
		  "'cwd' '/nowhere' can't be the working directory: No such file or directory" },
		{ "no-such-program", "/", "command",
		  "'command' 'no-such-program' is not in the PATH" },
		{ "/etc/passwd", "/", "command",
		  "'command' '/etc/passwd' can't be run: Permission denied" },
		{ "./nothing", "/", "command",
		  "'command' './nothing' can't be run: No such file or directory" },
		{ "", "/", "command", "'command' is empty" },
	};
	struct world w;

	(void)state;
	world_init(&w);
	for (size_t i = 0; i < ARRAY_SIZE(rows); i++) {
		const char *const argv[] = { rows[i].command, NULL };
		scoped(fault_done) struct fault fault = { 0 };

		assert_int_equal(try_spawn(&w, argv, rows[i].cwd, &fault), -EINVAL);
		assert_int_equal(fault.code, FAULT_INVALID_FIELD);
		assert_string_equal(fault.fields[0].field, rows[i].field);
		assert_string_equal(fault.detail, rows[i].detail);
		assert_int_equal(waitpid(-1, NULL, WNOHANG), -1); /* no zombie stays */
		assert_int_equal(errno, ECHILD);
	}
	world_done(&w);
}

static void its_end_is_told_while_another_holds_its_output(void **state)
{
	char fifo[] = "/tmp/previewd-fifo-XXXXXX";
	scoped(freep) char *script = NULL;
	struct world w;
	int fd;

	(void)state;
	close(mkstemp(fifo));
	unlink(fifo);
	assert_int_equal(mkfifo(fifo, 0600), 0);
	script = xasprintf("(read x <%s; echo late) & echo early", fifo);
	world_init(&w);
	spawn_shell(&w, script);
	run(&w);
	assert_int_equal(w.n_exits, 1);
	assert_int_equal(w.code, 0);
	assert_string_equal(strbuf_str(&w.output), "early\n");

	w.stop_at = "late\n";
	fd = open(fifo, O_WRONLY | O_CLOEXEC);
	assert_int_equal(write(fd, "x\n", 2), 2);
	close(fd);
	run(&w);
	assert_string_equal(strbuf_str(&w.output), "early\nlate\n");
	assert_int_equal(w.n_exits, 1);
	world_done(&w);
	unlink(fifo);
}

/* Lets the loop turn until the child is gone, zombie and all. */
static void await_reaped(struct world *w, pid_t pid)
{
	struct timer *timer = timer_new(w->loop, stop, w->loop);

	while (kill(pid, 0) == 0) {
		timer_set(timer, USEC_PER_MSEC);
		run(w);
	}
	timer_free(timer);
}

static void it_may_be_freed_inside_its_callbacks(void **state)
{
	struct world w;
	pid_t pid;

	(void)state;
	world_init(&w);
	w.free_at_exit = true;
	spawn_shell(&w, "echo x");
	run(&w);
	assert_null(w.child);
	assert_int_equal(w.n_exits, 1);

	w.free_at_output = true;
	spawn_shell(&w, "echo x; exec sleep 60");
	pid = child_pidref(w.child)->pid;
	run(&w);
	assert_null(w.child);
	kill(pid, SIGKILL);
	await_reaped(&w, pid);
	assert_int_equal(w.n_exits, 1);
	world_done(&w);
}

static void one_that_was_let_go_lives_and_is_reaped_at_its_end(void **state)
{
	struct world w;
	pid_t pid;

	(void)state;
	world_init(&w);
	spawn_shell(&w, "exec sleep 60");
	pid = child_pidref(w.child)->pid;
	w.child = child_free(w.child);
	assert_true(runs(pid));
	kill(pid, SIGTERM);
	await_reaped(&w, pid);
	assert_int_equal(w.n_exits, 0);
	world_done(&w);
}

static int pipe_of(const char *text)
{
	int fds[2];

	assert_int_equal(pipe2(fds, O_CLOEXEC), 0);
	assert_int_equal(write(fds[1], text, strlen(text)), strlen(text));
	close(fds[1]);
	return fds[0];
}

static void descriptors_it_is_given_have_the_numbers_after_its_three(void **state)
{
	const char *const argv[] = { "sh", "-c", "cat <&3; cat <&4; cat <&5; ls /proc/self/fd",
				     NULL };
	int fds[3];
	struct world w;

	(void)state;
	world_init(&w);
	for (int i = 0; i < 3; i++)
		fds[2 - i] = pipe_of((const char *[]){ "third ", "second ", "first " }[i]);
	assert_int_equal(child_spawn(w.loop,
				     &(struct spawn_request){ .argv = argv,
							      .environ_ = usual_environ,
							      .fds = fds,
							      .n_fds = ARRAY_SIZE(fds) },
				     &ops, &w, &w.child, NULL),
			 0);
	run(&w);
	/* 6 is ls' own, of the directory. */
	assert_string_equal(strbuf_str(&w.output), "first second third 0\n1\n2\n3\n4\n5\n6\n");
	for (int i = 0; i < 3; i++)
		close(fds[i]);
	world_done(&w);
}

static void its_umask_and_limits_are_those_we_were_started_with(void **state)
{
	scoped(freep) char *expected = NULL;
	struct rlimit files, ours;
	mode_t mask = umask(0027);
	struct world w;

	(void)state;
	assert_int_equal(getrlimit(RLIMIT_NOFILE, &files), 0);
	child_surroundings_keep();
	umask(0077);
	ours = (struct rlimit){ .rlim_cur = files.rlim_cur - 1, .rlim_max = files.rlim_max };
	assert_int_equal(setrlimit(RLIMIT_NOFILE, &ours), 0);

	world_init(&w);
	spawn_shell(&w, "umask; ulimit -S -n");
	run(&w);
	expected = xasprintf("0027\n%llu\n", (unsigned long long)files.rlim_cur);
	assert_string_equal(strbuf_str(&w.output), expected);
	world_done(&w);
	assert_int_equal(setrlimit(RLIMIT_NOFILE, &files), 0);
	umask(mask);
}

int main(int argc, char **argv)
{
	const struct CMUnitTest tests[] = {
		proc_test(its_output_comes_whole_and_its_code_after_it),
		proc_test(a_flood_of_output_comes_whole),
		proc_test(the_signal_that_ended_it_is_told),
		proc_test(it_is_born_into_a_session_of_its_own),
		proc_test(its_signals_and_descriptors_are_as_new),
		proc_test(its_output_outlives_us_and_is_read_on),
		proc_test(an_output_that_is_not_ours_is_not_adopted),
		proc_test(descriptors_it_is_given_have_the_numbers_after_its_three),
		proc_test(its_command_is_looked_up_in_its_own_path),
		proc_test(what_cannot_begin_is_a_fault_with_its_field),
		proc_test(its_end_is_told_while_another_holds_its_output),
		proc_test(it_may_be_freed_inside_its_callbacks),
		proc_test(one_that_was_let_go_lives_and_is_reaped_at_its_end),
		proc_test(its_umask_and_limits_are_those_we_were_started_with),
	};

	helper_main(argc, argv);
	return cmocka_run_group_tests_name("spawn", tests, NULL, NULL);
}
