/* SPDX-License-Identifier: MIT */
/*
 * A list of what is denied, as Flatpak's is: namespaces and capabilities are what holds a build,
 * and this keeps from it the parts of the kernel that have let others out of theirs. A list of what
 * is allowed would be stricter, and would break builds with each new libc and Node.
 *
 * libseccomp knows the numbers and calling conventions of each architecture; a filter written by
 * hand would be right on one.
 */
#include "proc/seccomp.h"

#include <errno.h>

#ifdef HAVE_SECCOMP

#include "base/cleanup.h"

#include <linux/sched.h>
#include <seccomp.h>
#include <sys/ioctl.h>
#include <sys/mman.h>
#include <sys/socket.h>
#include <unistd.h>

struct denial {
	int syscall;
	int error;
};

/* clang-format off */
static const struct denial denials[] = {
	/* other processes, and what is the kernel's own */
	{ SCMP_SYS(ptrace),            EPERM },
	{ SCMP_SYS(process_vm_readv),  EPERM },
	{ SCMP_SYS(process_vm_writev), EPERM },
	{ SCMP_SYS(process_madvise),   EPERM },
	{ SCMP_SYS(pidfd_getfd),       EPERM },
	{ SCMP_SYS(kcmp),              EPERM },
	{ SCMP_SYS(bpf),               EPERM },
	{ SCMP_SYS(perf_event_open),   EPERM },
	{ SCMP_SYS(userfaultfd),       EPERM },
	{ SCMP_SYS(fanotify_init),     EPERM },
	{ SCMP_SYS(lookup_dcookie),    EPERM },
	{ SCMP_SYS(syslog),            EPERM },
	{ SCMP_SYS(acct),              EPERM },
	{ SCMP_SYS(reboot),            EPERM },
	{ SCMP_SYS(kexec_load),        EPERM },
	{ SCMP_SYS(kexec_file_load),   EPERM },
	{ SCMP_SYS(init_module),       EPERM },
	{ SCMP_SYS(finit_module),      EPERM },
	{ SCMP_SYS(delete_module),     EPERM },
	{ SCMP_SYS(iopl),              EPERM },
	{ SCMP_SYS(ioperm),            EPERM },
	{ SCMP_SYS(modify_ldt),        EPERM },
	{ SCMP_SYS(vhangup),           EPERM },
	/* keys are kept by no namespace */
	{ SCMP_SYS(add_key),           EPERM },
	{ SCMP_SYS(keyctl),            EPERM },
	{ SCMP_SYS(request_key),       EPERM },
	/* namespaces and mounts */
	{ SCMP_SYS(unshare),           EPERM },
	{ SCMP_SYS(setns),             EPERM },
	{ SCMP_SYS(mount),             EPERM },
	{ SCMP_SYS(umount),            EPERM },
	{ SCMP_SYS(umount2),           EPERM },
	{ SCMP_SYS(pivot_root),        EPERM },
	{ SCMP_SYS(chroot),            EPERM },
	{ SCMP_SYS(swapon),            EPERM },
	{ SCMP_SYS(swapoff),           EPERM },
	{ SCMP_SYS(quotactl),          EPERM },
	{ SCMP_SYS(quotactl_fd),       EPERM },
	{ SCMP_SYS(name_to_handle_at), EPERM },
	{ SCMP_SYS(open_by_handle_at), EPERM },
	/* as if the kernel were older: their callers have another way */
	{ SCMP_SYS(open_tree),         ENOSYS },
	{ SCMP_SYS(move_mount),        ENOSYS },
	{ SCMP_SYS(fsopen),            ENOSYS },
	{ SCMP_SYS(fsconfig),          ENOSYS },
	{ SCMP_SYS(fsmount),           ENOSYS },
	{ SCMP_SYS(fspick),            ENOSYS },
	{ SCMP_SYS(mount_setattr),     ENOSYS },
	{ SCMP_SYS(io_uring_setup),    ENOSYS },
	{ SCMP_SYS(io_uring_enter),    ENOSYS },
	{ SCMP_SYS(io_uring_register), ENOSYS },
	{ SCMP_SYS(clone3),            ENOSYS }, /* its flags can't be seen from here */
	/* memory that is nobody's, so that nothing counts it */
	{ SCMP_SYS(shmget),            ENOSYS },
};

