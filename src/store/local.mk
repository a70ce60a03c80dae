libpreviewd_a_SOURCES += \
	%reldir%/memory.c \
	%reldir%/record.c %reldir%/record.h %reldir%/records.def \
	%reldir%/sqlite.c \
	%reldir%/store.c %reldir%/store.h %reldir%/store_priv.h
