/* SPDX-License-Identifier: MIT */
#pragma once

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "base/cleanup.h"
#include "loop/loop.h"

/*
 * The last of a text that grows, a process' output, and whoever follows it gets each piece as it
 * comes.  The writer never waits: a reader that falls behind what is kept misses some, and is told
 * how much.
 */
struct textlog {
	char *data;
	size_t len, capacity;
	uint64_t start; /* of the first byte kept, among all ever written */
	struct textlog_reader *readers;
	struct loop *loop;
	bool has_ended;
};

void textlog_init(struct textlog *l, struct loop *loop);
void textlog_done(struct textlog *l); /* tells its readers the end */

/* Keeps the last `max` bytes, and something more now and then. */
void textlog_add(struct textlog *l, size_t max, const char *bytes, size_t len);

/* Nothing more is to come: who has read all hears the end. */
void textlog_end(struct textlog *l);

/* How many bytes were ever written. */
uint64_t textlog_total(const struct textlog *l);

struct textlog_reader;
struct textlog_ops {
	void (*on_bytes)(const char *bytes, size_t len, void *arg);
	void (*on_end)(void *arg); /* the reader is gone */
};

/* What is kept, then (follow) each piece as it comes, and its end; all of it from the loop. */
struct textlog_reader *textlog_read(struct textlog *l, bool follow, const struct textlog_ops *ops,
				    void *arg);
void textlog_pause(struct textlog_reader *r); /* also from inside on_bytes() */
void textlog_resume(struct textlog_reader *r);
struct textlog_reader *textlog_reader_free(struct textlog_reader *r);
DEFINE_CLEANUP(struct textlog_reader *, textlog_reader_free)
