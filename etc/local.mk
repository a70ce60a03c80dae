doc_DATA += %reldir%/previewd.conf.sample
CLEANFILES += %reldir%/previewd.conf.sample

%reldir%/previewd.conf.sample: src/config/gendoc$(EXEEXT)
	$(AM_V_at)$(MKDIR_P) %reldir%
	$(AM_V_GEN)src/config/gendoc$(EXEEXT) sample > $@.tmp && mv $@.tmp $@

# The two units have one name, and differ by the directory they are installed in.
systemduserunit_DATA = %reldir%/user/previewd.service
systemdsystemunit_DATA = %reldir%/system/previewd.service
EXTRA_DIST += %reldir%/user/previewd.service.in %reldir%/system/previewd.service.in
CLEANFILES += $(systemduserunit_DATA) $(systemdsystemunit_DATA)

unit_gen = $(MKDIR_P) $(@D) && sed -e 's|@bindir[@]|$(bindir)|g' -e 's|@sysconfdir[@]|$(sysconfdir)|g' \
	-e 's|@pkgdatadir[@]|$(pkgdatadir)|g'
%reldir%/user/previewd.service: %reldir%/user/previewd.service.in
	$(AM_V_GEN)$(unit_gen) $(srcdir)/$@.in >$@.tmp && mv $@.tmp $@
%reldir%/system/previewd.service: %reldir%/system/previewd.service.in
	$(AM_V_GEN)$(unit_gen) $(srcdir)/$@.in >$@.tmp && mv $@.tmp $@

# What the system unit lacks for builds; previewd names its place where they fail for want of it.
unitexamplesdir = $(pkgdatadir)/systemd
dist_unitexamples_DATA = %reldir%/system/builds.conf
