# The built daemon with real parts, by node's own test runner: make check-functional
# Its packages come with `npm ci` in tests/ of the source.
EXTRA_DIST += \
	%reldir%/access.test.mjs %reldir%/activity.test.mjs %reldir%/agents.mjs \
	%reldir%/agents.test.mjs %reldir%/bridge.test.mjs %reldir%/browser.mjs \
	%reldir%/bundled.test.mjs %reldir%/canvas.mjs %reldir%/canvas.test.mjs \
	%reldir%/canvas_page.test.mjs %reldir%/canvas_socketio.test.mjs \
	%reldir%/cgroup.test.mjs %reldir%/chromium.test.mjs %reldir%/contrib.test.mjs \
	%reldir%/crowds.test.mjs \
	%reldir%/disks.mjs %reldir%/durability.test.mjs %reldir%/edge.mjs %reldir%/edge.test.mjs \
	%reldir%/edge_previews.test.mjs %reldir%/edge_traefik.test.mjs \
	%reldir%/element.test.mjs %reldir%/events.mjs %reldir%/events.test.mjs \
	%reldir%/groups.mjs %reldir%/harness.mjs %reldir%/holds.test.mjs %reldir%/http.test.mjs \
	%reldir%/isolation-builds.test.mjs %reldir%/isolation-limits.test.mjs \
	%reldir%/isolation-network.test.mjs \
	%reldir%/isolation-tenants.test.mjs %reldir%/isolation.mjs \
	%reldir%/launch.test.mjs %reldir%/leak.test.mjs %reldir%/limits.test.mjs \
	%reldir%/mcp-publish.test.mjs %reldir%/mcp.mjs %reldir%/mcp.test.mjs \
	%reldir%/operations.test.mjs %reldir%/panel-publish.test.mjs %reldir%/panel.mjs \
	%reldir%/panel.test.mjs %reldir%/previewctl.test.mjs %reldir%/probe.test.mjs \
	%reldir%/processes.mjs %reldir%/proxies.mjs %reldir%/publish-frameworks.test.mjs \
	%reldir%/publish-managers.test.mjs %reldir%/publish.test.mjs \
	%reldir%/published.test.mjs %reldir%/publishing.mjs %reldir%/run.test.mjs \
	%reldir%/socketio.mjs %reldir%/socketio.test.mjs %reldir%/targets.mjs \
	%reldir%/tasks.test.mjs %reldir%/visiting.mjs %reldir%/vite.test.mjs tests/fixtures/activate.py \
	tests/fixtures/agent.mjs tests/fixtures/canvas-page/index.html \
	tests/fixtures/canvas-page/page.js tests/fixtures/deaf.py \
	tests/fixtures/gated-app/build.js tests/fixtures/gated-app/package.json \
	tests/fixtures/hostile-app/build.js tests/fixtures/hostile-app/hostile.js \
	tests/fixtures/hostile-app/index.html tests/fixtures/hostile-app/package.json \
	tests/fixtures/hostile-app/worker.js tests/fixtures/hostile-page/attack.js \
	tests/fixtures/hostile-page/index.html tests/fixtures/hostile-page/style.css \
	tests/fixtures/hostile-page/worker.js tests/fixtures/notified.py \
	tests/fixtures/slow_client.py tests/fixtures/task-app/package.json \
	tests/fixtures/task-app/server.js tests/fixtures/traefik.mjs tests/fixtures/vite-app/index.html \
	tests/fixtures/vite-app/main.js tests/fixtures/vite-app/package.json \
	tests/fixtures/vite-app/vite.config.js

# TAP, so that what calls it can count; FUNCTIONAL_TESTS="tests/functional/vite.test.mjs" for some.
check-functional: all
	cd '$(srcdir)' && PREVIEWD='$(abs_top_builddir)/previewd' \
		PREVIEWCTL='$(abs_top_builddir)/previewctl' \
		node --test --test-reporter=tap --test-concurrency=2 --test-timeout=300000 \
		$${FUNCTIONAL_TESTS:-tests/functional/*.test.mjs}

# Pictures of the panel in all its states.
panel-clean:
	rm -rf tests/panel
clean-local: panel-clean
.PHONY: check-functional panel-clean
