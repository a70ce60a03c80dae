# `make check-faults`: the built daemon in the middle of a day's work, and everything done to it that
# a machine does to a daemon; as a table.  FAULTS_SEED=N for the same day again, FAULTS=TEXT for some
# rows.  Some of it wants root (a small file system); those rows say so elsewhere.
EXTRA_DIST += %reldir%/faults.mjs %reldir%/rows.mjs %reldir%/world.mjs %reldir%/day.mjs \
	%reldir%/control.mjs %reldir%/power.mjs %reldir%/powerloss.mjs %reldir%/record.c %reldir%/shim.c

%reldir%/shim.so: $(srcdir)/%reldir%/shim.c
	$(MKDIR_P) %reldir%
	$(CC) -std=gnu11 -D_GNU_SOURCE $(WARN_CFLAGS) -O1 -shared -fPIC -o $@ $(srcdir)/%reldir%/shim.c -ldl

%reldir%/record.so: $(srcdir)/%reldir%/record.c
	$(MKDIR_P) %reldir%
	$(CC) -std=gnu11 -D_GNU_SOURCE $(WARN_CFLAGS) -O1 -shared -fPIC -o $@ $(srcdir)/%reldir%/record.c -ldl -lpthread
CLEANFILES += %reldir%/shim.so %reldir%/record.so

check-faults: all %reldir%/shim.so %reldir%/record.so
	cd '$(srcdir)' && PREVIEWD='$(abs_top_builddir)/previewd' \
		PREVIEWCTL='$(abs_top_builddir)/previewctl' \
		FAULTS_SHIM='$(abs_top_builddir)/%reldir%/shim.so' \
		FAULTS_RECORDER='$(abs_top_builddir)/%reldir%/record.so' \
		node tests/faults/faults.mjs
.PHONY: check-faults
