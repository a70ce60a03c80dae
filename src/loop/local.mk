libpreviewd_a_SOURCES += \
	%reldir%/jobs.c %reldir%/jobs.h \
	%reldir%/loop.c %reldir%/loop.h
