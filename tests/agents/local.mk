# The real agents with a scripted model on loopback: make check-agents.  No part of `./dev check`,
# for its packages are 1.2 GB and some are not free software; `npm ci` in tests/agents/ of the source
# brings them.  AGENTS_TESTS='--test-name-pattern=^Codex' for some.
EXTRA_DIST += %reldir%/package.json %reldir%/package-lock.json %reldir%/agents.test.mjs %reldir%/model.mjs

check-agents: all
	cd '$(srcdir)/tests/agents' && { [ -d node_modules ] || npm ci --no-audit --no-fund; }
	cd '$(srcdir)' && PREVIEWD='$(abs_top_builddir)/previewd' \
		PREVIEWCTL='$(abs_top_builddir)/previewctl' \
		node --test --test-reporter=tap --test-timeout=300000 $(AGENTS_TESTS) tests/agents/agents.test.mjs
.PHONY: check-agents
