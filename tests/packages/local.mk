# `make check-packages`: the Debian package on a bare Debian 12 of its own, booted by qemu.  Ten minutes or so, and
# not a part of `./dev check`: see check.sh for what it wants.  PACKAGES_DIR keeps the bare system.
EXTRA_DIST += %reldir%/check.sh %reldir%/guest.sh

check-packages: deb
	sh '$(srcdir)/%reldir%/check.sh' "$$(ls deb/previewd_*.deb)" \
		"$${PACKAGES_DIR:-$(abs_top_builddir)/packages}"
.PHONY: check-packages
