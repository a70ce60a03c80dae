/* SPDX-License-Identifier: MIT */
/* The two clocks, which a test can stand in for, and the one way a time is written. */
#include "base/clock.h"

#include <stdio.h>
#include <time.h>

static usec_t read_kernel(clockid_t id)
{
	struct timespec t;

	clock_gettime(id, &t);
	return (usec_t)t.tv_sec * USEC_PER_SEC + (usec_t)t.tv_nsec / 1000;
}

static usec_t kernel_monotonic(void)
{
	return read_kernel(CLOCK_MONOTONIC);
}

static usec_t kernel_realtime(void)
{
	return read_kernel(CLOCK_REALTIME);
}

static clock_fn *monotonic_source = kernel_monotonic;
static clock_fn *realtime_source = kernel_realtime;

usec_t clock_monotonic(void)
{
	return monotonic_source();
}

usec_t clock_realtime(void)
{
	return realtime_source();
}

void clock_replace(clock_fn *monotonic, clock_fn *realtime)
{
	monotonic_source = monotonic ? monotonic : kernel_monotonic;
	realtime_source = realtime ? realtime : kernel_realtime;
}

const char *clock_format(usec_t realtime, char text[static CLOCK_TEXT_SIZE])
{
	const time_t seconds = (time_t)(realtime / USEC_PER_SEC);
	const unsigned msec = (unsigned)(realtime % USEC_PER_SEC / USEC_PER_MSEC);
	struct tm tm;
	size_t len;

	/* USEC_INFINITY is in the year 586524, which still fits. */
	gmtime_r(&seconds, &tm);
	len = strftime(text, CLOCK_TEXT_SIZE, "%Y-%m-%dT%H:%M:%S", &tm);
	snprintf(text + len, CLOCK_TEXT_SIZE - len, ".%03uZ", msec);
	return text;
}
