libpreviewd_a_SOURCES += %reldir%/daemon.c %reldir%/daemon.h %reldir%/state.c %reldir%/state.h

bin_PROGRAMS += previewd
previewd_SOURCES = %reldir%/main.c

nodist_man_MANS += %reldir%/previewd.8
EXTRA_DIST += %reldir%/previewd.8.in
CLEANFILES += %reldir%/previewd.8 %reldir%/previewd.8.routes %reldir%/previewd.8.tmp

%reldir%/previewd.8: %reldir%/previewd.8.in src/api/gendoc$(EXEEXT)
	$(AM_V_at)$(MKDIR_P) %reldir%
	$(AM_V_GEN)src/api/gendoc$(EXEEXT) > $@.routes
	$(AM_V_at)sed -e 's|@sysconfdir[@]|$(sysconfdir)|g' -e 's|@pkgdatadir[@]|$(pkgdatadir)|g' \
		-e '/^@ROUTES[@]$$/{' -e 'r $@.routes' -e 'd' -e '}' \
		$(srcdir)/%reldir%/previewd.8.in > $@.tmp
	$(AM_V_at)rm -f $@.routes && mv $@.tmp $@
