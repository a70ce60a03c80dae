libpreviewd_a_SOURCES += \
	%reldir%/ini.c %reldir%/ini.h \
	%reldir%/option.c %reldir%/option.h %reldir%/options.def \
	%reldir%/places.c %reldir%/places.h \
	%reldir%/print.c \
	%reldir%/settings.c %reldir%/settings.h %reldir%/settings_priv.h \
	%reldir%/value.c

# Writes the sample file (see etc/local.mk) and the options' part of the manual from options.def.
noinst_PROGRAMS += %reldir%/gendoc
%canon_reldir%_gendoc_SOURCES = %reldir%/gendoc.c

nodist_man_MANS += %reldir%/previewd.conf.5
EXTRA_DIST += %reldir%/previewd.conf.5.in
CLEANFILES += %reldir%/previewd.conf.5 %reldir%/previewd.conf.5.options %reldir%/previewd.conf.5.tmp

%reldir%/previewd.conf.5: %reldir%/previewd.conf.5.in %reldir%/gendoc$(EXEEXT)
	$(AM_V_at)$(MKDIR_P) %reldir%
	$(AM_V_GEN)%reldir%/gendoc$(EXEEXT) man > $@.options
	$(AM_V_at)sed -e 's|@sysconfdir[@]|$(sysconfdir)|g' \
		-e '/^@OPTIONS[@]$$/{' -e 'r $@.options' -e 'd' -e '}' \
		$(srcdir)/%reldir%/previewd.conf.5.in > $@.tmp
	$(AM_V_at)rm -f $@.options && mv $@.tmp $@

UNIT_TESTS += tests/unit/test_config
