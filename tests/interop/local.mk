# Comparisons with other people's software, by node's own test runner: make check-interop
EXTRA_DIST += %reldir%/llhttp.test.mjs

check-interop: tests/fuzz/parse-one
	PARSE_ONE='$(abs_top_builddir)/tests/fuzz/parse-one' node --test $(srcdir)/tests/interop/
.PHONY: check-interop
