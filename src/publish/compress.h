/* SPDX-License-Identifier: MIT */
#pragma once

#include <stdbool.h>
#include <stddef.h>

#include "base/strbuf.h"

/*
 * The text compressed as a whole, for a file that is made once and sent often.  False when the
 * result doesn't fit in `out` (which then holds nothing of use) or the method isn't built in.
 */
typedef bool compress_fn(const char *text, size_t len, struct strbuf *out);

compress_fn compress_brotli; /* quality 9: of the rest, 11 costs twenty times the time */
compress_fn compress_gzip;   /* level 9 */
