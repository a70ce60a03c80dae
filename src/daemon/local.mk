sbin_PROGRAMS += previewd
previewd_SOURCES = %reldir%/main.c
