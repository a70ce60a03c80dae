# A fuzz target is fuzz_NAME.c with a corpus in corpus/NAME.  `make check` replays the corpora;
# configured with --enable-fuzzing (clang) the same targets are fuzzers: fuzz_NAME corpus/NAME
FUZZ_TARGETS = %reldir%/fuzz_http_head %reldir%/fuzz_http_chunked \
	%reldir%/fuzz_http_conditional %reldir%/fuzz_engineio %reldir%/fuzz_socketio \
	%reldir%/fuzz_mcp_message %reldir%/fuzz_project %reldir%/fuzz_rewrite \
	%reldir%/fuzz_url %reldir%/fuzz_json %reldir%/fuzz_websocket %reldir%/fuzz_ws_client \
	%reldir%/fuzz_config %reldir%/fuzz_jwt %reldir%/fuzz_netlink %reldir%/fuzz_hook \
	%reldir%/fuzz_connect %reldir%/fuzz_edge %reldir%/fuzz_rebase

if FUZZING
FUZZ_MAIN = %reldir%/fuzz.h
FUZZ_LINK = $(AM_LDFLAGS) -fsanitize=fuzzer
else
FUZZ_MAIN = %reldir%/fuzz.h %reldir%/replay.c
FUZZ_LINK = $(AM_LDFLAGS)
TESTS += $(FUZZ_TARGETS)
endif

check_PROGRAMS += $(FUZZ_TARGETS) %reldir%/parse-one

%canon_reldir%_fuzz_http_head_SOURCES = %reldir%/fuzz_http_head.c $(FUZZ_MAIN)
%canon_reldir%_fuzz_http_head_LDFLAGS = $(FUZZ_LINK)
%canon_reldir%_fuzz_http_chunked_SOURCES = %reldir%/fuzz_http_chunked.c $(FUZZ_MAIN)
%canon_reldir%_fuzz_http_chunked_LDFLAGS = $(FUZZ_LINK)
%canon_reldir%_fuzz_engineio_SOURCES = %reldir%/fuzz_engineio.c $(FUZZ_MAIN)
%canon_reldir%_fuzz_engineio_LDFLAGS = $(FUZZ_LINK)
%canon_reldir%_fuzz_socketio_SOURCES = %reldir%/fuzz_socketio.c $(FUZZ_MAIN)
%canon_reldir%_fuzz_socketio_LDFLAGS = $(FUZZ_LINK)
%canon_reldir%_fuzz_mcp_message_SOURCES = %reldir%/fuzz_mcp_message.c $(FUZZ_MAIN)
%canon_reldir%_fuzz_mcp_message_LDFLAGS = $(FUZZ_LINK)
%canon_reldir%_fuzz_http_conditional_SOURCES = %reldir%/fuzz_http_conditional.c $(FUZZ_MAIN)
%canon_reldir%_fuzz_http_conditional_LDFLAGS = $(FUZZ_LINK)

%canon_reldir%_fuzz_rewrite_SOURCES = %reldir%/fuzz_rewrite.c $(FUZZ_MAIN)
%canon_reldir%_fuzz_rewrite_LDFLAGS = $(FUZZ_LINK)
%canon_reldir%_fuzz_project_SOURCES = %reldir%/fuzz_project.c $(FUZZ_MAIN)
%canon_reldir%_fuzz_project_LDFLAGS = $(FUZZ_LINK)
%canon_reldir%_fuzz_url_SOURCES = %reldir%/fuzz_url.c $(FUZZ_MAIN)
%canon_reldir%_fuzz_url_LDFLAGS = $(FUZZ_LINK)
%canon_reldir%_fuzz_json_SOURCES = %reldir%/fuzz_json.c $(FUZZ_MAIN)
%canon_reldir%_fuzz_json_LDFLAGS = $(FUZZ_LINK)
%canon_reldir%_fuzz_websocket_SOURCES = %reldir%/fuzz_websocket.c $(FUZZ_MAIN)
%canon_reldir%_fuzz_websocket_LDFLAGS = $(FUZZ_LINK)
%canon_reldir%_fuzz_ws_client_SOURCES = %reldir%/fuzz_ws_client.c $(FUZZ_MAIN)
%canon_reldir%_fuzz_ws_client_LDFLAGS = $(FUZZ_LINK)
%canon_reldir%_fuzz_config_SOURCES = %reldir%/fuzz_config.c $(FUZZ_MAIN)
%canon_reldir%_fuzz_config_LDFLAGS = $(FUZZ_LINK)
%canon_reldir%_fuzz_jwt_SOURCES = %reldir%/fuzz_jwt.c $(FUZZ_MAIN)
%canon_reldir%_fuzz_jwt_LDFLAGS = $(FUZZ_LINK)
%canon_reldir%_fuzz_netlink_SOURCES = %reldir%/fuzz_netlink.c $(FUZZ_MAIN)
%canon_reldir%_fuzz_netlink_LDFLAGS = $(FUZZ_LINK)
%canon_reldir%_fuzz_hook_SOURCES = %reldir%/fuzz_hook.c $(FUZZ_MAIN)
%canon_reldir%_fuzz_hook_LDFLAGS = $(FUZZ_LINK)
%canon_reldir%_fuzz_connect_SOURCES = %reldir%/fuzz_connect.c $(FUZZ_MAIN)
%canon_reldir%_fuzz_connect_LDFLAGS = $(FUZZ_LINK)
%canon_reldir%_fuzz_edge_SOURCES = %reldir%/fuzz_edge.c $(FUZZ_MAIN)
%canon_reldir%_fuzz_edge_LDFLAGS = $(FUZZ_LINK)
%canon_reldir%_fuzz_rebase_SOURCES = %reldir%/fuzz_rebase.c $(FUZZ_MAIN)
%canon_reldir%_fuzz_rebase_LDFLAGS = $(FUZZ_LINK)

# Each fuzzer for a while, what it finds and a table of it: FUZZ_SECONDS each, FUZZ_ONLY some.
fuzz:
	$(SHELL) $(srcdir)/%reldir%/fuzz.sh $(abs_top_srcdir) $(abs_builddir) $(FUZZ_TARGETS)
.PHONY: fuzz

EXTRA_DIST += %reldir%/fuzz.sh %reldir%/corpus tests/vectors
