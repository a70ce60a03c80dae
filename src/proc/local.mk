libpreviewd_a_SOURCES += \
	%reldir%/cgroup.c %reldir%/cgroup.h \
	%reldir%/kill.c \
	%reldir%/pidref.c %reldir%/pidref.h \
	%reldir%/reaper.c %reldir%/reaper.h \
	%reldir%/sandbox.h \
	%reldir%/spawn.c %reldir%/spawn.h \
	%reldir%/tree.c %reldir%/tree.h %reldir%/tree_priv.h \
	%reldir%/watch.c %reldir%/watch.h

UNIT_TESTS += tests/unit/test_proc_cgroup tests/unit/test_proc_kill tests/unit/test_proc_pidref \
	tests/unit/test_proc_spawn tests/unit/test_proc_tree
EXTRA_DIST += tests/unit/proc_help.h
