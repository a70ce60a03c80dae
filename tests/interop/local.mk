# Comparisons with other people's software, by node's own test runner: make check-interop
# Its packages come with `npm ci` in tests/ of the source.  INTEROP_TESTS for some of them.
EXTRA_DIST += %reldir%/fixture.h %reldir%/frameworks.test.mjs %reldir%/injects.test.mjs \
	%reldir%/jwt.test.mjs %reldir%/llhttp.test.mjs %reldir%/noderange.test.mjs \
	%reldir%/pages.test.mjs %reldir%/smuggling.test.mjs %reldir%/socketio.test.mjs \
	%reldir%/static.test.mjs %reldir%/tree.mjs %reldir%/websocket.test.mjs

interop_programs = tests/fuzz/parse-one$(EXEEXT) tests/interop/http-fixture$(EXEEXT) \
	tests/interop/sio-fixture$(EXEEXT) tests/interop/static-fixture$(EXEEXT) \
	tests/interop/detect-tool$(EXEEXT)
if HAVE_JWT
interop_programs += tests/interop/jwt-check$(EXEEXT)
endif

check-interop: $(interop_programs) previewd$(EXEEXT)
	cd '$(srcdir)' && PREVIEWD='$(abs_top_builddir)/previewd' \
		PARSE_ONE='$(abs_top_builddir)/tests/fuzz/parse-one' \
		HTTP_FIXTURE='$(abs_top_builddir)/tests/interop/http-fixture' \
		SIO_FIXTURE='$(abs_top_builddir)/tests/interop/sio-fixture' \
		STATIC_FIXTURE='$(abs_top_builddir)/tests/interop/static-fixture' \
		DETECT_TOOL='$(abs_top_builddir)/tests/interop/detect-tool' \
		JWT_CHECK='$(abs_top_builddir)/tests/interop/jwt-check' \
		node --test --test-reporter=tap --test-timeout=300000 \
		$${INTEROP_TESTS:-tests/interop/*.test.mjs}
.PHONY: check-interop
