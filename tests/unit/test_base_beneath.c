/* SPDX-License-Identifier: MIT */
/* Paths that nobody trusts stay beneath their directory, with openat2(2) and without it. */
#include <errno.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
/* cmocka wants the three above it */
#include <cmocka.h>

#include <fcntl.h>
#include <linux/filter.h>
#include <linux/openat2.h>
#include <linux/seccomp.h>
#include <sys/prctl.h>
#include <sys/stat.h>
#include <sys/syscall.h>
#include <sys/wait.h>
#include <unistd.h>

#include "base/beneath.h"
#include "base/files.h"
#include "base/mem.h"
#include "base/trees.h"

struct place {
	char path[64];
	int fd; /* of "inside" in it */
};

static void link_to(int dirfd, const char *name, const char *target)
{
	assert_int_equal(symlinkat(target, dirfd, name), 0);
}

/* inside/a/b/file and links of every kind; "secret" is beside "inside". */
static int set_up(void **state)
{
	static struct place p;
	int top;

	strcpy(p.path, "/tmp/previewd-beneath-XXXXXX");
	if (!mkdtemp(p.path))
		return -1;
	top = open_directory(p.path);
	assert_int_equal(write_file_at(top, "secret", "s", 1, 0644), 0);
	assert_int_equal(mkdirat(top, "inside", 0755), 0);
	p.fd = openat(top, "inside", O_RDONLY | O_DIRECTORY | O_CLOEXEC);
	assert_int_equal(mkdirat(p.fd, "a", 0755), 0);
	assert_int_equal(mkdirat(p.fd, "a/b", 0755), 0);
	assert_int_equal(write_file_at(p.fd, "a/b/file", "f", 1, 0644), 0);
	assert_int_equal(mkfifoat(p.fd, "a/pipe", 0644), 0);
	link_to(p.fd, "to-b", "a/b");
	link_to(p.fd, "to-b-slash", "a/b/");
	link_to(p.fd, "to-file", "to-b/../b/./file");
	link_to(p.fd, "a/up", "../a/b");
	link_to(p.fd, "chain", "a/up/file");
	link_to(p.fd, "out", "../secret");
	link_to(p.fd, "a/b/far-out", "../../../secret");
	link_to(p.fd, "a/b/back", "../../../inside/a");
	link_to(p.fd, "absolute", "/etc/passwd");
	link_to(p.fd, "root", "/");
	link_to(p.fd, "dot", ".");
	link_to(p.fd, "gone", "nowhere");
	link_to(p.fd, "loop", "loop");
	link_to(p.fd, "ping", "pong/x");
	link_to(p.fd, "pong", "ping/x");
	link_to(p.fd, "magic", "/proc/self/cwd");
	close(top);
	*state = &p;
	return p.fd < 0;
}

static int tear_down(void **state)
{
	struct place *p = *state;

	close(p->fd);
	return remove_tree_at(AT_FDCWD, p->path);
}

static const char *const paths[] = {
	"a",
	"a/",
	"a//b",
	"a/b/file",
	"/a",
	"//",
	"",
	".",
	"./",
	"..",
	"../",
	"../inside",
	"a/..",
	"a/../..",
	"a/../a/b/file",
	"a/b/../../../secret",
	"a/b/file/",
	"a/b/file/..",
	"a/b/file/x",
	"a/b/./file",
	"to-b",
	"to-b/",
	"to-b/file",
	"to-b-slash/file",
	"to-b-slash",
	"to-b/..",
	"to-b/../../..",
	"to-file",
	"to-file/",
	"a/up/file",
	"a/up/../../a",
	"chain",
	"out",
	"out/",
	"a/b/far-out",
	"a/b/back",
	"a/b/back/b/file",
	"absolute",
	"root",
	"root/etc/passwd",
	"dot",
	"dot/dot/dot/a",
	"gone",
	"gone/",
	"gone/x",
	"loop",
	"loop/",
	"ping",
	"magic",
	"magic/a",
	"a/pipe",
	"nothing",
	"nothing/x",
	"a/nothing/../b",
	"/proc/self/cwd",
	"a/b/../b/../b/../b/../b/file",
	"..a",
	"...",
};

