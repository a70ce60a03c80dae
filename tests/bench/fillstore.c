/* SPDX-License-Identifier: MIT */
/*
 * Writes a database of many attachments, as the daemon would have left it: five of a session, four
 * sessions of a user, the ports of two users never the same.
 *
 *	fillstore DATABASE ATTACHMENTS
 */
#include <errno.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "base/clock.h"
#include "base/ids.h"
#include "base/mem.h"
#include "client.h"
#include "loop/loop.h"
#include "store/store.h"

#define PER_SESSION         5
#define SESSIONS_PER_USER   4
#define PORTS_PER_USER      10
#define SESSIONS_PER_COMMIT 1000
#define FIRST_PORT          1024
#define LAST_PORT           65535

struct filling {
	struct loop *loop;
	struct store *store;
	size_t sessions, next;
};

static void put_session(struct store_batch *batch, size_t number, const char *session_id)
{
	scoped(freep) char *user_id = xasprintf("user%zu", number / SESSIONS_PER_USER);
	struct record_session session = {
		.session_id = session_id,
		.app_id = "default",
		.user_id = user_id,
		.created_at = (int64_t)clock_realtime(),
	};
	struct record_sequence sequence = { .session_id = session_id, .reserved = 1000 };

	store_put(batch, RECORD_KIND_SESSION, &session);
	store_put(batch, RECORD_KIND_SEQUENCE, &sequence);
}

static void put_attachment(struct store_batch *batch, size_t number, size_t i,
			   const char *session_id)
{
	size_t of_user = number % SESSIONS_PER_USER * PER_SESSION + i;
	size_t user = number / SESSIONS_PER_USER;
	size_t port = FIRST_PORT + user * PORTS_PER_USER + of_user % PORTS_PER_USER;
	scoped(freep) char *name = i == 0 ? xstrdup("default") : xasprintf("preview%zu", i);
	scoped(freep) char *url = xasprintf("http://127.0.0.1:%zu", port);
	char label[27] = { 0 };
	struct record_attachment a = {
		.session_id = session_id,
		.name = name,
		.type = "proxy",
		.scheme = "http",
		.host = "127.0.0.1",
		.port = (int64_t)port,
		.path = "",
		.address = "127.0.0.1",
		.label = label,
		.url = url,
		.focus = 1,
		.attached_at = (int64_t)clock_realtime(),
		.probe = "{\"http_status\":200,\"method\":\"HEAD\",\"address\":\"127.0.0.1\","
			 "\"took_ms\":3,\"checked_at\":\"2026-01-01T00:00:00.000Z\"}",
	};

	if (port > LAST_PORT)
		give_up("there are not enough ports for so many users");
	random_label(label, sizeof(label) - 1);
	store_put(batch, RECORD_KIND_ATTACHMENT, &a);
}

static void on_committed(int result, void *arg);

/* A thousand sessions a commit; the next when it has arrived. */
static void commit_next(struct filling *f)
{
	struct store_batch *batch = store_batch_new();
	size_t number;

	for (number = f->next; number < f->next + SESSIONS_PER_COMMIT && number < f->sessions;
	     number++) {
		scoped(freep) char *session_id = xasprintf("session%zu", number);

		put_session(batch, number, session_id);
		for (size_t i = 0; i < PER_SESSION; i++)
			put_attachment(batch, number, i, session_id);
	}
	f->next = number;
	/* The handle lives as long as this process does. */
	store_commit_consume(f->store, batch, on_committed, f);
}

static void on_committed(int result, void *arg)
{
	struct filling *f = arg;

	if (result < 0)
		give_up("commit: %s", strerror(-result));
	if (f->next < f->sessions)
		commit_next(f);
	else
		loop_stop(f->loop);
}

int main(int argc, char **argv)
{
	struct store_sqlite_settings settings = { .path = argv[1], .pending_max = 16 };
	scoped(fault_done) struct fault fault = { 0 };
	struct filling f = { 0 };

	if (argc != 3)
		give_up("usage: fillstore DATABASE ATTACHMENTS");
	mem_init();
	f.sessions = strtoul(argv[2], NULL, 10) / PER_SESSION;
	f.loop = loop_new();
	if (store_sqlite_open(f.loop, &settings, &f.store, &fault) < 0)
		give_up("%s", fault.detail);

	commit_next(&f);
	loop_run(f.loop);
	store_free(f.store);
	loop_free(f.loop);
	return 0;
}
