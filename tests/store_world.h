/* SPDX-License-Identifier: MIT */
#pragma once

/*
 * A hostile world for the SQLite store: kill -9 or a full disk at any step.  A step is a statement
 * of SQL, or a call that changes a file; SQLite lets its system calls be replaced, which is how a
 * test stands between any two of them.
 */
#include "store/store.h"

#include <errno.h>
#include <semaphore.h>
#include <setjmp.h>
#include <signal.h>
#include <sqlite3.h>
#include <stdarg.h>
#include <stdatomic.h>
#include <sys/syscall.h>
#include <sys/wait.h>
/* cmocka wants the three it needs above it */
#include <cmocka.h>

#include "store_help.h"

/* The world as SQLite sees it. */
static atomic_int steps_to_live = -1;          /* kill -9 before the one that makes it 0 */
static atomic_int steps_to_full = -1;          /* from the one that makes it 0 on, no space */
static atomic_int write_errno;                 /* each write fails with it */
static atomic_llong file_size_max = INT64_MAX; /* past it there is no space */
static atomic_bool gate_closed;                /* the next write waits for `gate` */
static sem_t at_gate, gate;
static atomic_int n_syncs;
static atomic_int sync_errno; /* each sync fails with it */

/* Whether there is space for it. */
static inline bool step(void)
{
	if (atomic_load(&steps_to_live) > 0 && atomic_fetch_sub(&steps_to_live, 1) == 1)
		kill(getpid(), SIGKILL);
	if (atomic_load(&steps_to_full) > 0)
		atomic_fetch_sub(&steps_to_full, 1);
	return atomic_load(&steps_to_full) != 0;
}

static inline ssize_t hostile_pwrite(int fd, const void *data, size_t len, off_t offset)
{
	const bool has_space = step();

	if (atomic_exchange(&gate_closed, false)) {
		sem_post(&at_gate);
		sem_wait(&gate);
	}
	if (!has_space || offset + (off_t)len > atomic_load(&file_size_max))
		errno = ENOSPC;
	else if (atomic_load(&write_errno))
		errno = atomic_load(&write_errno);
	else
		return pwrite(fd, data, len, offset);
	return -1;
}

static inline int hostile_ftruncate(int fd, off_t size)
{
	step();
	return ftruncate(fd, size);
}

static inline int hostile_unlink(const char *path)
{
	step();
	return unlink(path);
}

/*
 * Instead of libc's, for the store and for libsqlite3.  A kill takes nothing from the kernel's
 * memory, so no test has to wait for the disk.
 */
int fdatasync(int fd)
{
	atomic_fetch_add(&n_syncs, 1);
	if (atomic_load(&sync_errno)) {
		errno = atomic_load(&sync_errno);
		return -1;
	}
	(void)fd;
	return 0;
}

int fsync(int fd)
{
	(void)fd;
	step();
	return 0;
}

int rename(const char *from, const char *to)
{
	if (!step()) {
		errno = ENOSPC;
		return -1;
	}
	return (int)syscall(SYS_rename, from, to);
}

/* Each statement is a step, too. */
static inline int on_statement(unsigned event, void *arg, void *statement, void *sql)
{
	(void)event, (void)arg, (void)statement, (void)sql;
	step();
	return 0;
}

static inline int trace_connection(sqlite3 *db, char **reterr, const void *api)
{
	(void)reterr, (void)api;
	return sqlite3_trace_v2(db, SQLITE_TRACE_STMT, on_statement, NULL);
}

static inline void make_world_hostile(void)
{
	sqlite3_vfs *vfs;

	sqlite3_initialize();
	vfs = sqlite3_vfs_find(NULL);
	vfs->xSetSystemCall(vfs, "pwrite", (sqlite3_syscall_ptr)hostile_pwrite);
	vfs->xSetSystemCall(vfs, "pwrite64", (sqlite3_syscall_ptr)hostile_pwrite);
	vfs->xSetSystemCall(vfs, "ftruncate", (sqlite3_syscall_ptr)hostile_ftruncate);
	vfs->xSetSystemCall(vfs, "unlink", (sqlite3_syscall_ptr)hostile_unlink);
	sem_init(&at_gate, 0, 0);
	sem_init(&gate, 0, 0);
	sqlite3_auto_extension((void (*)(void))trace_connection);
}

struct fixture {
	struct loop *loop;
	char *dir;
	char *path;
	struct store *store;
};

static inline int open_at(struct fixture *f, struct fault *reterr)
{
	const struct store_sqlite_settings settings = {
		.path = f->path,
		.synchronous_full = true,
		.pending_max = 1000,
	};

	return store_sqlite_open(f->loop, &settings, &f->store, reterr);
}

static inline void open_well(struct fixture *f)
{
	scoped(fault_done) struct fault fault = { 0 };

	if (open_at(f, &fault) < 0)
		fail_msg("%s", fault.detail);
}

static inline void close_store(struct fixture *f)
{
	f->store = store_free(f->store);
}

static inline void assert_refused(struct fixture *f, int error, const char *saying)
{
	scoped(fault_done) struct fault fault = { 0 };

	assert_int_equal(open_at(f, &fault), error);
	assert_int_equal(fault.code, FAULT_STORE_UNAVAILABLE);
	assert_non_null(strstr(fault.detail, f->path));
	if (!strstr(fault.detail, saying))
		fail_msg("not '%s': %s", saying, fault.detail);
}

static inline void run_sql(const char *path, const char *sql)
{
	sqlite3 *db;

	assert_int_equal(sqlite3_open(path, &db), SQLITE_OK);
	assert_int_equal(sqlite3_exec(db, sql, NULL, NULL, NULL), SQLITE_OK);
	sqlite3_close(db);
}

/*
 * Tests in a process of their own: one that is killed, or that gives up its rights.  cmocka's
 * assertions would jump into the parent's copy, so a child checks with CHECK().
 */
#define CHECK(condition)                                                                \
	do {                                                                            \
		if (!(condition)) {                                                     \
			fprintf(stderr, "%s:%d: %s\n", __FILE__, __LINE__, #condition); \
			_exit(1);                                                       \
		}                                                                       \
	} while (0)

#define CHILD_SKIPS 77

static inline pid_t start_child(void (*fn)(struct fixture *f, int out), struct fixture *f,
				int *ret_pipe)
{
	int ends[2];
	pid_t pid;

	assert_int_equal(pipe(ends), 0);
	fflush(NULL);
	pid = fork();
	assert_true(pid >= 0);
	if (pid == 0) {
		alarm(60);
		close(ends[0]);
		fn(f, ends[1]);
		_exit(0);
	}
	close(ends[1]);
	*ret_pipe = ends[0];
	return pid;
}

static inline int end_of_child(pid_t pid)
{
	int status;

	assert_int_equal(waitpid(pid, &status, 0), pid);
	return status;
}

static inline void run_child(void (*fn)(struct fixture *f, int out), struct fixture *f)
{
	int out, status;
	pid_t pid = start_child(fn, f, &out);

	close(out);
	status = end_of_child(pid);
	if (WIFEXITED(status) && WEXITSTATUS(status) == CHILD_SKIPS)
		skip();
	assert_true(WIFEXITED(status));
	assert_int_equal(WEXITSTATUS(status), 0);
}
