/* SPDX-License-Identifier: MIT */
#pragma once

#include <stdarg.h>
#include <stdbool.h>
#include <stddef.h>

#include "base/cleanup.h"

/*
 * Text or bytes that grow, up to a hard maximum.  After the first addition that doesn't fit the
 * buffer is in error (-EMSGSIZE) and stays as it was; later additions do nothing.  So a writer adds
 * as it goes and asks once, at the end.
 *
 *	scoped(strbuf_done) struct strbuf b = strbuf_init(4096);
 */
struct strbuf {
	char *data; /* NUL-terminated whenever len > 0; NULL when nothing was ever added */
	size_t len;
	size_t capacity;
	size_t max;
	int error; /* 0 or -EMSGSIZE */
};

#define STRBUF_UNLIMITED ((size_t)-1 / 2)

static inline struct strbuf strbuf_init(size_t max)
{
	return (struct strbuf){ .max = max };
}

void strbuf_done(struct strbuf *b);
void strbuf_reset(struct strbuf *b); /* empty, not in error; keeps the memory */

void strbuf_add(struct strbuf *b, const void *bytes, size_t len);
void strbuf_puts(struct strbuf *b, const char *s);
void strbuf_putc(struct strbuf *b, char c);
void strbuf_printf(struct strbuf *b, const char *format, ...) __attribute__((format(printf, 2, 3)));
void strbuf_vprintf(struct strbuf *b, const char *format, va_list args)
	__attribute__((format(printf, 2, 0)));

/* Takes `len` bytes off the front. */
void strbuf_consume(struct strbuf *b, size_t len);

/* The text, never NULL. */
const char *strbuf_str(const struct strbuf *b);

/* Hands the memory to the caller, who frees it; the buffer is empty afterwards.  Never NULL. */
char *strbuf_steal(struct strbuf *b);

/* Adds `s` as a JSON string, with its quotes, escaped by RFC 8259 section 7. */
void strbuf_add_json_string(struct strbuf *b, const char *s);

/* Adds `s` percent-encoded: all but the unreserved characters of RFC 3986 section 2.3. */
void strbuf_add_percent(struct strbuf *b, const char *s);
