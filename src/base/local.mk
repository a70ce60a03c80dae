libpreviewd_a_SOURCES += \
	%reldir%/beneath.c %reldir%/beneath.h \
	%reldir%/bytes.h \
	%reldir%/cleanup.h \
	%reldir%/clock.c %reldir%/clock.h \
	%reldir%/crypto.c %reldir%/crypto.h \
	%reldir%/fault.c %reldir%/fault.h %reldir%/faults.def \
	%reldir%/files.c %reldir%/files.h \
	%reldir%/hash.c %reldir%/hash.h \
	%reldir%/ids.c %reldir%/ids.h \
	%reldir%/json.c %reldir%/json.h \
	%reldir%/json_fields.c \
	%reldir%/log.c %reldir%/log.h \
	%reldir%/mem.c %reldir%/mem.h \
	%reldir%/metrics.c %reldir%/metrics.h %reldir%/metrics.def \
	%reldir%/parse.c %reldir%/parse.h \
	%reldir%/strbuf.c %reldir%/strbuf.h \
	%reldir%/trees.c %reldir%/trees.h

UNIT_TESTS += \
	tests/unit/test_base_beneath \
	tests/unit/test_base_json \
	tests/unit/test_base_system \
	tests/unit/test_base_text \
	tests/unit/test_base_trees
