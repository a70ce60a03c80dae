#!/bin/sh
# SPDX-License-Identifier: MIT
# shellcheck disable=SC2154 # the directories come from the makefile
# `make install` puts everything below its prefix, each file knows where the others went, and
# `make uninstall` leaves none.
set -u
top=$(mktemp -d "${TMPDIR:-/tmp}/previewd-install-XXXXXX")
trap 'rm -rf "$top"' EXIT
n=0

check() {
	n=$((n + 1))
	what=$1
	shift
	if "$@" >"$top/said" 2>&1; then
		echo "ok $n - $what"
	else
		echo "not ok $n - $what"
		tail -n 20 "$top/said" | sed 's/^/# /'
	fi
}

# The make of `make check` has its jobs and variables in the environment: this is one of its own.
quiet_make() { env -u MAKEFLAGS -u MFLAGS -u MAKELEVEL "${MAKE:-make}" -s "$@" DESTDIR="$top/root"; }
outside() {
	find "$top/root" -type f ! -path "$top/root$prefix/*" ! -path "$top/root$systemduserunitdir/*" \
		! -path "$top/root$systemdsystemunitdir/*"
}
names() { grep -F -- "$2" "$top/root$1"; }
is_empty() { ! "$@" | grep .; }

check 'it installs below DESTDIR' quiet_make install
check 'nothing outside of the prefix' is_empty outside
check 'previewd runs from there' "$top/root$bindir/previewd" --version
check 'previewctl, too' "$top/root$bindir/previewctl" version
check 'the sandbox is where previewd looks for it' names "$bindir/previewd" "$pkglibexecdir"
check '... and is there' test -x "$top/root$pkglibexecdir/previewd-sandbox"
check 'what it says of builds.conf is true' test -f "$top/root$pkgdatadir/systemd/builds.conf"
check 'the user unit starts it by its path' names "$systemduserunitdir/previewd.service" "ExecStart=$bindir/previewd"
check 'the system unit, too' names "$systemdsystemunitdir/previewd.service" "ExecStart=$bindir/previewd"
check 'and names its settings' names "$systemdsystemunitdir/previewd.service" "$sysconfdir/previewd/previewd.conf"
check 'and what it lacks for builds' names "$systemdsystemunitdir/previewd.service" "$pkgdatadir/systemd/builds.conf"
check 'previewd(8) names it, too' names "$mandir/man8/previewd.8" "$pkgdatadir/systemd/builds.conf"
check 'previewd(8) names the settings' names "$mandir/man8/previewd.8" "$sysconfdir/previewd/previewd.conf"
check 'previewd.conf(5) does, too' names "$mandir/man5/previewd.conf.5" "$sysconfdir/previewd/previewd.conf"
check 'a placeholder is left in nothing' is_empty grep -rlE '@[a-z]+dir@' "$top/root"
for file in "$mandir/man1/previewctl.1" "$docdir/previewd.conf.sample" \
	"$datadir/bash-completion/completions/previewctl" "$datadir/zsh/site-functions/_previewctl" \
	"$datadir/fish/vendor_completions.d/previewctl.fish"; do
	check "there is $(basename "$file")" test -s "$top/root$file"
done
check 'it uninstalls' quiet_make uninstall
check 'and leaves nothing' is_empty find "$top/root" ! -type d
echo "1..$n"
