# What other people's clients and conformance suites say of /mcp, by node's own test runner:
# make check-mcp.  Its packages, a Node for them among these, come with `npm ci` in tests/mcp/ of
# the source.  MCP_TESTS for some of the tests.
check_PROGRAMS += %reldir%/mcp-fixture
%canon_reldir%_mcp_fixture_SOURCES = %reldir%/mcp-fixture.c %reldir%/fixture-ask.c %reldir%/fixture.h

EXTRA_DIST += %reldir%/package.json %reldir%/package-lock.json \
	%reldir%/baseline.yml %reldir%/harness.mjs \
	%reldir%/card.test.mjs %reldir%/clients.test.mjs %reldir%/conformance.test.mjs %reldir%/inspector.test.mjs \
	%reldir%/stdio.test.mjs

check-mcp: all tests/mcp/mcp-fixture$(EXEEXT)
	cd '$(srcdir)' && PREVIEWD='$(abs_top_builddir)/previewd' \
		PREVIEWCTL='$(abs_top_builddir)/previewctl' \
		MCP_FIXTURE='$(abs_top_builddir)/tests/mcp/mcp-fixture' \
		node --test --test-reporter=tap --test-concurrency=2 --test-timeout=120000 \
		$${MCP_TESTS:-tests/mcp/*.test.mjs}
.PHONY: check-mcp
