/* SPDX-License-Identifier: MIT */
#pragma once

#include <stddef.h>

#include "base/strbuf.h"

/*
 * A text made for one base path, for another: `from` gives way to `to` wherever it stands, however
 * it is written there: plainly, as JSON or JavaScript may ("\/api\/…", "\u002fapi", "\x2f", each
 * also within a string of a string), percent-encoded ("%2Fapi%2F"), or by references of HTML
 * ("&#x2F;"); what comes in its place is written likewise.  Returns how often.  Pure, for any
 * bytes.
 */
size_t rebase_text(const char *text, size_t len, const char *from, const char *to,
		   struct strbuf *out);
