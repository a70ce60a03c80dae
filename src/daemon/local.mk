libpreviewd_a_SOURCES += %reldir%/daemon.c %reldir%/daemon.h

sbin_PROGRAMS += previewd
previewd_SOURCES = %reldir%/main.c
