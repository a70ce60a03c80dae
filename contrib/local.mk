# contrib

# For agents, in the repository's own order: `/plugin marketplace add $(pkgdatadir)` finds its way.
nobase_dist_pkgdata_DATA = \
	.claude-plugin/marketplace.json \
	%reldir%/claude-code/.claude-plugin/icon.png \
	%reldir%/claude-code/.claude-plugin/plugin.json \
	%reldir%/claude-code/.mcp.json \
	%reldir%/claude-code/README.md \
	%reldir%/claude-code/hooks/hooks.json \
	%reldir%/claude-code/skills/preview/SKILL.md \
	%reldir%/codex/README.md \
	%reldir%/codex/config.toml.example \
	%reldir%/codex/hooks.json \
	%reldir%/cursor/README.md \
	%reldir%/gemini/README.md \
	%reldir%/gemini/gemini-extension.json \
	%reldir%/gemini/hooks/hooks.json \
	%reldir%/opencode/README.md \
	%reldir%/opencode/opencode.json \
	%reldir%/opencode/previewd.js \
	%reldir%/vscode/README.md

# Completions, by the program itself from its tables.
bashcompletiondir = $(datadir)/bash-completion/completions
zshcompletiondir = $(datadir)/zsh/site-functions
fishcompletiondir = $(datadir)/fish/vendor_completions.d
nodist_bashcompletion_DATA = %reldir%/completion/previewctl
nodist_zshcompletion_DATA = %reldir%/completion/_previewctl
nodist_fishcompletion_DATA = %reldir%/completion/previewctl.fish
CLEANFILES += $(nodist_bashcompletion_DATA) $(nodist_zshcompletion_DATA) \
	$(nodist_fishcompletion_DATA)

completion_gen = $(MKDIR_P) $(@D) && ./previewctl$(EXEEXT) completion
%reldir%/completion/previewctl: previewctl$(EXEEXT)
	$(AM_V_GEN)$(completion_gen) bash >$@.tmp && mv $@.tmp $@
%reldir%/completion/_previewctl: previewctl$(EXEEXT)
	$(AM_V_GEN)$(completion_gen) zsh >$@.tmp && mv $@.tmp $@
%reldir%/completion/previewctl.fish: previewctl$(EXEEXT)
	$(AM_V_GEN)$(completion_gen) fish >$@.tmp && mv $@.tmp $@

# A Debian package: `make deb` builds it from the release archive, as a user would.
EXTRA_DIST += %reldir%/debian/changelog %reldir%/debian/control %reldir%/debian/copyright \
	%reldir%/debian/previewd.postrm %reldir%/debian/rules %reldir%/debian/source/format \
	.containerignore %reldir%/container/Containerfile %reldir%/container/README.md

deb: dist
	rm -rf deb && $(MKDIR_P) deb
	tar -C deb -xf $(distdir).tar.xz
	cp -R $(srcdir)/%reldir%/debian deb/$(distdir)/debian
	cd deb/$(distdir) && dpkg-buildpackage -us -uc -b
	lintian --fail-on error,warning --suppress-tags initial-upload-closes-no-bugs deb/*.changes
.PHONY: deb
clean-local: clean-deb
clean-deb:
	rm -rf deb

# Recipes, tested by tests/functional/edge*.test.mjs.
EXTRA_DIST += %reldir%/edge/README.md %reldir%/edge/nginx/published.conf %reldir%/edge/caddy/published.caddy \
	%reldir%/edge/nginx/previews.conf %reldir%/edge/caddy/previews.caddy \
	%reldir%/edge/traefik/traefik.yml %reldir%/edge/traefik/certificates.yml
