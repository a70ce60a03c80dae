/* SPDX-License-Identifier: MIT */
/*
 * Asking systemd for a scope, through busctl(1).  systemd-run(1) would have to be what is executed
 * instead of the command: where it fails, the command would be lost with it, and some versions
 * expand variables in its arguments.  This fails before anything began.
 */
#include "ctl/scope.h"

#include <errno.h>
#include <fcntl.h>
#include <poll.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <sys/wait.h>
#include <unistd.h>

#include "base/clock.h"
#include "base/mem.h"
#include "proc/cgroup.h"
#include "proc/pidref.h"

#define ASK_TIMEOUT  (3 * USEC_PER_SEC)
#define JOIN_TIMEOUT USEC_PER_SEC
#define LOOK_EVERY   (5 * USEC_PER_MSEC) /* nobody tells when a process is moved */

static bool is_there(const char *directory, const char *name)
{
	scoped(freep) char *path = xasprintf("%s/%s", directory, name);

	return access(path, W_OK) == 0;
}

/* Of this user, and not that of whoever has become root: it could not move our processes. */
static bool has_manager(void)
{
	const char *directory = getenv("XDG_RUNTIME_DIR");
	struct stat st;

	if (!directory || stat(directory, &st) < 0 || st.st_uid != geteuid())
		return false;
	return is_there(directory, "systemd/private") && is_there(directory, "bus");
}

static void be_busctl(char *const *argv)
{
	int null = open("/dev/null", O_RDWR);

	for (int fd = STDIN_FILENO; fd <= STDERR_FILENO; fd++)
		(void)!dup2(null, fd);
	unsetenv("DBUS_SESSION_BUS_ADDRESS"); /* may be another one, without systemd on it */
	execvp(argv[0], argv);
	_exit(127);
}

static int wait_for(pid_t pid)
{
	struct pidref ref = PIDREF_NONE;
	int status = 0;

	if (pidref_of(pid, &ref) >= 0 && ref.fd >= 0) {
		struct pollfd p = { .fd = ref.fd, .events = POLLIN };

		if (poll(&p, 1, ASK_TIMEOUT / USEC_PER_MSEC) <= 0)
			kill(pid, SIGKILL);
	}
	pidref_done(&ref);
	while (waitpid(pid, &status, 0) < 0)
		if (errno != EINTR)
			return -errno;
	return WIFEXITED(status) && WEXITSTATUS(status) == 0 ? 0 : -EOPNOTSUPP;
}

/*
 * A delegated scope isn't ended as a whole when one process in it is out of memory, and it may
 * divide its group as it likes.
 */
static int ask(pid_t pid, const char *task_id)
{
	scoped(freep) char *name = cgroup_run_name(task_id);
	scoped(freep) char *number = xasprintf("%d", (int)pid);
	scoped(freep) char *description = xasprintf("previewctl run, task %s", task_id);
	/* clang-format off */
	const char *const argv[] = {
		"busctl", "--user", "--timeout=2", "call",
		"org.freedesktop.systemd1", "/org/freedesktop/systemd1",
		"org.freedesktop.systemd1.Manager", "StartTransientUnit",
		"ssa(sv)a(sa(sv))", name, "fail",
		"4", "Description", "s", description,
		     "CollectMode", "s", "inactive-or-failed",
		     "Delegate", "b", "true",
		     "PIDs", "au", "1", number,
		"0", NULL,
	};
	/* clang-format on */
	pid_t child = fork();

	if (child == 0)
		be_busctl((char *const *)argv);
	return child < 0 ? -errno : wait_for(child);
}

int scope_make(pid_t pid, const char *task_id, char **ret_cgroup)
{
	usec_t end;
	int r;

	if (!has_manager())
		return -EOPNOTSUPP;
	fflush(NULL);
	r = ask(pid, task_id);
	if (r < 0)
		return r;
	end = clock_monotonic() + JOIN_TIMEOUT;
	while ((r = cgroup_of_run(pid, task_id, ret_cgroup)) == -ENOENT) {
		if (clock_monotonic() > end)
			return -ETIME;
		usleep(LOOK_EVERY);
	}
	return r;
}
