bin_PROGRAMS += previewctl
previewctl_SOURCES = %reldir%/main.c

libpreviewd_a_SOURCES += \
	%reldir%/ctl.h \
	%reldir%/hook.c %reldir%/hook.h \
	%reldir%/output.c %reldir%/output.h \
	%reldir%/problem.c %reldir%/problem.h \
	%reldir%/suggest.c %reldir%/suggest.h

UNIT_TESTS += tests/unit/test_ctl_output
