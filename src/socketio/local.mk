# src/socketio: see src/README.md
libpreviewd_a_SOURCES += \
	%reldir%/deadlines.c %reldir%/deadlines.h \
	%reldir%/engineio.c %reldir%/engineio.h %reldir%/engineio_priv.h \
	%reldir%/engineio_link.c \
	%reldir%/engineio_packet.c %reldir%/engineio_packet.h \
	%reldir%/engineio_polling.c \
	%reldir%/engineio_request.c \
	%reldir%/rooms.c %reldir%/rooms.h \
	%reldir%/socketio.c %reldir%/socketio.h %reldir%/socketio_priv.h \
	%reldir%/socketio_send.c \
	%reldir%/socketio_packet.c %reldir%/socketio_packet.h

UNIT_TESTS += tests/unit/test_socketio tests/unit/test_socketio_packet \
	tests/unit/test_socketio_parts

# A server for clients that are not ours: tests/interop/socketio.test.mjs, tests/bench/siobench.c
check_PROGRAMS += tests/interop/sio-fixture
