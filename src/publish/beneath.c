/* SPDX-License-Identifier: MIT */
/* The kernel resolves, so that what is changed meanwhile cannot lead elsewhere: openat2(2). */
#include "publish/beneath.h"

#include <errno.h>
#include <fcntl.h>
#include <linux/openat2.h>
#include <sys/stat.h>
#include <sys/syscall.h>
#include <unistd.h>

#include "base/files.h"

/* The kernel gives up with EAGAIN where a directory on the way is being moved. */
#define ATTEMPTS 32

static _Thread_local int failure; /* 0: none */

static int noted(int result)
{
	if (result < 0 && errno_is_of_machine(result))
		failure = result;
	return result;
}

static int open_resolved(int dirfd, const char *path, int flags, unsigned long long resolve)
{
	struct open_how how = {
		.flags = (unsigned long long)(flags | O_CLOEXEC),
		.resolve = RESOLVE_BENEATH | RESOLVE_NO_MAGICLINKS | resolve,
	};
	long fd = -1;

	if (!(flags & O_PATH))
		how.flags |= O_NONBLOCK | O_NOCTTY;
	for (unsigned i = 0; i < ATTEMPTS; i++) {
		fd = syscall(SYS_openat2, dirfd, path, &how, sizeof(how));
		if (fd >= 0 || (errno != EAGAIN && errno != EINTR))
			break;
	}
	return noted(fd < 0 ? -errno : (int)fd);
}

void beneath_forget_failure(void)
{
	failure = 0;
}

int beneath_tell_failure(int result, const char *what, struct fault *reterr)
{
	if (failure == 0 || result == -ECANCELED)
		return result;
	return fault_set_errno(reterr, FAULT_INTERNAL, failure, "%s", what);
}

int beneath_open(int dirfd, const char *path, int flags)
{
	return open_resolved(dirfd, path, flags, 0);
}

int beneath_open_plain(int dirfd, const char *path, int flags)
{
	return open_resolved(dirfd, path, flags, RESOLVE_NO_SYMLINKS);
}

int beneath_read(int dirfd, const char *path, size_t max, char **ret, size_t *ret_len)
{
	scoped(closep) int fd = beneath_open(dirfd, path, O_RDONLY);
	struct stat st;

	if (fd < 0)
		return fd;
	if (fstat(fd, &st) < 0)
		return -errno;
	if (!S_ISREG(st.st_mode))
		return -EINVAL;
	return noted(read_all(fd, max, ret, ret_len));
}
