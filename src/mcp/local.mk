# src/mcp: see src/README.md
libpreviewd_a_SOURCES += \
	%reldir%/advice.c \
	%reldir%/binding.c %reldir%/binding.h \
	%reldir%/call.c \
	%reldir%/identity.c \
	%reldir%/mcp.c %reldir%/mcp.h %reldir%/mcp_priv.h \
	%reldir%/message.c %reldir%/message.h \
	%reldir%/methods.c \
	%reldir%/prompt.c \
	%reldir%/protocol.c %reldir%/protocol.h \
	%reldir%/publish.c \
	%reldir%/resources.c \
	%reldir%/server.c %reldir%/server.h %reldir%/server_priv.h \
	%reldir%/sessions.c \
	%reldir%/tools.c %reldir%/tools.def \
	%reldir%/views.c

UNIT_TESTS += tests/unit/test_mcp_message tests/unit/test_mcp_server

# The card is embedded.
BUILT_SOURCES += %reldir%/card.h
%reldir%/resources.$(OBJEXT): %reldir%/card.h
CLEANFILES += %reldir%/card.h
EXTRA_DIST += %reldir%/card.html %reldir%/embed.awk
%reldir%/card.h: %reldir%/card.html %reldir%/embed.awk
	$(AM_V_GEN)$(MKDIR_P) %reldir% && LC_ALL=C $(AWK) -v name=card_html -f $(srcdir)/%reldir%/embed.awk \
		$(srcdir)/%reldir%/card.html >$@.tmp && mv $@.tmp $@
