# `make bench`: previewd beside its peers, in one run, as a table.  Slow is not a failure.
# `make bench ROWS="json idle"` runs some of it; see bench.mjs for their names.
EXTRA_DIST += %reldir%/bench.mjs %reldir%/hostile.mjs %reldir%/long.mjs %reldir%/mixed.mjs %reldir%/package-lock.json \
	%reldir%/package.json %reldir%/panel.mjs %reldir%/sio-server.mjs

bench_tools = %reldir%/attachload %reldir%/attack %reldir%/evlatency %reldir%/fillstore %reldir%/siobench
EXTRA_PROGRAMS += $(bench_tools)
CLEANFILES += $(bench_tools)
tests_bench_attachload_SOURCES = %reldir%/attachload.c %reldir%/client.c %reldir%/client.h
tests_bench_attack_SOURCES = %reldir%/attack.c %reldir%/client.c %reldir%/client.h
tests_bench_evlatency_SOURCES = %reldir%/evlatency.c %reldir%/client.c %reldir%/client.h
tests_bench_fillstore_SOURCES = %reldir%/fillstore.c %reldir%/client.c %reldir%/client.h
tests_bench_siobench_SOURCES = %reldir%/siobench.c %reldir%/client.c %reldir%/client.h

# The peers from npm, in the versions of the lock file.
%reldir%/node_modules/.package-lock.json: $(srcdir)/%reldir%/package-lock.json
	$(MKDIR_P) %reldir%
	test $(srcdir) -ef . || cp $(srcdir)/%reldir%/package.json $(srcdir)/%reldir%/package-lock.json %reldir%/
	cd %reldir% && npm ci --no-audit --no-fund --loglevel=error
	touch $@

bench: previewd tests/interop/sio-fixture$(EXEEXT) $(bench_tools) %reldir%/node_modules/.package-lock.json
	node $(srcdir)/%reldir%/bench.mjs --build='$(abs_builddir)' \
		--flags='$(CFLAGS) $(SAN_CFLAGS)' $(ROWS)

bench-clean:
	rm -rf %reldir%/node_modules %reldir%/run
clean-local: bench-clean
.PHONY: bench bench-clean

# By hand; its head says how.
EXTRA_DIST += %reldir%/activity.mjs
