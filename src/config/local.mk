libpreviewd_a_SOURCES += \
	%reldir%/ini.c %reldir%/ini.h \
	%reldir%/option.c %reldir%/option.h %reldir%/options.def \
	%reldir%/places.c %reldir%/places.h \
	%reldir%/print.c \
	%reldir%/settings.c %reldir%/settings.h %reldir%/settings_priv.h \
	%reldir%/value.c

UNIT_TESTS += tests/unit/test_config
