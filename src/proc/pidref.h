/* SPDX-License-Identifier: MIT */
#pragma once

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>
#include <sys/types.h>

#include "base/cleanup.h"

/*
 * A process: never a bare number.  A pid is reused, a pid with its start time is not, and a pidfd
 * can't come to mean another process at all.
 */
struct pidref {
	pid_t pid;           /* 0: none */
	int fd;              /* a pidfd, or -1 where the kernel gave none */
	uint64_t start_time; /* in clock ticks since boot: field 22 of /proc/PID/stat */
};

#define PIDREF_NONE ((struct pidref){ .fd = -1 })

/* -ESRCH when there is no such process.  The caller ends it with pidref_done(). */
int pidref_of(pid_t pid, struct pidref *ret) must_use;

/* The process of that pid and start time, as they were stored; -ESRCH when it is gone. */
int pidref_find(pid_t pid, uint64_t start_time, struct pidref *ret) must_use;

void pidref_done(struct pidref *p);

/* Keeps its numbers and no descriptor: for what is only remembered. */
void pidref_let_go(struct pidref *p);

/* Whether it still runs: a zombie doesn't. */
bool pidref_is_alive(const struct pidref *p);

/* To this process and to no other that has come to its pid.  -ESRCH when it is gone. */
int pidref_signal(const struct pidref *p, int signal) must_use;

/* What /proc says of a process. */
struct process {
	pid_t pid, ppid, pgrp, session;
	uint64_t start_time;
	char state;       /* as in proc(5): R S D Z T … */
	char command[16]; /* comm */
	uid_t uid;        /* effective */
	unsigned n_threads;
	bool is_kernel_thread;
};

int process_read(pid_t pid, struct process *ret) must_use;

/* Whether nothing of it runs any more: it waits to be reaped.  (A zombie whose threads go on
 * isn't.) */
bool process_is_over(const struct process *p);

/* All of them by growing pid, in a new array that the caller frees; reads /proc, a few
 * milliseconds. */
int processes_read(struct process **ret, size_t *ret_n) must_use;

/* The same one by one, each just after it was read: what vanishes in a moment may still be there.
 * 1 where new ones came to the end, so that one may have been missed. */
typedef void process_fn(const struct process *p, void *arg);
int processes_each(process_fn *fn, void *arg) must_use;

/* Whether `ancestor` is above `pid` now, by parents; reads /proc once a step. */
bool process_is_above(pid_t ancestor, pid_t pid);

/* Whether `ancestor` is above `pid` in `all`, by parents. */
bool process_descends(const struct process *all, size_t n, pid_t pid, pid_t ancestor);
