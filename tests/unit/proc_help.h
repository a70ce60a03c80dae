/* SPDX-License-Identifier: MIT */
#pragma once

/*
 * Real processes for the tests of src/proc.  A test program runs itself again as what it needs;
 * each such process tells when it is ready, by a line with the pid that matters, and ends by itself
 * after a minute, whatever becomes of the test.
 */
#include "base/mem.h"
#include "proc/pidref.h"

#include <dirent.h>
#include <errno.h>
#include <fcntl.h>
#include <setjmp.h>
#include <signal.h>
#include <stdarg.h>
#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/prctl.h>
#include <sys/wait.h>
#include <unistd.h>
/* cmocka wants setjmp.h and others above it */
#include <cmocka.h>

#define LIFE_SECONDS 60

/* The mark of this run's processes: other runs of the same test may be under way. */
static char task_mark[32], mark[64];

struct helper {
	pid_t pid;   /* our child */
	pid_t other; /* the pid it told: mostly its own */
	int out;
};

static inline void helper_tell(void)
{
	dprintf(STDOUT_FILENO, "%d\n", getpid());
}

static inline void helper_pause(void)
{
	alarm(LIFE_SECONDS);
	for (;;)
		pause();
}

/* A grandchild in a session of its own, whose parent has ended. */
static inline void helper_lose_grandchild(bool deaf)
{
	pid_t child = fork();

	if (child == 0) {
		setsid();
		child = getpid();
		if (fork() == 0) {
			while (getppid() == child)
				usleep(1000);
			if (deaf)
				signal(SIGTERM, SIG_IGN);
			helper_tell();
			helper_pause();
		}
		_exit(0);
	}
	waitpid(child, NULL, 0);
}

static volatile sig_atomic_t helper_generations;

static inline void helper_respawn(int signal_number)
{
	(void)signal_number;
	if (helper_generations-- <= 0 || fork() > 0)
		_exit(0);
	alarm(LIFE_SECONDS);
}

/* Never there when you look: each millisecond a child goes on and its parent ends. */
static inline void helper_run_away(void)
{
	signal(SIGTERM, SIG_IGN);
	signal(SIGCHLD, SIG_IGN);
	helper_tell();
	for (int i = 0; i < 15000; i++) {
		usleep(1000);
		if (fork() > 0)
			_exit(0);
	}
	_exit(0);
}

/* main() of a test program calls it first. */
static inline void helper_main(int argc, char **argv)
{
	const char *mode = argc > 1 ? argv[1] : "";

	alarm(LIFE_SECONDS); /* of the test, too: what hangs fails */
	snprintf(task_mark, sizeof(task_mark), "test-%d", getpid());
	snprintf(mark, sizeof(mark), "PREVIEWD_TASK_MARK=%s", task_mark);
	if (argc < 2)
		return;
	if (strcmp(mode, "pause") == 0) {
		helper_tell();
	} else if (strcmp(mode, "deaf") == 0) {
		signal(SIGTERM, SIG_IGN);
		helper_tell();
	} else if (strcmp(mode, "stopped") == 0) {
		helper_tell();
		raise(SIGSTOP);
	} else if (strcmp(mode, "parent") == 0) {
		if (fork() == 0) {
			helper_tell();
			helper_pause();
		}
	} else if (strcmp(mode, "loses") == 0) {
		helper_lose_grandchild(false);
	} else if (strcmp(mode, "loses-deaf") == 0) {
		helper_lose_grandchild(true);
	} else if (strcmp(mode, "lost") == 0) {
		helper_lose_grandchild(false);
		_exit(0);
	} else if (strcmp(mode, "subreaper") == 0) {
		prctl(PR_SET_CHILD_SUBREAPER, 1);
		helper_lose_grandchild(false);
	} else if (strcmp(mode, "respawn") == 0) {
		helper_generations = 50;
		signal(SIGTERM, helper_respawn);
		signal(SIGCHLD, SIG_IGN);
		helper_tell();
	} else if (strcmp(mode, "runaway") == 0) {
		helper_run_away();
	}
	helper_pause();
}

static inline pid_t helper_read_pid(int fd)
{
	char line[16];
	size_t len = 0;

	while (len < sizeof(line) - 1 && read(fd, &line[len], 1) == 1 && line[len] != '\n')
		len++;
	line[len] = '\0';
	return (pid_t)atoi(line);
}

/* Waits, for a state that no descriptor tells. */
static inline void wait_for_state(pid_t pid, char state)
{
	struct process p;

	while (process_read(pid, &p) >= 0 && p.state != state)
		usleep(1000);
}

/* Starts one with one variable, or none, in its environment. */
static inline struct helper helper_start(const char *mode, char *variable)
{
	struct helper h;
	int out[2];

	assert_int_equal(pipe2(out, O_CLOEXEC), 0);
	h.pid = fork();
	assert_true(h.pid >= 0);
	if (h.pid == 0) {
		char *const argv[] = { (char[]){ "helper" }, (char *)mode, NULL };
		char *const env[] = { (char[]){ "ASAN_OPTIONS=detect_leaks=0" }, variable, NULL };

		dup2(out[1], STDOUT_FILENO);
		execve("/proc/self/exe", argv, env);
		_exit(127);
	}
	close(out[1]);
	h.out = out[0];
	h.other = helper_read_pid(h.out);
	assert_true(h.other > 0);
	if (strcmp(mode, "lost") == 0)
		wait_for_state(h.pid, 'Z');
	return h;
}

static inline void helper_end(struct helper *h)
{
	kill(h->pid, SIGKILL);
	kill(h->pid, SIGCONT);
	waitpid(h->pid, NULL, 0);
	close(h->out);
}

static inline bool runs(pid_t pid)
{
	struct process p;

	return process_read(pid, &p) >= 0 && !process_is_over(&p);
}

/* Whether it and all that came of it have ended: the last to hold its output is gone. */
static inline bool all_ended(const struct helper *h)
{
	char byte;

	fcntl(h->out, F_SETFL, O_NONBLOCK);
	return read(h->out, &byte, 1) == 0;
}

static inline size_t count_descriptors(void)
{
	DIR *dir = opendir("/proc/self/fd");
	size_t n = 0;

	assert_non_null(dir);
	while (readdir(dir))
		n++;
	closedir(dir);
	return n;
}

/* Around each test: no descriptor may be lost. */
static size_t descriptors_before;

static inline int setup_counting(void **state)
{
	(void)state;
	descriptors_before = count_descriptors();
	return 0;
}

static inline int teardown_counting(void **state)
{
	(void)state;
	if (count_descriptors() == descriptors_before)
		return 0;
	print_error("descriptors: %zu before, %zu after\n", descriptors_before,
		    count_descriptors());
	return -1;
}

#define proc_test(f) cmocka_unit_test_setup_teardown(f, setup_counting, teardown_counting)
