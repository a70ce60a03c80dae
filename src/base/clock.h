/* SPDX-License-Identifier: MIT */
#pragma once

#include <stdint.h>

/* Microseconds.  Durations and both clocks use it. */
typedef uint64_t usec_t;

#define USEC_PER_MSEC UINT64_C(1000)
#define USEC_PER_SEC  UINT64_C(1000000)
#define USEC_INFINITY UINT64_MAX

/* Time since boot: for deadlines and ages. */
usec_t clock_monotonic(void);

/* Time since 1970 (UTC): for what people and other machines are told. */
usec_t clock_realtime(void);

/* A test stands on its own clock; NULL gives the kernel's back. */
typedef usec_t clock_fn(void);
void clock_replace(clock_fn *monotonic, clock_fn *realtime);

/* "2026-11-21T03:43:00.123Z" (RFC 3339, UTC, milliseconds). */
#define CLOCK_TEXT_SIZE 32
const char *clock_format(usec_t realtime, char text[static CLOCK_TEXT_SIZE]);