static const unsigned long namespaces[] = {
	CLONE_NEWUSER, CLONE_NEWNS, CLONE_NEWPID, CLONE_NEWNET, CLONE_NEWIPC, CLONE_NEWUTS,
	CLONE_NEWCGROUP,
};
/* clang-format on */

static int deny_calls(scmp_filter_ctx ctx)
{
	int r = 0;

	for (size_t i = 0; r >= 0 && i < ARRAY_SIZE(denials); i++) {
		r = seccomp_rule_add(ctx, SCMP_ACT_ERRNO((uint32_t)denials[i].error),
				     denials[i].syscall, 0);
		/* One that this architecture doesn't have, nobody can call. */
		if (r == -EDOM || r == -EINVAL)
			r = 0;
	}
	return r;
}

static int deny_namespaces(scmp_filter_ctx ctx)
{
#if defined(__s390__) || defined(__s390x__)
	const unsigned flags = 1;
#else
	const unsigned flags = 0;
#endif
	int r = 0;

	for (size_t i = 0; r >= 0 && i < ARRAY_SIZE(namespaces); i++)
		r = seccomp_rule_add(
			ctx, SCMP_ACT_ERRNO(EPERM), SCMP_SYS(clone), 1,
			SCMP_CMP(flags, SCMP_CMP_MASKED_EQ, namespaces[i], namespaces[i]));
	return r;
}

/* All but UNIX, INET, INET6 and the part of NETLINK that lists addresses. */
static int deny_sockets(scmp_filter_ctx ctx)
{
	const uint32_t refuse = SCMP_ACT_ERRNO(EAFNOSUPPORT);
	int r = 0;

	for (uint64_t family = 0; r >= 0 && family < AF_NETLINK; family++)
		if (family != AF_UNIX && family != AF_INET && family != AF_INET6)
			r = seccomp_rule_add(ctx, refuse, SCMP_SYS(socket), 1,
					     SCMP_A0(SCMP_CMP_EQ, family));
	if (r >= 0)
		r = seccomp_rule_add(ctx, refuse, SCMP_SYS(socket), 1,
				     SCMP_A0(SCMP_CMP_GT, AF_NETLINK));
	if (r >= 0)
		r = seccomp_rule_add(ctx, refuse, SCMP_SYS(socket), 2,
				     SCMP_A0(SCMP_CMP_EQ, AF_NETLINK), SCMP_A2(SCMP_CMP_NE, 0));
	return r;
}

/* What types into a terminal; the kernel looks at the lower half of the number alone. */
static int deny_typing(scmp_filter_ctx ctx)
{
	static const unsigned requests[] = { TIOCSTI, TIOCLINUX };
	int r = 0;

	for (size_t i = 0; r >= 0 && i < ARRAY_SIZE(requests); i++)
		r = seccomp_rule_add(
			ctx, SCMP_ACT_ERRNO(EPERM), SCMP_SYS(ioctl), 1,
			SCMP_A1(SCMP_CMP_MASKED_EQ, (scmp_datum_t)0xffffffff, requests[i]));
	return r;
}

static int fill(scmp_filter_ctx ctx)
{
	int r = seccomp_attr_set(ctx, SCMP_FLTATR_ACT_BADARCH, SCMP_ACT_KILL_PROCESS);

	if (r >= 0)
		r = deny_calls(ctx);
	if (r >= 0)
		r = deny_namespaces(ctx);
	if (r >= 0)
		r = deny_sockets(ctx);
	return r >= 0 ? deny_typing(ctx) : r;
}

static void releasep(scmp_filter_ctx *ctx)
{
	if (*ctx)
		seccomp_release(*ctx);
}

bool seccomp_is_built_in(void)
{
	return true;
}

int seccomp_filter(void)
{
	scoped(releasep) scmp_filter_ctx ctx = seccomp_init(SCMP_ACT_ALLOW);
	scoped(closep) int fd = memfd_create("seccomp", MFD_CLOEXEC);
	int r;

	if (!ctx)
		return -ENOMEM;
	if (fd < 0)
		return -errno;
	r = fill(ctx);
	if (r >= 0)
		r = seccomp_export_bpf(ctx, fd);
	if (r < 0)
		return r;
	if (lseek(fd, 0, SEEK_SET) < 0)
		return -errno;
	return STEAL_FD(fd);
}

#else

bool seccomp_is_built_in(void)
{
	return false;
}

int seccomp_filter(void)
{
	return -EOPNOTSUPP;
}

#endif
