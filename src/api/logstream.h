/* SPDX-License-Identifier: MIT */
#pragma once

#include "loop/textlog.h"

struct call;

/*
 * A log as an answer: text as it comes.  It is paused while the client doesn't read; what is lost
 * meanwhile is said in the text.
 *
 * The reader is made with `log_stream_ops` and the stream as its argument, and given to the stream
 * with the call, which it ends.
 */
struct log_stream;
extern const struct textlog_ops log_stream_ops;

struct log_stream *log_stream_new(void);
void log_stream_free(struct log_stream *s); /* one that was not begun, with its reader */
void log_stream_begin(struct log_stream *s, struct textlog_reader *log_take, struct call *call);
