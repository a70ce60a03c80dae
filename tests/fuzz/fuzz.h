/* SPDX-License-Identifier: MIT */
#pragma once

#include <stddef.h>
#include <stdint.h>

/*
 * One input for one target; it aborts where a promise doesn't hold.  libFuzzer calls it with what
 * it thinks of, replay.c with the files of a corpus.
 */
int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);
