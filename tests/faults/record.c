/* SPDX-License-Identifier: MIT */
/*
 * Writes down what previewd does to its files, in order, and the bytes with it: for powerloss.mjs,
 * which makes of it what a disk may hold after a loss of power.  An LD_PRELOAD of its own, so that
 * it can stand before shim.c or alone.
 *
 * $FAULTS_RECORD is a directory with three files: `operations` (a line each, see note()), `data`,
 * and `count`, how many lines there are.  Who reads `count` after an answer knows that all that was
 * done for it stands before that.  A lock is held from before each operation until it is written
 * down, so the order is the true one.
 *
 * Things are known by their inode; a line that makes one ends what had the number before.  What
 * SQLite does to its -shm file by mmap(2) isn't seen: it trusts none of that after a start.
 */
#include <dlfcn.h>
#include <errno.h>
#include <fcntl.h>
#include <limits.h>
#include <pthread.h>
#include <stdarg.h>
#include <stdatomic.h>
#include <stdbool.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>
#include <sys/stat.h>
#include <unistd.h>

static pthread_mutex_t lock = PTHREAD_MUTEX_INITIALIZER;
static pid_t daemon_pid;
static dev_t device; /* of the state directory */
static int operations_fd = -1, data_fd = -1;
static off_t data_end;
static _Atomic int64_t *count;

