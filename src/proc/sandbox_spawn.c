/* SPDX-License-Identifier: MIT */
/*
 * What a run is born with: its cgroup where one can be had, the descriptors that bwrap and
 * previewd-sandbox read, its command line and its environment.
 */
#include "proc/sandbox_priv.h"

#include <errno.h>
#include <fcntl.h>
#include <string.h>
#include <sys/mman.h>
#include <sys/socket.h>
#include <unistd.h>

#include "base/files.h"
#include "base/ids.h"
#include "base/log.h"
#include "base/mem.h"
#include "base/parse.h"
#include "proc/seccomp.h"

LOG_AREA("sandbox");

#define ARGS_MAX (256 * 1024)

/* The descriptors of enum sandbox_fd, -1 where there is none. */
struct descriptors {
	int fds[SANDBOX_FD_END_ - SANDBOX_FD_GO];
};

static struct descriptors descriptors_none(void)
{
	struct descriptors d;

	for (size_t i = 0; i < ARRAY_SIZE(d.fds); i++)
		d.fds[i] = -1;
	return d;
}

static void descriptors_done(struct descriptors *d)
{
	for (size_t i = 0; i < ARRAY_SIZE(d->fds); i++)
		closep(&d->fds[i]);
}

static int *descriptor(struct descriptors *d, enum sandbox_fd which)
{
	return &d->fds[which - SANDBOX_FD_GO];
}

static int make_file(const void *bytes, size_t len)
{
	scoped(closep) int fd = memfd_create("sandbox", MFD_CLOEXEC);

	int r;

	if (fd < 0)
		return -errno;
	r = write_all(fd, bytes, len);
	if (r < 0)
		return r;
	if (lseek(fd, 0, SEEK_SET) < 0)
		return -errno;
	return STEAL_FD(fd);
}

static int put_text(struct descriptors *d, enum sandbox_fd which, const char *text)
{
	return *descriptor(d, which) = make_file(text, strlen(text));
}

/* The daemon's end says "go" by a byte, or by being closed that nothing is to run. */
static int put_go(struct sandbox_spawned *spawned, struct descriptors *d)
{
	int ends[2];

	if (socketpair(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC, 0, ends) < 0)
		return -errno;
	spawned->go = ends[0];
	*descriptor(d, SANDBOX_FD_GO) = ends[1];
	return 0;
}

static int put_status(struct sandbox_spawned *spawned, struct descriptors *d)
{
	int ends[2];

	if (pipe2(ends, O_CLOEXEC) < 0)
		return -errno;
	(void)fcntl(ends[0], F_SETFL, O_NONBLOCK);
	spawned->status_fd = ends[0];
	*descriptor(d, SANDBOX_FD_STATUS) = ends[1];
	return 0;
}

static int put_isolation(struct sandbox_spawned *spawned, const struct sandbox_host *host,
			 const struct sandbox_request *request, struct descriptors *d)
{
	scoped(strbuf_done) struct strbuf args = strbuf_init(ARGS_MAX);
	int r;

	sandbox_args(&args, host, request);
	if (args.error)
		return args.error;
	r = *descriptor(d, SANDBOX_FD_ARGS) = make_file(args.data, args.len);
	if (r >= 0)
		r = put_status(spawned, d);
	if (r >= 0)
		r = *descriptor(d, SANDBOX_FD_SECCOMP) = seccomp_filter();
	if (r >= 0)
		r = put_text(d, SANDBOX_FD_PASSWD, sandbox_passwd);
	if (r >= 0)
		r = put_text(d, SANDBOX_FD_GROUP, sandbox_group);
	return r >= 0 ? put_text(d, SANDBOX_FD_HOSTS, sandbox_hosts) : r;
}

