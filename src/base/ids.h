/* SPDX-License-Identifier: MIT */
#pragma once

#include <stdbool.h>
#include <stddef.h>

#define ID_LENGTH_MAX   128 /* bytes of an app_id, session_id or user_id */
#define NAME_LENGTH_MAX 64  /* bytes of an attachment's name */

/* app_id, session_id, user_id: 1 to 128 of [A-Za-z0-9._:@-], neither "." nor ".." */
bool id_is_valid(const char *s);

/* names: 1 to 64 of [A-Za-z0-9._-], neither "." nor ".." */
bool name_is_valid(const char *s);

/* `n` random bytes of the kernel's generator.  Cannot fail on a kernel that has booted. */
void random_bytes(void *buf, size_t n);

/* `n_bytes` random bytes as lowercase hexadecimal with a NUL: 2 * n_bytes + 1 bytes at `ret`. */
void random_hex(char *ret, size_t n_bytes);

/* `len` random characters of [a-z0-9] with a NUL at `ret`, good as a DNS label. */
void random_label(char *ret, size_t len);
