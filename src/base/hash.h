/* SPDX-License-Identifier: MIT */
#pragma once

#include <stddef.h>
#include <stdint.h>
#include <uthash.h>

/*
 * uthash, with a hash that nobody outside can foresee.  Its own has no key: who chooses names (of
 * sessions, resources, channels) can choose them so that they share a bucket, and some fifty of
 * these keep a table from ever growing, for everybody in it.  Tables are declared with this header
 * instead of <uthash.h>.
 */
#undef HASH_FUNCTION
#define HASH_FUNCTION(key, length, ret) ((ret) = hash_of((key), (length)))

/* By this process's own key. */
uint32_t hash_of(const void *data, size_t len);

#define HASH_KEY_SIZE 16

/* SipHash-2-4 (Aumasson and Bernstein, 2012). */
uint64_t siphash(const uint8_t key[static HASH_KEY_SIZE], const void *data, size_t len);
