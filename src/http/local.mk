# src/http: see src/README.md
libpreviewd_a_SOURCES += \
	%reldir%/chars.h \
	%reldir%/chunked.c \
	%reldir%/parse.c %reldir%/parse.h \
	%reldir%/router.c %reldir%/router.h \
	%reldir%/url.c %reldir%/url.h

UNIT_TESTS += tests/unit/test_http_parse tests/unit/test_http_url tests/unit/test_router
