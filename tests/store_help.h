/* SPDX-License-Identifier: MIT */
#pragma once

#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "base/mem.h"
#include "loop/loop.h"
#include "store/store.h"

/* What the tests of the store share: a directory of their own, records to write, and waiting. */

static inline struct record_attachment attachment(const char *session_id, const char *name)
{
	return (struct record_attachment){
		.session_id = session_id,
		.name = name,
		.type = "proxy",
		.scheme = "http",
		.host = "127.0.0.1",
		.port = 5173,
		.path = "/",
		.address = "127.0.0.1",
		.label = "k3j9x",
		.url = "http://localhost:5173/",
		.focus = 1,
		.attached_at = INT64_C(1795233600000000),
	};
}

static inline void put_attachment(struct store_batch *b, const char *session_id, const char *name)
{
	struct record_attachment a = attachment(session_id, name);

	store_put(b, RECORD_KIND_ATTACHMENT, &a);
}

struct waiter {
	struct loop *loop;
	int result;
};

static inline void on_waited(int result, void *arg)
{
	struct waiter *w = arg;

	w->result = result;
	loop_stop(w->loop);
}

/* Takes the batch and runs the loop until its answer. */
static inline int commit_and_wait(struct loop *loop, struct store *s, struct store_batch *b)
{
	struct waiter w = { .loop = loop, .result = 1 };
	struct store_commit *c = store_commit_consume(s, b, on_waited, &w);

	loop_run(loop);
	store_commit_free(c);
	return w.result;
}

static inline int put_and_wait(struct loop *loop, struct store *s, const char *session_id,
			       const char *name)
{
	struct store_batch *b = store_batch_new();

	put_attachment(b, session_id, name);
	return commit_and_wait(loop, s, b);
}

static inline int append_key(const void *record, void *arg)
{
	const struct record_attachment *a = record;
	char *keys = arg;

	sprintf(keys + strlen(keys), "%s/%s ", a->session_id, a->name);
	return 0;
}

/* "session/name session/name ", as they are loaded. */
static inline const char *attachments(struct store *s)
{
	static char keys[64 * 1024];

	keys[0] = '\0';
	if (store_load(s, RECORD_KIND_ATTACHMENT, append_key, keys, NULL) < 0)
		return "could not be loaded";
	return keys;
}

static inline char *temporary_directory(void)
{
	char *dir = xstrdup("/tmp/previewd-store-XXXXXX");

	if (!mkdtemp(dir)) {
		perror(dir);
		abort();
	}
	return dir;
}

/* The store's files in it, and itself. */
static inline void remove_directory(char *dir)
{
	static const char *const names[] = { "db", "db-wal", "db-shm", "db-journal" };

	for (size_t i = 0; i < ARRAY_SIZE(names); i++) {
		scoped(freep) char *path = xasprintf("%s/%s", dir, names[i]);

		unlink(path);
	}
	rmdir(dir);
	free(dir);
}
