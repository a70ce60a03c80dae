libpreviewd_a_SOURCES += \
	%reldir%/hook.c %reldir%/hook.h

UNIT_TESTS += tests/unit/test_agents
