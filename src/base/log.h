/* SPDX-License-Identifier: MIT */
#pragma once

#include <stdbool.h>

/*
 * Sentences for an operator: what happened, to which thing, what previewd does about it.  A secret
 * never comes here.
 *
 * Each file names its area once, before its first call:
 *
 *	LOG_AREA("registry");
 *
 * The text form is "<6>registry: session 's1': attached 'default' ..." with sd-daemon's level
 * prefix when the journal reads stderr, else "2026-11-21T03:43:00.123Z info  registry: ...".
 * The JSON form is one object a line: ts, level, area, message.
 */
enum log_level {
	LOG_LEVEL_DEBUG,
	LOG_LEVEL_INFO,
	LOG_LEVEL_WARNING,
	LOG_LEVEL_ERROR,
};

enum log_format {
	LOG_FORMAT_TEXT,
	LOG_FORMAT_JSON,
};

#define LOG_AREA(name) static const char log_area_[] = name

void log_setup(enum log_level least, enum log_format format);
enum log_level log_least(void);

/* A line longer than 4 KiB is cut; control characters in it are escaped, so a line is a line. */
void log_write(enum log_level level, const char *area, int error, const char *format, ...)
	__attribute__((format(printf, 4, 5)));

#define log_at_(level, error, ...)                                           \
	do {                                                                 \
		if ((level) >= log_least())                                  \
			log_write((level), log_area_, (error), __VA_ARGS__); \
	} while (0)

#define log_debug(...)   log_at_(LOG_LEVEL_DEBUG, 0, __VA_ARGS__)
#define log_info(...)    log_at_(LOG_LEVEL_INFO, 0, __VA_ARGS__)
#define log_warning(...) log_at_(LOG_LEVEL_WARNING, 0, __VA_ARGS__)
#define log_error(...)   log_at_(LOG_LEVEL_ERROR, 0, __VA_ARGS__)

/* `error` is a negative errno; its text is added behind ": ".  The value of each is `error`. */
#define log_warning_errno(error, ...)                             \
	({                                                        \
		int logged_ = (error);                            \
		log_at_(LOG_LEVEL_WARNING, logged_, __VA_ARGS__); \
		logged_;                                          \
	})
#define log_error_errno(error, ...)                             \
	({                                                      \
		int logged_ = (error);                          \
		log_at_(LOG_LEVEL_ERROR, logged_, __VA_ARGS__); \
		logged_;                                        \
	})
