# src/http: see src/README.md
libpreviewd_a_SOURCES += \
	%reldir%/chars.h \
	%reldir%/chunked.c \
	%reldir%/conditional.c %reldir%/conditional.h \
	%reldir%/conn.c \
	%reldir%/file.h \
	%reldir%/filenames.c \
	%reldir%/hotfiles.c \
	%reldir%/http_priv.h \
	%reldir%/lookup.c \
	%reldir%/manifest.c %reldir%/manifest.h \
	%reldir%/parse.c %reldir%/parse.h \
	%reldir%/request.c \
	%reldir%/response.c \
	%reldir%/room.c %reldir%/room.h \
	%reldir%/router.c %reldir%/router.h \
	%reldir%/sendfile.c \
	%reldir%/server.c %reldir%/server.h \
	%reldir%/static.c %reldir%/static.h %reldir%/static_priv.h \
	%reldir%/stream.c \
	%reldir%/url.c %reldir%/url.h \
	%reldir%/warming.c \
	%reldir%/websocket.c %reldir%/websocket.h

UNIT_TESTS += tests/unit/test_http_parse tests/unit/test_http_url tests/unit/test_router
UNIT_TESTS += tests/unit/test_http_server tests/unit/test_http_websocket
UNIT_TESTS += tests/unit/test_http_manifest tests/unit/test_http_conditional tests/unit/test_http_static
EXTRA_DIST += tests/unit/http_world.h

# A server for clients that are not ours: tests/interop/*.test.mjs
check_PROGRAMS += tests/interop/http-fixture tests/interop/static-fixture
