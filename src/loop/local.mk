libpreviewd_a_SOURCES += \
	%reldir%/jobs.c %reldir%/jobs.h \
	%reldir%/loop.c %reldir%/loop.h \
	%reldir%/textlog.c %reldir%/textlog.h

UNIT_TESTS += tests/unit/test_jobs tests/unit/test_loop
