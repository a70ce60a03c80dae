libpreviewd_a_SOURCES += \
	%reldir%/attach.c \
	%reldir%/change.c \
	%reldir%/memory.c \
	%reldir%/operation.c \
	%reldir%/owner.c \
	%reldir%/probe.c %reldir%/probe.h \
	%reldir%/registry.c %reldir%/registry.h %reldir%/registry_priv.h \
	%reldir%/url.c %reldir%/url.h \
	%reldir%/view.c

UNIT_TESTS += tests/unit/test_probe tests/unit/test_registry tests/unit/test_registry_url
EXTRA_DIST += tests/unit/registry_world.h