/* Its own environment is bare: what bwrap itself gets can be read inside. */
static int spawn_isolated(struct sandbox_spawned *spawned, const struct sandbox *s,
			  const struct sandbox_request *request, const struct child_ops *ops,
			  void *arg, struct fault *reterr)
{
	static const char *const bare[] = { "PATH=/usr/local/bin:/usr/bin:/bin", NULL };
	scoped(strv_freep) char **command =
		sandbox_command(&s->host, request, &spawned->limits, true);
	scoped(descriptors_done) struct descriptors d = descriptors_none();
	int r = put_go(spawned, &d);

	if (r >= 0)
		r = put_isolation(spawned, &s->host, request, &d);
	if (r < 0)
		return fault_set(reterr, FAULT_INTERNAL, "could not make the sandbox ready: %s",
				 strerror(-r));
	return child_spawn(s->deps.loop,
			   &(struct spawn_request){
				   .argv = (const char *const *)command,
				   .environ_ = bare,
				   .cwd = "/",
				   .cgroup = spawned->cgroup,
				   .fds = d.fds,
				   .n_fds = ARRAY_SIZE(d.fds),
			   },
			   ops, arg, &spawned->child, reterr);
}

static char *make_mark(void)
{
	char mark[33];

	random_hex(mark, sizeof(mark) / 2);
	return xstrdup(mark);
}

static int spawn_bare(struct sandbox_spawned *spawned, const struct sandbox *s,
		      const struct sandbox_request *request, const struct child_ops *ops, void *arg,
		      struct fault *reterr)
{
	scoped(strv_freep) char **command =
		sandbox_command(&s->host, request, &spawned->limits, false);
	scoped(strv_freep) char **environ_ = NULL;
	scoped(freep) char *cwd = request->cwd ? xasprintf("%s/%s", request->workdir, request->cwd)
					       : xstrdup(request->workdir);
	scoped(descriptors_done) struct descriptors d = descriptors_none();
	int r = put_go(spawned, &d);

	if (r < 0)
		return fault_set(reterr, FAULT_INTERNAL, "could not make the build ready: %s",
				 strerror(-r));
	spawned->mark = make_mark();
	environ_ = sandbox_environ(request, spawned->mark);
	return child_spawn(s->deps.loop,
			   &(struct spawn_request){
				   .argv = (const char *const *)command,
				   .environ_ = (const char *const *)environ_,
				   .cwd = cwd,
				   .cgroup = spawned->cgroup,
				   .fds = d.fds,
				   .n_fds = 1, /* SANDBOX_FD_GO */
			   },
			   ops, arg, &spawned->child, reterr);
}

static void make_cgroup(struct sandbox_spawned *spawned, struct cgroups *cgroups)
{
	const unsigned processes = spawned->limits.processes;
	scoped(freep) char *name = NULL;
	char number[17];
	int r;

	if (!cgroups)
		return;
	random_hex(number, sizeof(number) / 2);
	name = xasprintf("build-%s", number);
	r = cgroup_make(cgroups, name, &spawned->cgroup);
	if (r < 0) {
		log_warning_errno(r, "could not make a group for a build, going on without it");
		return;
	}
	spawned->held =
		cgroup_limit(cgroups, spawned->cgroup,
			     &(struct cgroup_limits){
				     .memory = spawned->limits.memory,
				     .processes = processes ? processes + SANDBOX_OWN_PROCESSES : 0,
			     });
	/* Then a process has all of it, and nobody need look. */
	if (spawned->held & CGROUP_HOLDS_MEMORY)
		spawned->limits.memory = 0;
}

int sandbox_spawn(const struct sandbox *s, const struct sandbox_request *request,
		  const struct child_ops *ops, void *arg, struct sandbox_spawned *spawned,
		  struct fault *reterr)
{
	int r;

	spawned->limits = request->limits;
	make_cgroup(spawned, s->deps.cgroups);
	r = spawned->is_isolated ? spawn_isolated(spawned, s, request, ops, arg, reterr)
				 : spawn_bare(spawned, s, request, ops, arg, reterr);
	if (r < 0 && spawned->cgroup)
		(void)!cgroup_remove(spawned->cgroup);
	return r;
}

void sandbox_spawned_done(struct sandbox_spawned *spawned)
{
	child_free(spawned->child);
	closep(&spawned->status_fd);
	closep(&spawned->go);
	free(spawned->cgroup);
	free(spawned->mark);
	*spawned = SANDBOX_SPAWNED_NONE;
}