static const int flags[] = {
	O_RDONLY,
	O_RDONLY | O_DIRECTORY,
	O_PATH,
	O_PATH | O_DIRECTORY,
};

/* What came of one path: the file found, or the error. */
struct finding {
	int error;
	ino_t inode;
	int status_flags;
};

#define N_FINDINGS (ARRAY_SIZE(paths) * ARRAY_SIZE(flags) * 2)

static struct finding look(int dirfd, const char *path, int how, bool is_plain)
{
	scoped(closep) int fd =
		is_plain ? beneath_open_plain(dirfd, path, how) : beneath_open(dirfd, path, how);
	struct finding f = { 0 };
	struct stat st;

	if (fd < 0) {
		f.error = fd;
		return f;
	}
	if (fstat(fd, &st) < 0 || !(fcntl(fd, F_GETFD) & FD_CLOEXEC))
		abort();
	f.inode = st.st_ino;
	f.status_flags = fcntl(fd, F_GETFL) & (O_PATH | O_NONBLOCK | O_ACCMODE);
	return f;
}

static void look_at_all(int dirfd, struct finding *findings)
{
	for (size_t i = 0; i < ARRAY_SIZE(paths); i++)
		for (size_t j = 0; j < ARRAY_SIZE(flags); j++)
			for (int is_plain = 0; is_plain < 2; is_plain++)
				*findings++ = look(dirfd, paths[i], flags[j], is_plain);
}

static int forget_openat2(int error)
{
	const struct sock_filter filter[] = {
		BPF_STMT(BPF_LD | BPF_W | BPF_ABS, offsetof(struct seccomp_data, nr)),
		BPF_JUMP(BPF_JMP | BPF_JEQ | BPF_K, SYS_openat2, 0, 1),
		BPF_STMT(BPF_RET | BPF_K, SECCOMP_RET_ERRNO | (unsigned)error),
		BPF_STMT(BPF_RET | BPF_K, SECCOMP_RET_ALLOW),
	};
	const struct sock_fprog program = {
		.len = ARRAY_SIZE(filter),
		.filter = (struct sock_filter *)filter,
	};

	if (prctl(PR_SET_NO_NEW_PRIVS, 1, 0, 0, 0) < 0)
		return -errno;
	return prctl(PR_SET_SECCOMP, SECCOMP_MODE_FILTER, &program) < 0 ? -errno : 0;
}

/* In a child that has the call no more; false where that can't be had here. */
static bool look_without_openat2(int dirfd, int error, struct finding *findings)
{
	int ends[2], status;
	size_t len = 0;
	pid_t pid;

	assert_int_equal(pipe(ends), 0);
	fflush(NULL);
	pid = fork();
	if (pid == 0) {
		if (forget_openat2(error) < 0)
			_exit(1);
		look_at_all(dirfd, findings);
		if (write(ends[1], findings, N_FINDINGS * sizeof(*findings)) < 0)
			_exit(2);
		_exit(0);
	}
	close(ends[1]);
	while (len < N_FINDINGS * sizeof(*findings)) {
		const ssize_t n =
			read(ends[0], (char *)findings + len, N_FINDINGS * sizeof(*findings) - len);

		if (n <= 0)
			break;
		len += (size_t)n;
	}
	close(ends[0]);
	assert_int_equal(waitpid(pid, &status, 0), pid);
	return len == N_FINDINGS * sizeof(*findings) && WIFEXITED(status) &&
	       WEXITSTATUS(status) == 0;
}