#define REAL(name)                                                      \
	({                                                              \
		static typeof(&name) real_;                             \
		if (!real_)                                             \
			real_ = (typeof(&name))dlsym(RTLD_NEXT, #name); \
		real_;                                                  \
	})

static int open_beside(const char *dir, const char *name)
{
	char path[PATH_MAX];

	snprintf(path, sizeof(path), "%s/%s", dir, name);
	return REAL(open)(path, O_RDWR | O_CREAT | O_CLOEXEC, 0600);
}

__attribute__((constructor)) static void open_record(void)
{
	const char *dir = getenv("FAULTS_RECORD");
	struct stat st;
	int fd;

	if (!dir || strcmp(program_invocation_short_name, "previewd") != 0 || stat(dir, &st) < 0)
		return;
	device = st.st_dev; /* the test puts both on one file system */
	operations_fd = open_beside(dir, "operations");
	data_fd = open_beside(dir, "data");
	fd = open_beside(dir, "count");
	if (operations_fd < 0 || data_fd < 0 || fd < 0 || ftruncate(fd, sizeof(*count)) < 0)
		abort();
	lseek(operations_fd, 0, SEEK_END);
	data_end = lseek(data_fd, 0, SEEK_END);
	count = mmap(NULL, sizeof(*count), PROT_READ | PROT_WRITE, MAP_SHARED, fd, 0);
	if (count == MAP_FAILED)
		abort();
	close(fd);
	daemon_pid = getpid();
}

/* What the daemon starts inherits the variable, and is left alone. */
static bool is_daemon(void)
{
	return daemon_pid && getpid() == daemon_pid;
}

static void begin(void)
{
	pthread_mutex_lock(&lock);
}

static void end(void)
{
	pthread_mutex_unlock(&lock);
}

/* A line of a letter and fields: inodes, names (which have no blanks here), numbers. */
__attribute__((format(printf, 1, 2))) static void note(const char *format, ...)
{
	const int saved = errno;
	char line[2 * PATH_MAX];
	va_list args;
	int n;

	va_start(args, format);
	n = vsnprintf(line, sizeof(line) - 1, format, args);
	va_end(args);
	line[n++] = '\n';
	if (REAL(write)(operations_fd, line, (size_t)n) != n)
		abort();
	atomic_fetch_add(count, 1);
	errno = saved;
}

/* Where a name is: its directory's inode, and the last part. */
struct place {
	unsigned long dir;
	const char *name;
	bool is_ours;
};

static struct place place_of(int dirfd, const char *path)
{
	const char *slash = strrchr(path, '/');
	struct place p = { .name = slash ? slash + 1 : path };
	char parent[PATH_MAX] = ".";
	const int saved = errno;
	struct stat st;

	if (slash)
		snprintf(parent, sizeof(parent), "%.*s", (int)(slash - path) + (slash == path),
			 path);
	if (fstatat(dirfd, parent, &st, 0) == 0) {
		p.dir = st.st_ino;
		p.is_ours = st.st_dev == device;
	}
	errno = saved;
	return p;
}

/* Whether it is a file or a directory on that file system. */
static bool is_file(int fd, struct stat *ret)
{
	const int saved = errno;
	const bool yes = fstat(fd, ret) == 0 && ret->st_dev == device &&
			 (S_ISREG(ret->st_mode) || S_ISDIR(ret->st_mode));

	errno = saved;
	return yes;
}

static bool exists(int dirfd, const char *path)
{
	const int saved = errno;
	struct stat st;
	const bool yes = fstatat(dirfd, path, &st, AT_SYMLINK_NOFOLLOW) == 0;

	errno = saved;
	return yes;
}

static void note_new(char letter, int dirfd, const char *path, const char *more)
{
	const struct place p = place_of(dirfd, path);
	struct stat st;

	if (p.is_ours && fstatat(dirfd, path, &st, AT_SYMLINK_NOFOLLOW) == 0)
		note("%c %lu %s %lu %o %s", letter, p.dir, p.name, (unsigned long)st.st_ino,
		     st.st_mode & 07777, more);
}

static int open_at(int dirfd, const char *path, int flags, mode_t mode)
{
	bool was_there;
	int fd;

	if (!is_daemon() || !(flags & (O_CREAT | O_TRUNC)))
		return REAL(openat)(dirfd, path, flags, mode);
	begin();
	was_there = exists(dirfd, path);
	fd = REAL(openat)(dirfd, path, flags, mode);
	if (fd >= 0 && !was_there) {
		note_new('C', dirfd, path, "");
	} else if (fd >= 0 && (flags & O_TRUNC)) {
		struct stat st;

		if (is_file(fd, &st))
			note("T %lu 0", (unsigned long)st.st_ino);
	}
	end();
	return fd;
}

#define MODE_OF(flags)                                 \
	({                                             \
		mode_t mode_ = 0;                      \
		va_list args_;                         \
		va_start(args_, flags);                \
		if ((flags)&O_CREAT)                   \
			mode_ = va_arg(args_, mode_t); \
		va_end(args_);                         \
		mode_;                                 \
	})

int open(const char *path, int flags, ...)
{
	return open_at(AT_FDCWD, path, flags, MODE_OF(flags));
}

int open64(const char *path, int flags, ...)
{
	return open_at(AT_FDCWD, path, flags, MODE_OF(flags));
}

int openat(int dirfd, const char *path, int flags, ...)
{
	return open_at(dirfd, path, flags, MODE_OF(flags));
}

int openat64(int dirfd, const char *path, int flags, ...)
{
	return open_at(dirfd, path, flags, MODE_OF(flags));
}

/* What is in the file now, whoever put it there how. */
static void note_write(int fd, const struct stat *st, off_t at, size_t n)
{
	char piece[65536];

	while (n > 0) {
		const size_t step = n < sizeof(piece) ? n : sizeof(piece);
		char path[64];
		ssize_t got;
		int in;

		snprintf(path, sizeof(path), "/proc/self/fd/%d", fd);
		in = REAL(open)(path, O_RDONLY | O_CLOEXEC); /* it may be open for writing alone */
		got = in < 0 ? -1 : pread(in, piece, step, at);
		if (in >= 0)
			close(in);
		if (got != (ssize_t)step || REAL(write)(data_fd, piece, step) != (ssize_t)step)
			abort();
		note("W %lu %lld %zu %lld", (unsigned long)st->st_ino, (long long)at, step,
		     (long long)data_end);
		data_end += (off_t)step;
		at += (off_t)step;
		n -= step;
	}
}

ssize_t pwrite64(int fd, const void *data, size_t n, off64_t at)
{
	struct stat st;
	ssize_t written;

	if (!is_daemon() || !is_file(fd, &st))
		return REAL(pwrite64)(fd, data, n, at);
	begin();
	written = REAL(pwrite64)(fd, data, n, at);
	if (written > 0)
		note_write(fd, &st, at, (size_t)written);
	end();
	return written;
}

ssize_t pwrite(int fd, const void *data, size_t n, off_t at)
{
	return pwrite64(fd, data, n, at);
}

ssize_t write(int fd, const void *data, size_t n)
{
	struct stat st;
	ssize_t written;

	if (!is_daemon() || !is_file(fd, &st))
		return REAL(write)(fd, data, n);
	begin();
	written = REAL(write)(fd, data, n);
	if (written > 0)
		note_write(fd, &st, lseek(fd, 0, SEEK_CUR) - written, (size_t)written);
	end();
	return written;
}

ssize_t copy_file_range(int in, off64_t *in_at, int out, off64_t *out_at, size_t n, unsigned flags)
{
	struct stat st;
	ssize_t copied;

	if (!is_daemon() || !is_file(out, &st))
		return REAL(copy_file_range)(in, in_at, out, out_at, n, flags);
	begin();
	copied = REAL(copy_file_range)(in, in_at, out, out_at, n, flags);
	if (copied > 0)
		note_write(out, &st, (out_at ? *out_at : lseek(out, 0, SEEK_CUR)) - copied,
			   (size_t)copied);
	end();
	return copied;
}

/* Operations on an open file that are a line each when they succeed. */
#define ON_FILE(name, parameters, arguments, fd, ...)  \
	int name parameters                            \
	{                                              \
		struct stat st;                        \
		int r;                                 \
                                                       \
		if (!is_daemon() || !is_file(fd, &st)) \
			return REAL(name) arguments;   \
		begin();                               \
		r = REAL(name) arguments;              \
		if (r == 0)                            \
			note(__VA_ARGS__);             \
		end();                                 \
		return r;                              \
	}

#define INODE ((unsigned long)st.st_ino)

ON_FILE(fsync, (int fd), (fd), fd, "S %lu", INODE)
ON_FILE(fdatasync, (int fd), (fd), fd, "S %lu", INODE)
ON_FILE(syncfs, (int fd), (fd), fd, "A")
ON_FILE(ftruncate, (int fd, off_t n), (fd, n), fd, "T %lu %lld", INODE, (long long)n)
ON_FILE(ftruncate64, (int fd, off64_t n), (fd, n), fd, "T %lu %lld", INODE, (long long)n)
ON_FILE(fchmod, (int fd, mode_t mode), (fd, mode), fd, "M %lu %o", INODE, mode)

static int rename_at(int from_dir, const char *from, int to_dir, const char *to, unsigned flags)
{
	struct place a, b;
	int r;

	if (!is_daemon())
		return REAL(renameat2)(from_dir, from, to_dir, to, flags);
	begin();
	a = place_of(from_dir, from);
	b = place_of(to_dir, to);
	r = REAL(renameat2)(from_dir, from, to_dir, to, flags);
	if (r == 0 && a.is_ours && b.is_ours)
		note("R %lu %s %lu %s", a.dir, a.name, b.dir, b.name);
	end();
	return r;
}

int rename(const char *from, const char *to)
{
	return rename_at(AT_FDCWD, from, AT_FDCWD, to, 0);
}

int renameat(int from_dir, const char *from, int to_dir, const char *to)
{
	return rename_at(from_dir, from, to_dir, to, 0);
}

int renameat2(int from_dir, const char *from, int to_dir, const char *to, unsigned flags)
{
	return rename_at(from_dir, from, to_dir, to, flags);
}

/* New names: a line with the inode and what else there is to say. */
#define NEW_NAME(name, parameters, arguments, letter, dirfd, path, more) \
	int name parameters                                              \
	{                                                                \
		int r;                                                   \
                                                                         \
		if (!is_daemon())                                        \
			return REAL(name) arguments;                     \
		begin();                                                 \
		r = REAL(name) arguments;                                \
		if (r == 0)                                              \
			note_new(letter, dirfd, path, more);             \
		end();                                                   \
		return r;                                                \
	}

NEW_NAME(mkdir, (const char *path, mode_t mode), (path, mode), 'D', AT_FDCWD, path, "")
NEW_NAME(mkdirat, (int d, const char *path, mode_t mode), (d, path, mode), 'D', d, path, "")
NEW_NAME(symlink, (const char *to, const char *path), (to, path), 'L', AT_FDCWD, path, to)
NEW_NAME(symlinkat, (const char *to, int d, const char *path), (to, d, path), 'L', d, path, to)
NEW_NAME(link, (const char *from, const char *path), (from, path), 'H', AT_FDCWD, path, "")
NEW_NAME(linkat, (int a, const char *from, int d, const char *path, int flags),
	 (a, from, d, path, flags), 'H', d, path, "")

#define NO_NAME(function, parameters, arguments, dirfd, path) \
	int function parameters                               \
	{                                                     \
		struct place p;                               \
		int r;                                        \
                                                              \
		if (!is_daemon())                             \
			return REAL(function) arguments;      \
		begin();                                      \
		p = place_of(dirfd, path);                    \
		r = REAL(function) arguments;                 \
		if (r == 0 && p.is_ours)                      \
			note("U %lu %s", p.dir, p.name);      \
		end();                                        \
		return r;                                     \
	}

NO_NAME(unlink, (const char *path), (path), AT_FDCWD, path)
NO_NAME(rmdir, (const char *path), (path), AT_FDCWD, path)
NO_NAME(unlinkat, (int d, const char *path, int flags), (d, path, flags), d, path)
