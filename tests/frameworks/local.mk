# Frameworks that are too large for each check, built from the registry and opened in a browser:
# make check-frameworks, FRAMEWORKS="angular qwik" for some.  Takes a quarter of an hour.
EXTRA_DIST += %reldir%/frameworks.test.mjs %reldir%/projects.mjs

check-frameworks: all
	cd '$(srcdir)' && PREVIEWD='$(abs_top_builddir)/previewd' \
		PREVIEWCTL='$(abs_top_builddir)/previewctl' \
		node --test --test-reporter=tap tests/frameworks/frameworks.test.mjs
.PHONY: check-frameworks
