/* SPDX-License-Identifier: MIT */
#pragma once

#include <stdarg.h>
#include <stddef.h>

/*
 * Allocation that doesn't fail: out of memory ends the process; its supervisor restarts it.  What a
 * client sizes doesn't come here: it goes through a struct strbuf, which has a hard maximum.
 */
void *xcalloc(size_t n, size_t size);
void *xrealloc(void *p, size_t size);

/* Copies; each adds a NUL behind the bytes, so that text can be printed as it is. */
void *xmemdup(const void *src, size_t len);
char *xstrdup(const char *s);
char *xstrndup(const char *s, size_t max);
char *xstrdup_null(const char *s); /* NULL stays NULL */

char *xasprintf(const char *format, ...) __attribute__((format(printf, 1, 2)));
char *xvasprintf(const char *format, va_list args) __attribute__((format(printf, 1, 0)));

/* Makes cJSON allocate by the same rule.  Call once, before the first thread. */
void mem_init(void);