static void compare(const struct finding *with, const struct finding *without)
{
	for (size_t i = 0; i < N_FINDINGS; i++) {
		const char *path = paths[i / 2 / ARRAY_SIZE(flags)];

		if (with[i].error != without[i].error || with[i].inode != without[i].inode ||
		    with[i].status_flags != without[i].status_flags)
			fail_msg("'%s', flags %o%s: %s, but without openat2 %s", path,
				 (unsigned)flags[i / 2 % ARRAY_SIZE(flags)], i % 2 ? ", plain" : "",
				 strerror(-with[i].error), strerror(-without[i].error));
	}
}

static void without_openat2_the_same_is_found_and_refused(void **state)
{
	static const int errors[] = { ENOSYS, EPERM };
	struct place *p = *state;
	static struct finding with[N_FINDINGS], without[N_FINDINGS];

	if (syscall(SYS_openat2, p->fd, ".", &(struct open_how){ .flags = O_PATH },
		    sizeof(struct open_how)) < 0)
		skip();
	look_at_all(p->fd, with);
	for (size_t i = 0; i < ARRAY_SIZE(errors); i++) {
		if (!look_without_openat2(p->fd, errors[i], without))
			skip();
		compare(with, without);
	}
}

/* The same, said: what the two agree on is also right. */
static void nothing_leads_out(void **state)
{
	static const struct {
		const char *path;
		int error;
	} rows[] = {
		{ "a/b/file", 0 },      { "chain", 0 },          { "to-file", 0 },
		{ "a/../a/b/file", 0 }, { "out", -EXDEV },       { "a/b/far-out", -EXDEV },
		{ "a/b/back", -EXDEV }, { "absolute", -EXDEV },  { "root/etc/passwd", -EXDEV },
		{ "magic", -EXDEV },    { "../secret", -EXDEV }, { "a/b/../../../secret", -EXDEV },
		{ "/a", -EXDEV },       { "loop", -ELOOP },      { "ping", -ELOOP },
		{ "gone", -ENOENT },    { "", -ENOENT },         { "a/b/file/x", -ENOTDIR },
	};
	struct place *p = *state;

	for (size_t i = 0; i < ARRAY_SIZE(rows); i++)
		assert_int_equal(look(p->fd, rows[i].path, O_RDONLY, false).error, rows[i].error);
	assert_int_equal(look(p->fd, "chain", O_RDONLY, true).error, -ELOOP);
}

/* In a child that knows openat2 no more. */
static void check_depth(int dirfd, int *ret)
{
	const int at = dup(dirfd);
	char path[1024] = "";
	int next = at;

	*ret = forget_openat2(ENOSYS) < 0;
	for (int i = 0; i < 300; i++) {
		int fd;

		if (mkdirat(next, "d", 0755) < 0)
			*ret = 2;
		fd = openat(next, "d", O_RDONLY | O_DIRECTORY);
		close(next);
		next = fd;
		strcat(path, i ? "/d" : "d");
		if (i == 199 && look(dirfd, path, O_PATH, false).error != 0)
			*ret = 3;
	}
	close(next);
	if (look(dirfd, path, O_PATH, false).error != -ENAMETOOLONG)
		*ret = 4;
}

static void what_is_too_deep_is_said_to_be(void **state)
{
	struct place *p = *state;
	int status, r = 0;
	pid_t pid = fork();

	if (pid == 0) {
		check_depth(p->fd, &r);
		_exit(r);
	}
	assert_int_equal(waitpid(pid, &status, 0), pid);
	assert_true(WIFEXITED(status));
	if (WEXITSTATUS(status) == 1)
		skip();
	assert_int_equal(WEXITSTATUS(status), 0);
}

#define TEST(test) cmocka_unit_test_setup_teardown(test, set_up, tear_down)

int main(void)
{
	const struct CMUnitTest tests[] = {
		TEST(nothing_leads_out),
		TEST(without_openat2_the_same_is_found_and_refused),
		TEST(what_is_too_deep_is_said_to_be),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
