bin_PROGRAMS += previewctl
previewctl_SOURCES = %reldir%/main.c
