doc_DATA += %reldir%/previewd.conf.sample
CLEANFILES += %reldir%/previewd.conf.sample

%reldir%/previewd.conf.sample: src/config/gendoc$(EXEEXT)
	$(AM_V_at)$(MKDIR_P) %reldir%
	$(AM_V_GEN)src/config/gendoc$(EXEEXT) sample > $@.tmp && mv $@.tmp $@
