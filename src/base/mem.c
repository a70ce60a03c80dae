/* SPDX-License-Identifier: MIT */
/*
 * Allocation that ends the process where it fails, cJSON's among it.
 */
#include "base/mem.h"

#include <cjson/cJSON.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

static void *alive(void *p)
{
	if (!p) {
		fputs("out of memory\n", stderr);
		abort();
	}
	return p;
}

void *xcalloc(size_t n, size_t size)
{
	return alive(calloc(n ? n : 1, size ? size : 1));
}

void *xrealloc(void *p, size_t size)
{
	return alive(realloc(p, size ? size : 1));
}

void *xmemdup(const void *src, size_t len)
{
	char *p = xcalloc(1, len + 1);

	if (len > 0)
		memcpy(p, src, len);
	return p;
}

char *xstrdup(const char *s)
{
	return xmemdup(s, strlen(s));
}

char *xstrndup(const char *s, size_t max)
{
	return xmemdup(s, strnlen(s, max));
}

char *xstrdup_null(const char *s)
{
	return s ? xstrdup(s) : NULL;
}

char *xvasprintf(const char *format, va_list args)
{
	char *s = NULL;

	if (vasprintf(&s, format, args) < 0)
		s = NULL;
	return alive(s);
}

char *xasprintf(const char *format, ...)
{
	va_list args;
	char *s;

	va_start(args, format);
	s = xvasprintf(format, args);
	va_end(args);
	return s;
}

static void *json_malloc(size_t size)
{
	return alive(malloc(size));
}

void mem_init(void)
{
	cJSON_Hooks hooks = { .malloc_fn = json_malloc, .free_fn = free };

	cJSON_InitHooks(&hooks);
}
