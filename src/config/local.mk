libpreviewd_a_SOURCES += %reldir%/settings.c %reldir%/settings.h %reldir%/options.def
