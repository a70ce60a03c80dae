bin_PROGRAMS += previewctl
previewctl_SOURCES = %reldir%/main.c

libpreviewd_a_SOURCES += \
	%reldir%/bridge.c %reldir%/bridge.h \
	%reldir%/bridged.c %reldir%/bridged.h \
	%reldir%/client.c %reldir%/client.h %reldir%/client_priv.h \
	%reldir%/cmd-attach.c \
	%reldir%/cmd-completion.c %reldir%/completion.h \
	%reldir%/completion_bash.c %reldir%/completion_fish.c %reldir%/completion_zsh.c \
	%reldir%/cmd-config.c \
	%reldir%/cmd-detach.c \
	%reldir%/cmd-health.c \
	%reldir%/cmd-help.c \
	%reldir%/cmd-hook.c \
	%reldir%/cmd-ls.c \
	%reldir%/cmd-mcp.c \
	%reldir%/cmd-open.c \
	%reldir%/cmd-pin.c \
	%reldir%/cmd-publish.c \
	%reldir%/cmd-releases.c \
	%reldir%/cmd-rollback.c \
	%reldir%/cmd-rotate.c \
	%reldir%/cmd-run.c \
	%reldir%/cmd-session.c \
	%reldir%/cmd-status.c \
	%reldir%/cmd-task.c \
	%reldir%/cmd-token.c \
	%reldir%/cmd-touch.c \
	%reldir%/cmd-unpublish.c \
	%reldir%/cmd-version.c \
	%reldir%/cmd-watch.c \
	%reldir%/cmd-why.c \
	%reldir%/cmdline.c \
	%reldir%/commands.c %reldir%/commands.h %reldir%/commands.def \
	%reldir%/ctl.c %reldir%/ctl.h \
	%reldir%/foreground.c %reldir%/foreground.h \
	%reldir%/launch.c %reldir%/launch.h \
	%reldir%/logtext.c %reldir%/logtext.h \
	%reldir%/output.c %reldir%/output.h \
	%reldir%/portfinder.c %reldir%/portfinder.h \
	%reldir%/previews.c %reldir%/previews.h \
	%reldir%/problem.c %reldir%/problem.h \
	%reldir%/scope.c %reldir%/scope.h \
	%reldir%/suggest.c %reldir%/suggest.h \
	%reldir%/usage.c %reldir%/usage.h \
	%reldir%/ws.c %reldir%/ws.h

# The commands and options of the manual page come from the rows that the program itself reads.
nodist_man_MANS += %reldir%/previewctl.1
EXTRA_DIST += %reldir%/previewctl.1.in
CLEANFILES += %reldir%/previewctl.1
%reldir%/previewctl.1: %reldir%/previewctl.1.in previewctl$(EXEEXT)
	$(AM_V_at)$(MKDIR_P) %reldir%
	$(AM_V_GEN)./previewctl$(EXEEXT) mdoc <$(srcdir)/%reldir%/previewctl.1.in >$@.tmp && mv $@.tmp $@

UNIT_TESTS += \
	tests/unit/test_ctl_cmdline \
	tests/unit/test_ctl_launch \
	tests/unit/test_ctl_mcp \
	tests/unit/test_ctl_output \
	tests/unit/test_ctl_wire
