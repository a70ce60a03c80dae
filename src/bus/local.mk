libpreviewd_a_SOURCES += \
	%reldir%/bus.c %reldir%/bus.h \
	%reldir%/event.c %reldir%/event.h \
	%reldir%/journal.c %reldir%/journal.h

