libpreviewd_a_SOURCES += \
	%reldir%/cgroup.c %reldir%/cgroup.h \
	%reldir%/kill.c \
	%reldir%/pidref.c %reldir%/pidref.h \
	%reldir%/reaper.c %reldir%/reaper.h \
	%reldir%/inside.h \
	%reldir%/sandbox.c %reldir%/sandbox.h %reldir%/sandbox_priv.h \
	%reldir%/sandbox_args.c \
	%reldir%/sandbox_remedy.c \
	%reldir%/sandbox_run.c \
	%reldir%/sandbox_spawn.c \
	%reldir%/sandbox_watch.c \
	%reldir%/seccomp.c %reldir%/seccomp.h \
	%reldir%/spawn.c %reldir%/spawn.h \
	%reldir%/tree.c %reldir%/tree.h %reldir%/tree_priv.h \
	%reldir%/watch.c %reldir%/watch.h

# It runs in the sandbox, under limits that sanitizers don't bear.
pkglibexec_PROGRAMS += previewd-sandbox
previewd_sandbox_SOURCES = %reldir%/inside.c
previewd_sandbox_CFLAGS = -std=gnu11 $(WARN_CFLAGS)
previewd_sandbox_LDFLAGS =
previewd_sandbox_LDADD =

UNIT_TESTS += tests/unit/test_proc_cgroup tests/unit/test_proc_kill tests/unit/test_proc_pidref \
	tests/unit/test_proc_sandbox tests/unit/test_proc_spawn \
	tests/unit/test_proc_tree tests/unit/test_sandbox_npm \
	tests/unit/test_sandbox_policy \
	tests/unit/test_sandbox_run
EXTRA_DIST += tests/unit/proc_help.h tests/unit/sandbox_world.h
