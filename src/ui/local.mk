# The Preview panel: plain modules and style sheets, embedded as they are and compressed.
ui_assets = index.html page.css page.js overview.js icon.svg \
	web-preview.js banners.js model.js session.js stage.js drawers.js screens.js toolbar.js texts.js dom.js style.js

libpreviewd_a_SOURCES += %reldir%/assets.c %reldir%/assets.h
nodist_libpreviewd_a_SOURCES = %reldir%/assets.inc
BUILT_SOURCES += %reldir%/assets.inc
EXTRA_DIST += $(ui_assets:%=%reldir%/assets/%)

noinst_PROGRAMS += %reldir%/embed
%canon_reldir%_embed_SOURCES = %reldir%/embed.c
%canon_reldir%_embed_LDADD =

# Lines that are comments stay here; the licence goes along.
%reldir%/assets.inc: $(ui_assets:%=%reldir%/assets/%) %reldir%/embed$(EXEEXT)
	$(AM_V_at)$(MKDIR_P) %reldir%/served
	$(AM_V_at)for name in $(ui_assets); do \
		case $$name in *.js) strip='1!{/^[[:space:]]*\/\//d;}' ;; *) strip= ;; esac; \
		sed -e "$$strip" '$(srcdir)/%reldir%/assets/'$$name >%reldir%/served/$$name && \
		gzip -9 -n -c %reldir%/served/$$name >%reldir%/served/$$name.gz || exit 1; \
	done
	$(AM_V_GEN)%reldir%/embed$(EXEEXT) %reldir%/served $(ui_assets) >$@.tmp
	$(AM_V_at)mv $@.tmp $@

ui-clean:
	rm -rf %reldir%/served
clean-local: ui-clean
.PHONY: ui-clean
CLEANFILES += %reldir%/assets.inc %reldir%/assets.inc.tmp
