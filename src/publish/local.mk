libpreviewd_a_SOURCES += \
	%reldir%/buildlog.c \
	%reldir%/buildreads.c \
	%reldir%/builds.c \
	%reldir%/buildview.c \
	%reldir%/bundles.c %reldir%/bundles.h %reldir%/bundles_priv.h \
	%reldir%/checking.c \
	%reldir%/commands.c \
	%reldir%/compress.c %reldir%/compress.h \
	%reldir%/detect.c %reldir%/detect.h \
	%reldir%/detecting.c \
	%reldir%/framework.c %reldir%/framework.h %reldir%/frameworks.def \
	%reldir%/hostrules.c %reldir%/hostrules.h \
	%reldir%/manager.c %reldir%/manager.h \
	%reldir%/modules.c \
	%reldir%/node.c \
	%reldir%/noderange.c %reldir%/noderange.h \
	%reldir%/operations.c \
	%reldir%/output.c %reldir%/output.h %reldir%/output_priv.h \
	%reldir%/package.c %reldir%/package.h \
	%reldir%/pages.c \
	%reldir%/publisher.c %reldir%/publisher.h %reldir%/publisher_priv.h \
	%reldir%/queue.c \
	%reldir%/refreshing.c \
	%reldir%/release.c %reldir%/release.h \
	%reldir%/remake.c \
	%reldir%/rebase.c %reldir%/rebase.h \
	%reldir%/rewrite.c %reldir%/rewrite.h \
	%reldir%/rotate.c \
	%reldir%/routers.c %reldir%/routers.h \
	%reldir%/settling.c \
	%reldir%/shown.c \
	%reldir%/sites.c \
	%reldir%/states.def \
	%reldir%/steps.c %reldir%/steps_priv.h \
	%reldir%/steps_build.c \
	%reldir%/steps_install.c \
	%reldir%/steps_manager.c \
	%reldir%/steps_node.c \
	%reldir%/steps_run.c \
	%reldir%/switch.c \
	%reldir%/walk.c \
	%reldir%/workdir.c \
	%reldir%/workspace.c %reldir%/workspace.h

# Files that builds are shown, compiled in.
publish_injects = \
	%reldir%/inject/argv.cjs %reldir%/inject/docusaurus.cjs %reldir%/inject/next-adapter.cjs \
	%reldir%/inject/package.json %reldir%/inject/vue-cli.cjs
EXTRA_DIST += $(publish_injects) %reldir%/inject/embed.awk
BUILT_SOURCES += %reldir%/injects.inc
CLEANFILES += %reldir%/injects.inc

%reldir%/injects.inc: $(publish_injects) %reldir%/inject/embed.awk
	$(AM_V_at)$(MKDIR_P) %reldir%
	$(AM_V_GEN)cd '$(srcdir)' && $(AWK) -f %reldir%/inject/embed.awk $(publish_injects) \
		> '$(abs_builddir)/$@.tmp'
	$(AM_V_at)mv $@.tmp $@
%reldir%/framework.$(OBJEXT): %reldir%/injects.inc

# For tests/interop and by hand: what detection and output say of a directory.
check_PROGRAMS += tests/interop/detect-tool
EXTRA_DIST += tests/fixtures/projects

UNIT_TESTS += tests/unit/test_publish_detect tests/unit/test_publish_node \
	tests/unit/test_publish_output tests/unit/test_publish_rewrite \
	tests/unit/test_publish_workspace
EXTRA_DIST += tests/unit/publish_tree.h
UNIT_TESTS += tests/unit/test_bundles tests/unit/test_pages tests/unit/test_publisher \
	tests/unit/test_release
