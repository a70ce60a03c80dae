libpreviewd_a_SOURCES += \
	%reldir%/bus.c %reldir%/bus.h \
	%reldir%/event.c %reldir%/event.h \
	%reldir%/journal.c %reldir%/journal.h


UNIT_TESTS += tests/unit/test_bus tests/unit/test_journal
