libpreviewd_a_SOURCES += \
	%reldir%/activity.c %reldir%/activity.h \
	%reldir%/attach.c \
	%reldir%/change.c \
	%reldir%/edge.c \
	%reldir%/framing.c %reldir%/framing.h \
	%reldir%/hold.c \
	%reldir%/memory.c \
	%reldir%/operation.c \
	%reldir%/owner.c \
	%reldir%/pin.c \
	%reldir%/presence.c \
	%reldir%/probe.c %reldir%/probe.h %reldir%/probe_priv.h \
	%reldir%/probe_public.c \
	%reldir%/published.c \
	%reldir%/reaper.c \
	%reldir%/registry.c %reldir%/registry.h %reldir%/registry_priv.h \
	%reldir%/url.c %reldir%/url.h \
	%reldir%/view.c \
	%reldir%/watch.c \
	%reldir%/why.c

UNIT_TESTS += tests/unit/test_activity tests/unit/test_framing tests/unit/test_probe \
	tests/unit/test_registry tests/unit/test_registry_hold tests/unit/test_registry_url
EXTRA_DIST += tests/unit/registry_world.h
