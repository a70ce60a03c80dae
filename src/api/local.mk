libpreviewd_a_SOURCES += \
	%reldir%/api.c %reldir%/api.h %reldir%/api_priv.h \
	%reldir%/canvas.c \
	%reldir%/dispatch.c \
	%reldir%/edge.c \
	%reldir%/edge_asked.c %reldir%/edge_asked.h \
	%reldir%/events.c \
	%reldir%/figures.c \
	%reldir%/guard.c \
	%reldir%/hooks.c \
	%reldir%/mcp.c \
	%reldir%/openapi.c \
	%reldir%/codes.c \
	%reldir%/panel.c \
	%reldir%/previews.c \
	%reldir%/logstream.c %reldir%/logstream.h \
	%reldir%/publish.c \
	%reldir%/published.c \
	%reldir%/reply.c \
	%reldir%/routes.def \
	%reldir%/session.c \
	%reldir%/snapshot.c \
	%reldir%/socketio.c \
	%reldir%/streams.c \
	%reldir%/system.c \
	%reldir%/tasks.c \
	%reldir%/tokens.c \
	%reldir%/traefik.c \
	%reldir%/viewer.c %reldir%/viewer.h \
	%reldir%/viewer_canvas.c

UNIT_TESTS += tests/unit/test_api

# Writes the routes' part of previewd(8) from routes.def.
noinst_PROGRAMS += %reldir%/gendoc
%canon_reldir%_gendoc_SOURCES = %reldir%/gendoc.c
%canon_reldir%_gendoc_LDADD =
