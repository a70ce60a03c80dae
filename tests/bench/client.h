/* SPDX-License-Identifier: MIT */
#pragma once

#include <stddef.h>
#include <sys/types.h>

/*
 * What the load generators share: a connection, where an answer ends, and percentiles.  They give
 * up with a sentence and exit status 1; a benchmark with half of its load measures nothing.
 */
void give_up(const char *format, ...) __attribute__((noreturn, format(printf, 1, 2)));

/* A connected socket without Nagle's delay, of "127.0.0.1:7070". */
int connect_to(const char *address);

/* Bytes of the answer that `text` begins with, 0 when it is not all here yet. */
size_t answer_length(const char *text, size_t len, int *ret_status);

/* Sends all, then reads until the answer is there, for the steps that are not measured. */
int exchange(int fd, const char *request, size_t len, char *answer, size_t answer_size);

double seconds_now(void);

struct samples {
	double *values; /* seconds */
	size_t n, room;
};

void samples_add(struct samples *s, double value);
/* In microseconds; sorts. */
double samples_percentile(struct samples *s, double percent);
void samples_done(struct samples *s);
