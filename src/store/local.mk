libpreviewd_a_SOURCES += \
	%reldir%/memory.c \
	%reldir%/record.c %reldir%/record.h %reldir%/records.def \
	%reldir%/sqlite.c %reldir%/sqlite_backup.c %reldir%/sqlite_file.c %reldir%/sqlite_priv.h \
	%reldir%/store.c %reldir%/store.h %reldir%/store_priv.h

UNIT_TESTS += tests/contract/store tests/unit/test_store_sqlite tests/unit/test_store_upgrade
EXTRA_DIST += tests/store_help.h tests/store_world.h tests/released_schemas.def
